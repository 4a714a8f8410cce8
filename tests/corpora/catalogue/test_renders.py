"""How rows become documents: examples in full, and the cases that a corpus has."""

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.catalogue.renders import render_lima, render_pycode
from simtool.corpora.corpus import Document

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
