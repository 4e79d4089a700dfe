"""What the parts of the demo hand each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fer_utils.detection import Box


@dataclass(frozen=True)
class Frame:
    """A picture of a source.

    Attributes
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        Red, green, blue.
    time : float
        Seconds since the source began.
    name : str
        Of its file, for pictures; else empty.
    alone : bool
        Whether it is a picture by itself, which has nothing to do with the one before.
    """

    image: np.ndarray
    time: float
    name: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Problem:
    """What a source has to say instead of a frame; it goes on with the next one if there is one."""

    message: str


@dataclass(frozen=True)
class SeenFace:
    """A face in a frame.

    Attributes
    ----------
    number : int
        The same for the same face in all frames of a source; from 1.
    box : Box
        In pixels of the frame.
    probabilities : ndarray, shape (K,)
        Of the classes, smoothed over time.
    label : str
        The class with the highest probability.
    """

    number: int
    box: Box
    probabilities: np.ndarray
    label: str

    @property
    def probability(self) -> float:
        """Of `label`."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Event:
    """An expression with a beginning and an end.

    Attributes
    ----------
    kind : {"expression", "micro", "macro"}
        "expression": the network gave one class the highest probability for a while. "micro" and "macro": a
        movement against the face's own baseline, of at most half a second or longer.
    face : int
        Number of the face.
    label : str
    onset, apex, offset : float
        Seconds since the source began; for "expression", the apex is where the probability is highest.
    score : float
        Probability of `label`, 0 to 1; at the apex for "expression".
    """

    kind: Literal["expression", "micro", "macro"]
    face: int
    label: str
    onset: float
    apex: float
    offset: float
    score: float

    @property
    def seconds(self) -> float:
        """From onset to offset."""
        return self.offset - self.onset


@dataclass(frozen=True)
class Seen:
    """What was made of a frame.

    Attributes
    ----------
    frame : Frame
    faces : tuple of SeenFace
    events : tuple of Event
        Those that ended with this frame.
    messages : tuple of str
        What the person in front of the screen should know or do.
    seconds : mapping of str to float
        Where the time went: "detect", "track", "crop", "classify", "spot".
    """

    frame: Frame
    faces: tuple[SeenFace, ...] = ()
    events: tuple[Event, ...] = ()
    messages: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
