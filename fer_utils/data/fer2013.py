"""FER-2013 in the forms people have it: the challenge's table, the Kaggle folder, that folder's zip."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from fer_utils.data.folders import Face, ImageFolder
from fer_utils.data.forms import MAX_HEADER, csv_format, printable, unread
from fer_utils.data.images import squared
from fer_utils.data.raw_files import BadRows, OnBadRows
from fer_utils.data.samples import FaceSet
from fer_utils.labels import FER7, agree, name_key

SIZE = 48  # height and width of FER-2013's images, in pixels
USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}  # of the Kaggle layout
COLUMNS = ("emotion", "pixels", "usage")


class Fer2013(ImageFolder):
    """FER-2013; in a folder only the official file names tell the two test sets apart."""

    def holds(self, path: Path) -> bool:
        """Return whether it is a file, or a folder with the name or the layout of FER-2013."""
        return path.is_file() or (path.name == "fer2013" and path.is_dir()) or (path / "train/happy").is_dir()

    def read(self, path: Path, *, image_size: int = SIZE, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read a table, or a folder of `train/<class>/` and `test/<class>/`, or its zip."""
        if path.is_file() and path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
            faces = self._read_table(path, on_bad_rows, image_size)
        else:
            faces = super().read(path, image_size=image_size, on_bad_rows=on_bad_rows)
        if "pooled_test" in faces.split:  # file names do not tell the test sets apart
            split = np.where(faces.split == "train", "train", "pooled_test")
            faces = replace(faces, split=split, notes=(self.pooled, *faces.notes))
        return faces

    def _read_table(self, path: Path, on_bad_rows: OnBadRows, image_size: int) -> FaceSet:
        bad, kept, images = BadRows(path, on_bad_rows, unit="rows"), [], []
        sep, encoding = csv_format(path).values()
        with open(path, encoding=encoding, errors="backslashreplace") as file:
            header = _cells(file.readline(MAX_HEADER), sep)
            names = [name_key(cell) for cell in header]
            if not {*COLUMNS} <= {*names} or len({*names}) < len(names):
                columns = printable(", ".join(name[:20] for name in header[:5])) or "missing"
                found = unread(path) or f"the columns are {columns}"
                needed = "emotion, pixels, Usage are needed, each once, in a CSV file; or the Kaggle folder"
                raise ValueError(f"{path}, line 1: {found}; {needed}")
            for number, line in enumerate(file, start=2):
                with bad.at(f"line {number}"):
                    label, usage, image = _row(_cells(line, sep), names)
                    kept.append(Face(f"{usage}_row{number:05d}", FER7[label], split=USAGE[usage]))
                    images.append(np.asarray(squared(Image.fromarray(image), image_size)))
        scaled = f"all images were scaled from 48x48 to {image_size}x{image_size} pixels"
        return self._face_set(kept, images, bad, form="csv", notes=[scaled] if image_size != SIZE else [])

    def _describe(self, name: str, known: None) -> Face:
        *_, folder, class_name, file = ("", "", *name.split("/"))
        if folder not in FOLDERS or class_name not in FER7:
            raise ValueError(f"not {self.layout}")
        stem = Path(file).stem
        official = re.fullmatch(self.image, stem)
        usage = official[1] if official else "Training" if folder == "train" else ""
        if usage and usage not in FOLDERS[folder]:
            agree({"folder": folder, "file name": usage})
        # The numbers alone repeat between classes.
        return Face(f"{folder}/{class_name}/{stem}", class_name, split=USAGE.get(usage, "pooled_test"))


def _cells(line: str, sep: str) -> list[str]:
    return [cell.strip().removeprefix('"').removesuffix('"') for cell in line.split(sep)]


def _row(cells: list[str], names: list[str]) -> tuple[int, str, np.ndarray]:
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} fields instead of {len(names)}")
    label, pixels, usage = (cells[names.index(name)] for name in COLUMNS)
    if label not in map(str, range(len(FER7))):
        raise ValueError(f"emotion is {label[:20]!r}, not 0-{len(FER7) - 1}")
    if usage not in USAGE:
        raise ValueError(f"Usage is {usage[:20]!r}, not one of {', '.join(USAGE)}")
    return int(label), usage, _image(pixels)


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
