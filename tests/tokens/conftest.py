"""The tokenizers that come with simtool, what they are held against, and the stores of a toy corpus."""

import pytest

from simtool.tokens.backends import Reference
from simtool.tokens.catalogue import EMBEDDED_FOLDER
from simtool.tokens.tokenize import tokenize_corpus
from simtool.tokens.tokenizer import load_tokenizer
from tests.tokens.toys import PAIRS, corpus_of


@pytest.fixture(scope="module")
def embedded():
    return load_tokenizer("default")


@pytest.fixture(scope="module")
def reference():
    return Reference((EMBEDDED_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small():
    return load_tokenizer("small")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("default")


@pytest.fixture(scope="module")
def stores(tokenizer, tmp_path_factory):
    return tokenize_corpus(corpus_of(*PAIRS), tokenizer, tmp_path_factory.mktemp("stores"))
