"""The figures of analyses/ and of what the commands make, as one gallery: `python -m figures` draws it.

Each draws tables and computes nothing: a file here with `draw(table, ...)` is a figure (simtool.plots has the rules).
README.md shows what came out.
"""

from simtool.plots.gallery import Gallery

ALL_FIGURES = Gallery(("simtool.plots", __name__))
