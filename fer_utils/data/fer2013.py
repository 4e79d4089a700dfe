"""FER-2013 in the forms people have it: `fer2013.csv`, the Kaggle folder, that folder's zip.

Source: I. J. Goodfellow et al., *Challenges in representation learning: a report on three machine learning
contests*, ICONIP 2013. 35,887 crops of 48x48 pixels; 28,709 Training, 3,589 PublicTest, 3,589 PrivateTest.
"""

import io
import re
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_utils.data.faceset import FaceSet
from fer_utils.labels import FER7

SIZE = 48
USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The official split: chosen on PublicTest, reported once on PrivateTest."""

COLUMNS = ("emotion", "pixels", "Usage")
FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}
"""The folders of the Kaggle layout and the official names that belong in each."""

OFFICIAL_NAME = re.compile(f"({'|'.join(USAGE)})_[0-9]+")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
POOLED = (
    "not all files of test/ carry their official names (PublicTest_*, PrivateTest_*): which of them are "
    "PrivateTest cannot be known, so they are one pooled test set and nothing here is called PrivateTest"
)

ROWS_AT_A_TIME = 16
"""So few that the arrays of `parse_pixels` stay in cache and in memory that the process keeps: at 64 it takes
twice the time, most of it in the operating system, which hands out and takes back large arrays by pages."""

_LABELS = {str(index).encode(): index for index in range(len(FER7))}
_USAGES = {name.encode(): name for name in USAGE}
_PIXELS = SIZE * SIZE
_SHORTEST_ROW = 2 * _PIXELS
"""Bytes: a digit and a separator for every pixel."""


def read_fer2013(path: str | Path) -> FaceSet:
    """Read FER-2013 from a CSV file, a folder or a zip of that folder.

    Parameters
    ----------
    path : path
        `fer2013.csv` (columns `emotion,pixels,Usage` in any order), a folder with `train/` and `test/`,
        or its `.zip`. The two may lie below another folder; hidden and system files are passed over.

    Returns
    -------
    FaceSet
        Classes in the order of `FER7`; split from `Usage` or from the file names. Where not all files
        of `test/` carry their official names, they are one `pooled_test` and a note says so.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    ValueError
        For content that is not FER-2013, naming file and line or entry.
    """
    path = Path(path)
    if path.is_dir():
        return _read_pictures(path, _folder_pictures(path))
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; data/README.md says where FER-2013 comes from")
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    if zipfile.is_zipfile(path):
        return _read_pictures(path, _zip_pictures(path))
    raise ValueError(f"{path}: neither a .csv file, a folder nor a whole .zip archive")


def parse_pixels(fields: Sequence[bytes], *, first_row: int, path: Path) -> np.ndarray:
    """Parse rows of space-separated pixel values, strictly.

    Parameters
    ----------
    fields : sequence of bytes, at least one
        For each row 2,304 whole numbers in 0-255 of at most three digits, separated by single spaces.
    first_row, path : int, Path
        Line number of the first field and the file, for messages.

    Returns
    -------
    ndarray of uint8, shape (len(fields), 48, 48)

    Raises
    ------
    ValueError
        Naming the first bad row and what is wrong in it. (`np.fromstring` would turn 300 into 44.)
    """
    values = _parse_digits(fields)
    if values is None:
        for row, field in enumerate(fields, start=first_row):
            if problem := _row_problem(field):
                raise ValueError(f"{path}, line {row}: {problem}")
    return values.reshape(-1, SIZE, SIZE)


def _parse_digits(fields: Sequence[bytes]) -> np.ndarray | None:
    # All numbers of a block at once, each read backwards from the space that ends it: ones, tens, hundreds.
    # None when anything is not as it should be; which row and why is looked for afterwards.
    # Three spaces before the first number are room for looking back from it.
    text = np.frombuffer(b"   " + b" ".join((*fields, b"")), dtype=np.uint8)
    ends = np.flatnonzero(text[3:] == ord(" "))
    row_ends = np.cumsum([len(field) + 1 for field in fields]) - 1
    if not np.array_equal(ends[_PIXELS - 1 :: _PIXELS], row_ends):
        return None
    digit = text - np.uint8(ord("0"))  # wraps: whatever is not a digit becomes > 9
    ones, tens, hundreds = digit[2:][ends], digit[1:][ends], digit[ends]
    has_tens = tens <= 9
    has_hundreds = has_tens & (hundreds <= 9)
    # Every character must be a space or one of the digits found, which rules out a fourth digit as well.
    found = len(ends) + np.count_nonzero(has_tens) + np.count_nonzero(has_hundreds)
    if ones.max() > 9 or not found == np.count_nonzero(digit <= 9) == len(text) - 3 - len(ends):
        return None
    values = ones + np.uint8(10) * tens * has_tens + np.uint16(100) * (hundreds * has_hundreds)
    return values.astype(np.uint8) if values.max() <= 255 else None


def _row_problem(field: bytes) -> str | None:
    tokens = field.split(b" ")
    for column, token in enumerate(tokens, start=1):
        if not token.isdigit() or len(token) > 3 or int(token) > 255:
            return f"pixel {column} is {_shown(token)}, not a whole number from 0 to 255"
    return None if len(tokens) == _PIXELS else f"{len(tokens)} pixel values instead of {_PIXELS}"


def _read_csv(path: Path) -> FaceSet:
    labels: list[int] = []
    usages: list[str] = []
    # Room for the most rows that the file can hold; memory is only taken where rows are written.
    images = np.empty((path.stat().st_size // _SHORTEST_ROW, SIZE, SIZE), dtype=np.uint8)
    with open(path, "rb", buffering=2**18) as file:
        columns = _csv_columns(path, file.readline())
        while lines := list(islice(file, ROWS_AT_A_TIME)):
            done, fields = len(labels), []
            for row, line in enumerate(lines, start=done + 2):
                label, usage, pixels = _csv_row(path, row, line, columns)
                labels.append(label)
                usages.append(usage)
                fields.append(pixels)
            images[done : len(labels)] = parse_pixels(fields, first_row=done + 2, path=path)
    if not labels:
        raise ValueError(f"{path}: a header and no rows")
    images.resize((len(labels), SIZE, SIZE), refcheck=False)
    split = np.array([USAGE[usage] for usage in usages])
    ids = np.array([f"{usage}_row{row:05d}" for row, usage in enumerate(usages, start=2)])
    return FaceSet("fer2013", "real", images, np.array(labels, dtype=np.int64), FER7, split, ids)


def _csv_columns(path: Path, header: bytes) -> dict[str, int]:
    if not header:
        raise ValueError(f"{path}: an empty file")
    names = [_unquoted(name).decode("utf-8", "replace") for name in header.removeprefix(BOM_UTF8).split(b",")]
    shown = ", ".join(name[:20] for name in names[:5])
    if missing := [name for name in COLUMNS if name not in names]:
        raise ValueError(f"{path}, line 1: no column {', '.join(missing)} in the header ({shown})")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path}, line 1: more than one column {', '.join(twice)} in the header ({shown})")
    return {name: position for position, name in enumerate(names)}


def _csv_row(path: Path, row: int, line: bytes, columns: dict[str, int]) -> tuple[int, str, bytes]:
    cells = line.split(b",")
    if len(cells) != len(columns):
        raise ValueError(f"{path}, line {row}: {len(cells)} fields instead of {len(columns)}")
    label = _unquoted(cells[columns["emotion"]])
    usage = _unquoted(cells[columns["Usage"]])
    if label not in _LABELS:
        raise ValueError(f"{path}, line {row}: emotion is {_shown(label)}, not 0-{len(FER7) - 1}")
    if usage not in _USAGES:
        raise ValueError(f"{path}, line {row}: Usage is {_shown(usage)}, not one of {', '.join(USAGE)}")
    return _LABELS[label], _USAGES[usage], _unquoted(cells[columns["pixels"]])


def _unquoted(cell: bytes) -> bytes:
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell


def _shown(cell: bytes) -> str:
    return repr(cell[:20].decode("utf-8", "backslashreplace"))


class _Place(NamedTuple):
    root: tuple[str, ...]
    folder: str
    class_name: str
    stem: str

    @property
    def sample_id(self) -> str:
        # With its folders, because the numbers alone repeat between classes.
        return f"{self.folder}/{self.class_name}/{self.stem}"


def _folder_pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(filter(_is_picture, files)):
        yield name, files[name].read_bytes()


def _zip_pictures(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.startswith("/") or ".." in PurePosixPath(name).parts:
                    raise zipfile.BadZipFile(f"{name} points out of the archive; this is no honest copy")
                if _is_picture(name):
                    yield name, _unpacked(archive, name)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: {error}") from error


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise zipfile.BadZipFile(f"{name} cannot be unpacked ({error})") from error


def _is_picture(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and name.lower().endswith(IMAGE_SUFFIXES)


def _read_pictures(path: Path, pictures: Iterator[tuple[str, bytes]]) -> FaceSet:
    names: dict[_Place, str] = {}
    images = []
    for name, content in pictures:
        place = _picture_place(path, name)
        if place in names:
            raise ValueError(f"{path}: {names[place]} and {name} are two pictures of one name")
        names[place] = name
        images.append(_decode(path, name, content))
    if not images:
        raise ValueError(f"{path}: no pictures below train/<class>/ or test/<class>/ ({', '.join(FER7)})")
    if len(roots := {"/".join(place.root) for place in names}) > 1:
        raise ValueError(f"{path}: more than one copy, in {', '.join(sorted(roots))}; give the path of one")
    split = _splits(path, names)
    return FaceSet(
        name="fer2013",
        source="real",
        images=np.stack(images),
        labels=np.array([FER7.index(place.class_name) for place in names], dtype=np.int64),
        class_names=FER7,
        split=np.array(split),
        sample_id=np.array([place.sample_id for place in names]),
        notes=(POOLED,) if "pooled_test" in split else (),
    )


def _splits(path: Path, names: dict[_Place, str]) -> list[str]:
    usages = [_usage(path, place, name) for place, name in names.items()]
    if None in usages:  # a single file without its name could belong to either, so that neither is whole
        return ["train" if usage == "Training" else "pooled_test" for usage in usages]
    return [USAGE[usage] for usage in usages]


def _usage(path: Path, place: _Place, name: str) -> str | None:
    possible = FOLDERS[place.folder]
    official = OFFICIAL_NAME.fullmatch(place.stem)
    if official and official[1] not in possible:
        raise ValueError(f"{path}: {name} lies in {place.folder}/ but is named {official[1]}: which is it?")
    if official:
        return official[1]
    return possible[0] if len(possible) == 1 else None


def _picture_place(path: Path, name: str) -> _Place:
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or parts[-3] not in FOLDERS or parts[-2] not in FER7:
        raise ValueError(f"{path}: {name} is not train/<class>/<file> or test/<class>/<file>")
    return _Place(parts[:-3], parts[-3], parts[-2], PurePosixPath(name).stem)


def _decode(path: Path, name: str, content: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.size != (SIZE, SIZE) or picture.mode != "L":
                size = "x".join(map(str, picture.size))
                raise ValueError(
                    f"{size} pixels of mode {picture.mode}; FER-2013 has 48x48 of mode L (8-bit gray)"
                )
            return np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}, {name}: not a picture of FER-2013: {error}") from error
