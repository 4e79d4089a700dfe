"""Confusion matrices: the figures that follow from one, and the search for one that has given figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from fer_utils.audit.rounding import SLACK, Ends

METRICS = ("precision", "recall", "f1")
OF_CLASSES = ("support", "predicted_count", *METRICS, "specificity", "one_vs_rest_accuracy")
"""Figures of a class; all others are of the whole table."""

NODES = 40
"""The search ends after so many integer programs, undecided; seconds would differ by machine."""
_MIP_NODES = 1_000
_ROUNDS, _TRIES = 60, 400


def figures(support: Any, hits: Any, predicted: Any, undefined: int = 0) -> dict[str, Any]:
    """Return the figures of matrices with these supports ``(K,)``, hits and predictions ``(..., K)``.

    `undefined` is the value of a figure that is 0/0, such as the precision of a class without predictions;
    scikit-learn prints 0 unless told otherwise.
    """

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
    found["mcc"] = ratio(n * right - chance, np.sqrt(spread), 0)
    return found


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


def search_matrix(
    supports: np.ndarray, wanted: Mapping[tuple[int | None, str], Ends], *, nodes: int = NODES
) -> Search:
    """Look for a confusion matrix with figures in given ranges, by branch and bound over integer programs.

    Hits h, supports s and predictions p are those of a matrix of n samples if h <= s, h <= p, the p sum to n,
    and of each class misses and false alarms, s - h + p - h, are no more than all misses n - sum(h). All
    figures but Matthews' correlation are linear in h, p, F1 and precision, and two equations are not:
    F1 x (s + p) = 2 h, and precision x p = h. McCormick's envelopes bound them on a box of predictions, and
    boxes are cut where a solution is off.

    Parameters
    ----------
    supports
        ``(K,)``
    wanted
        Ranges of figures, ``(number of the class or None, metric) -> ends``.
    nodes
        Number of integer programs after which the search ends undecided.
    """
    k, none, status = len(supports), np.zeros(len(supports)), "impossible"
    hits, boxes = (none, supports), [np.array([none, none + supports.sum()])]
    averages = {metric.partition("_")[2] for _, metric in wanted}
    uses = [figure for figure in ("f1", "precision") if figure in averages]
    linear = list(_linear(supports, wanted))
    for node in range(1, nodes + 1):
        if not boxes:
            return Search(status)
        low, high = box = boxes.pop()
        rows = linear + [row for figure in uses for row in _envelope(figure, supports, wanted, box)]
        coefficients, least, most = map(np.array, zip(*rows, strict=True))
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
        exact, given = figures(supports, *state), dict(zip(("f1", "precision"), ratios, strict=True))
        off = sum(abs(exact[figure] - given[figure]) for figure in uses) + 1e-6 * (high - low)
        worst = np.where(high > low, off, -1).argmax()
        if high[worst] == low[worst]:  # what remains is the hits, on which no box is cut
            status = "undecided"
            continue
        edge = (high[worst] - low[worst]) // 5  # no thin slices
        one, at = np.eye(k)[worst], np.clip(p[worst].round(), low[worst] + edge, high[worst] - 1 - edge)
        boxes += [np.array([np.where(one, at + 1, low), high]), np.array([low, np.where(one, at, high)])]
    return Search("undecided")


def _row(low: float, high: float, *parts: Any) -> tuple[np.ndarray, float, float]:
    """Return a linear constraint; `parts` are coefficients of h, p, F1 and precision ``(K,)``."""
    none = np.zeros_like(parts[0], dtype=float)
    return np.concatenate([*parts, *[none] * (4 - len(parts))]), low, high


def _linear(s: np.ndarray, wanted: Mapping) -> Iterator[tuple]:
    """Yield the constraints that hold in every box."""
    n, k, none, no = s.sum(), len(s), np.zeros(len(s)), np.inf
    yield _row(n, n, none, none + 1)
    for one, support in zip(np.eye(k), s, strict=True):
        yield _row(-no, 0, one, -one)
        yield _row(-no, n - support, 1 - 2 * one, one)
    for (number, metric), (low, high) in wanted.items():
        one = none + 1 if number is None else np.eye(k)[number]
        kind, _, figure = metric.partition("_")
        weight, others = s / n if kind == "weighted" else one / k, n - s @ one
        if kind != "micro" and figure in ("f1", "precision"):
            yield _row(low, high, none, none, *(weight * (figure == each) for each in ("f1", "precision")))
            continue
        whole = s if figure == "recall" else n - s
        share, undefined = weight / np.maximum(whole, 1), weight @ (whole == 0)
        forms = {  # numerator and denominator, each of h, p and 1; both may be divided by a constant
            "predicted_count": ((none, one, 0), (none, none, 1)),
            "precision": ((one, none, 0), (none, one, 0)),
            "recall": ((one, none, 0), (none, none, s @ one)),
            "f1": ((2 * one, none, 0), (none, one, s @ one)),
            "specificity": ((one, -one, others), (none, none, others)),
            "one_vs_rest_accuracy": ((2 * one, -one, others), (none, none, n)),
            "macro_recall": ((share, none, 0), (none, none, 1)),
            "macro_specificity": ((share, -share, 1 - undefined), (none, none, 1)),
            "cohen_kappa": ((one / n, -s / n**2, 0), (none, -s / n**2, 1)),
        }
        forms["weighted_specificity"] = forms["macro_specificity"]
        if metric == "mcc":
            continue
        top, bottom = forms.get(metric, ((one, none, 0), (none, none, n)))  # others are the accuracy
        low -= undefined if metric in forms and kind in ("macro", "weighted") else 0
        for end, ends in ((low, (0, no)), (high, (-no, 0))):
            h, p, constant = (a - end * b for a, b in zip(top, bottom, strict=True))
            yield _row(*(each - constant for each in ends), h, p)


def _envelope(figure: str, s: np.ndarray, wanted: Mapping, box: np.ndarray) -> Iterator[tuple]:
    """Yield McCormick's bounds of y x (c + p) = t x h on a box of p, y being F1 or precision."""
    (low, high), of_f1 = box, figure == "f1"
    t, c = (2, s) if of_f1 else (1, 0 * s)
    most = np.minimum(s, high)
    given = np.array([wanted.get((i, figure), (0.0, 1.0)) for i in range(len(s))]).T
    highest = np.where(c + low > 0, t * most / np.maximum(c + np.maximum(low, most), 1), 1)
    y_low, y_high = given[0], np.maximum(given[0], np.minimum(given[1], highest))
    corners = [(y_low, low, 0), (y_high, high, 0), (y_high, low, 1), (y_low, high, 1)]
    for i, one in enumerate(np.eye(len(s))):
        none, before = 0 * one, [] if of_f1 else [0 * one]
        yield _row(y_low[i], y_high[i], none, none, *before, one)
        for y, p, above in corners:
            ends = (-np.inf, -y[i] * p[i]) if above else (-y[i] * p[i], np.inf)
            yield _row(*ends, t * one, -y[i] * one, *before, -(c[i] + p[i]) * one)


def _descend(s: np.ndarray, wanted: Mapping, state: np.ndarray, rounds: int) -> np.ndarray | None:
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


def _excess(s: np.ndarray, wanted: Mapping, states: np.ndarray) -> np.ndarray:
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
