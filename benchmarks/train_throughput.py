"""To be shown: simtool's loop trains small models faster than litgpt and transformers, on the same batch.

    pip install litgpt accelerate
    python benchmarks/train_throughput.py > train_throughput.md

One run, same device, batch and precision for all; the best of several steps each, after one to warm up, taken in
turn so that whatever else runs here slows all of them alike (a Trainer turns its own loop, so it goes right after). On
a CPU all have one thread, and seconds are those of the processor.
Printed with it: tokens/s of an ensemble of 16 against one model after another, and of the batch reader by itself. A
peer that is not installed is left out, and named. On a GPU: `gpu_suite.py`, which uses the steps that stand here.

MFU is tokens/s x FLOPs per token / peak. FLOPs per token: 6 N + 12 L D T (PaLM, appendix B), N without the input
embedding and with the output matrix, attention counted whole. Peak: a large matrix product on this device.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn import functional as F

from simtool.mixture import Mixture
from simtool.tokens.batches import TextBatches
from simtool.tokens.store import TokenStore, mask_arrays
from simtool.training.distributed import compile_layers, keep_freed_memory
from simtool.training.ensemble import train_ensemble
from simtool.training.hardware import autocast, measured_peak
from simtool.training.losses import chunked_cross_entropy
from simtool.training.model import build_model, flops_per_token
from simtool.training.optimizer import BETAS, adamw, guarded_step
from simtool.training.products import product
from simtool.training.recipes import Phase, Recipe
from simtool.training.trainer import Execution, train

VOCABULARY = 32_768
RATE = 1e-4
Step = Callable[[], None]


@dataclass(frozen=True)
class Setting:
    """What every peer trains: a size, rows of tokens, and how."""

    size: str
    rows: int
    sequence_length: int
    device: torch.device
    precision: str
    compile: bool
    vocabulary_size: int = VOCABULARY
    residual_precision: str = "fp32"

    @property
    def n_tokens(self) -> int:
        return self.rows * self.sequence_length

    def random_ids(self) -> torch.Tensor:
        return torch.randint(0, self.vocabulary_size, (self.rows, self.sequence_length), device=self.device)

    def config(self) -> dict[str, Any]:
        """As transformers writes it."""
        return build_model(self.size, self.vocabulary_size, 0).config(self.sequence_length, 0)


CPU = torch.device("cpu")
CPU_SETTINGS = [Setting(size, rows, 256, CPU, "fp32", False) for size, rows in (("nano", 16), ("micro", 8))]

# ---- peers -----------------------------------------------------------------------------------------------


def our_loss(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return chunked_cross_entropy(hidden, head, targets)[0]


def torchs_loss(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """torch's own loss without all logits (2.13); where it is faster on a GPU, the loop should take it."""
    return F.linear_cross_entropy(hidden.flatten(0, 1), head.to(hidden.dtype), targets.flatten(), reduction="sum")


def ours(setting: Setting, loss_of: Callable[..., torch.Tensor] = our_loss) -> Step:
    """The arithmetic of the loop's step, bare."""
    model = build_model(setting.size, setting.vocabulary_size, 0, setting.residual_precision).to(setting.device)
    if setting.compile:
        compile_layers(model)
    ids, optimizer = setting.random_ids(), adamw(model, 0.1)

    def step() -> None:
        with autocast(setting.device, setting.precision):
            loss = loss_of(model.hidden(ids), model.head, ids)
        (loss / ids.numel()).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        guarded_step(optimizer, RATE, loss.detach() / ids.numel(), norm, float("inf"))

    return step


def of_module(setting: Setting) -> Step:
    """transformers' GPTNeoXForCausalLM with its own loss and sdpa attention, in a plain loop."""
    model = gpt_neox(setting).to(setting.device).train()
    compiled = torch.compile(model) if setting.compile else model
    return plain_step(setting, model, lambda ids: compiled(input_ids=ids, labels=ids, use_cache=False).loss)


def gpt_neox(setting: Setting) -> torch.nn.Module:
    options = {name: value for name, value in setting.config().items() if name != "architectures"}
    return transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**options))


def of_litgpt(setting: Setting) -> Step:
    """litgpt's GPT of the same shape, with its chunked loss, as its pretraining does a step."""
    import litgpt
    from litgpt.utils import chunked_cross_entropy as loss_of

    config = setting.config()
    heads, width = config["num_attention_heads"], config["hidden_size"]
    # all else as Pythia has it
    shape = litgpt.Config.from_name(
        "pythia-14m", n_layer=config["num_hidden_layers"], n_head=heads, n_embd=width, n_query_groups=heads,
        head_size=width // heads, intermediate_size=config["intermediate_size"],
        padded_vocab_size=config["vocab_size"], block_size=setting.sequence_length,
    )  # fmt: skip
    model = litgpt.GPT(shape).to(setting.device).train()
    compiled = torch.compile(model) if setting.compile else model
    return plain_step(setting, model, lambda ids: loss_of(compiled(ids), ids))


def plain_step(setting: Setting, model: torch.nn.Module, loss_of: Callable[[torch.Tensor], torch.Tensor]) -> Step:
    ids = setting.random_ids()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, fused=True)

    def step() -> None:
        with autocast(setting.device, setting.precision):
            loss = loss_of(ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def seconds_of_trainer(setting: Setting, steps: int) -> list[float]:
    """What each step of transformers' Trainer takes, as it comes: default arguments but for what all have alike."""
    ends: list[float] = []

    class Clock(transformers.TrainerCallback):
        def on_step_end(self, *_: object, **__: object) -> None:
            ends.append(now(setting.device))

    ids = torch.randint(0, setting.vocabulary_size, (setting.rows * (steps + 1), setting.sequence_length))
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, per_device_train_batch_size=setting.rows, max_steps=steps + 1, bf16=setting.precision == "bf16",
            report_to=[], torch_compile=setting.compile, save_strategy="no", disable_tqdm=True,
            use_cpu=setting.device.type == "cpu",
        )  # fmt: skip
        rows = [{"input_ids": row, "labels": row} for row in ids]
        trainer = transformers.Trainer(gpt_neox(setting), arguments, train_dataset=rows, callbacks=[Clock()])
        trainer.remove_callback(transformers.PrinterCallback)  # it would print into our table
        trainer.train()
    return np.diff(ends).tolist()


PEERS = {"transformers' module": of_module, "litgpt": of_litgpt}
TRAINER = "transformers' Trainer"
PACKAGES = {"litgpt": "litgpt", TRAINER: "accelerate"}


def installed_peers() -> list[str]:
    return [name for name in (*PEERS, TRAINER) if name not in PACKAGES or find_spec(PACKAGES[name])]


# ---- measuring -------------------------------------------------------------------------------------------


def now(device: torch.device) -> float:
    """Seconds: on a GPU of the clock, when it is idle; on a CPU of this process, whatever else runs beside it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def seconds(step: Step, device: torch.device) -> float:
    start = now(device)
    step()
    return now(device) - start


def cpu_peak(n: int = 1024, times: int = 20) -> float:
    """Operations a second of processor time, of a large product."""
    matrix = torch.randn(n, n)
    return 2 * n**3 / min(seconds(lambda: product(matrix, matrix), CPU) for _ in range(times))


def throughput(settings: list[Setting], steps: int) -> Iterator[str]:
    device, precision = settings[0].device, settings[0].precision
    peak = cpu_peak() if device.type == "cpu" else measured_peak(device, precision)
    yield f"Peak, measured: {peak / 1e12:.3g} TFLOP/s in {precision}."
    yield ""
    names = installed_peers()
    if absent := [name for name in (*PEERS, TRAINER) if name not in names]:
        yield f"Not installed, so left out: {', '.join(absent)}.\n"
    yield "| size | rows x tokens | simtool tokens/s | MFU |" + "".join(f" {name} |" for name in names)
    yield "|---|---|---:|---:|" + "---:|" * len(names)
    for setting in settings:
        running = {"simtool": ours(setting), **{name: PEERS[name](setting) for name in names if name in PEERS}}
        times: dict[str, list[float]] = {name: [] for name in running}
        for n in range(steps + 1):
            for name, step in running.items():
                took = seconds(step, device)
                if n:  # the first is to warm up
                    times[name].append(took)
        if TRAINER in names:
            times[TRAINER] = seconds_of_trainer(setting, steps)
        yield _row(setting, times, names, peak)


def _row(setting: Setting, times: dict[str, list[float]], names: list[str], peak: float) -> str:
    fast = setting.n_tokens / min(times["simtool"])
    flops = flops_per_token(build_model(setting.size, setting.vocabulary_size, 0), setting.sequence_length)
    own = f"| {setting.size} | {setting.rows} x {setting.sequence_length:,} | {fast:,.0f} | {fast * flops / peak:.0%} |"
    return own + "".join(
        f" {setting.n_tokens / min(times[name]):,.0f}; simtool {min(times[name]) / min(times['simtool']):.2f}x"
        f" (medians {statistics.median(times[name]) / statistics.median(times['simtool']):.2f}x) |"
        for name in names
    )


def random_store(n_tokens: int, vocabulary_size: int = VOCABULARY) -> TokenStore:
    """Documents of 1,000 random ids."""
    rng = np.random.default_rng(0)
    offsets = np.arange(0, n_tokens + 1, 1000)
    n = len(offsets) - 1
    return TokenStore(
        "random", "train", "random", "0" * 16, vocabulary_size, 0,
        ids=rng.integers(1, vocabulary_size, n * 1000).astype(np.uint16),
        offsets=offsets,
        n_bytes=np.full(n, 4000),
        **mask_arrays([[]] * n),
        n_masked_bytes=np.zeros(n, np.int64),
        hashes=np.arange(n, dtype=np.uint64),
    )  # fmt: skip


def reader() -> str:
    batches = TextBatches({"random": random_store(20_000_000)}, Mixture({"random": 1.0}), 0, 2048, 64, 100)
    best = min(seconds(lambda i=i: batches.batch(i), CPU) for i in range(60))
    return f"{64 * 2048 / best:,.0f} tokens/s in batches of 64 x 2,048 ({1 / best:,.0f} batches/s)"


def random_recipes(size: str, n: int, steps: int, rows: int, sequence_length: int, precision: str) -> list[Recipe]:
    """n seeds of one short run on `random_store`."""
    phase = Phase("pre", Mixture({"random": 1.0}), steps * rows * sequence_length, 1e-3, batch_size=rows)
    return [
        Recipe(size, "0" * 16, (phase,), seed, sequence_length, precision=precision, max_epochs=1000)
        for seed in range(n)
    ]


def ensemble(size: str, n: int, steps: int, rows: int, sequence_length: int) -> str:
    """n runs as one batched model, and one after another, on a CPU."""
    stores = {"random": random_store(1_000_000)}
    recipes = random_recipes(size, n, steps, rows, sequence_length, "fp32")
    together = seconds(lambda: train_ensemble(recipes, stores), CPU)
    singly = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for recipe in recipes[:2]:  # the others take as long
            run = Path(folder) / str(recipe.seed)
            singly += seconds(lambda r=recipe, to=run: train(r, stores, to, Execution("cpu", spike=None)), CPU) / 2 * n
    tokens = n * steps * rows * sequence_length
    return (
        f"{size}, {n} members, {rows} x {sequence_length} a step: {tokens / together:,.0f} tokens/s together,"
        f" {tokens / singly:,.0f} one after another: {singly / together:.2f}x"
    )


def machine() -> str:
    return (
        f"CPU, {torch.get_num_threads()} threads; torch {torch.__version__}, transformers {transformers.__version__},"
        f" {platform.machine()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--members", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)  # processor time is then that of the one thread
    keep_freed_memory()  # for every peer alike
    print(machine() + "\n")
    for line in throughput(CPU_SETTINGS, options.steps):
        print(line, flush=True)
    print(f"\nThe reader by itself: {reader()}.", flush=True)
    print(f"\nEnsemble: {ensemble('nano', options.members, options.steps, 1, 32)}.")


if __name__ == "__main__":
    main()
