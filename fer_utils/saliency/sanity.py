"""Maps that know nothing, and whether those of a network differ from those of one that knows nothing."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from fer_utils.saliency.class_maps import upsampled
from fer_utils.saliency.regions import checked_maps

_SIGMA, _RADIUS = 1.5, 5
"""Of SSIM's Gaussian window: 11x11 pixels, as in Wang et al. (2004)."""


def random_maps(shape: tuple[int, int, int], *, seed: int, native_size: tuple[int, int]) -> np.ndarray:
    """Return maps of noise, as coarse as a layer's: float32 of 0 to 1, each divided by its maximum.

    What a class-activation map of a network is compared with. Noise of single pixels would not do: it takes
    all parts of a face away at once.

    Parameters
    ----------
    shape : tuple of int
        Number, rows and columns.
    seed : int
    native_size : tuple of int
        Rows and columns of the noise before it is upsampled (bilinear), as in `GradCAM.native_size`.

    Raises
    ------
    ValueError
        For a size below 1.
    """
    if min(*shape, *native_size) < 1:
        raise ValueError(f"sizes must be 1 or more, got shape {shape} and native_size {native_size}")
    noise = np.random.default_rng(seed).random((shape[0], *native_size), np.float32)
    return upsampled(noise, shape[1:])


def randomisation_check(maps_before: np.ndarray, maps_after: np.ndarray) -> pd.DataFrame:
    """Return how alike the maps of a trained network and of a re-initialised one are.

    Maps that stay alike do not depend on what the network learned: they show edges of the image, or the
    architecture. `explain.randomised` re-initialises; maps of other images say what "alike" means by chance.

    Parameters
    ----------
    maps_before, maps_after : ndarray of float, shape (N, H, W)
        Of 0 to 1, at least 11 pixels a side; of the same images and classes.

    Returns
    -------
    DataFrame
        One row an image: rank_correlation (Spearman, NaN where a map is the same all over) and ssim.

    Raises
    ------
    ValueError
        For shapes that do not fit, maps too small, or values out of range.

    References
    ----------
    Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018). Wang et al., *Image quality assessment:
    from error visibility to structural similarity* (IEEE TIP 2004).
    """
    before, after = checked_maps(maps_before), checked_maps(maps_after)
    if before.shape != after.shape:
        raise ValueError(f"maps before and after must have one shape, got {before.shape} and {after.shape}")
    if min(before.shape[1:]) < 2 * _RADIUS + 1 or max(before.max(), after.max()) > 1:
        raise ValueError(
            f"maps must be of 0 to 1 and at least {2 * _RADIUS + 1} pixels a side, got up to "
            f"{max(before.max(), after.max()):g} and {before.shape[1]}x{before.shape[2]}"
        )
    return pd.DataFrame({"rank_correlation": _spearman(before, after), "ssim": _ssim(before, after)})


def _spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = (rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    spread = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    return np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)


def _ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Equal to `skimage.metrics.structural_similarity` with Gaussian weights and values of 0 to 1."""

    def mean(maps: np.ndarray) -> np.ndarray:
        return gaussian_filter(maps, _SIGMA, radius=_RADIUS, axes=(1, 2))

    a, b = mean(first), mean(second)
    var_a, var_b, cov = mean(first**2) - a * a, mean(second**2) - b * b, mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    local = (2 * a * b + c1) * (2 * cov + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2))
    inner = slice(_RADIUS, -_RADIUS)  # where the window lies in the picture as a whole
    return local[:, inner, inner].mean(axis=(1, 2))
