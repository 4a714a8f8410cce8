"""A study's cells are points beside the published ones, and pooled over its sizes."""

from analyses import advantage_benefit
from tests.plots.example_tables import effects


def test_a_study_has_points_for_each_size_and_pooled():
    points = advantage_benefit._of_study(effects(), {})
    assert set(points["mix"]) == {"starcoder", "math"} and points.height == 8
    pooled = advantage_benefit.tables_of(points)["study", "pooled", points["predictor"][0]]
    assert pooled.height == 4
