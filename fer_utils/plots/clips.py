"""Figures of clips: their frames, what changes in them, and where."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fer_utils.data import ClipSet
from fer_utils.features.flow import apex_frames
from fer_utils.plots.style import (
    ORANGE,
    WIDTH,
    face,
    heading,
    panels,
    styled,
)

_AMPLIFIED = 4
_ARROWS = 16
"""Along each side of a picture."""


@styled
def clip_strip(clips: ClipSet, rows: Sequence[int], *, n_shown: int = 7) -> Figure:
    """Draw clips, one a row: frames from onset to offset with their time, and what changed until the apex.

    The apex is framed: the annotated one, or where there is none, the one of `features.flow.apex_by_strain`.
    The last column is the amplified absolute difference between apex and onset, black being none.

    Parameters
    ----------
    clips : ClipSet
    rows : sequence of int
    n_shown : int
        Frames of a clip, onset, apex and offset among them; 3 at least, and no more than there are.

    Raises
    ------
    ValueError
        For no rows, one that is not there, or too few frames.
    """
    chosen = _chosen(clips, rows)
    n_frames = clips.clips.shape[1]
    if not 3 <= n_shown <= n_frames:
        raise ValueError(f"n_shown={n_shown}: use 3 to {n_frames}, the frames of a clip")
    columns = n_shown + 1
    row_height = 0.93 * WIDTH / columns * clips.clips.shape[2] / clips.clips.shape[3] + 0.48
    figure, axes = panels(columns * len(chosen), columns=columns, height=row_height * len(chosen) + 0.3)
    times = _milliseconds(chosen)
    for row, apex in enumerate(apex_frames(chosen)):
        *strip, last = axes[row * columns : (row + 1) * columns]
        frames = chosen.clips[row]
        for ax, place in zip(strip, _shown(n_frames, n_shown, apex), strict=True):
            face(ax, frames[place], frame=ORANGE if place == apex else None)
            name = {0: "onset", n_frames - 1: "offset", apex: "apex"}.get(place, "")
            ax.set_xlabel(f"{times[row, place]:.0f} ms\n{name}", fontsize=7.5, labelpad=3)
        change = abs(frames[apex].astype(float) - frames[0])
        face(last, np.minimum(_AMPLIFIED * change, 255))
        last.set_xlabel(f"|apex − onset|\n× {_AMPLIFIED}", fontsize=7.5, labelpad=3)
        strip[0].set_title(_named(chosen, row), fontsize=8.5, pad=4)
    heading(figure, f"{_source(clips)}: {len(chosen)} of {len(clips)} clips, the apex framed")
    return figure


@styled
def flow_fields(clips: ClipSet, flows: np.ndarray, rows: Sequence[int]) -> Figure:
    """Draw the displacement from onset to apex as arrows on the onset, and beside it the strain.

    Arrows are as long as suits each clip, the number below says how long; the strain has one scale for all.

    Parameters
    ----------
    clips : ClipSet
    flows : ndarray, shape (N, 3, H, W)
        What `features.flow.onset_to_apex` gives for all of `clips`.
    rows : sequence of int
        Which of them are drawn, two in a line.

    Raises
    ------
    ValueError
        For no rows, one that is not there, or flows that do not fit the clips.
    """
    expected = (len(clips), 3, *clips.clips.shape[2:])
    if flows.shape != expected:
        raise ValueError(f"the flows of these clips must have the shape {expected}, got {flows.shape}")
    chosen, fields = _chosen(clips, rows), flows[np.asarray(rows)]
    side_by_side = min(len(chosen), 2)
    lines, width = -(-len(chosen) // 2), WIDTH if side_by_side == 2 else 5.6
    row_height = 0.42 * width / side_by_side * expected[2] / expected[3] + 0.45
    figure, axes = panels(
        2 * len(chosen), columns=2 * side_by_side, height=row_height * lines + 0.3, width=width
    )
    # One scale for all; a few pixels where the flow is lost must not decide it.
    scale = ScalarMappable(Normalize(0, float(np.percentile(fields[:, 2], 99.5)) or 1.0), "magma")
    for row, (left, right) in enumerate(zip(axes[::2], axes[1::2], strict=True)):
        _arrows(left, chosen.clips[row, 0], fields[row, :2])
        right.imshow(fields[row, 2], cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
        right.set(xticks=[], yticks=[])
        right.grid(False)
        left.set_title(_named(chosen, row), fontsize=8.5, pad=4)
        right.set_title("strain", fontsize=8.5, pad=4)
    bar = figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.01, extend="max", aspect=15 * lines)
    bar.set_label("strain (pixels per pixel)")
    heading(figure, f"{_source(clips)}: displacement and strain from onset to apex")
    return figure


def _chosen(clips: ClipSet, rows: Sequence[int]) -> ClipSet:
    index = np.asarray(rows, dtype=np.int64)
    if not index.size or index.min() < 0 or index.max() >= len(clips):
        raise ValueError(f"rows must be one or more of 0 to {len(clips) - 1}, got {list(rows)}")
    return clips.take(index)


def _shown(n_frames: int, n_shown: int, apex: int) -> list[int]:
    """Choose frames at even distances, the nearest of those between replaced by the apex."""
    places = np.rint(np.linspace(0, n_frames - 1, n_shown)).astype(int)
    if apex not in places:
        places[1 + np.argmin(abs(places[1:-1] - apex))] = apex
    return places.tolist()


def _milliseconds(clips: ClipSet) -> np.ndarray:
    """Return each frame's time since the onset, shape (N, T)."""
    n_frames = clips.clips.shape[1]
    if clips.origin.get("sampling", "interpolate") == "interpolate":
        frames = np.linspace(0, clips.offset - clips.onset, n_frames, axis=1)
    else:
        frames = np.broadcast_to(np.arange(n_frames), (len(clips), n_frames))
    return 1000 * frames / clips.frame_rate[:, None]


def _named(clips: ClipSet, row: int) -> str:
    return f"{clips.class_names[clips.labels[row]]}, subject {clips.subject[row]}"


def _source(clips: ClipSet) -> str:
    return f"{clips.name} (synthetic)" if clips.source == "synthetic" != clips.name else clips.name


def _arrows(ax: Axes, image: np.ndarray, flow: np.ndarray) -> None:
    """Draw every few pixels' displacement on a picture, the longest two meshes long, and say its length."""
    face(ax, image)
    mesh = max(1, image.shape[1] // _ARROWS)
    y, x = (part[mesh // 2 :: mesh, mesh // 2 :: mesh] for part in np.indices(image.shape))
    u, v = flow[:, mesh // 2 :: mesh, mesh // 2 :: mesh]
    longest = float(np.hypot(u, v).max())
    scale = (longest or 1.0) / (2 * mesh)
    ax.quiver(
        x, y, u, v, color=ORANGE, angles="xy", scale_units="xy", scale=scale, width=0.009, minlength=0.3
    )
    ax.set_xlabel(f"longest arrow: {longest:.2f} pixels", fontsize=7.5, labelpad=3)
