"""Memory of a process that counts: what a batch leaves is used by the next."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names for its settings, see mallopt(3)
KEPT_BYTES = 1 << 30  # what is free at the end of the heap is given back beyond that
OWN_MAP_BYTES = 32 << 20  # what is larger is mapped, and unmapped, by itself: the most that glibc takes
USUAL_KEPT_BYTES = 2 * OWN_MAP_BYTES  # what glibc comes to by itself in a process that frees large arrays
YOUNG_OBJECTS = 50_000  # that Python's collector waits for: a block's rows are gone by then, and hold no cycles


@contextmanager
def kept_memory() -> Iterator[None]:
    """Give no memory back meanwhile; afterwards all that is free.

    Else each batch gives 16 MB of text and its ids back, and the next asks for them again, a page at a time: 0.45 s of
    0.85 s of the system's time for 467 MB of text.
    """
    young, *older = gc.get_threshold()
    gc.set_threshold(max(young, YOUNG_OBJECTS) if young else 0, *older)  # 0: it is switched off
    try:
        with _heap_kept():
            yield
    finally:
        gc.set_threshold(young, *older)


@contextmanager
def _heap_kept() -> Iterator[None]:
    """Nothing where there is no glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "malloc_trim"):
        yield
        return
    library.mallopt(M_MMAP_THRESHOLD, OWN_MAP_BYTES)
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    try:
        yield
    finally:
        library.mallopt(M_TRIM_THRESHOLD, USUAL_KEPT_BYTES)
        library.malloc_trim(0)
