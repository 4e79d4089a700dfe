"""The networks of kishor2022 on pixels and on pixels with HOG, in PyTorch, and a baseline on HOG alone.

The paper (Section 4) has six 3x3 convolutions with ReLU, 2x2 max-pools, a flatten and a softmax on 48x48 gray
images; its abstract adds networks of other depths, HOG features beside the pixels, dropout, batch
normalisation and L2. Where the pools stand, all widths and how HOG is joined are not printed; those here are
ours. L2 is the optimiser's weight decay.

Every network takes pixels as they are stored and scales them inside, so that nobody who uses a trained
network can forget to.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from fer_utils.features.hog import HOG, HOGLayer
from fer_utils.files import ConfigError
from fer_utils.models.layers import Scale, he

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FILTERS = (16, 32, 64)
"""Of the convolutions in each block. Double the widths cost four times the work: 86 million multiply-adds an
image instead of 22, which is out of reach of a training on two cores."""
CONVOLUTIONS = {"shallow": 2, "deep": 3}
"""In each block: the paper's six, or nine."""
DENSE = 256
HOG_DENSE = 128
CAM_LAYER = {depth: f"pixels.relu{len(FILTERS)}_{count}" for depth, count in CONVOLUTIONS.items()}
"""The last map before the last pool, 12x12 for 48 pixels: the layer for Grad-CAM."""


class Kishor2022(nn.Module):
    """Convolutions on pixels, HOG beside them or nothing, and dense layers on what both give.

    Attributes
    ----------
    pixels : nn.Sequential
        `(N, 1, H, W)` pixel values to `(N, D)` flattened convolutional features.
    hog : nn.Sequential or None
        The same pixel values to `(N, HOG_DENSE)`.
    head : nn.Sequential
        The features side by side to `(N, K)` logits.
    """

    def __init__(self, pixels: nn.Sequential, hog: nn.Sequential | None, head: nn.Sequential) -> None:
        super().__init__()
        self.pixels, self.hog, self.head = pixels, hog, head

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (N, K), for images of 0 to 255, shape (N, 1, H, W), uint8 or float."""
        branches = [self.pixels] if self.hog is None else [self.pixels, self.hog]
        return self.head(torch.cat([branch(images) for branch in branches], dim=1))


def build(
    *,
    features: Literal["raw", "hybrid"],
    depth: Literal["shallow", "deep"],
    n_classes: int,
    hog: HOG,
    seed: int,
    image_size: int = 48,
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Kishor2022:
    """Build one of the four networks.

    Three blocks of 3x3 convolutions with ReLU and a 2x2 max-pool; flatten; a dense layer with ReLU; logits.

    Parameters
    ----------
    features : {"raw", "hybrid"}
        "hybrid" computes HOG from the same image inside the network, so that both see what augmentation made
        of it, and joins it before the first dense layer: batch normalisation, a dense layer and ReLU bring
        the two to one scale.
    depth : {"shallow", "deep"}
        Six or nine convolutions; nine take 1.7 times the multiply-adds.
    n_classes : int
        Number of logits.
    hog : HOG
        Settings of the hybrid's HOG.
    seed : int
        The same seed gives the same weights, whatever was built before; with equal `depth`, raw and hybrid
        networks have the same convolutions.
    image_size : int
        Height and width of the images in pixels.
    dropout : float
        Rate on the dense layer's output; 0 leaves the layer out.
    batch_norm : bool
        Normalise between each convolution and its ReLU.

    Returns
    -------
    Kishor2022
        On the CPU, in training mode. The softmax belongs to the loss and to prediction.

    Raises
    ------
    ConfigError
        For an image too small for three pools, with the smallest size that works.
    """
    smallest = 2 ** len(FILTERS)
    if image_size < smallest:
        raise ConfigError(f"image_size={image_size}: kishor2022 needs at least {smallest} pixels")
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        pixels = _pixels(CONVOLUTIONS[depth], batch_norm)
        width = FILTERS[-1] * (image_size // smallest) ** 2
        branch = None
        if features == "hybrid":
            branch = _hog_branch(hog, image_size)
            width += HOG_DENSE
        return Kishor2022(pixels, branch, _head(width, n_classes, dropout))


def hog_baseline(*, c: float = 0.003) -> "Pipeline":
    """Return an untrained classifier of HOG features: standardisation and multinomial logistic regression.

    Parameters
    ----------
    c : float
        Inverse strength of the L2 penalty. Chosen on FER-2013's validation images: with 900 to 1,764
        features, accuracy there differs by about one point between 0.0003 and 0.01.

    Returns
    -------
    Pipeline
        `fit` takes features, shape (N, D), and labels; no random number is involved. `predict_proba` gives
        the columns in the order of its `classes_`: those classes alone that it was trained on.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=c, max_iter=1000)
    return Pipeline([("standardise", StandardScaler()), ("regression", regression)])


def _pixels(convolutions: int, batch_norm: bool) -> nn.Sequential:
    # Names are explicit: tables of layers show them, and Grad-CAM asks for them.
    layers: OrderedDict[str, nn.Module] = OrderedDict(scale=Scale())
    channels = 1
    for b, filters in enumerate(FILTERS, start=1):
        for c in range(1, convolutions + 1):
            # A normalisation subtracts the mean, and with it whatever a bias had added.
            convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=not batch_norm)
            layers[f"conv{b}_{c}"] = he(convolution)
            if batch_norm:
                layers[f"norm{b}_{c}"] = nn.BatchNorm2d(filters)
            layers[f"relu{b}_{c}"] = nn.ReLU()
            channels = filters
        layers[f"pool{b}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)


def _hog_branch(hog: HOG, image_size: int) -> nn.Sequential:
    size = hog.size((image_size, image_size))
    layers = OrderedDict(
        histograms=HOGLayer(hog),
        norm=nn.BatchNorm1d(size),
        dense=he(nn.Linear(size, HOG_DENSE)),
        relu=nn.ReLU(),
    )
    return nn.Sequential(layers)


def _head(width: int, n_classes: int, dropout: float) -> nn.Sequential:
    layers = OrderedDict(dense1=he(nn.Linear(width, DENSE)), relu1=nn.ReLU())
    if dropout:
        layers["dropout1"] = nn.Dropout(dropout)
    layers["logits"] = nn.Linear(DENSE, n_classes)
    return nn.Sequential(layers)
