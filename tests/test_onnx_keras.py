"""Keras networks written as ONNX answer as Keras does, on TensorFlow and on PyTorch."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.settings import notebook_params

from fer_utils import onnx_export
from fer_utils.onnx_model import OnnxModel

NAMES = ("angry", "happy", "neutral")
TOLD = {
    "run": "41_keras_transfer--tiny",
    "notebook": "41_keras_transfer",
    "dataset": "drawn faces",
    "source": "synthetic",
    "metrics": {"accuracy": {"value": 0.5, "ci95": None, "n": 12}},
    "estimate": "of this network",
    "split": "official",
    "preprocessing": "gray, 0 to 255",
}
SIZE = 24
"""Of the stored images; the networks rescale them."""
IMAGES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras_training(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return keras_training


def plain():
    from fer_utils.models import baseline

    settings = {"image_size": SIZE, "dropout": 0.5, "batch_norm": True}
    params = notebook_params("10_baseline_cnn", architecture="little_vgg", **settings)
    model = baseline.build(params, n_classes=3)
    for layer in model.layers:  # as after a training: not those of a network that has seen nothing
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(np.linspace(0, 1, layer.moving_mean.shape[0]))
    return model


def transferred():
    from fer_utils.models import mobilenet

    params = notebook_params("41_keras_transfer", image_size=32, dropout=0.2)
    model = mobilenet.build(params, source_size=SIZE, n_classes=3)
    # Of a handful of images the statistics would make a network whose answers hang on the last bit.
    noise = np.random.default_rng(1).integers(0, 256, (200, SIZE, SIZE), dtype=np.uint8)
    mobilenet.measure_statistics(model, noise, seed=0)
    mobilenet.train_from(model, "block_13", batch_norm="training")
    return model


@pytest.mark.parametrize("build", [plain, transferred])
def test_a_file_answers_as_keras_does(keras_training, tmp_path, build, capfd, recwarn):
    model = build()
    expected = keras_training.predict_probabilities(model, IMAGES)
    recwarn.clear(), capfd.readouterr()
    onnx_export.export_keras(
        model, tmp_path / "model.onnx", class_names=NAMES, image_size=SIZE, description=TOLD
    )
    assert capfd.readouterr().out == "" and not recwarn.list
    written = OnnxModel.read(tmp_path)
    assert (written.kind, written.class_names, written.image_size) == ("stills", NAMES, SIZE)
    for n in (1, len(IMAGES)):
        np.testing.assert_allclose(written.predict(IMAGES[:n]), expected[:n], atol=1e-4)


def test_half_precision_halves_the_file(keras_training, tmp_path):
    model, paths = plain(), {half: tmp_path / f"{half}.onnx" for half in (False, True)}
    for half, path in paths.items():
        onnx_export.export_keras(model, path, class_names=NAMES, image_size=SIZE, half=half, description=TOLD)
    assert paths[True].stat().st_size < 0.6 * paths[False].stat().st_size
    said = [OnnxModel.read(path).predict(IMAGES) for path in paths.values()]
    np.testing.assert_allclose(*said, atol=2e-2)


ON_TORCH = """
import json, sys
from types import SimpleNamespace
import keras
import numpy as np
import test_onnx_keras as here
from fer_utils import onnx_export
from fer_utils.training import keras_training

keras_training.prepare(SimpleNamespace(threads=1, device="cpu"))
model = here.plain()
form = {"class_names": here.NAMES, "image_size": here.SIZE, "description": here.TOLD}
onnx_export.export_keras(model, sys.argv[1] + "/model.onnx", **form)
np.save(sys.argv[1] + "/said.npy", keras_training.predict_probabilities(model, here.IMAGES))
print(keras.backend.backend())
"""


def test_keras_on_torch_is_written_too(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", ON_TORCH, str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": "torch", "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "torch\n"
    said = OnnxModel.read(tmp_path).predict(IMAGES)
    np.testing.assert_allclose(said, np.load(tmp_path / "said.npy"), atol=1e-3)
