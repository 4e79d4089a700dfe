"""Tables that say where clips are, when they begin and end and what they show, matched with the files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fer_utils.data.clips.frames import VideoFrames, check_times, frames_between, numbered_frames, video_rate
from fer_utils.data.clips.reading import Clip, Skipped


class Annotation(NamedTuple):
    """One row of such a table, its times as they are written."""

    row: int
    clip_id: str
    place: str
    subject: str
    label: str
    onset: str
    apex: str
    offset: str


def annotation_file(folder: Path, name: str, *, up_to: int = 1) -> Path:
    """Return the first file whose name fits the regular expression `name`, in `folder` or above it.

    Raises
    ------
    FileNotFoundError
        When there is none up to `up_to` folders above.
    """
    for place in (folder, *list(folder.absolute().parents)[:up_to]):
        for file in sorted(place.iterdir()):
            if re.fullmatch(name, file.name):
                return file
    raise FileNotFoundError(f"{folder}: no annotation ({name}) there or in the {up_to} folders above")


def annotated_clips(
    rows: Iterable[Annotation | Skipped],
    places: Mapping[str, Path],
    *,
    table: str,
    prefix: str,
    frame_rate: float | None = None,
) -> Iterator[Clip | Skipped]:
    """Yield the clip of every row, and what only one of table and files has.

    Parameters
    ----------
    rows : iterable of Annotation or Skipped
    places : mapping
        `Annotation.place` -> folder of numbered pictures or video file.
    table : str
        Name of the table, for messages.
    prefix : str
        See `numbered_frames`.
    frame_rate : float, optional
        Frames per second; a video states its own.
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
    check_times(onset, offset)
    if place.is_dir():
        frames = frames_between(numbered_frames(place, prefix=prefix), onset, offset)
    else:
        frames = VideoFrames(place, onset, offset)
        frame_rate = frame_rate or video_rate(place)
    if frame_rate is None:
        raise ValueError("pictures do not say how many frames per second they are: give frame_rate")
    apex = _apex(row.apex, onset, offset)
    return Clip(row.clip_id, row.subject, row.label, frames, frame_rate, onset, apex, offset)


def _frame_number(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise ValueError(f"the {what} is {text!r}, not a frame number")
    return int(text.partition(".")[0])


def _apex(text: str, onset: int, offset: int) -> int | None:
    # Real annotations have "/" in its place, and slips that lie outside; the clip can be used nevertheless.
    try:
        apex = _frame_number(text, "apex")
    except ValueError:
        return None
    return apex if onset <= apex <= offset else None
