"""The mixed text: shares, seeds, order, repetition."""

import numpy as np
import pytest

from simtool.corpora.corpus import Document, Segment, plain_text, prompt_and_response
from simtool.errors import SimtoolError
from simtool.exports.sample import check_passes, draw_sample, messages_of
from simtool.mixture import Mixture
from simtool.profiles.resolve import Options
from tests.conftest import sentences, write_jsonl


def draw(corpora, shares, tokens, seed=0, max_epochs=4.0):
    mixture = Mixture({corpora[name]: share for name, share in shares.items()})
    return draw_sample(mixture, tokens, seed, Options(), max_epochs)


def test_shares_are_as_near_as_whole_documents_allow(corpora):
    sample = draw(corpora, {"text": 0.75, "body": 0.25}, 1200)
    longest = 62 * 3  # tokens: words of a document, and some more for each
    for path, share in sample.shares.items():
        assert abs(share * sample.n_tokens.sum() - {corpora["text"]: 900, corpora["body"]: 300}[path]) < longest
    assert sum(sample.shares.values()) == pytest.approx(1)
    assert set(sample.passes.values()) == {1.0}
    assert len({document.text for document in sample.documents}) == len(sample.documents)


def test_a_seed_gives_its_own_documents_in_its_own_order(corpora):
    first, again, other = (draw(corpora, {"text": 0.5, "body": 0.5}, 800, seed) for seed in (0, 0, 1))
    assert first.documents == again.documents and first.corpora == again.corpora
    assert set(first.documents) != set(other.documents)
    assert first.corpora != sorted(first.corpora)  # shuffled


def test_which_documents_are_taken_does_not_depend_on_their_order(tmp_path):
    texts = sentences(80)
    forward, backward = write_jsonl(tmp_path / "a.jsonl", texts), write_jsonl(tmp_path / "b.jsonl", texts[::-1])
    taken = [set(draw({"x": str(path)}, {"x": 1.0}, 700).documents) for path in (forward, backward)]
    assert taken[0] == taken[1]


def test_a_small_corpus_is_repeated_whole(corpora):
    whole = draw(corpora, {"pair": 1.0}, 10_000, max_epochs=100)
    n = int(whole.n_tokens.sum())
    passes = whole.passes[corpora["pair"]]
    counts = np.unique([document.text for document in whole.documents], return_counts=True)[1]
    assert passes > 2 and abs(n - 10_000) < 20
    assert set(counts) <= {int(passes), int(passes) + 1}


def test_too_many_repetitions_are_refused(corpora):
    with pytest.raises(SimtoolError) as caught:
        draw(corpora, {"pair": 0.5, "text": 0.5}, 10_000, max_epochs=2)
    assert "above --max-epochs 2.\nAsk for fewer --tokens, or allow more passes." in str(caught.value)


def test_a_tiny_share_is_one_document(corpora):
    sample = draw(corpora, {"text": 0.999, "body": 0.001}, 1500)
    assert sample.corpora.count(corpora["body"]) == 1


def test_rows_have_messages_where_there_are_prompts(corpora):
    rows = list(draw(corpora, {"text": 0.5, "chat": 0.5}, 500).rows())
    chats = [row for row in rows if row["corpus"] == corpora["chat"]]
    assert [turn["role"] for turn in chats[0]["messages"]] == ["user", "assistant"] * 3
    assert chats[0]["messages"][1]["content"] == "<think>\n7 * 13\n</think>\nNo."
    assert all(row["messages"] is None for row in rows if row["corpus"] == corpora["text"])
    assert all(set(row) == {"text", "corpus"} for row in draw(corpora, {"text": 1.0}, 300).rows())


@pytest.mark.parametrize(
    ("document", "messages"),
    [
        (plain_text("A text."), None),
        (
            prompt_and_response("1 + 1?", "2", "\n"),
            [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}],
        ),
        (
            Document((Segment("template", "<think>"), Segment("reasoning", "hm"), Segment("template", "</think>"))),
            [{"role": "assistant", "content": "<think>hm</think>"}],
        ),
    ],
)
def test_messages_of_a_document(document, messages):
    assert messages_of(document) == messages


def test_a_corpus_is_repeated_as_often_as_is_allowed():
    check_passes("c4", 100, 400, 4)
    with pytest.raises(SimtoolError, match=r"c4 holds 100 tokens, and 401 of it are needed: 4\.0 passes, above"):
        check_passes("c4", 100, 401, 4)
