"""Targets of posttraining."""

import pytest

from simtool.corpora.catalogue.sft import SFT


@pytest.mark.parametrize("corpus", SFT, ids=lambda corpus: corpus.name)
def test_each_has_a_prompt_and_a_response(corpus):
    document = corpus.render(corpus.example)
    assert corpus.role == "sft" and document.prompt and document.response
