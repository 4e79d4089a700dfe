"""The demo as parameters describe it, its page, and what README says of it."""

import nbformat
import numpy as np
import pytest

from fer_utils.data import load_faces
from fer_utils.files import ConfigError, read_json
from fer_utils.live import demo, measurements
from fer_utils.live.frames import Analysis, Face, Frame, Problem
from fer_utils.onnx import OnnxModel
from fer_utils.params import FaceParameters, LiveDemo
from fer_utils.run import notebook_defaults, notebook_path


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


def test_wrong_parameters_say_what_is_needed():
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


class FakePipeline:
    def reset(self) -> list:
        return []

    def process(self, frame: Frame) -> Analysis:
        return Analysis(frame, (Face(1, None, np.array([0.2, 0.8]), "b"),), messages=("look",))


def test_analysis_of_a_source_counts_messages_and_stops_in_time():
    frames = [Frame(np.zeros((4, 4, 3), np.uint8), number / 10) for number in range(50)]
    result = measurements.analyze_source(FakePipeline(), [Problem("damaged"), *frames], seconds=3.0)
    assert (result.n_frames, result.n_empty) == (30, 0)
    assert [analysis.frame.time for analysis in result.frames] == [0.0, 1.0, 2.0]
    assert result.messages == {"damaged": 1, "look": 30}
    times, probabilities = result.timeline()
    assert len(times) == 30 and probabilities.shape == (30, 2)


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
