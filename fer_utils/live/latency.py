"""How fast the demo is, where the time goes, and whether memory grows."""

from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd

from fer_utils.files import write_json
from fer_utils.live.drawing import annotated
from fer_utils.live.pipeline import STEPS, Pipeline
from fer_utils.live.seen import Frame

SHOWN = "draw"
"""The step after the pipeline's: box, label and percentage."""

WARM_UP = 10
"""Frames that are not counted: the first ones load libraries and find the face."""


def measure(pipeline: Pipeline, frames: Sequence[Frame]) -> pd.DataFrame:
    """Return the seconds that every step of every frame took.

    Parameters
    ----------
    pipeline : Pipeline
        Reset before.
    frames : sequence of Frame
        Decoded already, so that reading a video is not part of it. The first `WARM_UP` are not counted.

    Returns
    -------
    DataFrame
        A row for each frame; columns are the pipeline's `STEPS`, "draw", and "total", which is measured by
        itself and holds what lies between the steps too.
    """
    pipeline.reset()
    rows = []
    for frame in frames:
        began = perf_counter()
        seen = pipeline.see(frame)
        drawing = perf_counter()
        annotated(seen, pipeline.class_names)
        ended = perf_counter()
        rows.append({**seen.seconds, SHOWN: ended - drawing, "total": ended - began})
    return pd.DataFrame(rows[WARM_UP:], columns=[*STEPS, SHOWN, "total"])


def table(seconds: pd.DataFrame) -> pd.DataFrame:
    """Return median and 95th percentile of each step in milliseconds, and its share of all the time."""
    quantiles = 1000 * seconds.quantile([0.5, 0.95]).T
    quantiles.columns = ["median_ms", "p95_ms"]
    return quantiles.assign(share=seconds.sum() / seconds["total"].sum()).rename_axis("step")


def memory_growth(pipeline: Pipeline, frames: Iterable[Frame], *, n_frames: int, after: int = 1000) -> float:
    """Return by how many megabytes (2**20) resident memory grows from frame `after` to frame `n_frames`.

    Parameters
    ----------
    pipeline : Pipeline
    frames : iterable of Frame
        Shown over and over, with times that go on.
    n_frames, after : int
    """
    import psutil

    pipeline.reset()
    process, kept = psutil.Process(), list(frames)
    step = kept[1].time - kept[0].time
    before = 0
    for number, frame in enumerate(islice(cycle(kept), n_frames), start=1):
        seen = pipeline.see(Frame(frame.image, number * step))
        annotated(seen, pipeline.class_names)
        if number == after:
            before = process.memory_info().rss
    return (process.memory_info().rss - before) / 2**20


def write(
    path: str | Path, seconds: pd.DataFrame, *, hardware: str, threads: int, video: str, **further: Any
) -> Path:
    """Write `latency.json`: the table, frames per second, on what, and further blocks as they are given."""
    rows = table(seconds).round(4).reset_index().to_dict("records")
    rate = round(len(seconds) / float(seconds["total"].sum()), 2)
    heading = {"video": video, "hardware": hardware, "threads": threads, "frames": len(seconds)}
    return write_json(path, heading | {"frames_per_second": rate, "steps": rows} | further)
