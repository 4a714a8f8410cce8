"""Every figure draws from tables of the columns it is promised, with nothing cut off, and says what it is."""

import ast
import itertools
import re
from pathlib import Path

import pytest
from matplotlib.text import Text

from figures import ALL_FIGURES
from figures.__main__ import TABLES, main
from simtool.errors import SimtoolError
from simtool.plots.style import DOUBLE, paper_style
from tests.plots.example_tables import MADE_UP, table


def assert_nothing_overlaps(figure, name: str) -> None:
    assert figure.get_figwidth() <= DOUBLE or name == "similarity_matrix"
    renderer = figure._get_renderer()
    page = figure.bbox
    if figure._suptitle is not None:
        box = figure._suptitle.get_window_extent(renderer)
        assert box.x0 >= page.x0 and box.x1 <= page.x1, (name, figure._suptitle.get_text())
    for axes in figure.axes:
        box = axes.get_tightbbox(renderer)
        inside = box.x0 >= page.x0 - 2 and box.y0 >= page.y0 - 2 and box.x1 <= page.x1 + 2 and box.y1 <= page.y1 + 2
        assert inside, (name, axes.get_title(), box)
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
            boxes = [label.get_window_extent(renderer) for label in labels if not label.get_rotation() % 90]
            shown = [box for box in boxes if axes.bbox.x0 - 80 <= box.x0 <= axes.bbox.x1]
            for a, b in itertools.pairwise(shown):
                assert not a.overlaps(b) or a.width * b.width == 0, (name, axes.get_title())


@pytest.mark.parametrize("name", ALL_FIGURES.names())
def test_every_figure_draws_in_the_width_of_a_column_with_nothing_cut_or_overlapping(name):
    figure = ALL_FIGURES.figure(name, *map(table, ALL_FIGURES.tables_of(name)))
    with paper_style():  # ticks that are made while measuring have its letters, too
        figure.draw_without_rendering()
        assert_nothing_overlaps(figure, name)
    for text in figure.findobj(Text):  # internal names do not leak
        assert not re.search(r"[a-z]_[a-z]|token\.token|[a-z]\.skeleton", text.get_text()), text
    sizes = [text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
    assert min(sizes) >= 3.8, name  # points


def test_every_figure_has_a_sentence():
    for name in ALL_FIGURES.names():
        assert ALL_FIGURES.find(name).__doc__.split("\n")[0].rstrip('"').endswith((".", ":", ",")), name


def test_a_figure_named_after_a_table_draws_that_table():
    tables = {*MADE_UP, *(path.stem for path in TABLES.glob("*.csv"))}
    for name in tables & set(ALL_FIGURES.names()):
        assert name in ALL_FIGURES.tables_of(name), name


def test_no_figure_imports_another():
    figures = set(ALL_FIGURES.modules().values())
    for name, module in ALL_FIGURES.modules().items():
        tree = ast.parse(Path(ALL_FIGURES.find(name).__file__).read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not (imported - {module}) & figures, name


def test_latex_of_the_published_losses():
    text = ALL_FIGURES.find("published_losses").latex(table("published_results"))
    assert r"StarCoder 20\% & 2.091 & 0.944 & 3.422 & 3.261 \\" in text
    assert r"FLAN 5\% & -- & -- & " in text  # not published at 1B


def test_the_gallery_draws_what_is_named_and_refuses_what_is_unknown(tmp_path, capsys):
    main(["study_cost", "--out", str(tmp_path)])
    assert capsys.readouterr().out == f"study_cost: study_cost.png, study_cost.svg, study_cost.pdf in {tmp_path}\n"
    main(["published_losses", "--format", "latex", "--out", str(tmp_path)])
    assert (tmp_path / "published_losses.tex").read_text().startswith(r"\begin{table}")
    with pytest.raises(SimtoolError, match=r"Unknown figure 'ceiling'. Did you mean 'ceilings'"):
        main(["ceiling"])
