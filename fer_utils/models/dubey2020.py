"""The 3D-CNN of dubey2020 in PyTorch, and a small network on optical flow to compare it with.

The paper (Section 3) has "seven layers" on 18 gray frames of 64x64, ReLU or Swish, dropout, SGD and
categorical cross-entropy. Kinds and sizes of the layers are only in a figure (Fig. 4). Those here are an
assumption: one convolution of 3x3 pixels over 15 frames, a pool of 3, dropout, flatten, a dense layer of 128,
dropout, softmax, as in public code for the same data (MicroExpSTCNN: Reddy et al., *Spontaneous facial
micro-expression recognition using 3D spatiotemporal convolutional neural networks*, IJCNN 2019).

Both networks take pixel values from 0 to 255 and scale them inside.
"""

import torch
from torch import Tensor, nn

from fer_utils.data import ClipSet
from fer_utils.features.flow import CHANNELS, STILL
from fer_utils.files import ConfigError
from fer_utils.models.layers import Scale, he
from fer_utils.params import Cnn3dSmic

FILTERS = 32
KERNEL = (15, 3, 3)
"""Frames, rows, columns."""
POOL = 3
DENSE = 128
CHANGE_UNIT = 16.0
"""Gray levels. A micro-expression changes a pixel by a few of them, which would be tiny as a share of 255."""
ACTIVATIONS = {"relu": nn.ReLU, "swish": nn.SiLU}

MOMENTUM = 0.9
"""Of SGD; not printed."""

FLOW_LEARNING_RATE = 0.001
"""Of Adam, for `FlowNet`."""
FLOW_FILTERS = (16, 32, 64)
FLOW_GRID = 4
"""Rows and columns of the averages before the logits of `FlowNet`."""
SMALLEST_CLIP, SMALLEST_FLOW = (17, 5), (2, 32)
"""Frames, and pixels a side, that the layers of the 3D-CNN and of `FlowNet` need."""


class Change(nn.Module):
    """Subtract the first frame (the onset) of each clip, and with it identity and the face at rest."""

    def forward(self, clips: Tensor) -> Tensor:
        """Return the change since the onset in units of `CHANGE_UNIT`, shape (N, 1, T, H, W)."""
        return (clips.float() - clips[:, :, :1]) / CHANGE_UNIT


class Dubey2020(nn.Sequential):
    """The 3D-CNN: clips, shape (N, 1, T, H, W), to logits, shape (N, K)."""

    def __init__(self, params: Cnn3dSmic, n_classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        frames, rows, columns = ((n - k + 1) // POOL for n, k in zip(shape, KERNEL, strict=True))
        self.scale = Scale() if params.view == "pixels" else Change()
        self.conv = he(nn.Conv3d(1, FILTERS, KERNEL))
        self.act_conv = ACTIVATIONS[params.activation]()
        self.pool = nn.MaxPool3d(POOL)
        self.dropout1 = nn.Dropout(params.dropout)
        self.flatten = nn.Flatten()
        self.dense = he(nn.Linear(FILTERS * frames * rows * columns, DENSE))
        self.act_dense = ACTIVATIONS[params.activation]()
        self.dropout2 = nn.Dropout(params.dropout)
        self.logits = nn.Linear(DENSE, n_classes)
        nn.init.xavier_uniform_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)


class FlowNet(nn.Sequential):
    """A small network on the optical flow between onset and apex, images of `features.flow.as_images`.

    Shape (N, 1, 3, H, W) (two displacements and the strain) to logits, shape (N, K): about 27,000 parameters
    for three classes, as there are few clips. In the spirit of S.-T. Liong et al., *Shallow triple stream
    three-dimensional CNN (STSTNet) for micro-expression recognition*, FG 2019. The logits are computed from
    averages over 4x4 fields, which keeps the place of a movement: one average over the whole image reached an
    accuracy of 0.56 instead of 0.76 (164 synthetic clips in five folds by subject, 30 epochs).
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.scale = ScaleFlow()
        channels = len(CHANNELS)
        for block, filters in enumerate(FLOW_FILTERS, start=1):
            self.add_module(f"conv{block}", he(nn.Conv2d(channels, filters, 3, padding=1)))
            self.add_module(f"relu{block}", nn.ReLU())
            self.add_module(f"pool{block}", nn.MaxPool2d(2))
            channels = filters
        self.average = nn.AdaptiveAvgPool2d(FLOW_GRID)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.5)
        self.logits = nn.Linear(channels * FLOW_GRID**2, n_classes)


class ScaleFlow(nn.Module):
    """Scale flow images to -1-1, where 0 is no movement."""

    def forward(self, images: Tensor) -> Tensor:
        """Return images of shape (N, 3, H, W) for images of shape (N, 1, 3, H, W) or (N, 3, H, W)."""
        return (images.flatten(0, -4).float() - STILL) / 127


def build(params: Cnn3dSmic, clips: ClipSet, *, method: str = "cnn3d") -> nn.Sequential:
    """Build the network for the clips and classes of `clips`: `FlowNet` for "flow", else the 3D-CNN.

    The same seed gives the same weights, whatever was built before.
    """
    n_classes, shape = len(clips.class_names), clips.clips.shape[1:]
    frames, pixels = SMALLEST_FLOW if method == "flow" else SMALLEST_CLIP
    if shape[0] < frames or shape[1] < pixels:
        needed = f"{method} needs at least {frames} frames of {pixels} pixels a side"
        raise ConfigError(f"{needed}, got n_frames={shape[0]} and image_size={shape[1]}")
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(params.seed)
        return FlowNet(n_classes) if method == "flow" else Dubey2020(params, n_classes, shape)
