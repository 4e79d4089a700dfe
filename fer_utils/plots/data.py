"""Figures of data sets: faces, their duplicates, clips, and the generator of synthetic faces."""

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_utils.data import ClipSet, FaceSet
from fer_utils.features.flow import apex_frames
from fer_utils.plots import style
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES, Identity, render_face

_SIZE = 96  # pixels of a synthetic face
_AMPLIFIED = 4  # the change between onset and apex, so that it can be seen


@style.styled
def class_split_counts(faces: FaceSet) -> Figure:
    """Draw the number of images of each class in each split."""
    counts = faces.counts().drop(index="total", columns="total")
    figure, (ax,) = style.panels(1, height=3.4)
    counts.plot.bar(ax=ax, width=0.8, rot=0, legend=False)
    ax.grid(False, axis="x")
    for bars in ax.containers:
        ax.bar_label(bars, fmt="{:,.0f}", fontsize=8, padding=1)
    ax.set(xlabel="", ylabel="images", title=f"{style.source_name(faces)}: {len(faces):,} images")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.margins(y=0.09)
    style.legend_above(ax)
    return figure


@style.styled
def sample_grid(faces: FaceSet, *, per_class: int = 8, seed: int = 0) -> Figure:
    """Draw up to `per_class` images of each class, one class a row, chosen by the seed."""
    rows = []
    for label in range(len(faces.class_names)):
        of_class = np.flatnonzero(faces.labels == label)
        rows.append(np.random.default_rng((seed, label)).permutation(of_class)[:per_class])
    height, width = faces.images.shape[1:]
    shape = len(rows) * height / (per_class * width)
    figure, (ax,) = style.panels(1, height=0.95 * style.WIDTH * shape + 0.3)
    _tiles(ax, [faces.images[np.sort(row)] for row in rows], columns=per_class)
    ax.set_yticks(np.arange(len(rows)) * (height + 2) + height / 2, faces.class_names)
    ax.set_title(f"{style.source_name(faces)}, {height} × {width} pixels")
    return figure


@style.styled
def mean_faces(faces: FaceSet) -> Figure:
    """Draw the mean image of each class, with n below."""
    title = f"Mean faces: {style.source_name(faces)}"
    figure, axes = style.panels(len(faces.class_names), columns=7, row_height=1.95, title=title)
    for label, (ax, name) in enumerate(zip(axes, faces.class_names, strict=True)):
        rows = np.flatnonzero(faces.labels == label)
        style.face(ax, faces.images[rows].mean(axis=0) if len(rows) else np.full(faces.images.shape[1:], 255))
        ax.set_title(name, loc="center")
        ax.set_xlabel(f"n = {len(rows):,}")
    return figure


@style.styled
def image_groups(faces: FaceSet, groups: Sequence[Sequence[int]], titles: Sequence[str]) -> Figure:
    """Draw groups of images (row numbers), up to three of each, with split and class under each image."""
    shown = [np.asarray(group[:3]) for group in groups]
    most = max(map(len, shown))
    title = f"{style.source_name(faces)}: images that are alike, with split and class"
    figure, axes = style.panels(len(shown), columns=4 if most == 2 else 3, row_height=1.65, title=title)
    figure.get_layout_engine().set(wspace=0.06)
    height, width = faces.images.shape[1:]
    for ax, group, text in zip(axes, shown, titles, strict=True):
        _tiles(ax, [faces.images[group]], columns=most)
        for column, row in enumerate(group):
            middle = column * (width + 2) + width / 2
            caption = f"{faces.split[row]}\n{faces.class_names[faces.labels[row]]}"
            ax.text(middle, height + 2, caption, ha="center", va="top", fontsize=8)
        ax.set_title(text, fontsize=8.5, pad=3)
    return figure


@style.styled
def nearest_similarity(faces: FaceSet, nearest: np.ndarray, *, threshold: float) -> Figure:
    """Draw the distribution of each image's similarity to its nearest other one, shape (N,), NaN for none."""
    known = nearest[~np.isnan(nearest)]
    figure, (ax,) = style.panels(1, height=2.8)
    lowest = np.floor(100 * known.min()) / 100
    ax.hist(known, bins=np.arange(lowest, 1.005, 0.01), color=style.BLUE)
    label = f"threshold {threshold:.2f}: {(known >= threshold).sum():,} images"
    ax.axvline(threshold, color=style.INK, linestyle="--", label=label)
    others = f"{len(nearest) - len(known):,} of {len(nearest):,} images resemble no other"
    ax.set(xlabel="similarity to the most similar other image", ylabel="images", xlim=(lowest, 1.0))
    ax.set_title(f"{style.source_name(faces)}: {others}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    style.legend_above(ax)
    return figure


@style.styled
def action_unit_faces(person: Identity) -> Figure:
    """Draw a synthetic person once for each action unit at intensity 1, what the unit changes outlined."""
    title = "One action unit at intensity 1 (synthetic), with the region that it changes"
    figure, axes = style.panels(len(ACTION_UNITS), columns=6, row_height=1.75, title=title)
    for ax, (unit, name) in zip(axes, ACTION_UNITS.items(), strict=True):
        neutral, moved = (render_face(person, {unit: at}, size=_SIZE) for at in (0.0, 1.0))
        style.face(ax, moved)
        changed = cv2.GaussianBlur(cv2.absdiff(moved, neutral), (0, 0), 1.5)
        ax.contour(changed, levels=[5], colors=style.ORANGE, linewidths=1.2)
        ax.set_title(f"AU{unit}\n{name}", fontsize=8, pad=3)
    return figure


@style.styled
def expression_strengths(person: Identity) -> Figure:
    """Draw a synthetic person with each expression (columns) at each intensity (rows)."""
    title = "Action units of each expression (synthetic), all at the intensity on the left"
    strengths, columns = (0.25, 0.5, 0.75, 1.0), len(PROTOTYPES)
    figure, axes = style.panels(len(strengths) * columns, columns=columns, row_height=1.2, title=title)
    shown = product(strengths, PROTOTYPES.items())
    for number, (ax, (strength, (name, units))) in enumerate(zip(axes, shown, strict=True)):
        style.face(ax, render_face(person, dict.fromkeys(units, strength), size=_SIZE))
        if number < columns:
            ax.set_title(name, loc="center", pad=3)
        if number % columns == 0:
            ax.set_ylabel(f"{strength:g}")
    return figure


@style.styled
def clip_strip(clips: ClipSet, rows: Sequence[int]) -> Figure:
    """Draw clips, one a row: frames from onset to offset with their time, and the change until the apex."""
    chosen, (_, n_frames, height, width) = clips.take(np.asarray(rows)), clips.clips.shape
    n_shown = min(7, n_frames)
    title = f"{style.source_name(clips)}: {len(chosen)} of {len(clips)} clips, the apex framed"
    columns = n_shown + 1
    height = (0.93 * style.WIDTH / columns * height / width + 0.48) * len(chosen) + 0.3
    figure, axes = style.panels(columns * len(chosen), columns=columns, height=height, title=title)
    if clips.origin.get("sampling", "interpolate") == "interpolate":
        times = np.linspace(0, chosen.offset - chosen.onset, n_frames, axis=1)
    else:
        times = np.broadcast_to(np.arange(n_frames), (len(chosen), n_frames))
    times = 1000 * times / chosen.frame_rate[:, None]
    text = {"fontsize": 7.5, "labelpad": 3}
    for row, apex in enumerate(apex_frames(chosen)):
        *strip, last = axes[row * columns : (row + 1) * columns]
        frames = chosen.clips[row]
        places = np.rint(np.linspace(0, n_frames - 1, n_shown)).astype(int)
        if apex not in places:
            places[1 + np.argmin(abs(places[1:-1] - apex))] = apex
        for ax, place in zip(strip, places, strict=True):
            style.face(ax, frames[place], frame=style.ORANGE if place == apex else None)
            name = {0: "onset", n_frames - 1: "offset", apex: "apex"}.get(place, "")
            ax.set_xlabel(f"{times[row, place]:.0f} ms\n{name}", **text)
        change = abs(frames[apex].astype(float) - frames[0])
        style.face(last, np.minimum(_AMPLIFIED * change, 255))
        last.set_xlabel(f"|apex − onset|\n× {_AMPLIFIED}", **text)
        strip[0].set_title(_class_and_subject(chosen, row), fontsize=8.5, pad=4)
    return figure


@style.styled
def flow_fields(clips: ClipSet, flows: np.ndarray, rows: Sequence[int]) -> Figure:
    """Draw the displacement from onset to apex as arrows on the onset, and beside it the strain.

    `flows`, shape (N, 3, H, W), is `features.flow.onset_to_apex(clips)`. Each clip has its own arrow length.
    """
    chosen, fields = clips.take(np.asarray(rows)), flows[np.asarray(rows)]
    title = f"{style.source_name(clips)}: displacement and strain from onset to apex"
    lines, (height, width) = -(-len(chosen) // 2), clips.clips.shape[2:]
    height = (0.42 * style.WIDTH / 2 * height / width + 0.45) * lines + 0.3
    figure, axes = style.panels(2 * len(chosen), columns=4, height=height, title=title)
    # A few pixels where the flow is lost must not decide the scale.
    scale = ScalarMappable(Normalize(0, float(np.percentile(fields[:, 2], 99.5)) or 1.0), "magma")
    mesh = max(1, width // 16)
    grid = (slice(None), *(slice(mesh // 2, None, mesh),) * 2)  # every few pixels
    y, x = np.indices(clips.clips.shape[2:])[grid]
    for row, (left, right) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        style.face(left, chosen.clips[row, 0])
        u, v = fields[row, :2][grid]
        longest = float(np.hypot(u, v).max())  # spans two cells of the grid
        size = {"angles": "xy", "scale_units": "xy", "scale": (longest or 1.0) / (2 * mesh)}
        left.quiver(x, y, u, v, color=style.ORANGE, width=0.009, minlength=0.3, **size)
        left.set_xlabel(f"longest arrow: {longest:.2f} pixels", fontsize=7.5, labelpad=3)
        right.imshow(fields[row, 2], cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
        style.blank(right)
        left.set_title(_class_and_subject(chosen, row), fontsize=8.5, pad=4)
        right.set_title("strain", fontsize=8.5, pad=4)
    bar = figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.01, extend="max", aspect=15 * lines)
    bar.set_label("strain (pixels per pixel)")
    return figure


def _tiles(ax: Axes, rows: Sequence[np.ndarray], *, columns: int) -> None:
    """Draw rows of images, each of shape (<= columns, H, W), as one image with white between them."""
    height, width = rows[0].shape[1:]
    canvas = np.full((len(rows) * (height + 2) - 2, columns * (width + 2) - 2), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            y, x = top * (height + 2), left * (width + 2)
            canvas[y : y + height, x : x + width] = image
    style.face(ax, canvas)


def _class_and_subject(clips: ClipSet, row: int) -> str:
    return f"{clips.class_names[clips.labels[row]]}, subject {clips.subject[row]}"
