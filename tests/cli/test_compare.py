"""Corpora beside each other, from the command line: formats, files that are saved, own text and mixtures."""

import csv
import io
import json
import re
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
