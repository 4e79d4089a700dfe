"""The study of kishor2022: still faces or frames of clips, and the training of its arms."""

import contextlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.tracker import SaveModelCallback
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy

from fer_utils import predictions, splits
from fer_utils.data import FaceSet, load_clips, load_faces
from fer_utils.features.hog import hog_features
from fer_utils.models import kishor2022
from fer_utils.params import ClipParameters, HybridHogCNN
from fer_utils.predictions import Predictions
from fer_utils.splits import Folds, Split
from fer_utils.training.checkpoints import checkpoint_folder
from fer_utils.training.fastai_training import (
    OPTIMIZERS,
    BFloat16,
    ReseedEachEpoch,
    ResumeTraining,
    StopOnNaN,
    dataloaders,
    predict_probabilities,
)

FRAME_SPLITS = {"frame": "frames at random", "clip": "whole clips", "subject": "whole subjects"}
"""The values of `split_by` for frames of clips, with their names in tables."""


def load(params: HybridHogCNN) -> FaceSet:
    """Return the still faces, or the frames of clips, that the parameters name."""
    if not params.frames_of:
        return load_faces(params)
    wanted = ClipParameters(
        dataset=params.frames_of,
        data_path=params.data_path,
        label_set=params.label_set,
        strict=params.on_bad_rows == "error",
        n_frames=params.frames_per_clip,
        image_size=48,  # Section 3.2 of the paper
        synthetic_subjects=params.synthetic_subjects,
        synthetic_clips_per_subject=params.synthetic_clips_per_subject,
        synthetic_seed=params.seed,
    )
    clips = load_clips(wanted)
    return replace(clips.frames(), name=f"frames of {clips.name} clips")


def split(params: HybridHogCNN, faces: FaceSet) -> Split[FaceSet] | Folds[FaceSet]:
    """Return the official split of still faces, or folds of frames that test on every frame once."""
    if not params.frames_of:
        return splits.split_faces(faces, params)
    folds = {"n_folds": params.frame_folds, "by": params.split_by, "seed": params.seed}
    return splits.random_folds(faces, **folds, validation=True)


@dataclass(frozen=True)
class Arm:
    """One trained classifier: a network, or a scikit-learn Pipeline for HOG alone.

    `validation` has predictions of the validation set, `history` one row per epoch; None for HOG alone.
    """

    params: HybridHogCNN
    model: Any
    validation: Predictions
    history: pd.DataFrame | None
    seconds: float

    @property
    def epochs(self) -> int:
        """Number of epochs; 0 for HOG alone."""
        return 0 if self.history is None else len(self.history)

    @property
    def best(self) -> pd.Series:
        """The row of `history` with the highest validation accuracy, the first of equals."""
        return self.history.loc[self.history["val_accuracy"].idxmax()]

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        if self.history is None:
            return self.model[-1].coef_.size + self.model[-1].intercept_.size
        return sum(weights.numel() for weights in self.model.parameters())

    def predict(self, faces: FaceSet) -> Predictions:
        """Return the predictions for `faces`."""
        return _predict(self.params, self.model, faces)


def learner(
    params: HybridHogCNN, model: Any, training: FaceSet, validation: FaceSet, folder: Path
) -> Learner:
    """Return the Learner that trains the network of an arm, with its files in `folder`."""
    precision = [BFloat16()] if params.mixed_precision else []
    return Learner(
        dataloaders(training, validation, params),
        model,
        loss_func=CrossEntropyLossFlat(),
        opt_func=partial(OPTIMIZERS[params.optimizer], decouple_wd=False),
        wd=params.l2,
        metrics=accuracy,
        cbs=[ReseedEachEpoch(params.seed), ChannelsLast(), *precision],
        path=folder,
        model_dir=".",
    )


def train(params: HybridHogCNN, training: FaceSet, validation: FaceSet) -> Arm:
    """Train one arm without output, or load it where it is finished; the notebook's lines in one function."""
    if params.features == "hog":
        start = time.perf_counter()
        classifier = kishor2022.hog_classifier().fit(_hog(params, training), training.labels)
        seconds = time.perf_counter() - start
        return Arm(params, classifier, _predict(params, classifier, validation), None, seconds)
    folder = checkpoint_folder(params, training, validation)
    learn = learner(params, kishor2022.build(params, training), training, validation, folder)
    resume = ResumeTraining(folder)
    callbacks = [SaveModelCallback(monitor="accuracy", fname="best"), resume, StopOnNaN()]
    with learn.no_bar(), learn.no_logging(), contextlib.redirect_stdout(io.StringIO()):
        learn.fit_one_cycle(
            params.epochs, params.learning_rate, start_epoch=resume.start_epoch, cbs=callbacks
        )
    validated, history = _predict(params, learn.model, validation), resume.history
    return Arm(params, learn.model, validated, history, float(history["seconds"].sum()))


def pooled(arms: Sequence[Arm], folds: Sequence[Split[FaceSet]]) -> Predictions:
    """Return the predictions of each arm for the test set of its fold, as one."""
    numbered = enumerate(zip(arms, folds, strict=True))
    return predictions.pooled([replace(arm.predict(fold.test), fold=n) for n, (arm, fold) in numbered])


def selection(arms: Sequence[Arm]) -> str:
    """Return how the weights of the arms were selected, for `protocol.selection`."""
    first = arms[0]
    if first.history is None:
        return "penalty selected on validation"
    if len(arms) == 1:
        return f"epoch {first.best['epoch']:.0f} of {first.epochs}, best on validation"
    return f"each fold's epoch of {first.epochs}, best on its validation frames"


def frame_splits_table(
    metrics: Mapping[str, Mapping[str, Mapping]], folds: Mapping[str, Folds[FaceSet]]
) -> pd.DataFrame:
    """Return one row per key of `FRAME_SPLITS`, given the `Evaluation.metrics` of all frames and the folds.

    Columns: label, value (accuracy), low, high, n, leak, shares of frames whose clip and subject train.
    """
    rows = []
    for by, measured in metrics.items():
        accuracy, seen = measured["accuracy"], splits.seen_in_training(folds[by].splits)
        low, high = accuracy["ci95"] or (None, None)
        row = {"label": FRAME_SPLITS[by], "value": accuracy["value"], "low": low, "high": high}
        row |= {"n": accuracy["n"], "leak": folds[by].leakage}
        rows.append(row | {f"{what} in training": share for what, share in seen.items()})
    return pd.DataFrame(rows)


def _predict(params: HybridHogCNN, model: Any, faces: FaceSet) -> Predictions:
    if params.features == "hog":
        probabilities = model.predict_proba(_hog(params, faces))
    else:
        probabilities = predict_probabilities(model, faces.images)
    # Frames of one subject depend on each other; still faces are treated as independent.
    group = faces.subject if params.frames_of else ""
    return Predictions(faces.sample_id, faces.labels, probabilities, faces.class_names, group=group)


def _hog(params: HybridHogCNN, faces: FaceSet) -> np.ndarray:
    return hog_features(faces.images, kishor2022.hog_settings(params))
