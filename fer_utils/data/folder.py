"""Anyone's own pictures, sorted into folders by class."""

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from fer_utils.data.bad_rows import BadRows, OnBadRows, printable
from fer_utils.data.decoding import PictureDecoder
from fer_utils.data.faceset import RESERVED_NAMES, FaceSet
from fer_utils.data.pictures import open_pictures
from fer_utils.data.scaling import check_image_size
from fer_utils.labels import FER7, canonical

SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
"""Folders above the classes, in any case of letters, with the split that they stand for."""

LAYOUT = "<class>/<file> or <class>/<subject>/<file>, all or none of it below train/, validation/ or test/"


def read_folder(path: str | Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
    """Read pictures from folders named by class.

    Parameters
    ----------
    path : path
        A folder, or a `.zip` of one, laid out as `<class>/<file>` or `<class>/<subject>/<file>`, optionally
        below `train`, `validation` (or `val`) and `test`. It may hold all of that in one more folder, as
        zips often do, unless that is named like a class. Hidden and system files are passed over.
    image_size : int, 8 to 1024
        Height and width of the images; `PictureDecoder` says how pictures are converted to it.
    on_bad_rows : {"error", "drop"}
        What a picture that cannot be used does: stop the reading, or be left out and listed.

    Returns
    -------
    FaceSet
        Named like the folder. Classes that `fer_utils.labels` knows have their name there and come first,
        in its order; the others keep theirs and follow by the alphabet. Subjects are the folders below the
        classes; the split is `unassigned` where no folder gives it. Links that lead out of the folder are
        not followed. Notes say that, how many pictures were converted, dropped or of a kind that is not
        read, and which folders were taken for a class by another name.

    Raises
    ------
    FileNotFoundError
        When `path` does not exist.
    OSError
        When a file or folder may not be read.
    ConfigError
        For an image size or a policy that is not accepted.
    ValueError
        For pictures outside this layout, or none, naming one; for a damaged or dishonest zip; and under
        "error" for any picture that cannot be used.
    """
    path = Path(path)
    check_image_size(image_size)
    bad = BadRows(path, on_bad_rows, unit="pictures")
    decoder = PictureDecoder(image_size)
    with open_pictures(path, bad) as pictures:
        names = [file.name for file in pictures.files]
        top = _folder_around(names)
        places = _places(path, [name.removeprefix(top) for name in names])
        kept: list[_Place] = []
        images = []
        for place, file in zip(places, pictures.files, strict=True):
            with bad.at(file.name):
                images.append(decoder.decode(file.read()))
                kept.append(place)
    dropped_note = bad.notes(len(kept))
    if not kept:
        raise ValueError(f"{path}: no pictures in {LAYOUT}{''.join(f'; {note}' for note in pictures.notes)}")
    class_names = _class_order({place.class_name for place in kept})
    return FaceSet(
        name=printable(path.resolve().stem),
        source="real",
        images=np.stack(images),
        labels=np.array([class_names.index(place.class_name) for place in kept], dtype=np.int64),
        class_names=class_names,
        split=np.array([place.split for place in kept]),
        sample_id=np.array([place.name for place in kept]),
        subject=np.array([place.subject for place in kept]),
        notes=(
            *_reading_notes(top, kept, pictures.passed_over),
            *decoder.notes(),
            *pictures.notes,
            *dropped_note,
        ),
        dropped=tuple(bad.dropped),
    )


class _Place(NamedTuple):
    name: str
    split: str
    folder: str
    class_name: str
    subject: str


def _folder_around(names: list[str]) -> str:
    # The one folder that holds all the others, with its slash, unless it can be a split or a class.
    tops = {PurePosixPath(name).parts[0] for name in names}
    top = next(iter(tops), "")
    can_be_more = top.lower() in SPLIT_FOLDERS or canonical(top) in FER7
    return f"{top}/" if len(tops) == 1 and not can_be_more and _all_deeper(names) else ""


def _all_deeper(names: list[str]) -> bool:
    return all(name.count("/") >= 2 for name in names)


def _places(path: Path, names: list[str]) -> list[_Place]:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(printable(f"{path}: {twice[0]} is there twice"))
    places = [_place(path, name) for name in names]
    outside = [place.name for place in places if place.split == "unassigned"]
    if outside and len(outside) < len(places):
        raise ValueError(
            printable(f"{path}: {outside[0]} lies beside train/, validation/ or test/; use {LAYOUT}")
        )
    return places


def _place(path: Path, name: str) -> _Place:
    folders = name.split("/")[:-1]
    split = SPLIT_FOLDERS.get(folders[0].lower()) if folders else None
    below = folders[1:] if split else folders
    if len(below) not in (1, 2):
        raise ValueError(printable(f"{path}: {name} does not lie in {LAYOUT}"))
    class_name = canonical(below[0]) if canonical(below[0]) in FER7 else below[0]
    if class_name in RESERVED_NAMES:
        problem = f"{class_name!r} has another meaning; give this class another name"
        raise ValueError(printable(f"{path}: {name}: {problem}"))
    return _Place(name, split or "unassigned", below[0], class_name, "".join(below[1:]))


def _class_order(names: set[str]) -> tuple[str, ...]:
    return (*(name for name in FER7 if name in names), *sorted(names.difference(FER7)))


def _reading_notes(top: str, places: list[_Place], passed_over: list[str]) -> list[str]:
    notes = [f"everything lies in {top}"] if top else []
    renamed = sorted({f"{place.folder} -> {place.class_name}" for place in places if _is_renamed(place)})
    if renamed:
        notes.append(f"folders taken for a class by another name: {', '.join(renamed)}")
    if passed_over:
        notes.append(f"{len(passed_over)} files of other kinds were passed over, such as {passed_over[0]}")
    return list(map(printable, notes))


def _is_renamed(place: _Place) -> bool:
    return place.folder.lower() != place.class_name.lower()
