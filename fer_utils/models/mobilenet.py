"""MobileNetV2 of keras.applications for grey faces: built flat, with weights from where they are meant to be.

Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks* (CVPR 2018). The network takes
`uint8` images as they are stored and does all scaling inside. Its layers are its own, not those of a network
inside it: Grad-CAM asks for them by name, and so does `train_from`.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers

from fer_utils.files import ConfigError
from fer_utils.models.weights import IMAGENET, NONE, PATIENCE, answer_within, missing_weights, read_weights

SMALLEST_IMAGE = 32
IMAGENET_SIZES = (96, 128, 160, 192, 224)
IMAGENET_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
"""Input sizes and width multipliers of which Keras has weights trained on ImageNet; widths above 1 for the
largest size alone."""
HEAD = "probabilities"
"""The only layer with weights that is not MobileNetV2's."""
ALL = "all"
"""For `train_from`: every layer."""
CAM_LAYERS = ("out_relu", "block_13_expand_relu", "block_6_expand_relu", "block_3_expand_relu")
"""The last activation at each resolution, coarsest first: maps of 1/32, 1/16, 1/8 and 1/4 of the side."""


def build(
    *,
    seed: int,
    source_size: int,
    image_size: int,
    n_classes: int,
    alpha: float = 1.0,
    dropout: float = 0.0,
    l2: float = 0.0,
    weights: str = NONE,
    weights_sha256: str = "",
) -> keras.Model:
    """Build MobileNetV2 with a head of its own: mean over the map, dropout, softmax.

    Parameters
    ----------
    seed : int
        Of the weights that are not loaded, the head's among them.
    source_size : int
        Height and width of the stored images, in pixels.
    image_size : int
        What they are rescaled to (bilinear) inside the network.
    n_classes : int
    alpha : float
        Width multiplier: 1 is the paper's network, 0.35 the narrowest with published weights.
    dropout : float
        Rate before the last layer; 0 leaves it out.
    l2 : float
        Weight decay on the head's kernel, as a penalty in the loss.
    weights : str
        "none", "imagenet" (Keras's own file, from its cache or the network) or a file of `arrays`.
    weights_sha256 : str
        Of that file; empty for "none" and "imagenet".

    Returns
    -------
    keras.Model
        Maps `(N, source_size, source_size, 1)` uint8 to `(N, n_classes)` probabilities.

    Raises
    ------
    MissingData
        When the weights are not on this machine: never a random start instead.
    ConfigError
        For a size or width that there is none of, and for a file that is not meant or does not fit.
    """
    _check(image_size, alpha, weights, weights_sha256)
    keras.utils.set_random_seed(seed)
    image = layers.Input((source_size, source_size, 1), dtype="uint8", name="image")
    grey = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    if source_size != image_size:
        grey = layers.Resizing(image_size, image_size, interpolation="bilinear", name="resize")(grey)
    three = layers.Concatenate(name="three_channels")([grey, grey, grey])
    body = _body(three, image_size, alpha, IMAGENET if weights == IMAGENET else None)
    pooled = layers.GlobalAveragePooling2D(name="pool")(body.output)
    if dropout:
        pooled = layers.Dropout(dropout, name="dropout")(pooled)
    decay = keras.regularizers.L2(l2) if l2 else None
    head = layers.Dense(n_classes, activation="softmax", kernel_regularizer=decay, name=HEAD)
    model = keras.Model(image, head(pooled), name="mobilenetv2")
    if weights not in (NONE, IMAGENET):
        load_weights(model, weights, sha256=weights_sha256)
    return model


def train_from(model: keras.Model, first: str, *, batch_norm: Literal["inference", "training"]) -> int:
    """Let the layers from `first` on be trained and freeze those before it; compile the network afterwards.

    Parameters
    ----------
    model : keras.Model
        From `build`.
    first : str
        A layer (`HEAD` freezes the whole body), a block such as "block_13", or `ALL`.
    batch_norm : {"inference", "training"}
        "inference" leaves every normalisation layer as it is, its statistics, scale and shift: batches of a
        small data set would move them away from what the loaded weights were trained with.

    Returns
    -------
    int
        Parameters that training now sets.

    Raises
    ------
    ConfigError
        For a name that the network does not have, with the nearest and the blocks that there are.
    """
    names = [layer.name for layer in model.layers]
    start = 0 if first == ALL else _position(names, first)
    for number, layer in enumerate(model.layers):
        kept = batch_norm == "inference" and isinstance(layer, layers.BatchNormalization)
        layer.trainable = number >= start and not kept
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def measure_statistics(model: keras.Model, images: np.ndarray) -> None:
    """Set the mean and variance of every normalisation layer to those that `images` have there.

    For random weights alone: their layers are built with mean 0 and variance 1, which fit no signal, and of
    a face nothing but 1e-12 would arrive at the head. Frozen thus, the body gives random features.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
        A few hundred training images; all are in memory at once.
    """
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    before = [(layer.momentum, layer.trainable) for layer in norms]
    try:
        for layer in norms:
            layer.momentum, layer.trainable = 0.0, True  # one batch is all that it remembers
        with _without_gradients():
            model(images[..., np.newaxis], training=True)
    finally:
        for layer, (momentum, trainable) in zip(norms, before, strict=True):
            layer.momentum, layer.trainable = momentum, trainable


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Return all weights by their paths in the network, for `weights.write_weights`."""
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def load_weights(model: keras.Model, path: str | Path, *, sha256: str) -> None:
    """Load the body from a file of `arrays`; the head stays as it is: its classes may be others.

    Raises
    ------
    MissingData
        When there is no such file.
    ConfigError
        For another hash, and for weights of another network: the first that does not fit is named. The
        network is then as it was.
    """
    given = {name: array for name, array in read_weights(path, sha256=sha256).items() if not _of_head(name)}
    variables = {variable.path: variable for variable in model.weights if not _of_head(variable.path)}
    _check_fit(path, given, {name: tuple(variable.shape) for name, variable in variables.items()})
    for name, variable in variables.items():
        variable.assign(given[name])


def _check(image_size: int, alpha: float, weights: str, sha256: str) -> None:
    if image_size < SMALLEST_IMAGE:
        raise ConfigError(f"image_size={image_size}: mobilenetv2 needs at least {SMALLEST_IMAGE} pixels")
    if weights in (NONE, IMAGENET) and sha256:
        raise ConfigError(f"weights_sha256 belongs to a file; leave it empty with weights: {weights}")
    if weights != IMAGENET:
        return
    asked = {"image_size": (image_size, IMAGENET_SIZES), "alpha": (alpha, IMAGENET_WIDTHS)}
    for name, (value, known) in asked.items():
        if value not in known:
            raise ConfigError(f"{name}={value}: weights: {IMAGENET} has {', '.join(map(str, known))}")
    if alpha > 1 and image_size != IMAGENET_SIZES[-1]:
        raise ConfigError(
            f"alpha={alpha}: weights: {IMAGENET} has it for image_size={IMAGENET_SIZES[-1]} alone"
        )


def _body(three: keras.KerasTensor, image_size: int, alpha: float, weights: str | None) -> keras.Model:
    shape = (image_size, image_size, 3)
    settings = {"input_tensor": three, "input_shape": shape, "alpha": alpha, "include_top": False}
    if weights is None:
        return keras.applications.MobileNetV2(weights=None, **settings)
    file = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{image_size}_no_top.h5"
    cached = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models" / file
    try:
        with answer_within(PATIENCE):
            return keras.applications.MobileNetV2(weights=weights, **settings)
    except (TypeError, ValueError):
        if not cached.expanduser().is_file():
            raise
        raise ConfigError(f"{cached}: not readable as MobileNetV2's weights; delete it") from None
    except Exception as error:  # Keras raises Exception itself when a download fails
        if cached.expanduser().is_file():
            raise ConfigError(
                f"{cached}: not readable as MobileNetV2's weights ({error}); delete it"
            ) from error
        problem = f"weights={weights!r}: {file} is not on this machine, and getting it failed ({error})"
        raise missing_weights(problem, put=cached) from error


def _without_gradients() -> AbstractContextManager:
    # With torch the activations of all images would else be kept for a backward pass that never comes.
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def _of_head(name: str) -> bool:
    return name.startswith(f"{HEAD}/")


def _position(names: list[str], first: str) -> int:
    found = [number for number, name in enumerate(names) if name == first or name.startswith(f"{first}_")]
    if not found:
        blocks = [*dict.fromkeys("_".join(n.split("_")[:2]) for n in names if n.startswith("block_"))]
        near = "".join(f"; nearest is {n!r}" for n in get_close_matches(first, [*blocks, *names], n=1))
        known = f"blocks are {blocks[0]} to {blocks[-1]}, and {ALL!r} is all"
        raise ConfigError(f"fine_tune_from={first!r}: no such layer or block{near}; {known}")
    return found[0]


def _check_fit(path: str | Path, arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in arrays:
            raise ConfigError(f"{path}: holds no {name!r}; it is of another network")
        if arrays[name].shape != shape:
            raise ConfigError(
                f"{path}: {name!r} has shape {arrays[name].shape}, the network's has {shape}; "
                "is alpha the one that it was made with?"
            )
    if unknown := sorted(set(arrays) - set(shapes)):
        raise ConfigError(
            f"{path}: holds {unknown[0]!r}, which the network has not; it is of another network"
        )
