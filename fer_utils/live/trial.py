"""The demo on its own: what it makes of a source, and of drawn videos whose events are known."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.labels import SMIC3
from fer_utils.live import sources
from fer_utils.live.event_scores import match_events
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.seen import Event, Frame, Problem, Seen
from fer_utils.live.spotting import kind_of
from fer_utils.statistics import wilson_interval
from fer_utils.synthetic.motion import Movement


@dataclass
class Watched:
    """What was seen in a source.

    Attributes
    ----------
    kept : list of Seen
        At even times, to be looked at.
    rows : list of (float, int, ndarray)
        Time in seconds, number of the face and its probabilities, shape (K,), for every face of every frame.
    events : list of Event
        By onset.
    messages : Counter
        What was said, and in how many frames.
    n_frames, n_empty : int
        All frames, and those without a face.
    """

    kept: list[Seen] = field(default_factory=list)
    rows: list[tuple[float, int, np.ndarray]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    messages: Counter = field(default_factory=Counter)
    n_frames: int = 0
    n_empty: int = 0

    def timeline(self, face: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return when a face was seen, in seconds, shape (T,), and its probabilities, shape (T, K)."""
        found = [(time, probabilities) for time, number, probabilities in self.rows if number == face]
        if not found:
            raise ValueError(f"no face has the number {face}")
        times, probabilities = zip(*found, strict=True)
        return np.array(times), np.array(probabilities)


def watch(
    pipeline: Pipeline, source: Iterable[Frame | Problem], *, seconds: float = np.inf, keep_every: float = 1.0
) -> Watched:
    """Show a source to a pipeline and return what it saw.

    Parameters
    ----------
    pipeline : Pipeline
        Reset before and after.
    source : iterable of Frame or Problem
        Looked at up to its end, or up to `seconds`.
    seconds : float
    keep_every : float
        Seconds between the frames that are kept; pictures by themselves all are.
    """
    watched = Watched()
    pipeline.reset()
    for item in source:
        if isinstance(item, Problem):
            watched.messages[item.message] += 1
            continue
        if not item.alone and item.time >= seconds:
            break
        _remember(watched, pipeline.see(item), keep_every)
    watched.events = sorted(watched.events + pipeline.reset(), key=lambda event: event.onset)
    return watched


def longest_seen(watched: Watched) -> int | None:
    """Return the number of the face that was seen in most frames, or None where none was seen twice."""
    counts = Counter(number for _, number, _ in watched.rows)
    number, frames = counts.most_common(1)[0] if counts else (None, 0)
    return number if frames > 1 else None


def _remember(watched: Watched, seen: Seen, keep_every: float) -> None:
    if seen.frame.alone or seen.frame.time >= len(watched.kept) * keep_every:
        watched.kept.append(seen)
    watched.rows += [(seen.frame.time, face.number, face.probabilities) for face in seen.faces]
    watched.events += seen.events
    watched.messages.update(seen.messages)
    watched.n_frames += 1
    watched.n_empty += not seen.faces


@dataclass(frozen=True)
class Spotting:
    """Movements in one drawn video: those that the demo found, and those that are there; both by onset."""

    found: tuple[Event, ...]
    truth: tuple[Event, ...]

    @property
    def named(self) -> list[tuple[str, str]]:
        """True and given label of every micro-expression that was found."""
        micro = [event for event in self.truth if event.kind == "micro"]
        pairs = match_events(self.found, micro)
        return [(micro[true].label, self.found[found].label) for found, true in pairs]


def spotting(
    pipeline: Pipeline, *, n_videos: int, seconds: float, frame_rate: float, seed: int
) -> list[Spotting]:
    """Look for movements in drawn videos of one person each.

    Parameters
    ----------
    pipeline : Pipeline
        With a network for clips.
    n_videos : int
    seconds, frame_rate : float
        Of each video: its length, and frames per second.
    seed : int
        The people are others with every seed, and never those of `demo.source`, which has this one.
    """
    trials = []
    for number in range(1, n_videos + 1):
        drawn = sources.synthetic(
            seconds=seconds, frame_rate=frame_rate, class_names=SMIC3, seed=(n_videos + 1) * seed + number
        )
        events = watch(pipeline, drawn).events
        found = tuple(event for event in events if event.kind != "expression")
        trials.append(Spotting(found, tuple(known(drawn.events[0]))))
    return trials


def known(movements: Sequence[Movement], *, face: int = 1) -> list[Event]:
    """Return the movements of a drawn person as the events that the demo should find."""
    return [
        Event(kind_of(one.onset, one.offset), face, one.label, one.onset, one.apex, one.offset, 1.0)
        for one in movements
    ]


def records(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `event_scores` as metric records of results.json, n being the true events."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, row in scores.iterrows():
        n = int(row["tp"] + row["fn"])
        interval = None if np.isnan(row["f1_low"]) else [row["f1_low"], row["f1_high"]]
        values = {"f1": interval, "precision": None, "recall": None}
        found[f"spotting_{kind}"] = {
            name: {"value": float(row[name]), "ci95": ci95, "n": n}
            for name, ci95 in values.items()
            if not np.isnan(row[name])
        }
    return found


def photographs(pipeline: Pipeline, faces: FaceSet, *, side: int = 200) -> pd.DataFrame:
    """Put pictures of a data set into frames, one by one, as if each began a video.

    Each picture is enlarged into the middle of a frame of 640x480 pixels, its edges repeated beyond it, and
    goes the demo's whole way: detector, crop, network. What the network says of the picture itself stands
    beside it: the difference is the price of finding and cutting out faces.

    Parameters
    ----------
    pipeline : Pipeline
    faces : FaceSet
        With the classes of the network, in its image size.
    side : int
        Pixels in which a picture stands in the frame.

    Returns
    -------
    DataFrame
        One row a picture: `found`, whether the detector found a face in it; `through`, whether the answer of
        the whole way is right (False where nothing was found); `direct`, whether the network is right about
        the picture itself.
    """
    answers = pipeline.stills.predict(faces.images).argmax(axis=1)
    rows = []
    for image, truth, direct in zip(faces.images, faces.labels, answers, strict=True):
        pipeline.reset()
        seen = pipeline.see(Frame(_framed(image, side), 0.0)).faces
        label = seen[0].label if seen else None
        right = label == pipeline.class_names[truth]
        rows.append({"found": bool(seen), "through": right, "direct": bool(direct == truth)})
    return pd.DataFrame(rows, index=pd.Index(faces.sample_id, name="sample"))


def _framed(image: np.ndarray, side: int, size: tuple[int, int] = (480, 640)) -> np.ndarray:
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    above, before = ((length - side) // 2 for length in size)
    edges = (above, size[0] - side - above, before, size[1] - side - before)
    return cv2.cvtColor(cv2.copyMakeBorder(large, *edges, cv2.BORDER_REPLICATE), cv2.COLOR_GRAY2RGB)


def photograph_records(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return `photographs` as metric records: the share found, and of these the share right in both ways."""
    found = table[table["found"]]
    columns = {"found": table["found"], "accuracy": found["through"], "accuracy_direct": found["direct"]}
    return {name: _share(right) for name, right in columns.items() if len(right)}


def naming(named: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Return as a metric record how many of these pairs of a true and a given label are equal."""
    return {"accuracy": _share([true == given for true, given in named])}


def _share(right: Sequence[bool]) -> dict[str, Any]:
    count, n = int(sum(right)), len(right)
    return {"value": count / n, "ci95": list(wilson_interval(count, n)), "n": n}
