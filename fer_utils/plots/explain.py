"""Figures of what a network and HOG make of a face."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_utils.plots.features import strokes
from fer_utils.plots.style import WIDTH, face, heading, overlay, panels, styled

if TYPE_CHECKING:  # a figure needs no framework
    from fer_utils.explain import GradCAM
    from fer_utils.features.hog import HOG

_STEP = 1.07
"""From one map of a sheet to the next, in maps."""


@styled
def filter_sheet(filters: np.ndarray, *, columns: int = 8) -> Figure:
    """Draw first-layer filters on one scale: blue is negative, white zero, red positive.

    Parameters
    ----------
    filters : ndarray, shape (F, h, w)
        As `explain.first_layer_filters` returns them.
    columns : int
        Filters in a row.

    Raises
    ------
    ValueError
        When there are none or the shape is another.
    """
    filters = _checked(filters, "filters")
    limit = float(abs(filters).max()) or 1.0
    figure, (ax,) = panels(1, height=_sheet_height(filters, columns))
    scale = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    _sheet(ax, filters, scale, columns=columns)
    figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.01, label="weight", format="%.2f")
    ax.set_title(f"First layer: {len(filters)} filters of {_size(filters)}")
    return figure


@styled
def activation_sheets(
    activations: Mapping[str, np.ndarray], *, image: np.ndarray, channels: int = 16
) -> Figure:
    """Draw a face and the first `channels` maps of each layer, black being the least of the layer's values.

    Parameters
    ----------
    activations : mapping of str to ndarray of shape (C, h, w)
        As `explain.activations` returns them.
    image : ndarray of uint8, shape (H, W)
        The face they belong to.

    Raises
    ------
    ValueError
        When there are no layers, or a layer has no maps.
    """
    if not activations:
        raise ValueError("there is no layer whose activations could be drawn")
    sheets = {name: _checked(maps, name)[:channels] for name, maps in activations.items()}
    heights = [1.4, *(_sheet_height(maps, 8) for maps in sheets.values())]
    figure, (top, *axes) = panels(len(heights), height=sum(heights), height_ratios=heights)
    face(top, image)
    top.set_anchor("W")
    top.set_title(f"The face, {image.shape[0]} × {image.shape[1]} pixels")
    for ax, (name, maps) in zip(axes, sheets.items(), strict=True):
        low, high = float(maps.min()), float(maps.max())
        scale = ScalarMappable(Normalize(low, high if high > low else low + 1), "magma")
        _sheet(ax, maps, scale, columns=8)
        figure.colorbar(scale, ax=ax, fraction=0.03, pad=0.01, format="%.1f")
        ax.set_title(f"{name}: {len(maps)} of {len(activations[name])} maps of {_size(maps)}")
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
    """Draw, one face a row: the face, where Grad-CAM says the network looks, and what HOG sees.

    The warmer and the less transparent, the more a place speaks for the class; a line runs at half of the
    map's maximum.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    cams : mapping of str to GradCAM
        One column each, under its name, such as "predicted" and "true".
    histograms : ndarray, shape (N, rows, columns, orientations)
        What `hog_histograms` gives for these images with `hog`.
    class_names : sequence of str

    Raises
    ------
    ValueError
        When there is no image or no map, or not one for each image.
    """
    _check_rows(images, cams, histograms)
    columns = 2 + len(cams)
    width = min(WIDTH, max(5.6, 1.85 * columns))
    row_height = width / columns * images.shape[1] / images.shape[2] + 0.25
    figure, axes = panels(
        columns * len(images), columns=columns, height=row_height * len(images) + 0.3, width=width
    )
    for n, image in enumerate(images):
        left, *middle, right = axes[n * columns : (n + 1) * columns]
        face(left, image)
        left.set_title(f"{image.shape[0]} × {image.shape[1]} pixels", loc="center", fontsize=8.5, pad=4)
        for ax, (name, cam) in zip(middle, cams.items(), strict=True):
            overlay(ax, image, cam.maps[n])
            ax.set_title(f"{name}: {class_names[cam.classes[n]]}", loc="center", fontsize=8.5, pad=4)
        strokes(right, histograms[n], image.shape, hog)
        right.set_title("HOG", loc="center", fontsize=8.5, pad=4)
    maps = dict.fromkeys("{} × {}".format(*cam.native_size) + f" of {cam.layer}" for cam in cams.values())
    method = next(iter(cams.values())).method
    heading(figure, f"{method}: {' and '.join(maps)}, line at half its maximum")
    return figure


def _sheet(ax: Axes, maps: np.ndarray, scale: ScalarMappable, *, columns: int) -> None:
    """Draw maps, shape (N, h, w), row by row as one picture with white between them."""
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


def _size(maps: np.ndarray) -> str:
    return f"{maps.shape[1]} × {maps.shape[2]}"


def _checked(maps: np.ndarray, name: str) -> np.ndarray:
    maps = np.asarray(maps)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"{name}: need one or more maps, shape (N, h, w), got {maps.shape}")
    return maps


def _check_rows(images: np.ndarray, cams: Mapping[str, "GradCAM"], histograms: np.ndarray) -> None:
    if not len(images) or not cams:
        raise ValueError(f"need at least one image and one map, got {len(images)} and {len(cams)}")
    for name, rows in {
        "the histograms": histograms,
        **{name: cam.maps for name, cam in cams.items()},
    }.items():
        if len(rows) != len(images):
            raise ValueError(f"{name}: {len(rows)} rows do not fit {len(images)} images")
