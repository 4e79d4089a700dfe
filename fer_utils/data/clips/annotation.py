"""Tables that say where clips are, when they begin and end and what they show, matched with the files."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        Frames per second of pictures, and of a video that does not state its own.
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


def without(
    clips: Iterable[Clip | Skipped], leave_out: Sequence[str]
) -> tuple[list[Clip | Skipped], list[str]]:
    """Return the clips whose ids are not in `leave_out`, and a note that says which were left out.

    Raises
    ------
    ValueError
        For ids that no clip has, naming the nearest.
    """
    named = [(clip.clip_id if isinstance(clip, Clip) else clip.what, clip) for clip in clips]
    check_ids(leave_out, [clip_id for clip_id, _ in named])
    kept = [clip for clip_id, clip in named if clip_id not in leave_out]
    return kept, left_out(leave_out)


def check_ids(leave_out: Sequence[str], ids: Sequence[str]) -> None:
    """Raise `ValueError`, naming the nearest, when `leave_out` names clips that are not in `ids`."""
    if not (unknown := [name for name in leave_out if name not in ids]):
        return
    close = difflib.get_close_matches(unknown[0], ids, n=1, cutoff=0)
    meant = f"; nearest to {unknown[0]!r} is {close[0]!r}" if close else ""
    raise ValueError(f"leave_out names {', '.join(unknown)}, which the data set does not have{meant}")


def left_out(leave_out: Sequence[str]) -> list[str]:
    """Return the note on clips that were left out, if there are any."""
    return [f"left out on request: {', '.join(leave_out)}"] if leave_out else []


def _clip(row: Annotation, place: Path | None, *, prefix: str, frame_rate: float | None) -> Clip:
    if place is None:
        raise ValueError(f"there is no {row.place}")
    onset, offset = _frame_number(row.onset, "onset"), _frame_number(row.offset, "offset")
    check_times(onset, offset)
    if place.is_dir():
        frames = frames_between(numbered_frames(place, prefix=prefix), onset, offset)
    else:
        frames = VideoFrames(place, onset, offset)
        frame_rate = _rate_of(place, otherwise=frame_rate)
    if frame_rate is None:
        raise ValueError("pictures do not say how many frames per second they are: give frame_rate")
    apex = _apex(row.apex, onset, offset)
    return Clip(row.clip_id, row.subject, row.label, frames, frame_rate, onset, apex, offset)


def _rate_of(video: Path, *, otherwise: float | None) -> float:
    try:
        return video_rate(video)
    except ValueError:
        if otherwise is None:
            raise
        return otherwise


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
