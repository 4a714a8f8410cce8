"""A process that counts keeps its memory, and gives it back behind."""

import gc
import subprocess
import sys

import pytest

from simtool.profiles.memory import YOUNG_OBJECTS, kept_memory

BATCHES = """
import resource, sys
from simtool.profiles.memory import kept_memory

def faults_of_batches(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        texts = [b"x" * (1 << 20) for _ in range(24)]
        del texts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

with kept_memory():
    first, others = faults_of_batches(1), faults_of_batches(4)
    held = resident_pages()
print(first, others, held - resident_pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_a_batch_uses_the_memory_of_the_one_before():
    shown = subprocess.run([sys.executable, "-c", BATCHES], capture_output=True, text=True, check=True)
    first, others, given_back = map(int, shown.stdout.split())
    n_pages = 24 * (1 << 20) // 4096
    assert first > n_pages / 2  # new to the process
    assert others < n_pages / 10
    assert given_back > n_pages / 2


def test_the_collector_waits_for_more_objects_meanwhile():
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="no good"), kept_memory():
        assert gc.get_threshold()[0] == max(before[0], YOUNG_OBJECTS)
        raise ValueError("no good")
    assert gc.get_threshold() == before


def test_a_collector_that_is_switched_off_stays_so():
    before = gc.get_threshold()
    try:
        gc.set_threshold(0)
        with kept_memory():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
