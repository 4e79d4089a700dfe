"""Metrics agree with scikit-learn, intervals mean what they say, and both depend on the samples alone."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils import statistics
from fer_utils.evaluation import (
    METRICS,
    Predictions,
    baselines,
    evaluate,
    expected_calibration_error,
    log_loss,
    mcnemar_exact,
    paired_bootstrap,
    roc_curves,
    wilson_interval,
)
from fer_utils.metrics import measure, once_each

SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
BOUNDED = settings(derandomize=True, deadline=None, max_examples=25)


def classifier(
    n: int = 400, *, seed: int = 0, skill: float = 1.0, classes: tuple[str, ...] = SEVEN
) -> Predictions:
    """Make predictions that are right more often the higher `skill`, on classes of unequal size.

    The truth depends on `n` only, so that classifiers of several seeds are about the same samples.
    """
    k = len(classes)
    truth = np.random.default_rng(n).choice(k, size=n, p=np.arange(1, k + 1) / sum(range(1, k + 1)))
    logits = np.random.default_rng(seed).normal(size=(n, k))
    logits[np.arange(n), truth] += skill
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions([f"face-{i:04d}" for i in range(n)], truth, softmax, classes)


def certain(
    truth: list[int], predicted: list[int], *, n_classes: int, group: list[str] | str = ""
) -> Predictions:
    """Make predictions that put everything on one class."""
    names = [f"class-{k}" for k in range(n_classes)]
    return Predictions(
        [f"{i:04d}" for i in range(len(truth))], truth, np.eye(n_classes)[predicted], names, group=group
    )


@st.composite
def small(draw) -> Predictions:
    """Any few samples: classes may be absent, scores tied, groups mixed with samples of their own."""
    n, k = draw(st.integers(1, 25)), draw(st.integers(2, 4))
    shares = np.array(
        draw(st.lists(st.lists(st.integers(1, 6), min_size=k, max_size=k), min_size=n, max_size=n))
    )
    return Predictions(
        sample_id=[f"{i:02d}" for i in range(n)],
        truth=draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)),
        probabilities=shares / shares.sum(axis=1, keepdims=True),
        class_names=[f"class-{i}" for i in range(k)],
        group=draw(st.lists(st.sampled_from(["", "s1", "s2", "s3"]), min_size=n, max_size=n)),
    )


def values(predictions: Predictions) -> dict[str, float]:
    return {name: metric["value"] for name, metric in evaluate(predictions, n_boot=0).metrics.items()}


# --- values----


def test_values_agree_with_scikit_learn():
    p = classifier()
    result = evaluate(p, n_boot=0)
    report = sklearn.metrics.classification_report(p.truth, p.predicted, output_dict=True, zero_division=0)
    areas = [sklearn.metrics.roc_auc_score(p.truth == k, p.probabilities[:, k]) for k in range(7)]
    assert values(p) == pytest.approx(
        {
            "accuracy": sklearn.metrics.accuracy_score(p.truth, p.predicted),
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(p.truth, p.predicted),
            "macro_f1": report["macro avg"]["f1-score"],
            "weighted_f1": report["weighted avg"]["f1-score"],
            "macro_auc": np.mean(areas),
        }
    )
    assert result.confusion_matrix == sklearn.metrics.confusion_matrix(p.truth, p.predicted).tolist()
    for k, row in enumerate(result.per_class):
        assert row == {
            "class": SEVEN[k],
            "support": report[str(k)]["support"],
            "precision": pytest.approx(report[str(k)]["precision"]),
            "recall": pytest.approx(report[str(k)]["recall"]),
            "f1": pytest.approx(report[str(k)]["f1-score"]),
            "auc": pytest.approx(areas[k]),
        }


def test_values_by_hand():
    result = evaluate(certain([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 1], n_classes=3), n_boot=0)
    assert result.confusion_matrix == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert [row["recall"] for row in result.per_class] == pytest.approx([2 / 3, 1 / 2, 0])
    assert [row["precision"] for row in result.per_class] == pytest.approx([2 / 3, 1 / 3, 0])
    assert [row["f1"] for row in result.per_class] == pytest.approx([2 / 3, 2 / 5, 0])
    assert result.metrics["accuracy"]["value"] == pytest.approx(3 / 6)
    assert result.metrics["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert result.metrics["macro_f1"]["value"] == pytest.approx((2 / 3 + 2 / 5) / 3)
    assert result.metrics["weighted_f1"]["value"] == pytest.approx((3 * 2 / 3 + 2 * 2 / 5) / 6)
    # Scores for the first class: 1, 1, 0 against 0, 1, 0, so of nine pairs four are won and four are tied.
    assert result.per_class[0]["auc"] == pytest.approx((4 + 4 / 2) / 9)


def test_a_class_without_samples_has_no_recall_and_no_part_in_averages():
    result = evaluate(certain([0, 0, 1, 1], [0, 2, 1, 1], n_classes=3))
    absent = result.per_class[2]
    assert absent == {
        "class": "class-2",
        "support": 0,
        "precision": 0.0,
        "recall": None,
        "f1": None,
        "auc": None,
    }
    assert result.metrics["balanced_accuracy"]["value"] == pytest.approx((1 / 2 + 1) / 2)
    assert result.metrics["macro_f1"]["value"] == pytest.approx((2 / 3 + 1) / 2)


def test_samples_of_one_class_have_no_auc():
    result = evaluate(certain([1, 1, 1], [1, 1, 0], n_classes=2))
    assert "macro_auc" not in result.metrics
    assert result.per_class[1]["auc"] is None
    assert result.metrics["accuracy"]["value"] == pytest.approx(2 / 3)


@given(small())
@BOUNDED
def test_every_result_is_json_within_its_bounds_and_inside_its_interval(p):
    result = evaluate(p, n_boot=30)
    assert json.loads(json.dumps(asdict(result), allow_nan=False)) == asdict(result)
    recalls = [row["recall"] for row in result.per_class if row["support"]]
    assert result.metrics["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert np.sum(result.confusion_matrix) == len(p)
    for metric in result.metrics.values():
        assert 0 <= metric["value"] <= 1
        assert metric["n"] == len(p)
        if metric["ci95"] is not None:
            low, high = metric["ci95"]
            assert 0 <= low <= metric["value"] <= high <= 1


@given(small(), st.randoms(use_true_random=False))
@BOUNDED
def test_the_order_of_samples_changes_nothing(p, random):
    rows = list(range(len(p)))
    random.shuffle(rows)
    assert evaluate(p.subset(np.array(rows)), n_boot=20) == evaluate(p, n_boot=20)


@given(small(), st.integers(0, 2**32 - 1))
@BOUNDED
def test_a_weight_counts_as_a_repetition(p, seed):
    """What makes the bootstrap right: measuring with weights is measuring the resample itself."""
    weights = np.random.default_rng(seed).integers(0, 4, size=(len(p), 3)).astype(np.float32)
    weights[0] += 1
    measured = measure(p, weights)
    for column in range(3):
        rows = np.repeat(np.arange(len(p)), weights[:, column].astype(int))
        repeated = Predictions(np.arange(len(rows)), p.truth[rows], p.probabilities[rows], p.class_names)
        for name, value in measure(repeated, once_each(repeated)).items():
            np.testing.assert_allclose(measured[name][column], value[0])


def test_saved_predictions_give_the_same_evaluation(tmp_path):
    p = replace(classifier(), group=[f"s{i % 20}" for i in range(400)])
    p.save(tmp_path / "predictions.npz")
    assert evaluate(Predictions.load(tmp_path / "predictions.npz"), n_boot=50) == evaluate(p, n_boot=50)


# --- intervals


def test_accuracy_has_a_wilson_interval_only_for_independent_samples():
    p = classifier()
    assert evaluate(p, n_boot=0).metrics["accuracy"]["ci95"] == list(
        wilson_interval(int(p.correct.sum()), 400)
    )
    assert evaluate(replace(p, group="one subject")).metrics["accuracy"]["ci95"] is None


def test_intervals_repeat_with_the_seed():
    p = classifier(150)
    first = evaluate(p, n_boot=100, seed=1).metrics
    assert evaluate(p, n_boot=100, seed=1).metrics == first
    assert evaluate(p, n_boot=100, seed=2).metrics["macro_f1"] != first["macro_f1"]


def test_the_bootstrap_agrees_with_wilson_on_accuracy():
    p = classifier(1000)
    alone = replace(p, group=[f"s{i}" for i in range(1000)])
    bootstrapped = evaluate(alone).metrics["accuracy"]["ci95"]
    assert bootstrapped == pytest.approx(evaluate(p, n_boot=0).metrics["accuracy"]["ci95"], abs=0.003)


def test_intervals_are_wider_when_samples_of_a_group_are_alike():
    truth, predicted = np.zeros(200, dtype=int), np.repeat(np.arange(20) % 2, 10)
    alone = certain(truth, predicted, n_classes=2)
    grouped = replace(alone, group=[f"s{i // 10}" for i in range(200)])
    narrow, wide = (np.diff(evaluate(p).metrics["accuracy"]["ci95"]) for p in (alone, grouped))
    # Twenty independent subjects instead of two hundred clips: wider by about the square root of ten.
    assert wide / narrow == pytest.approx(np.sqrt(10), rel=0.15)


def test_the_bootstrap_covers_about_95_percent():
    rng = np.random.default_rng(0)
    recall = np.array([0.9, 0.6, 0.4])
    covered = 0
    for trial in range(200):
        truth = rng.choice(3, size=150, p=[0.5, 0.3, 0.2])
        predicted = np.where(rng.random(150) < recall[truth], truth, (truth + 1) % 3)
        low, high = evaluate(certain(truth, predicted, n_classes=3), n_boot=200, seed=trial).metrics[
            "balanced_accuracy"
        ]["ci95"]
        covered += low <= recall.mean() <= high
    assert 0.90 <= covered / 200 <= 0.985


def test_only_the_grouped_bootstrap_covers_when_subjects_differ():
    rng = np.random.default_rng(0)
    covered = {"grouped": 0, "independent": 0}
    for trial in range(120):
        subject = np.repeat(np.arange(30), 8)
        right = rng.random(240) < rng.choice([0.2, 0.9], size=30)[subject]
        p = certain(np.zeros(240, dtype=int), (~right).astype(int), n_classes=2)
        for name, group in (("independent", ""), ("grouped", subject.astype(str))):
            metric = evaluate(replace(p, group=group), n_boot=200, seed=trial).metrics["accuracy"]
            covered[name] += metric["ci95"][0] <= 0.55 <= metric["ci95"][1]
    assert covered["grouped"] / 120 >= 0.88
    assert covered["independent"] / 120 <= 0.75


def test_resampling_in_small_steps_changes_nothing_but_the_draws(monkeypatch):
    p = classifier(300)
    whole = evaluate(p, n_boot=600).metrics["macro_auc"]["ci95"]
    monkeypatch.setattr(statistics, "WEIGHTS_AT_ONCE", 3000)
    assert evaluate(p, n_boot=600).metrics["macro_auc"]["ci95"] == pytest.approx(whole, abs=0.008)


# --- baselines


def test_the_majority_baseline_is_the_training_majority_on_the_reported_samples():
    p = certain([0] * 6 + [1] * 3 + [2], [0] * 10, n_classes=4)
    majority = baselines(p, majority_class=1)["majority_baseline"]
    assert majority["accuracy"] == {"value": 0.3, "ci95": list(wilson_interval(3, 10)), "n": 10}
    assert majority["balanced_accuracy"]["value"] == pytest.approx(1 / 3)
    assert majority["macro_f1"]["value"] == pytest.approx((2 * 3 / 13) / 3)
    assert majority["macro_auc"]["value"] == 0.5
    assert baselines(p, majority_class=3)["majority_baseline"]["accuracy"]["value"] == 0


def test_the_chance_baseline_is_what_uniform_guessing_scores_on_average():
    p = classifier(20_000)
    chance = baselines(p, majority_class=6, n_boot=0)["chance_baseline"]
    assert chance["accuracy"] == {"value": pytest.approx(1 / 7), "ci95": None, "n": 20_000}
    assert chance["balanced_accuracy"]["value"] == pytest.approx(1 / 7)
    assert list(chance) == list(METRICS)
    guessed = replace(p, probabilities=np.eye(7)[np.random.default_rng(0).integers(7, size=len(p))])
    assert values(guessed) == pytest.approx(
        {name: metric["value"] for name, metric in chance.items()}, abs=0.012
    )


def test_a_majority_class_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match="0 to 6, got 7"):
        baselines(classifier(), majority_class=7)


# --- loss, calibration, curves


def test_log_loss_agrees_with_scikit_learn_and_is_finite_for_certain_mistakes():
    p = classifier()
    normalised = p.probabilities / p.probabilities.sum(axis=1, keepdims=True)
    assert log_loss(p) == pytest.approx(sklearn.metrics.log_loss(p.truth, normalised), rel=1e-3)
    assert log_loss(certain([0], [1], n_classes=2)) == pytest.approx(24 * np.log(2))


def test_calibration_error_by_hand():
    p = Predictions(list("abcd"), [0, 0, 1, 1], [[0.75, 0.25]] * 2 + [[0.5, 0.5]] * 2, ("happy", "sad"))
    # Two right at 0.75 are 0.25 off; two wrong at 0.5 are 0.5 off.
    assert expected_calibration_error(p) == pytest.approx((2 * 0.25 + 2 * 0.5) / 4)
    assert expected_calibration_error(certain([0, 1], [0, 1], n_classes=2)) == 0


@given(small())
@BOUNDED
def test_curves_agree_with_scikit_learn_and_with_the_table(p):
    curves = roc_curves(p)
    for k, row in enumerate(evaluate(p, n_boot=0).per_class):
        if row["auc"] is None:
            assert row["class"] not in curves
            continue
        fpr, tpr, auc = curves[row["class"]]
        expected = sklearn.metrics.roc_curve(p.truth == k, p.probabilities[:, k], drop_intermediate=False)
        np.testing.assert_allclose(fpr, expected[0])
        np.testing.assert_allclose(tpr, expected[1])
        assert auc == pytest.approx(row["auc"])


# --- comparisons


def test_mcnemar_by_hand():
    truth = [0] * 10
    a = certain(truth, [0] * 7 + [1] * 3, n_classes=2)
    b = certain(truth, [0] * 2 + [1] * 7 + [0], n_classes=2)
    result = mcnemar_exact(a, b.subset(np.arange(10)[::-1]))
    assert result.table == [[2, 5], [1, 2]]
    assert result.p_value == pytest.approx(2 * (1 + 6) / 2**6)
    assert (result.accuracy_a, result.accuracy_b, result.difference, result.n) == pytest.approx(
        (0.7, 0.3, 0.4, 10)
    )
    assert result.ci95[0] < 0.4 < result.ci95[1]
    json.dumps(asdict(result), allow_nan=False)


def test_a_classifier_does_not_differ_from_itself():
    p = classifier()
    result = mcnemar_exact(p, p)
    assert result.p_value == 1
    assert result.difference == 0
    assert result.ci95[0] <= 0 <= result.ci95[1]
    same = paired_bootstrap([p], [p], n_boot=50)
    assert (same.difference, same.ci95) == (0, [0, 0])


def test_mcnemar_refuses_dependent_samples():
    grouped = replace(classifier(), group="s1")
    with pytest.raises(ValueError, match="paired_bootstrap"):
        mcnemar_exact(grouped, grouped)


def test_comparisons_refuse_different_samples():
    with pytest.raises(ValueError, match="100 occur in one of them only, such as 'face-0300'"):
        mcnemar_exact(classifier(400), classifier(300))
    with pytest.raises(ValueError, match="different samples"):
        paired_bootstrap([classifier(400)], [classifier(400), classifier(300)])


@pytest.mark.parametrize("metric", METRICS)
def test_paired_bootstrap_compares_means_over_seeds(metric):
    better = [classifier(seed=seed, skill=2.0) for seed in range(3)]
    worse = [classifier(seed=seed, skill=1.0) for seed in range(10, 12)]
    result = paired_bootstrap(better, worse, metric=metric, n_boot=300)
    of_better, of_worse = ([values(p)[metric] for p in runs] for runs in (better, worse))
    assert result.difference == pytest.approx(np.mean(of_better) - np.mean(of_worse))
    assert result.ci95[0] < result.difference < result.ci95[1]
    assert result.ci95[0] > 0
    assert result.a["mean"] == pytest.approx(np.mean(of_better))
    assert result.a["sd"] == pytest.approx(np.std(of_better, ddof=1))
    assert result.a["n"] == 3
    assert result.b["n"] == 2
    json.dumps(asdict(result), allow_nan=False)


def test_pairing_narrows_the_interval_of_alike_classifiers():
    a = classifier(1000)
    other = classifier(1000, seed=1)
    nearly_a = replace(a, probabilities=np.vstack([other.probabilities[:100], a.probabilities[100:]]))
    low, high = paired_bootstrap([a], [nearly_a]).ci95
    alone = evaluate(a, n_boot=0).metrics["accuracy"]["ci95"]
    assert high - low < 0.6 * (alone[1] - alone[0])
    assert [low, high] == pytest.approx(mcnemar_exact(a, nearly_a).ci95, abs=0.003)


def test_paired_bootstrap_resamples_whole_groups():
    """Subjects on whom a is always better and subjects on whom b is: few of them, so a wide interval."""
    truth, of_a = np.zeros(200, dtype=int), np.repeat(np.arange(20) % 2, 10)
    a, b = certain(truth, of_a, n_classes=2), certain(truth, 1 - of_a, n_classes=2)
    group = [f"s{i // 10}" for i in range(200)]
    alone = np.diff(paired_bootstrap([a], [b]).ci95)
    grouped = np.diff(paired_bootstrap([replace(a, group=group)], [replace(b, group=group)]).ci95)
    assert grouped / alone == pytest.approx(np.sqrt(10), rel=0.15)


def test_paired_bootstrap_refuses_what_it_cannot_compare():
    p = classifier()
    with pytest.raises(ValueError, match="unknown metric 'acuracy'; use one of accuracy"):
        paired_bootstrap([p], [p], metric="acuracy")
    with pytest.raises(ValueError, match="at least one run"):
        paired_bootstrap([], [p])
    one_class = certain([0, 0], [0, 1], n_classes=2)
    with pytest.raises(ValueError, match="finite"):
        paired_bootstrap([one_class], [one_class], metric="macro_auc")
