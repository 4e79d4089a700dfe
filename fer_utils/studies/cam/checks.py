"""Whether the places that maps name matter to the network, and whether what it learned does: on any faces."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.saliency import (
    Curves,
    GradCAM,
    deletion_curve,
    insertion_curve,
    mean_intervals,
    random_maps,
    randomisation_check,
)
from fer_utils.saliency.perturbation import Predict
from fer_utils.studies.cam.choice import Explain, of_another_class, people, too_few

RANDOM, OTHER_IMAGES = "random maps", "maps of other images"

Perturbed = Mapping[str, Mapping[str, Curves]]
"""Deletion and insertion -> the network's maps and random ones -> their curves."""


def perturbed(
    predict: Predict, faces: FaceSet, maps: GradCAM, *, steps: int = 12, seed: int = 0
) -> Perturbed:
    """Return how the explained class's probability changes as the images lose and gain pixels.

    By the maps' order, and by that of random maps as coarse as the layer's: `saliency.deletion_curve` (gray
    takes a pixel's place) and `saliency.insertion_curve` (out of a blurred image). `predict` sees all images
    4 (steps + 1) times.

    Parameters
    ----------
    predict : callable
        Images of uint8, shape (N, H, W), to probabilities, shape (N, K).
    faces : FaceSet
    maps : GradCAM
        Of these images.
    steps, seed : int
        Steps of each curve; seed of the random maps and of ties.

    Raises
    ------
    ValueError
        As the two functions.
    """
    noise = random_maps(faces.images.shape, seed=seed, native_size=maps.native_size)
    orders, how = {maps.method: maps.maps, RANDOM: noise}, {"steps": steps, "seed": seed}
    return {
        way: {
            name: curve(predict, faces.images, order, maps.classes, **how) for name, order in orders.items()
        }
        for way, curve in {"deletion": deletion_curve, "insertion": insertion_curve}.items()
    }


def curve_table(faces: FaceSet, curves: Perturbed) -> pd.DataFrame:
    """Return the mean curves: way, maps, share (of the pixels), probability, low and high (95 %)."""
    parts = []
    for way, of in curves.items():
        for name, curve in of.items():
            means = mean_intervals(curve.scores, people(faces), n_boot=1000)
            part = pd.DataFrame(means, columns=["probability", "low", "high"])
            part.insert(0, "share", curve.shares)
            parts.append(part.assign(way=way, maps=name))
    return pd.concat(parts, ignore_index=True)[["way", "maps", "share", "probability", "low", "high"]]


def area_table(faces: FaceSet, curves: Perturbed) -> pd.DataFrame:
    """Return the mean area under each curve and the paired difference to random maps, with 95 % intervals.

    Returns
    -------
    DataFrame
        Index deletion and insertion: area, low, high, random maps, difference (area - random maps),
        difference low, difference high, verdict, n. Deletion is better the lower, insertion the higher. No
        verdict from fewer than `FEWEST_UNITS` people.
    """
    rows = {}
    for way, of in curves.items():
        ours, noise = (of[name].auc for name in of)
        area, other, difference = mean_intervals(
            np.stack([ours, noise, ours - noise], axis=1), people(faces)
        ).tolist()
        verdict = too_few(faces) or _verdict(way, difference)
        rows[way] = [*area, other[0], *difference, verdict, len(ours)]
    gap = ["difference", "difference low", "difference high"]
    columns = ["area", "low", "high", RANDOM, *gap, "verdict", "n"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def randomisation_table(
    faces: FaceSet, maps: GradCAM, networks: Mapping[str, Explain], *, seed: int = 0
) -> pd.DataFrame:
    """Return how alike the maps of the trained network and of partly re-initialised ones are.

    Parameters
    ----------
    faces : FaceSet
    maps : GradCAM
        Of these images, by the trained network.
    networks : mapping of str to Explain
        From which layer on the weights were drawn anew, from the logits down -> the maps of that network.
    seed : int
        Of the last row: each map beside that of an image of another class, of the same network. Faces are
        framed alike, so that their maps are, too; this is how alike maps are by chance.

    Returns
    -------
    DataFrame
        Index as `networks`, then "maps of other images". Columns rank correlation and ssim, each with low and
        high (95 %); n: pairs of which neither map is all zero.

    Raises
    ------
    ValueError
        When maps do not fit each other, or all images are of one class.
    """
    images, classes = faces.images, np.array(maps.classes)
    after = {name: explain(images, classes).maps for name, explain in networks.items()}
    after[OTHER_IMAGES] = maps.maps[of_another_class(faces.labels, seed=seed)]
    rows = {}
    for name, others in after.items():
        # Two empty maps would be alike, though neither says anything.
        used = maps.maps.any(axis=(1, 2)) & others.any(axis=(1, 2))
        alike = randomisation_check(maps.maps, others)[used].dropna()
        rows[name] = [*mean_intervals(alike.to_numpy(), people(faces)[alike.index]).ravel(), len(alike)]
    alike = ["rank correlation", "rank low", "rank high", "ssim", "ssim low", "ssim high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*alike, "n"]).astype({"n": int})


def _verdict(way: str, difference: list[float]) -> str:
    _, low, high = difference
    if low <= 0 <= high:
        return "not told apart from random maps"
    return "better than random maps" if (high < 0) == (way == "deletion") else "worse than random maps"
