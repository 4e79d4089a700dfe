"""Confusion matrices: the figures that follow from one, and the search for one that has printed figures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import Any, Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

Ends = tuple[float, float]
"""The smallest and the largest possible value."""

METRICS = ("precision", "recall", "f1")
OF_CLASSES = ("support", "predicted_count", *METRICS, "specificity", "one_vs_rest_accuracy")
"""Figures of a class; all others are of the whole table."""

NODES = 40
"""The search ends after so many integer programs, undecided; seconds would differ by machine."""
_MIP_NODES = 1_000
_MOVES = 60
"""Moves of the descent from the solution of an integer program to a matrix that fits."""
_SLACK = 1e-9


def figures_of(
    counts: Sequence[Sequence[int]], names: Sequence[str], *, undefined: int = 0
) -> dict[tuple[str, str], Fraction]:
    """Return every figure that follows from a confusion matrix, as ``(class or "", metric) -> value``.

    Values are exact but for Matthews' correlation coefficient, whose root is a float's.

    Parameters
    ----------
    counts
        ``(K, K)``: samples of class i that were predicted as class j.
    names
        Names of the K classes.
    undefined
        Value of a figure that is 0/0, such as the precision of a class without predictions; scikit-learn
        prints 0 unless told otherwise.
    """
    cells = np.array([[Fraction(cell) for cell in row] for row in counts], dtype=object)
    found = {("", "support"): Fraction(cells.sum())}
    for metric, values in figures(cells.sum(1), np.diagonal(cells), cells.sum(0), undefined).items():
        if metric in OF_CLASSES:
            found |= {(name, metric): Fraction(v) for name, v in zip(names, values, strict=True)}
        else:
            found["", metric] = Fraction(values)
    return found


def figures(support: Any, hits: Any, predicted: Any, undefined: int = 0) -> dict[str, Any]:
    """Return the figures of matrices with these supports ``(K,)``, hits and predictions ``(..., K)``."""

    def ratio(part: Any, whole: Any, otherwise: int = undefined) -> Any:
        return np.where(whole == 0, otherwise, part / np.where(whole == 0, 1, whole))[()]

    n, right = support.sum(), hits.sum(-1)
    found = {
        "support": support,
        "predicted_count": predicted,
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + predicted),
        "specificity": ratio(n - support - predicted + hits, n - support),
        "one_vs_rest_accuracy": ratio(n - support - predicted + 2 * hits, n),
        "accuracy": ratio(right, n),
    }
    for metric in (*METRICS, "specificity"):
        found[f"macro_{metric}"] = found[metric].sum(-1) / len(support)
        found[f"weighted_{metric}"] = ratio((found[metric] * support).sum(-1), n)
    # Every sample has one class and one prediction, so that these three are the accuracy.
    found |= {f"micro_{metric}": found["accuracy"] for metric in METRICS}
    chance = (support * predicted).sum(-1)
    found["cohen_kappa"] = ratio(n * right - chance, n * n - chance, 0)
    spread = (n * n - (predicted * predicted).sum(-1)) * (n * n - (support * support).sum())
    found["mcc"] = ratio(n * right - chance, np.sqrt(np.asarray(spread, dtype=float)), 0)
    return found


@dataclass(frozen=True)
class Feasibility:
    """Whether some confusion matrix fits; if so, hits and predictions ``(K,)`` of the classes of one.

    Hits h, supports s and predictions p are those of a matrix if h <= s, h <= p, the p sum to the samples n,
    and of each class misses and false alarms, s - h + p - h, are no more than all misses n - sum(h).
    """

    status: Literal["feasible", "impossible", "undecided"]
    hits: np.ndarray | None = None
    predicted: np.ndarray | None = None


def search_matrix(
    supports: np.ndarray,
    wanted: Mapping[tuple[int | None, str], Ends],
    *,
    hits: np.ndarray,
    predicted: np.ndarray,
    nodes: int = NODES,
) -> Feasibility:
    """Look for a confusion matrix with figures in given ranges, by branch and bound over integer programs.

    All figures are linear in hits, predictions, F1 and precision of the classes, and two equations are not:
    F1 x (support + predictions) = 2 x hits, and precision x predictions = hits. McCormick's envelopes bound
    them on a box of predictions, and boxes are cut where a solution is off.

    Parameters
    ----------
    supports
        ``(K,)``
    wanted
        Ranges of figures, ``(number of the class or None, metric) -> ends``.
    hits, predicted
        ``(2, K)``: fewest and most hits and predictions of each class.
    nodes
        Number of integer programs after which the search ends undecided.
    """
    program, boxes, status = _Program(supports, wanted, hits), [predicted], "impossible"
    for node in range(1, nodes + 1):
        if not boxes:
            return Feasibility(status)
        box = boxes.pop()
        solved = program.solve(box)
        if solved.status == 2:
            continue
        if solved.x is None:
            return Feasibility("undecided")
        h, p, f1, precision = solved.x.reshape(4, -1)
        state = np.rint([h, p])
        often = node & (node - 1) == 0  # the descent is slow: at nodes 1, 2, 4, 8 and so on
        if (found := program.descend(state, _MOVES if often else 0)) is not None:
            return Feasibility("feasible", *found.astype(int))
        exact, (low, high) = figures(supports, *state), box
        off = program.uses["f1"] * abs(exact["f1"] - f1)
        off = off + program.uses["precision"] * abs(exact["precision"] - precision)
        worst = np.where(high > low, off + 1e-6 * (high - low), -1).argmax()
        if high[worst] == low[worst]:  # what remains is the hits, on which no box is cut
            status = "undecided"
            continue
        edge = (high[worst] - low[worst]) // 5  # no thin slices
        one, at = np.eye(len(low))[worst], np.clip(state[1, worst], low[worst] + edge, high[worst] - 1 - edge)
        boxes += [np.array([np.where(one, at + 1, low), high]), np.array([low, np.where(one, at, high)])]
    return Feasibility("undecided")


class _Program:
    """The integer program: its variables are hits, predictions, F1 and precision of the K classes."""

    def __init__(
        self, supports: np.ndarray, wanted: Mapping[tuple[int | None, str], Ends], hits: np.ndarray
    ) -> None:
        self.supports, self.wanted, self.hits = supports, wanted, hits
        self.n, self.k = supports.sum(), len(supports)
        averages = [metric.partition("_")[2] for _, metric in wanted]
        self.uses = {metric: metric in averages for metric in ("f1", "precision")}
        self.linear = list(self._linear())

    def solve(self, box: np.ndarray) -> Any:
        """Solve the program for predictions in a box ``(2, K)``."""
        rows = self.linear + list(self._envelopes(box)) + list(self._correlation(box))
        coefficients, low, high = (np.array(part) for part in zip(*rows, strict=True))
        ends = [
            np.concatenate([*pair, np.full(2 * self.k, i)])
            for i, pair in enumerate(zip(self.hits, box, strict=True))
        ]
        return milp(
            np.zeros(4 * self.k),
            integrality=np.repeat([1, 0], 2 * self.k),
            bounds=Bounds(*ends),
            constraints=LinearConstraint(coefficients, low - _SLACK, high + _SLACK),
            options={"node_limit": _MIP_NODES},
        )

    def descend(self, state: np.ndarray, moves: int) -> np.ndarray | None:
        """Move hits and predictions ``(2, K)`` between classes until they fit; None if that fails."""
        best, rng = self.excess(state[None])[0], np.random.default_rng(0)
        steps = np.rint(np.geomspace(1, max(self.n / 4, 2), 16))
        one, two = np.array(np.meshgrid(*[np.unique([*-steps, 0, *steps])] * 2)).reshape(2, -1)
        pairs, triples = (list(combinations(range(self.k), size)) for size in (2, 3))
        kinds = [([(row, c) for c in three], [one, two, -one - two]) for row in (0, 1) for three in triples]
        kinds += [([*product((0, 1), pair)], [one, -one, two, -two]) for pair in pairs]
        for kind in rng.integers(len(kinds), size=moves):
            if best == 0:
                break
            tried = np.tile(state, (len(one), 1, 1))
            for place, step in zip(*kinds[kind], strict=True):
                tried[:, *place] += step
            excess = self.excess(tried)
            if excess.min() < best:
                state, best = tried[excess.argmin()], excess.min()
        return state if best == 0 else None

    def excess(self, states: np.ndarray) -> np.ndarray:
        """Return how far the figures of hits and predictions ``(m, 2, K)`` are from the ranges; 0: they fit.

        Infinite where no matrix has these hits and predictions.
        """
        s, (h, p) = self.supports, np.moveaxis(states, 1, 0)
        misses = (s - h).sum(1, keepdims=True)
        possible = ((h >= 0) & (h <= s) & (p >= h) & (s + p - 2 * h <= misses)).all(1)
        found, h, p = np.full(len(states), np.inf), h[possible], p[possible]
        for undefined in (0,) if p.all() and s.all() else (0, 1):
            exact, excess = figures(s, h, p, undefined), np.zeros(len(h))
            for (one, metric), (low, high) in self.wanted.items():
                value = exact[metric] if one is None else exact[metric][:, one]
                far = np.maximum(low - value, value - high)
                excess += np.where(far > _SLACK, far / (high - low + _SLACK), 0)
            found[possible] = np.minimum(found[possible], excess)
        return found

    def _row(
        self, low: float, high: float, hits: Any = 0, predicted: Any = 0, f1: Any = 0, precision: Any = 0
    ):
        """Return a linear constraint: coefficients of the variables, lower and upper end."""
        parts = [
            np.broadcast_to(np.asarray(part, float), self.k) for part in (hits, predicted, f1, precision)
        ]
        return np.concatenate(parts), low, high

    def _linear(self) -> Iterator[tuple]:
        """Yield the constraints that hold in every box."""
        s, n, row, no = self.supports, self.n, self._row, np.inf
        yield row(n, n, predicted=1)
        for one, support in zip(np.eye(self.k), s, strict=True):
            yield row(-no, 0, one, -one)
            yield row(-no, n - support, 1 - 2 * one, one)
        for (number, metric), (low, high) in self.wanted.items():
            kind, _, figure = metric.partition("_")
            one = np.ones(self.k) if number is None else np.eye(self.k)[number]
            weight = s / n if kind == "weighted" else one / self.k
            others = n - s @ one
            if metric in ("precision", "f1"):
                t, c = (2, s @ one) if metric == "f1" else (1, 0)
                yield row(low * c, no, t * one, -low * one)
                yield row(-no, high * c, t * one, -high * one)
            elif metric == "specificity":
                yield row((low - 1) * others, (high - 1) * others, one, -one)
            elif metric == "one_vs_rest_accuracy":
                yield row(low * n - others, high * n - others, 2 * one, -one)
            elif metric in ("accuracy", "weighted_recall") or kind == "micro":
                yield row(np.ceil(low * n - _SLACK), np.floor(high * n + _SLACK), 1)
            elif metric == "macro_recall":  # 0 or 1 for a class without samples
                yield row(low - weight @ (s == 0), high, weight / np.maximum(s, 1))
            elif metric == "cohen_kappa":  # (n hits - chance) / (n² - chance), chance: sum of s x predictions
                yield row(low, no, 1 / n, (low - 1) * s / n**2)
                yield row(-no, high, 1 / n, (high - 1) * s / n**2)
            elif figure == "specificity" and (s < n).all():
                yield row(low - weight.sum(), high - weight.sum(), weight / (n - s), -weight / (n - s))
            elif figure in ("f1", "precision"):
                yield row(low, high, **{figure: weight})

    def _envelopes(self, box: np.ndarray) -> Iterator[tuple]:
        """Yield McCormick's bounds of y x (c + predictions) = t x hits on a box, y being F1 or precision."""
        low, high = box
        fewest, most = self.hits[0], np.minimum(self.hits[1], high)
        for name, t, c in (("f1", 2, self.supports), ("precision", 1, 0 * self.supports)):
            defined = c + low > 0
            y_low = np.where(defined, t * fewest / np.maximum(c + np.maximum(high, fewest), 1), 0)
            y_high = np.where(defined, t * most / np.maximum(c + np.maximum(low, most), 1), 1)
            corners = [(y_low, low, 0), (y_high, high, 0), (y_high, low, 1), (y_low, high, 1)]
            for i, one in enumerate(np.eye(self.k)) if self.uses[name] else ():
                yield self._row(y_low[i], y_high[i], **{name: one})
                for y, p, above in corners:
                    end = -y[i] * p[i]
                    ends = (-np.inf, end) if above else (end, np.inf)
                    yield self._row(*ends, t * one, -y[i] * one, **{name: -(c[i] + p[i]) * one})

    def _correlation(self, box: np.ndarray) -> Iterator[tuple]:
        """Yield bounds of MCC on a box: (n hits - chance) / n², over the root of the two spreads.

        The spread of the predictions, 1 - sum of p²/n², lies between its secant and its tangent; the root of
        a spread A is at least A / root of the largest, and at most (A + B) / 2 root(B) for any B.
        """
        if ends := self.wanted.get((None, "mcc")):
            s, n, (low, high) = self.supports, self.n, box
            scale, middle = np.sqrt(1 - (s**2).sum() / n**2), (low + high) / 2
            spreads = np.clip(1 - (box[::-1] ** 2).sum(1) / n**2, 0, 1 - 1 / self.k)
            limits = np.outer(ends, np.sqrt(spreads)) * scale
            yield self._row(limits.min(), limits.max(), 1 / n, -s / n**2)
            if ends[0] > 0 and spreads[1] > 0:
                f = ends[0] * scale / np.sqrt(spreads[1])
                end = f * (1 + low @ high / n**2)
                yield self._row(end, np.inf, 1 / n, -s / n**2 + f * (low + high) / n**2)
                f = ends[1] * scale / np.sqrt(spreads[1]) / 2
                end = f * (1 + spreads[1] + middle @ middle / n**2)
                yield self._row(-np.inf, end, 1 / n, -s / n**2 + f * 2 * middle / n**2)
