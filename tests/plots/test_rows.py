"""Which rows of a study are drawn: the last size, the paper's design, the earliest start."""

import polars as pl

from simtool.plots.rows import designs_of, earliest, first_design, held_fixed, largest_size, timing_finding
from tests.plots.example_tables import effects, timing


def test_the_largest_size_is_the_last():
    assert largest_size(effects())["size"].unique().to_list() == ["small"]  # tiny comes before it


def test_the_design_of_the_paper_is_first_where_it_was_run():
    assert first_design(effects()) == "paper"
    assert first_design(timing()) == "confounded"


def test_names_of_designs_are_explained_where_they_were_run():
    assert held_fixed(["paper"], "Math") == ""
    assert held_fixed(["paper", "exposure"], "Math") == "exposure: tokens of Math read"
    assert held_fixed(["both"], "Math").endswith("; rate: the learning rate they are read at")


def test_a_mixture_with_several_starts_counts_by_its_earliest():
    cells = timing().filter(pl.col("design") == "confounded")
    shown = earliest(cells)
    assert shown["start"].unique().to_list() == [0.1]
    assert shown.height == cells.select("mix", "weight", "target").n_unique()


def test_designs_come_in_the_order_in_which_more_is_held_fixed():
    rows = pl.DataFrame({"design": ["both", "my own", "rate", "paper", "exposure"]})
    assert designs_of(rows) == ["paper", "exposure", "rate", "both", "my own"]


def test_the_finding_of_timing_is_the_first_and_the_last_start():
    text = timing_finding(timing().filter(pl.col("weight") == 0.2))
    # improvement = 0.1 (1 - start) where confounded, + 0.1 weight: 9% + 2% and 3% + 2%; fixed: 2% and 2%
    assert text.startswith("From a start at 10% to 70%, improvement on PyCode goes from 11.0% to 5.0% as in the paper")
    assert text.endswith("2.0% to 2.0% with both held fixed")


def test_the_finding_is_of_the_target_that_gains_most_and_of_one_exposure():
    cells = [("gsm8k", 0.2, 0.1, 10, 0.09), ("gsm8k", 0.8, 0.4, 10, 0.01)]
    cells += [("pycode", 0.2, 0.2, 20, 0.20), ("pycode", 0.2, 0.1, 10, 0.10), ("pycode", 0.8, 0.4, 10, 0.07)]
    cells += [("pycode", 0.8, 0.8, 20, 0.15), ("pycode", 0.2, 0.2, 21, 0.2), ("pycode", 0.5, 0.2, 14, 0.06)]
    names = ("target", "start", "weight", "special_tokens", "relative_improvement")
    rows = pl.DataFrame(cells, schema=names, orient="row").with_columns(design=pl.lit("exposure"))
    assert timing_finding(rows).endswith("on PyCode goes from 20.0% to 15.0% with exposure held fixed")
