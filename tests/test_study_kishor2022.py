"""The arms of kishor2022: valid parameters, training that resumes, predictions pooled over folds."""

import numpy as np
import pytest

from fer_utils.comparison import cross_validate
from fer_utils.data import MissingData
from fer_utils.evaluation import evaluate
from fer_utils.files import ConfigError
from fer_utils.params import HybridHogCNN
from fer_utils.predictions import Predictions
from fer_utils.run import notebook_defaults
from fer_utils.splits import CLIPS_SHARED, SUBJECTS_SHARED, official_split
from fer_utils.synthetic import synthetic_clips, synthetic_faces

DEFAULTS = notebook_defaults("20_hybrid_hog_cnn")
FRAMES = {"frames_of": "synthetic", "split_by": "subject", "label_set": "own", "frame_folds": 3}


@pytest.fixture(scope="module")
def study():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.studies import kishor2022

    return kishor2022


@pytest.fixture(scope="module")
def split():
    return official_split(synthetic_faces(n_subjects=4, images_per_subject=14))


@pytest.fixture(scope="module")
def frames():
    return synthetic_clips(n_subjects=4, clips_per_subject=3, n_frames=3, size=48, frame_rate=25.0).frames()


@pytest.fixture
def params(tmp_path) -> HybridHogCNN:
    own = {"epochs": 2, "batch_size": 16, "threads": 1, "device": "cpu", "checkpoint_dir": str(tmp_path)}
    return HybridHogCNN.from_values(DEFAULTS | own).varied()


@pytest.mark.parametrize("features", ["raw", "hybrid", "hog"])
def test_an_arm_is_trained_once_and_then_loaded(study, split, params, features):
    varied = params.varied(features=features)
    arm, again = (study.train(varied, split.train, split.validation) for _ in range(2))
    predictions = arm.predict(split.test)
    assert predictions.sample_id.tolist() == split.test.sample_id.tolist()
    assert not predictions.grouped
    np.testing.assert_array_equal(again.predict(split.test).probabilities, predictions.probabilities)
    assert again.seconds == arm.seconds or features == "hog"
    if features == "hog":
        assert arm.validation.correct.mean() > 0.2 and arm.epochs == 0
        assert study.selection([arm]) == "penalty selected on validation"
    else:
        assert arm.history["epoch"].tolist() == [1, 2]
        assert arm.best["val_accuracy"] == pytest.approx(arm.validation.correct.mean(), abs=1e-6)
        assert study.selection([arm]) == f"epoch {arm.best['epoch']:.0f} of 2, best on validation"
        assert study.selection([arm, arm]).startswith("each fold's epoch of 2")
    assert arm.parameters > 5000


def test_a_training_that_was_interrupted_resumes_to_the_same_weights(study, split, params, monkeypatch):
    from fer_utils.training.fastai_training import ResumeTraining

    whole = study.train(params, split.train, split.validation).predict(split.test)
    after_epoch = ResumeTraining.after_epoch

    def interrupt(callback):
        after_epoch(callback)
        raise KeyboardInterrupt

    other = params.varied(checkpoint_dir=f"{params.checkpoint_dir}/other")
    monkeypatch.setattr(ResumeTraining, "after_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        study.train(other, split.train, split.validation)
    monkeypatch.undo()
    resumed = study.train(other, split.train, split.validation).predict(split.test)
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)


def test_cross_validation_trains_every_arm(study, split, params):
    crossed = params.varied(features="hog", cv_folds=2, cv_grid={"hog_cell": [8, 12]})
    table = cross_validate(crossed, split.train, study.train, log=str)
    assert sorted(table["hog_cell"]) == [8, 12] and (table["n"] == len(split.train)).all()


def test_frames_are_pooled_over_folds_with_subjects_as_groups(study, frames, params):
    cell = params.varied(**FRAMES, features="hog")
    folds = study.split(cell, frames)
    arms = [study.train(cell, fold.train, fold.validation) for fold in folds.splits]
    pooled = study.pooled(arms, folds.splits)
    order = [frames.sample_id.tolist().index(name) for name in pooled.sample_id]
    assert sorted(order) == list(range(len(frames)))
    np.testing.assert_array_equal(pooled.group, frames.subject[order])
    assert np.bincount(pooled.fold).tolist() == [len(fold.test) for fold in folds.splits]
    assert folds.subject_independent is True


def test_the_table_of_splits_has_accuracy_leak_and_what_is_in_training(study, frames, params):
    ways = list(study.FRAME_SPLITS)
    folds = {by: study.split(params.varied(**FRAMES | {"split_by": by}), frames) for by in ways}
    correct = {"frame": 1.0, "clip": 0.5, "subject": 0.25}
    metrics = {by: evaluate(_predictions(frames, correct[by])).metrics for by in ways}
    table = study.frame_splits_table(metrics, folds).set_index("label")
    assert table.index.tolist() == list(study.FRAME_SPLITS.values())
    np.testing.assert_allclose(table["value"], [1.0, 0.5, 0.25], atol=0.02)
    assert table["leak"].tolist() == [CLIPS_SHARED, SUBJECTS_SHARED, "none"]
    assert table["clip in training"].iloc[0] > 0.4 and table["clip in training"].tolist()[1:] == [0, 0]
    assert table["subject in training"].iloc[2] == 0


def _predictions(frames, share: float) -> Predictions:
    correct = np.arange(len(frames)) < share * len(frames)
    label = np.where(correct, frames.labels, (frames.labels + 1) % 3)
    columns = frames.sample_id, frames.labels, np.eye(3)[label], frames.class_names
    return Predictions(*columns, group=frames.subject)


def test_frames_of_clips_that_are_not_there_raise_missing_data(study, params, tmp_path):
    with pytest.raises(MissingData, match=r"(?i)samm"):
        study.load(params.varied(**FRAMES | {"frames_of": "samm", "data_path": str(tmp_path)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (FRAMES | {"split_by": "official"}, "split_by='official'"),
        (FRAMES | {"label_set": "fer7"}, "label_set='fer7'"),
        (FRAMES | {"dataset": "fer2013"}, "replaces dataset='fer2013'"),
        (FRAMES | {"frame_folds": 2}, "frame_folds=2"),
        ({"cv_grid": {"learning_rat": [0.1]}}, "cv_grid: unknown parameter 'learning_rat'; did you mean"),
        ({"cv_grid": {"dropout": [2.0]}}, "dropout=2.0"),
        ({"sweeps": {"arms": [{"features": "row"}]}}, "features='row'"),
        ({"test_seeds": []}, "test_arms and test_seeds"),
    ],
)
def test_parameters_that_do_not_fit_together_are_an_error_that_names_them(changes, message):
    with pytest.raises(ConfigError) as caught:
        HybridHogCNN.from_values(DEFAULTS | changes, where="x.yaml")
    assert str(caught.value).startswith("x.yaml: ") and message in str(caught.value)
