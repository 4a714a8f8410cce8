"""A cluster counts what one process counts, whatever dies in it, and adds up what lies together first."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from simtool import cluster
from simtool.corpora import pieces
from simtool.corpora.sources import file_corpus
from simtool.errors import SimtoolError
from simtool.profiles import on_ray
from simtool.profiles.count import count_corpus, manifest_of, parts_of
from simtool.profiles.on_ray import _Count, _from_anywhere, _Sum, groups_of
from simtool.profiles.parts import PartsFolder
from simtool.profiles.worker import count_part
from simtool.progress import Counted
from simtool.tokens.tokenizer import load_tokenizer
from tests.conftest import ray_nodes, sentences, write_jsonl
from tests.profiles.test_count import same_counts

DEFAULT = load_tokenizer("default")
FEW = ("token", "token2")


def silence(message):
    pass


@pytest.fixture(scope="module")
def kill_node():
    """Kills a node of a cluster of two."""
    with ray_nodes(2) as kill:
        yield kill


def test_a_node_that_dies_changes_neither_counts_nor_what_is_reported(kill_node, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "SMALLEST", 200_000)
    monkeypatch.setattr(on_ray, "POLL_SECONDS", 0.05)
    corpus = file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(60_000))))
    whole = count_corpus(corpus, DEFAULT, FEW)
    manifest, all_pieces = manifest_of(corpus, DEFAULT, FEW, False)
    folder = PartsFolder(str(tmp_path / "parts"))  # some of it was counted before
    folder.save_manifest(manifest)
    count_part(replace(parts_of(corpus, manifest, all_pieces[5:9], 1, None, folder)[0], returned=False), silence)
    messages = []

    def is_counted(message):
        return isinstance(message, Counted) and message.n_bytes > 0

    def report(message):
        messages.append(message)
        if is_counted(message) and sum(map(is_counted, messages)) == 3:
            kill_node()

    found = count_corpus(corpus, DEFAULT, FEW, workers=0, parts=tmp_path / "parts", run_on="ray", report=report)
    assert same_counts(found, whole)
    assert {name: labels for name, labels in found.labels.items() if labels} == whole.labels
    sizes = [message for message in messages if isinstance(message, Counted)]
    assert sum(message.n_bytes for message in sizes) == whole.size["bytes"]
    assert sum(message.n_tokens for message in sizes) == whole.size["tokens"]
    losses = [message for message in messages if isinstance(message, str)]
    death = (
        r"(The node \S+ died|A worker (on the node \S+ )?was lost( before it began)?, since its (process|node) died)"
    )
    # of the node's actor, of one that was to take its place there, and of a sum of saved parts that lay there
    assert losses and all(re.fullmatch(death + r"; others count what it held\.", loss) for loss in losses)


def test_what_a_node_cannot_read_is_raised_here_as_it_was(kill_node, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{"text": broken}\n')
    corpus = file_corpus(str(tmp_path / "bad.jsonl"))
    with pytest.raises(SimtoolError, match=r"^Line 2 of ") as caught:
        count_corpus(corpus, DEFAULT, FEW, workers=0, run_on="ray")
    assert "ray" not in str(caught.value).lower()


def test_a_count_that_no_node_is_left_for_ends_with_one_message(kill_node, tmp_path, monkeypatch):
    """The last of the cluster: it has no node afterwards."""
    monkeypatch.setattr(cluster, "NODE_SECONDS", 2)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(on_ray, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(pieces, "SMALLEST", 100_000)
    corpus = file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(60_000))))
    killed = []

    def report(message):
        if isinstance(message, Counted) and message.n_bytes and not killed:
            killed.append(kill_node())

    with pytest.raises(SimtoolError) as caught:
        count_corpus(corpus, DEFAULT, FEW, workers=0, run_on="ray", report=report)
    message = str(caught.value)
    assert re.match(r"No node of the cluster has had 1 CPU and 0\.\d GB of memory for 2 s\.\nStart one and ", message)


def test_what_travels_to_other_machines_has_paths_that_hold_there(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "text.jsonl", sentences(50))
    monkeypatch.chdir(tmp_path)
    corpus = file_corpus("text.jsonl")
    (task,) = parts_of(corpus, *manifest_of(corpus, DEFAULT, FEW, False), 1, Path("data"), PartsFolder("parts"))
    task = _from_anywhere(task)
    assert task.pieces[0].source.files[0].location == str(tmp_path / "text.jsonl") and task.data.is_absolute()
    assert task.folder.url == str(tmp_path / "parts") and task.manifest.tokenizer == "default"
    monkeypatch.chdir("/")
    assert count_part(replace(task, folder=None), silence).size["documents"] == 50


@pytest.fixture
def count(tmp_path, monkeypatch):
    """A count on a cluster that is not there, of a text in pieces."""
    monkeypatch.setattr(pieces, "SMALLEST", 4096)
    monkeypatch.setattr(on_ray.cluster, "connected", lambda: None)
    monkeypatch.setattr(on_ray.cluster, "blind_nodes", lambda folder: [])
    corpus = file_corpus(str(write_jsonl(tmp_path / "text.jsonl", sentences(600))))
    folder = PartsFolder(str(tmp_path / "parts"))
    manifest, all_pieces = manifest_of(corpus, DEFAULT, FEW, False)
    folder.save_manifest(manifest)
    return _Count(parts_of(corpus, manifest, all_pieces, 1, None, folder)[0], 3, silence)


def test_of_a_worker_that_is_lost_what_it_saved_is_used_and_the_rest_is_to_do(count):
    first, second, third, *_ = held = [count.todo.popleft() for _ in range(3)]
    before = len(count.todo)
    task = replace(count.task, file="ray-1.parquet", returned=False)
    count_part(replace(task, pieces=(first, second)), silence)
    saved = count.task.folder.load("ray-1.parquet", FEW)
    count.sizes["ray-1.parquet"] = (1, 1)
    count._recover("ray-1.parquet", held)
    assert list(count.todo)[before:] == [third] and count.unsummed == ["lost-ray-1.parquet"]
    assert count.sizes == {"lost-ray-1.parquet": (saved.size["bytes"], saved.size["tokens"])}
    count_part(replace(task, pieces=(third,)), silence)  # should it still live, it writes to its own name
    assert count.task.folder.facts()["lost-ray-1.parquet"] == count.saved["lost-ray-1.parquet"]


def test_a_worker_that_is_lost_with_all_it_had_leaves_all_to_do(count):
    held = [count.todo.popleft() for _ in range(2)]
    count._recover("ray-1.parquet", held)
    assert list(count.todo)[-2:] == held and not count.unsummed and not count.sizes


def test_a_piece_that_kills_whoever_counts_it_is_an_error(count):
    piece = count.todo.popleft()
    death = cluster.WorkerLost("memory ran out on its node")
    for _ in range(2):
        count._count_death(on_ray._Actor(None, "a", "node", [piece]), death)
    with pytest.raises(SimtoolError) as caught:
        count._count_death(on_ray._Actor(None, "b", "node", [piece]), death)
    assert str(caught.value) == (
        "Workers of the cluster were lost 3 times at the same work, the last one since memory ran out on its node.\n"
        "Repeat it with fewer --workers; what was saved is not counted again."
    )


def test_what_died_is_told_by_its_address(count, monkeypatch):
    monkeypatch.setattr(on_ray.cluster, "nodes", lambda: {"lives": "10.0.0.1"})
    monkeypatch.setattr(on_ray.cluster, "address_of", {"lives": "10.0.0.1", "dead": "10.0.0.2"}.get)
    death = cluster.WorkerLost("its process died")
    deaths = {node: count._death_of(on_ray._Actor(None, "a", node), death) for node in ("lives", "dead", "")}
    assert deaths == {
        "lives": "A worker on the node 10.0.0.1 was lost, since its process died",
        "dead": "The node 10.0.0.2 died",
        "": "A worker was lost before it began, since its process died",
    }


def test_a_sum_of_what_lay_on_a_node_that_died_is_not_waited_for(count, monkeypatch):
    """Ray may look for such objects for 10 minutes."""
    never = SimpleNamespace(wait=lambda handles, timeout: ([], handles))
    monkeypatch.setattr(count, "ray", never)
    monkeypatch.setattr(count.room, "check", lambda: None)
    monkeypatch.setattr(on_ray.cluster, "nodes", lambda: {"lives": "10.0.0.1"})
    with pytest.raises(cluster.WorkerLost, match="a node died that held what it needed"):
        count._result_of("handle", ["lives", "dead"])


def test_a_sum_that_fails_on_nodes_that_live_is_tried_again_and_not_for_ever(count, monkeypatch):
    monkeypatch.setattr(on_ray.cluster, "nodes", lambda: {"lives": "10.0.0.1"})
    sums, death = [_Sum(i, "lives", {}) for i in range(2)], cluster.WorkerLost("memory ran out on its node")
    for _ in range(2):
        assert count._survivors(sums, death) == sums
    with pytest.raises(SimtoolError) as caught:
        count._survivors(sums, death)
    assert str(caught.value) == (
        "The cluster could not add up counts in 3 tries, the last time since memory ran out on its node."
    )


def test_sums_of_one_node_are_added_there_before_those_of_several():
    sums = [_Sum(i, node, {}) for i, node in enumerate("aabab" + "a" * 8)]
    assert [[part.handle for part in group] for group in groups_of(sums)] == [
        [0, 1, 3, 5, 6, 7, 8, 9],
        [10, 11, 12],
        [2, 4],
    ]
    assert [[part.handle for part in group] for group in groups_of([sums[0], sums[2]])] == [[0, 2]]
