"""The figure of fastai's learning rate finder."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from fer_utils.plots.style import BLUE, COLORS, GREY, INK, panels, styled

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
