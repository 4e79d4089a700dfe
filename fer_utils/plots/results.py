"""Figures of one run: its training, its metrics, its predictions, and what the live demo found."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.metrics import RocCurveDisplay

from fer_utils.live.frames import Event
from fer_utils.plots import style
from fer_utils.predictions import Predictions

_KIND_COLORS = {"micro": style.ORANGE, "macro": style.BLUE, "expression": style.GREY}


@style.styled
def image_grid(images: Sequence[np.ndarray], titles: Sequence[str], *, columns: int) -> Figure:
    """Draw images, gray (H, W) or RGB (H, W, 3), 0 to 255, row by row with a title above each."""
    height, width = images[0].shape[:2]
    row_height = style.WIDTH / columns * height / width + 0.175
    figure, axes = style.panels(len(images), columns=columns, row_height=row_height)
    for ax, image, title in zip(axes, images, titles, strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if width < 100 else "auto")
        style.blank(ax)
        ax.set_title(title, fontsize=8, pad=2, loc="center")
    return figure


@style.styled
def rate_finder(
    rates: np.ndarray, losses: np.ndarray, *, suggestions: Mapping[str, float], chosen: float
) -> Figure:
    """Draw the loss over a rising learning rate, what each rule suggests, and the rate that is used."""
    figure, (ax,) = style.panels(1, height=2.9)
    ax.plot(rates, losses, color=style.BLUE)
    for (rule, rate), color, marker in zip(suggestions.items(), style.COLORS[1:], "osDv", strict=False):
        loss = losses[int(np.abs(np.log(rates) - np.log(rate)).argmin())]
        look = {"color": color, "ms": 8, "mec": style.INK, "ls": "none"}
        ax.plot(rate, loss, marker, label=f"{rule}: {rate:.1e}", **look)
    ax.axvline(chosen, color=style.GREY, ls=":", label=f"used: {chosen:.1e}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss, running mean")
    ax.xaxis.set_major_formatter("{x:g}")  # the default is mathtext, which is off
    ax.legend(**style.RIGHT)
    return figure


@style.styled
def learning_curves(history: pd.DataFrame, *, best_epoch: int, title: str = "") -> Figure:
    """Draw loss and accuracy of training and validation (val_loss, ...) over the epochs."""
    figure, axes = style.panels(2, columns=2, row_height=3.0, title=title)
    dots = {"marker": "o", "ms": 3.5} if len(history) <= 25 else {}
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        lines = history.set_index("epoch")[[name, f"val_{name}"]].set_axis(["training", "validation"], axis=1)
        lines.plot(ax=ax, style=["-", "--"], color=[style.BLUE, style.ORANGE], legend=False, **dots)
        ax.axvline(best_epoch, color=style.GREY, ls=":", zorder=1, label=f"selected epoch ({best_epoch})")
        ax.set_title(name.capitalize())
        style.epoch_axis(ax)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


@style.styled
def confusion_matrix(
    matrix: Sequence[Sequence[int]] | np.ndarray,
    class_names: Sequence[str],
    *,
    title: str = "",
    counted: str = "Images",
) -> Figure:
    """Draw a confusion matrix twice, rows being the true classes: counts, and percentages of each row."""
    counts = np.asarray(matrix)
    support = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, support, out=np.zeros(counts.shape), where=support > 0)
    texts = np.where(support > 0, np.char.mod("%.0f", percent), "–")
    height = 3.9 + (0.3 if title else 0)
    figure, axes = style.panels(2, columns=2, row_height=height, title=title)
    look = {"cmap": "Blues", "cbar": False, "square": True, "linewidths": 1, "annot_kws": {"size": 8}}
    names = {"xticklabels": class_names, "yticklabels": class_names}
    shown = ((counts, np.vectorize("{:,}".format)(counts), max(counts.max(), 1)), (percent, texts, 100))
    for ax, (values, annot, top) in zip(axes, shown, strict=True):
        sns.heatmap(values, annot=annot, fmt="", vmin=0, vmax=top, ax=ax, **look, **names)
        ax.set_xticklabels(class_names, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticklabels(class_names, rotation=0)
    axes[0].set(title=f"{counted} ({counts.sum():,})", xlabel="predicted", ylabel="true class")
    axes[1].set(title="Percent of the true class", xlabel="predicted")
    return figure


@style.styled
def roc_curves(predictions: Predictions, *, title: str = "") -> Figure:
    """Draw the ROC curve of each class against the rest, with the area under it in the legend."""
    figure, (ax,) = style.panels(1, width=6.8, height=4.6)
    ax.plot([0, 1], [0, 1], color=style.INK, lw=0.8, ls=(0, (2, 3)), label="chance (AUC = 0.50)")
    for label, name in enumerate(predictions.class_names):
        positive = predictions.truth == label
        if 0 < positive.sum() < len(positive):
            color, dashes = (values[label % len(values)] for values in (style.COLORS, style.DASHES))
            look, scores = {"color": color, "ls": dashes}, predictions.probabilities[:, label]
            RocCurveDisplay.from_predictions(positive, scores, ax=ax, name=name, curve_kwargs=look)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    ax.set_title(f"{title or 'One class against the rest'}, n = {len(predictions):,}")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=3)
    return figure


@style.styled
def per_class_f1(
    per_class: Sequence[Mapping],
    *,
    published: Mapping[str, Mapping[str, float]] | None = None,
    title: str = "Per class",
) -> Figure:
    """Draw the precision, recall and F1 of `Evaluation.per_class`, and what a paper prints for them.

    `published` is ``{class: {"precision" | "recall" | "f1": fraction}}``, on the paper's own data.
    """
    names, metrics = [row["class"] for row in per_class], ["precision", "recall", "f1"]
    table = pd.DataFrame(per_class)[metrics].astype(float).rename(columns={"f1": "F1"})
    figure, (ax,) = style.panels(1, height=3.4)
    table.plot.bar(ax=ax, width=0.78, color=[style.SKY, style.BLUE, style.ORANGE], rot=0, legend=False)
    printed = [
        (names.index(name) + 0.26 * (metrics.index(metric) - 1), y)
        for name, row in (published or {}).items()
        for metric, y in row.items()
    ]
    if printed:
        ax.plot(*zip(*printed, strict=True), **style.PRINTED, label="printed in the paper")
    ax.set_xticks(range(len(names)), [f"{row['class']}\nn = {row['support']:,}" for row in per_class])
    ax.set(ylim=(0, 1.03), ylabel="fraction", title=title)
    ax.grid(False, axis="x")
    style.legend_above(ax)
    return figure


@style.styled
def prediction_grid(images: np.ndarray, predictions: Predictions, rows: Sequence[int] | np.ndarray) -> Figure:
    """Draw these rows of a set: ✓ or ✗, the predicted class with its probability, and the true class."""
    figure, axes = style.panels(len(rows), columns=6, row_height=1.12 * style.WIDTH / 6 + 0.25)
    for ax, row in zip(axes, rows, strict=True):
        mark, color = ("✓", style.GREEN) if predictions.correct[row] else ("✗", style.RED)
        classes = predictions.predicted[row], predictions.truth[row]
        predicted, true = (predictions.class_names[label] for label in classes)
        style.face(ax, images[row], frame=color)
        text = f"{mark} {predicted} {predictions.probabilities[row].max():.2f}"
        ax.set_title(text, loc="center", fontsize=8.5, pad=4, color=style.darker(color))
        ax.set_xlabel(f"true: {true}", fontsize=8.5)
    return figure


@style.styled
def probability_timeline(
    times: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    truth: Sequence[tuple[str, float, float]] = (),
) -> Figure:
    """Draw the smoothed probabilities, (T, K); the ground truth (expression, start, end) is shaded."""
    figure, (ax,) = style.panels(1, height=3.2)
    for name, values, dashes in zip(class_names, probabilities.T, style.DASHES, strict=False):
        ax.plot(times, values, ls=dashes, label=name)
    text = {"ha": "center", "va": "bottom", "fontsize": 8, "color": style.darker(style.GREY)}
    for number, (name, onset, offset) in enumerate(truth):
        ax.axvspan(onset, offset, color=style.GREY, alpha=0.2, lw=0)
        # Neighbours in two rows, so that names do not overlap.
        ax.text((onset + offset) / 2, 1.02 + 0.06 * (number % 2), name, **text)
    ax.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), xlim=(times[0], times[-1]))
    ax.legend(**style.RIGHT)
    return figure


@style.styled
def events(lanes: Mapping[str, Sequence[Event]], *, seconds: float) -> Figure:
    """Draw events as bars from onset to offset with a tick at the apex, one row per name from the top."""
    figure, ax = style.labelled_rows(lanes, row_height=0.75, xlabel="seconds")
    bars = {}
    for row, found in enumerate(lanes.values()):
        for event in found:
            color = _KIND_COLORS[event.kind]
            bars[event.kind] = ax.barh(row, event.seconds, left=event.onset, height=0.4, color=color)
            ax.plot([event.apex] * 2, [row - 0.2, row + 0.2], color=style.INK, lw=1)
            middle = (event.onset + event.offset) / 2
            ax.text(middle, row - 0.24, event.label, ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, seconds), ylim=(len(lanes) - 0.4, -0.6))
    ax.grid(False, axis="y")
    for kind, bar in bars.items():
        bar.set_label(kind)
    if bars:
        style.legend_above(ax)
    return figure


@style.styled
def reliability(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of predictions over their confidence: a table of `evaluation.reliability`."""
    figure, (ax,) = style.panels(1, height=3.6)
    ax.plot([0, 1], [0, 1], color=style.GREY, ls="--", label="calibrated")
    whiskers = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    look = {"fmt": "o", "color": style.BLUE, "capsize": 3, "label": "measured, 95 % interval"}
    ax.errorbar(table["confidence"], table["accuracy"], whiskers, **look)
    for row in table.itertuples():
        ax.text(row.confidence, row.low - 0.02, f"n {row.n:,}", ha="center", va="top", fontsize=8)
    ax.set(xlabel="confidence: probability of the predicted class", xlim=(0, 1.02))
    ax.set(ylabel="accuracy", ylim=(0, 1.02))
    ax.legend(**style.RIGHT)
    return figure
