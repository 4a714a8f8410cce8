"""The title of proxy runs says how many runs text is worth, by the curves that are drawn."""

import polars as pl

from simtool.plots.proxy_runs import finding


def curves(without: list[float], with_text: list[float]) -> pl.DataFrame:
    runs = [8, 16, 32]
    rows = [("ridge", n, value) for n, value in zip(runs, without, strict=True)]
    rows += [("ridge + text", n, value) for n, value in zip(runs, with_text, strict=True)]
    table = pl.DataFrame(rows, schema=["predictor", "runs", "spearman"], orient="row")
    return table.with_columns(sweep=pl.lit("mine"), target=pl.lit("mean"))


def test_the_runs_that_text_saves():
    assert finding(curves([0.3, 0.5, 0.7], [0.5, 0.6, 0.8])) == (
        "To rank as well as with text and 8 proxy runs, ridge needs 16 (mine)"
    )
    assert finding(curves([0.3, 0.4, 0.5], [0.6, 0.7, 0.8])).endswith("ridge needs over 32 (mine)")


def test_one_sweep_without_a_name_is_not_named():
    assert finding(curves([0.3, 0.5, 0.7], [0.5, 0.6, 0.8]).with_columns(sweep=pl.lit(""))).endswith("ridge needs 16")


def test_without_both_curves_nothing_is_claimed():
    assert finding(curves([0.3, 0.5, 0.7], [0.5, 0.6, 0.8]).filter(predictor="ridge")) == ""
