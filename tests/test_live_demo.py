"""The demo as parameters describe it, its page, and what README says of it."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import nbformat
import numpy as np
import onnx
import pytest

from fer_utils.data import ClipSet, load_faces
from fer_utils.evaluation import evaluate
from fer_utils.features.flow import as_composite
from fer_utils.files import ConfigError, read_json
from fer_utils.live import demo, measurements
from fer_utils.live.frames import Event, Problem
from fer_utils.live.pipeline import CAVEATS, flow_to_apex
from fer_utils.live.sources import SyntheticSource
from fer_utils.live.spotting import Spotter
from fer_utils.onnx import METADATA, OnnxModel, about
from fer_utils.params import FaceParameters, LiveDemo
from fer_utils.predictions import Predictions
from fer_utils.run import notebook_defaults, notebook_path
from fer_utils.synthetic import synthetic_clips


def parameters(**changed: object) -> LiveDemo:
    return LiveDemo.from_values(notebook_defaults("50_live_demo") | changed, where="test")


@pytest.mark.parametrize(("name", "run"), demo.RUNS.items())
def test_shipped_networks_are_small_and_describe_their_runs(name, run):
    file = demo.NETWORKS / name
    assert file.stat().st_size < 1_000_000
    model = OnnxModel.read(file)
    results = read_json(demo.REFERENCE / run / "results.json")
    assert model.description.run == run
    stored = results["metrics"]["accuracy"]
    assert model.description.metrics["accuracy"].value == pytest.approx(stored["value"])


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    return synthetic_clips(n_subjects=2, clips_per_subject=3, frame_rate=50.0)


def flow_network(folder: Path, of: ClipSet, **changes: object) -> str:
    """Write a network with the card of a run of 31: the softmax of the mean of each third of the flow."""
    flows = replace(as_composite(of), **changes)
    result = evaluate(Predictions(flows.sample_id, flows.labels, np.eye(3)[flows.labels], flows.class_names))
    card = about(result, flows, run="31_micro_expressions_flow", split="by subject")
    graph = f"""<ir_version: 9, opset_import: ["": 13]>
    g (uint8[n, {", ".join(map(str, card.shape))}] images) => (float[n, 3] probabilities) {{
        gray = Cast<to=1>(images)  thirds = Constant<value_ints=[0, 3, -1]>()  rows = Reshape(gray, thirds)
        means = ReduceMean<axes=[2], keepdims=0>(rows)  probabilities = Softmax(means) }}"""
    model = onnx.parser.parse_model(graph)
    model.metadata_props.add(key=METADATA, value=card.model_dump_json())
    onnx.save(model, folder / "flow.onnx")
    return str(folder / "flow.onnx")


def test_a_movement_in_a_video_is_classified_by_its_optical_flow(clips, tmp_path):
    source = SyntheticSource(seconds=4.0, frame_rate=15.0)
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (640, 480))
    for frame in source:
        writer.write(np.ascontiguousarray(frame.image[..., ::-1]))
    writer.release()
    video = {"source": "video", "source_path": str(tmp_path / "a.avi")}
    params = parameters(**video, clip_model=flow_network(tmp_path, clips))
    pipeline, items = demo.build_pipeline(params), [Problem("damaged"), *demo.open_source(params)]
    result = measurements.analyze_source(pipeline, items, seconds=3.9)
    found = [event for event in result.events if event.kind != "expression"]
    assert measurements.match_events(found, measurements.true_events(source))
    assert all(event.label in clips.class_names and event.score > 1 / 3 for event in found)
    assert (result.n_frames, result.n_empty, result.messages["damaged"]) == (59, 0, 1)
    assert [round(one.frame.time) for one in result.frames] == [0, 1, 2, 3]
    times, probabilities = result.timeline()
    assert len(times) == 59 and probabilities.shape == (59, 7)


def test_flow_of_a_movement_equals_that_of_the_training_data(clips):
    for frames, apex, flow in zip(clips.clips, clips.apex_position, as_composite(clips).clips, strict=True):
        spotter, times = Spotter(), np.arange(len(frames)) / 64
        for frame, time in zip(frames, times, strict=True):
            spotter.add(frame, float(time))
        movement = Event("micro", 1, "", 0.0, float(times[apex]), float(times[-1]), 1.0)
        assert (flow_to_apex(movement, spotter) == flow).all()


@pytest.mark.parametrize(
    ("dataset", "source", "words"),
    [("synthetic", "synthetic", "on synthetic faces"), ("megc2019", "real", "by another program")],
)
def test_card_says_which_network_classifies_movements(clips, tmp_path, dataset, source, words):
    network = flow_network(tmp_path, clips, name=dataset, source=source)
    pipeline = demo.build_pipeline(parameters(clip_model=network))
    text = demo.model_card(pipeline).partition("Movements: ")[2].partition("</li>")[0]
    parts = ("run 31_micro_expressions_flow", "optical flow", "UF1 1.000 [1.000, 1.000]", "n 6")
    assert all(part in text for part in (*parts, words)) and ("real people" in text) == (source == "real")
    assert pipeline.warning == CAVEATS.get(dataset)


def test_wrong_parameters_say_what_is_needed(clips, tmp_path):
    for shape in ((3, 32, 32), (6, 28, 28)):
        network = flow_network(tmp_path, clips, clips=np.zeros((len(clips), *shape), np.uint8))
        with pytest.raises(ConfigError, match=rf"clip_model=.*{re.escape(str(shape))}.*horizontal"):
            demo.build_pipeline(parameters(clip_model=network))
    with pytest.raises(ConfigError, match=r"model=.*stills"):
        demo.build_pipeline(parameters(model=str(demo.NETWORKS / demo.CLIPS)))
    with pytest.raises(ConfigError, match="90_summary"):
        demo.build_pipeline(parameters(model="reports/smoke/90_summary"))
    with pytest.raises(ConfigError, match="source_path"):
        parameters(source="video")


def test_parameters_choose_networks_and_sources():
    pipeline = demo.build_pipeline(parameters())
    assert pipeline.clips is not None and pipeline.warning
    without = demo.build_pipeline(parameters(clip_model="none"))
    assert without.clips is None and without.warning is None
    assert set(demo.panel_sources(parameters(), pipeline.stills)) == {"synthetic", "local camera"}
    first = next(iter(demo.panel_sources(parameters(), pipeline.stills)["synthetic"]()))
    assert first == Problem(demo.SYNTHETIC_NOTE)
    folder = parameters(source="folder", source_path="data/published")
    (problem,) = demo.panel_sources(folder, pipeline.stills)["folder"]()
    assert "published" in problem.message


def test_card_states_accuracy_and_forbidden_uses():
    text = demo.model_card(demo.build_pipeline(parameters()))
    assert "67.5 %" in text and "n 3,589" in text
    assert all(word in text for word in ("synthetic", "hiring", "border control", "medicine"))


def test_images_of_a_data_set_are_processed_in_frames_and_frames_timed():
    faces = load_faces(FaceParameters(synthetic_subjects=3, synthetic_per_subject=7))
    pipeline = demo.build_pipeline(parameters(clip_model="none"))
    table = measurements.process_images(pipeline, faces.take(np.arange(12)))
    assert table["found"].mean() > 0.8 and (table["correct"] <= table["found"]).all()
    assert measurements.image_metrics(table)["found"]["n"] == 12
    frames = [frame for frame, _ in zip(demo.open_source(parameters()), range(20), strict=False)]
    seconds = measurements.measure_latency(pipeline, frames).sum()
    assert (seconds.drop("total") < seconds["total"]).all()


def test_page_executes_only_its_cells_on_127_0_0_1(monkeypatch):
    from fer_utils.live import page

    started = {}
    monkeypatch.setattr(page.Page, "launch_instance", lambda argv, config: started.update(config))
    page.serve(notebook_path("50_live_demo"), port=1, open_browser=False, parameters={"seed": 7})
    assert started["Voila"]["config_file_paths"] == [str(page.SETTINGS)]
    settings = read_json(page.SETTINGS / "voila.json")["Voila"]
    assert settings["ip"] == "127.0.0.1" and settings["auto_token"]
    policy = settings["tornado_settings"]["headers"]["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    notebook = nbformat.read(notebook_path("50_live_demo"), as_version=4)
    cells = started["VoilaConfiguration"]["prelaunch_hook"](None, notebook=notebook, cwd="").cells
    assert any("seed = 7" in cell.source for cell in cells)
    assert "build_panel" in cells[-1].source and all("measurements" not in cell.source for cell in cells)
