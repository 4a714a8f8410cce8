"""Effects of start and weight are those that were put in."""

import numpy as np
import polars as pl
import pytest

from analyses import timing_weight
from tests.plots.example_tables import timing


def test_effects_of_start_and_weight_are_those_that_were_put_in():
    found = {key: value[0] for key, value in timing_weight._effects(cells("confounded")).items()}
    # improvement = 0.1 (1 - start) + 0.1 weight: 10 points of either change it by 0.01
    assert found == pytest.approx(dict(zip(timing_weight.EFFECTS, (0.01, 0.01, 0.0), strict=True)), abs=1e-12)
    fixed = timing_weight._effects(cells("exposure"))
    value, low, high = fixed[timing_weight.EFFECTS[0]]
    assert value == pytest.approx(0, abs=1e-12) and low < 0 < high


def cells(design: str) -> pl.DataFrame:
    return timing().filter((pl.col("design") == design) & (pl.col("target") == "pycode"))


def test_one_start_says_nothing_of_starts():
    one_start = cells("exposure").filter(pl.col("start") == 0.1)
    value, low, high = timing_weight._effects(one_start)[timing_weight.EFFECTS[0]]
    assert np.isnan([value, low, high]).all()
