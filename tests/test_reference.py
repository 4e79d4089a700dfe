"""The committed runs: each published number can be computed again from its predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from fer_utils import effects
from fer_utils.evaluation import evaluate
from fer_utils.files import PROJECT, read_json
from fer_utils.params import profile_runs, read_runs
from fer_utils.predictions import EpochPredictions, Predictions
from fer_utils.readme import readme_effects, readme_methods, readme_protocols, readme_table
from fer_utils.report import load_methods
from fer_utils.results import Results

REFERENCE = PROJECT / "reports" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/predictions.npz"))
TEN_VIEWS = sorted(path.parent.name for path in REFERENCE.glob("*/predictions_ten_crop.npz"))
RESULTS = sorted(path.parent.name for path in REFERENCE.glob("*/results.json"))
DRAWN = {"30_cnn3d_smic", "30_cnn3d_smic--live", "20_hybrid_hog_cnn--frames"}
"""Runs on synthetic clips, because real ones are given to researchers on request only."""
LEAKY = ("--protocol-random-", "--protocol-cached-", "--protocol-reshuffled-")
"""Arms that leak on purpose, beside ``--protocol-official-``: what 61_protocol_effects compares."""
FACES = [run for run in RUNS if run not in DRAWN and not any(arm in run for arm in LEAKY)]
KEPT_EPOCHS = sorted(path.parent.name for path in REFERENCE.glob("*/epochs_test.npz"))


@pytest.mark.parametrize("run", RUNS)
def test_metrics_are_what_the_predictions_give(run):
    results = read_json(REFERENCE / run / "results.json")
    again = evaluate(Predictions.load(REFERENCE / run / "predictions.npz"))
    assert again.confusion_matrix == results["confusion_matrix"]
    assert set(again.metrics) == set(results["metrics"])
    for name, record in again.metrics.items():
        stored = results["metrics"][name]
        assert record["n"] == stored["n"]
        assert record["value"] == pytest.approx(stored["value"], abs=1e-12)
        assert record["ci95"] == pytest.approx(stored["ci95"], abs=1e-9)
    for measured, stored in zip(again.per_class, results["per_class"], strict=True):
        assert measured == pytest.approx(stored)


@pytest.mark.parametrize("run", TEN_VIEWS)
def test_what_ten_views_gave_can_be_computed_again_too(run):
    again = Predictions.load(REFERENCE / run / "predictions_ten_crop.npz")
    stored = read_json(REFERENCE / run / "results.json")["other_metrics"]["ten_crop"]
    for name, record in evaluate(again).metrics.items():
        assert record["value"] == pytest.approx(stored[name]["value"], abs=1e-12)
        assert record["ci95"] == pytest.approx(stored[name]["ci95"], abs=1e-9)
    once = Predictions.load(REFERENCE / run / "predictions.npz")
    assert np.array_equal(again.sample_id, once.sample_id) and np.array_equal(again.truth, once.truth)


def test_ten_views_stand_in_the_results_where_their_predictions_are_kept():
    told = [run for run in RUNS if "ten_crop" in read_json(REFERENCE / run / "results.json")["other_metrics"]]
    assert told == TEN_VIEWS


@pytest.mark.parametrize("run", RUNS)
def test_predictions_are_small_and_each_image_is_judged_once(run):
    path = REFERENCE / run / "predictions.npz"
    assert path.stat().st_size <= 150_000
    predictions = Predictions.load(path)
    assert len(np.unique(predictions.sample_id)) == len(predictions)


@pytest.mark.parametrize("run", RESULTS)
def test_a_reference_run_is_complete_and_made_from_its_yaml_on_real_data_where_there_is_any(run):
    results = read_json(REFERENCE / run / "results.json")
    Results.check(results)
    assert results["status"] == "done"
    assert results["profile"] == "reference"
    if "dataset" in results:
        assert results["dataset"]["source"] == ("synthetic" if run in DRAWN else "real")
    stated = read_runs(profile_runs(PROJECT / "params" / "reference")[run])[run]
    assert {name: results["params"][name] for name in stated} == stated
    assert "/" + "root" not in json.dumps(results)


@pytest.mark.parametrize("run", FACES)
def test_the_reported_set_is_private_test_and_chosen_on_public_test(run):
    results = read_json(REFERENCE / run / "results.json")
    ids = Predictions.load(REFERENCE / run / "predictions.npz").sample_id
    assert all("/PrivateTest_" in name for name in ids)
    assert len(ids) == {"fer6": 3_534, "fer7": 3_589}[results["params"]["label_set"]]
    assert "on validation" in results["protocol"]["selection"]


@pytest.mark.parametrize("run", [run for run in RUNS if any(arm in run for arm in LEAKY)])
def test_an_arm_that_leaks_names_the_leak_and_reports_a_tenth_of_all_images(run):
    protocol = read_json(REFERENCE / run / "results.json")["protocol"]
    assert protocol["leakage"] not in ("none", "")
    ids = Predictions.load(REFERENCE / run / "predictions.npz").sample_id
    assert abs(len(ids) - 35_887 / 10) < 1
    official_parts = {name.rsplit("/", 1)[1].split("_")[0] for name in ids}
    assert official_parts == {"Training", "PublicTest", "PrivateTest"}
    shared = protocol["overlap"]["exact_duplicates"] / len(ids)
    lowest, highest = {"random": (0.05, 0.2), "cached": (0.75, 0.9), "reshuffled": (1, 1)}[run.split("-")[3]]
    assert lowest <= shared <= highest


@pytest.mark.parametrize("run", KEPT_EPOCHS)
def test_the_answers_after_every_epoch_are_those_of_the_run(run):
    folder = REFERENCE / run
    sets = ("test", "validation")
    test, validation = (EpochPredictions.load(folder / f"epochs_{name}.npz") for name in sets)
    history = pd.read_csv(folder / "history.csv")
    assert len(test.predicted) == len(history) == read_json(folder / "results.json")["params"]["epochs"]
    assert validation.accuracy == pytest.approx(history["val_accuracy"].to_numpy(), abs=1e-3)
    predictions = Predictions.load(folder / "predictions.npz")
    assert test.sample_id.tolist() == predictions.sample_id.tolist()
    assert (test.predicted[validation.best] == predictions.predicted).mean() > 0.999, "rounding ties some"


def test_the_copies_across_parts_are_those_that_the_runs_count():
    copies = pd.read_csv(REFERENCE / "00_data_prep" / "copies.csv")
    in_test = copies[copies["part"] == "test"]
    bamb2023 = read_json(REFERENCE / "10_baseline_cnn--bamb2023" / "results.json")
    assert in_test["exact"].sum() == bamb2023["protocol"]["overlap"]["exact_duplicates"] == 314
    assert set(in_test["sample_id"]) <= set(
        Predictions.load(REFERENCE / "10_baseline_cnn--bamb2023" / "predictions.npz").sample_id
    )


def test_the_effects_of_protocols_follow_from_the_committed_runs_and_are_those_of_the_readme():
    stored = effects.read_effects(REFERENCE / "61_protocol_effects" / "effects.json")
    again, missing = effects.measure_all(REFERENCE)
    assert missing == {}
    assert [effect.key for effect in again] == [effect.key for effect in stored]
    for one, other in zip(again, stored, strict=True):
        assert (one.runs, one.honest.leak, one.leaky.leak) == (other.runs, "none", other.leaky.leak)
        assert (one.size, *one.interval, *one.by_seed) == pytest.approx(
            (other.size, *other.interval, *other.by_seed), abs=1e-9
        )
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- effects:start -->")[1].split("<!-- effects:end -->")[0]
    assert shown.strip() == readme_effects(stored).strip()


@pytest.mark.parametrize(
    ("marker", "table"), [("results", readme_table), ("methods", readme_methods), ("clips", readme_protocols)]
)
def test_the_tables_in_the_readme_are_those_that_the_runs_give(marker, table):
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = readme.split(f"<!-- {marker}:start -->")[1].split(f"<!-- {marker}:end -->")[0]
    assert shown.strip() == table(load_methods(REFERENCE)).strip()


@pytest.mark.parametrize("run", sorted(DRAWN & set(RUNS)))
def test_nobody_reported_on_was_trained_on_and_no_drawn_number_stands_beside_a_printed_one(run):
    results = read_json(REFERENCE / run / "results.json")
    assert results["protocol"]["subject_independent"] is True and results["protocol"]["leakage"] == "none"
    assert results["published"] == []
    assert Predictions.load(REFERENCE / run / "predictions.npz").grouped


def test_both_studies_of_the_baseline_have_a_reference_run():
    assert {"10_baseline_cnn--kumar2021", "10_baseline_cnn--bamb2023"} <= set(RUNS)
