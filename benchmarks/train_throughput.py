"""Claim: simtool's loop trains small models faster than transformers' module under a plain loss, on the same batch.

    python benchmarks/train_throughput.py > train_throughput.md

One run, same device, batch and precision for all; the best of several steps each, after one to warm up, taken in
turn so that whatever else runs here slows all of them alike. Printed with it: tokens/s of 16 replicas of one batched
model against one after another, and of the batch reader alone. Rows whose device is not here say "not measured".

MFU is tokens/s x FLOPs a token / peak. FLOPs a token: 6 N + 12 L D T (PaLM, appendix B), N without the input
embedding and with the output matrix, attention counted whole. Peak: the best large matrix product on this device.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import transformers

from simtool.mixture import Mixture
from simtool.tokens.batches import TextBatches
from simtool.tokens.store import TokenStore
from simtool.training.loop import BETAS, Execution, autocast, measured_peak, train
from simtool.training.model import build_model, chunked_cross_entropy, flops_per_token, parameter_groups
from simtool.training.recipes import Phase, Recipe
from simtool.training.replicas import train_replicas

CPU_SIZES = {"nano": (16, 256), "micro": (8, 256)}  # rows, tokens a row
GPU_SIZES = {"14m": (32, 2048), "70m": (16, 2048), "160m": (16, 2048), "410m": (8, 2048), "1b": (4, 2048)}
DATASHEET = {"NVIDIA H100 80GB HBM3": 989e12, "NVIDIA H200": 989e12}  # bf16 without sparsity
VOCABULARY = 32_768
Step = Callable[[], None]


def ours(size: str, rows: int, length: int, device: torch.device, precision: str, compile: bool) -> tuple[Step, float]:
    model = build_model(size, VOCABULARY, 0).to(device)
    hidden = torch.compile(model.hidden) if compile else model.hidden
    ids = torch.randint(0, VOCABULARY, (rows, length), device=device)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.1), lr=1e-4, betas=BETAS, fused=True)

    def step() -> None:
        with autocast(device, precision):
            loss, _ = chunked_cross_entropy(hidden(ids), model.head, ids)
        (loss / ids.numel()).backward()
        finish(model, optimizer)

    return step, flops_per_token(model, length)


def of_transformers(size: str, rows: int, length: int, device: torch.device, precision: str) -> Step:
    """transformers' GPTNeoXForCausalLM with its own loss and sdpa attention: what its Trainer runs in every step."""
    told = build_model(size, VOCABULARY, 0).config(length, 0)
    config = transformers.GPTNeoXConfig(**{name: value for name, value in told.items() if name != "architectures"})
    model = transformers.GPTNeoXForCausalLM(config).to(device).train()
    ids = torch.randint(0, VOCABULARY, (rows, length), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=BETAS, fused=True)

    def step() -> None:
        with autocast(device, precision):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        finish(model, optimizer)

    return step


def finish(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def seconds(step: Step, device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def throughput(device: torch.device, precision: str, steps: int, compile: bool) -> Iterator[str]:
    peak = measured_peak(device, precision)
    yield f"Peak, measured: {peak / 1e12:.3g} TFLOP/s in {precision}; datasheet: {datasheet(device)}."
    yield ""
    yield "| size | rows x tokens | simtool tokens/s | MFU | transformers tokens/s | simtool / transformers |"
    yield "|---|---|---:|---:|---:|---:|"
    for size, (rows, length) in (CPU_SIZES if device.type == "cpu" else GPU_SIZES).items():
        mine, flops = ours(size, rows, length, device, precision, compile)
        theirs = of_transformers(size, rows, length, device, precision)
        taken: dict[Step, list[float]] = {mine: [], theirs: []}
        for n in range(steps + 1):
            for step, times in taken.items():
                times.append(seconds(step, device)) if n else step()
        fast, slow = (rows * length / min(times) for times in taken.values())
        ratios = [b / a for a, b in zip(*taken.values(), strict=True)]
        yield (
            f"| {size} | {rows} x {length:,} | {fast:,.0f} | {fast * flops / peak:.0%} | {slow:,.0f}"
            f" | {fast / slow:.1f}x (median of steps {statistics.median(ratios):.1f}x) |"
        )
    for size, (rows, length) in GPU_SIZES.items() if device.type == "cpu" else ():
        yield f"| {size} | {rows} x {length:,} | not measured | | not measured | |"


def datasheet(device: torch.device) -> str:
    if device.type == "cpu":
        return "not known"
    known = DATASHEET.get(torch.cuda.get_device_name(device))
    return f"{known / 1e12:.0f} TFLOP/s in bf16" if known else "not known"


def random_store(n_tokens: int) -> TokenStore:
    """Documents of 1,000 random ids."""
    rng = np.random.default_rng(0)
    offsets = np.arange(0, n_tokens + 1, 1000)
    n = len(offsets) - 1
    nothing = np.zeros(n, np.int64)
    ids = rng.integers(1, VOCABULARY, n * 1000).astype(np.uint16)
    of_documents = (np.full(n, 4000), nothing, nothing.copy(), np.arange(n, dtype=np.uint64))
    return TokenStore("random", "train", "random", "0" * 16, VOCABULARY, 0, ids, offsets, *of_documents)


def reader() -> str:
    batches = TextBatches({"random": random_store(20_000_000)}, Mixture({"random": 1.0}), 0, 2048, 64, 100)
    best = min(seconds(lambda i=i: batches.batch(i), torch.device("cpu")) for i in range(60))
    return f"{64 * 2048 / best:,.0f} tokens/s in batches of 64 x 2,048 ({1 / best:,.0f} batches/s)"


def replicas(size: str, n: int, steps: int, rows: int, length: int, device: str) -> str:
    """n runs as one batched model, and one after another."""
    stores = {"random": random_store(1_000_000)}
    phase = Phase("pre", Mixture({"random": 1.0}), steps * rows * length, 1e-3, batch_size=rows)
    recipes = [Recipe(size, "0" * 16, (phase,), seed, length) for seed in range(n)]
    start = time.perf_counter()
    train_replicas(recipes, stores, device)
    together = time.perf_counter() - start
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for recipe in recipes[:2]:  # the others take as long
            train(recipe, stores, Path(folder) / str(recipe.seed), Execution(device, spike=None))
    alone = (time.perf_counter() - start) / 2 * n
    tokens = n * steps * rows * length
    return (
        f"{size}, R = {n}, {rows} x {length} a step: {tokens / together:,.0f} tokens/s together,"
        f" {tokens / alone:,.0f} one after another: {alone / together:.2f}x"
    )


def machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return f"{name}; torch {torch.__version__}, transformers {transformers.__version__}, {platform.machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--replicas", type=int, default=16)
    given = parser.parse_args()
    device = torch.device(given.device)
    print(machine(device) + "\n")
    for line in throughput(device, "bf16" if device.type == "cuda" else "fp32", given.steps, device.type == "cuda"):
        print(line, flush=True)
    print(f"\nThe reader alone: {reader()}.", flush=True)
    size, rows, length = ("14m", 8, 2048) if device.type == "cuda" else ("nano", 1, 32)
    print(f"\nReplicas: {replicas(size, given.replicas, given.steps, rows, length, given.device)}.")


if __name__ == "__main__":
    main()
