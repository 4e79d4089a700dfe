"""Whether maps name the places where an expression was drawn: on synthetic faces, where these are known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.saliency import GradCAM, energy_inside, mean_intervals, pointing_game, random_maps
from fer_utils.studies.cam.choice import of_another_class, people
from fer_utils.synthetic import PROTOTYPES, synthetic_changes

CHANGED = 10
"""Gray levels by which a pixel must differ from the same person's neutral face to count as expression."""

OTHER_CLASSES, RANDOM, ANYWHERE = "maps of other classes", "random maps, as coarse", "anywhere, by area"

_DRAWS = 20
"""Random maps of each image."""


def truth_masks(faces: FaceSet, *, seed: int) -> np.ndarray:
    """Return where each expression was drawn: bool, shape (N, H, W); all False without action units.

    Parameters
    ----------
    faces : FaceSet
        Some of `load_faces("synthetic", ...)`, in any order: their ids say how they were drawn.
    seed : int
        The data set's.

    Raises
    ------
    ValueError
        For faces that were not drawn, or with another seed.
    """
    if faces.source != "synthetic":
        raise ValueError(f"{faces.name}: only of synthetic faces is known where the expression lies")
    masks = synthetic_changes(faces, seed=seed) > CHANGED
    still = [number for number, name in enumerate(faces.class_names) if not PROTOTYPES[name]]
    masks[np.isin(faces.labels, still)] = False  # a stray weak unit is no expression
    return masks


def truth_table(faces: FaceSet, maps: Mapping[str, GradCAM], *, seed: int) -> pd.DataFrame:
    """Return how often maps point at the expression and how much of them lies on it, beside three controls.

    Parameters
    ----------
    faces : FaceSet
        As `truth_masks` takes them. Neutral faces, and those that an expression hardly changes, are left out.
    maps : mapping of str to GradCAM
        Of these images, such as "Grad-CAM" and "Grad-CAM++". The controls go by the first of them.
    seed : int
        The data set's; of the controls as well.

    Returns
    -------
    DataFrame
        Index: names of the maps; "maps of other classes" (each face's own replaced by that of a face of
        another class: it knows where faces change, not where this one does); "random maps, as coarse" as the
        layer's; "anywhere, by area". Columns pointing (share of maps whose maximum hits) and energy (mean
        share of a map inside), each with low and high (95 %); n images.

    Raises
    ------
    ValueError
        As `truth_masks`; when maps do not fit, or no face is left.
    """
    masks = truth_masks(faces, seed=seed)
    used = masks.any(axis=(1, 2))
    if not used.any():
        raise ValueError(f"{faces.name}: none of {len(faces)} faces shows an expression")
    first = next(iter(maps.values()))
    labels, unit, truth = faces.labels[used], people(faces)[used], masks[used]
    found = {name: _scores(cam.maps[used], truth) for name, cam in maps.items()}
    found[OTHER_CLASSES] = _scores(first.maps[used][of_another_class(labels, seed=seed)], truth)
    draws = [
        _scores(random_maps(truth.shape, seed=seed + draw, native_size=first.native_size), truth)
        for draw in range(_DRAWS)
    ]
    found[RANDOM] = np.mean(draws, axis=0)
    found[ANYWHERE] = np.repeat(truth.mean(axis=(1, 2))[:, None], 2, axis=1)
    rows = {name: mean_intervals(scores, unit).ravel() for name, scores in found.items()}
    columns = ["pointing", "pointing low", "pointing high", "energy", "energy low", "energy high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).assign(n=len(truth))


def _scores(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    return np.stack([pointing_game(maps, masks), energy_inside(maps, masks)], axis=1)
