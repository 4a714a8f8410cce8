"""Figures, one a file: `draw(table, ...) -> Figure`, whose parameter names say which tables it is drawn from.

To add one, write its file; `simtool figures`, `python -m figures` and `--save` then know it. With `latex(table, ...)
-> str` of the same parameters beside it, it can be had as a LaTeX table too.

What all of them share is here. Identical tables give identical bytes: nothing of the day or the machine goes into a
file.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError, unknown
from simtool.tables import atomic_write, load_table

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE, DOUBLE = 3.3, 6.8  # inches: one and two columns of a paper
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,  # text stays text, with its font inside
    "svg.fonttype": "none",
    "svg.hashsalt": "simtool",
    "figure.dpi": 200,
    "savefig.dpi": 200,
}
FORMATS = ("png", "svg", "pdf")

# After Okabe and Ito (2008) and Tol (2021), which colour-blind readers can tell apart; black is kept for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#666666")
# A target has the hue of the corpus that is meant for it: code blue, mathematics orange, instructions green.
CORPUS_COLORS = {
    "starcoder": "#0072B2", "pycode": "#56B4E9", "math": "#D55E00", "gsm8k": "#E69F00",
    "flan": "#009E73", "lima": "#88CCAA", "knowledgeqa": "#CC79A7", "sciq": "#882255", "dclm": "#999933",
    "c4": "#666666", "social_iqa": "#44AA99", "trec": "#AA4499", "mr": "#332288",
    "python_source": "#1F5FA8", "python_functions": "#7FC4EE", "gen_drills": "#C44E00", "gen_problems": "#F0B030",
    "gen_facts": "#D48CB6", "gen_questions": "#6E1B44", "gen_chat": "#117755", "gen_dialogue": "#9FD8BE",
    "python_docstrings": "#777777",
}  # fmt: skip
TARGET_MARKERS = {
    "pycode": "o", "gsm8k": "s", "lima": "^", "sciq": "D", "social_iqa": "v", "trec": "P", "mr": "X",
    "python_functions": "o", "gen_problems": "s", "gen_dialogue": "^", "gen_questions": "D",
}  # fmt: skip
TITLES = {
    "starcoder": "StarCoder", "math": "Math", "flan": "FLAN", "knowledgeqa": "KnowledgeQA", "dclm": "DCLM", "c4": "C4",
    "pycode": "PyCode", "gsm8k": "GSM8K", "lima": "LIMA", "sciq": "SciQ", "social_iqa": "Social IQA", "trec": "TREC",
    "mr": "MR", "python_source": "Python source", "python_functions": "Python functions",
    "python_docstrings": "Python docstrings", "gen_drills": "Drills", "gen_problems": "Problems", "gen_facts": "Facts",
    "gen_questions": "Questions", "gen_chat": "Chat", "gen_dialogue": "Dialogue",
}  # fmt: skip


def color_of(corpus: str) -> str:
    """The same colour for a corpus in every figure, with its share ("math:0.12") or without; others by their name."""
    known = CORPUS_COLORS.get(corpus.split(":")[0])
    return known or COLORS[sum(corpus.encode()) % len(COLORS)]


def marker_of(target: str) -> str:
    """The same marker for a target in every figure."""
    return TARGET_MARKERS.get(target, "o")


def title_of(corpus: str, stand_in: bool = False) -> str:
    """A corpus's name as people write it, with the mark of a stand-in."""
    name, colon, share = corpus.rpartition(":")
    known = f"{TITLES[name]} {share}" if colon and name in TITLES else TITLES.get(corpus, corpus)
    return known + (" †" if stand_in else "")


def blank(width: float, height: float) -> "Figure":
    """An empty figure of that size in inches, whose parts make room for each other."""
    from simtool.plots._picture import Picture

    return Picture(figsize=(width, height), layout="constrained")


def largest(table: "pl.DataFrame") -> "pl.DataFrame":
    """The rows of the last size: studies list their sizes from small to large."""
    return table.filter(table["size"] == table["size"].unique(maintain_order=True)[-1])


def panel_a_target(rows: "pl.DataFrame") -> "tuple[Figure, dict[str, Axes]]":
    """A figure with a panel for each target of these rows, side by side on one scale; and the panels."""
    targets = rows["target"].unique(maintain_order=True).to_list()
    figure = blank(SINGLE if len(targets) == 1 else DOUBLE, 2.6)
    return figure, dict(zip(targets, figure.subplots(1, len(targets), sharey=True, squeeze=False)[0], strict=True))


def arm_color(arms: list[str], arm: str) -> str:
    """Of one of a study's arms; a control is black."""
    return "black" if arm.startswith("control") else COLORS[arms.index(arm) % len(COLORS)]


@contextmanager
def paper_style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def save_figure(figure: "Figure", stem: Path) -> list[Path]:
    """`stem`.png, .svg and .pdf, in the size that the figure has."""
    paths = [Path(f"{stem}.{ending}") for ending in FORMATS]
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    for ending, path in zip(FORMATS, paths, strict=True):
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format=ending, metadata=undated[ending])
    return paths


# --- Finding and drawing by name ---


def names() -> list[str]:
    """Every figure."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def find_figure(name: str) -> Any:
    """The module of a figure. Raises SimtoolError when there is none."""
    if name not in names():
        raise unknown("figure", name, names())
    return importlib.import_module(f"simtool.plots.{name}")


def tables_of(name: str) -> list[str]:
    """The tables that a figure is drawn from."""
    return list(inspect.signature(find_figure(name).draw).parameters)


def figure_of(name: str, *tables: "pl.DataFrame") -> "Figure":
    """A figure from its tables, in their order, as an object."""
    with paper_style():
        return find_figure(name).draw(*tables)


def draw(name: str, tables: Mapping[str, "pl.DataFrame"], folder: Path) -> list[Path]:
    """Draw one figure from tables at hand, as png, svg and pdf in a folder."""
    with paper_style():
        return save_figure(find_figure(name).draw(*(tables[one] for one in tables_of(name))), folder / name)


def draw_from_folder(name: str, folder: Path, out: Path, latex: bool = False) -> list[Path]:
    """Draw one figure, or write its LaTeX table, from a folder of tables. Raises SimtoolError where one is missing."""
    module = find_figure(name)
    if latex and not hasattr(module, "latex"):
        known = [one for one in names() if hasattr(find_figure(one), "latex")]
        raise SimtoolError(f"{name} has no LaTeX table. Those that have one: {', '.join(known)}.")
    if missing := missing_tables(name, folder):
        raise SimtoolError(f"{name} is drawn from {', '.join(missing)}, which {folder} lacks.\n{MAKE}")
    loaded = {table: load_table(folder / f"{table}.csv")[0] for table in tables_of(name)}
    if not latex:
        return draw(name, loaded, out)
    path = out / f"{name}.tex"
    with atomic_write(path) as temporary:
        temporary.write_text(module.latex(*loaded.values()), encoding="utf-8")
    return [path]


MAKE = "Make it: python -m analyses NAME, simtool COMMAND --save, or the study that its name is of."


def missing_tables(name: str, folder: Path) -> list[str]:
    """Those of a figure's tables that are not in a folder."""
    return [table for table in tables_of(name) if not (Path(folder) / f"{table}.csv").exists()]


def drawable(folder: Path) -> list[str]:
    """The figures whose tables are all in a folder."""
    return [name for name in names() if not missing_tables(name, folder)]


# --- Parts that several figures share ---


def legend_below(figure: "Figure", handles: list[Any], labels: list[str], columns: int) -> None:
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handletextpad=0.4, columnspacing=1.2)


def one_axes(draw_on: Callable[..., None], width: float, height: float, *tables: "pl.DataFrame") -> "Figure":
    """A drawing on a figure of its own."""
    made = blank(width, height)
    draw_on(*tables, made.subplots())
    return made
