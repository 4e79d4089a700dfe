"""The demo as parameters describe it: networks, model card, pipeline, sources, panel."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np

from fer_utils.data import FaceSet, load_faces
from fer_utils.data.detection import detector
from fer_utils.files import ConfigError, project_path
from fer_utils.live import sources
from fer_utils.live.faces import Tracker
from fer_utils.live.frames import Frame, Problem
from fer_utils.live.panel import Panel
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.session import Session
from fer_utils.onnx import OnnxModel, export_half
from fer_utils.params import FaceParameters, LiveDemo
from fer_utils.predictions import Predictions

REFERENCE = project_path("reports/reference")
NETWORKS = Path(__file__).with_name("networks")  # below a megabyte each
STILLS, CLIPS = "fer2013.onnx", "synthetic_clips.onnx"
RUNS = {STILLS: "40_fastai_transfer--live", CLIPS: "30_cnn3d_smic--live"}  # that trained them
PASSES = 60  # of the synthetic video in the panel: ten minutes with the defaults

SYNTHETIC_NOTE = "a synthetic person: this network was trained on photographs and is often wrong here"

NOT_FOR = (
    "hiring, schooling, policing, border control, insurance, credit or medicine",
    "judging anybody who has not agreed to it",
    "deciding whether somebody lies, is ill, is fit for work or is dangerous",
)
"""Forbidden uses. Inferring emotions at work and at school is illegal in the European Union: Regulation (EU)
2024/1689, Article 5(1)(f)."""

LIMITS = (
    "It names the expression of a face as labellers of images named it. It cannot see what a person feels.",
    "Faces from the side, covered, very small or dark are missed or misclassified; drawings too.",
    "The percentage is the network's own. The notebook compares it with the accuracy on FER-2013; nobody has "
    "measured it with your camera.",
)
FER2013_LIMITS = (
    "FER-2013 was collected by web searches for words of emotion. Age, sex and skin of its people are not "
    "recorded, so that nobody can say for whom it works worse.",
    "FER-2013 has duplicates across its splits, so that an accuracy on it is somewhat too high.",
)
PRIVACY = (
    "To the machine on which this notebook runs and no further. They are processed and forgotten. A video is "
    "kept only while “record” is ticked, until it is downloaded or cleared."
)


def load_network(params: LiveDemo, name: Literal["model", "clip_model"]) -> OnnxModel:
    """Load the network of a parameter: the one in the package, or that of a run folder."""
    value = getattr(params, name)
    shipped, kind = (STILLS, "stills") if name == "model" else (CLIPS, "clips")
    path = NETWORKS / shipped if value == "shipped" else project_path(value)
    model = OnnxModel.read(path, threads=params.threads)
    if model.kind != kind:
        raise ConfigError(f"{name}={value!r}: a network for {kind} is needed, this one is for {model.kind}")
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
    seconds = max(params.seconds, seconds)
    options = {"frame_rate": params.frame_rate, "people": params.people, "seed": params.seed}
    return sources.SyntheticSource(seconds=seconds, passes=passes, **options)


def open_source(params: LiveDemo) -> Iterable[Frame | Problem]:
    """Return the source that the notebook itself analyses."""
    if params.source == "synthetic":
        return synthetic_source(params)
    read = sources.read_video if params.source == "video" else sources.read_folder
    return read(project_path(params.source_path))


def panel_sources(params: LiveDemo, stills: OnnxModel) -> dict[str, Callable[[], Iterable[Frame | Problem]]]:
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
    card = card_html(model_card(pipeline))
    return Panel(Session(pipeline), panel_sources(params, pipeline.stills), card=card)


def model_card(pipeline: Pipeline) -> dict[str, list[str]]:
    """Return the card as lines under headings."""
    on_fer2013 = pipeline.stills.description.dataset == "fer2013"
    models = {"Expressions": pipeline.stills, "Micro-expressions": pipeline.clips}
    return {
        "The networks": [f"{task}: {_about(model)}" for task, model in models.items() if model],
        "Limits": [*LIMITS, *(FER2013_LIMITS if on_fer2013 else ())],
        "Must not be used for": list(NOT_FOR),
        "Where the images go": [PRIVACY],
    }


def _about(model: OnnxModel) -> str:
    about, accuracy = model.description, model.description.metrics["accuracy"]
    only = (
        " (synthetic faces: its predictions for people mean nothing)" if about.source == "synthetic" else ""
    )
    value = f"{100 * accuracy.value:.1f} %"
    if accuracy.ci95 is not None:
        value += " [{:.1f}, {:.1f}]".format(*(100 * end for end in accuracy.ci95))
    return (
        f"{', '.join(model.class_names)}. Trained on {about.dataset}{only}. Accuracy {value}, "
        f"n {accuracy.n:,}: {about.estimate}; {about.split}. From run {about.run}."
    )


def card_html(card: Mapping[str, Sequence[str]]) -> str:
    """Return the card for the panel and the notebook."""
    return "".join(
        f"<h4>{escape(heading)}</h4><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for heading, lines in card.items()
    )


def reference_predictions() -> Predictions:
    """Return the predictions of the shipped network for PrivateTest, from its reference run."""
    return Predictions.load(REFERENCE / RUNS[STILLS] / "predictions.npz")


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
