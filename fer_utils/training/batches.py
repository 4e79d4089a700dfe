"""Images and clips as batches on the device that trains: in random order and augmented, by seed and epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fer_utils.data.samples import Samples
from fer_utils.files import ConfigError
from fer_utils.training import common


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

    Raises
    ------
    ConfigError
        For a rotation outside 0-180 or a crop outside 0 to below 1.
    """

    rotation: float = 10.0
    crop: float = 0.1
    flip: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.rotation <= 180:
            raise ConfigError(f"rotation={self.rotation}: use 0 to 180 degrees")
        if not 0 <= self.crop < 1:
            raise ConfigError(f"crop={self.crop}: use a share of the image's side, 0 to below 1")

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


def warp(images: Tensor, maps: Tensor) -> Tensor:
    """Resample float images, shape (N, C, H, W), along maps of shape (N, 2, 3), bilinearly; same shape."""
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


class Batches:
    """What fastai's Learner goes through: `(images, labels)`, the whole set being one tensor on the device.

    Images are float32 of 0-255, shape (B, 1, H, W), of clips (B, 1, T, H, W); labels int64, shape (B,). Where
    a single image would be left for the last batch, it joins the batch before: batch normalisation has no
    variance of one image.

    Parameters
    ----------
    samples : Samples
    batch_size : int
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
        self.dataset, self.seed, self.augmentation, self.epoch = samples, seed, augmentation, 0
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

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order, maps = self._order(), self._maps()
        for start, end in self._bounds:
            chosen = order[start:end]
            images = self.images[chosen].float()
            if maps is not None:
                frames = images.flatten(1, -3)  # those of a clip are channels to `warp`: one map for all
                images = warp(frames, maps[start:end]).view_as(images)
            yield images, self.labels[chosen]

    def _order(self) -> Tensor:
        if self.seed is None:
            return torch.arange(len(self.images), device=self.images.device)
        order = common.epoch_order(len(self.images), seed=self.seed, epoch=self.epoch)
        return torch.tensor(order, device=self.images.device)

    def _maps(self) -> Tensor | None:
        if self.augmentation is None:
            return None
        # A stream of its own, on the CPU: the same images whatever the network draws and wherever it is.
        random = np.random.default_rng((self.seed, self.epoch, 1))
        size = self.images.shape[-2], self.images.shape[-1]
        return self.augmentation.draw(len(self.images), size=size, random=random).to(self.images.device)
