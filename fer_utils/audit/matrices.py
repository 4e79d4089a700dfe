"""Confusion matrices: the figures that follow from one, and the search for one that has given figures."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from fer_utils.audit.rounding import SLACK, Ends

METRICS = ("precision", "recall", "f1")
OF_CLASSES = ("support", "predicted_count", *METRICS, "specificity", "one_vs_rest_accuracy")
"""Figures of a class; all others are of the whole table."""
NOT_LINEAR = ("f1", "precision")

NODES = 40
"""The search ends after so many integer programs, undecided; seconds would differ by machine."""
_MIP_NODES = 1_000
_ROUNDS, _TRIES = 60, 400

Wanted = Mapping[tuple[int | None, str], Ends]
"""Ranges of figures, ``(number of the class or None, metric) -> ends``."""


def _ratios(s: Any, h: Any, p: Any) -> dict[str, tuple[Any, Any]]:
    """Return numerator and denominator of figures; but for Matthews' correlation, both are linear."""
    n, right, chance = s.sum(), h.sum(-1), (s * p).sum(-1)
    agreed, by_chance = right / max(n, 1), chance / max(n, 1) ** 2  # large coefficients upset the search
    spread = (n * n - (p * p).sum(-1)) * (n * n - (s * s).sum())
    return {
        "support": (s, 1),
        "predicted_count": (p, 1),
        "precision": (h, p),
        "recall": (h, s),
        "f1": (2 * h, s + p),
        "specificity": (n - s - p + h, n - s),
        "one_vs_rest_accuracy": (n - s - p + 2 * h, n),
        "accuracy": (right, n),
        "cohen_kappa": (agreed - by_chance, 1 - by_chance),
        "mcc": (n * right - chance, np.sqrt(spread)),
    }


def figures(s: Any, h: Any, p: Any, undefined: int = 0) -> dict[str, Any]:
    """Return the figures of matrices with supports s ``(K,)``, hits h and predictions p ``(..., K)``.

    `undefined` is the value of a figure that is 0/0, such as the precision of a class without predictions;
    scikit-learn prints 0 unless told otherwise.
    """
    found = {}
    for metric, (part, whole) in _ratios(s, h, p).items():
        otherwise = 0 if metric in ("cohen_kappa", "mcc") else undefined
        found[metric] = np.where(whole == 0, otherwise, part / np.where(whole == 0, 1, whole))[()]
    for metric in (*METRICS, "specificity"):
        found[f"macro_{metric}"] = found[metric].sum(-1) / len(s)
        found[f"weighted_{metric}"] = (found[metric] * s).sum(-1) / max(s.sum(), 1)
    # Every sample has one class and one prediction, so that these three are the accuracy.
    return found | {f"micro_{metric}": found["accuracy"] for metric in METRICS}


def figures_of(
    counts: Sequence[Sequence[int]], names: Sequence[str], *, undefined: int = 0
) -> dict[tuple[str, str], float]:
    """Return every figure of a confusion matrix (rows: truth), as ``(class or "", metric) -> value``."""
    cells = np.array(counts, dtype=float)
    found = {("", "support"): float(cells.sum())}
    for metric, values in figures(cells.sum(1), cells.diagonal(), cells.sum(0), undefined).items():
        of = names if metric in OF_CLASSES else [""]
        found |= {(name, metric): float(v) for name, v in zip(of, np.atleast_1d(values), strict=True)}
    return found


class Search(NamedTuple):
    """Whether some confusion matrix fits; if so, hits and predictions ``(K,)`` of the classes of one."""

    status: Literal["feasible", "impossible", "undecided"]
    hits: np.ndarray | None = None
    predicted: np.ndarray | None = None


@lru_cache(maxsize=50_000)
def search_matrix(s: tuple[float, ...], wanted: tuple, *, nodes: int = NODES) -> Search:
    """Look for a confusion matrix with figures in given ranges, by branch and bound over integer programs.

    `wanted` are pairs ``((number of the class or None, metric), ends)``. Hits h, supports s ``(K,)`` and
    predictions p are those of a matrix of n samples if h <= s, h <= p, the p sum to n, and of each class
    misses and false alarms, s - h + p - h, are no more than all misses n - sum(h). All figures but Matthews'
    correlation are linear in h, p, F1 and precision, and two equations are not: F1 x (s + p) = 2 h, and
    precision x p = h. McCormick's envelopes bound them on a box of predictions, and boxes are cut where a
    solution is off. After `nodes` programs, it ends undecided.
    """
    supports, wanted, k, status = np.array(s), dict(wanted), len(s), "impossible"
    hits, boxes = (0 * supports, supports), [np.array([0 * supports, 0 * supports + supports.sum()])]
    averages = {metric.partition("_")[2] for _, metric in wanted}
    uses, linear = [figure for figure in NOT_LINEAR if figure in averages], [*_linear(supports, wanted)]
    for node in range(1, nodes + 1):
        if not boxes:
            return Search(status)
        low, high = box = boxes.pop()
        rows = linear + [rows for figure in uses for rows in _envelope(figure, supports, wanted, box)]
        coefficients, least, most = map(np.concatenate, zip(*rows, strict=True))
        scale = np.abs(coefficients).max(axis=1)  # without it, HiGHS solves some programs twice and prints so
        scaled = coefficients / scale[:, None], (least - SLACK) / scale, (most + SLACK) / scale
        solved = milp(
            np.zeros(4 * k),
            integrality=np.repeat([1, 0], 2 * k),
            bounds=Bounds(*(np.concatenate([hits[i], box[i], np.full(2 * k, i)]) for i in (0, 1))),
            constraints=LinearConstraint(*scaled),
            options={"node_limit": _MIP_NODES},
        )
        if solved.status == 2:  # infeasible
            continue
        if solved.x is None:
            return Search("undecided")
        h, p, *ratios = solved.x.reshape(4, -1)
        state = np.rint([h, p])
        often = node & (node - 1) == 0  # the descent is slow: at nodes 1, 2, 4, 8 and so on
        if (found := _descend(supports, wanted, state, _ROUNDS if often else 0)) is not None:
            return Search("feasible", *found.astype(int))
        exact, given = figures(supports, *state), dict(zip(NOT_LINEAR, ratios, strict=True))
        off = sum(abs(exact[figure] - given[figure]) for figure in uses) + 1e-6 * (high - low)
        worst = np.where(high > low, off, -1).argmax()
        if high[worst] == low[worst]:  # what remains is the hits, on which no box is cut
            status = "undecided"
            continue
        edge = (high[worst] - low[worst]) // 5  # no thin slices
        one, at = np.eye(k)[worst], np.clip(p[worst].round(), low[worst] + edge, high[worst] - 1 - edge)
        boxes += [np.array([np.where(one, at + 1, low), high]), np.array([low, np.where(one, at, high)])]
    return Search("undecided")


def _linear(s: np.ndarray, wanted: Wanted) -> Iterator[tuple]:
    """Yield coefficients of h, p and `NOT_LINEAR` ``(m, 4 K)`` with ends ``(m,)`` that hold in every box.

    A coefficient is what one hit or one prediction adds.
    """
    n, k = s.sum(), len(s)
    h, p = np.vstack([np.zeros(2 * k), np.eye(2 * k)]).reshape(-1, 2, k).swapaxes(0, 1)

    def rows(values: np.ndarray, high: float = np.inf) -> tuple:
        """Values of h and p ``(1 + 2 K, m)`` are not negative."""
        return np.pad((values[1:] - values[0]).T, ((0, 0), (0, 2 * k))), -values[0], high - values[0]

    ratios, undefined = _ratios(s, h, p), [figures(s, h, p, one) for one in (1, 0)]  # 0/0 may be either
    yield rows(p.sum(1, keepdims=True) - n, high=0)
    yield rows(np.hstack([p - h, n - h.sum(1, keepdims=True) - (s + p - 2 * h)]))
    for (number, metric), ends in wanted.items():
        kind, _, figure = metric.partition("_")
        if figure in NOT_LINEAR and kind != "micro":
            weights = s / n if kind == "weighted" else np.full(k, 1 / k)
            which = [figure == each for each in NOT_LINEAR]
            yield np.concatenate([0 * s, 0 * s, np.kron(which, weights)])[None], *np.reshape(ends, (2, 1))
        elif metric != "mcc":
            parts = [ratios.get(metric, (average[metric], 1)) for average in undefined]
            (one, low), (other, high) = zip(parts, ends, strict=True)
            values = np.stack([one[0] - low * one[1], high * other[1] - other[0]], axis=-1)
            yield rows(values if number is None else values[:, number])


def _envelope(figure: str, s: np.ndarray, wanted: Wanted, box: np.ndarray) -> Iterator[tuple]:
    """Yield McCormick's bounds of y x (c + p) = t x h on a box of p, y being F1 or precision."""
    (low, high), eye, which = box, np.eye(len(s)), [[figure == each for each in NOT_LINEAR]]
    t, c = (2, s) if figure == "f1" else (1, 0 * s)
    most, no = np.minimum(s, high), np.full(len(s), np.inf)
    given = np.array([wanted.get((i, figure), (0.0, 1.0)) for i in range(len(s))]).T
    highest = np.where(c + low > 0, t * most / np.maximum(c + np.maximum(low, most), 1), 1)
    y_low, y_high = given[0], np.maximum(given[0], np.minimum(given[1], highest))
    yield np.hstack([0 * eye, 0 * eye, np.kron(which, eye)]), y_low, y_high
    for y, p, above in [(y_low, low, 0), (y_high, high, 0), (y_high, low, 1), (y_low, high, 1)]:
        rows = np.hstack([t * eye, np.diag(-y), np.kron(which, np.diag(-c - p))])
        yield rows, *((-no, -y * p) if above else (-y * p, no))


def _descend(s: np.ndarray, wanted: Wanted, state: np.ndarray, rounds: int) -> np.ndarray | None:
    """Move hits and predictions ``(2, K)`` by random steps until they fit; None if that fails."""
    best, rng, shape = _excess(s, wanted, state[None])[0], np.random.default_rng(0), (_TRIES, 2, len(s))
    for _ in range(rounds):
        if best == 0:
            break
        sizes = np.exp(rng.uniform(0, np.log(max(s.sum() / 4, 2)), (_TRIES, 2, 1)))
        steps = np.rint(sizes * rng.choice([-1, 1], shape) * (rng.random(shape) < 1.5 / len(s)))
        moved = steps - np.take_along_axis(steps, rng.permuted(np.indices(shape)[2], axis=2), axis=2)
        moved[:, 0] = np.where(rng.random((_TRIES, 1)) < 0.5, steps[:, 0], moved[:, 0])
        excess = _excess(s, wanted, state + moved)
        if excess.min() < best:
            state, best = state + moved[excess.argmin()], excess.min()
    return state if best == 0 else None


def _excess(s: np.ndarray, wanted: Wanted, states: np.ndarray) -> np.ndarray:
    """Return how far the figures of hits and predictions ``(m, 2, K)`` are from the ranges; 0: they fit.

    Infinite where no matrix has these hits and predictions.
    """
    h, p = np.moveaxis(states, 1, 0)
    misses = (s - h).sum(1, keepdims=True)
    possible = ((h >= 0) & (h <= s) & (p >= h) & (s + p - 2 * h <= misses)).all(1)
    found, h, p = np.full(len(states), np.inf), h[possible], p[possible]
    for undefined in (0,) if p.all() and s.all() else (0, 1):
        exact, excess = figures(s, h, p, undefined), np.zeros(len(h))
        for (one, metric), (low, high) in wanted.items():
            value = exact[metric] if one is None else exact[metric][:, one]
            far = np.maximum(low - value, value - high)
            excess += np.where(far > SLACK, far / (high - low + SLACK), 0)
        found[possible] = np.minimum(found[possible], excess)
    return found
