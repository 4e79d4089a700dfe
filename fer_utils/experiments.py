"""Many trainings of one study: which cells a sweep has, and what each of them scored on validation.

A sweep compares on validation images alone; only what it chooses is ever shown test images.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Protocol, TypeVar

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.params import HybridHogCNN
from fer_utils.predictions import Predictions
from fer_utils.splits import random_folds
from fer_utils.statistics import wilson_interval

Cell = HybridHogCNN
"""One cell of a sweep is the parameters of a run of its own."""


class Trained(Protocol):
    """What a sweep asks of a trained classifier."""

    validation: Predictions
    epochs: int
    seconds: float
    parameters: int


T = TypeVar("T", bound=Trained)


def vary(params: Cell, grid: Mapping[str, Sequence[object]]) -> list[Cell]:
    """Return `params` once for every combination of the grid's values, the last name varying fastest.

    Raises
    ------
    ConfigError
        For a name that is no parameter, with the nearest that is, or a value out of type or range.
    """
    return [params.varied(**dict(zip(grid, values, strict=True))) for values in product(*grid.values())]


def ablate(params: Cell, alternatives: Iterable[Mapping[str, object]]) -> list[Cell]:
    """Return `params`, and `params` with each of the alternatives by itself."""
    return [params.varied(**change) for change in ({}, *alternatives)]


def sweep(cells: Sequence[Cell], train: Callable[[Cell], T]) -> pd.DataFrame:
    """Train every cell and return one row each, with its validation accuracy.

    Columns: the parameters in which the cells differ, then accuracy, low, high (Wilson 95 %), n, epochs,
    parameters, seconds.
    """
    return pd.DataFrame([_differing(cells, cell) | _scored(train(cell)) for cell in cells])


def cross_validate(
    params: Cell,
    faces: FaceSet,
    train: Callable[[Cell, FaceSet, FaceSet], T],
    *,
    log: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Cross-validate every cell of `params.cv_grid` (or `params` alone) inside `faces`, the training images.

    Returns
    -------
    DataFrame, one row per cell, best first
        The parameters in which the cells differ; mean and sd of the folds' accuracies; accuracy, low, high
        and n of all held-out images pooled; seconds.

    Raises
    ------
    ValueError
        When a class has fewer images than there are folds.
    """
    by = "subject" if (faces.subject != "").all() else "sample"
    folds = random_folds(faces, n_folds=params.cv_folds, seed=params.seed, by=by)
    cells, rows = vary(params, params.cv_grid), []
    for cell in cells:
        trained = [train(cell, fold.train, fold.test) for fold in folds]
        by_fold = np.array([fold.validation.correct.mean() for fold in trained])
        correct = np.concatenate([fold.validation.correct for fold in trained])
        spread = {"mean": by_fold.mean(), "sd": by_fold.std(ddof=1)}
        pooled = _rate(correct) | {"seconds": sum(fold.seconds for fold in trained)}
        rows.append(_differing(cells, cell) | spread | pooled)
        log(f"cell {len(rows)} of {len(cells)}: mean accuracy {by_fold.mean():.3f}")
    return pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def _differing(cells: Sequence[Cell], cell: Cell) -> dict[str, object]:
    described = [other.studied() for other in cells]
    return {
        name: value
        for name, value in cell.studied().items()
        if any(other[name] != described[0][name] for other in described)
    }


def _scored(trained: Trained) -> dict[str, object]:
    cost = {"epochs": trained.epochs, "parameters": trained.parameters, "seconds": trained.seconds}
    return _rate(trained.validation.correct) | cost


def _rate(correct: np.ndarray) -> dict[str, float]:
    low, high = wilson_interval(int(correct.sum()), len(correct))
    return {"accuracy": float(correct.mean()), "low": low, "high": high, "n": len(correct)}
