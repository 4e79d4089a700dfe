"""The committed runs: each published number can be computed again from its predictions."""

import json

import numpy as np
import pytest

from fer_utils.evaluation import Predictions, evaluate
from fer_utils.files import PROJECT, read_json
from fer_utils.params import read_yaml, yaml_runs
from fer_utils.readme import readme_methods, readme_protocols, readme_table
from fer_utils.report import load_methods
from fer_utils.schema import check_results

REFERENCE = PROJECT / "reports" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/predictions.npz"))
TEN_VIEWS = sorted(path.parent.name for path in REFERENCE.glob("*/predictions_ten_crop.npz"))
RESULTS = sorted(path.parent.name for path in REFERENCE.glob("*/results.json"))
DRAWN = {"30_cnn3d_smic", "30_cnn3d_smic--live", "20_hybrid_hog_cnn--frames"}
"""Runs on synthetic clips, because real ones are given to researchers on request only."""
FACES = [run for run in RUNS if run not in DRAWN]


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
    check_results(results)
    assert results["status"] == "done"
    assert results["profile"] == "reference"
    if "dataset" in results:
        assert results["dataset"]["source"] == ("synthetic" if run in DRAWN else "real")
    assert run in yaml_runs(PROJECT / "params" / "reference")
    stated = read_yaml(PROJECT / "params" / "reference" / f"{run}.yaml")
    assert {name: results["params"][name] for name in stated} == stated
    assert "/" + "root" not in json.dumps(results)


@pytest.mark.parametrize("run", FACES)
def test_the_reported_set_is_private_test_and_chosen_on_public_test(run):
    results = read_json(REFERENCE / run / "results.json")
    ids = Predictions.load(REFERENCE / run / "predictions.npz").sample_id
    assert all("/PrivateTest_" in name for name in ids)
    assert len(ids) == {"fer6": 3_534, "fer7": 3_589}[results["params"]["label_set"]]
    assert "on validation" in results["protocol"]["selection"]


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
