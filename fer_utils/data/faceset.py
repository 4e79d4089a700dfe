"""The one form in which face images reach the rest of the study."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from fer_utils.labels import map_labels

SPLITS = ("train", "validation", "test", "pooled_test", "unassigned")
"""`pooled_test`: known to be held out, but validation and test cannot be told apart."""

UNLABELLED = -1
"""The label of an image for which the data set gives no class."""

RESERVED_NAMES = ("unlabelled", "total")
"""What `FaceSet.counts` calls the rows that are no class, so that no class may have these names."""


@dataclass(frozen=True)
class FaceSet:
    """Grayscale face images with labels and where each of them came from.

    Attributes
    ----------
    name : str
        Name of the data set, as results cite it.
    source : {"real", "synthetic"}
        Whether the pictures show people.
    images : ndarray of uint8, shape (N, H, W)
        May be memory-mapped; never written to.
    labels : ndarray of int64, shape (N,)
        Indices into `class_names`; `UNLABELLED` (-1) where the data set gives no class.
    class_names : tuple of str
        Class names in label order, each once.
    split : ndarray of str, shape (N,)
        One of `SPLITS` for every image.
    sample_id : ndarray of str, shape (N,)
        Unique and stable names.
    subject : ndarray of str, shape (N,)
        Who is shown; empty where the data set does not say.
    notes : tuple of str
        What a reader of the numbers must know about this copy of the data.
    origin : dict
        The file or generator it was read from: name, bytes, SHA-256, of a single file also MD5.
    dropped : tuple of str
        Place and problem of every row or picture of that file which was left out because it was bad.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """

    UNLABELLED: ClassVar[int] = UNLABELLED

    name: str
    source: Literal["real", "synthetic"]
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    split: np.ndarray
    sample_id: np.ndarray
    subject: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    origin: dict[str, str | int] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.subject is None:
            object.__setattr__(self, "subject", np.full(len(self.labels), "", dtype="U1"))
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            got = f"{self.images.dtype} {self.images.shape}"
            raise ValueError(f"{self.name}: images must be uint8 of shape (N, H, W), got {got}")
        for key in ("labels", "split", "sample_id", "subject"):
            if (length := len(getattr(self, key))) != len(self.images):
                raise ValueError(f"{self.name}: {length} {key} for {len(self.images)} images")
        if len({*self.class_names, *RESERVED_NAMES}) < len(self.class_names) + len(RESERVED_NAMES):
            unusable = f"a class twice, or one called {' or '.join(RESERVED_NAMES)}"
            raise ValueError(f"{self.name}: {unusable}: {', '.join(self.class_names)}")
        if not np.isin(self.labels, [UNLABELLED, *range(len(self.class_names))]).all():
            allowed = f"0-{len(self.class_names) - 1}, or {UNLABELLED} for no class"
            raise ValueError(f"{self.name}: labels must lie in {allowed}")
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise ValueError(f"{self.name}: unknown split names {sorted(unknown)}; use {', '.join(SPLITS)}")
        if len(np.unique(self.sample_id)) != len(self):
            raise ValueError(f"{self.name}: sample ids are not unique")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: np.ndarray) -> "FaceSet":
        """Return the images selected by `index` (integers or a boolean mask), in that order."""
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            split=self.split[index],
            sample_id=self.sample_id[index],
            subject=self.subject[index],
        )

    def only(self, split: str) -> "FaceSet":
        """Return the images of one split."""
        return self.take(self.split == split)

    def labelled(self) -> "FaceSet":
        """Return the images that have a class."""
        known = self.labels != UNLABELLED
        return self if known.all() else self.take(known)

    def with_classes(self, class_names: Sequence[str]) -> "FaceSet":
        """Return the images whose class is in `class_names`, relabelled to that order.

        Images without a class are not among them.

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

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class (rows) and split (columns), with totals.

        Images without a class, if there are any, have the row "unlabelled".
        """
        unlabelled = ("unlabelled",) if (self.labels == UNLABELLED).any() else ()
        codes = np.where(self.labels == UNLABELLED, len(self.class_names), self.labels)
        table = pd.crosstab(
            pd.Categorical.from_codes(codes, (*self.class_names, *unlabelled)),
            pd.Categorical(self.split, [name for name in SPLITS if name in self.split]),
            dropna=False,
        )
        table.index.name, table.columns.name = "class", "split"
        table.loc["total"] = table.sum()
        return table.assign(total=table.sum(axis=1))

    @cached_property
    def image_digests(self) -> np.ndarray:
        """SHA-256 of every image's pixels in hexadecimal, shape (N,): equal digest, equal picture."""
        digests = (hashlib.sha256(np.ascontiguousarray(image)).hexdigest() for image in self.images)
        return np.array(list(digests), dtype="U64")

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all pixels, labels and splits that does not depend on the order of the images."""
        label = np.asarray((*self.class_names, ""))[self.labels]  # the last one is that of -1
        rows = zip(self.image_digests, label, self.split, strict=True)
        shape = "x".join(map(str, self.images.shape[1:]))
        return hashlib.sha256("\n".join([shape, *sorted(map(" ".join, rows))]).encode()).hexdigest()
