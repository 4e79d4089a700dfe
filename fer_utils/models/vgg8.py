"""VGG with eight convolutions for 40- or 48-pixel faces, in PyTorch.

Y. Khaireddin and Z. Chen, *Facial emotion recognition: state of the art performance on FER2013*
(arXiv:2105.03588), as their code has it (usef-kh/fer, `models/vgg.py`): four stages of two 3x3 convolutions
with batch normalisation and a 2x2 maximum, 64 to 512 channels, two dense layers of 4096, and logits. Ours are
the first weights (He et al.), no bias before a normalisation, and pixels of -1 to 1 instead of 0 to 1.
"""

from collections import OrderedDict

import torch
from torch import nn

from fer_utils.models.layers import Scale, channels, he

CHANNELS = (64, 128, 256, 512)
"""Of the stages; each ends in a map half as large."""
DENSE = 4096


def build(
    *, n_classes: int, seed: int, image_size: int = 48, dropout: float = 0.2, width: float = 1.0
) -> nn.Sequential:
    """Build the network: at 40 and at 48 pixels 30 and 40 million parameters.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    seed : int
        The same seed gives the same weights, whatever was built before.
    image_size : int
        Height and width of the images in pixels, at least 16: the first dense layer depends on it.
    dropout : float
        Rate after each of the two dense layers.
    width : float
        Factor on the channels and on the dense layers, which are rounded to a multiple of 8.

    Returns
    -------
    nn.Sequential
        `pictures`, `body` and `head`. Gray images of 0 to 255, uint8 or float, shape (N, 1, S, S), to logits,
        shape (N, `n_classes`). On the CPU, in training mode.
    """
    *widths, dense = (channels(count, width=width) for count in (*CHANNELS, DENSE))
    side = image_size // 2 ** len(widths)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        pairs = zip((1, *widths[:-1]), widths, strict=True)
        body = OrderedDict((f"stage{i}", _stage(*pair)) for i, pair in enumerate(pairs, start=1))
        head = OrderedDict(
            flatten=nn.Flatten(),
            dense1=he(nn.Linear(widths[-1] * side**2, dense)),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(dropout),
            dense2=he(nn.Linear(dense, dense)),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(dropout),
            logits=nn.Linear(dense, n_classes),
        )
        parts = OrderedDict(pictures=Scale(), body=nn.Sequential(body), head=nn.Sequential(head))
        return nn.Sequential(parts)


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, before in ((1, inputs), (2, outputs)):
        layers[f"conv{number}"] = he(nn.Conv2d(before, outputs, 3, padding=1, bias=False))
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
    layers["pool"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)
