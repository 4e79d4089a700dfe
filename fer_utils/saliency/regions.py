"""Where the evidence of class-activation maps lies: in known masks, and in bands of the face.

A share of a map means little alone: every measure here has beside it what a map that is the same all over
would score.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from fer_utils.saliency.intervals import mean_intervals

FACE_BANDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"brow": (0.25, 0.40), "eye": (0.40, 0.53), "nose": (0.53, 0.69), "mouth": (0.69, 0.90)}
)
"""Top and bottom of each band as fractions of the image's height, for synthetic faces.

Read off the mean of 420 of them at 48 pixels, whose brows lie around row 17, irises at row 20, nostrils at
row 31 and lips at row 36. What lies above and below is hair, chin and clothes. A brow that is lowered (action
unit 4) reaches into the eye band.
"""

FER2013_BANDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"brow": (0.21, 0.31), "eye": (0.31, 0.44), "nose": (0.44, 0.69), "mouth": (0.69, 0.90)}
)
"""The same for FER-2013, whose eyes lie higher: nobody may take one for the other.

Read off the mean of the 3,589 PublicTest images: brows around row 13 of 48, the eyes darkest at row 17,
nostrils at row 32, lips at row 38. In 531 of them a detector found both eyes: at row 18, in nine of ten
between 13 and 21. A tilted head, another crop or another aligner moves them out of their band.
"""


def pointing_game(maps: np.ndarray, masks: np.ndarray, *, tolerance: float = 0.0) -> np.ndarray:
    """Return whether each map's maximum lies in its mask: bool, shape (N,).

    An all-zero map points nowhere and misses. Of several equal maxima at least half must hit.

    Parameters
    ----------
    maps : ndarray of float, shape (N, H, W)
        Not negative.
    masks : ndarray of bool, shape (N, H, W)
    tolerance : float
        Distance in pixels up to which a maximum beside the mask still hits.

    Raises
    ------
    ValueError
        For shapes that do not fit, a negative or undefined value, or an empty mask, which nothing can hit.

    References
    ----------
    Zhang et al., *Top-down neural attention by excitation backprop* (IJCV 2018); 15 pixels of tolerance on
    pictures of some 300.
    """
    maps, masks = _checked_masks(maps, masks)
    highest = maps.max(axis=(1, 2), keepdims=True)
    tops = (maps == highest) & (highest > 0)
    hits = (tops & _widened(masks, tolerance)).sum(axis=(1, 2))
    return (2 * hits >= tops.sum(axis=(1, 2))) & tops.any(axis=(1, 2))


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each map's sum that lies in its mask: float, shape (N,); 0 for an all-zero map.

    Parameters and errors as in `pointing_game`.

    References
    ----------
    Wang et al., *Score-CAM* (CVPR Workshops 2020), the energy-based pointing game.
    """
    maps, masks = _checked_masks(maps, masks)
    return _share((maps * masks).sum(axis=(1, 2)), maps.sum(axis=(1, 2)))


def localisation(maps: np.ndarray, masks: np.ndarray, *, tolerance: float = 0.0) -> pd.DataFrame:
    """Return both pointing games of each image beside what a map that knows nothing scores.

    Parameters and errors as in `pointing_game`.

    Returns
    -------
    DataFrame
        One row an image: hit, hit_by_chance (share of the image in the widened mask), energy,
        energy_if_uniform (share of the image in the mask).

    Notes
    -----
    `hit_by_chance` is that of a maximum that is anywhere with equal chance. Bilinear upsampling favours the
    border, where a cell is not averaged with a neighbour: hold coarse maps against `random_maps`, too.
    """
    return pd.DataFrame(
        {
            "hit": pointing_game(maps, masks, tolerance=tolerance),
            "hit_by_chance": _widened(np.asarray(masks, bool), tolerance).mean(axis=(1, 2)),
            "energy": energy_inside(maps, masks),
            "energy_if_uniform": np.asarray(masks, bool).mean(axis=(1, 2)),
        }
    )


def band_energy(maps: np.ndarray, bands: Mapping[str, tuple[float, float]] = FACE_BANDS) -> pd.DataFrame:
    """Return the share of each map's sum that lies in each band.

    Parameters
    ----------
    maps : ndarray of float, shape (N, H, W)
        Not negative.
    bands : mapping of str to (float, float)
        Top and bottom as fractions of the height. A row belongs to the band that its centre lies in.

    Returns
    -------
    DataFrame
        One row a map; the bands in their order, then "elsewhere". Rows sum to 1, or 0 for an all-zero map.

    Raises
    ------
    ValueError
        For a wrong shape, a negative or undefined value, or bands that overlap or leave the image.
    """
    maps = checked_maps(maps)
    per_row = maps.sum(axis=2)
    inside = _rows(bands, maps.shape[1])
    inside["elsewhere"] = ~np.any(list(inside.values()), axis=0)
    total = per_row.sum(axis=1)
    return pd.DataFrame({name: _share(per_row @ rows, total) for name, rows in inside.items()})


def band_areas(height: int, bands: Mapping[str, tuple[float, float]] = FACE_BANDS) -> pd.Series:
    """Return the share of an image's rows in each band and elsewhere: what a uniform map scores there."""
    return band_energy(np.ones((1, height, 1)), bands).iloc[0].rename("area")


def band_means(
    shares: pd.DataFrame,
    labels: np.ndarray,
    *,
    class_names: Sequence[str],
    unit: np.ndarray | None = None,
    n_boot: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return each class's mean shares with the 95 % intervals of `mean_intervals`.

    Parameters
    ----------
    shares : DataFrame
        As `band_energy` gives them. All-zero maps say nothing of places and are left out.
    labels : ndarray of int, shape (N,)
        The class to count each image in: its true one, or the one that its map explains.
    class_names : sequence of str
    unit : ndarray of int, shape (N,), optional
        What is drawn with replacement, such as subjects; images when left out.
    n_boot, seed : int

    Returns
    -------
    DataFrame
        One row a class and band: class, band, mean, low, high, n (maps used). A class without maps has no
        rows; `low` and `high` are NaN where a single unit leaves the spread unknown.

    Raises
    ------
    ValueError
        When labels or units do not fit the shares or the classes.
    """
    labels = np.asarray(labels)
    unit = np.arange(len(shares)) if unit is None else np.asarray(unit)
    if labels.shape != (len(shares),) or unit.shape != labels.shape:
        raise ValueError(f"{len(shares)} maps need a label and a unit each, got {labels.shape}, {unit.shape}")
    if len(labels) and (labels.min() < 0 or labels.max() >= len(class_names)):
        raise ValueError(f"labels must be 0 to {len(class_names) - 1}, got {labels.min()} to {labels.max()}")
    used = shares.to_numpy().sum(axis=1) > 0
    rows = []
    for number, name in enumerate(class_names):
        chosen = used & (labels == number)
        if not chosen.any():
            continue
        values = shares.to_numpy()[chosen]
        intervals = mean_intervals(values, unit[chosen], n_boot=n_boot, seed=seed)
        for band, (mean, low, high) in zip(shares.columns, intervals, strict=True):
            rows.append((name, band, mean, low, high, len(values)))
    return pd.DataFrame(rows, columns=["class", "band", "mean", "low", "high", "n"])


def checked_maps(maps: np.ndarray) -> np.ndarray:
    """Return the maps as float64.

    Raises
    ------
    ValueError
        When the shape is not (N, H, W) with N of at least 1, or a value is negative or not finite.
    """
    maps = np.asarray(maps, float)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"need one or more maps, shape (N, H, W), got {maps.shape}")
    if not (np.isfinite(maps).all() and (maps >= 0).all()):
        raise ValueError("maps must be finite and not negative: they are shares of evidence for a class")
    return maps


def _checked_masks(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = checked_maps(maps), np.asarray(masks)
    if masks.shape != maps.shape or masks.dtype != bool:
        raise ValueError(
            f"masks must be bool of the maps' shape {maps.shape}, got {masks.dtype} {masks.shape}"
        )
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if len(empty):
        raise ValueError(f"{len(empty)} masks are empty, the first is row {empty[0]}; leave those images out")
    return maps, masks


def _widened(masks: np.ndarray, tolerance: float) -> np.ndarray:
    return np.stack([distance_transform_edt(~mask) <= tolerance for mask in masks])


def _share(part: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(part, total, out=np.zeros(len(total)), where=total > 0)


def _rows(bands: Mapping[str, tuple[float, float]], height: int) -> dict[str, np.ndarray]:
    edges = [edge for band in sorted(bands.values()) for edge in band]
    if not bands or edges != sorted(edges) or edges[0] < 0 or edges[-1] > 1:
        raise ValueError(f"bands must lie in 0 to 1, top before bottom, and not overlap, got {dict(bands)}")
    centres = (np.arange(height) + 0.5) / height
    return {name: (centres >= top) & (centres < bottom) for name, (top, bottom) in bands.items()}
