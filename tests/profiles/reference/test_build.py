"""What ships: every reference corpus with every feature; counts coarsened, names of frequent n-grams alone."""

import hashlib

import numpy as np
import pytest

from simtool.profiles.features import FEATURES, split_by_tokenizer
from simtool.profiles.profile import load_profile
from simtool.profiles.reference import build
from simtool.profiles.reference.build import BUCKETS, CORPORA, FEWEST_LABEL, N_LABELS, source_of
from simtool.profiles.resolve import Options, find_profile, local_text
from tests.conftest import sentences, write_jsonl


@pytest.fixture
def options(tmp_path):
    return Options(data=None, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", CORPORA)
def test_every_reference_corpus_ships_with_every_feature(name, options):
    resolved = find_profile(name, FEATURES, options)
    assert resolved.how == "shipped" and set(resolved.profile.features) == set(FEATURES)


def test_what_is_shipped_by_text_and_by_tokens_covers_every_feature():
    of_text, of_tokens = split_by_tokenizer(FEATURES)
    assert sorted(of_text + of_tokens) == sorted(FEATURES)
    assert "document_length" in of_tokens and "line_length" in of_text


def test_a_source_is_named_by_its_content_and_not_by_its_folder(tmp_path, options):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write_jsonl(tmp_path / folder / "text.jsonl", sentences(5))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        assert source_of(local_text(str(path), options)) == f"text.jsonl (sha256 {digest})"


def test_what_is_saved_is_coarse_and_names_what_is_frequent(tmp_path, options):
    fine = find_profile(str(write_jsonl(tmp_path / "text.jsonl", sentences(300))), ["token", "token2"], options).profile
    size = build._save(fine, ["token", "token2"], "text", tmp_path / "saved.parquet")
    assert size == (tmp_path / "saved.parquet").stat().st_size
    coarse = load_profile(tmp_path / "saved.parquet")
    np.testing.assert_array_equal(coarse.features["token"], fine.features["token"])
    assert coarse.features["token2"].shape[1] == BUCKETS < fine.features["token2"].shape[1]
    np.testing.assert_array_equal(coarse.features["token2"].sum(axis=1), fine.features["token2"].sum(axis=1))
    labels = coarse.labels["token2"]
    assert 0 < len(labels) <= N_LABELS
    assert all(coarse.features["token2"][:, bucket].sum() >= FEWEST_LABEL for bucket in labels)
    assert coarse.facts["source"] == "text" and coarse.facts["script"].startswith("simtool.profiles.reference.build")
