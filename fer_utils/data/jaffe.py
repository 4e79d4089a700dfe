"""JAFFE: 213 posed expressions of ten Japanese women.

Source: M. Lyons, S. Akamatsu, M. Kamachi, J. Gyoba, *Coding facial expressions with Gabor wavelets*, Third
IEEE International Conference on Automatic Face and Gesture Recognition (FG 1998), 200-205.
"""

import re
from pathlib import Path, PurePosixPath

from fer_utils.data.bad_rows import OnBadRows
from fer_utils.data.faceset import FaceSet
from fer_utils.data.named import Shown, read_named
from fer_utils.labels import FER7, canonical

CODES = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
"""What the names say -> class."""

PICTURE = re.compile(rf"(([A-Z]{{2}})\.({'|'.join(CODES)})[0-9]+\.[0-9]+)\..+")
"""Id, person and expression; converted copies have other suffixes than `.tiff`."""

LAYOUT = "<person>.<expression><take>.<number>.tiff, such as KA.AN1.39.tiff"


def read_jaffe(path: str | Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
    """Read JAFFE from its folder or a zip of it.

    Parameters
    ----------
    path : path
        The folder of the pictures (`KA.AN1.39.tiff`), or a `.zip`; they may lie in folders below it.
    image_size : int, 8 to 1024
        Height and width of the images, in pixels; `PictureDecoder` says how pictures are converted to it. The
        whole picture is taken, with hair and background.
    on_bad_rows : {"error", "drop"}
        What a picture that cannot be used does: stop the reading, or be left out and listed.

    Returns
    -------
    FaceSet
        Classes in the order of `FER7`; every split is `unassigned` and every subject known, so that
        `official_split` splits by person.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    ConfigError
        For an image size or a policy that is not accepted.
    ValueError
        For no pictures or a damaged zip; under "error" for a picture of another name, in the folder of
        another class than its name says, twice there, or that does not decode.
    """
    return read_named(
        path,
        on_bad_rows=on_bad_rows,
        shown=_shown,
        name="jaffe",
        class_names=FER7,
        image_size=image_size,
        layout=LAYOUT,
    )


def holds_jaffe(path: Path) -> bool:
    """Return whether a folder has JAFFE's pictures in it, or in folders named by class."""
    classes = [folder for folder in path.glob("*") if canonical(folder.name) in FER7]
    return any(PICTURE.fullmatch(file.name) for folder in (path, *classes) for file in folder.glob("*"))


def _shown(name: str) -> Shown:
    file = PurePosixPath(name)
    known = PICTURE.fullmatch(file.name)
    if not known:
        raise ValueError(f"not {LAYOUT}; the expressions are {', '.join(CODES)}")
    sample_id, subject, code = known.groups()
    folder = canonical(file.parent.name)
    if folder in FER7 and folder != CODES[code]:
        raise ValueError(f"lies in {file.parent.name}/ but is named {code}: which is it?")
    return Shown(sample_id, CODES[code], subject=subject)
