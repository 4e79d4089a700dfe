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


fit = keras_fit.fit(
    model, train, validation, epochs=2, batch_size=8, seed=0, checkpoint_dir=folder, log=log
)
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
(folder / "found.json").write_text(json.dumps(found))
"""


def train(folder, *, killed_after: int = 0, threads: int = 2) -> dict:
    """Train two epochs in a process of its own and return what it found; nothing when it was killed."""
    command = [sys.executable, "-c", CODE, str(folder), str(killed_after), str(threads)]
    finished = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": "torch"}, capture_output=True, text=True
    )
    assert finished.returncode == (9 if killed_after else 0), finished.stderr
    return {} if killed_after else json.loads((folder / "found.json").read_text())


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
