"""Facts over every known corpus: a new entry is tested the day it comes."""

import json
import pickle
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from simtool.corpora.catalogue import CATALOGUE, ENTRIES, find_corpus, render_lima, render_pycode, same_domain_pairs
from simtool.corpora.corpus import Corpus, Document
from simtool.errors import SimtoolError

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
PAIRS = {corpus.name for corpus in ENTRIES if corpus.role == "sft"} | {
    "math",
    "flan",
    "knowledgeqa",
    "math_deepmind",
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


# One corpus, two shapes of row: the hub's columns and the fields of the usual files render alike.

ALIKE = [
    ("starcoder", {"content": "<reponame>a/b<gh_stars>0\nx = 1\n"}, {"text": "x = 1\n"}),
    ("starcoder", {"content": "<filename>a.py<gh_stars>10-100\nx < 1"}, {"text": "x < 1"}),
    ("math", {"instruction": "2 + 2?", "output": "4"}, {"problem": "2 + 2?", "generated_solution": "4"}),
    ("trec", {"text": "Who ?", "coarse_label": 3}, {"text": "Who ?", "coarse_label": "HUM"}),
    ("mr", {"text": "fine .", "label": 1}, {"text": "fine . ", "label": "1"}),
    ("wikipedia", {"title": "Tea", "text": "Tea is\na drink."}, {"text": "Tea is\na drink."}),
    ("wikipedia", {"title": "Tea", "text": "A drink."}, {"text": "Tea\n\nA drink."}),
    ("imdb_reviews", {"text": "Good.<br /><br />Long."}, {"text": "Good.\nLong."}),
    ("knowledgeqa", {"question": "who", "answer": ["me", "us"]}, {"question": "who", "answer": "me"}),
    ("knowledgeqa", {"question": "who", "answer": {"value": "me"}}, {"question": "who", "answer": "me"}),
]


@pytest.mark.parametrize("name, hub_row, file_row", ALIKE)
def test_hub_and_files_render_alike(name, hub_row, file_row):
    assert CATALOGUE[name].render(hub_row) == CATALOGUE[name].render(file_row)


@pytest.mark.parametrize(
    "name, prompt, response",
    [
        ("gsm8k", "Ida bakes 3 trays of 12 rolls and sells 30. How many are left?\n", None),
        (
            "sciq",
            "Water climbs in narrow vessels called xylem.\nWhat carries water from a plant's roots to its leaves?\n",
            "xylem",
        ),
        (
            "social_iqa",
            "Noor lent Sam her bicycle for a week. What will Sam want to do next?\n",
            "thank Noor",
        ),
        ("trec", "How many bridges cross the Danube in Vienna ?\n", "number"),
        ("mr", "a slow film that earns every minute of its patience .\n", "positive"),
        ("knowledgeqa", "which metal is liquid at room temperature\n", "mercury"),
    ],
)
def test_examples_in_full(name, prompt, response):
    document = CATALOGUE[name].render(CATALOGUE[name].example)
    assert (document.prompt, document.response) == (prompt, response or CATALOGUE[name].example["answer"])


def test_an_answer_left_out_is_no_document():
    assert CATALOGUE["knowledgeqa"].render({"question": "why", "answer": None}) == Document(())


@pytest.mark.parametrize(
    "turns, prompt, response",
    [
        (["a"], "a\n", ""),
        (["a", "b"], "a\n", "b"),
        (["a", "b", "c"], "a\n", "b"),  # the last question has no reply
        (["a", "b", "c", "d"], "a\nb\nc\n", "d"),
    ],
)
def test_lima_keeps_the_last_reply_apart(turns, prompt, response):
    document = render_lima({"conversations": turns})
    assert (document.prompt, document.response) == (prompt, response)
    assert document.in_role("user").text.split("\n") == [*turns[: len(turns) // 2 * 2 : 2]] or turns[:1]


@pytest.mark.parametrize(
    "code, without",
    [
        ('def f(x):\n    """Add one."""\n    return x + 1', "def f(x):\n    return x + 1"),
        ("def f(x):\n    '''\n    Add one.\n    '''\n    print x", "def f(x):\n    print x"),  # Python 2
        ('def f(x):\n    r"""Add one."""\n\n    return x', "def f(x):\n\n    return x"),
        ("def f(x):\n    return x + 1", "def f(x):\n    return x + 1"),
        ("def f(x):\n    # Add one.\n    return x + 1", "def f(x):\n    # Add one.\n    return x + 1"),
        (
            'def f(x):\n    """Add one. Or two."""\n    return x',
            'def f(x):\n    """Add one. Or two."""\n    return x',
        ),
    ],
)
def test_the_docstring_is_asked_once(code, without):
    row = {"func_documentation_string": "Add one.", "func_code_string": code}
    document = render_pycode(row)
    assert (document.prompt, document.response) == ("Add one.\n", without)


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
