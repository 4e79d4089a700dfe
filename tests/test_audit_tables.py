"""No rule on tables calls a true one inconsistent, and wrong digits are found."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.audit_tables import (
    check,
    detected,
    false_alarm,
    names_of,
    print_table,
    random_matrix,
    shown,
    wrong,
)
from fer_utils.audit.matrices import Search, figures_of
from fer_utils.audit.rounding import Printed, fits, nearest_rates

SINGLE, UNKNOWN, FOLDS = "single", "unknown", "folds"
METRICS = ("precision", "recall", "f1", "support")
few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)


def report(rows: dict[str, str], **overall: str) -> dict:
    """Return a table from rows of precision, recall, F1 and support, with a dash for what is not printed."""
    cells = {
        (name, m): text for name, row in rows.items() for m, text in zip(METRICS, row.split(), strict=True)
    }
    cells |= {("", metric): text for metric, text in overall.items()}
    return {
        key: Printed(text, "count" if key[1] == "support" else "fraction")
        for key, text in cells.items()
        if text != "-"
    }


def supports(counts: dict[str, int], **overall: str) -> dict:
    return report({name: f"- - - {n}" for name, n in counts.items()}, **overall)


def only(found: list, rule: str):
    (finding,) = [each for each in found if each.rule == rule]
    return finding


def inconsistent(found: list) -> dict[str, str]:
    """Return the location of each inconsistent finding with what it follows from."""
    return {each.location: each.follows_from for each in found if each.verdict == "inconsistent"}


SMIC = {"negative": 70, "positive": 51, "surprise": 43}
KUMAR = {
    "angry": "0.45 0.60 0.51 491",
    "fear": "0.48 0.31 0.35 526",
    "happy": "0.88 0.84 0.82 879",
    "neutral": "0.28 0.22 0.25 626",
    "sad": "0.47 0.57 0.51 594",
    "surprise": "0.72 0.58 0.64 416",
}
"""Of kumar2021, Table 2."""


# --- true tables ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_no_rule_calls_a_true_table_inconsistent(seed):
    what, found, table = false_alarm(np.random.default_rng(seed))
    assert not wrong(found), (what, table, [each for each in found if each.verdict == "inconsistent"])


@few
@given(seed=seeds)
def test_all_figures_of_a_printed_matrix_agree_with_it(seed):
    rng = np.random.default_rng(seed)
    counts, undefined = random_matrix(rng), int(rng.integers(2))
    figures = figures_of(counts, names_of(counts), undefined=undefined)
    table = print_table(rng, figures, tuple({metric for _, metric in figures}))
    found = check(table, matrix=(counts, names_of(counts)))
    assert only(found, "figures of the confusion matrix").verdict == "consistent"


# --- wrong digits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("with_matrix", "share"), [(True, 0.97), (False, 0.9)])
def test_one_wrong_digit_in_a_report_is_found(with_matrix, share):
    found = [detected(np.random.default_rng(seed), with_matrix=with_matrix) for seed in range(30)]
    assert np.mean(found) >= share


def test_a_wrong_cell_of_a_printed_matrix_is_one_cause():
    counts, names = [[30, 5, 2], [4, 41, 6], [1, 7, 22]], ["a", "b", "c"]
    figures = figures_of(counts, names)
    table = {k: shown(v, unit="count" if k[1] == "support" else "fraction") for k, v in figures.items()}
    table = {key: value for key, value in table.items() if key[1] != "predicted_count"}
    found = check(table, split=SINGLE, matrix=([[30, 5, 2], [4, 47, 6], [1, 7, 22]], names))
    causes = {location for location, source in inconsistent(found).items() if not source}
    assert len(causes) == 1 and len(inconsistent(found)) > 3
    assert "41 for 47" in found[0].explanation
    turned = check(table, split=SINGLE, matrix=(np.transpose(counts).tolist(), names))
    assert "transposed" in turned[0].explanation


def test_a_figure_under_the_wrong_name_is_recognised():
    counts, names = [[30, 5, 2], [4, 41, 6], [10, 7, 12]], ["a", "b", "c"]
    precision = shown(figures_of(counts, names)["", "macro_precision"], decimals=4)
    (found,) = check({("", "UAR"): precision}, split=SINGLE, matrix=(counts, names))[:1]
    assert found.verdict == "inconsistent" and "macro precision" in found.explanation


def test_a_row_with_a_digit_that_the_matrix_contradicts_follows_from_that_digit():
    counts, names = [[30, 5], [4, 41]], ["a", "b"]
    table = print_table(np.random.default_rng(0), figures_of(counts, names), ("precision", "recall", "f1"))
    wrong_digit = {("a", "f1"): Printed("0.28", table["a", "f1"].unit)}
    found = inconsistent(check(table | wrong_digit, split=SINGLE, matrix=(counts, names)))
    assert found == {"Table 1: a f1": "", "Table 1: a": "Table 1: a f1"}


def test_mistakes_are_named_and_what_follows_from_them_points_to_them():
    averages = {"macro_precision": "0.52", "weighted_precision": "0.53", "macro_f1": "0.51"}
    found = check(report(KUMAR, support="3534", accuracy="0.54", **averages), split=SINGLE)
    causes = {"fear": "", "happy": "", "support": ""}
    causes |= dict.fromkeys(("macro precision", "weighted precision", "predictions"), "Table 1: fear")
    expected = {f"Table 1: {k}": v for k, v in causes.items()} | {"Table 1": "Table 1: fear"}
    assert inconsistent(found) == expected
    mended = next(each for each in found if each.location == "Table 1: fewest mistakes")
    assert mended.printed == "fear precision 0.40 for 0.48; happy precision 0.80 for 0.88"
    assert (mended.verdict, mended.certainty) == ("noteworthy", "likely")
    assert "fear precision 0.40" in found[1].explanation


def test_a_row_that_no_single_digit_mends_is_certain():
    (found,) = check(report({"fear": "0.11 0.11 0.99 -"}), split=SINGLE)
    assert (found.verdict, found.certainty) == ("inconsistent", "certain")


@pytest.mark.parametrize(
    ("row", "shown"),
    [("0.50 0.30 0.38 8", "2/8 = 0.250, 3/8 = 0.375: none prints as 0.30"), ("0.50 0.30 - 8", "support 8")],
)
def test_a_row_whose_counts_do_not_fit_says_which(row, shown):
    found = check(report({"fear": row}), split=SINGLE)[0]
    assert found.verdict == "inconsistent" and shown in found.printed + found.explanation


def test_rows_that_hold_one_by_one_may_still_fit_no_matrix():
    """15 predictions of one class and 10 of the other are more than the 20 samples."""
    found = check(report({"a": "0.60 0.90 0.72 10", "b": "0.90 0.90 0.90 10"}), split=SINGLE)
    predictions = only(found, "predictions add up")
    assert predictions.verdict == "inconsistent"
    assert only(found, "some confusion matrix").follows_from == predictions.location


def test_an_average_may_be_of_the_rows_or_the_f1_of_averages():
    rows = {"a": "0.90 0.30 0.45 50", "b": "0.30 0.90 0.45 50"}
    for printed, verdict in (("0.45", ("consistent", "certain")), ("0.60", ("consistent", "possible"))):
        found = only(check(report(rows, macro_f1=printed), split=SINGLE), "average of the rows")
        assert (found.verdict, found.certainty) == verdict
    wrong_one = only(check(report(rows, macro_f1="0.13"), split=SINGLE), "average of the rows")
    assert (wrong_one.verdict, wrong_one.certainty) == ("inconsistent", "certain")


# --- accuracy, UAR and UF1 ------------------------------------------------------------------------


def test_overall_figures_without_rows_are_tested_together():
    impossible = check(supports(SMIC, accuracy=".50", UAR=".50", UF1=".99"), split=UNKNOWN)
    assert wrong(impossible)  # UF1 is at most 2 x .5 / 1.5
    matrix = only(check(supports(SMIC, accuracy=".50", UAR=".50", UF1=".49")), "some confusion matrix")
    assert (matrix.verdict, matrix.certainty) == ("consistent", "certain")
    assert "negative" in matrix.explanation
    counts, names = [[85, 3, 2], [3, 2, 0], [4, 0, 1]], {"a": 90, "b": 5, "c": 5}
    exact = figures_of(counts, list(names)).items()
    printed = {metric: shown(value, decimals=4).text for (_, metric), value in exact}
    averages = {"UAR": printed["macro_precision"], "UF1": printed["macro_f1"]}
    swapped = supports(names, accuracy=printed["accuracy"], **averages)
    found = only(check(swapped, split=SINGLE), "some confusion matrix")
    assert found.verdict == "inconsistent" and "is macro precision" in found.explanation


def test_what_is_not_tested_is_said():
    found = only(check(supports(SMIC, accuracy=".50", auc=".70")), "some confusion matrix")
    assert "Not tested: auc" in found.explanation


@pytest.mark.parametrize("metric", ["cohen_kappa", "macro_specificity", "weighted_f1"])
def test_the_search_covers_every_figure(metric):
    counts = [[50, 15, 5], [10, 30, 11], [6, 9, 28]]
    figures = figures_of(counts, list(SMIC))
    printed = {m: shown(figures["", m], decimals=3).text for m in ("accuracy", "macro_recall", metric)}
    assert only(check(supports(SMIC, **printed)), "some confusion matrix").verdict == "consistent"
    off = shown(figures["", metric] + Fraction(1, 4), decimals=3).text
    found = check(supports(SMIC, **printed | {metric: off}), split=SINGLE)
    assert only(found, "some confusion matrix").verdict == "inconsistent"


def test_a_search_that_ends_early_is_not_checkable(monkeypatch):
    monkeypatch.setattr("fer_utils.audit.tables.search_matrix", lambda *_, **__: Search("undecided"))
    found = only(check(supports(SMIC, accuracy=".503", UAR=".503", UF1=".493")), "some confusion matrix")
    assert found.verdict == "not_checkable" and "Not decided" in found.explanation


# --- means over folds -----------------------------------------------------------------------------


def test_what_only_a_mean_over_folds_can_print_needs_the_split():
    table = report({"a": "0.48 0.31 0.35 526", "b": "0.62 0.77 0.65 700"})
    verdicts = {}
    for split in (SINGLE, UNKNOWN, FOLDS):
        found = check(table, split=split)
        verdicts[split] = {each.verdict for each in found if each.rule == "F1 from precision and recall"}
    assert verdicts == {"single": {"inconsistent"}, "unknown": {"not_checkable"}, "folds": {"consistent"}}
    assert wrong(check(report({"a": "0.90 0.90 0.60 500"}), split=FOLDS))  # less than P + R - 1


@pytest.mark.parametrize("printed", ["85.30", "74.52"])
def test_a_mean_over_folds_can_print_what_one_test_set_cannot(printed):
    """Of 159 clips, in four folds of 32 and one of 31."""
    low, high = Printed(printed, "percent").ends()
    means = [(a / 32 + b / 31) / 5 for a in range(4 * 32 + 1) for b in range(32)]
    assert not fits(Printed(printed, "percent"), 159) and any(low <= mean <= high for mean in means)


# --- majority class -------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "verdict"), [(20, "noteworthy"), (21, "noteworthy"), (22, "consistent")])
def test_an_accuracy_is_compared_with_the_majority_class(right, verdict):
    accuracy = shown(Fraction(right, 32), decimals=3).text
    found = check(supports({"a": 21, "b": 3, "c": 8}, accuracy=accuracy))
    assert only(found, "accuracy against the majority class").verdict == verdict


def test_accuracies_of_one_class_are_compared_with_never_predicting_it():
    counts, names = [[14, 0, 7], [0, 2, 1], [5, 1, 2]], ["negative", "positive", "surprise"]
    figures = figures_of(counts, names)
    table = {
        (name, m): shown(figures[name, m], decimals=4) for name in names for m in ["one_vs_rest_accuracy"]
    }
    *_, found = check(table, matrix=(counts, names), split=SINGLE)
    assert found.verdict == "noteworthy" and "positive 30/32 = 93.75% against 29/32" in found.explanation


# --- figures and rounding -------------------------------------------------------------------------


def test_figures_of_a_matrix_are_those_of_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(3)
    for _ in range(5):
        counts = np.array(random_matrix(rng))
        names, k = names_of(counts), len(counts)
        truth, guess = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        figures = figures_of(counts.tolist(), names)
        for average in (None, "macro", "weighted"):
            how = {"labels": range(k), "average": average, "zero_division": 0}
            expected = metrics.precision_recall_fscore_support(truth, guess, **how)
            for metric, values in zip(METRICS[:3], expected, strict=False):
                keys = [("", f"{average}_{metric}")] if average else [(name, metric) for name in names]
                np.testing.assert_allclose([float(figures[key]) for key in keys], values)
        np.testing.assert_allclose(float(figures["", "mcc"]), metrics.matthews_corrcoef(truth, guess))
        kappa = np.nan_to_num(metrics.cohen_kappa_score(truth, guess))  # NaN is 0/0
        np.testing.assert_allclose(float(figures["", "cohen_kappa"]), kappa)
        specificity = metrics.recall_score(truth != 0, guess != 0, zero_division=0)
        np.testing.assert_allclose(float(figures[names[0], "specificity"]), specificity)


@pytest.mark.parametrize(
    ("negatives_positives", "figures", "kind", "verdict"),
    [
        ((902, 530), {"accuracy": ".62", "recall": ".22", "specificity": ".86", "f1": ".30"}, "single", True),
        (
            (902, 530),
            {"accuracy": ".92", "recall": ".22", "specificity": ".86", "f1": ".30"},
            "single",
            False,
        ),
        ((200, 100), {"accuracy": ".9567", "recall": ".8545", "specificity": ".9734"}, "single", False),
        ((1864, 1098), {"accuracy": ".631", "recall": ".341", "specificity": ".802"}, "pooled", True),
        ((1864, 1098), {"accuracy": ".731", "recall": ".341", "specificity": ".802"}, "pooled", False),
        ((131, 126), {"accuracy": ".573", "recall": ".768", "balanced_accuracy": ".662"}, "unknown", None),
    ],
)
def test_the_examples_of_mlscorecheck(negatives_positives, figures, kind, verdict):
    """From its documentation; the last one is a mean over two folds."""
    counts = dict(zip(("negative", "positive"), negatives_positives, strict=True))
    overall = {m: text for m, text in figures.items() if "accuracy" in m}
    table = supports(counts, **overall)
    table |= {("positive", m): Printed(text) for m, text in figures.items() if m not in overall}
    found = only(check(table, split=kind), "some confusion matrix")
    assert found.verdict == {True: "consistent", False: "inconsistent", None: "not_checkable"}[verdict]


def test_ends_hold_what_rounds_or_is_truncated_to_the_number():
    half = Printed("62.5%", "percent")
    np.testing.assert_allclose(half.ends("rounded"), [0.6245, 0.6255], rtol=1e-6)
    np.testing.assert_allclose(half.ends("truncated"), [0.625, 0.626], rtol=1e-6)
    np.testing.assert_allclose(half.ends(), [0.6245, 0.626], rtol=1e-6)
    assert Printed("3,534", "count").ends() == (3534, 3534)
    assert Printed("0.00").ends()[0] == 0 and Printed("0.00").ends(signed=True)[0] < 0
    np.testing.assert_allclose(Printed("-0.10").ends("rounded"), [-0.105, -0.095], rtol=1e-6)


def test_whether_a_rate_fits_depends_on_how_it_was_shortened():
    rate = Printed("54.1", "percent")
    assert [bool(fits(rate, 48, way)) for way in ("rounded", "truncated", "either")] == [False, True, True]
    assert list(np.arange(1, 100)[fits(Printed("0.123456"), np.arange(1, 100))]) == [81]


def test_a_rate_that_fits_no_count_says_which_lie_beside_it():
    rate = Printed("47.7", "percent")
    assert not fits(rate, 64)
    assert nearest_rates(rate, 64) == "30/64 = 46.88 %, 31/64 = 48.44 %"
    assert [str(new) for new in rate.one_digit_changes() if fits(new, 64)] == ["43.7"]
