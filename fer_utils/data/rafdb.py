"""RAF-DB's single-label part: the authors' folder `basic`, or the folder that Kaggle has.

Source: S. Li, W. Deng, J. Du, *Reliable crowdsourcing and deep locality-preserving learning for expression
recognition in the wild*, CVPR 2017. 15,339 aligned faces, 100x100 pixels; 12,271 to train, 3,068 to test.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fer_utils.data.bad_rows import BadRows, OnBadRows, printable
from fer_utils.data.faceset import FaceSet
from fer_utils.data.named import Shown, named_faces
from fer_utils.data.pictures import Pictures, open_pictures
from fer_utils.labels import FER7, RAFDB7

LIST = "EmoLabel/list_patition_label.txt"
"""The authors' list, as they spell it; its lines are like `train_00001.jpg 5`."""

ALIGNED = ("Image/aligned", "Image/aligned.zip")
"""Where the aligned faces of that list are, unpacked or as distributed."""

TABLES = {"train": "train_labels.csv", "test": "test_labels.csv"}
"""Kaggle's lists, with columns `image,label`; they lie beside `train/` and `test/` or beside their folder."""

LABELS = {str(label): name for label, name in enumerate(RAFDB7, start=1)}
NAME = re.compile(r"((train|test)_[0-9]+)(?:_aligned)?\.(?:jpg|jpeg|png)")
"""Id and split in the name of a picture; the lists leave `_aligned` out or not."""

LAYOUT = "train_<number>_aligned.jpg or test_<number>_aligned.jpg"
FOLDERS = "train/<1 to 7>/<picture> or test/<1 to 7>/<picture>"


def read_rafdb(path: str | Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
    """Read RAF-DB's aligned faces.

    Parameters
    ----------
    path : path
        The folder of `EmoLabel/` and `Image/` ("basic"); or that of `train/1/` ... `test/7/`, or its zip.
        Of a zip the tables are not read.
    image_size : int, 8 to 1024
        Height and width of the images, in pixels; `PictureDecoder` says how pictures are converted to it.
    on_bad_rows : {"error", "drop"}
        What a row or picture that cannot be used does: stop the reading, or be left out and listed.

    Returns
    -------
    FaceSet
        Classes in the order of `FER7`; split "train" or "test", there is no validation part; subjects are
        not known. A note says where the labels are those of the folders because there are no tables.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    ConfigError
        For an image size or a policy that is not accepted.
    ValueError
        For a list without its pictures or one table without the other, a table without the columns, no
        pictures, a damaged zip; under "error" for a line that is not understood or names a picture a second
        time or one that is not there, and for a picture that no list names, that lies in another folder than
        its name or label says, or that does not decode. Rows are named with file and line.
    """
    path = Path(path)
    source, tables = rafdb_files(path)
    bad = BadRows(path, on_bad_rows, unit="pictures")
    original = (path / LIST).is_file()
    with open_pictures(source, bad) as pictures:
        rows = _rows(tables, bad) if tables else None
        _check_there(rows or {}, pictures, bad)
        faces = named_faces(
            pictures,
            bad,
            shown=partial(_of_list if original else _of_folders, rows=rows),
            name="rafdb",
            class_names=FER7,
            image_size=image_size,
            layout=LAYOUT if original else FOLDERS,
            notes=lambda _: () if tables else (f"no {' and '.join(TABLES.values())}: labels by the folders",),
        )
    return replace(faces, origin={"form": "original" if original else "kaggle"})


def holds_rafdb(path: Path) -> bool:
    """Return whether a folder is one of the two forms of RAF-DB."""
    classes = ([path / split / label for label in LABELS] for split in TABLES)
    return (path / LIST).is_file() or all(any(folder.is_dir() for folder in part) for part in classes)


def rafdb_files(path: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return where the pictures of a copy are, and its lists of labels, which may lie elsewhere.

    Raises
    ------
    ValueError
        For a list without its pictures, and for one table without the other.
    """
    if (path / LIST).is_file():
        for place in ALIGNED:
            if (path / place).exists():
                return path / place, (path / LIST,)
        raise ValueError(f"{path}: holds {LIST} but neither {' nor '.join(ALIGNED)}")
    folders = (path, path.parent) if path.is_dir() else ()
    for folder in folders:
        tables = [folder / name for name in TABLES.values() if (folder / name).is_file()]
        if len(tables) == 1:
            raise ValueError(
                f"{folder}: holds {tables[0].name} without the other of {', '.join(TABLES.values())}"
            )
        if tables:
            return path, tuple(tables)
    return path, ()


class _Row(NamedTuple):
    place: str
    label: str


def _rows(tables: tuple[Path, ...], bad: BadRows) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    for table in tables:
        split = next((split for split, name in TABLES.items() if name == table.name), None)
        lines = _list_lines(table) if split is None else _table_lines(table)
        shown_as = LIST if split is None else table.name
        for number, name, label in lines:
            place = f"{shown_as}, line {number}"
            with bad.at(place):
                known = NAME.fullmatch(name)
                if not known or split not in (None, known[2]):
                    raise ValueError(f"{name!r} is no picture of {split or 'train or test'}")
                if known[1] in rows:
                    raise ValueError(f"{name} a second time; it was in {rows[known[1]].place}")
                rows[known[1]] = _Row(place, label)
    return rows


def _list_lines(file: Path) -> Iterator[tuple[int, str, str]]:
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        if fields := line.split():
            yield number, fields[0], " ".join(fields[1:])


def _table_lines(file: Path) -> Iterator[tuple[int, str, str]]:
    with open(file, encoding="utf-8-sig", errors="replace", newline="") as opened:
        lines = csv.reader(opened)
        try:
            header = [cell.strip() for cell in next(lines, [])]
            if {"image", "label"} - {*header}:
                found = printable(", ".join(header))
                raise ValueError(f"{file}: has columns {found}; image and label are needed")
            for cells in lines:
                if cells:
                    row = dict(zip(header, map(str.strip, cells), strict=False))
                    yield lines.line_num, row.get("image", ""), row.get("label", "")
        except csv.Error as error:
            raise ValueError(f"{file}, line {lines.line_num}: {error}") from error


def _check_there(rows: Mapping[str, _Row], pictures: Pictures, bad: BadRows) -> None:
    known = (NAME.fullmatch(PurePosixPath(file.name).name) for file in pictures.files)
    there = {name[1] for name in known if name}
    for sample_id, row in rows.items():
        with bad.at(row.place):
            if sample_id not in there:
                raise ValueError(f"the picture of {sample_id} is not there")


def _of_list(name: str, rows: Mapping[str, _Row]) -> Shown:
    sample_id, split = _named(PurePosixPath(name).name)
    return Shown(sample_id, _class_of(sample_id, rows), split=split)


def _of_folders(name: str, rows: Mapping[str, _Row] | None) -> Shown:
    *_, folder, label, file = ("", "", *PurePosixPath(name).parts)
    if folder not in TABLES or label not in LABELS:
        raise ValueError(
            f"not {FOLDERS}; of the authors' form give the unpacked folder of EmoLabel/ and Image/"
        )
    sample_id, split = _named(file)
    if folder != split:
        raise ValueError(f"lies in {folder}/ but is named {split}: which is it?")
    class_name = LABELS[label] if rows is None else _class_of(sample_id, rows)
    if class_name != LABELS[label]:
        raise ValueError(
            f"lies in {folder}/{label}/ but {rows[sample_id].place} says {rows[sample_id].label}"
        )
    return Shown(sample_id, class_name, split=split)


def _named(file: str) -> tuple[str, str]:
    if not (known := NAME.fullmatch(file)):
        raise ValueError(f"not {LAYOUT}")
    return known[1], known[2]


def _class_of(sample_id: str, rows: Mapping[str, _Row]) -> str:
    if sample_id not in rows:
        raise ValueError("no list of labels names this picture")
    place, label = rows[sample_id]
    if label not in LABELS:
        raise ValueError(f"{place}: label {label!r}; they are {', '.join(LABELS)}")
    return LABELS[label]
