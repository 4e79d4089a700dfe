"""What a way of measuring adds is read from run folders, with the sign, the interval and the seeds it has."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils import effects
from fer_utils.data import MissingData
from fer_utils.effects import arms, curves, luck
from fer_utils.effects.experiments import (
    CACHED,
    CLIPS,
    DATA,
    FRAMES,
    OFFICIAL,
    RANDOM,
    RESHUFFLED,
    all_copies,
    best_epoch,
    best_seed,
    cached,
    exact_copies,
    random_clips,
    random_frames,
    random_split,
    reshuffled,
)
from fer_utils.epochs import EpochAnswers
from fer_utils.results import Results
from fer_utils.statistics import Z, difference_interval, mean_interval, wilson_interval

N, EPOCHS = 200, 4
IDS = np.array([f"i{number:03d}" for number in range(N)])
RIGHT = {"validation": (60, 120, 100, 90), "test": (50, 110, 130, 80)}
"""How many of N images are right after each epoch: validation is best at epoch 2, test at epoch 3."""


def answers(right: tuple[int, ...]) -> EpochAnswers:
    """Return answers of which the first `right` images of each epoch are right."""
    given_ = np.array([np.arange(N) >= count for count in right]).astype(np.uint8)
    return EpochAnswers(IDS, np.zeros(N, np.int64), given_)


def record(value: float, n: int = N) -> dict:
    return {"accuracy": {"value": value, "ci95": list(wilson_interval(round(value * n), n)), "n": n}}


def write_run(
    reports: Path, method: str, seed: int, *, more: int = 0, parts=RIGHT, val=(0.3, 0.6, 0.5, 0.45), **blocks
) -> Path:
    folder = reports / f"{method}-seed{seed}"
    folder.mkdir(parents=True)
    results = {
        "status": "done",
        "protocol": {"seed": seed, "leakage": "none"},
        "metrics": record(0.55 + more / N),
        "other_metrics": {"validation": record(0.6)},
    } | blocks
    (folder / "results.json").write_text(json.dumps(results))
    for part, right in parts.items():
        answers(tuple(count + more for count in right)).save(folder / f"epochs_{part}.npz")
    history = pd.DataFrame({"epoch": range(1, len(val) + 1), "val_accuracy": val, "validation_seen": 0.0})
    history.to_csv(folder / "history.csv", index=False)
    return folder


@pytest.fixture
def reports(tmp_path):
    """Three honest seeds that have 0, 2 and 4 more images right, and two of each leaky arm."""
    for seed in range(3):
        write_run(tmp_path, OFFICIAL, seed, more=2 * seed)
    for method, last in ((RESHUFFLED, 0.9), (CACHED, 0.8)):
        for seed in range(2):
            leak = {"protocol": {"seed": seed, "leakage": "a leak"}}
            write_run(tmp_path, method, seed, parts={}, val=(0.2, 0.4, 0.6, last + 0.01 * seed), **leak)
    for seed in range(2):
        more = {"parts": {"validation": (80, 150), "test": (90, 140)}, "val": (0.4, 0.75)}
        write_run(tmp_path, RANDOM, seed, **more, protocol={"seed": seed, "leakage": "random"})
    (tmp_path / DATA).mkdir()
    rows = [("i000", True, False), ("i001", True, True), ("i005", False, True), ("elsewhere", True, False)]
    copies = pd.DataFrame(rows, columns=["sample_id", "exact", "near"])
    copies.to_csv(tmp_path / DATA / "copies.csv", index=False)
    return tmp_path


def test_choosing_the_epoch_on_the_test_adds_what_the_better_epoch_has_more(reports):
    effect = best_epoch(reports)
    assert effect.honest.value == pytest.approx((110 + 2) / N) and effect.honest.leak == "none"
    assert effect.leaky.value == pytest.approx((130 + 2) / N) and effect.leaky.leak == "epoch chosen on test"
    assert effect.size == pytest.approx(20 / N) and effect.by_seed == pytest.approx([20 / N] * 3)
    low, high = effect.interval
    of_others = difference_interval(
        effect.leaky.value, effect.leaky.interval, effect.honest.value, effect.honest.interval
    )
    assert of_others[0] < low < effect.size < high < of_others[1], "paired: the images are the same"
    assert effect.runs == tuple(f"{OFFICIAL}-seed{seed}" for seed in range(3))


def test_the_best_of_several_seeds_stands_beside_their_mean(reports):
    effect = best_seed(reports)
    assert effect.honest.value == pytest.approx(112 / N) and effect.leaky.value == pytest.approx(114 / N)
    assert effect.honest.by_seed == pytest.approx((110 / N, 112 / N, 114 / N))
    assert effect.leaky.label == "best of 3 runs on PrivateTest" and effect.size == pytest.approx(2 / N)


def test_a_random_split_is_compared_over_as_many_epochs_as_both_have(reports):
    effect = random_split(reports)
    assert effect.honest.value == pytest.approx(112 / N), "epoch 2 of the first two is best on validation"
    assert effect.leaky.value == pytest.approx(140 / N) and effect.leaky.leak == "random"
    honest, leaky = effect.honest, effect.leaky
    assert effect.interval == pytest.approx(
        difference_interval(leaky.value, leaky.interval, honest.value, honest.interval)
    )
    assert len(effect.by_seed) == 2


@pytest.mark.parametrize(("measure", "last"), [(reshuffled, 0.9), (cached, 0.8)])
def test_what_validates_after_training_stands_beside_public_test_after_the_same_epoch(reports, measure, last):
    effect = measure(reports)
    assert effect.honest.value == pytest.approx((90 + 2) / N)
    assert effect.leaky.by_seed == pytest.approx((last, last + 0.01)) and effect.leaky.n == N
    assert effect.leaky.leak == "a leak" and "epoch 4" in effect.leaky.label


@pytest.mark.parametrize(("measure", "copied"), [(exact_copies, 2), (all_copies, 3)])
def test_test_images_that_stand_elsewhere_are_taken_out(reports, measure, copied):
    effect = measure(reports)
    assert effect.leaky.value == pytest.approx(112 / N) and effect.leaky.n == N
    assert effect.honest.value == pytest.approx((112 - copied) / (N - copied))
    assert effect.honest.n == N - copied and effect.size > 0
    low, high = effect.interval
    assert low <= effect.size <= high


def test_clips_and_frames_are_read_from_results_and_are_drawn(tmp_path):
    blocks = {"metrics": record(0.8), "other_metrics": {"pixels_random": record(0.85)}}
    write_run(tmp_path, CLIPS, 0, parts={}, **blocks).rename(tmp_path / CLIPS)
    frames = {"split_by_subject": record(0.4), "split_by_frame": record(0.99)}
    write_run(tmp_path, FRAMES, 1, parts={}, other_metrics=frames)
    clips, single = random_clips(tmp_path), random_frames(tmp_path)
    assert clips.size == pytest.approx(0.05) and single.size == pytest.approx(0.59)
    assert clips.leaky.leak == "subjects on both sides"
    assert single.leaky.leak == "frames of one clip on both sides"
    assert clips.data == single.data == "synthetic clips"


def test_what_was_not_run_is_named_and_the_rest_is_measured(reports):
    measured, missing = effects.measure_all(reports)
    assert {effect.key for effect in measured} | set(missing) == set(effects.EXPERIMENTS)
    assert set(missing) == {"random_clips", "random_frames"}
    assert missing["random_clips"] == f"no finished run of {CLIPS} in {reports.name}; make it from its YAML"
    (reports / DATA / "copies.csv").unlink()
    assert "no list of copies" in effects.measure_all(reports)[1]["all_copies"]
    nothing, everything = effects.measure_all(reports / "empty")
    assert nothing == [] and set(everything) == set(effects.EXPERIMENTS)


def test_a_run_that_failed_or_of_another_method_is_no_seed(reports):
    write_run(reports, OFFICIAL, 7, status="failed")
    write_run(reports, f"{OFFICIAL}-wide", 0)
    assert [folder.name[-1] for folder in effects.load_seeds(reports, OFFICIAL).folders] == ["0", "1", "2"]


def test_effects_are_read_again_as_they_were_written_and_fit_the_schema(reports):
    measured, _ = effects.measure_all(reports)
    path = effects.write_effects(reports / "effects.json", measured)
    assert effects.read_effects(path) == measured
    Results.check(
        {
            "kind": "audit",
            "status": "done",
            "run": "61_protocol_effects",
            "variant": None,
            "notebook": "61_protocol_effects",
            "profile": "smoke",
            "paper": None,
            "other_metrics": effects.records(measured),
        }
    )


def test_the_table_begins_with_the_largest_effect_and_gives_points_with_their_interval(reports):
    measured, _ = effects.measure_all(reports)
    table = effects.effects_table(measured)
    assert table.index[0] == "shuffle the parts again for every epoch"
    first = table.iloc[0]
    assert first["honest"] == "46.0 %" and first["looks like"] == "90.5 %"
    assert first["adds, points [95 %]"].startswith("+44.5 [+")
    assert first["each seed"] == "+45.0, +45.0" and first["data"] == "FER-2013"


def test_curves_have_every_arm_seed_and_epoch(reports):
    table = curves.validation_curves(reports)
    assert set(table["arm"]) == set(curves.ARMS)
    assert len(table) == 3 * 4 + 2 * 4 + 2 * 4 + 2 * 2
    both = curves.epoch_curves(effects.load_seeds(reports, OFFICIAL))
    of_first = both[both["seed"] == 0]
    assert of_first["test"].tolist() == [count / N for count in RIGHT["test"]]
    with pytest.raises(MissingData, match="no finished run of"):
        curves.validation_curves(reports / "empty")


def test_the_spread_over_seeds_is_pooled_and_says_how_far_two_runs_are_apart(reports):
    spread = effects.seed_spread(reports, methods=[OFFICIAL, RANDOM, "10_baseline_cnn--none"])
    assert spread.index.tolist() == [OFFICIAL, RANDOM]
    assert spread["sd"].to_numpy() == pytest.approx([2 / N, 0.0])
    assert effects.pooled_sd(spread) == pytest.approx(np.sqrt(2 * (2 / N) ** 2 / 3))
    assert effects.two_runs(0.01) == pytest.approx(Z * np.sqrt(2) * 0.01)
    with pytest.raises(MissingData, match="no method of two seeds"):
        effects.seed_spread(reports, methods=["10_baseline_cnn--none"])


def test_printed_differences_are_those_of_the_papers_tables():
    table = effects.printed_differences().set_index("about")
    assert len(table) == len(luck.PAIRS)
    assert table.loc["Swish or ReLU, 80/20", "difference"] == pytest.approx(-0.005)
    assert table.loc["280 or 35 epochs", "difference"] == pytest.approx(0.12)
    # Two shares of 62 % of 32 clips: 1.96 * sqrt(2 * .6225 * .3775 / 32) = 0.2375
    assert table.loc["Swish or ReLU, 80/20", "chance"] == pytest.approx(0.2375, abs=5e-4)
    assert table.loc["Adam or RMSprop", ["n", "chance"]].isna().all()


# --- intervals ------------------------------------------------------------------------------------

fraction = st.floats(0.01, 0.99)


@settings(deadline=None)
@given(a=fraction, b=fraction, half_a=st.floats(0, 0.2), half_b=st.floats(0, 0.2))
def test_the_interval_of_a_difference_holds_it_and_joins_the_two(a, b, half_a, half_b):
    low, high = difference_interval(a, (a - half_a, a + half_a), b, (b - half_b, b + half_b))
    assert low <= a - b <= high
    assert high - low == pytest.approx(2 * np.hypot(half_a, half_b))
    turned = difference_interval(b, (b - half_b, b + half_b), a, (a - half_a, a + half_a))
    assert turned == pytest.approx((-high, -low))


def test_the_interval_of_a_difference_is_newcombes_tenth():
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, row (a): 56/70 - 48/80
    a, b = 56 / 70, 48 / 80
    found = difference_interval(a, wilson_interval(56, 70), b, wilson_interval(48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_of_a_mean_is_that_of_statsmodels():
    from statsmodels.stats.weightstats import DescrStatsW

    values = np.random.default_rng(0).random(500)
    assert mean_interval(values) == pytest.approx(DescrStatsW(values).zconfint_mean(), rel=1e-9)
    with pytest.raises(ValueError, match="two numbers or more, got 1"):
        mean_interval(values[:1])


def test_seeds_on_their_own_samples_are_taken_as_draws():
    arm = arms.of_own_samples("own", [0.5, 0.7], n=50)
    assert arm.value == pytest.approx(0.6) and arm.interval == pytest.approx(wilson_interval(60, 100))
    assert arm.n == 50 and arm.by_seed == (0.5, 0.7)
