"""Predictions of any model, scored from a file: metrics, page, and what is wrong with a file."""

import os
import re
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import helper
from sklearn.metrics import f1_score, recall_score
from test_onnx import DESCRIPTION

from fer_utils.cli import main
from fer_utils.comparison import mcnemar_p_value
from fer_utils.evaluation import evaluate
from fer_utils.files import PROJECT, read_json
from fer_utils.labels import FER7
from fer_utils.onnx import METADATA, Card
from fer_utils.predictions import Predictions
from fer_utils.results import read_results

RNG = np.random.default_rng(0)
IDS = [f"PrivateTest_row{row + 2:05d}" for row in range(14, 35)]
TRUTH, CHANCES = np.arange(21) % 7, RNG.dirichlet(np.ones(7), 21)


@pytest.fixture
def copy(tiny) -> Path:
    """A small copy of FER-2013's table, in whose test set one image repeats one of the training set."""
    images = RNG.integers(256, size=(35, 48 * 48))
    images[20] = images[3]
    usages = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 21
    rows = [f"{k % 7},{' '.join(map(str, images[k]))},{usage}" for k, usage in enumerate(usages)]
    path = tiny.folder / "fer2013.csv"
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


def table(ids=IDS, **columns) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": ids} | (columns or dict(zip(FER7, CHANCES.T, strict=True))))


def scored(file: Path, given: pd.DataFrame | None, *options: object) -> tuple[dict, Predictions, str]:
    if given is not None:
        given.to_csv(file, index=False)
    folder = file.with_suffix("")
    assert main(["score", str(file), "--output", str(folder), *map(str, options)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in page and 'src="data:image/png' in page
    return read_results(folder / "results.json"), Predictions.load(folder / "predictions.npz"), page


@pytest.mark.parametrize("ids", [IDS, range(14, 35), [f"C:\\x\\{one}.PNG" for one in IDS]])
def test_probabilities_are_scored_under_the_protocol(copy, ids):
    rows = table(ids).sample(frac=1, random_state=1).rename(columns={"happy": "Happiness"})
    found, predictions, _ = scored(copy.with_name("mine.csv"), rows, "--data-path", copy)
    assert predictions.sample_id.tolist() == IDS and predictions.truth.tolist() == TRUTH.tolist()
    np.testing.assert_allclose(predictions.probabilities, CHANCES, atol=1e-3)
    assert found["metrics"]["macro_f1"]["value"] == evaluate(predictions).metrics["macro_f1"]["value"]
    others, protocol = found["other_metrics"], found["protocol"]
    assert others["without_duplicates"]["accuracy"]["n"] == 20 and protocol["leakage"] == "not known"
    assert protocol["seed"] is found["compute"]["seconds"] is None, "a CSV file does not state them"
    assert "majority_baseline" in others and any(name.startswith("confidence_") for name in others)


def test_labels_are_compared_with_a_run_but_not_ranked(copy, tiny):
    other = Predictions(np.array(IDS), TRUTH, np.eye(7)[TRUTH], FER7)
    other.save(tiny.folder / "reports" / "reference" / "a" / "predictions.npz")
    rows = table(label=np.array(["anger", *FER7[1:]])[CHANCES.argmax(axis=1)])
    options = ("--data-path", copy, "--against", "a", "--selection", "best epoch on PublicTest")
    found, predictions, page = scored(copy.with_name("labels.csv"), rows, *options)
    assert "macro_auc" not in found["metrics"] and "confidence" not in str(list(found["other_metrics"]))
    p_value = found["other_metrics"]["against"]["mcnemar_p"]["value"]
    assert p_value == mcnemar_p_value(predictions, other) and "McNemar" in page
    assert found["protocol"]["selection"] in page


def test_a_network_is_run_on_the_test_images(copy, tmp_path):
    card = Card(class_names=FER7[::-1], image_size=8, n_frames=None, description=DESCRIPTION)
    names = ("images", "gray", "flat", "logits", "probabilities")
    steps = [("Cast", {"to": 1}), ("Flatten", {}), ("MatMul", {}), ("Softmax", {})]
    nodes = [helper.make_node(op, [names[k]], [names[k + 1]], **how) for k, (op, how) in enumerate(steps)]
    nodes[2].input.append("w")
    weights = onnx.numpy_helper.from_array(RNG.normal(0, 1 / 2000, (64, 7)).astype(np.float32), "w")
    source = helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", 8, 8])
    target = helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", 7])
    graph = helper.make_graph(nodes, "g", [source], [target], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.metadata_props.add(key=METADATA, value=card.model_dump_json())
    onnx.save(model, tmp_path / "net.onnx")
    found, predictions, _ = scored(tmp_path / "net.onnx", None, "--data-path", copy)
    assert found["dataset"]["classes"] == list(FER7) and found["compute"]["device"] == "cpu"
    assert predictions.sample_id.tolist() == IDS


def test_a_study_that_leaves_one_subject_out_needs_no_data(tmp_path):
    names, truth, label = np.array(["negative", "positive", "surprise"]), *RNG.integers(3, size=(2, 60))
    rows = table(range(60), label=names[label], truth=names[truth])
    rows = rows.assign(subject=[f"s{k % 9}" for k in range(60)], dataset=["smic", "samm"] * 30)
    found, predictions, _ = scored(tmp_path / "loso.csv", rows)
    uf1, uar = (found["metrics"][key] for key in ("macro_f1", "balanced_accuracy"))
    assert found["protocol"]["overlap"] == {}, "the images are not known"
    assert uf1["value"] == pytest.approx(f1_score(truth, label, average="macro"))
    assert uar["value"] == pytest.approx(recall_score(truth, label, average="macro"))
    assert uf1["ci95"][0] < uf1["value"] < uf1["ci95"][1] and predictions.grouped
    of_smic = found["other_metrics"]["dataset_smic"]["macro_f1"]
    assert of_smic["value"] == pytest.approx(f1_score(truth[::2], label[::2], average="macro"))


def changed(row: int, column: str, value: object) -> pd.DataFrame:
    rows = table().astype(object)
    rows.loc[row, column] = value
    return rows


LOSO = {"subject": ["a"] * 21, "truth": ["happy"] * 21, "label": ["happy"] * 21}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("", "empty"),
        (table().iloc[:0], "rows"),
        (table().to_csv(index=False, sep="|"), "sample_id.*commas"),
        (table().rename(columns={"happy": "hapy"}), "hapy.*'happy'"),
        (table().drop(columns="sad"), "sad"),
        (table().assign(anger=0), "two columns"),
        (table().assign(label="sad"), "column label"),
        (changed(2, "fear", "nan"), "row 4, column fear: 'nan'"),
        (changed(2, "fear", "0,5"), "row 4, column fear: '0,5'"),
        (changed(2, "fear", -3.5), "row 4, column fear: '-3.5'.*softmax"),
        (changed(3, "fear", 0.9), "row 5, column sum.*softmax"),
        (table(label=["sad"] * 20 + ["sed"]), "row 22, column label: 'sed'.*'sad'"),
        (table().iloc[3:], "3 of 21 .*row00016"),
        (changed(1, "sample_id", IDS[0]), "row 3, column sample_id.*earlier"),
        (changed(1, "sample_id", 14), "row 3, column sample_id: '14'.*earlier"),
        (changed(1, "sample_id", "PrivatTest_row00017"), "row 3, .*'PrivateTest_row00017'"),
        (changed(1, "sample_id", "Training_row00002"), "row 3, .*train"),
        (table(**LOSO), "two or more subjects"),
        (table(**LOSO | {"subject": ["a", "A "] + ["b"] * 19}), "'A' and 'a' hardly differ"),
        (table(**LOSO).drop(columns="truth"), "subject and truth"),
        (table(**LOSO | {"truth": ["happy"] * 20 + [""]}), "row 22, column truth: ''"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_row_and_column(copy, capsys, given, named):
    file = copy.with_name("bad.csv")
    file.write_text(given if isinstance(given, str) else given.to_csv(index=False))
    assert main(["score", str(file), "--data-path", str(copy)]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert re.search(named, message) and "bad.csv" in message


def test_a_finished_run_is_never_replaced(copy, tiny, capsys):
    tiny.finished_earlier()
    table().to_csv(copy.with_name("a.csv"), index=False)
    assert main(["score", str(copy.with_name("a.csv")), "--output", str(tiny.target)]) == 2
    assert str(tiny.target) in capsys.readouterr().err


@pytest.mark.parametrize("run", ["40_fastai_transfer--small_resnet", "10_baseline_cnn--kumar2021"])
def test_the_predictions_of_a_reference_run_give_its_metrics(run, tmp_path):
    if not (path := os.environ.get("FER2013_PATH")):
        pytest.skip("FER2013_PATH does not name the zip of FER-2013")
    folder = PROJECT / "reports" / "reference" / run
    stored, kept = read_json(folder / "results.json"), Predictions.load(folder / "predictions.npz")
    chances = dict(zip(kept.class_names, kept.probabilities.T.astype(float), strict=True))
    found, _, _ = scored(tmp_path / "run.csv", table(kept.sample_id, **chances), "--data-path", path)
    assert found["confusion_matrix"] == stored["confusion_matrix"]
    distinct = (one["other_metrics"]["without_duplicates"] for one in (found, stored))
    for ours, theirs in ((found["metrics"], stored["metrics"]), tuple(distinct)):
        for name, record in theirs.items():
            assert ours[name]["value"] == pytest.approx(record["value"])
            assert ours[name]["ci95"] == pytest.approx(record["ci95"], abs=1e-3)
