"""The hub as a source, against a stand-in for it on this machine that `datasets` really talks to."""

import json
import os
import re
import subprocess
import sys

import pytest
import zstandard

from simtool.corpora.hub import Hub, Hubs, in_turn, parse_hub_id
from simtool.errors import SimtoolError
from tests.corpora.hub_server import card, hub_server, jsonl, parquet, rows

N_ROWS = 2_500


REPOSITORIES = {
    "us/one-file": {
        "README.md": card(main={"train": "main/train.jsonl", "test": "main/test.jsonl"}, other={"train": "o/*"}),
        "main/train.jsonl": jsonl(rows(0, N_ROWS)),
        "main/test.jsonl": jsonl(rows(0, 3)),
        "o/train.jsonl": jsonl(rows(100, 5)),
    },
    "us/four-files": {f"data/train-{i}.parquet": parquet(rows(10 * i, 10)) for i in range(4)},
    "us/script": {
        "script.py": b"raise SystemExit('never run')",
        "train.jsonl": jsonl(rows(0, 4)),
        "more/part.parquet": parquet([{"text": "with id", "id": 1}]),
        "more/rest.parquet": parquet([{"text": "without"}]),
    },
    "us/zst": {
        "a/part.jsonl.zst": zstandard.compress(jsonl(rows(0, 2))),
        "a/part.jsonl.zstd": zstandard.compress(jsonl(rows(2, 2))),  # the hub's DCLM has had both
    },
    "us/gated": {"README.md": card(default={"train": "train.jsonl"}), "train.jsonl": jsonl(rows(0, 4))},
    "us/gated-late": {"train.jsonl": jsonl(rows(0, 4))},
    "us/broken": {},
}


@pytest.fixture(scope="module")
def endpoint():
    with hub_server(REPOSITORIES) as (endpoint, _):
        yield endpoint


ASK = """
import json, sys
from simtool.corpora import catalogue
from simtool.corpora.hub import Hub, Hubs, parse_hub_id
from simtool.errors import SimtoolError
assert "datasets" not in sys.modules
for question in json.load(sys.stdin):
    try:
        print(json.dumps(eval(question)))
    except SimtoolError as error:
        print(json.dumps(str(error)))
"""


def ask(questions: list[str], home, **env: str) -> list:
    """The answers of a fresh process, because the hub's libraries read their variables when imported."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(questions),
        env={"PATH": os.environ["PATH"], "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no bars, no warnings, no traceback
    return [json.loads(line) for line in done.stdout.splitlines()]


def texts(hub: str, shard: int = 0, n_shards: int = 1) -> str:
    return f"[[row['text'] for row in rows] for rows in {hub}.read({shard}, {n_shards})]"


QUESTIONS = {
    "one": texts("Hub('us/one-file', 'main')"),
    "test": "list(Hub('us/one-file', 'main', 'test').read(0, 1))",
    "strided": "[" + ", ".join(texts("Hub('us/one-file', 'main')", shard, 2) for shard in range(2)) + "]",
    "files": texts("Hub('us/four-files')"),
    "sharded": "[" + ", ".join(texts("Hub('us/four-files')", shard, 3) for shard in range(3)) + "]",
    "spread": texts("Hub('us/four-files', spread=2)"),
    "plain file": texts("Hub('us/script', data_files=('train.jsonl',))"),
    "compressed": texts("Hub('us/zst', data_files=('a/*.jsonl.zst*',))"),
    "columns": "list(Hub('us/script', data_files=('more/*.parquet',), columns=('text',)).read(0, 1))",
    "two": texts("Hubs((Hub('us/four-files', spread=4), Hub('us/one-file', 'other')))"),
    "config missing": texts("Hub('us/one-file')"),
    "config unknown": texts("Hub('us/one-file', 'mian')"),
    "split unknown": texts("Hub('us/one-file', 'main', 'dev')"),
    "revision unknown": texts("Hub('us/one-file', 'main', revision='v9')"),
    "file unknown": texts("Hub('us/script', data_files=('no.jsonl',))"),
    "script": texts("Hub('us/script')"),
    "gated": texts("Hub('us/gated')"),
    "gated late": texts("Hub('us/gated-late', data_files=('train.jsonl',))"),
    "absent": texts("Hub('us/nothing')"),
    "broken": texts("Hub('us/broken')"),
}


@pytest.fixture(scope="module")
def answers(endpoint, tmp_path_factory):
    given = ask(list(QUESTIONS.values()), tmp_path_factory.mktemp("hf"), HF_ENDPOINT=endpoint)
    return dict(zip(QUESTIONS, given, strict=True))


def flat(lists: list[list]) -> list:
    return [item for one in lists for item in one]


def test_a_split_is_read_in_order_in_lists(answers):
    assert flat(answers["one"]) == [f"row {i}" for i in range(N_ROWS)]
    assert [len(rows) for rows in answers["one"]] == [1000, 1000, 500]
    assert answers["test"] == [[{"text": f"row {i}", "label": i % 2} for i in range(3)]]
    assert flat(answers["compressed"]) == [f"row {i}" for i in range(4)]
    assert flat(answers["plain file"]) == [f"row {i}" for i in range(4)]


def test_columns_are_read_from_files_that_differ(answers):
    assert answers["columns"] == [[{"text": "with id"}], [{"text": "without"}]]


@pytest.mark.parametrize("name, whole", [("strided", "one"), ("sharded", "files")])
def test_shards_hold_every_row_once(answers, name, whole):
    shards = [flat(shard) for shard in answers[name]]
    assert all(shards)
    assert sorted(flat(shards)) == sorted(flat(answers[whole]))


def test_spread_reads_files_side_by_side(answers):
    assert [rows[0] for rows in answers["files"]] == ["row 0", "row 10", "row 20", "row 30"]
    assert [rows[0] for rows in answers["spread"]] == ["row 0", "row 20", "row 10", "row 30"]
    assert [rows[0] for rows in answers["two"]] == ["row 0", "row 100", "row 10", "row 20", "row 30"]


MESSAGES = {
    "config missing": "us/one-file has several configs and needs one named. It has: main, other.\n"
    "Write us/one-file:CONFIG:train.",
    "config unknown": "us/one-file has no config 'mian'. It has: main, other.\nWrite us/one-file:CONFIG:train.",
    "split unknown": "us/one-file has no split 'dev'. It has: train, test.\nWrite us/one-file:main:SPLIT.",
    "revision unknown": "us/one-file has no revision 'v9'. See HUB/datasets/us/one-file/tree/main",
    "file unknown": "us/script has no no.jsonl. See HUB/datasets/us/script/tree/main",
    "script": "us/script is a loading script, which is code, and simtool runs none.\n"
    "Look for a copy of it as files: HUB/datasets?search=script",
    "gated": "us/gated is gated: its owner wants an agreement first.\n"
    "Accept it at HUB/datasets/us/gated, then log in: hf auth login",
    "gated late": "us/gated-late is gated: its owner wants an agreement first.\n"
    "Accept it at HUB/datasets/us/gated-late, then log in: hf auth login",
    "absent": "No dataset 'us/nothing' at HUB, or it is private.\n"
    "Check the name. If it is private, log in: hf auth login",
    "broken": "The hub answered 500 for us/broken. Try again later. Or: Put the text in a file and name the "
    "file, or the folder it is in with SIMTOOL_DATA or --data.",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_the_hub_refuses_is_said_clearly(answers, endpoint, name):
    assert answers[name].replace(endpoint, "HUB") == MESSAGES[name]


@pytest.mark.parametrize(
    "env, message",
    [
        (
            {"HF_HUB_OFFLINE": "1"},
            "us/one-file is on the hub, and HF_HUB_OFFLINE is set.\nUnset it. Or: Put the text in a file and "
            "name the file, or the folder it is in with SIMTOOL_DATA or --data.",
        ),
        (
            {"HF_ENDPOINT": "http://127.0.0.1:9"},  # nobody listens on the discard port
            "us/one-file is on the hub, and http://127.0.0.1:9 cannot be reached (WHY).\n"
            "Check the network. Or: Put the text in a file and name the file, or the folder it is "
            "in with SIMTOOL_DATA or --data.",
        ),
    ],
)
def test_without_a_network_the_answer_comes_at_once(tmp_path, env, message):
    [answer] = ask([texts("Hub('us/one-file')")], tmp_path, **env)
    assert re.sub(r"\(.*\)", "(WHY)", answer) == message  # the reason is worded by the system


@pytest.mark.parametrize(
    "text, hub",
    [
        ("openai/gsm8k", Hub("openai/gsm8k")),
        ("openai/gsm8k:main", Hub("openai/gsm8k", "main")),
        ("openai/gsm8k:main:test", Hub("openai/gsm8k", "main", "test")),
        ("allenai/sciq::validation", Hub("allenai/sciq", None, "validation")),
    ],
)
def test_hub_ids(text, hub):
    assert parse_hub_id(text) == hub


@pytest.mark.parametrize("text", ["gsm8k", "a/b/c", "a/b:c:d:e", "a /b"])
def test_what_is_no_hub_id(text):
    with pytest.raises(SimtoolError) as caught:
        parse_hub_id(text)
    assert str(caught.value) == (
        f"Not a hub id: {text!r}.\n"
        "Write OWNER/NAME, OWNER/NAME:CONFIG:SPLIT or OWNER/NAME::SPLIT, such as openai/gsm8k:main:train."
    )


def test_what_a_hub_is_called():
    assert Hub("openai/gsm8k", "main").describe() == "hub openai/gsm8k (main, train)"
    assert Hub("a/b", revision="v1").describe() == "hub a/b (train) at v1"
    both = Hubs((Hub("a/b"), Hub("c/d", "x", "test")))
    assert both.describe() == "hub a/b (train) + hub c/d (x, test)"
    assert len({Hub("a/b").identity(), Hub("a/b", "c").identity(), Hub("a/b", split="c").identity()}) == 3


def test_in_turn():
    assert list(in_turn([iter("ab"), iter(""), iter("cdef")])) == list("acbdef")
