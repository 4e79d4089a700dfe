"""The demo as parameters describe it, and what its card and its own trial say."""

import os

import numpy as np
import pandas as pd
import pytest

from fer_utils.data import load_faces
from fer_utils.files import PROJECT, ConfigError, read_json
from fer_utils.labels import FER7, SMIC3
from fer_utils.live import card, demo, sources, trial
from fer_utils.live.pipeline import DRAWINGS
from fer_utils.live.seen import Event, Frame, Problem, Seen, SeenFace
from fer_utils.onnx import OnnxModel
from fer_utils.params import FaceParameters, LiveDemo, notebook_defaults
from fer_utils.predictions import Predictions

DEFAULTS = notebook_defaults("50_live_demo")


def parameters(**changed: object) -> LiveDemo:
    return LiveDemo.from_values(DEFAULTS | changed, where="test")


@pytest.fixture(scope="module")
def stills() -> OnnxModel:
    return demo.stills_network(parameters())


@pytest.fixture(scope="module")
def clips() -> OnnxModel:
    return demo.clips_network(parameters())


# --- what travels with the package ---------------------------------------------------------------


@pytest.mark.parametrize("name", [demo.STILLS, demo.CLIPS])
def test_a_shipped_network_fits_into_a_megabyte_and_says_what_its_run_measured(name):
    path = demo.NETWORKS / name
    assert path.stat().st_size <= 1_000_000
    told = OnnxModel.read(path).description.model_dump()
    results = read_json(demo.REFERENCE / demo.RUNS[name] / "results.json")
    assert told["run"] == results["run"] and told["source"] == results["dataset"]["source"]
    assert told["metrics"]["accuracy"] == results["metrics"]["accuracy"]
    assert told["split"] == results["protocol"]["split"]


def test_the_shipped_networks_know_the_classes_of_their_data(stills, clips):
    assert stills.class_names == FER7 and stills.image_size == 48
    assert clips.class_names == SMIC3 and clips.n_frames == 18


@pytest.mark.skipif("FER2013_PATH" not in os.environ, reason="FER2013_PATH names no copy of FER-2013")
def test_the_shipped_network_answers_real_pictures_as_its_run_did(stills):
    faces = load_faces(FaceParameters(dataset="fer2013", data_path=os.environ["FER2013_PATH"]))
    test = faces.take(np.flatnonzero(faces.split == "test"))
    kept = Predictions.load(demo.REFERENCE / demo.RUNS[demo.STILLS] / "predictions.npz")
    assert kept.sample_id.tolist() == test.sample_id.tolist()
    answers = stills.predict(test.images)
    # Its weights have 16 bits, and the run's arithmetic had 32.
    np.testing.assert_allclose(answers, kept.probabilities, atol=0.03)
    assert (answers.argmax(axis=1) == kept.probabilities.argmax(axis=1)).mean() > 0.995


def test_a_picture_of_training_looks_the_same_to_the_demo(stills):
    """A file's picture, read for training and cut out of a frame, gives one and the same image."""
    from fer_utils.detection import Box
    from fer_utils.live.crops import STILLS, face_image, square

    faces = load_faces(FaceParameters())
    picture = faces.images[0]
    frame = np.pad(picture, 40)
    box = next(
        Box(64 - side / 2, 64 - side / 2, side, side)
        for side in np.arange(40, 60, 1 / 128)
        if square(Box(64 - side / 2, 64 - side / 2, side, side), framing=STILLS) == (40, 40, 48)
    )
    np.testing.assert_array_equal(face_image(frame, box, size=48, framing=STILLS), picture)


# --- parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": "video"}, "source='video', source_path='': the path names the file or folder"),
        ({"source_path": "a.mp4"}, "source='synthetic', source_path='a.mp4': the path stays empty"),
        ({"detector_path": "a.onnx"}, "it is for yunet; leave it empty"),
        ({"memory_frames": 1000}, "memory_frames=1000: growth counts from frame 1,000 on"),
        ({"frame_rate": 5.0}, "frame_rate=5.0"),
        ({"spotting_frame_rate": 12.0}, "spotting_frame_rate=12.0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changed, said):
    with pytest.raises(ConfigError, match=said):
        parameters(**changed)


def test_a_network_of_the_wrong_kind_is_refused():
    wrong = str(demo.NETWORKS / demo.CLIPS)
    with pytest.raises(ConfigError, match="a network for clips, and one for stills is needed here"):
        demo.pipeline(parameters(model=wrong))


def test_a_run_without_a_network_says_which_runs_have_one():
    with pytest.raises(ConfigError, match=r"no such file; runs of the notebooks 10, 20, 30, 40 and 41"):
        demo.pipeline(parameters(model="reports/smoke/90_summary"))


def test_without_a_network_for_clips_movements_are_not_looked_for():
    assert demo.pipeline(parameters(clip_model="none")).clips is None


def test_people_are_told_that_the_network_has_never_seen_a_drawing(stills):
    first = next(iter(demo.offered(parameters(), stills)["synthetic"]()))
    assert first == Problem(demo.DRAWN)


def test_a_video_or_a_folder_is_offered_when_it_is_named(stills):
    assert set(demo.offered(parameters(), stills)) == {"synthetic", "local camera"}
    named = parameters(source="folder", source_path="data/published")
    (problem,) = demo.offered(named, stills)["folder"]()
    assert isinstance(problem, Problem) and "published" in problem.message


# --- the card ----------------------------------------------------------------------------------------


def test_the_card_says_how_often_it_is_right_and_what_it_is_not_for(stills, clips):
    told = card.sections(stills, clips)
    text = card.as_markdown(told)
    assert "67.5 %" in text and "n 3,589" in text
    assert "drawn" in told["The networks"][1]
    assert all(word in text for word in ("hiring", "border control", "medicine"))
    assert "<script" not in card.as_html({"a": ["<script>alert(1)</script>"]})


# --- the trial ---------------------------------------------------------------------------------------


def a_seen(time: float) -> Seen:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), time)
    return Seen(frame, (SeenFace(1, None, np.array([0.2, 0.8]), "b"),), messages=("look",))


class Repeats:
    """A pipeline that sees the same in every frame."""

    def reset(self) -> list[Event]:
        return []

    def see(self, frame: Frame) -> Seen:
        return a_seen(frame.time)


def test_watching_keeps_some_frames_and_counts_what_was_said():
    frames = [Frame(np.zeros((4, 4, 3), np.uint8), number / 10) for number in range(50)]
    watched = trial.watch(Repeats(), [Problem("one is broken"), *frames], seconds=3.0, keep_every=1.0)
    assert watched.n_frames == 30 and watched.n_empty == 0
    assert [seen.frame.time for seen in watched.kept] == [0.0, 1.0, 2.0]
    assert watched.messages == {"one is broken": 1, "look": 30}
    times, probabilities = watched.timeline()
    assert len(times) == 30 and probabilities.shape == (30, 2)
    with pytest.raises(ValueError, match="no face has the number 2"):
        watched.timeline(2)


def test_what_is_known_of_a_drawn_video_is_told_as_events():
    drawn = sources.synthetic(seconds=10, n_micro=2, n_macro=1, class_names=SMIC3, seed=3)
    known = trial.known(drawn.events[0])
    assert sorted(event.kind for event in known) == ["macro", "micro", "micro"]
    assert all((event.kind == "micro") == (event.seconds <= 0.5) for event in known)


def test_names_are_compared_for_micro_expressions_that_were_found():
    def event(kind: str, label: str, onset: float, offset: float) -> Event:
        return Event(kind, 1, label, onset, (onset + offset) / 2, offset, 1.0)

    truth = (
        event("micro", "negative", 1, 1.4),
        event("macro", "positive", 3, 5),
        event("micro", "surprise", 7, 7.3),
    )
    found = (event("micro", "positive", 1.05, 1.4), event("macro", "negative", 3, 5))
    assert trial.Spotting(found, truth).named == [("negative", "positive")]


def test_naming_is_a_share_with_an_interval():
    record = trial.naming([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")])["accuracy"]
    assert record["value"] == 0.75 and record["n"] == 4
    assert record["ci95"][0] < 0.75 < record["ci95"][1]


def test_photographs_are_each_the_first_frame_of_a_video(stills):
    faces = load_faces(FaceParameters())
    line = demo.pipeline(parameters(clip_model="none"))
    table = trial.photographs(line, faces.take(np.arange(12)))
    assert table["found"].mean() > 0.8 and (table["through"] <= table["found"]).all()
    assert trial.photograph_records(table)["found"]["n"] == 12


def test_people_are_told_that_movements_are_named_by_one_who_knows_drawings(stills):
    line = demo.pipeline(parameters())
    assert line.warning == DRAWINGS
    assert demo.pipeline(parameters(clip_model="none")).warning is None


def test_scores_become_records_without_what_is_not_known():
    row = {
        "tp": 3,
        "fn": 1,
        "f1": 0.8,
        "f1_low": np.nan,
        "f1_high": np.nan,
        "precision": np.nan,
        "recall": 0.75,
    }
    records = trial.records(pd.DataFrame({"micro": row}).T)
    assert records == {
        "spotting_micro": {
            "f1": {"value": 0.8, "ci95": None, "n": 4},
            "recall": {"value": 0.75, "ci95": None, "n": 4},
        }
    }


# --- README ----------------------------------------------------------------------------------------------


def test_readme_says_what_the_reference_run_measured():
    folder = demo.REFERENCE / "50_live_demo"
    measured = read_json(folder / "results.json")["other_metrics"]
    speed = read_json(folder / "latency.json")
    total = speed["steps"][-1]
    ours, usual = (speed["usual_loop"][name]["frames_per_second"] for name in ("this demo", "the usual loop"))
    readme = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    for text in (
        _percent(measured["photographs"]["found"]),
        _percent(measured["photographs"]["accuracy"]),
        _percent(measured["photographs"]["accuracy_direct"]),
        _percent(measured["confidence_90_to_100"]["accuracy"]),
        f"of the {measured['naming_micro']['accuracy']['n']} found",
        _f1(measured["spotting_micro"]["f1"]),
        _f1(measured["spotting_macro"]["f1"]),
        f"a median of {total['median_ms']:.1f} ms a frame (95th percentile {total['p95_ms']:.1f} ms; on "
        f"average {speed['frames_per_second']:.0f} frames a second)",
        f"{ours / usual:.0f} times as fast",
        f"{ours:.0f} against {usual:.0f} frames a second",
        f"Memory grows by {speed['memory_growth_mb']:.1f} MB",
    ):
        assert text in readme
    assert ours > 3 * usual and speed["memory_growth_mb"] < 20


def _percent(record: dict) -> str:
    low, high = (f"{100 * end:.1f}" for end in record["ci95"])
    return f"{100 * record['value']:.1f} % [{low}, {high}]"


def _f1(record: dict) -> str:
    low, high = record["ci95"]
    return f"{record['value']:.2f} [{low:.2f}, {high:.2f}]"
