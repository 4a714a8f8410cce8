"""Messages are data: frozen, equal where their fields are, and free of what trains."""

import dataclasses
import inspect
import pickle
import sys
import types

import pytest

import simtool
from simtool import progress
from simtool.profiles.resolve import Options
from tests.conftest import sentences, write_jsonl

MESSAGES = [kind for _, kind in inspect.getmembers(progress, dataclasses.is_dataclass) if kind is not progress.Tally]


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_is_data_and_travels_between_processes(kind):
    message = kind(*(0 for _ in dataclasses.fields(kind)))
    assert pickle.loads(pickle.dumps(message)) == message  # workers send them through a queue
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, field.name, 1)


def test_every_message_says_what_it_is():
    assert MESSAGES and all(kind.__doc__ for kind in MESSAGES)


def test_the_slowest_shard_says_how_far_counting_is():
    tally = progress.Tally("c4")
    assert tally.fraction == 0
    for message in (progress.Counted(0, 1_500_000, 300, 0.5), progress.Counted(1, 500_000, 100, 0.25)):
        tally.add(message)
    assert tally.fraction == 0.25
    assert str(tally).startswith("400 tokens, 2.0 MB, ")
    tally.add(progress.Counted(2, 0, 0, None))
    assert tally.fraction is None  # a pipe cannot say how long it is


class Output:
    """What IPython's display gives: a place in a cell's output that is written anew."""

    def __init__(self, cell: list[str], html: str) -> None:
        self.cell, self.place = cell, len(cell)
        cell.append(html)

    def update(self, html: str) -> None:
        self.cell[self.place] = html


@pytest.fixture
def notebook(monkeypatch) -> list[str]:
    """The output of a cell, as IPython in a kernel keeps it."""
    cell: list[str] = []
    shell = types.SimpleNamespace(kernel=object())
    display = types.ModuleType("IPython.display")
    display.HTML = str
    display.display = lambda html, display_id: Output(cell, html)
    module = types.ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(progress.NotebookReport, "SECONDS", 0.0)
    return cell


def test_a_notebook_shows_a_bar_that_ends_as_a_line(notebook):
    report = progress.default_report()
    report(progress.CountingStarted("<mine>", "file x"))
    report(progress.Counted(0, 1_500_000, 300, 0.5))
    assert len(notebook) == 1 and notebook[0].startswith('<progress max=1 value="0.500"></progress> Counting &lt;mine')
    report(progress.Counted(0, 0, 0, None))
    assert notebook[0].startswith("<progress max=1></progress>")  # of unknown length
    report(progress.CountingFinished())
    assert notebook[0].startswith('<progress max=1 value="1.000"></progress> Counted &lt;mine&gt;: 300 tokens, 1.5 MB')
    report("c4: its first 10 tokens at most are counted.")
    report(progress.CountingStarted("c4", "file y"))
    assert [line.rpartition("> ")[2] for line in notebook[1:]] == [
        "c4: its first 10 tokens at most are counted.", "Counting c4: file y",
    ]  # fmt: skip


def test_counting_is_shown_in_a_notebook_without_being_asked(notebook, tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", sentences(50))
    simtool.matrix([tmp_path / "mine.jsonl", "gsm8k"], resamples=20, options=Options(cache=tmp_path / "cache"))
    assert len(notebook) == 1 and "Counted" in notebook[0]


def test_elsewhere_a_library_is_silent(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert progress.default_report() is progress.silence
    module = types.ModuleType("IPython")  # imported, and no notebook: a terminal's shell has no kernel
    module.get_ipython = lambda: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert progress.default_report() is progress.silence


def test_little_text_is_in_kilobytes_and_has_no_speed():
    tally = progress.Tally("c4")
    tally.add(progress.Counted(0, 2_345, 547, 1.0))
    assert str(tally) == "547 tokens, 2.3 kB"
