"""The tables of a notebook: small, rounded, and never a measured number that looks like a printed one."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_utils import display
from fer_utils.papers import load_paper
from fer_utils.predictions import Predictions

ROWS = [
    {"class": "happy", "support": 8, "precision": 0.87654, "recall": 0.5, "f1": 0.63, "auc": 0.91},
    {"class": "sad", "support": 2, "precision": 0.25, "recall": 0.5, "f1": 0.33, "auc": None},
]


def printed(compared_with: str, value: float) -> dict:
    return {"compared_with": compared_with, "value": value, "printed": str(value)}


def test_metrics_are_text_with_interval_and_n():
    network = {"accuracy": {"value": 0.54321, "ci95": [0.52649, 0.55951], "n": 3534}}
    table = display.metrics({"network": network})
    assert table.loc["network"].to_dict() == {"accuracy": "0.543 [0.526, 0.560]", "n": 3534}


def test_a_metric_without_an_interval_stands_alone_and_an_unknown_one_is_left_out():
    chance = {
        "accuracy": {"value": 1 / 6, "ci95": None, "n": 10},
        "loss": {"value": 1.79, "ci95": None, "n": 10},
    }
    assert display.metrics({"chance": chance}).loc["chance", "accuracy"] == "0.167"
    assert "loss" not in display.metrics({"chance": chance})


def test_the_sets_are_rows_in_the_order_given():
    one = {"accuracy": {"value": 1, "ci95": None, "n": 1}}
    assert list(display.metrics({"network": one, "majority": one, "chance": one}).index) == [
        "network", "majority", "chance",
    ]  # fmt: skip


def test_the_per_class_table_rounds_to_three_digits():
    table = display.per_class(ROWS)
    assert list(table.columns) == ["support", "precision", "recall", "f1", "auc"]
    assert table.loc["happy", "precision"] == 0.877
    assert pd.isna(table.loc["sad", "auc"])


def test_each_printed_value_stands_right_of_the_measured_one():
    beside = [
        printed("per_class.happy.f1", 0.82),
        printed("per_class.sad.precision", 0.47),
        printed("accuracy", 0.54),
    ]
    table = display.per_class(ROWS, printed=beside)
    assert list(table.columns) == [
        "support", "precision", "precision printed", "recall", "f1", "f1 printed", "auc",
    ]  # fmt: skip
    assert table.loc["happy", "f1 printed"] == 0.82 and pd.isna(table.loc["sad", "f1 printed"])
    assert table.loc["sad", "precision printed"] == 0.47


def test_printed_values_are_found_by_class_and_metric():
    beside = [
        printed("per_class.happy.f1", 0.82),
        printed("per_class.happy.recall", 0.84),
        printed("ten_crop.accuracy", 0.5),
    ]
    assert display.printed_by_class(beside) == {"happy": {"f1": 0.82, "recall": 0.84}}


def test_layers_are_listed_with_their_shape_and_summed():
    class Dense:
        name, output = "dense", SimpleNamespace(shape=(None, 24, 24, 16))

        def count_params(self):
            return 160

    table = display.layers(SimpleNamespace(layers=[Dense(), Dense()], count_params=lambda: 320))
    assert table.loc["dense"].iloc[0].to_dict() == {"kind": "Dense", "output": "24×24×16", "parameters": 160}
    assert table.loc["total", "parameters"] == 320


@pytest.fixture
def results(tmp_path):
    content = {
        "dataset": {"name": "fer2013", "source": "real"},
        "protocol": {
            "split": "official", "selection": "epoch 3 of 6", "subject_independent": None, "leakage": "none",
            "overlap": {"exact_duplicates": 12}, "seed": 0,
        },
        "compute": {
            "device_name": "a processor, 2 cores", "seconds": 61.6, "samples_per_second": 412.4,
            "peak_memory_mb": 900.2,
        },
        "environment": {"packages": {"numpy": "2.4.6", "keras": "3.15.1"}, "commit": None},
    }  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("figure", "table"), [("Fig. 5", "Table 3"), ("Fig. 6", "Table 4")])
def test_the_measures_of_a_printed_confusion_matrix_are_those_printed_beside_it(figure, table):
    cells = load_paper("dubey2020").cells
    classes = ("Negative", "Positive", "Surprise")
    matrix = np.array([cell.value for cell in cells if cell.table == figure], dtype=int).reshape(3, 3)
    truth, said = (np.repeat(part, matrix.ravel()) for part in (np.arange(9) // 3, np.arange(9) % 3))
    ids = [str(number) for number in range(len(truth))]
    found = display.measures(Predictions(ids, truth, np.eye(3)[said], classes))
    for name in classes:
        printed = {cell.cell.split(" / ")[1]: cell.value for cell in cells if cell.table == table
                   and cell.cell.startswith(f"{name} /")}  # fmt: skip
        for measure, value in printed.items():
            assert found.loc[name, measure] == pytest.approx(value, abs=0.005), (name, measure)


def test_a_class_that_does_not_occur_has_no_recall_and_one_never_said_no_precision():
    found = display.measures(Predictions(["x", "y"], [0, 0], [[1, 0, 0]] * 2, ("a", "b", "c")))
    assert found.loc["b", "n (truth)"] == 0 and pd.isna(found.loc["b", "recall"])
    assert found.loc["b", "precision"] == 0.0 and found.loc["b", "accuracy"] == 1.0
