"""Threads for array code, which lets go of the interpreter lock."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


@contextmanager
def array_threads(threads: int | None = None, blas_threads: int | None = 1) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; BLAS has one thread for each of them meanwhile.

    With threads of its own besides, BLAS waits for them in a loop: a matrix of 50 corpora took 190 s of processor time
    with 8, and takes 17 s so (2 busy cores).

    Parameters
    ----------
    threads
        None: one per processor.
    blas_threads
        None: as many as BLAS likes, where products are not taken in the pool.
    """
    with (
        _blas(len(sys.modules)).limit(limits=blas_threads, user_api="blas"),
        ThreadPoolExecutor(threads or os.cpu_count()) as pool,
    ):
        yield pool


@lru_cache(maxsize=1)
def _blas(n_modules: int) -> Any:
    """All BLAS libraries; looked for again once more modules are loaded, which may have brought one of their own."""
    import numpy  # noqa: F401 (its BLAS must be loaded to be limited)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
