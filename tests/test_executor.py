"""Work runs the same in this process and in others; messages arrive, failures too."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simtool import cluster, executor
from simtool.errors import SimtoolError
from tests.conftest import ray_nodes


def square(task, report):
    report(("working on", task))
    if task < 0:
        raise SimtoolError(f"{task} is negative")
    return task * task


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("tasks", [[3], [1, 2, 3], [5, 4, 3, 2, 1, 0]])
def test_results_come_in_the_order_of_the_tasks_and_every_message_arrives(tasks, workers):
    messages = []
    assert executor.run(square, tasks, workers, report=messages.append) == [task * task for task in tasks]
    assert sorted(messages) == sorted(("working on", task) for task in tasks)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tasks", [[-1, 2], [1, -2], [1, 2, -3]])
def test_a_failure_is_raised_here(tasks, workers):
    with pytest.raises(SimtoolError, match="is negative"):
        executor.run(square, tasks, workers)


def die_first(task, report):
    """Is killed so often as the task says, by marks in a folder."""
    folder, value, n_deaths = task
    marks = len(list(folder.glob(f"{value}-*")))
    if marks < n_deaths:
        (folder / f"{value}-{marks}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@pytest.mark.parametrize("n_tasks", [2, 4])
def test_a_killed_worker_is_tried_again(tmp_path, n_tasks):
    tasks = [(tmp_path, value, int(value == 1)) for value in range(n_tasks)]
    messages = []
    assert executor.run(die_first, tasks, 2, report=messages.append) == list(range(n_tasks))
    assert messages == ["A worker was killed, as it is when memory runs out; try 1 of 3."]


def test_a_worker_that_is_always_killed_is_one_message(tmp_path):
    with pytest.raises(SimtoolError, match=r"A worker was killed 3 times, .*\nRepeat it with fewer --workers"):
        executor.run(die_first, [(tmp_path, 0, 0), (tmp_path, 1, 99)], 2)


def hang_or_fail(task, report):
    if task:
        raise SimtoolError("no good")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def test_a_worker_that_hangs_ends_with_the_others(monkeypatch):
    monkeypatch.setattr(executor, "GRACE", 0.5)
    began = time.monotonic()
    with pytest.raises(SimtoolError, match="no good"):
        executor.run(hang_or_fail, [0, 1, 2], 2)
    assert time.monotonic() - began < 60


def own_process(task, report):
    return os.getpid()


@pytest.mark.parametrize(("preload", "takes_part"), [((), True), (("json",), False)])
def test_this_process_takes_a_task_where_no_fork_is_ready_for_it(preload, takes_part):
    assert (os.getpid() in executor.run(own_process, [0, 1], 2, preload=preload)) is takes_part


def save_when_stopped(task, report):
    """Says that it runs, and leaves a mark when it is politely killed."""

    def save(*_):
        (task / f"saved-{os.getpid()}").touch()
        os._exit(0)

    signal.signal(signal.SIGTERM, save)
    (task / f"runs-{os.getpid()}").touch()
    time.sleep(60)


@pytest.mark.parametrize("preload", [[], ["json"]])
def test_workers_save_when_the_process_that_asked_is_politely_killed(tmp_path, preload):
    code = (
        "from pathlib import Path; from simtool import executor; from tests.test_executor import save_when_stopped\n"
        f"executor.run(save_when_stopped, [Path({str(tmp_path)!r})] * 3, 2, preload={preload})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("runs-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) != 0
    assert len(list(tmp_path.glob("saved-*"))) == 2


# ---- trees ----


def noted(task, report):
    """Does what the task says, and tells when."""
    report(task)
    if task == "bad":
        raise SimtoolError("no good")
    if isinstance(task, Path):  # fails the first time only
        if not task.exists():
            task.touch()
            raise RuntimeError("once")
        return "at last"
    return task


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tree_runs_parents_first_and_leaves_out_what_a_failure_leads_to(workers):
    tasks = {"root": "root", "bad": "bad", "leaf": "leaf", "below": "below", "lower": "lower"}
    parents = {"bad": ["root"], "leaf": ["root"], "below": ["bad"], "lower": ["below"]}
    told, done = [], []
    outcome = executor.run_tree(
        noted, tasks, parents, workers, report=told.append, done=lambda k, r: done.append((k, r))
    )
    assert outcome.results == {"root": "root", "leaf": "leaf"}
    assert done[0] == ("root", "root") and set(done) == {("root", "root"), ("leaf", "leaf")}
    assert (
        str(outcome.failed["bad"]) == "no good" and told.count("bad") == 1
    )  # what the user must mend is not tried again
    assert sorted(outcome.skipped) == ["below", "lower"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_of_several_parents_runs_once_all_have_ended_and_is_left_out_when_none_is_done(workers):
    tasks = {"both": "both", "neither": "neither", "a": "a", "bad": "bad", "below": "below"}
    parents = {"both": ["a", "bad", "elsewhere"], "neither": ["bad", "below"], "below": ["bad"]}
    done = []
    outcome = executor.run_tree(noted, tasks, parents, workers, done=lambda key, _: done.append(key))
    assert done == ["a", "both"] and [*outcome.failed] == ["bad"]
    assert outcome.skipped == ["below", "neither"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_fails_once_is_tried_again(workers, tmp_path):
    told = []
    outcome = executor.run_tree(noted, {"one": tmp_path / "mark", "two": "two"}, {}, workers, report=told.append)
    assert outcome.results == {"one": "at last", "two": "two"} and not outcome.failed
    assert [line for line in told if "try 1 of 3" in str(line)] == ["one failed (RuntimeError: once), try 1 of 3."]


def die_once(task, report):
    mark, value = task
    if value == "dies" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def test_a_killed_worker_costs_a_try_and_nothing_else(tmp_path):
    tasks = {value: (tmp_path / "mark", value) for value in ("dies", "a", "b")}
    outcome = executor.run_tree(die_once, tasks, {"b": ["dies"]}, 2)
    assert outcome.results == {value: value for value in tasks} and not outcome.failed


def test_a_tree_costs_as_much_as_it_has_nodes():
    """A chain, a star and a comb of 10,000: 0.1 s each here, where looking through all that wait took minutes."""
    n = 10_000
    shapes = {
        "chain": {i: [i - 1] for i in range(1, n)},
        "star": {i: [0] for i in range(1, n)},
        "comb": {i: [i - 1 if i % 2 else i - 2] for i in range(2, n)},
        "braid": {i: [i - 1, i - 2] for i in range(2, n)},
    }
    for parents in shapes.values():
        began = time.process_time()
        outcome = executor.run_tree(lambda task, report: task, dict.fromkeys(range(n)), parents)
        assert time.process_time() - began < 1
        assert len(outcome.results) == n


def sleep_with_note(folder, report):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)


PARENT = """
import sys
from simtool import executor
sys.path.insert(0, {tests!r})
from test_executor import sleep_with_note
if __name__ == "__main__":
    tasks = [{folder!r}] * 4
    if {kind!r} == "tree":
        executor.run_tree(sleep_with_note, dict(enumerate(tasks)), {{}}, workers=2)
    else:
        executor.run(sleep_with_note, tasks, workers=2)
"""


@pytest.mark.parametrize("kind", ["tree", "run"])
def test_workers_end_when_their_parent_is_killed(tmp_path, kind):
    script, folder = tmp_path / "parent.py", tmp_path / "pids"
    folder.mkdir()
    script.write_text(PARENT.format(tests=str(Path(__file__).parent), folder=str(folder), kind=kind))
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    pids = wait_for(lambda: [int(path.name) for path in folder.iterdir()], lambda pids: len(pids) == 2)
    parent.kill()
    parent.wait()
    assert wait_for(lambda: [pid for pid in pids if is_running(pid)], lambda left: not left) == []


def wait_for(look, is_enough, seconds=30):
    """What `look` sees when it is enough, or after that time."""
    end = time.monotonic() + seconds
    while not is_enough(seen := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return seen


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_on_ray_a_tree_is_done_and_a_failure_is_the_task_s_own(monkeypatch):
    """On a cluster of this machine alone, with two processors."""
    ray = pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        messages = []
        tasks, parents = {"a": 3, "b": 4, "c": -1, "d": 5}, {"b": ["a"], "d": ["c"]}
        outcome = executor.run_tree(square, tasks, parents, workers=0, engine="ray", report=messages.append)
        assert outcome.results == {"a": 9, "b": 16} and outcome.skipped == ["d"]
        assert {key: (type(error), str(error)) for key, error in outcome.failed.items()} == {
            "c": (SimtoolError, "-1 is negative")
        }
        assert sorted(messages) == [("working on", task) for task in (-1, 3, 4)]
        assert cluster.n_of("CPU") == 2 and cluster.n_of("GPU") == 0
        with pytest.raises(SimtoolError, match=r"^The node .* cannot read /nowhere \(no such file or directory\)\.\n"):
            cluster.check_readable({__file__: os.stat(__file__).st_size, "/nowhere": None})
    finally:
        ray.shutdown()


def note_and_wait(task, report):
    """Notes that it began, by its process, and ends when it may."""
    folder, key = task
    (folder / f"{key} {os.getpid()}").touch()
    while not (folder / "go on").exists():
        time.sleep(0.05)
    return key


def test_on_ray_a_node_s_death_costs_a_try_and_that_of_all_is_one_message_in_bounded_time(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "NODE_SECONDS", 2)
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.2)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    messages = []
    with ray_nodes(2) as kill_node:

        def run(folder, keys):
            folder.mkdir()
            tasks = {key: (folder, key) for key in keys}
            return executor.run_tree(note_and_wait, tasks, {}, workers=0, engine="ray", report=messages.append)

        def kill_when_all_began(folder, n, go_on):
            began = wait_for(lambda: [*folder.glob("*")], lambda began: len(began) == n, seconds=120)
            kill_node()
            workers = [int(path.name.split()[1]) for path in began]
            wait_for(lambda: [pid for pid in workers if is_running(pid)], lambda living: len(living) < n, seconds=60)
            if go_on:
                (folder / "go on").touch()

        killer = threading.Thread(target=kill_when_all_began, args=(tmp_path / "first", 2, True))
        killer.start()
        outcome = run(tmp_path / "first", "ab")
        killer.join()
        assert outcome.results == {"a": "a", "b": "b"} and not outcome.failed
        (message,) = messages
        assert re.fullmatch(r"[ab] failed \(its (node|process) died\), try 1 of 10\.", message)

        killer = threading.Thread(target=kill_when_all_began, args=(tmp_path / "second", 1, False))
        killer.start()
        with pytest.raises(SimtoolError) as caught:
            run(tmp_path / "second", "c")
        killer.join()
    assert str(caught.value) == (
        "No node of the cluster has had 1 CPU for 2 s.\n"
        "Start one and repeat the command: it goes on from what is saved."
    )
    assert sorted(messages[1:]) == [
        "No node of the cluster has 1 CPU; waiting 2 s for one.",
        "c failed (its node died), try 1 of 10.",
    ]
