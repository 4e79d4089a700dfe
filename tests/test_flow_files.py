"""Flow of MEGC 2019 is read in both forms, and what is wrong with a copy is named."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_utils.data import registry
from fer_utils.data.flow_files import FlowFiles
from fer_utils.evaluation import evaluate
from fer_utils.features import flow
from fer_utils.predictions import Predictions
from fer_utils.synthetic import synthetic_clips

READER = FlowFiles("megc2019")
PEOPLE = {"smic": "s1", "casme2": "sub02", "samm": "006"}


@pytest.fixture(scope="module")
def flows():
    clips = synthetic_clips(n_subjects=3, clips_per_subject=4, size=48, n_frames=8, frame_rate=100.0, seed=0)
    return flow.as_composite(clips)


@pytest.fixture
def arrays(flows) -> dict[str, np.ndarray]:
    """Return the arrays of a small file: one person of each data set."""
    datasets = np.array([*PEOPLE])[np.unique(flows.subject, return_inverse=True)[1]]
    clip = np.char.add("clip", np.arange(len(flows)).astype(str))
    found = {"x": np.moveaxis(flows.clips, 1, 3), "y": flows.labels.astype(np.uint8), "clip": clip}
    return found | {"dataset": datasets, "subject": np.array([PEOPLE[one] for one in datasets])}


def test_arrays_and_folders_are_the_same_clips_and_what_is_wrong_is_named(arrays, tmp_path):
    np.savez(tmp_path / "flow442.npz", **arrays)
    folder = tmp_path / "three_norm_u_v_os"
    columns = (arrays[key] for key in ("x", "subject", "y", "clip"))
    for image, subject, label, clip in zip(*columns, strict=True):
        file = folder / subject / "u_test" / str(label) / f"{subject}_{clip} .png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    one, other = READER.read(READER.find(tmp_path)), READER.read(folder)
    assert one.fingerprint == other.fingerprint and set(one.sample_id) == set(other.sample_id)
    assert one.clips.shape == (len(arrays["y"]), 3, 28, 28) and "smic/s1/clip0" in one.sample_id
    assert "incomplete: smic: " in one.notes[0] and "not [70, 51, 43] of 16" in one.notes[0]
    Image.new("RGB", (20, 20)).save(folder / "s1" / "u_test" / "0" / "small.png")
    with pytest.raises(ValueError, match=r"small\.png: 20x20 pixels, not 28x28"):
        READER.read(folder)
    (folder / "s1").rename(folder / "person1")
    with pytest.raises(ValueError, match="subjects like sub01, 006 and s01"):
        READER.read(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x", lambda x: x[..., ::-1], "look like horizontal in 2, vertical in 1, strain in 0"),
        ("x", lambda x: x[:, :20], r"not uint8 \(N, 28, 28, 3\)"),
        ("clip", lambda clip: np.full(len(clip), "a"), r"the clip casme2/sub02/a is there .* in classes"),
        ("y", lambda y: y + 1, "has class 3, not 0 to 2"),
        ("dataset", lambda dataset: np.full(len(dataset), "mmew"), "dataset 'mmew', not one of smic"),
        ("subject", lambda subject: subject[:1], "not readable as flow of clips"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(name, change, message, arrays, tmp_path):
    np.savez(tmp_path / "flow442.npz", **arrays | {name: change(arrays[name])})
    with pytest.raises(ValueError, match=message):
        READER.read(tmp_path / "flow442.npz")


def test_mirrored_flow_is_that_of_the_mirrored_face(flows):
    doubled = flow.with_mirrored(flows)
    assert doubled.subject.tolist() == 2 * flows.subject.tolist()
    mirrored = doubled.clips[len(flows) :]
    assert (mirrored[:, 1:] == flows.clips[:, 1:, :, ::-1]).all()
    assert (mirrored[:, 0] + flows.clips[:, 0, :, ::-1] == 255).all()


def test_ststnets_published_predictions_give_its_scores():
    if not (data := os.environ.get("MEGC2019_PATH")):
        pytest.skip("MEGC2019_PATH names no copy of the flow")
    path = registry.find("megc2019", data)
    flows = READER.read(path)
    assert flows.notes == () and len(np.unique(flows.subject)) == 68
    published = pd.read_csv(path.with_name("ststnet_published_predictions.csv"), dtype=str)
    published.index = published[["dataset", "subject", "clip"]].agg("/".join, axis=1)
    smic = np.char.startswith(flows.sample_id, "smic/")
    scores = {
        "matlab_log": (0.7353, 0.7186, 0.6801, 0.6703),
        "python_weights": (0.7209, 0.7250, 0.6871, 0.6876),
    }
    for column, expected in scores.items():
        answers = np.eye(3)[published.loc[flows.sample_id, column].astype(int)]
        found = Predictions(flows.sample_id, flows.labels, answers, flows.class_names)
        metrics = [evaluate(one, n_boot=0).metrics for one in (found, found.subset(smic))]
        values = [one[name]["value"] for one in metrics for name in ("macro_f1", "balanced_accuracy")]
        assert values == pytest.approx(expected, abs=5e-5)
        if column == "matlab_log":  # what the paper prints as UAR is the mean precision
            precision = [row["precision"] for row in evaluate(found, n_boot=0).per_class]
            assert np.mean(precision) == pytest.approx(0.7605, abs=5e-5)
