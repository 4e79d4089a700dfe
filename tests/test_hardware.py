"""Hardware information: GPU memory is asked of the framework that computes and of no other."""

import sys
from types import SimpleNamespace

import pytest

from fer_utils import hardware


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_device_in_use_and_its_peak_memory_are_recorded(monkeypatch, backend):
    monkeypatch.setattr(hardware, "_current", {})
    assert hardware.current() == {"device": "cpu", "device_name": hardware.processor_name()}
    peaks = []
    cuda = {"max_memory_allocated": lambda: peaks[-1], "reset_peak_memory_stats": lambda: peaks.append(0)}
    gpu = {"get_memory_info": lambda _: {"peak": peaks[-1]}, "reset_memory_stats": lambda _: peaks.append(0)}
    torch = SimpleNamespace(cuda=SimpleNamespace(**cuda))
    tensorflow = SimpleNamespace(config=SimpleNamespace(experimental=SimpleNamespace(**gpu)))
    monkeypatch.setitem(sys.modules, backend, {"torch": torch, "tensorflow": tensorflow}[backend])
    hardware.use_device("a GPU", backend=backend, device="auto", threads=2)
    assert hardware.peak_gpu_memory_mb(backend) == 0
    peaks.append(3 * 2**30)
    assert hardware.peak_gpu_memory_mb(backend) == 3072
    found = {"device": "cuda", "device_name": "a GPU", "backend": backend, "threads": 2}
    assert hardware.current() == found
    with pytest.raises(hardware.MissingGPU, match=backend):
        hardware.use_device(None, backend=backend, device="cuda", threads=2)
