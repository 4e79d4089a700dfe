"""Figures of the live demo: its frames, predictions, events and latency."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    darker,
    legend_above,
    panels,
    styled,
)

if TYPE_CHECKING:
    from fer_utils.live.frames import Event

_KIND_COLORS = {"micro": ORANGE, "macro": BLUE, "expression": GREY}


@styled
def annotated_frames(pictures: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 3) -> Figure:
    """Draw frames with boxes and labels, uint8 of shape (H, W, 3), with a caption under each."""
    height, width = pictures[0].shape[:2]
    figure, axes = panels(len(pictures), columns=columns, row_height=8.2 / columns * height / width + 0.3)
    for ax, picture, caption in zip(axes, pictures, captions, strict=True):
        ax.imshow(picture)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.set_xlabel(caption)
    return figure


@styled
def probability_timeline(
    times: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    truth: Sequence[tuple[str, float, float]] = (),
) -> Figure:
    """Draw the smoothed probability of every class over time.

    Parameters
    ----------
    times : ndarray, shape (T,)
        Seconds.
    probabilities : ndarray, shape (T, K)
    class_names : sequence of str
    truth : sequence of (str, float, float)
        Ground truth, shaded: expression, start and end.
    """
    figure, (ax,) = panels(1, height=3.2)
    ax.plot(times, probabilities, label=class_names)
    for number, (name, onset, offset) in enumerate(truth):
        ax.axvspan(onset, offset, color=GREY, alpha=0.2, lw=0)
        above = 1.02 + 0.06 * (number % 2)  # neighbours in two rows, so that names do not overlap
        ax.text((onset + offset) / 2, above, name, ha="center", va="bottom", fontsize=8, color=darker(GREY))
    ax.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), xlim=(times[0], times[-1]))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def events(lanes: "Mapping[str, Sequence[Event]]", *, seconds: float) -> Figure:
    """Draw events as bars from onset to offset with a tick at the apex, one row per name from the top.

    Parameters
    ----------
    lanes : mapping of str to sequence of Event
    seconds : float
        Length of the time axis.
    """
    figure, (ax,) = panels(1, height=0.8 + 0.75 * len(lanes))
    for row, found in enumerate(lanes.values()):
        for event in found:
            color, middle = _KIND_COLORS[event.kind], (event.onset + event.offset) / 2
            ax.barh(row, event.seconds, left=event.onset, height=0.4, color=color)
            ax.plot([event.apex] * 2, [row - 0.2, row + 0.2], color=INK, lw=1)
            ax.text(middle, row - 0.24, event.label, ha="center", va="bottom", fontsize=8)
    ax.set(yticks=range(len(lanes)), ylim=(len(lanes) - 0.4, -0.6), xlim=(0, seconds), xlabel="seconds")
    ax.set_yticklabels(list(lanes))
    ax.grid(False, axis="y")
    for kind in sorted({event.kind for found in lanes.values() for event in found}):
        ax.barh(-9, 0, color=_KIND_COLORS[kind], label=kind)
    if ax.get_legend_handles_labels()[0]:
        legend_above(ax)
    return figure


@styled
def reliability(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of predictions over their confidence.

    Parameters
    ----------
    table : DataFrame
        `evaluation.reliability`: columns confidence, accuracy, low, high and n.
    """
    figure, (ax,) = panels(1, height=3.6)
    ax.plot([0, 1], [0, 1], color=GREY, ls="--", label="calibrated")
    whiskers = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    look = {"fmt": "o", "color": BLUE, "capsize": 3, "label": "measured, 95 % interval"}
    ax.errorbar(table["confidence"], table["accuracy"], whiskers, **look)
    for confidence, low, n in zip(table["confidence"], table["low"], table["n"], strict=True):
        ax.text(confidence, low - 0.02, f"n {n:,}", ha="center", va="top", fontsize=8)
    ax.set(xlabel="confidence: probability of the predicted class", ylabel="accuracy")
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def latency(table: pd.DataFrame) -> Figure:
    """Draw the latency of every step of a frame: columns median_ms and p95_ms, one row per step."""
    figure, (ax,) = panels(1, height=0.6 + 0.34 * len(table))
    rows = np.arange(len(table))
    ax.barh(rows, table["median_ms"], color=BLUE, height=0.6, label="median")
    ax.plot(table["p95_ms"], rows, "|", color=INK, ms=11, mew=2, ls="none", label="95th percentile")
    ax.set(yticks=rows, ylim=(len(table) - 0.4, -0.6), xlabel="milliseconds a frame")
    ax.set_yticklabels(table.index)
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure
