"""Writing a mixture: names of files, provenance, what is shown."""

import json
from pathlib import Path

import pytest

from simtool.errors import SimtoolError
from simtool.exports.export import export, find_exporter


def test_an_unknown_form_gets_the_nearest():
    with pytest.raises(SimtoolError, match=r"Unknown export 'axolotle'. Did you mean 'axolotl'\?"):
        find_exporter("axolotle")


def test_names_in_the_working_folder(request_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = export(request_of("c4"), "megatron")
    assert done.paths == (Path("mixture-megatron.txt"), Path("mixture-megatron.json"))
    assert done.shares is None and done.content_sha256 == "ab12"
    assert json.loads(Path("mixture-megatron.json").read_text())["mixture"] == {"c4": 1.0}


def test_the_text_says_which_shares_came_out(corpora, request_of, tmp_path):
    done = export(request_of(f"{corpora['text']}:0.5+{corpora['body']}:0.5"), "jsonl", tmp_path / "mix.jsonl")
    facts = json.loads((tmp_path / "mix.json").read_text())
    assert facts["shares_written"] == done.shares and facts["tokens_written"] == done.tokens
    assert facts["corpora"][corpora["text"]] == {"source": corpora["text"], "licence": "yours"}


def test_the_provenance_has_a_place_of_its_own(request_of, tmp_path):
    with pytest.raises(SimtoolError, match="Name a file with another ending"):
        export(request_of("c4"), "megatron", tmp_path / "mix.json")
