"""MobileNetV2 is Keras' own, takes gray images, starts from the right weights and trains in two stages."""

import urllib.error
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.keras_run import callbacks
from helpers.settings import notebook_params

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.models.weights import write_weights
from fer_utils.splits import official_split
from fer_utils.studies import bamb2023 as slides
from fer_utils.synthetic import synthetic_faces

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"


def params(**changes):
    return notebook_params("41_keras_transfer", **{"image_size": 32, "alpha": 0.35, "dropout": 0.0} | changes)


@pytest.fixture(scope="module")
def mobilenet(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.models import mobilenet
    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return mobilenet


@pytest.fixture(scope="module")
def build(mobilenet):
    def make(n_classes=7, dtype="float32", **changes):
        return mobilenet.build(params(**changes), source_size=48, n_classes=n_classes, dtype=dtype)

    return make


@pytest.fixture(scope="module")
def model(mobilenet, build):
    """Return a network that no test changes."""
    network = build()
    mobilenet.measure_statistics(network, IMAGES, seed=0)
    return network


@pytest.fixture(scope="module")
def stored(mobilenet, model, tmp_path_factory) -> dict:
    """Return the parameters that name a file with the network's weights."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    write_weights(path, mobilenet.arrays(model))
    return {"weights": str(path), "weights_sha256": sha256_of(path)}


def arrays(network) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable) for variable in network.weights}


def different_layers(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}


# --- the network ------------------------------------------------------------------------------------


def test_gray_images_reach_keras_mobilenet_as_three_channels_from_minus_one_to_one(model):
    import keras

    assert model.inputs[0].dtype == "uint8" and model.input_shape == (None, 48, 48, 1)
    rgb = keras.Model(model.inputs, model.get_layer("three_channels").output)
    flat = np.stack([np.full((48, 48, 1), value, np.uint8) for value in (255, 0, 51)])
    seen = np.asarray(rgb([flat]))
    np.testing.assert_allclose(seen[:, 5, 5], [[1] * 3, [-1] * 3, [-0.6] * 3], atol=1e-6)
    size = {"alpha": 0.35, "include_top": False, "pooling": "avg"}
    own = keras.applications.MobileNetV2((32, 32, 3), weights=None, **size)
    own.set_weights([array for name, array in arrays(model).items() if not name.startswith("probabilities")])
    body = keras.Model(model.get_layer("three_channels").output, model.get_layer("pool").output)
    found, expected = (np.asarray(network(seen, training=False)) for network in (body, own))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_seed_dropout_weight_decay_and_precision(build):
    first = build(seed=3)
    other = build(seed=4, dropout=0.2, l2=1e-3, dtype="mixed_bfloat16")
    again = build(seed=3)
    assert not different_layers(arrays(first), arrays(again))
    assert "Conv1" in different_layers(arrays(first), arrays(other))
    assert len(other.losses) == 1 and other.get_layer("dropout").rate == 0.2
    policies = {name: other.get_layer(name).compute_dtype for name in ("Conv1", "scale", "probabilities")}
    assert policies == {"Conv1": "bfloat16", "scale": "float32", "probabilities": "float32"}
    assert again.get_layer("Conv1").compute_dtype == "float32"  # the policy is reset


def test_measured_statistics_let_the_image_reach_the_head(mobilenet, build):
    network = build()
    before, silent = arrays(network), np.asarray(network(IMAGES[..., None], training=False))
    mobilenet.measure_statistics(network, IMAGES, seed=0)
    after = arrays(network)
    changed = {name.split("/")[1] for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {"moving_mean", "moving_variance"}
    found = np.asarray(network(IMAGES[..., None], training=False))
    assert np.ptp(silent, axis=0).max() < 1e-6 < 1e-3 < np.ptp(found, axis=0).max()


def test_layers_from_the_named_one_on_are_trained(mobilenet, build):
    network = build()

    def trained(first: str, batch_norm: str) -> list[str]:
        mobilenet.train_from(network, first, batch_norm=batch_norm)
        return [layer.name for layer in network.layers if layer.trainable_variables]

    assert trained("probabilities", "inference") == ["probabilities"]
    block = ["block_16_expand", "block_16_depthwise", "block_16_project"]
    assert trained("block_16", "inference") == [*block, "Conv_1", "probabilities"]
    assert trained("Conv_1", "training") == ["Conv_1", "Conv_1_bn", "probabilities"]
    everything = sum(array.size for name, array in arrays(network).items() if "moving_" not in name)
    assert mobilenet.train_from(network, "all", batch_norm="training") == everything
    with pytest.raises(ConfigError, match=r"fine_tune_from='blok_13': .*'block_13'"):
        mobilenet.train_from(network, "blok_13", batch_norm="inference")


# --- weights ----------------------------------------------------------------------------------------


def test_a_stored_body_is_loaded_and_the_head_stays_new(build, model, stored):
    fresh, loaded = build(3, seed=9), build(3, seed=9, **stored)
    assert different_layers(arrays(loaded), arrays(model)) == {"probabilities"}
    assert "probabilities" not in different_layers(arrays(fresh), arrays(loaded))


def test_weights_that_are_missing_or_do_not_fit_are_errors(build, stored):
    with pytest.raises(MissingData, match=r"nowhere/x\.safetensors"):
        build(weights="nowhere/x.safetensors", weights_sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"do not fit alpha=0\.75"):
        build(alpha=0.75, **stored)
    with pytest.raises(ConfigError, match="image_size=31"):
        build(image_size=31)


def test_imagenet_weights_come_from_keras_cache_or_their_place_is_named(build, tmp_path, monkeypatch):
    import h5py
    import keras
    import keras.src.backend.config as config
    from keras.src.legacy.saving import legacy_h5_format
    from keras.src.utils import file_utils

    def no_network(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    settings, cached = {"image_size": 96, "weights": "imagenet"}, tmp_path / "models" / FILE
    with pytest.raises(MissingData) as caught:
        build(**settings)
    assert FILE in str(caught.value) and str(cached.parent) in str(caught.value)
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(b"half of a download")
    with pytest.raises(ConfigError, match=f"{FILE}: .*delete it"):
        build(**settings)
    keras.utils.set_random_seed(5)
    own = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, include_top=False, weights=None)
    with h5py.File(cached, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, own)
    assert not different_layers(arrays(own), arrays(build(**settings)))


# --- two stages and the slide -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def split():
    return official_split(synthetic_faces(n_subjects=4, images_per_subject=7))


@pytest.fixture(scope="module")
def stages(mobilenet, build, split, tmp_path_factory):
    """Train both stages as the notebook does and return weights after each, histories, trained parameters."""
    import tensorflow as tf

    from fer_utils.training import keras_training

    tf.config.run_functions_eagerly(True)  # a few steps: building a graph would take longer
    weights, histories, trainable, before = [], {}, [], None
    for stage, first in (("frozen", "probabilities"), ("fine-tuned", "block_16")):
        folder, network = tmp_path_factory.mktemp(stage), build()
        if before:
            network.load_weights(before / "best.weights.h5")
        else:
            mobilenet.measure_statistics(network, split.train.images, seed=0)
        weights.append(arrays(network))
        trainable.append(mobilenet.train_from(network, first, batch_norm="inference"))
        network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
        train, validation = keras_training.batches(split, SimpleNamespace(batch_size=16, seed=0))
        used = callbacks(folder, train, validation)
        network.fit(train, validation_data=validation, epochs=1, callbacks=used, shuffle=False, verbose=0)
        histories[stage], before = keras_training.read_history(folder / "history.csv"), folder
    weights.append(arrays(network))
    yield weights, histories, trainable
    tf.config.run_functions_eagerly(False)


def test_the_first_stage_trains_the_head_and_the_second_the_last_block(stages, split):
    (first, second, third), histories, trainable = stages
    assert different_layers(first, second) == {"probabilities"}
    block = {f"block_16_{part}" for part in ("expand", "depthwise", "project")}
    assert different_layers(second, third) == {"probabilities", "Conv_1", *block}
    table = slides.stages_table(histories, trainable, split)
    assert table["trained parameters"].tolist() == trainable and trainable[0] == 1281 * 7
    majority = np.bincount(split.train.labels).argmax()
    np.testing.assert_allclose(table["majority class"], np.mean(split.validation.labels == majority))


def test_the_slide_is_shown_beside_real_faces_alone(split, monkeypatch):
    columns = {"loss": [3.0, 2, 1], "accuracy": [0.1, 0.2, 0.3], "val_accuracy": [0.1, 0.1, 0.2]}
    columns |= {"epoch": [1, 2, 3], "stage": ["frozen", "fine-tuned", "fine-tuned"]}
    history = pd.DataFrame(columns)
    synthetic, real = split.test, replace(split.test, source="real")
    table = slides.beside_slide(history, synthetic)
    assert table.loc[25].to_dict() == {"loss printed": 0.1735, "accuracy printed": 0.9380}
    assert table.index.tolist() == list(range(20, 26))
    table = slides.beside_slide(history, real)
    assert table.index.tolist() == [1, 2, 3, *range(20, 26)]
    assert pd.isna(table.loc[3, "accuracy printed"]) and table.loc[3, "accuracy measured"] == 0.3
    assert slides.published_transfer(history, real) == []  # 3 epochs are not the 25 of the slide
    monkeypatch.setattr(slides, "TRANSFER_EPOCHS", 3)
    assert [row["printed"] for row in slides.published_transfer(history, real)] == ["0.9380", "0.1735"]
    assert slides.published_transfer(history, synthetic) == []
