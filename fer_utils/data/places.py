"""Where sets of still faces are looked for, and which reader each of them has."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from fer_utils.data.cards import FACE_CARDS, MissingData, Source
from fer_utils.data.ckplus import holds_ckplus, read_ckplus
from fer_utils.data.clips.table import is_clip_table
from fer_utils.data.faceset import FaceSet
from fer_utils.data.fer2013 import read_fer2013
from fer_utils.data.folder import read_folder
from fer_utils.data.jaffe import holds_jaffe, read_jaffe
from fer_utils.data.rafdb import TABLES, holds_rafdb, rafdb_files, read_rafdb
from fer_utils.files import ConfigError, project_path


class FaceData(NamedTuple):
    """How a set of still faces is found and read.

    Attributes
    ----------
    title : str
        Its name, in messages.
    read : callable
        Its reader.
    find : callable
        From a folder the file or folder of the set in it, or None.
    places : tuple of str
        All places below a folder where it is looked for, for messages; empty for the folder itself.
    expected : tuple of str
        What `make data` asks for, below `data/raw`; nothing where it does not ask.
    counts : mapping of str to int
        Split -> images of the whole data set.
    files : callable
        From what was found the file or folder of the pictures, and the lists that belong to it.
    any_size : bool
        Whether `read` takes an `image_size`.
    missing : str
        What is said where it is not there, with `{title}` and `{places}`, where it was looked for.
    """

    title: str
    read: Callable[..., FaceSet]
    find: Callable[[Path], Path | None]
    places: tuple[str, ...]
    expected: tuple[str, ...] = ()
    counts: Mapping[str, int] = MappingProxyType({})
    files: Callable[[Path], tuple[Path, tuple[Path, ...]]] = lambda path: (path, ())
    any_size: bool = True
    missing: str = "{title} is not here; looked for {places}. data/README.md says where it comes from"


def find_faces(dataset: str, data_path: str | Path = "data/raw") -> Path:
    """Return the file or folder of a set of still faces.

    Parameters
    ----------
    dataset : str
        A key of `FACE_DATA`.
    data_path : path
        That file or folder, or a folder that holds it under a name that it is distributed with. Relative
        paths start at the project folder.

    Raises
    ------
    MissingData
        Naming every place that was looked at.
    ConfigError
        For an unknown name.
    """
    if dataset not in FACE_DATA:
        raise ConfigError(f"dataset={dataset!r}: known are {', '.join(FACE_DATA)}")
    path, known = project_path(data_path), FACE_DATA[dataset]
    if path.is_file():
        return path
    if found := known.find(path):
        return found
    places = ", ".join(str(path / place) for place in known.places)
    raise MissingData(known.missing.format(title=known.title, places=places))


def face_sources(data_path: str | Path = "data/raw") -> list[Source]:
    """Return every real set of still faces that is looked for in a folder, found or not."""
    path = project_path(data_path)
    return [
        Source(name, _found(name, path), _expected(name, Path(data_path)), **card)
        for name, card in FACE_CARDS.items()
    ]


def is_face_entry(name: str) -> bool:
    """Return whether a set of still faces, one of its lists or a folder that holds it may have this name."""
    places = [place for known in FACE_DATA.values() for place in known.places if place]
    return name in {place.partition("/")[0] for place in places} | {*TABLES.values()}


def _found(dataset: str, path: Path) -> Path | None:
    if path.is_file() and (is_clip_table(path) or dataset != _owner(path.name)):
        return None
    try:
        return find_faces(dataset, path)
    except MissingData:
        return None


def _owner(file: str) -> str:
    return next((name for name, known in FACE_DATA.items() if file in known.places), "fer2013")


def _expected(dataset: str, path: Path) -> str:
    return " or ".join(str(path / place) for place in FACE_DATA[dataset].expected)


def _first(path: Path, places: tuple[str, ...], holds: Callable[[Path], bool]) -> Path | None:
    there = (path / place for place in places)
    return next((place for place in there if place.is_file() or holds(place)), None)


def _find_fer2013(path: Path) -> Path | None:
    if _is_fer2013_folder(path):
        return path
    return next((path / name for name in FER2013_NAMES if (path / name).exists()), None)


def _is_fer2013_folder(path: Path) -> bool:
    tables = all((path / name).is_file() for name in ("train.csv", "test.csv"))
    return tables or ((path / "train").is_dir() and not holds_rafdb(path))


FER2013_NAMES = ("fer2013.csv", "icml_face_data.csv", "fer2013.zip", "fer2013", "train.csv", "test.csv")
"""Looked for in this order. `fer2013` is a folder: Kaggle's, or the challenge's with its tables."""

_RAFDB_PLACES = (
    *("", "basic", "DATASET"),
    *("RAF-DB/basic", "RAF-DB", "RAF-DB/DATASET"),
    *("rafdb/basic", "rafdb", "rafdb/DATASET"),
)
_CKPLUS_PLACES = ("", "CK+48", "CK+/CK+48", "CK+", "ckplus/CK+48", "ckplus", "CK+48.zip")
_JAFFE_PLACES = (
    "",
    "jaffe",
    "jaffedbase",
    "JAFFE",
    "jaffe/jaffedbase",
    "jaffe/jaffe",
    "jaffe.zip",
    "jaffedbase.zip",
)

FACE_DATA = {
    "fer2013": FaceData(
        title="FER-2013",
        read=read_fer2013,
        find=_find_fer2013,
        places=FER2013_NAMES,
        expected=FER2013_NAMES,
        counts={"train": 28_709, "validation": 3_589, "test": 3_589, "pooled_test": 7_178},
        any_size=False,
    ),
    "rafdb": FaceData(
        title="RAF-DB",
        read=read_rafdb,
        find=partial(_first, places=_RAFDB_PLACES, holds=holds_rafdb),
        places=_RAFDB_PLACES,
        expected=("RAF-DB/basic", "DATASET"),
        counts={"train": 12_271, "test": 3_068},
        files=rafdb_files,
    ),
    "ckplus": FaceData(
        title="CK+48",
        read=read_ckplus,
        find=partial(_first, places=_CKPLUS_PLACES, holds=holds_ckplus),
        places=_CKPLUS_PLACES,
        expected=("CK+48",),
        counts={"unassigned": 981},
    ),
    "jaffe": FaceData(
        title="JAFFE",
        read=read_jaffe,
        find=partial(_first, places=_JAFFE_PLACES, holds=holds_jaffe),
        places=_JAFFE_PLACES,
        expected=("jaffe", "jaffedbase"),
        counts={"unassigned": 213},
    ),
    "folder": FaceData(
        title="a folder of pictures",
        read=read_folder,
        find=lambda path: path if path.exists() else None,
        places=("",),
        missing="{places}: not there; data_path names a folder (or zip) of <class>/<picture>",
    ),
}
"""Value of the `dataset` parameter -> how that set is found and read."""
