"""Colours that stand for corpora differ for readers of every sight."""

import itertools

import numpy as np
import pytest

from simtool.corpora.catalogue import CATALOGUE
from simtool.plots.style import color_of, colors_of, marker_of, title_of

# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: deuteranopia and protanopia, on linear RGB
DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, white D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    t = np.clip(xyz, 0, None) / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["full", "deuteranopia", "protanopia"])
@pytest.mark.parametrize(
    "together",
    [
        ("starcoder", "math", "flan", "knowledgeqa", "dclm"),
        ("pycode", "gsm8k", "lima", "sciq"),
        # the mixtures of the study `graded`
        ("starcoder", "math", "flan", "knowledgeqa", "math_deepmind", "imdb_reviews", "novels", "digitalgov"),
        ("starcoder", "math", "openstax_math_textbooks", "math_deepmind", "novels", "digitalgov"),
    ],
)
def test_corpora_of_one_figure_are_distinguishable_for_every_reader(sight, together):
    seen = {name: lab(np.clip(sight @ linear(color_of(name)), 0, 1)) for name in together}
    for a, b in itertools.combinations(together, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 9, (a, b)  # 2 is just visible side by side


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["full", "deuteranopia", "protanopia"])
def test_corpora_without_a_colour_get_those_that_are_free_in_their_figure(sight):
    corpora = ["starcoder", "math", "flan", "knowledgeqa", "novels", "letters", "laws", "reviews", "textbooks"]
    colors = colors_of([*corpora, "novels"])
    assert list(colors) and set(colors) == set(corpora)
    assert all(colors[name] == CATALOGUE[name].color for name in corpora[:4])
    seen = {name: lab(np.clip(sight @ linear(color), 0, 1)) for name, color in colors.items()}
    for a, b in itertools.combinations(corpora, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 9, (a, b)


def test_every_corpus_has_a_colour_of_its_own():
    colors = [entry.color for entry in CATALOGUE.values() if entry.color]
    assert len(colors) > 20 and len(set(colors)) == len(colors)
    assert color_of("mine.jsonl") == color_of("mine.jsonl")


def test_a_figure_reads_the_catalogue_entry():
    assert color_of("starcoder:0.2") == color_of("starcoder") == CATALOGUE["starcoder"].color
    assert marker_of("sciq") == CATALOGUE["sciq"].marker != marker_of("mine.jsonl")
    titles = [title_of(name) for name in ("starcoder", "starcoder:0.2", "wikipedia", "mine.jsonl:0.2")]
    assert titles == ["StarCoder", "StarCoder 0.2", "Wikipedia", "mine.jsonl:0.2"]
    assert title_of("dclm", proxy=True) == "DCLM *"
    assert title_of("imdb_reviews") == "IMDB reviews" and title_of("my_chats.jsonl") == "my_chats.jsonl"
