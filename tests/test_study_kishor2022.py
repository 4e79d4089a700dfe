"""Each arm of kishor2022 goes from its parameters to predictions, and the same ones to the same."""

import numpy as np
import pytest

from fer_utils.comparison import sweep, vary
from fer_utils.files import ConfigError
from fer_utils.params import HybridHogCNN, notebook_defaults
from fer_utils.splits import Split, official_split, random_folds
from fer_utils.synthetic import synthetic_faces
from fer_utils.synthetic.clips import synthetic_clips


@pytest.fixture(scope="module")
def study():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.studies import kishor2022
    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    return kishor2022


@pytest.fixture(scope="module")
def split() -> Split:
    return official_split(synthetic_faces(n_subjects=4, images_per_subject=14))


@pytest.fixture
def params(tmp_path) -> HybridHogCNN:
    own = {"epochs": 1, "batch_size": 16, "checkpoint_dir": str(tmp_path)}
    return HybridHogCNN.from_values(notebook_defaults("20_hybrid_hog_cnn") | own, where="test")


@pytest.mark.parametrize("features", ["raw", "hybrid", "hog"])
def test_an_arm_predicts_what_it_was_trained_for(study, split, params, features):
    arm = study.train(
        params.varied(features=features), split.train, split.validation, device="cpu", log=lambda line: None
    )
    predictions = arm.predict(split.test)
    assert predictions.sample_id.tolist() == split.test.sample_id.tolist()
    assert np.array_equal(predictions.truth, split.test.labels)
    assert len(arm.validation) == len(split.validation)
    assert arm.epochs == (0 if features == "hog" else 1) and arm.parameters > 5000 and arm.seconds > 0
    again = study.train(
        params.varied(features=features), split.train, split.validation, device="cpu", log=lambda line: None
    )
    assert np.array_equal(again.predict(split.test).probabilities, predictions.probabilities)


def test_weights_are_stored_as_numbers_that_give_the_same_answers(study, split, params, tmp_path):
    from safetensors.torch import load_model

    arm = study.train(params, split.train, split.validation, device="cpu", log=lambda line: None)
    arm.save_weights(tmp_path / "model.safetensors")
    fresh = study.kishor2022.build(params.varied(seed=9), split.train)
    load_model(fresh, tmp_path / "model.safetensors")
    again = study.Arm(params, fresh, arm.validation, arm.fit, 0.0)
    same = again.predict(split.test).probabilities == arm.predict(split.test).probabilities
    assert same.all()


def test_the_hybrid_has_more_to_learn_than_the_raw_network(study, split, params):
    def count(**changes):
        return sum(
            weights.numel()
            for weights in study.kishor2022.build(params.varied(**changes), split.train).parameters()
        )

    assert count(features="raw") < count(features="hybrid")
    assert count(features="raw", depth="shallow") < count(features="raw", depth="deep")


def test_a_sweep_trains_every_cell(study, split, params):
    cells = vary(params, {"features": ["raw", "hybrid"]})
    table = sweep(
        cells,
        lambda cell: study.train(cell, split.train, split.validation, device="cpu", log=lambda line: None),
    )
    assert table["features"].tolist() == ["raw", "hybrid"]
    assert (table["n"] == len(split.validation)).all()


def test_the_layers_to_look_at_exist_in_both_depths(study, split, params):
    from fer_utils import explain

    for depth in ("shallow", "deep"):
        cell = params.varied(depth=depth)
        network = explain.TorchNetwork(study.kishor2022.build(cell, split.train))
        maps = network.activations(split.test.images[0], study.shown_layers(cell))
        assert min(maps[study.shown_layers(cell)[-1]].shape[1:]) >= 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hog_cell": 40}, "pixels_per_cell"),
        ({"hog_cell": 24, "hog_block": 3}, "cells_per_block"),
    ],
)
def test_hog_that_does_not_fit_the_image_is_refused_before_training(study, split, params, changes, message):
    with pytest.raises(ConfigError, match=message):
        study.kishor2022.build(params.varied(features="hybrid", **changes), split.train)


# --- frames of clips ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frames():
    return synthetic_clips(n_subjects=4, clips_per_subject=3, n_frames=3, size=48, frame_rate=25.0).frames()


@pytest.fixture
def of_frames(params) -> HybridHogCNN:
    return params.varied(frames_of="synthetic", split_by="subject", label_set="own", frame_folds=3)


@pytest.mark.parametrize("features", ["raw", "hog"])
def test_frames_are_pooled_over_the_folds_with_their_subjects_as_groups(study, frames, of_frames, features):
    parts = random_folds(frames, by="subject", n_folds=3, seed=0, validation=True).splits
    quiet = {"device": "cpu", "log": lambda line: None}
    cell = of_frames.varied(features=features)
    arms = [study.train(cell, part.train, part.validation, **quiet) for part in parts]
    said = study.pooled(arms, parts)
    order = [frames.sample_id.tolist().index(name) for name in said.sample_id]
    assert sorted(order) == list(range(len(frames)))
    assert np.array_equal(said.truth, frames.labels[order])
    assert np.array_equal(said.group, frames.subject[order])
    assert np.bincount(said.fold).tolist() == [len(part.test) for part in parts]
    first = arms[0].predict(parts[0].test).probabilities
    assert np.array_equal(said.subset(said.fold == 0).probabilities, first)


def test_one_split_of_stills_is_pooled_to_what_its_arm_says_and_stays_ungrouped(study, split, params):
    arm = study.train(params, split.train, split.validation, device="cpu", log=lambda line: None)
    said, alone = study.pooled([arm], [split]), arm.predict(split.test)
    assert not said.grouped
    for key in ("sample_id", "truth", "probabilities", "fold"):
        assert np.array_equal(getattr(said, key), getattr(alone, key))


def test_how_the_weights_were_chosen_is_said_for_one_arm_for_folds_and_without_epochs(study, split, params):
    arm = study.train(params, split.train, split.validation, device="cpu", log=lambda line: None)
    assert study.selection([arm]) == "epoch 1 of 1, best on validation"
    assert study.selection([arm, arm]) == "each fold's epoch of 1, best on its validation frames"
    without_epochs = study.Arm(params, None, arm.validation, None, 0.0)
    assert study.selection([without_epochs]) == "penalty chosen on validation"
