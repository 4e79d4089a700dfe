"""The plain convolutional networks of kumar2021 and bamb2023, in Keras 3.

Every builder takes `uint8` images and scales them inside the network, so that nobody who uses a trained
network can forget to.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import layers

from fer_utils.files import ConfigError

KUMAR_FILTERS = (16, 32, 64, 128, 256)
KUMAR_DENSE = (256, 128)
LITTLE_VGG_FILTERS = (32, 64, 128, 256)
BAMB_FILTERS = (32, 64, 64, 64)


def kumar2021(
    *,
    image_size: int = 48,
    n_classes: int = 6,
    dropout: float = 0.5,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """Build the eight-layer CNN of kumar2021, Section 2.4.

    Five blocks of one 3x3 convolution and a 2x2 max-pool, two dense layers, softmax. The paper gives no
    widths; `KUMAR_FILTERS` and `KUMAR_DENSE` are ours.

    Parameters
    ----------
    image_size : int
        Height and width of the input in pixels; five halvings need at least 32.
    n_classes : int
        Width of the softmax.
    dropout : float
        Rate after each of the two dense layers; 0 leaves the layers out.
    l2 : float
        Weight decay on every kernel, as a penalty in the loss.
    batch_norm : bool
        Normalise after each block and after each hidden dense layer.

    Returns
    -------
    keras.Model
        Maps `(N, image_size, image_size, 1)` uint8 to `(N, n_classes)` probabilities.
    """
    blocks = [_Block((filters,), "same") for filters in KUMAR_FILTERS]
    return _build("kumar2021", blocks, KUMAR_DENSE, image_size, n_classes, dropout, l2, batch_norm)


def little_vgg(
    *,
    image_size: int = 48,
    n_classes: int = 6,
    dropout: float = 0.5,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """Build the "little vgg" of 16 layers that kumar2021 names in Section 4.

    Four blocks of two 3x3 convolutions and a max-pool, flatten, two dense layers of 64 and softmax: eight
    convolutions, four pools, one flatten and three dense layers make sixteen.
    Parameters and result as in `kumar2021`; four halvings need at least 16 pixels.
    """
    blocks = [_Block((filters, filters), "same") for filters in LITTLE_VGG_FILTERS]
    return _build("little_vgg", blocks, (64, 64), image_size, n_classes, dropout, l2, batch_norm)


def bamb2023(
    *,
    image_size: int = 48,
    n_classes: int = 7,
    dropout: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """Build the network printed on the bamb2023 slide "Layers in model on RAF 100 X 100".

    Four unpadded 3x3 convolutions (32, 64, 64, 64) with 2x2 pools, dense 64 and 64, softmax. The printed
    network has neither dropout, L2 nor batch normalisation, hence the defaults. Parameters and result as in
    `kumar2021`; the unpadded layers need at least 46 pixels.
    """
    blocks = [_Block((filters,), "valid") for filters in BAMB_FILTERS]
    return _build("bamb2023", blocks, (64, 64), image_size, n_classes, dropout, l2, batch_norm)


ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "kumar2021": kumar2021,
    "little_vgg": little_vgg,
    "bamb2023": bamb2023,
}
SMALLEST_IMAGE = {"kumar2021": 32, "little_vgg": 16, "bamb2023": 46}


def build(
    architecture: str, *, seed: int, source_size: int, image_size: int, **settings: object
) -> keras.Model:
    """Build one of `ARCHITECTURES` for images of `source_size` pixels, which it rescales to `image_size`.

    The same `seed` gives the same initial weights, however often and in whatever order networks are built.

    Raises
    ------
    ConfigError
        For an image too small for the network's pools, with the smallest size that works.
    """
    smallest = SMALLEST_IMAGE[architecture]
    if image_size < smallest:
        raise ConfigError(f"image_size={image_size}: {architecture} needs at least {smallest} pixels")
    keras.utils.set_random_seed(seed)
    model = ARCHITECTURES[architecture](image_size=image_size, **settings)
    if source_size == image_size:
        return model
    resize = layers.Resizing(image_size, image_size, interpolation="bilinear", name="resize")
    inputs = layers.Input((source_size, source_size, 1), dtype="uint8", name="image")
    return keras.Sequential([inputs, resize, *model.layers], name=model.name)


class _Block(NamedTuple):
    filters: tuple[int, ...]
    padding: str


def _build(
    name: str,
    blocks: Sequence[_Block],
    dense: Sequence[int],
    image_size: int,
    n_classes: int,
    dropout: float,
    l2: float,
    batch_norm: bool,
) -> keras.Model:
    # Names are explicit: a training is found again by its layers, and Grad-CAM asks for them.
    weights = {
        "kernel_initializer": "he_normal",
        "kernel_regularizer": keras.regularizers.L2(l2) if l2 else None,
    }
    model = keras.Sequential(name=name)
    model.add(layers.Input((image_size, image_size, 1), dtype="uint8", name="image"))
    model.add(layers.Rescaling(1 / 255, name="scale"))
    for b, block in enumerate(blocks, start=1):
        for c, filters in enumerate(block.filters, start=1):
            label = f"conv{b}_{c}" if len(block.filters) > 1 else f"conv{b}"
            model.add(
                layers.Conv2D(filters, 3, padding=block.padding, activation="relu", name=label, **weights)
            )
        model.add(layers.MaxPooling2D(2, name=f"pool{b}"))
        if batch_norm:  # after the pool: a quarter of the pixels, the same statistics per channel
            model.add(layers.BatchNormalization(name=f"norm{b}"))
    model.add(layers.Flatten(name="flatten"))
    for d, units in enumerate(dense, start=1):
        model.add(layers.Dense(units, activation="relu", name=f"dense{d}", **weights))
        if batch_norm:
            model.add(layers.BatchNormalization(name=f"dense_norm{d}"))
        if dropout:
            model.add(layers.Dropout(dropout, name=f"dropout{d}"))
    model.add(layers.Dense(n_classes, activation="softmax", name="probabilities"))
    return model
