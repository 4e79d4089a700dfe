"""FER-2013 in the forms people have it: the challenge's table, the Kaggle folder, that folder's zip."""

import re
import zipfile
from codecs import BOM_UTF8
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_utils.data.folders import Face, ImageFolder
from fer_utils.data.images import scaled
from fer_utils.data.raw_files import BadRows, OnBadRows, printable
from fer_utils.data.samples import FaceSet
from fer_utils.labels import FER7

SIZE = 48  # height and width of FER-2013's images, in pixels
USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}  # of the Kaggle layout
COLUMNS = ("emotion", "pixels", "Usage")
POOLED = (
    "not all files of test/ carry their official names (PublicTest_*, PrivateTest_*): which of them are "
    "PrivateTest cannot be known, so they are one pooled test set and nothing here is called PrivateTest"
)
MAX_HEADER = 4096  # bytes. A file without line ends would otherwise be read whole for its header


class Fer2013(ImageFolder):
    """FER-2013; in a folder only the official file names tell the two test sets apart."""

    form = "kaggle folder"
    image = re.compile(f"({'|'.join(USAGE)})_[0-9]+")  # an official name, without its suffix
    layout = f"train/<class>/<file> or test/<class>/<file> ({', '.join(FER7)})"

    def holds(self, path: Path) -> bool:
        """Return whether a folder has the name or the layout of FER-2013."""
        return path.is_dir() and (path.name == "fer2013" or (path / "train" / "happy").is_dir())

    def read(self, path: Path, *, image_size: int = SIZE, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read a table, or a folder of `train/<class>/` and `test/<class>/`, or its zip.

        Where file names do not tell the test sets apart, they are one `pooled_test`.
        """
        if path.is_file() and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            return scaled(self._read_table(path, on_bad_rows), image_size=image_size)
        faces = super().read(path, image_size=SIZE, on_bad_rows=on_bad_rows)
        if "pooled_test" in faces.split:
            split = np.where(faces.split == "train", "train", "pooled_test")
            faces = replace(faces, split=split, notes=(POOLED, *faces.notes))
        return scaled(faces, image_size=image_size)

    def _read_table(self, path: Path, on_bad_rows: OnBadRows) -> FaceSet:
        bad, kept, images = BadRows(path, on_bad_rows, unit="rows"), [], []
        with open(path, "rb", buffering=2**18) as file:
            names = [_text(cell) for cell in file.readline(MAX_HEADER).removeprefix(BOM_UTF8).split(b",")]
            if not {*COLUMNS} <= {*names} or len({*names}) < len(names):
                found = printable(", ".join(name[:20] for name in names[:5])) or "missing"
                needed = f"{', '.join(COLUMNS)} are needed, each once, in plain text; unpack a packed table"
                raise ValueError(f"{path}, line 1: the columns are {found}; {needed}")
            for number, line in enumerate(file, start=2):
                with bad.at(f"line {number}"):
                    label, usage, image = _row(line, names)
                    kept.append(Face(f"{usage}_row{number:05d}", FER7[label], split=USAGE[usage]))
                    images.append(image)
        return self._face_set(kept, images, bad, form="csv")

    def _describe(self, name: str, known: None) -> Face:
        *_, folder, class_name, file = ("", "", *name.split("/"))
        if folder not in FOLDERS or class_name not in FER7:
            raise ValueError(f"not {self.layout}")
        stem = Path(file).stem
        official = self.image.fullmatch(stem)
        usage = official[1] if official else "Training" if folder == "train" else ""
        if usage and usage not in FOLDERS[folder]:
            raise ValueError(f"folder says {folder}, file name says {usage}; move or rename it")
        # The numbers alone repeat between classes.
        return Face(f"{folder}/{class_name}/{stem}", class_name, split=USAGE.get(usage, "pooled_test"))


def _row(line: bytes, names: list[str]) -> tuple[int, str, np.ndarray]:
    cells = line.split(b",")
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} fields instead of {len(names)}")
    label, pixels, usage = (_text(cells[names.index(name)]) for name in COLUMNS)
    if label not in map(str, range(len(FER7))):
        raise ValueError(f"emotion is {label[:20]!r}, not 0-{len(FER7) - 1}")
    if usage not in USAGE:
        raise ValueError(f"Usage is {usage[:20]!r}, not one of {', '.join(USAGE)}")
    return int(label), usage, _image(pixels)


def _text(cell: bytes) -> str:
    return cell.strip().removeprefix(b'"').removesuffix(b'"').decode("utf-8", "backslashreplace")


def _image(text: str) -> np.ndarray:
    """Parse 2,304 space-separated whole numbers from 0 to 255; the error names the first bad one."""
    try:
        # Into int64, where large numbers saturate; into uint8, 300 would become 44.
        values = np.fromstring(text, dtype=np.int64, sep=" ")
    except ValueError:
        values = np.empty(0)
    if len(values) == SIZE**2 and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8).reshape(SIZE, SIZE)
    tokens = text.split()
    for column, token in enumerate(tokens, start=1):
        if not re.fullmatch("[0-9]+", token) or int(token) > 255:
            raise ValueError(f"pixel {column} is {token[:20]!r}, not a whole number from 0 to 255")
    raise ValueError(f"{len(tokens)} pixel values instead of {SIZE**2}")
