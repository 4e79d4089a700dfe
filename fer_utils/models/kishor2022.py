"""The networks of kishor2022 on pixels and on pixels with HOG, in PyTorch, and a linear classifier on HOG.

The paper (Section 4) has six 3x3 convolutions with ReLU, 2x2 max-pools, a flatten and a softmax on 48x48 gray
images; its abstract adds networks of other depths, HOG features beside the pixels, dropout, batch
normalisation and L2. The positions of the pools, all widths and the way HOG is joined are not printed; those
here are ours. L2 is the optimiser's weight decay.
"""

from collections import OrderedDict

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from fer_utils.data import FaceSet
from fer_utils.features.hog import HOG, HOGLayer
from fer_utils.files import ConfigError
from fer_utils.models.layers import Scale, he
from fer_utils.params import HybridHogCNN

FILTERS = (16, 32, 64)
"""Of the convolutions in each block. Twice the widths need four times the multiply-adds (86 instead of 22
million an image), too many for a training on two cores."""
CONVOLUTIONS = {"shallow": 2, "deep": 3}
"""In each block: the paper's six, or nine."""
DENSE = 256
HOG_DENSE = 128
CAM_LAYER = {depth: f"pixels.relu{len(FILTERS)}_{count}" for depth, count in CONVOLUTIONS.items()}
"""The layer for Grad-CAM: the last one before the last pool, 12x12 for images of 48 pixels."""


class Kishor2022(nn.Module):
    """Convolutions on pixels, optionally HOG of the same image beside them, and dense layers on both.

    The input is pixel values from 0 to 255, shape (N, 1, H, W); the network scales them itself. The output is
    logits, shape (N, K).
    """

    def __init__(self, params: HybridHogCNN, n_classes: int, image_size: int) -> None:
        super().__init__()
        pixels = OrderedDict(scale=Scale())
        # Batch normalisation subtracts the mean, so a bias before it would have no effect.
        channels, bias = 1, not params.batch_norm
        for b, filters in enumerate(FILTERS, start=1):
            for c in range(1, CONVOLUTIONS[params.depth] + 1):
                pixels[f"conv{b}_{c}"] = he(nn.Conv2d(channels, filters, 3, padding=1, bias=bias))
                if params.batch_norm:
                    pixels[f"norm{b}_{c}"] = nn.BatchNorm2d(filters)
                pixels[f"relu{b}_{c}"] = nn.ReLU()
                channels = filters
            pixels[f"pool{b}"] = nn.MaxPool2d(2)
        pixels["flatten"] = nn.Flatten()
        self.pixels = nn.Sequential(pixels)
        width = channels * (image_size // 2 ** len(FILTERS)) ** 2

        self.hog = None
        if params.features == "hybrid":
            hog = hog_settings(params)
            size = hog.size((image_size, image_size))
            branch = OrderedDict(histograms=HOGLayer(hog), norm=nn.BatchNorm1d(size))
            branch |= OrderedDict(dense=he(nn.Linear(size, HOG_DENSE)), relu=nn.ReLU())
            self.hog = nn.Sequential(branch)
            width += HOG_DENSE

        head = OrderedDict(dense1=he(nn.Linear(width, DENSE)), relu1=nn.ReLU())
        if params.dropout:
            head["dropout1"] = nn.Dropout(params.dropout)
        head["logits"] = nn.Linear(DENSE, n_classes)
        self.head = nn.Sequential(head)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        features = self.pixels(images)
        if self.hog is not None:
            features = torch.cat([features, self.hog(images)], dim=1)
        return self.head(features)


def hog_settings(params: HybridHogCNN) -> HOG:
    """Return the HOG geometry of the parameters; blocks of 2x2 cells, L2-Hys (Dalal & Triggs 2005)."""
    return HOG(9, pixels_per_cell=params.hog_cell, cells_per_block=2)


def build(params: HybridHogCNN, faces: FaceSet) -> Kishor2022:
    """Build the network of `params.features` and `params.depth` for the images and classes of `faces`.

    The same seed gives the same weights, whatever was built before; raw and hybrid networks of one depth
    start with the same convolutions.
    """
    size = faces.images.shape[1]
    if size < 2 ** len(FILTERS):
        raise ConfigError(f"images must have at least {2 ** len(FILTERS)} pixels a side, got {size}")
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(params.seed)
        return Kishor2022(params, len(faces.class_names), size)


def hog_classifier() -> Pipeline:
    """Return an untrained multinomial logistic regression on standardised HOG features.

    The strength of its L2 penalty was selected on FER-2013's validation set: with 900 to 1,764 features,
    accuracy there differs by about one point between C = 0.0003 and 0.01.
    """
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000))
