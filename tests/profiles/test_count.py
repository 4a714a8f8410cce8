"""A count does not depend on workers, order or interruptions; budgets take what they say."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simtool import executor
from simtool.corpora import files, pieces
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.profiles import count as build
from simtool.profiles.count import Budget, count_corpus, manifest_of, parts_of
from simtool.profiles.features import FEATURES
from simtool.profiles.parts import PartsFolder
from simtool.profiles.profile import Profile
from simtool.profiles.resolve import Options, find_profile
from simtool.profiles.worker import count_part
from simtool.progress import Counted
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import sentences, write_jsonl

FEW = ("token", "token2", "char3", "skeleton2", "document_length")
DEFAULT = load_tokenizer("default")


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 4096)  # many blocks and batches in a small file
    monkeypatch.setattr(build, "BATCH_BYTES", 10_000)
    monkeypatch.setattr(pieces, "SMALLEST", 4096)
    return file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(600))))


def same_counts(a: Profile, b: Profile) -> bool:
    return (
        a.size == b.size
        and (a.n_documents == b.n_documents).all()
        and all((a.features[name] == b.features[name]).all() for name in {*a.features, *b.features})
    )


def described(corpus) -> tuple:
    return manifest_of(corpus, DEFAULT, FEW, False)


def test_files_of_this_machine_are_counted_by_a_worker_per_processor(corpus, monkeypatch):
    """Eight on two processors took 1.26 times the processor time of one, and longer by the clock."""
    messages = []
    monkeypatch.setattr(executor, "n_processors", lambda: 2)
    counted = count_corpus(corpus, DEFAULT, FEW, workers=8, report=messages.append)
    said = f"{corpus.name}: counted by 2 workers, one per processor; 8 would take longer."
    assert [message for message in messages if isinstance(message, str)] == [said]
    assert {message.shard for message in messages if isinstance(message, Counted)} == {0, 1}
    assert same_counts(counted, count_corpus(corpus, DEFAULT, FEW))


def test_the_more_workers_the_better_where_text_comes_from_afar(corpus, monkeypatch):
    monkeypatch.setattr(executor, "n_processors", lambda: 2)
    (file,) = corpus.source.files
    far = replace(corpus, source=replace(corpus.source, files=(replace(file, location="s3://bucket/text.jsonl"),)))
    pieces = described(corpus)[1]
    assert [build._n_workers(of, pieces, 8, "local", lambda message: None) for of in (corpus, far)] == [2, 8]
    assert build._n_workers(corpus, pieces, 8, "ray", lambda message: None) == 8


def test_the_counts_are_those_of_a_plain_count(corpus):
    profile = count_corpus(corpus, DEFAULT, ["token"])
    texts = [document.text for document in corpus.documents()]
    ids, _ = DEFAULT.encode(texts)
    np.testing.assert_array_equal(
        profile.features["token"].sum(axis=0), np.bincount(ids, minlength=DEFAULT.vocabulary_size)
    )
    assert profile.size == {
        "documents": 600,
        "tokens": len(ids),
        "bytes": sum(len(text.encode()) for text in texts),
    }


@pytest.mark.parametrize("n_parts", [2, 3, 5])
def test_parts_add_up_to_the_whole(corpus, n_parts):
    whole = count_corpus(corpus, DEFAULT, FEW)
    parts = [
        count_part(part, lambda message: None) for part in parts_of(corpus, *described(corpus), n_parts, None, None)
    ]
    assert same_counts(sum(parts[1:], parts[0]), whole)
    assert all(0 < part.size["documents"] < 600 for part in parts)
    labels = sum(parts[1:], parts[0]).labels
    assert {name: of for name, of in labels.items() if of} == whole.labels  # of the first piece, whoever counts it


def test_processes_count_the_same(tmp_path):
    # nothing patched: the other process would not see it
    corpus = file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(50_000))))
    assert corpus.source.n_bytes > 2 * files.BLOCK
    messages: list[Counted] = []
    whole = count_corpus(corpus, DEFAULT, FEW)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, workers=2, report=messages.append), whole)
    assert {message.shard for message in messages} == {0, 1}
    assert sum(message.n_tokens for message in messages) == whole.size["tokens"]


def test_the_order_of_the_documents_does_not_matter(tmp_path):
    texts = sentences(300)
    one = file_corpus(str(write_jsonl(tmp_path / "one.jsonl", texts)))
    reverse = file_corpus(str(write_jsonl(tmp_path / "reverse.jsonl", texts[::-1])))
    assert same_counts(count_corpus(one, DEFAULT, FEW), count_corpus(reverse, DEFAULT, FEW))


def test_every_feature_of_the_catalogue_is_counted(corpus):
    profile = count_corpus(corpus, DEFAULT, FEATURES)
    assert set(profile.features) == set(FEATURES)
    assert all(counts.sum() > 0 for counts in profile.features.values())


def test_hashed_ngrams_have_names(corpus):
    profile = count_corpus(corpus, DEFAULT, ["token2"])
    bucket, ngram = next(iter(profile.labels["token2"].items()))
    assert profile.features["token2"][:, bucket].sum() > 0
    assert DEFAULT.decode(ngram).strip()


def test_a_document_budget_takes_the_first(corpus):
    profile = count_corpus(corpus, DEFAULT, ["token"], Budget(documents=50))
    ids, _ = DEFAULT.encode([document.text for document in corpus.documents(50)])
    assert profile.size["documents"] == 50
    np.testing.assert_array_equal(
        profile.features["token"].sum(axis=0), np.bincount(ids, minlength=DEFAULT.vocabulary_size)
    )


def test_a_token_budget_takes_whole_documents_that_fit(corpus):
    sizes = np.diff(DEFAULT.encode([document.text for document in corpus.documents()])[1])
    profile = count_corpus(corpus, DEFAULT, ["token"], Budget(tokens=5_000))
    n = int((np.cumsum(sizes) <= 5_000).sum())
    assert profile.size["documents"] == n
    assert profile.size["tokens"] == sizes[:n].sum()


def test_an_exact_sample_is_random_fair_and_independent_of_order(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 4096)
    texts = sentences(600)
    one = file_corpus(str(write_jsonl(tmp_path / "one.jsonl", texts)))
    reverse = file_corpus(str(write_jsonl(tmp_path / "reverse.jsonl", texts[::-1])))
    first, second = (
        count_corpus(corpus, DEFAULT, ["token"], Budget(tokens=4_000, seed=1, exact=True)) for corpus in (one, reverse)
    )
    assert same_counts(first, second)
    assert 3_900 < first.size["tokens"] <= 4_000
    other = count_corpus(one, DEFAULT, ["token"], Budget(tokens=4_000, seed=2, exact=True))
    assert not same_counts(first, other)
    assert not same_counts(first, count_corpus(one, DEFAULT, ["token"], Budget(tokens=4_000)))


SAMPLES = [Budget(), Budget(seed=3), Budget(seed=3, exact=True)]


@pytest.mark.parametrize("budget", SAMPLES)
def test_a_budget_that_is_all_of_it_is_all_of_it(corpus, budget):
    whole = count_corpus(corpus, DEFAULT, FEW)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, replace(budget, documents=600)), whole)


@pytest.mark.parametrize("budget", SAMPLES)
def test_a_corpus_smaller_than_the_budget(corpus, budget):
    whole = count_corpus(corpus, DEFAULT, ["token"]).size
    with pytest.raises(SimtoolError) as caught:
        count_corpus(corpus, DEFAULT, ["token"], replace(budget, tokens=10_000_000))
    assert str(caught.value) == (
        f"{corpus.name} holds {whole['tokens']:,} tokens in 600 documents, too few for --tokens 10,000,000.\n"
        "Ask for less, or leave the budget out to count all of it."
    )


def test_a_budget_below_the_first_document(corpus):
    with pytest.raises(SimtoolError, match=r"^The first document of .* Whole documents are counted: ask for more\.$"):
        count_corpus(corpus, DEFAULT, ["token"], Budget(tokens=1))


@pytest.mark.parametrize("text", ["", '{"text": ""}\n', "\n\n"])
def test_an_empty_corpus(tmp_path, text):
    path = tmp_path / "empty.jsonl"
    path.write_text(text)
    with pytest.raises(SimtoolError) as caught:
        count_corpus(file_corpus(str(path)), DEFAULT, ["token"])
    empty_rows = " Empty rows: 1." if '"text"' in text else ""
    assert str(caught.value) == f"{path} is empty: file {path} holds no text.{empty_rows}"


def test_bad_rows_are_counted_over_all_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 1024)
    monkeypatch.setattr(pieces, "SMALLEST", 4096)
    path = write_jsonl(tmp_path / "bad.jsonl", sentences(100))
    lines = path.read_text().splitlines()
    lines[10] = lines[70] = "{broken"
    path.write_text("\n".join(lines))
    profile = count_corpus(file_corpus(str(path)), DEFAULT, ["token"], skip_bad=True)
    assert profile.size["documents"] == 98
    assert profile.facts["skipped"]["count"] == 2
    assert profile.facts["skipped"]["reasons"][0].startswith(f"Line 11 of {path} is not a JSON object")


def test_an_interrupted_count_goes_on_where_it_was(corpus, tmp_path):
    whole = count_corpus(corpus, DEFAULT, FEW)
    parts, seen = tmp_path / "parts", []

    def interrupt_at_the_third(message):
        seen.append(message)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        count_corpus(corpus, DEFAULT, FEW, parts=parts, report=interrupt_at_the_third)
    assert sorted(path.name for path in parts.iterdir()) == ["0-of-1.parquet", "manifest.json"]

    again: list[Counted] = []
    resumed = count_corpus(corpus, DEFAULT, FEW, parts=parts, report=again.append)
    assert same_counts(resumed, whole)
    assert again[0].n_tokens == sum(message.n_tokens for message in seen)  # not counted anew


def test_a_damaged_part_is_not_used(corpus, tmp_path):
    whole = count_corpus(corpus, DEFAULT, FEW)
    folder = PartsFolder(str(tmp_path / "parts"))
    folder.save_manifest(described(corpus)[0])
    (tmp_path / "parts" / "0-of-1.parquet").write_bytes(b"cut")
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, parts=tmp_path / "parts"), whole)


def test_parts_of_another_text_are_not_used(corpus, tmp_path):
    whole = count_corpus(corpus, DEFAULT, FEW)
    other = file_corpus(str(write_jsonl(tmp_path / "other.jsonl", sentences(90, seed=7))))
    parts = parts_of(other, *described(other), 1, None, PartsFolder(str(tmp_path / "parts")))
    parts[0].folder.save_manifest(parts[0].manifest)
    count_part(replace(parts[0], returned=False), lambda message: None)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, parts=tmp_path / "parts"), whole)


COUNT = """
import sys, time
from pathlib import Path
from simtool.profiles import count as build
from simtool.profiles.resolve import Options, find_profile
from simtool.profiles.tally import CorpusTally
build.BATCH_BYTES = 200_000
add = CorpusTally.add
CorpusTally.add = lambda *given, **named: time.sleep(float(sys.argv[4])) or add(*given, **named)
found = find_profile(sys.argv[1], ["token", "token2"], Options(cache=Path(sys.argv[2]), workers=int(sys.argv[3])))
print(found.how, found.profile.size)
"""


def start(path: Path, cache: Path, workers: int = 1, seconds_a_batch: float = 0) -> subprocess.Popen:
    command = [sys.executable, "-c", COUNT, str(path), str(cache), str(workers), str(seconds_a_batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_on_the_same_corpus_count_it_once(tmp_path):
    path = write_jsonl(tmp_path / "text.jsonl", sentences(20_000))
    both = [start(path, tmp_path / "cache") for _ in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted(out.split(" ", 1)[0] for out, _ in told) == ["cached", "counted"]
    assert len({out.split("{")[1] for out, _ in told}) == 1


@pytest.mark.slow
def test_a_killed_count_leaves_nothing_half_written(tmp_path):
    path = write_jsonl(tmp_path / "text.jsonl", sentences(20_000))
    cache = tmp_path / "cache"
    process = start(path, cache, seconds_a_batch=0.2)  # 4 seconds at least
    while not cache.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(cache.glob("*.parquet"))
    found = find_profile(str(path), ["token", "token2"], Options(cache=cache))
    assert found.profile.size["documents"] == 20_000


def test_a_worker_is_started_only_for_what_is_not_counted_yet(corpus, tmp_path, monkeypatch):
    whole = count_corpus(corpus, DEFAULT, FEW)
    manifest, pieces = described(corpus)
    folder = PartsFolder(str(tmp_path / "parts"))
    folder.save_manifest(manifest)
    tasks = parts_of(corpus, manifest, pieces[1:], 1, None, folder)
    count_part(replace(tasks[0], returned=False), lambda message: None)
    started = []

    def run(function, tasks, *more):
        started.append(len(tasks))
        return [function(task, lambda message: None) for task in tasks]

    monkeypatch.setattr(build.executor, "run", run)
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, workers=8, parts=tmp_path / "parts"), whole)
    assert started == [1] and len(pieces) > 8


def test_small_counts_come_back_without_a_file(corpus, tmp_path, monkeypatch):
    whole = count_corpus(corpus, DEFAULT, FEW)
    manifest, pieces = described(corpus)
    folder = PartsFolder(str(tmp_path / "parts"))

    def returned() -> set[bool]:
        return {task.returned for task in parts_of(corpus, manifest, pieces, 3, None, folder)}

    n_bytes = sum(counts.nbytes for counts in whole.features.values())
    monkeypatch.setattr(build, "RETURNED_BYTES", 3 * n_bytes - 1)  # of all workers together
    assert returned() == {False}
    monkeypatch.setattr(build, "RETURNED_BYTES", 3 * n_bytes)
    assert returned() == {True}
    monkeypatch.setattr(
        build.executor, "run", lambda function, tasks, *more: [function(task, lambda message: None) for task in tasks]
    )
    counted = count_corpus(corpus, DEFAULT, FEW, workers=3, parts=tmp_path / "parts")
    assert same_counts(counted, whole) and [path.name for path in folder.local.iterdir()] == ["manifest.json"]
    count_part(
        replace(parts_of(corpus, manifest, pieces[:2], 1, None, folder)[0], returned=False), lambda message: None
    )
    assert returned() == {False}  # they add up with what lies there
    assert same_counts(count_corpus(corpus, DEFAULT, FEW, workers=3, parts=tmp_path / "parts"), whole)
