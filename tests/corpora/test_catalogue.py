"""Facts over every known corpus: a new entry is tested the day it comes."""

import json
import pickle
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from simtool.corpora.catalogue import CATALOGUE, ENTRIES, find_corpus, same_domain_pairs
from simtool.corpora.corpus import Corpus, Document
from simtool.errors import SimtoolError

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
PAIRS = {corpus.name for corpus in ENTRIES if corpus.role == "sft"} | {
    "math",
    "flan",
    "knowledgeqa",
    "math_deepmind",
    "open_math_instruct_2",
}
each = pytest.mark.parametrize("corpus", ENTRIES, ids=lambda corpus: corpus.name)


def test_names_are_the_keys_and_unique():
    assert list(CATALOGUE) == [corpus.name for corpus in ENTRIES]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in CATALOGUE)


def test_the_papers_corpora_are_here():
    mixed = {"c4", "starcoder", "math", "flan", "knowledgeqa", "dclm"}
    targets = {"pycode", "gsm8k", "lima", "sciq", "social_iqa", "trec", "mr"}
    assert mixed | targets | {"wikipedia"} <= set(CATALOGUE)
    assert {name for name in targets if CATALOGUE[name].role != "sft"} == set()


@each
def test_an_entry_says_what_it_is(corpus: Corpus):
    assert corpus.role in ("general", "specialised", "sft")
    assert corpus.licence
    assert corpus.about[0].isupper() and corpus.about.endswith(".")
    assert not re.search(r"[.!?] ", corpus.about), "one sentence"
    assert corpus.source is not None or corpus.files, "nothing can serve it"
    assert corpus.source is None or (corpus.source.describe() and corpus.source.identity())


@each
def test_an_entry_can_be_sent_to_a_worker(corpus: Corpus):
    assert pickle.loads(pickle.dumps(corpus)) == corpus


def is_rendered_well(corpus: Corpus, document: Document) -> bool:
    apart = bool(document.prompt.endswith("\n") and document.prompt.strip() and document.response)
    return apart if corpus.name in PAIRS else document.prompt == "" and bool(document.response.strip())


@each
def test_the_example_renders(corpus: Corpus):
    assert is_rendered_well(corpus, corpus.render(corpus.example))


@each
def test_only_pairs_mask_the_prompt(corpus: Corpus):
    assert corpus.train_on == "text" or corpus.name in PAIRS
    if corpus.name in ("pycode", "lima", "gsm8k"):  # the paper's own choices
        assert corpus.train_on == ("response" if corpus.name == "gsm8k" else "text")


def test_a_file_serves_one_corpus_unless_it_stands_in():
    stems = Counter(stem for corpus in ENTRIES for stem, other in corpus.files.items() if other is None)
    assert [stem for stem, n in stems.items() if n > 1] == []
    stand_ins = [stem for corpus in ENTRIES for stem, other in corpus.files.items() if other]
    assert len(stand_ins) == len(set(stand_ins))
    assert set(stems) & set(stand_ins) == {"openstax_textbooks"}  # a corpus, and the stand-in for dclm


@each
def test_a_genuine_file_comes_before_a_stand_in(corpus: Corpus):
    kinds = [other is not None for other in corpus.files.values()]
    assert kinds == sorted(kinds)


def rows(path: Path, limit: int) -> list[dict]:
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, limit)]


def data_files(corpus: Corpus) -> list[Path]:
    stems = [f"{stem}{split}" for stem in corpus.files for split in ("", "_train", "_validation", "_test")]
    return [path for stem in stems if (path := DATA / f"{stem}.jsonl.zst").exists()]


@each
def test_real_files_render(corpus: Corpus):
    found = data_files(corpus)
    if not found:
        pytest.skip("no data folder, or no file of this corpus in it")
    for path in found:
        table = rows(path, 200)
        assert table
        for row in table:
            assert is_rendered_well(corpus, corpus.render(row)), path


@each
def test_a_target_of_one_domain_names_an_entry(corpus: Corpus):
    assert corpus.same_domain is None or (corpus.role == "sft" and corpus.same_domain in CATALOGUE)
    assert corpus.marker is None or corpus.role == "sft"
    assert corpus.n_examples is None or corpus.role == "sft"


def test_pairs_of_one_domain_are_those_that_are_mixed_in():
    targets = ("pycode", "gsm8k", "lima", "mine.jsonl")
    assert same_domain_pairs(["starcoder", "math", "flan"], targets) == (("starcoder", "pycode"), ("math", "gsm8k"))
    assert same_domain_pairs(["flan"], targets) == ()


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(SimtoolError) as caught:
        find_corpus("gsm8")
    known = ", ".join(sorted(CATALOGUE))
    assert str(caught.value) == f"Unknown corpus 'gsm8'. Did you mean 'gsm8k'?\nKnown: {known}."
    assert find_corpus("gsm8k") is CATALOGUE["gsm8k"]


@each
def test_no_field_becomes_the_word_none(corpus: Corpus):
    """A field that is missing or holds no text is an error, or no document; it is never text."""
    for name in corpus.example:
        for row in ({**corpus.example, name: None}, {k: v for k, v in corpus.example.items() if k != name}):
            try:
                document = corpus.render(row)
            except (KeyError, TypeError, AttributeError):
                continue
            assert "None" not in document.text
