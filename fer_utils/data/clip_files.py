"""Clips in the files of their data sets: tables of clips, numbered images, videos."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd

from fer_utils.data.detection import Haar
from fer_utils.data.forms import IMAGE_SUFFIXES, csv_format, is_hidden, refusal, some
from fer_utils.data.images import check_size, open_image, plain
from fer_utils.data.raw_files import natural_order, read_file
from fer_utils.data.samples import NO_APEX
from fer_utils.labels import INVISIBLE, name_key

Sampling = Literal["interpolate", "first"]
"""`interpolate`: frames at even times from onset to offset. `first`: the first ones in the order of their
names, as some public networks take them, which is not the order of time where numbers are not padded."""

MAX_CLIP_BYTES = 2**30  # of a clip, decoded: five times the longest ones of SAMM, whose frames are large
UNCOMPUTED = "a formula without a value: open the table in Excel or LibreOffice and save it"
FRAME_NUMBER = r"[0-9]{1,9}(\.0+)?"  # as Excel writes one
_face_detector = cache(partial(Haar, smallest=0.0, longest_side=None))  # for one face


@dataclass(frozen=True)
class ClipDecoder:
    """Reads clips as arrays of `n_frames` frames of `size` x `size` pixels.

    `prefix` is a regular expression for what stands before the frame number in names of images. Under
    `crop_face` all frames are cropped to the largest face in the first one, where there is one.
    """

    size: int
    n_frames: int
    sampling: Sampling
    prefix: str
    frame_rate: float
    crop_face: bool

    def decode(self, row: tuple, place: Path) -> dict[str, Any]:
        """Read the clip of a row from a video or a folder of images, all of it where the row has no onset."""
        prefix = self.prefix.replace("<subject>", row.subject)
        images = _numbered_images(place, prefix) if place.is_dir() else {}
        onset, apex, offset = _times(row) if hasattr(row, "onset") else (min(images), NO_APEX, max(images))
        if images:
            found, frame_rate = self._images(images, onset, offset), self.frame_rate
        else:
            found, frame_rate = _video_frames(place, onset, offset)
        stack = _stacked(found)
        faces = _face_detector().find(stack[0]) if self.crop_face else []
        x, y, width, height = map(int, faces[0]) if faces else (0, 0, *stack[0].shape[::-1])
        interpolation = cv2.INTER_AREA if min(width, height) >= self.size else cv2.INTER_LINEAR
        crops = [np.ascontiguousarray(frame[y : y + height, x : x + width]) for frame in stack]
        size = (self.size, self.size)
        scaled = np.stack([cv2.resize(crop, size, interpolation=interpolation) for crop in crops])
        return {
            "frames": resample(scaled, self.n_frames, method=self.sampling),
            "frame_rate": frame_rate or self.frame_rate,
            **{"onset": onset, "apex": apex, "offset": offset},
            **{"length": len(stack), "whole": self.crop_face and not faces},  # as no face was found
        }

    def _images(self, images: Mapping[int, Path], onset: int, offset: int) -> Iterator[np.ndarray]:
        paths = [images[number] for number in sorted(images) if onset <= number <= offset]
        if missing := offset - onset + 1 - len(paths):
            first = next(number for number in range(onset, offset + 1) if number not in images)
            raise ValueError(f"{missing} frames of {onset}-{offset} are missing, the first is {first}")
        if self.sampling == "first":
            paths.sort(key=lambda path: path.name)
        for path in paths:
            try:
                with open_image(read_file(path)) as image:
                    yield np.asarray(plain(image)[0].convert("L"))
            except Exception as error:  # damaged bytes raise nearly anything
                raise ValueError(f"{path.name}: {error}") from error


def _times(row: tuple) -> tuple[int, int, int]:
    """Return onset, apex and offset of a row of an annotation."""
    texts = {name: getattr(row, name) for name in ("onset", "apex", "offset")}
    found = {name: int(float(text)) for name, text in texts.items() if re.fullmatch(FRAME_NUMBER, text)}
    for name in ("onset", "offset"):
        if name not in found:
            raise ValueError(f"the {name} is {texts[name]!r}, not a frame number")
    onset, offset = found["onset"], found["offset"]
    if onset > offset:
        raise ValueError(f"the onset {onset} is after the offset {offset}")
    # Real annotations have "/" as an apex, and numbers outside the clip, which can be used nevertheless.
    apex = found.get("apex", NO_APEX)
    return onset, apex if onset <= apex <= offset else NO_APEX, offset


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, s2 before s10; none when it is not there."""
    found = path.iterdir() if path.is_dir() else ()
    inside = (entry for entry in found if entry.is_dir() and not is_hidden(entry.name))
    return sorted(inside, key=natural_order)


def _numbered_images(folder: Path, prefix: str) -> dict[int, Path]:
    """Return the images of a folder by the frame numbers that end their names; another name is an error."""
    images: dict[int, Path] = {}
    beginnings: dict[str, str] = {}  # of file names
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name) or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if not (named := re.fullmatch(f"({prefix})([0-9]{{1,9}})", path.stem)):
            raise ValueError(f"the image {path.name} is not named {prefix}<number>")
        beginnings.setdefault(named[1], path.name)
        if (other := images.setdefault(int(named[2]), path)) != path:
            raise ValueError(f"{other.name} and {path.name} are two images of one frame")
    if len(beginnings) > 1:
        raise ValueError(f"images of several clips: {some([*beginnings.values()])}; move all but one clip's")
    if not images:
        raise ValueError(f"no images in it; {refusal(sorted(folder.iterdir())[:9], IMAGE_SUFFIXES)}")
    return images


def _video_frames(file: Path, onset: int, offset: int) -> tuple[Iterator[np.ndarray], float]:
    """Return gray frames of a video, and its frame rate, 0 where it does not state one."""
    video = cv2.VideoCapture(str(file))
    if not file.stat().st_size or not video.isOpened():
        raise ValueError(f"{file.name}: not a video that OpenCV can read")
    if onset < 1:
        raise ValueError(f"frame {onset}: the first frame of a video is number 1")
    check_size(int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)))

    def frames() -> Iterator[np.ndarray]:
        for number in range(1, offset + 1):  # from the start: seeking is not exact in every format
            readable, frame = video.read()
            if not readable:
                raise ValueError(f"{file.name}: frame {number} of {offset} cannot be read")
            if number >= onset:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)

    stated = video.get(cv2.CAP_PROP_FPS)
    return frames(), stated if 0 < stated < np.inf else 0.0


def _stacked(frames: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Return the frames as a list; those of several sizes, or too many for the memory, are an error."""
    stack: list[np.ndarray] = []
    for frame in frames:
        if stack and frame.shape != stack[0].shape:
            sizes = ["x".join(map(str, shape[::-1])) for shape in (stack[0].shape, frame.shape)]
            raise ValueError(f"frame 1 has {sizes[0]} pixels and frame {len(stack) + 1} has {sizes[1]}")
        stack.append(frame)
        if len(stack) * frame.size > MAX_CLIP_BYTES:
            raise ValueError(f"more than {MAX_CLIP_BYTES:,} pixels in all frames up to {len(stack)}")
    return stack


def resample(frames: np.ndarray, n_frames: int, *, method: Sampling = "interpolate") -> np.ndarray:
    """Return a clip, uint8 (T, H, W), with `n_frames` frames; fewer than these are always interpolated."""
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frame: a movement needs two frames or more")
    if method == "first" and len(frames) >= n_frames:
        return frames[:n_frames].copy()
    time = np.linspace(0, len(frames) - 1, n_frames)
    before = np.minimum(time.astype(int), len(frames) - 2)
    weight = (time - before)[:, None, None]
    return np.rint((1 - weight) * frames[before] + weight * frames[before + 1]).astype(np.uint8)


def read_table(
    path: Path, columns: Mapping[str, str], *, sheet: str = "", n_rows: int | None = None
) -> pd.DataFrame:
    """Return a CSV file or an Excel worksheet as texts; `columns` gives columns of it other names.

    The header is the first row that has all these columns; the index is the row's number in the file.
    """
    options = {"header": None, "dtype": str, "na_filter": False, "nrows": n_rows}
    try:
        if path.suffix.lower() == ".csv":
            options |= csv_format(path) | {"skip_blank_lines": False, "skipinitialspace": True}
            options["encoding_errors"] = "replace" if n_rows else "strict"  # what it is shows in its header
            cells = pd.read_csv(path, **options)
        else:
            options["sheet_name"] = sheet or 0
            cells = pd.read_excel(path, engine_kwargs={"data_only": False}, **options)
            is_formula = cells.apply(lambda column: column.str.startswith("="))
            if is_formula.any(axis=None):  # read again for their values, which lack rows of formulas alone
                values = pd.read_excel(path, **options).reindex_like(cells).fillna("")
                cells = cells.where(~is_formula, values.replace("", UNCOMPUTED))
    except Exception as error:  # damaged bytes raise nearly anything
        found = refusal([path], [".xlsx", ".csv in UTF-8 or UTF-16"])
        raise ValueError(f"{path}: not a whole table ({error!r:.120}); {found}") from error
    cells = cells.fillna("").apply(lambda column: column.str.translate(INVISIBLE).str.strip())
    fields = {name_key(name): field for field, name in columns.items()}
    lacking = [*columns.values()]
    for number, row in enumerate(cells.itertuples(index=False), start=1):
        found = {name_key(name) for name in row}
        lacking = min(lacking, [name for name in columns.values() if name_key(name) not in found], key=len)
        if not lacking:
            other = [" ".join(name.split()).lower() for name in row]
            other = [f"{name} (not read)" if name in columns else name for name in other]
            header = [fields.get(name_key(name), rest) for name, rest in zip(row, other, strict=True)]
            if repeated := {name for name in header if name and header.count(name) > 1}:
                twice = ", ".join(sorted(columns.get(name, name) for name in repeated))
                raise ValueError(f"{path}, row {number}: more than one column {twice}; remove one")
            table = cells.iloc[number:].set_axis(header, axis=1).set_index(cells.index[number:] + 1)
            return table[(table != "").any(axis=1)]
    needed, absent = ", ".join(columns.values()), ", ".join(lacking)
    raise ValueError(f"{path}: no row has the columns {needed}; the nearest lacks {absent}")
