"""To be shown on a GPU that is at hand for half an hour: that training there is right, how fast it is, and of what use.

    python benchmarks/gpu_suite.py prepare --data DIR     on any machine: the folder that the others need
    python benchmarks/gpu_suite.py one                    8 minutes: is it right?
    python benchmarks/gpu_suite.py two                    9 minutes: how fast are its steps, and those of its peers?
    python benchmarks/gpu_suite.py three                  9 minutes: ensembles, and a study
    python benchmarks/gpu_suite.py report                 on any machine: what was found, as tables

The folder (`gpu_suite/`, ignored by git, below 55 MB) is carried to the machine with the GPU and back. Every step is a
process of its own with its own time limit (`gpu_steps.py`), and writes its result as JSON when it ends, whatever
becomes of the others. `prepare --tiny` makes a rehearsal of all of it on a CPU.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "gpu_suite"
WHEELS = ("zstandard", "platformdirs", "orjson", "pytest", "iniconfig", "pluggy", "hypothesis", "sortedcontainers")
WHEELS += ("accelerate", "psutil", "litgpt", "jsonargparse", "lightning", "lightning-utilities", "torchmetrics")
WHEELS += ("pytorch-lightning",)
MOST_BYTES = 55 * 10**6

# {command: {step: seconds that it may take}}
FULL = {
    "one": {
        "machine": 40, "attention": 90, "tests": 120, "determinism": 120, "ensemble_is_right": 50, "train": 60,
    },
    "two": {"throughput:160m": 135, "throughput:410m": 135, "throughput:1b": 135, "throughput:14m": 130},
    "three": {"ensemble_speed": 170, "study": 360},
}  # fmt: skip
TINY = {
    "one": dict.fromkeys(FULL["one"], 240),
    "two": {"throughput:nano": 240},
    "three": {"ensemble_speed": 240, "study": 400},
}
FULL_PLAN = {
    "device": "cuda", "precision": "bf16", "vocabulary_size": 50_304, "seconds": 10.0, "steps": 30, "warmup": 5,
    "head_sizes": [32, 64, 128, 256], "attention_shape": [8, 8, 2048], "attention_widths": [512, 1024, 1536, 2048],
    "throughput": {"160m": [16, 2048], "410m": [16, 2048], "1b": [16, 2048], "14m": [64, 2048]},
    "determinism": {"14m": [16, 512], "70m": [16, 512]}, "train": ["160m", 16, 2048, 45.0],
    "ensemble": {"size": "14m", "members": [1, 4, 16], "step_tokens": [2048, 512, 16_384], "width": 512, "steps": 20},
}  # fmt: skip
TINY_PLAN = {
    "device": "cpu", "precision": "fp32", "vocabulary_size": 256, "seconds": 0.2, "steps": 3, "warmup": 1,
    "head_sizes": [32], "attention_shape": [1, 2, 64], "attention_widths": [32, 64],
    "throughput": {"nano": [2, 32]}, "determinism": {"nano": [2, 32]}, "train": ["nano", 2, 32, 1.0],
    "ensemble": {"size": "nano", "members": [1, 2], "step_tokens": [64], "width": 32, "steps": 2},
}  # fmt: skip


# ---- prepare ---------------------------------------------------------------------------------------------


def prepare(folder: Path, data: Path | None, tiny: bool, wheels: bool) -> None:
    """Everything that the machine with the GPU needs beside this repository."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"tiny": tiny, "steps_of": TINY if tiny else FULL, **(TINY_PLAN if tiny else FULL_PLAN)}
    write_json(folder / "plan.json", plan)
    prepare_study(folder / "study", data, tiny)
    if wheels:
        download_wheels(folder / "wheels")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise SystemExit(f"{folder} holds {size / 1e6:.0f} MB; at most {MOST_BYTES / 1e6:.0f} can be carried.")
    print(f"{folder}: {size / 1e6:.1f} MB. Carry it with the repository, and run: python {Path(__file__).name} one")


def prepare_study(folder: Path, data: Path | None, tiny: bool) -> None:
    """Tokenizer's ids, leaks and the prediction of the study that `three` runs."""
    from simtool.profiles.resolve import Options
    from simtool.studies.prepare import prepare as prepare_folder

    study = tiny_study(folder.parent) if tiny else gpu_study()
    folder.mkdir(parents=True, exist_ok=True)
    prepare_folder(study, folder, Options(tokenizer=study.tokenizer, data=data), print)


def gpu_study() -> Any:
    """Two mixtures and continued pretraining, two seeds, two targets, three sizes; 10M tokens of text in all."""
    from simtool.mixture import Mixture
    from simtool.studies.plan import Study, arms_of

    text = Mixture({"wikipedia": 0.9, "c4": 0.1})
    return Study(
        "gpu-suite",
        "General text, then code or mathematics mixed in, or code by itself; two targets.",
        text,
        arms_of(text, [("starcoder", 0.2), ("math", 0.12)], cpt=["starcoder"]),
        ("gsm8k", "pycode"),
        {"wikipedia": 6_000_000, "c4": 800_000, "starcoder": 2_500_000, "math": 800_000, "gsm8k": None, "pycode": None},
        models=("14m", "31m", "70m"),
        seeds=(0, 1),
        tokens=10_000_000,
        sequence_length=512,
        batch_size=32,
        sft_epochs=1,
        sft_batch_size=32,
        tokenizer="pythia",
        precision="bf16",
        held_out=200,
        max_epochs=4.0,
    )


def tiny_study(folder: Path) -> Any:
    """The same on texts of a few kilobytes, which are written here."""
    import random

    from simtool.mixture import Mixture
    from simtool.studies.plan import Study, arms_of

    words = {"web": "the river runs by a quiet town", "code": "def return if else for x y", "tasks": "what is x answer"}
    names = {}
    for name, vocabulary in words.items():
        rng, path = random.Random(name), folder / f"{name}.jsonl"
        texts = [" ".join(rng.choices(vocabulary.split(), k=rng.randint(20, 60))) + f" {i}" for i in range(120)]
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        names[name] = str(path)
    text = Mixture({names["web"]: 1.0})
    return Study(
        "gpu-suite", "A rehearsal.", text, arms_of(text, [(names["code"], 0.5)]), (names["tasks"],),
        dict.fromkeys(names.values()), seeds=(0,), tokens=8 * 2 * 32, sequence_length=32, batch_size=2,
        sft_batch_size=8, held_out=5, max_epochs=50,
    )  # fmt: skip


def download_wheels(folder: Path) -> None:
    """What a bare machine lacks, for the Python and the system that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    platform = ("--python-version", "312", "--platform", "manylinux2014_x86_64", "--only-binary", ":all:")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, *platform, *WHEELS], check=True
    )


# ---- one, two, three -------------------------------------------------------------------------------------


def run_steps(folder: Path, command: str) -> bool:
    """Every step of a command in a process of its own; whether all ended well."""
    plan = read_json(folder / "plan.json")
    install_wheels(folder)
    failed = []
    for step, limit in plan["steps_of"][command].items():
        result = run_step(folder, step, limit)
        print(f"{step}: {'done' if result['ok'] else result['error'].splitlines()[-1]} ({result['seconds']:.0f} s)")
        failed += [] if result["ok"] else [step]
    return not failed


def run_step(folder: Path, step: str, limit: float) -> dict[str, Any]:
    """A step's result, which it writes itself; what became of it where it does not come to that."""
    path = result_path(folder, step)
    path.unlink(missing_ok=True)
    places = [str(folder / "site"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places), "HF_HUB_OFFLINE": "1"}
    start = time.monotonic()
    error = error_of([sys.executable, "-m", "benchmarks.gpu_steps", str(folder), step], environment, limit)
    result = read_json(path) if path.exists() else {"step": step, "ok": False, "rows": []}
    if not result["ok"]:
        result.setdefault("error", error)
    result["seconds"] = time.monotonic() - start
    write_json(path, result)
    return result


def error_of(command: Sequence[str], environment: Mapping[str, str], limit: float) -> str:
    """What a command writes to its standard error, or how it ended; past its time all that it has started is ended."""
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env=environment, cwd=ROOT, **options) as process:
        try:
            return process.communicate(timeout=limit)[1][-4000:] or f"it ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return f"it took longer than {limit:.0f} s"


def install_wheels(folder: Path) -> None:
    """Beside the machine's own packages, not among them."""
    wheels, site = folder / "wheels", folder / "site"
    if wheels.exists() and not site.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
        subprocess.run([*command, *map(str, sorted(wheels.glob("*.whl")))], check=False)


# ---- report ----------------------------------------------------------------------------------------------


def report(folder: Path) -> str:
    """What was found, as Markdown: a table for each step, and what did not come to an end."""
    plan = read_json(folder / "plan.json")
    steps = [step for command in plan["steps_of"].values() for step in command]
    results = {step: read_json(path) for step in steps if (path := result_path(folder, step)).exists()}
    lines = ["# A GPU suite", "", _machine_line(results, plan), ""]
    for step in steps:
        lines += [f"## {step}", "", *_of_step(results.get(step)), ""]
    return "\n".join(lines)


def _machine_line(results: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    if not results.get("machine", {}).get("ok"):
        return "Which machine it was is not known: its step did not come to an end."
    facts = results["machine"]["rows"][0]
    kind = "A rehearsal on a CPU: no figure here is one of a GPU. " if plan["tiny"] else ""
    return f"{kind}{facts['card']}; torch {facts['torch']}, simtool {facts['simtool']}, commit {facts['commit']}."


def _of_step(result: Mapping[str, Any] | None) -> list[str]:
    if result is None:
        return ["Not measured."]
    rows = [*table_of(result["rows"]), ""] if result["rows"] else []
    if not result["ok"]:
        rest = "The rest was not" if rows else "Not"
        return [*rows, f"{rest} measured: {result['error'].strip().splitlines()[-1]}"]
    return [*rows, f"{result['seconds']:.0f} s."]


def table_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as a Markdown table, with every column that one of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return ["| " + " | ".join(name.replace("|", "/") for name in line) + " |" for line in lines]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


# ---- files -----------------------------------------------------------------------------------------------


def result_path(folder: Path, step: str) -> Path:
    return folder / "results" / f"{step.replace(':', '-')}.json"


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SystemExit(f"No {path}. First: python benchmarks/gpu_suite.py prepare") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["prepare", "one", "two", "three", "report"])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--data", type=Path, help="prepare: where the texts of the catalogue lie")
    parser.add_argument("--tiny", action="store_true", help="prepare: a rehearsal on a CPU")
    parser.add_argument("--no-wheels", action="store_true", help="prepare: download nothing")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.command == "prepare":
        sys.path.insert(0, str(ROOT))
        prepare(folder, options.data, options.tiny, not (options.no_wheels or options.tiny))
    elif options.command == "report":
        print(report(folder))
    elif not run_steps(folder, options.command):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
