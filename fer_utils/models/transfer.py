"""Networks of srivastav2024 with a body that may be pretrained and fastai's head, in PyTorch.

The paper describes VGG19 (Section 3, Fig. 2), names Resnet in its abstract and has batches of 25; its tables
are fastai's. Which depth of ResNet, whether VGG19 has batch normalisation and how large the pictures are is
not printed: all are parameters. Bodies are torchvision's, cut, headed and grouped as fastai's
`vision_learner` does it. `small_resnet` and `vgg8` start from random weights.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional

from fer_utils.files import ConfigError
from fer_utils.models import small_resnet, vgg8

ARCHITECTURES = ("small_resnet", "vgg8", "resnet18", "resnet34", "resnet50", "vgg19", "vgg19_bn")
_FIRST_GROUP = dict.fromkeys(ARCHITECTURES, 6) | {"small_resnet": 4, "vgg8": 2, "vgg19": 22, "vgg19_bn": 22}
_SMALLEST = {"small_resnet": 16, "vgg8": 16}
_SMALLEST_OF_TORCHVISION = 32
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue as shares of 255: what torchvision's weights were trained with."""


class Pictures(nn.Module):
    """Gray images of any size to what a body trained on ImageNet takes.

    Parameters
    ----------
    image_size : int
        Height and width in pixels that the body gets.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        for name, values in (("mean", IMAGENET_MEAN), ("sd", IMAGENET_SD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return normalised pictures, shape (N, 3, S, S), of images of 0 to 255, shape (N, 1, H, W)."""
        images = images.float() / 255
        if images.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            images = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
        return (images - self.mean) / self.sd

    def extra_repr(self) -> str:
        """Say the size, for the network's repr."""
        return f"{self.image_size}"


class Window(nn.Module):
    """The square in the middle of images of any size, in the pixels that it has.

    A network that is trained on windows from anywhere in the images gets one from the middle when it sees a
    whole image, wherever it is used.

    Parameters
    ----------
    size : int
        Height and width in pixels; images of this size stay as they are.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Return images, shape (N, 1, S, S), of images, shape (N, 1, H, W)."""
        top, left = ((side - self.size) // 2 for side in images.shape[-2:])
        return images[..., top : top + self.size, left : left + self.size]

    def extra_repr(self) -> str:
        """Say the size, for the network's repr."""
        return f"{self.size}"


def build(
    architecture: str,
    *,
    n_classes: int,
    seed: int,
    image_size: int = 48,
    dropout: float = 0.5,
    width: float = 1.0,
    window: int = 0,
) -> nn.Sequential:
    """Build a network with random weights.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`.
    n_classes : int
        Number of logits.
    seed : int
        The same seed gives the same weights, whatever was built before.
    image_size : int
        Height and width in pixels that a torchvision body gets, whatever it is given; `small_resnet` and
        `vgg8` take images as they are, which must have this size.
    dropout : float
        Rate before the logits; fastai's head has half of it before its hidden layer, too.
    width : float
        Factor on the channels of `small_resnet` and `vgg8`; the others have those of pretrained weights.
    window : int
        The network looks at the square of this many pixels in the middle of its images: `Window`. 0 lets it
        see all. In torchvision's, the window is scaled to `image_size`.

    Returns
    -------
    nn.Sequential
        `pictures`, `body` and `head`: images of 0 to 255, uint8 or float, shape (N, 1, H, W), to logits,
        shape (N, `n_classes`). On the CPU, in training mode.

    Raises
    ------
    ConfigError
        For an unknown architecture, or pictures too small for it.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture={architecture!r}: use one of {', '.join(ARCHITECTURES)}")
    smallest = _SMALLEST.get(architecture, _SMALLEST_OF_TORCHVISION)
    if image_size < smallest:
        raise ConfigError(f"image_size={image_size}: {architecture} needs at least {smallest} pixels")
    if architecture in _SMALLEST:
        model = _own(
            architecture,
            n_classes=n_classes,
            seed=seed,
            image_size=window or image_size,
            dropout=dropout,
            width=width,
        )
    else:
        model = _torchvisions(
            architecture, n_classes=n_classes, seed=seed, image_size=image_size, dropout=dropout
        )
    if window:
        model.pictures = nn.Sequential(OrderedDict(window=Window(window), scale=model.pictures))
    return model


def layer_groups(architecture: str) -> Callable[[nn.Module], list[list[nn.Parameter]]]:
    """Return what splits a network of `build` as fastai does: the body's first part, its rest, the head."""
    return partial(_groups, first=_FIRST_GROUP[architecture])


def load_body(model: nn.Sequential, arrays: Mapping[str, np.ndarray], *, architecture: str) -> None:
    """Put pretrained weights into the body of a network; its head stays as it is.

    Parameters
    ----------
    model : nn.Sequential
        From `build`.
    arrays : mapping of str to ndarray
        Of a network of this project (names begin with ``body.``), or named as in torchvision and timm, such
        as ``layer1.0.conv1.weight`` or ``features.0.weight``. Those of a classifier are not used.
    architecture : str

    Raises
    ------
    ConfigError
        For arrays that the body lacks or has in another shape, or none for a part of it; the first is named.
    """
    own = any(name.startswith("body.") for name in arrays)
    if own:
        given = {
            name.removeprefix("body."): array for name, array in arrays.items() if name.startswith("body.")
        }
    else:
        given = _renamed(arrays, architecture)
    wanted = model.body.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # timm leaves them out
    problems = [
        *(f"{name} is missing" for name in sorted(wanted.keys() - given.keys() - counters)),
        *(f"{name} is not part of it" for name in sorted(given.keys() - wanted.keys())),
        *(
            f"{name} has shape {tuple(array.shape)}, {architecture} has {tuple(wanted[name].shape)}"
            for name, array in given.items()
            if name in wanted and tuple(array.shape) != tuple(wanted[name].shape)
        ),
    ]
    if problems:
        raise ConfigError(
            f"weights do not fit architecture={architecture}: {problems[0]} (of {len(problems)} problems)"
        )
    model.body.load_state_dict({name: torch.tensor(array) for name, array in given.items()}, strict=False)


def _own(architecture: str, *, image_size: int, **settings: float) -> nn.Sequential:
    if architecture == "vgg8":
        return vgg8.build(image_size=image_size, **settings)
    return small_resnet.build(**settings)


def _torchvisions(
    architecture: str, *, n_classes: int, seed: int, image_size: int, dropout: float
) -> nn.Sequential:
    from fastai.vision.learner import create_head  # slow, and the project's own networks do without

    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        body, channels = _body(architecture)
        head = create_head(channels, n_classes, ps=dropout)
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)  # as vision_learner does
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return nn.Sequential(OrderedDict(pictures=Pictures(image_size), body=body, head=head))


def _body(architecture: str) -> tuple[nn.Sequential, int]:
    whole = torchvision.models.get_model(architecture, weights=None)
    if architecture.startswith("vgg"):
        return whole.features, 512
    layers = OrderedDict(whole.named_children())
    channels = layers.pop("fc").in_features
    del layers["avgpool"]
    return nn.Sequential(layers), channels


def _groups(model: nn.Sequential, *, first: int) -> list[list[nn.Parameter]]:
    parts = (model.body[:first], model.body[first:], model.head)
    return [[weights for weights in part.parameters() if weights.requires_grad] for part in parts]


def _renamed(arrays: Mapping[str, np.ndarray], architecture: str) -> dict[str, np.ndarray]:
    classifier = ("fc.", "classifier.", "pre_logits.", "head.")
    kept = {name: array for name, array in arrays.items() if not name.startswith(classifier)}
    if architecture.startswith("vgg"):
        return {name.removeprefix("features."): array for name, array in kept.items()}
    return kept
