"""Profiles add exactly; their files are whole, checked and read back as they were."""

import json
import os
import pickle
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simtool.errors import SimtoolError
from simtool.profiles.features import N_FOLDS
from simtool.profiles.profile import Profile, SavedCounts, load_profile, open_profile, profile_facts, save_profile


def profile_of(counts: np.ndarray, fingerprint: str = "f" * 64, **facts) -> Profile:
    per_fold = counts.sum(axis=1)
    return Profile(
        "toy", "toy tokenizer", fingerprint, per_fold, per_fold, per_fold * 4,
        {"token": counts, "token2": counts[:, ::-1].copy()},
        {"token2": {3: (1, 2)}}, facts,
    )  # fmt: skip


def some_counts(seed: int, dimension: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.7, (N_FOLDS, dimension)).astype(np.int64)


def same(a: Profile, b: Profile) -> bool:
    return all((a.features[name] == b.features[name]).all() for name in a.features) and a.size == b.size


@given(st.permutations(range(4)))
def test_profiles_add_in_any_order(order):
    parts = [profile_of(some_counts(seed)) for seed in range(4)]
    whole = profile_of(sum(some_counts(seed) for seed in range(4)))
    added = parts[order[0]]
    for i in order[1:]:
        added = added + parts[i]
    assert same(added, whole)


def test_counts_are_read_only():
    profile = profile_of(some_counts(0))
    with pytest.raises(ValueError, match="read-only"):
        profile.features["token"][0, 0] = 1


def test_it_shows_its_size_and_not_its_counts():
    profile = profile_of(some_counts(0))
    shown = repr(profile)
    assert shown.startswith(f"Profile of {profile.corpus}: ") and len(shown) < 200
    assert f"{profile.n_tokens.sum():,} tokens" in shown and "token" in shown.split(";")[1]


def test_a_saved_profile_comes_back(tmp_path):
    profile = profile_of(some_counts(1), source="made up")
    save_profile(profile, tmp_path / "a.parquet")
    back = load_profile(tmp_path / "a.parquet")
    assert same(profile, back)
    assert (back.corpus, back.tokenizer, back.fingerprint) == ("toy", "toy tokenizer", "f" * 64)
    assert back.labels["token2"] == {3: (1, 2)}
    assert back.facts == {"source": "made up"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]  # nothing temporary is left


def test_only_what_is_asked_for_is_loaded(tmp_path):
    save_profile(profile_of(some_counts(1)), tmp_path / "a.parquet")
    assert list(load_profile(tmp_path / "a.parquet", ["token2"]).features) == ["token2"]
    with pytest.raises(SimtoolError, match=r"has no feature char3\. It has: token, token2\.$"):
        load_profile(tmp_path / "a.parquet", ["char3"])


def test_a_feature_without_counts_is_zeros_not_missing(tmp_path):
    empty = np.zeros((N_FOLDS, 50), np.int64)
    profile = profile_of(some_counts(1))
    profile = Profile(**{**vars(profile), "features": {"token": empty, "token2": profile.features["token2"]}})
    save_profile(profile, tmp_path / "a.parquet")
    assert same(load_profile(tmp_path / "a.parquet"), profile)


def test_any_parquet_reader_opens_it(tmp_path):
    profile = profile_of(some_counts(1))
    save_profile(profile, tmp_path / "a.parquet")
    assert sum(pq.read_table(tmp_path / "a.parquet")["count"].to_pylist()) == 2 * profile.size["tokens"]


def test_profiles_of_two_tokenizers_do_not_add():
    with pytest.raises(SimtoolError) as caught:
        profile_of(some_counts(0)) + profile_of(some_counts(0), fingerprint="0" * 64)
    assert str(caught.value) == (
        "Profiles under different tokenizers cannot be compared: toy is under toy tokenizer (ffffffffffffffff),"
        " toy under toy tokenizer (0000000000000000).\nCount both under one: --tokenizer NAME."
    )


def damaged(data: bytes) -> dict[str, bytes]:
    return {"cut": data[: len(data) // 2], "empty": b"", "foreign": b"not parquet at all" * 20}


@pytest.mark.parametrize("kind", ["cut", "empty", "foreign"])
def test_a_damaged_file_is_said_to_be_damaged(tmp_path, kind):
    save_profile(profile_of(some_counts(1)), tmp_path / "a.parquet")
    path = tmp_path / f"{kind}.parquet"
    path.write_bytes(damaged((tmp_path / "a.parquet").read_bytes())[kind])
    for read in (load_profile, profile_facts):
        with pytest.raises(SimtoolError, match=rf"^{path} is damaged: .* Remove it and count the text again"):
            read(path)


def rewritten(path, change) -> None:
    """The file with its table, or its facts, changed."""
    table = pq.read_table(path)
    facts = json.loads(table.schema.metadata[b"simtool_profile"])
    table, facts = change(table, facts)
    pq.write_table(table.replace_schema_metadata({"simtool_profile": json.dumps(facts)}), path)


def test_a_flipped_bit_is_found_or_changes_nothing(tmp_path):
    """Facts, sizes and labels are under a hash as counts are; what is left is what parquet says of its writer."""
    path = tmp_path / "a.parquet"
    save_profile(profile_of(some_counts(1)), path)
    profile = load_profile(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    facts_at = whole.index(b'"n_documents"')
    for at in (*range(facts_at, facts_at + 60), *rng.integers(0, len(whole), 200)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            read = load_profile(path)
        except SimtoolError:
            continue
        for name, value in vars(profile).items():
            np.testing.assert_equal(getattr(read, name), value, f"byte {at}: {name}")


def test_profiles_of_before_facts_had_a_hash_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    only = profile_of(some_counts(1))
    save_profile(Profile(**{**vars(only), "features": {"token": only.features["token"]}}), path)
    rewritten(path, lambda table, facts: (table, {name: facts[name] for name in facts if name != "hash"}))
    assert load_profile(path).size == only.size
    rewritten(path, lambda table, facts: (table, {**facts, "hasi": 0}))
    with pytest.raises(SimtoolError, match="it has no hash, and a name that is not known: 'hasi'"):
        load_profile(path)


def test_changed_counts_do_not_pass(tmp_path):
    path = tmp_path / "a.parquet"
    only = profile_of(some_counts(1))
    save_profile(Profile(**{**vars(only), "features": {"token": only.features["token"]}}), path)
    rewritten(path, lambda table, facts: (table.slice(0, len(table) - 1), facts))
    with pytest.raises(SimtoolError, match=r"is damaged: the counts of token do not match their hash"):
        load_profile(path)


def test_another_format_does_not_pass(tmp_path):
    path = tmp_path / "a.parquet"
    save_profile(profile_of(some_counts(1)), path)
    rewritten(path, lambda table, facts: (table, {**facts, "format": 99}))
    with pytest.raises(SimtoolError, match=r"is a profile of format 99; this simtool reads format 1\."):
        load_profile(path)


def test_a_foreign_parquet_file(tmp_path):
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SimtoolError, match=r"is a parquet file, but not a simtool profile\.$"):
        load_profile(tmp_path / "a.parquet")


def test_nothing_is_left_half_written_where_saving_fails(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SimtoolError, match=r"^Cannot write .*Choose another folder\.$"):
        save_profile(profile_of(some_counts(1)), tmp_path / "file" / "a.parquet")


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(SimtoolError) as caught:
        save_profile(profile_of(some_counts(1)), tmp_path / "a.parquet")
    assert str(caught.value) == f"Cannot write {tmp_path / 'a.parquet'}: No space left on device."
    assert not list(tmp_path.iterdir())


def test_counts_stay_in_their_file_and_few_are_held(tmp_path, monkeypatch):
    profiles = [profile_of(some_counts(seed)) for seed in range(5)]
    one = profiles[0].features["token"].nbytes
    monkeypatch.setattr("simtool.profiles.profile.HELD_BYTES", 3 * one)
    monkeypatch.setattr(SavedCounts, "_held", OrderedDict())
    for n, profile in enumerate(profiles):
        save_profile(profile, tmp_path / f"{n}.parquet")
    saved = [open_profile(tmp_path / f"{n}.parquet") for n in range(5)]
    for whole, profile in zip(profiles, saved, strict=True):
        assert same(whole, profile) and same(whole, pickle.loads(pickle.dumps(profile)))
        assert profile.dimension("token") == 50
        assert sum(counts.nbytes for counts in SavedCounts._held.values()) <= 3 * one
    assert same(saved[0] + saved[1], profiles[0] + profiles[1])


def test_counts_of_a_file_that_was_replaced_are_read_again(tmp_path):
    path = tmp_path / "a.parquet"
    save_profile(profile_of(some_counts(0)), path)
    saved = open_profile(path)
    new = profile_of(some_counts(1))
    save_profile(new, path)
    os.utime(path, ns=(1, 1))
    assert same(saved, replace(new, n_tokens=saved.n_tokens, n_documents=saved.n_documents, n_bytes=saved.n_bytes))
    path.unlink()
    with pytest.raises(SimtoolError, match=r"^No profile .*a\.parquet"):
        saved.features["token"]
