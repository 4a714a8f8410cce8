"""Which rows of a study's tables are drawn."""

import polars as pl

DESIGNS = {
    "paper": "as in the paper",
    "confounded": "as in the paper (confounded)",
    "exposure": "equal special tokens",
    "rate": "equal learning rate",
    "both": "equal tokens and rate",
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
