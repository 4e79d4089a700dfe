"""The look that all figures share, and the parts they are put together from."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# seaborn's "colorblind" palette without its pink and its yellow, which are too pale on white
BLUE, ORANGE, GREEN, RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
PURPLE, BROWN, GREY, SKY = "#cc78bc", "#ca9161", "#949494", "#56b4e9"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, GREY, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, PALE = "#2f2f2f", "#dcdcdc"
WIDTH = 8.2  # inches: about 900 pixels, the width of a report

# On top of matplotlib's defaults, so that a user's matplotlibrc has no say.
STYLE = dict(matplotlib.rc_params_from_file(Path(__file__).with_name("style.mplstyle")))
STYLE |= {"axes.prop_cycle": matplotlib.cycler(color=COLORS)}
STYLE.pop("backend")
# Class names in other scripts: what DejaVu Sans lacks comes from a font of this machine, else it is a box.
_MORE = {"Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Micro Hei", "Arial Unicode MS", "Microsoft YaHei"}
STYLE["font.family"] = ["DejaVu Sans", *sorted(_MORE & set(font_manager.get_font_names()))]
warnings.filterwarnings("once", message="Glyph .* missing from font")

PRINTED = {"marker": "D", "mfc": "white", "mec": INK, "mew": 1.3, "ms": 6, "ls": "none"}
PRINTED |= {"zorder": 4, "clip_on": False}
"""A number that a paper prints is a hollow diamond, in every figure, and a whole one at 0 and at 1."""

MAJORITY = {"color": "#6b6b6b", "ls": "--", "lw": 1.2}
RIGHT = {"loc": "upper left", "bbox_to_anchor": (1.01, 1)}  # of the axes: a legend

styled = matplotlib.rc_context(STYLE)
"""Decorator: the function runs under `STYLE`, and the settings of before come back."""


def panels(
    n: int,
    *,
    columns: int = 1,
    height: float | None = None,
    row_height: float = 3.0,
    width: float = WIDTH,
    title: str = "",
    **grid: object,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a title above its n axes, row by row."""
    rows = -(-n // columns)
    figure = Figure(figsize=(width, height or rows * row_height), layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    axes = figure.subplots(rows, columns, squeeze=False, **grid).ravel().tolist()
    for ax in axes[n:]:
        ax.remove()
    return figure, axes[:n]


def labelled_rows(
    labels: Iterable[str], *, row_height: float, xlabel: str = "", notes: Iterable[str] = ()
) -> tuple[Figure, Axes]:
    """Return a figure of one axes with labels at 0, 1, 2, ... from the top down, and notes at the right."""
    labels = list(labels)
    figure, (ax,) = panels(1, height=1.0 + row_height * len(labels))
    label_rows(ax, labels)
    ax.set_xlabel(xlabel)
    for row, text in enumerate(notes):
        ax.text(1.015, row, text, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    return figure, ax


def label_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Label rows 0, 1, 2, ... from the top down."""
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", pad=7)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.spines["left"].set_visible(False)


def blank(ax: Axes, *, frame: str | None = None) -> None:
    """Remove ticks and grid, and draw the frame in a colour or not at all."""
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set(visible=frame is not None, color=frame, linewidth=3)


def face(ax: Axes, image: np.ndarray, *, frame: str | None = None) -> None:
    """Draw an image, gray (H, W) or RGB (H, W, 3), of values 0 to 255, in a coloured frame or none."""
    ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    blank(ax, frame=frame)


def overlay(ax: Axes, image: np.ndarray, heat: np.ndarray) -> None:
    """Draw a face, shape (H, W), under a map of 0 to 1: the warmer, the less transparent; a line at 0.5."""
    face(ax, image)
    ax.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * heat, interpolation="bilinear")
    if heat.max() > 0.5:
        ax.contour(heat, levels=[0.5], colors="white", linewidths=1)


def intervals(
    ax: Axes, rows: Any, table: Any, value: str, *, low: str = "low", high: str = "high", **look: object
) -> None:
    """Draw a column of a table as markers at these rows, with intervals as lines."""
    if not len(table):  # a line without points, not clipped, would break the layout
        return
    look = {"color": BLUE, "marker": "o", "ms": 6, "ls": "none", "zorder": 3, "clip_on": False} | look
    ax.hlines(rows, table[low], table[high], color=look["color"], lw=2.2, zorder=2)
    ax.plot(table[value], rows, **look)


def epoch_axis(ax: Axes) -> None:
    """Label the horizontal axis with whole epochs."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def source_name(samples: Any) -> str:
    """Return the name of a `FaceSet` or `ClipSet`, with "(synthetic)" where the name does not say it."""
    named = samples.source == "real" or "synthetic" in samples.name.lower()
    return samples.name if named else f"{samples.name} (synthetic)"


def legend_above(ax: Axes, *, columns: int = 4) -> None:
    """Write the legend in one line above the axes, at the right."""
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, borderaxespad=0.2, columnspacing=1.2)


def darker(color: str) -> tuple[float, float, float]:
    """Return a shade of `color` that has contrast enough for small text on white."""
    return tuple(0.75 * part for part in to_rgb(color))
