"""The one form in which images and clips reach the rest of the study: `FaceSet` and `ClipSet`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import pandas as pd

from fer_utils.labels import canonical

NO_APEX = -1  # value of `ClipSet.apex` where the data set gives none

SPLITS = ("train", "validation", "test", "pooled_test", "unassigned")
"""`pooled_test`: known to be held out, but validation and test cannot be told apart."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The base of `FaceSet` and `ClipSet`: pixels, labels, ids and subjects that stay together.

    `labels`, int64 (N,), are indices into `class_names`; `subject` is empty where it is not known. `notes`
    are for readers of the results; `origin` is the file or generator: form, name, bytes, SHA-256, MD5.
    """

    PIXELS: ClassVar[str]
    COLUMNS: ClassVar[tuple[str, ...]]

    name: str
    source: Literal["real", "synthetic"]
    labels: np.ndarray
    class_names: tuple[str, ...]
    sample_id: np.ndarray
    subject: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    origin: dict[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.subject is None:
            object.__setattr__(self, "subject", np.full(len(self.labels), "", dtype="U1"))
        if self.pixels.dtype != np.uint8:
            raise ValueError(f"{self.name}: {self.PIXELS} must be uint8, got {self.pixels.dtype}")
        for key in self.COLUMNS:
            if (length := len(getattr(self, key))) != len(self):
                raise ValueError(f"{self.name}: {length} {key} for {len(self)} {self.PIXELS}")
        if len(np.unique(self.sample_id)) != len(self):
            raise ValueError(f"{self.name}: sample ids are not unique")
        if len({*self.class_names, "total"}) <= len(self.class_names):  # `counts` has a row of totals
            raise ValueError(f"{self.name}: a class twice, or named total")
        if not np.isin(self.labels, range(len(self.class_names))).all():
            raise ValueError(f"{self.name}: labels must lie in 0 to {len(self.class_names) - 1}")

    @property
    def pixels(self) -> np.ndarray:
        """The pixels of all samples, uint8, shape (N, ...)."""
        return getattr(self, self.PIXELS)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: np.ndarray) -> Self:
        """Return the samples selected by `index` (integers or a boolean mask), in that order."""
        return replace(self, **{key: getattr(self, key)[index] for key in (self.PIXELS, *self.COLUMNS)})

    def with_classes(self, class_names: Sequence[str]) -> Self:
        """Return the samples whose class is in `class_names`, relabelled to that order."""
        if missing := [name for name in class_names if name not in self.class_names]:
            raise ValueError(f"{self.name} has no class {missing}; it has {', '.join(self.class_names)}")
        return self._relabelled(dict(zip(class_names, class_names, strict=True)), class_names)

    def merged(self, mapping: Mapping[str, str], class_names: Sequence[str]) -> Self:
        """Return the samples of classes in `mapping` (own class -> one of `class_names`), relabelled."""
        counts = np.bincount(self.labels, minlength=len(self.class_names)).tolist()
        present = {name: count for name, count in zip(self.class_names, counts, strict=True) if count}
        sums, notes = [], []
        for new in class_names:
            old = [f"{name} {count}" for name, count in present.items() if mapping.get(name) == new]
            if any(mapping.get(name) == new != name for name in present):
                sums.append(f"{new} = {' + '.join(old)}")
        if sums:
            notes.append(f"classes were merged: {'; '.join(sums)}")
        if lost := {name: count for name, count in present.items() if name not in mapping}:
            each = ", ".join(f"{name} {count}" for name, count in lost.items())
            total = f"{sum(lost.values())} of {len(self)} {self.PIXELS}"
            notes.append(f"{total} left out, of classes that are not in {', '.join(class_names)}: {each}")
        return replace(self._relabelled(mapping, class_names), notes=(*self.notes, *notes))

    def _relabelled(self, mapping: Mapping[str, str], class_names: Sequence[str]) -> Self:
        index = {name: number for number, name in enumerate(class_names)}
        table = np.array([index.get(mapping.get(name), -1) for name in self.class_names], dtype=np.int64)
        labels = table[self.labels]
        chosen = self if (labels >= 0).all() else self.take(labels >= 0)
        return replace(chosen, labels=labels[labels >= 0], class_names=tuple(class_names))

    def _counts(self, by: str, columns: Sequence[str]) -> pd.DataFrame:
        names = np.array(self.class_names, dtype=object)[self.labels]
        table = pd.crosstab(names, getattr(self, by).astype(object))
        table = table.reindex(index=[*self.class_names], columns=list(columns), fill_value=0).astype(int)
        table = table.rename_axis(index="class", columns=by)
        table.loc["total"] = table.sum()
        return table.assign(total=table.sum(axis=1))

    @cached_property
    def digests(self) -> np.ndarray:
        """SHA-256 of every sample's pixels in hexadecimal, shape (N,)."""
        digests = (hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() for pixels in self.pixels)
        return np.array(list(digests), dtype="U64")

    def _hash_with(self, *columns: Sequence[object]) -> str:
        rows = sorted(" ".join(map(str, row)) for row in zip(self.digests, *columns, strict=True))
        shape = "x".join(map(str, self.pixels.shape[1:]))
        return hashlib.sha256("\n".join([shape, *rows]).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class FaceSet(Samples):
    """Grayscale face images, uint8 (N, H, W), perhaps memory-mapped, with labels and where each came from.

    `split` has one of `SPLITS` for every image; `dropped` the place and problem of every unusable one.
    """

    PIXELS: ClassVar[str] = "images"
    COLUMNS: ClassVar[tuple[str, ...]] = ("labels", "split", "sample_id", "subject")

    images: np.ndarray
    split: np.ndarray
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise ValueError(f"{self.name}: unknown split names {sorted(unknown)}; use {', '.join(SPLITS)}")

    def only(self, split: str) -> "FaceSet":
        """Return the images of one split."""
        return self.take(self.split == split)

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class (rows) and split (columns), with totals."""
        return self._counts("split", [name for name in SPLITS if name in self.split])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all pixels, labels and splits that does not depend on the order of the images."""
        return self._hash_with(np.asarray(self.class_names)[self.labels], self.split)


@dataclass(frozen=True, kw_only=True)
class ClipSet(Samples):
    """Grayscale clips, uint8 (N, T, H, W), perhaps memory-mapped, with their place in the recordings.

    `frame_rate` is that of the camera, not of the T frames here. `onset`, `apex` (or `NO_APEX`) and `offset`
    are frame numbers as the data set counts them. `skipped` says what was left out and why.
    """

    PIXELS: ClassVar[str] = "clips"
    COLUMNS: ClassVar[tuple] = ("labels", "sample_id", "subject", "frame_rate", "onset", "apex", "offset")

    clips: np.ndarray
    frame_rate: np.ndarray
    onset: np.ndarray
    apex: np.ndarray
    offset: np.ndarray
    skipped: tuple[str, ...] = ()

    def counts(self) -> pd.DataFrame:
        """Return the number of clips per class (rows) and subject (columns), with totals."""
        return self._counts("subject", np.unique(self.subject))

    @property
    def apex_position(self) -> np.ndarray:
        """Index of the frame nearest to the apex among the T frames, shape (N,), or `NO_APEX`."""
        through = (self.apex - self.onset) / np.maximum(self.offset - self.onset, 1)
        position = np.rint(through * (self.clips.shape[1] - 1)).astype(np.int64)
        unknown = (self.apex == NO_APEX) | (self.origin.get("sampling") == "first")  # not evenly spaced
        return np.where(unknown, NO_APEX, position)

    def frames(self) -> FaceSet:
        """Return every frame as an image with its clip's label and subject; ids are `<clip>/<frame>`."""
        n_clips, n_frames, *size = self.clips.shape
        ids = [f"{clip}/{frame:03d}" for clip in self.sample_id for frame in range(n_frames)]
        return FaceSet(
            images=self.clips.reshape(n_clips * n_frames, *size),
            labels=np.repeat(self.labels, n_frames),
            split=np.full(n_clips * n_frames, "unassigned"),
            sample_id=np.array(ids, dtype=str),
            subject=np.repeat(self.subject, n_frames),
            dropped=self.skipped,
            **{name: getattr(self, name) for name in ("name", "source", "class_names", "notes", "origin")},
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all pixels, labels, subjects and times that does not depend on the order of the clips."""
        label = np.asarray(self.class_names)[self.labels]
        times = (np.asarray(self.frame_rate, dtype=float), self.onset, self.apex, self.offset)
        return self._hash_with(*(np.asarray(column).tolist() for column in (label, self.subject, *times)))


def clip_of(sample_id: np.ndarray) -> np.ndarray:
    """Return the clip's id for each frame's id that `ClipSet.frames` made, shape (N,)."""
    return np.array([str(frame).rpartition("/")[0] for frame in sample_id], dtype=str)


def combine(sets: Sequence[FaceSet], *, class_names: Sequence[str]) -> FaceSet:
    """Return all sets as one, like `rafdb+fer2013`, of these classes; ids begin with the set's name."""
    if len({(faces.images.shape[1:], faces.source) for faces in sets}) > 1:
        each = "; ".join(f"{one.name}: {one.source}, {one.images.shape[1:]}" for one in sets)
        raise ValueError(f"cannot combine sets of different sizes or sources ({each})")
    parts, notes = [], []
    for faces in sets:
        new = {name: name if name in class_names else canonical(name) for name in faces.class_names}
        part = faces.merged({old: name for old, name in new.items() if name in class_names}, class_names)
        present = np.bincount(part.labels, minlength=len(class_names))
        lacking = [name for name, count in zip(class_names, present, strict=True) if not count]
        notes += [f"{faces.name} has no {', '.join(lacking)}"] if lacking else []
        notes += [f"{faces.name}: {note}" for note in part.notes]
        ids = np.array([f"{faces.name}/{one}" for one in part.sample_id], dtype=str)
        people = np.array([f"{faces.name}/{one}" if one else "" for one in part.subject], dtype=str)
        parts.append(replace(part, sample_id=ids, subject=people))
    keys = (FaceSet.PIXELS, *FaceSet.COLUMNS)
    return FaceSet(
        name="+".join(faces.name for faces in sets),
        source=sets[0].source,
        class_names=tuple(class_names),
        notes=tuple(notes),
        origin={f"{faces.name}.{key}": value for faces in sets for key, value in faces.origin.items()},
        dropped=tuple(f"{faces.name}: {text}" for faces in sets for text in faces.dropped),
        **{key: np.concatenate([getattr(part, key) for part in parts]) for key in keys},
    )


def separate(faces: FaceSet) -> tuple[FaceSet, ...]:
    """Return the sets that `combine` joined, under their names but with the new ids; any other set alone."""
    names = faces.name.split("+")
    owner = np.array([one.partition("/")[0] for one in faces.sample_id], dtype=str)
    if len(names) == 1 or not np.isin(owner, names).all():  # a folder of images may have a "+" in its name
        return (faces,)
    return tuple(replace(faces.take(owner == name), name=name) for name in names)
