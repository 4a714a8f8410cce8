"""To be shown: simtool's loop trains small models faster than litgpt and transformers, on the same batch.

    pip install litgpt accelerate
    python benchmarks/train_throughput.py > train_throughput.md

One run, same device, batch and precision for all; the best of several steps each, after one to warm up, taken in
turn so that whatever else runs here slows all of them alike (a Trainer turns its own loop, so it goes right after).
Printed with it: tokens/s of 16 replicas of one batched model against one after another, and of the batch reader
alone. Rows whose device is not here say "not measured"; a peer that is not installed is left out, and named.

MFU is tokens/s x FLOPs a token / peak. FLOPs a token: 6 N + 12 L D T (PaLM, appendix B), N without the input
embedding and with the output matrix, attention counted whole. Peak: the best large matrix product on this device.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import transformers

from simtool.mixture import Mixture
from simtool.tokens.batches import TextBatches
from simtool.tokens.store import TokenStore
from simtool.training.ensemble import train_ensemble
from simtool.training.hardware import autocast, measured_peak
from simtool.training.losses import chunked_cross_entropy
from simtool.training.model import build_model, flops_per_token
from simtool.training.optimizer import BETAS, parameter_groups
from simtool.training.recipes import Phase, Recipe
from simtool.training.trainer import Execution, train

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


def of_module(size: str, rows: int, length: int, device: torch.device, precision: str, compile: bool) -> Step:
    """transformers' GPTNeoXForCausalLM with its own loss and sdpa attention, in a plain loop."""
    model = gpt_neox(size, length).to(device).train()
    run = torch.compile(model) if compile else model
    ids = torch.randint(0, VOCABULARY, (rows, length), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=BETAS, fused=True)

    def step() -> None:
        with autocast(device, precision):
            loss = run(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        finish(model, optimizer)

    return step


def gpt_neox(size: str, length: int) -> torch.nn.Module:
    told = build_model(size, VOCABULARY, 0).config(length, 0)
    config = transformers.GPTNeoXConfig(**{name: value for name, value in told.items() if name != "architectures"})
    return transformers.GPTNeoXForCausalLM(config)


def of_litgpt(size: str, rows: int, length: int, device: torch.device, precision: str, compile: bool) -> Step:
    """litgpt's GPT of the same shape, with its chunked loss, as its pretraining does a step."""
    import litgpt
    from litgpt.utils import chunked_cross_entropy as loss_of

    told = build_model(size, VOCABULARY, 0).config(length, 0)
    shape = {
        "n_layer": told["num_hidden_layers"], "n_head": told["num_attention_heads"], "n_embd": told["hidden_size"],
        "intermediate_size": told["intermediate_size"], "padded_vocab_size": VOCABULARY, "block_size": length,
    }  # fmt: skip
    # all else as Pythia has it; the number of heads of keys and their size follow from the shape
    config = litgpt.Config.from_name("pythia-14m", n_query_groups=shape["n_head"],
                                     head_size=shape["n_embd"] // shape["n_head"], **shape)  # fmt: skip
    model = litgpt.GPT(config).to(device).train()
    run = torch.compile(model) if compile else model
    ids = torch.randint(0, VOCABULARY, (rows, length), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=BETAS, fused=True)

    def step() -> None:
        with autocast(device, precision):
            loss = loss_of(run(ids), ids)
        loss.backward()
        finish(model, optimizer)

    return step


def seconds_of_trainer(
    size: str, rows: int, length: int, device: torch.device, precision: str, compile: bool, steps: int
) -> list[float]:
    """What each step of transformers' Trainer takes, as it comes: default arguments but for what all have alike."""
    ends: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            if device.type == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    ids = torch.randint(0, VOCABULARY, (rows * (steps + 1), length))
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, per_device_train_batch_size=rows, max_steps=steps + 1, bf16=precision == "bf16", report_to=[],
            torch_compile=compile, save_strategy="no", disable_tqdm=True, use_cpu=device.type == "cpu",
        )  # fmt: skip
        rows_of = [{"input_ids": one, "labels": one} for one in ids]
        trainer = transformers.Trainer(gpt_neox(size, length), arguments, train_dataset=rows_of, callbacks=[Clock()])
        trainer.remove_callback(transformers.PrinterCallback)  # it would print into our table
        trainer.train()
    return np.diff(ends).tolist()


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


PEERS = {"transformers' module": of_module, "litgpt": of_litgpt}
TRAINER = "transformers' Trainer"


def throughput(device: torch.device, precision: str, steps: int, compile: bool) -> Iterator[str]:
    peak = measured_peak(device, precision)
    yield f"Peak, measured: {peak / 1e12:.3g} TFLOP/s in {precision}; datasheet: {datasheet(device)}."
    yield ""
    absent = [name for name, package in {"litgpt": "litgpt", TRAINER: "accelerate"}.items() if not find_spec(package)]
    names = [name for name in (*PEERS, TRAINER) if name not in absent]
    if absent:
        yield f"Not installed, so left out: {', '.join(absent)}.\n"
    yield "| size | rows x tokens | simtool tokens/s | MFU | memory |" + "".join(f" {name} |" for name in names)
    yield "|---|---|---:|---:|---:|" + "---:|" * len(names)
    for size, (rows, length) in (CPU_SIZES if device.type == "cpu" else GPU_SIZES).items():
        given = (size, rows, length, device, precision, compile)
        mine, flops = ours(*given)
        memory = peak_memory(mine, device)
        running = {"simtool": mine, **{name: make(*given) for name, make in PEERS.items() if name in names}}
        taken: dict[str, list[float]] = {name: [] for name in running}
        for n in range(steps + 1):
            for name, step in running.items():
                took = seconds(step, device)
                if n:  # the first is to warm up
                    taken[name].append(took)
        if TRAINER in names:
            taken[TRAINER] = seconds_of_trainer(*given, steps)
        fast = rows * length / min(taken["simtool"])
        yield f"| {size} | {rows} x {length:,} | {fast:,.0f} | {fast * flops / peak:.0%} | {memory} |" + "".join(
            f" {rows * length / min(taken[name]):,.0f}; simtool {min(taken[name]) / min(taken['simtool']):.2f}x"
            f" (medians {statistics.median(taken[name]) / statistics.median(taken['simtool']):.2f}x) |"
            for name in names
        )
    for size, (rows, length) in GPU_SIZES.items() if device.type == "cpu" else ():
        yield f"| {size} | {rows} x {length:,} | not measured | | |" + " not measured |" * len(names)


def peak_memory(step: Step, device: torch.device) -> str:
    """Of one step of ours, on the device; a CPU's is not told apart from the process's."""
    if device.type == "cpu":
        return ""
    torch.cuda.reset_peak_memory_stats()
    seconds(step, device)
    return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"


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
    train_ensemble(recipes, stores, device)
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
