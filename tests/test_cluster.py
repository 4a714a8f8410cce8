"""A cluster that cannot be had, or cannot see what it is to read, is one message before anything is computed."""

import pickle
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from simtool import cluster, executor
from simtool.errors import SimtoolError


def test_ray_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SimtoolError) as caught:
        cluster.connected()
    assert str(caught.value) == "The ray engine needs Ray: pip install '.[ray]' in a clone of simtool."


def test_a_cluster_that_does_not_answer_is_one_message(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # nobody listens there
        monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
        monkeypatch.setenv("RAY_ADDRESS", f"ray://user:hunter2@127.0.0.1:{port}")
        with pytest.raises(SimtoolError) as caught:
            cluster.connected()
    message = str(caught.value)
    assert message.startswith(f"No Ray cluster answers at ray://127.0.0.1:{port} within 30 s (")
    assert message.endswith("Start one there (ray start --head), or unset RAY_ADDRESS to use this machine alone.")


@contextmanager
def listener(greeting: bytes) -> Iterator[str]:
    """The address of a port that greets whoever connects, and says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def accept():
            connections.append(server.accept()[0])
            connections[0].sendall(greeting)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()
        connections[0].close()


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"", "timed out"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "what listens there is no Ray cluster"),
        (b"\0\0\0", "timed out"),
    ],
)
def test_a_port_that_accepts_and_is_no_cluster_is_one_message_in_time(monkeypatch, greeting, reason):
    """Ray tried for more than 150 s, when that was stopped."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    with listener(greeting) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        began = time.monotonic()
        with pytest.raises(SimtoolError) as caught:
            cluster.connected()
        assert time.monotonic() - began < 20
    assert str(caught.value).startswith(f"No Ray cluster answers at {address} within 0.5 s ({reason}).\n")


def test_a_port_that_speaks_as_a_cluster_does_is_left_to_ray():
    with listener(cluster.SETTINGS) as address:
        cluster._check_reachable(address)


def test_a_cluster_of_another_version_is_one_message(monkeypatch):
    def init(**options):
        raise RuntimeError("Version mismatch: The cluster was started with Ray 2.9.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    with pytest.raises(SimtoolError, match=r"^Ray cannot use this machine: Version mismatch: "):
        cluster.connected()


def fail_to_connect(**options):
    raise ConnectionError("Could not find any running Ray instance.\nA page of advice.")


def test_a_cluster_that_is_to_be_looked_for_and_is_not_there_is_one_message(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=fail_to_connect))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(SimtoolError, match=r"^No Ray cluster answers at auto .*\(Could not find any running Ray ins"):
        cluster.connected()


def test_a_node_that_sees_another_file_says_which(tmp_path):
    (tmp_path / "a").write_text("abc")
    path, absent = str(tmp_path / "a"), str(tmp_path / "b")
    assert cluster._why_unreadable({path: 3, str(tmp_path): None}) == ""
    assert cluster._why_unreadable({path: 1_234}) == f"{path} as it is here (3 bytes there, 1,234 here)"
    assert cluster._why_unreadable({path: 3, absent: 3}) == f"{absent} (no such file or directory)"


def test_a_folder_that_some_nodes_do_not_see_is_not_shared(tmp_path, monkeypatch):
    def on_each_node(function, paths):
        return {"10.0.0.1": function(paths), "10.0.0.2": function({path + ".not": 0 for path in paths})}

    monkeypatch.setattr(cluster, "on_each_node", on_each_node)
    with pytest.raises(SimtoolError) as caught:
        cluster.check_shared(tmp_path / "runs", "The folder of runs")
    assert str(caught.value) == (
        f"The folder of runs {tmp_path}/runs is not shared: 10.0.0.2 cannot see what is written there.\n"
        "Name a folder that all nodes of the cluster see under the same path."
    )
    assert not list((tmp_path / "runs").iterdir())


@pytest.fixture
def living(monkeypatch):
    """Nodes of a cluster that is not there: what each has, by its name; and a clock."""
    living, clock = {}, SimpleNamespace(now=0.0)

    def nodes():
        dead = {"NodeID": "dead", "NodeManagerAddress": "10.0.0.9", "Alive": False, "Resources": {"CPU": 64.0}}
        return [dead, *({"NodeID": name, "Alive": True, "Resources": has} for name, has in living.items())]

    context = SimpleNamespace()  # without an address of the head, as of ray://
    ray = SimpleNamespace(nodes=nodes, get_runtime_context=lambda: context)
    monkeypatch.setattr(cluster, "connected", lambda: ray)
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return living, clock


def test_room_that_no_node_has_is_waited_for_and_not_for_ever(living):
    nodes, clock = living
    nodes |= {"a": {"CPU": 4.0, "memory": 1e9}, "b": {"memory": 9e9}}  # enough of each, and not on one node
    messages = []
    room = cluster.Room({"CPU": 1, "GPU": 0, "memory": 2.5e9}, messages.append)
    room.check()
    assert messages == ["No node of the cluster has 1 CPU and 2.5 GB of memory; waiting 300 s for one."]
    clock.now = 299
    room.check()
    clock.now = 306
    with pytest.raises(
        SimtoolError, match=r"^No node of the cluster has had 1 CPU and 2\.5 GB of memory for 300 s\.\n"
    ):
        room.check()


def test_a_node_that_comes_in_time_is_used(living):
    nodes, clock = living
    messages = []
    room = cluster.Room({"CPU": 1}, messages.append)
    for clock.now in (0, 299):
        room.check()
    nodes["late"] = {"CPU": 1.0}
    for clock.now in (306, 900):
        room.check()
    nodes.clear()
    for clock.now in (910, 1200):  # the wait begins anew
        room.check()
    assert messages == 2 * ["No node of the cluster has 1 CPU; waiting 300 s for one."]


def test_an_address_is_known_of_nodes_that_died(living):
    assert cluster.address_of("dead") == "10.0.0.9" and "dead" not in cluster.nodes()


class FakeRayError(Exception):
    """What Ray raises, where there is no Ray."""


@pytest.fixture
def head(monkeypatch):
    """A cluster whose head is to be at some free port, and a clock that sleeping moves."""
    clock = SimpleNamespace(now=0.0)

    def sleep(seconds):
        clock.now += seconds

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        context, kinds = SimpleNamespace(gcs_address=address), SimpleNamespace(RayError=FakeRayError)
        ray = SimpleNamespace(nodes=list, get_runtime_context=lambda: context, exceptions=kinds)
        monkeypatch.setattr(cluster, "connected", lambda: ray)
        monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
        yield SimpleNamespace(listener=listener, address=address, clock=clock)


def test_a_head_that_died_is_one_message_before_ray_ends_the_process(head):
    assert cluster.nodes() == {} and head.clock.now == 0
    head.listener.close()
    with pytest.raises(cluster.HeadLost) as caught:
        cluster.Room({"CPU": 1}, print).check()
    assert str(caught.value) == (
        f"The head of the Ray cluster died: nothing has answered at {head.address} for 20 s (Connection refused).\n"
        "Start the cluster and repeat the command: it goes on from what is saved."
    )
    assert 20 <= head.clock.now < 30


def test_what_is_lost_with_the_head_is_said_to_be(head):
    with pytest.raises(FakeRayError, match="an actor died"), cluster.lost_with_head():
        raise FakeRayError("an actor died")
    head.listener.close()
    with pytest.raises(cluster.HeadLost), cluster.lost_with_head():
        raise FakeRayError("an actor died")
    with pytest.raises(ValueError, match="ours"), cluster.lost_with_head():
        raise ValueError("ours")


def test_a_study_ends_with_the_message_where_the_actor_for_messages_is_lost_with_the_head(head):
    pool, channel = executor._RayPool.__new__(executor._RayPool), SimpleNamespace(empty=lost, shutdown=lost)
    pool.ray, pool.channel = cluster.connected(), channel
    pool.room = cluster.Room({"CPU": 1}, print)
    head.listener.close()
    with pytest.raises(cluster.HeadLost):
        pool.wait([])
    pool.close(kill=True)


def lost():
    raise FakeRayError("an actor died")


def test_a_head_that_comes_back_in_time_is_used(head, monkeypatch):
    refusals = iter([OSError(111, "Connection refused")] * 15)
    monkeypatch.setattr(cluster, "_refusal", lambda host, port: next(refusals, None))
    assert cluster.nodes() == {} and head.clock.now == 15


def test_what_died_is_told_by_the_kind_of_error_in_few_words():
    kinds = pytest.importorskip("ray").exceptions
    errors = {
        kinds.NodeDiedError("a page"): "its node died",
        kinds.OutOfMemoryError("a page"): "memory ran out on its node",
        kinds.ActorDiedError(): "its process died",
        kinds.WorkerCrashedError(): "its process died",
        kinds.ObjectLostError("00", None, ""): "a node died that held what it needed",
        kinds.ObjectStoreFullError("a page"): "",
    }
    assert {error: cluster._loss(error, kinds) for error in errors} == errors


def test_a_lost_worker_travels_between_processes():
    error = pickle.loads(pickle.dumps(cluster.WorkerLost("its node died")))
    assert error.reason == "its node died" and str(error) == "A worker of the cluster was lost: its node died."


@pytest.fixture
def dying(monkeypatch):
    """Nodes "a" and "b" of a cluster that is not there; the process that is to look around on "b" dies. Which live."""
    living = {"a": "10.0.0.1", "b": "10.0.0.2"}

    def result_of(node):
        if node == "b":
            raise cluster.WorkerLost("its process died")
        return "seen"

    function = SimpleNamespace(options=lambda node: SimpleNamespace(remote=lambda: node))
    ray = SimpleNamespace(
        remote=lambda **options: lambda function_: function, exceptions=SimpleNamespace(RayError=OSError)
    )
    monkeypatch.setattr(cluster, "connected", lambda: ray)
    monkeypatch.setattr(cluster, "nodes", lambda: dict(living))
    monkeypatch.setattr(cluster, "on_node", lambda node, only: {"node": node})
    monkeypatch.setattr(cluster, "result_of", result_of)
    return living


def test_a_node_that_dies_while_it_is_looked_over_is_left_out(dying, monkeypatch):
    states = iter([dict(dying), {"a": "10.0.0.1"}])
    monkeypatch.setattr(cluster, "nodes", lambda: next(states))
    assert cluster.on_each_node(len) == {"10.0.0.1": "seen"}


def test_a_node_that_lives_and_cannot_run_simtool_is_named(dying):
    with pytest.raises(
        SimtoolError, match=r"^The node 10\.0\.0\.2 of the cluster cannot run simtool \(A worker of .* died"
    ):
        cluster.on_each_node(len)
