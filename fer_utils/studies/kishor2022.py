"""The arms of kishor2022: pixels, pixels with HOG, HOG alone, each from its parameters to predictions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_utils import predictions
from fer_utils.data import FaceSet
from fer_utils.features.hog import hog_features
from fer_utils.models import kishor2022
from fer_utils.models.weights import write_weights
from fer_utils.papers import load_paper
from fer_utils.params import HybridHogCNN
from fer_utils.predictions import Predictions
from fer_utils.splits import Split
from fer_utils.training import fastai_fit, torch_state
from fer_utils.training.batches import Augmentation
from fer_utils.training.common import Fit

PRINTED_OPTIMIZERS = {"adam": "Adam", "rmsprop": "RMSprop"}
"""The optimisers of Tables 1 and 2, by their names in the parameters."""


@dataclass(frozen=True)
class Arm:
    """One trained classifier of the study.

    Attributes
    ----------
    params : HybridHogCNN
        What it was trained with.
    model : torch.nn.Module or sklearn Pipeline
    validation : Predictions
        Of the images that chose its epoch.
    fit : Fit or None
        None for HOG alone, which is fitted in one step.
    seconds : float
        What the training took.
    """

    params: HybridHogCNN
    model: Any
    validation: Predictions
    fit: Fit | None
    seconds: float

    @property
    def epochs(self) -> int:
        """Epochs trained; 0 where there are none."""
        return len(self.fit.history) if self.fit else 0

    @property
    def parameters(self) -> int:
        """Numbers that training sets."""
        if self.fit is None:
            classifier = self.model[-1]
            return classifier.coef_.size + classifier.intercept_.size
        return sum(weights.numel() for weights in self.model.parameters())

    def save_weights(self, path: Path) -> None:
        """Write the network's weights as safetensors: numbers alone, nothing that could be executed."""
        write_weights(path, torch_state.arrays(self.model))

    def predict(self, faces: FaceSet) -> Predictions:
        """Return class probabilities for `faces`."""
        return _predict(self.params, self.model, faces)


def pooled(arms: Sequence[Arm], parts: Sequence[Split]) -> Predictions:
    """Return what each arm, trained on one of the parts, says of the test images of that part."""
    folds = zip(arms, parts, strict=True)
    return predictions.pooled(
        [replace(arm.predict(part.test), fold=number) for number, (arm, part) in enumerate(folds)]
    )


def selection(arms: Sequence[Arm]) -> str:
    """Return how the weights of the arms were chosen, as `protocol.selection` states it."""
    first = arms[0]
    if first.fit is None:
        return "penalty chosen on validation"
    if len(arms) == 1:
        return f"epoch {first.fit.best_epoch} of {first.params.epochs}, best on validation"
    return f"each fold's epoch of {first.params.epochs}, best on its validation frames"


def beside_tables(arm: Arm) -> pd.DataFrame:
    """Return what Tables 1 and 2 print for the arm's optimiser beside the arm's own epoch; no rows without.

    Accuracies as fractions. The printed ones are of other pictures and an unknown split.
    """
    optimizer = PRINTED_OPTIMIZERS.get(arm.params.optimizer)
    columns = ["printed", "measured"]
    if arm.fit is None or optimizer is None:
        return pd.DataFrame(columns=columns)
    measured = {
        ("Table 1", "training"): arm.fit.best["accuracy"],
        ("Table 1", "validation"): arm.fit.best["val_accuracy"],
        ("Table 2", "training"): arm.fit.best["loss"],
        ("Table 2", "validation"): arm.fit.best["val_loss"],
    }
    paper = load_paper("kishor2022")
    rows = {
        f"{table}: {optimizer}, {part}": (paper.cell(table, f"{optimizer} / {part}").value, value)
        for (table, part), value in measured.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def reported_arms(params: HybridHogCNN) -> dict[str, list[HybridHogCNN]]:
    """Return the arms that are shown test images, by name and seed: all three in a sweep, else the one."""
    if not params.sweeps:
        return {params.features: [params]}
    networks = {
        name: [params.varied(features=name, seed=seed) for seed in params.sweep_seeds]
        for name in ("raw", "hybrid")
    }
    return networks | {"hog": [params.varied(features="hog")]}


def shown_layers(params: HybridHogCNN) -> list[str]:
    """Return the layers to look at: the first convolution's answer, and the map that Grad-CAM takes."""
    return ["pixels.relu1_1", kishor2022.CAM_LAYER[params.depth]]


def train(
    params: HybridHogCNN,
    training: FaceSet,
    validation: FaceSet,
    *,
    device: str,
    log: Callable[[str], None] = print,
) -> Arm:
    """Train one arm: a network, or for the features "hog" a linear classifier.

    Parameters
    ----------
    params : HybridHogCNN
    training, validation : FaceSet
        Fitted on, and what the epoch is chosen by.
    device : str
        What `fastai_fit.prepare` returned.
    log : callable
        Gets one line per epoch.

    Raises
    ------
    ConfigError
        For a HOG geometry or a network that does not fit the images.
    """
    start = time.perf_counter()
    if params.features == "hog":
        model, fit = kishor2022.hog_classifier(), None
        model.fit(_hog(params, training), training.labels)
    else:
        model = kishor2022.build(params, training)
        fit = _fit(params, model, training, validation, device=device, log=log)
    seconds = fit.seconds if fit else time.perf_counter() - start
    return Arm(params, model, _predict(params, model, validation), fit, seconds)


def _fit(params: HybridHogCNN, model: Any, training: FaceSet, validation: FaceSet, **how: Any) -> Fit:
    augmented = params.rotation or params.crop or params.flip
    augmentation = Augmentation(rotation=params.rotation, crop=params.crop, flip=params.flip)
    return fastai_fit.fit(
        model,
        training,
        validation,
        epochs=params.epochs,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        optimizer=params.optimizer,
        weight_decay=params.l2,
        schedule=params.schedule,
        augmentation=augmentation if augmented else None,
        seed=params.seed,
        checkpoint_dir=params.checkpoints,
        mixed_precision=params.mixed_precision,
        **how,
    )


def _predict(params: HybridHogCNN, model: Any, faces: FaceSet) -> Predictions:
    if params.features == "hog":
        probabilities = model.predict_proba(_hog(params, faces))
    else:
        probabilities = fastai_fit.predict_probabilities(model, faces.images)
    # Frames of one person are alike; stills have always been taken as independent.
    group = faces.subject if params.frames_of else ""
    return Predictions(faces.sample_id, faces.labels, probabilities, faces.class_names, group=group)


def _hog(params: HybridHogCNN, faces: FaceSet) -> np.ndarray:
    return hog_features(faces.images, kishor2022.hog_settings(params))
