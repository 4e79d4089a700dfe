"""Data sets of image files: one reader, and for each data set what the names of its files say."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_utils.data.images import ImageDecoder
from fer_utils.data.raw_files import BadRows, DataSet, OnBadRows, open_images, printable
from fer_utils.data.samples import FaceSet
from fer_utils.labels import CKPLUS7, FER7, RAFDB7, canonical

RAFDB_LIST = "EmoLabel/list_patition_label.txt"
"""The authors' list, as they spell it; its lines are like `train_00001.jpg 5`."""

RAFDB_LABELS = {str(label): name for label, name in enumerate(RAFDB7, start=1)}
JAFFE_CODES = {name[:2].upper(): name for name in sorted(FER7)}

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
"""Split -> names of its folder, in lower case, without `set` and `fer2013`."""


class Face(NamedTuple):
    """What an image file shows; the subject is empty where it is not known."""

    sample_id: str
    class_name: str
    subject: str = ""
    split: str = "unassigned"


class ImageFolder(DataSet):
    """A folder of image files, or a zip of it, in which names or a list say what each file shows."""

    class_names: tuple[str, ...] = FER7
    layout: str
    image: re.Pattern
    note = ""
    form = "folder"
    counts: Mapping[str, int] = MappingProxyType({})
    published: Mapping[str, str] = MappingProxyType({})

    def missing_from(self, faces: FaceSet) -> str:
        """Return how many images of the whole data set a copy lacks, or an empty text."""
        present = {name: int((faces.split == name).sum()) for name in self.counts}
        other = ("validation", "test") if present.get("pooled_test") else ("pooled_test",)
        lacking = [
            f"{present[name]:,} of {count:,}{'' if name == 'unassigned' else f' {name}'}"
            for name, count in self.counts.items()
            if name not in other and present[name] != count
        ]
        return f"it has {', '.join(lacking)} images" if lacking else ""

    def holds(self, path: Path) -> bool:
        """Return whether a folder has images named as in this data set, or has them in folders of classes."""
        classes = [folder for folder in path.glob("*") if canonical(folder.name) in self.class_names]
        files = (file for folder in (path, *classes) for file in folder.glob("*"))
        return any(self.image.fullmatch(file.name) for file in files)

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> Any:
        """Return what `_describe` needs to know of the whole data set."""
        return None

    def _describe(self, name: str, known: Any) -> Face:
        """Return what the file `name` shows; `ValueError` where that cannot be told."""
        raise NotImplementedError

    def read(self, path: Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read the folder, or a `.zip` of it; it may lie below other folders."""
        source, _ = self.files(path)
        bad, decoder = BadRows(path, on_bad_rows), ImageDecoder(image_size)
        kept: dict[str, Face] = {}
        images, notes = [], [self.note] if self.note else []
        with open_images(source, bad) as (found, others):
            if not found and not bad.dropped:
                raise ValueError(f"{path}: no images named {self.layout}; unpack what is packed")
            known = self._prepare(path, [*found], bad)
            for name, content in found.items():
                with bad.at(name):
                    face = self._describe(name, known)
                    if face.sample_id in kept:
                        raise ValueError("a second image of this name")
                    images.append(decoder.decode(content()))
                    kept[face.sample_id] = face
        if others and not self.class_names:
            notes.append(f"{len(others)} files of other kinds were not read, such as {others[0]}")
        if not self.class_names:
            places = {
                (part, one.class_name) for one in kept.values() for part in one.sample_id.split("/")[:-1]
            }
            renamed = sorted(f"{a} -> {b}" for a, b in places if canonical(a) == b != a.lower())
            taken = f"folders taken for a class by another name: {', '.join(renamed)}"
            notes += [f"everything lies in {known}"] if known else []
            notes += [printable(taken)] if renamed else []
        form = self.form if source == path else "original folder"
        return self._face_set([*kept.values()], images, bad, form=form, notes=(*notes, *decoder.notes()))

    def _face_set(
        self, kept: list[Face], images: list[np.ndarray], bad: BadRows, *, form: str, notes: tuple = ()
    ) -> FaceSet:
        dropped_note = bad.notes(len(kept))
        table = pd.DataFrame(kept)
        own = sorted({*table["class_name"]}, key=lambda name: (FER7.index(name) if name in FER7 else 7, name))
        class_names = self.class_names or tuple(own)
        return FaceSet(
            name=self.name if self.class_names else printable(bad.path.resolve().stem),
            source="real",
            images=np.stack(images),
            labels=table["class_name"].map(class_names.index).to_numpy(np.int64),
            class_names=class_names,
            **{key: table[key].to_numpy(dtype=str) for key in ("split", "sample_id", "subject")},
            notes=(*notes, *dropped_note),
            origin={"form": form},
            dropped=tuple(bad.dropped),
        )


class RafDb(ImageFolder):
    """RAF-DB's single-label part: the authors' folder `basic`, or the folder that Kaggle has."""

    layout, form = "train/<1 to 7>/train_<number>_aligned.jpg, or EmoLabel/ and Image/", "kaggle folder"
    image = re.compile(r"((train|test)_[0-9]+)(?:_aligned)?\.(?:jpg|jpeg|png)")

    def holds(self, path: Path) -> bool:
        """Return whether a folder is one of the two forms of RAF-DB."""
        by_class = all(any((path / split).glob("[1-7]/")) for split in ("train", "test"))
        return by_class or (path / RAFDB_LIST).is_file()

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return where the images of a copy are, and the authors' list if it is in their form."""
        if not (path / RAFDB_LIST).is_file():
            return path, ()
        for place in ("Image/aligned", "Image/aligned.zip"):
            if (path / place).exists():
                return path / place, (path / RAFDB_LIST,)
        raise ValueError(f"{path}: holds {RAFDB_LIST} but neither Image/aligned nor Image/aligned.zip")

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> dict[str, tuple[str, str]]:
        """Return sample id -> line and label of the list."""
        rows: dict[str, tuple[str, str]] = {}
        found = {named[1] for name in names if (named := self.image.fullmatch(name.rpartition("/")[2]))}
        for file in self.files(path)[1]:
            for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1):
                if not line.strip():
                    continue
                place, (name, *label) = f"{RAFDB_LIST}, line {number}", line.split()
                with bad.at(place):
                    if not (named := self.image.fullmatch(name)):
                        raise ValueError(f"{name!r} is no image of train or test")
                    if named[1] in rows:
                        raise ValueError(f"{name} a second time; it was in {rows[named[1]][0]}")
                    rows[named[1]] = place, " ".join(label)
                    if named[1] not in found:
                        raise ValueError(f"the image {named[1]} is missing")
        return rows

    def _describe(self, name: str, known: Mapping[str, tuple[str, str]]) -> Face:
        *_, folder, label, file = ("", "", *name.split("/"))
        if not (named := self.image.fullmatch(file)):
            raise ValueError("not train_<number>_aligned.jpg or test_<number>_aligned.jpg")
        sample_id, split = named.groups()
        if known and sample_id not in known:
            raise ValueError("no line of the list names this image")
        place, label = known.get(sample_id, ("the folder", label))
        if label not in RAFDB_LABELS:
            raise ValueError(f"{place}: label {label!r}; they are {', '.join(RAFDB_LABELS)}")
        if folder in ("train", "test") and folder != split:
            raise ValueError(f"folder says {folder}, file name says {split}; move or rename it")
        return Face(sample_id, RAFDB_LABELS[label], split=split)


class CkPlus(ImageFolder):
    """CK+48: the last three frames of CK+'s labelled sequences, cropped to 48x48 and sorted into folders."""

    class_names = CKPLUS7
    layout = "<class>/S<person>_<sequence>_<frame>.png"
    image = re.compile(r"((S[0-9]{3})_[0-9]{3}_[0-9]{8})\..+")
    note = "frames of one sequence hardly differ, so split by person only"

    def _describe(self, name: str, known: None) -> Face:
        *_, folder, file = ("", *name.split("/"))
        class_name, named = canonical(folder), self.image.fullmatch(file)
        if class_name not in CKPLUS7 or not named:
            raise ValueError(f"not {self.layout} with one of the classes {', '.join(CKPLUS7)}")
        return Face(named[1], class_name, subject=named[2])


class Jaffe(ImageFolder):
    """JAFFE: 213 posed expressions of ten women; the whole image is taken, with hair and background."""

    layout = "<person>.<expression><take>.<number>.tiff, such as KA.AN1.39.tiff"
    image = re.compile(rf"(([A-Z]{{2}})\.({'|'.join(JAFFE_CODES)})[0-9]+\.[0-9]+)\..+")

    def _describe(self, name: str, known: None) -> Face:
        *_, folder, file = ("", *name.split("/"))
        if not (named := self.image.fullmatch(file)):
            raise ValueError(f"not {self.layout}; the expressions are {', '.join(JAFFE_CODES)}")
        sample_id, subject, code = named.groups()
        if canonical(folder) in {*FER7} - {JAFFE_CODES[code]}:
            raise ValueError(f"folder says {folder}, file name says {code}; move or rename it")
        return Face(sample_id, JAFFE_CODES[code], subject=subject)


class OwnFolder(ImageFolder):
    """Anyone's own images in `<class>/<file>` or `<class>/<subject>/<file>`, optionally below split folders.

    Classes that `fer_utils.labels` knows get their name there and come first. All of it may lie in one more
    folder, as in many zips.
    """

    class_names = ()
    layout = "<class>/<file> or <class>/<subject>/<file>, all or none below train/, validation/ or test/"

    def holds(self, path: Path) -> bool:
        """Return whether there is a folder; what it has to hold is found out when it is read."""
        return path.is_dir()

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> str:
        tops = {name.split("/")[0] for name in names}
        top = next(iter(tops), "")
        deep = all(name.count("/") >= 2 for name in names)
        around = len(tops) == 1 and deep and not self._split_of(top) and canonical(top) not in FER7
        known = f"{top}/" if around else ""
        # A wrong layout puts the whole data set in doubt, so it is an error under "drop" too.
        with BadRows(path, "error").at("layout"):
            outside = [name for name in names if self._describe(name, known).split == "unassigned"]
            if 0 < len(outside) < len(names):
                first = outside[0].removeprefix(known)
                raise ValueError(f"{first} lies beside train/, validation/ or test/; use {self.layout}")
        return known

    def _describe(self, name: str, known: str) -> Face:
        name = name.removeprefix(known)
        folders = name.split("/")[:-1]
        split = self._split_of(folders[0]) if folders else None
        below = folders[1:] if split else folders
        if len(below) not in (1, 2):
            raise ValueError(f"{name} does not lie in {self.layout}")
        class_name = canonical(below[0]) if canonical(below[0]) in FER7 else below[0]
        if class_name.lower() in ("total", "images", "annotations") or self._split_of(class_name):
            raise ValueError(f"{name}: {class_name!r} cannot be a class; use {self.layout}")
        return Face(name, class_name, "".join(below[1:]), split or "unassigned")

    def _split_of(self, folder: str) -> str | None:
        plain = re.sub("[^a-z]|set$", "", folder.lower().replace("fer2013", ""))
        return next((split for split, names in SPLIT_FOLDERS.items() if plain in names), None)
