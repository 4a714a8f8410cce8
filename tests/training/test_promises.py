"""What must work without torch does; and training needs nothing but torch and its kin, as on a bare GPU machine."""

import subprocess
import sys

import pytest

NOT_ON_A_GPU_MACHINE = (
    "polars", "pyarrow", "datasets", "zstandard", "orjson", "xxhash", "rich", "typer", "click", "scipy", "matplotlib",
    "seaborn", "platformdirs", "fastokens",
)  # fmt: skip


def run(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_recipes_stores_and_batches_work_without_torch():
    run(
        "import sys\n"
        "import simtool.cli, simtool.training.recipes, simtool.training.schedules\n"
        "import simtool.tokens.store, simtool.tokens.batches\n"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_training_runs_on_a_bare_machine():
    pytest.importorskip("torch")
    run(
        "import sys\n"
        f"for name in {NOT_ON_A_GPU_MACHINE!r}: sys.modules[name] = None\n"
        "import simtool.tokens.store, simtool.tokens.batches, simtool.training.trainer, simtool.training.ensemble\n"
        "import simtool.evaluation.loss, simtool.runs.request, simtool.runs.run, simtool.runs.sweep, simtool.runs.texts"
    )
