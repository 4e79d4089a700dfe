"""CASME II: spontaneous micro-expressions at 200 frames per second.

Source: W.-J. Yan, X. Li, S.-J. Wang, G. Zhao, Y.-J. Liu, Y.-H. Chen, X. Fu, *CASME II: an improved
spontaneous micro-expression database and the baseline evaluation*, PLoS ONE 9(1): e86041, 2014.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_utils.data.clips.annotation import Annotation, annotated_clips, annotation_file, without
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.frames import folders
from fer_utils.data.clips.reading import Sampling, to_clipset
from fer_utils.data.clips.sheet import read_sheet
from fer_utils.labels import canonical

FRAME_RATE = 200.0
CASME2_7 = ("disgust", "fear", "happy", "repression", "sad", "surprise", "others")
ANNOTATION = "CASME2-coding.*[.]xlsx"
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion")


def read_casme2(
    path: str | Path,
    *,
    leave_out: Sequence[str] = (),
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    strict: bool = False,
) -> ClipSet:
    """Read CASME II, as filmed or cropped.

    Parameters
    ----------
    path : path
        The folder of `sub01/EP02_01f/img46.jpg` and so on, or of `reg_img46.jpg` where the faces are cropped
        already, with `CASME2-coding-20140508.xlsx` in it or beside it.
    leave_out : sequence of str
        Ids of clips not to read.
    size, n_frames, sampling, strict
        As in `to_clipset`.

    Returns
    -------
    ClipSet
        Subjects such as `sub01`; ids such as `sub01/EP02_01f`, because the films' names repeat between
        subjects; classes `CASME2_7` from the column "Estimated Emotion".

    Raises
    ------
    FileNotFoundError
        When the folder or the annotation is not there.
    ValueError
        For an annotation that cannot be read, an unknown id in `leave_out`, and what `to_clipset` raises.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder")
    table = casme2_annotation(path)
    places = {f"{subject.name}/{film.name}": film for subject in _subjects(path) for film in folders(subject)}
    cropped = any(path.glob("sub*/*/reg_img*"))
    prefix = "reg_img" if cropped else "img"
    found = annotated_clips(_rows(table), places, table=table.name, prefix=prefix, frame_rate=FRAME_RATE)
    clips, notes = without(found, leave_out)
    return to_clipset(
        clips,
        name="casme2",
        class_names=CASME2_7,
        size=size,
        n_frames=n_frames,
        sampling=sampling,
        crop_face=not cropped,
        strict=strict,
        notes=notes,
        origin={"folder": path.name, "annotation": table.name, "form": "cropped" if cropped else "raw"},
    )


def holds_casme2(folder: Path) -> bool:
    """Return whether a folder has CASME II's subjects in it."""
    return bool(_subjects(folder))


def casme2_annotation(path: Path) -> Path:
    """Return the annotation that goes with the folder of CASME II's subjects, in it or beside it."""
    return annotation_file(path, ANNOTATION)


def _subjects(path: Path) -> list[Path]:
    return [folder for folder in folders(path) if re.fullmatch("sub[0-9]+", folder.name)]


def _rows(table: Path) -> Iterator[Annotation]:
    for number, row in read_sheet(table, columns=COLUMNS):
        subject, name, onset, apex, offset, emotion = row.values()
        if name:
            subject = f"sub{subject.zfill(2)}"
            place = f"{subject}/{name}"
            yield Annotation(number, place, place, subject, canonical(emotion), onset, apex, offset)
