"""ONNX files return the probabilities of the network they were written from, and other files are refused."""

import json
import string
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx as onnx_format
import pytest
from onnx import TensorProto

from fer_utils import onnx
from fer_utils.features.hog import HOG
from fer_utils.files import ConfigError
from fer_utils.onnx import METADATA, Card, OnnxModel

NAMES = ("negative", "positive", "surprise")
DESCRIPTION = {
    "run": "40_fastai_transfer--tiny",
    "notebook": "40_fastai_transfer",
    "dataset": "synthetic faces",
    "source": "synthetic",
    "metrics": {"accuracy": {"value": 0.5, "ci95": [0.25, 0.75], "n": 12}},
    "estimate": "of this network, on the test set, evaluated once",
    "split": "by subject; naïve “quotes”",
    "preprocessing": "gray, 16x16 pixels, 0 to 255; the network scales them",
    "precision": "float32",
}
FAMILIES = {"stills": (16, None), "hog": (16, None), "clips": (8, 17)}
"""Name -> image size, and frames of a clip."""


def card(family: str, **changes: object) -> Card:
    size, n_frames = FAMILIES[family]
    fields = {"class_names": NAMES, "image_size": size, "n_frames": n_frames, "description": DESCRIPTION}
    return Card(**fields | changes)


def build(family: str):
    """Return a small network of each kind of layer that the notebooks use, in training mode."""
    import torch
    from torch import nn

    from fer_utils.features.hog import HOGLayer

    torch.manual_seed(0)
    if family == "hog":
        hog = HOG(pixels_per_cell=4, cells_per_block=2)
        return nn.Sequential(HOGLayer(hog), nn.BatchNorm1d(hog.size((16, 16))), nn.LazyLinear(3))
    if family == "clips":
        return nn.Sequential(nn.Conv3d(1, 4, 3), nn.SiLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(252, 3))
    from fer_utils.models.transfer import ImageNetInput

    convolutions = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    network = nn.Sequential(ImageNetInput(24), *convolutions, nn.Dropout(0.5), nn.Linear(8, 3))
    return network.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a function from a family to its network and the file that was written from it, once."""
    import torch

    folder = tmp_path_factory.mktemp("onnx")

    @cache
    def of(family: str):
        network, path = build(family), folder / f"{family}.onnx"
        network(torch.rand(4, 1, *card(family).shape))  # lazy layers, running statistics
        onnx.export(network, path, card(family))
        return network, path

    return of


def random_images(model: Card, n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, *model.shape), dtype=np.uint8)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_returns_the_probabilities_of_its_network_for_any_number_of_images(
    written, family, monkeypatch
):
    import torch

    network, path = written(family)
    assert network.training  # the export leaves the network as it is
    model = OnnxModel.read(path)
    images = random_images(model, 7).swapaxes(-1, -2)  # any memory layout
    monkeypatch.setattr(onnx, "BATCH", 3)
    with torch.inference_mode():
        network.eval()
        expected = network(torch.tensor(images.copy())[:, None].float()).softmax(dim=1).numpy()
        network.train()
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-5)
    assert model.predict(images[:0]).shape == (0, 3)
    assert model.description.model_dump() == card(family).description.model_dump()


def test_writing_is_quiet_repeatable_and_leaves_no_trace_of_the_machine(written, tmp_path, capfd, recwarn):
    network, path = written("clips")
    onnx.export(network, tmp_path / "again.onnx", card("clips"))
    content = (tmp_path / "again.onnx").read_bytes()
    assert content == path.read_bytes()
    assert capfd.readouterr() == ("", "") and not recwarn.list
    for trace in (Path(__file__).parents[1], Path.home(), "site-packages", ".py"):
        assert str(trace).encode() not in content


def test_half_precision_halves_the_file_and_hardly_changes_a_probability(written, tmp_path):
    whole, half = written("clips")[1], tmp_path / "half.onnx"
    onnx.export_half(whole, half)
    models = [OnnxModel.read(path) for path in (whole, half)]
    assert [model.description.precision for model in models] == ["float32", "float16"]
    images = random_images(models[0], 5)
    np.testing.assert_allclose(models[0].predict(images), models[1].predict(images), atol=2e-2)
    graph = onnx_format.load(half).graph
    stored = {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    users = [node.op_type for node in graph.node if stored & set(node.input)]
    assert stored and users == ["Cast"] * len(stored)  # everything is computed in 32 bits


def test_a_file_that_differs_from_its_network_is_not_written(written, tmp_path, monkeypatch):
    monkeypatch.setitem(onnx.TOLERANCE, "float16", 1e-9)
    with pytest.raises(RuntimeError, match=r"a\.onnx: not written"):
        onnx.export_half(written("clips")[1], tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_linear_classifier_on_hog_is_one_network_with_its_hog(n_classes):
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from fer_utils.features.hog import hog_features

    hog = HOG(pixels_per_cell=4, cells_per_block=2)
    images = random_images(card("hog"), 30)
    images[:, :4] = 7  # constant features have no spread to divide by
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    classifier.fit(hog_features(images, hog), np.arange(30) % n_classes)
    with torch.inference_mode():
        found = onnx.hog_network(classifier, hog)(torch.tensor(images)[:, None].float()).softmax(dim=1)
    np.testing.assert_allclose(found, classifier.predict_proba(hog_features(images, hog)), atol=1e-5)


def write_keras_network(folder: Path) -> None:
    """Write a Keras network into a run folder, with images and its probabilities of them."""
    import keras

    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))  # in all tests: a process has one number
    keras.utils.set_random_seed(0)
    layers = [keras.Input((16, 16, 1), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    layers += [keras.layers.Resizing(24, 24), keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization()]
    layers += [keras.layers.GlobalMaxPooling2D(), keras.layers.Dropout(0.5)]
    model = keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax")])
    model.layers[3].moving_mean.assign(np.linspace(0, 1, 8))
    onnx.export(model, folder / "model.onnx", card("stills"))
    images = random_images(card("stills"), 5)
    expected = keras.ops.convert_to_numpy(model(images[..., None], training=False))
    np.savez(folder / "expected.npz", images=images, probabilities=expected)


def assert_file_returns_the_probabilities_beside_it(folder: Path) -> None:
    expected = np.load(folder / "expected.npz")
    found = OnnxModel.read(folder).predict(expected["images"])
    np.testing.assert_allclose(found, expected["probabilities"], atol=1e-3)


def test_a_keras_network_is_written(tmp_path, torch_first):
    write_keras_network(tmp_path)
    assert_file_returns_the_probabilities_beside_it(tmp_path)


def foreign(path: Path, *, weights: TensorProto | None = None, op: str = "Flatten", **metadata: str) -> Path:
    """Write a graph from 4x4 images to 16 probabilities: the softmax of the pixels times `weights`."""
    graph = f"""<ir_version: 9, opset_import: ["": 18, "custom": 1]>
    g (uint8[n, 4, 4] images) => (float[n, 16] probabilities) {{
        gray = Cast<to=1>(images)  flat = {op}(gray)
        product = Mul(flat, {weights.name if weights else "flat"})  probabilities = Softmax(product) }}"""
    model = onnx_format.parser.parse_model(graph)
    model.graph.initializer.extend([weights] if weights else [])
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def card_of_sixteen(**changes: object) -> str:
    fields = {"class_names": list(string.ascii_lowercase[:16]), "image_size": 4, "n_frames": None}
    return json.dumps(fields | {"description": DESCRIPTION} | changes)


def test_a_missing_file_and_one_of_another_format_are_named(written, tmp_path):
    path = tmp_path / "x.onnx"
    with pytest.raises(ConfigError, match=r"x\.onnx: no such file"):
        OnnxModel.read(path)
    whole = written("clips")[1].read_bytes()
    for content in (b"", b"not a network\n" * 9, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"x\.onnx"):
            OnnxModel.read(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (None, "fer_utils"),
        ("", "fer_utils"),
        (card_of_sixteen(description=DESCRIPTION | {"source": "guessed"}), "description.source"),
        (card_of_sixteen(image_size=5), r"\(5, 5\)"),
        (card_of_sixteen(class_names=["a", "b"]), r"\(2,\)"),
    ],
)
def test_invalid_metadata_is_refused_with_its_place(tmp_path, text, place):
    metadata = {} if text is None else {METADATA: text}
    with pytest.raises(ConfigError, match=rf"(?s)x\.onnx: .*{place}"):
        OnnxModel.read(foreign(tmp_path / "x.onnx", **metadata))


def test_custom_operations_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="custom"):
        OnnxModel.read(foreign(tmp_path / "x.onnx", op="custom.RunAnything", **{METADATA: card_of_sixteen()}))


def test_weights_in_another_file_are_never_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.arange(16, dtype=np.float32).tofile(tmp_path / "secret.bin")
    for location in ("secret.bin", f"{tmp_path}/secret.bin", f"../{tmp_path.name}/secret.bin"):
        weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 16])
        weights.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "offset": "0", "length": "64"}.items():
            weights.external_data.add(key=key, value=value)
        path = foreign(tmp_path / "x.onnx", weights=weights, **{METADATA: card_of_sixteen()})
        with pytest.raises(ConfigError, match=r"x\.onnx: not usable"):
            OnnxModel.read(path)


def test_images_of_another_shape_or_type_are_refused(tmp_path):
    model = OnnxModel.read(foreign(tmp_path / "x.onnx", **{METADATA: card_of_sixteen()}))
    for shape, dtype in (((2, 3, 4), np.uint8), ((4, 4), np.uint8), ((2, 4, 4), np.float32)):
        with pytest.raises(ConfigError, match="4, 4"):
            model.predict(np.zeros(shape, dtype))


READ_ALONE = """
import sys
import numpy as np
from fer_utils.onnx import OnnxModel

model = OnnxModel.read(sys.argv[1])
print(model.predict(np.zeros((1, *model.shape), np.uint8)).sum())
heavy = {"torch", "tensorflow", "keras", "fastai", "onnx", "sklearn", "scipy", "pandas", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_file_is_read_without_any_framework(tmp_path):
    path = foreign(tmp_path / "x.onnx", **{METADATA: card_of_sixteen()})
    command = [sys.executable, "-c", READ_ALONE, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    total, heavy = ran.stdout.splitlines()
    assert float(total) == pytest.approx(1, abs=1e-5)
    assert heavy == "[]"
