"""From a name to its profile: text first, then the cache, then what ships."""

import json

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.errors import SimtoolError
from simtool.mixture import Mixture
from simtool.profiles.count import Budget
from simtool.profiles.features import FEATURES, split_by_tokenizer
from simtool.profiles.reference.build import CORPORA
from simtool.profiles.resolve import Options, find_profile, find_profiles, local_text, provenance_of, shipped
from simtool.tokens.tokenizer import load_tokenizer

DEFAULT = load_tokenizer("default")


@pytest.fixture
def options(tmp_path):
    return Options(data=None, cache=tmp_path / "cache")


def write(path, texts, field="text"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({field: text}) + "\n" for text in texts), encoding="utf-8")
    return path


def test_a_file_is_counted_then_found_in_the_cache(tmp_path, options):
    path = str(write(tmp_path / "a.jsonl", ["one two", "three"]))
    assert [find_profile(path, ["token"], options).how for _ in range(2)] == ["counted now", "cached"]
    assert find_profile(path, ["char1"], options).how == "counted now"
    assert find_profile(path, ["token", "char1"], options).how == "cached"  # both are in one file by now


def test_another_text_of_the_same_name_is_counted_anew(tmp_path, options):
    path = write(tmp_path / "a.jsonl", ["one two"])
    before = find_profile(str(path), ["token"], options).profile
    write(path, ["one two three four"])
    after = find_profile(str(path), ["token"], options)
    assert after.how == "counted now" and after.profile.size["tokens"] > before.size["tokens"]


def test_what_is_counted_differently_is_another_profile(tmp_path, options):
    path = str(write(tmp_path / "a.jsonl", ["one two three", "four five six"]))
    find_profile(path, ["token"], options)
    budget = Options(data=None, cache=options.cache, budget=Budget(documents=1))
    assert find_profile(path, ["token"], budget).profile.size["documents"] == 1


def test_a_damaged_cache_is_counted_again(tmp_path, options):
    path = str(write(tmp_path / "a.jsonl", ["one two"]))
    find_profile(path, ["token"], options)
    (cached,) = options.cache.glob("*.parquet")
    cached.write_bytes(b"not a profile")
    assert find_profile(path, ["token"], options).how == "counted now"


@pytest.mark.parametrize("name", CORPORA)
def test_every_reference_corpus_ships_with_every_feature(name, options):
    resolved = find_profile(name, FEATURES, options)
    assert resolved.how == "shipped" and set(resolved.profile.features) == set(FEATURES)


def test_what_ships_under_another_tokenizer_is_not_used():
    assert shipped("c4", load_tokenizer("small")) is None


def test_a_data_folder_serves_a_corpus_by_its_stems(tmp_path, options):
    data = tmp_path / "data"
    write(data / "gsm8k_test.jsonl", ["x"])
    write(data / "starcoder_like.jsonl", ["x = 1"], "content")
    here = Options(data=data, cache=options.cache)
    assert local_text("gsm8k", here) is None  # only its test split is here
    test = Options(data=data, cache=options.cache, split="test")
    assert local_text("gsm8k", test).source.describe() == f"file {data / 'gsm8k_test.jsonl'}"
    stand_in = local_text("starcoder", here).stand_in
    assert stand_in == CATALOGUE["starcoder"].files["starcoder_like"]


def test_nothing_that_serves_lists_what_was_tried(options, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SimtoolError) as error:
        find_profile("novels", ["token"], options)
    assert str(error.value) == (
        "No text or profile for 'novels'. Tried, in this order:\n"
        "  - data folder: none given (--data DIR or SIMTOOL_DATA)\n"
        "  - cached profile under tokenizer default: none with token\n"
        "  - shipped profile under tokenizer default: none with token\n"
        "  - hub: novels is not there\n"
        "Give a path to your own copy, or put it into a data folder as novels.jsonl.zst (--data DIR)."
    )


def test_provenance_says_how_each_corpus_was_had(tmp_path, options):
    path = str(write(tmp_path / "a.jsonl", ["one two"]))
    mixtures = {"mine": Mixture({path: 0.5, "c4": 0.5})}
    facts = provenance_of(find_profiles(mixtures, ["token"], options), seed=3)
    assert facts["fingerprint"] == DEFAULT.fingerprint and facts["seed"] == 3
    assert {name: corpus["how"] for name, corpus in facts["corpora"].items()} == {path: "counted now", "c4": "shipped"}
    assert facts["corpora"][path]["documents"] == 1 and facts["corpora"][path]["source"] == f"file {path}"


def test_what_is_shipped_by_text_and_by_tokens_covers_every_feature():
    of_text, of_tokens = split_by_tokenizer(FEATURES)
    assert sorted(of_text + of_tokens) == sorted(FEATURES)
    assert "document_length" in of_tokens and "line_length" in of_text
