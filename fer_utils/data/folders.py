"""Data sets of image files: one reader, and for each data set what the names of its files say."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile
from os.path import commonpath
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_utils.data.forms import IMAGE_SUFFIXES, printable, refusal, some
from fer_utils.data.images import ImageDecoder
from fer_utils.data.raw_files import BadRows, DataSet, OnBadRows, open_images
from fer_utils.data.samples import FaceSet
from fer_utils.labels import FER7, SMIC3_OF, agree, canonical

EMOTIONS = {*FER7, *SMIC3_OF}  # none of which is a person's name


class Face(NamedTuple):
    """What an image file shows; the subject is empty where it is not known."""

    sample_id: str
    class_name: str
    subject: str = ""
    split: str = "unassigned"


class ImageFolder(DataSet):
    """A folder of image files, or a zip of it, in which names or a list say what each file shows.

    CK+48 and JAFFE are such: CK+48 has the last three frames of CK+'s labelled sequences, cropped and sorted
    into folders; of JAFFE's posed expressions the whole image is taken, with hair and background.
    """

    class_names: tuple[str, ...] = FER7
    layout: str
    image: str
    codes: Mapping[str, str] = MappingProxyType({})
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
        """Return whether it is a zip, or a folder with images of this data set, perhaps in its classes."""
        classes = [folder for folder in path.glob("*") if canonical(folder.name) in self.class_names]
        files = (file for folder in (path, *classes) for file in folder.glob("*"))
        return path.is_file() or any(re.fullmatch(self.image, file.name) for file in files)

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> Any:
        """Return what `_describe` needs to know of the whole data set."""
        return None

    def _describe(self, name: str, known: Any) -> Face:
        """Return what the file `name` shows; `ValueError` where that cannot be told."""
        *_, folder, file = ("", *name.split("/"))
        if not (named := re.fullmatch(self.image, file)):
            raise ValueError(f"not {self.layout}")
        class_name = shown = canonical(folder)
        if self.codes:
            class_name = self.codes[named["code"]]
            shown = shown if shown in self.class_names else class_name  # else a folder of another kind
        elif class_name not in self.class_names:
            raise ValueError(f"not {self.layout} with one of the classes {', '.join(self.class_names)}")
        agree({"folder": shown, "file name": class_name})
        return Face(named["id"], class_name, subject=named["subject"])

    def _notes(self, faces: Sequence[Face], others: Sequence[str], known: Any) -> list[str]:
        """Return what a reader of the results has to know, where `others` are files of other kinds."""
        return [self.note] if self.note else []

    def read(self, path: Path, *, image_size: int = 48, on_bad_rows: OnBadRows = "error") -> FaceSet:
        """Read the folder, or a `.zip` of it; it may lie below other folders."""
        source, _ = self.files(path)
        bad, decoder = BadRows(path, on_bad_rows), ImageDecoder(image_size)
        kept: dict[str, Face] = {}
        images = []
        with open_images(source, bad) as (found, others):
            if not found and not bad.dropped:
                there = ("unpack it; " if path.is_file() else "") + refusal(others, IMAGE_SUFFIXES)
                raise ValueError(f"{path}: no images named {self.layout}; {there}")
            known = self._prepare(path, [*found], bad)
            for name, content in found.items():
                with bad.at(name):
                    face = self._describe(name, known)
                    if face.sample_id in kept:
                        raise ValueError("a second image of this name")
                    images.append(decoder.decode(content()))
                    kept[face.sample_id] = face
        notes = [*self._notes([*kept.values()], others, known), *decoder.notes()]
        form = self.form if source == path else "original folder"
        return self._face_set([*kept.values()], images, bad, form=form, notes=notes)

    def _face_set(
        self, kept: list[Face], images: list[np.ndarray], bad: BadRows, *, form: str, notes: Sequence = ()
    ) -> FaceSet:
        dropped_note = bad.notes(len(kept))
        blank = [face.sample_id for face, image in zip(kept, images, strict=True) if not np.ptp(image)]
        if blank:
            notes = (*notes, f"{len(blank)} of {len(kept)} images have one gray level: {some(blank)}")
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

    def holds(self, path: Path) -> bool:
        """Return whether a folder is one of the two forms of RAF-DB."""
        by_class = all(any((path / split).glob("[1-7]/")) for split in ("train", "test"))
        return by_class or (path / self.label_list).is_file()

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return where the images of a copy are, and the authors' list if it is in their form."""
        if not (path / self.label_list).is_file():
            return path, ()
        for place in ("Image/aligned", "Image/aligned.zip"):
            if (path / place).exists():
                return path / place, (path / self.label_list,)
        raise ValueError(f"{path}: holds {self.label_list} but neither Image/aligned nor Image/aligned.zip")

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> dict[str, tuple[str, str]]:
        """Return sample id -> line and label of the list."""
        rows: dict[str, tuple[str, str]] = {}
        found = {named[1] for name in names if (named := re.fullmatch(self.image, name.rpartition("/")[2]))}
        for file in self.files(path)[1]:
            for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), start=1):
                if not line.strip():
                    continue
                place, (name, *label) = f"{self.label_list}, line {number}", line.split()
                with bad.at(place):
                    if not (named := re.fullmatch(self.image, name)):
                        raise ValueError(f"{name!r} is no image of train or test")
                    if named[1] in rows:
                        raise ValueError(f"{name} a second time; it was in {rows[named[1]][0]}")
                    rows[named[1]] = place, " ".join(label)
                    if named[1] not in found:
                        raise ValueError(f"the image {named[1]} is missing")
        return rows

    def _describe(self, name: str, known: Mapping[str, tuple[str, str]]) -> Face:
        *_, folder, label, file = ("", "", *name.split("/"))
        if not (named := re.fullmatch(self.image, file)):
            raise ValueError("not train_<number>_aligned.jpg or test_<number>_aligned.jpg")
        sample_id, split = named.groups()
        if known and sample_id not in known:
            raise ValueError("no line of the list names this image")
        place, label = known.get(sample_id, ("the folder", label))
        if label not in self.codes:
            raise ValueError(f"{place}: label {label!r}; they are {', '.join(self.codes)}")
        if folder in ("train", "test"):
            agree({"folder": folder, "file name": split})
        return Face(sample_id, self.codes[label], split=split)


class OwnFolder(ImageFolder):
    """Anyone's own images in `<class>/<file>` or `<class>/<subject>/<file>`, optionally below split folders.

    Classes that `fer_utils.labels` knows get their name there. All of it may lie in one more folder.
    """

    class_names = ()

    def holds(self, path: Path) -> bool:
        """Return whether there is a folder; what it has to hold is found out when it is read."""
        return path.is_dir()

    def _prepare(self, path: Path, names: Sequence[str], bad: BadRows) -> str:
        """Return the folders that hold everything and are neither splits nor classes."""
        shared = Path(commonpath(names)).parts if names else ()
        above = takewhile(lambda one: self._split_of(one) is None and canonical(one) not in EMOTIONS, shared)
        levels = min((name.count("/") for name in names), default=0)  # of which one stays, for the class
        known = "".join(f"{folder}/" for folder in islice(above, max(levels - 1, 0)))
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
        class_name, *subject = (folders[1:] if split else folders) or [""]
        own = canonical(class_name) if canonical(class_name) in FER7 else class_name
        if len(subject) > 1 or not class_name:
            raise ValueError(f"{name} does not lie in {self.layout}")
        if self._split_of(class_name) is not None or class_name.lower() in self.not_classes:
            raise ValueError(f"{name}: {class_name!r} cannot be a class; use {self.layout}")
        if subject and (canonical(subject[0]) in EMOTIONS or self._split_of(subject[0])):
            wrong = f"{class_name!r} would be the class and {subject[0]!r} a subject"
            raise ValueError(f"{name}: {wrong}; rename one of them; read are {self.layout}")
        return Face(name, own, "".join(subject), split or "unassigned")

    def _notes(self, faces: Sequence[Face], others: Sequence[str], known: str) -> list[str]:
        places = {(part, one.class_name) for one in faces for part in one.sample_id.split("/")}
        renamed = sorted(f"{a} -> {b}" for a, b in places if canonical(a) == b != a.lower())
        read = []
        for level, field in {"splits": 3, "classes": 1, "subjects": 2}.items():  # of a face
            if names := sorted({face[field] for face in faces} - {"", "unassigned"}):
                read.append(f"{level} {some(names)}")
        notes = {
            f"{len(others)} files were not read: {refusal(others, IMAGE_SUFFIXES)}": others,
            printable(f"folders taken for a class by another name: {', '.join(renamed)}"): renamed,
            f"folders{known and ' in '}{known} were read as {'; '.join(read)}": True,
        }
        return [note for note, holds in notes.items() if holds]

    def _split_of(self, folder: str) -> str | None:
        """Return the split that a folder is named after, "" if unclear which; None of another name."""
        words = re.findall("[a-z]+", re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", folder).lower())
        words = [word.removesuffix("set") for word in words]
        name = "".join(word for word in words if word not in ("", *self.not_classes))
        return self.split_names.get(name, "" if {*words} & {*self.split_names} else None)
