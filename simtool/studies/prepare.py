"""What a study needs before its runs: a folder of its own, texts as ids, leaks looked for, a prediction written down.

A prepared folder can be copied to a machine with torch, numpy, safetensors, transformers, tokenizers, typer and rich
alone, and its command repeated there: whatever reads or counts text is imported only where something is missing.
"""

import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simtool.errors import SimtoolError
from simtool.integrity import checked, damage_as_message, read_json
from simtool.progress import PredictionWritten
from simtool.studies.checks import Stores, check_held_out, find_leaks, leak_warnings
from simtool.studies.plan import (
    SHARES,
    Node,
    Plan,
    Study,
    plan,
    study_from_json,
    study_to_json,
)
from simtool.tables import provenance, save_json
from simtool.tokens.store import TokenStore, load_store, stores_by_name

if TYPE_CHECKING:
    from simtool.prediction.predict import Prediction
    from simtool.profiles.resolve import Options

Report = Callable[[Any], None]
RUN_FACTS = ("simtool", "made", "python", "commit")
REMEDY = "Remove it and repeat the study's command: it is written anew, and no run is lost."


def prepare(study: Study, folder: Path, options: "Options | None", report: Report) -> Stores:
    """The stores of a study; what its folder lacks is written. The folder must be locked.

    Parameters
    ----------
    options
        How texts are found and counted; None: the folder is prepared, and nothing is read but itself.

    Raises
    ------
    SimtoolError
        Where the folder belongs to another study, where a text cannot be had, and, without options, where the folder
        is not prepared.
    """
    bind_folder(study, folder)
    if options is None and not is_prepared(folder):
        raise SimtoolError(f"{folder} is not prepared: its texts are not tokenized, or nothing is predicted yet.")
    if not (folder / "prediction.json").exists():
        if options is None:
            raise SimtoolError(
                f"{folder / 'prediction.json'} is missing, and a prediction is made before training only. Put it back,"
                " or give the study another folder with --out and its runs with --runs: none is trained again."
            )
        from simtool.prediction.predict import save_prediction

        report("Predicting from the corpora alone, before anything is trained")
        save_prediction(predict_study(study, options), folder / "prediction.json")
        report(PredictionWritten(folder / "prediction.json"))
    stores = tokenize_texts(study, folder, options)
    check_held_out(study, stores)
    warn_of_leaks(study, stores, folder, report)
    if not is_prepared(folder):
        fingerprint = tokenizer_fingerprint(stores)
        save_json({"tokenizer_fingerprint": fingerprint, **run_facts()}, folder / "prepared.json")
    return stores


def is_prepared(folder: Path) -> bool:
    """Whether a study's folder holds all that its runs need."""
    return (Path(folder) / "prepared.json").exists()


# ---- the folder ------------------------------------------------------------------------------------------


def bind_folder(study: Study, folder: Path) -> None:
    """The folder belongs to one study, whose plan is in study.json.

    Raises
    ------
    SimtoolError
        Where the folder is another's.
    """
    path, content = Path(folder) / "study.json", study_to_json(study)
    if not path.exists():
        save_json({"study": content, **run_facts()}, path)
        return
    existing = study_to_json(find_study(folder))
    if existing != content:
        differs = sorted(name for name in {*existing, *content} if existing.get(name) != content.get(name))
        raise SimtoolError(
            f"{folder} holds another study ({existing.get('name')}; differs in {', '.join(differs)}).\n"
            "Name another folder with --out, or repeat the settings of the first."
        )


def find_study(folder: Path) -> Study:
    """The study of a folder.

    Raises
    ------
    SimtoolError
        When there is none.
    """
    path = Path(folder) / "study.json"
    if not path.exists():
        raise SimtoolError(f"No study at {folder}: it has no study.json.")
    with damage_as_message(path, REMEDY):
        return study_from_json(checked(read_json(path), {"study", *RUN_FACTS})["study"])


def run_facts() -> dict[str, Any]:
    """Provenance of what a study writes: version, time, Python, commit."""
    return provenance(python=platform.python_version(), commit=_commit())


def _commit() -> str | None:
    """The commit of simtool's own source, where it runs from a checkout; never that of a repository around it."""
    root = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel", "--short=12", "HEAD"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    toplevel, _, commit = process.stdout.strip().partition("\n")
    return commit if commit and Path(toplevel).resolve() == root else None


# ---- texts -----------------------------------------------------------------------------------------------


def options_of_study(study: Study, options: "Options") -> "Options":
    """How the texts of a study are found and written.

    Raises
    ------
    SimtoolError
        Where the options name another chat template than the study: what its folder holds must say so.
    """
    if options.chat_template not in (None, "none", study.chat_template):
        raise SimtoolError(
            f"The options say chat template {options.chat_template}, the study {study.chat_template or 'none'}.\n"
            "Say it of the study: dataclasses.replace(study, chat_template=...)."
        )
    return replace(options, tokenizer=study.tokenizer, chat_template=study.chat_template)


def tokenize_texts(study: Study, folder: Path, options: "Options | None") -> dict[str, dict[str, TokenStore]]:
    """{corpus: {split: store}} of a study's corpora, written to FOLDER/stores where they do not exist yet."""
    root, fingerprint = Path(folder) / "stores", fingerprint_of_study(study, folder, options)
    stores = {}
    for name in study.corpora:
        folders = stores_by_name(root, name, fingerprint)
        # a folder that was carried to another machine has its ids with it, and needs no text
        if set(SHARES) <= set(folders):
            stores[name] = {split: load_store(folders[split]) for split in SHARES}
            if options is not None:
                _check_unchanged(name, stores[name], options_of_study(study, options))
        elif options is not None:
            from simtool.runs.texts import tokenize

            own = options_of_study(study, options)
            stores |= tokenize([name], root, own, study.shares_of(name), study.texts[name])
        else:
            raise SimtoolError(f"The ids of {name} are missing in {root}. Copy the whole folder of the study.")
    return stores


def _check_unchanged(name: str, splits: Mapping[str, TokenStore], options: "Options") -> None:
    """The files of a corpus, and what writes its chats, are those that the study has tokenized.

    Raises
    ------
    SimtoolError
        Where they are others by now.
    """
    from simtool.profiles.resolve import local_text
    from simtool.runs.texts import file_content

    text, facts = local_text(name, options), next(iter(splits.values())).facts
    now, template = file_content(text), text and text.template and text.template.identity()
    if facts.get("content") and now and (facts["content"], facts.get("template")) != (now, template):
        is_text = facts["content"] != now
        what = (
            f"{name} has changed since the study tokenized it"
            if is_text
            else (f"The chat template {options.chat_template} has changed since the study wrote its chats by it")
        )
        raise SimtoolError(
            f"{what}, and its records are of the earlier text.\n"
            "Name another folder with --out, or put the earlier text back."
        )


def fingerprint_of_study(study: Study, folder: Path, options: "Options | None") -> str:
    """Of the study's tokenizer, which a prepared folder need not load."""
    if is_prepared(folder):
        path = Path(folder) / "prepared.json"
        with damage_as_message(path, REMEDY):
            return checked(read_json(path), {"tokenizer_fingerprint", *RUN_FACTS})["tokenizer_fingerprint"]
    from simtool.tokens.tokenizer import load_tokenizer

    return load_tokenizer(study.tokenizer, options.data if options else None).fingerprint


def tokenizer_fingerprint(stores: Stores) -> str:
    """The fingerprint that all stores of a study share."""
    return next(iter(stores.values()))["train"].tokenizer_fingerprint


def warn_of_leaks(study: Study, stores: Stores, folder: Path, report: Report) -> None:
    """How much of what is held out also stands in training texts: written to leaks.json, and said where it is much."""
    path = Path(folder) / "leaks.json"
    if not path.exists():
        save_json({"rows": find_leaks(study, stores), **run_facts()}, path)
    with damage_as_message(path, REMEDY):
        sentences = leak_warnings(checked(read_json(path), {"rows", *RUN_FACTS})["rows"])
    for sentence in sentences:
        report(sentence)


# ---- the plan --------------------------------------------------------------------------------------------


def plan_runs(study: Study, stores: Stores, only: Iterable[str] = ()) -> Plan:
    """The plan of a study whose texts are tokenized; with patterns, the part that matches one of them."""
    sft_tokens = {target: stores[target]["train"].n_tokens for target in study.targets}
    return select(plan(study, tokenizer_fingerprint(stores), sft_tokens), only)


def plan_ahead(study: Study, tokenizer: Any, options: "Options", only: Iterable[str] = ()) -> Plan:
    """The plan before any text is tokenized: an epoch of each target by its profile's mean length of a document, or by
    what the study takes of it.

    Raises
    ------
    SimtoolError
        Where a target has neither.
    """
    from simtool.corpora.catalogue import CATALOGUE
    from simtool.mixture import as_mixtures
    from simtool.profiles.resolve import find_profiles

    tokens = {target: study.texts[target] for target in study.targets}
    unlimited = [target for target, n in tokens.items() if n is None]
    own = options_of_study(study, options)
    for name, result in find_profiles(as_mixtures(unlimited), ["token"], own).items():
        size = result.profile.size
        entry = CATALOGUE.get(name)
        n_examples = (entry and entry.n_examples) or size["documents"]
        tokens[name] = round(n_examples * size["tokens"] / size["documents"])
    epochs = {target: round(study.target_shares["train"] * (n or 0)) for target, n in tokens.items()}
    return select(plan(study, tokenizer.fingerprint, epochs), only)


def select(whole: Plan, only: Iterable[str]) -> Plan:
    """The part of a plan that matches one of these patterns.

    Raises
    ------
    SimtoolError
        Where nothing does.
    """
    study, patterns = whole.study, tuple(only)
    if not patterns:
        return whole
    keys = [key for key, node in whole.nodes.items() if node.target and _matches(node, patterns)]
    if not keys:
        raise SimtoolError(
            f"Nothing of the study matches {' '.join(patterns)}.\nArms: {', '.join(arm.name for arm in study.arms)}."
            f" Targets: {', '.join(study.targets)}. Write --only 'ARM', 'ARM/TARGET' or 'seed 0'; * stands for any."
        )
    return whole.restricted(keys)


def _matches(node: Node, patterns: Iterable[str]) -> bool:
    names = {f"seed {node.seed}", node.target, node.model, *node.ends, *(f"{arm}/{node.target}" for arm in node.ends)}
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


# ---- the prediction --------------------------------------------------------------------------------------


def counting_options(study: Study, options: "Options") -> "Options":
    """How the corpora of a study are counted: no more of each than distinguishes them."""
    from simtool.profiles.count import Budget

    return replace(options_of_study(study, options), budget=Budget(tokens=study.profiled, at_most=True))


def predict_study(study: Study, options: "Options", predictor: str = "auto", resamples: int = 1000) -> "Prediction":
    """What the corpora alone say of each mixture and target of the study, before anything is trained."""
    from simtool.prediction.predict import build_question, predict

    question = build_question(
        study.pretrain,
        study.mixtures(),
        study.targets,
        predictor,
        resamples=resamples,
        options=counting_options(study, options),
        more_features=("token",),  # counted once for the matrix of the study, too
    )
    return predict(question, predictor)
