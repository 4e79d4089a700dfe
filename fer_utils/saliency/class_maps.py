"""From a layer's maps and their gradients to class-activation maps: the formulas, without a framework."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from fer_utils.files import ConfigError

SMALLEST_MAP = 6
"""Rows and columns that a layer's map needs: one of 2x2, upsampled, says nothing about a face."""

Look = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Images and their classes to a layer's maps and the gradients of the classes' logits, both (N, C, h, w)."""


@dataclass(frozen=True, eq=False)
class GradCAM:
    """Class-activation maps of some images.

    Attributes
    ----------
    maps : ndarray of float32, shape (N, H, W)
        At the images' size, 0 to 1: each is divided by its own maximum, so strengths do not compare between
        images. All zero where nothing in the layer speaks for the class.
    native_size : tuple of int
        Rows and columns of the layer's map before it was upsampled: what the network itself can tell apart.
    layer : str
    classes : tuple of int, length N
        The class that each map explains.
    method : str
        A key of `WEIGHTS`.
    """

    maps: np.ndarray
    native_size: tuple[int, int]
    layer: str
    classes: tuple[int, ...]
    method: str = "Grad-CAM"


def grad_cam_weights(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return each channel's mean gradient, shape (N, C).

    Parameters
    ----------
    maps, gradients : ndarray, shape (N, C, h, w)
        `maps` do not matter here.

    References
    ----------
    Selvaraju et al., *Grad-CAM* (ICCV 2017), equation 1.
    """
    return gradients.mean(axis=(2, 3))


def grad_cam_plus_plus_weights(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return each channel's weighted sum of positive gradients, shape (N, C).

    With the score Y = exp(S) of a logit S and g = dS/dA, a place's weight (equation 19) is
    g² / (2 g² + g³ ΣA) = 1 / (2 + g ΣA), and dY/dA is exp(S) g. The factor exp(S), the same all over an
    image, is left out: a map is divided by its maximum. Exact where S is piecewise linear in the maps.

    Parameters
    ----------
    maps, gradients : ndarray, shape (N, C, h, w)

    Raises
    ------
    ConfigError
        For maps with negative values, where the denominator can vanish: the layer must follow its ReLU.

    References
    ----------
    Chattopadhay et al., *Grad-CAM++* (WACV 2018), equations 5, 16 and 19.
    """
    if (maps < 0).any():
        raise ConfigError("Grad-CAM++ needs maps without negative values; take the layer after the ReLU")
    positive = np.maximum(gradients, 0)
    return (positive / (2 + positive * maps.sum(axis=(2, 3), keepdims=True))).sum(axis=(2, 3))


WEIGHTS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType(
    {"Grad-CAM": grad_cam_weights, "Grad-CAM++": grad_cam_plus_plus_weights}
)


def class_activation_maps(
    look: Look,
    images: np.ndarray,
    *,
    size: tuple[int, int],
    layer: str,
    classes: Sequence[int],
    method: str,
    batch_size: int,
) -> GradCAM:
    """Weigh a layer's channels, sum them, cut at zero, upsample (bilinear) and divide by the maximum.

    Parameters
    ----------
    look : callable
        See `Look`; called with `batch_size` images at a time.
    images : ndarray, shape (N, ...)
    size : tuple of int
        Rows and columns of the result, those of the images.
    layer : str
        What `look` looks at, for the result and for messages.
    classes : sequence of int, length N
    method : str
        A key of `WEIGHTS`.

    Raises
    ------
    ConfigError
        For a layer that gives no maps, or maps smaller than `SMALLEST_MAP`.
    ValueError
        When there is no image or not one class for each.
    """
    classes = tuple(int(number) for number in classes)
    if not len(images) or len(classes) != len(images):
        raise ValueError(f"{len(images)} images need {len(images)} classes, at least one, got {len(classes)}")
    found = np.empty((len(images), *size), np.float32)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        maps, gradients = look(images[part], np.array(classes[part]))
        evidence = np.einsum("nc,nchw->nhw", WEIGHTS[method](maps, gradients), maps)
        found[part] = upsampled(np.maximum(evidence, 0), size)
    return GradCAM(found, maps.shape[2:], layer, classes, method)


def upsampled(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps at another size (bilinear), each divided by its maximum, an all-zero one as it is.

    Parameters
    ----------
    maps : ndarray of float, shape (N, h, w)
        Not negative.
    size : tuple of int
        Rows and columns of the result.
    """
    height, width = size
    large = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)


def checked_map(layer: str, shape: Sequence[int], *, smallest: int = SMALLEST_MAP) -> None:
    """Refuse a layer whose output is no map or too small a one.

    Parameters
    ----------
    layer : str
    shape : sequence of int
        Of its output for one image: channels, rows, columns.

    Raises
    ------
    ConfigError
        Naming the layer, its shape, and what to do.
    """
    if len(shape) != 3:
        raise ConfigError(f"layer {layer!r} gives {tuple(shape)} per image, not maps")
    _, height, width = shape
    if min(height, width) < smallest:
        raise ConfigError(
            f"layer {layer!r} gives a map of {height}x{width}; take an earlier layer or a larger image, "
            f"whose map is at least {smallest}x{smallest}"
        )


def checked_classes(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the classes, all of which the network must have.

    Raises
    ------
    ValueError
        For a number out of range.
    """
    if not ((classes >= 0) & (classes < n_classes)).all():
        raise ValueError(f"the network's classes are 0 to {n_classes - 1}, got {classes.tolist()}")
    return classes
