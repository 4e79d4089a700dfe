"""The one form in which face images reach the rest of the study."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from fer_utils.labels import map_labels

SPLITS = ("train", "validation", "test", "pooled_test", "unassigned")
"""`pooled_test`: known to be held out, but validation and test cannot be told apart."""


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
        Indices into `class_names`.
    class_names : tuple of str
        Class names in label order.
    split : ndarray of str, shape (N,)
        One of `SPLITS` for every image.
    sample_id : ndarray of str, shape (N,)
        Unique and stable names.
    subject : ndarray of str, shape (N,)
        Who is shown; empty where the data set does not say.
    notes : tuple of str
        What a reader of the numbers must know about this copy of the data.
    origin : dict
        The file or generator it was read from: name, bytes, SHA-256.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """

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

    def __post_init__(self) -> None:
        if self.subject is None:
            object.__setattr__(self, "subject", np.full(len(self.labels), "", dtype="U1"))
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            got = f"{self.images.dtype} {self.images.shape}"
            raise ValueError(f"{self.name}: images must be uint8 of shape (N, H, W), got {got}")
        for key in ("labels", "split", "sample_id", "subject"):
            if (length := len(getattr(self, key))) != len(self.images):
                raise ValueError(f"{self.name}: {length} {key} for {len(self.images)} images")
        if not np.isin(self.labels, range(len(self.class_names))).all():
            raise ValueError(f"{self.name}: labels must lie in 0-{len(self.class_names) - 1}")
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

    def with_classes(self, class_names: Sequence[str]) -> "FaceSet":
        """Return the images whose class is in `class_names`, relabelled to that order.

        Raises
        ------
        ValueError
            When the data set does not have one of the classes.
        """
        if missing := [name for name in class_names if name not in self.class_names]:
            raise ValueError(f"{self.name} has no class {missing}; it has {', '.join(self.class_names)}")
        labels = map_labels(self.labels, source=self.class_names, target=class_names)
        kept = labels >= 0
        relabelled = self if kept.all() else self.take(kept)
        return replace(relabelled, labels=labels[kept], class_names=tuple(class_names))

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class (rows) and split (columns), with totals."""
        table = pd.crosstab(
            pd.Categorical.from_codes(self.labels, self.class_names),
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
        label = np.asarray(self.class_names)[self.labels]
        rows = zip(self.image_digests, label, self.split, strict=True)
        shape = "x".join(map(str, self.images.shape[1:]))
        return hashlib.sha256("\n".join([shape, *sorted(map(" ".join, rows))]).encode()).hexdigest()
