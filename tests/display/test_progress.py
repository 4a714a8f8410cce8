"""Long work on stderr: one line per corpus, and no line for each step where lines stay."""

import pytest

from simtool.display.progress import Counting, Training, time_left
from simtool.progress import Counted, CountingFinished, CountingStarted, TrainingProgress


def progress(step: int, phase: str = "pretrain", **changes) -> TrainingProgress:
    numbers = {"tokens": 0, "loss": 2.3456, "learning_rate": 1e-3, "gradient_norm": 1.0}
    speed = {"tokens_per_second": 12_345, "mfu": 0.4, "seconds_left": 61}
    return TrainingProgress(phase, step, 10, **{**numbers, **speed, **changes})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3_725, "1:02:05"), (90_000, "25:00:00")]
)
def test_time_left(seconds, text):
    assert time_left(seconds) == text


def test_training_says_where_it_begins_and_ends_and_little_between(capsys):
    with Training() as shown:
        for step in (1, 2, 3, 10):
            shown.report(progress(step))
        shown.report(progress(1, "midtrain", datasheet_mfu=0.25))
        shown.report("Saved.")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "pretrain 1/10  loss 2.346  lr 1.00e-03  12,345 tokens/s  MFU 40%  1:01 left",
        "pretrain 10/10  loss 2.346  lr 1.00e-03  12,345 tokens/s  MFU 40%  1:01 left",
        "midtrain 1/10  loss 2.346  lr 1.00e-03  12,345 tokens/s  MFU 40% (25% of the data sheet)  1:01 left",
        "Saved.",
    ]


def test_counting_adds_up_its_shards(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with Counting() as shown:
        shown.report(CountingStarted("[b]mine", "file x"))
        shown.report(Counted(0, 1_500_000, 300, 0.5))
        shown.report(Counted(1, 500_000, 100, 0.25))
        assert shown.bar.tasks[0].completed == 0.25  # the slowest shard says how far the corpus is
        shown.report(CountingFinished())
    err = capsys.readouterr().err
    assert "Counting [b]mine: file x" in err  # a name is no markup
    assert "Counted [b]mine: 400 tokens, 2.0 MB, " in err
