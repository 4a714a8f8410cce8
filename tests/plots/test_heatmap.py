"""Cells of a matrix as they are drawn: bright is alike, and every letter counts."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from simtool.plots.heatmap import cells_by, ink_on, names_of, shade, short
from tests.plots.example_tables import matrix


def test_a_value_has_no_letter_too_many():
    assert [short(value) for value in (0.87, -0.14, 1.0, 12.345)] == [".87", "\N{MINUS SIGN}.14", "1.00", "12.35"]
    assert short(0.0041, 3) == ".004"


@pytest.mark.parametrize("alike", ["high", "low"])
def test_bright_is_alike_whichever_end_of_the_metric_that_is(alike):
    table = matrix() if alike == "high" else matrix().with_columns(value=1 - pl.col("value"))
    image = shade(table, Figure().subplots())
    lightness = {place: sum(image.cmap(image.norm(image.get_array()[place]))[:3]) for place in ((0, 0), (0, 1))}
    assert lightness[0, 0] > lightness[0, 1]  # a corpus against its own other half, against another
    assert ink_on(image, image.get_array()[0, 0]) == "black" and ink_on(image, image.get_array()[0, 1]) == "white"


def test_names_mark_a_proxy_corpus():
    assert names_of(matrix()) == ["C4 *", "<script>", "GSM8K"]


def test_cells_of_one_metric_on_one_feature():
    both = pl.concat([matrix(), matrix().with_columns(metric=pl.lit("js"))])
    assert cells_by(both, "js", "token")["metric"].unique().to_list() == ["js"]
    assert cells_by(both, "js", "char4").is_empty()
