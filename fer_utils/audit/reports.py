"""Precision, recall, F1, supports and their averages, from each other.

A printed table is a dict ``(class, metric) -> Printed``; the class is ``""`` for figures of the whole table.
Metrics are called as in ``data/published``: precision, recall, f1, support; for the whole table accuracy,
macro_precision, weighted_f1 and so on, and support (the total).

A true table may have been worked out in more ways than one, and none is blamed: F1 from the printed precision
and recall, averages from the printed rows, an averaged F1 from the averaged precision and recall, and 0 or 1
for a figure that is 0/0.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import ceil, floor

from fer_utils.audit.findings import Finding, Place, judged
from fer_utils.audit.rounding import Printed, Window, counts_within, nearest_rates
from fer_utils.audit.sizes import check_parts
from fer_utils.papers import Paper

Table = Mapping[tuple[str, str], Printed]
Figures = dict[str, Window]
"""Precision, recall and F1 that a class may have."""
METRICS = ("precision", "recall", "f1")
MOST_BROKEN = 3
"""In a table with more wrong rows than this, no slips of the pen are looked for."""

_MANY = 10**9
"""More predictions than any table has: an upper end where the printed figures give none."""
_ONE = Window(Fraction(0), Fraction(1))


def table_of(paper: Paper, name: str) -> dict[tuple[str, str], Printed]:
    """Return the printed table `name` of a paper."""
    return {(c.class_name or "", c.metric): Printed.of(c) for c in paper.find(table=name)}


def classes_of(table: Table) -> list[str]:
    """Return the classes of a table in their order."""
    return list(dict.fromkeys(name for name, _ in table if name))


def check_report(table: Table, *, place: Place) -> Iterator[Finding]:
    """Yield a finding for each row, average, accuracy and total that the table allows to check."""
    rows = rows_of(table)
    for name, figures in rows.items():
        printed = {metric for metric in (*METRICS, "support") if (name, metric) in table}
        if printed >= set(METRICS) or ("support" in printed and len(printed) > 2):
            yield _row_finding(table, name, figures is not None, place=place)
    for key in table:
        if key[0] == "" and (window := average_window(table, key[1], rows)) is not None:
            yield _average_finding(table, key[1], window, rows, place=place)
    if {("", "support"), *((name, "support") for name in classes_of(table))} <= table.keys():
        yield _total_finding(table, place=place)


def row_holds(table: Table, name: str) -> bool:
    """Return whether some true positives and predictions give a class's precision, recall, F1 and support."""
    return figure_windows(table, name) is not None


def figure_windows(table: Table, name: str) -> Figures | None:
    """Return the possible precision, recall and F1 of a class given each other and its support.

    With a support, whole numbers of true positives and of predictions are tried; without one, F1 is only
    compared with the range that precision and recall allow. None where nothing is possible.
    """
    if (name, "support") not in table:
        printed = windows_of(table, name)
        return printed if _f1_range(printed["precision"], printed["recall"]).overlaps(printed["f1"]) else None
    if not (ends := predictions_of(table, name)):
        return None
    support = int(table[name, "support"].value)
    found = [
        (Fraction(right, max(end, 1)), Fraction(right, max(support, 1)), _f1(right, end, support))
        for right, both in ends.items()
        for end in both
    ]
    return {m: Window(min(v), max(v)) for m, v in zip(METRICS, zip(*found, strict=True), strict=True)}


def windows_of(table: Table, name: str) -> Figures:
    """Return what the printed precision, recall and F1 of a class stand for; what is not printed: anything.

    An F1 that the *printed* precision and recall give may have been worked out from those; it then stands
    for no less than they allow.
    """
    printed = {m: table[name, m].window() if (name, m) in table else _ONE for m in METRICS}
    if all((name, m) in table for m in METRICS) and _exact_f1(table, name) in printed["f1"]:
        allowed = _f1_range(printed["precision"], printed["recall"])
        printed["f1"] = printed["f1"].joined(allowed)
    return printed


def predictions_of(table: Table, name: str) -> dict[int, tuple[int, int]]:
    """Return the numbers of hits that a printed row allows, each with the fewest and most predictions.

    Raises
    ------
    KeyError
        If the table lacks the class's support.
    """
    printed, support = windows_of(table, name), int(table[name, "support"].value)
    found = {
        right: _predictions(right, support, printed) for right in counts_within(printed["recall"], support)
    }
    return {right: ends for right, ends in found.items() if ends is not None}


def rows_of(table: Table) -> dict[str, Figures | None]:
    """Return `figure_windows` of every class."""
    return {name: figure_windows(table, name) for name in classes_of(table)}


def average_window(table: Table, metric: str, rows: Mapping[str, Figures | None]) -> Window | None:
    """Return the range of a macro or weighted average or the accuracy, as the rows allow it.

    A row enters with what it may be and as printed; one that does not hold, as printed only. None where the
    metric is no average, or the table lacks what it is made of. A micro-averaged recall is the weighted one;
    micro-averaged precision and F1 need the predictions, and are left to a printed matrix.
    """
    weighted_recall = metric in ("accuracy", "micro_recall")
    kind, _, figure = ("weighted", "", "recall") if weighted_recall else metric.partition("_")
    needed = [(name, m) for name in rows for m in ([figure, "support"] if kind == "weighted" else [figure])]
    if kind not in ("macro", "weighted") or any(key not in table for key in needed):
        return None
    windows = [_in_average(table[name, figure], found and found[figure]) for name, found in rows.items()]
    weights = [table[name, "support"].value if kind == "weighted" else Fraction(1) for name in rows]
    if not (total := sum(weights)):
        return None
    pairs = list(zip(weights, windows, strict=True))
    return Window(sum(w * v.low for w, v in pairs) / total, sum(w * v.high for w, v in pairs) / total)


def report_holds(table: Table, rows: Mapping[str, Figures | None]) -> bool:
    """Return whether every row and every average of a table holds; the total of the supports is left out."""
    if None in rows.values():
        return False
    averages = ((m, average_window(table, m, rows)) for name, m in table if not name)
    return all(_average_holds(table, m, window, rows) for m, window in averages if window is not None)


def row_mends(table: Table, name: str) -> list[tuple[tuple[str, str], Printed]]:
    """Return the changes of one digit in a row's figures or its support after which the row holds."""
    keys = [(name, metric) for metric in (*METRICS, "support") if (name, metric) in table]
    changes = [(key, changed) for key in keys for changed in table[key].one_digit_changes()]
    return [(key, changed) for key, changed in changes if row_holds({**table, key: changed}, name)]


def report_mends(table: Table) -> list[dict[tuple[str, str], Printed]]:
    """Return the changes of one digit in each row that does not hold, after which the whole table holds.

    Where every row holds by itself, one digit is changed in any one cell of the table instead.
    """
    rows = rows_of(table)
    broken = [name for name, found in rows.items() if found is None]
    if len(broken) > MOST_BROKEN:
        return []
    choices = [dict(choice) for choice in product(*(row_mends(table, name) for name in broken))]
    if not broken:
        choices = [{key: new} for key, number in table.items() for new in number.one_digit_changes()]
    return [choice for choice in choices if _mended(table, rows, choice)]


def distance_from_f1(table: Table) -> Fraction:
    """Return how far all printed F1 together are from those of the printed precision and recall."""
    names = classes_of(table)
    return sum((abs(_exact_f1(table, name) - table[name, "f1"].value) for name in names), Fraction(0))


def _mended(
    table: Table, rows: Mapping[str, Figures | None], choice: Mapping[tuple[str, str], Printed]
) -> bool:
    changed = {**table, **choice}
    new_rows = {name: figure_windows(changed, name) for name, _ in choice if name}  # the others stay
    return None not in new_rows.values() and report_holds(changed, {**rows, **new_rows})


def _average_holds(table: Table, metric: str, window: Window, rows: Mapping[str, Figures | None]) -> bool:
    """An averaged F1 may also be that of the averaged precision and recall."""
    if table["", metric].window().overlaps(window):
        return True
    kind, _, figure = metric.partition("_")
    parts = [average_window(table, f"{kind}_{part}", rows) for part in ("precision", "recall")]
    return figure == "f1" and None not in parts and _f1_range(*parts).overlaps(table["", metric].window())


def _exact_f1(table: Table, name: str) -> Fraction:
    p, r = table[name, "precision"].value, table[name, "recall"].value
    return 2 * p * r / (p + r) if p + r else Fraction(0)


def _f1(right: int, predicted: int, support: int) -> Fraction:
    return Fraction(2 * right, support + predicted) if right else Fraction(0)


def _predictions(right: int, support: int, printed: Mapping[str, Window]) -> tuple[int, int] | None:
    """Return the fewest and the most predictions of a class; None where the printed figures exclude all.

    Without a hit, precision and F1 are 0; those that are 0/0 may be printed as 1.
    """
    precision, f1 = printed["precision"], printed["f1"]
    if right == 0:
        return (0, 0) if (0 in precision or 1 in precision) and (0 in f1 or not support) else None
    if not precision.high or not f1.high:
        return None
    low = max(right, ceil(right / precision.high), ceil(2 * right / f1.high) - support)
    highs = [floor(right / precision.low)] if precision.low else []
    highs += [floor(2 * right / f1.low) - support] if f1.low else []
    high = min(highs, default=_MANY)
    return (low, high) if low <= high else None


def _in_average(printed: Printed, found: Window | None) -> Window:
    return found.joined(Window(printed.value, printed.value)) if found else printed.window()


def _f1_range(precision: Window, recall: Window) -> Window:
    """F1 grows with both."""
    ends = [(precision.low, recall.low), (precision.high, recall.high)]
    return Window(*(2 * p * r / (p + r) if p + r else Fraction(0) for p, r in ends))


def _row_finding(table: Table, name: str, holds: bool, *, place: Place) -> Finding:
    complete = all((name, metric) in table for metric in METRICS)
    labels = {"precision": "P", "recall": "R", "f1": "F1"} | ({} if complete else {"support": "support"})
    shown = [f"{label} {table[name, m]}" for m, label in labels.items() if (name, m) in table]
    mended = [] if holds else row_mends(table, name)
    why = _f1_by_hand(table, name, holds) if complete else _counts_by_hand(table, name)
    if mended:
        listed = ", ".join(f"{metric} {changed}" for (_, metric), changed in mended)
        why += f" One changed digit mends the row: {listed}."
    return judged(
        place.at(name.capitalize()),
        "F1 from precision and recall" if complete else "whole numbers behind a row",
        holds,
        printed=", ".join(shown),
        expected=f"F1 {float(_exact_f1(table, name)):.4f}" if complete else "whole hits and predictions",
        explanation=why,
        certainty="likely" if mended else "certain",
    )


def _f1_by_hand(table: Table, name: str, holds: bool) -> str:
    p, r, f1 = (table[name, metric] for metric in METRICS)
    allowed = _f1_range(p.window(), r.window())
    why = f"2 x {p} x {r} / ({p} + {r}) = {float(_exact_f1(table, name)):.4f}; with rounding {allowed}."
    return why if holds or not allowed.overlaps(f1.window()) else f"{why} {_counts_by_hand(table, name)}"


def _counts_by_hand(table: Table, name: str) -> str:
    n, ends = int(table[name, "support"].value), predictions_of(table, name)
    if ends:
        right, (low, high) = next(iter(ends.items()))
        most = f"to {high}" if high < _MANY else "or more"
        return f"For example {right} of {n} samples are hits, of {low} {most} predictions."
    hits = counts_within(windows_of(table, name)["recall"], n)
    if not hits:
        return f"{nearest_rates(table[name, 'recall'], n)}: none prints as {table[name, 'recall']}."
    return f"{hits[0]} to {hits[-1]} of {n} samples may be hits; no number of predictions gives the rest."


def _average_finding(
    table: Table, metric: str, window: Window, rows: Mapping[str, Figures | None], *, place: Place
) -> Finding:
    printed, broken = table["", metric], [name for name, found in rows.items() if found is None]
    usual, holds = printed.window().overlaps(window), _average_holds(table, metric, window, rows)
    own = [new for new in printed.one_digit_changes() if not holds and new.window().overlaps(window)]
    how = "the supports as weights" if metric.startswith(("weighted", "accuracy")) else "equal weights"
    why = f"Mean of the rows with {how}: {window}; {printed} stands for {printed.window()}."
    if holds and not usual:
        why += " It is the F1 of the averaged precision and recall instead."
    if broken:
        why += f" The rows {', '.join(broken)} do not hold themselves and enter as printed."
    if own:
        why += f" One changed digit mends it: {', '.join(map(str, own))}."
    mended = [] if holds or (own and not broken) else report_mends(table)
    if mended:
        shown = [
            "; ".join(f"{n or 'average'} {m} {v}" for (n, m), v in choice.items()) for choice in mended[:3]
        ]
        where = "in each such row" if broken else "in one cell"
        why += f" With one changed digit {where} the whole table holds, for example: {' or '.join(shown)}."
    return judged(
        place.at(metric.replace("_", " ")),
        "average of the rows",
        holds,
        printed=printed,
        expected=window,
        explanation=why,
        certainty="possible" if holds and not usual else "likely" if own or mended else "certain",
    )


def _total_finding(table: Table, *, place: Place) -> Finding:
    supports = [table[name, "support"] for name in classes_of(table)]
    return check_parts(supports, table["", "support"], place=place.at("support"), rule="sum of the supports")
