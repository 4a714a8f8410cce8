"""Fine-tuning with honest selection: settings chosen on one split, reported on another, every run recorded."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError
from simtool.runs.run import counted_parts, measure, run_name
from simtool.tables import atomic_write, provenance
from simtool.tokens.store import TokenStore
from simtool.training.recipes import Recipe
from simtool.training.trainer import PLAIN, Execution, train


@dataclass(frozen=True)
class Sweep:
    """Every run of a sweep, one row each and split, and the one that was chosen.

    rows      what was tried: learning_rate, epochs, split, counted, nats_per_token, bits_per_byte ...
    chosen    the recipe with the lowest loss on the selection split
    reported  its losses on the report split, which took no part in the choice
    """

    rows: tuple[Mapping[str, Any], ...]
    chosen: Recipe
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
) -> Sweep:
    """Run the last phase of a recipe with every learning rate and number of epochs; choose on one split only.

    selection     what the choice is made on, by the loss that SFT trains on (response or text)
    reported_on   what is reported for the chosen run; it must be another split

    Rows are kept in FOLDER/sweep.jsonl. Raises SimtoolError when both splits are one, or share documents.
    """
    check_apart(selection, reported_on)
    sft = recipe.phases[-1]
    if not sft.is_sft:
        raise SimtoolError(f"The last phase of the recipe must be SFT. It is {sft.name!r}.")
    asked = sft.train_on or stores[next(iter(sft.mixture.weights))].train_on
    counted = asked if asked in counted_parts(selection) else "text"
    rows, tried = [], {}
    for rate in learning_rates:
        for n in epochs or (sft.epochs,):
            one = replace(recipe, phases=(*recipe.phases[:-1], replace(sft, learning_rate=rate, epochs=n)))
            place = Path(folder) / run_name(rate, n)
            checkpoint = train(one, stores, place, execution, parents, report).checkpoint
            for losses in measure(checkpoint, [selection], Path(folder) / "losses", execution, one, None, report):
                rows.append({"learning_rate": rate, "epochs": n, "chosen": False, **losses.row()})
                if losses.counted == counted:
                    tried[losses.nats_per_token, rate, n] = (one, checkpoint)
    best = min(tried)
    chosen, checkpoint = tried[best]
    for row in rows:
        row["chosen"] = (row["learning_rate"], row["epochs"]) == best[1:]
    after = measure(checkpoint, [reported_on], Path(folder) / "losses", execution, chosen, None, report)
    reported = [{"learning_rate": best[1], "epochs": best[2], "chosen": True, **losses.row()} for losses in after]
    with atomic_write(Path(folder) / "sweep.jsonl") as temporary:
        facts = provenance(recipe=chosen.fingerprint, selected_on=selection.split, selected_by=counted)
        temporary.write_text("".join(json.dumps({**row, **facts}) + "\n" for row in [*rows, *reported]))
    return Sweep(tuple(rows), chosen, tuple(reported))


def check_apart(selection: TokenStore, reported_on: TokenStore) -> None:
    """Raises SimtoolError unless the two have no document in common."""
    common = set(selection.hashes.tolist()) & set(reported_on.hashes.tolist())
    if selection.fingerprint == reported_on.fingerprint or common:
        raise SimtoolError(
            f"What is reported must not be what was selected on: {selection.corpus} {selection.split!r} and"
            f" {reported_on.split!r} have {len(common):,} documents in common. Name two splits."
        )
