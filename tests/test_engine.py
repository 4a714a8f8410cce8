"""Work runs the same in this process and in others; messages arrive, failures too."""

import pytest

from simtool import engine
from simtool.errors import SimtoolError


def square(task, report):
    report(("working on", task))
    if task < 0:
        raise SimtoolError(f"{task} is negative")
    return task * task


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("tasks", [[3], [1, 2, 3], [5, 4, 3, 2, 1, 0]])
def test_results_come_in_the_order_of_the_tasks_and_every_message_arrives(tasks, workers):
    messages = []
    assert engine.run(square, tasks, workers, report=messages.append) == [task * task for task in tasks]
    assert sorted(messages) == sorted(("working on", task) for task in tasks)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tasks", [[-1, 2], [1, -2], [1, 2, -3]])
def test_a_failure_is_raised_here(tasks, workers):
    with pytest.raises(SimtoolError, match="is negative"):
        engine.run(square, tasks, workers)


def test_ray_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SimtoolError) as caught:
        engine.run(square, [1], engine="ray")
    assert str(caught.value) == "The ray engine needs Ray: pip install 'simtool[ray]'."
