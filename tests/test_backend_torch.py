"""The same networks and trainings with `KERAS_BACKEND=torch`, each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

CODE = """
import json, sys
from pathlib import Path

import numpy as np

from fer_utils.data import load_faces
from fer_utils.models import baseline
from fer_utils.training import keras_fit

folder, killed_after, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
mixed_precision = bool(int(sys.argv[4]))
hardware = keras_fit.prepare(threads=threads, device="cpu")
faces = load_faces("synthetic", synthetic_subjects=3, synthetic_per_subject=14, seed=0)
train, validation, test = (faces.only(part) for part in ("train", "validation", "test"))
model = baseline.build(
    "kumar2021", seed=0, source_size=48, image_size=32, n_classes=7, dropout=0.5, batch_norm=True
)
keras_fit.compile_classifier(model, learning_rate=0.001)


def log(line):
    if line.startswith(f"epoch {killed_after:3d}/"):
        sys.exit(9)


settings = {"epochs": 2, "batch_size": 8, "seed": 0, "mixed_precision": mixed_precision}
fit = keras_fit.fit(model, train, validation, checkpoint_dir=folder, log=log, **settings)
probabilities = keras_fit.predict_probabilities(model, test.images)
found = {
    "hardware": hardware,
    "resumed_from": fit.resumed_from,
    "history": fit.history[["loss", "accuracy", "val_loss", "val_accuracy"]].to_numpy().tolist(),
    "weights": [np.asarray(weight).tolist() for weight in model.get_weights()],
    "shape": probabilities.shape,
    "dtype": str(probabilities.dtype),
    "sums": probabilities.sum(axis=1).tolist(),
}


def full(images):
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory")


model.predict_on_batch = full
try:
    keras_fit.predict_probabilities(model, test.images, batch_size=64)
except Exception as error:
    found["out_of_memory"] = [type(error).__name__, str(error)]
(folder / "found.json").write_text(json.dumps(found))
"""

TRANSFER = """
import json, sys
from pathlib import Path

import numpy as np

from fer_utils import explain_keras, onnx_export
from fer_utils.data import load_faces
from fer_utils.evaluation import evaluate
from fer_utils.onnx_model import OnnxModel
from fer_utils.params import KerasTransfer, notebook_defaults
from fer_utils.splits import official_split
from fer_utils.studies import bamb2023 as study
from fer_utils.training import keras_fit

folder = Path(sys.argv[1])
own = {"checkpoint_dir": str(folder), "image_size": 32, "epochs": 1, "mixed_precision": True}
params = KerasTransfer.from_values(notebook_defaults("41_keras_transfer") | own, where="test")
keras_fit.prepare(threads=2, device="auto")
split = official_split(load_faces("synthetic", synthetic_subjects=4, synthetic_per_subject=14, seed=0))
model = study.build(params, split.train)
stage = study.train(params, model, split.train, split.validation, stage="fine-tuned")
said = study.predict(model, split.test)
look = {"layer": study.cam_layer(model), "classes": split.test.labels}
maps = explain_keras.grad_cam_plus_plus(model, split.test.images, **look).maps
forgot = explain_keras.randomised(model, from_layer="Conv_1", seed=0)
about = onnx_export.about(evaluate(said, n_boot=0), split.test, run="41_keras_transfer", split="official")
onnx_export.export_keras(model, folder / "model.onnx", **about)
written = OnnxModel.read(folder / "model.onnx").predict(split.test.images)
found = {
    "validated": [stage.fit.best["val_accuracy"], float(stage.validation.correct.mean())],
    "written": float(np.abs(written - said.probabilities).max()),
    "maps": [maps.shape == split.test.images.shape, str(maps.dtype), float(maps.max())],
    "forgot": study.predict(forgot, split.test).probabilities.tolist() != said.probabilities.tolist(),
}
(folder / "found.json").write_text(json.dumps(found))
"""


def train(folder, *, killed_after: int = 0, threads: int = 2, mixed_precision: bool = False) -> dict:
    """Train two epochs in a process of its own and return what it found; nothing when it was killed."""
    settings = [killed_after, threads, int(mixed_precision)]
    return run(CODE, folder, *settings, status=9 if killed_after else 0)


def run(code: str, folder, *arguments: int, status: int = 0) -> dict:
    command = [sys.executable, "-c", code, str(folder), *map(str, arguments)]
    finished = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": "torch"}, capture_output=True, text=True
    )
    assert finished.returncode == status, finished.stderr
    return {} if status else json.loads((folder / "found.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return tmp_path_factory.mktemp("finished")


@pytest.fixture(scope="module")
def uninterrupted(finished):
    return train(finished)


def test_a_training_with_torch_gives_probabilities(uninterrupted):
    assert uninterrupted["hardware"]["backend"] == "torch"
    assert uninterrupted["hardware"]["device"] == "cpu"
    assert (uninterrupted["shape"][1], uninterrupted["dtype"]) == (7, "float32")
    assert uninterrupted["sums"] == pytest.approx([1.0] * uninterrupted["shape"][0], abs=1e-5)
    assert len(uninterrupted["history"]) == 2


def test_a_training_with_torch_resumes_bit_for_bit(uninterrupted, tmp_path):
    train(tmp_path, killed_after=1)
    resumed = train(tmp_path)
    assert resumed["resumed_from"] == 1
    assert resumed["history"] == uninterrupted["history"]
    assert resumed["weights"] == uninterrupted["weights"]


def test_a_training_with_other_threads_is_another_training(uninterrupted, finished):
    assert train(finished)["resumed_from"] == 2
    assert train(finished, threads=1)["resumed_from"] == 0


def test_too_little_memory_with_torch_names_the_size_to_try(uninterrupted):
    message = "batch_size=64: too much for the GPU's memory; try batch_size=32"
    assert uninterrupted["out_of_memory"] == ["ConfigError", message]


def test_mixed_precision_with_torch_is_another_training_and_resumes_bit_for_bit(finished, uninterrupted):
    whole = train(finished, mixed_precision=True)
    assert whole["resumed_from"] == 0 and whole["weights"] != uninterrupted["weights"]
    assert whole["dtype"] == "float32"
    assert train(finished, mixed_precision=True)["weights"] == whole["weights"]


def test_a_transferred_network_is_trained_explained_and_written_with_torch(tmp_path):
    found = run(TRANSFER, tmp_path)
    assert found["validated"][0] == pytest.approx(found["validated"][1], abs=1e-6)
    assert found["written"] < 1e-3
    assert found["maps"][:2] == [True, "float32"] and found["maps"][2] == pytest.approx(1)
    assert found["forgot"]
