"""Labels at the ends of a frontier's lines do not overlap."""

from simtool.plots.mixture_frontier import spread_labels


def test_labels_move_up_until_none_is_too_near():
    moved = spread_labels({"a": 0.0, "b": 0.01, "c": 0.5, "d": 0.02}, 0.1)
    assert moved == {"a": 0.0, "b": 0.1, "d": 0.2, "c": 0.5}
