"""PyPI's `facex`: its own network and preprocessing on the whole image. See ../README.md."""

import sys
from pathlib import Path

import numpy as np
from facex.core import PoolManager

sys.path.insert(0, str(Path(__file__).parents[1]))
from predict import write_predictions

classifier = PoolManager(pool_size=1).get_classifier()
NAMES = {"anger": "angry", "sadness": "sad", "surprised": "surprise"}


def predict(image: np.ndarray) -> dict[str, float]:
    """Return the probabilities of one gray image."""
    return classifier.detect_emotion(image)


write_predictions(predict, NAMES)
