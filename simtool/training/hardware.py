"""Where a model is trained: the device of a name, its precision, and how fast it multiplies."""

import functools
import math
import os
import time
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from simtool.errors import SimtoolError

PEAK_SECONDS = 1.0  # spent on measuring how fast a matrix product is


def find_device(name: str) -> torch.device:
    """The device of a name; "auto": this process's GPU, or the CPU. Raises SimtoolError where there is none such."""
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SimtoolError(f"No device {name!r}. Known: auto, cpu, cuda, cuda:1 and so on.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SimtoolError("No CUDA device here. Use --device cpu.")
    return device


@contextmanager
def autocast(device: torch.device, precision: str) -> Any:
    """bf16 for matrix products over fp32 weights, or nothing."""
    context = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with context:
        yield


@functools.cache
def measured_peak(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a large square matrix product here: what MFU is a share of.

    Measured once a process (a second on a CPU): a study trains a hundred times in one.
    """
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    best, began, most = math.inf, time.perf_counter(), 4 if device.type == "cuda" else 40
    for done in range(most):  # others may be using the same cores
        start = time.perf_counter()
        if done and start - began > PEAK_SECONDS:
            break
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best
