"""More corpora make the figure larger, so that cells stay legible."""

import itertools

import polars as pl
import pytest

from simtool.plots.similarity_matrix import draw
from simtool.plots.style import DOUBLE
from tests.plots.example_tables import matrix


def cells(n: int) -> pl.DataFrame:
    one_cell = matrix().head(1).drop("row", "column")
    return pl.concat(
        one_cell.select(
            row=pl.lit(f"c{i}"), column=pl.lit(f"c{j}"), **{name: pl.col(name) for name in one_cell.columns}
        )
        for i, j in itertools.product(range(n), repeat=2)
    )


@pytest.mark.parametrize(("n", "width"), [(2, 3.02), (12, DOUBLE), (20, 10.0)])
def test_width_by_the_number_of_corpora(n, width):
    assert draw(cells(n)).get_figwidth() == pytest.approx(width)  # 1.9 + 0.56 n, two columns, 1.6 + 0.42 n
