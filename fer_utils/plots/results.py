"""Figures of one run: its training and its metrics."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_utils import evaluation
from fer_utils.plots.style import (
    BLUE,
    COLORS,
    GREY,
    INK,
    ORANGE,
    PRINTED,
    SKY,
    check_columns,
    heading,
    legend_above,
    panels,
    styled,
)

_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


@styled
def learning_curves(history: pd.DataFrame, *, best_epoch: int | None = None) -> Figure:
    """Draw loss and accuracy over the epochs, for training and validation, and mark the chosen epoch.

    Parameters
    ----------
    history : DataFrame
        Columns epoch, loss, accuracy, val_loss, val_accuracy; one row an epoch.
    best_epoch : int, optional
        One of the epochs in `history`.

    Raises
    ------
    ValueError
        When a column is missing, or `best_epoch` is no epoch of the history.
    """
    check_columns(history, ("epoch", "loss", "accuracy", "val_loss", "val_accuracy"))
    if best_epoch is not None and best_epoch not in set(history["epoch"]):
        raise ValueError(f"best_epoch {best_epoch} is not among the epochs of the history")
    figure, axes = panels(2, columns=2, row_height=3.0)
    dots = {"marker": "o", "ms": 3.5} if len(history) <= 25 else {}
    for ax, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        ax.plot(history["epoch"], history[quantity], color=BLUE, label="training", **dots)
        ax.plot(
            history["epoch"], history[f"val_{quantity}"], color=ORANGE, ls="--", label="validation", **dots
        )
        if best_epoch is not None:
            ax.axvline(best_epoch, color=GREY, ls=":", zorder=1, label=f"chosen epoch ({best_epoch})")
        ax.set(xlabel="epoch", title=quantity.capitalize())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure


@styled
def confusion_matrix(
    matrix: Sequence[Sequence[int]] | np.ndarray,
    class_names: Sequence[str],
    *,
    title: str = "",
    counted: str = "Images",
) -> Figure:
    """Draw a confusion matrix twice: counts, and percentages of each true class.

    Parameters
    ----------
    matrix : array of int, shape (K, K)
        Rows are the true classes.
    class_names : sequence of str, length K
    title : str
        Written above both.
    counted : str
        What the counts are of, as "Clips".

    Raises
    ------
    ValueError
        When the matrix is not square or does not fit the names.
    """
    counts, k = np.asarray(matrix), len(class_names)
    if counts.shape != (k, k):
        raise ValueError(f"the confusion matrix has shape {counts.shape}; {k} classes need ({k}, {k})")
    support = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, support, out=np.full((k, k), np.nan), where=support > 0)
    figure, axes = panels(2, columns=2, row_height=3.9 + (0.3 if title else 0))
    _shaded(axes[0], counts, top=max(counts.max(), 1), fmt="{:,.0f}", class_names=class_names)
    axes[0].set(title=f"{counted} ({counts.sum():,})", xlabel="predicted", ylabel="truth")
    _shaded(axes[1], percent, top=100, fmt="{:.0f}", class_names=class_names)
    axes[1].set(title="Percent of the true class", xlabel="predicted")
    if title:
        heading(figure, title)
    return figure


@styled
def roc_curves(predictions: evaluation.Predictions, *, title: str = "") -> Figure:
    """Draw the ROC curve of each class against the rest, with the area below it in the legend."""
    curves = evaluation.roc_curves(predictions)
    figure, (ax,) = panels(1, width=6.8, height=4.6)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=(0, (2, 3)), label="chance 0.500")
    looks = itertools.cycle(zip(COLORS, _DASHES, strict=True))
    for (name, curve), (color, dashes) in zip(curves.items(), looks, strict=False):
        ax.plot(curve.fpr, curve.tpr, color=color, ls=dashes, label=f"{name} {curve.auc:.3f}")
    ax.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ax.set_title(f"{title or 'One class against the rest'}, n = {len(predictions):,}")
    ax.legend(title="area under the curve", loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=3)
    return figure


@styled
def per_class_f1(
    per_class: Sequence[Mapping],
    *,
    published: Mapping[str, Mapping[str, float]] | None = None,
    published_label: str = "printed in the paper",
) -> Figure:
    """Draw precision, recall and F1 of each class, and what a paper prints for them.

    Parameters
    ----------
    per_class : sequence of mappings
        As `evaluation.Evaluation.per_class`; undefined values (None) have no bar.
    published : mapping, optional
        ``{class: {"precision" | "recall" | "f1": fraction}}``. Only for results on the data that the paper
        used: a number from synthetic images never stands next to a printed one.
    published_label : str
        Who printed it.

    Raises
    ------
    ValueError
        When `published` names a class or a metric that is not drawn.
    """
    names, metrics = [row["class"] for row in per_class], ("precision", "recall", "f1")
    printed = [(name, metric, y) for name, row in (published or {}).items() for metric, y in row.items()]
    for name, metric, _ in printed:
        if name not in names or metric not in metrics:
            raise ValueError(
                f"published '{name} {metric}' has no bar; classes are {names}, metrics {list(metrics)}"
            )
    figure, (ax,) = panels(1, height=3.4)
    for number, (metric, color) in enumerate(zip(metrics, (SKY, BLUE, ORANGE), strict=True)):
        heights = [np.nan if row[metric] is None else row[metric] for row in per_class]
        label = "F1" if metric == "f1" else metric
        ax.bar(np.arange(len(names)) + 0.26 * (number - 1), heights, width=0.24, color=color, label=label)
    if printed:
        x = [names.index(name) + 0.26 * (metrics.index(metric) - 1) for name, metric, _ in printed]
        ax.plot(x, [y for _, _, y in printed], **PRINTED, label=published_label)
    ax.set_xticks(range(len(names)), [f"{row['class']}\nn = {row['support']:,}" for row in per_class])
    ax.set(ylim=(0, 1.03), ylabel="fraction", title="Per class")
    ax.grid(False, axis="x")
    legend_above(ax)
    return figure


def _shaded(ax: Axes, values: np.ndarray, *, top: float, fmt: str, class_names: Sequence[str]) -> None:
    """Draw a square matrix as shaded and numbered cells, white being 0 or undefined and dark blue `top`."""
    ax.pcolormesh(values, cmap="Blues", vmin=0, vmax=top, edgecolors="white", linewidth=1)
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else fmt.format(value)
        color = "white" if value > 0.66 * top else "black"
        ax.text(column + 0.5, row + 0.5, text, color=color, size=8, ha="center", va="center")
    middles = np.arange(len(class_names)) + 0.5
    ax.set_xticks(middles, class_names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(middles, class_names)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.grid(False)
    ax.spines[:].set_visible(False)
