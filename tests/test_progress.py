"""Messages are data: frozen, equal where their fields are, and free of what trains."""

import dataclasses
import inspect
import pickle

import pytest

from simtool import progress

MESSAGES = [kind for _, kind in inspect.getmembers(progress, dataclasses.is_dataclass)]


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_is_data_and_travels_between_processes(kind):
    message = kind(*(0 for _ in dataclasses.fields(kind)))
    assert pickle.loads(pickle.dumps(message)) == message  # workers send them through a queue
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, field.name, 1)


def test_every_message_says_what_it_is():
    assert MESSAGES and all(kind.__doc__ for kind in MESSAGES)
