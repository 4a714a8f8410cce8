"""Each cell of the similarity matrix under another tokenizer, against ours."""

import polars as pl
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline
from simtool.plots.style import COLORS, DOUBLE

TITLES = {"pythia": "Pythia", "gpt2": "GPT-2", "llama2": "Llama 2"}
METRIC = "token"


def draw(tokenizer_cells: pl.DataFrame, tokenizer_sensitivity: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 2.5)
    panels = figure.subplots(1, len(TITLES), sharex=True, sharey=True)
    cells = tokenizer_cells.filter(pl.col("metric") == METRIC)
    ours = cells.filter(pl.col("tokenizer") == "default").select("row", "column", ours="value")
    for axes, (name, title), color in zip(panels, TITLES.items(), COLORS, strict=False):
        both = cells.filter(pl.col("tokenizer") == name).join(ours, on=["row", "column"], maintain_order="left")
        own = pl.col("row") == pl.col("column")
        off, ceilings = both.filter(pl.col("row") < pl.col("column")), both.filter(own)
        axes.axline((0.5, 0.5), slope=1, color="0.75", linewidth=0.8)
        axes.errorbar(
            off["ours"], off["value"], yerr=[off["value"] - off["low"], off["high"] - off["value"]],
            fmt="o", color=color, markersize=2.4, elinewidth=0.5, label="two corpora",
        )  # fmt: skip
        axes.plot(
            ceilings["ours"], ceilings["value"], "x", color="0.3", markersize=3.5, label="noise ceilings (split-half)"
        )
        agreed = tokenizer_sensitivity.row(
            by_predicate=(pl.col("metric") == METRIC)
            & (pl.col("tokenizer_a") == "default")
            & (pl.col("tokenizer_b") == name),
            named=True,
        )
        axes.set_title(f"{title}: ρ = {agreed['spearman']:.3f} [{agreed['low']:.3f}, {agreed['high']:.3f}]")
    panels[0].set_ylabel("paper's score under it")
    panels[1].set_xlabel("paper's score under simtool's own tokenizer")
    panels[0].legend(loc="upper left")
    headline(figure, finding(tokenizer_sensitivity))
    return figure


def finding(table: pl.DataFrame) -> str:
    """How far another tokenizer changes the order of pairs, and their values."""
    rows = table.filter(pl.col("metric") == METRIC, pl.col("tokenizer_a") == "default")
    order = f"ρ = {rows['spearman'].min():.2f} to {rows['spearman'].max():.2f}"
    values = f"{rows['mean_difference'].min():.3f} to {rows['mean_difference'].max():.3f} on average"
    return f"Another tokenizer mostly keeps the order of the pairs ({order}); a pair's score moves by {values}"
