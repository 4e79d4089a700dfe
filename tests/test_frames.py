"""kishor2022's frames of clips: parameters that fit, pictures of one size, three splits in one table."""

import numpy as np
import pytest

import fer_utils.files
from fer_utils.data import MissingData
from fer_utils.evaluation import Predictions, evaluate
from fer_utils.files import ConfigError
from fer_utils.params import HybridHogCNN, notebook_defaults
from fer_utils.splits import CLIPS_SHARED, SUBJECTS_SHARED
from fer_utils.studies import kishor2022_data as data

DEFAULTS = notebook_defaults("20_hybrid_hog_cnn")
FRAMES = {
    "frames_of": "synthetic",
    "split_by": "subject",
    "label_set": "own",
    "frame_folds": 3,
    "frames_per_clip": 3,
    "synthetic_subjects": 4,
    "synthetic_clips_per_subject": 4.0,
}


def checked(**changes) -> HybridHogCNN:
    return HybridHogCNN.from_values(DEFAULTS | changes, where="x.yaml")


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # Drawn clips are kept in the project folder; those of a test are not.
        patch.setattr(fer_utils.files, "PROJECT", tmp_path_factory.mktemp("project"))
        return data.load(checked(**FRAMES))


# --- parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            FRAMES | {"split_by": "official"},
            "split_by='official': for frames of clips write split_by: subject or clip or frame",
        ),
        (
            {"split_by": "clip"},
            "split_by='clip': for stills (frames_of is empty) write split_by: official",
        ),
        (
            FRAMES | {"label_set": "fer7"},
            "label_set='fer7': for frames of clips write label_set: own or smic3",
        ),
        (
            {"label_set": "smic3"},
            "label_set='smic3': for stills (frames_of is empty) write label_set: own or fer7 or fer6",
        ),
        (
            FRAMES | {"dataset": "fer2013"},
            "frames_of='synthetic' takes the place of dataset='fer2013'; leave one out",
        ),
        (FRAMES | {"frame_folds": 2}, "frame_folds=2"),
        (FRAMES | {"frames_of": "SAMM"}, "frames_of='SAMM'"),
        ({"cv_grid": {"split_by": ["clip"]}}, "cv_grid: unknown parameter 'split_by'"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused_with_what_to_write(changes, message):
    with pytest.raises(ConfigError) as caught:
        checked(**changes)
    assert str(caught.value).startswith("x.yaml: ") and message in str(caught.value)


@pytest.mark.parametrize("by", data.FRAME_SPLITS)
def test_the_three_splits_of_frames_are_varied_from_one_another(by):
    assert checked(**FRAMES).varied(split_by=by).split_by == by


def test_a_run_on_frames_asks_for_clips_of_the_papers_size():
    asked = checked(**FRAMES | {"on_bad_rows": "drop"}).clips()
    assert (asked.dataset, asked.n_frames, asked.image_size, asked.strict) == ("synthetic", 3, 48, False)
    assert (asked.synthetic_subjects, asked.synthetic_clips_per_subject) == (4, 4.0)


# --- pictures -------------------------------------------------------------------------------------


def test_frames_have_the_papers_size_and_a_name_that_stills_do_not_have(frames):
    assert frames.images.shape == (48, 48, 48)  # 16 clips of 3 frames
    assert (frames.name, frames.source) == ("frames of synthetic clips", "synthetic")
    assert frames.class_names == ("negative", "positive", "surprise")
    assert len(np.unique(frames.subject)) == 4


def test_stills_are_loaded_and_split_as_ever():
    params = checked(synthetic_subjects=4, synthetic_per_subject=14)
    faces = data.load(params)
    (split,) = data.split(params, faces)
    assert len(faces) == 56 and len(faces.class_names) == 7
    assert data.reported([split], faces) is split


def test_frames_that_are_not_here_are_missing_data(tmp_path):
    with pytest.raises(MissingData, match="SAMM is not here"):
        data.load(checked(**FRAMES | {"frames_of": "samm", "data_path": str(tmp_path)}))


def test_all_frames_are_reported_on_whichever_the_split(frames):
    params = checked(**FRAMES)
    for by in data.FRAME_SPLITS:
        parts = data.split(params.varied(split_by=by), frames)
        whole = data.reported(parts, frames)
        assert len(parts) == 3
        assert (len(whole.train), len(whole.validation), len(whole.test)) == (0, 0, len(frames))
        assert f"3 random folds by {by}" in whole.description
        assert whole.subject_independent is (by == "subject")


# --- the table ------------------------------------------------------------------------------------


def test_the_table_of_splits_has_accuracy_interval_leak_and_who_was_trained_on(frames):
    params = checked(**FRAMES)
    parts = {by: data.split(params.varied(split_by=by), frames) for by in data.FRAME_SPLITS}
    right = {"frame": 1.0, "clip": 0.5, "subject": 0.25}
    metrics = {by: evaluate(_pretended(frames, share)).metrics for by, share in right.items()}
    table = data.frame_splits_table(metrics, parts).set_index("label")
    assert table.index.tolist() == list(data.FRAME_SPLITS.values())
    assert table["value"].tolist() == pytest.approx([1.0, 0.5, 0.25])
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert table["n"].tolist() == [48, 48, 48]
    assert table["leak"].tolist() == [CLIPS_SHARED, SUBJECTS_SHARED, "none"]
    assert table["clip trained on"].tolist()[1:] == [0, 0] and table["clip trained on"].iloc[0] > 0.5
    assert table["subject trained on"].iloc[2] == 0 and (table["subject trained on"].iloc[:2] > 0.5).all()


def test_a_split_without_an_interval_has_none_in_the_table(frames):
    parts = {"subject": data.split(checked(**FRAMES), frames)}
    metrics = {"subject": evaluate(_pretended(frames, 0.5), n_boot=0).metrics}
    assert data.frame_splits_table(metrics, parts)[["low", "high"]].isna().all(axis=None)


def _pretended(frames, share: float) -> Predictions:
    right = np.arange(len(frames)) < share * len(frames)
    answer = np.where(right, frames.labels, (frames.labels + 1) % 3)
    return Predictions(
        frames.sample_id, frames.labels, np.eye(3)[answer], frames.class_names, group=frames.subject
    )
