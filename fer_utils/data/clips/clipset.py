"""The one form in which clips of facial movement reach the rest of the study."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from fer_utils.data.faceset import FaceSet
from fer_utils.data.samples import Samples

NO_APEX = -1
"""Stands in `ClipSet.apex` where the data set gives none."""


@dataclass(frozen=True)
class ClipSet(Samples):
    """Grayscale clips of one length and size, with labels, subjects and their place in the recordings.

    Attributes
    ----------
    name : str
        Name of the data set, as results cite it.
    source : {"real", "synthetic"}
        Whether the clips show people.
    clips : ndarray of uint8, shape (N, T, H, W)
        May be memory-mapped; never written to.
    labels : ndarray of int64, shape (N,)
        Indices into `class_names`.
    class_names : tuple of str
        Class names in label order.
    sample_id : ndarray of str, shape (N,)
        Unique and stable names.
    subject : ndarray of str, shape (N,)
        Who is shown; never empty, because micro-expressions are split by subject.
    frame_rate : ndarray of float, shape (N,)
        Frames per second of the camera, not of the T frames here.
    onset, apex, offset : ndarray of int64, shape (N,)
        Frame numbers as the data set counts them, first and last frame included; `apex` is `NO_APEX` where
        it is not given.
    notes : tuple of str
        What a reader of the numbers must know about this copy of the data.
    skipped : tuple of str
        What was left out and why.
    origin : dict
        The folder, file or generator it was read from, and how.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """

    PIXELS: ClassVar[str] = "clips"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "labels",
        "sample_id",
        "subject",
        "frame_rate",
        "onset",
        "apex",
        "offset",
    )
    UNIT: ClassVar[str] = "clips"

    name: str
    source: Literal["real", "synthetic"]
    clips: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    sample_id: np.ndarray
    subject: np.ndarray
    frame_rate: np.ndarray
    onset: np.ndarray
    apex: np.ndarray
    offset: np.ndarray
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    origin: dict[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.check_columns("N, T, H, W")
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"{self.name}: a class twice: {', '.join(self.class_names)}")
        if not np.isin(self.labels, range(len(self.class_names))).all():
            raise ValueError(f"{self.name}: labels must lie in 0-{len(self.class_names) - 1}")
        known_apex = self.apex != NO_APEX
        between = (self.onset <= self.apex) & (self.apex <= self.offset)
        self._refuse(self.subject == "", "has no subject")
        self._refuse(~((self.frame_rate > 0) & (self.frame_rate < np.inf)), "has no positive frame rate")
        self._refuse(self.onset > self.offset, "has its onset after its offset")
        self._refuse(known_apex & ~between, "has its apex outside onset to offset")

    def _refuse(self, wrong: np.ndarray, problem: str) -> None:
        if wrong.any():
            raise ValueError(f"{self.name}: {self.sample_id[wrong][0]} {problem}")

    def counts(self) -> pd.DataFrame:
        """Return the number of clips per class (rows) and subject (columns), with totals."""
        subjects, column = np.unique(self.subject, return_inverse=True)
        counts = np.zeros((len(self.class_names), len(subjects)), dtype=np.int64)
        np.add.at(counts, (self.labels, column), 1)
        table = pd.DataFrame(counts, index=list(self.class_names), columns=subjects.tolist())
        table.index.name, table.columns.name = "class", "subject"
        table.loc["total"] = table.sum()
        return table.assign(total=table.sum(axis=1))

    @property
    def apex_position(self) -> np.ndarray:
        """Index of the frame nearest to the apex among the T frames, `NO_APEX` without one; shape (N,).

        Holds for clips whose T frames run evenly from onset to offset.

        Raises
        ------
        ValueError
            When the clips were sampled in another way.
        """
        if self.origin.get("sampling", "interpolate") != "interpolate":
            raise ValueError(f"{self.name}: its frames do not run evenly from onset to offset")
        through = (self.apex - self.onset) / np.maximum(self.offset - self.onset, 1)
        position = np.rint(through * (self.clips.shape[1] - 1)).astype(np.int64)
        return np.where(self.apex == NO_APEX, NO_APEX, position)

    def frames(self) -> FaceSet:
        """Return every frame as a picture with its clip's label and subject.

        Returns
        -------
        FaceSet
            N x T images in the order of the clips and frames, no split assigned; the sample ids are
            `<clip>/<frame>`, from which `clip_of` gives the clip.
        """
        n_clips, n_frames, *size = self.clips.shape
        per_frame = {key: np.repeat(getattr(self, key), n_frames) for key in ("labels", "subject")}
        ids = [f"{clip}/{frame:03d}" for clip in self.sample_id for frame in range(n_frames)]
        return FaceSet(
            name=self.name,
            source=self.source,
            images=self.clips.reshape(n_clips * n_frames, *size),
            class_names=self.class_names,
            split=np.full(n_clips * n_frames, "unassigned"),
            sample_id=np.array(ids, dtype=str),
            notes=self.notes,
            origin=self.origin,
            dropped=self.skipped,
            **per_frame,
        )

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all pixels, labels, subjects and times that does not depend on the order of the clips."""
        label = np.asarray(self.class_names)[self.labels]
        times = (np.asarray(self.frame_rate, dtype=float), self.onset, self.apex, self.offset)
        return self.fingerprint_of(*(np.asarray(column).tolist() for column in (label, self.subject, *times)))


def clip_of(sample_id: np.ndarray) -> np.ndarray:
    """Return the clip's id for each frame's id that `ClipSet.frames` made, shape (N,)."""
    return np.array([str(frame).rpartition("/")[0] for frame in sample_id], dtype=str)
