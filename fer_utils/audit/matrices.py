"""Confusion matrices: the figures that follow from a printed one, and whether any fits printed margins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.reports import METRICS, Table, classes_of, predictions_of, row_holds, windows_of
from fer_utils.audit.rounding import Printed, Window

NODES = 2_000
"""The search for a matrix ends after so many branches, undecided; seconds would differ by machine."""

_FIGURES = "figures of the confusion matrix"
_SLACK = 1e-9
"""Windows are widened by this in the solver's floats, so that rounding never makes a table impossible."""


def figures_of(
    counts: Sequence[Sequence[int]], names: Sequence[str], *, undefined: int = 0
) -> dict[tuple[str, str], Fraction]:
    """Return every figure that follows from a confusion matrix (rows: truth), exactly.

    Keys are ``(class, metric)`` as in a table of `fer_utils.audit.reports`. `undefined` is the precision of a
    class without predictions and the recall of one without samples; scikit-learn prints 0 unless told else.
    """
    n, size = sum(map(sum, counts)), len(names)
    found = {("", "support"): Fraction(n)}
    for i, name in enumerate(names):
        right, support, predicted = counts[i][i], sum(counts[i]), sum(row[i] for row in counts)
        found[name, "support"], found[name, "predicted_count"] = Fraction(support), Fraction(predicted)
        found[name, "precision"] = _ratio_of(right, predicted, undefined)
        found[name, "recall"] = _ratio_of(right, support, undefined)
        found[name, "f1"] = _ratio_of(2 * right, support + predicted, undefined)
        found[name, "one_vs_rest_accuracy"] = Fraction(n - support - predicted + 2 * right, max(n, 1))
    found["", "accuracy"] = Fraction(sum(counts[i][i] for i in range(size)), max(n, 1))
    for metric in METRICS:
        of = [found[name, metric] for name in names]
        weighted = sum(v * found[name, "support"] for v, name in zip(of, names, strict=True))
        found["", f"macro_{metric}"], found["", f"weighted_{metric}"] = sum(of) / size, weighted / max(n, 1)
        found["", f"micro_{metric}"] = found["", "accuracy"]  # every sample has one class and one prediction
    return found


def check_matrix(
    counts: Sequence[Sequence[int]], names: Sequence[str], table: Table, *, place: Place
) -> Iterator[Finding]:
    """Yield a finding for every printed figure that a printed matrix contradicts, or one that none is.

    Figures that are 0/0 count as 0, or as 1 where more of the table fits so.
    """
    tried = [figures_of(counts, names, undefined=value) for value in (0, 1)]
    shared = [key for key in table if key in tried[0]]
    wrong, figures = min(
        (([key for key in shared if each[key] not in table[key].window()], each) for each in tried),
        key=lambda pair: len(pair[0]),
    )
    for key in wrong:
        yield _wrong_figure(key, table[key], figures[key], place=place)
    if shared and not wrong:
        listed = (f"{_named(key)} {table[key]} ({float(figures[key]):.4g})" for key in shared)
        yield judged(
            place,
            _FIGURES,
            True,
            printed=f"{len(shared)} printed figures, all as the matrix gives them",
            expected=f"{len(shared)} figures from the cells",
            explanation=f"Printed (recomputed from the cells): {', '.join(listed)}.",
        )


@dataclass(frozen=True)
class Feasibility:
    """Whether some confusion matrix fits; `matrix` is one that does, ``(K, K)`` with the truth in rows."""

    status: Literal["feasible", "impossible", "undecided"]
    matrix: np.ndarray | None = None


def feasible_matrix(table: Table, *, nodes: int = NODES) -> Feasibility:
    """Look for a confusion matrix of whole numbers that prints as this table.

    Given the supports, accuracy, macro recall and every class's precision, recall and F1 are linear in the
    cells, so that the search is an integer linear program (`scipy.optimize.milp`). Macro and weighted
    precision and F1 are not, and are left out: the search may miss a wrong table, but blames no true one.

    Raises
    ------
    ValueError
        If the table lacks the support of a class.
    """
    names = classes_of(table)
    if missing := [name for name in names if (name, "support") not in table]:
        raise ValueError(f"a matrix needs the support of every class; {', '.join(missing)}: none")
    rows, size = list(_rows(table, names)), len(names)
    if any(row.low > row.high for row in rows):  # no whole number lies in some window
        return Feasibility("impossible")
    places = [(r, cell, v) for r, row in enumerate(rows) for cell, v in row.cells.items()]
    r, cell, v = zip(*places, strict=True)
    solved = milp(
        np.zeros(size**2),
        integrality=np.ones(size**2),
        bounds=Bounds(0, np.inf),
        constraints=LinearConstraint(
            csr_array((v, (r, cell)), shape=(len(rows), size**2)),
            [row.low for row in rows],
            [row.high for row in rows],
        ),
        options={"node_limit": nodes},
    )
    if solved.status == 2:
        return Feasibility("impossible")
    if solved.x is None:
        return Feasibility("undecided")
    return Feasibility("feasible", np.rint(solved.x).astype(int).reshape(size, size))


def check_feasible(table: Table, *, place: Place) -> Finding:
    """Return whether any confusion matrix prints as this table.

    An impossible table is ``certain`` to be wrong beyond one digit only where several rows do not hold.
    """
    rule, claim = "some confusion matrix", "supports and per-class figures"
    found, names = feasible_matrix(table), classes_of(table)
    if found.status == "undecided":
        why = "The search ended without a matrix and without a proof that there is none."
        return not_checkable(place, rule, printed=claim, why=why)
    broken = [name for name in names if not row_holds(table, name)]
    why = "An integer program over the cells, with every printed figure's rounding window, has no solution. "
    why += f"Rows that already fail alone: {', '.join(broken) or 'none'}."
    why += "" if broken else f" {_predictions_by_hand(table, names)}"
    if found.matrix is not None:
        why = f"One of those that fit (rows: truth, {' / '.join(names)}): {found.matrix.tolist()}."
    return judged(
        place,
        rule,
        found.status == "feasible",
        printed=claim,
        expected="a confusion matrix that prints so",
        explanation=why,
        certainty="certain" if found.matrix is not None or len(broken) > 1 else "likely",
    )


@dataclass(frozen=True)
class _Row:
    """``low <= sum of coefficient x cell <= high``; cells are numbered row by row."""

    cells: dict[int, float]
    low: float
    high: float


def _rows(table: Table, names: Sequence[str]) -> Iterator[_Row]:
    size = len(names)
    support = [int(table[name, "support"].value) for name in names]
    for i, name in enumerate(names):
        yield _Row(dict.fromkeys(range(i * size, (i + 1) * size), 1.0), support[i], support[i])
        column = range(i, size * size, size)
        if (name, "recall") in table:
            yield _whole({i * (size + 1): 1.0}, table[name, "recall"].window(), support[i])
        if (name, "precision") in table:  # low x predicted <= right <= high x predicted
            yield from _ratio(column, i * (size + 1), table[name, "precision"].window(), times=1, constant=0)
        if (name, "f1") in table:  # low x (support + predicted) <= 2 x right <= high x (support + predicted)
            window = windows_of(table, name)["f1"]
            yield from _ratio(column, i * (size + 1), window, times=2, constant=support[i])
        if (name, "predicted_count") in table:
            wanted = float(table[name, "predicted_count"].value)
            yield _Row(dict.fromkeys(column, 1.0), wanted, wanted)
    diagonal = [i * (size + 1) for i in range(size)]
    if ("", "accuracy") in table:
        yield _whole(dict.fromkeys(diagonal, 1.0), table["", "accuracy"].window(), sum(support))
    recalls = [table[name, "recall"] for name in names if (name, "recall") in table]
    unit = float(max((recall.unit_of_last_digit for recall in recalls), default=0))
    shares = dict.fromkeys(("weighted_recall", "micro_recall"), [1 / max(sum(support), 1)] * size)
    if min(support):  # else a recall is 0/0
        shares["macro_recall"] = [1 / s / size for s in support]
    for metric in (metric for metric in shares if ("", metric) in table):
        window, cells = table["", metric].window(), dict(zip(diagonal, shares[metric], strict=True))
        yield _Row(cells, float(window.low) - unit - _SLACK, float(window.high) + unit + _SLACK)


def _whole(cells: dict[int, float], window: Window, n: int) -> _Row:
    return _Row(cells, ceil(window.low * n), floor(window.high * n))


def _ratio(column: range, right: int, window: Window, *, times: int, constant: int) -> Iterator[_Row]:
    for end, sign in ((float(window.low) - _SLACK, 1), (float(window.high) + _SLACK, -1)):
        cells = dict.fromkeys(column, -sign * end)
        cells[right] += sign * times
        yield _Row(cells, sign * end * constant - _SLACK, np.inf)


def _predictions_by_hand(table: Table, names: Sequence[str]) -> str:
    """Return how many predictions the rows allow, which have to add up to the samples."""
    allowed = {name: predictions_of(table, name).values() for name in names}
    ends = {name: (min(low for low, _ in e), max(high for _, high in e)) for name, e in allowed.items()}
    together = [sum(end[i] for end in ends.values()) for i in (0, 1)]
    listed = ", ".join(f"{name} {_range(*end)}" for name, end in ends.items())
    n = sum(int(table[name, "support"].value) for name in names)
    return f"Predictions that the rows allow: {listed}; together {_range(*together)}, samples {n}."


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _ratio_of(part: int, whole: int, undefined: int) -> Fraction:
    return Fraction(part, whole) if whole else Fraction(undefined)


def _named(key: tuple[str, str]) -> str:
    return " ".join(part for part in key if part).replace("_", " ")


def _wrong_figure(key: tuple[str, str], printed: Printed, exact: Fraction, *, place: Place) -> Finding:
    slip = any(exact in changed.window() for changed in printed.one_digit_changes())
    shown = f"{float(100 * exact):.3f} %" if printed.unit == "percent" else f"{float(exact):.5g}"
    return judged(
        place.at(_named(key)),
        _FIGURES,
        False,
        printed=printed,
        expected=shown,
        explanation=f"The matrix gives {exact} = {shown}, printed {printed}."
        + (" One changed digit would mend it." if slip else ""),
        certainty="likely" if slip else "certain",
    )
