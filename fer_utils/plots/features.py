"""Figures of hand-made features."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from fer_utils.plots.style import INK, WIDTH, face, heading, panels, styled

if TYPE_CHECKING:
    from fer_utils.features.hog import HOG


@styled
def hog_glyphs(images: np.ndarray, *, histograms: np.ndarray, hog: "HOG", columns: int = 2) -> Figure:
    """Draw each face beside its HOG: in every cell one stroke a bin, along the edges that voted for it.

    Length and darkness of a stroke go with the square root of its bin, relative to the image's strongest, so
    that mouth and eyes show beside the outline of the head. Thin lines mark the cells.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, H, W)
    histograms : ndarray, shape (N, rows, columns, orientations)
        What `hog_histograms` gives for these images.
    hog : HOG
        With which the histograms were made.
    columns : int
        Faces in a row.

    Raises
    ------
    ValueError
        When images and histograms do not fit together or are empty.
    """
    images, histograms = np.asarray(images), np.asarray(histograms)
    expected = (len(images), *hog.cells(images.shape[1:]), hog.orientations)
    if histograms.shape != expected:
        raise ValueError(f"the histograms must have the shape {expected}, got {histograms.shape}")
    columns = min(columns, max(len(images), 1))
    height, width = images.shape[1:]
    row_height = WIDTH / (2 * columns) * height / width + 0.1
    figure, axes = panels(2 * len(images), columns=2 * columns, row_height=row_height)
    for image, histogram, left, right in zip(images, histograms, axes[::2], axes[1::2], strict=True):
        face(left, image)
        strokes(right, histogram, image.shape, hog)
    side = hog.pixels_per_cell
    cells = "{} × {} cells of {} × {} pixels".format(*histograms.shape[1:3], side, side)
    heading(figure, f"HOG of {height} × {width} pixels: {cells}, {hog.orientations} orientations")
    return figure


def strokes(ax: Axes, histogram: np.ndarray, shape: tuple[int, int], hog: "HOG") -> None:
    """Draw one image's histograms, shape (rows, columns, orientations), into `ax`, as `hog_glyphs` says."""
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
