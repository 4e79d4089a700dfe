"""Metrics agree with scikit-learn, and intervals cover what they promise."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.evaluation import (
    METRICS,
    evaluate,
    measure,
    reference_points,
    reliability,
    reliability_records,
)
from fer_utils.predictions import Predictions
from fer_utils.splits import official_split, random_folds
from fer_utils.statistics import wilson_interval
from fer_utils.synthetic import synthetic_faces

SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
BOUNDED = settings(derandomize=True, deadline=None, max_examples=10)


def classifier(n: int = 400, *, seed: int = 0, skill: float = 1.0) -> Predictions:
    """Return predictions for classes of unequal size; the truth depends on `n` only."""
    truth = np.random.default_rng(n).choice(7, size=n, p=np.arange(1, 8) / 28)
    logits = np.random.default_rng(seed).normal(size=(n, 7))
    logits[np.arange(n), truth] += skill
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions([f"face-{i:04d}" for i in range(n)], truth, softmax, SEVEN)


def certain(truth, predicted, *, n_classes: int, group: list[str] | str = "") -> Predictions:
    """Return predictions with all probability on one class."""
    names = [f"class-{k}" for k in range(n_classes)]
    ids = [f"{i:04d}" for i in range(len(truth))]
    return Predictions(ids, truth, np.eye(n_classes)[predicted], names, group=group)


@st.composite
def small(draw) -> Predictions:
    """Any few samples: classes may be absent, scores tied, groups mixed with independent samples."""
    n, k = draw(st.integers(1, 25)), draw(st.integers(2, 4))
    row = st.lists(st.integers(1, 6), min_size=k, max_size=k)
    shares = np.array(draw(st.lists(row, min_size=n, max_size=n)))
    return Predictions(
        sample_id=[f"{i:02d}" for i in range(n)],
        truth=draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)),
        probabilities=shares / shares.sum(axis=1, keepdims=True),
        class_names=[f"class-{i}" for i in range(k)],
        group=draw(st.lists(st.sampled_from(["", "s1", "s2", "s3"]), min_size=n, max_size=n)),
    )


def values(predictions: Predictions) -> dict[str, float]:
    return {name: metric["value"] for name, metric in evaluate(predictions, n_boot=0).metrics.items()}


# --- values ---------------------------------------------------------------------------------------


def test_values_agree_with_scikit_learn():
    p = classifier()
    result = evaluate(p, n_boot=0)
    report = sklearn.metrics.classification_report(p.truth, p.predicted, output_dict=True, zero_division=0)
    areas = [sklearn.metrics.roc_auc_score(p.truth == k, p.probabilities[:, k]) for k in range(7)]
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(p.truth, p.predicted),
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(p.truth, p.predicted),
        "macro_f1": report["macro avg"]["f1-score"],
        "weighted_f1": report["weighted avg"]["f1-score"],
        "macro_auc": np.mean(areas),
    }
    assert values(p) == pytest.approx(expected)
    assert result.confusion_matrix == sklearn.metrics.confusion_matrix(p.truth, p.predicted).tolist()
    for k, row in enumerate(result.per_class):
        assert (row["class"], row["support"]) == (SEVEN[k], report[str(k)]["support"])
        assert row["f1"] == pytest.approx(report[str(k)]["f1-score"])
        assert row["auc"] == pytest.approx(areas[k])


def test_a_class_without_samples_has_no_part_in_averages():
    result = evaluate(certain([0, 0, 1, 1], [0, 2, 1, 1], n_classes=3))
    absent = {"class": "class-2", "support": 0, "precision": 0.0, "recall": None, "f1": None, "auc": None}
    assert result.per_class[2] == absent | {"f1_ci95": None}
    assert result.metrics["balanced_accuracy"]["value"] == pytest.approx((1 / 2 + 1) / 2)
    one_class = evaluate(certain([1, 1, 1], [1, 1, 0], n_classes=2))
    assert "macro_auc" not in one_class.metrics and one_class.per_class[1]["auc"] is None


@given(small())
@BOUNDED
def test_every_result_is_json_within_its_bounds_and_inside_its_interval(p):
    result = evaluate(p, n_boot=30)
    assert json.loads(json.dumps(asdict(result), allow_nan=False)) == asdict(result)
    assert np.sum(result.confusion_matrix) == len(p)
    for metric in result.metrics.values():
        low, high = metric["ci95"] or (metric["value"], metric["value"])
        assert 0 <= low <= metric["value"] <= high <= 1 and metric["n"] == len(p)
    for label, row in enumerate(result.per_class):
        positive, area = p.truth == label, None
        if 0 < positive.sum() < len(p):
            area = pytest.approx(sklearn.metrics.roc_auc_score(positive, p.probabilities[:, label]))
        assert row["auc"] == area
        low, high = row["f1_ci95"] or (0, 1)
        assert row["f1"] is None or 0 <= low <= row["f1"] <= high <= 1


@given(small(), st.randoms(use_true_random=False))
@BOUNDED
def test_the_order_of_samples_does_not_matter(p, random):
    rows = list(range(len(p)))
    random.shuffle(rows)
    turned, result = evaluate(p.subset(np.array(rows)), n_boot=20), evaluate(p, n_boot=20)
    for name, metric in result.metrics.items():
        assert turned.metrics[name]["value"] == pytest.approx(metric["value"])
        assert turned.metrics[name]["ci95"] == pytest.approx(metric["ci95"])


@given(small(), st.integers(0, 2**32 - 1))
@BOUNDED
def test_a_weight_counts_as_a_repetition(p, seed):
    weights = np.random.default_rng(seed).integers(0, 4, size=(len(p), 3)).astype(np.float32)
    weights[0] += 1
    measured = measure(p, weights)
    for column in range(3):
        rows = np.repeat(np.arange(len(p)), weights[:, column].astype(int))
        repeated = Predictions(np.arange(len(rows)), p.truth[rows], p.probabilities[rows], p.class_names)
        for name, value in measure(repeated, np.ones((len(rows), 1), np.float32)).items():
            np.testing.assert_allclose(measured[name][column], value[0])


# --- intervals ------------------------------------------------------------------------------------


def test_accuracy_has_a_wilson_interval_only_for_independent_samples():
    p = classifier()
    wilson = wilson_interval(int(p.correct.sum()), 400)
    assert evaluate(p, n_boot=0).metrics["accuracy"]["ci95"] == list(wilson)
    assert evaluate(replace(p, group="one subject")).metrics["accuracy"]["ci95"] is None
    alone = replace(p, group=[f"s{i}" for i in range(400)])
    assert evaluate(alone).metrics["accuracy"]["ci95"] == pytest.approx(wilson, abs=0.006)


# --- reference points -----------------------------------------------------------------------------


def points(p: Predictions, majority_class: int, **options) -> dict:
    """Return the reference points of predictions none of which is of an image in training."""
    nothing = SimpleNamespace(sample_id=p.sample_id)
    split = SimpleNamespace(majority_class=majority_class, test=nothing, repeated=np.zeros(len(p), bool))
    return reference_points(p, split, **options)


def test_the_majority_baseline_predicts_the_majority_class_of_training():
    majority = points(certain([0] * 6 + [1] * 3 + [2], [0] * 10, n_classes=4), 1)["majority_baseline"]
    assert majority["accuracy"] == {"value": 0.3, "ci95": list(wilson_interval(3, 10)), "n": 10}
    assert majority["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    assert majority["macro_f1"]["value"] == pytest.approx((2 * 3 / 13) / 3)


def test_the_chance_baseline_is_the_mean_of_uniform_guesses():
    p = classifier(20_000)
    chance = points(p, 6, n_boot=0)["chance_baseline"]
    assert chance["accuracy"] == {"value": pytest.approx(1 / 7), "ci95": None, "n": 20_000}
    assert list(chance) == list(METRICS)
    guessed = replace(p, probabilities=np.eye(7)[np.random.default_rng(0).integers(7, size=len(p))])
    expected = {name: metric["value"] for name, metric in chance.items()}
    assert values(guessed) == pytest.approx(expected, abs=0.012)


def test_reference_points_leave_out_test_images_with_duplicates_elsewhere():
    faces = synthetic_faces(n_subjects=40, images_per_subject=1, size=16)
    images = faces.images.copy()
    images[36] = images[3]
    split = official_split(replace(faces, images=images))
    test = split.test
    p = Predictions(test.sample_id, test.labels, np.eye(7)[np.zeros(6, int)], faces.class_names)
    found = reference_points(p, split, n_boot=20)
    assert set(found) == {"majority_baseline", "chance_baseline", "without_duplicates"}
    assert (
        found["without_duplicates"]
        == evaluate(p.subset(test.sample_id != faces.sample_id[36]), n_boot=20).metrics
    )
    shuffled = reference_points(p.subset(np.arange(6)[::-1]), split, n_boot=0)
    assert shuffled["without_duplicates"]["accuracy"]["n"] == 5
    folds = random_folds(faces, n_folds=3, seed=0)
    rest = folds.test
    q = Predictions(rest.sample_id, rest.labels, np.eye(7)[rest.labels], faces.class_names)
    assert set(reference_points(q, folds, n_boot=0)) == {"majority_baseline", "chance_baseline"}


# --- reliability ----------------------------------------------------------------------------------


def with_confidence(confidence: np.ndarray, correct: np.ndarray) -> Predictions:
    return Predictions(
        sample_id=[f"s{row}" for row in range(len(correct))],
        truth=np.where(correct, 0, 1),
        probabilities=np.stack([confidence, 1 - confidence], axis=1),
        class_names=("a", "b"),
    )


def test_reliability_tells_a_calibrated_from_an_overconfident_network():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    table = reliability(with_confidence(confidence, rng.random(20_000) < confidence))
    assert table["n"].sum() == 20_000
    np.testing.assert_allclose(table["confidence"], table["accuracy"], atol=0.02)
    table = reliability(with_confidence(np.full(500, 0.95), rng.random(500) < 0.7))
    assert table.index.tolist() == ["90 to 100 %"] and table["n"].tolist() == [500]
    assert table["high"].item() < table["confidence"].item()
    (name, record), *others = reliability_records(table).items()
    assert (name, record["accuracy"]["n"], others) == ("confidence_90_to_100", 500, [])
