"""Class-activation maps of Keras networks that read one known patch, on both backends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from patch_networks import PATCHES, SIDE, energy_in_patch, patch_network, striped_images

from fer_utils.files import ConfigError

METHODS = ("Grad-CAM", "Grad-CAM++")

WITH_TORCH = """
import json
from types import SimpleNamespace

import numpy as np
from helpers.settings import notebook_params
from patch_networks import energy_in_patch, patch_network, striped_images

from fer_utils import explain
from fer_utils.models import baseline

model, found = patch_network(), {}
before = [weight.numpy().copy() for weight in model.weights]
for method in ("Grad-CAM", "Grad-CAM++"):
    for k in (0, 1):
        maps = explain.KerasNetwork(model).maps(striped_images(), [k] * 2, layer="pool", method=method).maps
        found[f"{method} {k}"] = energy_in_patch(maps, k).tolist()
found["changed"] = any((weight.numpy() != was).any() for weight, was in zip(model.weights, before))
found["gradients"] = any(weight.value.grad is not None for weight in model.weights)
params = notebook_params("10_baseline_cnn", architecture="kumar2021", image_size=32)
model = baseline.build(params, n_classes=7)
network = explain.KerasNetwork(model)
images = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
found["shape"] = network.maps(images, [0, 6], layer="conv3").maps.shape
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def keras_network(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils import explain
    from fer_utils.training import keras_training

    # The same threads in every test file: TensorFlow fixes their number for the whole process.
    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return explain.KerasNetwork


@pytest.fixture(scope="module")
def model(keras_network):
    return patch_network()


@pytest.fixture
def look(keras_network):
    """Return a function that makes the maps of both striped images, whatever else is asked for."""

    def at(model, method="Grad-CAM", *, layer="pool", classes=(0, 1)):
        return keras_network(model).maps(striped_images(), list(classes), layer=layer, method=method)

    return at


@pytest.mark.parametrize("layer", ["conv", "pool"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", PATCHES)
def test_both_methods_light_up_the_patch_that_decides(look, model, method, layer, k):
    found = look(model, method, layer=layer, classes=[k, k])
    assert (energy_in_patch(found.maps, k) > 0.99).all()
    assert (energy_in_patch(found.maps, 1 - k) < 0.01).all()
    assert (found.maps.shape, found.maps.max()) == ((2, SIDE, SIDE), 1)


def test_both_methods_light_up_the_patch_that_decides_with_torch_as_the_backend():
    environment = os.environ | {"KERAS_BACKEND": "torch", "PYTHONPATH": str(Path(__file__).parent)}
    finished = subprocess.run(
        [sys.executable, "-c", WITH_TORCH], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout.splitlines()[-1])
    assert min(min(found[f"{method} {k}"]) for method in METHODS for k in PATCHES) > 0.99
    assert (found["changed"], found["gradients"], found["shape"]) == (False, False, [2, 32, 32])


def test_the_default_layer_is_the_last_relu_with_a_map_large_enough(look, model):
    found = look(model, "Grad-CAM++", layer=None)
    assert (found.layer, found.native_size, found.method) == ("conv", (22, 22), "Grad-CAM++")


def test_layers_filters_activations_and_probabilities_are_those_of_the_model(keras_network, model):
    import keras

    network, images = keras_network(model), striped_images()
    assert network.layers().loc["conv"].tolist() == ["Conv2D", "22×22×2", 20]
    assert network.layers().loc["total", "parameters"] == model.count_params()
    assert network.filters().shape == (2, 3, 3)
    np.testing.assert_allclose(network.filters()[0], network.filters()[1].T)
    pooled = keras.Model(model.inputs, model.get_layer("pool").output)
    expected = np.moveaxis(pooled.predict_on_batch(images[:1, ..., None])[0], -1, 0)
    np.testing.assert_allclose(network.activations(images[0], ["pool"])["pool"], expected, atol=1e-6)
    probabilities = network.predict(images)
    np.testing.assert_allclose(probabilities, model.predict_on_batch(images[..., None]), atol=1e-6)


def test_a_saturated_softmax_hides_nothing(look):
    """The softmax's own gradient is zero here: a map of the probability would be empty."""
    network = patch_network()
    network.get_layer("end").set_weights([1e6 * np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2)])
    assert (energy_in_patch(look(network, classes=[0, 0]).maps, 0) > 0.99).all()


def test_a_frozen_network_has_the_same_maps(look, model):
    network = patch_network()
    network.trainable = False
    np.testing.assert_allclose(look(network).maps, look(model).maps, atol=1e-6)


# --- errors, and what stays ------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"layer": "conv7"}, ConfigError, "unknown layer 'conv7'.*scale, conv, pool"),
        ({"layer": "mean"}, ConfigError, r"'mean' returns \(2,\)"),
        ({"layer": "small"}, ConfigError, "'small' has a map of 2x2.*6x6"),
        ({"classes": [0]}, ValueError, "2 images"),
        ({"classes": [0, 2]}, ValueError, "0 to 1, got 0 to 2"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_errors_leave_the_model_as_it_is(look, model, method, wrong, error, message):
    with pytest.raises(error, match=message):
        look(model, method, **wrong)
    assert model.get_layer("end").activation.__name__ == "softmax"
    assert not any("call" in vars(layer) for layer in model.layers)


def test_a_network_without_logits_is_refused(look):
    with pytest.raises(ConfigError, match="'end' has the activation sigmoid"):
        look(patch_network("sigmoid"))


@pytest.mark.parametrize("method", METHODS)
def test_maps_leave_the_model_as_it_is(look, method):
    network = patch_network()
    before, answer = network.get_weights(), network.predict_on_batch(striped_images()[..., None])
    look(network, method)
    assert all(np.array_equal(was, now) for was, now in zip(before, network.get_weights(), strict=True))
    np.testing.assert_allclose(network.predict_on_batch(striped_images()[..., None]), answer, atol=1e-6)
    assert not any("call" in vars(layer) for layer in network.layers)


# --- randomised networks ----------------------------------------------------------------------


def weights_by_layer(model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def equal_layers(first: dict, second: dict) -> set[str]:
    return {
        name
        for name in first
        if all(np.array_equal(*pair) for pair in zip(first[name], second[name], strict=True))
    }


def branched():
    """Return a small functional network with seeded initialisers, normalisation and a way around a layer."""
    import keras
    from keras import layers

    image = layers.Input((12, 12, 1))
    first = layers.Conv2D(
        3, 3, padding="same", name="first", kernel_initializer=keras.initializers.HeNormal(1)
    )(image)
    second = layers.Conv2D(3, 3, padding="same", name="second")(layers.BatchNormalization(name="norm")(first))
    mean = layers.GlobalAveragePooling2D()(layers.Add()([first, second]))
    return keras.Model(image, layers.Dense(2, name="end")(mean))


def test_weights_are_random_from_a_layer_on_and_the_model_stays_as_it_is(keras_network):
    model = branched()
    before = weights_by_layer(model)
    fresh = weights_by_layer(keras_network(model).randomised("second", seed=0).model)
    assert equal_layers(before, fresh) == {"first", "norm"}
    assert equal_layers(before, weights_by_layer(model)) == set(before)


def test_a_longer_cascade_has_the_same_new_weights_as_a_shorter_one(keras_network):
    network = keras_network(branched())
    assert network.cascade == ("end", "second", "first")
    short, long = (weights_by_layer(network.randomised(name, seed=3).model) for name in ("end", "first"))
    assert "end" in equal_layers(short, long)
    # A seed of the initialiser's own must not give the weights that the training started from.
    assert not {"first", "second"} & equal_layers(weights_by_layer(network.model), long)
