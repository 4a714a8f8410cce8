"""What would fail, or mislead, is said before anything is trained."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.studies.plan import REPORTED, SELECTED_ON, Plan, Study
from simtool.tokens.overlap import overlap
from simtool.tokens.store import TokenStore

if TYPE_CHECKING:
    from simtool.corpora.corpus import Corpus
    from simtool.profiles.resolve import Options
    from simtool.tokens.tokenizer import Tokenizer

Report = Callable[[Any], None]
Stores = Mapping[str, Mapping[str, TokenStore]]  # {corpus: {split: store}}
WORTH_A_WARNING = 0.05  # of a target's held-out documents standing in a training text
ENOUGH = 2_000_000  # tokens of a file: --plan reads no more of it to see whether it suffices


# ---- texts that are tokenized ----------------------------------------------------------------------------


def check_held_out(study: Study, stores: Stores) -> None:
    """Every corpus has text to train on, and one that is measured has documents held out.

    Raises
    ------
    SimtoolError
        Where a corpus has nothing to train on, or one that is measured has nothing held out.
    """
    measured = {(name, REPORTED) for name in (*study.general, *study.targets)}
    if len(study.sft_rates) > 1:
        measured |= {(target, SELECTED_ON) for target in study.targets}
    needed = [*((name, "train") for name in study.corpora), *sorted(measured)]
    empty = [(name, split) for name, split in needed if not stores[name][split].n_documents]
    if not empty:
        return
    lines = [
        f"{name} has no document in its split {split!r} (it has"
        f" {', '.join(f'{stores[name][part].n_documents} in {part!r}' for part in study.shares_of(name))})."
        for name, split in empty
    ]
    raise SimtoolError("\n".join(lines) + "\nDocuments are held out whole: give more of them, or shorter ones.")


def check_enough_text(plan: Plan, stores: Stores) -> None:
    """Every run of a plan has the text that it reads.

    Raises
    ------
    SimtoolError
        Where a run would lack text, however late; seeds and sizes read alike, so one will do.
    """
    from simtool.training.trainer import batches_of

    study = plan.study
    texts = {name: splits["train"] for name, splits in stores.items()}
    for node in plan.nodes.values():
        if (node.model, node.seed) == (study.models[0], study.seeds[0]):
            batches_of(node.recipe, texts)


def find_leaks(study: Study, stores: Stores) -> list[dict[str, Any]]:
    """How many held-out documents of each target stand nearly whole in a training text: one row per pair."""
    rows = []
    for target in study.targets:
        held_out = stores[target][REPORTED]
        for name in study.corpora:
            n = overlap(held_out, stores[name]["train"]).n_near_duplicates
            rows.append({"target": target, "text": name, "documents": held_out.n_documents, "near_duplicates": n})
    return rows


def leak_warnings(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each training text that holds more of a target's held-out documents than is harmless."""
    return [
        f"Warning: of {row['documents']} held-out documents of {row['target']}, {row['near_duplicates']}"
        f" stand nearly whole in the training text of {row['text']}."
        for row in rows
        if row["near_duplicates"] > WORTH_A_WARNING * row["documents"]
    ]


# ---- texts as they are found -----------------------------------------------------------------------------


def check_texts(plan: Plan, tokenizer: "Tokenizer", options: "Options", report: Report) -> None:
    """Whether the texts of a plan can be read and suffice, before any is tokenized.

    Corpora of the catalogue that have no text here are named in a sentence, for a plan needs none of theirs.

    Raises
    ------
    SimtoolError
        Where a file is missing, has not the field that is read, or holds too little.
    """
    from simtool.corpora.catalogue import CATALOGUE
    from simtool.profiles.resolve import local_text

    absent = []
    for name, tokens in tokens_needed(plan).items():
        text = local_text(name, options)
        if text is None:
            absent.append(name)
        elif name not in CATALOGUE:
            _check_amount(
                name, tokens, _tokens_held(text, min(tokens, ENOUGH), tokenizer, options.skip_bad), plan.study
            )
    if absent:
        report(f"No text here of {', '.join(absent)}: name its folder with --data, or it is fetched from the hub.")


def tokens_needed(plan: Plan) -> dict[str, int]:
    """{corpus: tokens of it that the study must be able to read}: what an arm reads, read `max_epochs` times at most,
    and what is held out beside it; of a target, one."""
    study = plan.study
    reads: dict[str, float] = {}
    for node in plan.nodes.values():
        of_arm: dict[str, float] = {}
        for phase in node.recipe.phases:
            for name, share in phase.mixture.weights.items():
                of_arm[name] = of_arm.get(name, 0.0) + share * (phase.tokens or 0)
        reads |= {name: max(tokens, reads.get(name, 0.0)) for name, tokens in of_arm.items()}
    return {
        name: max(round(reads.get(name, 0.0) / study.max_epochs / study.shares_of(name)["train"]), 1)
        for name in study.corpora
    }


def _tokens_held(text: "Corpus", most: int, tokenizer: "Tokenizer", skip_bad: bool = False) -> int:
    """Tokens of a text, counted no further than `most`."""
    from simtool.corpora.reading import Reading

    n_tokens = 0
    for documents in text.batches(reading=Reading(skip_bad)):
        for few in _portions([document.text for document in documents]):
            n_tokens += len(tokenizer.encode(few)[0])
            if n_tokens >= most:
                return n_tokens
    return n_tokens


def _portions(texts: list[str], size: int = 100) -> Iterator[list[str]]:
    return (texts[at : at + size] for at in range(0, len(texts), size))


def _check_amount(name: str, needed: int, held: int, study: Study) -> None:
    if held < min(needed, ENOUGH):
        raise SimtoolError(
            f"{name} is too small: it holds {held:,} tokens, and the study needs {needed:,} (read"
            f" {study.max_epochs:g} times at most, with what is held out).\nAdd text, or plan for fewer tokens:"
            " --train-tokens."
        )
