"""The public Python functions, one module per family of commands; nothing inside the package but `cli` imports them.

To add one, write it in the module of its family and name it in NAMES: `simtool.NAME` then loads it when first used.
"""

from importlib import import_module
from typing import Any

from simtool.errors import missing_extra

NAMES = {
    "api.compare": ("compare", "matrix"),
    "api.export": ("export_mixture",),
    "api.figures": ("figures",),
    "api.mix": ("advantage", "advantage_curve", "explain", "mix", "predict", "verify"),
    "api.reference": (
        "add_corpus",
        "describe_corpus",
        "list_corpora",
        "list_metrics",
        "list_tokenizers",
        "preview_corpus",
        "profile",
    ),
    "api.report": ("report",),
    "api.study": ("define_study", "plan_study", "study_matrix", "study_records", "study_results", "train_eval"),
    "api.sweep": ("sweep",),
    "api.tokenize": ("tokenize",),
    "api.train": ("evaluate", "export", "scores", "train"),
    "mixing.constraints": ("Constraints",),
    "profiles.count": ("Budget",),
    "profiles.resolve": ("Options",),
    "runs.request": ("Request",),
    "studies.execute": ("StudyExecution",),
    "training.trainer": ("Execution",),
}
MODULES = {name: module for module, names in NAMES.items() for name in names}


def load(name: str) -> Any:
    """The public function or type of this name.

    Raises
    ------
    KeyError
        Where there is none.
    SimtoolError
        Where it trains or measures models and the extra `train` is not installed.
    """
    try:
        return getattr(import_module(f"simtool.{MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (message := missing_extra(error)) is None:
            raise
        raise message from error
