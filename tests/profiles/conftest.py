import pytest

from simtool import executor


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch):
    """As on a machine of eight: as many workers count as are asked for."""
    monkeypatch.setattr(executor, "n_processors", lambda: 8)
