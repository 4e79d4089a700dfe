"""HOG of many images at once, equal to `skimage.feature.hog`, on whatever device the images are.

A difference of two gray levels is one of 511 integers. So each of the 511×511 gradients that exist has its
vote, magnitude and direction, worked out beforehand in double precision, and the histogram of a cell is the
sum of its pixels' rows in that table. No bin hangs on the rounding of an arctangent on some device.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from fer_utils.data import FaceSet
from fer_utils.features.hog import HOG, BlockNorm
from fer_utils.files import atomic_write, digest, read_json, sha256_of, write_json

LEVELS = 511
"""Gradients along one axis: -255 to 255."""
BATCH = 256
"""Images at once: enough to make calls cheap, few enough for the processor's cache."""


class HOGLayer(torch.nn.Module):
    """HOG as a layer without weights, for the inside of a network: `(N, 1, H, W)` to `(N, features)`.

    Takes uint8 images, or floats **from 0 to 255**, which are rounded to whole gray levels first (after
    augmentation, say); no gradient flows back to the images. The result is float32, laid out as
    `skimage.feature.hog` does: block row, block column, cell row, cell column, orientation. A constant image
    has no gradients and only zeros. The table of votes is no part of the `state_dict`. Exports to ONNX, but
    with `transform_sqrt` onnxruntime lacks the arctangent of doubles.

    Parameters
    ----------
    hog : HOG
        What is computed; whether it fits is known when the first images come.
    """

    def __init__(self, hog: HOG) -> None:
        super().__init__()
        self.hog = hog
        votes = np.eye(hog.orientations, dtype=np.float32) if hog.transform_sqrt else _votes(hog.orientations)
        self.register_buffer("votes", torch.from_numpy(votes), persistent=False)
        self.register_buffer("bounds", torch.from_numpy(_bounds(hog.orientations)), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of images, shape (N, 1, H, W); raises as `histograms`."""
        rows, columns = self.hog.cells_per_block
        blocks = self.histograms(images).unfold(1, rows, 1).unfold(2, columns, 1).movedim(3, -1)
        blocks = blocks.flatten(3).flatten(1, 2)
        return _normalised(blocks, self.hog.block_norm).flatten(1)

    def histograms(self, images: torch.Tensor) -> torch.Tensor:
        """Return each cell's histogram before blocks are scaled, shape (N, rows, columns, orientations).

        A bin holds the sum of its gradients' magnitudes, over the pixels of the cell.

        Raises
        ------
        ValueError
            When the images have another shape than (N, 1, H, W).
        ConfigError
            When not one block fits.
        """
        if images.ndim != 4 or images.shape[1] != 1:
            raise ValueError(f"images must have the shape (N, 1, H, W), got {tuple(images.shape)}")
        rows, columns = self.hog.cells(images.shape[2:])
        if images.dtype != torch.uint8:
            images = images.round().clamp(0, 255)
        vote, weight = self._vote(images[:, 0].to(torch.int32))
        sums = self._sums(self._by_cell(vote), None if weight is None else self._by_cell(weight))
        height, width = self.hog.pixels_per_cell
        return sums.view(images.shape[0], rows, columns, self.hog.orientations) / (height * width)

    def _vote(self, levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return for every pixel its row in the table of votes, and a factor if that is not one."""
        if not self.hog.transform_sqrt:
            down, right = _gradients(levels)
            return torch.add(right + LEVELS**2 // 2, down, alpha=LEVELS), None
        down, right = _gradients(levels.to(torch.float64).sqrt())
        degrees = torch.atan2(down, right) * (180 / torch.pi) % 180
        magnitude = (down.square() + right.square()).sqrt()
        return torch.bucketize(degrees, self.bounds.double(), right=True, out_int32=True), magnitude.float()

    def _sums(self, vote: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """Return the sum of each cell's votes, shape (N * cells, orientations)."""
        if torch.compiler.is_exporting():  # ONNX has no such sum without a loop
            votes = F.embedding(vote, self.votes)
            return (votes if weight is None else votes * weight[..., None]).sum(1)
        return F.embedding_bag(vote, self.votes, mode="sum", per_sample_weights=weight)

    def _by_cell(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the pixels of each cell in a row, shape (N * cells, pixels per cell)."""
        height, width = self.hog.pixels_per_cell
        rows, columns = self.hog.cells(pixels.shape[1:])
        whole = pixels[:, : rows * height, : columns * width]
        cells = whole.unflatten(2, (columns, width)).unflatten(1, (rows, height)).transpose(2, 3)
        return cells.flatten(3).flatten(0, 2)


def hog_features(images: np.ndarray, hog: HOG, *, batch_size: int = BATCH) -> np.ndarray:
    """Return the HOG of every image, equal to `skimage.feature.hog` to 1e-6.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
        May be memory-mapped; each of torch's threads reads a batch at a time.
    hog : HOG
    batch_size : int
        Images at once: bounds the memory beside the result, changes nothing in it.

    Returns
    -------
    ndarray of float32, shape (N, `hog.size((H, W))`)

    Raises
    ------
    ValueError
        When the images are not uint8 of shape (N, H, W) or there is no batch.
    ConfigError
        When not one block fits.
    """
    _check(images, batch_size)
    features = np.empty((len(images), hog.size(images.shape[1:])), dtype=np.float32)
    return _fill(features, images, HOGLayer(hog), batch_size)


def hog_histograms(images: np.ndarray, hog: HOG, *, batch_size: int = BATCH) -> np.ndarray:
    """Return the histograms of all cells before blocks are scaled, for looking at.

    Parameters, errors as `hog_features`; the shape is (N, rows, columns, orientations).
    """
    _check(images, batch_size)
    histograms = np.empty((len(images), *hog.cells(images.shape[1:]), hog.orientations), dtype=np.float32)
    return _fill(histograms, images, HOGLayer(hog).histograms, batch_size)


def cached_hog(faces: FaceSet, hog: HOG, *, folder: Path, batch_size: int = BATCH) -> np.ndarray:
    """Return `hog_features` of a data set, computed once and then memory-mapped read-only.

    The file `hog-<hash>.npy` is named by pixels, their order, parameters and this code; beside it stands
    `hog-<hash>.json` with its SHA-256, and a file that does not have it is made again. Processes that need
    it at once may each make it; what they put in place is the same.
    """
    path = folder / f"hog-{_identity(faces, hog)[:16]}.npy"
    if not _is_whole(path):
        _check(faces.images, batch_size)
        shape = (len(faces), hog.size(faces.images.shape[1:]))
        with atomic_write(path) as temporary:
            features = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            _fill(features, faces.images, HOGLayer(hog), batch_size).flush()
            sidecar = {"data": faces.name, "hog": asdict(hog), "shape": shape, "sha256": sha256_of(temporary)}
        write_json(path.with_suffix(".json"), sidecar)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _identity(faces: FaceSet, hog: HOG) -> str:
    code = [sha256_of(Path(__file__).with_name(name)) for name in ("hog.py", "hog_torch.py")]
    return digest(faces.images.shape, faces.digests.tolist(), asdict(hog), code, torch.__version__)


def _is_whole(path: Path) -> bool:
    try:
        return sha256_of(path) == read_json(path.with_suffix(".json"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):  # absent, cut short or something else
        return False


def _check(images: np.ndarray, batch_size: int) -> None:
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(f"images must be uint8 of shape (N, H, W), got {images.dtype} {images.shape}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


def _fill(
    result: np.ndarray, images: np.ndarray, compute: Callable[[torch.Tensor], torch.Tensor], batch_size: int
) -> np.ndarray:
    @torch.inference_mode()
    def one_batch(start: int) -> None:
        batch = slice(start, start + batch_size)
        pixels = np.array(images[batch], order="C")  # torch knows no read-only and no reversed arrays
        result[batch] = compute(torch.from_numpy(pixels)[:, None]).numpy()

    # A batch a thread: threads that share these short operations wait for each other, long on busy cores.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one_batch, range(0, len(images), batch_size)))
    finally:
        torch.set_num_threads(threads)
    return result


def _votes(orientations: int) -> np.ndarray:
    """Return the magnitude of every gradient in the column of its bin, shape (511 * 511, orientations)."""
    levels = np.arange(LEVELS, dtype=np.float64) - LEVELS // 2
    down, right = levels[:, None], levels[None, :]
    degrees = np.arctan2(down, right) * (180 / np.pi) % 180
    bins = np.searchsorted(_bounds(orientations), degrees.ravel(), side="right")
    votes = np.zeros((LEVELS * LEVELS, orientations), dtype=np.float32)
    votes[np.arange(len(votes)), bins] = np.hypot(down, right).ravel()
    return votes


def _bounds(orientations: int) -> np.ndarray:
    """Return the degrees at which the second and later bins begin, rounded as scikit-image does."""
    return (180 / orientations * np.arange(1, orientations)).astype(np.float32)


def _gradients(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the differences of both neighbours downwards and to the right; zero at a border."""
    down, right = torch.zeros_like(images), torch.zeros_like(images)
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    right[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    return down, right


def _normalised(blocks: torch.Tensor, norm: BlockNorm, *, eps: float = 1e-5) -> torch.Tensor:
    """Scale each block, shape (N, blocks, values); `eps` is scikit-image's, and keeps zeros zero."""
    if norm in ("L1", "L1-sqrt"):
        shares = blocks / (blocks.sum(2, keepdim=True) + eps)
        return shares.sqrt() if norm == "L1-sqrt" else shares
    unit = _to_length_one(blocks, eps)
    return _to_length_one(unit.clamp(max=0.2), eps) if norm == "L2-Hys" else unit


def _to_length_one(blocks: torch.Tensor, eps: float) -> torch.Tensor:
    return blocks / (blocks.square().sum(2, keepdim=True) + eps**2).sqrt()
