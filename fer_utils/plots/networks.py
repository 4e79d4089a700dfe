"""Figures of what a network and HOG compute from a face."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_utils.plots.style import INK, WIDTH, face, heading, overlay, panels, styled

if TYPE_CHECKING:
    from fer_utils.explain import GradCAM
    from fer_utils.features.hog import HOG

_STEP = 1.07  # from one map of a sheet to the next, in maps


@styled
def filter_sheet(filters: np.ndarray, *, columns: int = 8) -> Figure:
    """Draw first-layer filters, shape (F, h, w), on one scale: blue is negative, white 0, red positive."""
    limit = float(abs(filters).max()) or 1.0
    figure, (ax,) = panels(1, height=_sheet_height(filters, columns))
    scale = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    _sheet(ax, filters, scale, columns=columns)
    figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.01, label="weight", format="%.2f")
    ax.set_title("First layer: {} filters of {} × {}".format(*filters.shape))
    return figure


@styled
def activation_sheets(
    activations: Mapping[str, np.ndarray], *, image: np.ndarray, channels: int = 16
) -> Figure:
    """Draw a face, shape (H, W), and the first `channels` maps of each layer; each layer has its own scale.

    Parameters
    ----------
    activations : mapping of str to ndarray of shape (C, h, w)
        `Network.activations`.
    image : ndarray of uint8, shape (H, W)
    channels : int
    """
    sheets = {name: maps[:channels] for name, maps in activations.items()}
    heights = [1.4, *(_sheet_height(maps, 8) for maps in sheets.values())]
    figure, (top, *axes) = panels(len(heights), height=sum(heights), height_ratios=heights)
    face(top, image)
    top.set_anchor("W")
    top.set_title("The face, {} × {} pixels".format(*image.shape))
    for ax, (name, maps) in zip(axes, sheets.items(), strict=True):
        low, high = float(maps.min()), float(maps.max())
        scale = ScalarMappable(Normalize(low, high if high > low else low + 1), "magma")
        _sheet(ax, maps, scale, columns=8)
        figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.01, format="%.1f")
        size = "{} × {}".format(*maps.shape[1:])
        ax.set_title(f"{name}: {len(maps)} of {len(activations[name])} maps of {size}")
    return figure


@styled
def hog_glyphs(images: np.ndarray, *, histograms: np.ndarray, hog: "HOG", columns: int = 2) -> Figure:
    """Draw each face beside its HOG: one stroke per bin in each cell, along the edges that voted for it.

    Length and darkness of a stroke grow with the square root of its bin, relative to the image's largest.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    histograms : ndarray, shape (N, rows, columns, orientations)
    hog : HOG
        Settings of the histograms.
    columns : int
    """
    columns = min(columns, len(images))
    height, width = images.shape[1:]
    row_height = WIDTH / (2 * columns) * height / width + 0.1
    figure, axes = panels(2 * len(images), columns=2 * columns, row_height=row_height)
    for image, histogram, left, right in zip(images, histograms, axes[::2], axes[1::2], strict=True):
        face(left, image)
        _strokes(right, histogram, image.shape, hog)
    side = hog.pixels_per_cell
    cells = "{} × {} cells of {} × {} pixels".format(*histograms.shape[1:3], side, side)
    heading(figure, f"HOG of {height} × {width} pixels: {cells}, {hog.orientations} orientations")
    return figure


@styled
def side_by_side(
    images: np.ndarray,
    *,
    cams: Mapping[str, "GradCAM"],
    histograms: np.ndarray,
    hog: "HOG",
    class_names: Sequence[str],
) -> Figure:
    """Draw, one face a row: the face, its Grad-CAM maps, and its HOG.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    cams : mapping of str to GradCAM
        One column each, such as "predicted" and "true".
    histograms, hog
        As in `hog_glyphs`.
    class_names : sequence of str
    """
    columns = 2 + len(cams)
    width = min(WIDTH, max(5.6, 1.85 * columns))
    height = len(images) * (width / columns * images.shape[1] / images.shape[2] + 0.25) + 0.3
    figure, axes = panels(columns * len(images), columns=columns, height=height, width=width)
    text = {"loc": "center", "fontsize": 8.5, "pad": 4}
    for n, image in enumerate(images):
        left, *middle, right = axes[n * columns : (n + 1) * columns]
        face(left, image)
        left.set_title("{} × {} pixels".format(*image.shape), **text)
        for ax, (name, cam) in zip(middle, cams.items(), strict=True):
            overlay(ax, image, cam.maps[n])
            ax.set_title(f"{name}: {class_names[cam.classes[n]]}", **text)
        _strokes(right, histograms[n], image.shape, hog)
        right.set_title("HOG", **text)
    maps = dict.fromkeys("{} × {}".format(*cam.native_size) + f" of {cam.layer}" for cam in cams.values())
    method = next(iter(cams.values())).method
    heading(figure, f"{method}: {' and '.join(maps)}, line at half of the maximum")
    return figure


def _strokes(ax: Axes, histogram: np.ndarray, shape: tuple[int, int], hog: "HOG") -> None:
    side = hog.pixels_per_cell
    rows, columns, bins = histogram.shape
    strength = np.sqrt(histogram / (histogram.max() or 1))  # a constant image has no strokes
    y, x = (np.indices((rows, columns)) + 0.5) * side - 0.5
    middle = np.stack([x, y], axis=-1)[:, :, None, :]
    across = (np.arange(bins) + 0.5) * np.pi / bins
    along = np.stack([-np.sin(across), np.cos(across)], axis=-1)  # an edge runs across its gradient
    reach = 0.48 * side * strength[..., None] * along
    ends = np.stack([middle - reach, middle + reach], axis=-2).reshape(-1, 2, 2)
    ax.add_collection(LineCollection(ends, colors=INK, alpha=strength.ravel(), linewidths=1.5))
    face(ax, np.full(shape, 255))
    ax.set_xticks(np.arange(columns + 1) * side - 0.5, [])
    ax.set_yticks(np.arange(rows + 1) * side - 0.5, [])
    ax.tick_params(length=0)
    ax.grid(True, linewidth=0.6)


def _sheet(ax: Axes, maps: np.ndarray, scale: ScalarMappable, *, columns: int) -> None:
    """Draw maps, shape (N, h, w), row by row with white between them."""
    _, height, width = maps.shape
    for number, values in enumerate(maps):
        y, x = (number // columns) * height * _STEP, (number % columns) * width * _STEP
        extent = (x, x + width, y + height, y)
        ax.imshow(values, cmap=scale.cmap, norm=scale.norm, interpolation="nearest", extent=extent)
    ax.set(xlim=(0, columns * width * _STEP), ylim=(-(-len(maps) // columns) * height * _STEP, 0), anchor="W")
    ax.set_axis_off()


def _sheet_height(maps: np.ndarray, columns: int) -> float:
    _, height, width = maps.shape
    return 0.91 * WIDTH * (-(-len(maps) // columns) * height) / (columns * width) + 0.4
