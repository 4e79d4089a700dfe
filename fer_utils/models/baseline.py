"""The plain convolutional networks of kumar2021 and bamb2023, in Keras."""

from typing import NamedTuple

import keras
from keras import layers

from fer_utils.files import ConfigError
from fer_utils.params import BaselineCNN


class Architecture(NamedTuple):
    """Filters of the 3x3 convolutions in each block, units of the dense layers, smallest image in pixels."""

    blocks: tuple[tuple[int, ...], ...]
    padding: str
    dense: tuple[int, ...]
    smallest_image: int


ARCHITECTURES = {
    "kumar2021": Architecture(((16,), (32,), (64,), (128,), (256,)), "same", (256, 128), 32),
    "little_vgg": Architecture(((32, 32), (64, 64), (128, 128), (256, 256)), "same", (64, 64), 16),
    "bamb2023": Architecture(((32,), (64,), (64,), (64,)), "valid", (64, 64), 46),
}
"""kumar2021: the eight layers of Section 2.4; the paper gives no widths, these are ours. little_vgg: the 16
layers that Section 4 of the same paper names. bamb2023: slide "Layers in model on RAF 100 X 100", which has
no dropout, L2 or batch normalization."""


def build(params: BaselineCNN, *, n_classes: int, dtype: str = "float32") -> keras.Model:
    """Build the network that `params.architecture` names; equal seeds give equal initial weights.

    It maps images `(N, image_size, image_size, 1)` uint8 to probabilities `(N, n_classes)`. `dtype` is the
    Keras dtype policy of all layers but the first and the last; see `keras_training.precision`.
    """
    architecture, side = ARCHITECTURES[params.architecture], params.image_size
    if side < (smallest := architecture.smallest_image):
        raise ConfigError(f"image_size={side}: {params.architecture} needs at least {smallest} pixels")
    keras.utils.set_random_seed(params.seed)
    l2 = keras.regularizers.L2(params.l2) if params.l2 else None
    weights = {"kernel_initializer": "he_normal", "kernel_regularizer": l2, "dtype": dtype}
    convolution = {"padding": architecture.padding, "activation": "relu"}
    norm = {"momentum": 0.9, "dtype": dtype}  # Keras' 0.99 needs hundreds of batches

    model = keras.Sequential(name=params.architecture)
    model.add(layers.Input((side, side, 1), dtype="uint8", name="image"))
    model.add(layers.Rescaling(1 / 255, name="scale"))  # inside the network: no user can forget it
    for b, block in enumerate(architecture.blocks, start=1):
        for c, filters in enumerate(block, start=1):
            name = f"conv{b}_{c}" if len(block) > 1 else f"conv{b}"
            model.add(layers.Conv2D(filters, 3, name=name, **weights, **convolution))
        model.add(layers.MaxPooling2D(2, name=f"pool{b}", dtype=dtype))
        if params.batch_norm:  # after the pool: a quarter of the pixels, the same statistics per channel
            model.add(layers.BatchNormalization(name=f"norm{b}", **norm))
    model.add(layers.Flatten(name="flatten", dtype=dtype))
    for d, units in enumerate(architecture.dense, start=1):
        model.add(layers.Dense(units, activation="relu", name=f"dense{d}", **weights))
        if params.batch_norm:
            model.add(layers.BatchNormalization(name=f"dense_norm{d}", **norm))
        if params.dropout:
            model.add(layers.Dropout(params.dropout, name=f"dropout{d}", dtype=dtype))
    model.add(layers.Dense(n_classes, activation="softmax", name="probabilities", dtype="float32"))
    return model
