"""The run folder: a result is there when, and only when, a run has finished, with all that judges it."""

import json
import re
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

import fer_utils.run
from fer_utils.data import FaceSet
from fer_utils.evaluation import Evaluation, Predictions, evaluate
from fer_utils.files import read_json
from fer_utils.labels import FER6, FER7
from fer_utils.papers import load_paper
from fer_utils.params import BaselineCNN, Summary, notebook_defaults
from fer_utils.run import Run, describe, environment, heading, measured, published_beside, write_results
from fer_utils.splits import official_split

RATE = {"value": np.float64(0.5), "ci95": [np.float32(0.25), 0.75], "n": np.int64(8)}
PROTOCOL = {
    "split": "by subject", "selection": "last epoch", "subject_independent": True, "leakage": "none",
    "overlap": {"exact_duplicates": np.int64(0)}, "seed": 0,
}  # fmt: skip


def faces(n_each: int = 6) -> FaceSet:
    rng = np.random.default_rng(0)
    split = np.repeat(["train", "validation", "test"], 2 * n_each)
    return FaceSet(
        name="tiny",
        source="synthetic",
        images=rng.integers(256, size=(len(split), 4, 4), dtype=np.uint8),
        labels=np.arange(len(split)) % 2,
        class_names=("happy", "sad"),
        split=split,
        subject=np.char.add("of ", split),
        sample_id=np.arange(len(split)).astype(str),
    )


def evaluation_of(class_names: tuple[str, ...], n: int = 60) -> Evaluation:
    rng = np.random.default_rng(0)
    return evaluate(
        Predictions(
            sample_id=np.arange(n).astype(str),
            truth=np.arange(n) % len(class_names),
            probabilities=rng.dirichlet(np.ones(len(class_names)), size=n),
            class_names=class_names,
        ),
        n_boot=20,
    )


@pytest.fixture
def run(tmp_path) -> Run:
    folder = tmp_path / "smoke" / "10_baseline_cnn--kumar2021"
    values = notebook_defaults("10_baseline_cnn") | {
        "output_dir": str(folder),
        "checkpoint_dir": str(tmp_path),
    }
    return Run(BaselineCNN.checked(values, where="test"))


@pytest.fixture
def summary(tmp_path) -> Run:
    folder = tmp_path / "smoke" / "90_summary"
    return Run(Summary(output_dir=str(folder), reports_dir="reports"))


# --- from start to finish ----------------------------------------------------------------------------


def test_a_run_that_starts_takes_an_earlier_result_away(summary):
    summary.finish()
    again = Run(summary.params)
    assert again.folder == summary.folder
    assert not (again.folder / "results.json").exists()


def test_a_run_leaves_its_parameters_before_it_has_a_result(run):
    import yaml

    stored = yaml.safe_load((run.folder / "params.yaml").read_text(encoding="utf-8"))
    assert stored == run.params.studied()
    assert list(stored) == [name for name in BaselineCNN.model_fields if name in stored]


def test_a_run_of_no_known_notebook_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="did you mean '90_summary'"):
        Run(Summary(output_dir=str(tmp_path / "smoke" / "90_sumary"), reports_dir="reports"))
    assert list(tmp_path.iterdir()) == []


def test_a_finished_study_holds_every_block(run):
    split = official_split(faces())
    result = evaluation_of(("happy", "sad"))
    path = run.finish_study(result, split=split, paper="kumar2021", protocol=PROTOCOL, published=[])
    content = read_json(path)
    first = {
        "kind": "study", "status": "done", "run": "10_baseline_cnn--kumar2021", "variant": "kumar2021",
        "notebook": "10_baseline_cnn", "profile": "smoke", "paper": "kumar2021",
    }  # fmt: skip
    assert {key: content[key] for key in first} == first
    assert content["dataset"] == {
        "name": "tiny", "source": "synthetic", "samples": 36, "classes": ["happy", "sad"],
        "fingerprint": split.test.fingerprint,
    }  # fmt: skip
    assert content["metrics"] == result.metrics and content["confusion_matrix"] == result.confusion_matrix
    assert content["params"] == run.params.studied()


def test_a_finished_run_says_on_what_and_how_long(summary):
    compute = read_json(summary.finish())["compute"]
    assert compute["device"] == "cpu" and re.search(r"\d+ cores?$", compute["device_name"])
    assert compute["seconds"] >= 0 and compute["peak_memory_mb"] > 10


def test_what_the_notebook_knows_of_its_machine_stands_instead(summary):
    compute = read_json(summary.finish(compute={"device": "cuda", "device_name": "a GPU", "seconds": 7.5}))[
        "compute"
    ]
    assert (compute["device"], compute["device_name"], compute["seconds"]) == ("cuda", "a GPU", 7.5)


@pytest.mark.parametrize(("device", "expected"), [("cuda", 2048.1), ("cpu", None)])
def test_a_run_on_a_gpu_says_how_much_of_its_memory_was_used(summary, monkeypatch, device, expected):
    asked = []

    def peak(backend: str) -> float:
        asked.append(backend)
        return 2048.0625

    monkeypatch.setattr(fer_utils.run, "peak_gpu_memory_mb", peak)
    compute = {"device": device, "device_name": "a GPU", "backend": "torch", "seconds": 7.5}
    content = read_json(summary.finish(compute=compute))
    assert content["compute"].get("peak_gpu_memory_mb") == expected
    assert asked == (["torch"] if device == "cuda" else [])


def test_numbers_of_numpy_become_plain(summary):
    content = read_json(
        summary.finish(metrics={"accuracy": RATE}, confusion_matrix=np.eye(2, dtype=np.int64))
    )
    assert content["metrics"]["accuracy"] == {"value": 0.5, "ci95": [0.25, 0.75], "n": 8}
    assert content["confusion_matrix"] == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "blocks",
    [
        {"metrics": {"accuracy": {"value": 0.5, "n": 8}}},
        {"metrics": {"accuracy": RATE | {"ci95": [0.5]}}},
        {"metrcis": {}},
        {"dataset": {"name": "tiny"}},
        {"confusion_matrix": [[0.5]]},
        {"paper": "kumar2020"},
    ],
    ids=lambda blocks: json.dumps(blocks, default=str)[:40],
)
def test_a_block_that_breaks_the_schema_is_refused_and_leaves_no_result(summary, blocks):
    with pytest.raises(jsonschema.ValidationError):
        summary.finish(**blocks)
    assert not (summary.folder / "results.json").exists()


def test_a_study_without_metrics_is_no_result(run):
    with pytest.raises(jsonschema.ValidationError, match="required"):
        run.finish(protocol=PROTOCOL)


def test_what_is_no_number_is_no_result(summary):
    with pytest.raises(ValueError, match="not JSON compliant"):
        summary.finish(metrics={"accuracy": RATE | {"value": float("nan")}})
    with pytest.raises(TypeError, match="Path cannot stand in results"):
        summary.finish(params_file=summary.folder)
    assert not (summary.folder / "results.json").exists()


def test_a_run_that_failed_needs_a_reason(tmp_path):
    first = heading("90_summary", "smoke", status="failed")
    with pytest.raises(jsonschema.ValidationError):
        write_results(tmp_path, first)
    assert read_json(write_results(tmp_path, first | {"reason": "no data"}))["reason"] == "no data"


def test_results_name_no_place_on_this_machine(run):
    path = run.finish_study(evaluation_of(("happy", "sad")), split=official_split(faces()), protocol=PROTOCOL)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"(/|~|[A-Za-z]:\\|file:)', text), "a value begins like an absolute path"
    assert str(run.folder.parents[1]) not in text


# --- the environment ---------------------------------------------------------------------------------


def test_the_environment_holds_what_can_change_a_number():
    found = environment()
    assert {"numpy", "keras", "torch", "scikit-learn"} <= set(found["packages"])
    assert found["packages"]["numpy"] == np.__version__
    assert re.fullmatch(r"3\.1\d\.\d+\S*", found["python"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["created"])
    assert found["commit"] is None or re.fullmatch(r"[0-9a-f]{12}(-modified)?", found["commit"])


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(fer_utils.run, "PROJECT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["commit"] is None


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment()["commit"] is None


# --- beside the papers -------------------------------------------------------------------------------


def test_kumars_table_stands_cell_by_cell_beside_the_six_classes():
    printed = published_beside("kumar2021", evaluation_of(FER6), cells={"Table 2": "*"})
    compared = {record["cell"]: record["compared_with"] for record in printed}
    by_class = {f"per_class.{name}.{metric}" for name in FER6 for metric in ("precision", "recall", "f1")}
    assert by_class <= set(compared.values())
    assert compared["Accuracy / f1"] == "accuracy"
    assert compared["Macro avg / f1"] == "macro_f1"
    assert compared["Weighted avg / f1"] == "weighted_f1"
    assert not [cell for cell in compared if "support" in cell]
    assert {record["table"] for record in printed} == {"Table 2"}


def test_a_pattern_picks_one_row_of_a_table():
    printed = published_beside("kumar2021", evaluation_of(FER6), cells={"Section 5": "35 epochs*"})
    assert [(record["cell"], record["printed"], record["value"]) for record in printed] == [
        ("35 epochs / accuracy", "53%", 0.53)
    ]


def test_the_slides_validation_accuracy_stands_beside_the_accuracy_and_their_losses_beside_nothing():
    printed = published_beside("bamb2023", evaluation_of(FER7), cells={"Slide: FER dataset": "*"})
    assert {record["compared_with"] for record in printed} == {"accuracy"}
    assert ("epoch 50 / val_accuracy", "0.8599") in [
        (record["cell"], record["printed"]) for record in printed
    ]


def test_every_record_is_a_cell_of_the_paper_and_fits_the_schema(summary):
    printed = published_beside("kumar2021", evaluation_of(FER6), cells={"Table 2": "*", "Abstract": "*"})
    assert printed
    for record in printed:
        cell = load_paper("kumar2021").cell(record["table"], record["cell"])
        assert (record["value"], record["printed"]) == (cell.value, cell.printed)
    summary.finish(published=printed)


@pytest.mark.parametrize("cells", [{}, {"Table 9": "*"}, {"Table 2": ""}])
def test_tables_that_were_not_asked_for_stand_beside_nothing(cells):
    assert published_beside("kumar2021", evaluation_of(FER6), cells=cells) == []


def test_a_class_that_was_not_measured_stands_beside_nothing():
    printed = published_beside("kumar2021", evaluation_of(("happy", "sad")), cells={"Table 2": "*"})
    classes = {record["compared_with"].split(".")[1] for record in printed if "." in record["compared_with"]}
    assert classes == {"happy", "sad"}


# --- small things ------------------------------------------------------------------------------------


def test_plain_values_become_records_without_intervals():
    assert measured({"loss": np.float32(0.5)}, n=3) == {"loss": {"value": 0.5, "ci95": None, "n": 3}}


def test_a_data_set_is_described_by_name_source_size_classes_and_content():
    described = describe(faces())
    assert described["source"] == "synthetic" and described["samples"] == 36
    assert described["fingerprint"] == faces().fingerprint


@pytest.mark.parametrize(
    ("run_name", "variant"),
    [("10_baseline_cnn", None), ("10_baseline_cnn--a", "a"), ("10_baseline_cnn--a--b", "a--b")],
)
def test_the_variant_is_what_follows_the_first_two_dashes(run_name, variant):
    first = SimpleNamespace(**heading(run_name, "smoke", status="done"))
    assert (first.notebook, first.variant, first.kind) == ("10_baseline_cnn", variant, "study")
