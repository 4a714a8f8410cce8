"""Where a model is trained: the device of a name, its precision, how fast it multiplies, and whether it is full."""

import functools
import os
import shutil
import statistics
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from simtool.errors import SimtoolError
from simtool.training.products import product

PEAK_SECONDS = 1.0  # spent on measuring how fast a matrix product is; on a GPU half of it to leave idle clocks
RECOMPILE_LIMIT = 64  # shapes of a compiled function; torch's own is 8
# dense bf16 operations a second, by the beginning of the name that CUDA gives a card; NVIDIA's data sheets
DATASHEET_PEAKS = {
    "NVIDIA H200": 989e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA A100": 312e12,
}


def find_device(name: str) -> torch.device:
    """The device of a name, which becomes this process's own: no context is opened on another GPU.

    "cuda" and "auto" are the GPU of this process's local rank under torchrun, else the first.

    Raises
    ------
    SimtoolError
        Where there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SimtoolError(f"No device {name!r}. Known: auto, cpu, cuda, cuda:1 and so on.") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise SimtoolError("No CUDA device here. Use --device cpu.")
        if device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        if device.index >= torch.cuda.device_count():
            raise SimtoolError(f"No device {str(device)!r}: there are {torch.cuda.device_count()} GPUs here.")
        torch.cuda.set_device(device)
    return device


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """bf16 for matrix products over fp32 weights, or nothing."""
    context = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with context:
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller piece of work might fit. cuBLAS says so in words of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


# ---- how fast it is --------------------------------------------------------------------------------------


@functools.cache
def measured_peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a large square matrix product here: what MFU is a share of.

    Measured once a process (a second): a study trains a hundred times in one.
    """
    n = 8192 if device.type == "cuda" else 1024
    matrix = torch.randn(n, n, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    seconds = gpu_product_seconds(matrix) if device.type == "cuda" else cpu_product_seconds(matrix)
    return 2 * n**3 / seconds


def cpu_product_seconds(matrix: torch.Tensor) -> float:
    """The least of many: others may be using the same cores."""
    times: list[float] = []
    began = time.perf_counter()
    while not times or (time.perf_counter() - began < PEAK_SECONDS and len(times) < 40):
        start = time.perf_counter()
        product(matrix, matrix)
        times.append(time.perf_counter() - start)
    return min(times)


def gpu_product_seconds(matrix: torch.Tensor) -> float:
    """The median of half a second by the device's own clock, after as long to warm up."""
    device, half = matrix.device, PEAK_SECONDS / 2
    with torch.cuda.device(device):
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < half:
            matrix @ matrix
            torch.cuda.synchronize(device)
            n += 1
        marks = [torch.cuda.Event(enable_timing=True) for _ in range(n + 1)]
        marks[0].record()
        for mark in marks[1:]:
            matrix @ matrix
            mark.record()
        torch.cuda.synchronize(device)
        milliseconds = [a.elapsed_time(b) for a, b in pairwise(marks)]
    return statistics.median(milliseconds) / 1000


def datasheet_peak(device: torch.device, precision: str) -> float | None:
    """What the maker says, operations a second; None for a CPU, for fp32, and for a card that is not in the table."""
    if device.type != "cuda" or precision != "bf16":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for card, peak in DATASHEET_PEAKS.items() if name.startswith(card)), None)


def can_compile() -> bool:
    """Whether torch.compile has what it needs for a GPU: Triton, and a C compiler with Python's headers to build what
    starts its kernels. A machine for computing alone may lack either."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return bool(find_spec("triton") and compiler and headers.exists())


@functools.cache
def compiled_on_gpu(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    """A function of tensors, compiled where that is worth it and can be done."""
    if device != "cuda" or not can_compile():
        return function
    allow_more_shapes()
    return torch.compile(function)


def allow_more_shapes() -> None:
    """Beyond its limit torch goes on without compiling, and says nothing: a study has shapes enough for that."""
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, RECOMPILE_LIMIT)


def free_bytes(device: torch.device) -> int:
    """Of a GPU's memory, what can still be had: free, or held by torch without use."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
