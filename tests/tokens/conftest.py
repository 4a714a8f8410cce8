"""The tokenizers that come with simtool, and what they are held against."""

import pytest

from simtool.tokens.backends import Reference
from simtool.tokens.catalogue import EMBEDDED_FOLDER
from simtool.tokens.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer("default")


@pytest.fixture(scope="module")
def reference():
    return Reference((EMBEDDED_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small():
    return load_tokenizer("small")
