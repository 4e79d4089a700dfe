"""What each predict script here does around its model: read the images, time it, write the predictions."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_predictions(
    predict: Callable[[np.ndarray], dict[str, float]], names: dict[str, str] | None = None
) -> None:
    """Predict every image of a folder and write `predictions.csv`; arguments: the folder, the file.

    `predict` maps a gray image (48, 48) to probabilities by the package's names of the classes, and `names`
    gives ours where they differ.
    """
    folder, file = map(Path, sys.argv[1:])
    ids = json.loads((folder / "ids.json").read_text())
    images = np.fromfile(folder / "images.bin", np.uint8).reshape(len(ids), 48, 48)
    for image in images[:10]:
        predict(image)
    seconds, lines = [], [",".join(("sample_id", *CLASSES))]
    for name, image in zip(ids, images, strict=True):
        start = time.perf_counter()
        found = predict(image)
        seconds.append(time.perf_counter() - start)
        found = {(names or {}).get(key, key): float(value) for key, value in found.items()}
        lines.append(",".join([name, *(f"{found[key]:.4f}" for key in CLASSES)]))
    file.write_text("\n".join(lines) + "\n")
    print(f"{len(ids):,} images, median {1000 * statistics.median(seconds):.2f} ms a face")
