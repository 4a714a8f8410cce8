"""Figures from a folder of tables: `simtool.figures(["similarity_matrix"], "out")`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simtool.plots import COMMAND_FIGURES
from simtool.plots.gallery import draw_figures


def figures(
    names: Sequence[str] = (),
    tables: Path = Path("."),
    out: Path | None = None,
    latex: bool = False,
    report: Callable[[Any], None] = lambda message: None,
) -> dict[str, list[str]]:
    """Draw figures as png, svg and pdf in the width of a paper's column; the same tables give the same bytes.

    Parameters
    ----------
    names
        By default all whose tables are in the folder.
    tables, out
        Folders of the tables, and of the figures: that of the tables by default.
    latex
        Write LaTeX tables instead, of the figures that have one.
    report
        Called with a sentence for each figure.

    Returns
    -------
    {figure: the tables that it lacks}, where none was named and pictures are drawn.
    """
    draw_figures(COMMAND_FIGURES, names, Path(tables), Path(out or tables), latex, report=report)
    return {} if names or latex else COMMAND_FIGURES.undrawable(tables)
