"""Measurements on heat maps, without a framework: where the evidence lies, and whether it matters.

A share of a map means little alone, so each measurement has a control: area, random maps, other images.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import cv2
import numpy as np
import pandas as pd
from skimage.metrics import structural_similarity

from fer_utils.explain.network import enlarge
from fer_utils.statistics import bootstrap_weights, percentiles

Bands = Mapping[str, tuple[float, float]]  # top and bottom as fractions of the image's height

FACE_BANDS: Bands = {"brow": (0.25, 0.40), "eye": (0.40, 0.53), "nose": (0.53, 0.69), "mouth": (0.69, 0.90)}
"""Bands of synthetic faces, measured on the mean of 420 of them: at 48 pixels, brows around row 17, irises at
row 20, nostrils at row 31 and lips at row 36."""

FER2013_BANDS: Bands = {"brow": (0.21, 0.31), "eye": (0.31, 0.44), "nose": (0.44, 0.69), "mouth": (0.69, 0.9)}
"""Bands of FER-2013, measured on the mean of the 3,589 PublicTest images: brows around row 13 of 48, the
eyes darkest at row 17, nostrils at row 32, lips at row 38. A tilted head moves them out of their band."""

_BLUR = 0.1  # of an image's height, 4.8 of 48 pixels: standard deviation of the blurred image in insertion


def band_energy(maps: np.ndarray, bands: Bands) -> pd.DataFrame:
    """Return the share of each map's sum in each band and "elsewhere", one row per map; 0 if all zero."""
    centres = (np.arange(maps.shape[1]) + 0.5) / maps.shape[1]
    rows = {name: (centres >= top) & (centres < bottom) for name, (top, bottom) in bands.items()}
    rows["elsewhere"] = ~np.any(list(rows.values()), axis=0)
    per_row = np.sum(maps, axis=2, dtype=float)
    total = per_row.sum(axis=1)
    return pd.DataFrame({name: _share(per_row @ inside, total) for name, inside in rows.items()})


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return whether each map's maximum lies in its mask: bool, shape (N,).

    Of equal maxima at least half must be inside. Zhang et al., *Top-down neural attention* (IJCV 2018).
    """
    highest = maps.max(axis=(1, 2), keepdims=True)
    peaks = (maps == highest) & (highest > 0)
    hits = (peaks & masks).sum(axis=(1, 2))
    return (2 * hits >= peaks.sum(axis=(1, 2))) & peaks.any(axis=(1, 2))


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each map's sum in its mask, shape (N,), 0 for an all-zero map.

    Wang et al., *Score-CAM* (CVPR Workshops 2020), the energy-based pointing game.
    """
    return _share(np.sum(maps * masks, axis=(1, 2), dtype=float), np.sum(maps, axis=(1, 2), dtype=float))


def perturbation_curves(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    maps: np.ndarray,
    classes: np.ndarray,
    *,
    way: Literal["deletion", "insertion"],
    steps: int = 12,
    seed: int = 0,
) -> pd.DataFrame:
    """Remove or insert pixels, those with the most evidence first, and follow the class's probability.

    The probability of each image's class is a row; the columns are the shares of changed pixels, 0 to 1.
    Deletion replaces pixels by the image's mean gray level; insertion starts from a blurred image. Pixels
    with equal evidence have a random order. Petsiuk, Das & Saenko, *RISE* (BMVC 2018).
    """
    if way == "deletion":
        gray = np.round(images.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
        start, end = images, np.broadcast_to(gray, images.shape)
    else:
        start, end = np.stack([cv2.GaussianBlur(one, (0, 0), _BLUR * len(one)) for one in images]), images
    flat, rows = maps.reshape(len(maps), -1), np.arange(len(images))
    shuffled = np.random.default_rng(seed).permutation(flat.shape[1])
    order = shuffled[np.argsort(-flat[:, shuffled], axis=1, kind="stable")]
    counts = np.round(np.linspace(0, flat.shape[1], steps + 1)).astype(int)
    current, target = start.reshape(len(start), -1).copy(), end.reshape(len(end), -1)
    scores = np.empty((len(images), steps + 1))
    for step, count in enumerate(counts):
        changed = order[:, counts[max(step - 1, 0)] : count]
        current[rows[:, None], changed] = target[rows[:, None], changed]
        scores[:, step] = predict(current.reshape(images.shape).copy())[rows, classes]
    return pd.DataFrame(scores, columns=counts / flat.shape[1])


def random_maps(shape: tuple[int, int, int], *, seed: int, native_size: tuple[int, int]) -> np.ndarray:
    """Return maps of uniform noise, shape (N, H, W), as coarse as a layer's: the control of a map."""
    noise = np.random.default_rng(seed).random((shape[0], *native_size), np.float32)
    return enlarge(noise, shape[1:])


def map_similarity(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """Return how similar two maps of each image are, for the randomisation check.

    Columns rank (Spearman's correlation, NaN where a map is constant) and ssim (Wang et al., IEEE TIP 2004).
    """
    a, b = (pd.DataFrame(maps.reshape(len(maps), -1)).rank(axis=1) for maps in (first, second))
    how = {"data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False}
    pairs = zip(first.astype(float), second.astype(float), strict=True)
    ssim = [structural_similarity(*pair, **how) for pair in pairs]
    return pd.DataFrame({"rank": a.corrwith(b, axis=1), "ssim": ssim})


def mean_intervals(
    values: np.ndarray, unit: np.ndarray, *, level: float = 0.95, n_boot: int = 2000
) -> np.ndarray:
    """Return the mean of each column with its interval (`statistics.percentiles`): (M, 3), mean, low, high.

    Values have one row per image; images of one unit are resampled together. NaN where there is no interval.
    """
    values = np.asarray(values, float)
    found = np.full((values.shape[1], 3), np.nan)
    if not len(values):
        return found
    found[:, 0] = mean = values.mean(axis=0)
    names, unit = np.unique(unit, return_inverse=True)
    resampled = [
        (weights.T @ values) / weights.sum(axis=0)[:, None]
        for weights in bootstrap_weights(unit, n_boot=n_boot, seed=0)
    ]
    if resampled:
        drawn = np.concatenate(resampled)
        found[:, 1:] = percentiles(drawn, value=mean, n_units=len(names), level=level).T
    return found


def _share(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(part, total, out=np.zeros(len(total)), where=total > 0)
