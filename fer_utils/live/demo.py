"""The demo as parameters describe it: networks, model card, pipeline, sources, panel."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from fer_utils.data import FaceSet, load_faces
from fer_utils.data.detection import detector
from fer_utils.data.flow_files import CHANNELS, SIDE
from fer_utils.files import ConfigError, project_path
from fer_utils.live import sources
from fer_utils.live.faces import Tracker
from fer_utils.live.frames import Frame, Problem
from fer_utils.live.panel import Panel, Source
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.session import Session
from fer_utils.onnx import OnnxModel, export_half
from fer_utils.params import FaceParameters, LiveDemo
from fer_utils.report import template

REFERENCE = project_path("reports/reference")
NETWORKS = Path(__file__).with_name("networks")  # below a megabyte each
STILLS, CLIPS = "fer2013.onnx", "synthetic_clips.onnx"
RUNS = {STILLS: "40_fastai_transfer--live", CLIPS: "30_cnn3d_smic--live"}  # that trained them
PASSES = 60  # of the synthetic video in the panel: ten minutes with the defaults

SYNTHETIC_NOTE = "a synthetic person: this network was trained on photographs and is often wrong here"


def load_network(params: LiveDemo, name: Literal["model", "clip_model"]) -> OnnxModel:
    """Load the network of a parameter: the one in the package, or that of a run folder."""
    value, shipped = getattr(params, name), STILLS if name == "model" else CLIPS
    path = NETWORKS / shipped if value == "shipped" else project_path(value)
    model = OnnxModel.read(path, threads=params.threads)
    if (model.n_frames is None) != (name == "model"):
        raise ConfigError(f"{name}={value!r}: `model` needs a network for stills, `clip_model` one for clips")
    if model.takes_flow and model.shape != (expected := (len(CHANNELS), SIDE, SIDE)):
        found = f"it takes flow of shape {model.shape}, the demo computes {expected} ({', '.join(CHANNELS)})"
        raise ConfigError(f"{name}={value!r}: {found}; use model.onnx of a run of 31_micro_expressions_flow")
    return model


def build_pipeline(params: LiveDemo) -> Pipeline:
    """Return a new pipeline; it spots movements unless `clip_model` is "none"."""
    coarse, fine = (detector(params.detector, path=params.detector_path, fine=fine) for fine in (False, True))
    return Pipeline(
        load_network(params, "model"),
        clips=None if params.clip_model == "none" else load_network(params, "clip_model"),
        tracker=Tracker(coarse),
        still_tracker=Tracker(fine, every=1),
        light=params.low_light,
        half_life=params.smoothing_seconds,
    )


def synthetic_source(params: LiveDemo, *, seconds: float = 0.0, passes: int = 1) -> sources.SyntheticSource:
    """Return the synthetic video, of `seconds` at least."""
    options = {"frame_rate": params.frame_rate, "people": params.people, "seed": params.seed}
    return sources.SyntheticSource(seconds=max(params.seconds, seconds), passes=passes, **options)


def open_source(params: LiveDemo) -> Iterable[Frame | Problem]:
    """Return the source that the notebook itself analyses."""
    if params.source == "synthetic":
        return synthetic_source(params)
    read = sources.read_video if params.source == "video" else sources.read_folder
    return read(project_path(params.source_path))


def panel_sources(params: LiveDemo, stills: OnnxModel) -> dict[str, Source]:
    """Return the sources of the panel on the side of the kernel."""

    def synthetic() -> Iterator[Frame | Problem]:
        if stills.description.source == "real":
            yield Problem(SYNTHETIC_NOTE)
        yield from synthetic_source(params, passes=PASSES)

    offered = {"synthetic": synthetic, "local camera": partial(sources.read_camera, params.camera_index)}
    if params.source != "synthetic":
        offered[params.source] = partial(open_source, params)
    return offered


def build_panel(params: LiveDemo) -> Panel:
    """Return the panel for JupyterLab and for Voilà's page."""
    pipeline = build_pipeline(params)
    return Panel(Session(pipeline), panel_sources(params, pipeline.stills), card=model_card(pipeline))


def model_card(pipeline: Pipeline, *, limits: bool = True) -> str:
    """Return what the networks were trained on, how accurate they are, and their limits as HTML."""
    models = {"Expressions": pipeline.stills, "Movements": pipeline.clips}
    return template("model_card.html.j2").render(models=models, limits=limits)


def private_test_images(params: LiveDemo) -> FaceSet:
    """Return `params.photographs` random images of FER-2013's PrivateTest in the size of the network."""
    network = load_network(params, "model")
    wanted = FaceParameters(dataset="fer2013", data_path=params.data_path, image_size=network.image_size)
    faces = load_faces(wanted).with_classes(network.class_names)
    test = np.flatnonzero(faces.split == "test")
    chosen = np.random.default_rng(params.seed).permutation(test)[: params.photographs]
    return faces.take(np.sort(chosen))


def export_networks() -> list[Path]:
    """Write the networks in the package from their reference runs, whose `model.onnx` must be present."""
    for name, run in RUNS.items():
        export_half(REFERENCE / run, NETWORKS / name)
    return [NETWORKS / name for name in RUNS]
