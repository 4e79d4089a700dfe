"""What stills and clips have in common: pixels, labels, ids and subjects that stay together."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np

from fer_utils.labels import map_labels

UNLABELLED = -1
"""The label of a sample for which the data set gives no class."""


class Samples:
    """The base of `FaceSet` and `ClipSet`, whose documentation has the attributes.

    Attributes
    ----------
    PIXELS : str
        Name of the attribute that holds the pictures, uint8, first axis N.
    COLUMNS : tuple of str
        Names of the attributes with one entry for each sample.
    UNIT : str
        What a sample is called, in the plural.
    """

    PIXELS: ClassVar[str]
    COLUMNS: ClassVar[tuple[str, ...]]
    UNIT: ClassVar[str]

    name: str
    source: Literal["real", "synthetic"]
    labels: np.ndarray
    class_names: tuple[str, ...]
    sample_id: np.ndarray
    subject: np.ndarray
    notes: tuple[str, ...]

    @property
    def pixels(self) -> np.ndarray:
        """The pictures of all samples, uint8, shape (N, ...)."""
        return getattr(self, self.PIXELS)

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, index: np.ndarray) -> Self:
        """Return the samples selected by `index` (integers or a boolean mask), in that order."""
        return replace(self, **{key: getattr(self, key)[index] for key in (self.PIXELS, *self.COLUMNS)})

    def labelled(self) -> Self:
        """Return the samples that have a class."""
        known = self.labels != UNLABELLED
        return self if known.all() else self.take(known)

    def with_classes(self, class_names: Sequence[str]) -> Self:
        """Return the samples whose class is in `class_names`, relabelled to that order.

        Samples without a class are not among them.

        Raises
        ------
        ValueError
            When the data set does not have one of the classes.
        """
        if missing := [name for name in class_names if name not in self.class_names]:
            raise ValueError(f"{self.name} has no class {missing}; it has {', '.join(self.class_names)}")
        known = self.labelled()
        labels = map_labels(known.labels, source=self.class_names, target=class_names)
        kept = labels >= 0
        relabelled = known if kept.all() else known.take(kept)
        return replace(relabelled, labels=labels[kept], class_names=tuple(class_names))

    def merged(self, mapping: Mapping[str, str], class_names: Sequence[str]) -> Self:
        """Return the samples with several classes made one.

        Samples without a class, and those whose class `mapping` does not have, are left out. A note says
        which classes became which and how many samples of which class were left out.

        Parameters
        ----------
        mapping : mapping of str to str
            Class of this data set -> one of `class_names`; it may name classes that this one does not have.
        class_names : sequence of str
            The new classes in label order.

        Raises
        ------
        ValueError
            When `mapping` leads to another class.
        """
        if unknown := {*mapping.values()} - {*class_names}:
            raise ValueError(
                f"{self.name}: classes cannot become {sorted(unknown)}, only {list(class_names)}"
            )
        known = self.labelled()
        became = [mapping.get(name, "") for name in self.class_names]
        labels = map_labels(known.labels, source=became, target=class_names)
        kept = labels >= 0
        parts = known if kept.all() else known.take(kept)
        notes = (*self.notes, *_merge_notes(known, mapping, class_names))
        return replace(parts, labels=labels[kept], class_names=tuple(class_names), notes=notes)

    @cached_property
    def digests(self) -> np.ndarray:
        """SHA-256 of every sample's pixels in hexadecimal, shape (N,): equal digest, equal picture."""
        digests = (hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() for pixels in self.pixels)
        return np.array(list(digests), dtype="U64")

    def check_columns(self, axes: str) -> None:
        """Raise `ValueError` unless pixels, of shape `axes`, and columns fit together and ids are unique."""
        pixels, place = self.pixels, f"{self.name}: {self.PIXELS}"
        if pixels.ndim != len(axes.split(",")) or pixels.dtype != np.uint8:
            raise ValueError(f"{place} must be uint8 of shape ({axes}), got {pixels.dtype} {pixels.shape}")
        for key in self.COLUMNS:
            if (length := len(getattr(self, key))) != len(self):
                raise ValueError(f"{self.name}: {length} {key} for {len(self)} {self.UNIT}")
        if len(np.unique(self.sample_id)) != len(self):
            raise ValueError(f"{self.name}: sample ids are not unique")

    def fingerprint_of(self, *columns: Sequence[object]) -> str:
        """Return a hash of the pixels and these columns that does not depend on the order of the samples."""
        rows = sorted(" ".join(map(str, row)) for row in zip(self.digests, *columns, strict=True))
        shape = "x".join(map(str, self.pixels.shape[1:]))
        return hashlib.sha256("\n".join([shape, *rows]).encode()).hexdigest()


def _merge_notes(known: Samples, mapping: Mapping[str, str], class_names: Sequence[str]) -> list[str]:
    counts = np.bincount(known.labels, minlength=len(known.class_names)).tolist()
    present = {name: count for name, count in zip(known.class_names, counts, strict=True) if count}
    lost = {name: count for name, count in present.items() if name not in mapping}
    joined = [f"{new} = {parts}" for new in class_names if (parts := _parts(new, present, mapping))]
    notes = [f"classes were merged: {'; '.join(joined)}"] if joined else []
    if lost:
        each = ", ".join(f"{name} {count}" for name, count in lost.items())
        place = ", ".join(class_names)
        notes.append(
            f"{sum(lost.values())} of {len(known)} {known.UNIT} left out, of classes that have no place in "
            f"{place}: {each}"
        )
    return notes


def _parts(new: str, present: Mapping[str, int], mapping: Mapping[str, str]) -> str:
    old = {name: count for name, count in present.items() if mapping.get(name) == new}
    return "" if set(old) <= {new} else " + ".join(f"{name} {count}" for name, count in old.items())
