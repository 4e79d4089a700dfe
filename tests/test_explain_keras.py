"""Class-activation maps of Keras networks that read one known patch."""

from types import SimpleNamespace

import numpy as np
import pytest
from patch_networks import PATCHES, SIDE, energy_in_patch, patch_network, striped_images

from fer_utils.files import ConfigError

METHODS = ("Grad-CAM", "Grad-CAM++")


@pytest.fixture(scope="module")
def keras_network(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.explain.keras_network import KerasNetwork
    from fer_utils.training import keras_training

    # The same threads in every test file: TensorFlow fixes their number for the whole process.
    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return lambda model: KerasNetwork(model, cascade=("end", "second", "first"))


@pytest.fixture(scope="module")
def model(keras_network):
    return patch_network()


@pytest.fixture
def look(keras_network):
    """Return a function that explains one class for each of the two striped images."""

    def at(model, method="Grad-CAM", *, layer="pool"):
        return keras_network(model).maps(striped_images(), [0, 1], layer=layer, method=method)

    return at


@pytest.mark.parametrize("layer", ["conv", "pool"])
@pytest.mark.parametrize("method", METHODS)
def test_both_methods_light_up_the_patch_that_decides(look, model, method, layer):
    found = look(model, method, layer=layer)
    for k in PATCHES:
        assert energy_in_patch(found.maps, k)[k] > 0.99
        assert energy_in_patch(found.maps, 1 - k)[k] < 0.01
    assert (found.maps.shape, found.maps.max()) == ((2, SIDE, SIDE), 1)


def test_the_default_layer_is_the_last_relu_with_a_map_large_enough(look, model):
    found = look(model, "Grad-CAM++", layer=None)
    assert (found.layer, found.native_size, found.method) == ("conv", (22, 22), "Grad-CAM++")


def test_a_saturated_softmax_hides_nothing(keras_network):
    """The softmax's own gradient is zero here: a map of the probability would be empty."""
    network = patch_network()
    network.get_layer("end").set_weights([1e6 * np.array([[1.0, -1.0], [0.0, 0.0]]), np.zeros(2)])
    found = keras_network(network).maps(striped_images(), [0, 0], layer="pool")
    assert (energy_in_patch(found.maps, 0) > 0.99).all()


@pytest.mark.parametrize("method", METHODS)
def test_maps_and_errors_leave_the_model_as_it_is(look, keras_network, model, method):
    images = striped_images()[..., None]
    before, answer = model.get_weights(), model.predict_on_batch(images)
    look(model, method)
    with pytest.raises(ConfigError, match="'small' returns"):
        look(model, method, layer="small")
    assert all(np.array_equal(was, now) for was, now in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(model.predict_on_batch(images), answer, atol=1e-6)
    np.testing.assert_allclose(keras_network(model).predict(images[..., 0]), answer, atol=1e-6)
    assert not any("call" in vars(layer) for layer in model.layers)


def weights_by_layer(model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.get_weights()}


def equal_layers(first: dict, second: dict) -> set[str]:
    pairs = {name: zip(first[name], second[name], strict=True) for name in first}
    return {name for name in first if all(np.array_equal(*pair) for pair in pairs[name])}


def branched():
    """Return a small functional network with seeded initialisers, normalisation and a way around a layer."""
    import keras
    from keras import layers

    image = layers.Input((12, 12, 1))
    seeded = keras.initializers.HeNormal(1)
    first = layers.Conv2D(3, 3, padding="same", name="first", kernel_initializer=seeded)(image)
    second = layers.Conv2D(3, 3, padding="same", name="second")(layers.BatchNormalization(name="norm")(first))
    mean = layers.GlobalAveragePooling2D()(layers.Add()([first, second]))
    return keras.Model(image, layers.Dense(2, name="end")(mean))


def test_weights_are_random_from_a_layer_on_and_longer_cascades_include_shorter_ones(keras_network):
    model = branched()
    before, network = weights_by_layer(model), keras_network(model)
    short, long = (weights_by_layer(network.randomised(name, seed=3).model) for name in ("second", "first"))
    assert equal_layers(before, short) == {"first", "norm"}
    assert equal_layers(before, weights_by_layer(model)) == set(before)
    assert equal_layers(short, long) >= {"second", "end"}
    # A seed of the initialiser's own must not give the weights that the training started from.
    assert not {"first", "second"} & equal_layers(before, long)
