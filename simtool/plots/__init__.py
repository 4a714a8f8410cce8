"""Drawings of what the commands make, one per file: `draw(table, ...) -> Figure`, named by its tables.

The parameter names of `draw` say which tables it is drawn from; with `latex(table, ...) -> str` beside it, it can be
had as a LaTeX table too. To add one, write its file: a module here that defines `draw` is a figure, and `simtool
figures`, `--save` and `.plot()` then know it. What figures share is in `style` (sizes, colours, names), `panels`,
`heatmap`, `scatter` and `rows`; no figure imports another. Drawings of the tables of analyses/ are in figures/.
"""

from simtool.plots.gallery import Gallery

COMMAND_FIGURES = Gallery((__name__,))  # what `simtool figures` draws
