"""The demo on a network that takes turns, for browser tests: every answer is known, and the log must grow."""

from functools import partial

import numpy as np

from fer_utils.detection import detector
from fer_utils.labels import FER7
from fer_utils.live.panel import Panel
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.session import Session
from fer_utils.live.sources import synthetic
from fer_utils.live.tracking import Tracker

TURN = 10
"""Faces after which the network changes its mind."""


class TurningNetwork:
    """Is 82 % sure of one class for a while, then of the next one."""

    class_names = FER7
    image_size = 48

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, images: np.ndarray) -> np.ndarray:
        probabilities = np.full((len(images), len(FER7)), 0.03)
        for row in probabilities:
            row[self.asked // TURN % len(FER7)] = 0.82
            self.asked += 1
        return probabilities


def panel() -> Panel:
    """Return a panel that finds drawn faces, and whose log grows every second."""
    pipeline = Pipeline(TurningNetwork(), tracker=Tracker(detector("haar"), every=3, most=4))
    sources = {"synthetic": partial(synthetic, seconds=4, frame_rate=12, passes=100)}
    return Panel(Session(pipeline), sources, card="<p>Not for hiring, policing or medicine.</p>")
