"""Figures of data sets."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_utils.data import SPLITS, FaceSet
from fer_utils.plots.style import COLORS, INK, WIDTH, face, heading, legend_above, panels, styled


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
        return _sentence(f"{_source(faces)}: no two images are equal.")
    shown = [np.asarray(group) for group in groups[:limit]]
    titles = []
    for number, group in enumerate(shown, start=1):
        more = f", {len(group) - copies} not shown" if len(group) > copies else ""
        titles.append(f"group {number}: {len(group)} copies{more}")
    title = f"Exact duplicates in {_source(faces)}: {len(shown)} of {len(groups):,} groups"
    return _side_by_side(faces, [group[:copies] for group in shown], titles, title=title, columns=3)


@styled
def near_pairs(faces: FaceSet, pairs: pd.DataFrame, *, limit: int = 16, seed: int = 0) -> Figure:
    """Draw up to `limit` pairs of near duplicates chosen by the seed, with split and class under each image.

    Parameters
    ----------
    faces : FaceSet
    pairs : DataFrame
        As `duplicates.near_duplicates` returns them. None at all is a finding, and the figure says it.
    limit, seed : int
        How many pairs are drawn, and which.
    """
    if pairs.empty:
        return _sentence(f"{_source(faces)}: no two images are nearly equal.")
    shown = pairs.sample(min(limit, len(pairs)), random_state=seed)
    shown = shown.sort_values("similarity", ascending=False)
    titles = [f"{pair.similarity:.3f}{', mirrored' if pair.mirrored else ''}" for pair in shown.itertuples()]
    title = f"Near duplicates in {_source(faces)}: {len(shown)} of {len(pairs):,} pairs, by similarity"
    return _side_by_side(faces, shown[["first", "second"]].to_numpy(), titles, title=title, columns=4)


@styled
def nearest_similarity(faces: FaceSet, nearest: np.ndarray, *, threshold: float) -> Figure:
    """Draw how similar each image is to its nearest other one, and the threshold of near duplicates.

    Parameters
    ----------
    faces : FaceSet
    nearest : ndarray, shape (N,)
        As `duplicates.nearest_similarity` returns it; images without a value are counted in the title.
    threshold : float
        Drawn as a line, with the number of images on its right.
    """
    known = nearest[~np.isnan(nearest)]
    if not len(known):
        return _sentence(f"{_source(faces)}: no image resembles another.")
    figure, (ax,) = panels(1, height=2.8)
    lowest = np.floor(100 * known.min()) / 100
    ax.hist(known, bins=np.arange(lowest, 1.005, 0.01), color=COLORS[0])
    above = int((known >= threshold).sum())
    ax.axvline(threshold, color=INK, linestyle="--", label=f"threshold {threshold:.2f}: {above:,} images")
    others = f"{len(nearest) - len(known):,} of {len(nearest):,} images resemble no other"
    ax.set(xlabel="similarity to the most similar other image", ylabel="images", xlim=(lowest, 1.0))
    ax.set_title(f"{_source(faces)}: {others}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    legend_above(ax)
    return figure


@styled
def face_sheet(
    faces: FaceSet, *, captions: Sequence[str] | None = None, columns: int = 8, title: str = ""
) -> Figure:
    """Draw every image of a small set with its sample id, split and class.

    Parameters
    ----------
    faces : FaceSet
        None at all is drawn as a sentence that says so.
    captions : sequence of str, optional
        A further line under each image.
    columns : int
        Images in a row.
    title : str
        Written above.
    """
    if not len(faces):
        return _sentence(f"{title}: no images." if title else "No images.")
    texts = [_caption(faces, row) for row in range(len(faces))]
    if captions is not None:
        texts = [f"{text}\n{caption}" for text, caption in zip(texts, captions, strict=True)]
    height, width = faces.images.shape[1:]
    rows = [faces.images[start : start + columns] for start in range(0, len(faces), columns)]
    gap = round(0.13 * height * (1 + max(text.count("\n") + 1 for text in texts)))
    figure, (ax,) = panels(1, height=WIDTH * len(rows) * (height + gap) / (columns * (width + 2)) + 0.4)
    _tiles(ax, rows, columns=columns, row_gap=gap, below=gap)
    for place, text in enumerate(texts):
        row, column = divmod(place, columns)
        x, y = column * (width + 2) + width / 2, row * (height + gap) + height + 1
        ax.text(x, y, text, ha="center", va="top", fontsize=6.5, linespacing=1.1, in_layout=False)
    ax.set_title(title)
    return figure


def _caption(faces: FaceSet, row: int) -> str:
    """Return id, split and class in short lines; of an id that is a path, the file's name."""
    name = faces.sample_id[row].rsplit("/", 1)[-1]
    return "\n".join([*textwrap.wrap(name, 20), _part_and_class(faces, row)])


def _side_by_side(
    faces: FaceSet, rows: Sequence[np.ndarray], titles: Sequence[str], *, title: str, columns: int
) -> Figure:
    """Draw groups of images, each group in a panel of its own, with split and class under each image."""
    across = max(map(len, rows))
    figure, axes = panels(len(rows), columns=columns, row_height=1.65)
    figure.get_layout_engine().set(wspace=0.06)
    height, width = faces.images.shape[1:]
    for ax, group, text in zip(axes, rows, titles, strict=True):
        _tiles(ax, [faces.images[group]], columns=across)
        for column, row in enumerate(group):
            middle = column * (width + 2) + width / 2
            ax.text(middle, height + 2, _part_and_class(faces, row), ha="center", va="top", fontsize=8)
        ax.set_title(text, fontsize=8.5, pad=3)
    heading(figure, title)
    return figure


def _sentence(text: str) -> Figure:
    """Draw a finding that has no picture."""
    figure, (ax,) = panels(1, height=0.8)
    ax.set_axis_off()
    ax.text(0, 0.5, text, va="center", transform=ax.transAxes)
    return figure


def _part_and_class(faces: FaceSet, row: int) -> str:
    label = faces.labels[row]
    return f"{faces.split[row]}\n{'unlabelled' if label == faces.UNLABELLED else faces.class_names[label]}"


def _tiles(ax: Axes, rows: Sequence[np.ndarray], *, columns: int, row_gap: int = 2, below: int = 0) -> None:
    """Draw rows of images, each of shape (<= columns, H, W), as one picture with white between them."""
    height, width = rows[0].shape[1:]
    shape = (len(rows) * (height + row_gap) - row_gap + below, columns * (width + 2) - 2)
    canvas = np.full(shape, 255, np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            y, x = top * (height + row_gap), left * (width + 2)
            canvas[y : y + height, x : x + width] = image
    face(ax, canvas)


def _source(faces: FaceSet) -> str:
    said = faces.source == "real" or "synthetic" in faces.name.lower()
    return faces.name if said else f"{faces.name} (synthetic)"
