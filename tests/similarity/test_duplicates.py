"""Near-duplicates are counted; a pair above the noise ceiling is said to be, with how many it shares."""

import random

import pytest

from simtool import wording
from simtool.api.compare import compare, matrix
from simtool.api.mix import advantage
from simtool.display.compare import notes
from simtool.display.provenance import notes_above_ceiling
from simtool.page.gather import gather
from simtool.page.sections import alerts_of
from simtool.profiles.resolve import Options
from simtool.similarity.duplicates import n_near_duplicates, runs_of_words

random.seed(0)
TEXTS = [" ".join(f"w{int(random.paretovariate(0.5))}" for _ in range(100)) for _ in range(120)]


def test_runs_of_words():
    assert runs_of_words("One two, three four five six") == {"one two three four five", "two three four five six"}
    assert runs_of_words("短い文です") == {"短 い 文 で す"}
    assert runs_of_words("too short") == {"too short"}


@pytest.mark.parametrize("n", [0, 1, 50])
def test_as_many_as_share_their_runs_are_counted(n):
    changed = [text.replace(" ", "  ", 1) + " x" for text in TEXTS[:n]]  # one run more of 97
    assert n_near_duplicates(TEXTS, [*changed, "something else entirely, in no other document"]) == n


def test_half_a_document_is_no_near_duplicate():
    assert n_near_duplicates(TEXTS[:20], [text[: len(text) // 2] for text in TEXTS[:20]]) == 0


def test_a_pair_above_the_ceiling_says_what_it_shares(tmp_path):
    options = Options(data=None, cache=tmp_path / "cache", corpora={"a": TEXTS, "b": [text + " " for text in TEXTS]})
    result = matrix(["a", "b"], resamples=50, options=options)
    assert result.above_ceiling() == [(0, 1)]
    assert result.facts["above_ceiling"] == [{"corpora": ["a", "b"], "documents": 120, "near_duplicates": 120}]
    assert wording.above_ceiling("a", "b", 120, 120) == (
        "a and b are more alike than two samples of one text: above the noise ceiling."
        " 120 of 120 documents of a have a near-duplicate in b."
    )


def test_two_corpora_of_one_kind_are_not_above(tmp_path):
    options = Options(data=None, cache=tmp_path / "cache", corpora={"a": TEXTS[:60], "b": TEXTS[60:]})
    result = matrix(["a", "b"], resamples=50, options=options)
    assert result.above_ceiling() == [] and result.facts["above_ceiling"] == []


def own(tmp_path, **corpora) -> Options:
    return Options(data=None, cache=tmp_path / "cache", corpora=corpora)


def test_an_advantage_says_where_the_target_itself_is_mixed_in(tmp_path):
    web = [" ".join(f"v{int(random.paretovariate(0.5))}" for _ in range(100)) for _ in range(120)]
    options = own(tmp_path, web=web, target=TEXTS, copy=[text + " " for text in TEXTS])
    result = advantage("web", {"copy": 0.5}, ["target"], "js", resamples=20, options=options)
    (pair,) = result.facts["above_ceiling"]
    assert sorted(pair["corpora"]) == ["copy", "target"] and pair["near_duplicates"] == 120
    assert any("120 of 120 documents" in note for note in notes_above_ceiling(result.facts))
    clean = own(tmp_path, web=web, target=TEXTS[:60], other=TEXTS[60:])
    assert not advantage("web", {"other": 0.5}, ["target"], "js", resamples=20, options=clean).facts["above_ceiling"]


def test_a_comparison_and_a_report_say_it_too(tmp_path):
    options = own(tmp_path, a=TEXTS, b=[text + " " for text in TEXTS])
    sentence = wording.above_ceiling("a", "b", 120, 120)
    assert f"{wording.ABOVE} {sentence}" in notes(compare("a", "b", resamples=50, options=options).matrix)
    assert sentence in alerts_of(gather(["a", "b"], resamples=50, options=options), {"a": "a", "b": "b"})
