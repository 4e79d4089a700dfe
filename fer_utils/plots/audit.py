"""Figures of the audit."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import BLUE, GREY, RED, legend_above, panels, styled

_LOOKS = {"consistent": (BLUE, ""), "inconsistent": (RED, "//"), "not_checkable": (GREY, "..")}


@styled
def verdicts(counts: pd.DataFrame) -> Figure:
    """Draw how many claims of each paper are consistent, inconsistent or not checkable.

    Parameters
    ----------
    counts : DataFrame
        As `audit.counts_table`: one row a paper, columns consistent, inconsistent, not_checkable.
    """
    y, left = np.arange(len(counts)), np.zeros(len(counts))
    figure, (ax,) = panels(1, height=1.0 + 0.42 * len(counts))
    for name, (color, hatch) in _LOOKS.items():
        width = counts[name].to_numpy(dtype=float)
        ax.barh(
            y,
            width,
            left=left,
            height=0.62,
            color=color,
            hatch=hatch,
            ec="white",
            label=name.replace("_", " "),
        )
        for at, start, count in zip(y, left, width, strict=True):
            if count:
                box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
                ax.text(start + count / 2, at, f"{count:.0f}", ha="center", va="center", fontsize=8, bbox=box)
        left += width
    ax.set_yticks(y, list(counts.index))
    ax.set(ylim=(len(counts) - 0.5, -0.5), xlabel="printed claims")
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure
