"""Where the expressions of synthetic faces act: the truth that class-activation maps are held against."""

from dataclasses import replace

import numpy as np

from fer_utils.data.faceset import FaceSet
from fer_utils.synthetic.faces import Showing, synthetic_sample

_LEVELS = 2
"""Gray levels by which a picture drawn on another kind of processor may differ."""


def synthetic_masks(faces: FaceSet, *, seed: int = 0, above: float = 0.25) -> np.ndarray:
    """Return, for each picture of `synthetic_faces`, where its action units act.

    Parameters
    ----------
    faces : FaceSet
        Rows of `synthetic_faces`, in any order, with its pictures as they were drawn.
    seed : int
        The data set's.
    above : float
        Units of that intensity or less do not count.

    Returns
    -------
    ndarray of bool, shape (N, H, W)
        The union over the units; all False where no unit is strong enough, as in most neutral faces.

    Raises
    ------
    ValueError
        For an id of another form, a class without a prototype, or a seed that draws another first picture.
    """
    size = faces.images.shape[1]
    return np.stack([showing.mask(size=size, above=above) for showing in _showings(faces, seed)])


def synthetic_changes(faces: FaceSet, *, seed: int = 0) -> np.ndarray:
    """Return by how many gray levels each pixel differs from the same person's neutral face.

    Tighter than `synthetic_masks`, which says where the units could act at full strength: pose, light and
    camera noise are the picture's own, so that all that differs is the expression.

    Parameters
    ----------
    faces, seed
        As in `synthetic_masks`.

    Returns
    -------
    ndarray of uint8, shape (N, H, W)
        Compare with a threshold for a mask; 0 all over in a face without action units.

    Raises
    ------
    ValueError
        As in `synthetic_masks`.
    """
    size = faces.images.shape[1]
    neutral = [replace(showing, action_units={}).image(size=size) for showing in _showings(faces, seed)]
    return np.abs(faces.images.astype(np.int16) - np.stack(neutral)).astype(np.uint8)


def _showings(faces: FaceSet, seed: int) -> list[Showing]:
    pairs = zip(faces.sample_id, faces.labels, strict=True)
    showings = [synthetic_sample(str(one), faces.class_names[label], seed=seed) for one, label in pairs]
    drawn = showings[0].image(size=faces.images.shape[1])
    _check_same(drawn, faces.images[0], str(faces.sample_id[0]), seed)
    return showings


def _check_same(drawn: np.ndarray, given: np.ndarray, sample_id: str, seed: int) -> None:
    if np.abs(drawn.astype(int) - given).max() > _LEVELS:
        raise ValueError(
            f"seed {seed} draws another picture for {sample_id}; give the data set's seed and its pictures "
            "as they were drawn"
        )
