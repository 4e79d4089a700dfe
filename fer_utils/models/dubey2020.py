"""The 3D-CNN of dubey2020 in PyTorch.

The paper (Section 3) has "seven layers" on 18 gray frames of 64x64, ReLU or Swish, dropout, SGD and
categorical cross-entropy. Which layers, and how large, is in a picture alone (Fig. 4). Those here are an
assumption: one convolution 3x3 over 15 frames, a pool of 3, dropout, flatten, a dense layer of 128, dropout,
softmax: seven, as in public code for the same data that is closely related (MicroExpSTCNN: Reddy et al.,
*Spontaneous facial micro-expression recognition using 3D spatiotemporal convolutional neural networks*,
IJCNN 2019).

The network takes pixels as they are stored and scales them inside, so that nobody who uses a trained network
can forget to.
"""

from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from fer_utils.files import ConfigError
from fer_utils.models.layers import he

Activation = Literal["relu", "swish"]
View = Literal["pixels", "change"]

FILTERS = 32
KERNEL = (15, 3, 3)
"""Frames, rows, columns."""
POOL = 3
DENSE = 128
CHANGE_UNIT = 16.0
"""Gray levels. A micro-expression changes a pixel by some of them; as shares of 255 they would be tiny."""

_ACTIVATIONS = {"relu": nn.ReLU, "swish": nn.SiLU}


class Scale(nn.Module):
    """Pixel values of clips as the convolution takes them.

    Parameters
    ----------
    view : {"pixels", "change"}
        "pixels" scales 0 to 255 to -1 to 1. "change" subtracts every clip's first frame, the onset, and
        divides by `CHANGE_UNIT`: who it is, and what the face looks like at rest, is gone.
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def forward(self, clips: Tensor) -> Tensor:
        """Return the scaled clips, shape (N, 1, T, H, W), uint8 or float of 0 to 255; same shape."""
        if self.view == "pixels":
            return clips / 127.5 - 1
        clips = clips.float()
        return (clips - clips[:, :, :1]) / CHANGE_UNIT

    def extra_repr(self) -> str:
        """Say which view it is, for the network's repr."""
        return self.view


def build(
    *,
    activation: Activation,
    n_classes: int,
    seed: int,
    view: View = "pixels",
    n_frames: int = 18,
    image_size: int = 64,
    dropout: float = 0.25,
) -> nn.Sequential:
    """Build the network.

    Parameters
    ----------
    activation : {"relu", "swish"}
        Swish is x * sigmoid(x).
    n_classes : int
        Number of logits.
    seed : int
        The same seed gives the same weights, whatever was built before.
    view : {"pixels", "change"}
        As in `Scale`; the paper's is taken to be "pixels".
    n_frames, image_size : int
        Frames of every clip, and their height and width.
    dropout : float
        Rate, in both places; the paper prints none.

    Returns
    -------
    nn.Sequential
        Clips of 0 to 255, shape (N, 1, T, H, W), to logits, shape (N, K); on the CPU, in training mode. The
        softmax belongs to the loss and to prediction.

    Raises
    ------
    ConfigError
        For clips too short or too small for the kernel and the pool, with the smallest that work.
    """
    lengths = (n_frames, image_size, image_size)
    left = [(length - kernel + 1) // POOL for length, kernel in zip(lengths, KERNEL, strict=True)]
    if min(left) < 1:
        frames, pixels = (kernel + POOL - 1 for kernel in KERNEL[:2])
        raise ConfigError(
            f"n_frames={n_frames}, image_size={image_size}: dubey2020 needs at least {frames} frames of "
            f"{pixels} pixels"
        )
    act = _ACTIVATIONS[activation]
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(
            OrderedDict(
                scale=Scale(view),
                conv=he(nn.Conv3d(1, FILTERS, KERNEL)),
                act_conv=act(),
                pool=nn.MaxPool3d(POOL),
                dropout1=nn.Dropout(dropout),
                flatten=nn.Flatten(),
                dense=he(nn.Linear(FILTERS * left[0] * left[1] * left[2], DENSE)),
                act_dense=act(),
                dropout2=nn.Dropout(dropout),
                logits=_glorot(nn.Linear(DENSE, n_classes)),
            )
        )


def _glorot(layer: nn.Linear) -> nn.Module:
    """Initialise as Glorot & Bengio (2010), as no rectifier follows."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
