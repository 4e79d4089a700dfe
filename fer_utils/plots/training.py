"""Figures of how a network was trained: its first batch, its learning rates, their schedule."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import BLUE, COLORS, GREY, INK, check_columns, darker, face, panels, styled

_MARKERS = "osDv"


@styled
def batch(
    images: np.ndarray, labels: Sequence[int], class_names: Sequence[str], *, columns: int = 8
) -> Figure:
    """Draw the pictures of a training batch as the network gets them, each with its class.

    Parameters
    ----------
    images : ndarray, shape (N, H, W)
        Gray levels 0 to 255, after augmentation.
    labels : sequence of int, length N
    class_names : sequence of str
    columns : int
    """
    figure, axes = panels(len(images), columns=columns, row_height=1.2)
    for ax, image, label in zip(axes, images, labels, strict=True):
        face(ax, image)
        ax.set_title(class_names[label], fontsize=8, pad=2, loc="center")
    return figure


@styled
def rate_finder(
    rates: np.ndarray, losses: np.ndarray, *, suggestions: Mapping[str, float], chosen: float | None = None
) -> Figure:
    """Draw the loss over a rising learning rate, what each rule picks, and the rate that is used.

    Parameters
    ----------
    rates, losses : ndarray of float, shape (n,)
    suggestions : mapping of str to float
        Rule -> rate.
    chosen : float, optional
        The highest rate of the training that follows.
    """
    figure, (ax,) = panels(1, height=2.9)
    ax.plot(rates, losses, color=BLUE)
    for (rule, rate), color, marker in zip(suggestions.items(), COLORS[1:], _MARKERS, strict=False):
        nearest = int(np.abs(np.log(rates) - np.log(rate)).argmin())
        ax.plot(
            rate, losses[nearest], marker, color=color, ms=8, mec=INK, ls="none", label=f"{rule}: {rate:.1e}"
        )
    if chosen is not None:
        ax.axvline(chosen, color=GREY, ls=":", label=f"used: {chosen:.1e}")
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss, running mean")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


@styled
def schedule(plan: pd.DataFrame) -> Figure:
    """Draw learning rate and momentum over the training.

    Parameters
    ----------
    plan : DataFrame
        Columns epoch, group, rate, momentum; several groups of layers have a line each.
    """
    check_columns(plan, ("epoch", "group", "rate", "momentum"))
    figure, (left, right) = panels(2, columns=2, row_height=2.5)
    names = sorted(plan["group"].unique())
    alike = plan.groupby("epoch")["rate"].nunique().max() == 1
    for group, color in zip(names[-1:] if alike else names, COLORS, strict=False):
        rows = plan[plan["group"] == group]
        label = "all layers" if alike else f"group {group} of {len(names)}"
        left.plot(rows["epoch"], rows["rate"], color=color)
        left.annotate(
            label,
            (rows["epoch"].iloc[len(rows) // 3], rows["rate"].iloc[len(rows) // 3]),
            xytext=(6, 4),
            textcoords="offset points",
            color=darker(color),
            fontsize=8.5,
        )
    if not alike:
        left.set_yscale("log")
    rows = plan[plan["group"] == names[0]]
    right.plot(rows["epoch"], rows["momentum"], color=INK)
    left.set(xlabel="epoch", title="Learning rate")
    right.set(xlabel="epoch", title="Momentum")
    return figure
