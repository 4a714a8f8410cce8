"""Fine-tuning with honest selection: settings selected on one split, reported on another, every run recorded."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError
from simtool.integrity import with_hash
from simtool.runs.run import loss_parts, measure, run_name
from simtool.tables import atomic_write, provenance
from simtool.tokens.store import TokenStore
from simtool.training.recipes import Recipe
from simtool.training.trainer import PLAIN, Execution, train


@dataclass(frozen=True)
class FineTuningSweep:
    """Every run of a sweep, one row per run and split, and the best of them.

    rows      what was tried: learning_rate, epochs, selected, split, loss_on, nats_per_token, bits_per_byte ...
    best      the recipe with the lowest loss on the selection split
    reported  its losses on the report split, which took no part in the selection
    """

    rows: tuple[Mapping[str, Any], ...]
    best: Recipe
    reported: tuple[Mapping[str, Any], ...]


def sweep_fine_tuning(
    recipe: Recipe,
    stores: Mapping[str, TokenStore],
    selection: TokenStore,
    reported_on: TokenStore,
    folder: Path,
    learning_rates: Sequence[float],
    epochs: Sequence[int] = (),
    execution: Execution = PLAIN,
    parents: Sequence[Path] = (),
    report: Callable[[Any], None] = lambda message: None,
) -> FineTuningSweep:
    """Run the last phase of a recipe with each learning rate and number of epochs; select on one split only.

    Rows go to FOLDER/sweep.jsonl.

    Parameters
    ----------
    selection
        What is selected on, by the loss that SFT trains on (response or text).
    reported_on
        What is reported for the selected run; it must be another split.

    Raises
    ------
    SimtoolError
        When both splits are one, or share documents; when the recipe does not end with SFT.
    """
    check_disjoint(selection, reported_on)
    sft = recipe.phases[-1]
    if not sft.is_sft:
        raise SimtoolError(f"The last phase of the recipe must be SFT. It is {sft.name!r}.")
    loss_on = _selected_by(recipe, stores, selection)
    losses_folder = Path(folder) / "losses"
    rows, tried = [], {}
    for rate, n in product(learning_rates, epochs or (sft.epochs,)):
        variant = replace(recipe, phases=(*recipe.phases[:-1], replace(sft, learning_rate=rate, epochs=n)))
        run = Path(folder) / run_name(rate, n)
        checkpoint = train(variant, stores, run, execution, parents, report).checkpoint
        for losses in measure(checkpoint, [selection], losses_folder, execution, variant, None, report):
            rows.append({"learning_rate": rate, "epochs": n, "selected": False, **losses.row()})
            if losses.loss_on == loss_on:
                tried[losses.nats_per_token, rate, n] = (variant, checkpoint)
    lowest = min(tried)
    best, checkpoint = tried[lowest]
    for row in rows:
        row["selected"] = (row["learning_rate"], row["epochs"]) == lowest[1:]
    after = measure(checkpoint, [reported_on], losses_folder, execution, best, None, report)
    settings = {"learning_rate": lowest[1], "epochs": lowest[2], "selected": True}
    reported = [{**settings, **losses.row()} for losses in after]
    with atomic_write(Path(folder) / "sweep.jsonl") as temporary:
        facts = provenance(recipe=best.fingerprint, selected_on=selection.split, selected_by=loss_on)
        temporary.write_text("".join(json.dumps(with_hash({**row, **facts})) + "\n" for row in [*rows, *reported]))
    return FineTuningSweep(tuple(rows), best, tuple(reported))


def _selected_by(recipe: Recipe, stores: Mapping[str, TokenStore], selection: TokenStore) -> str:
    """What SFT trains on, where the selection split has it; else whole texts."""
    sft = recipe.phases[-1]
    trained_on = sft.train_on or stores[next(iter(sft.mixture.weights))].train_on
    return trained_on if trained_on in loss_parts(selection) else "text"


def check_disjoint(selection: TokenStore, reported_on: TokenStore) -> None:
    """What selects and what is reported on have no document in common.

    Raises
    ------
    SimtoolError
        Where they have.
    """
    common = set(selection.hashes.tolist()) & set(reported_on.hashes.tolist())
    if selection.fingerprint == reported_on.fingerprint or common:
        raise SimtoolError(
            f"What is reported must not be what was selected on: {selection.corpus} {selection.split!r} and"
            f" {reported_on.split!r} have {len(common):,} documents in common. Name two splits."
        )
