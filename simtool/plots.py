"""Drawings of tables on a given Axes. To add one, write a function `name(table, axes)`.

Identical tables give identical bytes: nothing of the day or the machine goes into a file.
"""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from simtool.similarity.metrics import find_metric
from simtool.tables import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "simtool",
    "figure.dpi": 200,
}
FORMATS = ("png", "svg", "pdf")
BESIDE = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}  # a legend that hides nothing


@contextmanager
def paper_style() -> "Iterator[None]":
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        yield


def save_figure(figure: "Figure", stem: Path) -> list[Path]:
    """`stem`.png, .svg and .pdf."""
    paths = [Path(f"{stem}.{ending}") for ending in FORMATS]
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for ending, path in zip(FORMATS, paths, strict=True):
        with written_whole(path) as temporary:
            figure.savefig(temporary, format=ending, bbox_inches="tight", metadata=undated[ending])
    return paths


def similarity_heatmap(table: "pl.DataFrame", axes: "Axes") -> None:
    """Every cell of a similarity matrix with its interval; the diagonal, framed, is each corpus's ceiling.

    table   SimilarityMatrix.to_polars()
    """
    from matplotlib.patches import Rectangle

    first = table.unique("row", keep="first", maintain_order=True)
    names = [
        f"{name} †" if stand_in else name for name, stand_in in zip(first["row"], first["row_stand_in"], strict=True)
    ]
    n = len(names)
    values, low, high = (table[column].to_numpy().reshape(n, n) for column in ("value", "low", "high"))
    at_ceiling = table["at_ceiling"].to_numpy().reshape(n, n)
    metric, feature, tokens = (table[column][0] for column in ("metric", "feature", "tokens"))
    # bright is alike, whichever end of the metric that is
    image = axes.imshow(values, cmap="viridis" if find_metric(metric).alike == "high" else "viridis_r")
    for i in range(n):
        for j in range(n):
            red, green, blue, _ = image.cmap(image.norm(values[i, j]))
            ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"  # luma, ITU-R BT.601
            mark = "≈" if at_ceiling[i, j] else ""
            axes.text(j, i - 0.08, f"{mark}{values[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=7)
            axes.text(
                j, i + 0.24, f"{low[i, j]:.2f}–{high[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=4.5
            )
        axes.add_patch(Rectangle((i - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor="white", linewidth=1.2))
    axes.set_xticks(range(n), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(n), names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    notes = "diagonal: split-half ceiling" + ("; †: stand-in" if first["row_stand_in"].any() else "")
    axes.set_title(f"{metric} on {feature}, {tokens:,} tokens a corpus\n{notes}")
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label=metric)


def matrix_figure(table: "pl.DataFrame") -> "Figure":
    """The heatmap on a figure of its own, sized so that cells stay legible."""
    from matplotlib.figure import Figure

    n = table["row"].n_unique()
    side = 1.6 + 0.52 * n
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    similarity_heatmap(table, figure.subplots())
    return figure


def _one(draw: "Callable[[pl.DataFrame, Axes], None]", width: float = 5.5, height: float = 3.4):
    """A drawing on a figure of its own."""

    def figure(table: "pl.DataFrame") -> "Figure":
        from matplotlib.figure import Figure

        made = Figure(figsize=(width, height), layout="constrained")
        draw(table, made.subplots())
        return made

    return figure


def advantage_bars(table: "pl.DataFrame", axes: "Axes") -> None:
    """The proximity advantage of every mixture with its interval, target by target.

    table   Advantage.to_polars()
    """
    import numpy as np

    targets, mixtures = (table[column].unique(maintain_order=True).sort().to_list() for column in ("target", "mixture"))
    height, colors = 0.8 / len(mixtures), colors_of(mixtures)
    for i, mixture in enumerate(mixtures):
        rows = table.filter(table["mixture"] == mixture).sort("target")
        value, low, high = (rows[column].to_numpy() for column in ("advantage", "low", "high"))
        places = np.arange(len(targets)) + (i - (len(mixtures) - 1) / 2) * height
        axes.barh(
            places, value, height * 0.92, color=colors[mixture], label=mixture,
            xerr=np.maximum([value - low, high - value], 0), error_kw={"elinewidth": 0.7, "ecolor": "0.25"},
        )  # fmt: skip
    axes.axvline(0, color="0.2", linewidth=0.8)
    axes.set_yticks(range(len(targets)), targets)
    axes.invert_yaxis()
    axes.set_xlabel(f"proximity advantage: {table['metric'][0]} on {table['feature'][0]} (above 0: closer)")
    axes.legend(**BESIDE)


def advantage_curves(table: "pl.DataFrame", axes: "Axes") -> None:
    """The advantage against the share of the special corpus, with its band and its peak.

    table   Curve.to_polars()
    """
    for target, color in colors_of(table["target"].unique(maintain_order=True)).items():
        rows = table.filter(table["target"] == target)
        axes.fill_between(rows["share"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)
        axes.plot(rows["share"], rows["advantage"], color=color, label=target)
        peak = rows.filter(rows["share"] == rows["peak"])
        axes.plot(peak["share"], peak["advantage"], "o", color=color, markersize=4)
    axes.axhline(0, color="0.2", linewidth=0.8)
    axes.set_xlabel(f"share of {table['special'][0].removesuffix(':1')}")
    axes.set_ylabel(f"proximity advantage\n{table['metric'][0]} on {table['feature'][0]}")
    axes.legend(frameon=False, fontsize=7)


def mixture_frontier(table: "pl.DataFrame", axes: "Axes") -> None:
    """What each target gains for what is forgotten, with intervals over half-samples; one line a target.

    table   Frontier.to_polars()
    """
    forgotten = max(table["forgetting_bits"].max(), 1e-6)  # where nothing helps, the axis still has a width
    for name, color in colors_of(table["target"].unique(maintain_order=True)).items():
        rows = table.filter(table["target"] == name)
        axes.plot(
            rows["forgetting_bits"], rows["gain_bits"], "o-", markersize=2.5, linewidth=1, color=color, label=name
        )
        axes.fill_between(
            rows["forgetting_bits"], rows["gain_low"], rows["gain_high"], color=color, alpha=0.2, linewidth=0
        )
    axes.legend(**BESIDE)
    axes.set_xlim(0, forgotten * 1.001)
    axes.set_ylim(bottom=min(0, table["gain_low"].min()))
    axes.set_ylabel("gain on the target\n(bits per symbol)")
    axes.set_title(f"Gain against forgetting, {table['feature'][0]}; bands: 95% over half-samples")


def frontier_shares(table: "pl.DataFrame", axes: "Axes") -> None:
    """The mixture at each point of a frontier: shares stacked over what is forgotten, the pretraining corpus below.

    table   Frontier.to_polars()
    """
    points = table.unique("point", maintain_order=True)
    columns = [column for column in table.columns if column.startswith("share_")]
    used = [column for column in columns if points[column].max() >= 0.005]  # a thinner layer cannot be seen
    names = [column.removeprefix("share_") for column in used]
    special = colors_of(column.removeprefix("share_") for column in columns[1:])
    colors = ["0.88" if column == columns[0] else special[name] for column, name in zip(used, names, strict=True)]
    layers = axes.stackplot(points["forgetting_bits"], [points[column] for column in used], colors=colors, linewidth=0)
    axes.legend(layers[::-1], names[::-1], **BESIDE)
    axes.set_xlim(0, max(points["forgetting_bits"].max(), 1e-6) * 1.001)
    axes.set_ylim(0, 1)
    axes.set_xlabel("forgetting of the pretraining corpus (bits per symbol)")
    axes.set_ylabel("share of tokens")


def frontier_figure(table: "pl.DataFrame") -> "Figure":
    """Gain above, the mixtures that give it below, on one scale of forgetting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    mixture_frontier(table, above)
    frontier_shares(table, below)
    return figure


# Okabe and Ito's eight, which colour-blind readers can tell apart; black is kept for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A900", "#666666")
CORPUS_COLORS = {
    name: COLORS[i]
    for i, name in enumerate(("starcoder", "math", "flan", "knowledgeqa", "dclm", "gsm8k", "lima", "c4"))
} | {"pycode": COLORS[1], "sciq": COLORS[2]}


def colors_of(names: "Iterable[str]") -> dict[str, str]:
    """A colour for each: for a corpus that we know the same in every figure, and of the others one that is still free.

    Beyond eight, colours come again.
    """
    colors: dict[str, str | None] = {}
    for name in names:
        known = CORPUS_COLORS.get(name)
        colors[name] = None if known in colors.values() else known
    free = [color for color in COLORS if color not in colors.values()] or COLORS
    others = iter(range(len(colors)))
    return {name: known or free[next(others) % len(free)] for name, known in colors.items()}


# What `--save` draws, by the name of the table.
DRAWINGS = {
    "similarity_matrix": matrix_figure,
    "advantage": _one(advantage_bars, 6.2, 4.2),
    "advantage_curve": _one(advantage_curves),
    "mixture_frontier": frontier_figure,
}
