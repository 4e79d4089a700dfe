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
from fer_utils.saliency import upsampled

METHODS = ("grad_cam", "grad_cam_plus_plus")

WITH_TORCH = """
import json

import numpy as np
from helpers.settings import notebook_params
from patch_networks import energy_in_patch, patch_network, striped_images

from fer_utils import explain_keras
from fer_utils.models import baseline

model, found = patch_network(), {}
before = [weight.numpy().copy() for weight in model.weights]
for method in ("grad_cam", "grad_cam_plus_plus"):
    for k in (0, 1):
        look = getattr(explain_keras, method)(model, striped_images(), layer="pool", classes=[k] * 2)
        found[f"{method} {k}"] = energy_in_patch(look.maps, k).tolist()
found["changed"] = any((weight.numpy() != was).any() for weight, was in zip(model.weights, before))
found["gradients"] = any(weight.value.grad is not None for weight in model.weights)
params = notebook_params("10_baseline_cnn", architecture="kumar2021", image_size=32)
network = baseline.build(params, n_classes=7)
images = np.random.default_rng(0).integers(0, 256, (2, 32, 32), dtype=np.uint8)
found["shape"] = explain_keras.grad_cam(network, images, layer="conv3", classes=[0, 6]).maps.shape
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def explain_keras(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils import explain_keras
    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return explain_keras


@pytest.fixture(scope="module")
def model(explain_keras):
    return patch_network()


@pytest.fixture
def look(explain_keras):
    """Return a function that looks at both striped images, whatever else is asked for."""

    def at(model, method="grad_cam", *, layer="pool", classes=(0, 1), images=None, **settings):
        images = striped_images() if images is None else images
        return getattr(explain_keras, method)(model, images, layer=layer, classes=classes, **settings)

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
    assert (found["changed"], found["gradients"], found["shape"]) == (False, False, [2, 48, 48])


def test_the_map_tells_its_layer_size_classes_and_method(look, model):
    found = look(model, "grad_cam_plus_plus")
    assert (found.layer, found.native_size, found.classes) == ("pool", (11, 11), (0, 1))
    assert (found.method, look(model).method) == ("Grad-CAM++", "Grad-CAM")


def test_the_logit_is_explained_whether_or_not_a_softmax_follows(look, model):
    np.testing.assert_allclose(look(model).maps, look(patch_network("linear")).maps, atol=1e-6)


def test_a_saturated_softmax_hides_nothing(look):
    """The softmax's own gradient is zero here: a map of the probability would be empty."""
    network = patch_network()
    network.get_layer("end").set_weights([1e6 * np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2)])
    assert (energy_in_patch(look(network, classes=[0, 0]).maps, 0) > 0.99).all()


def test_a_frozen_network_has_the_same_maps(look, model):
    network = patch_network()
    network.trainable = False
    np.testing.assert_allclose(look(network).maps, look(model).maps, atol=1e-6)


def test_images_with_a_channel_and_small_batches_give_the_same_maps(look, model):
    whole = look(model, images=striped_images(5), classes=[0, 1, 0, 1, 1])
    parts = look(model, images=striped_images(5)[..., None], classes=[0, 1, 0, 1, 1], batch_size=2)
    np.testing.assert_allclose(whole.maps, parts.maps, atol=1e-6)


def test_a_network_with_branches_is_looked_at(look):
    import keras
    from keras import layers

    inputs = layers.Input((SIDE, SIDE, 1))
    seen = layers.Conv2D(3, 3, activation="relu", name="seen")(inputs)
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(seen), layers.Flatten()(inputs)])
    network = keras.Model(inputs, layers.Dense(2, activation="softmax")(joined))
    assert look(network, layer="seen").native_size == (22, 22)


def test_a_map_of_one_speaking_channel_is_that_channel(look, model):
    """The other channel does not reach the logit, so Grad-CAM's weighted sum is the first, rescaled."""
    import keras

    pooled = keras.Model(model.inputs, model.get_layer("pool").output).predict_on_batch(striped_images())
    channel = np.asarray(pooled)[..., 0]
    np.testing.assert_allclose(look(model, classes=[0, 0]).maps, upsampled(channel, (SIDE, SIDE)), atol=1e-5)


# --- what cannot be explained, and what stays ------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"layer": "conv7"}, ConfigError, "no layer 'conv7'; known are scale, conv, pool"),
        ({"layer": "mean"}, ConfigError, r"layer 'mean' gives \(2,\) per image, not maps"),
        ({"layer": "small"}, ConfigError, "'small' gives a map of 2x2; .* at least 6x6"),
        ({"classes": [0]}, ValueError, "2 images need 2 classes"),
        ({"classes": [0, 2]}, ValueError, r"the network's classes are 0 to 1, got \[0, 2\]"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(look, model, method, wrong, error, message):
    with pytest.raises(error, match=message):
        look(model, method, **wrong)
    assert model.get_layer("end").activation.__name__ == "softmax"
    assert not any("call" in vars(layer) for layer in model.layers)


def test_a_network_without_logits_is_refused(look):
    with pytest.raises(ConfigError, match="ends in 'end', whose activation is sigmoid"):
        look(patch_network("sigmoid"))


@pytest.mark.parametrize("method", METHODS)
def test_looking_leaves_no_trace(look, method):
    network = patch_network()
    before, answer = network.get_weights(), network.predict_on_batch(striped_images()[..., None])
    look(network, method)
    assert all(np.array_equal(was, now) for was, now in zip(before, network.get_weights(), strict=True))
    np.testing.assert_allclose(network.predict_on_batch(striped_images()[..., None]), answer, atol=1e-6)
    assert not any("call" in vars(layer) for layer in network.layers)


# --- a network that has forgotten ----------------------------------------------------------------------


def weights_by_layer(model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def alike(first: dict, second: dict) -> set[str]:
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


def test_from_a_layer_on_weights_start_anew_and_the_network_itself_stays(explain_keras):
    model = branched()
    before = weights_by_layer(model)
    fresh = weights_by_layer(explain_keras.randomised(model, from_layer="second", seed=0))
    assert alike(before, fresh) == {"first", "norm"}
    assert alike(before, weights_by_layer(model)) == set(before)


def test_a_longer_cascade_repeats_the_new_weights_of_a_shorter_one(explain_keras):
    model = branched()
    short, long = (
        weights_by_layer(explain_keras.randomised(model, from_layer=name, seed=3))
        for name in ("end", "first")
    )
    assert "end" in alike(short, long)
    # A seed of the initialiser's own must not bring the first start back.
    assert not {"first", "second"} & alike(weights_by_layer(model), long)


def test_a_layer_to_start_anew_from_that_is_not_there_is_named(explain_keras):
    with pytest.raises(ConfigError, match="no layer 'third'; known are"):
        explain_keras.randomised(branched(), from_layer="third", seed=0)
