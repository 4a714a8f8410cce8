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


def test_a_function_is_compiled_on_a_gpu_for_many_shapes(monkeypatch):
    def square(x):
        return x * x

    monkeypatch.setattr(hardware, "can_compile", lambda: True)
    monkeypatch.setattr(torch, "compile", lambda function: ("compiled", function))
    with torch._dynamo.config.patch(recompile_limit=2):
        assert hardware.compiled_on_gpu(square, "cpu") is square
        assert torch._dynamo.config.recompile_limit == 2
        assert hardware.compiled_on_gpu(square, "cuda") == ("compiled", square)
        assert torch._dynamo.config.recompile_limit == hardware.RECOMPILE_LIMIT
    monkeypatch.setattr(hardware, "can_compile", lambda: False)
    hardware.compiled_on_gpu.cache_clear()
    assert hardware.compiled_on_gpu(square, "cuda") is square


def test_the_peak_is_measured_once(monkeypatch):
    monkeypatch.setattr(hardware, "PEAK_SECONDS", 0.05)
    measured_peak.cache_clear()
    peak = measured_peak(CPU, "fp32")
    assert 1e8 < peak < 1e14
    assert measured_peak(CPU, "fp32") == peak


@pytest.fixture
def two_gpus(monkeypatch):
    """As if there were two: the devices that become current."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.mark.parametrize(
    ("name", "local_rank", "index"), [("cuda", None, 0), ("cuda", "1", 1), ("auto", "1", 1), ("cuda:0", "1", 0)]
)
def test_every_process_has_its_own_gpu_and_no_context_on_another(two_gpus, monkeypatch, name, local_rank, index):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local_rank:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    device = find_device(name)
    assert device == torch.device("cuda", index)
    assert two_gpus == [device]


def test_a_gpu_that_is_not_there(two_gpus):
    with pytest.raises(SimtoolError, match=r"No device 'cuda:2': there are 2 GPUs here\."):
        find_device("cuda:2")
    assert two_gpus == []


def test_out_of_memory_has_two_names():
    assert hardware.is_out_of_memory(torch.OutOfMemoryError("a test"))
    assert hardware.is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"))
    assert not hardware.is_out_of_memory(RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"))


def test_the_peak_of_a_gpu_is_its_own_median_after_warming_up(monkeypatch):
    """A card that needs 8 ms a product at first and 2 ms when it is warm, but for a slow one now and then."""
    device, clock, synchronized = torch.device("cuda", 1), [0.0], []

    class Matrix:
        products = 0

        def __init__(self):
            self.device = device

        def __matmul__(self, other):
            Matrix.products += 1
            clock[0] += 0.008 if Matrix.products < 20 else 0.009 if Matrix.products % 5 == 0 else 0.002

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = clock[0]

        def elapsed_time(self, other):
            return 1000 * (other.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda current: hardware.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", synchronized.append)
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: clock[0])
    assert hardware.gpu_product_seconds(Matrix()) == pytest.approx(0.002)
    assert set(synchronized) == {device}


def test_the_data_sheets_peak(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    gpu = torch.device("cuda", 0)
    assert hardware.datasheet_peak(gpu, "bf16") == 989e12
    assert hardware.datasheet_peak(gpu, "fp32") is None and hardware.datasheet_peak(CPU, "bf16") is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another card")
    assert hardware.datasheet_peak(gpu, "bf16") is None


def test_a_machine_without_a_compiler_compiles_nothing(monkeypatch, tmp_path):
    (tmp_path / "Python.h").touch()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(hardware, "find_spec", lambda name: name)
    monkeypatch.setattr(hardware.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(hardware.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert hardware.can_compile()
    for module, name, absent in (
        (hardware, "find_spec", lambda name: None),
        (hardware.shutil, "which", lambda name: None),
        (hardware.sysconfig, "get_paths", lambda: {"include": str(tmp_path / "none")}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, absent)
            assert not hardware.can_compile()
