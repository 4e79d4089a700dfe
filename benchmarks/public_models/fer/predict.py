"""PyPI's `fer`: its own network and preprocessing on the whole image. See ../README.md.

`detect_emotions` prints two decimals, so its two steps are called one by one: the crop, without the ten
pixels that it adds around a detected face, and the network.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from fer.fer import FER

sys.path.insert(0, str(Path(__file__).parents[1]))
from predict import write_predictions

detector = FER()
NAMES = detector._get_labels()


def predict(image: np.ndarray) -> dict[str, float]:
    """Return the probabilities of one gray image."""
    face = (cv2.resize(image, (64, 64)).astype("float32") / 255 - 0.5) * 2
    found = np.asarray(detector._classify_emotions(face[None]))[0]
    return {NAMES[number]: value for number, value in enumerate(found)}


write_predictions(predict)
