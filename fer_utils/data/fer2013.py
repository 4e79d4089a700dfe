"""FER-2013 in the forms people have it: the challenge's tables, the Kaggle folder, that folder's zip.

Source: I. J. Goodfellow et al., *Challenges in representation learning: a report on three machine learning
contests*, ICONIP 2013. 35,887 crops of 48x48 pixels; 28,709 Training, 3,589 PublicTest, 3,589 PrivateTest.
"""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from fer_utils.data.bad_rows import BadRows, OnBadRows, printable
from fer_utils.data.decoding import PictureDecoder
from fer_utils.data.faceset import FaceSet
from fer_utils.data.fer2013_csv import SIZE, USAGE, read_csv
from fer_utils.data.pictures import open_pictures
from fer_utils.labels import FER7

FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}
"""The folders of the Kaggle layout and the official names that belong in each."""

TABLES = (("fer2013.csv",), ("icml_face_data.csv",), ("train.csv", "test.csv"))
"""What a folder of the challenge may hold; the first of these is read, the whole set before its parts."""

OFFICIAL_NAME = re.compile(f"({'|'.join(USAGE)})_[0-9]+")
POOLED = (
    "not all files of test/ carry their official names (PublicTest_*, PrivateTest_*): which of them are "
    "PrivateTest cannot be known, so they are one pooled test set and nothing here is called PrivateTest"
)


def read_fer2013(path: str | Path, *, on_bad_rows: OnBadRows = "error") -> FaceSet:
    """Read FER-2013 from a table, a folder or a zip of that folder.

    Parameters
    ----------
    path : path
        A `.csv` file in one of the challenge's forms, told apart by their header (see
        `fer_utils.data.fer2013_csv`); a folder with such files; a folder with pictures in
        `train/<class>/` and `test/<class>/`, or its `.zip`. These two may lie below another folder;
        hidden and system files are passed over.
    on_bad_rows : {"error", "drop"}
        What a row or picture that cannot be used does: stop the reading, or be left out and listed.

    Returns
    -------
    FaceSet
        Classes in the order of `FER7`; split from `Usage` or from the file names. Where the two test sets
        cannot be told apart, they are one `pooled_test`; where there are no labels, they are `UNLABELLED`.
        Notes say so, and how many pictures of another size or in colour were converted
        (`PictureDecoder`) and how many rows or pictures dropped; `dropped` lists those.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    OSError
        When it may not be read.
    ValueError
        For content that is not FER-2013, naming file and line or entry: under "error" for any bad row,
        under both for what leaves the whole in doubt (columns, damaged or dishonest archives, nothing left).
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; data/README.md says where FER-2013 comes from")
    if path.suffix.lower() == ".csv" and path.is_file():
        return _read_tables(path, [path], on_bad_rows)
    if tables := _tables_in(path):
        return _read_tables(path, tables, on_bad_rows)
    return _read_pictures(path, BadRows(path, on_bad_rows, unit="pictures"))


def _tables_in(path: Path) -> list[Path]:
    tables = next(
        filter(None, ([path / name for name in form if (path / name).is_file()] for form in TABLES)), []
    )
    if tables and any((path / folder).is_dir() for folder in FOLDERS):
        raise ValueError(
            f"{path}: holds {tables[0].name} beside a folder of pictures, two copies of FER-2013; "
            f"give the path of {tables[0].name} or move it away"
        )
    return tables


def _read_tables(path: Path, tables: list[Path], on_bad_rows: OnBadRows) -> FaceSet:
    parts, dropped, notes = [], [], []
    for table in tables:
        bad = BadRows(table, on_bad_rows, unit="rows")
        part = read_csv(table, bad)
        prefix = f"{table.name}, " if len(tables) > 1 else ""
        notes += [*part.notes, *(f"{prefix}{note}" for note in bad.notes(len(part)))]
        dropped += [f"{prefix}{text}" for text in bad.dropped]
        parts.append(part)
    if len(parts) > 1 and (both := set.intersection(*(set(part.split) for part in parts))):
        names = " and ".join(table.name for table in tables)
        raise ValueError(
            f"{path}: {names} both hold images of {', '.join(sorted(both))}; give the path of one"
        )
    columns = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in ("images", "labels", "split", "sample_id", "subject")
        if len(parts) > 1
    }
    return replace(parts[0], **columns, notes=tuple(notes), dropped=tuple(dropped))


class _Place(NamedTuple):
    root: tuple[str, ...]
    folder: str
    class_name: str
    stem: str

    @property
    def sample_id(self) -> str:
        # With its folders, because the numbers alone repeat between classes.
        return f"{self.folder}/{self.class_name}/{self.stem}"


def _read_pictures(path: Path, bad: BadRows) -> FaceSet:
    decoder = PictureDecoder(SIZE)
    names: dict[_Place, str] = {}
    images = []
    with open_pictures(path, bad) as pictures:
        for name, read in pictures.files:
            with bad.at(name):
                place = _picture_place(name)
                if place in names:
                    raise ValueError(f"a second picture of this name, beside {names[place]}")
                images.append(decoder.decode(read()))
                names[place] = name
    dropped_note = bad.notes(len(names))
    if not names:
        raise ValueError(f"{path}: no pictures below train/<class>/ or test/<class>/ ({', '.join(FER7)})")
    if len(roots := {"/".join(place.root) for place in names}) > 1:
        places = printable(", ".join(sorted(roots)))
        raise ValueError(f"{path}: more than one copy, in {places}; give the path of one")
    split = _splits(names)
    pooled = (POOLED,) if "pooled_test" in split else ()
    return FaceSet(
        name="fer2013",
        source="real",
        images=np.stack(images),
        labels=np.array([FER7.index(place.class_name) for place in names], dtype=np.int64),
        class_names=FER7,
        split=np.array(split),
        sample_id=np.array([place.sample_id for place in names]),
        notes=(*pooled, *decoder.notes(), *pictures.notes, *dropped_note),
        dropped=tuple(bad.dropped),
    )


def _splits(places: dict[_Place, str]) -> list[str]:
    usages = [_usage(place) for place in places]
    if None in usages:  # a single file without its name could belong to either, so that neither is whole
        return ["train" if usage == "Training" else "pooled_test" for usage in usages]
    return [USAGE[usage] for usage in usages]


def _usage(place: _Place) -> str | None:
    if official := OFFICIAL_NAME.fullmatch(place.stem):
        return official[1]
    possible = FOLDERS[place.folder]
    return possible[0] if len(possible) == 1 else None


def _picture_place(name: str) -> _Place:
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or parts[-3] not in FOLDERS or parts[-2] not in FER7:
        raise ValueError(f"not train/<class>/<file> or test/<class>/<file> ({', '.join(FER7)})")
    place = _Place(parts[:-3], parts[-3], parts[-2], PurePosixPath(name).stem)
    official = OFFICIAL_NAME.fullmatch(place.stem)
    if official and official[1] not in FOLDERS[place.folder]:
        raise ValueError(f"lies in {place.folder}/ but is named {official[1]}: which is it?")
    return place
