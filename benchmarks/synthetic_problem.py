"""Are synthetic faces a fair exercise? ``python benchmarks/synthetic_problem.py [--help]``.

(a) In how many faces of unchosen seeds does OpenCV's frontal Haar cascade find exactly one face?
(b) On people that were not trained on, by how much does a small CNN beat logistic regression on pixels?
"""

import argparse
import tempfile
import time
from types import SimpleNamespace

import cv2
import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fer_utils.data import FaceSet
from fer_utils.models.baseline import build
from fer_utils.params import BaselineCNN
from fer_utils.run import notebook_defaults
from fer_utils.synthetic import synthetic_faces
from fer_utils.training.keras_training import EpochBatches, RepeatableEpochs, predict_probabilities, prepare

DETECTOR_SIZE = 256
PENALTIES = (1e-3, 1e-2, 1e-1)  # scikit-learn's C; the best on validation is taken, as the CNN's epoch is


def main(arguments: argparse.Namespace) -> None:
    """Print both measurements with their sizes and the time they took."""
    wall, cpu = time.perf_counter(), time.process_time()
    cv2.setNumThreads(1)
    threadpool_limits(1)
    prepare(SimpleNamespace(threads=1, device="cpu"))
    print_detection(arguments.faces)
    results = [compare(arguments, seed) for seed in range(arguments.seeds)]
    linear, network = np.mean(results, axis=0)
    print(
        f"mean of {arguments.seeds} seeds: logistic regression {linear:.3f}, CNN {network:.3f}, "
        f"{100 * (network - linear):+.1f} points"
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"one thread: {wall:.0f} s, {cpu:.0f} s of them on the CPU")


def print_detection(n_faces: int) -> None:
    """Count the persons in whose face the cascade finds one face."""
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    faces = synthetic_faces(n_subjects=n_faces, images_per_subject=1, size=DETECTOR_SIZE).images
    found = [len(detector.detectMultiScale(face, scaleFactor=1.1, minNeighbors=5)) for face in faces]
    print(
        f"frontal Haar cascade, scale 1.1, 5 neighbours, one image a person at {DETECTOR_SIZE} px: "
        f"exactly one face in {found.count(1)} of {n_faces} "
        f"(none in {found.count(0)}, several in {n_faces - found.count(0) - found.count(1)})",
        flush=True,
    )


def compare(arguments: argparse.Namespace, seed: int) -> tuple[float, float]:
    """Return and print the test accuracy of logistic regression and of the CNN on one drawn data set."""
    faces = synthetic_faces(n_subjects=arguments.subjects, images_per_subject=arguments.images, seed=seed)
    train, validation, test = (faces.only(split) for split in ("train", "validation", "test"))
    linear = logistic_regression(train, validation, test)
    network = small_cnn(train, validation, test, arguments, seed)
    people = "/".join(str(len(np.unique(part.subject))) for part in (train, validation, test))
    print(
        f"seed {seed}: {len(train)}/{len(validation)}/{len(test)} faces at 48 px of {people} people in "
        f"train/validation/test; test accuracy: chance {1 / len(faces.class_names):.3f}, "
        f"logistic regression {linear:.3f}, CNN (bamb2023 with batch normalisation, {arguments.epochs} "
        f"epochs) {network:.3f}, {100 * (network - linear):+.1f} points",
        flush=True,
    )
    return linear, network


def logistic_regression(train: FaceSet, validation: FaceSet, test: FaceSet) -> float:
    """Return the test accuracy of the penalty that is best on validation."""
    x_train, x_validation, x_test = (
        part.images.reshape(len(part), -1) / np.float32(255) - np.float32(0.5)
        for part in (train, validation, test)
    )
    fitted = [LogisticRegression(C=c, max_iter=200).fit(x_train, train.labels) for c in PENALTIES]
    best = max(fitted, key=lambda model: model.score(x_validation, validation.labels))
    return best.score(x_test, test.labels)


def small_cnn(
    train: FaceSet, validation: FaceSet, test: FaceSet, arguments: argparse.Namespace, seed: int
) -> float:
    """Return the test accuracy of the epoch that is best on validation."""
    defaults = notebook_defaults("10_baseline_cnn")
    params = BaselineCNN(**defaults | {"architecture": "bamb2023", "batch_norm": True, "seed": seed})
    model = build(params, n_classes=7)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    batches = EpochBatches(lambda epoch: train, batch_size=32, seed=seed)
    validation_data = EpochBatches(lambda epoch: validation, batch_size=256)
    with tempfile.TemporaryDirectory() as folder:
        best = f"{folder}/best.weights.h5"
        callbacks = [
            RepeatableEpochs(seed, batches, validation_data),
            keras.callbacks.ModelCheckpoint(best, "val_accuracy", 0, True, True),
        ]
        settings = {"epochs": arguments.epochs, "shuffle": False, "verbose": 0}
        model.fit(batches, validation_data=validation_data, callbacks=callbacks, **settings)
        model.load_weights(best)
    return float(np.mean(predict_probabilities(model, test.images).argmax(axis=1) == test.labels))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faces", type=int, default=1000, help="renders for the detector")
    parser.add_argument("--seeds", type=int, default=3, help="data sets drawn")
    parser.add_argument("--subjects", type=int, default=80, help="people in each")
    parser.add_argument("--images", type=int, default=50, help="pictures of each person")
    parser.add_argument(
        "--epochs", type=int, default=14, help="of the CNN; its best one on validation is reported"
    )
    main(parser.parse_args())
