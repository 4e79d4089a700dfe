"""Trained networks written as ONNX files, which `onnx_model` reads without their framework.

PyTorch and Keras have exporters. What is added here makes a file usable by itself: gray levels in and
probabilities out, whatever layout a framework has inside; a description; a check of the written file against
the framework; and nothing of the machine that wrote it.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_utils.data.samples import Samples
from fer_utils.evaluation import Evaluation
from fer_utils.files import ConfigError, atomic_write
from fer_utils.onnx_model import INPUT, METADATA, OUTPUT, Card, OnnxModel
from fer_utils.params import notebook_of

if TYPE_CHECKING:
    import keras
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from fer_utils.features.hog import HOG

TOLERANCE = {"float32": 1e-3, "float16": 2e-2}
"""How far a probability of the file may be from the framework's, by the precision of the stored weights.

In float32 it is some millionths. But Keras on PyTorch rounds pixels that it has rescaled, and where two gray
levels are equally near, the last bit decides between them: then it is some ten-thousandths.
"""
METRICS = ("accuracy", "macro_f1")
"""What a file says of its network."""
OWN = "of this network, on the test part, looked at once"
"""What the metrics are an estimate of, where one network was trained and tested."""

_OPSET = 18  # for TensorFlow; the exporter of PyTorch has its own
_PROBES = 8


def about(
    evaluation: Evaluation, samples: Samples, *, run: str, split: str, estimate: str = OWN
) -> dict[str, Any]:
    """Return what a finished run knows of its network, as arguments for the functions that export.

    Parameters
    ----------
    evaluation : Evaluation
        The reported one.
    samples : Samples
        Images or clips such as the network takes, with its classes.
    run : str
        Name of the run, as `Parameters.run`.
    split : str
        As `protocol.split` states it.
    estimate : str
        Which network, or networks, the evaluation is of.
    """
    _, *frames, _, size = samples.pixels.shape
    described = {
        "run": run,
        "notebook": notebook_of(run),
        "dataset": samples.name,
        "source": samples.source,
        "metrics": {name: evaluation.metrics[name] for name in METRICS},
        "estimate": estimate,
        "split": split,
        "preprocessing": _preprocessing(samples),
    }
    form = {"image_size": size, "n_frames": frames[0] if frames else None}
    return {"class_names": samples.class_names, **form, "description": described}


def first_of(n: int) -> str:
    """Return the `estimate` for the first of `n` networks whose predictions were pooled."""
    pooled = f"pooled over {n} networks, each on what it was not trained on; this is the first of them"
    return OWN if n == 1 else pooled


def beside(n: int) -> str:
    """Return the `estimate` for a network trained on everybody, where `n` others each left one person out."""
    return (
        f"pooled over {n} networks with the same settings, each on one person whom it was not trained on; "
        "this one was trained on everybody and itself tested on nobody"
    )


def export_torch(
    model: "torch.nn.Module",
    path: str | Path,
    *,
    class_names: Sequence[str],
    image_size: int,
    n_frames: int | None = None,
    half: bool = False,
    description: dict[str, Any],
) -> None:
    """Write a PyTorch network that gives logits.

    Parameters
    ----------
    model : nn.Module
        Takes images of 0 to 255, shape (N, 1, H, W), or clips, shape (N, 1, T, H, W), as `fastai_fit` trains
        it. It is not changed, and written as it predicts: without dropout.
    path : path
        Written whole or not at all.
    class_names, image_size, n_frames, description
        As in `onnx_model.Card`; `about` gives them. The precision is added here.
    half : bool
        Store the weights in 16 bits, in half the bytes; everything is still computed in 32.

    Raises
    ------
    ConfigError
        Where the description lacks something.
    RuntimeError
        When onnxruntime gives other probabilities than the network.
    """
    import torch

    card = _card(class_names, image_size, n_frames, description, half=half)
    images = torch.from_numpy(_probes(card))
    network = _torch_network(deepcopy(model).cpu(), _logits_to_probabilities)
    with torch.inference_mode():
        expected = network(images).numpy()
    _write(_from_torch(network, images), path, card, expected=expected)


def export_keras(
    model: "keras.Model",
    path: str | Path,
    *,
    class_names: Sequence[str],
    image_size: int,
    n_frames: int | None = None,
    half: bool = False,
    description: dict[str, Any],
) -> None:
    """Write a Keras network that takes uint8, shape (N, H, W, 1), and ends in a softmax.

    Keras may run on TensorFlow or on PyTorch. Parameters and errors as in `export_torch`.
    """
    import keras

    card = _card(class_names, image_size, n_frames, description, half=half)
    # On the CPU, as the file will be used: a GPU sums in another order.
    with keras.device("cpu"):
        network = keras.models.clone_model(model)
        network.set_weights(model.get_weights())
        images = keras.ops.convert_to_tensor(_probes(card))
        expected = keras.ops.convert_to_numpy(_predict_keras(network, images))
        if keras.backend.backend() == "torch":
            graph = _from_torch(_torch_network(network, _predict_keras), images)
        else:
            graph = _from_tensorflow(network, card)
    _write(graph, path, card, expected=expected)


def export_hog(
    classifier: "Pipeline",
    path: str | Path,
    *,
    hog: "HOG",
    class_names: Sequence[str],
    image_size: int,
    n_frames: int | None = None,
    half: bool = False,
    description: dict[str, Any],
) -> None:
    """Write a fitted classifier as `models.kishor2022.hog_classifier` makes it, with the HOG before it.

    Parameters
    ----------
    classifier : Pipeline
        Standardisation and logistic regression, fitted on the HOG of images of all classes.
    hog : HOG
        What the features were made with.
    path, class_names, image_size, n_frames, half, description
        And errors: as in `export_torch`.
    """
    import torch

    from fer_utils.features.hog_torch import HOGLayer, hog_features

    card = _card(class_names, image_size, n_frames, description, half=half)
    images = _probes(card)
    layers = torch.nn.Sequential(HOGLayer(hog), _linear(*classifier))
    network = _torch_network(layers, _logits_to_probabilities)
    expected = classifier.predict_proba(hog_features(images, hog))
    _write(_from_torch(network, torch.from_numpy(images)), path, card, expected=expected)


def export_half(source: str | Path, path: str | Path) -> None:
    """Write a file again with its weights in 16 bits: half the bytes, everything still computed in 32.

    Parameters
    ----------
    source : path
        A file of this module or the folder of a run, as `OnnxModel.read` takes it.
    path : path

    Raises
    ------
    ConfigError
        When `source` is no such file.
    RuntimeError
        When its probabilities differ by more than `TOLERANCE` from those of `source`.
    """
    model = OnnxModel.read(source)
    card = _card(**model.values, half=True)
    _write(onnx.load(model.file), path, card, expected=model.predict(_probes(card)))


def _card(
    class_names: Sequence[str],
    image_size: int,
    n_frames: int | None,
    description: dict[str, Any],
    *,
    half: bool,
) -> Card:
    precision = {"precision": "float16" if half else "float32"}
    return Card(tuple(class_names), image_size, n_frames, description | precision)


def _preprocessing(samples: Samples) -> str:
    *frames, height, width = samples.pixels.shape[1:]
    form = f"gray, {height}x{width} pixels, 0 to 255; the network scales them"
    if not frames:
        return form
    even = samples.origin.get("sampling", "interpolate") == "interpolate"
    when = "at even times from onset to offset" if even else "the first from onset on"
    return f"{frames[0]} frames, {when}; {form}"


def _probes(card: Card) -> np.ndarray:
    """Return noise from no contrast to full contrast: full noise alone may drive a softmax to 0 and 1."""
    noise = np.random.default_rng(0).uniform(-127.5, 127.5, size=(_PROBES, *card.shape))
    contrast = np.linspace(0, 1, _PROBES).reshape(-1, *(1 for _ in card.shape))
    return (127.5 + contrast * noise).astype(np.uint8)


def _logits_to_probabilities(model: "torch.nn.Module", images: "torch.Tensor") -> "torch.Tensor":
    return model(images.unsqueeze(1).float()).softmax(dim=1)


def _predict_keras(model: "keras.Model", images: Any) -> Any:
    return model(images[..., None], training=False)


def _torch_network(model: "torch.nn.Module", call: Callable) -> "torch.nn.Module":
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: "torch.Tensor") -> "torch.Tensor":
            return call(self.model, images)

    return Network().eval()


def _linear(scaler: "StandardScaler", regression: "LogisticRegression") -> "torch.nn.Linear":
    """Return the layer that gives the logits of standardised features."""
    import torch

    weights = regression.coef_ / scaler.scale_
    biases = regression.intercept_ - weights @ scaler.mean_
    if len(weights) == 1:  # of two classes, scikit-learn keeps the difference alone
        weights, biases = (np.concatenate([np.zeros_like(one), one]) for one in (weights, biases))
    linear = torch.nn.Linear(weights.shape[1], len(weights))
    arrays = {"weight": weights, "bias": biases}
    linear.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return linear


def _from_torch(network: "torch.nn.Module", images: "torch.Tensor") -> onnx.ModelProto:
    # The exporter that is built on torch.export: the older one knows neither the antialiased rescaling of
    # `models.transfer` nor the HOG layer. Without its optimizer, which takes the 1e-10 that keeps HOG's
    # quotients finite for nothing; onnxruntime has one of its own.
    import torch

    how = {"dynamo": True, "optimize": False, "verbose": False}
    with _quiet():
        batch = {0: torch.export.Dim("n")}
        return torch.onnx.export(network, (images,), dynamic_shapes=(batch,), **how).model_proto


def _from_tensorflow(model: "keras.Model", card: Card) -> onnx.ModelProto:
    # Not `model.export`, with which Keras 3.15 writes MobileNetV2's normalisation as it is in training.
    import tensorflow as tf
    import tf2onnx

    call = tf.function(lambda images: _predict_keras(model, images))
    signature = [tf.TensorSpec((None, *card.shape), tf.uint8)]
    with _quiet():
        return tf2onnx.convert.from_function(call, signature, opset=_OPSET)[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters warn of and log out of a notebook: the file is checked instead."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _write(model: onnx.ModelProto, path: str | Path, card: Card, *, expected: np.ndarray) -> None:
    n_classes, precision = len(card.class_names), card.description["precision"]
    if expected.shape[1] != n_classes:
        raise ConfigError(f"{n_classes} class_names, for a network that has {expected.shape[1]} classes")
    _strip(model)
    _name_ends(model.graph, card)
    if precision == "float16":
        _halve(model.graph)
    model.metadata_props.add(key=METADATA, value=card.to_json())
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        found = OnnxModel.read(temporary).predict(_probes(card))
        worst = float(np.abs(found - expected).max())
        if not worst <= TOLERANCE[precision]:
            raise RuntimeError(
                f"{path}: not written, because onnxruntime gives other probabilities than the trained "
                f"network: they differ by up to {worst:.2g}, accepted is {TOLERANCE[precision]}"
            )


def _strip(model: onnx.ModelProto) -> None:
    """Remove what exporters note beside the graph: PyTorch's has paths of the machine in it."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")


def _name_ends(graph: onnx.GraphProto, card: Card) -> None:
    """Give the graph's input and output their names and shapes, for any number of images."""
    (given,), (answer,) = graph.input, graph.output
    names = {given.name: INPUT, answer.name: OUTPUT}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    shapes = {INPUT: ["n", *card.shape], OUTPUT: ["n", len(card.class_names)]}
    for end, kind in ((given, TensorProto.UINT8), (answer, TensorProto.FLOAT)):
        name = names[end.name]
        end.CopyFrom(helper.make_tensor_value_info(name, kind, shapes[name]))


def _halve(graph: onnx.GraphProto) -> None:
    """Store matrices and kernels in 16 bits and cast them back; vectors, which are small, stay."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        with np.errstate(over="ignore"):
            stored = numpy_helper.to_array(tensor).astype(np.float16)
        if np.isfinite(stored).all():
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(stored, f"{name}_16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
