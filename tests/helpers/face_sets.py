"""Small sets of faces for tests."""

import numpy as np

from fer_utils.data import FaceSet


def face_set(images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], **fields) -> FaceSet:
    """Return a test set of real faces; `fields` replace its defaults, and `name` is also in its ids."""
    n, name = len(images), fields.get("name", "toy")
    ids = np.array([f"{name}-{number:03d}" for number in range(n)])
    defaults = {"name": name, "source": "real", "split": np.full(n, "test"), "sample_id": ids}
    images = np.asarray(images, np.uint8)
    return FaceSet(images=images, labels=labels, class_names=class_names, **(defaults | fields))
