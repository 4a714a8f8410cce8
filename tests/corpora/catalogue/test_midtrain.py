"""Specialised text: what is mixed in at midtraining."""

from simtool.corpora.catalogue.midtrain import MIDTRAIN


def test_it_is_specialised_text():
    assert {corpus.role for corpus in MIDTRAIN} == {"specialised"}
