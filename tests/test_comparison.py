"""Methods are compared on the same samples, seed by seed and over the seeds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fer_utils.comparison import (
    as_metrics,
    comparable_methods,
    merge_seeds,
    method_of,
    methods_table,
    over_seeds,
    over_splits,
    pairs_table,
)
from fer_utils.evaluation import Predictions, evaluate, mcnemar_exact, paired_bootstrap

N = 120
TRUTH = np.arange(N) % 3


def predictions(accuracy: float, *, seed: int = 0, group: str | np.ndarray = "") -> Predictions:
    """Return predictions of which exactly this share is right."""
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(N)[round(accuracy * N) :]
    answer = TRUTH.copy()
    answer[wrong] = (answer[wrong] + 1) % 3
    ids = np.array([f"i{number:03d}" for number in range(N)])
    return Predictions(ids, TRUTH, np.eye(3)[answer] * 0.7 + 0.1, ("a", "b", "c"), group=group)


def test_a_method_is_the_mean_of_its_seeds_with_their_spread():
    found = over_seeds([predictions(0.5), predictions(0.6, seed=1), predictions(0.7, seed=2)])
    assert found["mean"] == pytest.approx(0.6) and found["sd"] == pytest.approx(0.1)
    assert (found["seeds"], found["n"]) == (3, N)
    assert found["ci95"][0] < 0.6 < found["ci95"][1]


def test_random_splits_are_averaged_and_their_people_drawn_for_all_of_them():
    people = np.array([f"s{number % 12}" for number in range(N)])
    runs = [predictions(0.5, group=people), predictions(0.7, seed=1, group=people)]
    halves = [runs[0].subset(np.arange(0, 60)), runs[1].subset(np.arange(30, 90))]
    found = over_splits(halves)
    assert found["value"] == pytest.approx(np.mean([half.correct.mean() for half in halves]))
    assert found["ci95"][0] < found["value"] < found["ci95"][1]
    assert found["n"] == 90


def test_one_split_over_all_samples_has_the_interval_of_its_evaluation():
    run = predictions(0.55, group=np.array([f"s{number % 12}" for number in range(N)]))
    found, alone = over_splits([run], metric="macro_f1"), evaluate(run).metrics["macro_f1"]
    assert found == {key: pytest.approx(value) for key, value in alone.items()}


def test_a_split_whose_people_were_not_drawn_spoils_no_interval():
    people = np.repeat(["a", "b"], N // 2)
    run = predictions(0.55, group=people)
    found = over_splits([run.subset(people == "a"), run.subset(people == "b")], n_boot=50)
    assert found["ci95"] is not None and np.isfinite(found["ci95"]).all()


def test_one_seed_has_the_values_of_its_evaluation_and_no_spread():
    run = predictions(0.55)
    found, alone = over_seeds([run], metric="macro_f1"), evaluate(run).metrics["macro_f1"]
    assert found["mean"] == pytest.approx(alone["value"]) and found["sd"] is None
    assert found["ci95"] == pytest.approx(alone["ci95"])


def test_the_order_of_samples_and_seeds_does_not_matter():
    runs = [predictions(0.5), predictions(0.6, seed=1)]
    turned = [run.subset(np.arange(N)[::-1]) for run in reversed(runs)]
    first, second = over_seeds(runs), over_seeds(turned)
    assert first["mean"] == pytest.approx(second["mean"]) and first["ci95"] == pytest.approx(second["ci95"])


def test_different_samples_are_refused():
    with pytest.raises(ValueError, match="different samples"):
        over_seeds([predictions(0.5), predictions(0.5).subset(np.arange(N - 1))])


def test_the_table_of_methods_has_one_row_each():
    table = methods_table({"raw": [predictions(0.5), predictions(0.6, seed=1)], "hog": [predictions(0.4)]})
    assert table.index.tolist() == ["raw", "hog"]
    assert table["accuracy"].tolist() == pytest.approx([0.55, 0.4])
    assert table["seeds"].tolist() == [2, 1] and (table["n"] == N).all()
    assert np.isnan(table.loc["hog", "sd over seeds"])


def test_every_pair_has_its_difference_and_a_p_value_per_common_seed():
    methods = {
        "raw": [predictions(0.5), predictions(0.55, seed=1)],
        "hybrid": [predictions(0.9, seed=2), predictions(0.85, seed=3)],
        "hog": [predictions(0.4, seed=4)],
    }
    table = pairs_table(methods)
    assert table.index.tolist() == ["raw − hybrid", "raw − hog", "hybrid − hog"]
    row, between = table.loc["raw − hybrid"], paired_bootstrap(methods["raw"], methods["hybrid"])
    assert row["difference"] == pytest.approx(-0.35)
    assert [row["low"], row["high"]] == between.ci95
    tests = [mcnemar_exact(*pair) for pair in zip(methods["raw"], methods["hybrid"], strict=True)]
    assert row["McNemar p"] == ", ".join(f"{test.p_value:.2g}" for test in tests)
    assert "," not in table.loc["raw − hog", "McNemar p"]


def test_grouped_samples_have_no_mcnemar_test():
    subjects = np.array([f"s{number % 8}" for number in range(N)])
    methods = {name: [predictions(0.5, seed=seed, group=subjects)] for seed, name in enumerate("ab")}
    assert pairs_table(methods)["McNemar p"].tolist() == [None]


def test_a_single_method_has_no_pairs():
    assert pairs_table({"raw": [predictions(0.5)]}).empty


def test_metric_records_carry_value_interval_and_n():
    records = as_metrics([predictions(0.5), predictions(0.6, seed=1)])
    assert records["accuracy"]["value"] == pytest.approx(0.55) and records["accuracy"]["n"] == N
    assert records["macro_f1"]["ci95"][0] <= records["macro_f1"]["value"] <= records["macro_f1"]["ci95"][1]


@pytest.mark.parametrize(
    ("run", "method"),
    [("20_x--raw-seed0", "20_x--raw"), ("20_x--raw-seed12", "20_x--raw"), ("20_x--seed", "20_x--seed")],
)
def test_a_seed_is_the_end_of_a_runs_name(run, method):
    assert method_of(run) == method


def test_runs_are_grouped_by_method_and_by_the_samples_they_share(tmp_path):
    def run(name: str, made: Predictions, *, source: str = "real", status: str = "done") -> dict:
        (tmp_path / name).mkdir()
        made.save(tmp_path / name / "predictions.npz")
        (tmp_path / name / "results.json").write_text(json.dumps({"run": name}))
        return {"run": name, "status": status, "dataset": {"source": source}}

    half = predictions(0.5).subset(np.arange(60))
    results = [
        run("20--raw-seed0", predictions(0.5)),
        run("20--raw-seed1", predictions(0.6, seed=1).subset(np.arange(N)[::-1])),
        run("20--hog", predictions(0.4, seed=2)),
        run("10--other", half),
        run("20--drawn", predictions(0.4), source="synthetic"),
        run("20--broken", predictions(0.4), status="failed"),
        {"run": "20--absent", "status": "done", "dataset": {"source": "real"}},
    ]
    (group,) = comparable_methods(tmp_path, results)
    assert {name: len(runs) for name, runs in group.items()} == {"20--raw": 2, "20--hog": 1}


def result(tmp_path, name: str, made: Predictions, *, seed: int, rate: float = 0.1) -> dict:
    (tmp_path / name).mkdir()
    made.save(tmp_path / name / "predictions.npz")
    found = evaluate(made, n_boot=0).metrics
    return {
        "run": name,
        "variant": name.split("--")[1],
        "status": "done",
        "dataset": {"source": "real"},
        "metrics": found,
        "other_metrics": {"without_duplicates": found},
        "protocol": {"seed": seed, "selection": f"epoch {9 - seed} of 9, best on validation"},
        "compute": {"seconds": 10.0},
        "params": {"seed": seed, "learning_rate": rate},
    }


def test_the_seeds_of_a_method_become_one_result_with_mean_spread_and_all_seeds(tmp_path):
    results = [
        result(tmp_path, "20--raw-seed0", predictions(0.5), seed=0),
        result(tmp_path, "20--hog", predictions(0.4), seed=0),
        result(tmp_path, "20--raw-seed1", predictions(0.6, seed=1), seed=1),
        {"run": "20--raw-seed2", "status": "failed", "reason": "no disk"},
    ]
    raw, hog, failed = merge_seeds(tmp_path, results)
    assert (raw["run"], raw["variant"], raw["protocol"]["seed"]) == ("20--raw", "raw", [0, 1])
    assert raw["protocol"]["selection"] == "each seed's epoch of 9, best on validation"
    assert raw["metrics"]["accuracy"]["value"] == pytest.approx(0.55)
    assert raw["metrics"]["accuracy"]["ci95"][0] < 0.55 < raw["metrics"]["accuracy"]["ci95"][1]
    assert raw["members"]["runs"] == ["20--raw-seed0", "20--raw-seed1"]
    assert raw["members"]["metrics"]["accuracy"] == pytest.approx({"mean": 0.55, "sd": 0.0707107, "n": 2})
    assert raw["other_metrics"]["without_duplicates"]["accuracy"]["value"] == pytest.approx(0.55)
    assert raw["compute"]["seconds"] == 20
    assert hog == results[1] and failed == results[3]


def test_runs_that_differ_in_more_than_the_seed_stay_apart(tmp_path):
    results = [
        result(tmp_path, "20--raw-seed0", predictions(0.5), seed=0),
        result(tmp_path, "20--raw-seed1", predictions(0.6, seed=1), seed=1, rate=0.2),
    ]
    assert merge_seeds(tmp_path, results) == results


def test_seeds_that_also_draw_what_is_reported_are_merged_as_splits(tmp_path):
    first = predictions(0.5)
    second = predictions(0.7, seed=1)
    other = replace(second, sample_id=np.strings.add("other ", second.sample_id))
    results = [
        result(tmp_path, "10--random-seed0", first, seed=0),
        result(tmp_path, "10--random-seed1", other, seed=1),
    ]
    (merged,) = merge_seeds(tmp_path, results)
    low, high = merged["metrics"]["accuracy"]["ci95"]
    assert low < 0.6 < high and merged["metrics"]["accuracy"]["value"] == pytest.approx(0.6)
    assert [low, high] == over_splits([first, other])["ci95"]
