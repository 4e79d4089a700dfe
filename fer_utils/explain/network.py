"""What Grad-CAM needs of a network, and the computation from a layer's maps and gradients to heat maps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import pandas as pd

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
    method: str = "Grad-CAM"


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

    No method changes the model. A framework also implements `_layer_names()`, `_default_cascade()`,
    `_rows(size)` of the table of layers, `_relu_sizes(size)` (name to the smaller side of its map),
    `_probabilities(images)`, `_watch(layers, see)` (a context in which `see(name, output)` replaces a layer's
    output), `_maps_and_gradients(images, classes, layer)` of the classes' logits, both (N, C, h, w), and
    `_to_numpy(output)`, channels first.

    Parameters
    ----------
    model : nn.Module or keras.Model
    cascade : sequence of str, optional
        Layers for the randomisation check, the last one first: `randomised` is called with each. By default
        the last block with weights and up to five evenly spaced ones before it.
    """

    def __init__(self, model: Any, *, cascade: Sequence[str] = ()) -> None:
        self.model = model
        self.cascade = tuple(cascade) or self._default_cascade()

    @abstractmethod
    def filters(self) -> np.ndarray:
        """Return the kernels of the first 2D convolution, summed over its input channels: shape (F, h, w)."""

    @abstractmethod
    def randomised(self, from_layer: str, *, seed: int) -> Self:
        """Return a copy with new random weights from a layer to the last.

        Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018), cascading randomisation: with one
        seed, a longer cascade has the same new weights as a shorter one where both are randomised. The
        statistics of batch normalisation are reset, too.
        """

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (N, K), of images of uint8, shape (N, H, W)."""
        return np.concatenate([self._probabilities(images[part]) for part in _batches(images)])

    def layers(self, size: Sequence[int] = (48, 48), **depth: int | None) -> pd.DataFrame:
        """Return the layers in the order in which they run, with output shape and parameters, and the total.

        Parameters
        ----------
        size : sequence of int
            Height and width of the images in pixels; of clips: frames, height and width.
        depth : int or None
            Torch only: how deep to look into containers, 1 being the model's own children; None lists single
            layers.
        """
        rows = [
            (name, kind, "×".join(map(str, shape)), n_parameters)
            for name, kind, shape, n_parameters in self._rows(size, **depth)
        ]
        return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters"]).set_index("layer")

    def cam_layer(self, size: Sequence[int] = (48, 48)) -> str:
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

        The layer's channels are weighted by `METHODS`, summed, cut at zero, enlarged (bilinear) and divided
        by the maximum.

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
            _check_map(layer, maps.shape[1:], smallest=SMALLEST_MAP)
            evidence = np.einsum("nc,nchw->nhw", METHODS[method](maps, gradients), maps)
            found[part] = enlarge(np.maximum(evidence, 0), images.shape[1:])
        return GradCAM(found, maps.shape[2:], layer, tuple(classes.tolist()), method)

    def activations(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each layer's maps of one image, shape (H, W): layer to ndarray of shape (C, h, w)."""
        found: dict[str, np.ndarray] = {}
        for name in layers:
            self._check_layer(name)

        def keep(name: str, output: Any) -> Any:
            found[name] = self._to_numpy(output)[0]
            return output

        with self._watch(layers, keep):
            self.predict(np.asarray(image)[None])
        for name in layers:
            _check_map(name, found[name].shape, smallest=1)
        return {name: found[name] for name in layers}

    def _check_layer(self, name: str) -> None:
        if name not in (known := self._layer_names()):
            raise ConfigError(f"unknown layer {name!r}; choose one of {', '.join(known)}")


def evenly_spaced(names: Sequence[str], *, most: int = 5) -> tuple[str, ...]:
    """Return the last name and up to `most` of those before it, evenly spaced and the last one first."""
    if not names:
        return ()
    *others, last = names
    chosen = np.linspace(len(others) - 1, 0, min(most, len(others))).round().astype(int)
    return (last, *(others[number] for number in chosen))


def enlarge(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return maps, shape (N, h, w), at another size (bilinear), each divided by its maximum."""
    height, width = size
    large = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)


def _batches(images: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + BATCH) for start in range(0, len(images), BATCH))


def _check_map(layer: str, shape: Sequence[int], *, smallest: int) -> None:
    if len(shape) != 3:
        raise ConfigError(f"layer {layer!r} returns {tuple(shape)} per image, which is no map")
    if min(shape[1:]) < smallest:
        raise ConfigError(
            f"layer {layer!r} has a map of {shape[1]}x{shape[2]}; choose an earlier layer or a larger image: "
            f"at least {smallest}x{smallest}"
        )
