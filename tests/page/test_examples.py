"""Excerpts behind n-grams: of the documents that hold an n-gram most often, and none where no text is at hand."""

import pytest

from simtool.page.examples import WIDTH, excerpt, excerpts_of
from simtool.page.gather import gather
from simtool.page.render import data
from simtool.page.sections import sections
from simtool.profiles.resolve import Options
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import write_jsonl

TOKENIZER = load_tokenizer("default")


@pytest.fixture
def options(tmp_path):
    return Options(data=None, cache=tmp_path / "cache")


def test_the_documents_that_hold_an_n_gram_most_often_come_first(tmp_path, options):
    path = str(write_jsonl(tmp_path / "a.jsonl", ["a b c", "river river river sea", "river sea", "nothing"]))
    [river] = set(TOKENIZER.encode([" river"])[0].tolist())
    texts = excerpts_of(path, {"token": [river, river]}, 2, options, TOKENIZER)
    assert texts == {"token": {river: ("river river river sea",)}}  # "river" at the beginning is another token
    pairs = excerpts_of(path, {"char2": [ord("s") * 0]}, 2, options, TOKENIZER)
    assert list(pairs["char2"].values()) == [()]  # in no document


def test_without_text_there_is_none(options):
    assert excerpts_of("c4", {"token": [1]}, 2, options, TOKENIZER) is None
    assert excerpts_of("c4:0.5+gsm8k:0.5", {"token": [1]}, 2, options, TOKENIZER) is None


@pytest.mark.parametrize(("share", "begins", "ends"), [(0.0, "0", "…"), (0.5, "…", "…"), (1.0, "…", "9")])
def test_an_excerpt_lies_around_its_place(share, begins, ends):
    text = "0" + "x" * 998 + "9"
    shown = excerpt(text, share)
    assert shown.startswith(begins) and shown.endswith(ends) and len(shown.strip("…")) == WIDTH
    assert excerpt("short", share) == "short"


def test_a_page_holds_text_only_where_it_was_asked_for(tmp_path, options):
    secret = "the secret of the river is kept by the stones"
    path = str(write_jsonl(tmp_path / "mine.jsonl", [f"{secret} {i}" for i in range(200)]))
    how = {"views": ("token.token",), "resamples": 20, "options": options}
    silent, open_page = gather([path, "gsm8k"], **how), gather([path, "gsm8k"], examples=1, **how)
    assert silent.examples == {} and data(silent, ["a", "b"])["examples"] == {}
    shown = data(open_page, ["a", "b"])["examples"]
    assert list(shown) == [0] and any(secret in texts[0] for texts in shown[0][0].values() if texts)
    words = sections(open_page)[-1].html()
    assert "This page holds excerpts of mine.jsonl" in words and "No text of gsm8k is at hand" in words
    assert "excerpts" not in sections(silent)[-1].html()
