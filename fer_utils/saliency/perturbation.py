"""Whether the places that a map names matter to the network: it sees images that lose or gain them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fer_utils.saliency.regions import checked_maps

Predict = Callable[[np.ndarray], np.ndarray]
"""Images of uint8, shape (N, H, W), to probabilities, shape (N, K)."""

Baseline = Literal["blurred", "gray"]

BLUR = 0.1
"""Standard deviation of the blurred baseline's Gaussian as a share of the image's height: 4.8 of 48 pixels,
more than half an eye, so that no feature of a face is left."""


@dataclass(frozen=True, eq=False)
class Curves:
    """How a class's probability changes as an image loses or gains pixels.

    Attributes
    ----------
    shares : ndarray of float, shape (S + 1,)
        Share of the pixels that has been taken away or put in, 0 to 1.
    scores : ndarray of float, shape (N, S + 1)
        Probability of each image's class.
    auc : ndarray of float, shape (N,)
        Area under each curve (trapezoids). Low is good for deletion, high for insertion.
    """

    shares: np.ndarray
    scores: np.ndarray
    auc: np.ndarray


def deletion_curve(
    predict: Predict,
    images: np.ndarray,
    maps: np.ndarray,
    classes: Sequence[int],
    *,
    steps: int = 24,
    baseline: Baseline = "gray",
    seed: int = 0,
) -> Curves:
    """Take pixels away, those with the most evidence first, and see how fast the class's probability falls.

    Read it against the same curve of `random_maps` of the same native size: blots hide less than single
    pixels do, whatever they cover.

    Parameters
    ----------
    predict : callable
        Called steps + 1 times with all images.
    images : ndarray of uint8, shape (N, H, W)
    maps : ndarray of float, shape (N, H, W)
        Not negative.
    classes : sequence of int, length N
        The class whose probability is followed for each image.
    steps : int
        Steps from the whole image to none of it.
    baseline : {"gray", "blurred"}
        What a pixel becomes: the image's mean, or the image blurred by `BLUR`.
    seed : int
        Of the order of pixels with equal evidence, the same in all images: a class-activation map is zero
        over large areas.

    Raises
    ------
    ValueError
        For shapes or classes that do not fit, images of another type, or less than one step.

    References
    ----------
    Petsiuk, Das & Saenko, *RISE* (BMVC 2018).
    """
    images, maps, classes = _checked(images, maps, classes, steps)
    return _curves(predict, images, _baseline(images, baseline), _order(maps, seed), classes, steps)


def insertion_curve(
    predict: Predict,
    images: np.ndarray,
    maps: np.ndarray,
    classes: Sequence[int],
    *,
    steps: int = 24,
    baseline: Baseline = "blurred",
    seed: int = 0,
) -> Curves:
    """Put pixels in, those with the most evidence first, and see how fast the class's probability rises.

    The start is the baseline, the end the image. Parameters, errors and source as in `deletion_curve`.
    """
    images, maps, classes = _checked(images, maps, classes, steps)
    return _curves(predict, _baseline(images, baseline), images, _order(maps, seed), classes, steps)


def _curves(
    predict: Predict, start: np.ndarray, end: np.ndarray, order: np.ndarray, classes: np.ndarray, steps: int
) -> Curves:
    """Turn `start` into `end`, pixel by pixel in the order, shape (N, H * W)."""
    n_pixels = order.shape[1]
    counts = np.round(np.linspace(0, n_pixels, steps + 1)).astype(int)
    rows = np.arange(len(start))
    scores = np.empty((len(start), steps + 1))
    current, target = start.reshape(len(start), -1).copy(), end.reshape(len(end), -1)
    for step, count in enumerate(counts):
        changed = order[:, counts[max(step - 1, 0)] : count]
        current[rows[:, None], changed] = target[rows[:, None], changed]
        probabilities = np.asarray(predict(current.reshape(start.shape).copy()))
        if probabilities.ndim != 2 or len(probabilities) != len(start):
            raise ValueError(f"predict must give (N, K) for {len(start)} images, got {probabilities.shape}")
        if classes.max() >= probabilities.shape[1]:
            raise ValueError(f"classes must be 0 to {probabilities.shape[1] - 1}, got {classes.max()}")
        scores[:, step] = probabilities[rows, classes]
    shares = counts / n_pixels
    return Curves(shares, scores, np.trapezoid(scores, shares, axis=1))


def _order(maps: np.ndarray, seed: int) -> np.ndarray:
    """Return each map's pixels, the highest value first, shape (N, H * W)."""
    flat = maps.reshape(len(maps), -1)
    shuffled = np.random.default_rng(seed).permutation(flat.shape[1])
    return shuffled[np.argsort(-flat[:, shuffled], axis=1, kind="stable")]


def _baseline(images: np.ndarray, kind: Baseline) -> np.ndarray:
    if kind == "gray":
        means = np.round(images.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
        return np.broadcast_to(means, images.shape).copy()
    if kind == "blurred":
        return np.stack([cv2.GaussianBlur(image, (0, 0), BLUR * len(image)) for image in images])
    raise ValueError(f"baseline must be 'gray' or 'blurred', got {kind!r}")


def _checked(
    images: np.ndarray, maps: np.ndarray, classes: Sequence[int], steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images, maps, classes = np.asarray(images), checked_maps(maps), np.asarray(classes)
    if images.dtype != np.uint8 or images.shape != maps.shape:
        raise ValueError(
            f"images must be uint8 of the maps' shape {maps.shape}, got {images.dtype} {images.shape}"
        )
    if classes.shape != (len(images),) or classes.dtype.kind not in "iu" or classes.min() < 0:
        raise ValueError(f"{len(images)} images need a class of 0 or more each, got {classes.tolist()}")
    if not 1 <= steps <= maps[0].size:
        raise ValueError(f"steps must be 1 to the number of pixels, {maps[0].size}, got {steps}")
    return images, maps, classes
