"""The study of dubey2020: protocols, the training of a network on clips, and the tables.

A protocol says which clips are held out and which epoch's weights predict them. Protocols share trainings:
the best epoch on the held-out clips and the last epoch are two epochs of one training.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from fastai.callback.tracker import SaveModelCallback
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy
from torch import nn

from fer_utils import evaluation, predictions, splits
from fer_utils.data import ClipSet
from fer_utils.features import flow
from fer_utils.models import dubey2020, flow_networks
from fer_utils.papers import load_paper
from fer_utils.params import Cnn3dSmic
from fer_utils.predictions import Predictions
from fer_utils.splits import SUBJECTS_SHARED, Folds, Split
from fer_utils.training.checkpoints import checkpoint_folder
from fer_utils.training.fastai_training import (
    OPTIMIZERS,
    ReseedEachEpoch,
    ResumeTraining,
    StopOnNaN,
    dataloaders,
    predict,
)

Method = Literal["cnn3d", "still", "flow", "streams"]
"""The 3D-CNN; the same network on one frame repeated; networks on the optical flow at the apex."""
EpochRule = Literal["fixed", "inner", "on_test"]
"""The last epoch; the best on inner subjects; the best of each fold on its held-out clips: a leak."""

EPOCH_LEAK = "epoch chosen on test"
ACTIVATIONS = {"relu": "ReLU", "swish": "Swish"}
INNER_SHARE = 0.2
"""Share of the training clips, by whole subjects, on which the rule "inner" selects the epoch."""


class Protocol(NamedTuple):
    """One way of measuring a method: its folds, the rule that selects the epoch, and the leak ("none")."""

    label: str
    params: Cnn3dSmic
    method: Method
    folds: Folds[ClipSet]
    rule: EpochRule
    leak: str = "none"


class Trained(NamedTuple):
    """A trained network, its predictions of the held-out clips, and one row per epoch."""

    model: nn.Module
    held_out: Predictions
    history: pd.DataFrame


class Result(NamedTuple):
    """Predictions of a protocol, pooled over its folds, and the epochs of all folds (`fold`, `held_out`)."""

    predictions: Predictions
    history: pd.DataFrame


def protocols(params: Cnn3dSmic, clips: ClipSet) -> dict[str, Protocol]:
    """Return the protocols of a run by name: the reported one, then those in `params.comparisons`."""
    wanted = params.comparisons
    loso = splits.leave_one_subject_out(clips, strict=params.strict)
    mixed = None
    if "random" in wanted or "random_best_epoch" in wanted:
        mixed = splits.random_folds(clips, n_folds=params.random_folds, seed=params.seed)
    both = f"{SUBJECTS_SHARED}, {EPOCH_LEAK}"
    ways = {
        "loso": ("subject left out", loso, params.epoch_choice, "none"),
        "loso_best_epoch": ("subject left out, best epoch of each", loso, "on_test", EPOCH_LEAK),
        "random": ("random clips", mixed, params.epoch_choice, SUBJECTS_SHARED),
        "random_best_epoch": ("random clips, best epoch of each fold", mixed, "on_test", both),
    }
    views = dict.fromkeys([params.view, *(["pixels", "change"] if "other_view" in wanted else [])])
    found = {}
    for view, (way, (label, folds, rule, leak)) in product(views, ways.items()):
        if way == "loso" or way.removeprefix("loso_") in wanted:
            of_view = params.varied(view=view)
            found[f"{view}_{way}"] = Protocol(f"{view}: {label}", of_view, "cnn3d", folds, rule, leak)
    for method, label in {"still": f"{params.view}, one frame", "flow": "optical flow"}.items():
        if method in wanted:
            folds = splits.leave_one_subject_out(input_of(method, clips))
            found[method] = Protocol(f"{label}: subject left out", params.varied(), method, folds, "fixed")
    return found


def input_of(method: Method, clips: ClipSet) -> ClipSet:
    """Return the clips as a method takes them.

    "still" repeats the frame of the apex; "flow" has the three channels of `flow.as_images` as frames.
    """
    if method == "still":
        apex = clips.clips[np.arange(len(clips)), flow.apex_frames(clips)]
        return replace(clips, clips=np.repeat(apex[:, None], clips.clips.shape[1], axis=1))
    if method == "flow":
        return replace(clips, clips=flow.as_images(flow.onset_to_apex(clips)))
    return clips


def class_weights(clips: ClipSet) -> torch.Tensor:
    """Return weights that give every class the same part in the loss: float32 (K,)."""
    counts = np.bincount(clips.labels, minlength=len(clips.class_names))
    return torch.tensor(len(clips) / (len(counts) * np.maximum(counts, 1))).float()


def learner(
    params: Cnn3dSmic, method: Method, training: ClipSet, validation: ClipSet, folder: Path
) -> Learner:
    """Return the Learner that trains the network of a method, with its files in `folder`."""
    sgd, adam = partial(OPTIMIZERS["sgd"], mom=dubey2020.MOMENTUM), OPTIMIZERS["adam"]
    on_flow, weights = method in flow_networks.NETWORKS, None
    if params.balanced:
        weights = class_weights(training)
    if params.mirrored:
        training = flow.with_mirrored(training)
    return Learner(
        dataloaders(training, validation, params),
        dubey2020.build(params, training, method=method),
        loss_func=CrossEntropyLossFlat(weight=weights),
        opt_func=adam if on_flow else sgd,
        lr=params.flow_learning_rate if on_flow else params.learning_rate,
        wd=0.0,
        metrics=accuracy,
        cbs=ReseedEachEpoch(params.seed),
        path=folder,
        model_dir=".",
    )


def training_sets(params: Cnn3dSmic, split: Split[ClipSet], rule: EpochRule) -> tuple[ClipSet, ClipSet]:
    """Return (training, validation): the held-out clips validate, or with "inner" other subjects."""
    if rule == "inner":
        return splits.inner_holdout(split.train, share=INNER_SHARE, seed=params.seed)
    return split.train, split.test


def train(params: Cnn3dSmic, method: Method, split: Split[ClipSet], rule: EpochRule = "fixed") -> Trained:
    """Train on one split without output, or load the training where it is finished."""
    training, validation = training_sets(params, split, rule)
    folder = checkpoint_folder(params, training, validation, stage=method)
    learn, resume = learner(params, method, training, validation, folder), ResumeTraining(folder)
    callbacks = [SaveModelCallback(monitor="accuracy", fname="best"), resume, StopOnNaN()]
    epochs = params.flow_epochs if method in flow_networks.NETWORKS else params.epochs
    with learn.no_bar(), learn.no_logging(), contextlib.redirect_stdout(io.StringIO()):
        learn.fit(epochs, start_epoch=resume.start_epoch, cbs=callbacks)
    if rule == "fixed":  # SaveModelCallback has loaded the best epoch
        learn.model.load_state_dict(ResumeTraining(folder).state["model"])
    return Trained(learn.model, predict(learn.model, split.test), resume.history)


def train_on_all(params: Cnn3dSmic, clips: ClipSet, *, method: Method = "cnn3d") -> Trained:
    """Train the reported network on all clips, for use on other people; no clip is left to test it on."""
    everybody = Split(clips, None, clips, "all clips")
    return train(params.varied(), method, everybody, params.epoch_choice)


def cross_validate(protocol: Protocol) -> Result:
    """Train on every fold of a protocol and pool the predictions."""
    predicted, histories = [], []
    for number, split in enumerate(protocol.folds.splits):
        trained = train(protocol.params, protocol.method, split, protocol.rule)
        predicted.append(replace(trained.held_out, fold=number))
        histories.append(trained.history.assign(fold=split.description, held_out=len(split.test)))
    return Result(predictions.pooled(predicted), pd.concat(histories, ignore_index=True))


@dataclass(frozen=True, eq=False)
class GridCell:
    """One training of the paper's grid; `split` is as the paper writes it, such as "80/20"."""

    params: Cnn3dSmic
    share: float
    holdout: Split[ClipSet]
    method: Method = "cnn3d"

    @property
    def name(self) -> tuple[str, str]:
        """Activation and split as the paper writes them, such as ("ReLU", "80/20")."""
        return ACTIVATIONS[self.params.activation], f"{100 * (1 - self.share):.0f}/{100 * self.share:.0f}"

    def train(self) -> Trained:
        """Train for the fixed number of epochs."""
        return train(self.params, self.method, self.holdout)


def grid(params: Cnn3dSmic, clips: ClipSet, *, method: Method = "cnn3d") -> list[GridCell]:
    """Return {ReLU, Swish} x `grid_shares` x `grid_seeds`; both activations have the same random splits."""
    cells = []
    for activation, share, seed in product(ACTIVATIONS, params.grid_shares, params.grid_seeds):
        holdout = splits.random_holdout(clips, share=share, seed=seed)
        cells.append(GridCell(params.varied(activation=activation, seed=seed), share, holdout, method))
    return cells


def train_job(params: Cnn3dSmic, clips: ClipSet, job: int) -> Iterator[str]:
    """Do every `fold_jobs`-th training of a run, from the `job`-th on, and yield its name.

    The run then finds them finished; so it can use several cores and machines that share the checkpoints.
    """
    trainings: dict[str, Callable[[], Trained]] = {}
    for protocol in protocols(params, clips).values():
        rule = "inner" if protocol.rule == "inner" else "fixed"  # "on_test" is an epoch of the same training
        for split in protocol.folds.splits:
            key = f"{protocol.params.view}, {protocol.method}, {split.description}, {rule}"
            trainings.setdefault(key, partial(train, protocol.params, protocol.method, split, rule))
    for cell in grid(params, clips):
        trainings[f"{', '.join(cell.name)}, seed {cell.params.seed}"] = cell.train
    for name in list(trainings)[job :: params.fold_jobs]:
        trainings[name]()
        yield name


def grid_table(grid: Sequence[tuple[GridCell, Trained]]) -> pd.DataFrame:
    """Return one row per training of the grid; accuracies are fractions.

    Columns: activation, split, seed, training and (held-out) accuracy at the end, best epoch's accuracy, n.
    """
    columns = ["activation", "split", "seed", "training", "accuracy", "best epoch", "n"]
    rows = []
    for cell, trained in grid:
        history, correct = trained.history, trained.held_out.correct
        accuracies = (history["accuracy"].iloc[-1], correct.mean(), history["val_accuracy"].max())
        rows.append((*cell.name, cell.params.seed, *accuracies, len(correct)))
    return pd.DataFrame(rows, columns=columns)


def printed_grid() -> pd.DataFrame:
    """Return the validation accuracies of Table 2 as fractions: columns activation, split, accuracy."""
    cells = load_paper("dubey2020").find(table="Table 2", metric="validation_accuracy")
    rows = [(*cell.cell.partition(" / ")[2].split(" "), cell.value) for cell in cells]
    return pd.DataFrame(rows, columns=["activation", "split", "accuracy"])


def protocols_table(protocols: Mapping[str, Protocol], results: Mapping[str, Result]) -> pd.DataFrame:
    """Return one row per protocol: accuracy with interval (over subjects), UF1, UAR, n, and the leak."""
    rows = []
    for name, protocol in protocols.items():
        metrics = evaluation.evaluate(results[name].predictions).metrics
        accuracy, uf1, uar = (metrics[key] for key in ("accuracy", "macro_f1", "balanced_accuracy"))
        row = (protocol.label, accuracy["value"], *(accuracy["ci95"] or (None, None)))
        leak = "" if protocol.leak == "none" else protocol.leak
        rows.append((*row, uf1["value"], uar["value"], accuracy["n"], leak))
    columns = ["label", "value", "low", "high", "UF1", "UAR", "n", "leak"]
    return pd.DataFrame(rows, index=list(protocols), columns=columns)


def by_epoch(history: pd.DataFrame) -> pd.DataFrame:
    """Return the pooled accuracy on all held-out clips after each epoch (of "inner": on inner subjects)."""
    correct = history.assign(correct=history["val_accuracy"] * history["held_out"])
    pooled = correct.groupby("epoch")[["correct", "held_out"]].sum()
    return (pooled["correct"] / pooled["held_out"]).rename("accuracy").reset_index()


def by_subject(results: Mapping[str, Result]) -> pd.DataFrame:
    """Return the clips of every subject, and how many of them each protocol classified correctly."""
    found = {name: result.predictions for name, result in results.items()}
    correct = {name: pd.Series(one.correct).groupby(one.group) for name, one in found.items()}
    clips = next(iter(correct.values())).size()
    columns = {"clips": clips} | {name: groups.sum() for name, groups in correct.items()}
    return pd.DataFrame(columns).rename_axis("subject")


def selection(params: Cnn3dSmic) -> str:
    """Return how the reported model was selected, for `protocol.selection`."""
    if params.epoch_choice == "fixed":
        return f"epoch {params.epochs}, fixed beforehand; held-out subjects used once"
    return f"epoch best on inner subjects ({INNER_SHARE:.0%} of the training clips)"
