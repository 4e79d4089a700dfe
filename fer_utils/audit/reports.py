"""Precision, recall, F1, supports and their averages, from each other.

A printed table is a dict ``(class, metric) -> Printed``; the class is ``""`` for figures of the whole table.
Metrics are called as in ``data/published``: precision, recall, f1, support; for the whole table accuracy,
macro_precision, weighted_f1 and so on, and support (the total).
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from math import ceil, floor

from fer_utils.audit.findings import Finding, Place, judged
from fer_utils.audit.rounding import Printed, Window, counts_within
from fer_utils.papers import Paper

Table = Mapping[tuple[str, str], Printed]
Figures = dict[str, Window]
"""Precision, recall and F1 that a class may have."""
METRICS = ("precision", "recall", "f1")
MOST_BROKEN = 3
"""In a table with more wrong rows than this, no slips of the pen are looked for."""

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
    for name in rows:
        if {(name, "precision"), (name, "recall"), (name, "f1")} <= table.keys():
            yield _row_finding(table, name, place=place)
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
    printed = {m: table[name, m].window() if (name, m) in table else _ONE for m in METRICS}
    if (name, "support") not in table:
        return printed if _f1_range(printed["precision"], printed["recall"]).overlaps(printed["f1"]) else None
    support = int(table[name, "support"].value)
    found = [
        (
            Fraction(right, end) if end else Fraction(0),
            Fraction(right, max(support, 1)),
            _f1(right, end, support),
        )
        for right in counts_within(printed["recall"], support)
        for end in _ends(_predictions(right, support, printed))
    ]
    if not found:
        return None
    return {m: Window(min(v), max(v)) for m, v in zip(METRICS, zip(*found, strict=True), strict=True)}


def rows_of(table: Table) -> dict[str, Figures | None]:
    """Return `figure_windows` of every class."""
    return {name: figure_windows(table, name) for name in classes_of(table)}


def average_window(table: Table, metric: str, rows: Mapping[str, Figures | None]) -> Window | None:
    """Return the range of a macro or weighted average or the accuracy, as the rows allow it.

    Rows that do not hold enter as printed. None where the metric is no average, or the table lacks what it
    is made of.
    """
    kind, _, figure = ("weighted", "", "recall") if metric == "accuracy" else metric.partition("_")
    needed = [(name, m) for name in rows for m in ([figure, "support"] if kind == "weighted" else [figure])]
    if kind not in ("macro", "weighted") or any(key not in table for key in needed):
        return None
    windows = [(found or {figure: table[name, figure].window()})[figure] for name, found in rows.items()]
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
    """Return the changes of one digit in a row's precision, recall or F1 after which the row holds."""
    keys = [(name, metric) for metric in METRICS if (name, metric) in table]
    changes = [(key, changed) for key in keys for changed in table[key].one_digit_changes()]
    return [(key, changed) for key, changed in changes if row_holds({**table, key: changed}, name)]


def report_mends(table: Table) -> list[dict[tuple[str, str], Printed]]:
    """Return the changes of one digit in each row that does not hold, after which the whole table holds.

    Where every row holds by itself, one digit is changed in any one rate of the table instead.
    """
    rows = rows_of(table)
    broken = [name for name, found in rows.items() if found is None]
    if len(broken) > MOST_BROKEN:
        return []
    choices = [dict(choice) for choice in product(*(row_mends(table, name) for name in broken))]
    if not broken:
        rates = [key for key, number in table.items() if number.unit != "count"]
        choices = [{key: changed} for key in rates for changed in table[key].one_digit_changes()]
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
    """Return the fewest and the most predictions of a class; None where the printed figures exclude all."""
    precision, f1 = printed["precision"], printed["f1"]
    if right == 0:  # precision and F1 are 0 then, also where the class was never predicted
        return (0, 0) if 0 in precision and 0 in f1 else None
    if not precision.high or not f1.high:
        return None
    low = max(right, ceil(right / precision.high), ceil(2 * right / f1.high) - support)
    highs = [floor(right / precision.low)] if precision.low else []
    highs += [floor(2 * right / f1.low) - support] if f1.low else []
    high = min(highs, default=max(low, right + support * 1000))
    return (low, high) if low <= high else None


def _ends(ends: tuple[int, int] | None) -> tuple[int, ...]:
    return () if ends is None else ends


def _f1_range(precision: Window, recall: Window) -> Window:
    """F1 grows with both."""
    ends = [(precision.low, recall.low), (precision.high, recall.high)]
    return Window(*(2 * p * r / (p + r) if p + r else Fraction(0) for p, r in ends))


def _row_finding(table: Table, name: str, *, place: Place) -> Finding:
    p, r, f1 = (table[name, metric] for metric in METRICS)
    holds, exact = row_holds(table, name), float(_exact_f1(table, name))
    why = f"2 x {p} x {r} / ({p} + {r}) = {exact:.4f}; with rounding {_f1_range(p.window(), r.window())}."
    mended = [] if holds else row_mends(table, name)
    if mended:
        listed = ", ".join(f"{metric} {changed}" for (_, metric), changed in mended)
        why += f" One changed digit mends the row: {listed}."
    return judged(
        place.at(name.capitalize()),
        "F1 from precision and recall",
        holds,
        printed=f"P {p}, R {r}, F1 {f1}",
        expected=f"F1 {exact:.4f}",
        explanation=why,
        certainty="likely" if mended else "certain",
    )


def _average_finding(
    table: Table, metric: str, window: Window, rows: Mapping[str, Figures | None], *, place: Place
) -> Finding:
    printed, broken = table["", metric], [name for name, found in rows.items() if found is None]
    usual, holds = printed.window().overlaps(window), _average_holds(table, metric, window, rows)
    how = "the supports as weights" if metric.startswith(("weighted", "accuracy")) else "equal weights"
    why = f"Mean of the rows with {how}: {window}; {printed} stands for {printed.window()}."
    if holds and not usual:
        why += " It is the F1 of the averaged precision and recall instead."
    if broken:
        why += f" The rows {', '.join(broken)} do not hold themselves and enter as printed."
    mended = [] if holds else report_mends(table)
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
        certainty="possible" if holds and not usual else "likely" if mended else "certain",
    )


def _total_finding(table: Table, *, place: Place) -> Finding:
    supports = [table[name, "support"] for name in classes_of(table)]
    total, printed = sum(int(s.value) for s in supports), table["", "support"]
    slip = any(
        int(c.value) == printed.value - total + s.value for s in supports for c in s.one_digit_changes()
    )
    holds = total == printed.value
    return judged(
        place.at("support"),
        "sum of the supports",
        holds,
        printed=printed,
        expected=total,
        explanation=f"{' + '.join(map(str, supports))} = {total}, printed {printed}."
        + (" One changed digit in a support would mend it." if slip and not holds else ""),
        certainty="likely" if slip and not holds else "certain",
    )
