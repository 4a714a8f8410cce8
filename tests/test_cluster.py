"""A cluster that cannot be had, or cannot see what it is to read, is one message before anything is computed."""

import socket
import sys
from types import SimpleNamespace

import pytest

from simtool import cluster
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
