"""Data sets in which the name of a picture, or a list of names, says what it shows."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_utils.data.bad_rows import BadRows, OnBadRows
from fer_utils.data.decoding import PictureDecoder
from fer_utils.data.faceset import FaceSet
from fer_utils.data.pictures import Pictures, open_pictures
from fer_utils.data.scaling import check_image_size


class Shown(NamedTuple):
    """What a picture shows.

    Attributes
    ----------
    sample_id : str
        Unique in the data set.
    class_name : str
    subject : str
        Empty where it is not known.
    split : str
    """

    sample_id: str
    class_name: str
    subject: str = ""
    split: str = "unassigned"


Notes = Callable[[list[Shown]], Iterable[str]]


def read_named(
    path: str | Path, *, on_bad_rows: OnBadRows, notes: Notes = lambda kept: (), **settings: Any
) -> FaceSet:
    """Read a folder or zip in which the names of the pictures alone say what they show.

    Parameters and errors as in `named_faces`, and those of `open_pictures`.
    """
    bad = BadRows(Path(path), on_bad_rows, unit="pictures")
    with open_pictures(bad.path, bad) as pictures:
        return named_faces(pictures, bad, notes=notes, **settings)


def named_faces(
    pictures: Pictures,
    bad: BadRows,
    *,
    shown: Callable[[str], Shown],
    name: str,
    class_names: tuple[str, ...],
    image_size: int,
    layout: str,
    notes: Notes = lambda kept: (),
) -> FaceSet:
    """Read the pictures of a data set.

    Parameters
    ----------
    pictures : Pictures
        From `open_pictures`, still open.
    bad : BadRows
        Told of every picture that cannot be used: by its name, by its content, or as the second with its id.
    shown : callable
        From the name of a picture below its folder what it shows; `ValueError` where that cannot be told.
    name, class_names
        As in `FaceSet`.
    image_size : int, 8 to 1024
        Height and width of the images, in pixels.
    layout : str
        What the pictures are named like, for the message when there are none.
    notes : callable
        From what is kept the notes of the data set, which come before those on the reading.

    Raises
    ------
    ConfigError
        For an image size that is not accepted.
    ValueError
        When there are no pictures, and under "error" for the first that cannot be used.
    """
    check_image_size(image_size)
    decoder = PictureDecoder(image_size)
    names: dict[str, str] = {}
    kept: list[Shown] = []
    images = []
    for file in pictures.files:
        with bad.at(file.name):
            face = shown(file.name)
            if face.sample_id in names:
                raise ValueError(f"a second picture of this name, beside {names[face.sample_id]}")
            images.append(decoder.decode(file.read()))
            names[face.sample_id] = file.name
            kept.append(face)
    dropped_note = bad.notes(len(kept))
    if not kept:
        raise ValueError(f"{bad.path}: no pictures named {layout}{''.join(f'; {x}' for x in pictures.notes)}")
    return FaceSet(
        name=name,
        source="real",
        images=np.stack(images),
        labels=np.array([class_names.index(face.class_name) for face in kept], dtype=np.int64),
        class_names=class_names,
        split=np.array([face.split for face in kept]),
        sample_id=np.array([face.sample_id for face in kept]),
        subject=np.array([face.subject for face in kept]),
        notes=(*notes(kept), *decoder.notes(), *pictures.notes, *dropped_note),
        dropped=tuple(bad.dropped),
    )
