"""Compare the demo with the usual loop of such demos. ``python benchmarks/live_demo.py [--write]``.

Both process the same synthetic video of 640x480 pixels with the same network, bamb2023's CNN with random
weights. The usual loop runs the Haar cascade on every whole frame and Keras' `predict` for each face; the
demo runs without spotting. Rounds alternate; the medians over rounds are printed. Then memory is measured
over 10,000 frames with the shipped networks. ``--write`` writes ``benchmarks/live_demo.json``, the source of
README's numbers.
"""

import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import pandas as pd
import psutil

from fer_utils.data.detection import Haar
from fer_utils.files import write_json
from fer_utils.hardware import processor_name
from fer_utils.labels import FER7
from fer_utils.live import demo
from fer_utils.live.frames import Analysis, Face, Frame, annotate
from fer_utils.live.measurements import WARM_UP, measure_latency
from fer_utils.live.pipeline import Pipeline
from fer_utils.models import baseline
from fer_utils.onnx import Card, export
from fer_utils.params import BaselineCNN, LiveDemo
from fer_utils.run import notebook_defaults

ROUNDS = 3
N_FRAMES = 600
MEMORY_FRAMES, MEMORY_AFTER = 10_000, 1_000
ABOUT_NETWORK = {
    "run": "none",
    "notebook": "50_live_demo",
    "dataset": "none",
    "source": "synthetic",
    "metrics": {"accuracy": {"value": 0.0, "ci95": None, "n": 1}},
    "estimate": "none: the weights are random, and only time is measured",
    "split": "none",
    "preprocessing": "gray, 48x48 pixels, 0 to 255",
}


def usual_loop(model: Any, frames: list[Frame]) -> np.ndarray:
    """Return the seconds of every frame after `WARM_UP` in the usual loop."""
    size = int(model.input_shape[1])
    detector = Haar(smallest=0, longest_side=None)
    seconds = []
    for frame in frames:
        start = perf_counter()
        gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        faces = []
        for number, box in enumerate(detector.find(gray), start=1):
            x, y, width, height = map(int, box)
            crop = cv2.resize(gray[y : y + height, x : x + width], (size, size))
            probabilities = model.predict(crop[None, :, :, None], verbose=0)[0]
            faces.append(Face(number, box, probabilities, FER7[int(probabilities.argmax())]))
        annotate(Analysis(frame, tuple(faces)))
        seconds.append(perf_counter() - start)
    return np.array(seconds[WARM_UP:])


def memory_growth(pipeline: Pipeline, frames: list[Frame]) -> float:
    """Return by how many MiB resident memory grows from `MEMORY_AFTER` to `MEMORY_FRAMES` frames."""
    pipeline.reset()
    process, before = psutil.Process(), 0
    for number, frame in enumerate(islice(cycle(frames), MEMORY_FRAMES), start=1):
        annotate(pipeline.process(Frame(frame.image, number * frames[1].time)))
        if number == MEMORY_AFTER:
            before = process.memory_info().rss
    return (process.memory_info().rss - before) / 2**20


def main() -> None:
    params = LiveDemo.from_values(notebook_defaults("50_live_demo"), where="benchmark")
    frames = list(islice(demo.synthetic_source(params, seconds=N_FRAMES / params.frame_rate), N_FRAMES))
    settings = notebook_defaults("10_baseline_cnn") | {"architecture": "bamb2023", "seed": params.seed}
    model = baseline.build(BaselineCNN(**settings), n_classes=len(FER7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(model, path, Card(class_names=FER7, image_size=48, n_frames=None, description=ABOUT_NETWORK))
        pipeline = demo.build_pipeline(params.model_copy(update={"model": str(path), "clip_model": "none"}))
    seconds: dict[str, list[np.ndarray]] = {"this demo": [], "the usual loop": []}
    for _ in range(ROUNDS):
        seconds["this demo"].append(measure_latency(pipeline, frames)["total"].to_numpy())
        seconds["the usual loop"].append(usual_loop(model, frames))
    rows = {
        name: {
            "median_ms": float(np.median([1000 * np.median(one) for one in rounds])),
            "p95_ms": float(np.median([1000 * np.quantile(one, 0.95) for one in rounds])),
            "frames_per_second": float(np.median([len(one) / one.sum() for one in rounds])),
        }
        for name, rounds in seconds.items()
    }
    growth = memory_growth(demo.build_pipeline(params), frames)
    print(pd.DataFrame(rows).T.round(1))
    print(f"memory grew by {growth:.1f} MB from frame {MEMORY_AFTER:,} to {MEMORY_FRAMES:,}")
    if "--write" in sys.argv:
        about = {
            "hardware": processor_name(),
            "threads": params.threads,
            "frames": N_FRAMES,
            "rounds": ROUNDS,
        }
        content = about | {"loops": rows, "memory_growth_mb": growth}
        write_json(Path(__file__).with_suffix(".json"), content)


if __name__ == "__main__":
    main()
