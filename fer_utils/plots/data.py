"""Figures of data sets."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_utils.data.faceset import SPLITS, FaceSet
from fer_utils.plots.style import COLORS, WIDTH, face, heading, legend_above, panels, styled


@styled
def class_split_counts(faces: FaceSet) -> Figure:
    """Draw the number of images of each class in each split as grouped bars."""
    counts = faces.counts().drop(index="total", columns="total")
    tall = counts.melt(ignore_index=False, value_name="images").reset_index()
    figure, (ax,) = panels(1, height=3.4)
    palette = dict(zip(SPLITS, COLORS, strict=False))
    sns.barplot(tall, x="class", y="images", hue="split", palette=palette, saturation=0.85, ax=ax)
    for bars in ax.containers:
        ax.bar_label(bars, fmt="{:,.0f}", fontsize=7.5, padding=1)
    ax.set(xlabel="", title=f"{_source(faces)}: {len(faces):,} images")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.margins(y=0.09)
    legend_above(ax)
    return figure


@styled
def sample_grid(faces: FaceSet, *, per_class: int = 8, seed: int = 0) -> Figure:
    """Draw up to `per_class` images of each class (rows), chosen by the seed.

    Raises
    ------
    ValueError
        When `per_class` is less than one.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    rows = [
        np.random.default_rng((seed, label)).permutation(np.flatnonzero(faces.labels == label))[:per_class]
        for label in range(len(faces.class_names))
    ]
    height, width = faces.images.shape[1:]
    figure, (ax,) = panels(1, height=0.95 * WIDTH * len(rows) * height / (per_class * width) + 0.3)
    _tiles(ax, [faces.images[np.sort(row)] for row in rows], columns=per_class)
    ax.set_yticks(np.arange(len(rows)) * (height + 2) + height / 2, faces.class_names)
    ax.set_title(f"{_source(faces)}, {height} × {width} pixels")
    return figure


@styled
def mean_faces(faces: FaceSet) -> Figure:
    """Draw the mean of each class's images, with their number below."""
    figure, axes = panels(len(faces.class_names), columns=7, row_height=1.95)
    for label, (ax, name) in enumerate(zip(axes, faces.class_names, strict=True)):
        rows = np.flatnonzero(faces.labels == label)
        if len(rows):
            face(ax, faces.images[rows].mean(axis=0))
        else:
            ax.set(xticks=[], yticks=[], box_aspect=1)
        ax.set_title(name, loc="center")
        ax.set_xlabel(f"n = {len(rows):,}")
    heading(figure, f"Mean faces: {_source(faces)}")
    return figure


@styled
def duplicate_groups(
    faces: FaceSet, groups: Sequence[Sequence[int] | np.ndarray], *, limit: int = 9, copies: int = 3
) -> Figure:
    """Draw the first `limit` groups of equal images, with split and class under each of up to `copies`.

    Parameters
    ----------
    faces : FaceSet
    groups : sequence of sequences of int
        Row numbers of the images in each group. No groups at all is a finding, and the figure says it.
    limit, copies : int
        How many groups, and how many images of each, are drawn.

    Raises
    ------
    ValueError
        When a group has fewer than two images or names one that is not there.
    """
    for number, group in enumerate(groups):
        if len(group) < 2 or min(group) < 0 or max(group) >= len(faces):
            raise ValueError(f"group {number} needs two or more rows of 0 to {len(faces) - 1}, got {group}")
    if not len(groups):
        figure, (ax,) = panels(1, height=0.8)
        ax.set_axis_off()
        ax.text(0, 0.5, f"{_source(faces)}: no two images are equal.", va="center", transform=ax.transAxes)
        return figure
    shown = groups[:limit]
    figure, axes = panels(len(shown), columns=3, row_height=1.65)
    figure.get_layout_engine().set(wspace=0.06)
    height, width = faces.images.shape[1:]
    for number, (ax, group) in enumerate(zip(axes, shown, strict=True), start=1):
        first = np.asarray(group)[:copies]
        _tiles(ax, [faces.images[first]], columns=copies)
        for column, row in enumerate(first):
            text = f"{faces.split[row]}\n{faces.class_names[faces.labels[row]]}"
            middle = column * (width + 2) + width / 2
            ax.text(middle, height + 2, text, ha="center", va="top", fontsize=8)
        more = f", {len(group) - len(first)} not shown" if len(group) > len(first) else ""
        ax.set_title(f"group {number}: {len(group)} copies{more}", fontsize=8.5, pad=3)
    title = f"Exact duplicates in {_source(faces)}: {len(shown)} of {len(groups):,} groups"
    heading(figure, title)
    return figure


def _tiles(ax: Axes, rows: Sequence[np.ndarray], *, columns: int, gap: int = 2) -> None:
    """Draw rows of images, each of shape (<= columns, H, W), as one picture with white between them."""
    height, width = rows[0].shape[1:]
    canvas = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            y, x = top * (height + gap), left * (width + gap)
            canvas[y : y + height, x : x + width] = image
    face(ax, canvas)


def _source(faces: FaceSet) -> str:
    said = faces.source == "real" or "synthetic" in faces.name.lower()
    return faces.name if said else f"{faces.name} (synthetic)"
