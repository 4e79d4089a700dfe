"""The 3D-CNN of dubey2020 in PyTorch.

The paper (Section 3) has "seven layers" on 18 gray frames of 64x64, ReLU or Swish, dropout, SGD and
categorical cross-entropy. Kinds and sizes of the layers are only in a figure (Fig. 4). Those here are an
assumption: one convolution of 3x3 pixels over 15 frames, a pool of 3, dropout, flatten, a dense layer of 128,
dropout, softmax, as in public code for the same data (MicroExpSTCNN: Reddy et al., *Spontaneous facial
micro-expression recognition using 3D spatiotemporal convolutional neural networks*, IJCNN 2019).

The network takes pixel values from 0 to 255 and scales them inside.
"""

import torch
from torch import Tensor, nn

from fer_utils.data import ClipSet
from fer_utils.files import ConfigError
from fer_utils.models import flow_networks
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

SMALLEST = (17, 5)
"""Frames, and pixels a side, that the layers need."""


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


def build(params: Cnn3dSmic, clips: ClipSet, *, method: str = "cnn3d") -> nn.Sequential:
    """Build the network for the clips and classes of `clips`: the 3D-CNN, or one of `flow_networks`.

    The same seed gives the same weights, whatever was built before.
    """
    n_classes, shape = len(clips.class_names), clips.clips.shape[1:]
    frames, pixels = flow_networks.SMALLEST if method in flow_networks.NETWORKS else SMALLEST
    if shape[0] < frames or shape[1] < pixels:
        needed = f"{method} needs at least {frames} frames of {pixels} pixels a side"
        raise ConfigError(f"{needed}, got n_frames={shape[0]} and image_size={shape[1]}")
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(params.seed)
        if method in flow_networks.NETWORKS:
            return flow_networks.NETWORKS[method](n_classes, ACTIVATIONS[params.activation], shape[1])
        return Dubey2020(params, n_classes, shape)
