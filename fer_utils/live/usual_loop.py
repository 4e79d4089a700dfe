"""The loop that demos of the field share, and this demo with the same network beside it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer_utils.detection import Haar
from fer_utils.labels import FER7
from fer_utils.live import demo, latency
from fer_utils.live.drawing import annotated
from fer_utils.live.seen import Frame, Seen, SeenFace
from fer_utils.onnx import Card, export
from fer_utils.params import BaselineCNN, LiveDemo, notebook_defaults

UNTRAINED = {
    "run": "none",
    "notebook": "50_live_demo",
    "dataset": "none",
    "source": "synthetic",
    "metrics": {"accuracy": {"value": 0.0, "ci95": None, "n": 1}},
    "estimate": "none: the weights are random, and only time is measured",
    "split": "none",
    "preprocessing": "gray, 48x48 pixels, 0 to 255",
}
"""The description of the network of `compared`, whose file lives as long as the measurement."""


def usual_loop(model: Any, frames: Sequence[Frame], class_names: Sequence[str]) -> pd.DataFrame:
    """Return the seconds of every frame in the usual loop.

    On every frame of full size OpenCV's Haar cascade with steps of 1.1 and 5 neighbours, for each face a crop
    scaled by OpenCV and one call of Keras' `predict`, then box and text.

    Parameters
    ----------
    model : keras.Model
        Gray images of 0 to 255, shape (N, S, S, 1), to probabilities.
    frames : sequence of Frame
        The first `latency.WARM_UP` are not counted.
    class_names : sequence of str

    Returns
    -------
    DataFrame
        Columns "detect", "classify", "draw" and "total".
    """
    size = int(model.input_shape[1])
    detector = Haar(scale_factor=1.1, min_neighbors=5, smallest=0, longest_side=None)
    rows = []
    for frame in frames:
        times = [perf_counter()]
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        boxes = detector.find(gray)
        times.append(perf_counter())
        faces = []
        for number, box in enumerate(boxes, start=1):
            x, y, width, height = map(int, box)
            crop = cv2.resize(gray[y : y + height, x : x + width], (size, size))
            probabilities = model.predict(crop[None, :, :, None], verbose=0)[0]
            faces.append(SeenFace(number, box, probabilities, class_names[int(probabilities.argmax())]))
        times.append(perf_counter())
        annotated(Seen(frame, tuple(faces)), class_names)
        times.append(perf_counter())
        rows.append([*np.diff(times), times[-1] - times[0]])
    return pd.DataFrame(rows[latency.WARM_UP :], columns=["detect", "classify", latency.SHOWN, "total"])


def compared(params: LiveDemo, frames: Sequence[Frame]) -> dict[str, dict[str, float]]:
    """Return milliseconds and frames per second of both loops, with one network and on the same frames.

    The network is bamb2023's CNN with random weights, as time does not depend on them. Neither loop looks for
    movements.
    """
    from fer_utils.models import baseline

    settings = notebook_defaults("10_baseline_cnn") | {"architecture": "bamb2023", "seed": params.seed}
    model = baseline.build(BaselineCNN(**settings), n_classes=len(FER7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(model, path, Card(class_names=FER7, image_size=48, n_frames=None, description=UNTRAINED))
        ours = demo.pipeline(params.model_copy(update={"model": str(path)}), movements=False)
    measured = {"this demo": latency.measure(ours, frames), "the usual loop": usual_loop(model, frames, FER7)}
    return {name: _summary(seconds["total"]) for name, seconds in measured.items()}


def _summary(total: pd.Series) -> dict[str, float]:
    milliseconds = 1000 * total.quantile([0.5, 0.95])
    return {
        "median_ms": float(milliseconds[0.5]),
        "p95_ms": float(milliseconds[0.95]),
        "frames_per_second": float(len(total) / total.sum()),
    }
