"""Methods are compared on the same samples; sweeps are compared on validation."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
from helpers.settings import notebook_params

from fer_utils.comparison import (
    compare_methods,
    cross_validate,
    mcnemar_p_value,
    mean_metrics,
    merge_seeds,
    methods_table,
    paired_difference,
    pairs_table,
    sweep,
)
from fer_utils.evaluation import evaluate
from fer_utils.predictions import Predictions
from fer_utils.synthetic import synthetic_faces

N = 120
TRUTH = np.arange(N) % 3


def predictions(accuracy: float, *, seed: int = 0, group: str | np.ndarray = "") -> Predictions:
    """Return predictions with exactly this accuracy."""
    wrong = np.random.default_rng(seed).permutation(N)[round(accuracy * N) :]
    predicted = TRUTH.copy()
    predicted[wrong] = (predicted[wrong] + 1) % 3
    ids = np.array([f"i{number:03d}" for number in range(N)])
    return Predictions(ids, TRUTH, np.eye(3)[predicted] * 0.7 + 0.1, ("a", "b", "c"), group=group)


def two_class(correct: np.ndarray, *, group: list[str] | str = "") -> Predictions:
    """Return predictions of samples of one class, correct where `correct` is True."""
    ids = [f"{row:03d}" for row in range(len(correct))]
    probabilities = np.eye(2)[(~correct).astype(int)]
    return Predictions(ids, np.zeros(len(correct), int), probabilities, ("a", "b"), group=group)


PARAMS = notebook_params("20_hybrid_hog_cnn")
SUBJECTS = np.array([f"s{number % 12}" for number in range(N)])


# --- means over seeds -----------------------------------------------------------------------------


def test_a_mean_over_seeds_has_value_interval_and_n():
    runs = [predictions(0.5), predictions(0.6, seed=1), predictions(0.7, seed=2)]
    found = mean_metrics(runs)
    assert found["accuracy"]["value"] == pytest.approx(0.6) and found["accuracy"]["n"] == N
    for record in found.values():
        assert record["ci95"][0] < record["value"] < record["ci95"][1]
    spread = np.std([run.correct.mean() for run in runs], ddof=1) / np.sqrt(3)
    assert np.diff(found["accuracy"]["ci95"]) > 2 * 1.96 * spread, "the seeds differ, too"
    alone = evaluate(runs[0]).metrics["macro_f1"]
    assert mean_metrics(runs[:1])["macro_f1"]["ci95"] == pytest.approx(alone["ci95"])
    turned = mean_metrics([run.subset(np.arange(N)[::-1]) for run in reversed(runs)])
    assert turned["macro_f1"]["ci95"] == pytest.approx(found["macro_f1"]["ci95"])


def test_runs_on_different_splits_are_averaged_over_all_their_samples():
    runs = [predictions(0.5, group=SUBJECTS), predictions(0.7, seed=1, group=SUBJECTS)]
    halves = [runs[0].subset(np.arange(0, 60)), runs[1].subset(np.arange(30, 90))]
    found = mean_metrics(halves)["accuracy"]
    assert found["value"] == pytest.approx(np.mean([half.correct.mean() for half in halves]))
    assert found["ci95"][0] < found["value"] < found["ci95"][1] and found["n"] == 90
    of_two = np.repeat(["a", "b"], N // 2)  # some resamples have no sample of one run
    apart = [predictions(0.55, group=of_two).subset(of_two == subject) for subject in "ab"]
    assert np.isfinite(mean_metrics(apart)["accuracy"]["ci95"]).all()


# --- differences ----------------------------------------------------------------------------------


def test_mcnemar_by_hand():
    a, b = two_class(np.arange(10) < 7), two_class(~np.isin(np.arange(10), range(2, 9)))
    assert mcnemar_p_value(a, b.subset(np.arange(10)[::-1])) == pytest.approx(2 * (1 + 6) / 2**6)
    assert mcnemar_p_value(a, a) == 1
    with pytest.raises(ValueError, match="independent samples"):
        mcnemar_p_value(replace(a, group="s1"), replace(b, group="s1"))


def test_a_paired_difference_is_that_of_the_means_over_seeds():
    better = [predictions(0.9, seed=seed) for seed in range(3)]
    worse = [predictions(0.5, seed=seed) for seed in range(10, 12)]
    found = paired_difference(better, worse)
    assert found.value == pytest.approx(0.4)
    assert 0 < found.interval[0] < found.value < found.interval[1] and found.p_value < 0.001


def test_a_paired_difference_resamples_whole_groups():
    correct, group = np.repeat(np.arange(20) % 2 == 0, 10), [f"s{i // 10}" for i in range(200)]
    a, b = two_class(correct), two_class(~correct)
    alone = paired_difference([a], [b]).standard_error
    grouped = paired_difference([replace(a, group=group)], [replace(b, group=group)])
    assert grouped.standard_error / alone == pytest.approx(np.sqrt(10), rel=0.15)
    assert grouped.freedom == pytest.approx(19)
    assert paired_difference([replace(a, group="s1")], [replace(b, group="s1")]) is None
    with pytest.raises(ValueError, match="in one run only"):
        paired_difference([a], [a.subset(np.arange(100))])


def test_tables_have_a_row_per_method_and_per_pair():
    methods = {
        "raw": [predictions(0.5), predictions(0.6, seed=1)],
        "hybrid": [predictions(0.9, seed=2), predictions(0.85, seed=3)],
        "hog": [predictions(0.4, seed=4)],
    }
    table = methods_table(methods)
    assert table["accuracy"].to_dict() == pytest.approx({"raw": 0.55, "hybrid": 0.875, "hog": 0.4})
    assert table["seeds"].tolist() == [2, 2, 1] and np.isnan(table.loc["hog", "sd over seeds"])
    pairs = pairs_table(methods)
    assert pairs.index.tolist() == ["raw − hybrid", "raw − hog", "hybrid − hog"]
    assert pairs["difference"].tolist() == pytest.approx([-0.325, 0.15, 0.475])
    every = [paired_difference(*pair).p_value for pair in combinations(methods.values(), 2)]
    assert pairs["p (Holm)"].max() == pytest.approx(max(every))
    assert pairs["p (Holm)"].min() == pytest.approx(3 * min(every))
    assert pairs_table({"raw": [predictions(0.5)]}).empty


# --- finished runs --------------------------------------------------------------------------------


def result(folder, name: str, made: Predictions, *, seed: int = 0, rate: float = 0.1, **changes) -> dict:
    (folder / name).mkdir()
    made.save(folder / name / "predictions.npz")
    found = evaluate(made, n_boot=0)
    return {
        "run": name,
        "variant": name.split("--", 1)[1],
        "status": "done",
        "dataset": {"source": "real"},
        "metrics": found.metrics,
        "per_class": found.per_class,
        "other_metrics": {"without_duplicates": found.metrics},
        "protocol": {
            "seed": seed,
            "leakage": "none",
            "selection": f"epoch {9 - seed} of 9, best on validation",
        },
        "compute": {"seconds": 10.0},
        "params": {"seed": seed, "learning_rate": rate},
    } | changes


def test_runs_are_grouped_by_method_and_by_their_test_samples(tmp_path):
    results = [
        result(tmp_path, "20--raw--seed0", predictions(0.5)),
        result(tmp_path, "20--raw--seed1", predictions(0.6, seed=1).subset(np.arange(N)[::-1])),
        result(tmp_path, "20--hog", predictions(0.4, seed=2)),
        result(tmp_path, "10--other", predictions(0.5).subset(np.arange(60))),
        result(tmp_path, "20--synthetic", predictions(0.4), dataset={"source": "synthetic"}),
        result(tmp_path, "20--failed", predictions(0.4), status="failed"),
        result(tmp_path, "20--leaky", predictions(0.9), protocol={"leakage": "random split"}),
        {"run": "20--absent", "status": "done", "dataset": {"source": "real"}},
    ]
    ((methods, pairs),) = compare_methods(tmp_path, results)
    seeds = methods["columns"].index("seeds")
    assert {row[0]: row[seeds] for row in methods["data"]} == {"20--raw": 2, "20--hog": 1}
    assert len(pairs["data"]) == 1


def test_the_seeds_of_a_method_are_merged_with_mean_spread_and_all_seeds(tmp_path):
    results = [
        result(tmp_path, "20--raw--seed0", predictions(0.5), seed=0),
        result(tmp_path, "20--hog", predictions(0.4), seed=0),
        result(tmp_path, "20--raw--seed1", predictions(0.6, seed=1), seed=1),
        {"run": "20--raw--seed2", "status": "failed", "reason": "no disk"},
    ]
    raw, hog, failed = merge_seeds(tmp_path, results)
    assert (raw["run"], raw["variant"], raw["protocol"]["seed"]) == ("20--raw", "raw", [0, 1])
    assert raw["protocol"]["selection"] == "each seed's epoch of 9, best on validation"
    assert raw["metrics"]["accuracy"]["value"] == pytest.approx(0.55)
    assert raw["metrics"]["accuracy"]["ci95"][0] < 0.55 < raw["metrics"]["accuracy"]["ci95"][1]
    assert raw["members"]["runs"] == ["20--raw--seed0", "20--raw--seed1"]
    assert raw["members"]["metrics"]["accuracy"] == pytest.approx({"mean": 0.55, "sd": 0.0707107, "n": 2})
    assert raw["other_metrics"]["without_duplicates"]["accuracy"]["value"] == pytest.approx(0.55)
    assert raw["compute"]["seconds"] == 20
    recalls = [row["per_class"][0]["recall"] for row in (raw, results[0], results[2])]
    assert recalls[0] == pytest.approx(sum(recalls[1:]) / 2)
    assert hog == results[1] and failed == results[3]


def test_unstated_parameters_may_differ_and_stated_ones_and_the_network_may_not(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.comparison.PROJECT", tmp_path)
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "10--random.yaml").write_text(
        "rate: 0.1\ngrid: {seed: [0, 1]}\n", encoding="utf-8"
    )
    runs = [
        result(tmp_path, f"10--random--seed{n}", predictions(0.5), seed=n, rate=0.1, unused=n) for n in (0, 1)
    ]
    assert len(merge_seeds(tmp_path, runs)) == 1
    runs[1]["params"]["rate"] = 0.2
    assert len(merge_seeds(tmp_path, runs)) == 2
    runs[1]["params"]["rate"] = 0.1
    runs[1]["compute"] = {**runs[1].get("compute", {}), "parameters": 7}
    assert len(merge_seeds(tmp_path, runs)) == 2


# --- sweeps ---------------------------------------------------------------------------------------


@dataclass
class Pretended:
    """Correct on as large a share of its images as its learning rate says."""

    rate: float
    labels: np.ndarray
    epochs: int = 3
    seconds: float = 2.0
    parameters: int = 10

    @property
    def validation(self) -> Predictions:
        correct = np.arange(len(self.labels)) < round(self.rate * len(self.labels))
        predicted = np.where(correct, self.labels, 1 - self.labels)
        ids = np.array([f"v{i}" for i in range(len(self.labels))])
        return Predictions(ids, self.labels, np.eye(2)[predicted], ("happy", "sad"))


def test_a_sweep_shows_what_differs_and_the_accuracy_on_validation():
    cells = [PARAMS.varied(learning_rate=rate) for rate in (0.3, 0.8)]
    table = sweep(cells, lambda cell: Pretended(cell.learning_rate, np.zeros(10, int)))
    columns = ["learning_rate", "accuracy", "low", "high", "n", "epochs", "parameters", "seconds"]
    assert table.columns.tolist() == columns
    assert table["accuracy"].tolist() == pytest.approx([0.3, 0.8])
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()


def test_cross_validation_holds_every_image_out_once_and_lists_the_best_cell_first():
    faces = synthetic_faces(n_subjects=40, images_per_subject=1, size=16)
    train = replace(faces, labels=np.arange(40) % 2, class_names=("happy", "sad"))
    seen = []

    def pretend(cell, part, held_out):
        seen.extend(held_out.sample_id)
        assert not set(part.sample_id) & set(held_out.sample_id)
        return Pretended(cell.learning_rate, held_out.labels)

    asked = PARAMS.varied(cv_folds=4, cv_grid={"depth": ["shallow"], "learning_rate": [0.2, 0.6]})
    table = cross_validate(asked, train, pretend, log=str)
    assert table["learning_rate"].tolist() == [0.6, 0.2]
    assert table["mean"].tolist() == pytest.approx([0.6, 0.2])
    assert table["n"].tolist() == [40, 40] and table["seconds"].tolist() == [8.0, 8.0]
    assert sorted(seen[:40]) == train.sample_id.tolist()
