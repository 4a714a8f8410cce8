"""What a figure looks like: sizes, fonts, and the colour, marker and name that a corpus has in every figure."""

from collections.abc import Iterator
from contextlib import contextmanager

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


def arm_color(arms: list[str], arm: str) -> str:
    """Of one of a study's arms; a control is black."""
    return "black" if arm.startswith("control") else COLORS[arms.index(arm) % len(COLORS)]


@contextmanager
def paper_style() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield
