"""What several of the torch networks are built of."""

from torch import Tensor, nn


class Scale(nn.Module):
    """Pixel values 0 to 255 to -1 to 1: gray, which the convolutions' zero padding then is, becomes 0."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the scaled images, same shape."""
        return images / 127.5 - 1


def he(layer: nn.Module) -> nn.Module:
    """Initialise a convolution or a dense layer as He et al. (2015): normal weights for ReLU, no bias."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
