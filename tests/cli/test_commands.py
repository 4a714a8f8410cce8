"""What a user types and sees: output, one clear message for bad input, exit codes; start-up stays light."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simtool.profiles.resolve import shipped
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, simtool, write_jsonl


@pytest.fixture
def mine(tmp_path) -> Path:
    return write_jsonl(tmp_path / "mine.jsonl", sentences(400))


def test_the_first_command(tmp_path):
    done = simtool("matrix", "c4", "pycode", "gsm8k", "--resamples", "40", "--provenance")
    assert done.returncode == 0, done.stderr
    assert "split-half" not in done.stderr
    assert re.search(r"^ pycode \* +0\.\d{3} +0\.\d{3} +0\.\d{3} *$", done.stdout, re.MULTILINE)
    assert "pycode: docstring -> function pairs" in done.stdout  # the proxy corpus's footnote
    assert "\x1b[" not in done.stdout  # no colours where there is no terminal


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "latex"])
def test_formats(form):
    done = simtool("matrix", "c4", "gsm8k", "--resamples", "20", "--format", form)
    assert done.returncode == 0, done.stderr
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        cells = [("c4", "c4"), ("c4", "gsm8k"), ("gsm8k", "c4"), ("gsm8k", "gsm8k")]
        assert [(row["row"], row["column"]) for row in rows] == cells * 2
        assert [row["metric"] for row in rows] == ["token"] * 4 + ["size_free"] * 4
        assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    elif form == "json":
        told = json.loads(done.stdout)
        assert len(told["cells"]) == 8
        assert told["provenance"]["metric"] == ["token", "size_free"]
        assert told["provenance"]["corpora"]["gsm8k"]["how"] == "shipped"
    elif form == "markdown":
        assert done.stdout.startswith("|  | c4 | gsm8k |\n| --- | ---: | ---: |\n| c4 | 0.")
    else:
        assert done.stdout.startswith("\\begin{tabular}{lrr}\n\\toprule\n")


def test_save_writes_table_provenance_and_pictures(tmp_path):
    done = simtool("matrix", "c4", "gsm8k", "--resamples", "20", "--save", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    saved = {f"similarity_matrix.{ending}" for ending in ("csv", "json", "png", "svg", "pdf")}
    assert names == saved | {"size_free"}  # the second matrix has a folder of its own
    assert {path.name for path in (tmp_path / "out" / "size_free").iterdir()} == saved
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*") if path.suffix != ".json"}
    simtool("matrix", "c4", "gsm8k", "--resamples", "20", "--save", tmp_path / "out")
    assert all(path.read_bytes() == data for path, data in before.items())  # same table, same bytes


def test_own_files_against_a_shipped_profile_and_a_mixture(mine):
    done = simtool("matrix", mine, "c4:0.8+starcoder:0.2", "gsm8k", "--resamples", "20", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["provenance"]["corpora"][str(mine)]["documents"] == 400
    assert {cell["row"] for cell in told["cells"]} == {str(mine), "c4:0.8+starcoder:0.2", "gsm8k"}
    assert f"Counting {mine}" in done.stderr


def test_profile_then_cached(mine):
    first = simtool("profile", mine)
    assert first.returncode == 0, first.stderr
    assert "counted now" in first.stdout
    assert "cached" in simtool("profile", mine).stdout
    assert "cached" in simtool("matrix", mine, "c4", "--metric", "kl", "--feature", "skeleton3").stdout


def test_a_data_folder_serves_a_catalogue_name(tmp_path):
    (tmp_path / "gsm8k_train.jsonl").write_text(
        "".join(json.dumps({"question": text, "answer": "#### 7"}) + "\n" for text in sentences(300))
    )
    done = simtool("profile", "gsm8k", "--feature", "token", SIMTOOL_DATA=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"file {tmp_path}/gsm8k_train.jsonl" in done.stdout
    assert "300" in done.stdout
    # counted here before: it now serves the name, before the profile that ships
    assert "cached, file" in simtool("matrix", "gsm8k", "c4", "--resamples", "20", "--provenance").stdout


def test_compare_adds_up(tmp_path):
    done = simtool("compare", "c4", "gsm8k", "--feature", "token", "--format", "csv", "--resamples", "20")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    p, q = (
        profile.features["token"].sum(axis=0) / profile.size["tokens"]
        for profile in (shipped(name, load_tokenizer("default"), ["token"]) for name in ("c4", "gsm8k"))
    )
    from scipy.spatial.distance import jensenshannon

    assert sum(float(row["bits"]) for row in rows) == pytest.approx(jensenshannon(p, q, 2) ** 2, abs=1e-4)
    assert rows[0]["ngram"] == "␣"


def test_listings():
    assert "GSM8K" in simtool("corpora").stdout or "gsm8k" in simtool("corpora").stdout
    assert "example prompt" in simtool("corpora", "gsm8k").stdout
    assert "Jensen-Shannon" in simtool("metrics").stdout
    assert "pythia" in simtool("tokenizers").stdout
    assert re.fullmatch(r"simtool \d+\.\d+\.\d+\n", simtool("--version").stdout)


BAD = {
    "an unknown corpus": (["matrix", "c4", "gsm8"], r"simtool: Unknown corpus 'gsm8'\. Did you mean 'gsm8k'\?\nKnown: c4, "),
    "an unknown metric": (["matrix", "c4", "--metric", "jss"], r"simtool: Unknown metric 'jss'\. Did you mean 'js'\?\n"),
    "an unknown feature": (["matrix", "c4", "--feature", "tokn"], r"simtool: Unknown feature 'tokn'\. Did you mean 'token'\?"),
    "an unknown tokenizer": (["matrix", "c4", "--tokenizer", "pythja"], r"simtool: Unknown tokenizer 'pythja'\."),
    "a missing file": (["matrix", "c4", "nowhere.jsonl"], r"simtool: No file nowhere\.jsonl\. Check the path\.\n"),
    "weights that do not sum to 1": (
        ["matrix", "c4:0.8+pycode:0.3", "c4"],
        r"simtool: Mixture weights must be positive and sum to 1\. Got \{'c4': 0\.8, 'pycode': 0\.3\} \(sum 1\.1\)\.\n",
    ),
    "a corpus named twice": (["matrix", "c4", "c4"], r"simtool: Named twice: c4\. Name every corpus once\.\n"),
    "more tokens than there are": (
        ["matrix", "c4", "trec", "--tokens", "10000000"],
        r"simtool: trec holds [\d,]+ tokens, too few for --tokens 10,000,000\.\nAsk for at most [\d,]+, or leave it out\.\n",
    ),
    "a missing data folder": (["profile", "c4", "--data", "/no/where"], r"simtool: No data folder /no/where\."),
    "a catalogue name that nothing serves": (
        ["matrix", "c4", "novels"],
        r"simtool: No text or profile for 'novels'\. Tried, in this order:\n  - data folder: none given",
    ),
    "an unwritable folder": (["matrix", "c4", "gsm8k", "--resamples", "20", "--save", "/proc/x"], r"simtool: Cannot write /proc/x"),
    "too few resamples": (["matrix", "c4", "--resamples", "3"], r"simtool: '3' is too few: 20 or more\.\n"),
    "no corpus": (["matrix"], r"(?s).*Missing argument 'CORPUS\.\.\.'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_exit_code_2(name):
    arguments, message = BAD[name]
    done = simtool(*arguments)
    assert done.returncode == 2, done.stderr
    assert re.match(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_mismatching_tokenizers_in_files_of_profiles(tmp_path):
    from simtool.errors import SimtoolError
    from simtool.similarity.matrix import similarity_matrix

    one = shipped("c4", load_tokenizer("default"), ["token"])
    other = shipped("gsm8k", load_tokenizer("pythia"), ["token"])
    with pytest.raises(SimtoolError, match=r"^Profiles under different tokenizers cannot be compared: "):
        similarity_matrix({"c4": one, "gsm8k": other})


SLOWLY = """
import time
from simtool.cli import main
from simtool.profiles import count as build
build.BATCH_BYTES, build.SAVE_SECONDS = 100_000, 0
add = build._Tally.add
build._Tally.add = lambda tally, texts: time.sleep(0.2) or add(tally, texts)
main()
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_counted(tmp_path):
    path = write_jsonl(tmp_path / "text.jsonl", sentences(10_000))
    command = [sys.executable, "-c", SLOWLY, "profile", str(path), "--feature", "token", "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cache = Path(os.environ["SIMTOOL_CACHE"]) / "profiles"
    while not list(cache.glob("*.parts/*/0-of-1.parquet")):
        assert process.poll() is None, "it ended before it was interrupted"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err.endswith("interrupted. What was done so far is kept: the same command goes on from there.\n")
    assert list(cache.glob("*.parts/*/0-of-1.parquet"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "10,000" in done.stdout
    assert not list(cache.glob("*.parts"))
