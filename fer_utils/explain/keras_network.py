"""`Network` for Keras on TensorFlow or torch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import keras
import numpy as np

from fer_utils.explain.network import Network, evenly_spaced
from fer_utils.files import ConfigError

Tensor = Any
"""Tensor of the backend."""


class KerasNetwork(Network):
    """A Sequential or functional Keras model, channels last, that ends in softmax or logits.

    Layers have their names in `model.layers`; a model inside the model is one layer.
    """

    model: keras.Model

    def filters(self) -> np.ndarray:  # noqa: D102
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Conv2D):
                return keras.ops.convert_to_numpy(layer.kernel).sum(axis=2).transpose(2, 0, 1)
        raise ValueError(f"{self.model.name} has no Conv2D layer, so there are no filters to show")

    def randomised(self, from_layer: str, *, seed: int) -> Self:  # noqa: D102
        self._check_layer(from_layer)
        names = self._layer_names()
        start = names.index(from_layer)

        def clone(layer: keras.Layer) -> keras.Layer:
            config, place = layer.get_config(), names.index(layer.name)
            for number, (name, value) in enumerate(config.items()):
                # An initialiser's own seed would give the weights that the training started from.
                if name.endswith("_initializer") and isinstance(value, dict) and "seed" in value["config"]:
                    rng = np.random.default_rng((seed, place, number))
                    value["config"]["seed"] = int(rng.integers(2**31))
            return type(layer).from_config(config)

        fresh = keras.models.clone_model(self.model, clone_function=clone)
        for before, after in zip(self.model.layers[:start], fresh.layers[:start], strict=True):
            after.set_weights(before.get_weights())
        return type(self)(fresh, cascade=self.cascade)

    def _rows(self, size: Sequence[int]) -> list[tuple]:
        layers = self.model.layers
        rows = [(one.name, type(one).__name__, one.output.shape[1:], one.count_params()) for one in layers]
        return [*rows, ("total", "", (), self.model.count_params())]

    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        return {
            layer.name: min(layer.output.shape[1:3])
            for layer in self.model.layers
            if len(layer.output.shape) == 4
            and (
                isinstance(layer, keras.layers.ReLU)
                or getattr(getattr(layer, "activation", None), "__name__", "") in ("relu", "relu6")
            )
        }

    def _layer_names(self) -> list[str]:
        return [layer.name for layer in self.model.layers]

    def _default_cascade(self) -> tuple[str, ...]:
        return evenly_spaced([layer.name for layer in self.model.layers if hasattr(layer, "kernel")])

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(keras.ops.softmax(self._logits(images), axis=-1))

    def _maps_and_gradients(
        self, images: np.ndarray, classes: np.ndarray, layer: str
    ) -> tuple[np.ndarray, np.ndarray]:
        if keras.config.image_data_format() != "channels_last":
            raise ConfigError("Grad-CAM of Keras networks needs image_data_format channels_last")
        if (backend := keras.backend.backend()) == "torch":
            from fer_utils.explain.torch_network import maps_and_gradients

            return maps_and_gradients(self, images, classes, layer)
        if backend != "tensorflow":
            raise ConfigError(f"KERAS_BACKEND={backend} has no Grad-CAM; use tensorflow or torch")
        import tensorflow as tf

        captured: list[Tensor] = []
        with tf.GradientTape(watch_accessed_variables=False) as tape:

            def watch(_: str, output: Tensor) -> Tensor:
                tape.watch(output)  # also in a frozen network
                captured.append(output)
                return tf.identity(output)

            with self._watch([layer], watch):
                logits = self._logits(images)
            score = tf.reduce_sum(tf.gather(logits, classes, axis=1, batch_dims=1))
        return self._to_numpy(captured[-1]), self._to_numpy(tape.gradient(score, captured[-1]))

    @contextmanager
    def _watch(self, layers: Sequence[str], see: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
        with ExitStack() as hooks:
            for name in layers:
                layer = self.model.get_layer(name)

                def watched(
                    *args: object, name: str = name, call: Callable = layer.call, **how: object
                ) -> Tensor:
                    return see(name, call(*args, **how))

                layer.call = watched  # Keras has no hooks; the instance's attribute hides the method
                hooks.callback(delattr, layer, "call")
            yield

    def _to_numpy(self, output: Tensor) -> np.ndarray:
        return np.moveaxis(keras.ops.convert_to_numpy(output), -1, 1)

    def _logits(self, images: np.ndarray) -> Tensor:
        """Return the logits: the softmax of the last layer is left out, as its gradient mixes the classes."""
        last = self.model.layers[-1]
        activation = getattr(last, "activation", None)
        name = getattr(activation, "__name__", None)
        if name not in ("softmax", "linear"):
            raise ConfigError(
                f"the last layer {last.name!r} has the activation {name}; Grad-CAM needs softmax or logits"
            )
        last.activation = keras.activations.linear
        try:
            return self.model(np.asarray(images)[..., None], training=False)
        finally:
            last.activation = activation
