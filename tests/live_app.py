"""A panel for browser tests, whose network predicts one class after the other."""

from functools import partial

import numpy as np

from fer_utils.data.detection import detector
from fer_utils.labels import FER7
from fer_utils.live.faces import Tracker
from fer_utils.live.panel import Panel
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.session import Session
from fer_utils.live.sources import SyntheticSource


class ChangingNetwork:
    """Predicts a class with probability 0.82 for ten faces, then the next class."""

    class_names = FER7
    image_size = 48

    def __init__(self) -> None:
        self.n_faces = 0

    def predict(self, images: np.ndarray) -> np.ndarray:
        probabilities = np.full((len(images), len(FER7)), 0.03)
        for row in probabilities:
            row[self.n_faces // 10 % len(FER7)] = 0.82
            self.n_faces += 1
        return probabilities


def panel() -> Panel:
    """Return a panel that finds synthetic faces, and whose log grows every second."""
    pipeline = Pipeline(ChangingNetwork(), tracker=Tracker(detector("haar"), every=3))
    sources = {"synthetic": partial(SyntheticSource, seconds=4, frame_rate=12, passes=100)}
    return Panel(Session(pipeline), sources, card="<p>Not for hiring, policing or medicine.</p>")
