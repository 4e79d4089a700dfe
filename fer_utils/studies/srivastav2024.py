"""The two stages of srivastav2024: a new head on a frozen body, then all layers, each with its own rates.

With `frozen_epochs: 0` and `weights: none` there is one stage from random weights, as in the fast recipe and
the record's.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_utils.data import FaceSet
from fer_utils.evaluation import evaluate
from fer_utils.models import transfer
from fer_utils.models.imagenet import imagenet_weights
from fer_utils.papers import load_paper
from fer_utils.params import FastaiTransfer
from fer_utils.predictions import Predictions
from fer_utils.splits import Split
from fer_utils.training import fastai_fit, torch_state
from fer_utils.training.batches import Augmentation, Batches, flip_views, ten_crop
from fer_utils.training.checkpoints import epoch_seed
from fer_utils.training.common import Fit
from fer_utils.training.rates import RateFinder, find_rates, spread
from fer_utils.weights import IMAGENET, NONE, read_weights

GROUPS = 3
"""Of layers, as `transfer.layer_groups` makes them."""


@dataclass(frozen=True)
class Stage:
    """One of the two trainings.

    Attributes
    ----------
    fit : Fit
    rates : list of float
        The highest learning rate of each group of layers, the one next to the pixels first.
    validation : Predictions
        After the stage.
    """

    fit: Fit
    rates: list[float]
    validation: Predictions


def build(params: FastaiTransfer, faces: FaceSet) -> nn.Sequential:
    """Return the network for the classes of `faces`, its body with the weights that the parameters name.

    Raises
    ------
    MissingData
        For weights that are not on this machine.
    ConfigError
        For weights that are not those meant, or do not fit.
    """
    model = transfer.build(
        params.architecture,
        n_classes=len(faces.class_names),
        seed=params.seed,
        image_size=params.image_size,
        dropout=params.dropout,
        width=params.width,
        window=params.window,
    )
    if params.weights == NONE:
        return model
    if params.weights == IMAGENET:
        arrays = imagenet_weights(params.architecture)
    else:
        arrays = read_weights(params.weights, sha256=params.weights_sha256)
    transfer.load_body(model, arrays, architecture=params.architecture)
    return model


def augmentation(params: FastaiTransfer) -> Augmentation | None:
    """Return what happens to training images, or None where all of it is switched off."""
    none = Augmentation(0, 0, False, 0, 0, 1)
    changes = Augmentation(**{name: getattr(params, name) for name in asdict(none)})
    return changes if changes != none else None


def first_batch(
    params: FastaiTransfer, split: Split, *, frozen: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return a stage's first training batch as the network gets it: gray levels (N, H, W), and labels."""
    settings = _shared(params, "cpu", frozen=frozen)
    how = {name: settings[name] for name in ("batch_size", "seed", "device", "augmentation")}
    images, labels = next(iter(Batches(split.train, **how)))
    return images[:, 0].numpy(), labels.numpy()


def rate_finder(
    params: FastaiTransfer, model: nn.Module, split: Split, *, frozen: bool, device: str
) -> RateFinder:
    """Return the loss over a rising learning rate, for the head alone or for all layers; `model` stays."""
    learn = fastai_fit.learner(
        deepcopy(model),
        split.train,
        split.validation,
        learning_rate=params.learning_rate,
        frozen=frozen,
        **_shared(params, device, frozen=frozen),
    )
    return find_rates(learn, steps=params.rate_steps)


def highest_rate(params: FastaiTransfer, found: RateFinder, *, frozen: bool) -> float:
    """Return the rate that `rate_rule` picks from the curve, or the one that the parameters fix."""
    if params.rate_rule == "fixed":
        return params.frozen_learning_rate if frozen else params.learning_rate
    return found.suggestions[params.rate_rule]


def train(
    params: FastaiTransfer,
    model: nn.Module,
    split: Split,
    *,
    highest: float,
    frozen: bool,
    device: str,
    log: Callable[[str], None] = print,
) -> Stage:
    """Train the head alone (`frozen`), or all layers, by `params.schedule`; `model` is changed.

    The frozen stage ends with the weights of its last epoch, as one goes on in practice. The second one keeps
    the epoch best on validation, and the weights of the epochs that `time_to_accuracy` asks for.
    """
    lowest = highest / params.rate_spread if params.rate_spread > 1 and not frozen else None
    fit = fastai_fit.fit(
        model,
        split.train,
        split.validation,
        epochs=params.frozen_epochs if frozen else params.epochs,
        learning_rate=highest,
        lowest_rate=lowest,
        schedule=params.schedule,
        frozen=frozen,
        mixup=params.mixup,
        mixed_precision=params.mixed_precision,
        compiled=params.compiled,
        weight_averaging=params.weight_averaging,
        keep_every=0 if frozen else params.keep_every,
        checkpoint_every=params.checkpoint_every,
        checkpoint_dir=params.checkpoints,
        choose="last" if frozen else "best",
        log=log,
        **_shared(params, device, frozen=frozen),
    )
    rates = [highest] if frozen else spread(highest, lowest, groups=GROUPS)
    return Stage(fit, rates, predict(model, split.validation))


def predict(model: nn.Module, faces: FaceSet, *, views: Tensor | None = None) -> Predictions:
    """Return class probabilities for `faces`, from one view or as the mean of several views."""
    said = fastai_fit.predict_probabilities(model, faces.images, views=views)
    return Predictions(faces.sample_id, faces.labels, said, faces.class_names, group=faces.subject)


def views(params: FastaiTransfer) -> dict[str, Tensor]:
    """Return the ways of looking at a test picture several times that are switched on, for `predict`.

    "ten_crop": where training cuts out a window, the ten windows of its size; else a view leaves out half of
    what training may cut away. "flip_views": the picture and its mirror image.
    """
    beside = 1 - params.window / params.picture_size
    ten = ten_crop(beside, scaled=False) if params.window else ten_crop(params.crop / 2)
    return ({"ten_crop": ten} if params.ten_crop else {}) | (
        {"flip_views": flip_views()} if params.flip_views else {}
    )


def time_to_accuracy(
    model: nn.Module,
    stages: Mapping[str, Stage],
    faces: FaceSet,
    *,
    reading: float,
    views: Tensor | None = None,
) -> pd.DataFrame:
    """Return how right the weights that were kept during the training are, beside when they were there.

    Nothing is chosen by it: it is called when all is trained, and looks at the kept weights one by one.

    Parameters
    ----------
    model : nn.Module
        The trained network, which stays as it is.
    stages : mapping of str to Stage
        The second has kept weights (`keep_every`).
    faces : FaceSet
        The test part.
    reading : float
        Seconds from first touching the prepared file until the split was there.
    views : Tensor, optional
        For `predict`.

    Returns
    -------
    DataFrame, one row per kept epoch
        epoch; seconds since first touching the prepared file: reading, both stages with all validation and
        checkpoints, but no figure, no building of the network, no rate finder (a timed recipe fixes its
        rate) and no compiling, which is one step with each size of batch; accuracy, low, high (95 %), n.
    """
    fit, network = stages["unfrozen"].fit, deepcopy(model)
    elapsed = fit.history.set_index("epoch")["elapsed"] + reading
    if "frozen" in stages:
        elapsed += stages["frozen"].fit.history["elapsed"].iloc[-1]
    rows = []
    for epoch, path in fit.kept.items():
        network.load_state_dict(load_file(path))
        found = evaluate(predict(network, faces, views=views)).metrics["accuracy"]
        low, high = found["ci95"] or (np.nan, np.nan)
        rows.append((epoch, float(elapsed[epoch]), found["value"], low, high, found["n"]))
    return pd.DataFrame(rows, columns=["epoch", "seconds", "accuracy", "low", "high", "n"])


def pace_record(
    stages: Mapping[str, Stage], pace: Mapping[str, pd.DataFrame], *, reading: float
) -> dict[str, Any]:
    """Return what `time_to_accuracy` found in each way of looking, and where its seconds come from."""
    history = stages["unfrozen"].fit.history
    return {
        "seconds_from": "first touching the prepared file",
        "reading_seconds": reading,
        "compile_seconds": compile_seconds(stages),
        "starts": int(history["start"].iloc[-1]),
        "chosen_epoch": stages["unfrozen"].fit.best_epoch,
        "views": {
            name: table.astype(object).where(table.notna(), None).to_dict("records")
            for name, table in pace.items()
        },
    }


def compile_seconds(stages: Mapping[str, Stage]) -> float:
    """Return how long compiling took, in seconds; of a training that was started again, the longest time."""
    return float(sum(stage.fit.history["compile_seconds"].max() for stage in stages.values()))


def landmark(params: FastaiTransfer, faces: FaceSet) -> tuple[str, float] | None:
    """Return the abstract's accuracy with what to call it, for results on the real FER-2013; else None."""
    if params.dataset != "fer2013" or faces.source != "real":
        return None
    return "srivastav2024, abstract", load_paper("srivastav2024").cell("Abstract", "accuracy").value


def arrays(model: nn.Module) -> dict[str, np.ndarray]:
    """Return the network's weights by name; a run on other data can start from its body."""
    return torch_state.arrays(model)


def selection(params: FastaiTransfer, stages: Mapping[str, Stage]) -> str:
    """Return how rates and weights were chosen, as `protocol.selection` states it."""
    fit = stages["unfrozen"].fit
    frozen = f"{params.frozen_epochs} with a frozen body, then " if "frozen" in stages else ""
    rates = " and ".join(f"{stage.rates[-1]:.2g}" for stage in stages.values())
    mean = f"running mean of the weights ({params.weight_averaging}); " if params.weight_averaging else ""
    return (
        f"epochs: {frozen}{fit.best_epoch} of {params.epochs}, best on validation; {mean}"
        f"highest learning rate {rates} ({params.rate_rule})"
    )


def looks(params: FastaiTransfer) -> str:
    """Return how often the test part was looked at, as `protocol.selection` ends."""
    if not params.keep_every:
        return "test looked at once"
    every = "epoch" if params.keep_every == 1 else f"{params.keep_every} epochs"
    return f"test looked at once, and afterwards, choosing nothing, with the weights of every {every}"


def top_losses(predictions: Predictions, n: int) -> np.ndarray:
    """Return the rows of the n samples whose true class got the least probability, the worst first."""
    of_truth = predictions.probabilities[np.arange(len(predictions)), predictions.truth]
    return np.argsort(of_truth, kind="stable")[:n]


def epoch_table(fit: Fit) -> pd.DataFrame:
    """Return the epochs as Tables 1 and 2 print them: train_loss, valid_loss, error_rate, accuracy, time."""
    history = fit.history
    seconds = (history["seconds"] + history["validation_seconds"]).round().astype(int)
    columns = {
        "train_loss": history["loss"],
        "valid_loss": history["val_loss"],
        "error_rate": 1 - history["val_accuracy"],
        "accuracy": history["val_accuracy"],
        "time": [f"{value // 60:02d}:{value % 60:02d}" for value in seconds],
    }
    return pd.DataFrame(columns).set_axis(history["epoch"] - 1, axis="index").rename_axis("epoch")


def beside_tables(params: FastaiTransfer, stages: Mapping[str, Stage]) -> pd.DataFrame:
    """Return the printed accuracies and losses on validation beside those of the stages that were trained.

    Columns printed and measured. The printed ones are of a split and a network that the paper does not name.
    Under label smoothing and mixup losses have another floor: then there is nothing to set beside those.
    """
    printed = load_paper("srivastav2024").cell
    frozen, whole = stages.get("frozen"), stages.get("unfrozen")
    smoothed = params.label_smoothing > 0 or params.mixup > 0
    best = np.nan if whole is None else float(whole.fit.history["val_accuracy"].max())
    rows = {
        "Table 1: frozen, last epoch, error_rate": (
            printed("Table 1", "epoch 9 / error_rate"),
            1 - _last(frozen, "val_accuracy"),
        ),
        "Table 2: unfrozen, last epoch, accuracy": (
            printed("Table 2", "epoch 24 / accuracy"),
            _last(whole, "val_accuracy"),
        ),
        "Table 2: unfrozen, best printed epoch, accuracy": (printed("Table 2", "epoch 22 / accuracy"), best),
        "Table 2: unfrozen, last epoch, train_loss": (
            printed("Table 2", "epoch 24 / train_loss"),
            np.nan if smoothed else _last(whole, "loss"),
        ),
        "Table 2: unfrozen, last epoch, valid_loss": (
            printed("Table 2", "epoch 24 / valid_loss"),
            np.nan if smoothed else _last(whole, "val_loss"),
        ),
    }
    values = {name: (cell.value, measured) for name, (cell, measured) in rows.items()}
    return pd.DataFrame.from_dict(values, orient="index", columns=["printed", "measured"])


def _last(stage: Stage | None, column: str) -> float:
    return np.nan if stage is None else float(stage.fit.history[column].iloc[-1])


def _shared(params: FastaiTransfer, device: str, *, frozen: bool) -> dict[str, Any]:
    # With one stream of random numbers the second stage would see the first one's very batches again, dropout
    # included, and would look as if it knew them.
    seed = epoch_seed(params.seed, params.frozen_epochs) if frozen else params.seed
    return {
        "batch_size": params.batch_size,
        "seed": seed,
        "device": device,
        "optimizer": params.optimizer,
        "momentum": params.momentum,
        "weight_decay": params.l2,
        "label_smoothing": params.label_smoothing,
        "augmentation": augmentation(params),
        "groups": transfer.layer_groups(params.architecture),
    }
