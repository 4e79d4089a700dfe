"""Small networks on the optical flow between onset and apex, in PyTorch.

Both take images of `features.flow`, values from 0 to 255, and scale them inside.
"""

import torch
from torch import Tensor, nn

from fer_utils.features.flow import CHANNELS, STILL
from fer_utils.models.layers import he

SMALLEST = (2, 28)
"""Channels, and pixels a side, that the layers need."""
FILTERS = (16, 32, 64)
GRID = 4
"""Rows and columns of the averages before the logits of `FlowNet`."""
STREAMS = (3, 5, 8)
"""Filters of the streams of `ThreeStreams`."""


class FlowNet(nn.Sequential):
    """A small network on the optical flow between onset and apex, images of `features.flow`.

    Shape (N, 1, 3, H, W) (two displacements and the strain) to logits, shape (N, K): about 27,000 parameters
    for three classes, as there are few clips. In the spirit of S.-T. Liong et al., *Shallow triple stream
    three-dimensional CNN (STSTNet) for micro-expression recognition*, FG 2019. The logits are computed from
    averages over 4x4 fields, which keeps the place of a movement: one average over the whole image reached an
    accuracy of 0.56 instead of 0.76 (`as_images` of 164 synthetic clips, five folds by subject, 30 epochs).
    """

    def __init__(self, n_classes: int, activation: type[nn.Module], _: int) -> None:
        super().__init__()
        self.scale = ScaleFlow()
        channels = len(CHANNELS)
        for block, filters in enumerate(FILTERS, start=1):
            self.add_module(f"conv{block}", he(nn.Conv2d(channels, filters, 3, padding=1)))
            self.add_module(f"relu{block}", activation())
            self.add_module(f"pool{block}", nn.MaxPool2d(2))
            channels = filters
        self.average = nn.AdaptiveAvgPool2d(GRID)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.5)
        self.logits = nn.Linear(channels * GRID**2, n_classes)


class ScaleFlow(nn.Module):
    """Scale flow images to -1-1; of `features.flow.as_images`, 0 is no movement."""

    def forward(self, images: Tensor) -> Tensor:
        """Return images of shape (N, 3, H, W) for images of shape (N, 1, 3, H, W) or (N, 3, H, W)."""
        return (images.flatten(0, -4).float() - STILL) / 127


class ThreeStreams(nn.Module):
    """Three shallow streams after STSTNet (S.-T. Liong et al., FG 2019), from its printed description.

    Each stream convolves the flow image, shape (N, 1, 3, H, W), with few filters of 3x3 and pools by 3; their
    channels are joined and averaged over 2x2 fields, to 400 values for 28x28 pixels, and lead to K logits.
    Batch normalisation and dropout are added, as the authors' program has them at other places.
    """

    def __init__(self, n_classes: int, activation: type[nn.Module], side: int) -> None:
        super().__init__()
        self.scale = ScaleFlow()
        self.streams = nn.ModuleList(
            nn.Sequential(
                he(nn.Conv2d(len(CHANNELS), filters, 3, padding=1)),
                nn.BatchNorm2d(filters),
                activation(),
                nn.MaxPool2d(3, stride=3, padding=1),
            )
            for filters in STREAMS
        )
        fields = (side + 2) // 3 // 2
        self.head = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(sum(STREAMS) * fields**2, n_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (N, K)."""
        scaled = self.scale(images)
        return self.head(torch.cat([stream(scaled) for stream in self.streams], dim=1))


NETWORKS = {"flow": FlowNet, "streams": ThreeStreams}
"""Method -> network; each takes the number of classes, the activation and the pixels a side."""
