"""Which rows of a study's tables are drawn."""

import polars as pl

from simtool.plots.style import title_of

DESIGNS = {
    "paper": "as in the paper",
    "confounded": "as in the paper (confounded)",
    "exposure": "with exposure held fixed",
    "rate": "with rate held fixed",
    "both": "with both held fixed",
}


def largest_size(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of the last size: studies list their sizes from small to large."""
    return table.filter(table["size"] == table["size"].unique(maintain_order=True)[-1])


def first_design(table: pl.DataFrame) -> str:
    """The paper's design where it was run, else the first."""
    designs = table["design"].unique(maintain_order=True).to_list()
    return "paper" if "paper" in designs else designs[0]


def earliest(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per mixture, weight and target: a mixture that has several starts is shown with its earliest."""
    return rows.sort("start", maintain_order=True).unique(
        ["mix", "weight", "target"], keep="first", maintain_order=True
    )


def designs_of(rows: pl.DataFrame) -> list[str]:
    """The designs that were run, in the order in which one more thing is held fixed."""
    run = rows["design"].unique(maintain_order=True).to_list()
    return sorted(run, key=lambda name: list(DESIGNS).index(name) if name in DESIGNS else len(DESIGNS))


def held_fixed(designs: list[str], mixed_in: str) -> str:
    """What the names of the designs mean; empty where only the paper's was run."""
    meanings = {"exposure": f"exposure: tokens of {mixed_in} read", "rate": "rate: the learning rate they are read at"}
    named = [name for name in meanings if name in designs or "both" in designs]
    return "; ".join(meanings[name] for name in named)


def timing_finding(rows: pl.DataFrame) -> str:
    """What the first and the last start are worth, design by design, at the share that most cells have; on the target
    that gains most.

    Parameters
    ----------
    rows
        Of `study_timing`, one size.
    """
    gains = rows.group_by("target", maintain_order=True).agg(pl.col("relative_improvement").mean())
    target = gains.sort("relative_improvement", descending=True, maintain_order=True)["target"][0]
    weight = rows["weight"].mode().sort()[-1]
    parts = []
    for design in designs_of(rows):
        own = rows.filter(pl.col("target") == target, pl.col("design") == design).sort("start")
        at_share = own.filter(pl.col("weight") == weight)
        # there, the share is raised as the start is later, so that as much is read of it
        exposure = at_share["special_tokens"].first()
        own = own.filter(pl.col("special_tokens") == exposure) if design == "exposure" else at_share
        if own["start"].n_unique() > 1:
            first, last = own["relative_improvement"][0] * 100, own["relative_improvement"][-1] * 100
            parts.append(f"{first:.1f}% to {last:.1f}% {DESIGNS.get(design, design)}")
    starts = f"{rows['start'].min():.0%} to {rows['start'].max():.0%}"
    return f"From a start at {starts}, improvement on {title_of(target)} goes from {'; '.join(parts)}"
