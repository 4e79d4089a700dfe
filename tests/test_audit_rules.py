"""No rule of the audit blames a true table, and wrong digits are found."""

from collections.abc import Iterator
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.audit import claims, matrices, reports, sizes
from fer_utils.audit.findings import Finding, Place
from fer_utils.audit.rounding import (
    Printed,
    best_sizes,
    counts_within,
    fits,
    mends,
    nearest_rates,
    sizes_that_fit,
)

PLACE = Place("toy", "Table 1")
ROUNDINGS = ("to even", "half up", "cut off")
few = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def shown(value: Fraction, *, decimals: int = 2, way: str = "to even", unit: str = "fraction") -> Printed:
    """Print a value as papers do."""
    if unit == "count":
        return Printed(str(int(value)), "count")
    scaled = value * (100 if unit == "percent" else 1) * 10**decimals
    whole = {"to even": round, "cut off": floor, "half up": lambda x: floor(x + Fraction(1, 2))}[way](scaled)
    text = f"{whole // 10**decimals}.{whole % 10**decimals:0{decimals}d}" if decimals else str(whole)
    return Printed(text, unit)


def random_matrix(rng: np.random.Generator) -> list[list[int]]:
    """Return the confusion matrix of predictions of a random skill on a random test set.

    2 to 10 classes, 20 to 40,000 samples, from even classes to ones without a sample; in three of ten
    matrices a class is never predicted.
    """
    classes, n = int(rng.integers(2, 11)), int(np.exp(rng.uniform(np.log(20), np.log(40_000))))
    truth = rng.choice(classes, size=n, p=rng.dirichlet(np.full(classes, rng.choice([0.2, 0.5, 2, 20]))))
    guess = rng.choice(classes, size=n, p=rng.dirichlet(np.full(classes, rng.choice([0.2, 2]))))
    guess = np.where(rng.random(n) < rng.uniform(0, 1), truth, guess)
    if rng.random() < 0.3:
        never = rng.integers(classes)
        guess[guess == never] = (never + 1) % classes
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (truth, guess), 1)
    return counts.tolist()


def names_of(counts: list[list[int]]) -> list[str]:
    return [f"class {chr(97 + i)}" for i in range(len(counts))]


def report_of(
    rng: np.random.Generator, counts: list[list[int]], *, undefined: int = 0
) -> dict[tuple[str, str], Printed]:
    """Return a matrix's classification report, printed in a random way."""
    decimals, way = int(rng.choice([2, 2, 2, 3, 4])), str(rng.choice(ROUNDINGS))
    unit = str(rng.choice(["fraction", "percent"]))
    decimals -= 2 if unit == "percent" else 0
    return {
        key: shown(value, decimals=decimals, way=way, unit="count" if key[1] in COUNTS else unit)
        for key, value in matrices.figures_of(counts, names_of(counts), undefined=undefined).items()
    }


def by_hand(table: dict) -> dict:
    """Work out F1 and the averages from the printed rows, as with a spreadsheet, rounded half up."""
    names, example = reports.classes_of(table), table["", "accuracy"]

    def print_like_the_rest(value: Fraction) -> Printed:
        decimals = len(example.text.partition(".")[2])
        return shown(value, decimals=decimals, way="half up", unit=example.unit)

    made = dict(table)
    for name in names:
        p, r = table[name, "precision"].value, table[name, "recall"].value
        made[name, "f1"] = print_like_the_rest(2 * p * r / (p + r) if p + r else Fraction(0))
    for metric in reports.METRICS:
        rows = [(made[name, metric].value, made[name, "support"].value) for name in names]
        made["", f"macro_{metric}"] = print_like_the_rest(sum(v for v, _ in rows) / len(rows))
        weighted = sum(v * n for v, n in rows) / sum(n for _, n in rows)
        made["", f"weighted_{metric}"] = print_like_the_rest(weighted)
    return made


COUNTS = ("support", "predicted_count")


def without(table: dict, *metrics: str) -> dict:
    return {key: value for key, value in table.items() if key[1] not in metrics}


def rows_only(table: dict) -> dict:
    """Leave out averages and totals, and what only follows from the matrix."""
    rows = {key: value for key, value in table.items() if key[0]}
    return without(rows, "predicted_count", "one_vs_rest_accuracy")


def wrong_digits(number: Printed) -> Iterator[Printed]:
    """Yield the number with one digit changed by more than its rounding."""
    rate = number.unit != "count"
    for changed in number.one_digit_changes():
        far = abs(changed.value - number.value) > (number.unit_of_last_digit if rate else 0)
        if far and not (rate and changed.value > 1):
            yield changed


def one_digit_wrong(rng: np.random.Generator, table: dict) -> dict:
    while True:
        key = list(table)[rng.integers(len(table))]
        if changes := list(wrong_digits(table[key])):
            return table | {key: changes[rng.integers(len(changes))]}


def verdicts(found: list[Finding]) -> set[str]:
    return {each.verdict for each in found}


def of_margins(table: dict) -> list[Finding]:
    found = list(reports.check_report(table, place=PLACE))
    with_support = all((name, "support") in table for name in reports.classes_of(table))
    return found + ([matrices.check_feasible(table, place=PLACE)] if with_support else [])


def of_matrix(counts: list[list[int]], table: dict) -> list[Finding]:
    return list(matrices.check_matrix(counts, names_of(counts), table, place=PLACE))


# --- true tables ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_no_rule_blames_a_true_report(seed):
    rng = np.random.default_rng(seed)
    counts = random_matrix(rng)
    table = report_of(rng, counts)
    for part in (
        table,
        rows_only(table),
        without(table, "support"),
        without(table, "f1"),
        without(table, "recall"),
        without(table, "precision"),
    ):
        assert verdicts(of_margins(part)) <= {"consistent"}
        assert verdicts(of_matrix(counts, part)) == {"consistent"}


@few
@given(seed=seeds)
def test_no_rule_blames_f1_and_averages_worked_out_from_the_printed_rows(seed):
    rng = np.random.default_rng(seed)
    table = by_hand(report_of(rng, random_matrix(rng)))
    assert verdicts(of_margins(table)) == {"consistent"}
    assert verdicts(of_margins(without(table, "support"))) == {"consistent"}


@few
@given(seed=seeds)
def test_no_rule_blames_a_figure_of_0_by_0_that_is_printed_as_1(seed):
    rng = np.random.default_rng(seed)
    counts = random_matrix(rng)
    table = report_of(rng, counts, undefined=1)
    assert verdicts(of_margins(table)) == {"consistent"}
    assert verdicts(of_matrix(counts, table)) == {"consistent"}


@few
@given(seed=seeds, way=st.sampled_from(ROUNDINGS), decimals=st.integers(2, 6), n=st.integers(2, 40_000))
def test_no_rule_blames_true_rates(seed, way, decimals, n):
    right = np.random.default_rng(seed).integers(0, n, size=5, endpoint=True).tolist()
    rates = {str(i): shown(Fraction(k, n), decimals=decimals, way=way) for i, k in enumerate(right)}
    assert "inconsistent" not in verdicts(claims.check_rates(rates, n, place=PLACE, source="Given."))
    sizes_tried = range(max(1, n - 50), n + 50)
    assert claims.check_size(rates, n, sizes=sizes_tried, place=PLACE).verdict == "consistent"


@few
@given(seed=seeds, n=st.integers(1, 3000), decimals=st.integers(1, 6))
def test_single_precision_is_no_reason_to_blame_a_rate(seed, n, decimals):
    right = int(np.random.default_rng(seed).integers(0, n, endpoint=True))
    value = Fraction(float(np.float32(right) / np.float32(n)))
    for way in ROUNDINGS:
        assert fits(shown(value, decimals=decimals, way=way), n)


@few
@given(value=st.fractions(0, 1), decimals=st.tuples(st.integers(1, 4), st.integers(0, 3)), data=st.data())
def test_one_value_printed_twice_is_never_blamed(value, decimals, data):
    way, other = (data.draw(st.sampled_from(ROUNDINGS)) for _ in range(2))
    first = shown(value, decimals=decimals[0], way=way)
    second = shown(value, decimals=decimals[1], way=other, unit="percent")
    assert claims.check_same(first, second, place=PLACE, what="a value").verdict == "consistent"


@few
@given(seed=seeds)
def test_the_loss_of_true_probabilities_is_never_blamed(seed):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(int(rng.integers(2, 8)), rng.choice([0.1, 1, 50])), size=60)
    truth = scores.argmax(1) if seed % 2 else rng.integers(scores.shape[1], size=60)
    loss = -np.log(np.maximum(scores[np.arange(60), truth], 1e-7)).mean()
    accuracy = Fraction(int((scores.argmax(1) == truth).sum()), 60)
    printed = Printed(f"{loss:.2f}", "loss")
    found = claims.check_loss(shown(accuracy, decimals=4), printed, classes=scores.shape[1], place=PLACE)
    assert found.verdict == "consistent"


@few
@given(seed=seeds, steps=st.integers(20, 2000))
def test_true_times_of_epochs_are_never_blamed(seed, steps):
    rng = np.random.default_rng(seed)
    each, first = rng.uniform(0.01, 0.4), rng.uniform(0, 3)
    shown_step = first / steps + each if seed % 2 else each  # versions of Keras differ in this
    seconds = Printed(str(round(first + each * steps)), "seconds")
    step = Printed(str(round(1000 * shown_step)), "milliseconds")
    found = claims.check_epoch_times({"epoch 1": (seconds, step)}, steps, per_second=1000, place=PLACE)
    assert found.verdict == "consistent"


@few
@given(n=st.integers(1, 60_000), batch=st.integers(1, 300), drop_last=st.booleans())
def test_the_true_size_is_among_those_that_make_the_steps(n, batch, drop_last):
    steps = n // batch if drop_last else -(-n // batch)
    low, high = sizes.training_sizes(steps, batch_sizes=[batch], drop_last=drop_last)[batch]
    assert low <= n <= high
    assert [size // batch if drop_last else -(-size // batch) for size in (low, high)] == [steps, steps]
    assert (low - 1) // batch < steps if drop_last else -(-(low - 1) // batch) < steps


@few
@given(
    n=st.integers(300, 60_000),
    batch=st.integers(1, 64),
    share=st.sampled_from([Fraction(1), Fraction(9, 10), Fraction(4, 5)]),
    of=st.sampled_from(["batches", "images"]),
    drop_last=st.booleans(),
)
def test_steps_of_a_known_data_set_are_explained(n, batch, share, of, drop_last):
    def batches(images: int) -> int:
        return images // batch if drop_last else -(-images // batch)

    steps = int(share * batches(n)) if of == "batches" else batches(int(share * n))
    found = sizes.explained_steps(steps, images={"it": n}, batch_sizes=range(1, 65), shares=[share])
    assert batch in [cut.batch for cut in found if share == 1 or cut.of == of]


def test_a_way_to_make_the_steps_is_named_as_it_can_be_checked():
    images = {"FER-2013": 35_887, "Training": 28_709}
    found = sizes.explained_steps(574, images=images, batch_sizes=[50], shares=[Fraction(1), Fraction(4, 5)])
    assert list(map(str, found)) == [
        "FER-2013 (35,887) in batches of 50, 4/5 of 718 batches",
        "FER-2013 (35,887) in batches of 50, 4/5 of 35,887 images, full batches only",
        "Training (28,709) in batches of 50, full batches only",
    ]


def test_random_draws_are_rarely_called_unlikely():
    rng = np.random.default_rng(0)
    small = [rng.multivariate_hypergeometric([66, 50, 42], 32).tolist() for _ in range(150)]
    large = [rng.multivariate_hypergeometric([4000, 500, 3000], 1500).tolist() for _ in range(600)]
    p = [sizes.composition_probability(draw, [66, 50, 42]) for draw in small]
    p += [sizes.composition_probability(draw, [4000, 500, 3000]) for draw in large]
    assert np.mean(np.array(p) < 0.1) < 0.14
    assert np.mean(np.array(p) < sizes.ALPHA) < 0.012


# --- wrong digits ---------------------------------------------------------------------------------


def found_share(check, *, tables: int) -> float:
    rng = np.random.default_rng(7)
    return float(np.mean([check(rng, random_matrix(rng)) for _ in range(tables)]))


def test_a_wrong_digit_beside_a_printed_matrix_is_found():
    def check(rng, counts):
        return "inconsistent" in verdicts(of_matrix(counts, one_digit_wrong(rng, report_of(rng, counts))))

    assert found_share(check, tables=100) >= 0.95


def test_a_wrong_digit_in_a_printed_matrix_is_found():
    def check(rng, counts):
        table, (i, j) = report_of(rng, counts), rng.integers(len(counts), size=2)
        changes = [int(c.value) for c in Printed(str(counts[i][j]), "count").one_digit_changes()]
        wrong = [list(row) for row in counts]
        wrong[i][j] = changes[rng.integers(len(changes))]
        return wrong == counts or "inconsistent" in verdicts(of_matrix(wrong, table))

    assert found_share(check, tables=100) >= 0.95


def test_most_wrong_digits_are_found_from_a_report_without_a_matrix():
    def check(rng, counts):
        table = without(report_of(rng, counts), "predicted_count", "one_vs_rest_accuracy")
        return "inconsistent" in verdicts(of_margins(one_digit_wrong(rng, table)))

    assert found_share(check, tables=60) >= 0.8


def test_most_wrong_digits_are_found_from_the_rows_of_the_classes_alone():
    def check(rng, counts):
        return "inconsistent" in verdicts(of_margins(one_digit_wrong(rng, rows_only(report_of(rng, counts)))))

    assert found_share(check, tables=60) >= 0.6


# --- rounding -------------------------------------------------------------------------------------


def test_windows_hold_what_rounds_or_is_cut_off_to_the_number():
    half = Printed("62.5%", "percent")
    assert half.window("rounded").low == pytest.approx(0.6245)
    assert half.window("truncated").low == pytest.approx(0.625)
    assert half.window().high == pytest.approx(0.626)
    assert Fraction(65, 100) not in half.window()
    assert Printed("3,534", "count").window().low == 3534


def test_a_rate_of_zero_has_no_negative_values_behind_it():
    assert Printed("0.00").window().low == 0


@pytest.mark.parametrize(("rounding", "expected"), [("rounded", []), ("truncated", [26]), ("either", [26])])
def test_counts_behind_a_rate_depend_on_how_it_was_shortened(rounding, expected):
    assert list(counts_within(Printed("54.1", "percent").window(rounding), 48)) == expected


def test_a_rate_that_fits_no_count_says_which_lie_beside_it():
    rate = Printed("47.7", "percent")
    assert not fits(rate, 64)
    assert nearest_rates(rate, 64) == "30/64 = 46.88 %, 31/64 = 48.44 %"
    assert [str(mended) for mended in mends(rate, 64)] == ["43.7"]


def test_sizes_that_fit_are_found_also_where_one_rate_is_wrong():
    rates = [shown(Fraction(k, 717), decimals=6) for k in (11, 300, 444, 716)]
    assert sizes_that_fit(rates, sizes=range(100, 1500)) == [717, 1434]
    assert best_sizes([*rates, Printed("0.123456")], sizes=range(100, 1500)) == (4, [717, 1434])
    assert sizes_that_fit([*rates, Printed("0.123456")], sizes=range(100, 1500)) == []


# --- reports and matrices -------------------------------------------------------------------------


def report(rows: dict[str, tuple[str, str, str, str]], **overall: str) -> dict:
    metrics = ("precision", "recall", "f1", "support")
    table = {
        (name, metric): Printed(text, "count" if metric == "support" else "fraction")
        for name, row in rows.items()
        for metric, text in zip(metrics, row, strict=True)
    }
    return table | {
        ("", m): Printed(text, "count" if m == "support" else "fraction") for m, text in overall.items()
    }


def test_a_slip_of_one_digit_is_called_likely_and_named():
    table = report({"fear": ("0.48", "0.31", "0.35", "528")})
    (found,) = reports.check_report(table, place=PLACE)
    assert (found.verdict, found.certainty, found.location) == ("inconsistent", "likely", "Table 1: Fear")
    assert "precision 0.40" in found.explanation and "0.3767" in found.expected


def test_a_row_whose_f1_fits_but_whose_counts_do_not_says_which():
    (found,) = reports.check_report(report({"fear": ("0.50", "0.30", "0.38", "8")}), place=PLACE)
    assert (
        found.verdict == "inconsistent"
        and "2/8 = 0.250, 3/8 = 0.375: none prints as 0.30" in found.explanation
    )


def test_a_row_without_f1_is_checked_by_its_counts():
    row = {("fear", "precision"): Printed("0.50"), ("fear", "support"): Printed("8", "count")}
    for recall, verdict in (("0.25", "consistent"), ("0.30", "inconsistent")):
        (found,) = reports.check_report(row | {("fear", "recall"): Printed(recall)}, place=PLACE)
        assert (found.rule, found.verdict) == ("whole numbers behind a row", verdict)
    assert "P 0.50, R 0.30, support 8" in found.printed


def test_a_row_that_no_single_digit_mends_is_called_certain():
    (found,) = reports.check_report(report({"fear": ("0.11", "0.11", "0.99", "528")}), place=PLACE)
    assert (found.verdict, found.certainty) == ("inconsistent", "certain")


def test_a_total_that_is_not_the_sum_is_found():
    table = report({"a": ("1.00", "1.00", "1.00", "3"), "b": ("1.00", "1.00", "1.00", "4")}, support="8")
    (found,) = [
        each for each in reports.check_report(table, place=PLACE) if each.rule == "sum of the supports"
    ]
    assert (found.verdict, found.expected, found.certainty) == ("inconsistent", "7", "likely")


def test_a_macro_average_printed_for_a_weighted_one_is_found():
    rows = {"a": ("0.9000", "0.9000", "0.9000", "900"), "b": ("0.1000", "0.1000", "0.1000", "100")}
    right, wrong = report(rows, weighted_f1="0.8200"), report(rows, weighted_f1="0.5000")
    assert verdicts(list(reports.check_report(right, place=PLACE))) == {"consistent"}
    assert "inconsistent" in verdicts(list(reports.check_report(wrong, place=PLACE)))


def test_a_slip_in_an_average_is_called_likely_and_a_wrong_average_certain():
    rows = {"a": ("0.90", "0.90", "0.90", "90"), "b": ("0.50", "0.50", "0.50", "10")}
    for printed, certainty in (("0.76", "likely"), ("0.13", "certain")):
        found = list(reports.check_report(report(rows, macro_f1=printed), place=PLACE))
        (wrong,) = [each for each in found if each.verdict == "inconsistent"]
        assert (wrong.location, wrong.certainty) == ("Table 1: macro f1", certainty)


def test_a_macro_f1_of_averaged_precision_and_recall_is_not_blamed():
    rows = {"a": ("0.90", "0.30", "0.45", "50"), "b": ("0.30", "0.90", "0.45", "50")}
    for printed, certainty in (("0.45", "certain"), ("0.60", "possible")):
        (*_, found) = reports.check_report(report(rows, macro_f1=printed), place=PLACE)
        assert (found.location, found.verdict) == ("Table 1: macro f1", "consistent")
        assert found.certainty == certainty


def test_figures_of_a_matrix_are_those_of_scikit_learn():
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(3)
    for _ in range(5):
        counts = np.array(random_matrix(rng))
        truth, guess = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        expected = precision_recall_fscore_support(truth, guess, labels=range(len(counts)), zero_division=0)
        figures, names = (
            matrices.figures_of(counts.tolist(), names_of(counts.tolist())),
            names_of(counts.tolist()),
        )
        for metric, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
            np.testing.assert_allclose([float(figures[name, metric]) for name in names], values)
        assert figures["", "accuracy"] == Fraction(int(np.trace(counts)), int(counts.sum()))


@few
@given(seed=seeds)
def test_a_matrix_that_is_found_prints_the_table_it_was_made_for(seed):
    rng = np.random.default_rng(seed)
    table = without(report_of(rng, random_matrix(rng)), "macro_precision", "macro_f1", "weighted_precision")
    table = without(table, "weighted_f1", "one_vs_rest_accuracy")
    found = matrices.feasible_matrix(table)
    assert found.status == "feasible"
    figures = matrices.figures_of(found.matrix.tolist(), reports.classes_of(table))
    for (name, metric), number in table.items():
        window = reports.windows_of(table, name)["f1"] if metric == "f1" and name else number.window()
        far = 1e-6 + (0 if name else float(number.unit_of_last_digit))  # averages may be of the printed rows
        assert float(window.low) - far <= figures[name, metric] <= float(window.high) + far


def test_rows_that_hold_one_by_one_may_still_fit_no_matrix():
    """15 predictions of one class and 10 of the other are more than the 20 samples."""
    table = report({"a": ("0.60", "0.90", "0.72", "10"), "b": ("0.90", "0.90", "0.90", "10")})
    assert all(reports.row_holds(table, name) for name in "ab")
    found = matrices.check_feasible(table, place=PLACE)
    assert (found.verdict, found.certainty) == ("inconsistent", "likely")
    assert "a 15, b 10; together 25, samples 20" in found.explanation


def test_a_matrix_needs_supports():
    with pytest.raises(ValueError, match="support of every class; a: none"):
        matrices.feasible_matrix({("a", "recall"): Printed("0.5")})


# --- sizes and claims -----------------------------------------------------------------------------


def test_the_probability_of_a_composition_is_exact_where_that_is_quick():
    assert sizes.composition_probability([2, 0], [2, 2]) == pytest.approx(2 / 6)
    assert sizes.composition_probability([1, 1], [2, 2]) == 1
    assert sizes.composition_probability([21, 3, 8], [66, 50, 42]) == pytest.approx(0.0019, abs=2e-4)
    with pytest.raises(ValueError, match="cannot be drawn"):
        sizes.composition_probability([3, 0], [2, 2])


def test_the_approximation_agrees_with_the_exact_test(monkeypatch):
    draw, population = [40, 25, 35], [660, 500, 420]
    exact = sizes.composition_probability(draw, population)
    monkeypatch.setattr(sizes, "_COMPOSITIONS", 0)
    assert sizes.composition_probability(draw, population) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(
    ("right", "verdict"), [(20, "inconsistent"), (21, "inconsistent"), (22, "consistent")]
)
def test_an_accuracy_is_compared_with_the_majority_class(right, verdict):
    accuracy = shown(Fraction(right, 32), decimals=1, unit="percent")
    assert sizes.check_majority([21, 3, 8], right, accuracy, place=PLACE).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict", "certainty"),
    [
        ("321", "consistent", "certain"),
        ("231", "inconsistent", "possible"),
        ("123", "inconsistent", "certain"),
    ],
)
def test_a_fall_is_checked_from_row_to_row(values, verdict, certainty):
    rows = {f"epoch {i}": Printed(v, "loss") for i, v in enumerate(values)}
    found = claims.check_decreasing(rows, place=PLACE, what="loss")
    assert (found.verdict, found.certainty) == (verdict, certainty)


def test_rates_that_say_nothing_on_the_size_are_not_checkable():
    (found,) = claims.check_rates({"a": Printed("0.54")}, 3534, place=PLACE, source="Given.")
    assert found.verdict == "not_checkable" and "every rate fits" in found.explanation


def test_agreement_of_a_cut_off_and_a_rounded_number_is_only_possible():
    found = claims.check_same(Printed("53%", "percent"), Printed("0.54"), place=PLACE, what="accuracy")
    assert (found.verdict, found.certainty) == ("consistent", "possible")


def test_repeated_rows_are_blamed_only_where_chance_is_small():
    first = {str(i): Printed(f"0.{i}1") for i in range(6)}
    other = {str(i): Printed(f"0.{i}2") for i in range(6)}
    one_same = other | {"0": first["0"]}
    for second, verdict in ((other, "consistent"), (one_same, "consistent"), (first, "inconsistent")):
        found = claims.check_repeated(first, second, chance=0.03, place=PLACE, note="")
        assert found.verdict == verdict


def test_an_epoch_that_took_half_its_steps_is_found():
    times = {"epoch 1": (Printed("20", "seconds"), Printed("100", "milliseconds"))}
    found = claims.check_epoch_times(times, 400, per_second=1000, place=PLACE)
    assert found.verdict == "inconsistent" and "epoch 1" in found.explanation
