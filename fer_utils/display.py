"""The tables that a study notebook shows of its own run; each returns a small rounded DataFrame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.evaluation import evaluate
from fer_utils.predictions import Predictions

_SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_auc")


def layers(model: Any) -> pd.DataFrame:
    """Return a Keras model's layers with output shape and parameters, and the total."""
    rows = [
        (
            layer.name,
            type(layer).__name__,
            "×".join(map(str, layer.output.shape[1:])),
            layer.count_params(),
        )
        for layer in model.layers
    ]
    rows.append(("total", "", "", model.count_params()))
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters"]).set_index("layer")


def metrics(sets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """Return metric records as text, ``0.543 [0.526, 0.559]``: one row a name, n in the last column."""
    rows = {}
    for name, records in sets.items():
        rows[name] = {metric: _with_interval(records[metric]) for metric in _SHOWN if metric in records}
        rows[name]["n"] = next(iter(records.values()))["n"]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(
        "95 % intervals in brackets", axis="columns"
    )


def per_class(
    rows: Sequence[Mapping[str, Any]], *, printed: Sequence[Mapping[str, Any]] = ()
) -> pd.DataFrame:
    """Return precision, recall, F1 and AUC per class, each printed value beside the measured one."""
    table = pd.DataFrame(rows).set_index("class").round(3)
    values = printed_by_class(printed)
    for metric in ("precision", "recall", "f1"):
        column = [values.get(name, {}).get(metric) for name in table.index]
        if any(value is not None for value in column):
            table.insert(table.columns.get_loc(metric) + 1, f"{metric} printed", column)
    return table


def measures(predictions: Predictions) -> pd.DataFrame:
    """Return counts and rates of each class as dubey2020's Tables 3-4 have them.

    Accuracy is that of telling the class from all others: high for a class that is rare and never found.
    """
    result = evaluate(predictions, n_boot=0)
    matrix = np.array(result.confusion_matrix)
    truth, classified = matrix.sum(axis=1), matrix.sum(axis=0)
    wrong = truth + classified - 2 * matrix.diagonal()
    table = pd.DataFrame(result.per_class).set_index("class")[["recall", "precision", "f1"]]
    counts = {"n (truth)": truth, "n (classified)": classified, "accuracy": 1 - wrong / matrix.sum()}
    return pd.DataFrame(counts, index=table.index).join(table)


def printed_by_class(printed: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return ``{class: {metric: printed value}}`` of a `published` block."""
    found: dict[str, dict[str, float]] = {}
    for record in printed:
        place = record["compared_with"].split(".")
        if place[0] == "per_class":
            found.setdefault(place[1], {})[place[2]] = record["value"]
    return found


def _with_interval(record: Mapping[str, Any]) -> str:
    interval = record["ci95"]
    return f"{record['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
