"""Figures of what a network and HOG compute from a face."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_utils.explain import GradCAM
from fer_utils.plots import style

_COLUMNS = 8  # maps in a row of a sheet
_STEP = 1.07  # from one map of a sheet to the next, in maps


@style.styled
def filter_sheet(filters: np.ndarray) -> Figure:
    """Draw first-layer filters, shape (F, h, w), on one scale: blue is negative, white 0, red positive."""
    limit = float(abs(filters).max()) or 1.0
    figure, (ax,) = style.panels(1, height=_sheet_height(filters))
    bar = _sheet(ax, filters, ScalarMappable(Normalize(-limit, limit), "RdBu_r"))
    bar.set_label("weight")
    ax.set_title("First layer: {} filters of {} × {}".format(*filters.shape))
    return figure


@style.styled
def activation_sheets(
    activations: Mapping[str, np.ndarray], *, image: np.ndarray, channels: int = 16
) -> Figure:
    """Draw a face and the first maps, shape (C, h, w), of each layer; each layer has its own scale."""
    sheets = {name: maps[:channels] for name, maps in activations.items()}
    heights = [1.4, *map(_sheet_height, sheets.values())]
    figure, (top, *axes) = style.panels(len(heights), height=sum(heights), height_ratios=heights)
    style.face(top, image)
    top.set_anchor("W")
    top.set_title("The face, {} × {} pixels".format(*image.shape))
    for ax, (name, maps) in zip(axes, sheets.items(), strict=True):
        low, high = float(maps.min()), float(maps.max())
        _sheet(ax, maps, ScalarMappable(Normalize(low, high if high > low else low + 1), "magma"))
        size = "{} × {}".format(*maps.shape[1:])
        ax.set_title(f"{name}: {len(maps)} of {len(activations[name])} maps of {size}")
    return figure


@style.styled
def hog_glyphs(
    images: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    class_names: Sequence[str],
    *,
    histograms: np.ndarray,
    cell: int,
    cams: Mapping[str, GradCAM] | None = None,
) -> Figure:
    """Draw each face beside its HOG, shape (N, rows, columns, orientations), and heat maps between the two.

    Each square of `cell` pixels a side has a stroke per bin, along its edges; long and dark ones are strong.
    """
    cams = cams or {}
    title = "HOG: {} × {} cells of {} × {} pixels, ".format(*histograms.shape[1:3], cell, cell)
    title += f"{histograms.shape[3]} orientations"
    for cam in list(cams.values())[:1]:
        title += f"; {cam.method}: {' × '.join(map(str, cam.native_size))} of {cam.layer}, line at half"
    columns = 2 + len(cams)
    in_line = columns * max(1, 4 // columns)
    row_height = style.WIDTH / in_line * images.shape[1] / images.shape[2] + 0.3
    figure, axes = style.panels(columns * len(images), columns=in_line, row_height=row_height, title=title)
    text = {"loc": "center", "fontsize": 8.5, "pad": 4}
    for n, image in enumerate(images):
        left, *middle, right = axes[n * columns : (n + 1) * columns]
        style.face(left, image)
        left.set_title(class_names[labels[n]], **text)
        for ax, (name, cam) in zip(middle, cams.items(), strict=True):
            style.overlay(ax, image, cam.maps[n])
            ax.set_title(f"{name}: {class_names[cam.classes[n]]}", **text)
        _strokes(right, histograms[n], image.shape, cell)
        right.set_title("HOG", **text)
    return figure


def _strokes(ax: Axes, histogram: np.ndarray, shape: tuple[int, int], side: int) -> None:
    rows, columns, bins = histogram.shape
    strength = np.sqrt(histogram / (histogram.max() or 1))  # a constant image has no strokes
    y, x = (np.indices((rows, columns)) + 0.5) * side - 0.5
    middle = np.stack([x, y], axis=-1)[:, :, None, :]
    across = (np.arange(bins) + 0.5) * np.pi / bins
    along = np.stack([-np.sin(across), np.cos(across)], axis=-1)  # an edge runs across its gradient
    reach = 0.48 * side * strength[..., None] * along
    ends = np.stack([middle - reach, middle + reach], axis=-2).reshape(-1, 2, 2)
    ax.add_collection(LineCollection(ends, colors=style.INK, alpha=strength.ravel(), linewidths=1.5))
    style.face(ax, np.full(shape, 255))
    ax.set_xticks(np.arange(columns + 1) * side - 0.5, [])
    ax.set_yticks(np.arange(rows + 1) * side - 0.5, [])
    ax.tick_params(length=0)
    ax.grid(True, linewidth=0.6)


def _sheet(ax: Axes, maps: np.ndarray, scale: ScalarMappable) -> object:
    """Draw maps, shape (N, h, w), row by row with white between them, and return their colour bar."""
    n, height, width = maps.shape
    for number, values in enumerate(maps):
        y, x = (number // _COLUMNS) * height * _STEP, (number % _COLUMNS) * width * _STEP
        extent = (x, x + width, y + height, y)
        ax.imshow(values, cmap=scale.cmap, norm=scale.norm, interpolation="nearest", extent=extent)
    ax.set(xlim=(0, _COLUMNS * width * _STEP), ylim=(-(-n // _COLUMNS) * height * _STEP, 0), anchor="W")
    ax.set_axis_off()
    return ax.figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.01, format="%.2g")


def _sheet_height(maps: np.ndarray) -> float:
    n, height, width = maps.shape
    return 0.91 * style.WIDTH * (-(-n // _COLUMNS) * height) / (_COLUMNS * width) + 0.4
