"""What Grad-CAM needs of a network, and the computation from a layer's maps and gradients to heat maps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from fer_utils.files import ConfigError

SMALLEST_MAP = 6  # rows and columns that a layer's map needs: one of 2x2 says nothing about a face
BATCH = 256


@dataclass(frozen=True, eq=False)
class GradCAM:
    """Class-activation maps of some images.

    `maps`, float32 (N, H, W), are divided by their own maximum each; all zero where nothing in the layer
    speaks for the class. `native_size` is that of the layer's map, `method` is a key of `METHODS`.
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
    """A trained classifier of gray images; no method changes its weights.

    `cascade` has the layers of the randomisation check, the last one first. What `see(output)` returns within
    `_watch(layer, see)` replaces a layer's output, unless it is None; `_logits(images)` has shape (N, K).
    """

    model: Any
    cascade: tuple[str, ...]

    @abstractmethod
    def randomised(self, from_layer: str, *, seed: int) -> Self:
        """Return a copy with new random weights from a layer to the last.

        Adebayo et al., *Sanity checks for saliency maps* (NeurIPS 2018), cascading randomisation: with one
        seed, a longer cascade has the new weights of a shorter one. Batch normalisation is reset, too.
        """

    @abstractmethod
    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        """Return the smaller side of the map of each ReLU, by name, for images of this size."""

    @abstractmethod
    def _probabilities(self, images: np.ndarray) -> np.ndarray: ...

    def _maps_and_gradients(
        self, images: np.ndarray, classes: np.ndarray, layer: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a layer's maps and the gradients of the classes' logits, both (N, C, h, w).

        By torch, from a network's `_watch` and `_logits`; Keras on TensorFlow has its own.
        """
        import torch

        # The map is detached, so that the gradient exists in a frozen network, too. The layers after it get a
        # copy, because an in-place ReLU would change the map.
        captured: list[torch.Tensor] = []

        def cut(output: torch.Tensor) -> torch.Tensor:
            captured.append(output.detach().requires_grad_())
            return captured[-1].clone()

        with torch.enable_grad(), self._watch(layer, cut):
            logits = self._logits(images)
            targets = torch.from_numpy(classes).to(logits.device)
            # Images do not influence each other in evaluation mode: the sum's gradient holds that of each.
            (gradients,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), captured[-1])
        return captured[-1].detach().cpu().numpy(), gradients.cpu().numpy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (N, K), of images of uint8, shape (N, H, W)."""
        return np.concatenate([self._probabilities(images[part]) for part in _batches(images)])

    def cam_layer(self, size: Sequence[int]) -> str:
        """Return the last ReLU whose map has at least `SMALLEST_MAP` rows and columns for this image size."""
        large = [name for name, side in self._relu_sizes(size).items() if side >= SMALLEST_MAP]
        if not large:
            needed = f"no ReLU has a map of {SMALLEST_MAP}x{SMALLEST_MAP} or more"
            raise ConfigError(f"{needed} for images of {size[0]}x{size[1]} pixels; use a larger image_size")
        return large[-1]

    def maps(
        self, images: np.ndarray, classes: np.ndarray, *, layer: str | None = None, method: str = "Grad-CAM"
    ) -> GradCAM:
        """Return heat maps of the evidence for one class in each image, uint8 (N, H, W), at `cam_layer`."""
        classes = np.array(classes, np.int64)
        if len(classes) != len(images):
            raise ValueError(f"{len(images)} images need as many classes, got {len(classes)}")
        layer = layer or self.cam_layer(images.shape[1:])
        found = np.empty(images.shape, np.float32)
        for part in _batches(images):
            maps, gradients = self._maps_and_gradients(images[part], classes[part], layer)
            if maps.ndim != 4 or min(maps.shape[2:]) < SMALLEST_MAP:
                needed = f"Grad-CAM needs a map of at least {SMALLEST_MAP}x{SMALLEST_MAP}"
                raise ConfigError(f"layer {layer!r} returns {maps.shape[1:]} per image; {needed}")
            evidence = np.einsum("nc,nchw->nhw", METHODS[method](maps, gradients), maps)
            found[part] = enlarge(np.maximum(evidence, 0), images.shape[1:])
        return GradCAM(found, maps.shape[2:], layer, tuple(classes.tolist()), method)


def enlarge(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Return maps, shape (N, h, w), at another size (bilinear), each divided by its maximum."""
    height, width = size
    large = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in maps])
    highest = large.max(axis=(1, 2), keepdims=True)
    return np.divide(large, highest, out=np.zeros_like(large), where=highest > 0)


def _batches(images: np.ndarray) -> Iterator[slice]:
    return (slice(start, start + BATCH) for start in range(0, len(images), BATCH))
