"""Everything known by name, from the catalogues themselves: a page of the documentation, made with it (hooks.py)."""

from collections.abc import Iterable, Sequence

from simtool.corpora.catalogue import CATALOGUE
from simtool.exports.exporters import EXPORTERS
from simtool.prediction.predictors import PREDICTORS
from simtool.profiles.features import FEATURES
from simtool.published import PUBLISHED
from simtool.similarity.metrics import METRICS
from simtool.studies.presets import PRESETS
from simtool.tokens.catalogue import TOKENIZERS
from simtool.training.schedules import SCHEDULES
from simtool.training.sizes import SIZES

BAR = r"\|"  # as markdown has it inside a table
ROLES = {"general": "general text", "specialised": "mixed in", "sft": "target"}


def page() -> str:
    """The page: a table for each kind of thing."""
    parts = [
        "# Known by name",
        "## Corpora",
        table(("name", "role", "profile ships", "what it is", "licence"), corpora()),
        "## Published mixtures",
        "Used wherever a mixture is: `--pretrain smollm3-stage1`. `simtool corpora NAME` shows the shares.",
        table(("name", "what it is", "corpora", "where it was said"), published()),
        "## Metrics",
        table(
            ("name", "more similar", "when to use it", "source"),
            ((f"`{m.name}`", f"{m.alike}er", m.about, m.source) for m in METRICS.values()),
        ),
        "## Features",
        table(("name", "what is counted"), ((f"`{f.name}`", f.about) for f in FEATURES.values())),
        "## Predictors",
        "A metric on a feature predicts as well: `cross_entropy.skeleton2`.",
        table(
            ("name", "what it is", "source"),
            ((f"`{p.name}`", p.about, p.source) for p in PREDICTORS.values() if p.metric is None),
        ),
        "## Studies",
        table(("name", "what it asks"), ((f"`{name}`", make().about) for name, make in PRESETS.items())),
        "## Model sizes",
        table(("name", "layers", "width", "heads", "parameters without embeddings", "peak rate"), sizes()),
        "## Learning-rate schedules",
        table(("name", "shape"), ((f"`{name}`", first_line(shape.__doc__)) for name, shape in SCHEDULES.items())),
        "## Exports",
        table(("name", "what is written", "its form is that of"), exports()),
        "## Tokenizers",
        table(("name", "what it is"), ((f"`{name}`", entry.about) for name, entry in TOKENIZERS.items())),
    ]
    return "\n\n".join(parts) + "\n"


def corpora() -> Iterable[Sequence[str]]:
    for name, entry in CATALOGUE.items():
        ships = "yes" if entry.has_reference else "no"
        yield f"`{name}`", ROLES[entry.role], ships, entry.about, entry.licence


def sizes() -> Iterable[Sequence[str]]:
    for name, size in SIZES.items():
        shape = size.shape
        counts = (f"{number:,}" for number in (shape.n_layers, shape.width, shape.n_heads, shape.n_parameters))
        yield f"`{name}`", *counts, f"{size.defaults.learning_rate:g}"


def published() -> Iterable[Sequence[str]]:
    for name, mixture in PUBLISHED.items():
        yield f"`{name}`", mixture.about, str(len(mixture.weights)), mixture.source


def exports() -> Iterable[Sequence[str]]:
    return ((f"`{name}`", entry.about, entry.source) for name, entry in EXPORTERS.items())


def first_line(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(table_line, (header, ["---"] * len(header), *rows)))


def table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"
