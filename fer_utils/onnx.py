"""Trained networks as ONNX files: written from PyTorch or Keras, read with onnxruntime alone.

A file maps gray levels to class probabilities, scaling and softmax included, and its metadata (`Card`) states
what the network was trained on and how accurate it is. Reading needs no framework.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import onnxruntime
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from fer_utils.files import ConfigError, atomic_write, project_path
from fer_utils.results import Metric

if TYPE_CHECKING:
    import keras
    import onnx
    import torch
    from sklearn.pipeline import Pipeline

    from fer_utils.data import Samples
    from fer_utils.evaluation import Evaluation
    from fer_utils.features.hog import HOG

FILE = "model.onnx"  # in a run folder
METADATA = "fer_utils"  # key of the metadata that holds the `Card` as JSON
INPUT, OUTPUT = "images", "probabilities"
BATCH = 64  # images at once
TOLERANCE = {"float32": 1e-3, "float16": 2e-2}
"""Largest accepted difference between a probability of the file and the framework's, by precision: some
millionths in float32, but Keras on PyTorch rounds rescaled pixels, which can add some ten thousandths."""
OWN = "of this network, on the test set, evaluated once"  # what the metrics of one network estimate


class Description(BaseModel, extra="forbid", frozen=True):
    """Where a network comes from and how accurate it is; `metrics` contains accuracy at least."""

    run: str
    notebook: str
    dataset: str
    source: Literal["real", "synthetic"]
    metrics: dict[str, Metric]
    estimate: str
    split: str
    preprocessing: str
    precision: Literal["float32", "float16"] = "float32"


class Card(BaseModel, extra="forbid", frozen=True, arbitrary_types_allowed=True):
    """What a file states about its network; `n_frames` is None for a network that takes still images."""

    class_names: tuple[str, ...]
    image_size: PositiveInt
    n_frames: PositiveInt | None
    description: Description

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one still image (H, W) or clip (T, H, W)."""
        size = (self.image_size, self.image_size)
        return size if self.n_frames is None else (self.n_frames, *size)

    @property
    def takes_flow(self) -> bool:
        """Whether its frames are the channels of optical flow."""
        return "optical flow" in self.description.preprocessing


class OnnxModel(Card):
    """A trained network that returns class probabilities; `read` opens a file."""

    file: Path = Field(exclude=True)
    session: onnxruntime.InferenceSession = Field(exclude=True, repr=False)

    @classmethod
    def read(cls, path: str | Path, *, threads: int = 2) -> Self:
        """Read a file that a run wrote, or that of a run folder; relative paths start at the project folder.

        Custom operations and weights in other files are refused. A graph may still compute for long, so read
        only files you trust.
        """
        file = project_path(path)
        file = file / FILE if file.is_dir() else file
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; runs of notebooks 10 to 41 write {FILE}")
        session = _session(file, threads)
        try:
            card = Card.model_validate_json(session.get_modelmeta().custom_metadata_map[METADATA])
        except (KeyError, ValidationError) as error:
            raise ConfigError(f"{file}: no file of this project; metadata {METADATA!r}: {error}") from None
        expected = {INPUT: card.shape, OUTPUT: (len(card.class_names),)}
        found = {end.name: tuple(end.shape[1:]) for end in (*session.get_inputs(), *session.get_outputs())}
        if found != expected:
            raise ConfigError(f"{file}: its graph has {found}, its metadata says {expected}")
        return cls(**dict(card), file=file, session=session)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, float32 (N, K), of uint8 images (N, H, W) or clips (N, T, H, W)."""
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            expected = ("N", *self.shape)
            raise ConfigError(f"images must be uint8 of shape {expected}, got {images.dtype} {images.shape}")
        parts = [np.zeros((0, len(self.class_names)), dtype=np.float32)]
        for start in range(0, len(images), BATCH):
            batch = np.ascontiguousarray(images[start : start + BATCH])
            parts += self.session.run([OUTPUT], {INPUT: batch})
        return np.concatenate(parts)


def about(evaluation: "Evaluation", samples: "Samples", *, run: str, split: str, estimate: str = OWN) -> Card:
    """Return the card of a run's network: what it takes (as `samples`), and how accurate it is.

    `estimate` says of which network, or networks, the evaluation is.
    """
    *frames, height, width = samples.pixels.shape[1:]
    preprocessing = f"gray, {height}x{width} pixels, 0 to 255; the network scales them"
    if frames:
        times = {"first": "the first from the onset on", "flow": "optical flow to the apex and its strain"}
        form = times.get(samples.origin.get("sampling"), "at even times from onset to offset")
        preprocessing = f"{frames[0]} frames, {form}; {preprocessing}"
    description = Description(
        run=run,
        notebook=run.split("--")[0],
        dataset=samples.name,
        source=samples.source,
        metrics={name: evaluation.metrics[name] for name in ("accuracy", "macro_f1")},
        estimate=estimate,
        split=split,
        preprocessing=preprocessing,
    )
    n_frames = frames[0] if frames else None
    return Card(class_names=samples.class_names, image_size=width, n_frames=n_frames, description=description)


def export(model: "torch.nn.Module | keras.Model", path: str | Path, card: Card) -> None:
    """Write a trained network, completely or not at all; the network itself is not changed.

    A torch network maps float images of 0 to 255, shape (N, 1, H, W) or (N, 1, T, H, W), to logits. A Keras
    model takes uint8, shape (N, H, W, 1), and ends in a softmax. `RuntimeError` when onnxruntime gives other
    probabilities than the network.
    """
    images = _probe_images(card)
    graph, expected = (_from_keras if hasattr(model, "get_weights") else _from_torch)(model, images)
    _write(graph, path, card, expected=expected)


def export_half(source: str | Path, path: str | Path) -> None:
    """Write a file again with its weights in 16 bits; everything is still computed in 32."""
    import onnx

    model = OnnxModel.read(source)
    fields = model.model_dump()
    fields["description"]["precision"] = "float16"
    _write(onnx.load(model.file), path, Card(**fields), expected=model.predict(_probe_images(model)))


def hog_network(classifier: "Pipeline", hog: "HOG") -> "torch.nn.Module":
    """Return standardisation and logistic regression on HOG features as one network that `export` takes."""
    import torch

    from fer_utils.features.hog import HOGLayer

    scaler, regression = (step for _, step in classifier.steps)
    weights = regression.coef_ / scaler.scale_
    biases = regression.intercept_ - weights @ scaler.mean_
    if len(weights) == 1:  # with two classes, scikit-learn keeps only the difference
        weights, biases = (np.concatenate([np.zeros_like(one), one]) for one in (weights, biases))
    linear = torch.nn.Linear(weights.shape[1], len(weights))
    linear.load_state_dict({"weight": torch.from_numpy(weights), "bias": torch.from_numpy(biases)})
    return torch.nn.Sequential(HOGLayer(hog), linear)


def _session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # the error says what is wrong
    # Otherwise a thread keeps its core busy waiting between two frames.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in other files are looked up below something that is not a folder, so they are never read.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise ConfigError(f"{file}: not usable as an ONNX network ({error})") from None


def _probe_images(card: Card) -> np.ndarray:
    """Return eight images of noise of increasing contrast: full noise alone may saturate a softmax."""
    noise = np.random.default_rng(0).uniform(-127.5, 127.5, size=(8, *card.shape))
    contrast = np.linspace(0, 1, 8).reshape(-1, *(1 for _ in card.shape))
    return (127.5 + contrast * noise).astype(np.uint8)


def _from_torch(model: "torch.nn.Module", images: np.ndarray) -> "tuple[onnx.ModelProto, np.ndarray]":
    import torch

    def predict(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return network(batch.unsqueeze(1).float()).softmax(dim=1)

    network, batch = deepcopy(model).cpu().eval(), torch.from_numpy(images)
    with torch.inference_mode():
        expected = predict(network, batch).numpy()
    return _trace(network, predict, batch), expected


def _from_keras(model: "keras.Model", images: np.ndarray) -> "tuple[onnx.ModelProto, np.ndarray]":
    import keras

    def predict(network: keras.Model, batch: Any) -> Any:
        return network(batch[..., None], training=False)

    with keras.device("cpu"):  # where the file will be used; a GPU sums in another order
        network = keras.models.clone_model(model)
        network.set_weights(model.get_weights())
        batch = keras.ops.convert_to_tensor(images)
        expected = keras.ops.convert_to_numpy(predict(network, batch))
        if keras.backend.backend() == "torch":
            return _trace(network, predict, batch), expected
        # Not `model.export`, with which Keras 3.15 writes batch normalisation as in training.
        import tensorflow as tf
        import tf2onnx

        call = tf.function(lambda batch: {OUTPUT: predict(network, batch)}, autograph=False)
        signature = [tf.TensorSpec((None, *images.shape[1:]), tf.uint8, name=INPUT)]
        with _no_messages():
            return tf2onnx.convert.from_function(call, signature, opset=18)[0], expected


def _trace(network: "torch.nn.Module", predict: Callable, batch: "torch.Tensor") -> "onnx.ModelProto":
    # The exporter built on torch.export: the older one knows neither antialiased rescaling nor the HOG layer.
    # Its optimizer is off because it removes the 1e-10 that keeps HOG's quotients finite. Layers that change
    # their input in place make it four times slower.
    import torch

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return predict(self.network, batch)

    for layer in network.modules():
        if hasattr(layer, "inplace"):
            layer.inplace = False
    options = {"dynamo": True, "optimize": False, "verbose": False}
    options |= {"input_names": [INPUT], "output_names": [OUTPUT]}
    with _no_messages():
        shapes = ({0: torch.export.Dim("n")},)
        return torch.onnx.export(Network().eval(), (batch,), dynamic_shapes=shapes, **options).model_proto


@contextmanager
def _no_messages() -> Iterator[None]:
    """Keep the exporters' warnings and logs out of a notebook: the file is checked instead."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _write(model: "onnx.ModelProto", path: str | Path, card: Card, *, expected: np.ndarray) -> None:
    precision, graph = card.description.precision, model.graph
    # The exporters' notes: PyTorch's contain paths of the machine.
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    if precision == "float16":
        _halve(graph)
    model.metadata_props.add(key=METADATA, value=card.model_dump_json())
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        found = OnnxModel.read(temporary).predict(_probe_images(card))
        worst = float(np.abs(found - expected).max())
        if not worst <= TOLERANCE[precision]:
            found = f"onnxruntime's probabilities differ from the network's by up to {worst:.2g}"
            raise RuntimeError(f"{path}: not written: {found}, more than {TOLERANCE[precision]}")


def _halve(graph: Any) -> None:
    """Store matrices and kernels in 16 bits and cast them back; vectors, which are small, stay."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        casts.append(helper.make_node("Cast", [f"{tensor.name}_16"], [tensor.name], to=TensorProto.FLOAT))
        stored = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(stored, f"{tensor.name}_16"))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
