"""Images and clips as batches on the device that trains: in random order and augmented, by seed and epoch.

No image goes through Python by itself: a batch is indexed, resampled and masked as one tensor.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fer_utils.data import Samples
from fer_utils.files import ConfigError
from fer_utils.params import Parameters
from fer_utils.training import checkpoints, common

GRAY = 127.5
"""The middle of 0 to 255."""

memory_errors = partial(common.memory_errors, torch.OutOfMemoryError)
"""`common.memory_errors` of torch: a context that takes `setting` and `size`."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to every training image at random, anew in every epoch, in one resampling.

    Attributes
    ----------
    rotation : float
        Largest angle to either side, in degrees. What comes in from outside is the image, mirrored at its
        edge.
    crop : float
        Largest share of height and width that is cut away: a window of what is left, anywhere in the image,
        is scaled to the full size.
    flip : bool
        Whether every other image, on average, is mirrored left to right.
    cutout : float
        Side of a square that is made gray, as a share of the image's height; its centre is anywhere in the
        image, so part of it may lie outside: DeVries, Taylor, *Improved regularization of convolutional
        neural networks with cutout* (2017).
    window : int
        Side in pixels of a square that is cut out anywhere in the image, after turning and scaling and before
        `cutout`, and is not scaled again: the batch has images of this size. 0 keeps the whole image.
    repeats : int
        How often an image is in its batch, changed anew each time: Hoffer et al., *Augment your batch*
        (CVPR 2020). A batch has so many times more images.

    Raises
    ------
    ConfigError
        For a rotation outside 0-180, a crop or cutout outside 0 to below 1, a window below 0, or no repeat.
    """

    rotation: float = 10.0
    crop: float = 0.1
    flip: bool = True
    cutout: float = 0.0
    window: int = 0
    repeats: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rotation <= 180:
            raise ConfigError(f"rotation={self.rotation}: use 0 to 180 degrees")
        for name in ("crop", "cutout"):
            if not 0 <= (share := getattr(self, name)) < 1:
                raise ConfigError(f"{name}={share}: use a share of the image's side, 0 to below 1")
        if self.window < 0:
            raise ConfigError(f"window={self.window}: use pixels, or 0 for the whole image")
        if self.repeats < 1:
            raise ConfigError(f"repeats={self.repeats}: use how often an image is in its batch, 1 or more")

    @classmethod
    def of(cls, params: Parameters) -> "Augmentation | None":
        """Return the augmentation of a notebook's parameters, or None where nothing is changed."""
        off = {"rotation": 0.0, "crop": 0.0, "flip": False, "cutout": 0.0}
        chosen = {name: getattr(params, name, value) for name, value in off.items()}
        return cls(**chosen) if chosen != off else None

    def draw(self, n: int, *, size: tuple[int, int], random: np.random.Generator) -> Tensor:
        """Draw a map for each of n images of `size` (height, width).

        Returns
        -------
        Tensor of float32, shape (n, 2, 3)
            From output to input coordinates, both -1 to 1 over the image, as `torch.affine_grid` takes them.
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

    def draw_centres(self, n: int, *, random: np.random.Generator) -> Tensor:
        """Draw where each of n images is cut out: float32, shape (n, 2), row and column as shares of it."""
        return torch.tensor(random.random((n, 2)), dtype=torch.float32)

    def draw_corners(self, n: int, *, size: tuple[int, int], random: np.random.Generator) -> Tensor:
        """Draw where each of n windows begins in images of `size`: int64, shape (n, 2), row and column."""
        if self.window > min(size):
            raise ConfigError(f"window={self.window}: the images have {size[0]}x{size[1]} pixels; use fewer")
        return torch.tensor(random.integers(0, np.array(size) - self.window + 1, (n, 2)))


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Resample float images, shape (N, C, H, W), along maps of shape (N, 2, 3), bilinearly; same shape."""
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def cut_out(images: Tensor, centres: Tensor, *, share: float) -> Tensor:
    """Make a square of each float image, shape (N, ..., H, W), `GRAY`, around where `draw_centres` says."""
    height, width = images.shape[-2:]
    rows, columns = (
        torch.arange(side, device=images.device) + 0.5 - side * centre[:, None]
        for side, centre in ((height, centres[:, 0]), (width, centres[:, 1]))
    )
    inside = [part.abs() < share * height / 2 for part in (rows, columns)]
    holes = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(holes.view(len(images), *[1] * (images.ndim - 3), height, width), GRAY)


def cut_windows(images: Tensor, corners: Tensor, *, size: int) -> Tensor:
    """Return the square of each image, shape (N, ..., H, W), that begins where `draw_corners` says.

    Pixels are taken as they are; the result has shape (N, ..., `size`, `size`).
    """
    flat, steps = images.flatten(1, -3), torch.arange(size, device=images.device)
    rows, columns = corners[:, :1] + steps, corners[:, 1:] + steps
    each = torch.arange(len(images), device=images.device)
    # Channels come last out of an index in two places, and the convolutions want them there.
    found = flat[each[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return found.reshape(*images.shape[:-2], size, size)


def ten_crop(crop: float = 0.1, *, scaled: bool = True) -> Tensor:
    """Return the maps of ten views: the corners and the middle of an image, each also mirrored.

    Krizhevsky et al., *ImageNet classification with deep convolutional neural networks* (NeurIPS 2012).

    Parameters
    ----------
    crop : float
        Share of height and width that a view leaves out.
    scaled : bool
        Each window is scaled to the full size, as those are that a network is trained on with
        `Augmentation.crop`. False shifts the image instead, so that the window lies in its middle, in the
        pixels it has: for a network that looks at the middle alone (`models.transfer.Window`).

    Returns
    -------
    Tensor of float32, shape (10, 2, 3)
        For `warp`.
    """
    scale, places = 1 - crop if scaled else 1, ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))
    return torch.tensor(
        [[[mirror * scale, 0, crop * x], [0, scale, crop * y]] for mirror in (1, -1) for x, y in places],
        dtype=torch.float32,
    )


def flip_views() -> Tensor:
    """Return the maps of two views, shape (2, 2, 3): an image as it is, and mirrored left to right."""
    return ten_crop(0.0)[[0, 5]]


class Batches:
    """What fastai's Learner goes through: `(images, labels)`, the whole set being one tensor on the device.

    Images are float32 of 0-255, shape (B, 1, H, W), of clips (B, 1, T, H, W), or as large as the window that
    the augmentation cuts out; labels int64, shape (B,). Where a single image would be left for the last
    batch, it joins the batch before: batch normalisation has no variance of one image.

    Parameters
    ----------
    samples : Samples
    batch_size : int
        Different images in a batch; with `repeats` it has so many times more.
    device : str
        As torch names it.
    seed : int or None
        With `epoch`, which the Learner counts, it decides the order and the augmentation; None keeps the
        order of `samples`.
    augmentation : Augmentation or None
        None changes no pixel; the frames of a clip are changed alike.
    """

    n_inp = 1  # fastai asks how many of a batch's parts are the network's input

    def __init__(
        self,
        samples: Samples,
        *,
        batch_size: int,
        device: str,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.dataset, self.batch_size = samples, batch_size
        self.seed, self.augmentation, self.epoch = seed, augmentation, 0
        self._repeats = augmentation.repeats if augmentation else 1
        self.images = torch.tensor(np.ascontiguousarray(samples.pixels)).unsqueeze(1)
        self.labels = torch.tensor(np.ascontiguousarray(samples.labels))
        self.to(device)
        starts = list(range(0, len(samples), batch_size))
        if len(samples) % batch_size == 1 and len(starts) > 1:
            del starts[-1]
        self._bounds = list(zip(starts, [*starts[1:], len(samples)], strict=True))

    def to(self, device: str | torch.device) -> "Batches":
        """Move the set to a device."""
        self.images, self.labels = self.images.to(device), self.labels.to(device)
        return self

    @property
    def seen(self) -> int:
        """Number of images in a pass, repeats included."""
        return len(self.images) * self._repeats

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._batches(self._bounds)

    def of_each_size(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one batch of every size that a pass has."""
        return self._batches({end - start: (start, end) for start, end in self._bounds}.values())

    def _batches(self, bounds: Iterable[tuple[int, int]]) -> Iterator[tuple[Tensor, Tensor]]:
        order, changes = self._order().repeat_interleave(self._repeats), self._changes()
        for start, end in bounds:
            these = slice(start * self._repeats, end * self._repeats)
            chosen, drawn = order[these], {name: values[these] for name, values in changes.items()}
            yield self._changed(self.images[chosen].float(), drawn), self.labels[chosen]

    def _changed(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        if "maps" in drawn:
            frames = images.flatten(1, -3)  # those of a clip are channels to `warp`: one map for all
            images = warp(frames, drawn["maps"]).view_as(images)
        if "corners" in drawn:
            images = cut_windows(images, drawn["corners"], size=self.augmentation.window)
        if "centres" in drawn:
            images = cut_out(images, drawn["centres"], share=self.augmentation.cutout)
        return images

    def _order(self) -> Tensor:
        if self.seed is None:
            return torch.arange(len(self.images), device=self.images.device)
        order = checkpoints.epoch_order(len(self.images), seed=self.seed, epoch=self.epoch)
        return torch.tensor(order, device=self.images.device)

    def _changes(self) -> dict[str, Tensor]:
        if self.augmentation is None:
            return {}
        # A stream of its own, on the CPU: the same images whatever the network draws and wherever it is.
        how, random = self.augmentation, np.random.default_rng((self.seed, self.epoch, 1))
        n, size = self.seen, (self.images.shape[-2], self.images.shape[-1])
        drawn = {"maps": how.draw(n, size=size, random=random)}
        if how.cutout:
            drawn["centres"] = how.draw_centres(n, random=random)
        if how.window:
            drawn["corners"] = how.draw_corners(n, size=size, random=random)
        return {name: values.to(self.images.device) for name, values in drawn.items()}
