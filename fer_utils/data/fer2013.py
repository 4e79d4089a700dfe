"""FER-2013 in the forms people have it: the challenge's tables, the Kaggle folder, that folder's zip.

35,887 crops of 48x48 pixels; 28,709 Training, 3,589 PublicTest, 3,589 PrivateTest.

The tables are told apart by their header:

========================  ==========================  ==============================================
file                      columns                     split
========================  ==========================  ==============================================
`fer2013.csv`             emotion, pixels, Usage      from `Usage`
`icml_face_data.csv`      emotion, Usage, pixels      the same
`train.csv`               emotion, pixels             all `train`
`test.csv`                pixels                      `pooled_test`, without classes
========================  ==========================  ==============================================
"""

import re
import zipfile
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_utils.data.datasets import FaceData
from fer_utils.data.folders import Face, ImageFolder
from fer_utils.data.images import scaled
from fer_utils.data.raw_files import BadRows, OnBadRows, printable
from fer_utils.data.samples import UNLABELLED, FaceSet
from fer_utils.labels import FER7

SIZE = 48  # height and width of FER-2013's images, in pixels

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}

FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}
"""The folders of the Kaggle layout and the official names that belong in each."""

TABLES = (("fer2013.csv",), ("icml_face_data.csv",), ("train.csv", "test.csv"))
"""What a folder of the challenge may hold; the first of these is read."""

COLUMNS = ("emotion", "pixels", "Usage")
NO_LABELS = (
    "the images of pooled_test have no labels, and which of them are PublicTest and which PrivateTest is "
    "unknown: this is the challenge's test.csv, and nothing can be scored on it"
)
POOLED = (
    "not all files of test/ carry their official names (PublicTest_*, PrivateTest_*): which of them are "
    "PrivateTest cannot be known, so they are one pooled test set and nothing here is called PrivateTest"
)
MAX_HEADER = 4096  # bytes. A file without line ends would otherwise be read whole for its header

LABELS = {str(label) for label in range(len(FER7))}
_OFFICIAL_NAME = re.compile(f"({'|'.join(USAGE)})_[0-9]+")
_PIXELS = SIZE * SIZE


class Fer2013(FaceData):
    """FER-2013, at 48 pixels or scaled from there."""

    name = "fer2013"

    def find(self, folder: Path) -> Path:
        """Return the table, zip or folder of FER-2013 in a folder, or that folder itself."""
        both = all((folder / name).is_file() for name in TABLES[-1])
        numbered = any(path.name.isdigit() for path in (folder / "train").glob("*"))  # RAF-DB
        images = (folder / "train").is_dir() and not numbered
        return folder if both or images else super().find(folder)

    def holds(self, path: Path) -> bool:
        """Return whether there is a folder of that name; what is in it, the reader finds out."""
        return path.is_dir() and path.name == "fer2013"

    def read(self, path: Path, *, image_size: int = SIZE, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read a table, a folder of tables, a folder of `train/<class>/` and `test/<class>/`, or its zip.

        The split comes from `Usage` or from the file names; where the two test sets cannot be told apart,
        they are one `pooled_test`. Images are scaled from 48 pixels.
        """
        tables = []
        if not path.is_file():
            forms = ([path / name for name in form if (path / name).is_file()] for form in TABLES)
            tables = next(filter(None, forms), [])
        elif not zipfile.is_zipfile(path) and path.suffix.lower() != ".zip":
            if path.suffix.lower() in (".gz", ".tgz", ".tar", ".bz2", ".xz"):
                raise ValueError(f"{path}: holds {path.stem}; unpack it and give the path of the table")
            tables = [path]
        if tables and any((path / folder).is_dir() for folder in FOLDERS):
            both = f"{tables[0].name} beside a folder of images, two copies of FER-2013"
            raise ValueError(f"{path}: holds {both}; give the path of the table or move it away")
        if tables:
            faces = _read_tables(path, tables, on_bad_rows)
        else:
            faces = _KaggleFolder().read(path, on_bad_rows=on_bad_rows)
        return scaled(faces, image_size=image_size)


def _read_tables(path: Path, tables: list[Path], on_bad_rows: OnBadRows) -> FaceSet:
    # Room for the most rows that the files can hold; memory is only taken where rows are written.
    most = sum(table.stat().st_size for table in tables) // (2 * _PIXELS)
    images = np.empty((most, SIZE, SIZE), dtype=np.uint8)
    bad, rows, notes = BadRows(path, on_bad_rows, unit="rows"), [], []
    for table in tables:
        place = f"{table.name}, line" if len(tables) > 1 else "line"
        with open(table, "rb", buffering=2**18) as file:
            columns = _header(table, file.readline(MAX_HEADER))
            for number, line in enumerate(file, start=2):
                with bad.at(f"{place} {number}"):
                    label, usage, pixels = _row(line, columns)
                    images[len(rows)] = parse_pixels(pixels)
                    rows.append((label, USAGE.get(usage, "pooled_test"), f"{usage}_row{number:05d}"))
        notes += [] if "emotion" in columns else [NO_LABELS]
    notes += bad.notes(len(rows))
    if not rows:
        raise ValueError(f"{path}: a header and no rows")
    labels, split, sample_id = zip(*rows, strict=True)
    if len({*sample_id}) < len(rows):
        names = " and ".join(one.name for one in tables)
        raise ValueError(f"{path}: {names} both hold images of one split; give the path of one")
    images.resize((len(rows), SIZE, SIZE), refcheck=False)
    return FaceSet(
        name="fer2013",
        source="real",
        images=images,
        labels=np.array(labels, dtype=np.int64),
        class_names=FER7,
        split=np.array(split, dtype=str),
        sample_id=np.array(sample_id, dtype=str),
        notes=tuple(notes),
        origin={"form": "csv tables" if len(tables) > 1 else "csv"},
        dropped=tuple(bad.dropped),
    )


def _header(path: Path, line: bytes) -> dict[str, int]:
    names = [_text(cell) for cell in line.removeprefix(BOM_UTF8).split(b",")]
    shown = printable(", ".join(name[:20] for name in names[:5])) or "missing"
    if b"\0" in line or b"\r" in line.strip(b"\r\n"):
        raise ValueError(f"{path}, line 1: not plain text in UTF-8 with \\n at the end of lines ({shown})")
    # The forms with fewer columns have no others: a misspelt Usage must not make every row a training row.
    known = {*names} in ({"emotion", "pixels"}, {"pixels"}) or {*COLUMNS} <= {*names}
    if not known or len({*names}) < len(names):
        needed = f"{', '.join(COLUMNS)} are needed, each once"
        raise ValueError(f"{path}, line 1: the columns are {shown}; {needed}")
    return {name: position for position, name in enumerate(names)}


def _row(line: bytes, columns: dict[str, int]) -> tuple[int, str, bytes]:
    cells = line.split(b",")
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} fields instead of {len(columns)}")
    pixels = cells[columns["pixels"]].strip().removeprefix(b'"').removesuffix(b'"')
    if "emotion" not in columns:
        return UNLABELLED, "Test", pixels
    label = _text(cells[columns["emotion"]])
    if label not in LABELS:
        raise ValueError(f"emotion is {label[:20]!r}, not 0-{len(FER7) - 1}")
    usage = _text(cells[columns["Usage"]]) if "Usage" in columns else "Training"
    if usage not in USAGE:
        raise ValueError(f"Usage is {usage[:20]!r}, not one of {', '.join(USAGE)}")
    return int(label), usage, pixels


def _text(cell: bytes) -> str:
    return cell.strip().removeprefix(b'"').removesuffix(b'"').decode("utf-8", "backslashreplace")


def parse_pixels(text: bytes) -> np.ndarray:
    """Parse 2,304 space-separated whole numbers from 0 to 255; the error names the first bad one."""
    try:
        # Into int64, where large numbers saturate; into uint8, 300 would become 44.
        values = np.fromstring(text, dtype=np.int64, sep=" ")
    except ValueError:
        values = np.empty(0)
    if len(values) == _PIXELS and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8).reshape(SIZE, SIZE)
    tokens = text.split()
    for column, token in enumerate(tokens, start=1):
        if not token.isdigit() or int(token) > 255:
            raise ValueError(f"pixel {column} is {_text(token[:20])!r}, not a whole number from 0 to 255")
    raise ValueError(f"{len(tokens)} pixel values instead of {_PIXELS}")


class _KaggleFolder(ImageFolder):
    """`train/<class>/*` and `test/<class>/*`; only the official file names tell the two test sets apart."""

    name, form = "fer2013", "kaggle folder"
    layout = f"train/<class>/<file> or test/<class>/<file> ({', '.join(FER7)})"

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> None:
        if not names and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if tables:
                table = printable(tables[0])
                raise ValueError(f"{path}: holds {table}; unpack it and give the path of the table")
        places = [name.split("/") for name in names]
        copies = {"/".join(place[:-3]) for place in places if len(place) > 2 and place[-3] in FOLDERS}
        if len(copies) > 1:
            where = printable(", ".join(sorted(copy or "." for copy in copies)))
            raise ValueError(f"{path}: more than one copy, in {where}; give the path of one")

    def _describe(self, name: str, known: None) -> Face:
        *_, folder, class_name, file = ("", "", *name.split("/"))
        if folder not in FOLDERS or class_name not in FER7:
            raise ValueError(f"not {self.layout}")
        stem = Path(file).stem
        official = _OFFICIAL_NAME.fullmatch(stem)
        usage = official[1] if official else "Training" if folder == "train" else ""
        if usage and usage not in FOLDERS[folder]:
            raise ValueError(f"folder says {folder}, file name says {usage}; move or rename it")
        # The numbers alone repeat between classes.
        return Face(f"{folder}/{class_name}/{stem}", class_name, split=USAGE.get(usage, "pooled_test"))

    def read(self, path: Path, *, image_size: int = SIZE, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read the folder, and pool the test sets where one file could belong to either."""
        faces = super().read(path, image_size=image_size, on_bad_rows=on_bad_rows)
        if "pooled_test" not in faces.split:
            return faces
        split = np.where(faces.split == "train", "train", "pooled_test")
        return replace(faces, split=split, notes=(POOLED, *faces.notes))
