"""What Grad-CAM needs of a network, and the computation from a layer's maps and gradients to heat maps."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from fer_utils.files import ConfigError

SMALLEST_MAP = 6
"""Rows and columns that a layer's map needs: an enlarged map of 2x2 says nothing about a face."""

BATCH = 256


@dataclass(frozen=True, eq=False)
class GradCAM:
    """Class-activation maps of some images.

    Attributes
    ----------
    maps : ndarray of float32, shape (N, H, W)
        At the images' size, 0 to 1: each is divided by its own maximum. All zero where nothing in the layer
        speaks for the class.
    native_size : tuple of int
        Rows and columns of the layer's map before it was enlarged.
    layer : str
    classes : tuple of int, length N
        The class that each map explains.
    method : str
        A key of `METHODS`.
    """

    maps: np.ndarray
    native_size: tuple[int, int]
    layer: str
    classes: tuple[int, ...]
    method: str


def grad_cam_weights(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return each channel's mean gradient: Selvaraju et al., *Grad-CAM* (ICCV 2017), equation 1."""
    return gradients.mean(axis=(2, 3))


def grad_cam_plus_plus_weights(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return each channel's weighted sum of positive gradients.

    Chattopadhay et al., *Grad-CAM++* (WACV 2018), equations 5, 16 and 19. With the score exp(S) of a logit S
    and g = dS/dA, the weight of a position is g² / (2 g² + g³ ΣA) = 1 / (2 + g ΣA). The factor exp(S) of the
    gradient is left out: it is the same all over an image, and a map is divided by its maximum.
    """
    if (maps < 0).any():  # the denominator can vanish
        raise ConfigError("Grad-CAM++ needs maps without negative values; use the layer after the ReLU")
    positive = np.maximum(gradients, 0)
    return (positive / (2 + positive * maps.sum(axis=(2, 3), keepdims=True))).sum(axis=(2, 3))


METHODS = {"Grad-CAM": grad_cam_weights, "Grad-CAM++": grad_cam_plus_plus_weights}


class Network(ABC):
    """A trained classifier of gray images; `TorchNetwork` and `KerasNetwork` implement it.

    No method changes the model.

    Attributes
    ----------
    model : nn.Module or keras.Model
    cascade : tuple of str
        Layers for the randomisation check, the last one first: `randomised` is called with each.
    """

    model: Any
    cascade: tuple[str, ...]

    @abstractmethod
    def randomised(self, from_layer: str, *, seed: int) -> Self:
        """Return a copy with new random weights from a layer to the last.

        Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018), cascading randomisation: with one
        seed, a longer cascade has the same new weights as a shorter one where both are randomised. The
        statistics of batch normalisation are reset, too.
        """

    @abstractmethod
    def _layer_names(self) -> list[str]: ...

    @abstractmethod
    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        """Return the smaller side of the map of each ReLU, by name, for images of this size."""

    @abstractmethod
    def _logits(self, images: np.ndarray) -> Any: ...

    @abstractmethod
    def _probabilities(self, images: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _watch(self, layer: str, see: Callable[[Any], Any]) -> AbstractContextManager:
        """Return a context in which `see(output)` replaces a layer's output."""

    @abstractmethod
    def _maps_and_gradients(
        self, images: np.ndarray, classes: np.ndarray, layer: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a layer's maps and the gradients of the classes' logits, both (N, C, h, w)."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (N, K), of images of uint8, shape (N, H, W)."""
        return np.concatenate([self._probabilities(images[part]) for part in _batches(images)])

    def cam_layer(self, size: Sequence[int]) -> str:
        """Return the last ReLU whose map has at least `SMALLEST_MAP` rows and columns for this image size."""
        large = [name for name, side in self._relu_sizes(size).items() if side >= SMALLEST_MAP]
        if not large:
            raise ConfigError(
                f"no ReLU has a map of {SMALLEST_MAP}x{SMALLEST_MAP} or more for images of "
                f"{size[0]}x{size[1]} pixels; use a larger image_size"
            )
        return large[-1]

    def maps(
        self,
        images: np.ndarray,
        classes: Sequence[int] | np.ndarray,
        *,
        layer: str | None = None,
        method: str = "Grad-CAM",
    ) -> GradCAM:
        """Return heat maps of the evidence for a class in each image.

        Parameters
        ----------
        images : ndarray, shape (N, H, W)
            Values as the network takes them.
        classes : sequence of int, length N
            The class to explain for each image: the true one, the predicted one, or any other.
        layer : str, optional
            By default `cam_layer`.
        method : {"Grad-CAM", "Grad-CAM++"}
        """
        classes = np.asarray(classes, np.int64)
        if not len(images) or classes.shape != (len(images),):
            raise ValueError(f"{len(images)} images need as many classes, at least one, got {classes.shape}")
        n_classes = self.predict(images[:1]).shape[1]
        if classes.min() < 0 or classes.max() >= n_classes:
            raise ValueError(f"classes must be 0 to {n_classes - 1}, got {classes.min()} to {classes.max()}")
        layer = layer or self.cam_layer(images.shape[1:])
        self._check_layer(layer)
        found = np.empty(images.shape, np.float32)
        for part in _batches(images):
            maps, gradients = self._maps_and_gradients(images[part], classes[part], layer)
            _check_map(layer, maps.shape[1:])
            evidence = np.einsum("nc,nchw->nhw", METHODS[method](maps, gradients), maps)
            found[part] = enlarge(np.maximum(evidence, 0), images.shape[1:])
        return GradCAM(found, maps.shape[2:], layer, tuple(classes.tolist()), method)

    def _check_layer(self, name: str) -> None:
        if name not in (known := self._layer_names()):
            raise ConfigError(f"unknown layer {name!r}; choose one of {', '.join(known)}")


def enlarge(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return maps, shape (N, h, w), at another size (bilinear), each divided by its maximum."""
    height, width = size
    large = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)


def _batches(images: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + BATCH) for start in range(0, len(images), BATCH))


def _check_map(layer: str, shape: Sequence[int]) -> None:
    if len(shape) != 3:
        raise ConfigError(f"layer {layer!r} returns {tuple(shape)} per image, which is no map")
    if min(shape[1:]) < SMALLEST_MAP:
        raise ConfigError(
            f"layer {layer!r} has a map of {shape[1]}x{shape[2]}; choose an earlier layer or a larger image: "
            f"at least {SMALLEST_MAP}x{SMALLEST_MAP}"
        )
