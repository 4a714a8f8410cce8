"""The steps of the GPU suite, each a process: python -m benchmarks.gpu_steps FOLDER STEP. To add one: `STEPS`.

A step is a function of the suite's plan, its folder and what stands behind the colon of its name; it gives rows, each
written as soon as it is there: those of a step that takes too long stay.
"""

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.gpu_suite import ROOT, result_path, write_json
from benchmarks.train_throughput import (
    PEERS,
    TRAINER,
    Setting,
    installed_peers,
    ours,
    random_recipes,
    random_store,
    seconds_of_trainer,
    torchs_loss,
)
from simtool.studies.prepare import run_facts
from simtool.tokens.store import TokenStore
from simtool.training.ensemble import train_ensemble
from simtool.training.hardware import can_compile, datasheet_peak, find_device, measured_peak
from simtool.training.model import attend_within, build_model, document_mask, document_offsets, flops_per_token
from simtool.training.recipes import Recipe
from simtool.training.trainer import Execution, train

Plan = Mapping[str, Any]
Row = dict[str, Any]


GPU_TESTS = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/training/test_on_gpu.py"]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def times_of(call: Callable[[], Any], device: torch.device, plan: Plan) -> list[float]:
    """Seconds of each call after some to warm up: so many, or until the time is over."""
    for _ in range(plan["warmup"]):
        call()
    wait(device)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < plan["steps"] and (not times or time.perf_counter() - began < plan["seconds"]):
        start = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - start)
    return times


def compiles(device: torch.device) -> bool:
    return device.type == "cuda" and can_compile()


def stores_of(plan: Plan) -> dict[str, TokenStore]:
    return {"random": random_store(2_000_000 if plan["device"] == "cuda" else 20_000, plan["vocabulary_size"])}


# ---- one: is it right? -----------------------------------------------------------------------------------


def machine(plan: Plan, folder: Path, part: str) -> list[Row]:
    """Versions, the card, how fast it copies and multiplies."""
    device = find_device(plan["device"])
    facts = run_facts()
    on_gpu = device.type == "cuda"
    n = 2**30 if on_gpu else 2**22
    source, target = (torch.zeros(n, dtype=torch.uint8, device=device) for _ in range(2))
    copying = min(times_of(lambda: target.copy_(source), device, plan))
    return [
        {
            "card": torch.cuda.get_device_name(device) if on_gpu else "a CPU",
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "python": facts["python"],
            "simtool": facts["simtool"],
            "commit": facts["commit"],
            "memory_gb": torch.cuda.get_device_properties(device).total_memory / 1e9 if on_gpu else None,
            "copy_gb_per_second": 2 * n / copying / 1e9,
            "measured_tflops": measured_peak(device, plan["precision"]) / 1e12,
            "compiler": can_compile(),
            "datasheet_tflops": (datasheet_peak(device, plan["precision"]) or 0) / 1e12 or None,
        }
    ]


def attention(plan: Plan, folder: Path, part: str) -> Iterator[Row]:
    """Which kernel is taken, and milliseconds forward and back: plain, with documents, deterministic; fixed and varied
    widths, each new one of which a library may plan for."""
    device = find_device(plan["device"])
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for kind, head_size in itertools.product(("plain", "mask", "offsets", "deterministic"), plan["head_sizes"]):
        if kind == "offsets" and device.type == "cpu":
            continue  # flash attention over offsets is a GPU's
        b, h, _ = plan["attention_shape"]
        with deterministic(kind == "deterministic"):
            calls = [
                attention_call(kind, (b, h, width, head_size), dtype, device) for width in plan["attention_widths"]
            ]
            first = [seconds_of(call, device) for call in calls]
            fixed = statistics.median(times_of(calls[-1], device, plan))
            yield {
                "attention": kind,
                "head_size": head_size,
                "kernel": kernel_of(calls[-1], device),
                "milliseconds": 1000 * fixed,
                "first_of_a_width_milliseconds": 1000 * max(first),
            }


def attention_call(kind: str, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Callable[[], None]:
    q, k, v = (torch.randn(shape, dtype=dtype, device=device, requires_grad=True) for _ in range(3))
    documents = np.arange(shape[2])[None].repeat(shape[0], 0) // max(shape[2] // 4, 1)
    mask = document_mask(torch.from_numpy(documents).to(device)) if kind == "mask" else None
    offsets = torch.from_numpy(document_offsets(documents)).to(device)

    def call() -> None:
        if kind == "offsets":
            y = attend_within(q, k, v, offsets)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        y.sum().backward()

    return call


def seconds_of(call: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start


def kernel_of(call: Callable[[], None], device: torch.device) -> str:
    """The name of what takes longest."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        call()
        wait(device)
    name = "device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = [event for event in profile.key_averages() if "attention" in event.key or device.type == "cuda"]
    return max(events, key=lambda event: getattr(event, name)).key[:60] if events else "unknown"


@contextmanager
def deterministic(on: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(on, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def tests(plan: Plan, folder: Path, part: str) -> Iterator[Row]:
    """The tests that need a GPU: loss and gradients against fp64, masks, checkpoints, memory, waiting, graphs."""
    lines, options = [], {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(GPU_TESTS, cwd=ROOT, **options) as process:
        for line in process.stdout:
            lines.append(line.rstrip())
            if match := re.match(r"\S+::(.+?) (PASSED|FAILED|ERROR|SKIPPED)\b", line):
                yield {"test": match[1], "outcome": match[2].lower()}
    if process.returncode:
        failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise RuntimeError("\n".join(failures or lines[-20:]))


def determinism(plan: Plan, folder: Path, part: str) -> list[Row]:
    """Twice, and from a checkpoint in the middle: equal bits in deterministic mode."""
    rows = []
    for size, (batch, width) in plan["determinism"].items():
        (recipe,) = random_recipes(size, 1, 12, batch, width, plan["precision"])
        stores = stores_of(plan)
        execution = Execution(plan["device"], deterministic=True, spike=None, save_steps=6, keep_last=9)
        with tempfile.TemporaryDirectory() as place:
            runs = [train(recipe, stores, Path(place) / name, execution) for name in ("first", "second")]
            half = recipe.prefix(0, 6)
            (Path(place) / "resumed" / "checkpoints").mkdir(parents=True)
            (runs[0].folder / "checkpoints" / half).rename(Path(place) / "resumed" / "checkpoints" / half)
            runs.append(train(recipe, stores, Path(place) / "resumed", execution))
            hashes = [sha256((run.checkpoint / "model.safetensors").read_bytes()).hexdigest()[:16] for run in runs]
        assert runs[2].began is not None
        rows.append(
            {"size": size, "hash": hashes[0], "again": hashes[1] == hashes[0], "resumed": hashes[2] == hashes[0]}
        )
    if not all(row["again"] and row["resumed"] for row in rows):
        raise RuntimeError(json.dumps(rows))
    return rows


def ensemble_is_right(plan: Plan, folder: Path, part: str) -> list[Row]:
    """An ensemble's losses against those of single runs, by precision, with and without documents' mask."""
    rows, size = [], plan["ensemble"]["size"]
    precisions = ["fp32", "bf16"] if plan["device"] == "cuda" else ["fp32"]
    for precision, masked in itertools.product(precisions, (False, True)):
        recipes = random_recipes(size, 2, 6, 2, plan["ensemble"]["width"], precision)
        recipes = [replace(recipe, mask_documents=masked) for recipe in recipes]
        together = train_ensemble(recipes, stores_of(plan), plan["device"]).losses
        worst = 0.0
        for recipe, losses in zip(recipes, together, strict=True):
            single = losses_of_run(recipe, plan)
            worst = max(worst, float(np.abs(np.array(single) - losses).max()))
        rows.append({"precision": precision, "mask": masked, "largest_difference_nats": worst})
    tolerance = {"fp32": 2e-3, "bf16": 5e-2}
    if any(row["largest_difference_nats"] > tolerance[row["precision"]] for row in rows):
        raise RuntimeError(json.dumps(rows))
    return rows


def losses_of_run(recipe: Recipe, plan: Plan) -> list[float]:
    messages: list[Any] = []
    with tempfile.TemporaryDirectory() as place:
        execution = Execution(plan["device"], log_steps=1, spike=None)
        train(recipe, stores_of(plan), Path(place) / "run", execution, report=messages.append)
    return [message.loss for message in messages if not isinstance(message, str)]


def train_for_a_while(plan: Plan, folder: Path, part: str) -> list[Row]:
    """The loop itself, with everything that it does beside the arithmetic."""
    size, batch, width, seconds = plan["train"]
    device, messages, began = find_device(plan["device"]), [], time.monotonic()
    (recipe,) = random_recipes(size, 1, 100_000, batch, width, plan["precision"])

    class Enough(Exception):
        pass

    def report(message: Any) -> None:
        messages.append(message)
        if time.monotonic() - began > seconds and len(messages) > 1:
            raise Enough

    try:
        with tempfile.TemporaryDirectory() as place:
            train(recipe, stores_of(plan), Path(place) / "run", Execution(str(device), spike=None), report=report)
    except Enough:
        pass
    last = [message for message in messages if not isinstance(message, str)][-1]
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    row = {"size": size, "steps": last.step, "tokens_per_second": last.tokens_per_second}
    return [{**row, "mfu": last.mfu, "mfu_of_datasheet": last.datasheet_mfu, "peak_memory_gb": memory}]


# ---- two: how fast? --------------------------------------------------------------------------------------


def throughput(plan: Plan, folder: Path, size: str) -> Iterator[Row]:
    """Our loop, our bare step, and peers, on a size; what a peer fails with stands in its row."""
    batch, width = plan["throughput"][size]
    device = find_device(plan["device"])
    setting = Setting(size, batch, width, device, plan["precision"], compiles(device), plan["vocabulary_size"])
    flops = flops_per_token(build_model(size, plan["vocabulary_size"], 0), width)
    peers: dict[str, Callable[[], list[float]]] = {
        "simtool's loop": lambda: times_of_loop(setting, plan),
        "simtool's step": lambda: times_of(ours(setting), device, plan),
        "simtool's step, torch's loss": lambda: times_of(ours(setting, torchs_loss), device, plan),
        "simtool's step, residual stream in bf16": lambda: times_of(
            ours(replace(setting, residual_precision="bf16")), device, plan
        ),
        "simtool's step, eager": lambda: times_of(ours(replace(setting, compile=False)), device, plan),
    }
    installed = installed_peers()
    peers |= {name: lambda make=make: times_of(make(setting), device, plan) for name, make in PEERS.items()}
    n = plan["warmup"] + plan["steps"]
    peers[TRAINER] = lambda: seconds_of_trainer(replace(setting, compile=False), n)[plan["warmup"] :]
    peers[f"{TRAINER}, compiled"] = lambda: seconds_of_trainer(setting, n)[plan["warmup"] :]
    absent = {name for name in (*PEERS, TRAINER) if name not in installed}
    yield from (peer_row(name, call, setting, flops, absent) for name, call in peers.items())


def peer_row(name: str, call: Callable[[], list[float]], setting: Setting, flops: float, absent: set[str]) -> Row:
    row: Row = {"size": setting.size, "rows": setting.rows, "tokens_a_row": setting.sequence_length, "what": name}
    if name.split(",")[0] in absent:
        return row | {"error": "not installed"}
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(setting.device)
    start = time.perf_counter()
    try:
        times = call()
    except Exception as error:  # a peer's failure is a finding, and stops no other
        return row | {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"}
    speed = setting.n_tokens / statistics.median(times)
    memory = torch.cuda.max_memory_allocated(setting.device) / 1e9 if setting.device.type == "cuda" else None
    datasheet = datasheet_peak(setting.device, setting.precision)
    return row | {
        "tokens_per_second": speed,
        "fastest": setting.n_tokens / min(times),
        "mfu": flops * speed / measured_peak(setting.device, setting.precision),
        "mfu_of_datasheet": flops * speed / datasheet if datasheet else None,
        "peak_memory_gb": memory,
        "seconds_in_all": time.perf_counter() - start,
    }


def times_of_loop(setting: Setting, plan: Plan) -> list[float]:
    """Seconds between the messages of the loop, a step each."""
    n = plan["warmup"] + plan["steps"]
    (recipe,) = random_recipes(setting.size, 1, n, setting.rows, setting.sequence_length, setting.precision)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        execution = Execution(str(setting.device), log_steps=1, spike=None)
        train(
            recipe, stores_of(plan), Path(place) / "run", execution, report=lambda _: ends.append(time.perf_counter())
        )
    return np.diff(ends).tolist()[plan["warmup"] - 1 :]


# ---- three: of what use? ---------------------------------------------------------------------------------


def ensemble_speed(plan: Plan, folder: Path, part: str) -> Iterator[Row]:
    """Tokens/s of members side by side, against a single run, by members and tokens of a step."""
    settings = plan["ensemble"]
    size, width, steps = settings["size"], settings["width"], settings["steps"]
    device = find_device(plan["device"])
    for step_tokens in settings["step_tokens"]:
        batch = max(1, step_tokens // width)
        tokens = steps * batch * width
        single = Setting(size, batch, width, device, plan["precision"], False, plan["vocabulary_size"])
        solo = {"single, eager": statistics.median(times_of(ours(single), device, plan))}
        if compiles(device):
            compiled = replace(single, compile=True)
            solo["single, compiled"] = statistics.median(times_of(ours(compiled), device, plan))
        best = batch * width / min(solo.values())
        yield from (row_of_speed(step_tokens, name, batch * width / took, best) for name, took in solo.items())
        yield row_of_speed(step_tokens, "4 processes", processes_speed(plan, batch, 4), best)
        for n, graph in itertools.product(settings["members"], (False, True)):
            recipes = random_recipes(size, n, steps, batch, width, plan["precision"])
            messages, took = seconds_of_ensemble(recipes, plan, graph)
            name = f"ensemble of {n}" + (", as a CUDA graph" if graph else "")
            yield row_of_speed(step_tokens, name, n * tokens / took, best) | {"note": "; ".join(messages) or None}


def seconds_of_ensemble(recipes: Sequence[Recipe], plan: Plan, graph: bool) -> tuple[list[str], float]:
    """What is reported in training an ensemble, and how long a second time takes; the first compiles."""
    messages: list[str] = []
    stores, device = stores_of(plan), plan["device"]
    train_ensemble(recipes, stores, device, graph=graph, report=messages.append)
    start = time.perf_counter()
    train_ensemble(recipes, stores, device, graph=graph)
    return messages, time.perf_counter() - start


def row_of_speed(step_tokens: int, name: str, tokens_per_second: float, best: float) -> Row:
    return {
        "tokens_a_step": step_tokens,
        "what": name,
        "tokens_per_second": tokens_per_second,
        "against_the_best_single": tokens_per_second / best,
    }


def processes_speed(plan: Plan, batch: int, n: int) -> float:
    """Tokens/s of single runs in so many processes on one device, all together, start-up left out."""
    script = (
        "import sys, json, torch; from benchmarks.gpu_steps import *\n"
        "plan, batch = json.loads(sys.argv[1]), int(sys.argv[2]); settings = plan['ensemble']\n"
        "device = find_device(plan['device'])\n"
        "setting = Setting(settings['size'], batch, settings['width'], device, plan['precision'], False,"
        " plan['vocabulary_size'])\n"
        "print(setting.n_tokens / statistics.median(times_of(ours(setting), device, plan)))"
    )
    command = [sys.executable, "-c", script, json.dumps(dict(plan)), str(batch)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    outputs = [process.communicate()[0] for process in running]
    return sum(float(output.split()[-1]) for output in outputs)


def study(plan: Plan, folder: Path, part: str) -> list[Row]:
    """The prepared study, until it is done or its time is over; its records stay in the folder."""
    from simtool.studies.execute import StudyExecution, run_study
    from simtool.studies.prepare import find_study

    began = time.monotonic()
    place = folder / "study"
    outcome = run_study(find_study(place), place, None, StudyExecution(plan["device"]))
    if outcome.failed:
        raise RuntimeError("; ".join(f"{key}: {error}" for key, error in list(outcome.failed.items())[:3]))
    records = (place / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return [{"runs": len(outcome.results), "records": len(records), "seconds": time.monotonic() - began}]


STEPS: dict[str, Callable[[Plan, Path, str], Iterable[Row]]] = {
    "machine": machine,
    "attention": attention,
    "tests": tests,
    "determinism": determinism,
    "ensemble_is_right": ensemble_is_right,
    "train": train_for_a_while,
    "throughput": throughput,
    "ensemble_speed": ensemble_speed,
    "study": study,
}


def main(folder: Path, step: str) -> None:
    """Run a step and write what came of it."""
    name, _, part = step.partition(":")
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    rows: list[Row] = []
    try:
        for row in STEPS[name](plan, folder, part):
            rows.append(row)
            write_json(result_path(folder, step), {"step": step, "ok": False, "rows": rows})
        result = {"step": step, "ok": True, "rows": rows}
    except Exception:
        result = {"step": step, "ok": False, "rows": rows, "error": traceback.format_exc()}
    write_json(result_path(folder, step), result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
