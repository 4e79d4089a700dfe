"""MobileNetV2 is Keras's own, takes grey bytes, and starts from the weights that were meant or not at all."""

import urllib.error

import numpy as np
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.models.weights import write_weights

SMALL = {"seed": 0, "source_size": 48, "image_size": 32, "n_classes": 7, "alpha": 0.35}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"


@pytest.fixture(scope="module")
def mobilenet(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.models import mobilenet
    from fer_utils.training import keras_fit

    keras_fit.prepare(threads=2, device="cpu")
    return mobilenet


@pytest.fixture(scope="module")
def model(mobilenet):
    """Return a network that no test changes."""
    network = mobilenet.build(**SMALL)
    mobilenet.measure_statistics(network, IMAGES)
    return network


@pytest.fixture(scope="module")
def stored(mobilenet, model, tmp_path_factory) -> dict:
    """Return the parameters that name a file of the network's weights."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    write_weights(path, mobilenet.arrays(model))
    return {"weights": str(path), "weights_sha256": sha256_of(path)}


@pytest.fixture
def cache(mobilenet, tmp_path, monkeypatch):
    """Give Keras an empty cache and no network."""
    import keras.src.backend.config as config
    from keras.src.utils import file_utils

    def no_network(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    return tmp_path / "models"


def arrays(network) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable) for variable in network.weights}


def answers(network) -> np.ndarray:
    return np.asarray(network(IMAGES[..., None], training=False))


def assert_same_body(one, other) -> None:
    expected = arrays(other)
    assert all(np.array_equal(expected[name], array) for name, array in _body_of(one).items())


def _body_of(network) -> dict[str, np.ndarray]:
    found = {name: array for name, array in arrays(network).items() if not name.startswith("probabilities/")}
    assert len(found) == 260
    return found


def scaled_by(network) -> np.ndarray:
    """Return what the body is given for white, black and grey."""
    import keras

    seen = keras.Model(network.inputs, network.get_layer("three_channels").output)
    flat = np.stack([np.full((48, 48, 1), value, np.uint8) for value in (255, 0, 51)])
    return np.asarray(seen([flat]))


# --- the network ------------------------------------------------------------------------------------


def test_grey_bytes_go_in_and_probabilities_come_out(model):
    from fer_utils.training import keras_fit

    assert model.inputs[0].dtype == "uint8" and model.input_shape == (None, 48, 48, 1)
    found = keras_fit.predict_probabilities(model, IMAGES)
    assert found.shape == (3, 7)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(keras_fit.predict_probabilities(model, IMAGES[:1]), found[:1], atol=1e-5)


def test_bytes_become_three_channels_from_minus_one_to_one(model):
    seen = scaled_by(model)
    assert seen.shape == (3, 32, 32, 3)
    np.testing.assert_allclose(seen[:, 5, 5], [[1] * 3, [-1] * 3, [-0.6] * 3], atol=1e-6)


def test_the_body_is_that_of_keras_applications(model):
    import keras

    own = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    own.set_weights(list(_body_of(model).values()))
    pixels = np.repeat(IMAGES[:, :32, :32, None].astype(np.float32), 3, axis=3)
    expected = own(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()), training=False)
    body = keras.Model(model.get_layer("three_channels").output, model.get_layer("pool").output)
    found = body(pixels / 127.5 - 1, training=False)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-5)


def test_the_layers_are_the_networks_own_and_their_names_repeat(mobilenet, model):
    import keras

    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert mobilenet.build(**SMALL).to_json() == model.to_json()


def test_dropout_and_weight_decay_stand_at_the_head_and_nowhere_else(mobilenet, model):
    network = mobilenet.build(**SMALL, dropout=0.2, l2=1e-3)
    assert len(network.losses) == 1 and network.get_layer("dropout").rate == 0.2
    assert not model.losses and "dropout" not in [layer.name for layer in model.layers]


def test_the_same_seed_gives_the_same_first_weights(mobilenet):
    first, again, other = (arrays(mobilenet.build(**SMALL | {"seed": seed})) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["Conv1/kernel"], other["Conv1/kernel"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 31}, "image_size=31: mobilenetv2 needs at least 32 pixels"),
        ({"weights": "imagenet"}, "image_size=32: weights: imagenet has 96, 128, 160, 192, 224"),
        ({"weights": "imagenet", "image_size": 96, "alpha": 0.4}, "alpha=0.4: weights: imagenet has 0.35"),
        ({"weights": "imagenet", "image_size": 96, "alpha": 1.4}, "alpha=1.4: .* for image_size=224 alone"),
        ({"weights_sha256": "ab"}, "weights_sha256 belongs to a file; leave it empty with weights: none"),
    ],
)
def test_what_there_is_no_network_for_is_refused(mobilenet, wrong, message):
    with pytest.raises(ConfigError, match=message):
        mobilenet.build(**SMALL | wrong)


# --- random weights ---------------------------------------------------------------------------------


def test_measured_statistics_let_something_of_the_image_reach_the_head(mobilenet):
    network = mobilenet.build(**SMALL)
    before, silent = arrays(network), answers(network)
    mobilenet.measure_statistics(network, IMAGES)
    after = arrays(network)
    changed = {name.split("/")[1] for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {"moving_mean", "moving_variance"}
    assert np.ptp(silent, axis=0).max() < 1e-6 < 1e-3 < np.ptp(answers(network), axis=0).max()
    assert {layer.momentum for layer in network.layers if hasattr(layer, "momentum")} == {0.999}


# --- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [7, 3])
def test_a_network_takes_the_stored_body_and_keeps_its_own_head(mobilenet, model, stored, n_classes):
    settings = SMALL | {"seed": 9, "n_classes": n_classes}  # seven classes may be seven others
    again = mobilenet.build(**settings | stored)
    assert_same_body(again, model)
    fresh = arrays(mobilenet.build(**settings))
    assert np.array_equal(arrays(again)["probabilities/kernel"], fresh["probabilities/kernel"])


def test_a_file_without_a_head_leaves_the_head_fresh(mobilenet, model, tmp_path):
    from safetensors.numpy import save_file

    save_file(_body_of(model), tmp_path / "body.safetensors")
    fresh = mobilenet.build(**SMALL | {"seed": 9})
    before = arrays(fresh)["probabilities/kernel"]
    path = tmp_path / "body.safetensors"
    mobilenet.load_weights(fresh, path, sha256=sha256_of(path))
    assert_same_body(fresh, model)
    assert np.array_equal(arrays(fresh)["probabilities/kernel"], before)


def test_a_file_that_is_not_there_is_missing_data_and_no_random_start(mobilenet):
    with pytest.raises(
        MissingData, match=r"weights='nowhere/x\.safetensors': no such file; put it at nowhere"
    ):
        mobilenet.build(**SMALL, weights="nowhere/x.safetensors", weights_sha256="0" * 64)


@pytest.mark.parametrize("given", ["0" * 64, ""])
def test_another_hash_is_refused_with_the_files_own(mobilenet, stored, given):
    with pytest.raises(ConfigError, match=stored["weights_sha256"]):
        mobilenet.build(**SMALL | stored | {"weights_sha256": given})


def test_weights_of_another_width_are_refused_by_the_first_name_and_change_nothing(mobilenet, stored):
    network = mobilenet.build(**SMALL | {"alpha": 0.75})
    before = arrays(network)
    message = r"'Conv1/kernel' has shape \(3, 3, 3, 16\), the network's has \(3, 3, 3, 24\); is alpha"
    with pytest.raises(ConfigError, match=message):
        mobilenet.load_weights(network, stored["weights"], sha256=stored["weights_sha256"])
    assert all(np.array_equal(before[name], array) for name, array in arrays(network).items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop("Conv_1/kernel"), "holds no 'Conv_1/kernel'; it is of another network"),
        (
            lambda found: found.update({"extra/kernel": np.zeros(3)}),
            "holds 'extra/kernel', which the network",
        ),
    ],
)
def test_a_file_with_other_names_is_refused(mobilenet, model, tmp_path, change, message):
    from safetensors.numpy import save_file

    found, path = arrays(model), tmp_path / "other.safetensors"
    change(found)
    save_file(found, path)
    with pytest.raises(ConfigError, match=message):
        mobilenet.build(**SMALL, weights=str(path), weights_sha256=sha256_of(path))


# --- ImageNet ---------------------------------------------------------------------------------------


def imagenet(mobilenet):
    return mobilenet.build(**SMALL | {"image_size": 96}, weights="imagenet")


def test_imagenet_without_file_and_network_names_the_file_and_its_place(mobilenet, cache):
    import socket

    with pytest.raises(MissingData) as caught:
        imagenet(mobilenet)
    assert f"{FILE} is not on this machine" in str(caught.value) and f"put it at {cache}" in str(caught.value)
    assert socket.getdefaulttimeout() is None


def test_imagenet_comes_from_the_cache_of_keras(mobilenet, cache):
    import h5py
    import keras
    from keras.src.legacy.saving import legacy_h5_format

    keras.utils.set_random_seed(5)
    own = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None)
    cache.mkdir()
    with h5py.File(cache / FILE, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, own)
    assert_same_body(imagenet(mobilenet), own)


def test_a_damaged_file_in_the_cache_is_named(mobilenet, cache):
    cache.mkdir()
    (cache / FILE).write_bytes(b"half of a download")
    with pytest.raises(ConfigError, match=f"{FILE}: not readable as MobileNetV2's weights .*delete it"):
        imagenet(mobilenet)


# --- freezing ---------------------------------------------------------------------------------------


def trained_layers(network) -> list[str]:
    return [layer.name for layer in network.layers if layer.trainable_variables]


def test_layers_from_the_named_one_on_are_trained(mobilenet):
    network = mobilenet.build(**SMALL)
    assert mobilenet.train_from(network, "probabilities", batch_norm="inference") == 1281 * 7
    assert trained_layers(network) == ["probabilities"]
    mobilenet.train_from(network, "block_16", batch_norm="inference")
    assert trained_layers(network) == [
        "block_16_expand", "block_16_depthwise", "block_16_project", "Conv_1", "probabilities",
    ]  # fmt: skip
    mobilenet.train_from(network, "Conv_1", batch_norm="training")
    assert trained_layers(network) == ["Conv_1", "Conv_1_bn", "probabilities"]
    everything = sum(array.size for name, array in arrays(network).items() if "moving_" not in name)
    assert mobilenet.train_from(network, "all", batch_norm="training") == everything


@pytest.mark.parametrize(("name", "near"), [("blok_13", "; nearest is 'block_13'"), ("xyz", "")])
def test_a_layer_that_there_is_not_is_answered_with_the_nearest_and_the_blocks(mobilenet, model, name, near):
    with pytest.raises(
        ConfigError, match=rf"='{name}': no such layer or block{near}; blocks are block_1 to b"
    ):
        mobilenet.train_from(model, name, batch_norm="inference")
