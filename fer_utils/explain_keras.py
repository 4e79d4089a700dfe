"""Class-activation maps of Keras networks, with the gradients of the backend: TensorFlow or torch.

As `explain` does for torch networks, and with the same result. Neither framework is imported before the
network is looked at, and only the one that Keras runs on. Nothing here changes a network for good.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from fer_utils.files import ConfigError
from fer_utils.saliency import GradCAM, checked_classes, checked_map, class_activation_maps

__all__ = ["GradCAM", "grad_cam", "grad_cam_plus_plus", "randomised"]

Tensor = Any
"""Of the backend."""


def grad_cam(
    model: keras.Model, images: np.ndarray, *, layer: str, classes: Sequence[int], batch_size: int = 256
) -> GradCAM:
    """Show where in each image the evidence for a class lies.

    Selvaraju et al., *Grad-CAM* (ICCV 2017), equations 1 and 2, for the logit: a softmax at the network's
    end is left out, since its gradient mixes in all other classes.

    Parameters
    ----------
    model : keras.Model
        Built; ends in softmax or logits, shape (N, K); channels last.
    images : ndarray, shape (N, H, W) or (N, H, W, C)
        Values as the network takes them.
    layer : str
        One whose map has at least `saliency.SMALLEST_MAP` rows and columns; of the model itself, not of a
        model inside it.
    classes : sequence of int, length N
        The class to explain for each image: the true one, the predicted one, or any other.
    batch_size : int
        Images looked at together; it changes memory, not maps.

    Raises
    ------
    ConfigError
        For a layer that the network does not have, naming those it has, or whose map is too small; for a
        network that ends in neither softmax nor logits; for a backend other than TensorFlow and torch.
    ValueError
        When `classes` does not fit the images or the network.
    """
    return _explained("Grad-CAM", model, images, layer, classes, batch_size)


def grad_cam_plus_plus(
    model: keras.Model, images: np.ndarray, *, layer: str, classes: Sequence[int], batch_size: int = 256
) -> GradCAM:
    """Show where in each image the evidence for a class lies, several places of equal weight alike.

    Chattopadhay et al., *Grad-CAM++* (WACV 2018); the formula is `saliency.grad_cam_plus_plus_weights`. The
    layer must end in its ReLU. Parameters, result and errors as in `grad_cam`.
    """
    return _explained("Grad-CAM++", model, images, layer, classes, batch_size)


def randomised(model: keras.Model, *, from_layer: str, seed: int) -> keras.Model:
    """Return a copy whose layers from `from_layer` to the last start anew.

    As `explain.randomised` does for torch networks: Adebayo et al., *Sanity checks for saliency maps*
    (NeurIPS 2018), cascading randomisation. With one seed a longer cascade repeats the new weights of a
    shorter one.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, its layers its own; left as it is.
    from_layer : str
        It and all that come later in `model.layers` start anew.
    seed : int

    Returns
    -------
    keras.Model
        Weights as the layers' own initialisers draw them; the statistics of batch normalisation are those
        before any image.

    Raises
    ------
    ConfigError
        For a layer that the network does not have.
    """
    names = [layer.name for layer in model.layers]
    if from_layer not in names:
        raise ConfigError(f"no layer {from_layer!r}; known are {', '.join(names)}")
    start = names.index(from_layer)

    def anew(layer: keras.Layer) -> keras.Layer:
        config, place = layer.get_config(), names.index(layer.name)
        for number, (name, value) in enumerate(config.items()):
            # An initialiser's own seed would draw the very weights that the training started from.
            if name.endswith("_initializer") and isinstance(value, dict) and "seed" in value["config"]:
                value["config"]["seed"] = int(np.random.default_rng((seed, place, number)).integers(2**31))
        return type(layer).from_config(config)

    fresh = keras.models.clone_model(model, clone_function=anew)
    for before, after in zip(model.layers[:start], fresh.layers[:start], strict=True):
        after.set_weights(before.get_weights())
    return fresh


def _explained(
    method: str, model: keras.Model, images: np.ndarray, layer: str, classes: Sequence[int], batch_size: int
) -> GradCAM:
    known = {one.name: one for one in model.layers}
    if layer not in known:
        raise ConfigError(f"no layer {layer!r}; known are {', '.join(known)}")
    if keras.config.image_data_format() != "channels_last":
        raise ConfigError("class-activation maps of Keras networks need image_data_format channels_last")
    backends = {"tensorflow": _with_tensorflow, "torch": _with_torch}
    if (backend := keras.backend.backend()) not in backends:
        raise ConfigError(f"KERAS_BACKEND={backend}: use one of {', '.join(backends)}")

    def look(batch: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = batch[..., None] if batch.ndim == 3 else batch
        found = backends[backend](model, known[layer], batch, numbers)
        return tuple(keras.ops.convert_to_numpy(one).transpose(0, 3, 1, 2) for one in found)

    settings = {"layer": layer, "classes": classes, "method": method, "batch_size": batch_size}
    with _logits(model):
        return class_activation_maps(look, images, size=images.shape[1:3], **settings)


def _with_tensorflow(
    model: keras.Model, layer: keras.Layer, images: np.ndarray, classes: np.ndarray
) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    captured = []
    with tf.GradientTape(watch_accessed_variables=False) as tape:

        def watch(output: Tensor) -> Tensor:
            tape.watch(output)  # whatever is frozen
            captured.append(output)
            return tf.identity(output)

        with _watching(layer, watch):
            logits = model(images, training=False)
        chosen = tf.gather(logits, checked_classes(classes, logits.shape[1]), axis=1, batch_dims=1)
        score = tf.reduce_sum(chosen)
    return captured[-1], tape.gradient(score, captured[-1])


def _with_torch(
    model: keras.Model, layer: keras.Layer, images: np.ndarray, classes: np.ndarray
) -> tuple[Tensor, Tensor]:
    import torch

    captured = []

    def cut(output: Tensor) -> Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[-1].clone()

    with torch.enable_grad(), _watching(layer, cut):
        logits = model(images, training=False)
        targets = torch.from_numpy(checked_classes(classes, logits.shape[1])).to(logits.device)
        score = logits.gather(1, targets[:, None]).sum()
        (gradients,) = torch.autograd.grad(score, captured[-1])
    return captured[-1].detach(), gradients


@contextmanager
def _watching(layer: keras.Layer, see: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Give `see` what the layer returns while the block runs; what it returns goes on in its place."""
    call = layer.call

    def watched(*args: object, **settings: object) -> Tensor:
        output = call(*args, **settings)
        checked_map(layer.name, (*output.shape[3:], *output.shape[1:3]))
        return see(output)

    layer.call = watched  # Keras has no hooks; the instance's own attribute hides the method
    try:
        yield
    finally:
        del layer.call


@contextmanager
def _logits(model: keras.Model) -> Iterator[None]:
    """Leave out the softmax of the last layer while the block runs."""
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    name = getattr(activation, "__name__", None)
    if name not in ("softmax", "linear"):
        raise ConfigError(
            f"the network ends in {last.name!r}, whose activation is {name}; Grad-CAM needs a last layer "
            "with softmax, or logits"
        )
    last.activation = keras.activations.linear
    try:
        yield
    finally:
        last.activation = activation
