"""Where work runs: in this process, in local processes, or on a Ray cluster.

A task is an argument of a module-level function `function(task, report)`. `run` is for tasks that do not depend on each
other, `run_tree` for those of which each may need others to be done before. `report(message)` carries progress back
while they run. To add an engine for trees, write its pool; what counting does on a cluster is in `profiles.on_ray`.
"""

import heapq
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from simtool import cluster
from simtool.errors import SimtoolError

Engine = Literal["local", "ray"]
Report = Callable[[Any], None]
Task = TypeVar("Task")
Result = TypeVar("Result")

GRACE = 10  # seconds: a worker writes its part within 2
TRIES = 3  # of a task: when a worker is killed, those beside it fail with it
LOST_TRIES = 10  # of a task on a cluster, whose nodes come and go without its doing
ENDED = None  # the last message of a task; a queue may deliver it after the result
_channel: Any = None  # in a worker: the queue to the process that asked
_number = 0  # in a worker: which of them it is


def run(
    function: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    workers: int = 1,
    report: Report = lambda message: None,
    preload: Sequence[str] = (),
) -> list[Result]:
    """[function(task, report) for task in tasks] here, in the order of the tasks. The first failure is raised.

    Parameters
    ----------
    preload
        Modules that local workers need: imported once, by the process that they are forked from. Then this process
        takes no task: it would have to get ready itself, for one that a fork is ready for at once.
    """
    if workers <= 1 or len(tasks) <= 1:
        return [function(task, report) for task in tasks]
    return _run_in_processes(function, tasks, workers, report, _context(preload), takes_first=not preload)


def n_processors() -> int:
    """How many this process may use: under Slurm or in a container not all that there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context(preload: Sequence[str]) -> Any:
    """How local workers start: not as forks of this process, since its threads (a tokenizer's, a progress bar's) do not
    survive a fork, but of one that only imported what they need. Each costs 0.03 s of processor time; a new one 0.5 s.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])  # of the first call; later ones import the rest themselves
    return context


def _run_in_processes(
    function: Any, tasks: Sequence[Any], workers: int, report: Report, context: Any, takes_first: bool
) -> list[Any]:
    """All in processes of their own. When one is killed, what is not done is tried again in new ones."""
    results: dict[int, Any] = {}
    for attempt in range(1, TRIES + 1):
        left = {n: task for n, task in enumerate(tasks) if n not in results}
        try:
            with _terminated_as_interrupted():
                _run_once(function, left, min(workers, len(left)), report, context, results, takes_first)
            return [results[n] for n in range(len(tasks))]
        except BrokenProcessPool:
            report(f"A worker was killed, as it is when memory runs out; try {attempt} of {TRIES}.")
    raise SimtoolError(
        f"A worker was killed {TRIES} times, as it is when memory runs out. What was done so far is saved, where the"
        " command saves it.\nRepeat it with fewer --workers: each needs memory of its own."
    )


def _run_once(
    function: Any,
    tasks: Mapping[int, Any],
    workers: int,
    report: Report,
    context: Any,
    results: MutableMapping[int, Any],
    takes_first: bool,
) -> None:
    """Run each task and put its result under its number, those of a pool that breaks too."""
    channel = context.Queue()
    ended = 0  # tasks whose last message has come
    mine = takes_first and len(tasks) <= workers and not results  # then this process takes the first task at once
    first, *others = tasks if mine else (None, *tasks)

    def pass_on(wait_for: int = 0) -> None:
        nonlocal ended
        while ended < wait_for or not channel.empty():
            message = channel.get()
            if message is ENDED:
                ended += 1
            else:
                report(message)

    def report_mine(message: Any) -> None:
        report(message)
        pass_on()

    with ProcessPoolExecutor(max(workers - mine, 1), context, _set_channel, (channel,)) as pool:
        futures = {pool.submit(_call, function, tasks[n]): n for n in others}
        try:
            if mine:
                results[first] = function(tasks[first], report_mine)
            pending = set(futures)
            while pending:
                pass_on()
                done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                # a failure ends the wait for the others, but not before those that are done are noted
                for future in sorted(done, key=lambda future: future.exception() is not None):
                    results[futures[future]] = future.result()
            pass_on(wait_for=len(futures))
        except BaseException:
            _end_workers(pool)
            raise


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A polite kill of this process is as Ctrl-C: workers are asked to stop, and save what they have."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_workers(pool: ProcessPoolExecutor) -> None:
    """Ask the workers of a pool to stop, so that they save what they have; end those that do not, in a read that
    hangs or after another Ctrl-C."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    try:
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in processes:
            process.join(max(deadline - time.monotonic(), 0))
    finally:
        for process in processes:
            process.kill()


def _set_channel(channel: Any, numbers: Any = None) -> None:
    global _channel, _number
    _channel = channel
    if numbers is not None:
        _number = numbers.get()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker must not go on, and hold its folder, when the process that asked was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def worker_number() -> int:
    """Which of the local workers this process is, from 0; a task picks its device by it."""
    return _number


def _call(function: Any, task: Any) -> Any:
    result = function(task, _channel.put)
    _channel.put(ENDED)
    return result


# ---- trees -----------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of the tasks of a tree.

    results   {key: what the function returned}
    failed    {key: the last error}; none of its descendants was tried
    skipped   keys of those descendants
    """

    results: dict[Any, Any] = field(default_factory=dict)
    failed: dict[Any, Exception] = field(default_factory=dict)
    skipped: list[Any] = field(default_factory=list)


class _Pool(Protocol):
    """What runs single tasks: `submit` one, `wait` for some, `collect` a result or raise its error."""

    size: int

    def submit(self, task: Any) -> Any: ...
    def wait(self, running: list[Any]) -> list[Any]: ...
    def collect(self, handle: Any) -> Any: ...
    def close(self, kill: bool) -> None: ...


def run_tree(
    function: Callable[[Task, Report], Result],
    tasks: Mapping[Hashable, Task],
    parents: Mapping[Hashable, Sequence[Hashable]],
    workers: int = 1,
    engine: Engine = "local",
    report: Report = lambda message: None,
    done: Callable[[Hashable, Result], None] = lambda key, result: None,
    n_gpus: float = 0,
) -> Outcome:
    """Run each task once its parents have ended, as many at a time as there are workers; in the order of `tasks`.

    A task that fails is tried again; when it fails again it is left out, and so are those of which no parent was done,
    and the others go on. SimtoolError is not tried again: the same would come of it.

    Parameters
    ----------
    parents
        {key: keys of the tasks that must have ended before}; those that are no tasks count as done.
    done
        Is called with each result as it comes, in this process.
    workers
        0: on Ray, as many as the cluster has room for.
    n_gpus
        Of each task, on Ray.
    """
    queue = _TreeQueue(tasks, parents)
    outcome = Outcome()
    running: dict[Any, Hashable] = {}
    pool = _pool(function, workers, engine, report, n_gpus)
    try:
        while queue or running:
            while queue and len(running) < pool.size:
                key = queue.take()
                running[pool.submit(tasks[key])] = key
            for handle in pool.wait(list(running)):
                key = running.pop(handle)
                try:
                    outcome.results[key] = pool.collect(handle)
                except Exception as error:
                    if _is_final(error, key, queue.tries[key], report):
                        outcome.failed[key] = error
                        outcome.skipped += queue.end(key, is_done=False)
                    else:
                        queue.put_back(key)
                else:
                    queue.end(key, is_done=True)
                    done(key, outcome.results[key])
    except BaseException:
        pool.close(kill=True)
        raise
    pool.close(kill=False)
    return outcome


def _is_final(error: Exception, key: Hashable, n_tries: int, report: Report) -> bool:
    """Whether a task that failed is not tried again."""
    is_lost = isinstance(error, cluster.WorkerLost)
    if isinstance(error, SimtoolError) and not is_lost:
        return True
    reason, most = (error.reason, LOST_TRIES) if is_lost else (f"{type(error).__name__}: {error}", TRIES)
    report(f"{key} failed ({reason}), try {n_tries} of {most}.")
    return n_tries >= most


class _TreeQueue:
    """Keys whose parents have ended, first come first: a step costs O(log n), whatever the tree's shape."""

    def __init__(self, tasks: Iterable[Hashable], parents: Mapping[Hashable, Sequence[Hashable]]):
        self.keys = list(tasks)
        self.places = {key: i for i, key in enumerate(self.keys)}
        self.children: dict[Hashable, list[Hashable]] = {key: [] for key in self.keys}
        self.tries = dict.fromkeys(self.keys, 0)
        self.waits_for: dict[Hashable, int] = {}
        self.can_begin: set[Hashable] = set()  # with a parent that is done
        self.ready: list[int] = []  # a heap of places
        for key in self.keys:
            own = {parent for parent in parents.get(key, ()) if parent in self.children}
            self.waits_for[key] = len(own)
            for parent in own:
                self.children[parent].append(key)
            if len(own) < len(set(parents.get(key, ()))):
                self.can_begin.add(key)
            if not own:
                self.put_back(key)

    def __len__(self) -> int:
        return len(self.ready)

    def take(self) -> Hashable:
        key = self.keys[heapq.heappop(self.ready)]
        self.tries[key] += 1
        return key

    def put_back(self, key: Hashable) -> None:
        heapq.heappush(self.ready, self.places[key])

    def end(self, key: Hashable, is_done: bool) -> list[Hashable]:
        """Release the children that waited for nothing else; those that cannot begin any more, parents before
        children."""
        skipped: list[Hashable] = []
        ended = deque([(key, is_done)])
        while ended:
            parent, is_done = ended.popleft()
            for child in self.children[parent]:
                self.waits_for[child] -= 1
                if is_done:
                    self.can_begin.add(child)
                if self.waits_for[child]:
                    continue
                if child in self.can_begin:
                    self.put_back(child)
                else:
                    skipped.append(child)
                    ended.append((child, False))
        return skipped


def _pool(function: Any, workers: int, engine: Engine, report: Report, n_gpus: float) -> _Pool:
    if engine == "ray":
        return _RayPool(function, workers, report, n_gpus)
    return _Here(function, report) if workers <= 1 else _Processes(function, workers, report)


class _Here:
    """One after the other, in this process."""

    size = 1

    def __init__(self, function: Any, report: Report):
        self.function, self.report = function, report

    def submit(self, task: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(self.function(task, self.report))
        except Exception as error:
            future.set_exception(error)
        return future

    def wait(self, running: list[Any]) -> list[Any]:
        return running

    def collect(self, handle: Future) -> Any:
        return handle.result()

    def close(self, kill: bool) -> None:
        pass


class _Processes:
    """Local processes that stay for many tasks. When one dies, all that ran are tried again in new ones."""

    def __init__(self, function: Any, workers: int, report: Report):
        self.function, self.size, self.report = function, workers, report
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, numbers = context.Queue(), context.Queue()
        for number in range(self.size):
            numbers.put(number)
        self.executor = ProcessPoolExecutor(self.size, context, _set_channel, (self.channel, numbers))

    def submit(self, task: Any) -> Future:
        try:
            return self.executor.submit(_call_plainly, self.function, task)
        except BrokenProcessPool:
            self.executor.shutdown(wait=True)
            self._start()
            return self.executor.submit(_call_plainly, self.function, task)

    def wait(self, running: list[Any]) -> list[Any]:
        finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        self._pass_on()
        return [handle for handle in running if handle in finished]

    def _pass_on(self) -> None:
        while not self.channel.empty():
            self.report(self.channel.get())

    def collect(self, handle: Future) -> Any:
        return handle.result()

    def close(self, kill: bool) -> None:
        if kill:
            for process in list((self.executor._processes or {}).values()):
                process.terminate()
        self.executor.shutdown(wait=True, cancel_futures=True)
        if not kill:  # a killed worker may leave half a message
            self._pass_on()  # a worker's last message may come after its result: it is sent by a thread of its own


def _call_plainly(function: Any, task: Any) -> Any:
    return function(task, _channel.put)


class _RayPool:
    """A Ray cluster: as many at a time as there are workers; without a number, as its CPUs or GPUs allow."""

    def __init__(self, function: Any, workers: int, report: Report, n_gpus: float):
        self.ray, self.report, self.size = cluster.connected(), report, workers or 1_000
        self.room = cluster.Room({"CPU": 1, "GPU": n_gpus}, report)
        from ray.util.queue import Queue

        # beside this process: messages must not end with another node; without a CPU: a head often has none
        beside = cluster.on_node(cluster.own_node(), only=True)
        self.channel = channel = Queue(actor_options={"num_cpus": 0, **beside})
        # no retries of Ray's own: they are silent, and nothing ends them where no node is left
        self.remote = self.ray.remote(num_cpus=1, num_gpus=n_gpus, max_retries=0)(
            lambda task: function(task, channel.put)
        )

    def submit(self, task: Any) -> Any:
        return self.remote.remote(task)

    def wait(self, running: list[Any]) -> list[Any]:
        finished, _ = self.ray.wait(running, timeout=0.2) if running else ([], [])
        self._pass_on()
        self.room.check()
        return finished

    def _pass_on(self) -> None:
        with cluster.lost_with_head():
            while not self.channel.empty():
                self.report(self.channel.get())

    def collect(self, handle: Any) -> Any:
        return cluster.result_of(handle)

    def close(self, kill: bool) -> None:
        if not kill:
            self._pass_on()
        with suppress(self.ray.exceptions.RayError):  # gone already, with the cluster
            self.channel.shutdown()
