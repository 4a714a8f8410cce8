"""What a figure looks like: sizes, fonts, and the colour, marker and name that a corpus has in every figure."""

import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from simtool.corpora.catalogue import CATALOGUE

SINGLE, DOUBLE = 3.3, 6.8  # inches: one and two columns of a paper
LETTERS_PER_INCH = 16  # of a title
PAIR = "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}"
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
# After Okabe and Ito (2008) and Tol (2021), which colour-blind readers can tell apart; black is kept for text.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999933", "#666666")


MORE_COLORS = ("#332288", "#44AA99", "#882255", "#DDCC77", "#117733", "#AA4499", "#CC6677", "#88CCEE")


def color_of(corpus: str) -> str:
    """The same colour for a corpus in every figure, with its share ("math:0.12") or without; others by their name."""
    entry = CATALOGUE.get(corpus.split(":")[0])
    return (entry and entry.color) or COLORS[sum(corpus.encode()) % len(COLORS)]


def colors_of(corpora: Iterable[str]) -> dict[str, str]:
    """A colour for each corpus of one figure: its own where the catalogue has one, and for the others what is free."""
    corpora = list(dict.fromkeys(corpora))
    own = {corpus: entry.color for corpus in corpora if (entry := CATALOGUE.get(corpus)) and entry.color}
    free = [color for color in (*COLORS, *MORE_COLORS) if color not in own.values()]
    others = [corpus for corpus in corpora if corpus not in own]
    return own | {corpus: free[i % len(free)] for i, corpus in enumerate(others)}


def marker_of(target: str) -> str:
    """The same marker for a target in every figure."""
    entry = CATALOGUE.get(target)
    return (entry and entry.marker) or "o"


def title_of(corpus: str, proxy: bool = False) -> str:
    """A corpus's name as people write it ("imdb_reviews" as "imdb reviews"), with the mark of a proxy corpus."""
    name, colon, share = corpus.rpartition(":")
    if not (colon and name in CATALOGUE):
        name, share = corpus, ""
    entry = CATALOGUE.get(name)
    title = (entry and entry.title) or (name if "." in name or "/" in name else name.replace("_", " "))
    return f"{title} {share}".rstrip() + (" *" if proxy else "")


def arm_color(arms: list[str], arm: str) -> str:
    """Of one of a study's arms; a control is black."""
    return "black" if arm.startswith("control") else COLORS[arms.index(arm) % len(COLORS)]


def wrapped(text: str, width: float) -> str:
    """A text broken into lines that fit a figure of that width in inches, in the size of titles."""
    letters = int(LETTERS_PER_INCH * width)
    # of the corpora of a pair, neither stands alone
    lines = textwrap.wrap(text.replace(" → ", PAIR), letters)
    return "\n".join(lines).replace(PAIR, " → ")


@contextmanager
def paper_style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield
