"""The house holds: no arrow goes up, nothing goes in a circle, and each wing needs only what it must."""

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
OUTSIDE = ("figures", "analyses", "benchmarks")
NEEDS_TORCH = ("training", "evaluation", "runs", "studies.execute", "studies.worker", "api.train")
TRAINING_WING = ("runs.request", "runs.run", "runs.sweep", "runs.texts", "training.trainer", "training.ensemble")
TRAINING_WING += ("tokens.store", "tokens.batches", "evaluation.loss")
# what a machine that only trains needs not have; rich and typer print the progress there
ONLY_FOR_ANALYSIS = (
    "polars", "pyarrow", "pandas", "datasets", "huggingface_hub", "fsspec", "zstandard", "orjson", "msgspec", "xxhash",
    "scipy", "matplotlib", "seaborn", "platformdirs", "filelock", "fastokens",
)  # fmt: skip

# as if these packages were not installed
WITHOUT = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)
"""


def run(script: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)


def modules_of(package: str) -> set[str]:
    return set(grimp.build_graph(package, cache_dir=None).modules) - {f"{package}.cli.__main__"}


def test_the_import_contracts_hold_and_leave_nothing_out():
    house = next(contract for contract in CONTRACTS if contract["type"] == "layers")
    assert house["exhaustive"] is True and "ignore_imports" not in house
    done = run("from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert done.returncode == 0, done.stdout


def test_no_module_is_in_a_circle():
    graph = grimp.build_graph("simtool", *OUTSIDE, cache_dir=None)
    imports = {
        module: graph.find_modules_directly_imported_by(module) - _packages_above(module) for module in graph.modules
    }
    tuple(TopologicalSorter(imports).static_order())  # CycleError names the circle


def _packages_above(module: str) -> set[str]:
    """Importing a package runs its __init__, which imports no module that lies in it."""
    parts = module.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def test_nothing_in_the_package_imports_what_stands_outside_or_the_public_functions():
    graph = grimp.build_graph("simtool", *OUTSIDE, cache_dir=None)
    for module in modules_of("simtool"):
        imported = graph.find_modules_directly_imported_by(module)
        assert not {name for name in imported if name.split(".")[0] in OUTSIDE}, module
        # the package itself hands the public functions on
        if module != "simtool" and not module.startswith(("simtool.cli", "simtool.api")):
            assert not {name for name in imported if name.startswith("simtool.api")}, module


def test_no_two_public_classes_have_the_same_name():
    modules = defaultdict(list)
    for path in sorted((ROOT / "simtool").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in modules.items() if len(paths) > 1}


def test_everything_but_training_works_without_torch():
    wing = tuple(f"simtool.{name}" for name in NEEDS_TORCH)
    modules = sorted(module for module in modules_of("simtool") if not module.startswith(wing))
    done = run(WITHOUT.format(absent=("torch", "transformers", "safetensors"), modules=modules))
    assert done.returncode == 0, done.stderr


def test_training_works_with_torch_and_its_kin_alone():
    pytest.importorskip("torch")
    modules = [f"simtool.{name}" for name in (*TRAINING_WING, "studies.execute", "studies.worker")]
    done = run(WITHOUT.format(absent=ONLY_FOR_ANALYSIS, modules=modules))
    assert done.returncode == 0, done.stderr


def test_recipes_stores_and_batches_load_nothing_heavy():
    modules = ("simtool.cli", "simtool.training.recipes", "simtool.training.schedules", "simtool.tokens.store")
    heavy = {"torch", "transformers", "datasets", "matplotlib"}
    script = WITHOUT.format(absent=(), modules=(*modules, "simtool.tokens.batches"))
    done = run(f"{script}\nprint({heavy!r} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr or done.stdout


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ["numpy", "torch", "datasets", "matplotlib", "polars", "pyarrow"]),
        (
            ["matrix", "c4", "gsm8k", "--resamples", "20"],
            ["torch", "datasets", "matplotlib", "polars", "pandas", "scipy.stats"],
        ),
    ],
)
def test_nothing_heavy_is_loaded_that_is_not_used(arguments, absent):
    done = run(
        "import sys; from simtool.cli import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {absent!r} if name in sys.modules], file=sys.stderr)"
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_counting_ones_own_lines_loads_neither_pandas_nor_fsspec(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a text of five words"}\n' * 20)
    done = run(
        "import os, sys; from simtool.cli import app\n"
        f"os.environ['SIMTOOL_CACHE'] = {str(tmp_path / 'cache')!r}\n"
        f"try: app(['profile', {str(tmp_path / 'a.jsonl')!r}, '--feature', 'token'])\n"
        "except SystemExit: pass\n"
        "print({'pyarrow', 'pandas', 'fsspec', 'polars', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    assert done.stderr.splitlines()[-1] == "{'pyarrow'}", done.stderr  # profiles are parquet


# what is tested as a whole, and belongs to no single module
BESIDES = {
    "corpora/test_catalogue.py": "facts over every corpus that is known by name",
    "profiles/test_hub_sets.py": "sets of the hub, counted as files",
    "cli/test_commands.py": "every command, with what it prints and refuses",
    "cli/test_script.py": "the installed command, and what its workers load",
    "page/test_browser.py": "page.js, in a browser",
    "training/test_on_gpu.py": "what only a GPU can show",
    "tokens/test_encoding.py": "which ids a text gets, by all tokenizers",
    "figures/test_figures.py": "every figure, drawn and measured",
    "analyses/test_main.py": "python -m analyses",
}


def test_each_module_has_its_test_file():
    package = ROOT / "simtool"
    modules = [
        path.relative_to(package)
        for path in package.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py") and path.read_text(encoding="utf-8").strip()
    ]
    assert not [str(name) for name in modules if not (ROOT / "tests" / name.with_name(f"test_{name.name}")).exists()]


def test_each_test_file_is_named_after_what_it_tests():
    tests = ROOT / "tests"
    for path in tests.glob("*/**/test_*.py"):
        name = path.relative_to(tests)
        module = name.with_name(path.name.removeprefix("test_"))
        outside = name.parts[0] in OUTSIDE
        assert str(name) in BESIDES or (ROOT / ("" if outside else "simtool") / module).exists(), name
