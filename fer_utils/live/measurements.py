"""Measurements of the demo: spotting on synthetic videos, detection and accuracy on test images, latency."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import nan
from time import perf_counter
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from fer_utils.data import FaceSet
from fer_utils.labels import SMIC3
from fer_utils.live.frames import Analysis, Event, Frame, Problem, annotate
from fer_utils.live.pipeline import STEPS, Pipeline
from fer_utils.live.sources import SyntheticSource
from fer_utils.live.spotting import kind_of
from fer_utils.statistics import bootstrap_weights, percentile_interval, wilson_interval

WARM_UP = 10  # frames at the start that are not measured: they load libraries and find the face


@dataclass
class SourceAnalysis:
    """Result of a whole source."""

    frames: list[Analysis] = field(default_factory=list)  # one a second, or every single image
    probabilities: dict[int, list[tuple[float, np.ndarray]]] = field(default_factory=dict)  # by face and time
    events: list[Event] = field(default_factory=list)  # by onset
    messages: Counter = field(default_factory=Counter)  # in how many frames
    n_frames: int = 0
    n_empty: int = 0  # frames without a face

    def timeline(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return times (T,) and probabilities (T, K) of the most frequent face, if it is in two frames."""
        longest = max(self.probabilities.values(), key=len, default=[])
        return tuple(map(np.array, zip(*longest, strict=True))) if len(longest) > 1 else None


def analyze_source(
    pipeline: Pipeline, source: Iterable[Frame | Problem], *, seconds: float = np.inf
) -> SourceAnalysis:
    """Process a source up to its end, or up to `seconds`."""
    result = SourceAnalysis()
    pipeline.reset()
    for item in source:
        if isinstance(item, Problem):
            result.messages[item.message] += 1
            continue
        if not item.still and item.time >= seconds:
            break
        analysis = pipeline.process(item)
        if item.still or item.time >= len(result.frames):
            result.frames.append(analysis)
        for face in analysis.faces:
            result.probabilities.setdefault(face.number, []).append((item.time, face.probabilities))
        result.events += analysis.events
        result.messages.update(analysis.messages)
        result.n_frames += 1
        result.n_empty += not analysis.faces
    result.events = sorted(result.events + pipeline.reset(), key=lambda event: event.onset)
    return result


class SpottingTrial(NamedTuple):
    """Movements of one synthetic video: those that were found, and the true ones."""

    found: tuple[Event, ...]
    truth: tuple[Event, ...]

    @property
    def micro_labels(self) -> list[tuple[str, str]]:
        """True and predicted label of every micro-expression that was found."""
        pairs = match_events(self.found, [event for event in self.truth if event.kind == "micro"])
        return [(true.label, found.label) for found, true in pairs]


def spotting_trials(
    pipeline: Pipeline, *, n_videos: int, seconds: float, frame_rate: float, seed: int
) -> list[SpottingTrial]:
    """Spot movements in synthetic videos of one person each, others than in the demo's own video."""
    trials = []
    for number in range(1, n_videos + 1):
        source = SyntheticSource(
            seconds=seconds, frame_rate=frame_rate, class_names=SMIC3, seed=(n_videos + 1) * seed + number
        )
        events = analyze_source(pipeline, source).events
        found = tuple(event for event in events if event.kind != "expression")
        trials.append(SpottingTrial(found, true_events(source)))
    return trials


def true_events(source: SyntheticSource) -> tuple[Event, ...]:
    """Return the events of the first person, as the demo should find them."""
    return tuple(
        Event(kind_of(one.onset, one.offset), 1, one.label, one.onset, one.apex, one.offset, 1.0)
        for one in source.videos[0].events
    )


def match_events(found: Sequence[Event], truth: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Return pairs of a found and a true event: each is in one pair at most.

    Two events match if their intersection over union in time is at least one half, as in MEGC 2020 (Y. He et
    al., *Spotting macro- and micro-expression intervals in long video sequences*, FG 2020).
    """
    times, true_times = ([(one.onset, one.offset) for one in events] for events in (found, truth))
    onset, offset = np.reshape(times, (-1, 2)).T[:, :, None]
    true_onset, true_offset = np.reshape(true_times, (-1, 2)).T
    shared = np.maximum(np.minimum(offset, true_offset) - np.maximum(onset, true_onset), 0.0)
    shared /= np.maximum(offset, true_offset) - np.minimum(onset, true_onset)
    shared[shared < 0.5] = 0.0
    pairs = zip(*linear_sum_assignment(shared, maximize=True), strict=True)
    return [(found[one], truth[other]) for one, other in pairs if shared[one, other]]


def spotting_scores(trials: Sequence[SpottingTrial], *, n_boot: int = 2000) -> pd.DataFrame:
    """Return precision, recall and F1 for micro-expressions, macro-expressions and both.

    A true micro-expression found as a macro-expression is one missed and one false. The interval resamples
    videos. The errors of onset, apex and offset are means over the matches in seconds.
    """
    weights = list(bootstrap_weights(np.arange(len(trials)), n_boot=n_boot, seed=0))
    table = {}
    for name, kinds in {"micro": ["micro"], "macro": ["macro"], "all": ["micro", "macro"]}.items():
        counts, pairs = np.zeros((len(trials), 3)), []
        for kind, (video, trial) in product(kinds, enumerate(trials)):
            found, truth = ([event for event in events if event.kind == kind] for events in trial)
            matches = match_events(found, truth)
            counts[video] += (len(matches), len(found) - len(matches), len(truth) - len(matches))
            pairs += matches
        tp, fp, fn = counts.sum(axis=0)
        row = {"n_videos": len(trials), "tp": int(tp), "fp": int(fp), "fn": int(fn)}
        with np.errstate(invalid="ignore"):  # NaN without events
            row |= {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": _f1((tp, fp, fn))}
            drawn = [_f1(counts.T @ one) for one in weights]
            interval = percentile_interval(drawn, value=row["f1"], n_units=len(trials))
        row["f1_low"], row["f1_high"] = interval or (nan, nan)
        for at in ("onset", "apex", "offset"):
            errors = [abs(getattr(one, at) - getattr(true, at)) for one, true in pairs]
            row[f"{at}_error"] = np.mean(errors) if errors else nan
        table[name] = row
    return pd.DataFrame(table.values(), index=list(table))


def _f1(counts: Sequence[np.ndarray]) -> np.ndarray:
    tp, fp, fn = counts
    return 2 * tp / (2 * tp + fp + fn)


def spotting_metrics(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `spotting_scores` as metrics of results.json; n is the number of true events."""
    metrics = {}
    for kind, row in scores.iterrows():
        interval = None if np.isnan(row["f1_low"]) else [row["f1_low"], row["f1_high"]]
        metrics[f"spotting_{kind}"] = {
            name: {"value": float(row[name]), "ci95": ci95, "n": int(row["tp"] + row["fn"])}
            for name, ci95 in {"f1": interval, "precision": None, "recall": None}.items()
            if not np.isnan(row[name])
        }
    return metrics


def process_images(pipeline: Pipeline, faces: FaceSet) -> pd.DataFrame:
    """Process each image, 200 pixels large in the middle of a frame of 640x480, as the start of a video.

    The columns, one row an image: `found` (a face was detected), `correct` (so is the label in the frame),
    `direct` (the network is right for the image itself).
    """
    direct = pipeline.stills.predict(faces.images).argmax(axis=1) == faces.labels
    rows = []
    for image, label in zip(faces.images, faces.labels, strict=True):
        large = cv2.resize(image, (200, 200), interpolation=cv2.INTER_CUBIC)
        frame = cv2.copyMakeBorder(large, 140, 140, 220, 220, cv2.BORDER_REPLICATE)
        pipeline.reset()
        found = pipeline.process(Frame(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB), 0.0)).faces
        correct = bool(found) and found[0].label == pipeline.class_names[label]
        rows.append({"found": bool(found), "correct": correct})
    index = pd.Index(faces.sample_id, name="sample")
    return pd.DataFrame(rows, index=index).assign(direct=direct)


def image_metrics(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return `process_images` as metrics: share found, and of these the accuracy in frames and directly."""
    found = table[table["found"]]
    columns = {"found": table["found"], "accuracy": found["correct"], "accuracy_direct": found["direct"]}
    return {name: share_metric(values) for name, values in columns.items() if len(values)}


def share_metric(correct: Sequence[bool]) -> dict[str, Any]:
    """Return a share with its Wilson interval as a metric."""
    count, n = int(sum(correct)), len(correct)
    return {"value": count / n, "ci95": list(wilson_interval(count, n)), "n": n}


def measure_latency(pipeline: Pipeline, frames: Sequence[Frame]) -> pd.DataFrame:
    """Return the seconds of each step for each frame after `WARM_UP`: columns `STEPS`, "draw" and "total"."""
    pipeline.reset()
    rows = []
    for frame in frames:
        start = perf_counter()
        analysis = pipeline.process(frame)
        processed = perf_counter()
        annotate(analysis)
        end = perf_counter()
        rows.append({**analysis.seconds, "draw": end - processed, "total": end - start})
    return pd.DataFrame(rows[WARM_UP:], columns=[*STEPS, "draw", "total"])
