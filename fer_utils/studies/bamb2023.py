"""The MobileNetV2 of bamb2023: from parameters to a network, trained in two stages, and to predictions.

First the body stays frozen and a new head is trained on its features; then layers of the body join in, at a
smaller rate. Each stage leaves the network with the weights of its epoch best on validation.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from fer_utils.data import FaceSet
from fer_utils.models import mobilenet
from fer_utils.params import KerasTransfer
from fer_utils.predictions import Predictions
from fer_utils.saliency import SMALLEST_MAP
from fer_utils.training import keras_fit
from fer_utils.training.common import Fit
from fer_utils.models.weights import NONE

SEEN_FIRST = 256
"""Training images from which random weights get their statistics; see `mobilenet.measure_statistics`."""

CASCADE = (mobilenet.HEAD, "Conv_1", "block_13_expand", "block_6_expand", "Conv1")
"""Where weights are drawn anew from, for the randomisation check: from the head down."""

StageName = Literal["frozen", "fine-tuned"]


@dataclass(frozen=True)
class Stage:
    """One of the two trainings.

    Attributes
    ----------
    name : {"frozen", "fine-tuned"}
    fit : Fit
    validation : Predictions
        Of the images that chose its epoch, with the weights of that epoch.
    trainable : int
        Parameters that it set.
    """

    name: StageName
    fit: Fit
    validation: Predictions
    trainable: int


def build(params: KerasTransfer, training: FaceSet) -> keras.Model:
    """Return the network before the first stage.

    From random weights, which no file holds, the statistics of its normalisation layers are measured on the
    first `SEEN_FIRST` training images in an order that the seed draws.

    Raises
    ------
    MissingData
        When the weights are not on this machine.
    ConfigError
        For settings that the network or its weights do not have, `fine_tune_from` among them.
    """
    model = mobilenet.build(
        seed=params.seed,
        source_size=training.images.shape[1],
        image_size=params.image_size,
        n_classes=len(training.class_names),
        alpha=params.alpha,
        dropout=params.dropout,
        l2=params.l2,
        weights=params.weights,
        weights_sha256=params.weights_sha256,
    )
    mobilenet.train_from(model, params.fine_tune_from, batch_norm=params.batch_norm)  # fails now or never
    mobilenet.train_from(model, mobilenet.HEAD, batch_norm=params.batch_norm)
    if params.weights == NONE:
        chosen = np.random.default_rng(params.seed).permutation(len(training))[:SEEN_FIRST]
        mobilenet.measure_statistics(model, training.images[chosen])
    return model


def train(
    params: KerasTransfer,
    model: keras.Model,
    training: FaceSet,
    validation: FaceSet,
    *,
    stage: StageName,
    log: Callable[[str], None] = print,
) -> Stage:
    """Train one stage and leave `model` with the weights of its epoch best on validation.

    Parameters
    ----------
    model : keras.Model
        From `build` for the frozen stage, as that left it for the other.
    training, validation : FaceSet
        Fitted on, and what the epoch is chosen by.
    stage : {"frozen", "fine-tuned"}
    log : callable
        Gets one line per epoch.

    Raises
    ------
    TrainingDiverged
        At the first loss that is not a number.
    """
    frozen = stage == "frozen"
    first = mobilenet.HEAD if frozen else params.fine_tune_from
    rate = params.frozen_learning_rate if frozen else params.learning_rate
    start = _checkpoints_from(params.checkpoints, model, measured=frozen and params.weights == NONE)
    trainable = mobilenet.train_from(model, first, batch_norm=params.batch_norm)
    keras_fit.compile_classifier(model, learning_rate=rate, optimizer=params.optimizer)
    fit = keras_fit.fit(
        model,
        training,
        validation,
        epochs=params.frozen_epochs if frozen else params.epochs,
        batch_size=params.batch_size,
        seed=params.seed,
        checkpoint_dir=start,
        mixed_precision=params.mixed_precision,
        log=log,
    )
    return Stage(stage, fit, predict(model, validation), trainable)


def predict(model: keras.Model, faces: FaceSet) -> Predictions:
    """Return class probabilities for `faces`."""
    probabilities = keras_fit.predict_probabilities(model, faces.images)
    return Predictions(faces.sample_id, faces.labels, probabilities, faces.class_names, group=faces.subject)


def arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the network's weights by name; a run on other data can start from them."""
    return mobilenet.arrays(model)


def cam_layer(model: keras.Model) -> str:
    """Return the last activation whose map Grad-CAM accepts: 6x6 for images of 96 pixels, 7x7 for 224."""
    sides = {name: min(model.get_layer(name).output.shape[1:3]) for name in mobilenet.CAM_LAYERS}
    return next(name for name, side in sides.items() if side >= SMALLEST_MAP)


def _checkpoints_from(folder: Path, model: keras.Model, *, measured: bool) -> Path:
    """Return the folder of trainings that start from the weights which `model` has now.

    A checkpoint's own name holds the seed and the settings, which say what random weights are and not what
    loaded ones are, nor what an earlier stage made of them. Measured statistics need not repeat to the last
    bit on a GPU, and seed and images determine them: they do not count.
    """
    content = hashlib.sha256()
    for variable in model.weights:
        if not (measured and "moving_" in variable.path):
            content.update(keras.ops.convert_to_numpy(variable).tobytes())
    return folder / f"{model.name}-{content.hexdigest()[:16]}"
