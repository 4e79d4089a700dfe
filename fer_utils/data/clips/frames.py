"""The frames of a clip in files: numbered pictures in a folder or a part of a video."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_utils.data.decoding import FORMATS, check_size, to_gray
from fer_utils.data.pictures import IMAGE_SUFFIXES, MOST_BYTES

MOST_BYTES_OF_A_CLIP = 2**30
"""Decoded: five times the longest clips of SAMM, whose frames are the largest."""


@dataclass(frozen=True)
class VideoFrames:
    """Frames `first` to `last` of a video, both included; a video's first frame is number 1."""

    path: Path
    first: int
    last: int


def read_frames(frames: Iterable[Path] | VideoFrames) -> np.ndarray:
    """Return pictures, or the frames of a video, in gray as uint8, shape (T, H, W).

    Raises
    ------
    ValueError
        For a frame that cannot be decoded, frames of several sizes, and more of them than fit in memory.
    OSError
        When a file cannot be read.
    """
    if isinstance(frames, VideoFrames):
        return _stacked(_video_frames(frames))
    return _stacked(map(_picture, frames))


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones, s2 before s10; none when it is not there."""
    found = path.iterdir() if path.is_dir() else ()
    return sorted((entry for entry in found if entry.is_dir() and entry.name[0] != "."), key=natural_order)


def numbered_frames(folder: Path, *, prefix: str) -> dict[int, Path]:
    """Return the pictures of a folder by their frame numbers, which end their names, in numeric order.

    Parameters
    ----------
    folder : Path
    prefix : str
        Regular expression for what stands before the number.

    Raises
    ------
    ValueError
        When there are no pictures, or one has another name or the same number as another.
    """
    frames: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        named = re.fullmatch(f"(?:{prefix})([0-9]{{1,9}})", path.stem)
        if not named:
            raise ValueError(f"the picture {path.name} is not named {prefix}<number>")
        if (other := frames.setdefault(int(named[1]), path)) != path:
            raise ValueError(f"{other.name} and {path.name} are two pictures of one frame")
    if not frames:
        raise ValueError("the folder has no pictures")
    return dict(sorted(frames.items()))


def frames_between(frames: Mapping[int, Path], onset: int, offset: int) -> tuple[Path, ...]:
    """Return the pictures of the frames `onset` to `offset`, both included.

    Raises
    ------
    ValueError
        When the onset is after the offset or a frame is missing.
    """
    check_times(onset, offset)
    present = [number for number in frames if onset <= number <= offset]
    if count := offset - onset + 1 - len(present):
        first = next(number for number in range(onset, offset + 1) if number not in frames)
        raise ValueError(f"{count} of the frames {onset}-{offset} are missing, the first is {first}")
    return tuple(frames[number] for number in sorted(present))


def check_times(onset: int, offset: int) -> None:
    """Raise `ValueError` when the onset is after the offset."""
    if onset > offset:
        raise ValueError(f"the onset {onset} is after the offset {offset}")


def video_rate(path: Path) -> float:
    """Return the frames per second that a video states; `ValueError` when it cannot be read or has none."""
    with _opened(path) as capture:
        rate = capture.get(cv2.CAP_PROP_FPS)
    if not 0 < rate < np.inf:
        raise ValueError(f"{path.name}: does not say how many frames per second it has: give frame_rate")
    return rate


def _stacked(frames: Iterable[np.ndarray]) -> np.ndarray:
    stack: list[np.ndarray] = []
    for frame in frames:
        if stack and frame.shape != stack[0].shape:
            sizes = ["x".join(map(str, shape[::-1])) for shape in (stack[0].shape, frame.shape)]
            raise ValueError(f"frame 1 has {sizes[0]} pixels and frame {len(stack) + 1} has {sizes[1]}")
        stack.append(frame)
        if len(stack) * frame.size > MOST_BYTES_OF_A_CLIP:
            raise ValueError(f"more than {MOST_BYTES_OF_A_CLIP:,} pixels in all frames up to {len(stack)}")
    return np.stack(stack)


def _picture(path: Path) -> np.ndarray:
    if not 0 < (size := path.stat().st_size) <= MOST_BYTES:
        raise ValueError(f"{path.name}: {f'{size:,} bytes' if size else 'an empty file'}")
    try:
        with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as picture:
            check_size(*picture.size)
            return np.asarray(to_gray(picture))
    except Exception as error:  # whatever damaged bytes make of Pillow's parsers
        raise ValueError(f"{path.name}: not a usable picture: {error}") from error


def _video_frames(video: VideoFrames) -> Iterator[np.ndarray]:
    if video.first < 1:
        raise ValueError(f"frame {video.first}: the first frame of a video is number 1")
    with _opened(video.path) as capture:
        check_size(*(int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)))
        # From the start, because seeking is not exact in every format.
        for number in range(1, video.last + 1):
            frame = None
            readable = capture.grab()
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


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return what paths are sorted by so that s2 comes before s10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", path.name)]
