"""CASME II: spontaneous micro-expressions at 200 frames per second.

Source: W.-J. Yan, X. Li, S.-J. Wang, G. Zhao, Y.-J. Liu, Y.-H. Chen, X. Fu, *CASME II: an improved
spontaneous micro-expression database and the baseline evaluation*, PLoS ONE 9(1): e86041, 2014.
"""

from collections.abc import Iterator
from pathlib import Path

from fer_utils.data.clips.annotation import Annotation, annotated_clips, annotation_file
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.frames import folders
from fer_utils.data.clips.reading import Sampling, to_clipset
from fer_utils.data.clips.sheet import read_sheet
from fer_utils.labels import canonical

FRAME_RATE = 200.0
CASME2_7 = ("disgust", "fear", "happy", "repression", "sad", "surprise", "others")
COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion")


def read_casme2(
    path: str | Path,
    *,
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
        For an annotation that cannot be read, and what `to_clipset` raises.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder")
    table = annotation_file(path, "CASME2-coding.*[.]xlsx")
    subjects = (folder for folder in folders(path) if folder.name.startswith("sub"))
    places = {f"{subject.name}/{folder.name}": folder for subject in subjects for folder in folders(subject)}
    cropped = any(path.glob("sub*/*/reg_img*"))
    prefix = "reg_img" if cropped else "img"
    return to_clipset(
        annotated_clips(_rows(table), places, table=table.name, prefix=prefix, frame_rate=FRAME_RATE),
        name="casme2",
        class_names=CASME2_7,
        size=size,
        n_frames=n_frames,
        sampling=sampling,
        crop_face=not cropped,
        strict=strict,
        origin={"folder": path.name, "annotation": table.name, "form": "cropped" if cropped else "raw"},
    )


def _rows(table: Path) -> Iterator[Annotation]:
    for number, row in read_sheet(table, columns=COLUMNS):
        subject, name, onset, apex, offset, emotion = row.values()
        if name:
            subject = f"sub{subject.zfill(2)}"
            place = f"{subject}/{name}"
            yield Annotation(number, place, place, subject, canonical(emotion), onset, apex, offset)
