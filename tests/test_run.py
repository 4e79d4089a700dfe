"""The run folder: a result exists when, and only when, a run has finished."""

import re
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.face_sets import face_set

import fer_utils.results
from fer_utils import hardware
from fer_utils.data import FaceSet
from fer_utils.evaluation import Evaluation, Predictions, evaluate
from fer_utils.files import ConfigError, project_path, read_json
from fer_utils.labels import FER6
from fer_utils.papers import load_paper, published_values
from fer_utils.params import BaselineCNN, Summary
from fer_utils.results import Environment, schema
from fer_utils.run import Run, heading, notebook_defaults, write_results

RATE = {"value": np.float64(0.5), "ci95": [np.float32(0.25), 0.75], "n": np.int64(8)}
HISTORY = pd.DataFrame({"epoch": [1, 2], "seconds": [2.0, 3.0], "images_per_second": [10.0, 14.0]})


def faces(split: str, n: int) -> FaceSet:
    images = np.random.default_rng(0).integers(256, size=(n, 4, 4))
    fields = {"name": "tiny", "source": "synthetic", "origin": {"file": "tiny.csv"}}
    fields["sample_id"] = np.array([f"{split}{i}" for i in range(n)])
    return face_set(images, split=np.full(n, split), **fields)


def split() -> SimpleNamespace:
    parts = {"train": faces("train", 12), "validation": faces("validation", 6), "test": faces("test", 8)}
    facts = {"n_samples": 26, "subject_independent": None, "leakage": "none", "repeated": np.ones(3, bool)}
    return SimpleNamespace(description="official", **parts, **facts)


def evaluation_of(class_names: tuple[str, ...], n: int = 60) -> Evaluation:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(class_names)), size=n)
    predictions = Predictions(
        sample_id=np.arange(n).astype(str),
        truth=np.arange(n) % len(class_names),
        probabilities=probabilities,
        class_names=class_names,
    )
    return evaluate(predictions, n_boot=20)


@pytest.fixture
def run(tmp_path) -> Run:
    folders = {"output_dir": str(tmp_path / "smoke" / "10_baseline_cnn--a"), "checkpoint_dir": str(tmp_path)}
    return Run(BaselineCNN.from_values(notebook_defaults("10_baseline_cnn") | folders))


@pytest.fixture
def summary(tmp_path) -> Run:
    return Run(Summary(output_dir=str(tmp_path / "smoke" / "90_summary"), reports_dir="reports"))


def test_a_run_that_starts_removes_an_earlier_result_and_writes_its_parameters(run, summary):
    summary.finish()
    assert not (Run(summary.params).folder / "results.json").exists()
    stored = yaml.safe_load((run.folder / "params.yaml").read_text(encoding="utf-8"))
    assert stored == run.params.studied()


def test_a_run_of_no_known_notebook_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="'90_summary'"):
        Run(Summary(output_dir=str(tmp_path / "smoke" / "90_sumary"), reports_dir="reports"))
    assert list(tmp_path.iterdir()) == []


def test_a_finished_study_derives_data_protocol_and_cost(run, monkeypatch):
    machine = {"device": "cuda", "device_name": "a GPU", "backend": "torch", "threads": 2}
    monkeypatch.setattr(hardware, "_current", machine)
    monkeypatch.setattr(hardware, "peak_gpu_memory_mb", {"torch": 2048.06}.get)
    result = evaluation_of(("happy", "sad"))
    path = run.finish(
        result,
        split=split(),
        selection="epoch 2 of 2, best on validation",
        history=HISTORY,
        n_parameters=np.int64(1000),
        others={"validation": {"accuracy": RATE}},
        paper="kumar2021",
    )
    content = read_json(path)
    first = {
        "kind": "study",
        "status": "done",
        "run": "10_baseline_cnn--a",
        "variant": "a",
        "paper": "kumar2021",
    }
    assert first.items() <= content.items()
    assert content["dataset"]["samples"] == 26 and content["dataset"]["form"] == "tiny.csv"
    assert content["protocol"] == {
        "split": "official",
        "selection": "epoch 2 of 2, best on validation",
        "subject_independent": None,
        "leakage": "none",
        "overlap": {"exact_duplicates": 3},
        "seed": 0,
    }
    cost = machine | {"seconds": 5.0, "peak_gpu_memory_mb": 2048.1}
    cost |= {"epochs": 2, "samples_per_second": 12.0, "parameters": 1000}
    assert cost.items() <= content["compute"].items()
    assert content["metrics"] == result.metrics and content["confusion_matrix"] == result.confusion_matrix
    assert content["other_metrics"]["validation"]["accuracy"] == {"value": 0.5, "ci95": [0.25, 0.75], "n": 8}
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"(/|~|[A-Za-z]:\\|file:)', text), "a value begins like an absolute path"
    assert "official" in run.summary()[""].to_dict().values()


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"metrics": {"accuracy": {"value": 0.5, "n": 8}}}, "metrics.accuracy.ci95"),
        ({"metrics": {"accuracy": {"value": float("nan"), "n": 8, "ci95": None}}}, "metrics.accuracy.value"),
        ({"metrcis": {}}, "metrcis"),
        ({"paper": "kumar2020"}, "paper"),
        ({"status": "failed"}, "reason"),
        ({"kind": "study"}, "study"),
    ],
)
def test_content_of_another_form_is_refused_and_leaves_no_file(tmp_path, block, named):
    with pytest.raises(ConfigError, match=named):
        write_results(tmp_path, heading("90_summary", "smoke", status="done") | block)
    assert not (tmp_path / "results.json").exists()


def test_the_committed_schema_is_that_of_the_models():
    assert project_path("fer_utils/results.schema.json").read_text(encoding="utf-8") == schema()


def test_the_environment_has_versions_and_commit(tmp_path, monkeypatch):
    found = Environment.current()
    assert found["packages"]["numpy"] == np.__version__ and {"keras", "torch"} <= set(found["packages"])
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{12}(-modified)?", found["commit"])
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(fer_utils.results, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as in a container
    unknown = Environment.current()
    assert unknown["commit"] is None and "dubious ownership" in unknown["commit_unknown"]


def test_printed_cells_stand_beside_the_metrics_that_were_measured(tmp_path):
    printed = published_values("kumar2021", evaluation_of(FER6), cells={"Table 2": "*"})
    compared = {record["cell"]: record["compared_with"] for record in printed}
    by_class = {f"per_class.{name}.{metric}" for name in FER6 for metric in ("precision", "recall", "f1")}
    assert by_class <= set(compared.values())
    assert compared["Accuracy / f1"] == "accuracy" and compared["Macro avg / f1"] == "macro_f1"
    for record in printed:
        cell = load_paper("kumar2021").cell(record["table"], record["cell"])
        assert (record["value"], record["printed"]) == (cell.value, cell.printed)
    write_results(tmp_path, heading("90_summary", "smoke", status="done") | {"published": printed})


def test_cells_that_are_not_asked_for_or_not_measured_are_left_out():
    one = published_values("kumar2021", evaluation_of(FER6), cells={"Section 5": "35 epochs*"})
    assert [(record["cell"], record["value"]) for record in one] == [("35 epochs / accuracy", 0.53)]
    two = published_values("kumar2021", evaluation_of(("happy", "sad")), cells={"Table 2": "*"})
    classes = {record["compared_with"].split(".")[1] for record in two if "." in record["compared_with"]}
    assert classes == {"happy", "sad"}
