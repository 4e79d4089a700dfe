"""Batches of images or clips that lie on the device: in random order and augmented, by seed and epoch.

A batch is indexed, resampled and masked as one tensor, so no image passes through Python by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fer_utils.data import Samples
from fer_utils.params import Parameters
from fer_utils.training.checkpoints import epoch_order

GRAY = 127.5
"""The middle of 0 to 255."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of every training image, drawn again in every epoch."""

    rotation: float = 0.0  # largest angle to either side, in degrees; the image is reflected at its edges
    crop: float = 0.0  # largest share of height and width that is cut away, the rest enlarged
    flip: bool = False  # mirror half of the images left to right
    cutout: float = 0.0  # side of a square that is made gray, anywhere, as a share of the image's height

    @classmethod
    def of(cls, params: Parameters) -> "Augmentation | None":
        """Return the augmentation of a notebook's parameters, or None where nothing is changed."""
        chosen = cls(*(getattr(params, field.name, field.default) for field in fields(cls)))
        return chosen if chosen != cls() else None

    def draw(self, n: int, *, size: tuple[int, int], random: np.random.Generator) -> Tensor:
        """Draw an affine map for each of n images of `size` (height, width): float32, shape (n, 2, 3).

        It leads from output to input coordinates, both -1 to 1 over the image, as `affine_grid` takes them.
        """
        height, width = size
        angle = np.deg2rad(random.uniform(-self.rotation, self.rotation, n))
        scale = 1 - random.uniform(0, self.crop, n)
        shift = random.uniform(-1, 1, (n, 2)) * (1 - scale)[:, None]
        mirror = np.where(random.random(n) < 0.5 * self.flip, -1, 1)
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        # The unit is half a width in x and half a height in y: without their ratio a rotation would shear.
        x = np.stack([mirror * cosine, -sine * height / width, shift[:, 0]], axis=1)
        y = np.stack([mirror * sine * width / height, cosine, shift[:, 1]], axis=1)
        return torch.tensor(np.stack([x, y], axis=1), dtype=torch.float32)


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Resample float images, shape (N, C, H, W), along maps of shape (N, 2, 3), bilinearly; same shape."""
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def cut_out(images: Tensor, centres: Tensor, *, share: float) -> Tensor:
    """Make a square of each float image, shape (N, ..., H, W), `GRAY`.

    `centres`, shape (N, 2), are row and column as shares of height and width: DeVries, Taylor, *Improved
    regularization of convolutional neural networks with cutout* (2017).
    """
    height, width = images.shape[-2:]
    rows, columns = (
        (torch.arange(side, device=images.device) + 0.5 - side * centre[:, None]).abs() < share * height / 2
        for side, centre in ((height, centres[:, 0]), (width, centres[:, 1]))
    )
    holes = rows[:, :, None] & columns[:, None, :]
    return images.masked_fill(holes.view(len(images), *[1] * (images.ndim - 3), height, width), GRAY)


def ten_crop(crop: float = 0.1) -> Tensor:
    """Return the maps of ten views, shape (10, 2, 3): the corners and the middle, each also mirrored.

    A view leaves out `crop` of height and width: Krizhevsky et al., *ImageNet classification with deep
    convolutional neural networks* (NeurIPS 2012).
    """
    places = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))
    return torch.tensor(
        [[[m * (1 - crop), 0, crop * x], [0, 1 - crop, crop * y]] for m in (1, -1) for x, y in places]
    ).float()


def flip_views() -> Tensor:
    """Return the maps of two views, shape (2, 2, 3): an image as it is, and mirrored left to right."""
    return ten_crop(0.0)[[0, 5]]


class Batches:
    """A loader for fastai's `DataLoaders`: `(images, labels)` of a set that is one tensor.

    Images are float32 of 0-255, shape (B, 1, H, W), of clips (B, 1, T, H, W); labels int64, shape (B,). If a
    single image would be left for the last batch, it joins the batch before: batch normalisation has no
    variance of one image.

    With a seed, it and `epoch`, which `ReseedEachEpoch` sets, decide the order and the augmentation; None
    keeps the order of `samples`. All frames of a clip are augmented alike.
    """

    n_inp = 1  # fastai's name for the number of inputs in a batch

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.dataset, self.batch_size = samples, batch_size
        self.seed, self.augmentation, self.epoch = seed, augmentation, 0
        self.images = torch.tensor(np.ascontiguousarray(samples.pixels)).unsqueeze(1)
        self.labels = torch.tensor(np.ascontiguousarray(samples.labels))
        starts = list(range(0, len(samples), batch_size))
        if len(samples) % batch_size == 1 and len(starts) > 1:
            del starts[-1]
        self.bounds = list(zip(starts, [*starts[1:], len(samples)], strict=True))

    def to(self, device: torch.device) -> None:
        """Move the set to a device; `DataLoaders` calls it."""
        self.images, self.labels = self.images.to(device), self.labels.to(device)

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n, device = len(self.images), self.images.device
        order, maps, centres = np.arange(n), None, None
        if self.seed is not None:
            order = epoch_order(n, seed=self.seed, epoch=self.epoch)
        if self.augmentation is not None:
            # Drawn apart from torch's random numbers, on the CPU: the same for every network and device.
            random, size = np.random.default_rng((self.seed, self.epoch, 1)), tuple(self.images.shape[-2:])
            maps = self.augmentation.draw(n, size=size, random=random).to(device)
            if self.augmentation.cutout:
                centres = torch.tensor(random.random((n, 2)), dtype=torch.float32, device=device)
        order = torch.tensor(order, device=device)
        for start, end in self.bounds:
            images = self.images[order[start:end]].float()
            if maps is not None:
                frames = images.flatten(1, -3)  # frames as channels: one map for all of a clip
                images = warp(frames, maps[start:end]).view_as(images)
            if centres is not None:
                images = cut_out(images, centres[start:end], share=self.augmentation.cutout)
            yield images, self.labels[order[start:end]]
