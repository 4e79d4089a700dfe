"""Whether the numbers of one printed table can be true together.

One question is asked of a table, of its parts, and of the table with a small mistake taken back: is there a
confusion matrix, or a mean over folds, that prints these numbers?

A table is a dict ``(class or "", metric) -> Printed``. Metrics are those of `figures_of`, or other names in
`ALIASES`. The table is taken to list all classes, and each sample to have one label and one prediction.

A true table may have been worked out in more than one way, and each is allowed: F1 from the printed precision
and recall, averages from the printed rows, an averaged F1 from the averaged precision and recall, and 0 or 1
for a figure that is 0/0. Figures may also be means over folds, unless the split is known. Then weaker rules
hold: F1 is concave in precision and recall, so that its mean over folds (or classes) lies between
max(0, P + R - 1) and 2PR / (P + R) of the mean precision P and recall R.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from typing import NamedTuple

import numpy as np

from fer_utils.audit.findings import Certainty, Finding, Verdict
from fer_utils.audit.matrices import METRICS, NODES, OF_CLASSES, Search, figures_of, search_matrix
from fer_utils.audit.rounding import SLACK, Ends, Printed, Rounding, fits, nearest_rates, overlap

Key = tuple[str, str]
Table = Mapping[Key, Printed]
Matrix = tuple[Sequence[Sequence[int]], Sequence[str]]
"""Counts (rows: truth) and class names."""

ALIASES = {
    "uf1": "macro_f1", "uar": "macro_recall", "balanced_accuracy": "macro_recall", "war": "accuracy",
    "kappa": "cohen_kappa", "sensitivity": "recall", "f1-score": "f1", "f1 score": "f1", "wf1": "weighted_f1",
}  # fmt: skip
"""Other names of a metric."""
READINGS = {"single": (False,) * 2, "pooled": (False,) * 2, "folds": (True,) * 2, "unknown": (False, True)}
"""How figures came about -> whether they are means over folds, in a strict reading and a loose one."""

_MOST_MISTAKES, _TRIES, _MOST_CORRECTIONS = 3, 2_000, 50
"""Mistakes that are taken back at once, changed tables that are tried, and those that are compared."""
TOTAL, SUM, AVERAGE = ("", "support"), "sum of the supports", "average of the rows"
PAIR, FIGURES, WHOLE = (
    "F1 from precision and recall",
    "figures of the confusion matrix",
    "some confusion matrix",
)
_OF_AVERAGES = "2PR / (P + R) of the averages"
_OF_ALL = ["accuracy", "cohen_kappa", "mcc", "macro_specificity", "weighted_specificity"]
_OF_ALL += [f"{kind}_{metric}" for kind in ("macro", "weighted", "micro") for metric in METRICS]


class _Way(NamedTuple):
    """A way to work out a figure from others (`keys`), and what it may give, or is only between."""

    how: str
    ends: Ends = (0.0, 1.0)
    rule: str = ""
    keys: Sequence[Key] = ()
    exact: bool = True


ANY = _Way("Means over folds need not fit one matrix, and no matrix of a fold is printed")


@dataclass(frozen=True)
class _Sheet:
    """A table with one name for each metric; `rounding` is None for the printed numbers as they stand."""

    cells: Table
    rounding: Rounding | None = "either"
    split: str = "unknown"
    matrix: Matrix | None = None
    nodes: int = NODES

    @cached_property
    def figures(self) -> list[dict[Key, float]]:
        """Those of the printed matrix, with 0 and with 1 for 0/0."""
        return [figures_of(*self.matrix, undefined=one) for one in (0, 1)] if self.matrix else []

    @cached_property
    def names(self) -> list[str]:
        return [*dict.fromkeys(name for name, _ in self.cells if name)]

    @cached_property
    def supports(self) -> np.ndarray | None:
        """Samples of each class; None where one is missing, or all are 0."""
        found = [self.cells.get((name, "support")) for name in self.names]
        numbers = np.array([float(each.value) for each in found if each])
        return numbers if None not in found and numbers.any() else None

    def without(self, mistakes: Sequence["_Mistake"]) -> "_Sheet":
        """Return the table without mistakes, of which a matrix is looked for with less effort."""
        cells, matrix = dict(self.cells), self.matrix
        for mistake in mistakes:
            cells, matrix = cells | mistake.changes, mistake.matrix or matrix
        return replace(self, cells={key: cell for key, cell in cells.items() if cell}, matrix=matrix, nodes=1)

    def ends(self, key: Key) -> Ends:
        """Return what a printed figure may be, or 0 to 1 where it is not printed."""
        if (cell := self.cells.get(key)) is None:
            return 0.0, 1.0
        signed = key[1] in ("mcc", "cohen_kappa")
        return cell.ends(self.rounding, signed=signed) if self.rounding else (float(cell.value),) * 2

    @property
    def testable(self) -> list[Key]:
        """The figures that the search for a matrix tests; supports are given."""
        return [key for key in self.cells if key[1] in (OF_CLASSES[1:] if key[0] else _OF_ALL)]

    def ways(self, key: Key, folds: bool = False) -> list[_Way]:
        """Return the ways to work out a figure from other printed ones, the usual one first.

        Over folds of any mix of classes, a weighted average is only bounded by the sum of the rows, or of
        what they lack to 1.
        """
        (name, metric), found, s = key, [], self.supports
        kind, _, figure = {"accuracy": "weighted_recall"}.get(metric, metric).rpartition("_")
        rows = [(each, figure) for each in self.names if not name]
        if rows and {*rows} <= {*self.cells}:
            low, high = ends = np.array([self.ends(row) for row in rows]).T
            if key == TOTAL:
                found = [_Way(SUM, (low.sum(), high.sum()), SUM, rows)]
            elif kind == "macro":
                found = [_Way("mean of the rows", (low.mean(), high.mean()), AVERAGE, rows)]
            elif kind == "weighted" and folds:
                ends = max(0.0, 1 - (1 - low).sum()), min(1.0, high.sum())
                found = [_Way("limits of any mix of folds", ends, AVERAGE, rows, exact=False)]
            elif kind == "weighted" and s is not None:
                rows += [(each, "support") for each in self.names]
                how = "mean of the rows, weighted by support"
                found = [_Way(how, (*(ends @ s / s.sum()),), AVERAGE, rows)]
        pair = [(name, metric.removesuffix("f1") + each) for each in METRICS[:2]] if figure == "f1" else []
        cells = [key for key in pair if key in self.cells]
        known = [[self.ends(k)] if k in cells else [way.ends for way in self.ways(k, folds)] for k in pair]
        if any(known):
            (p, q), (r, s) = ((ends or [(0.0, 1.0)])[0] for ends in known)
            if folds or not (name or found):
                ends = max(0.0, p + r - 1), min(1.0, _f1(q, s))
                found.append(
                    _Way("P + R - 1 to 2PR / (P + R), limits of a mean F1", ends, PAIR, cells, False)
                )
            if not folds and (name or all(known)):
                how = "2PR / (P + R)" if name else _OF_AVERAGES
                found.append(_Way(how, (_f1(p, r), _f1(q, s)), PAIR, cells, exact=all(known)))
        return found

    def search(self, keys: Sequence[Key], *, one_class: bool = False) -> Search:
        """Look for a confusion matrix that prints some figures, of `one_class` against many other samples.

        Figures that follow from other printed ones limit it no further: they may have been worked out so.
        """
        names = [keys[0][0]] if one_class else self.names
        supports = [float(self.cells[name, "support"].value) for name in names]
        if one_class:
            others = 0 if self.supports is None else self.supports.sum() - supports[0]
            supports.append(others or 1000 * supports[0] + 1000)
        exact, wanted = replace(self, rounding=None), []
        for key in [key for key in keys if key[1] != "support"]:
            derived = [way for way in exact.ways(key) if way.exact]
            derived += [way for way in self.ways(key) if way.how == _OF_AVERAGES]
            if not any(overlap(way.ends, self.ends(key)) for way in derived):
                wanted.append(((names.index(key[0]) if key[0] else None, key[1]), self.ends(key)))
        return search_matrix(tuple(supports), tuple(wanted), nodes=self.nodes)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _named(key: Key) -> str:
    return " ".join(filter(None, key)).replace("_", " ")


# --- checks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Check:
    """One rule: some way to work out the `target` gives what is printed, and a matrix prints the `keys`.

    Ways are those of the sheet unless given (`fixed`). `any_fold`: means over folds are not limited.
    """

    sheet: _Sheet
    where: str
    rule: str
    keys: Sequence[Key]
    target: Key | None = None
    needs_matrix: bool = False
    fixed: Sequence[_Way] = ()
    any_fold: bool = False

    def search(self) -> Search:
        return self.sheet.search(self.keys, one_class=self.target is not None)

    def ways(self, folds: bool) -> Sequence[_Way]:
        if self.any_fold and folds:
            return [*self.fixed, ANY]
        printed = self.target in self.sheet.cells
        return self.fixed or (self.sheet.ways(self.target, folds) if printed else [_Way("")])

    def way(self, folds: bool) -> _Way | None:
        """Return the first way that holds, or None. Means over folds need not fit one matrix."""
        printed = self.sheet.ends(self.target)
        fitting = next((way for way in self.ways(folds) if overlap(way.ends, printed)), None)
        if fitting is None or folds or not self.needs_matrix:
            return fitting
        status = self.search().status  # a table with a mistake taken back needs more than a doubt
        return fitting if status == "feasible" or (status == "undecided" and self.sheet.nodes > 1) else None


def _checks(sheet: _Sheet) -> Iterator[_Check]:
    """Yield every rule that the table allows to check, those on single rows before averages.

    Figures may differ from a matrix as means over folds, but not if the split is unknown and most agree.
    """
    names, cells, counted, split = sheet.names, sheet.cells, sheet.supports is not None, sheet.split
    exact = {key: dict.fromkeys(each[key] for each in sheet.figures if key in each) for key in cells}
    ways = {k: [_Way("the matrix gives", (v, v), FIGURES) for v in values] for k, values in exact.items()}
    found = [_Check(sheet, _named(key), FIGURES, [key], key, fixed=ways[key]) for key in cells if ways[key]]
    wrong = sum(not check.way(False) for check in found)
    any_fold = split == "folds" or (split == "unknown" and len(found) - wrong < max(3, wrong))
    yield from (replace(check, any_fold=any_fold) for check in found)
    for name in names:
        keys = [(name, m) for m in (*METRICS, "support", "predicted_count") if (name, m) in cells]
        rule = PAIR if (name, "f1") in cells else "whole numbers behind a row"
        if ((name, "support") in cells and len(keys) > 2) or {*METRICS} <= {metric for _, metric in keys}:
            yield _Check(sheet, name, rule, keys, (name, "f1"), needs_matrix=(name, "support") in cells)
    for key in cells:
        if not key[0] and (ways := sheet.ways(key)):
            yield _Check(sheet, _named(key), ways[0].rule, [key, *ways[0].keys], key)
    pairs = [(name, metric) for name in names for metric in METRICS[:2]]
    if counted and not READINGS[split][0] and {*pairs} <= {*cells}:
        yield _Check(sheet, "predictions", "predictions add up", pairs, needs_matrix=True, any_fold=True)
    if counted and sheet.testable and not sheet.matrix:
        yield _Check(sheet, "", WHOLE, sheet.testable, needs_matrix=True, any_fold=True)


# --- mistakes -------------------------------------------------------------------------------------


class _Mistake(NamedTuple):
    """A small mistake, and the cells and the matrix without it."""

    text: str
    changes: Mapping[Key, Printed | None]
    matrix: Matrix | None = None


def _mistakes(sheet: _Sheet, keys: Sequence[Key]) -> Iterator[_Mistake]:
    """Yield averages under the name of another one, and changed digits of some cells."""
    cells = {key: sheet.cells[key] for key in keys if key in sheet.cells}
    for (name, metric), cell in cells.items():
        kind, _, figure = metric.partition("_")
        names = product(("macro", "weighted"), METRICS) if not name and kind in ("macro", "weighted") else ()
        for other in (("", "_".join(each)) for each in names if (each[0] == kind) != (each[1] == figure)):
            changes = {(name, metric): sheet.cells.get(other), other: cell}
            yield _Mistake(f"{_named((name, metric))} {cell} is {_named(other)}", changes)
    for key, cell in cells.items():
        for new in cell.one_digit_changes():
            yield _Mistake(f"{_named(key)} {new} for {cell}", {key: new})


def _matrix_mistakes(sheet: _Sheet) -> Iterator[_Mistake]:
    """Yield a matrix with rows and columns exchanged, and those with a changed digit."""
    counts, names = sheet.matrix
    yield _Mistake("the matrix transposed", sheet.cells, (np.transpose(counts), names))
    for i, j in product(range(len(names)), repeat=2):
        for new in Printed(str(counts[i][j]), "count").one_digit_changes():
            changed = np.array(counts)
            changed[i, j] = int(new.text)
            text = f"{new} for {counts[i][j]} in {names[i]} as {names[j]}"
            yield _Mistake(text, sheet.cells, (changed, names))


def _holds(sheet: _Sheet, mistakes: Sequence[_Mistake], check: _Check | None = None) -> bool:
    """Return whether all checks, or those that take the place of one, hold without some mistakes.

    A wrong total is a mistake of its own.
    """
    checks, loose = _checks(sheet.without(mistakes)), READINGS[sheet.split][1]
    if check is None:
        return all(each.target == TOTAL or each.way(loose) for each in checks)
    alike = (each for each in checks if each.rule == check.rule)
    checks = [each for each in alike if each.where == check.where or each.target in mistakes[0].changes]
    return bool(checks) and all(each.way(loose) for each in checks)


def _corrections(sheet: _Sheet, failing: Sequence[_Check]) -> list[Sequence[_Mistake]]:
    """Return mistakes, one in each row that fails or else one in all, without which every check holds.

    Those come first without which the printed figures fit best. Where several figures contradict a printed
    matrix, the mistake may be there.
    """
    failing = [check for check in failing if check.target != TOTAL]
    rows = [check for check in failing if check.where in sheet.names]
    options = [
        [mistake for mistake in _mistakes(sheet, check.keys) if _holds(sheet, [mistake], check)]
        for check in (rows or failing[:1])[:_MOST_MISTAKES]
    ]
    if wrong := [check for check in failing if check.rule == FIGURES]:
        options = [_matrix_mistakes(sheet)] if len(wrong) > 1 else []

    def distance(mistakes: Sequence[_Mistake]) -> float:
        exact = replace(sheet.without(mistakes), rounding=None)
        ways = [(key, exact.ways(key)) for key in exact.cells if key != TOTAL]
        return sum(abs(exact.ends(key)[0] - w[0].ends[0]) for key, w in ways if w and w[0].exact)

    tried = islice(product(*options), _TRIES) if options else ()
    found = (mistakes for mistakes in tried if _holds(sheet, mistakes))
    return sorted(islice(found, _MOST_CORRECTIONS), key=distance)


# --- findings -------------------------------------------------------------------------------------


def check_table(
    table: Table,
    *,
    where: str,
    split: str = "unknown",
    rounding: Rounding = "either",
    matrix: Matrix | None = None,
) -> Iterator[Finding]:
    """Yield a finding for everything that the numbers of one table allow to check.

    A finding that another one explains names its location in `follows_from`.

    Parameters
    ----------
    table
        Printed numbers, ``(class or "", metric) -> number``; may be empty if there is a matrix.
    where
        Begins the locations of the findings.
    split, rounding
        How the numbers came about, a key of `READINGS`, and how they were shortened. If the split is unknown,
        what only a mean over folds can print is not checkable.
    matrix
        Counts (rows: truth) and class names of the confusion matrix that the table describes.
    """
    cells: dict[Key, Printed] = {}
    for (name, metric), printed in table.items():
        key = (name, ALIASES.get(metric.lower(), metric))  # where two names are printed, the second stays
        cells[(name, metric) if key in cells else key] = printed
    sheet = _Sheet(cells, rounding, split, matrix)
    for found in (*_findings(sheet), *_majority_findings(sheet)):
        place, cause = (f"{where}: {each}" if each else "" for each in (found.location, found.follows_from))
        yield replace(found, location=place or where, follows_from=cause)


def _findings(sheet: _Sheet) -> Iterator[Finding]:
    """Yield the findings, each at its place within the table."""
    (strict, loose), checks = READINGS[sheet.split], [*_checks(sheet)]
    failing = [check for check in checks if not check.way(loose)]
    corrections = _corrections(sheet, failing)
    # What only a mean over folds can print has one cause. A row that fails is a cause of what contains it.
    suspects = failing or [check for check in checks if not check.way(strict)]
    wrong = [check for check in failing if check.rule == FIGURES]
    rows = [check for check in suspects if check.where in sheet.names and not wrong]
    roots = (wrong[:1] if corrections else wrong) or rows or suspects[:1]
    figures = [check for check in checks if check.rule == FIGURES]
    if figures and all(check.way(False) for check in figures):
        shown = (f"{c.where} {sheet.cells[c.target]} ({c.fixed[0].ends[0]:.4g})" for c in figures)
        why = f"Printed (recomputed from the cells): {', '.join(shown)}."
        yield Finding("", FIGURES, "consistent", f"{len(figures)} figures", "the same", why)
    for check in checks:
        found = _finding(check, corrections)
        causes = [row for row in rows if {*row.keys} & {*check.keys}]
        if wrong or corrections or not failing or check.rule == WHOLE:
            causes = causes or roots
        own = check in roots or (check.target == TOTAL and not wrong)
        if causes and not own and found.verdict != "consistent":
            found = replace(found, follows_from=causes[0].where)
        if check.rule != FIGURES or found.verdict != "consistent":
            yield found
    if corrections and not (loose or wrong) and sheet.supports is not None and failing[0].rule != WHOLE:
        why = "These are the fewest mistakes without which all numbers agree; no result has to be wrong."
        why += f" A matrix that fits: {_hits(sheet.without(corrections[0]))}."
        texts = "; ".join(mistake.text for mistake in corrections[0])
        yield Finding("fewest mistakes", WHOLE, "noteworthy", texts, "", why, "likely", roots[0].where)


def _judge(check: _Check, status: str, excuse: str) -> tuple[Verdict, Certainty]:
    """Return verdict and certainty of a check, given whether a matrix was found and what may explain it."""
    strict, loose = READINGS[check.sheet.split]
    way = check.way(strict)
    if way == ANY or (way and status == "undecided" and check.rule == WHOLE):
        return "not_checkable", "certain"
    if way:
        other = way != check.ways(strict)[0] or (strict and check.target != TOTAL)
        return "consistent", "possible" if other else "certain"
    if check.way(loose):
        return "not_checkable", "certain"
    doubt = loose and check.rule in (AVERAGE, FIGURES)  # a fold may lack a class
    return "inconsistent", "likely" if excuse or doubt else "certain"


def _finding(check: _Check, corrections: Sequence[Sequence[_Mistake]]) -> Finding:
    sheet, name, whole = check.sheet, check.where, check.rule == WHOLE
    strict, loose = READINGS[sheet.split]
    cell, ways = sheet.cells.get(check.target), check.ways(strict)
    status = check.search().status if check.needs_matrix and not strict else ""
    excuse = "" if check.way(loose) else _excuse(check, corrections)
    verdict, certainty = _judge(check, status, excuse)
    why = [f"{way.how}: {_shown(way.ends)}." if way.rule else f"{way.how}." for way in ways if way.how]
    if cell and cell.unit != "count":
        why.append(f"{cell} stands for {_shown(sheet.ends(check.target))}.")
    if status:
        why.append(f"One that fits: {_hits(sheet)}." if whole and status == "feasible" else SEARCHED[status])
    recall, n = (sheet.cells.get((name, metric)) for metric in ("recall", "support"))
    if status == "impossible" and recall and n and not fits(recall, int(n.value)):
        why.append(f"{nearest_rates(recall, int(n.value))}: none prints as {recall}.")
    others = {key[1] for key in sheet.cells} - {key[1] for key in sheet.testable} - {"support"}
    if whole and others:
        why.append(f"Not tested: {', '.join(sorted(others))}.")
    if verdict == "not_checkable" and not check.way(strict):
        why.append("One test set cannot print this, means over folds can.")
    elif verdict == "inconsistent" and loose and not strict and check.target != TOTAL:
        why.append("Nor can it be a mean over folds." * (check.rule != FIGURES))
    printed = str(cell or f"supports and {len(check.keys)} figures")
    if name in sheet.names:
        printed = ", ".join(f"{metric} {sheet.cells[key, metric]}" for key, metric in check.keys)
    expected = " or ".join(_shown(way.ends) for way in ways if way.rule)
    why, expected = " ".join(filter(None, [*why, excuse])), expected or "a confusion matrix that prints so"
    return Finding(name, check.rule, verdict, printed, expected, why, certainty)


SEARCHED = {
    "impossible": "No whole numbers of hits and predictions print all of this.",
    "feasible": "Whole numbers of hits and predictions print this.",
    "undecided": f"Not decided: {NODES} steps found neither a matrix nor a proof.",
}


def _shown(ends: Ends) -> str:
    texts = [f"{end:,.0f}" if max(ends) > 1.5 else f"{end:.4f}" for end in ends]
    return " to ".join(dict.fromkeys(texts))


def _hits(sheet: _Sheet) -> str:
    found = sheet.search(sheet.testable)
    if found.hits is None:
        return found.status
    rows = zip(sheet.names, found.hits, found.predicted, strict=True)
    return ", ".join(f"{name} {h} hits of {p} predictions" for name, h, p in rows)


def _excuse(check: _Check, corrections: Sequence[Sequence[_Mistake]]) -> str:
    """Return which mistakes in the cells of a check explain the whole table, or this rule alone."""
    found = dict.fromkeys(m.text for each in corrections for m in each if {*m.changes} & {*check.keys})
    if found:
        others = ", and one elsewhere," * (len(corrections[0]) > 1)
        return f"With one mistake{others} taken back, all numbers agree: {'; '.join([*found][:4])}."
    for mistake in _mistakes(check.sheet, check.keys) if check.rule != WHOLE else ():
        if _holds(check.sheet, [mistake], check):
            return f"One mistake would explain this rule alone: {mistake.text}."
    return ""


def _majority_findings(sheet: _Sheet) -> Iterator[Finding]:
    """Yield whether accuracies are above those of always predicting one class, or of never predicting it."""
    cells = {key: Printed(f"{value:.12f}", "unsigned") for key, value in (*sheet.figures, {})[0].items()}
    known = _Sheet(cells, "rounded") if cells else sheet
    if known.supports is None:
        return
    n, supports, rule = int(known.supports.sum()), known.supports, "accuracy against the majority class"
    each = {(k, "one_vs_rest_accuracy"): max(s, n - s) for k, s in zip(known.names, supports, strict=True)}
    overall = {("", "accuracy"): supports.max()}
    for detail, baselines in {"accuracy and majority class": overall, "accuracy of each class": each}.items():
        if not {*baselines} <= {*sheet.cells, *(overall if cells else ())}:
            continue
        right = (int(known.ends(key)[1] * n + SLACK) for key in baselines)
        pairs = list(zip(baselines, right, map(int, baselines.values()), strict=True))
        shown = (f"{key[0]} {k}/{n} = {k / n:.2%} against {m}/{n} = {m / n:.2%}" for key, k, m in pairs)
        why = "Against always predicting the largest class, or one class always or never: "
        why += f"{'; '.join(map(str.strip, shown))}."
        printed = ", ".join(f"{key[0]} {sheet.cells.get(key, f'{k / n:.2%}')}".strip() for key, k, _ in pairs)
        expected = "more than " + ", ".join(f"{most / n:.2%}" for *_, most in pairs)
        verdict = "consistent" if all(k > most for _, k, most in pairs) else "noteworthy"
        yield Finding(detail, rule, verdict, printed, expected, why)
