"""Effects of evaluation protocols are read from run folders, with sign, interval and seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_utils import effects
from fer_utils.data import MissingData
from fer_utils.predictions import EpochPredictions, Predictions
from fer_utils.results import Results
from fer_utils.statistics import wilson_interval

N = 200
OFFICIAL, RANDOM, RESHUFFLED, CACHED = (
    f"10_baseline_cnn--protocol-{name}" for name in ("official", "random", "reshuffled", "cached")
)
CLIPS = "30_cnn3d_smic"
IDS = np.array([f"i{number:03d}" for number in range(N)])
RIGHT = {"validation": (60, 120, 100, 90), "test": (50, 110, 130, 80)}
"""Correct images of N after each epoch: validation is best at epoch 2, test at epoch 3."""


def by_epoch(right: tuple[int, ...]) -> EpochPredictions:
    """Return predictions of which the first `right` images of each epoch are correct."""
    predicted = np.array([np.arange(N) >= count for count in right]).astype(np.uint8)
    return EpochPredictions(IDS, np.zeros(N, np.int64), predicted)


def record(value: float, n: int = N) -> dict:
    return {"accuracy": {"value": value, "ci95": list(wilson_interval(round(value * n), n)), "n": n}}


def write_run(
    reports: Path, method: str, seed: int, *, more: int = 0, parts=RIGHT, val=(0.3, 0.6, 0.5, 0.45), **blocks
) -> Path:
    folder = reports / f"{method}--seed{seed}"
    folder.mkdir(parents=True)
    results = {
        "status": "done",
        "protocol": {"seed": seed, "leakage": "none"},
        "metrics": record(0.55 + more / N),
        "other_metrics": {"validation": record(0.6)},
    } | blocks
    (folder / "results.json").write_text(json.dumps(results))
    for part, right in parts.items():
        by_epoch(tuple(count + more for count in right)).save(folder / f"epochs_{part}.npz")
    history = pd.DataFrame({"epoch": range(1, len(val) + 1), "val_accuracy": val, "validation_seen": 0.0})
    history.to_csv(folder / "history.csv", index=False)
    return folder


@pytest.fixture
def reports(tmp_path):
    """Three honest seeds with 0, 2 and 4 more correct images, and two of each leaky arm."""
    for seed in range(3):
        write_run(tmp_path, OFFICIAL, seed, more=2 * seed)
    for method, last in ((RESHUFFLED, 0.9), (CACHED, 0.8)):
        for seed in range(2):
            leak = {"protocol": {"seed": seed, "leakage": "a leak"}}
            write_run(tmp_path, method, seed, parts={}, val=(0.2, 0.4, 0.6, last + 0.01 * seed), **leak)
    for seed in range(2):
        more = {"parts": {"validation": (80, 150), "test": (90, 140)}, "val": (0.4, 0.75)}
        write_run(tmp_path, RANDOM, seed, **more, protocol={"seed": seed, "leakage": "random"})
    (tmp_path / effects.DUPLICATES).parent.mkdir()
    rows = [("i000", True, False), ("i001", True, True), ("i005", False, True), ("elsewhere", True, False)]
    copies = pd.DataFrame(rows, columns=["sample_id", "exact", "near"])
    copies.to_csv(tmp_path / effects.DUPLICATES, index=False)
    return tmp_path


def test_selecting_the_epoch_on_the_test_set_adds_the_gain_of_the_better_epoch(reports):
    write_run(reports, OFFICIAL, 7, status="failed")
    write_run(reports, f"{OFFICIAL}-wide", 0)
    effect = effects.measure("best_epoch", reports)
    assert effect.honest.value == pytest.approx((110 + 2) / N) and effect.honest.leak == "none"
    leaky = effect.leaky
    assert leaky.value == pytest.approx((130 + 2) / N) and leaky.leak == "epoch selected on the test set"
    assert effect.size == pytest.approx(20 / N) and effect.by_seed == pytest.approx([20 / N] * 3)
    assert 0 <= effect.interval[0] < effect.size < effect.interval[1]
    unpaired = np.sqrt(sum(np.diff(arm.interval)[0] ** 2 for arm in (effect.honest, leaky)))
    assert np.diff(effect.interval)[0] < unpaired, "paired: the images are the same"
    assert effect.runs == tuple(f"{OFFICIAL}--seed{seed}" for seed in range(3))


def test_what_is_chosen_is_chosen_again_in_each_resample(tmp_path):
    """Two epochs that are equally good on other images: the interval knows that either could be chosen."""
    for seed in range(2):
        folder = write_run(tmp_path, OFFICIAL, seed)
        right = np.random.default_rng(seed).random((2, N)) < 0.5
        EpochPredictions(IDS, np.zeros(N, np.int64), 1 - right.astype(np.uint8)).save(
            folder / "epochs_test.npz"
        )
        by_epoch((100, 101)).save(folder / "epochs_validation.npz")
        history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": 0.5, "validation_seen": 0.0})
        history.to_csv(folder / "history.csv", index=False)
    effect = effects.measure("best_epoch", tmp_path)
    assert effect.interval[0] == 0 and effect.interval[1] > 0.03
    best = effects.measure("best_seed", tmp_path)
    assert best.interval[0] == 0 and best.by_seed == pytest.approx([best.size])


def test_a_random_split_is_compared_over_the_epochs_that_both_arms_have(reports):
    effect = effects.measure("random_split", reports)
    assert effect.honest.value == pytest.approx(112 / N), "epoch 2 of the first two is best on validation"
    assert effect.leaky.value == pytest.approx(140 / N) and effect.leaky.leak == "random"
    assert effect.interval[0] < effect.size < effect.interval[1]
    assert effect.by_seed == pytest.approx([effect.size]), "three runs and two are no pairs"


@pytest.mark.parametrize(("key", "last"), [("reshuffled", 0.9), ("cached", 0.8)])
def test_leaky_validation_is_compared_with_public_test_after_the_same_epoch(reports, key, last):
    effect = effects.measure(key, reports)
    assert effect.honest.value == pytest.approx((90 + 2) / N)
    assert effect.leaky.by_seed == pytest.approx((last, last + 0.01)) and effect.leaky.n == N
    assert effect.leaky.leak == "a leak" and "epoch 4" in effect.leaky.label


@pytest.mark.parametrize(("key", "copied"), [("exact_copies", 2), ("all_copies", 3)])
def test_test_images_with_duplicates_in_other_sets_are_left_out(reports, key, copied):
    effect = effects.measure(key, reports)
    assert effect.leaky.value == pytest.approx(112 / N) and effect.leaky.n == N
    assert effect.honest.value == pytest.approx((112 - copied) / (N - copied))
    assert effect.honest.n == N - copied and effect.size > 0
    low, high = effect.interval
    assert low <= effect.size <= high


@pytest.fixture
def clips(tmp_path):
    """A run on 40 clips of four subjects, three epochs, with the predictions of two protocols."""
    folder = write_run(tmp_path, CLIPS, 0, parts={}).rename(tmp_path / CLIPS)
    rows = {"a": (0.2, 0.8, 0.5), "b": (0.9, 0.4, 0.5), "c": (0.5, 0.5, 0.5), "d": (0.3, 0.6, 0.5)}
    folds = [
        {"fold": fold, "held_out": 10, "epoch": epoch, "val_accuracy": accuracy}
        for fold, accuracies in rows.items()
        for epoch, accuracy in enumerate(accuracies, 1)
    ]
    pd.DataFrame(folds).to_csv(folder / "history.csv", index=False)
    for name, accuracy in {"predictions": 0.5, "predictions_pixels_random": 0.6}.items():
        wrong = (np.arange(40) % 10 >= 10 * accuracy).astype(int)
        ids, people = [f"c{i:02d}" for i in range(40)], np.repeat(list("abcd"), 10)
        made = Predictions(ids, np.zeros(40, int), np.eye(2)[wrong], ("x", "y"), group=people)
        made.save(folder / f"{name}.npz")
    return tmp_path


def test_effects_on_clips_are_read_from_predictions_and_folds(clips):
    random = effects.measure("random_clips", clips)
    assert random.size == pytest.approx(0.1) and random.honest.n == 40
    assert random.leaky.leak == "subjects on both sides" and random.data == "synthetic clips"
    assert random.interval == pytest.approx((0.1, 0.1)), "paired: each subject gains the same"
    of_all, of_each = (effects.measure(f"best_epoch_of_{whom}", clips) for whom in ("all", "each"))
    assert of_all.honest.value == of_each.honest.value == 0.5
    assert of_all.leaky.value == pytest.approx((8 + 4 + 5 + 6) / 40), "epoch 2 is best over all subjects"
    assert of_each.leaky.value == pytest.approx((8 + 9 + 5 + 6) / 40)


def test_several_seeds_of_one_run_count_as_seeds(clips):
    folder = (clips / CLIPS).rename(clips / "31_micro_expressions_flow")
    history = pd.read_csv(folder / "history.csv")
    second = history.assign(seed=1, val_accuracy=history["val_accuracy"] - 0.1)
    pd.concat([history.assign(seed=0), second]).to_csv(folder / "history.csv", index=False)
    for seed, name in enumerate(("predictions", "predictions_pixels_random")):
        shutil.copy(folder / f"{name}.npz", folder / f"predictions_streams_seed{seed}.npz")
        shutil.copy(
            folder / "predictions_pixels_random.npz", folder / f"predictions_streams_random_{seed}.npz"
        )
    random, of_all = (
        effects.measure(f"{name}_real", clips) for name in ("random_clips", "best_epoch_of_all")
    )
    assert (random.honest.by_seed, random.leaky.by_seed) == ((0.5,), pytest.approx((0.6, 0.6)))
    assert random.by_seed == pytest.approx((0.1,)), "two draws and one run are no pairs"
    assert of_all.honest.by_seed == pytest.approx((0.5, 0.4)) and of_all.size == pytest.approx(23 / 40 - 0.5)


def test_missing_runs_are_named_and_the_rest_is_measured(reports):
    measured, missing = effects.measure_all(reports)
    assert {effect.key for effect in measured} | set(missing) == set(effects.definitions()["experiments"])
    of_clips = {
        key for key in effects.definitions()["experiments"] if key.startswith(("random_", "best_epoch_"))
    }
    assert set(missing) == {*of_clips - {"random_split"}, "easy_copies", "trained_copies"}
    assert CLIPS in missing["random_clips"]
    (reports / effects.DUPLICATES).unlink()
    assert "copies.csv" in effects.measure_all(reports)[1]["all_copies"]
    nothing, everything = effects.measure_all(reports / "empty")
    assert nothing == [] and set(everything) == set(effects.definitions()["experiments"])


def test_effects_are_written_and_read_and_the_table_begins_with_the_largest(reports):
    measured, _ = effects.measure_all(reports)
    path = effects.write_effects(reports / "effects.json", measured)
    assert effects.read_effects(path) == measured
    Results.check(
        {
            **dict.fromkeys(("run", "notebook"), "61_protocol_effects"),
            **dict.fromkeys(("variant", "paper")),
            "kind": "audit",
            "status": "done",
            "profile": "smoke",
            "other_metrics": effects.records(measured),
        }
    )
    table = effects.effects_table(measured)
    assert table.index[0].startswith("reshuffle")
    first = table.iloc[0]
    assert first["honest"] == "46.0 %" and first["looks like"] == "90.5 %"
    assert first["adds, points [95 %]"].startswith("+44.5 [+")
    assert first["each seed"] == "+44.5" and first["data"] == "FER-2013"


def test_curves_have_every_arm_seed_and_epoch(reports):
    table = effects.validation_curves(reports)
    assert set(table["arm"]) == set(effects.definitions()["validation_sets"].values())
    assert len(table) == 3 * 4 + 2 * 4 + 2 * 4 + 2 * 2
    both = effects.epoch_curves(reports, OFFICIAL)
    of_first = both[both["seed"] == 0]
    assert of_first["test"].tolist() == [count / N for count in RIGHT["test"]]
    with pytest.raises(MissingData, match=OFFICIAL):
        effects.validation_curves(reports / "empty")


def test_the_spread_over_seeds_is_pooled(reports):
    for seed in range(2):
        write_run(reports, "20_hybrid_hog_cnn--raw", seed)
    spread = effects.seed_spread(reports)
    assert spread.index.tolist() == [OFFICIAL, "20_hybrid_hog_cnn--raw"]
    assert spread["sd"].to_numpy() == pytest.approx([2 / N, 0.0])
    # Of two settings only one varies, with three seeds: t of 2 degrees of freedom.
    assert effects.seed_difference(spread) == pytest.approx(4.3027 * 2 / N, abs=1e-5)
    with pytest.raises(MissingData, match=OFFICIAL):
        effects.seed_spread(reports / "empty")


def test_printed_differences_are_those_of_the_papers_tables():
    table = effects.printed_differences().set_index("about")
    assert len(table) == len(effects.definitions()["printed_pairs"])
    assert table.loc["Swish or ReLU, 80/20", "difference"] == pytest.approx(-0.005)
    assert table.loc["280 or 35 epochs", "difference"] == pytest.approx(0.12)
    # Two shares of 62 % of 32 clips: 1.96 * sqrt(2 * .6225 * .3775 / 32) = 0.2375
    assert table.loc["Swish or ReLU, 80/20", "chance"] == pytest.approx(0.2375, abs=5e-4)
    assert table.loc["Adam or RMSprop", ["n", "chance"]].isna().all()
