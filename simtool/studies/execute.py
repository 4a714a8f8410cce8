"""Run a study: texts to ids, predictions written down, every node of the plan trained once and measured, all recorded.

A node that is done says so in its folder (`node`). So a study that is interrupted goes on with what is not done, and
studies that share a folder of runs share what they have in common.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simtool import executor
from simtool.errors import SimtoolError
from simtool.progress import NodeFinished
from simtool.studies.plan import (
    REPORTED,
    SELECTED_ON,
    SHARES,
    Node,
    Plan,
    Study,
    plan,
    study_from_json,
    study_to_json,
    text_tokens,
)
from simtool.studies.worker import result_there, run_nodes
from simtool.tables import atomic_write, provenance
from simtool.tokens.store import TokenStore, load_store, overlap, store_folder
from simtool.tokens.tokenizer import load_tokenizer
from simtool.training.recipes import recipe_to_json

if TYPE_CHECKING:
    from simtool.prediction.predict import Prediction
    from simtool.profiles.resolve import Options

Report = Callable[[Any], None]
REPLICAS = 16  # side by side on one GPU, of models below SMALL parameters (70m has 19 million beside embeddings)
SMALL = 20_000_000
MANY = 0.05  # of a target's held-out documents standing in a training text: worth a warning


@dataclass(frozen=True)
class Place:
    """How and where a study runs; nothing here changes what comes out of it but rounding on another device.

    runs         folder of runs; other studies may share it
    only         patterns of "arm", "arm/target" or "seed N": run what matches one, and what it goes on from
    replicas     leaves of one parent and target (rates, and seeds of SFT) that are trained as one batched model;
                 0: 16 of models up to 70m on a GPU, which one of them leaves idle, and 1 elsewhere
    keep_leaves  keep the weights after SFT too; then leaves are trained one by one
    """

    device: str = "auto"
    workers: int = 0
    engine: Literal["local", "ray"] = "local"
    runs: Path | None = None
    only: tuple[str, ...] = ()
    replicas: int = 0
    keep_leaves: bool = False


# ---- before it runs --------------------------------------------------------------------------------------


def claim(study: Study, folder: Path) -> Study:
    """The folder belongs to one study, whose plan is in study.json. Raises SimtoolError where it is another's."""
    path = folder / "study.json"
    told = study_to_json(study)
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))["study"]
        if there != told:
            differs = sorted(name for name in {*there, *told} if there.get(name) != told.get(name))
            raise SimtoolError(
                f"{folder} holds another study ({there.get('name')}; differs in {', '.join(differs)}).\n"
                "Name another folder with --out, or repeat the settings of the first."
            )
    else:
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"study": told, **_facts()}, indent=2) + "\n", encoding="utf-8")
    return study


def study_of(folder: Path) -> Study:
    """The study of a folder. Raises SimtoolError when there is none."""
    path = Path(folder) / "study.json"
    try:
        return study_from_json(json.loads(path.read_text(encoding="utf-8"))["study"])
    except FileNotFoundError as error:
        raise SimtoolError(f"No study at {folder}: it has no study.json.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SimtoolError(f"{path} cannot be read: {error}.") from error


def tokenized(study: Study, folder: Path, options: "Options") -> dict[str, dict[str, TokenStore]]:
    """{corpus: {split: store}} of every corpus of the study, made in FOLDER/stores where they are not there yet."""
    from simtool.runs.texts import tokenize

    root, named = folder / "stores", load_tokenizer(study.tokenizer, options.data)
    found = {}
    for name in study.corpora:
        folders = {split: store_folder(root, name, split, named.fingerprint) for split in SHARES}
        # a folder that was carried to another machine has its ids with it, and needs no text
        if all((one / "header.json").exists() for one in folders.values()):
            found[name] = {split: load_store(one) for split, one in folders.items()}
        else:
            wanted = replace(options, tokenizer=study.tokenizer)
            found |= tokenize([name], root, wanted, study.shares_of(name), study.texts[name])
    return found


def leaks(study: Study, stores: Mapping[str, Mapping[str, TokenStore]]) -> list[dict[str, Any]]:
    """How many held-out documents of each target stand nearly whole in a training text: a row a pair."""
    rows = []
    for target in study.targets:
        for name in study.corpora:
            found = overlap(stores[target][REPORTED], stores[name]["train"])
            n = stores[target][REPORTED].n_documents
            rows.append({"target": target, "text": name, "documents": n, "near_duplicates": found.n_near_duplicates})
    return rows


def planned(study: Study, stores: Mapping[str, Mapping[str, TokenStore]], only: Iterable[str] = ()) -> Plan:
    fingerprint = next(iter(stores.values()))["train"].tokenizer_fingerprint
    return restricted(plan(study, fingerprint, {t: stores[t]["train"].n_tokens for t in study.targets}), only)


def restricted(whole: Plan, only: Iterable[str]) -> Plan:
    """The part of a plan that matches one of these patterns. Raises SimtoolError where nothing does."""
    study, patterns = whole.study, tuple(only)
    if not patterns:
        return whole
    kept = [key for key, node in whole.nodes.items() if node.target and _matches(node, patterns)]
    if not kept:
        raise SimtoolError(
            f"Nothing of the study matches {' '.join(patterns)}.\nArms: {', '.join(arm.name for arm in study.arms)}."
            f" Targets: {', '.join(study.targets)}. Write --only 'ARM', 'ARM/TARGET' or 'seed 0'; * stands for any."
        )
    return whole.restricted(kept)


def foreseen(study: Study, tokenizer: Any, options: "Options", only: Iterable[str] = ()) -> Plan:
    """The plan before any text is tokenized: an epoch of each target by its profile's mean length of a document, or by
    what the study takes of it. Raises SimtoolError where a target has neither."""
    from simtool.corpora.catalogue import CATALOGUE
    from simtool.mixture import as_mixtures
    from simtool.profiles.resolve import find_profiles

    known = {target: study.texts[target] for target in study.targets}
    unknown = [target for target, n in known.items() if n is None]
    wanted = replace(options, tokenizer=study.tokenizer)
    sizes = {name: found.profile.size for name, found in find_profiles(as_mixtures(unknown), ["token"], wanted).items()}
    for name, size in sizes.items():
        entry = CATALOGUE.get(name)
        n_examples = (entry and entry.n_examples) or size["documents"]
        known[name] = round(n_examples * size["tokens"] / size["documents"])
    epochs = {target: round(study.target_shares["train"] * (n or 0)) for target, n in known.items()}
    return restricted(plan(study, tokenizer.fingerprint, epochs), only)


def profiling(study: Study, options: "Options") -> "Options":
    """How the corpora of a study are counted: no more of each than tells them apart."""
    from simtool.profiles.count import Budget

    return replace(options, tokenizer=study.tokenizer, budget=Budget(tokens=study.profiled, at_most=True))


def _matches(node: Node, patterns: Iterable[str]) -> bool:
    names = {f"seed {node.seed}", node.target, node.model, *node.ends, *(f"{arm}/{node.target}" for arm in node.ends)}
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def predicted(study: Study, options: "Options", predictor: str = "auto", resamples: int = 1000) -> "Prediction":
    """What the corpora alone say of every mixture and target of the study, before anything is trained."""
    from simtool.mixture import as_mixtures
    from simtool.prediction import predict as prediction
    from simtool.prediction.advantage import Question
    from simtool.prediction.predictors import AUTO, find_predictor
    from simtool.profiles.resolve import find_profiles

    name = ".".join(AUTO) if predictor == "auto" else predictor
    chosen = find_predictor(name)
    mixtures = study.mixtures()
    wanted = {**mixtures, "pretrain": study.pretrain} | as_mixtures(study.targets)
    # counted once for the matrix of the study, too
    found = find_profiles(wanted, [*dict.fromkeys(("token", *chosen.features))], profiling(study, options))
    profiles = {corpus: one.profile for corpus, one in found.items()}
    return prediction.predict(Question(profiles, study.pretrain, mixtures, study.targets, resamples=resamples), name)


# ---- the study -------------------------------------------------------------------------------------------


def run_study(
    study: Study,
    folder: Path,
    options: "Options",
    place: Place = Place(),
    report: Report = lambda message: None,
) -> executor.Outcome:
    """Everything of a study that is not done yet. Rows go to FOLDER/records.jsonl as they come.

    Raises SimtoolError where the folder is another study's or in use, or a text cannot be had. Nodes that fail are in
    the outcome, with all that could not be tried because of them.
    """
    from simtool.prediction.predict import save_prediction
    from simtool.training.checkpoints import locked

    folder = Path(folder)
    with locked(folder):
        claim(study, folder)
        if place.runs is not None:
            with atomic_write(folder / "place.json") as temporary:
                temporary.write_text(json.dumps({"runs": str(Path(place.runs).resolve())}) + "\n", encoding="utf-8")
        stores = tokenized(study, folder, options)
        _warn_of_leaks(study, stores, folder, report)
        if not (folder / "prediction.json").exists():
            report("Predicting from the corpora alone, before anything is trained")
            save_prediction(predicted(study, options), folder / "prediction.json")
        tree = planned(study, stores, place.only)
        jobs = _jobs(tree, stores, folder, place)
        workers = place.workers or usual_workers(place.device)
        recorded = _Recorder(folder / "records.jsonl", tree, report)
        there = {key: result for key, job in jobs.items() if (result := result_there(job)) is not None}
        for key, result in there.items():  # no process is started to find that out
            recorded.done(key, result)
        groups = _together([key for key in jobs if key not in there], tree, place)
        tasks = {first: [jobs[key] for key in keys] for first, keys in groups.items()}
        parents = {key: tree.nodes[key].parent for key in jobs}

        def done(first: Any, results: Any) -> None:
            for key, result in zip(groups[first], results, strict=True):
                if not isinstance(result, SimtoolError):
                    recorded.done(key, result)

        gpus = 1 if place.engine == "ray" and place.device.startswith("cuda") else 0
        outcome = executor.run_tree(run_nodes, tasks, parents, workers, place.engine, _quietly(report), done, gpus)
        results, failed = there.copy(), {}
        for first, many in outcome.results.items():
            for key, result in zip(groups[first], many, strict=True):
                (failed if isinstance(result, SimtoolError) else results)[key] = result
        failed |= {key: error for first, error in outcome.failed.items() for key in groups[first]}
        return executor.Outcome(results, failed, [key for first in outcome.skipped for key in groups[first]])


def _together(left: Iterable[str], tree: Plan, place: Place) -> dict[str, list[str]]:
    """{the first: all} of what one task trains: a node, or as replicas the leaves of one parent and target."""
    groups: dict[Any, list[str]] = {}
    for key in left:
        node = tree.nodes[key]
        # the weights of replicas are not saved
        alone = not node.target or place.keep_leaves
        groups.setdefault(key if alone else (node.parent, node.target), []).append(key)
    parts = []
    for keys in groups.values():
        most = place.replicas or usual_replicas(tree.nodes[keys[0]].model, place.device)
        parts += [keys[at : at + most] for at in range(0, len(keys), most)]
    return {keys[0]: keys for keys in parts}


def usual_replicas(model: str, device: str) -> int:
    """So many of a small model keep a GPU busy; a large one does alone, and on a CPU nothing is gained."""
    from simtool.training.sizes import SIZES

    small = model in SIZES and SIZES[model].shape.n_parameters < SMALL
    return REPLICAS if small and usual_device(device) == "cuda" else 1


def _quietly(report: Report) -> Report:
    """Sentences only: many nodes train at once, and a line for every step of each says nothing."""
    return lambda message: report(message) if isinstance(message, str) else None


def _warn_of_leaks(study: Study, stores: Any, folder: Path, report: Report) -> None:
    path = folder / "leaks.json"
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"rows": leaks(study, stores), **_facts()}, indent=1) + "\n")
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        if row["near_duplicates"] > MANY * row["documents"]:
            report(
                f"Warning: of {row['documents']} held-out documents of {row['target']}, {row['near_duplicates']}"
                f" stand nearly whole in the training text of {row['text']}."
            )


def _jobs(tree: Plan, stores: Any, folder: Path, place: Place) -> dict[str, dict[str, Any]]:
    runs = Path(place.runs or folder / "runs")
    places = {key: str(runs / _run_name(node, stores)) for key, node in tree.nodes.items()}
    facts = _facts()
    root = folder / "stores"
    jobs = {}
    # what leads to the most work first, so that no worker waits for the last trunk
    for key, node in sorted(tree.nodes.items(), key=lambda item: (item[1].target != "", -_below(tree, item[0]))):
        read = [name for phase in node.recipe.phases for name in phase.mixture.weights]
        jobs[key] = {
            "folder": places[key],
            "recipe": recipe_to_json(node.recipe),
            "parents": [places[node.parent]] if node.parent else [],
            "stores": {name: str(_folder(root, stores[name]["train"])) for name in dict.fromkeys(read)},
            "measured": _measured(tree.study, node, stores, root),
            "documents": tree.study.held_out,
            "device": place.device,
            "keep": place.keep_leaves or not node.target,
            "tokens": node.tokens,
            "facts": facts,
        }
    return jobs


def _below(tree: Plan, key: str) -> int:
    return sum(child.tokens + _below(tree, child.key) for child in tree.children(key))


def _run_name(node: Node, stores: Any) -> str:
    """Of a recipe on these texts: another text is another run."""
    read = sorted({name for phase in node.recipe.phases for name in phase.mixture.weights})
    texts = sha256(" ".join(stores[name]["train"].fingerprint for name in read).encode()).hexdigest()[:8]
    return f"{node.key}-{texts}"


def _folder(root: Path, store: TokenStore) -> Path:
    return store_folder(root, store.corpus, store.split, store.tokenizer_fingerprint).resolve()


def _measured(study: Study, node: Node, stores: Any, root: Path) -> list[dict[str, Any]]:
    """What is measured at a node's end: forgetting everywhere; targets before SFT, and after it the leaf's own."""
    targets = (node.target,) if node.target else study.targets if node.ends else ()
    splits = (SELECTED_ON, REPORTED) if node.target and len(study.sft_rates) > 1 else (REPORTED,)
    wanted = [(name, "general", REPORTED) for name in study.general]
    wanted += [(name, "target", split) for name in targets for split in splits]
    measured = []
    for name, role, split in wanted:
        store = stores[name][split]
        asked = study.train_on.get(name, store.train_on)
        loss_on = "response" if role == "target" and asked == "response" else "text"
        told = {"corpus": name, "role": role, "split": split, "loss_on": loss_on, "store": store.fingerprint}
        measured.append({**told, "folder": str(_folder(root, store))})
    return measured


def usual_device(device: str) -> str:
    """ "cpu" or "cuda": what a device's name stands for here."""
    import torch

    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def usual_workers(device: str) -> int:
    import torch

    if usual_device(device) == "cuda":
        return torch.cuda.device_count() if device in ("auto", "cuda") else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Recorder:
    """Appends the rows of every node once, however often the study is taken up again."""

    def __init__(self, path: Path, tree: Plan, report: Report):
        self.path, self.tree, self.report = path, tree, report
        rows = read_records(path) if path.exists() else []
        self.there = {_identity(row) for row in rows}
        self.n_done = self.tokens = 0
        self.tokens_left = sum(node.tokens for node in tree.nodes.values())
        self.began = time.monotonic()

    def done(self, key: Any, result: Mapping[str, Any]) -> None:
        node, study = self.tree.nodes[key], self.tree.study
        lines = []
        # where seeds differ in SFT only, what comes before it is every seed's
        shared = study.seeds_from == "sft" and not node.target
        for arm, seed in product(node.ends or ("",), study.seeds if shared else (node.seed,)):
            for row in result["rows"]:
                told = {**_of_node(study, node, arm), **row, "seed": seed, "node": key}
                if _identity(told) not in self.there:
                    lines.append(json.dumps(told) + "\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self.n_done += 1
        self.tokens += result["tokens"]
        self.tokens_left -= node.tokens
        speed = self.tokens / (time.monotonic() - self.began)
        loss = next(row["nats_per_token"] for row in reversed(result["rows"]))
        left = self.tokens_left / speed if speed else None
        self.report(NodeFinished(node.label, self.n_done, len(self.tree.nodes), loss, left))


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("node", "arm", "seed", "corpus", "split", "loss_on", "asked"))


def _of_node(study: Study, node: Node, name: str) -> dict[str, Any]:
    """What a row says of the run that it measures."""
    arm = study.arm(name) if name else None
    last = node.recipe.phases[-1]
    return {
        "study": study.name,
        "size": node.model,
        "arm": name,
        "kind": arm.kind if arm else "trunk",
        "design": arm.design if arm else None,
        "mix": (arm.special or "+".join(study.pretrain.weights)) if arm else None,
        "weight": arm.weight if arm else None,
        "start": arm.start if arm else None,
        "target": node.target or None,
        "seed": node.seed,
        "phase": node.phase,
        "step": None if last.is_sft else node.recipe.n_steps(last),
        "tokens": text_tokens(node.recipe),
        "learning_rate": last.learning_rate,
    }


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of records.jsonl; a last line that a kill cut short is left out, and written anew."""
    text = Path(path).read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        with atomic_write(Path(path)) as temporary:
            temporary.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _facts() -> dict[str, Any]:
    return provenance(python=platform.python_version(), commit=_commit())


def _commit() -> str | None:
    """The commit of simtool's own source, where it runs from a checkout."""
    here = Path(__file__).parent
    try:
        asked = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None
