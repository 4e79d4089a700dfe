"""Keras on PyTorch trains, explains and is written as on TensorFlow, in one process: it has one backend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_onnx import assert_file_returns_the_probabilities_beside_it

WITH_TORCH = """
import json, sys
from pathlib import Path
from types import SimpleNamespace

from fer_utils import explain

found = {"early": sorted({"keras", "tensorflow", "torch"} & set(sys.modules))}
import numpy as np
from helpers import keras_run
from patch_networks import energy_in_patch, patch_network, striped_images
from test_onnx import write_keras_network

from fer_utils import hardware
from fer_utils.explain.keras_network import KerasNetwork
from fer_utils.training import keras_training

keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
found["backend"] = hardware.current()["backend"]
folder = Path(sys.argv[1])
whole, history = keras_run.fit(folder / "whole", epochs=3)
try:
    keras_run.fit(folder / "resumed", epochs=3, kill_in_epoch=2)
except keras_run.Killed:
    resumed, again = keras_run.fit(folder / "resumed", epochs=3)
found["same_history"] = history[keras_run.MEASURED].equals(again[keras_run.MEASURED])
found["same_state"] = all(map(np.array_equal, keras_run.state(whole), keras_run.state(resumed)))
found["sums"] = keras_training.predict(resumed, keras_run.VALIDATION).probabilities.sum(axis=1).tolist()

model = patch_network()
before = [weight.numpy().copy() for weight in model.weights]
network = KerasNetwork(model, cascade=["end"])
for method in ("Grad-CAM", "Grad-CAM++"):
    maps = network.maps(striped_images(), [0, 1], layer="pool", method=method).maps
    found[method] = [energy_in_patch(maps, k).tolist()[k] for k in (0, 1)]
found["changed"] = any((weight.numpy() != was).any() for weight, was in zip(model.weights, before))
found["gradients"] = any(weight.value.grad is not None for weight in model.weights)

write_keras_network(folder)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """Return what the script says, and the folder into which it writes an ONNX file."""
    folder = tmp_path_factory.mktemp("torch")
    for name in ("whole", "resumed"):
        (folder / name).mkdir()
    how = {"env": os.environ | {"KERAS_BACKEND": "torch"}, "cwd": Path(__file__).parent}
    ran = subprocess.run([sys.executable, "-c", WITH_TORCH, folder], **how, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) | {"folder": folder}


def test_a_killed_training_resumes_to_the_same_bits(found):
    assert found["backend"] == "torch"
    assert found["same_history"] and found["same_state"]
    np.testing.assert_allclose(found["sums"], 1, atol=2e-3)


def test_both_methods_light_up_the_patch_and_no_framework_is_imported_early(found):
    assert found["early"] == []
    assert min(found["Grad-CAM"] + found["Grad-CAM++"]) > 0.99
    assert (found["changed"], found["gradients"]) == (False, False)


def test_a_network_is_written(found):
    assert_file_returns_the_probabilities_beside_it(found["folder"])
