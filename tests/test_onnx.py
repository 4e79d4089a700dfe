"""A network written as ONNX answers as its framework does and says what it is; no other file is accepted."""

import json
import string
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fer_utils import onnx_export, onnx_model
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.faceset import FaceSet
from fer_utils.evaluation import Predictions, evaluate
from fer_utils.features.hog import HOG
from fer_utils.files import ConfigError
from fer_utils.onnx_model import METADATA, Card, OnnxModel

NAMES = ("negative", "positive", "surprise")
TOLD = {
    "run": "40_fastai_transfer--tiny",
    "notebook": "40_fastai_transfer",
    "dataset": "drawn faces",
    "source": "synthetic",
    "metrics": {"accuracy": {"value": 0.5, "ci95": [0.25, 0.75], "n": 12}},
    "estimate": "of this network, on the test part, looked at once",
    "split": "by subject; naïve “quotes”",
    "preprocessing": "gray, 16x16 pixels, 0 to 255; the network scales them",
}
SMALL_HOG = HOG(pixels_per_cell=(4, 4), cells_per_block=(2, 2))
FAMILIES = {
    "raw": (16, None),
    "hybrid": (16, None),
    "cnn3d": (8, 17),
    "small_resnet": (16, None),
    "resnet18": (48, None),
    "rescaled": (13, None),
}
"""Name -> the image size, and the frames of a clip."""


@pytest.fixture(scope="module")
def fastai_fit():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    return fastai_fit


def build(family: str):
    """Return a network as the notebooks build it, but small, as after a training: in training mode."""
    from torch import nn

    from fer_utils.models import dubey2020, kishor2022, small_resnet, transfer

    size, n_frames = FAMILIES[family]
    three = {"n_classes": 3, "seed": 0}
    if family in ("raw", "hybrid"):
        how = {"features": family, "hog": SMALL_HOG, "batch_norm": True}
        return kishor2022.Kishor2022(**how, image_size=size, n_classes=3)
    if family == "cnn3d":
        return dubey2020.Dubey2020("swish", "change", n_classes=3, n_frames=n_frames, image_size=size)
    if family == "rescaled":  # enlarged, where resnet18 is given pictures that are made smaller
        layers = (transfer.ImageNetInput(32), nn.Conv2d(3, 3, 5), nn.AdaptiveMaxPool2d(1), nn.Flatten())
        return nn.Sequential(*layers)
    network = small_resnet.build(width=0.25, **three)
    if family == "small_resnet":
        from torch import channels_last

        network.to(memory_format=channels_last)  # as a training leaves it
    return network


@pytest.fixture(scope="module")
def written(fastai_fit, tmp_path_factory):
    """Return a function from a family to its network and the file that was written of it, once."""
    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def of(family: str):
        network, path = build(family), folder / f"{family}.onnx"
        onnx_export.export_torch(network, path, **form(family))
        return network, path

    return of


def form(family: str) -> dict:
    size, n_frames = FAMILIES[family]
    return {"class_names": NAMES, "image_size": size, "n_frames": n_frames, "description": TOLD}


def images(model: Card, n: int, *, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *model.shape), dtype=np.uint8)


# --- what is written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_answers_as_its_network_does(written, fastai_fit, family):
    network, path = written(family)
    model = OnnxModel.read(path)
    for n in (1, 3):
        given = images(model, n)
        said = model.predict(given)
        assert (said.shape, said.dtype) == ((n, 3), np.float32)
        np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(said, fastai_fit.predict_probabilities(network, given), atol=1e-5)


def test_many_images_go_through_in_batches_and_none_is_no_error(written, monkeypatch):
    model = OnnxModel.read(written("raw")[1])
    given = images(model, 7)
    at_once = model.predict(given)
    monkeypatch.setattr(onnx_model, "BATCH", 3)
    np.testing.assert_allclose(model.predict(given), at_once, atol=1e-6)
    assert model.predict(given[:0]).shape == (0, 3)


def test_images_may_lie_in_memory_in_any_order(written):
    model = OnnxModel.read(written("raw")[1])
    given = images(model, 4)
    turned = given.transpose(0, 2, 1)
    straight = model.predict(np.ascontiguousarray(turned))
    np.testing.assert_allclose(model.predict(turned), straight, atol=1e-6)


@pytest.mark.parametrize("family", ["hybrid", "cnn3d", "resnet18"])
def test_half_precision_halves_the_file_and_hardly_changes_an_answer(written, tmp_path, family):
    whole, half = written(family)[1], tmp_path / "half.onnx"
    onnx_export.export_half(whole, half)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    models = [OnnxModel.read(path) for path in (whole, half)]
    assert [model.description["precision"] for model in models] == ["float32", "float16"]
    given = images(models[0], 5)
    np.testing.assert_allclose(models[0].predict(given), models[1].predict(given), atol=2e-2)


def test_a_network_is_written_in_half_precision_at_once(written, tmp_path):
    network, path = written("raw")
    onnx_export.export_torch(network, tmp_path / "half.onnx", half=True, **form("raw"))
    onnx_export.export_half(path, tmp_path / "halved.onnx")
    half, halved = (OnnxModel.read(tmp_path / name) for name in ("half.onnx", "halved.onnx"))
    assert half.to_json() == halved.to_json()
    given = images(half, 3)
    np.testing.assert_allclose(half.predict(given), halved.predict(given), atol=1e-6)
    graph = onnx.load(half.file).graph
    stored = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    users = [node.op_type for node in graph.node if stored & set(node.input)]
    assert stored and users == ["Cast"] * len(stored)  # everything is computed in 32 bits


def test_weights_that_16_bits_cannot_hold_keep_32(tmp_path):
    large = numpy_helper.from_array(np.full((1, 16), 1e5, np.float32), "large")
    whole = foreign(tmp_path / "whole.onnx", weights=large, **{METADATA: of_sixteen()})
    onnx_export.export_half(whole, tmp_path / "half.onnx")
    models = [OnnxModel.read(path) for path in (whole, tmp_path / "half.onnx")]
    given = images(models[0], 9)
    np.testing.assert_allclose(models[0].predict(given), models[1].predict(given), atol=1e-6)


def test_writing_is_quiet_changes_no_network_and_gives_the_same_bytes(written, tmp_path, capfd, recwarn):
    import torch

    network, path = written("raw")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    onnx_export.export_torch(network, tmp_path / "again.onnx", **form("raw"))
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("family", ["raw", "hybrid"])
def test_a_file_knows_nothing_of_the_machine_that_wrote_it(written, family):
    content = written(family)[1].read_bytes()
    for trace in (Path(__file__).parents[1], Path.home(), "site-packages", ".py"):
        assert str(trace).encode() not in content


def test_a_file_that_answers_otherwise_is_not_written(written, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "TOLERANCE", onnx_export.TOLERANCE | {"float16": 1e-9})
    with pytest.raises(RuntimeError, match=r"not written, because .* differ by up to .*, accepted is 1e-09"):
        onnx_export.export_half(written("raw")[1], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_a_description_is_not_written(fastai_fit, tmp_path):
    short = {key: value for key, value in TOLD.items() if key not in ("dataset", "split")}
    with pytest.raises(ConfigError, match="description lacks dataset, split"):
        onnx_export.export_torch(build("raw"), tmp_path / "a.onnx", **form("raw") | {"description": short})
    assert list(tmp_path.iterdir()) == []


def test_a_network_with_other_classes_is_not_written(fastai_fit, tmp_path):
    with pytest.raises(ConfigError, match="2 class_names, for a network that has 3 classes"):
        onnx_export.export_torch(
            build("rescaled"), tmp_path / "a.onnx", **form("rescaled") | {"class_names": NAMES[:2]}
        )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_classifier_of_hog_alone_is_written_with_its_hog(fastai_fit, tmp_path, n_classes):
    from fer_utils.features.hog_torch import hog_features
    from fer_utils.models import kishor2022

    random = np.random.default_rng(0)
    given = random.integers(0, 256, (30, 16, 16), dtype=np.uint8)
    given[:, :4] = 7  # what never changes has no spread to divide by
    classifier = kishor2022.hog_classifier(c=0.1)
    classifier.fit(hog_features(given, SMALL_HOG), np.arange(30) % n_classes)
    onnx_export.export_hog(
        classifier,
        tmp_path / "hog.onnx",
        hog=SMALL_HOG,
        class_names=NAMES[:n_classes],
        image_size=16,
        description=TOLD,
    )
    expected = classifier.predict_proba(hog_features(given, SMALL_HOG))
    np.testing.assert_allclose(OnnxModel.read(tmp_path / "hog.onnx").predict(given), expected, atol=1e-5)


# --- what a file says of itself ----------------------------------------------------------------------------


def test_what_a_file_says_is_read_again(written):
    model = OnnxModel.read(written("cnn3d")[1])
    assert (model.kind, model.class_names) == ("clips", NAMES)
    assert (model.image_size, model.n_frames, model.shape) == (8, 17, (17, 8, 8))
    assert model.description == TOLD | {"precision": "float32"}
    stills = OnnxModel.read(written("raw")[1])
    assert (stills.kind, stills.n_frames, stills.shape) == ("stills", None, (16, 16))


def faces(n: int = 12) -> FaceSet:
    return FaceSet(
        name="some faces",
        source="real",
        images=np.zeros((n, 48, 48), dtype=np.uint8),
        labels=np.arange(n) % 3,
        class_names=NAMES,
        split=np.full(n, "test"),
        sample_id=np.arange(n).astype(str),
    )


def clips(sampling: str) -> ClipSet:
    still, zeros = faces(), np.zeros(12, dtype=np.int64)
    return ClipSet(
        name="some clips",
        source="synthetic",
        clips=np.zeros((12, 18, 32, 32), dtype=np.uint8),
        labels=still.labels,
        class_names=NAMES,
        sample_id=still.sample_id,
        subject=np.full(12, "a"),
        frame_rate=np.full(12, 100.0),
        onset=zeros,
        apex=zeros,
        offset=zeros + 9,
        origin={"sampling": sampling},
    )


@pytest.fixture(scope="module")
def result():
    truth = np.arange(12) % 3
    said = np.full((12, 3), 0.25) + 0.25 * np.eye(3)[truth // 2]
    return evaluate(Predictions(np.arange(12).astype(str), truth, said, NAMES), n_boot=20)


def test_a_run_knows_what_its_file_must_say(result):
    about = onnx_export.about(result, faces(), run="10_baseline_cnn--x", split="official")
    card = Card(**about | {"description": about["description"] | {"precision": "float32"}})
    assert Card.from_json(card.to_json()) == card
    told = card.description
    assert (told["run"], told["notebook"]) == ("10_baseline_cnn--x", "10_baseline_cnn")
    assert (told["dataset"], told["source"], told["split"]) == ("some faces", "real", "official")
    assert told["metrics"]["accuracy"] == result.metrics["accuracy"]
    assert "48x48 pixels" in told["preprocessing"]


@pytest.mark.parametrize(
    ("sampling", "words"), [("interpolate", "at even times"), ("first", "the first from onset on")]
)
def test_of_clips_a_file_says_when_their_frames_are(result, sampling, words):
    about = onnx_export.about(
        result,
        clips(sampling),
        run="30_cnn3d_smic",
        split="leave one subject out",
        estimate=onnx_export.beside(4),
    )
    assert (about["image_size"], about["n_frames"]) == (32, 18)
    assert about["description"]["preprocessing"].startswith(f"18 frames, {words}")
    assert "tested on nobody" in about["description"]["estimate"]


def test_the_first_of_several_networks_is_said_to_be_that():
    assert onnx_export.first_of(1) == onnx_export.OWN
    assert "pooled over 5 networks" in onnx_export.first_of(5)


@given(
    names=st.lists(st.text(min_size=1, max_size=50), min_size=2, max_size=9, unique=True),
    size=st.integers(1, 5000),
    frames=st.none() | st.integers(1, 100),
    value=st.floats(0, 1),
    texts=st.text(min_size=1),
)
def test_every_card_is_read_as_it_was_written(names, size, frames, value, texts):
    metrics = {"accuracy": {"value": value, "ci95": None, "n": 1}}
    told = TOLD | {"precision": "float16", "split": texts, "metrics": metrics}
    card = Card(tuple(names), size, frames, told)
    assert Card.from_json(card.to_json()) == card


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(["class_names", "image_size", "n_frames", "description"]), value=VALUES)
def test_anything_else_in_a_card_is_refused(key, value):
    card = {"class_names": NAMES, "image_size": 16, "n_frames": None, "description": told()}
    try:
        read = Card.from_json(json.dumps(card | {key: value}))
    except ConfigError:
        return
    assert key in ("image_size", "n_frames", "class_names")
    assert read.n_frames is None or read.n_frames >= 1
    assert read.image_size >= 1


@given(
    key=st.sampled_from([*TOLD, "precision"]),
    value=VALUES.filter(lambda value: not isinstance(value, str)),
)
def test_anything_else_in_a_description_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"description.{key}"):
        Card(NAMES, 16, None, told() | {key: value})


@pytest.mark.parametrize("record", [{}, None, {"value": 1}, {"value": float("nan"), "ci95": None, "n": 2}])
def test_a_metric_needs_its_interval_and_its_n(record):
    with pytest.raises(ConfigError, match=r"description\.metrics\.accuracy must have value, ci95"):
        Card(NAMES, 16, None, told() | {"metrics": {"accuracy": record}})


def told() -> dict:
    return TOLD | {"precision": "float32"}


# --- what is read ------------------------------------------------------------------------------------------


def test_a_run_folder_stands_for_its_file(written, tmp_path):
    (tmp_path / "model.onnx").write_bytes(written("raw")[1].read_bytes())
    assert OnnxModel.read(tmp_path).file == tmp_path / "model.onnx"


@pytest.mark.parametrize("place", ["", "no/such/folder", "other.onnx"])
def test_a_file_that_is_not_there_is_named_with_what_writes_one(tmp_path, place):
    with pytest.raises(
        ConfigError, match=r"(model\.onnx|other\.onnx|folder): no such file; runs of the notebooks 10"
    ):
        OnnxModel.read(tmp_path / place)


@pytest.mark.parametrize(
    "content", [b"", b"not a network\n" * 9, b"\xff" * 50, b"PK\x03\x04 a pickle in a zip", None]
)
def test_a_file_of_another_format_is_named(written, tmp_path, content):
    path = tmp_path / "x.onnx"
    path.write_bytes(written("raw")[1].read_bytes()[:5000] if content is None else content)
    with pytest.raises(ConfigError, match=r"x\.onnx: not usable as an ONNX network"):
        OnnxModel.read(path)


def test_a_file_too_large_is_not_even_opened(written, monkeypatch):
    monkeypatch.setattr(onnx_model, "LARGEST_FILE", 1000)
    with pytest.raises(ConfigError, match=r"raw\.onnx: [\d,]+ bytes; 1,000 are accepted at most"):
        OnnxModel.read(written("raw")[1])


def test_threads_are_at_least_one(written):
    with pytest.raises(ConfigError, match="threads=0"):
        OnnxModel.read(written("raw")[1], threads=0)


def foreign(
    path: Path,
    *,
    weights: TensorProto | None = None,
    op: str = "Flatten",
    end: str = "Softmax",
    **metadata: str,
) -> Path:
    """Write a graph from 4x4 images to 16 probabilities: the softmax of the pixels times `weights`."""
    nodes = [
        helper.make_node("Cast", ["images"], ["gray"], to=TensorProto.FLOAT),
        helper.make_node(op, ["gray"], ["flat"], domain="" if op == "Flatten" else "somebody"),
        helper.make_node("Mul", ["flat", weights.name if weights else "flat"], ["product"]),
        helper.make_node(end, ["product"], ["probabilities"]),
    ]
    taken = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 4, 4])
    given = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 16])
    graph = helper.make_graph(nodes, "g", [taken], [given], [weights] if weights else [])
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("somebody", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def of_sixteen(**changes: object) -> str:
    card = {"class_names": list(string.ascii_lowercase[:16]), "image_size": 4, "n_frames": None}
    return json.dumps(card | {"description": told()} | changes)


@pytest.mark.parametrize(("metadata", "found"), [({}, "none at all"), ({"author": "x"}, "only author")])
def test_a_network_of_somebody_else_is_told_what_is_missing(tmp_path, metadata, found):
    with pytest.raises(ConfigError, match=rf"without the metadata key 'fer_utils' \({found}\)"):
        OnnxModel.read(foreign(tmp_path / "x.onnx", **metadata))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not readable as JSON"),
        ("[" * 50_000, "not readable as JSON"),
        ("[]", "must have the keys class_names, image_size, n_frames, description, and has list"),
        ("{}", "must have the keys .*, and has none"),
        (" " * 70_000, "70,000 characters; 64,000 are accepted at most"),
        (of_sixteen(class_names="abc"), "class_names must be texts"),
        (of_sixteen(class_names=["a", "a"]), "class_names must be two or more, each once; got a, a"),
        (of_sixteen(class_names=["a", "b" * 51]), "class_names must be texts of 1 to 50 characters"),
        (of_sixteen(image_size=4.0), r"image_size must be a whole number of pixels, got 4\.0"),
        (of_sixteen(n_frames=True), "n_frames must be a whole number, or null for stills, got True"),
        (of_sixteen(description=None), "description lacks run, notebook, .*, metrics"),
        (of_sixteen(description=told() | {"source": "guessed"}), "description.source must be real or synth"),
        (of_sixteen(description=told() | {"metrics": {}}), "description.metrics must have accuracy"),
        (of_sixteen(description=told() | {"split": "x" * 2001}), "description.split must be a text"),
        (of_sixteen(image_size=5), r"graph has images tensor\(uint8\) \(N, 4, 4\), .* it has .* \(N, 5, 5\)"),
        (of_sixteen(n_frames=4), r"by its metadata it has images tensor\(uint8\) \(N, 4, 4, 4\)"),
        (of_sixteen(class_names=["a", "b"]), r"probabilities tensor\(float\) \(N, 2\)"),
    ],
)
def test_metadata_that_cannot_be_is_refused_and_says_where(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=rf"(?s)x\.onnx: .*{problem}"):
        OnnxModel.read(foreign(tmp_path / "x.onnx", **{METADATA: text}))


def test_a_graph_that_agrees_with_its_metadata_is_read(tmp_path):
    model = OnnxModel.read(foreign(tmp_path / "x.onnx", **{METADATA: of_sixteen()}))
    np.testing.assert_allclose(model.predict(np.zeros((2, 4, 4), np.uint8)), 1 / 16)


@pytest.mark.parametrize("end", ["Identity", "Sigmoid", "Sqrt"])
def test_a_graph_whose_answers_are_no_probabilities_is_refused(tmp_path, end):
    path = foreign(tmp_path / "x.onnx", end=end, **{METADATA: of_sixteen()})
    with pytest.raises(ConfigError, match=r"x\.onnx: its answers are no probabilities of 16 classes"):
        OnnxModel.read(path)


def test_an_operation_of_ones_own_is_refused(tmp_path):
    path = foreign(tmp_path / "x.onnx", op="RunAnything", **{METADATA: of_sixteen()})
    with pytest.raises(ConfigError, match=r"not usable as an ONNX network .*somebody"):
        OnnxModel.read(path)


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("place", ["{name}", "./{name}", "{folder}/{name}", "../{parent}/{name}"])
def test_weights_in_another_file_are_never_read(tmp_path, monkeypatch, place, beside):
    folder = tmp_path if beside else tmp_path / "working"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    np.arange(16, dtype=np.float32).tofile(folder / "secret.bin")
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 16])
    weights.data_location = TensorProto.EXTERNAL
    where = place.format(name="secret.bin", folder=folder, parent=folder.name)
    for key, value in {"location": where, "offset": "0", "length": "64"}.items():
        weights.external_data.add(key=key, value=value)
    path = foreign(tmp_path / "x.onnx", weights=weights, **{METADATA: of_sixteen()})
    with pytest.raises(ConfigError, match=r"x\.onnx: not usable as an ONNX network"):
        OnnxModel.read(path)


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((2, 16, 16), np.float32),
        np.zeros((16, 16), np.uint8),
        np.zeros((2, 15, 16), np.uint8),
        np.zeros((2, 16, 16, 1), np.uint8),
        np.zeros((), np.uint8),
    ],
)
def test_images_of_another_form_are_refused(written, given):
    model = OnnxModel.read(written("raw")[1])
    with pytest.raises(ConfigError, match=r"images must be uint8 of shape \(N, 16, 16\), got"):
        model.predict(given)


def test_stills_are_no_clips(written):
    with pytest.raises(ConfigError, match=r"images must be uint8 of shape \(N, 17, 8, 8\)"):
        OnnxModel.read(written("cnn3d")[1]).predict(np.zeros((2, 8, 8), np.uint8))


USED_ALONE = """
import sys
import numpy as np
from fer_utils.onnx_model import OnnxModel

model = OnnxModel.read(sys.argv[1])
print(model.predict(np.zeros((1, *model.shape), np.uint8)).sum())
heavy = {"torch", "tensorflow", "keras", "fastai", "onnx", "sklearn", "scipy", "pandas", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_file_is_used_without_any_framework(written):
    command = [sys.executable, "-c", USED_ALONE, str(written("hybrid")[1])]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    total, heavy = ran.stdout.splitlines()
    assert float(total) == pytest.approx(1)
    assert heavy == "[]"


# --- the network of 30_cnn3d_smic --------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "choice"), [("fixed", "last"), ("inner", "best")])
def test_the_kept_3d_network_is_trained_on_everybody_as_a_fold_is(
    fastai_fit, tmp_path, monkeypatch, rule, choice
):
    from fer_utils.params import Cnn3dSmic, notebook_defaults
    from fer_utils.studies import dubey2020 as study
    from fer_utils.synthetic.clips import synthetic_clips

    drawn = synthetic_clips(n_subjects=3, clips_per_subject=5, size=16, seed=0)
    changes = {"epochs": 1, "epoch_choice": rule, "inner_share": 0.4, "checkpoint_dir": str(tmp_path)}
    params = Cnn3dSmic.from_values(notebook_defaults("30_cnn3d_smic") | changes, where="test")
    seen, fit = [], fastai_fit.fit

    def noted(model, train, validation, **settings):
        seen.append((train, validation, settings["choose"]))
        return fit(model, train, validation, **settings)

    monkeypatch.setattr(fastai_fit, "fit", noted)
    first, again = (study.train_on_all(params, drawn, device="cpu", log=str) for _ in range(2))
    train, validation, chosen = seen[0]
    assert chosen == choice
    assert {*train.sample_id, *validation.sample_id} == {*drawn.sample_id}
    assert (set(train.subject) == set(drawn.subject)) == (rule == "fixed")
    assert len(list(tmp_path.glob("*.npz"))) == 1
    weights = [network.state_dict()["logits.weight"].numpy() for network in (first, again)]
    np.testing.assert_array_equal(*weights)
