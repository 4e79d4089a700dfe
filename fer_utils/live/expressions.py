"""Probabilities that jump from frame to frame, made steady, and the expressions that they tell of."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_utils.live.seen import Event

HALF_LIFE = 0.25
"""Seconds after which an answer counts half; an expression that is meant lasts longer."""

BEGINS_AT, ENDS_BELOW = 0.5, 0.35
"""Probability at which a class becomes an expression, and below which it is over. With a single one it would
begin and end with every small change around it."""

GAP = 1.0
"""Seconds without a look at the face that end everything: nobody knows what it showed meanwhile."""

SHORTEST = 0.4
"""Seconds that a class must hold to be an expression."""


class Smoother:
    """An exponential average in time, so that it is the same at 10 and at 30 frames a second.

    Parameters
    ----------
    half_life : float
        Seconds; 0 for no smoothing.
    """

    def __init__(self, *, half_life: float = HALF_LIFE) -> None:
        self.half_life = half_life
        self._average: np.ndarray | None = None
        self._time = 0.0

    def add(self, probabilities: np.ndarray, time: float) -> np.ndarray:
        """Return the average, shape (K,), with these of `time` (in seconds); the first counts whole."""
        if self._average is None or not self.half_life or time - self._time > GAP:
            self._average = np.asarray(probabilities, dtype=float)
        else:
            kept = 0.5 ** (max(time - self._time, 0.0) / self.half_life)
            self._average = kept * self._average + (1 - kept) * probabilities
        self._time = time
        return self._average


class Expressions:
    """The expressions of one face, one after the other.

    An expression begins when one class reaches `BEGINS_AT` and holds for `SHORTEST` seconds; it ends when it
    falls below `ENDS_BELOW`, or when another class has taken over for as long.

    Parameters
    ----------
    class_names : sequence of str
    face : int
        Its number.

    Attributes
    ----------
    current : Event or None
        The expression that goes on; its offset is the time of the last frame.
    """

    def __init__(self, class_names: Sequence[str], *, face: int) -> None:
        self.class_names, self.face = tuple(class_names), face
        self.current: Event | None = None
        self._candidate: Event | None = None

    def add(self, probabilities: np.ndarray, time: float) -> Event | None:
        """Take the smoothed probabilities of a frame and return the expression that ended with it, if any."""
        ended = None
        latest = self.current or self._candidate
        if latest is not None and time - latest.offset > GAP:
            ended = self.end()
        self._candidate = self._growing(self._candidate, probabilities, time, falls_below=BEGINS_AT)
        if self.current is not None:
            going_on = self._growing(self.current, probabilities, time, falls_below=ENDS_BELOW)
            ended = self._before_the_next(self.current) if going_on is None else None
            self.current = going_on
        if self._candidate is None and (best := float(probabilities.max())) >= BEGINS_AT:
            label = self.class_names[int(probabilities.argmax())]
            self._candidate = Event("expression", self.face, label, time, time, time, best)
        return self._promoted() or ended

    def end(self) -> Event | None:
        """Return the expression that went on: the face is gone."""
        ended, self.current, self._candidate = self.current, None, None
        return ended

    def _promoted(self) -> Event | None:
        """Make a candidate that has held long enough the current expression; return the one it replaces."""
        held = self._candidate
        if held is None or held.seconds < SHORTEST:
            return None
        if self.current is not None and self.current.label == held.label:
            return None
        replaced, self.current = self.current, held
        return replaced and self._before_the_next(replaced)

    def _before_the_next(self, event: Event) -> Event:
        """Return the event cut where another label has begun."""
        following = self._candidate
        if following is None or following.label == event.label:
            return event
        return replace(event, offset=min(event.offset, following.onset))

    def _growing(
        self, event: Event | None, probabilities: np.ndarray, time: float, *, falls_below: float
    ) -> Event | None:
        if event is None:
            return None
        value = float(probabilities[self.class_names.index(event.label)])
        if value < falls_below:
            return None
        apex, score = (time, value) if value > event.score else (event.apex, event.score)
        return replace(event, apex=apex, offset=time, score=score)
