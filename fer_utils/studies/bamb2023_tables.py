"""What is told of 41_keras_transfer's two trainings, and what bamb2023's slide prints beside them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.papers import load_paper
from fer_utils.params import KerasTransfer
from fer_utils.results import plain_metrics
from fer_utils.splits import Split
from fer_utils.studies.bamb2023 import Stage
from fer_utils.models.weights import initialisation

PAPER = "bamb2023"
LOG = "Slide: Transfer learning model Using MobileNetV2"
"""The slide with the printed epochs: training loss and accuracy of epochs 20 to 25, nothing else."""
PRINTED_EPOCHS = 25
LAST_EPOCH = "train_last_epoch"
"""Name in `other_metrics` of what the slide prints: the last epoch, on training images."""


def selection(params: KerasTransfer, stages: Sequence[Stage]) -> str:
    """Return what the network started from and how its weights were chosen, for `protocol.selection`."""
    frozen, tuned = stages
    return (
        f"{initialisation(params.weights, sha256=params.weights_sha256)}; "
        f"epoch {frozen.fit.best_epoch} of {params.frozen_epochs} with the body frozen, "
        f"then epoch {tuned.fit.best_epoch} of {params.epochs} fine-tuned ({params.fine_tune_from}), "
        "each best on validation"
    )


def epochs(stages: Sequence[Stage]) -> pd.DataFrame:
    """Return the epochs of all stages, counted on from one to the next, with a column `stage`."""
    tables = [stage.fit.history.assign(stage=stage.name) for stage in stages]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(epoch=np.arange(1, len(table) + 1)).set_index("epoch")


def stages_table(stages: Sequence[Stage], split: Split) -> pd.DataFrame:
    """Return each stage's best epoch with its accuracy on training and validation images and its loss there.

    `majority class` is the validation accuracy of a classifier that always says the most frequent class of
    the training images.
    """
    majority = np.bincount(split.train.labels).argmax()
    rows = {
        stage.name: {
            "parameters trained": stage.trainable,
            "best epoch": stage.fit.best_epoch,
            "training accuracy": stage.fit.best["accuracy"],
            "validation accuracy": stage.fit.best["val_accuracy"],
            "majority class": (split.validation.labels == majority).mean(),
            "validation loss": stage.fit.best["val_loss"],
        }
        for stage in stages
    }
    return pd.DataFrame(rows.values(), index=list(rows))


def train_metrics(stages: Sequence[Stage], split: Split) -> dict[str, dict]:
    """Return what is known of training and validation images, as `other_metrics` takes it.

    `train` and `validation` are of the reported weights, `validation_frozen` of the first stage's;
    `train_last_epoch` is what the slide prints.
    """
    frozen, tuned = (stage.fit.best for stage in stages)
    last = stages[-1].fit.history.iloc[-1]
    n, n_validation = len(split.train), len(split.validation)
    return {
        "train": plain_metrics({"accuracy": tuned["accuracy"], "loss": tuned["loss"]}, n=n),
        LAST_EPOCH: plain_metrics({"accuracy": last["accuracy"], "loss": last["loss"]}, n=n),
        "validation": plain_metrics(_held_out(tuned), n=n_validation),
        "validation_frozen": plain_metrics(_held_out(frozen), n=n_validation),
    }


def beside_slide(stages: Sequence[Stage], faces: FaceSet) -> pd.DataFrame:
    """Return the printed epochs beside all of ours, by number; on drawn faces the printed ones alone.

    The printed ones are of training images. The validation accuracy is ours: the slide has none.
    """
    columns = {"loss": "train_loss", "accuracy": "train_accuracy"}
    paper = load_paper(PAPER)
    printed = pd.DataFrame(
        {
            f"{name} printed": {
                _epoch(cell.cell): cell.value for cell in paper.find(table=LOG, metric=metric)
            }
            for name, metric in columns.items()
        }
    ).rename_axis("epoch")
    if faces.source != "real":
        return printed
    ours = epochs(stages)[["stage", "loss", "accuracy", "val_accuracy"]]
    ours.columns = ["stage", *(f"{name} measured" for name in ("loss", "accuracy", "val_accuracy"))]
    return ours.join(printed, how="outer")


def published(stages: Sequence[Stage], faces: FaceSet) -> list[dict[str, object]]:
    """Return the `published` block: the last printed epoch, on real faces and after as many epochs alone."""
    if faces.source != "real" or len(epochs(stages)) != PRINTED_EPOCHS:
        return []
    found = []
    for name in ("accuracy", "loss"):
        cell = load_paper(PAPER).cell(LOG, f"epoch 25 / {name}")
        place = {"paper": PAPER, "table": cell.table, "cell": cell.cell, "metric": cell.metric}
        value = {"value": cell.value, "printed": cell.printed, "compared_with": f"{LAST_EPOCH}.{name}"}
        found.append(place | value)
    return found


def _held_out(best: dict[str, float]) -> dict[str, float]:
    return {"accuracy": best["val_accuracy"], "loss": best["val_loss"]}


def _epoch(cell: str) -> int:
    return int(cell.split()[1])
