"""How many rows of a corpus come to its share of the tokens."""

import pytest

from simtool.errors import SimtoolError
from simtool.exports.ingredients import Length


def test_rows_of_a_stream_are_not_limited(request_of):
    request = request_of("c4", tokens=10**9)
    (rows,) = request.n_rows(request.ingredients[0])
    assert rows == round(10**9 / request.lengths["c4"].tokens)


def test_rows_of_a_small_corpus_come_again(request_of, corpora):
    name = corpora["text"]
    request = request_of(name, tokens=1000)
    vars(request)["lengths"] = {name: Length(10.0, 60, True)}
    assert request.n_rows(request.ingredients[0]) == [60, 40]  # 1000 tokens are 100 rows of 10
    vars(request)["lengths"] = {name: Length(10.0, 20, True)}
    with pytest.raises(SimtoolError, match=r"5\.0 passes, above --max-epochs 4"):
        request.n_rows(request.ingredients[0])


def test_shares_of_rows_weigh_by_length(request_of, corpora):
    names = (corpora["text"], corpora["body"])
    request = request_of("+".join(f"{name}:0.5" for name in names))
    vars(request)["lengths"] = {names[0]: Length(30.0, 60, True), names[1]: Length(10.0, 60, True)}
    assert request.row_shares == pytest.approx([0.25, 0.75])


def test_facts_hold_no_time_of_day(request_of):
    facts = request_of("c4:0.8+starcoder:0.2").facts
    assert facts == request_of("c4:0.8+starcoder:0.2").facts
    assert facts["corpora"]["c4"]["source"] == "hub allenai/c4 (en, train)"
