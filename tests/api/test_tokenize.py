"""Stores are written without PyTorch, where they are said to be."""

import subprocess
import sys
from pathlib import Path

from simtool.api.tokenize import stores_folder
from tests.conftest import sentences, write_jsonl


def test_stores_are_in_the_folder_named_or_in_the_cache(monkeypatch, tmp_path):
    assert stores_folder(tmp_path) == tmp_path
    monkeypatch.setenv("SIMTOOL_CACHE", str(tmp_path / "cache"))
    assert stores_folder() == tmp_path / "cache" / "tokens"
    monkeypatch.delenv("SIMTOOL_CACHE")
    assert stores_folder().parts[-2:] == ("simtool", "tokens") and isinstance(stores_folder(), Path)


def test_a_corpus_is_tokenized_without_pytorch(tmp_path):
    corpus = str(write_jsonl(tmp_path / "stories.jsonl", sentences(100)))
    program = """
import sys
sys.modules["torch"] = None  # as where it is not installed
from simtool.cli import main
main()
"""
    arguments = ["tokenize", corpus, "--tokenizer", "small", "--stores", str(tmp_path / "stores"), "--format", "csv"]
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    header, *rows = run.stdout.splitlines()
    assert header.startswith("corpus,split,documents,tokens") and len(rows) == 3
    assert len(list((tmp_path / "stores").rglob("ids.bin"))) == 3
