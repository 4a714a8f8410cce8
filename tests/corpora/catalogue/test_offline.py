"""What every machine has needs no network."""

import pytest

from simtool.corpora.catalogue.offline import OFFLINE


@pytest.mark.parametrize("corpus", OFFLINE, ids=lambda corpus: corpus.name)
def test_it_is_read_here(corpus):
    first = next(corpus.documents(1))
    assert first.text and not corpus.files
