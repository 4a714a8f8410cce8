"""What a similarity says of the sizes of the samples: the published way, at equal sizes, and size-free."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simtool.plots.panels import empty_figure, headline, spread_labels
from simtool.plots.style import COLORS, DOUBLE, title_of

COLOR_OF_PAIR = {
    "c4 and itself": "black", "gsm8k and itself": "0.55", "c4 and lima": COLORS[2], "math and gsm8k": COLORS[4],
    "starcoder and pycode": COLORS[5], "c4 and gsm8k": COLORS[1], "c4 and starcoder": COLORS[0],
}  # fmt: skip
PANELS = (
    ("published", "token", "As published: one whole, one small", "paper's score"),
    ("equal", "token", "At equal sizes", "paper's score"),
    ("equal", "size_free", "Size-free", "size-free similarity"),
)


def draw(sample_size: pl.DataFrame) -> Figure:
    figure = empty_figure(DOUBLE, 2.9)
    first, second, third = figure.subplots(1, 3)
    second.sharey(first)
    for axes, (way, metric, title, label) in zip((first, second, third), PANELS, strict=True):
        of_panel = sample_size.filter((pl.col("way") == way) & (pl.col("metric") == metric))
        curves(of_panel, axes)
        axes.set_title(title)
        axes.set_ylabel(label)
    second.set_xlabel("tokens of the smaller sample (dots: whole documents)")
    label_ends(sample_size, third)
    headline(figure, finding(sample_size))
    return figure


def finding(table: pl.DataFrame) -> str:
    """What the score of two samples of C4 does with their size alone, and what the size-free similarity does."""
    own = table.filter(a="c4", b="c4", way="equal", drawn="tokens", metric="token").sort("tokens_b")
    few, many = own.row(0, named=True), own.row(-1, named=True)
    scores = f"{few['value']:.2f} at {few['tokens_b']:,} tokens and {many['value']:.2f} at {many['tokens_b']:,}"
    free = table.filter(a="c4", b="c4", way="equal", metric="size_free").sort("tokens_b")["value"]
    return f"Two samples of C4 itself score {scores}; size-free {free[0]:.2f} and {free[-1]:.2f}"


def label_ends(table: pl.DataFrame, axes: Axes) -> None:
    """The pair that each line is, at its end."""
    _, metric, *_ = PANELS[-1]
    ends = {}
    for pair in COLOR_OF_PAIR:
        a, b = pair.split(" and ")
        rows = table.filter(a=a, b=a if b == "itself" else b, way="equal", drawn="tokens", metric=metric)
        ends[pair] = rows.sort("tokens_b").select("tokens_b", "value").row(-1)
    low, high = sorted(axes.get_ylim())
    places = spread_labels({pair: value for pair, (_, value) in ends.items()}, (high - low) * 0.055)
    for pair, place in places.items():
        a, b = pair.split(" and ")
        axes.annotate(
            f"{title_of(a)}, {'itself' if b == 'itself' else title_of(b)}", (ends[pair][0], place), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=6, color=COLOR_OF_PAIR[pair], annotation_clip=False,
        )  # fmt: skip


def curves(table: pl.DataFrame, axes: Axes) -> None:
    """Score against tokens, one line per pair: tokens drawn from many documents; dots: whole documents."""
    for pair, color in COLOR_OF_PAIR.items():
        a, b = pair.split(" and ")
        rows = table.filter((pl.col("a") == a) & (pl.col("b") == (a if b == "itself" else b))).sort("tokens_b")
        drawn = rows.filter(pl.col("drawn") == "tokens")
        label = f"{title_of(a)}, {'itself' if b == 'itself' else title_of(b)}"
        style = "--" if b == "itself" else "-"
        axes.fill_between(drawn["tokens_b"], drawn["low"], drawn["high"], color=color, alpha=0.18, linewidth=0)
        axes.plot(drawn["tokens_b"], drawn["value"], style, color=color, label=label)
        whole = rows.filter(pl.col("drawn") == "documents")
        axes.plot(whole["tokens_b"], whole["value"], "o", color=color, markersize=2.5)
    axes.set_xscale("log")
