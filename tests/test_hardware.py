"""Hardware information: GPU memory is asked of the framework that computes and of no other."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from fer_utils import hardware


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_peak_gpu_memory_is_in_mebibytes_and_can_be_reset(monkeypatch, backend):
    peak = [3 * 2**30]
    cuda = SimpleNamespace(
        max_memory_allocated=lambda: peak[0], reset_peak_memory_stats=lambda: peak.insert(0, 0)
    )
    experimental = SimpleNamespace(
        get_memory_info=lambda device: {"peak": peak[0]},
        reset_memory_stats=lambda device: peak.insert(0, 0),
    )
    frameworks = {"torch": SimpleNamespace(cuda=cuda)}
    frameworks["tensorflow"] = SimpleNamespace(config=SimpleNamespace(experimental=experimental))
    monkeypatch.setitem(sys.modules, backend, frameworks[backend])
    assert hardware.peak_gpu_memory_mb(backend) == 3072
    hardware.reset_peak_gpu_memory(backend)
    assert hardware.peak_gpu_memory_mb(backend) == 0


@pytest.mark.parametrize(
    ("driver", "printed", "name"),
    [(None, "Tesla T4\n", None), ("libcuda.so.1", "Tesla T4\n", "Tesla T4"), ("libcuda.so.1", "\n", None)],
)
def test_torch_is_asked_for_its_gpu_only_where_there_is_a_driver(monkeypatch, driver, printed, name):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=printed))
    monkeypatch.setattr(hardware, "find_library", lambda library: driver)
    assert hardware.torch_gpu_name() == name


def test_without_a_framework_the_device_is_the_processor(monkeypatch):
    monkeypatch.setattr(hardware, "_current", {})
    assert hardware.current() == {"device": "cpu", "device_name": hardware.processor_name()}
    hardware.set_current(device="cuda", device_name="a GPU", backend="torch", threads=2)
    assert hardware.current()["device_name"] == "a GPU" and hardware.current()["threads"] == 2
