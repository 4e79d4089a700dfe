"""Whether a network that says 90 % is right nine times of ten."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.predictions import Predictions
from fer_utils.statistics import wilson_interval

EDGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Of the groups of percentages; finer where demos like to print them."""


def reliability(predictions: Predictions, *, edges: Sequence[float] = EDGES) -> pd.DataFrame:
    """Return how often answers are right by the probability that the network itself gave them.

    Parameters
    ----------
    predictions : Predictions
    edges : sequence of float
        From 0 to 1, rising; a group holds its lower edge and not its upper one, the last one both.

    Returns
    -------
    DataFrame
        One row a group that has answers: `said` (mean probability of the answer), `right` (share), its 95 %
        interval `low` and `high` (Wilson), and `n`. The index says from which percentage to which.

    Raises
    ------
    ValueError
        For edges that do not rise from 0 to 1.
    """
    edges = np.asarray(edges, dtype=float)
    if len(edges) < 2 or edges[0] != 0 or edges[-1] != 1 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges {edges.tolist()} must rise from 0 to 1")
    said = predictions.probabilities.max(axis=1)
    right = predictions.probabilities.argmax(axis=1) == predictions.truth
    group = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, len(edges) - 2)
    rows = {}
    for number in np.unique(group):
        chosen = group == number
        count, n = int(right[chosen].sum()), int(chosen.sum())
        low, high = wilson_interval(count, n)
        name = f"{100 * edges[number]:.0f} to {100 * edges[number + 1]:.0f} %"
        rows[name] = {"said": said[chosen].mean(), "right": count / n, "low": low, "high": high, "n": n}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("answers of")


def records(table: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `reliability` as metric records, one set a group of percentages."""
    return {
        f"answers_of_{name.removesuffix(' %').replace(' ', '_')}": {
            "accuracy": {"value": row["right"], "ci95": [row["low"], row["high"]], "n": int(row["n"])}
        }
        for name, row in table.iterrows()
    }
