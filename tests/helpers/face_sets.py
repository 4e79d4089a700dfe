"""Small sets of faces and clips for tests."""

import numpy as np

from fer_utils.data import NO_APEX, ClipSet, FaceSet


def face_set(images, labels=None, class_names=("happy", "sad"), **fields) -> FaceSet:
    """Return a test set of real faces; `fields` replace its defaults, and `name` is also in its ids."""
    n, name = len(images), fields.get("name", "toy")
    ids = np.array([f"{name}-{number:03d}" for number in range(n)])
    defaults = {"name": name, "source": "real", "split": np.full(n, "test"), "sample_id": ids}
    labels = np.arange(n) % len(class_names) if labels is None else np.asarray(labels)
    images = np.asarray(images, np.uint8)
    return FaceSet(images=images, labels=labels, class_names=class_names, **(defaults | fields))


def clip_set(clips, labels, class_names, *, subject, **fields) -> ClipSet:
    """Return synthetic clips without an apex, from frame 0 to the last; `fields` replace these defaults."""
    n, n_frames = len(clips), len(clips[0])
    ids = np.array([f"toy-{number:03d}" for number in range(n)])
    defaults = {"name": "toy", "source": "synthetic", "sample_id": ids, "frame_rate": np.full(n, 100.0)}
    times = {"onset": 0, "apex": NO_APEX, "offset": n_frames - 1}
    defaults |= {time: np.full(n, number) for time, number in times.items()} | {"subject": np.array(subject)}
    clips, labels = np.asarray(clips, np.uint8), np.asarray(labels)
    return ClipSet(clips=clips, labels=labels, class_names=class_names, **(defaults | fields))
