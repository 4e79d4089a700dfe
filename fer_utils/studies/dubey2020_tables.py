"""The tables of dubey2020's study: the printed grid beside the measured one, protocols side by side."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from fer_utils import evaluation
from fer_utils.comparison import mean_metrics
from fer_utils.data import ClipSet
from fer_utils.papers import load_paper
from fer_utils.params import Cnn3dSmic
from fer_utils.studies.dubey2020 import GridCell, Judged, Protocol, Trained

PAPER = "dubey2020"
ACTIVATIONS = {"relu": "ReLU", "swish": "Swish"}
"""By their names in the parameters -> as the paper writes them."""

METRICS = ("accuracy", "macro_f1")

Grid = Mapping[GridCell, Trained]


def grid_table(grid: Grid) -> pd.DataFrame:
    """Return one row per training of the grid.

    Columns: activation, split, seed, training (accuracy in the last epoch), accuracy (on the held-out clips
    after it), best epoch (the highest after any epoch), n held-out clips. Accuracies are fractions.
    """
    rows = [
        {
            "activation": ACTIVATIONS[cell.params.activation],
            "split": cell.split,
            "seed": cell.params.seed,
            "training": trained.fit.best["accuracy"],
            "accuracy": float(trained.held_out.correct.mean()),
            "best epoch": float(trained.fit.history["val_accuracy"].max()),
            "n": len(trained.held_out),
        }
        for cell, trained in grid.items()
    ]
    columns = ["activation", "split", "seed", "training", "accuracy", "best epoch", "n"]
    return pd.DataFrame(rows, columns=columns)


def grid_means(grid: Grid) -> pd.DataFrame:
    """Return mean and standard deviation over the seeds, one row per activation and split."""
    table = grid_table(grid).groupby(["activation", "split"], sort=False)
    return table[["training", "accuracy", "best epoch"]].agg(["mean", "std"])


def largest_training(grid: Grid) -> dict[str, Trained]:
    """Return each activation's training with the first seed and the largest training part, 80/20."""
    smallest = min((cell.share for cell in grid), default=None)
    found: dict[str, Trained] = {}
    for cell, trained in grid.items():
        if cell.share == smallest:
            found.setdefault(ACTIVATIONS[cell.params.activation], trained)
    return found


def printed_grid(part: Literal["training", "validation"] = "validation") -> pd.DataFrame:
    """Return Table 2's accuracies on one part as fractions: columns activation, split, accuracy."""
    row = f"{part} accuracy / "
    cells = [
        cell for cell in load_paper(PAPER).cells if cell.table == "Table 2" and cell.cell.startswith(row)
    ]
    rows = [(*cell.cell.removeprefix(row).split(" "), cell.value) for cell in cells]
    return pd.DataFrame(rows, columns=["activation", "split", "accuracy"])


def grid_metrics(grid: Grid) -> dict[str, dict[str, dict]]:
    """Return the grid's means over the seeds as metric records: for `other_metrics` of results.json.

    Names are like `grid_ReLU_80/20`; the intervals resample people in all random splits alike.
    """
    by_cell: dict[str, list[Trained]] = {}
    for cell, trained in grid.items():
        by_cell.setdefault(_name(ACTIVATIONS[cell.params.activation], cell.split), []).append(trained)
    return {
        name: mean_metrics([one.held_out for one in runs], names=METRICS) for name, runs in by_cell.items()
    }


def beside_table_2(grid: Grid, clips: ClipSet) -> pd.DataFrame:
    """Return Table 2's training and validation accuracies, beside our means where the clips show people."""
    cell = ["activation", "split"]
    table = pd.DataFrame(
        {
            f"{part} printed": printed_grid(part).set_index(cell)["accuracy"]
            for part in ("training", "validation")
        }
    )
    if clips.source != "real" or not grid:
        return table
    measured = grid_table(grid).groupby(cell)[["training", "accuracy"]].mean()
    return table.join(measured.set_axis(["training measured", "validation measured"], axis=1))


def published(grid: Grid, clips: ClipSet) -> list[dict[str, object]]:
    """Return the `published` block: the cells of Table 2 that this run measured on clips of people."""
    if clips.source != "real":
        return []
    measured = {_name(ACTIVATIONS[cell.params.activation], cell.split) for cell in grid}
    found = []
    for row in printed_grid().itertuples():
        cell = load_paper(PAPER).cell("Table 2", f"validation accuracy / {row.activation} {row.split}")
        name = _name(row.activation, row.split)
        if name in measured:
            place = {"paper": PAPER, "table": cell.table, "cell": cell.cell, "metric": cell.metric}
            value = {"value": cell.value, "printed": cell.printed, "compared_with": f"{name}.accuracy"}
            found.append(place | value)
    return found


def side_by_side(protocols: Mapping[str, Protocol], judged: Mapping[str, Judged]) -> pd.DataFrame:
    """Return one row per protocol: accuracy with interval (over people), UF1, UAR, n, and what leaks."""
    rows = []
    for name, protocol in protocols.items():
        metrics = evaluation.evaluate(judged[name].predictions).metrics
        low, high = metrics["accuracy"]["ci95"] or (None, None)
        rows.append(
            {
                "label": protocol.label,
                "value": metrics["accuracy"]["value"],
                "low": low,
                "high": high,
                "UF1": metrics["macro_f1"]["value"],
                "UAR": metrics["balanced_accuracy"]["value"],
                "n": metrics["accuracy"]["n"],
                "leak": "" if protocol.leak == "none" else protocol.leak,
            }
        )
    return pd.DataFrame(rows, index=list(protocols))


def by_epoch(judged: Judged) -> pd.DataFrame:
    """Return the accuracy on all held-out clips after each epoch, pooled over the folds.

    Only for a protocol whose trainings looked at the held-out clips: with the rule "inner" they did not.
    """
    history = judged.history.assign(right=lambda table: table["val_accuracy"] * table["held_out"])
    pooled = history.groupby("epoch")[["right", "held_out"]].sum()
    return (pooled["right"] / pooled["held_out"]).rename("accuracy").reset_index()


def by_subject(judged: Mapping[str, Judged]) -> pd.DataFrame:
    """Return for every held-out subject its clips, and how many of them each protocol has right."""
    first = next(iter(judged.values())).predictions
    table = pd.DataFrame({"clips": pd.Series(first.group).value_counts()})
    for name, one in judged.items():
        table[name] = pd.Series(one.predictions.correct).groupby(one.predictions.group).sum()
    return table.rename_axis("subject").sort_index()


def selection(params: Cnn3dSmic) -> str:
    """Return how the reported model was chosen, as `protocol.selection` states it."""
    if params.epoch_choice == "fixed":
        return f"epoch {params.epochs}, fixed beforehand; held-out people looked at once"
    return f"epoch best on inner subjects ({params.inner_share:.0%} of the training clips)"


def _name(activation: str, split: str) -> str:
    return f"grid_{activation}_{split}"
