"""From a name to its profile: text first, then the cache, then what ships."""

import itertools
import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.corpora.hub import Hub
from simtool.corpora.memory import corpus_in_memory
from simtool.errors import SimtoolError
from simtool.mixture import Mixture, as_mixtures
from simtool.profiles.count import Budget
from simtool.profiles.profile import load_profile, save_profile
from simtool.profiles.resolve import (
    Options,
    cached,
    find_profile,
    find_profiles,
    local_text,
    named,
    provenance_of,
    shipped,
)
from simtool.progress import Counted
from simtool.tokens.tokenizer import load_tokenizer
from tests.corpora.chat_templates import CHATML, QWEN3

DEFAULT = load_tokenizer("default")
OF_ROWS = corpus_in_memory(["read as rows with a text"], "us/x")


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


def test_another_file_or_field_under_one_name_is_another_profile(tmp_path, options):
    """The key of the cache holds the source and how it is read: whatever is left out of it gives another's counts."""
    paths = [write(tmp_path / f"{name}.jsonl", [name * 10]) for name in "ab"]
    for path in paths:
        path.write_text(json.dumps({"text": path.stem * 10, "title": path.stem * 30}) + "\n")
    found = [
        find_profile("own", ["char1"], replace(options, text_field=fields, tokenizer=tokenizer, corpora={"own": path}))
        for path, fields, tokenizer in itertools.product(paths, ("text", "title", "title,text"), ("default", "small"))
    ]
    assert {result.how for result in found} == {"counted now"}
    n_bytes = [result.profile.size["bytes"] for result in found]
    assert n_bytes == [10, 10, 30, 30, 41, 41] * 2  # two fields: a line break between them
    assert len({result.profile.features["char1"].tobytes() for result in found}) == 6


def test_a_damaged_cache_is_counted_again(tmp_path, options):
    path = str(write(tmp_path / "a.jsonl", ["one two"]))
    find_profile(path, ["token"], options)
    (cached,) = options.cache.glob("*.parquet")
    cached.write_bytes(b"not a profile")
    assert find_profile(path, ["token"], options).how == "counted now"


def test_what_ships_under_another_tokenizer_is_not_used():
    assert shipped("c4", load_tokenizer("small")) is None
    of_that_name = SimpleNamespace(name="default", fingerprint="another")
    assert shipped("c4", of_that_name) is None and shipped("c4", load_tokenizer("default")) is not None


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


def test_provenance_has_a_hash_of_files_that_holds_for_a_copy(tmp_path, options):
    paths = [str(write(tmp_path / name, texts)) for name, texts in (("a", ["one"]), ("b", ["one"]), ("c", ["two"]))]
    profiles = [find_profile(path, ["token"], options) for path in paths]
    a, b, c = (profile.facts["content"] for profile in profiles)
    assert a == b != c and find_profile(paths[0], ["token"], options).facts["content"] == a  # from the cache
    assert "content" not in find_profile("c4", ["token"], options).facts


@pytest.mark.parametrize("feature", ["token2", "skeleton2"])
def test_a_feature_with_nothing_to_count_says_so(tmp_path, options, feature):
    path = str(write(tmp_path / "labels.jsonl", ["yes", "no"]))
    with pytest.raises(SimtoolError) as error:
        find_profiles({path: Mixture({path: 1.0})}, ["token", feature], options)
    assert str(error.value) == (f"{path} has nothing to count for {feature}. Give longer documents or another feature.")


def test_one_corpus_has_fields_view_and_split_of_its_own(tmp_path, options):
    rows = [{"q": "why is that", "a": "so"}, {"q": "who", "a": "me"}]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    specs = {"q": 2, "a": 2, "q->a": 2, "q->a[user]": 2}
    texts = {spec: local_text(f"{tmp_path}/qa.jsonl#{spec}", options) for spec in specs}
    assert [document.text for document in texts["q"].documents()] == ["why is that", "who"]
    assert [document.text for document in texts["q->a"].documents()] == ["why is that\nso", "who\nme"]
    assert list(texts["q->a[user]"].documents()) == list(texts["q"].documents())
    profiles = [find_profile(f"{tmp_path}/qa.jsonl#{spec}", ["token"], options).profile for spec in specs]
    sizes = [profile.size["tokens"] for profile in profiles]
    assert sizes[0] == sizes[3] < sizes[2] and sizes[1] < sizes[2]


def test_a_catalogue_corpus_has_views_too(options):
    whole, answers = (local_text(name, options) for name in ("gen_problems", "gen_problems[assistant]"))
    assert next(answers.documents()).text == next(whole.documents()).in_role("assistant").text


def test_layouts_of_every_kind_stand_in_one_command(tmp_path, options):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f"text number {n} of the set" for n in range(40)]
    pq.write_table(pa.table({"content": texts}), tmp_path / "web.parquet")
    turns = [
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": text}]} for text in texts
    ]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in turns))
    (tmp_path / "tickets.csv").write_text("body;n\n" + "".join(f"{text};1\n" for text in texts))
    names = [str(tmp_path / name) for name in ("web.parquet", "chat.jsonl", "tickets.csv")]
    web, chat, tickets = find_profiles(as_mixtures(names), ["token"], options).values()
    assert web.profile.size == tickets.profile.size
    assert chat.profile.size["bytes"] == web.profile.size["bytes"] + 40 * len("hi\n")
    sources = [resolved.facts["source"].rpartition("/")[2] for resolved in (web, chat, tickets)]
    assert sources == [
        "web.parquet, field content",
        "chat.jsonl, messages, 2 turns on average",
        'tickets.csv (semicolons, quotes "), field body',
    ]


def test_own_corpora_are_used_by_name(tmp_path, options):
    path = write(tmp_path / "a.jsonl", ["one two", "three four"])
    names, known = named({"mine": path, "held": ["one two", "three four"]}, options)
    assert names == ["mine", "held"]
    mine, held = find_profiles(as_mixtures(names), ["token"], known).values()
    assert mine.profile.size == held.profile.size and mine.profile.corpus == "mine"
    assert held.facts["source"] == "2 rows in memory"
    assert named([path, ["x"], "c4"], options)[0] == [str(path), "corpus_2", "c4"]
    assert named(str(path), options)[0] == [str(path)]
    names, known = named({"c4": "c4", "mine": path}, options)
    assert names == ["c4", "mine"] and find_profile("c4", ["token"], known).how == "shipped"
    with pytest.raises(SimtoolError, match=r"^No corpus is given\. Name at least one\.$"):
        named([], options)


def test_one_document_many_times_is_said(tmp_path, options):
    path = str(write(tmp_path / "same.jsonl", ["the same text"] * 500))
    with pytest.raises(SimtoolError) as error:
        find_profiles({path: Mixture({path: 1.0})}, ["token"], options)
    assert str(error.value) == f"The 500 documents of {path} are all the same document. Give different ones."


def test_data_in_memory_takes_part_in_every_function_by_its_name(tmp_path, options):
    from simtool.api.mix import advantage, mix

    web = write(tmp_path / "web.jsonl", [f"the cat sat on mat number {n} and ran" for n in range(60)])
    sums = [f"{n} + {n} = {2 * n}, since {n} * 2 is that" for n in range(60)]
    known = Options(data=None, cache=options.cache, corpora={"sums": sums, "goal": sums[::2] + sums[1::2]})
    result = advantage(web, ["sums:0.5"], ["goal"], metric="js", feature="token", resamples=20, options=known)
    assert result.to_polars()["advantage"].to_list()[0] > 0
    advice = mix(web, "sums", {"goal": 1.0}, resamples=20, options=known)
    assert set(advice.facts["corpora"]) == {str(web), "sums", "goal"}


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Any file is large, and holds 200 documents of 3 words."""
    monkeypatch.setattr("simtool.profiles.resolve.LARGE_BYTES", 1)
    return str(write(tmp_path / "large.jsonl", [f"one two {n}" for n in range(200)]))


def test_a_large_corpus_is_sampled_and_says_so(large, options):
    messages = []
    sampled = replace(options, sample=100, report=messages.append)
    assert find_profile(large, ["token"], sampled).profile.size["tokens"] <= 100
    assert f"{large}: its first 100 tokens at most are counted. All of it: --all, or Options(sample=None)." in messages
    shares = [message.fraction for message in messages if isinstance(message, Counted)]
    assert shares and 0.9 < shares[-1] <= 1  # so that a bar can say how far it is


class Rows(Hub):
    """A set of the hub without one: 200 documents of 3 words."""

    def read(self, shard=0, n_shards=1, reading=None):
        yield [{"text": f"one two {n}"} for n in range(shard, 200, n_shards)]


def test_of_a_set_of_the_hub_as_much_is_sampled_as_of_a_large_file(options, monkeypatch):
    monkeypatch.setattr(
        "simtool.profiles.resolve.hub_corpus", lambda hub, fields: replace(OF_ROWS, source=Rows("us/x"))
    )
    monkeypatch.setattr("simtool.profiles.count.as_files", lambda corpus: corpus)
    messages = []
    size = find_profile("us/x", ["token"], replace(options, sample=100, report=messages.append)).profile.size
    assert 90 < size["tokens"] <= 100
    assert messages[0].startswith("us/x: its first 100 tokens at most are counted.")


def test_all_of_a_large_corpus_is_counted_where_that_is_wanted(large, options):
    whole = find_profile(large, ["token"], replace(options, sample=None)).profile.size
    assert whole["documents"] == 200
    # what was counted in full serves those who would have taken a sample
    assert find_profile(large, ["token"], replace(options, sample=100)).profile.size == whole


def test_a_budget_is_stronger_than_the_sample(large, options):
    limited = replace(options, sample=100, budget=Budget(documents=3))
    assert find_profile(large, ["token"], limited).profile.size["documents"] == 3


def test_what_a_chat_template_writes_is_another_profile(tmp_path, options):
    rows = [{"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "three"}]}]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.jinja").write_text(CHATML)
    (tmp_path / "b.jinja").write_text(QWEN3)
    templates = [None, "none", str(tmp_path / "a.jinja"), str(tmp_path / "b.jinja")]
    ways = [replace(options, chat_template=template) for template in templates]
    profiles = [find_profile(str(path), ["token"], way) for way in ways]
    assert [profile.how for profile in profiles] == ["counted now", "cached", "counted now", "counted now"]
    assert len({profile.profile.size["bytes"] for profile in profiles}) == 3
    assert f"chat template {tmp_path}/a.jinja" in profiles[2].profile.facts["source"]
    assert find_profile(f"{path}[assistant]", ["token"], ways[2]).profile.size["bytes"] == len("three")
    memory = replace(ways[2], corpora={"mine": rows})
    assert find_profile("mine", ["token"], memory).profile.size == profiles[2].profile.size


def test_plain_text_and_profiles_that_ship_are_the_same_under_a_chat_template(tmp_path, options):
    (tmp_path / "a.jinja").write_text(CHATML)
    path = str(write(tmp_path / "a.jsonl", ["one two"]))
    way = replace(options, chat_template=str(tmp_path / "a.jinja"))
    before, after = (find_profile(path, ["token"], how).profile for how in (options, way))
    assert before.size == after.size
    assert find_profile("c4", ["token"], way).how == "shipped"
    with pytest.raises(SimtoolError, match="No text or profile for 'gsm8k'"):  # one that ships was counted without it
        find_profile("gsm8k", ["token"], way)


def test_a_corpus_of_the_corpora_file_has_a_template_of_its_own(tmp_path, options):
    (tmp_path / "a.jinja").write_text(CHATML)
    (tmp_path / "qa.jsonl").write_text(json.dumps({"question": "two?", "answer": "three"}) + "\n")
    entry = '[corpora.qa]\npath = "qa.jsonl"\n'
    (tmp_path / "simtool.toml").write_text(f'{entry}chat_template = "a.jinja"\n')
    own = replace(options, corpora_file=tmp_path / "simtool.toml")
    assert next(local_text("qa", own).documents()).text.startswith("<|im_start|>user\ntwo?<|im_end|>")
    (tmp_path / "simtool.toml").write_text(f'{entry}chat_template = "none"\n')
    plain = local_text("qa", replace(own, chat_template=str(tmp_path / "a.jinja")))
    assert next(plain.documents()).text == "two?\nthree"


def test_the_newest_profile_is_by_its_own_date(tmp_path, options):
    for n, (made, texts) in enumerate({"2026-01-02": ["new " * 9], "2026-01-01": ["old"]}.items()):
        own = replace(options, corpora={"gsm8k": write(tmp_path / f"{n}.jsonl", texts)})
        profile = find_profile("gsm8k", ["char1"], own).profile
        for path in options.cache.glob("*.parquet"):
            if load_profile(path).size == profile.size:
                save_profile(replace(profile, facts={**profile.facts, "made": made}), path)
                os.utime(path, (n * 1e9, n * 1e9))
    newest = cached("gsm8k", load_tokenizer("default"), ["char1"], options)
    assert newest.size["bytes"] == len("new " * 9)


def test_a_text_that_is_taken_for_a_name_says_how_texts_are_given():
    with pytest.raises(SimtoolError) as error:
        local_text("one text", Options())
    assert str(error.value) == (
        "No file or corpus 'one text'. Check the path; in Python, texts of your own have a name:"
        " {'mine': ['one text', 'another']}."
    )
