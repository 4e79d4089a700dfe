"""Synthetic videos of one person, in which expressions are to be found among blinks and stillness."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_utils.labels import SMIC3
from fer_utils.synthetic.identity import Identity, check_size
from fer_utils.synthetic.motion import (
    MICRO_PEAK,
    MICRO_SECONDS,
    Movement,
    Performance,
    Sway,
    check_request,
    draw_asymmetry,
    draw_movement,
    draw_setting,
    draw_usual_face,
)

MACRO_SECONDS = (0.7, 2.0)
MACRO_PEAK = (0.5, 1.0)

_GAP = 0.5  # seconds between expressions
_VIDEO = 4  # last part of a seed; clips have 1 to 3


@dataclass(frozen=True)
class SyntheticVideo:
    """One person before a camera: mostly neutral, with blinks and expressions of known times.

    Attributes
    ----------
    performance : Performance
    n_frames : int
    frame_rate : float
        Frames per second.
    size : int
        Side of the frames in pixels.
    """

    performance: Performance
    n_frames: int
    frame_rate: float
    size: int

    def __len__(self) -> int:
        return self.n_frames

    @property
    def events(self) -> tuple[Movement, ...]:
        """The expressions in the order of their onsets; micro-expressions last half a second at most."""
        return tuple(movement for movement in self.performance.movements if movement.label != "blink")

    @property
    def blinks(self) -> tuple[Movement, ...]:
        """What a spotter must not take for an expression."""
        return tuple(movement for movement in self.performance.movements if movement.label == "blink")

    def frames(self) -> Iterator[np.ndarray]:
        """Draw the frames one by one, uint8 (size, size) each; only one is in memory."""
        return self.performance.film(self.n_frames, frame_rate=self.frame_rate, size=self.size)


def synthetic_video(
    *,
    seconds: float = 20.0,
    frame_rate: float = 100.0,
    size: int = 128,
    n_micro: int = 4,
    n_macro: int = 2,
    class_names: Sequence[str] = SMIC3,
    face_scale: float = 1.0,
    seed: int = 0,
) -> SyntheticVideo:
    """Film one person for spotting and the live demo.

    Parameters
    ----------
    seconds, frame_rate : float
        Length, and frames per second.
    size : int
        Side of the frames in pixels.
    n_micro, n_macro : int
        Expressions of at most half a second and low strength, and of 0.7 to 2 seconds and any strength. They
        come in random order, at least half a second apart.
    class_names : sequence of str
        Keys of `EXPRESSIONS` that are drawn from.
    face_scale : float
        1 for a head that fills three quarters of the frame's height, less for one further away.
    seed : int
        Non-negative.

    Raises
    ------
    ValueError
        An unknown class, a frame rate below 10, more expressions than fit into the time, or a size too small
        for a face.
    """
    class_names = tuple(class_names)
    check_request(class_names, frame_rate, seed)
    check_size(size)
    rng = np.random.default_rng((seed, 0, 0, _VIDEO))
    scene = replace(draw_setting(rng), scale=face_scale)
    micro = [(rng.uniform(*MICRO_SECONDS), rng.uniform(*MICRO_PEAK)) for _ in range(n_micro)]
    macro = [(rng.uniform(*MACRO_SECONDS), rng.uniform(*MACRO_PEAK)) for _ in range(n_macro)]
    lasting, peaks = rng.permutation([*micro, *macro]).reshape(-1, 2).T
    events = [
        draw_movement(str(rng.choice(class_names)), rng, start=start, seconds=length, peak=peak)
        for start, length, peak in zip(_starts(lasting, seconds, rng), lasting, peaks, strict=True)
    ]
    performance = Performance(
        identity=Identity.sample((seed, 0, 1, _VIDEO)),
        rest=draw_usual_face(rng, strongest=0.2),
        movements=(*events, *_blinks(seconds, rng)),
        scene=scene,
        sway=Sway.sample(rng),
        asymmetry=draw_asymmetry(rng),
    )
    return SyntheticVideo(performance, round(seconds * frame_rate), frame_rate, size)


def _starts(durations: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Place movements one after the other, at least `_GAP` seconds apart and from both ends."""
    spare = seconds - durations.sum() - _GAP * (len(durations) + 1)
    if spare < 0:
        raise ValueError(
            f"{len(durations)} expressions that last {durations.sum():.1f} s do not fit into {seconds} s; "
            "use fewer, or a longer video"
        )
    still = np.sort(rng.uniform(0, spare, len(durations))) + _GAP * np.arange(1, len(durations) + 1)
    return still + np.cumsum(durations) - durations


def _blinks(seconds: float, rng: np.random.Generator) -> list[Movement]:
    """Close the eyes for a moment every few seconds, whatever else the face does."""
    blinks, start = [], rng.uniform(0.5, 4.0)
    while start < seconds:
        length = rng.uniform(0.15, 0.35)
        blinks.append(Movement("blink", {43: 1.0}, start, start + 0.4 * length, start + length))
        start += rng.uniform(2.0, 6.0)
    return blinks
