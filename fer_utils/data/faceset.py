"""The one form in which face images reach the rest of the study."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from fer_utils.data.samples import UNLABELLED, Samples

SPLITS = ("train", "validation", "test", "pooled_test", "unassigned")
"""`pooled_test`: known to be held out, but validation and test cannot be told apart."""

RESERVED_NAMES = ("unlabelled", "total")
"""What `FaceSet.counts` calls the rows that are no class, so that no class may have these names."""


@dataclass(frozen=True)
class FaceSet(Samples):
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
    PIXELS: ClassVar[str] = "images"
    COLUMNS: ClassVar[tuple[str, ...]] = ("labels", "split", "sample_id", "subject")
    UNIT: ClassVar[str] = "images"

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
        self.check_columns("N, H, W")
        if len({*self.class_names, *RESERVED_NAMES}) < len(self.class_names) + len(RESERVED_NAMES):
            unusable = f"a class twice, or one called {' or '.join(RESERVED_NAMES)}"
            raise ValueError(f"{self.name}: {unusable}: {', '.join(self.class_names)}")
        if not np.isin(self.labels, [UNLABELLED, *range(len(self.class_names))]).all():
            allowed = f"0-{len(self.class_names) - 1}, or {UNLABELLED} for no class"
            raise ValueError(f"{self.name}: labels must lie in {allowed}")
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise ValueError(f"{self.name}: unknown split names {sorted(unknown)}; use {', '.join(SPLITS)}")

    def only(self, split: str) -> "FaceSet":
        """Return the images of one split."""
        return self.take(self.split == split)

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
    def fingerprint(self) -> str:
        """A hash of all pixels, labels and splits that does not depend on the order of the images."""
        return self.fingerprint_of(
            np.asarray((*self.class_names, ""))[self.labels], self.split
        )  # -1: the last
