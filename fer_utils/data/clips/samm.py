"""SAMM: spontaneous micro-expressions at 200 frames per second, with action units.

Source: A. K. Davison, C. Lansley, N. Costen, K. Tan, M. H. Yap, *SAMM: a spontaneous micro-facial movement
dataset*, IEEE Transactions on Affective Computing 9(1), 2018.
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
SAMM8 = ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise", "other")
ANNOTATION = "SAMM_.*FACS_Codes.*[.]xlsx"
COLUMNS = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Estimated Emotion")


def read_samm(
    path: str | Path,
    *,
    leave_out: Sequence[str] = (),
    crop_face: bool = True,
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    strict: bool = False,
) -> ClipSet:
    """Read SAMM.

    Parameters
    ----------
    path : path
        The folder of `006/006_1_2/006_05562.jpg` and so on, with `SAMM_Micro_FACS_Codes_v2.xlsx` in it or
        beside it.
    leave_out : sequence of str
        Ids of clips not to read.
    crop_face : bool
        Whether the frames show more than the face, as those that are distributed do.
    size, n_frames, sampling, strict
        As in `to_clipset`.

    Returns
    -------
    ClipSet
        Subjects as SAMM writes them, such as `006`; classes `SAMM8` from the column "Estimated Emotion".

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
    table = samm_annotation(path)
    places = {folder.name: folder for subject in _subjects(path) for folder in folders(subject)}
    found = annotated_clips(_rows(table), places, table=table.name, prefix="[0-9]+_", frame_rate=FRAME_RATE)
    clips, notes = without(found, leave_out)
    return to_clipset(
        clips,
        name="samm",
        class_names=SAMM8,
        size=size,
        n_frames=n_frames,
        sampling=sampling,
        crop_face=crop_face,
        strict=strict,
        notes=notes,
        origin={"folder": path.name, "annotation": table.name},
    )


def holds_samm(folder: Path) -> bool:
    """Return whether a folder has SAMM's subjects in it."""
    return bool(_subjects(folder))


def samm_annotation(path: Path) -> Path:
    """Return the annotation that goes with the folder of SAMM's subjects, in it or beside it."""
    return annotation_file(path, ANNOTATION)


def _subjects(path: Path) -> list[Path]:
    return [folder for folder in folders(path) if re.fullmatch("[0-9]{3}", folder.name)]


def _rows(table: Path) -> Iterator[Annotation]:
    # The header is below 13 rows of explanations.
    for number, row in read_sheet(table, columns=COLUMNS, sheet="MICRO_ONLY"):
        subject, name, onset, apex, offset, emotion = row.values()
        if name:
            yield Annotation(number, name, name, subject.zfill(3), canonical(emotion), onset, apex, offset)
