"""Benchmarks of lm-evaluation-harness on a model's folder, where it is installed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simtool.errors import SimtoolError


def run_harness(folder: Path, tasks: Sequence[str], device: str) -> list[dict[str, Any]]:
    """Every metric of every task.

    Parameters
    ----------
    folder : Path
        A model and its tokenizer as transformers loads them.

    Returns
    -------
    list of dict
        task, metric, value, standard_error (None where the harness gives none).

    Raises
    ------
    SimtoolError
        Where the harness is not installed, or does not know a task.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise SimtoolError("--lm-eval needs lm-evaluation-harness: pip install 'lm_eval[hf]'.") from error
    known = TaskManager()
    if missing := [task for task in tasks if task not in known.all_tasks]:
        raise SimtoolError(f"lm-evaluation-harness knows no task {', '.join(missing)}. List them: lm_eval ls tasks.")
    # fp32, as everything is measured here
    scores = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(folder), "dtype": "float32", "trust_remote_code": False},
        tasks=list(tasks),
        task_manager=known,
        device=device,
        log_samples=False,
    )
    return [
        {"task": task, "metric": metric, "value": value, "standard_error": _error_of(metric, values)}
        for task, values in scores["results"].items()
        for metric, value in values.items()
        if isinstance(value, int | float) and "_stderr," not in metric and "," in metric
    ]


def _error_of(metric: str, values: dict[str, Any]) -> float | None:
    """The harness calls a metric "acc,none", and its standard error "acc_stderr,none"."""
    name, _, filtered = metric.partition(",")
    error = values.get(f"{name}_stderr,{filtered}")
    return float(error) if isinstance(error, int | float) and math.isfinite(error) else None
