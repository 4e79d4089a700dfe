"""The study of dubey2020: which clips train and judge which network, from parameters to predictions.

A *protocol* says what is held out and which epoch's weights judge it. The same trainings serve several of
them: the epoch best on the held-out clips and the last epoch are two looks at one training.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from torch import nn

from fer_utils.data import ClipSet
from fer_utils.features import flow
from fer_utils.models import dubey2020
from fer_utils.params import Cnn3dSmic
from fer_utils.predictions import Predictions, pooled
from fer_utils.splits import (
    SUBJECTS_SHARED,
    Folds,
    Split,
    inner_holdout,
    leave_one_subject_out,
    random_folds,
    random_holdout,
)
from fer_utils.training import fastai_fit
from fer_utils.training.common import Fit

Method = Literal["cnn3d", "still", "flow"]
"""The 3D-CNN; the same network shown one frame repeated; a small network on the optical flow at the apex."""
EpochRule = Literal["fixed", "inner", "on_test"]
"""The last epoch; the best on inner subjects; the best on the held-out clips themselves, which is a leak."""
Log = Callable[[str], None]

EPOCH_LEAK = "epoch chosen on test"


@dataclass(frozen=True)
class Protocol:
    """One way of judging a method.

    Attributes
    ----------
    label : str
        For tables.
    params : Cnn3dSmic
    method : Method
    folds : Folds of ClipSet
        As the method sees them.
    rule : EpochRule
    leak : str
        "none", or the leak's name.
    """

    label: str
    params: Cnn3dSmic
    method: Method
    folds: Folds[ClipSet]
    rule: EpochRule
    leak: str = "none"


@dataclass(frozen=True)
class Trained:
    """One network, and what it said of the clips that it was held out from."""

    model: nn.Module
    fit: Fit
    held_out: Predictions


@dataclass(frozen=True)
class Judged:
    """A protocol carried out.

    Attributes
    ----------
    predictions : Predictions
        Of all folds, pooled; groups are subjects.
    history : DataFrame
        `Fit.history` of all folds, with the columns `fold` and `held_out`, its number of clips.
    seconds : float
    parameters : int
        Numbers that training sets, in one fold.
    """

    predictions: Predictions
    history: pd.DataFrame
    seconds: float
    parameters: int


def protocols(params: Cnn3dSmic, clips: ClipSet) -> dict[str, Protocol]:
    """Return the protocols of a run by name, the reported one first, then what stands beside it.

    Raises
    ------
    ValueError
        For a data set that cannot be split so.
    """
    alone = leave_one_subject_out(clips, strict=params.strict)
    if not params.comparisons:
        return dict([next(_of_view(params, clips, alone))])
    views = dict.fromkeys((params.view, "pixels", "change"))
    found = dict(pair for view in views for pair in _of_view(params.varied(view=view), clips, alone))
    still, flows = (leave_one_subject_out(seen_by(method, clips)) for method in ("still", "flow"))
    label = f"{params.view}, one frame: subject left out"
    found["still"] = Protocol(label, params, "still", still, "fixed")
    found["flow"] = Protocol("optical flow: subject left out", params, "flow", flows, "fixed")
    return found


def _of_view(params: Cnn3dSmic, clips: ClipSet, alone: Folds[ClipSet]) -> Iterator[tuple[str, Protocol]]:
    mixed = random_folds(clips, n_folds=params.random_folds, seed=params.seed)
    both = f"{SUBJECTS_SHARED}, {EPOCH_LEAK}"
    ways = {
        "loso": ("subject left out", alone, params.epoch_choice, "none"),
        "loso_best_epoch": ("subject left out, best epoch", alone, "on_test", EPOCH_LEAK),
        "random": ("random clips", mixed, params.epoch_choice, SUBJECTS_SHARED),
        "random_best_epoch": ("random clips, best epoch", mixed, "on_test", both),
    }
    for name, (label, folds, rule, leak) in ways.items():
        protocol = Protocol(f"{params.view}: {label}", params, "cnn3d", folds, rule, leak)
        yield f"{params.view}_{name}", protocol


def seen_by(method: Method, clips: ClipSet) -> ClipSet:
    """Return the clips as a method sees them.

    "still" repeats the frame of the apex: what is left is who it is and one look at the face, without any
    movement. For "flow" the three planes of `flow.as_images` stand where the frames were.
    """
    if method == "still":
        apex = clips.clips[np.arange(len(clips)), flow.apex_frames(clips)]
        return replace(clips, clips=np.repeat(apex[:, None], clips.clips.shape[1], axis=1))
    if method == "flow":
        return replace(clips, clips=flow.as_images(flow.onset_to_apex(clips)))
    return clips


def train(
    params: Cnn3dSmic,
    method: Method,
    fold: Split[ClipSet],
    *,
    rule: EpochRule,
    device: str,
    number: int = 0,
    log: Log = print,
) -> Trained:
    """Train a method on one fold and let it judge the held-out clips.

    Parameters
    ----------
    number : int
        The fold's, as the predictions state it.
    log : callable
        Gets one line per epoch.
    """
    part, looks_on = fold.train, fold.test
    if rule == "inner":
        part, looks_on = inner_holdout(fold.train, share=params.inner_share, seed=params.seed)
    model = dubey2020.build(params, part, method=method)
    fit = fastai_fit.fit(
        model,
        part,
        looks_on,
        choose="last" if rule == "fixed" else "best",
        batch_size=params.batch_size,
        seed=params.seed,
        checkpoint_dir=params.checkpoints,
        device=device,
        log=log,
        **_recipe(params, method),
    )
    clips = fold.test
    probabilities = fastai_fit.predict_probabilities(model, clips.clips)
    held_out = Predictions(
        clips.sample_id, clips.labels, probabilities, clips.class_names, number, clips.subject
    )
    return Trained(model, fit, held_out)


def train_on_all(params: Cnn3dSmic, clips: ClipSet, *, device: str, log: Log = print) -> nn.Module:
    """Train the reported network once more, on everybody, for clips of other people: it judges none of these.

    As each fold of the reported protocol is trained: for the fixed number of epochs, or, where inner subjects
    choose the epoch, on all others. Found again when it is finished, as those are.
    """
    everybody = Split(clips, None, clips, "trained on all clips", False)
    return train(params, "cnn3d", everybody, rule=params.epoch_choice, device=device, log=log).model


def judge(protocol: Protocol, *, device: str, log: Log = print) -> Judged:
    """Carry out a protocol, fold by fold; `log` gets one line per fold."""
    parts, histories, seconds = [], [], 0.0
    for number, (name, fold) in enumerate(zip(protocol.folds.names, protocol.folds, strict=True)):
        how = {"rule": protocol.rule, "device": device, "number": number, "log": _silent}
        trained = train(protocol.params, protocol.method, fold, **how)
        parts.append(trained.held_out)
        histories.append(trained.fit.history.assign(fold=name, held_out=len(fold.test)))
        seconds += trained.fit.seconds
        right = int(trained.held_out.correct.sum())
        log(f"{name}: {right} of {len(trained.held_out)} right, {trained.fit.seconds:.0f} s")
    parameters = sum(weights.numel() for weights in trained.model.parameters())
    return Judged(pooled(parts), pd.concat(histories, ignore_index=True), seconds, parameters)


@dataclass(frozen=True, eq=False)
class GridCell:
    """One training of the paper's grid: its parameters (activation and seed) and its random split."""

    params: Cnn3dSmic
    share: float
    fold: Split[ClipSet]

    @property
    def split(self) -> str:
        """The split as the paper writes it, such as "80/20"."""
        return f"{100 * (1 - self.share):.0f}/{100 * self.share:.0f}"

    def train(self, *, device: str) -> Trained:
        """Train it; the epochs are fixed."""
        return train(self.params, "cnn3d", self.fold, rule="fixed", device=device, log=_silent)


def grid(params: Cnn3dSmic, clips: ClipSet) -> list[GridCell]:
    """Return {ReLU, Swish} x `grid_shares` x `grid_seeds`; both activations have the same splits."""
    return [
        GridCell(
            params.varied(activation=activation, seed=seed),
            share,
            random_holdout(clips, share=share, seed=seed),
        )
        for activation, share, seed in product(("relu", "swish"), params.grid_shares, params.grid_seeds)
    ]


def train_share(params: Cnn3dSmic, clips: ClipSet, *, job: int, device: str, log: Log = print) -> None:
    """Do every `fold_jobs`-th training of a run, from the `job`-th on, counted from 0.

    The run itself finds them finished: so its folds and seeds spread over cores and machines that share the
    checkpoints.
    """
    trainings = {}
    for protocol in protocols(params, clips).values():
        rule = "inner" if protocol.rule == "inner" else "fixed"  # looking on does not change a training
        for name, fold in zip(protocol.folds.names, protocol.folds, strict=True):
            key = (protocol.params.view, protocol.method, name, rule)
            task = partial(
                train, protocol.params, protocol.method, fold, rule=rule, device=device, log=_silent
            )
            trainings.setdefault(", ".join(key), task)
    for cell in grid(params, clips):
        name = f"{cell.params.activation}, {cell.split}, seed {cell.params.seed}"
        trainings[name] = partial(cell.train, device=device)
    for name in list(trainings)[job :: params.fold_jobs]:
        log(f"{name}: {trainings[name]().fit.seconds:.0f} s")


def _recipe(params: Cnn3dSmic, method: Method) -> dict[str, object]:
    if method == "flow":
        return {"optimizer": "adam", "learning_rate": params.flow_learning_rate, "epochs": params.flow_epochs}
    sgd = {"optimizer": "sgd", "momentum": params.momentum}
    return sgd | {"learning_rate": params.learning_rate, "epochs": params.epochs}


def _silent(line: str) -> None:
    pass
