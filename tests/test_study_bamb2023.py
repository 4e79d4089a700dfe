"""The two stages of bamb2023's MobileNetV2 train what they say, resume, and are put beside the slide."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.models.weights import write_weights
from fer_utils.params import KerasTransfer, notebook_defaults
from fer_utils.splits import Split, official_split
from fer_utils.synthetic import synthetic_faces

MEASURED = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
SMALL = {
    "image_size": 32,
    "batch_size": 16,
    "frozen_epochs": 1,
    "epochs": 2,
    "fine_tune_from": "block_16",
    "learning_rate": 0.001,
}


@pytest.fixture(scope="module")
def study(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    import tensorflow as tf

    from fer_utils.studies import bamb2023
    from fer_utils.training import keras_fit

    keras_fit.prepare(threads=2, device="cpu")
    tf.config.run_functions_eagerly(True)  # a few steps: making a graph would take longer than they do
    yield bamb2023
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def tables(study):
    from fer_utils.studies import bamb2023_tables

    return bamb2023_tables


@pytest.fixture(scope="module")
def split() -> Split:
    return official_split(synthetic_faces(n_subjects=4, images_per_subject=14))


def small(folder, **changes) -> KerasTransfer:
    own = SMALL | {"checkpoint_dir": str(folder)} | changes
    return KerasTransfer.from_values(notebook_defaults("41_keras_transfer") | own, where="test")


def arrays(model) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable) for variable in model.weights}


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    """Return the layers whose weights differ."""
    return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}


def train(study, params, model, split, stage, log=lambda line: None):
    return study.train(params, model, split.train, split.validation, stage=stage, log=log)


@pytest.fixture(scope="module")
def trained(study, split, tmp_path_factory):
    """Return one whole training: folder, parameters, network, its stages, and its weights after each."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    params = small(folder)
    model = study.build(params, split.train)
    weights, stages = [arrays(model)], []
    for stage in ("frozen", "fine-tuned"):
        stages.append(train(study, params, model, split, stage))
        weights.append(arrays(model))
    return params, model, stages, weights


class Killed(BaseException):
    """Stands in for SIGKILL: no `except Exception` may soften it."""


def kill(line: str) -> None:
    if line.startswith("epoch   1/2"):
        raise Killed


# --- the stages -----------------------------------------------------------------------------------


def test_the_first_stage_changes_the_head_and_nothing_else(trained):
    _, _, (frozen, _), (first, second, _) = trained
    assert changed(first, second) == {"probabilities"}
    assert (frozen.name, frozen.trainable, len(frozen.fit.history)) == ("frozen", 1281 * 7, 1)


def test_fine_tuning_leaves_earlier_layers_and_all_normalisation_as_they_are(trained):
    _, _, (_, tuned), (_, second, third) = trained
    block = {f"block_16_{part}" for part in ("expand", "depthwise", "project")}
    assert changed(second, third) == {"probabilities", "Conv_1", *block}
    assert len(tuned.fit.history) == 2


def test_a_training_killed_while_fine_tuning_goes_on_to_the_same_end(study, trained, split, tmp_path):
    _, _, (frozen, tuned), (*_, weights) = trained
    own = small(tmp_path)
    begun = study.build(own, split.train)
    train(study, own, begun, split, "frozen")
    with pytest.raises(Killed):
        train(study, own, begun, split, "fine-tuned", log=kill)
    model = study.build(own, split.train)
    again = [train(study, own, model, split, stage) for stage in ("frozen", "fine-tuned")]
    assert [stage.fit.resumed_from for stage in again] == [1, 1]
    for stage, expected in zip(again, (frozen, tuned), strict=True):
        assert stage.fit.history[MEASURED].equals(expected.fit.history[MEASURED])
    assert not changed(arrays(model), weights)


def test_a_training_from_other_weights_is_another_training(study, trained, split, tmp_path):
    """Same network, data, seed and settings: only the file differs, and it may not be found again."""
    from fer_utils.models import mobilenet

    params, model, _, _ = trained
    shutil.copytree(params.checkpoints, tmp_path / "checkpoints")
    write_weights(tmp_path / "model.safetensors", mobilenet.arrays(model))
    given = {"weights": str(tmp_path / "model.safetensors")}
    given["weights_sha256"] = sha256_of(tmp_path / "model.safetensors")
    own = small(tmp_path / "checkpoints", **given)
    loaded = study.build(own, split.train)
    assert changed(arrays(loaded), arrays(model)) == {"probabilities"}
    assert train(study, own, loaded, split, "frozen").fit.resumed_from == 0


def test_mixed_precision_trains_the_same_layers_and_leaves_the_network_in_32_bits(study, split, tmp_path):
    own = small(tmp_path, mixed_precision=True, epochs=1)
    model = study.build(own, split.train)
    before = arrays(model)
    stage = train(study, own, model, split, "fine-tuned")
    block = {f"block_16_{part}" for part in ("expand", "depthwise", "project")}
    assert changed(before, arrays(model)) == {"probabilities", "Conv_1", *block}
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}
    assert stage.validation.correct.mean() == pytest.approx(stage.fit.best["val_accuracy"], abs=1e-6)


def test_predictions_are_of_the_images_asked_for_and_repeat(study, trained, split):
    _, model, (_, tuned), _ = trained
    said = study.predict(model, split.test)
    assert said.sample_id.tolist() == split.test.sample_id.tolist()
    assert np.array_equal(said.truth, split.test.labels) and said.class_names == split.test.class_names
    again = study.predict(model, split.validation)
    assert np.array_equal(again.probabilities, tuned.validation.probabilities)


def test_a_start_that_is_not_possible_is_refused_before_training(study, split, tmp_path):
    with pytest.raises(ConfigError, match="fine_tune_from='block_17': no such layer"):
        study.build(small(tmp_path, fine_tune_from="block_17"), split.train)
    with pytest.raises(MissingData, match="no such file"):
        study.build(small(tmp_path, weights="no.safetensors", weights_sha256="0" * 64), split.train)


@pytest.mark.parametrize(
    "changes",
    [{"weights_sha256": "123"}, {"weights": ""}, {"batch_norm": "frozen"}, {"alpha": 0.0}, {"cam_images": 0}],
)
def test_parameters_out_of_range_are_named(changes, tmp_path):
    with pytest.raises(ConfigError, match=f"test: {next(iter(changes))}="):
        small(tmp_path, **changes)


def test_pictures_are_read_at_their_own_size_and_not_at_the_networks(tmp_path):
    assert small(tmp_path, picture_size=100).data()["image_size"] == 100


# --- class-activation maps ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_size", "layer", "side"),
    [
        (32, "block_3_expand_relu", 8),
        (48, "block_6_expand_relu", 6),
        (96, "block_13_expand_relu", 6),
        (224, "out_relu", 7),
    ],
)
def test_the_maps_are_the_last_of_at_least_six_by_six(study, image_size, layer, side):
    from fer_utils.models import mobilenet

    model = mobilenet.build(seed=0, source_size=48, image_size=image_size, n_classes=7, alpha=0.35)
    assert study.cam_layer(model) == layer
    assert model.get_layer(layer).output.shape[1:3] == (side, side)


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus"])
def test_grad_cam_looks_at_that_layer_though_it_is_frozen(study, trained, split, method):
    from fer_utils import explain_keras

    _, model, _, _ = trained
    look = getattr(explain_keras, method)
    found = look(model, split.test.images[:2], layer=study.cam_layer(model), classes=[0, 6])
    assert found.maps.shape == (2, 48, 48) and found.native_size == (8, 8)
    assert found.maps.max() == 1


# --- words and tables -----------------------------------------------------------------------------


def test_the_selection_names_the_start_both_epochs_and_where_fine_tuning_begins(tables, trained):
    params, _, stages, _ = trained
    best = stages[1].fit.best_epoch
    assert tables.selection(params, stages) == (
        "random weights, no pretraining; epoch 1 of 1 with the body frozen, "
        f"then epoch {best} of 2 fine-tuned (block_16), each best on validation"
    )


def test_epochs_are_counted_on_through_both_stages(tables, trained):
    table = tables.epochs(trained[2])
    assert table.index.tolist() == [1, 2, 3]
    assert table["stage"].tolist() == ["frozen", "fine-tuned", "fine-tuned"]


def test_both_stages_stand_beside_the_majority_class(tables, trained, split):
    table = tables.stages_table(trained[2], split)
    assert table.index.tolist() == ["frozen", "fine-tuned"]
    most_frequent = np.bincount(split.train.labels).argmax()
    assert set(table["majority class"]) == {np.mean(split.validation.labels == most_frequent)}
    accuracy = [stage.validation.correct.mean() for stage in trained[2]]
    assert table["validation accuracy"].tolist() == pytest.approx(accuracy, abs=1e-6)


def test_beside_drawn_faces_stand_only_the_printed_epochs(tables, trained, split):
    table = tables.beside_slide(trained[2], split.test)
    assert table.loc[25].to_dict() == {"loss printed": 0.1735, "accuracy printed": 0.9380}
    assert table.index.tolist() == list(range(20, 26))
    assert tables.published(trained[2], split.test) == []


def test_beside_real_faces_stand_ours_by_epoch_and_the_last_one_is_published(
    tables, trained, split, monkeypatch
):
    real = replace(split.test, source="real")
    table = tables.beside_slide(trained[2], real)
    assert table.index.tolist() == [1, 2, 3, *range(20, 26)]
    assert pd.isna(table.loc[3, "accuracy printed"]) and pd.isna(table.loc[25, "accuracy measured"])
    metrics = tables.train_metrics(trained[2], split)
    assert tables.published(trained[2], real) == []  # 3 epochs are not the 25 of the slide
    monkeypatch.setattr(tables, "PRINTED_EPOCHS", 3)
    for record in tables.published(trained[2], real):
        name, metric = record["compared_with"].split(".")
        assert metrics[name][metric]["value"] == table.loc[3, f"{metric} measured"]
    assert [record["printed"] for record in tables.published(trained[2], real)] == ["0.9380", "0.1735"]
