"""Tables of runs: every number has its interval, and a synthetic one is never compared with a paper."""

import numpy as np
import pandas as pd
import pytest
from results_files import metric, published, put, study, without_result

from fer_utils import comparison, tables
from fer_utils.papers import PAPERS, load_paper
from fer_utils.predictions import Predictions
from fer_utils.results import Results

ROWS = [
    {"class": "happy", "support": 8, "precision": 0.87654, "recall": 0.5, "f1": 0.63, "auc": 0.91},
    {"class": "sad", "support": 2, "precision": 0.25, "recall": 0.5, "f1": 0.33, "auc": None},
]


def row_of(results: list[dict], cell: str) -> dict:
    rows = [row for row in tables.comparison_rows(results) if row["cell"].paper == "kumar2021"]
    (row,) = [row for row in rows if row["cell"].cell == cell]
    return row


# --- one run -------------------------------------------------------------------------------------------


def test_metrics_have_interval_and_n():
    records = {"accuracy": metric(0.54321, 0.52649, 0.55951), "loss": metric(1.79)}
    table = tables.metrics_table({"network": records, "chance": {"accuracy": metric(1 / 6)}})
    assert table.loc["network"].to_dict() == {"accuracy": "0.543 [0.526,\N{NO-BREAK SPACE}0.560]", "n": 3534}
    assert table.loc["chance", "accuracy"] == "0.167"
    assert tables.format_metric(metric(0.5, 0.4, 0.6), percent=True, sd=0.01) == "50.0 % [40.0, 60.0], sd 1.0"


def test_published_values_stand_right_of_the_measured_ones():
    values = [("per_class.happy.f1", 0.82), ("per_class.sad.precision", 0.47), ("accuracy", 0.54)]
    printed = [{"compared_with": place, "value": value} for place, value in values]
    table = tables.per_class_table(ROWS, published=printed)
    columns = ["support", "precision", "precision printed", "recall", "f1", "f1 printed", "auc"]
    assert list(table.columns) == columns
    assert table.loc["happy", "f1 printed"] == 0.82 and pd.isna(table.loc["sad", "f1 printed"])


@pytest.mark.parametrize(("figure", "printed"), [("Fig. 5", "Table 3"), ("Fig. 6", "Table 4")])
def test_rates_of_a_printed_confusion_matrix_are_those_printed_beside_it(figure, printed):
    paper = load_paper("dubey2020")
    (matrix,) = [matrix for matrix in paper.confusion_matrices if figure in matrix.table]
    counts = np.array(matrix.counts)
    truth, predicted = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape))
    ids = np.arange(len(truth)).astype(str)
    found = tables.one_vs_rest_table(Predictions(ids, truth, np.eye(3)[predicted], matrix.class_names))
    cells = [cell for cell in paper.cells if printed in cell.table and cell.class_name in matrix.class_names]
    compared = [cell for cell in cells if cell.metric in found.columns]
    assert compared
    for cell in compared:
        assert found.loc[cell.class_name, cell.metric] == pytest.approx(cell.value, abs=0.006)


# --- many runs -----------------------------------------------------------------------------------------


def test_damaged_results_become_failed_runs_that_name_the_file(tmp_path):
    put(tmp_path, study("a"))
    put(tmp_path, study("b", status="great"))
    put(tmp_path, study("c")).write_text("{half")
    put(tmp_path / ".staging", study("f"))
    (tmp_path / "empty").mkdir()
    results = tables.load_results(tmp_path)
    assert [(r["run"], r["status"]) for r in results] == [("a", "done"), ("b", "failed"), ("c", "failed")]
    for result in results[1:]:
        assert f"{result['run']}/results.json" in result["reason"]
        Results.check(result)


def test_the_runs_table_has_status_metrics_baselines_and_seed():
    table = tables.runs_table([study(), without_result()])
    row = table.loc["10_baseline_cnn--kumar2021"]
    assert (row["accuracy"], row["n"], row["majority"]) == ("0.562 [0.545, 0.578]", "3,534", "0.249")
    assert "50 min" in row["computed on"] and row["seed"] == "0"
    assert tuple(table.loc["10_baseline_cnn--raf", ["status", "reason"]]) == ("not run", "no data")
    assert list(tables.runs_table([]).columns) == list(table.columns)


def seeds(folder, *accuracies: float) -> None:
    rng = np.random.default_rng(0)
    ids, truth = np.arange(200).astype(str), rng.integers(2, size=200)
    for seed, accuracy in enumerate(accuracies):
        predicted = np.where(rng.random(200) < accuracy, truth, 1 - truth)
        predictions = Predictions(ids, truth, np.eye(2)[predicted], ("angry", "happy"))
        run = f"10_baseline_cnn--a--seed{seed}"
        protocol = study()["protocol"] | {"seed": seed}
        note = {"note": "a note"} if seed else {}
        commit = study()["environment"] | {"commit": f"abc{seed}"}
        put(folder, study(run, params={"seed": seed}, protocol=protocol, environment=commit, **note))
        predictions.save(folder / run / "predictions.npz")


def test_merged_seeds_are_stored_until_a_run_changes(tmp_path, monkeypatch):
    seeds(tmp_path, 0.7, 0.7)
    (merged,) = tables.load_methods(tmp_path)
    assert merged["run"] == "10_baseline_cnn--a" and merged["members"]["metrics"]["accuracy"]["n"] == 2
    assert merged["environment"]["commit"] == "abc0, abc1" and merged["note"] == "a note"
    assert "1.7 h for all 2 seeds" in tables.describe_hardware(merged)
    with monkeypatch.context() as patch:
        patch.setattr(comparison, "merge_seeds", lambda *_: pytest.fail("computed again"))
        assert tables.load_methods(tmp_path) == [merged]
    seeds(tmp_path, 0.7, 0.72)
    (changed,) = tables.load_methods(tmp_path)
    assert changed["metrics"]["accuracy"]["ci95"] != merged["metrics"]["accuracy"]["ci95"]


def test_methods_on_the_same_samples_are_compared(tmp_path):
    seeds(tmp_path, 0.6)
    run = "20_hybrid_hog_cnn--b"
    put(tmp_path, study(run))
    first = Predictions.load(tmp_path / "10_baseline_cnn--a--seed0" / "predictions.npz")
    first.save(tmp_path / run / "predictions.npz")
    ((methods, pairs),) = tables.compare_methods(tmp_path)
    assert list(methods.index) == ["10_baseline_cnn--a", run] and len(pairs) == 1
    ((again, _),) = tables.compare_methods(tmp_path)
    pd.testing.assert_frame_equal(methods, again)


# --- papers --------------------------------------------------------------------------------------------


def test_a_real_run_is_compared_with_interval_and_difference():
    accuracy, happy = (row_of([study()], cell) for cell in ("Accuracy / f1", "Happy / f1"))
    assert (accuracy["printed"], accuracy["text"]) == ("0.54", "0.562 [0.545, 0.578]")
    assert accuracy["delta"] == pytest.approx(2.2) and accuracy["n"] == 3534
    assert (happy["measured"], happy["n"]) == (0.79, 879)
    assert row_of([study()], "35 epochs / accuracy")["text"] == "57.1 % [55.0, 59.0]"


def test_headlines_without_a_comparable_number_say_why():
    papers = [load_paper(key) for key in PAPERS]
    every = tables.comparison_rows([])
    assert len(every) == sum(len(paper.headline) for paper in papers)
    assert {(row["text"], row["measured"]) for row in every} == {("not run yet", None)}
    entry = [published("Table 2", "Accuracy / f1", "accuracy")]
    assert row_of([without_result(published=entry)], "Accuracy / f1")["text"] == "not run: no data"
    lacking = study(published=[published("Table 2", "Accuracy / f1", "per_class.bored.f1")])
    assert row_of([lacking], "Accuracy / f1")["measured"] is None


def test_a_synthetic_number_is_labelled_and_never_compared():
    row = row_of([study(source="synthetic")], "Accuracy / f1")
    assert "synthetic" in row["text"]
    assert {row[name] for name in ("measured", "low", "high", "delta")} == {None}
