"""General text: what models are pretrained on."""

from simtool.corpora.catalogue.pretrain import PRETRAIN


def test_it_is_general_text_without_prompts():
    assert {corpus.role for corpus in PRETRAIN} == {"general"}
    assert {corpus.train_on for corpus in PRETRAIN} == {"text"}
