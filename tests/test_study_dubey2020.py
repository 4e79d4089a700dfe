"""The study of dubey2020: who trains, who judges, which leak has which name, and what the tables hold."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_utils.params import Cnn3dSmic, notebook_defaults
from fer_utils.synthetic.clips import synthetic_clips

SMALL = {
    "epochs": 2,
    "flow_epochs": 2,
    "batch_size": 8,
    "random_folds": 2,
    "grid_shares": [0.2, 0.5],
    "grid_seeds": [0, 1],
}


@pytest.fixture(scope="module")
def clips():
    return synthetic_clips(n_subjects=4, clips_per_subject=5, size=32, seed=0)


@pytest.fixture(scope="module")
def study():
    from fer_utils.studies import dubey2020
    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    return dubey2020


@pytest.fixture(scope="module")
def tables(study):
    from fer_utils.studies import dubey2020_tables

    return dubey2020_tables


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("checkpoints"))
    values = notebook_defaults("30_cnn3d_smic") | SMALL | {"checkpoint_dir": folder}
    return Cnn3dSmic.from_values(values, where="test")


@pytest.fixture(scope="module")
def judged(study, params, clips):
    protocols = study.protocols(params, clips)
    return protocols, {name: study.judge(one, device="cpu", log=str) for name, one in protocols.items()}


@pytest.fixture(scope="module")
def grid(study, params, clips):
    return {cell: cell.train(device="cpu") for cell in study.grid(params, clips)}


def test_the_reported_protocol_comes_first_and_every_leak_has_a_name(study, params, clips):
    found = study.protocols(params, clips)
    assert list(found) == [
        *(f"pixels_{way}" for way in ("loso", "loso_best_epoch", "random", "random_best_epoch")),
        *(f"change_{way}" for way in ("loso", "loso_best_epoch", "random", "random_best_epoch")),
        "still",
        "flow",
    ]
    assert {name: one.leak for name, one in found.items() if one.leak != "none"} == {
        f"{view}_{way}": leak
        for view in ("pixels", "change")
        for way, leak in {
            "loso_best_epoch": "epoch chosen on test",
            "random": "subjects on both sides",
            "random_best_epoch": "subjects on both sides, epoch chosen on test",
        }.items()
    }
    assert next(iter(study.protocols(params.varied(view="change"), clips))) == "change_loso"
    assert list(study.protocols(params.varied(comparisons=False), clips)) == ["pixels_loso"]


def test_every_clip_is_judged_once_by_a_network_that_never_saw_its_subject(judged, clips):
    protocols, results = judged
    for name in ("pixels_loso", "change_loso", "still", "flow"):
        said = results[name].predictions
        assert sorted(said.sample_id) == sorted(clips.sample_id)
        subject = dict(zip(clips.sample_id, clips.subject, strict=True))
        assert [subject[sample] for sample in said.sample_id] == said.group.tolist()
        assert len(np.unique(said.fold)) == 4
        for fold in protocols[name].folds:
            assert not set(fold.test.subject) & set(fold.train.subject)


def test_the_best_epoch_is_never_worse_than_the_last_of_the_same_trainings(judged):
    _, results = judged
    for view in ("pixels", "change"):
        for way in ("loso", "random"):
            last, best = (results[f"{view}_{way}{suffix}"] for suffix in ("", "_best_epoch"))
            assert best.predictions.correct.mean() >= last.predictions.correct.mean()
            pd.testing.assert_frame_equal(best.history, last.history)


def test_one_frame_repeated_has_no_movement_but_the_face_at_its_apex(study, clips):
    still = study.seen_by("still", clips)
    assert (still.clips == still.clips[:, :1]).all()
    apex = clips.clips[np.arange(len(clips)), clips.apex_position]
    np.testing.assert_array_equal(still.clips[:, 0], apex)
    assert still.labels is clips.labels


def test_the_change_of_one_frame_repeated_is_nothing_so_every_clip_is_judged_alike(study, params, clips):
    still = params.varied(view="change", epochs=1)
    protocol = study.protocols(still, clips)["still"]
    said = study.judge(protocol, device="cpu", log=str).predictions
    for fold in np.unique(said.fold):
        of_fold = said.probabilities[said.fold == fold]
        assert np.ptp(of_fold, axis=0).max() < 1e-3


def test_epochs_chosen_on_inner_subjects_look_at_nobody_who_is_held_out(study, params, clips, monkeypatch):
    looked_at = []
    fit = study.fastai_fit.fit

    def noted(model, train, validation, **settings):
        looked_at.append((set(train.subject), set(validation.subject), settings["choose"]))
        return fit(model, train, validation, **settings)

    monkeypatch.setattr(study.fastai_fit, "fit", noted)
    inner = params.varied(epoch_choice="inner", comparisons=False, inner_share=0.4)
    protocol = study.protocols(inner, clips)["pixels_loso"]
    study.judge(protocol, device="cpu", log=str)
    for subject, (train, chose, choice) in zip(protocol.folds.names, looked_at, strict=True):
        assert choice == "best"
        assert not train & chose and subject not in train | chose


def test_the_grid_has_both_activations_on_the_same_random_splits(study, params, clips, grid):
    assert [(cell.params.activation, cell.split, cell.params.seed) for cell in grid] == [
        (activation, split, seed)
        for activation in ("relu", "swish")
        for split in ("80/20", "50/50")
        for seed in (0, 1)
    ]
    cells = list(grid)
    relu, swish = cells[0], cells[4]
    assert relu.fold.test.sample_id.tolist() == swish.fold.test.sample_id.tolist()
    assert study.grid(params.varied(grid_shares=[], grid_seeds=[]), clips) == []


def test_the_jobs_of_a_run_train_everything_once_and_the_run_finds_it(study, params, clips, tmp_path):
    spread = params.varied(checkpoint_dir=str(tmp_path), fold_jobs=3, epochs=1, flow_epochs=1)
    lines = []
    for job in range(3):
        study.train_share(spread, clips, job=job, device="cpu", log=lines.append)
    names = [line.partition(":")[0] for line in lines]
    # two views x (4 subjects + 2 random folds), 4 of one frame, 4 of flow, 8 of the grid
    assert len(names) == len(set(names)) == 2 * (4 + 2) + 4 + 4 + 8
    before = sorted(tmp_path.glob("*.npz"))
    assert len(before) == len(names)
    for protocol in study.protocols(spread, clips).values():
        study.judge(protocol, device="cpu", log=str)
    for cell in study.grid(spread, clips):
        cell.train(device="cpu")
    assert sorted(tmp_path.glob("*.npz")) == before


def test_the_grid_table_has_the_last_epoch_and_the_leak_beside_it(tables, grid):
    table = tables.grid_table(grid)
    assert len(table) == 8
    assert set(table["activation"]) == {"ReLU", "Swish"} and set(table["split"]) == {"80/20", "50/50"}
    assert (table["best epoch"] >= table["accuracy"]).all()
    assert set(table["n"]) == {4, 10}
    means = tables.grid_means(grid)
    first = table.query("activation == 'ReLU' and split == '80/20'")
    assert means.loc[("ReLU", "80/20"), ("accuracy", "mean")] == pytest.approx(first["accuracy"].mean())
    assert tables.grid_table({}).empty


def test_the_first_seed_of_the_largest_training_part_is_shown(tables, grid):
    shown = tables.largest_training(grid)
    cells = list(grid)
    assert shown == {"ReLU": grid[cells[0]], "Swish": grid[cells[4]]}
    assert tables.largest_training({}) == {}


def test_the_printed_grid_is_table_2_as_fractions(tables):
    printed = tables.printed_grid()
    assert len(printed) == 8
    cell = printed.query("activation == 'ReLU' and split == '80/20'")
    assert cell["accuracy"].item() == pytest.approx(0.625)


def test_drawn_clips_never_stand_beside_printed_numbers(tables, grid, clips):
    assert tables.published(grid, clips) == []
    shown = tables.beside_table_2(grid, clips)
    assert list(shown.columns) == ["training printed", "validation printed"]
    assert shown.loc[("Swish", "50/50")].tolist() == pytest.approx([0.645, 0.531])


def test_clips_of_people_stand_beside_the_cells_that_were_measured(tables, grid, clips):
    people = replace(clips, source="real")
    beside = tables.beside_table_2(grid, people)
    assert beside["validation measured"].notna().sum() == beside["training measured"].notna().sum() == 4
    rows = tables.published(grid, people)
    metrics = tables.grid_metrics(grid)
    assert {row["cell"] for row in rows} == {
        f"validation accuracy / {activation} {split}"
        for activation in ("ReLU", "Swish")
        for split in ("80/20", "50/50")
    }
    for row in rows:
        name, _, metric = row["compared_with"].rpartition(".")
        assert metrics[name][metric]["n"] <= len(clips)


def test_protocols_stand_side_by_side_with_what_leaks(tables, judged):
    protocols, results = judged
    table = tables.side_by_side(protocols, results)
    assert list(table.index) == list(protocols)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert (table["n"] == 20).all()
    assert (table["leak"] == "").sum() == 4


def test_accuracy_by_epoch_is_pooled_over_the_folds(tables, judged):
    _, results = judged
    curve = tables.by_epoch(results["pixels_loso"])
    assert curve["epoch"].tolist() == [1, 2]
    last = results["pixels_loso"].predictions.correct.mean()
    assert curve["accuracy"].iloc[-1] == pytest.approx(last)


def test_hits_by_subject_add_up_to_the_accuracy(tables, judged, clips):
    _, results = judged
    table = tables.by_subject({"net": results["pixels_loso"], "flow": results["flow"]})
    assert table["clips"].sum() == len(clips)
    assert table["net"].sum() == results["pixels_loso"].predictions.correct.sum()
    assert (table["flow"] <= table["clips"]).all()


def test_the_selection_says_how_the_epoch_came_about(tables, params):
    assert tables.selection(params) == "epoch 2, fixed beforehand; held-out people looked at once"
    inner = params.varied(epoch_choice="inner")
    assert tables.selection(inner) == "epoch best on inner subjects (20% of the training clips)"


def test_a_share_without_seeds_is_no_grid(params):
    with pytest.raises(ValueError, match="grid_shares and grid_seeds: give both, or leave both empty"):
        params.varied(grid_seeds=[])
