"""CK+48: the last three frames of CK+'s labelled sequences, cropped to 48x48 and sorted into folders.

Source: P. Lucey, J. F. Cohn, T. Kanade, J. Saragih, Z. Ambadar, I. Matthews, *The Extended Cohn-Kanade
Dataset (CK+): a complete dataset for action unit and emotion-specified expression*, CVPR Workshops 2010. Who
made the copy of 981 crops that is passed around is not known.
"""

import re
from pathlib import Path, PurePosixPath

from fer_utils.data.bad_rows import OnBadRows
from fer_utils.data.faceset import FaceSet
from fer_utils.data.named import Shown, read_named
from fer_utils.labels import CKPLUS7, canonical

FRAME = re.compile("((S[0-9]{3})_[0-9]{3})_[0-9]{8}")
"""Sequence and person in the name of a frame."""

LAYOUT = "<class>/S<person>_<sequence>_<frame>.png"


def read_ckplus(path: str | Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
    """Read CK+48 from its folder or a zip of it.

    Parameters
    ----------
    path : path
        The folder of the classes (`anger/S010_004_00000017.png`), or a `.zip`, or a folder around it.
    image_size : int, 8 to 1024
        Height and width of the images, in pixels; `PictureDecoder` says how pictures are converted to it.
    on_bad_rows : {"error", "drop"}
        What a picture that cannot be used does: stop the reading, or be left out and listed.

    Returns
    -------
    FaceSet
        Classes in the order of `CKPLUS7`; every split is `unassigned` and every subject known, so that
        `official_split` splits by person. A note says how many frames, sequences and people there are.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    ConfigError
        For an image size or a policy that is not accepted.
    ValueError
        For no pictures or a damaged zip; under "error" for a picture in another folder, of another name,
        twice there, or that does not decode.
    """
    return read_named(
        path,
        on_bad_rows=on_bad_rows,
        shown=_shown,
        name="ckplus",
        class_names=CKPLUS7,
        image_size=image_size,
        layout=LAYOUT,
        notes=_notes,
    )


def holds_ckplus(path: Path) -> bool:
    """Return whether a folder has CK+'s classes in it, with at least one of its pictures."""
    classes = [folder for folder in path.glob("*") if canonical(folder.name) in CKPLUS7]
    return any(FRAME.fullmatch(file.stem) for folder in classes for file in folder.glob("*"))


def _shown(name: str) -> Shown:
    file = PurePosixPath(name)
    class_name, frame = canonical(file.parent.name), FRAME.fullmatch(file.stem)
    if class_name not in CKPLUS7 or not frame:
        raise ValueError(f"not {LAYOUT} with one of the classes {', '.join(CKPLUS7)}")
    return Shown(file.stem, class_name, subject=frame[2])


def _notes(kept: list[Shown]) -> list[str]:
    sequences = {face.sample_id.rpartition("_")[0] for face in kept}
    people = {face.subject for face in kept}
    return [
        f"{len(kept)} frames of {len(sequences)} sequences of {len(people)} people; those of one sequence "
        "hardly differ, so that only a split by person is honest"
    ]
