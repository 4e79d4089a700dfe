"""Histograms of oriented gradients (HOG) of many images at once, equal to `skimage.feature.hog`.

Dalal & Triggs, *Histograms of oriented gradients for human detection* (CVPR 2005), with scikit-image's
conventions: no smoothing, hard assignment to orientation bins, L2-Hys block normalisation.

A difference of two gray levels is one of 511 integers, so the magnitude and bin of each of the 511×511
possible gradients are computed once in double precision, and a cell's histogram is a sum of rows of that
table. The bin never depends on how a device rounds an arctangent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fer_utils.files import ConfigError

LEVELS = 511
"""Possible gradients along one axis: -255 to 255."""
BATCH = 256
"""Images at once, few enough for the processor's cache."""
_EPSILON, _CLIP = 1e-5, 0.2  # of L2-Hys, as in scikit-image


@dataclass(frozen=True)
class HOG:
    """Parameters of a HOG, under the names of `skimage.feature.hog`; cells and blocks are square.

    Pixels at the right and bottom edge that fill no whole cell are ignored. Blocks overlap: one starts at
    every cell where it fits.
    """

    orientations: int = 9  # bins of the half circle, up to 180
    pixels_per_cell: int = 8
    cells_per_block: int = 3

    def cells(self, image_shape: Sequence[int]) -> tuple[int, int]:
        """Return rows and columns of cells in an image of shape (H, W); error if no block fits."""
        rows, columns = (side // self.pixels_per_cell for side in image_shape)
        if min(rows, columns) < self.cells_per_block:
            height, width = image_shape
            raise ConfigError(f"{self}: a block does not fit an image of {height}×{width} pixels")
        return rows, columns

    def size(self, image_shape: Sequence[int]) -> int:
        """Return the number of features of an image of shape (H, W)."""
        rows, columns = (cells - self.cells_per_block + 1 for cells in self.cells(image_shape))
        return rows * columns * self.cells_per_block**2 * self.orientations


class HOGLayer(torch.nn.Module):
    """HOG as a layer without weights: `(N, 1, H, W)` images of 0 to 255 to `(N, features)` float32.

    Float images are rounded to whole gray levels first; no gradient flows back to the images. Features are
    ordered as in scikit-image: block row, block column, cell row, cell column, orientation. Exports to ONNX.
    """

    def __init__(self, hog: HOG) -> None:
        super().__init__()
        self.hog = hog
        self.register_buffer("votes", torch.from_numpy(_votes(hog.orientations)), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of images, shape (N, 1, H, W)."""
        side = self.hog.cells_per_block
        blocks = self.histograms(images).unfold(1, side, 1).unfold(2, side, 1).movedim(3, -1)
        blocks = blocks.flatten(3).flatten(1, 2)
        return _normalise(_normalise(blocks).clamp(max=_CLIP)).flatten(1)

    def histograms(self, images: torch.Tensor) -> torch.Tensor:
        """Return each cell's mean gradient magnitude by orientation: (N, rows, columns, orientations)."""
        rows, columns = self.hog.cells(images.shape[2:])
        side = self.hog.pixels_per_cell
        if images.dtype != torch.uint8:
            images = images.round().clamp(0, 255)
        levels = images[:, 0].to(torch.int32)
        down, right = torch.zeros_like(levels), torch.zeros_like(levels)  # central differences, 0 at edges
        down[:, 1:-1] = levels[:, 2:] - levels[:, :-2]
        right[:, :, 1:-1] = levels[:, :, 2:] - levels[:, :, :-2]
        vote = torch.add(right + LEVELS**2 // 2, down, alpha=LEVELS)[:, : rows * side, : columns * side]
        cells = vote.unflatten(2, (columns, side)).unflatten(1, (rows, side)).transpose(2, 3)
        cells = cells.flatten(3).flatten(0, 2)
        if torch.compiler.is_exporting():  # ONNX has no embedding_bag without a loop
            sums = functional.embedding(cells, self.votes).sum(1)
        else:
            sums = functional.embedding_bag(cells, self.votes, mode="sum")
        return sums.view(images.shape[0], rows, columns, self.hog.orientations) / side**2


def hog_features(images: np.ndarray, hog: HOG) -> np.ndarray:
    """Return the HOG of images of shape (N, H, W), uint8: float32, shape (N, `hog.size((H, W))`)."""
    return _in_batches(HOGLayer(hog), images)


def hog_histograms(images: np.ndarray, hog: HOG) -> np.ndarray:
    """Return the histograms of all cells before normalisation, shape (N, rows, columns, orientations)."""
    return _in_batches(HOGLayer(hog).histograms, images)


def _in_batches(compute: Callable[[torch.Tensor], torch.Tensor], images: np.ndarray) -> np.ndarray:
    batches = torch.tensor(np.ascontiguousarray(images)).unsqueeze(1).split(BATCH)
    with torch.inference_mode():
        return torch.cat([compute(batch) for batch in batches]).numpy()


def _votes(orientations: int) -> np.ndarray:
    """Return each gradient's magnitude in the column of its bin, shape (511 * 511, orientations)."""
    levels = np.arange(LEVELS, dtype=np.float64) - LEVELS // 2
    down, right = levels[:, None], levels[None, :]
    degrees = np.arctan2(down, right) * (180 / np.pi) % 180
    bounds = np.float32(180 / orientations * np.arange(1, orientations))  # rounded as in scikit-image
    bins = np.searchsorted(bounds, degrees.ravel(), side="right")
    votes = np.zeros((LEVELS * LEVELS, orientations), dtype=np.float32)
    votes[np.arange(len(votes)), bins] = np.hypot(down, right).ravel()
    return votes


def _normalise(blocks: torch.Tensor) -> torch.Tensor:
    return blocks / (blocks.square().sum(2, keepdim=True) + _EPSILON**2).sqrt()
