"""MobileNetV2 of bamb2023's transfer learning: Keras' network for gray images, with a new head.

Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks* (CVPR 2018).
"""

import os
from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fer_utils.files import ConfigError, nearest
from fer_utils.models.weights import IMAGENET, NONE, check_shapes, missing_weights, read_weights, time_limit
from fer_utils.params import KerasTransfer

HEAD = "probabilities"
"""The layer that is ours."""
ALL = "all"
"""For `train_from`: every layer."""
CASCADE = (HEAD, "Conv_1", "block_13_expand", "block_6_expand", "Conv1")
"""Layers for `explain.KerasNetwork`: weights are randomised from each of them to the last."""
STATISTICS_IMAGES = 256


def build(params: KerasTransfer, *, source_size: int, n_classes: int, dtype: str = "float32") -> keras.Model:
    """Build MobileNetV2 with a new head: mean over the feature map, dropout, softmax.

    It maps images `(N, source_size, source_size, 1)` uint8, which it rescales to `params.image_size`, to
    probabilities `(N, n_classes)`. `dtype` is the Keras dtype policy of MobileNetV2's layers. `MissingData`
    when the weights are not on this machine; random weights never take their place.
    """
    keras.utils.set_random_seed(params.seed)
    side = params.image_size
    image = layers.Input((source_size, source_size, 1), dtype="uint8", name="image")
    gray = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    if source_size != side:
        gray = layers.Resizing(side, side, interpolation="bilinear", name="resize")(gray)
    rgb = layers.Concatenate(name="three_channels")([gray, gray, gray])
    body = _mobilenet(rgb, params, dtype)
    features = layers.GlobalAveragePooling2D(name="pool")(body.output)
    if params.dropout:
        features = layers.Dropout(params.dropout, name="dropout")(features)
    l2 = keras.regularizers.L2(params.l2) if params.l2 else None
    head = layers.Dense(n_classes, activation="softmax", kernel_regularizer=l2, name=HEAD, dtype="float32")
    model = keras.Model(image, head(features), name="mobilenetv2")
    if params.weights not in (NONE, IMAGENET):
        _load_body(model, params)
    return model


def train_from(model: keras.Model, first: str, *, batch_norm: str) -> int:
    """Make the layers from `first` on trainable, freeze those before it, and count trainable parameters.

    Compile the network afterwards. `first` is a layer (`HEAD` freezes all of MobileNetV2), a block such as
    "block_13", or `ALL`. With `batch_norm` "inference" instead of "training", normalization layers stay as
    they are: the statistics of small batches would drift from those that loaded weights were trained with.
    """
    names = [layer.name for layer in model.layers]
    found = [i for i, name in enumerate(names) if first == ALL or f"{name}_".startswith(f"{first}_")]
    if not found:
        blocks = dict.fromkeys("_".join(n.split("_")[:2]) for n in names if n.startswith("block_"))
        known = nearest(first, [*blocks, *names, ALL])
        raise ConfigError(f"fine_tune_from={first!r}: no such layer or block{known}")
    for number, layer in enumerate(model.layers):
        norm = isinstance(layer, layers.BatchNormalization)
        layer.trainable = number >= found[0] and not (norm and batch_norm == "inference")
        if norm and layer.trainable:
            layer.momentum = 0.9  # Keras' 0.999 needs thousands of batches to forget the initial statistics
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def measure_statistics(model: keras.Model, images: np.ndarray, *, seed: int) -> None:
    """Set mean and variance of every normalization layer to those of some randomly chosen images.

    For random weights alone: with the initial mean 0 and variance 1 the signal of an image shrinks to 1e-12
    on its way to the head. With it the frozen network gives random features.
    """
    chosen = np.random.default_rng(seed).permutation(len(images))[:STATISTICS_IMAGES]
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    before = [(layer.momentum, layer.trainable) for layer in norms]
    for layer in norms:
        layer.momentum, layer.trainable = 0.0, True  # the statistics of one batch replace the initial ones
    gradients = nullcontext()
    if keras.backend.backend() == "torch":  # or the activations of all images are kept for a backward pass
        import torch

        gradients = torch.no_grad()
    with gradients:
        model(images[chosen][..., np.newaxis], training=True)
    for layer, (momentum, trainable) in zip(norms, before, strict=True):
        layer.momentum, layer.trainable = momentum, trainable


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Return all weights by their paths in the network, for `weights.write_weights`."""
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def _load_body(model: keras.Model, params: KerasTransfer) -> None:
    """Load MobileNetV2's weights from a file of `arrays`, not the head, which may be for other classes."""
    given = {name: array for name, array in read_weights(params).items() if not name.startswith(HEAD)}
    variables = {variable.path: variable for variable in model.weights if not variable.path.startswith(HEAD)}
    check_shapes(given, variables, network=f"alpha={params.alpha}")
    for name, variable in variables.items():
        variable.assign(given[name])


def _mobilenet(rgb: keras.KerasTensor, params: KerasTransfer, dtype: str) -> keras.Model:
    """Return Keras' MobileNetV2 without its head on a given input."""
    size, alpha = params.image_size, params.alpha
    imagenet = IMAGENET if params.weights == IMAGENET else None
    shape, before = (size, size, 3), keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        with time_limit():
            return keras.applications.MobileNetV2(
                shape, alpha=alpha, include_top=False, weights=imagenet, input_tensor=rgb
            )
    except Exception as error:  # Keras raises an Exception itself when a download fails
        file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}_no_top.h5"
        cached = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / file
        if imagenet and cached.is_file():
            raise ConfigError(f"{cached}: not readable ({error}); delete it") from error
        if isinstance(error, ValueError):
            raise ConfigError(f"image_size={size}, alpha={alpha}: {error}") from error
        problem = f"weights={IMAGENET!r}: {file} is not on this machine, and its download failed ({error})"
        raise missing_weights(problem, put=cached) from error
    finally:
        keras.config.set_dtype_policy(before)
