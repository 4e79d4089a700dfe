"""The table of the recipes beyond the papers: "not run" until there are runs, then what those measured."""

import json

import numpy as np
import pandas as pd
import pytest

from fer_utils import aims
from fer_utils.evaluation import evaluate
from fer_utils.files import project_path, write_json
from fer_utils.predictions import Predictions
from fer_utils.readme import readme_aims

RIGHT = {"": 0.70, "-seed1": 0.74}


def said(share: float) -> Predictions:
    n = 100
    truth = np.arange(n) % 2
    wrong = np.arange(n) >= round(share * n)
    probabilities = np.eye(2, dtype=np.float32)[np.where(wrong, 1 - truth, truth)]
    return Predictions(np.array([f"{i}" for i in range(n)]), truth, probabilities, ("no", "yes"))


def result(run: str, seed: int, metrics: dict, others: dict, *, source: str = "real") -> dict:
    """Return a finished run's results in the form of a committed one."""
    path = project_path("reports/reference") / "40_fastai_transfer--small_resnet" / "results.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored |= {"run": run, "variant": run.partition("--")[2], "profile": "paper", "published": []}
    stored["dataset"]["source"] = source
    stored["params"]["seed"] = stored["protocol"]["seed"] = seed
    return stored | {"metrics": metrics, "other_metrics": others}


@pytest.fixture
def runs(tmp_path):
    """Return a folder with two seeds of the record's recipe and the fast one."""
    for seed, (suffix, share) in enumerate(RIGHT.items()):
        name = aims.RECORD + suffix
        once, ten = said(share), said(share + 0.02)
        distinct = evaluate(once.subset(np.arange(100) < 90)).metrics
        others = {"ten_crop": evaluate(ten).metrics, "without_duplicates": distinct}
        write_json(tmp_path / name / "results.json", result(name, seed, evaluate(once).metrics, others))
        once.save(tmp_path / name / "predictions.npz")
        ten.save(tmp_path / name / "predictions_ten_crop.npz")
    write_json(tmp_path / aims.FAST / "results.json", result(aims.FAST, 0, evaluate(once).metrics, {}))
    epochs = [(10, 21.4, 0.60), (20, 41.2, 0.7020), (30, 61.0, 0.71)]
    looks = [{"epoch": epoch, "seconds": at, "accuracy": share} for epoch, at, share in epochs]
    mirrored = [row | {"accuracy": row["accuracy"] - 0.02} for row in looks]
    pace = {"chosen_epoch": 30, "compile_seconds": 48.2, "starts": 2}
    pace |= {"views": {"one view": looks, "flip_views": mirrored}}
    write_json(tmp_path / aims.FAST / "time_to_accuracy.json", pace)
    return tmp_path


def measured(table: pd.DataFrame) -> list[str]:
    return table["measured"].tolist()


def test_without_runs_every_row_says_so_and_estimates_nothing(tmp_path):
    table = aims.aims_table(tmp_path)
    assert measured(table) == ["not run"] * 6
    assert table["aim"].iloc[-2] == "70.2 % within 60 s"


def test_the_seeds_are_one_row_with_mean_interval_and_spread(runs):
    one, distinct, ten, ten_distinct, seconds, mirrored = measured(aims.aims_table(runs))
    assert one.startswith("72.0 % [") and one.endswith("], sd 2.8; 2 seeds")
    assert ten.startswith("74.0 % [") and ten.endswith("], sd 2.8; 2 seeds")  # an interval of its own
    assert distinct == "80.0 %, sd 3.1; 2 seeds"  # which images those are is not kept
    assert ten_distinct == "not measured"
    apart = ", compiling 48 s more, in 2 starts, AMD EPYC, 2 cores"
    assert seconds == f"71.0 % after 61 s (epoch 30){apart}"  # the chosen epoch, not the first above a mark
    assert mirrored == f"69.0 % after 61 s (epoch 30){apart}"


def test_drawn_faces_are_no_measurement(runs):
    for path in runs.glob("*/results.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["dataset"]["source"] = "synthetic"
        write_json(path, content)
    assert measured(aims.aims_table(runs)) == ["not run"] * 6


def test_the_page_has_what_the_table_has(runs):
    page = readme_aims(aims.aims_table(runs)).splitlines()
    assert page[0] == "| recipe | on PrivateTest | aim | printed elsewhere | measured |"
    assert len(page) == 2 + 6
    assert page[6].count("| 71.0 % after 61 s (epoch 30), compiling") == 1


def test_the_committed_page_is_of_the_runs_that_are_there():
    text = project_path("README.md").read_text(encoding="utf-8")
    assert readme_aims(aims.aims_table(project_path("reports/paper"))) in text
