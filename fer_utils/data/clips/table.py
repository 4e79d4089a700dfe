"""Clips of any origin, such as MEVIEW's videos: a CSV table beside videos or folders of pictures."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_utils.data.clips.annotation import Annotation, annotated_clips, without
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.frames import VideoFrames
from fer_utils.data.clips.reading import Clip, Sampling, to_clipset
from fer_utils.data.pictures import IMAGE_SUFFIXES
from fer_utils.labels import canonical

COLUMNS = ("clip", "subject", "onset", "offset", "emotion")
MOST_OF_A_HEADER = 10_000
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")


def read_clip_table(
    csv_path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    frame_rate: float | None = None,
    leave_out: Sequence[str] = (),
    crop_face: bool = True,
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    strict: bool = False,
) -> ClipSet:
    """Read the clips that a CSV table lists; faces cropped, gray and scaled as kishor2022 did with MEVIEW.

    Parameters
    ----------
    csv_path : path
        UTF-8, with the columns `clip,subject,onset,offset,emotion` and perhaps `apex`. `clip` is a video or
        a folder of pictures whose names end in frame numbers, relative to the table's folder. Onset and
        offset are frame numbers; a video's first frame is number 1.
    class_names : sequence of str, optional
        The classes to read and their order; without them all that occur, in alphabetical order.
    frame_rate : float, optional
        Frames per second of the pictures, which do not say it; a video states its own.
    leave_out : sequence of str
        Ids of clips not to read.
    crop_face, size, n_frames, sampling, strict
        As in `to_clipset`.

    Returns
    -------
    ClipSet
        Named as the table; ids `<clip>/<onset>-<offset>`, because a video may show several movements.

    Raises
    ------
    FileNotFoundError
        When the table is not there.
    ValueError
        For a table that is not as above, an unknown id in `leave_out`, and what `to_clipset` raises.
    """
    path = Path(csv_path)
    rows = _rows(path)
    labels = sorted({row.label for row in rows} - {""})
    places = _places(path.parent)
    found = annotated_clips(rows, places, table=path.name, prefix=".*?", frame_rate=frame_rate)
    clips, notes = without(found, leave_out)
    if any(isinstance(clip, Clip) and not isinstance(clip.frames, VideoFrames) for clip in clips):
        notes.append(f"{frame_rate:g} frames per second were given for the clips in pictures")
    return to_clipset(
        clips,
        name=path.stem,
        class_names=labels if class_names is None else class_names,
        size=size,
        n_frames=n_frames,
        sampling=sampling,
        crop_face=crop_face,
        strict=strict,
        notes=notes,
        origin={"table": path.name},
    )


def is_clip_table(path: Path) -> bool:
    """Return whether a file is a CSV table whose header has the columns of a table of clips."""
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        header = file.readline(MOST_OF_A_HEADER)
    return set(COLUMNS) <= set(next(csv.reader([header]), ()))


def _rows(path: Path) -> list[Annotation]:
    rows = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, restval="")
            if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
                raise ValueError(f"{path}, line 1: no column {', '.join(missing)} in the header")
            for row in table:
                cells = [row.get(name, "").strip() for name in (*COLUMNS, "apex")]
                clip, subject, onset, offset, emotion, apex = cells
                shown = (subject, canonical(emotion), onset, apex, offset)
                rows.append(Annotation(table.line_num, f"{clip}/{onset}-{offset}", clip, *shown))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error}); save it with that encoding") from error
    except csv.Error as error:
        raise ValueError(f"{path}, line {table.line_num}: not a CSV table ({error})") from error
    return rows


def _places(root: Path) -> dict[str, Path]:
    # What the table can name at all, so that no name in it leads out of its folder.
    return {place.relative_to(root).as_posix(): place for place in sorted(_clips_below(root))}


def _clips_below(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [name for name in files if not name.startswith(".")]
        yield from (Path(folder, name) for name in visible if name.lower().endswith(VIDEO_SUFFIXES))
        if any(name.lower().endswith(IMAGE_SUFFIXES) for name in visible) and Path(folder) != root:
            yield Path(folder)
