"""The study of dubey2020: held-out subjects, epoch rules, names of leaks, jobs, and the tables."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.settings import notebook_params

from fer_utils.files import ConfigError
from fer_utils.synthetic import synthetic_clips

ALL = ["best_epoch", "random", "random_best_epoch", "other_view", "still", "flow"]
SMALL = {
    "view": "pixels",
    "epochs": 2,
    "flow_epochs": 2,
    "batch_size": 8,
    "random_folds": 2,
    "comparisons": ALL,
    "grid_shares": [0.2],
    "grid_seeds": [0, 1],
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips(n_subjects=3, clips_per_subject=6, size=32, seed=0)


@pytest.fixture(scope="module")
def study():
    from fer_utils.studies import dubey2020

    return dubey2020


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("checkpoints"))
    return notebook_params("30_cnn3d_smic", **SMALL, checkpoint_dir=folder, fold_jobs=3)


@pytest.fixture(scope="module")
def protocols(study, params, clips):
    return study.protocols(params, clips)


@pytest.fixture(scope="module")
def trained_by_jobs(study, params, clips):
    """All trainings, done by three jobs: name of each."""
    return [name for job in range(3) for name in study.train_job(params, clips, job)]


@pytest.fixture(scope="module")
def results(study, protocols, trained_by_jobs):
    return {name: study.cross_validate(protocol) for name, protocol in protocols.items()}


@pytest.fixture(scope="module")
def grid(study, params, clips, trained_by_jobs):
    return [(cell, cell.train()) for cell in study.grid(params, clips)]


def test_the_reported_protocol_is_first_and_every_leak_has_a_name(study, params, clips, protocols):
    ways = ("loso", "loso_best_epoch", "random", "random_best_epoch")
    assert list(protocols) == [f"{view}_{way}" for view in ("pixels", "change") for way in ways] + [
        "still",
        "flow",
    ]
    leaks = ("none", "epoch chosen on test", "subjects on both sides")
    expected = dict(zip(ways, (*leaks, ", ".join(leaks[:0:-1])), strict=True))
    for name, protocol in protocols.items():
        assert protocol.leak == expected.get(name.partition("_")[2], "none")
    assert list(study.protocols(params.varied(view="change"), clips)) == ["change_loso"]


def test_the_jobs_of_a_run_do_every_training_once_for_it(params, trained_by_jobs, results, grid):
    # two views x (3 subjects + 2 random folds), 3 of one frame, 3 of flow, 4 of the grid
    assert len(set(trained_by_jobs)) == len(trained_by_jobs) == 2 * (3 + 2) + 3 + 3 + 4
    assert len(list(params.checkpoints.glob("*/*/state.pth"))) == len(trained_by_jobs)


def test_every_clip_is_predicted_once_by_a_network_without_its_subject(protocols, results, clips):
    subject = dict(zip(clips.sample_id, clips.subject, strict=True))
    for name in ("pixels_loso", "change_loso", "still", "flow"):
        predictions = results[name].predictions
        assert sorted(predictions.sample_id) == sorted(clips.sample_id)
        assert [subject[sample] for sample in predictions.sample_id] == predictions.group.tolist()
        for split in protocols[name].folds.splits:
            assert not set(split.test.subject) & set(split.train.subject)


def test_the_best_epoch_on_test_is_never_worse_than_the_last(results):
    for way in ("pixels_loso", "pixels_random", "change_loso", "change_random"):
        last, best = (results[f"{way}{suffix}"] for suffix in ("", "_best_epoch"))
        assert best.predictions.correct.mean() >= last.predictions.correct.mean()
        by_fold = last.history.groupby("fold", sort=False)["val_accuracy"].last()
        in_fold = [last.predictions.correct[last.predictions.fold == n].mean() for n in range(len(by_fold))]
        np.testing.assert_allclose(in_fold, by_fold, atol=1e-6)


def test_one_frame_repeated_has_no_movement(study, clips):
    still = study.input_of("still", clips)
    assert (still.clips == still.clips[:, :1]).all()
    apex = clips.clips[np.arange(len(clips)), clips.apex_position]
    np.testing.assert_array_equal(still.clips[:, 0], apex)


def test_inner_subjects_select_the_epoch_without_the_held_out_one(study, params, clips):
    inner = params.varied(epoch_choice="inner")
    for split in study.protocols(inner, clips)["pixels_loso"].folds.splits:
        training, validation = study.training_sets(inner, split, "inner")
        assert not set(training.subject) & set(validation.subject)
        assert not set(split.test.subject) & {*training.subject, *validation.subject}
    trained = study.train(inner, "cnn3d", split, "inner")
    assert sorted(trained.held_out.sample_id) == sorted(split.test.sample_id)
    assert study.selection(inner).startswith("epoch best on inner subjects")


def test_the_exported_network_is_trained_on_all_clips(study, params, clips):
    first, again = (study.train_on_all(params, clips) for _ in range(2))
    np.testing.assert_array_equal(first.held_out.probabilities, again.held_out.probabilities)
    assert len(first.held_out) == len(clips)


def test_the_grid_has_both_activations_on_the_same_random_splits(study, params, clips, grid):
    cells = [cell for cell, _ in grid]
    assert [(*cell.name, cell.params.seed) for cell in cells] == [
        (activation, split, seed)
        for activation, split in (("ReLU", "80/20"), ("Swish", "80/20"))
        for seed in (0, 1)
    ]
    assert cells[0].holdout.test.sample_id.tolist() == cells[2].holdout.test.sample_id.tolist()
    table = study.grid_table(grid)
    assert (table["best epoch"] >= table["accuracy"] - 1e-6).all()
    assert set(table["n"]) == {4}
    assert study.grid_table([]).empty


def test_the_tables_agree_with_the_predictions(study, protocols, results, clips):
    table = study.protocols_table(protocols, results)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert (table["n"] == len(clips)).all() and (table["leak"] == "").sum() == 4
    reported = results["pixels_loso"]
    curve = study.by_epoch(reported.history)
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["accuracy"].iloc[-1] == pytest.approx(reported.predictions.correct.mean())
    subjects = study.by_subject({"network": reported, "flow": results["flow"]})
    assert subjects["clips"].sum() == len(clips)
    assert subjects["network"].sum() == reported.predictions.correct.sum()


def test_the_printed_grid_is_table_2_as_fractions(study):
    printed = study.printed_grid().set_index(["activation", "split"])["accuracy"]
    assert len(printed) == 8
    assert printed["ReLU", "80/20"] == pytest.approx(0.625)


def test_impossible_requests_are_errors(study, params, clips):
    with pytest.raises(ConfigError, match="grid_shares and grid_seeds"):
        params.varied(grid_seeds=[0])
    with pytest.raises(ConfigError, match="comparisons"):
        params.varied(comparisons=["randm"])
    with pytest.raises(ValueError, match="leave-one-subject-out needs at least 2"):
        study.protocols(params, replace(clips, subject=np.full(len(clips), "s1")))
