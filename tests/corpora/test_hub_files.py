"""Sets of the hub as files: the documents of the stream, at one commit; what is not divided says why."""

import gzip
import io
import json
import os
import random
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from simtool.corpora.hub import Hub
from simtool.corpora.hub_files import HubFiles
from tests.corpora.hub_server import COMMIT, SIGNATURE, TOKEN, card, hub_server, jsonl

RANDOM = random.Random(0)  # so that it does not shrink when it is compressed


def row_groups(texts: list[str], **columns: list) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": texts} | columns), buffer, row_group_size=10)
    return buffer.getvalue()


def numbered(first: int, n: int) -> list[str]:
    return [f"text {i}" for i in range(first, first + n)]


SETTINGS = b"---\nconfigs:\n- config_name: default\n  data_files: data.json\n  field: rows\n---\n"
TWICE = b"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: [a.jsonl, '*.jsonl']\n---\n"
REPOSITORIES = {
    "us/parquet": {f"data/train-{i}.parquet": row_groups(numbered(100 * i, 40), id=list(range(40))) for i in range(7)},
    "us/lines": {
        "README.md": card(main={"train": "train/*", "test": "test.jsonl"}),
        "train/a.jsonl": jsonl([{"text": "a", "n": 1}, {"n": 2}, {"text": None}, {"text": "d", "more": {"x": 1}}]),
        "train/b.jsonl.zst": zstandard.compress(jsonl([{"text": "e"}])),
        "train/c.json.gz": gzip.compress(jsonl([{"text": "f"}, {"text": "g", "n": 3}])),
        "train/d.json": json.dumps([{"text": "h"}, {"text": "i"}], indent=1).encode(),
        "test.jsonl": jsonl([{"text": "of the test"}]),
    },
    "us/columns": {"a/1.parquet": row_groups(["one"], id=[1]), "b/2.parquet": row_groups(["two"])},
    "us/private": {"train.parquet": row_groups(["not for everybody"])},
    "us/csv": {"train.csv": b"text,n\nNA,1\n"},
    "us/settings": {"README.md": SETTINGS, "data.json": b'{"rows": [{"text": "a"}]}'},
    "us/twice": {"README.md": TWICE, "a.jsonl": jsonl([{"text": "a"}])},
    "us/script": {"script.py": b"raise SystemExit('never run')"},
    "us/forbidden-late": {"train.parquet": row_groups(["nobody sees it"])},
}

PREAMBLE = """
import json, pickle, sys
from simtool.corpora.corpus import Corpus
from simtool.corpora.reading import Reading
from simtool.corpora.hub import Hub, Hubs
from simtool.corpora.hub_files import as_files
from simtool.corpora.layouts import TextFields
from simtool.errors import SimtoolError

def corpus(source):
    return Corpus("it", "", "general", "", TextFields("text"), {}, source)

def texts(corpus):
    return sorted(document.text for document in corpus.documents())

def both(source):
    return texts(corpus(source)), texts(as_files(corpus(source)))

for question in json.load(sys.stdin):
    try:
        print(json.dumps(eval(question)))
    except SimtoolError as error:
        print(json.dumps(str(error)))
"""
QUESTIONS = {
    "parquet": "both(Hub('us/parquet'))",
    "lines": "both(Hub('us/lines', 'main'))",
    "test": "both(Hub('us/lines', 'main', 'test'))",
    "named": "both(Hub('us/columns', data_files=('*/*.parquet',), columns=('text',)))",
    "several": "both(Hubs((Hub('us/lines', 'main'), Hub('us/columns', data_files=('a/*.parquet',)))))",
    "private": "both(Hub('us/private'))",
    "pickled": "texts(pickle.loads(pickle.dumps(as_files(corpus(Hub('us/private'))))))",
    "described": "as_files(corpus(Hub('us/lines', 'main'))).describe()",
    "of the files": "[(f.location, f.size) for f in as_files(corpus(Hub('us/lines', 'main', 'test'))).source.files]",
    "pieces": "[piece.name for piece in as_files(corpus(Hub('us/parquet'))).source.pieces(600)][:5]",
    "columns": "list(as_files(corpus(Hub('us/columns', None, 'x', None, ('a/1.parquet',), ('text',)))).source.read())",
    "csv": "both(Hub('us/csv'))",
    "settings": "both(Hub('us/settings'))",
    "twice": "both(Hub('us/twice'))",
    "script": "both(Hub('us/script'))",
    "split": "texts(as_files(corpus(Hub('us/lines', 'main', 'dev'))))",
    "forbidden": "texts(as_files(corpus(Hub('us/forbidden-late'))))",
}


def fresh_process(code: str, given: object, home, **env: str) -> list:
    """What a fresh process prints, a line of JSON each: the hub's libraries read their variables when imported."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(given),
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0", **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no bars, no warnings, no traceback
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def hub():
    with hub_server(REPOSITORIES) as (endpoint, server):
        yield endpoint, server


@pytest.fixture(scope="module")
def answers(hub, tmp_path_factory):
    home = tmp_path_factory.mktemp("hf")
    given = fresh_process(PREAMBLE, list(QUESTIONS.values()), home, HF_ENDPOINT=hub[0], HF_TOKEN=TOKEN)
    return dict(zip(QUESTIONS, given, strict=True))


@pytest.mark.parametrize("name, n", [("parquet", 280), ("lines", 7), ("test", 1), ("named", 2), ("several", 8)])
def test_the_documents_are_those_of_the_stream(answers, name, n):
    stream, files = answers[name]
    assert files == stream and len(files) == n


def test_a_private_set_is_read_with_the_token_that_it_is_not_named_by(answers):
    assert answers["private"] == [["not for everybody"]] * 2
    assert answers["pickled"] == ["not for everybody"]
    assert TOKEN not in json.dumps(answers) and SIGNATURE not in json.dumps(answers)


def test_it_says_its_commit_which_its_files_are_named_by(answers):
    assert answers["described"] == f"hub us/lines (main, train) at {COMMIT}"
    size = len(REPOSITORIES["us/lines"]["test.jsonl"])
    assert answers["of the files"] == [[f"hf://datasets/us/lines@{COMMIT}/test.jsonl", size]]


def test_it_is_cut_between_row_groups(answers):
    assert answers["pieces"][0].startswith("file 0, row groups 0-")
    assert len(set(answers["pieces"])) == 5


def test_the_columns_of_an_entry_are_read_where_no_layout_says_them(answers):
    assert answers["columns"] == [[{"text": "one"}]]


UNDIVIDED = {
    "csv": "us/csv is read by the builder 'csv'",
    "settings": "us/settings sets field for its files",
    "twice": "us/twice reads a.jsonl 2 times",
    "script": "us/script is a loading script, which is code, and simtool runs none.\n"
    "Look for a copy of it as files: HUB/datasets?search=script",
    "split": "us/lines has no split 'dev'. It has: train, test.\nWrite us/lines:main:SPLIT.",
    "forbidden": "us/forbidden-late is gated: its owner wants an agreement first.\n"
    "Accept it at HUB/datasets/us/forbidden-late, then log in: hf auth login",
}


@pytest.mark.parametrize("name", UNDIVIDED)
def test_what_is_not_divided_says_why(answers, hub, name):
    assert answers[name].replace(hub[0], "HUB") == UNDIVIDED[name]


def test_commits_and_description_of_several_sets():
    sets = (Hub("a/b", revision="1" * 40), Hub("c/d", "x", "test", revision="2" * 40))
    source = HubFiles((), "label", sets=sets)
    assert source.commits == ("1" * 40, "2" * 40)
    assert source.describe() == f"hub a/b (train) at {'1' * 40} + hub c/d (x, test) at {'2' * 40}"
