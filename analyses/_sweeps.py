"""The public sweeps, and which text stands for their domains: RegMix (arXiv:2407.01492) and Data Mixing Laws
(arXiv:2403.16952). They lie beside the data folder, in `sweeps`.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from analyses import Missing
from analyses._pile import DOMAINS, share_of_pile
from simtool.mixture import Mixture, as_mixtures
from simtool.prediction.sweeps import FEWEST_RUNS, Sweep, SweepTexts, load_sweep, sweep_of

REGMIX = {
    "RegMix 1M, train": ("train_mixture_1m", "train_pile_loss_1m"),
    "RegMix 1M, test": ("test_mixture_1m", "test_pile_loss_1m"),
    "RegMix 60M": ("test_mixture_60m", "test_pile_loss_60m"),
}
ACADEMIC = (
    *("arxiv", "pubmed_abstracts", "philpapers", "nih_exporter"),
    *("freelaw", "uspto_backgrounds", "pubmed_central"),
)
# What the settings of Data Mixing Laws mix; the proportions within a group are those of the Pile
LAWS: dict[str, dict[str, Mixture]] = {
    "redpajama": {
        "common_crawl": Mixture({"pile_cc": 1.0}), "c4": Mixture({"pile_cc": 1.0}),
        "github": Mixture({"github": 1.0}), "arxiv": Mixture({"arxiv_latex": 1.0}),
        "books": Mixture({"gutenberg_pg_19": 1.0}), "stackexchange": Mixture({"stackexchange": 1.0}),
        "wikipedia": Mixture({"wikipedia_en": 1.0}),
    },
    "5mix": {
        "academic": share_of_pile(ACADEMIC),
        "prose": Mixture({"gutenberg_pg_19": 1.0}),
        "dialogue": share_of_pile(("ubuntu_irc", "europarl", "enron_emails", "hackernews")),
        "symbolic": share_of_pile(("dm_mathematics", "github")),
        "internet": share_of_pile(("pile_cc", "stackexchange", "wikipedia_en")),
    },
    "2mix": {"github": Mixture({"github": 1.0}), "pile_cc": Mixture({"pile_cc": 1.0})},
    "3mix": {
        "github": Mixture({"github": 1.0}), "pile_cc": Mixture({"pile_cc": 1.0}),
        "books3": Mixture({"gutenberg_pg_19": 1.0}),
    },
    "ct": {"pile": share_of_pile(DOMAINS), "python": Mixture({"python": 1.0})},
}  # fmt: skip


@dataclass(frozen=True)
class PublicSweep:
    """A sweep, and the corpora that stand for its domains and targets."""

    name: str
    sweep: Sweep
    texts: SweepTexts


def regmix(data: Path | None) -> list[PublicSweep]:
    folder = _folder(data, "regmix")
    sweeps = {
        name: load_sweep(folder / f"{weights}.csv", folder / f"{losses}.csv")
        for name, (weights, losses) in REGMIX.items()
    }
    return [
        PublicSweep(name, sweep, SweepTexts(as_mixtures(sweep.domains), as_mixtures(sweep.targets)))
        for name, sweep in sweeps.items()
    ]


def mixing_laws(data: Path | None, settings: tuple[str, ...] = tuple(LAWS)) -> list[PublicSweep]:
    """Every setting and model size, at the last step that all of its runs have, with the targets that have text."""
    folder = _folder(data, "mixinglaws")
    parts = []
    for setting in settings:
        table = pl.read_csv(folder / f"{setting}.csv").filter(pl.col("run") != "start")
        for size in sorted(table["model_size"].unique(), key=_millions):
            rows = _at_shared_step(table.filter(pl.col("model_size") == size))
            if rows["run"].n_unique() >= FEWEST_RUNS:
                parts.append(_law(setting, size, rows))
    return parts


def _law(setting: str, size: str, rows: pl.DataFrame) -> PublicSweep:
    text = as_mixtures((*DOMAINS, "python"))
    losses = [name for name in rows.columns if name.startswith("loss_") and name.removeprefix("loss_") in text]
    weights = [f"weight_{domain}" for domain in LAWS[setting]]
    sweep = sweep_of(rows.select("run", *weights), rows.select("run", *losses))
    targets = {target: text[target] for target in sweep.targets}
    return PublicSweep(f"{setting} {size}, step {rows['step'][0]:,}", sweep, SweepTexts(LAWS[setting], targets))


def _at_shared_step(rows: pl.DataFrame) -> pl.DataFrame:
    """The runs at the last step that all of them have; the last among those that most have where none is shared."""
    counts = rows.group_by("step").agg(pl.col("run").n_unique().alias("runs")).sort("runs", "step")
    return rows.filter(pl.col("step") == counts["step"][-1])


def _millions(size: str) -> float:
    return float(size[:-1]) * {"M": 1, "B": 1_000}[size[-1]]


def _folder(data: Path | None, name: str) -> Path:
    folder = (data or Path()).resolve().parent / "sweeps" / name
    if data is None or not folder.is_dir():
        raise Missing(f"It needs the public sweep {name} in a folder sweeps beside the data folder (--data DIR).")
    return folder
