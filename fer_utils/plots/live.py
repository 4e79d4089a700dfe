"""Figures of the live demo: its frames, predictions, events and latency."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots import style

if TYPE_CHECKING:
    from fer_utils.live.frames import Event

_KIND_COLORS = {"micro": style.ORANGE, "macro": style.BLUE, "expression": style.GREY}


@style.styled
def annotated_frames(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """Draw frames with boxes and labels, uint8 of shape (H, W, 3), with a caption under each."""
    height, width = pictures[0].shape[:2]
    figure, axes = style.panels(len(pictures), columns=3, row_height=style.WIDTH / 3 * height / width + 0.3)
    for ax, picture, caption in zip(axes, pictures, captions, strict=True):
        ax.imshow(picture)
        style.blank(ax)
        ax.set_xlabel(caption)
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
    style.legend_right(ax)
    return figure


@style.styled
def events(lanes: "Mapping[str, Sequence[Event]]", *, seconds: float) -> Figure:
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
    style.legend_right(ax)
    return figure
