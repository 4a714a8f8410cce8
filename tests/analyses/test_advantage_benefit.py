"""A study's cells are points beside the published ones, and pooled over its sizes."""

import polars as pl

from analyses import advantage_benefit
from tests.plots.example_tables import effects


def test_a_study_has_points_for_each_size_and_pooled():
    points = advantage_benefit._of_study(effects(), {})
    assert set(points["mix"]) == {"starcoder", "math"} and points.height == 8
    pooled = advantage_benefit.tables_of(points)["study", "pooled", points["predictor"][0]]
    assert pooled.height == 4


def test_the_error_of_a_mean_of_cells_is_known_where_each_is():
    cells = pl.DataFrame({"cell": [0, 0, 1, 1], "standard_error": [3.0, 4.0, 5.0, None]})
    means = cells.group_by("cell", maintain_order=True).agg(advantage_benefit.error_of_mean())
    assert means["standard_error"].to_list() == [2.5, None]  # sqrt(9 + 16) / 2
