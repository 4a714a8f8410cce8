"""Names of devices, and the speed that MFU is a share of."""

import pytest

torch = pytest.importorskip("torch")

from simtool.errors import SimtoolError  # noqa: E402
from simtool.training import hardware  # noqa: E402
from simtool.training.hardware import autocast, find_device, measured_peak  # noqa: E402

CPU = torch.device("cpu")


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device("auto") == find_device("cpu") == CPU
    with pytest.raises(SimtoolError, match=r"No CUDA device here\. Use --device cpu\."):
        find_device("cuda")
    with pytest.raises(SimtoolError, match=r"No device 'gpu'\. Known: auto, cpu, cuda, cuda:1 and so on\."):
        find_device("gpu")


def test_autocast_is_for_bf16_only():
    a = torch.ones(4, 4)
    with autocast(CPU, "fp32"):
        assert (a @ a).dtype == torch.float32
    with autocast(CPU, "bf16"):
        assert (a @ a).dtype == torch.bfloat16


def test_the_peak_is_measured_once(monkeypatch):
    monkeypatch.setattr(hardware, "PEAK_SECONDS", 0.05)
    measured_peak.cache_clear()
    peak = measured_peak(CPU, "fp32")
    assert 1e8 < peak < 1e14
    assert measured_peak(CPU, "fp32") == peak
