"""Where work runs: in this process, in local processes, or on a Ray cluster.

A task is an argument of a module-level function `function(task, report)`; it must not depend on the others.
`report(message)` carries progress back while it runs. To add an engine, write its `_run_` function.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, Literal, TypeVar

from simtool.errors import SimtoolError

Engine = Literal["local", "ray"]
Report = Callable[[Any], None]
Task = TypeVar("Task")
Result = TypeVar("Result")

ENDED = None  # the last message of a task; a queue may deliver it after the result
_channel: Any = None  # in a worker: the queue to the process that asked


def run(
    function: Callable[[Task, Report], Result],
    tasks: Sequence[Task],
    workers: int = 1,
    engine: Engine = "local",
    report: Report = lambda message: None,
) -> list[Result]:
    """[function(task, report) for task in tasks], in the order of the tasks. The first failure is raised."""
    if engine == "ray":
        return _run_on_ray(function, tasks, report)
    if workers <= 1 or len(tasks) <= 1:
        return [function(task, report) for task in tasks]
    return _run_in_processes(function, tasks, workers, report)


def _run_in_processes(function: Any, tasks: Sequence[Any], workers: int, report: Report) -> list[Any]:
    # spawn: the tokenizer's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    channel = context.Queue()
    ended = 0  # tasks whose last message has come
    mine = len(tasks) <= workers  # then this process takes the first task, and starts at once

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

    with ProcessPoolExecutor(workers - mine, context, _set_channel, (channel,)) as pool:
        futures = [pool.submit(_call, function, task) for task in tasks[mine:]]
        try:
            first = [function(tasks[0], report_mine)] if mine else []
            pending = set(futures)
            while pending:
                pass_on()
                done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()  # a failure ends the wait for the others
            pass_on(wait_for=len(futures))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return first + [future.result() for future in futures]


def _set_channel(channel: Any) -> None:
    global _channel
    _channel = channel


def _call(function: Any, task: Any) -> Any:
    result = function(task, _channel.put)
    _channel.put(ENDED)
    return result


def _run_on_ray(function: Any, tasks: Sequence[Any], report: Report) -> list[Any]:
    try:
        import ray
    except ImportError as error:
        raise SimtoolError("The ray engine needs Ray: pip install 'simtool[ray]'.") from error
    from ray.util.queue import Queue

    if not ray.is_initialized():
        ray.init(address="auto" if _cluster_running() else None, log_to_driver=False)
    channel = Queue()
    remote = ray.remote(lambda task: function(task, channel.put))
    pending = waiting_for = [remote.remote(task) for task in tasks]
    while waiting_for:
        done, waiting_for = ray.wait(waiting_for, timeout=0.1)
        while not channel.empty():
            report(channel.get())
        ray.get(done)
    return ray.get(pending)


def _cluster_running() -> bool:
    import os

    return bool(os.environ.get("RAY_ADDRESS"))
