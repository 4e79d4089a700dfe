"""Clips in the files of their data sets: tables of clips, numbered images, videos."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd

from fer_utils.data.images import check_size, open_image, to_gray
from fer_utils.data.raw_files import IMAGE_SUFFIXES, natural_order, open_zip, read_file
from fer_utils.data.samples import NO_APEX
from fer_utils.detection import Haar

Sampling = Literal["interpolate", "first"]
"""`interpolate`: frames at even times from onset to offset. `first`: the first ones in the order of their
names, as some public networks take them, which is not the order of time where numbers are not padded."""

MAX_CLIP_BYTES = 2**30
"""Of a clip, decoded: five times the longest clips of SAMM, whose frames are the largest."""

MAX_WORKBOOK_BYTES = 2**28
"""Of an Excel workbook, unpacked; annotations have some thousand cells."""

MAX_HEADER = 10_000
"""Bytes that are read of a CSV file to see whether it is a table of clips."""


@dataclass(frozen=True)
class Clip:
    """One facial movement in the files of its data set: images in the order of time, or a video."""

    clip_id: str
    subject: str
    label: str
    frames: tuple[Path, ...] | Path
    frame_rate: float
    onset: int
    apex: int
    offset: int

    @classmethod
    def from_files(
        cls, row: tuple, place: Path, *, prefix: str, frame_rate: float | None, annotated: bool
    ) -> "Clip":
        """Return the clip of an annotation's row, or of a whole folder that is not `annotated`.

        `prefix` is a regular expression for what stands before the frame number in names of images;
        `frame_rate` is that of images, and of a video that does not state its own.
        """
        numbered = numbered_frames(place, prefix=prefix) if place.is_dir() else {}
        if annotated:
            onset, offset = _frame_number(row.onset, "onset"), _frame_number(row.offset, "offset")
        else:
            onset, offset = min(numbered), max(numbered)
        if onset > offset:
            raise ValueError(f"the onset {onset} is after the offset {offset}")
        if numbered:
            frames = tuple(numbered[number] for number in sorted(numbered) if onset <= number <= offset)
            if missing := offset - onset + 1 - len(frames):
                first = next(number for number in range(onset, offset + 1) if number not in numbered)
                raise ValueError(f"{missing} frames of {onset}-{offset} are missing, the first is {first}")
        else:
            frames = place
            with _opened(place) as video:
                stated = video.get(cv2.CAP_PROP_FPS)
            frame_rate = stated if 0 < stated < np.inf else frame_rate
        if frame_rate is None:
            raise ValueError("the files do not say how many frames per second they have; give frame_rate")
        try:  # real annotations have "/" here, and numbers outside the clip, which can be used nevertheless
            apex = _frame_number(row.apex, "apex")
        except ValueError:
            apex = NO_APEX
        apex = apex if onset <= apex <= offset else NO_APEX
        return cls(row.clip_id, row.subject, row.label, frames, frame_rate, onset, apex, offset)


def _frame_number(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise ValueError(f"the {what} is {text!r}, not a frame number")
    return int(text.partition(".")[0])


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, s2 before s10; none when it is not there."""
    found = path.iterdir() if path.is_dir() else ()
    return sorted((entry for entry in found if entry.is_dir() and entry.name[0] != "."), key=natural_order)


def numbered_frames(folder: Path, *, prefix: str) -> dict[int, Path]:
    """Return the images of a folder by the frame numbers that end their names; another name is an error."""
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
    return frames


def read_frames(clip: Clip, *, size: int, n_frames: int, sampling: Sampling, crop_face: bool) -> tuple:
    """Return the frames, uint8 (n_frames, size, size), their number in the files, and whether it has a face.

    Under `crop_face` all are cropped to the largest face in the first one, where there is one.
    """
    if isinstance(clip.frames, Path):
        found = _video_frames(clip)
    else:
        by_name = sampling == "first"
        found = map(_gray_image, sorted(clip.frames, key=lambda path: path.name) if by_name else clip.frames)
    stack: list[np.ndarray] = []
    for frame in found:
        if stack and frame.shape != stack[0].shape:
            sizes = ["x".join(map(str, shape[::-1])) for shape in (stack[0].shape, frame.shape)]
            raise ValueError(f"frame 1 has {sizes[0]} pixels and frame {len(stack) + 1} has {sizes[1]}")
        stack.append(frame)
        if len(stack) * frame.size > MAX_CLIP_BYTES:
            raise ValueError(f"more than {MAX_CLIP_BYTES:,} pixels in all frames up to {len(stack)}")
    faces = _face_detector().find(stack[0]) if crop_face else []
    x, y, width, height = map(int, faces[0]) if faces else (0, 0, *stack[0].shape[::-1])
    interpolation = cv2.INTER_AREA if min(width, height) >= size else cv2.INTER_LINEAR
    crops = [np.ascontiguousarray(frame[y : y + height, x : x + width]) for frame in stack]
    scaled = np.stack([cv2.resize(crop, (size, size), interpolation=interpolation) for crop in crops])
    return resample(scaled, n_frames, method=sampling), len(stack), bool(faces)


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


@cache
def _face_detector() -> Haar:
    return Haar(smallest=0.0, longest_side=None)  # a clip has one face, and is searched once


def _gray_image(path: Path) -> np.ndarray:
    try:
        with open_image(read_file(path)) as image:
            return np.asarray(to_gray(image))
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"{path.name}: {error}") from error


def _video_frames(clip: Clip) -> Iterator[np.ndarray]:
    if clip.onset < 1:
        raise ValueError(f"frame {clip.onset}: the first frame of a video is number 1")
    with _opened(clip.frames) as capture:
        check_size(*(int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)))
        for number in range(1, clip.offset + 1):  # from the start: seeking is not exact in every format
            readable, frame = capture.grab(), None
            if readable and number >= clip.onset:
                readable, frame = capture.retrieve()
            if not readable:
                raise ValueError(f"{clip.frames.name}: frame {number} of {clip.offset} cannot be read")
            if frame is not None:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not path.stat().st_size or not capture.isOpened():
            raise ValueError(f"{path.name}: not a video that OpenCV can read")
        yield capture
    finally:
        capture.release()


def csv_header(path: Path) -> tuple[list[str], dict[str, str]]:
    """Return the column names of a CSV file in lower case, and how pandas has to read it."""
    with open(path, "rb") as file:
        start = file.read(MAX_HEADER)
    encoding = "utf-16" if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    first = start.decode(encoding, errors="replace").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    names = [name.strip().strip('"').lower() for name in first.split(separator)]
    return names, {"sep": separator, "encoding": encoding}


def read_table(path: Path, columns: Mapping[str, str], *, sheet: str = "") -> pd.DataFrame:
    """Return columns of a CSV file or an Excel worksheet as texts, under the names that `columns` gives them.

    The header is the first row that has all these columns; the index is the row's number in the file.
    """
    is_csv = path.suffix.lower() == ".csv"
    if not is_csv:
        with open_zip(path, wanted=lambda name: True, max_bytes=MAX_WORKBOOK_BYTES):
            pass  # only checked
    try:
        if is_csv:
            options = csv_header(path)[1] | {"skip_blank_lines": False, "skipinitialspace": True}
            cells = pd.read_csv(path, header=None, dtype=str, na_filter=False, **options)
        else:
            cells = pd.read_excel(path, sheet_name=sheet or 0, header=None, dtype=str, na_filter=False)
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"{path}: not a whole table in UTF-8 or .xlsx ({error!r})") from error
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    for number, row in enumerate(cells.itertuples(index=False), start=1):
        header = [name.lower() for name in row] if is_csv else list(row)
        if set(columns.values()) <= set(header):
            if repeated := {name for name in header if name and header.count(name) > 1}:
                raise ValueError(f"{path}, row {number}: more than one column {', '.join(sorted(repeated))}")
            table = cells.iloc[number:].set_axis(header, axis=1).set_index(cells.index[number:] + 1)
            table = table.rename(columns={name: field for field, name in columns.items()})
            return table[(table != "").any(axis=1)]
    raise ValueError(f"{path}: no row has the columns {', '.join(columns.values())}")
