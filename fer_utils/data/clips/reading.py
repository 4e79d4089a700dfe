"""Clips as data sets keep them, as pictures or in a video, and the way from there to a `ClipSet`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from fer_utils.data.bad_rows import printable
from fer_utils.data.clips.clipset import NO_APEX, ClipSet
from fer_utils.data.clips.frames import VideoFrames, read_frames
from fer_utils.detection import Haar
from fer_utils.files import ConfigError

Sampling = Literal["interpolate", "first"]
"""`interpolate`: frames at even times from onset to offset. `first`: the first ones in the order of their
names, as some public networks take them, which is not the order of time where numbers are not padded."""


@dataclass(frozen=True)
class Clip:
    """One facial movement in the files of its data set.

    Attributes
    ----------
    clip_id, subject, label : str
        `label` in the spelling of `fer_utils.labels.canonical`.
    frames : tuple of Path, or VideoFrames
        From onset to offset in the order of time.
    frame_rate : float
        Frames per second of the camera.
    onset, apex, offset : int
        Frame numbers as the data set counts them; `apex` is None where it is not given.
    """

    clip_id: str
    subject: str
    label: str
    frames: tuple[Path, ...] | VideoFrames
    frame_rate: float
    onset: int
    apex: int | None
    offset: int

    def read(self) -> np.ndarray:
        """Return all frames in gray as uint8, shape (T, H, W).

        Raises
        ------
        ValueError
            For a frame that cannot be decoded, frames of several sizes, and more of them than fit in memory.
        OSError
            When a file cannot be read.
        """
        return read_frames(self.frames)

    def by_name(self) -> "Clip":
        """Return the clip with its pictures in the order of their names; a video stays as it is."""
        if isinstance(self.frames, VideoFrames):
            return self
        return replace(self, frames=tuple(sorted(self.frames, key=lambda path: path.name)))


@dataclass(frozen=True)
class Skipped:
    """A clip that cannot be used, where it was found and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return printable(f"{self.what}: {self.why}")


def to_clipset(
    clips: Iterable[Clip | Skipped],
    *,
    name: str,
    class_names: Sequence[str],
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    crop_face: bool = False,
    strict: bool = False,
    notes: Sequence[str] = (),
    origin: Mapping[str, str | int] | None = None,
) -> ClipSet:
    """Read clips, one at a time, into arrays of one length and size.

    Parameters
    ----------
    clips : iterable of Clip or Skipped
    name, class_names, notes, origin
        As in `ClipSet`; clips of other classes are skipped.
    size : int
        Height and width in pixels; the frames are scaled to it whatever the ratio of their sides.
    n_frames : int
        Frames per clip, see `resample`.
    sampling : {"interpolate", "first"}
    crop_face : bool
        Whether a clip is cropped to the face that OpenCV's frontal Haar cascade finds in its first frame.
        Where it finds none, the whole frames are taken and a note says so.
    strict : bool
        Whether the first clip that cannot be used is an error; otherwise all are listed in `skipped`.

    Raises
    ------
    ValueError
        When no clip is left, or under `strict`.
    ConfigError
        For an unknown `sampling`, fewer than two frames and a size below 1.
    """
    if sampling not in get_args(Sampling):
        raise ConfigError(f"sampling={sampling!r}: use {' or '.join(map(repr, get_args(Sampling)))}")
    if n_frames < 2 or size < 1:
        raise ConfigError(f"n_frames={n_frames}, size={size}: two frames and one pixel at least")
    kept: dict[str, Clip] = {}
    arrays, skipped, short, faceless = [], [], [], []
    for clip in clips:
        try:
            _check(clip, kept, class_names)
            frames, face = _gray_frames(clip, size=size, sampling=sampling, crop_face=crop_face)
            arrays.append(resample(frames, n_frames, method=sampling))
        except (OSError, ValueError) as error:
            problem = clip if isinstance(clip, Skipped) else Skipped(clip.clip_id, str(error))
            if strict:
                raise ValueError(f"{name}: {problem}") from error
            skipped.append(str(problem))
            continue
        kept[clip.clip_id] = clip
        short += [clip.clip_id] * (len(frames) < n_frames)
        faceless += [clip.clip_id] * (crop_face and face is None)
    if not kept:
        raise ValueError(f"{name}: no clip could be read; {skipped[0] if skipped else 'there are none'}")
    if sampling == "first":
        notes = (*notes, f"the first {n_frames} frames in the order of their names, not onset to offset")
    no_apex = [clip.clip_id for clip in kept.values() if clip.apex is None]
    found = {
        f"have fewer than {n_frames} frames; those between were interpolated": short,
        "show the detector no face and are whole frames": faceless,
        "have no apex between onset and offset in the annotation": no_apex,
    }
    return ClipSet(
        name=name,
        source="real",
        clips=np.stack(arrays),
        class_names=tuple(class_names),
        notes=(*notes, *(_note(ids, what, len(kept)) for what, ids in found.items() if ids)),
        skipped=tuple(skipped),
        origin={**(origin or {}), "sampling": sampling},
        **_columns(kept.values(), class_names),
    )


def resample(frames: np.ndarray, n_frames: int = 18, *, method: Sampling = "interpolate") -> np.ndarray:
    """Return a clip with `n_frames` frames.

    Parameters
    ----------
    frames : ndarray of uint8, shape (T, H, W)
    n_frames : int
        2 at least.
    method : {"interpolate", "first"}
        Linear interpolation between neighbouring frames at even times, the first and last kept; or the
        first ones of those that are given. Fewer than `n_frames` are interpolated in either case.

    Returns
    -------
    ndarray of uint8, shape (n_frames, H, W)

    Raises
    ------
    ValueError
        For a clip or a result of fewer than two frames.
    """
    if min(len(frames), n_frames) < 2:
        few = f"{len(frames)} frame" if len(frames) < 2 else f"n_frames={n_frames}"
        raise ValueError(f"{few}: a movement needs two frames or more")
    if method == "first" and len(frames) >= n_frames:
        return frames[:n_frames].copy()
    time = np.linspace(0, len(frames) - 1, n_frames)
    before = np.minimum(time.astype(int), len(frames) - 2)
    weight = (time - before)[:, None, None]
    between = (1 - weight) * frames[before] + weight * frames[before + 1]
    return np.rint(between).astype(np.uint8)


def face_box(frame: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) of the largest frontal face in a gray frame, or None."""
    boxes = _face_detector().find(frame)
    return tuple(map(int, boxes[0])) if boxes else None


def _check(clip: Clip | Skipped, kept: Mapping[str, Clip], class_names: Sequence[str]) -> None:
    if isinstance(clip, Skipped):
        raise ValueError(clip.why)
    if printable(clip.clip_id + clip.subject) != clip.clip_id + clip.subject:
        raise ValueError("the name is not UTF-8; give it another")
    if clip.clip_id in kept:
        raise ValueError("a second clip of this name")
    if not clip.subject:
        raise ValueError("no subject is given")
    if clip.label not in class_names:
        raise ValueError(f"its class is {clip.label!r}, not one of {', '.join(class_names)}")


def _columns(clips: Iterable[Clip], class_names: Sequence[str]) -> dict[str, np.ndarray]:
    clips = list(clips)
    times = {
        "onset": [clip.onset for clip in clips],
        "apex": [NO_APEX if clip.apex is None else clip.apex for clip in clips],
        "offset": [clip.offset for clip in clips],
        "labels": [list(class_names).index(clip.label) for clip in clips],
    }
    return {key: np.array(values, dtype=np.int64) for key, values in times.items()} | {
        "sample_id": np.array([clip.clip_id for clip in clips]),
        "subject": np.array([clip.subject for clip in clips]),
        "frame_rate": np.array([clip.frame_rate for clip in clips], dtype=float),
    }


def _note(ids: Sequence[str], what: str, total: int) -> str:
    return f"{len(ids)} of {total} clips {what}: {', '.join(ids[:5])}{' ...' if len(ids) > 5 else ''}"


def _gray_frames(
    clip: Clip, *, size: int, sampling: Sampling, crop_face: bool
) -> tuple[np.ndarray, tuple[int, int, int, int] | None]:
    frames = (clip.by_name() if sampling == "first" else clip).read()
    face = face_box(frames[0]) if crop_face else None
    x, y, width, height = face or (0, 0, frames.shape[2], frames.shape[1])
    filtered = cv2.INTER_AREA if min(width, height) >= size else cv2.INTER_LINEAR
    part = np.ascontiguousarray(frames[:, y : y + height, x : x + width])
    return np.stack([cv2.resize(frame, (size, size), interpolation=filtered) for frame in part]), face


@cache
def _face_detector() -> Haar:
    return Haar(smallest=0.0, longest_side=None)  # a clip has one face, and is searched once
