"""Clips in the files of their data sets, numbered images or parts of videos, and the way to a `ClipSet`."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd

from fer_utils.data.images import check_size, open_image, to_gray
from fer_utils.data.raw_files import IMAGE_SUFFIXES, natural_order, open_zip, printable, read_file
from fer_utils.data.samples import NO_APEX, ClipSet
from fer_utils.detection import Haar
from fer_utils.files import ConfigError

Sampling = Literal["interpolate", "first"]
"""`interpolate`: frames at even times from onset to offset. `first`: the first ones in the order of their
names, as some public networks take them, which is not the order of time where numbers are not padded."""

MAX_CLIP_BYTES = 2**30
"""Of a clip, decoded: five times the longest clips of SAMM, whose frames are the largest."""

MAX_WORKBOOK_BYTES = 2**28
"""Of an Excel workbook, unpacked; annotations have some thousand cells."""


@dataclass(frozen=True)
class VideoFrames:
    """Frames `first` to `last` of a video, both included; a video's first frame is number 1."""

    path: Path
    first: int
    last: int


@dataclass(frozen=True)
class Clip:
    """One facial movement in the files of its data set: frames from onset to offset in the order of time."""

    clip_id: str
    subject: str
    label: str
    frames: tuple[Path, ...] | VideoFrames
    frame_rate: float
    onset: int
    apex: int | None
    offset: int


@dataclass(frozen=True)
class Skipped:
    """A clip that cannot be used, where it was found and why."""

    clip_id: str
    why: str

    def __str__(self) -> str:
        return printable(f"{self.clip_id}: {self.why}")


@dataclass(frozen=True)
class Recordings:
    """The clips of a data set before they are read, and what `ClipSet` says of the whole."""

    name: str
    class_names: Sequence[str]
    clips: Iterable[Clip | Skipped]
    crop_face: bool
    origin: Mapping[str, str]
    notes: Sequence[str] = ()


class Annotation(NamedTuple):
    """One row of a table of clips, its times as they are written."""

    row: int
    clip_id: str
    place: str
    subject: str
    label: str
    onset: str
    apex: str
    offset: str


def annotated_clips(
    rows: Iterable[Annotation | Skipped],
    places: Mapping[str, Path],
    *,
    table: str,
    prefix: str,
    frame_rate: float | None = None,
) -> Iterator[Clip | Skipped]:
    """Yield the clip of every row, and what only the table or only the files have.

    `places` gives the folder of images or the video for `Annotation.place`; `frame_rate` is that of images,
    and of a video that does not state its own.
    """
    named = set()
    for row in rows:
        if isinstance(row, Skipped):
            yield row
            continue
        named.add(row.place)
        try:
            yield _clip(row, places.get(row.place), prefix=prefix, frame_rate=frame_rate)
        except ValueError as error:
            yield Skipped(row.clip_id, f"{table}, row {row.row}: {error}")
    for name in places:
        if name not in named:
            yield Skipped(name, f"{table} has no row of it")


def _clip(row: Annotation, place: Path | None, *, prefix: str, frame_rate: float | None) -> Clip:
    if place is None:
        raise ValueError(f"there is no {row.place}")
    onset, offset = _frame_number(row.onset, "onset"), _frame_number(row.offset, "offset")
    if place.is_dir():
        frames = frames_between(numbered_frames(place, prefix=prefix), onset, offset)
    else:
        if onset > offset:
            raise ValueError(f"the onset {onset} is after the offset {offset}")
        frames = VideoFrames(place, onset, offset)
        with _opened(place) as video:
            stated = video.get(cv2.CAP_PROP_FPS)
        frame_rate = stated if 0 < stated < np.inf else frame_rate
    if frame_rate is None:
        raise ValueError("the files do not say how many frames per second they have; give frame_rate")
    try:  # real annotations have "/" here, and numbers outside the clip, which can be used nevertheless
        apex = _frame_number(row.apex, "apex")
    except ValueError:
        apex = None
    apex = apex if apex is not None and onset <= apex <= offset else None
    return Clip(row.clip_id, row.subject, row.label, frames, frame_rate, onset, apex, offset)


def _frame_number(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise ValueError(f"the {what} is {text!r}, not a frame number")
    return int(text.partition(".")[0])


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, s2 before s10; none when it is not there."""
    found = path.iterdir() if path.is_dir() else ()
    return sorted((entry for entry in found if entry.is_dir() and entry.name[0] != "."), key=natural_order)


def numbered_frames(folder: Path, *, prefix: str) -> dict[int, Path]:
    """Return the images of a folder by the frame numbers that end their names, in numeric order.

    `prefix` is a regular expression for what stands before the number; another name is an error.
    """
    frames: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if not (named := re.fullmatch(f"(?:{prefix})([0-9]{{1,9}})", path.stem)):
            raise ValueError(f"the image {path.name} is not named {prefix}<number>")
        if (other := frames.setdefault(int(named[1]), path)) != path:
            raise ValueError(f"{other.name} and {path.name} are two images of one frame")
    if not frames:
        raise ValueError("the folder has no images")
    return dict(sorted(frames.items()))


def frames_between(frames: Mapping[int, Path], onset: int, offset: int) -> tuple[Path, ...]:
    """Return the images of the frames `onset` to `offset`, both included; a missing frame is an error."""
    if onset > offset:
        raise ValueError(f"the onset {onset} is after the offset {offset}")
    present = [number for number in frames if onset <= number <= offset]
    if count := offset - onset + 1 - len(present):
        first = next(number for number in range(onset, offset + 1) if number not in frames)
        raise ValueError(f"{count} of the frames {onset}-{offset} are missing, the first is {first}")
    return tuple(frames[number] for number in sorted(present))


def read_frames(frames: Iterable[Path] | VideoFrames) -> np.ndarray:
    """Return images, or the frames of a video, in gray as uint8, shape (T, H, W)."""
    stack: list[np.ndarray] = []
    for frame in _video_frames(frames) if isinstance(frames, VideoFrames) else map(_gray_image, frames):
        if stack and frame.shape != stack[0].shape:
            sizes = ["x".join(map(str, shape[::-1])) for shape in (stack[0].shape, frame.shape)]
            raise ValueError(f"frame 1 has {sizes[0]} pixels and frame {len(stack) + 1} has {sizes[1]}")
        stack.append(frame)
        if len(stack) * frame.size > MAX_CLIP_BYTES:
            raise ValueError(f"more than {MAX_CLIP_BYTES:,} pixels in all frames up to {len(stack)}")
    return np.stack(stack)


def _gray_image(path: Path) -> np.ndarray:
    try:
        with open_image(read_file(path)) as image:
            return np.asarray(to_gray(image))
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"{path.name}: {error}") from error


def _video_frames(video: VideoFrames) -> Iterator[np.ndarray]:
    if video.first < 1:
        raise ValueError(f"frame {video.first}: the first frame of a video is number 1")
    with _opened(video.path) as capture:
        check_size(*(int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)))
        for number in range(1, video.last + 1):  # from the start: seeking is not exact in every format
            readable, frame = capture.grab(), None
            if readable and number >= video.first:
                readable, frame = capture.retrieve()
            if not readable:
                raise ValueError(f"{video.path.name}: frame {number} of {video.last} cannot be read")
            if frame is not None:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.stat().st_size:
        raise ValueError(f"{path.name}: an empty file")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise ValueError(f"{path.name}: not a video that OpenCV can read")
        yield capture
    finally:
        capture.release()


def read_sheet(path: Path, *, columns: Sequence[str], sheet: str = "") -> list[tuple[int, list[str]]]:
    """Return the rows below the header that has all `columns`, of an Excel worksheet, by default the first.

    Each row is its number as Excel shows it and the texts of these columns; a whole number has no decimal
    point.
    """
    with open_zip(path, wanted=lambda name: True, max_bytes=MAX_WORKBOOK_BYTES):
        pass
    try:
        sheets = pd.read_excel(
            path, sheet_name=None, header=None, dtype=str, na_filter=False, engine="openpyxl"
        )
    except Exception as error:  # damaged workbooks raise nearly anything
        raise ValueError(f"{path}: not a whole Excel workbook (.xlsx): {error!r}") from error
    name = sheet or next(iter(sheets))
    if name not in sheets:
        raise ValueError(f"{path}: no sheet {name!r}; it has {', '.join(map(repr, sheets))}")
    table = sheets[name]
    rows = [[cell.strip() for cell in row] for row in table.itertuples(index=False)]
    for start, header in enumerate(rows):
        if set(columns) <= set(header):
            if twice := [name for name in columns if header.count(name) > 1]:
                raise ValueError(f"{path}, row {start + 1}: more than one column {twice[0]!r}; remove one")
            chosen = [header.index(name) for name in columns]
            below = enumerate(rows[start + 1 :], start=start + 2)
            return [(number, [row[column] for column in chosen]) for number, row in below if any(row)]
    raise ValueError(f"{path}: no row has the columns {', '.join(columns)}")


def to_clipset(
    found: Recordings,
    *,
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    leave_out: Sequence[str] = (),
) -> ClipSet:
    """Read clips, one at a time, into arrays of `n_frames` frames of `size` x `size` pixels.

    Under `found.crop_face` a clip is cropped to the face that OpenCV's frontal Haar cascade finds in its
    first frame; where it finds none, the whole frames are taken and a note says so. Clips that cannot be used
    are listed in `skipped`; those in `leave_out` are not read.
    """
    if sampling not in ("interpolate", "first"):
        raise ConfigError(f"sampling={sampling!r}: use 'interpolate' or 'first'")
    if n_frames < 2 or size < 1:
        raise ConfigError(f"n_frames={n_frames}, size={size}: two frames and one pixel at least")
    name, class_names = found.name, tuple(found.class_names)
    kept: dict[str, Clip] = {}
    arrays, skipped, short, faceless = [], [], [], []
    clips = list(found.clips)
    check_ids(leave_out, [clip.clip_id for clip in clips])
    for clip in clips:
        if clip.clip_id in leave_out:
            continue
        try:
            _check(clip, kept, class_names)
            frames, has_face = _gray_frames(clip, size=size, sampling=sampling, crop_face=found.crop_face)
            arrays.append(resample(frames, n_frames, method=sampling))
        except (OSError, ValueError) as error:
            skipped.append(str(clip if isinstance(clip, Skipped) else Skipped(clip.clip_id, str(error))))
            continue
        kept[clip.clip_id] = clip
        short += [clip.clip_id] * (len(frames) < n_frames)
        faceless += [clip.clip_id] * (not has_face)
    if not kept:
        raise ValueError(f"{name}: no clip could be read; {skipped[0] if skipped else 'there are none'}")
    notes = [*found.notes, *left_out_note(leave_out)]
    if sampling == "first":
        notes.append(f"the first {n_frames} frames in the order of their names, not onset to offset")
    for ids, what in (
        (short, f"have fewer than {n_frames} frames; those between were interpolated"),
        (faceless, "have no face that the detector finds and are whole frames"),
        (
            [clip.clip_id for clip in kept.values() if clip.apex is None],
            "have no apex between onset and offset in the annotation",
        ),
    ):
        if ids:
            listed = ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")
            notes.append(f"{len(ids)} of {len(kept)} clips {what}: {listed}")
    columns = pd.DataFrame([vars(clip) for clip in kept.values()])
    return ClipSet(
        name=name,
        source="real",
        clips=np.stack(arrays),
        labels=columns["label"].map(class_names.index).to_numpy(np.int64),
        class_names=class_names,
        sample_id=np.array(columns["clip_id"], dtype=str),
        subject=np.array(columns["subject"], dtype=str),
        frame_rate=columns["frame_rate"].to_numpy(float),
        onset=columns["onset"].to_numpy(np.int64),
        apex=columns["apex"].astype(float).fillna(NO_APEX).to_numpy(np.int64),
        offset=columns["offset"].to_numpy(np.int64),
        notes=tuple(notes),
        skipped=tuple(skipped),
        origin={**found.origin, "sampling": sampling},
    )


def check_ids(leave_out: Sequence[str], ids: Sequence[str]) -> None:
    """Raise `ValueError`, naming the nearest, when `leave_out` names clips that are not in `ids`."""
    if unknown := [name for name in leave_out if name not in ids]:
        close = difflib.get_close_matches(unknown[0], ids, n=1, cutoff=0) or ["none"]
        meant = f"nearest to {unknown[0]!r} is {close[0]!r}"
        raise ValueError(f"leave_out names {', '.join(unknown)}, which the data set does not have; {meant}")


def left_out_note(leave_out: Sequence[str]) -> list[str]:
    """Return the note on clips that were left out, if there are any."""
    return [f"left out on request: {', '.join(leave_out)}"] if leave_out else []


def resample(frames: np.ndarray, n_frames: int = 18, *, method: Sampling = "interpolate") -> np.ndarray:
    """Return a clip, uint8 (T, H, W), with `n_frames` frames, 2 at least.

    "interpolate": linear interpolation between neighbouring frames at even times, the first and last kept;
    "first": the first ones of those that are given. Fewer than `n_frames` are interpolated in either case.
    """
    if min(len(frames), n_frames) < 2:
        few = f"{len(frames)} frame" if len(frames) < 2 else f"n_frames={n_frames}"
        raise ValueError(f"{few}: a movement needs two frames or more")
    if method == "first" and len(frames) >= n_frames:
        return frames[:n_frames].copy()
    time = np.linspace(0, len(frames) - 1, n_frames)
    before = np.minimum(time.astype(int), len(frames) - 2)
    weight = (time - before)[:, None, None]
    return np.rint((1 - weight) * frames[before] + weight * frames[before + 1]).astype(np.uint8)


def face_box(frame: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) of the largest frontal face in a gray frame, or None."""
    boxes = _face_detector().find(frame)
    return tuple(map(int, boxes[0])) if boxes else None


@cache
def _face_detector() -> Haar:
    return Haar(smallest=0.0, longest_side=None)  # a clip has one face, and is searched once


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


def _gray_frames(clip: Clip, *, size: int, sampling: Sampling, crop_face: bool) -> tuple[np.ndarray, bool]:
    """Return the scaled frames of a clip, and whether a face was found where one was to be cropped."""
    if sampling == "first" and not isinstance(clip.frames, VideoFrames):
        clip = replace(clip, frames=tuple(sorted(clip.frames, key=lambda path: path.name)))
    frames = read_frames(clip.frames)
    face = face_box(frames[0]) if crop_face else None
    x, y, width, height = face or (0, 0, frames.shape[2], frames.shape[1])
    interpolation = cv2.INTER_AREA if min(width, height) >= size else cv2.INTER_LINEAR
    part = np.ascontiguousarray(frames[:, y : y + height, x : x + width])
    scaled = np.stack([cv2.resize(one, (size, size), interpolation=interpolation) for one in part])
    return scaled, bool(face) or not crop_face
