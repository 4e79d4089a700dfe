"""The machine's facts: what a GPU used, asked of the framework that computes and of no other."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from fer_utils import hardware
from fer_utils.training import common


class FakeGpu:
    """Stands in for a framework's own count of its memory, in bytes."""

    peak = 3 * 2**30

    def reset(self, *_: str) -> None:
        self.peak = 0


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    """Put frameworks that have a GPU in place of the real ones."""
    gpu = FakeGpu()
    cuda = SimpleNamespace(max_memory_allocated=lambda: gpu.peak, reset_peak_memory_stats=gpu.reset)
    experimental = SimpleNamespace(
        get_memory_info=lambda device: {"current": 0, "peak": gpu.peak}, reset_memory_stats=gpu.reset
    )
    config = SimpleNamespace(experimental=experimental)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    return gpu


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_peak_is_in_mebibytes_and_counts_from_the_start_of_a_training(gpu, backend):
    assert hardware.peak_gpu_memory_mb(backend) == 3072
    common.hardware("a GPU", backend=backend, device="auto")
    assert hardware.peak_gpu_memory_mb(backend) == 0


def test_a_training_on_the_processor_asks_no_gpu(gpu):
    assert common.hardware(None, backend="torch", device="auto")["device"] == "cpu"
    assert gpu.peak


def test_torch_is_asked_for_its_gpu_only_where_there_is_a_driver(monkeypatch):
    def answer(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(stdout="Tesla T4\n")

    monkeypatch.setattr(subprocess, "run", answer)
    monkeypatch.setattr(hardware, "find_library", lambda name: None)
    assert hardware.torch_gpu_name() is None
    monkeypatch.setattr(hardware, "find_library", lambda name: "libcuda.so.1")
    assert hardware.torch_gpu_name() == "Tesla T4"


def test_a_torch_that_sees_none_or_does_not_start_has_no_gpu(monkeypatch):
    monkeypatch.setattr(hardware, "find_library", lambda name: "libcuda.so.1")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="\n"))
    assert hardware.torch_gpu_name() is None
