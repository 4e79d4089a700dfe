"""The committed runs: each published number can be computed again from its predictions."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest

from fer_utils import comparison, effects, tables
from fer_utils.evaluation import evaluate
from fer_utils.files import PROJECT, read_json
from fer_utils.predictions import EpochPredictions, Predictions, aligned
from fer_utils.results import Results, read_results
from fer_utils.run import method_of, profile_runs, read_runs

REFERENCE = PROJECT / "reports" / "reference"
RUNS = sorted(path.parent.name for path in REFERENCE.glob("*/predictions.npz"))
RESULTS = sorted(path.parent.name for path in REFERENCE.glob("*/results.json"))
RECORDED_EPOCHS = sorted(path.parent.name for path in REFERENCE.glob("*/epochs_test.npz"))
SYNTHETIC = {"30_cnn3d_smic", "30_cnn3d_smic--live", "20_hybrid_hog_cnn--frames"}
"""Runs on synthetic clips, because real ones are given to researchers on request only."""
CLIPS = SYNTHETIC | {"31_micro_expressions_flow"}
BFLOAT16 = {"40_fastai_transfer--small_resnet"}  # until it runs in float32
LEAKY = {"random": (0.05, 0.2), "cached": (0.75, 0.9), "reshuffled": (1, 1)}
"""First word of a `split_by` with data leakage -> share of test images that are in training."""


def assert_same_metrics(metrics: dict, stored: dict) -> None:
    for name, record in metrics.items():
        assert record["n"] == stored[name]["n"]
        assert record["value"] == pytest.approx(stored[name]["value"], abs=1e-9)
        assert record["ci95"] == (stored[name]["ci95"] and pytest.approx(stored[name]["ci95"], abs=1e-3))


@pytest.mark.parametrize("run", RUNS)
def test_metrics_follow_from_the_predictions(run):
    path, results = REFERENCE / run / "predictions.npz", read_json(REFERENCE / run / "results.json")
    assert path.stat().st_size <= 150_000
    predictions = Predictions.load(path)
    assert len(np.unique(predictions.sample_id)) == len(predictions)
    again = evaluate(predictions)
    assert again.confusion_matrix == results["confusion_matrix"]
    assert set(again.metrics) == set(results["metrics"])
    assert_same_metrics(again.metrics, results["metrics"])
    for measured, stored in zip(again.per_class, results["per_class"], strict=True):
        assert (ends := measured.pop("f1_ci95")) == pytest.approx(stored.pop("f1_ci95", ends), abs=1e-3)
        assert measured == pytest.approx(stored)


def test_metrics_of_other_views_and_protocols_follow_from_their_predictions():
    for path in REFERENCE.glob("*/predictions_*.npz"):
        others = read_json(path.with_name("results.json"))["other_metrics"]
        stored = others[path.stem.removeprefix("predictions_")]
        assert_same_metrics(evaluate(Predictions.load(path)).metrics, stored)


def test_scores_of_public_models_follow_from_their_predictions():
    stored = read_json(REFERENCE / "63_public_models" / "results.json")["other_metrics"]
    for path in PROJECT.glob("benchmarks/public_models/*/predictions.csv.gz"):
        predicted = pd.read_csv(path, index_col="sample_id").idxmax(axis=1)
        correct = predicted == predicted.index.str.split("/").str[1]  # test/<label>/<name>
        assert correct.mean() == pytest.approx(stored[path.parent.name]["all"]["value"], abs=1e-3)


@pytest.mark.parametrize("run", ["30_cnn3d_smic", "31_micro_expressions_flow"])
def test_the_means_of_the_grid_follow_from_its_predictions(run):
    folder = REFERENCE / run
    results, rows = read_json(folder / "results.json"), pd.read_csv(folder / "grid_predictions.csv")
    names = results["dataset"]["classes"]
    for cell, trainings in rows.groupby(["activation", "split"]):
        runs = [
            Predictions(one["sample_id"], one["truth"], one[names], tuple(names), group=one["group"])
            for _, one in trainings.groupby("seed")
        ]
        stored = results["other_metrics"][f"grid_{'_'.join(cell)}"]
        assert_same_metrics(comparison.mean_metrics(runs), stored)


def test_the_means_over_seeds_and_the_ensemble_follow_from_their_predictions():
    folder = REFERENCE / "31_micro_expressions_flow"
    others = read_json(folder / "results.json")["other_metrics"]
    for arm in ("streams_seed", "flow_seed", "streams_best_", "flow_random_"):
        runs = [Predictions.load(path) for path in sorted(folder.glob(f"predictions_{arm}*.npz"))]
        assert_same_metrics(
            comparison.mean_metrics(runs), others[arm.removesuffix("_seed").removesuffix("_")]
        )
    members = [folder / "predictions_svm.npz", *folder.glob("predictions_*_seed?.npz")]
    found = aligned([Predictions.load(path) for path in members])
    ensemble = aligned([found[0], Predictions.load(folder / "predictions.npz")])[1]
    assert len(found) == 7
    mean = np.mean([one.probabilities for one in found], axis=0)
    assert ensemble.probabilities == pytest.approx(mean, abs=1e-3)
    gain = comparison.paired_difference([ensemble], [found[0]], metric="macro_f1")
    stored = others["ensemble_less_svm"]["macro_f1"]
    assert (gain.value, *gain.interval) == pytest.approx((stored["value"], *stored["ci95"]), abs=1e-3)


@pytest.mark.parametrize("run", RESULTS)
def test_a_reference_run_was_made_from_its_yaml(run):
    results = read_results(REFERENCE / run / "results.json")
    assert Results.check(results).model_dump(mode="json", by_alias=True, exclude_unset=True) == results
    assert (results["status"], results["profile"]) == ("done", "reference")
    if "dataset" in results:
        assert results["dataset"]["source"] == ("synthetic" if run in SYNTHETIC else "real")
    stated = read_runs(profile_runs(PROJECT / "params" / "reference")[run])[run]
    older = {"mixed_precision": True} if run in BFLOAT16 else {}
    assert {name: results["params"][name] for name in stated} == stated | older
    assert "/" + "root" not in json.dumps(results)


@pytest.mark.parametrize("run", RESULTS)
def test_the_commit_of_a_run_is_in_this_repository_or_a_note_says_so(run):
    if not (PROJECT / ".git").exists():
        pytest.skip("not a git checkout")
    results = read_json(REFERENCE / run / "results.json")
    commit, _, modified = results["environment"]["commit"].partition("-")
    known = subprocess.run(["git", "-C", PROJECT, "cat-file", "-e", f"{commit}^{{commit}}"], check=False)
    if modified or known.returncode:
        assert commit in results["note"]


@pytest.mark.parametrize("run", [run for run in RUNS if run not in CLIPS])
def test_faces_are_reported_on_private_test_or_the_leakage_is_named(run):
    results = read_json(REFERENCE / run / "results.json")
    protocol, predictions = results["protocol"], Predictions.load(REFERENCE / run / "predictions.npz")
    sets = {name.rsplit("/", 1)[-1].split("_")[0] for name in predictions.sample_id}
    if (arm := results["params"].get("split_by", "").partition("_")[0]) in LEAKY:
        assert protocol["leakage"] != "none" and sets == {"Training", "PublicTest", "PrivateTest"}
        lowest, highest = LEAKY[arm]
        assert lowest <= protocol["overlap"]["exact_duplicates"] / len(predictions) <= highest
    else:
        assert protocol["leakage"] == "none" and sets == {"PrivateTest"}
        assert len(predictions) == {"fer6": 3_534, "fer7": 3_589}[results["params"]["label_set"]]
        assert "on validation" in protocol["selection"]


@pytest.mark.parametrize("run", sorted(CLIPS & set(RUNS)))
def test_clips_are_split_by_subject_and_not_compared_with_a_paper(run):
    results = read_json(REFERENCE / run / "results.json")
    assert results["protocol"]["subject_independent"] is True and results["protocol"]["leakage"] == "none"
    assert not results.get("published")
    assert Predictions.load(REFERENCE / run / "predictions.npz").grouped


@pytest.mark.parametrize("run", RECORDED_EPOCHS)
def test_the_predictions_of_each_epoch_are_those_of_the_run(run):
    folder = REFERENCE / run
    sets = ("test", "validation")
    test, validation = (EpochPredictions.load(folder / f"epochs_{name}.npz") for name in sets)
    history = pd.read_csv(folder / "history.csv")
    assert len(test.predicted) == len(history) == read_json(folder / "results.json")["params"]["epochs"]
    assert validation.accuracy == pytest.approx(history["val_accuracy"].to_numpy(), abs=1e-3)
    predictions = Predictions.load(folder / "predictions.npz")
    assert test.sample_id.tolist() == predictions.sample_id.tolist()
    assert (test.predicted[validation.best] == predictions.predicted).mean() > 0.999, "rounding ties some"


def test_the_duplicates_of_00_are_those_that_the_runs_count():
    copies = pd.read_csv(REFERENCE / "00_data_prep" / "copies.csv")
    in_test = copies[copies["split"] == "test"]
    run = REFERENCE / "10_baseline_cnn--bamb2023"
    overlap = read_json(run / "results.json")["protocol"]["overlap"]
    assert in_test["exact"].sum() == overlap["exact_duplicates"] == 314
    assert set(in_test["sample_id"]) <= set(Predictions.load(run / "predictions.npz").sample_id)


def test_the_stored_aggregates_follow_from_the_runs():
    stored = read_json(REFERENCE / tables.AGGREGATES)
    families = {}
    for result in tables.load_results(REFERENCE):
        families.setdefault(method_of(result["run"]), []).append(result)
    for name in ("20_hybrid_hog_cnn--raw", "10_baseline_cnn--protocol-cached"):
        (merged,) = comparison.merge_seeds(REFERENCE, families[name])
        (known,) = stored[name]["value"]
        assert merged["members"] == known["members"]
        for metric in ("accuracy", "macro_f1"):
            assert_same_metrics({metric: merged["metrics"][metric]}, known["metrics"])
        distinct = {"accuracy": merged["other_metrics"]["without_duplicates"]["accuracy"]}
        assert_same_metrics(distinct, known["other_metrics"]["without_duplicates"])


def test_the_effects_of_protocols_follow_from_the_runs():
    stored = effects.read_effects(REFERENCE / "61_protocol_effects" / "effects.json")
    again, missing = effects.measure_all(REFERENCE)
    assert not missing and [effect.key for effect in again] == [effect.key for effect in stored]
    for one, other in zip(again, stored, strict=True):
        assert (one.runs, one.honest.leak, one.leaky.leak) == (other.runs, "none", other.leaky.leak)
        assert (one.size, *one.by_seed) == pytest.approx((other.size, *other.by_seed), abs=1e-9)
        assert one.interval == pytest.approx(other.interval, abs=1e-3)
