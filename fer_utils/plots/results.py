"""Figures of one run: its training, its metrics and its predictions."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import RocCurveDisplay

from fer_utils.plots.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PRINTED,
    RED,
    SKY,
    WIDTH,
    darker,
    face,
    heading,
    legend_above,
    panels,
    styled,
)
from fer_utils.predictions import Predictions

_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


@styled
def batch(
    images: np.ndarray, labels: Sequence[int], class_names: Sequence[str], *, columns: int = 8
) -> Figure:
    """Draw the images of a training batch, gray levels 0 to 255 after augmentation, with their classes."""
    figure, axes = panels(len(images), columns=columns, row_height=1.2)
    for ax, image, label in zip(axes, images, labels, strict=True):
        face(ax, image)
        ax.set_title(class_names[label], fontsize=8, pad=2, loc="center")
    return figure


@styled
def rate_finder(
    rates: np.ndarray, losses: np.ndarray, *, suggestions: Mapping[str, float], chosen: float | None = None
) -> Figure:
    """Draw the loss over a rising learning rate, what each rule suggests, and the rate that is used.

    Parameters
    ----------
    rates, losses : ndarray of float, shape (n,)
    suggestions : mapping of str to float
        Rule to rate, such as fastai's valley.
    chosen : float, optional
    """
    figure, (ax,) = panels(1, height=2.9)
    ax.plot(rates, losses, color=BLUE)
    for (rule, rate), color, marker in zip(suggestions.items(), COLORS[1:], "osDv", strict=False):
        loss = losses[int(np.abs(np.log(rates) - np.log(rate)).argmin())]
        look = {"color": color, "ms": 8, "mec": INK, "ls": "none"}
        ax.plot(rate, loss, marker, label=f"{rule}: {rate:.1e}", **look)
    if chosen is not None:
        ax.axvline(chosen, color=GREY, ls=":", label=f"used: {chosen:.1e}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss, running mean")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def learning_curves(history: pd.DataFrame, *, best_epoch: int | None = None) -> Figure:
    """Draw loss and accuracy over the epochs, for training and validation, and mark the selected epoch.

    Parameters
    ----------
    history : DataFrame
        Columns epoch, loss, accuracy, val_loss, val_accuracy; one row per epoch.
    best_epoch : int, optional
    """
    figure, axes = panels(2, columns=2, row_height=3.0)
    dots = {"marker": "o", "ms": 3.5} if len(history) <= 25 else {}
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        ax.plot(history["epoch"], history[name], color=BLUE, label="training", **dots)
        ax.plot(history["epoch"], history[f"val_{name}"], color=ORANGE, ls="--", label="validation", **dots)
        if best_epoch is not None:
            ax.axvline(best_epoch, color=GREY, ls=":", zorder=1, label=f"selected epoch ({best_epoch})")
        ax.set(xlabel="epoch", title=name.capitalize())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
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
    counted : str
        Unit of the counts, such as "Clips".
    """
    counts = np.asarray(matrix)
    support = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, support, out=np.zeros(counts.shape), where=support > 0)
    texts = np.where(support > 0, np.char.mod("%.0f", percent), "–")
    figure, axes = panels(2, columns=2, row_height=3.9 + (0.3 if title else 0))
    for ax, values, annot, top in (
        (axes[0], counts, [[f"{count:,}" for count in row] for row in counts], max(counts.max(), 1)),
        (axes[1], percent, texts, 100),
    ):
        look = {"cmap": "Blues", "cbar": False, "square": True, "linewidths": 1, "annot_kws": {"size": 8}}
        names = {"xticklabels": class_names, "yticklabels": class_names}
        sns.heatmap(values, annot=np.asarray(annot), fmt="", vmin=0, vmax=top, ax=ax, **look, **names)
        ax.set_xticklabels(class_names, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticklabels(class_names, rotation=0)
    axes[0].set(title=f"{counted} ({counts.sum():,})", xlabel="predicted", ylabel="true class")
    axes[1].set(title="Percent of the true class", xlabel="predicted")
    if title:
        heading(figure, title)
    return figure


@styled
def roc_curves(predictions: Predictions, *, title: str = "") -> Figure:
    """Draw the ROC curve of each class against the rest, with the area under it in the legend."""
    figure, (ax,) = panels(1, width=6.8, height=4.6)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=(0, (2, 3)), label="chance (AUC = 0.50)")
    for label, name in enumerate(predictions.class_names):
        positive = predictions.truth == label
        if 0 < positive.sum() < len(positive):
            look = {"color": COLORS[label % len(COLORS)], "ls": _DASHES[label % len(_DASHES)]}
            scores = predictions.probabilities[:, label]
            RocCurveDisplay.from_predictions(positive, scores, ax=ax, name=name, curve_kwargs=look)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ax.set_title(f"{title or 'One class against the rest'}, n = {len(predictions):,}")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=3)
    return figure


@styled
def per_class_f1(
    per_class: Sequence[Mapping], *, published: Mapping[str, Mapping[str, float]] | None = None
) -> Figure:
    """Draw precision, recall and F1 of each class, and what a paper prints for them.

    Parameters
    ----------
    per_class : sequence of mappings
        `Evaluation.per_class`; undefined values (None) have no bar.
    published : mapping, optional
        ``{class: {"precision" | "recall" | "f1": fraction}}``, only for results on the paper's own data.
    """
    names, metrics = [row["class"] for row in per_class], ("precision", "recall", "f1")
    figure, (ax,) = panels(1, height=3.4)
    for number, (metric, color) in enumerate(zip(metrics, (SKY, BLUE, ORANGE), strict=True)):
        heights = [np.nan if row[metric] is None else row[metric] for row in per_class]
        label = "F1" if metric == "f1" else metric
        ax.bar(np.arange(len(names)) + 0.26 * (number - 1), heights, width=0.24, color=color, label=label)
    printed = [(name, metric, y) for name, row in (published or {}).items() for metric, y in row.items()]
    if printed:
        x = [names.index(name) + 0.26 * (metrics.index(metric) - 1) for name, metric, _ in printed]
        ax.plot(x, [y for _, _, y in printed], **PRINTED, label="printed in the paper")
    ax.set_xticks(range(len(names)), [f"{row['class']}\nn = {row['support']:,}" for row in per_class])
    ax.set(ylim=(0, 1.03), ylabel="fraction", title="Per class")
    ax.grid(False, axis="x")
    legend_above(ax)
    return figure


@styled
def prediction_grid(
    images: np.ndarray,
    *,
    truths: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    columns: int = 6,
) -> Figure:
    """Draw faces with predicted class, its probability and the true class; ✓ or ✗ shows if they agree.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    truths : sequence of int, length N
    probabilities : ndarray, shape (N, K)
    class_names : sequence of str, length K
    columns : int
    """
    figure, axes = panels(len(images), columns=columns, row_height=1.12 * WIDTH / columns + 0.25)
    for ax, image, truth, row in zip(axes, images, truths, probabilities, strict=True):
        correct = row.argmax() == truth
        color = GREEN if correct else RED
        face(ax, image, frame=color)
        text = f"{'✓' if correct else '✗'} {class_names[row.argmax()]} {row.max():.2f}"
        ax.set_title(text, loc="center", fontsize=8.5, pad=4, color=darker(color))
        ax.set_xlabel(f"true: {class_names[truth]}", fontsize=8.5)
    return figure


@styled
def mistake(
    image: np.ndarray, *, probabilities: Sequence[float] | np.ndarray, truth: int, class_names: Sequence[str]
) -> Figure:
    """Draw one face, shape (H, W), beside the probabilities of its K classes."""
    figure, (left, right) = panels(2, columns=2, row_height=2.6, width=6.4, width_ratios=(1, 1.5))
    predicted = int(np.argmax(probabilities))
    face(left, image, frame=GREEN if predicted == truth else RED)
    left.set_xlabel(f"true: {class_names[truth]}")
    colors = [ORANGE if k == predicted else GREY for k in range(len(class_names))]
    bars = right.barh(range(len(class_names)), probabilities, color=colors, height=0.7)
    right.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=8)
    marks = [f"{name}  (true)" if k == truth else name for k, name in enumerate(class_names)]
    right.set_yticks(range(len(class_names)), marks)
    right.set(xlim=(0, 1.12), xticks=(0, 0.5, 1), xlabel="probability")
    right.invert_yaxis()
    right.grid(False, axis="y")
    sign = "✓" if predicted == truth else "✗"
    right.set_title(f"{sign} predicted {class_names[predicted]}, probability {probabilities[predicted]:.2f}")
    return figure
