"""The demo as parameters describe it: networks, pipeline, sources and panel."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_utils.data import FaceSet, load_faces
from fer_utils.detection import detector
from fer_utils.files import ConfigError, project_path
from fer_utils.live import card, sources
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.seen import Frame, Problem
from fer_utils.live.session import Session
from fer_utils.live.tracking import Tracker
from fer_utils.onnx import OnnxModel
from fer_utils.params import FaceParameters, LiveDemo
from fer_utils.predictions import Predictions

if TYPE_CHECKING:
    from fer_utils.live.panel import Panel

SHIPPED, NONE = "shipped", "none"
REFERENCE = project_path("reports/reference")
NETWORKS = Path(__file__).with_name("networks")
"""The networks that travel with the package, below a megabyte each."""

STILLS, CLIPS = "fer2013.onnx", "synthetic_clips.onnx"
RUNS = {STILLS: "40_fastai_transfer--live", CLIPS: "30_cnn3d_smic--live"}
"""The runs of the reference profile that they come from; `fer-utils networks` takes them from there."""

PASSES = 60
"""How often the panel shows the drawn video: ten minutes with the defaults."""

DRAWN = "a drawn person: this network has learned from photographs and is often wrong about drawings"


def stills_network(params: LiveDemo) -> OnnxModel:
    """Return the network for expressions: the shipped one, or that of a run folder."""
    return _network(params.model, STILLS, kind="stills", threads=params.threads, name="model")


def clips_network(params: LiveDemo) -> OnnxModel | None:
    """Return the network for micro-expressions, or None for `clip_model: none`."""
    if params.clip_model == NONE:
        return None
    return _network(params.clip_model, CLIPS, kind="clips", threads=params.threads, name="clip_model")


def pipeline(params: LiveDemo, *, movements: bool = True) -> Pipeline:
    """Return a pipeline of its own, with movements looked for or not.

    Raises
    ------
    ConfigError
        For a network or a detector's file that is not there or not usable.
    """
    finder, fine = (detector(params.detector, path=params.detector_path, fine=fine) for fine in (False, True))
    return Pipeline(
        stills_network(params),
        clips=clips_network(params) if movements else None,
        tracker=Tracker(finder, every=params.detect_every, most=params.most_faces),
        pictures=Tracker(fine, every=1, most=params.most_faces),
        light=params.low_light,
        half_life=params.smoothing_seconds,
    )


def drawn(params: LiveDemo) -> sources.SyntheticSource:
    """Return the drawn video that time is measured on, long enough for `latency_frames`."""
    seconds = max(params.seconds, params.latency_frames / params.frame_rate)
    return _choices(params.model_copy(update={"seconds": seconds}))["synthetic"]()


def source(params: LiveDemo) -> Iterable[Frame | Problem]:
    """Return the source that the notebook itself looks at."""
    return _choices(params)[params.source]()


def offered(params: LiveDemo, stills: OnnxModel) -> dict[str, Callable[[], Iterable[Frame | Problem]]]:
    """Return what the panel offers on this side of the browser: names, and what starts a source."""
    choices = _choices(params, passes=PASSES) | {"local camera": partial(sources.camera, params.camera_index)}
    if stills.description.source == "real":
        choices["synthetic"] = partial(_after_a_word, DRAWN, choices["synthetic"])
    return choices


def panel(params: LiveDemo) -> "Panel":
    """Return the panel of JupyterLab and of Voilà's page."""
    from fer_utils.live.panel import Panel

    line = pipeline(params)
    told = card.sections(line.stills, line.clips)
    return Panel(Session(line), offered(params, line.stills), card=card.as_html(told))


def _choices(params: LiveDemo, *, passes: int = 1) -> dict[str, Callable[[], Iterable[Frame | Problem]]]:
    drawn = partial(
        sources.synthetic,
        seconds=params.seconds,
        frame_rate=params.frame_rate,
        people=params.people,
        passes=passes,
        seed=params.seed,
    )
    of_path = {"video": sources.video, "folder": sources.folder}
    choices = {"synthetic": drawn}
    if params.source in of_path:
        choices[params.source] = partial(of_path[params.source], project_path(params.source_path))
    return choices


def _after_a_word(word: str, make: Callable[[], Iterable[Frame | Problem]]) -> Iterator[Frame | Problem]:
    yield Problem(word)
    yield from make()


def _network(given: str, shipped: str, *, kind: str, threads: int, name: str) -> OnnxModel:
    model = OnnxModel.read(NETWORKS / shipped if given == SHIPPED else project_path(given), threads=threads)
    if model.kind != kind:
        raise ConfigError(f"{name}={given!r}: a network for {model.kind}, and one for {kind} is needed here")
    return model


def reported_answers() -> Predictions:
    """Return what the shipped network for expressions answered to PrivateTest, as its run has kept it."""
    return Predictions.load(REFERENCE / RUNS[STILLS] / "predictions.npz")


def ship() -> list[Path]:
    """Write the networks that travel with the package, from their runs; see `RUNS`.

    Raises
    ------
    ConfigError
        Where such a run, with its `model.onnx`, is not on this machine.
    """
    from fer_utils.onnx import export_half

    for name, run in RUNS.items():
        export_half(REFERENCE / run, NETWORKS / name)
    return [NETWORKS / name for name in RUNS]


def photographs(params: LiveDemo) -> FaceSet:
    """Return as many of FER-2013's PrivateTest pictures as the parameters say, as the network takes them.

    Raises
    ------
    MissingData
        Where FER-2013 is not on this machine.
    """
    network = stills_network(params)
    wanted = FaceParameters(dataset="fer2013", data_path=params.data_path, image_size=network.image_size)
    faces = load_faces(wanted)
    faces = faces.with_classes(network.class_names)
    test = np.flatnonzero(faces.split == "test")
    chosen = np.random.default_rng(params.seed).permutation(test)[: params.photographs]
    return faces.take(np.sort(chosen))
