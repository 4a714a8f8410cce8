"""Quality against proxy runs spent: models of a sweep's losses with and without what text predicts, and text itself."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline
from simtool.plots.style import COLORS, DOUBLE, SINGLE

MODELS = {"lightgbm": "LightGBM", "ridge": "ridge", "mixing law": "mixing law"}
ZERO_RUNS = {
    "own-domain weight": ("own-domain weight", ":", "0.55"),
    "cross_entropy.token": ("cross-entropy, tokens", "-.", "0.35"),
    "span_mixture": ("span mixture", "--", "black"),
}  # what needs no run: title, line, colour
COLUMN = 2.6  # inches of a sweep


def draw(proxy_runs: pl.DataFrame) -> Figure:
    """Spearman above, regret below, mean over targets; a column per sweep."""
    if "sweep" not in proxy_runs.columns:
        proxy_runs = proxy_runs.with_columns(sweep=pl.lit(""))
    sweeps = proxy_runs["sweep"].unique(maintain_order=True).to_list()
    figure = empty_figure(min(DOUBLE, max(SINGLE, COLUMN * len(sweeps))), 4.4)
    rows = figure.subplots(2, len(sweeps), sharey="row", squeeze=False)
    for column, name in enumerate(sweeps):
        of_sweep = proxy_runs.filter((pl.col("sweep") == name) & (pl.col("target") == "mean"))
        quality(of_sweep, rows[0, column], "spearman")
        quality(of_sweep.with_columns(pl.col("^regret_share.*$") * 100), rows[1, column], "regret_share")
        rows[0, column].set_title(name.replace(", ", "\n"), fontsize=6.5)
        rows[1, column].set_xlabel("proxy runs")
    rows[0, 0].set_ylabel("Spearman, mean over targets")
    rows[1, 0].set_ylabel("regret (% of picking at random)")
    rows[0, 0].set_ylim(0.3, 1)
    rows[1, 0].set_ylim(0, 60)
    headline(figure, finding(proxy_runs))
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * min(len(sweeps), 2), handlelength=2.4)
    return figure


def finding(table: pl.DataFrame) -> str:
    """How many runs ridge needs to rank as well as it does with text and the fewest runs, sweep by sweep."""
    parts = []
    for (name,), rows in table.filter(target="mean").group_by("sweep", maintain_order=True):
        without, with_text = (rows.filter(predictor=model).sort("runs") for model in ("ridge", "ridge + text"))
        if without.is_empty() or with_text.is_empty():
            continue
        enough = without.filter(pl.col("spearman") >= with_text["spearman"][0])["runs"]
        most = without["runs"][-1]
        runs = f"{enough[0] if len(enough) else f'over {most}'}"
        parts.append(f"{runs} ({name})" if name else runs)
    fewest = table.filter(pl.col("runs") > 0)["runs"].min()
    return f"To rank as well as with text and {fewest} proxy runs, ridge needs {', '.join(parts)}" if parts else ""


def quality(table: pl.DataFrame, axes: Axes, value: str) -> None:
    """One value against the runs that models were fitted on; what needs none is a level line.

    Parameters
    ----------
    table
        The rows of `ProxyCurve.to_polars()` of one target.
    """
    for name, (title, line, color) in ZERO_RUNS.items():
        for level in table.filter(pl.col("predictor") == name)[value]:
            axes.axhline(level, linestyle=line, color=color, linewidth=1, label=title)
    for color, (model, title) in zip(COLORS, MODELS.items(), strict=False):
        for name, line, marker in ((model, "--", "o"), (f"{model} + text", "-", "s")):
            rows = table.filter(pl.col("predictor") == name).sort("runs")
            if rows.height:
                label = f"{title} + text" if name != model else title
                axes.plot(rows["runs"], rows[value], line, color=color, marker=marker, markersize=2.5, label=label)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
