"""What tests of training share: one thread, and a run of all three phases that nothing interrupts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def one_thread():
    """Sums in the same order everywhere."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def uninterrupted(one_thread, tmp_path_factory):
    from toy_runs import QUIET
    from toys import LONG, STORES

    from simtool.training.trainer import train

    return train(LONG, STORES, tmp_path_factory.mktemp("whole"), QUIET)
