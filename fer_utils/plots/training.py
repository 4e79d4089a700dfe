"""Figures of how a network was trained: its learning rates, their schedule, its pace."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import BLUE, COLORS, GREY, INK, darker, panels, styled

_MARKERS = "osDv"


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


@styled
def time_to_accuracy(
    tables: Mapping[str, pd.DataFrame],
    *,
    chosen_epoch: int | None = None,
    compile_seconds: float = 0.0,
    starts: int = 1,
    landmark: tuple[str, float] | None = None,
) -> Figure:
    """Draw how right a network was against the seconds that its training had taken.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Way of looking -> columns epoch, seconds, accuracy, low, high (fractions, 95 %) and n.
    chosen_epoch : int, optional
        The epoch that validation chose: a filled mark.
    compile_seconds : float
        Not in `seconds`; written into the title.
    starts : int
        How often the training was started; where it is more than once, the title says so.
    landmark : tuple of str and float, optional
        What to call a printed accuracy, and its value: a line. Only for results on the data that it is of.
    """
    figure, (ax,) = panels(1, height=3.4)
    for (name, table), color, marker in zip(tables.items(), COLORS, _MARKERS, strict=False):
        reach = (table["accuracy"] - table["low"], table["high"] - table["accuracy"])
        ax.errorbar(
            table["seconds"],
            table["accuracy"],
            yerr=np.clip(reach, 0, None),
            color=color,
            marker=marker,
            mfc="white",
            ms=5,
            capsize=2,
            elinewidth=0.9,
            label=f"{name.replace('_', ' ')}, n = {int(table['n'].iloc[0]):,}",
        )
        best = table[table["epoch"] == chosen_epoch]
        ax.plot(best["seconds"], best["accuracy"], marker=marker, color=color, ls="none", ms=7, zorder=5)
    if landmark is not None:
        ax.axhline(landmark[1], color=GREY, ls=":", label=landmark[0])
    last = max(table["seconds"].max() for table in tables.values())
    ax.set(xlabel="seconds since first touching the prepared file", ylabel="accuracy on test")
    ax.set_xlim(0, 1.05 * last)
    notes = ["filled: the epoch that validation chose"] if chosen_epoch is not None else []
    notes += [f"compiling took {compile_seconds:.1f} s more"] if compile_seconds else []
    notes += [f"stopped {starts - 1} time(s): the parts added up"] if starts > 1 else []
    ax.set_title("; ".join(notes))
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure
