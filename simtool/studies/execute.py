"""Run a study: every node of its plan trained once and measured, all recorded.

A node that is done says so in its folder (`worker`). So a study that is interrupted goes on with what is not done, and
studies that share a folder of runs share what they have in common.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from simtool import cluster, executor
from simtool.errors import SimtoolError
from simtool.progress import NodeFailed
from simtool.studies.checks import check_enough_text
from simtool.studies.plan import REPORTED, SELECTED_ON, Node, Plan, Study
from simtool.studies.prepare import Stores, plan_runs, prepare, run_facts
from simtool.studies.records import Recorder
from simtool.studies.worker import finished_result, run_nodes
from simtool.tables import save_json
from simtool.tokens.batches import ExampleBatches
from simtool.tokens.store import TokenStore
from simtool.training.recipes import recipe_to_json
from simtool.wording import plural

if TYPE_CHECKING:
    from simtool.profiles.resolve import Options

Report = Callable[[Any], None]
REASONS = 5  # of failures are shown
Job = dict[str, Any]
ENSEMBLE = 16  # models side by side on one GPU, of below SMALL parameters (70m has 19 million beside embeddings)
SMALL = 20_000_000


@dataclass(frozen=True)
class StudyExecution:
    """How and where a study runs; nothing here changes what comes out of it but rounding on another device.

    runs         folder of runs; other studies may share it
    only         patterns of "arm", "arm/target" or "seed N": run what matches one, and what it goes on from
    ensemble     runs of one size and of equally many steps (seeds, arms, targets, rates) that are trained as one
                 batched model; 0: 16 of models up to 70m on a GPU, which a single one leaves idle, and 1 elsewhere
    keep_leaves  keep the weights after SFT too
    """

    device: str = "auto"
    workers: int = 0
    engine: Literal["local", "ray"] = "local"
    runs: Path | None = None
    only: tuple[str, ...] = ()
    ensemble: int = 0
    keep_leaves: bool = False


def run_study(
    study: Study,
    folder: Path,
    options: "Options | None" = None,
    execution: StudyExecution = StudyExecution(),
    report: Report = lambda message: None,
) -> executor.Outcome:
    """Prepare a study and run everything of it that is not done yet. Rows go to FOLDER/records.jsonl as they come.

    Parameters
    ----------
    options
        How texts are found and counted; None: the folder is prepared.

    Returns
    -------
    Outcome
        By node key. Nodes that fail are in it, with all that could not be tried because of them.

    Raises
    ------
    SimtoolError
        Where the folder is another study's or in use, or a text cannot be had.
    """
    from simtool.training.checkpoints import locked

    folder = Path(folder)
    with locked(folder):
        stores = prepare(study, folder, options, report)
        if execution.runs is not None:
            _note_runs(folder, execution.runs)
        plan = plan_runs(study, stores, execution.only)
        check_enough_text(plan, stores)
        jobs = make_jobs(plan, stores, folder, execution)
        recorder = Recorder(folder / "records.jsonl", plan, report)
        outcome = _run_jobs(jobs, plan, steps_of_nodes(plan, stores), execution, recorder, report)
    for key, error in outcome.failed.items():
        report(NodeFailed(plan.nodes[key].label, reason_of(error)))
    return outcome


def reason_of(error: Exception) -> str:
    """What went wrong, on one line; with its kind, where it is no message of ours."""
    first = (str(error).splitlines() or [""])[0]
    return first if isinstance(error, SimtoolError) else f"{type(error).__name__}: {first}".removesuffix(": ")


def failure_of(outcome: executor.Outcome) -> SimtoolError:
    """The error for a study of which runs failed: how many, and each reason once."""
    reasons = Counter(map(reason_of, outcome.failed.values()))
    lines = [f"  {reason}" + (f" ({n} runs)" if n > 1 else "") for reason, n in reasons.most_common(REASONS)]
    if len(reasons) > REASONS:
        lines.append(f"  and {len(reasons) - REASONS} other reasons")
    measured = "the others are measured" if outcome.results else "none is measured"
    return SimtoolError(
        f"{plural(len(outcome.failed), 'run')} failed, {len(outcome.skipped)} could not be tried; {measured}.\n"
        + "\n".join(lines)
        + "\nThe same command tries them again."
    )


def _run_jobs(
    jobs: Mapping[str, Job],
    plan: Plan,
    n_steps: Mapping[str, int],
    execution: StudyExecution,
    recorder: Recorder,
    report: Report,
) -> executor.Outcome:
    finished = {key: result for key, job in jobs.items() if (result := finished_result(job)) is not None}
    for key, result in finished.items():  # no process is started for what is done
        recorder.add(key, result)
    groups = group_nodes([key for key in jobs if key not in finished], plan, n_steps, execution)
    group_of = {key: first for first, keys in groups.items() for key in keys}
    on_ray = execution.engine == "ray"
    if on_ray and groups:
        _check_cluster(jobs.values())

    def record(first: Any, results: Any) -> None:
        for key, result in zip(groups[first], results, strict=True):
            if not isinstance(result, SimtoolError):
                recorder.add(key, result)

    outcome = executor.run_tree(
        run_nodes,
        {first: [jobs[key] for key in keys] for first, keys in groups.items()},
        {first: _parents(keys, plan, group_of) for first, keys in groups.items()},
        execution.workers or (0 if on_ray else usual_workers(execution.device)),
        execution.engine,
        _sentences_only(report),
        record,
        n_gpus=int(on_ray and _kind_of_device(execution) == "cuda"),
    )
    return _by_node(outcome, groups, finished)


def _check_cluster(jobs: Iterable[Job]) -> None:
    """Each node reads the tokenized texts, and sees what others write to the folder of runs."""
    jobs = list(jobs)
    stores = {folder for job in jobs for folder in job["stores"].values()}
    stores |= {measured["folder"] for job in jobs for measured in job["measured"]}
    cluster.check_readable(dict.fromkeys(sorted(stores)))
    cluster.check_shared(Path(jobs[0]["folder"]).parent, "The folder of runs")


def _by_node(
    outcome: executor.Outcome, groups: Mapping[Any, list[str]], finished: Mapping[str, Any]
) -> executor.Outcome:
    """The outcome of groups as that of their nodes, with those that were finished before."""
    results, failed = dict(finished), {}
    for first, group_results in outcome.results.items():
        for key, result in zip(groups[first], group_results, strict=True):
            (failed if isinstance(result, SimtoolError) else results)[key] = result
    failed |= {key: error for first, error in outcome.failed.items() for key in groups[first]}
    return executor.Outcome(results, failed, [key for first in outcome.skipped for key in groups[first]])


def group_nodes(
    keys: Iterable[str], plan: Plan, n_steps: Mapping[str, int], execution: StudyExecution
) -> dict[str, list[str]]:
    """{the first: all} of what one task trains: a node, or as an ensemble nodes that take equally many steps.

    They lie equally deep in the tree, so that no two groups wait for each other.

    Parameters
    ----------
    n_steps
        {key: steps that a node trains}.
    """
    groups: dict[Any, list[str]] = {}
    for key in keys:
        node = plan.nodes[key]
        groups.setdefault((node.model, plan.depth(key), bool(node.target), n_steps[key]), []).append(key)
    parts = []
    for group in groups.values():
        most = execution.ensemble or usual_ensemble(plan.nodes[group[0]].model, _kind_of_device(execution))
        parts += [group[at : at + most] for at in range(0, len(group), most)]
    return {part[0]: part for part in parts}


def steps_of_nodes(plan: Plan, stores: Stores) -> dict[str, int]:
    """{key: steps that a node trains itself}."""
    study = plan.study
    text_step = study.batch_size * study.sequence_length
    batches = {
        target: ExampleBatches(
            stores[target]["train"], 0, study.sequence_length, study.sft_batch_size, study.train_on.get(target)
        )
        for target in {node.target for node in plan.nodes.values() if node.target}
    }
    return {
        key: batches[node.target].n_batches * study.sft_epochs if node.target else node.tokens // text_step
        for key, node in plan.nodes.items()
    }


def _parents(keys: Iterable[str], plan: Plan, group_of: Mapping[str, str]) -> list[str]:
    """The groups that nodes go on from; what is finished is in none."""
    parents = [plan.nodes[key].parent for key in keys]
    return list(dict.fromkeys(group_of.get(parent, parent) for parent in parents if parent is not None))


def usual_ensemble(model: str, device: str) -> int:
    """On a device of this kind: so many of a small model keep a GPU busy; a large one does by itself, and on a CPU
    nothing is gained."""
    from simtool.training.sizes import SIZES

    small = model in SIZES and SIZES[model].shape.n_parameters < SMALL
    return ENSEMBLE if small and device == "cuda" else 1


def _kind_of_device(execution: StudyExecution) -> str:
    """ "cpu" or "cuda": what runs are trained on, here or on the cluster."""
    if execution.engine == "ray" and execution.device == "auto":
        return "cuda" if cluster.n_of("GPU") else "cpu"
    if execution.engine == "ray":
        return execution.device.partition(":")[0]
    return usual_device(execution.device)


def usual_device(device: str) -> str:
    """ "cpu" or "cuda": what a device's name stands for here."""
    import torch

    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def usual_workers(device: str) -> int:
    """One per GPU or core."""
    import torch

    if usual_device(device) == "cuda":
        return torch.cuda.device_count() if device in ("auto", "cuda") else 1
    return executor.n_processors()


def _sentences_only(report: Report) -> Report:
    """Many nodes train at once, and a line for each step of each says nothing."""
    return lambda message: report(message) if isinstance(message, str) else None


def _note_runs(folder: Path, runs: Path) -> None:
    save_json({"runs": str(Path(runs).resolve())}, folder / "place.json")


# ---- jobs: nodes as plain values -------------------------------------------------------------------------


def make_jobs(plan: Plan, stores: Stores, folder: Path, execution: StudyExecution) -> dict[str, Job]:
    """{key: what a worker needs to know of a node}, in the order in which they should be started."""
    runs = Path(execution.runs or folder / "runs")
    device = execution.device
    if execution.engine == "ray":  # whose tasks work in other folders, and see their own GPU alone
        runs, device = runs.absolute(), device.partition(":")[0]
    folders = {key: str(runs / _run_name(node, stores)) for key, node in plan.nodes.items()}
    facts, below = run_facts(), _tokens_below(plan)
    jobs = {}
    # what leads to the most work first, so that no worker waits for the last trunk
    for key, node in sorted(plan.nodes.items(), key=lambda item: (item[1].target != "", -below[item[0]])):
        jobs[key] = {
            "folder": folders[key],
            "recipe": recipe_to_json(node.recipe),
            "parents": [folders[node.parent]] if node.parent else [],
            "stores": {name: str(_folder(stores[name]["train"])) for name in _corpora_of(node)},
            "measured": _measurements(plan.study, node, stores),
            "documents": plan.study.held_out,
            "device": device,
            "keep": execution.keep_leaves or not node.target,
            "tokens": node.tokens,
            "facts": facts,
        }
    return jobs


def _tokens_below(plan: Plan) -> dict[str, int]:
    """{key: tokens of all that goes on from a node}; parents stand before children in a plan."""
    below = dict.fromkeys(plan.nodes, 0)
    for key, node in reversed(plan.nodes.items()):
        if node.parent is not None:
            below[node.parent] += node.tokens + below[key]
    return below


def _corpora_of(node: Node) -> list[str]:
    return list(dict.fromkeys(name for phase in node.recipe.phases for name in phase.mixture.weights))


def _run_name(node: Node, stores: Stores) -> str:
    """Of a recipe on these texts: another text is another run."""
    fingerprints = [stores[name]["train"].fingerprint for name in sorted(_corpora_of(node))]
    return f"{node.key}-{sha256(' '.join(fingerprints).encode()).hexdigest()[:8]}"


def _folder(store: TokenStore) -> Path:
    assert store.folder is not None
    return store.folder.resolve()


def _measurements(study: Study, node: Node, stores: Stores) -> list[dict[str, Any]]:
    """What is measured at a node's end: forgetting everywhere; targets before SFT, and after it the leaf's own."""
    targets = (node.target,) if node.target else study.targets if node.ends else ()
    splits = (SELECTED_ON, REPORTED) if node.target and len(study.sft_rates) > 1 else (REPORTED,)
    roles = [(name, "general", REPORTED) for name in study.general]
    roles += [(name, "target", split) for name in targets for split in splits]
    measured = []
    for name, role, split in roles:
        store = stores[name][split]
        trained_on = study.train_on.get(name, store.train_on)
        loss_on = "response" if role == "target" and trained_on == "response" else "text"
        row = {"corpus": name, "role": role, "split": split, "loss_on": loss_on, "store": store.fingerprint}
        measured.append({**row, "folder": str(_folder(store))})
    return measured
