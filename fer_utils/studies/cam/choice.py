"""The images that are measured, and what they are drawn and compared by."""

from collections.abc import Callable, Mapping

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.saliency import FACE_BANDS, FER2013_BANDS, GradCAM

Explain = Callable[[np.ndarray, np.ndarray], GradCAM]
"""Images of uint8, shape (N, H, W), and the class to explain for each, shape (N,), to their maps."""

FEWEST_UNITS = 6
"""People, or images where people are unknown, below which there is no verdict.

From fewer, the 95 % intervals of `saliency.mean_intervals` miss the mean so often (from 4 in 13 % of the
cases) that a verdict would call noise a finding.
"""


def balanced(faces: FaceSet, *, per_class: int, seed: int) -> FaceSet:
    """Return `per_class` images of each class drawn by the seed, class by class; all of a class with fewer.

    Raises
    ------
    ValueError
        For less than one image a class, or faces without any class.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be 1 or more, got {per_class}")
    rng = np.random.default_rng(seed)
    numbers = range(len(faces.class_names))
    rows = [rng.permutation(np.flatnonzero(faces.labels == number))[:per_class] for number in numbers]
    chosen = np.concatenate(rows)
    if not len(chosen):
        raise ValueError(f"{faces.name}: none of {len(faces)} images has a class whose map could be measured")
    return faces.take(chosen)


def people(faces: FaceSet) -> np.ndarray:
    """Return who is shown, as numbers of shape (N,): an image without a subject stands for itself."""
    known = np.char.add("subject ", faces.subject.astype(str))
    alone = np.char.add("image ", faces.sample_id.astype(str))
    _, numbers = np.unique(np.where(faces.subject != "", known, alone), return_inverse=True)
    return numbers


def bands_of(faces: FaceSet) -> Mapping[str, tuple[float, float]]:
    """Return where brows, eyes, nose and mouth are: as drawn, or as in FER-2013.

    For every other set of real faces FER-2013's bands are a guess: hold them against `plots.mean_maps`.
    """
    return FACE_BANDS if faces.source == "synthetic" else FER2013_BANDS


def bands_note(faces: FaceSet) -> str:
    """Return in words where `bands_of` these faces come from: a guess is called one."""
    if faces.source == "synthetic":
        return "bands read off drawn faces"
    if faces.name == "fer2013":
        return "bands read off FER-2013's mean face"
    return f"bands of FER-2013: a guess for {faces.name}; look whether they fit the first panel"


def too_few(faces: FaceSet) -> str:
    """Return the words in place of a verdict for fewer than `FEWEST_UNITS` people, else none."""
    n = len(np.unique(people(faces)))
    if n >= FEWEST_UNITS:
        return ""
    known = faces.subject != ""
    one, many = ("person", "people") if known.all() else ("image", "images")
    if known.any() and not known.all():
        one = many = "people and images"
    return f"{n} {one if n == 1 else many}: no verdict"


def of_another_class(labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Return for each image the row of one of another class, drawn by the seed: int, shape (N,).

    Raises
    ------
    ValueError
        When all images are of one class.
    """
    if len(np.unique(labels)) < 2:
        raise ValueError("maps of other classes need images of two classes or more")
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(labels != label)) for label in labels])
