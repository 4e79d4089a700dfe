"""What kumar2021 and the slides of bamb2023 print, for 10_baseline_cnn and 41_keras_transfer."""

from collections.abc import Mapping

import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.data.registry import title_of
from fer_utils.papers import load_paper, published_counterparts
from fer_utils.params import BaselineCNN
from fer_utils.splits import Split

SLIDES = {
    ("fer2013", 48): ("Slide: FER dataset",),
    ("rafdb", 48): ("Slide: RAF dataset 48X48",),
    ("rafdb", 100): ("Slide: RAF 100 X 100", "Slide: Testing Accuracy on RAF 100 X 100"),
    ("rafdb+fer2013", 48): ("Slide: RAF + FER dataset 48X48",),
}
"""Data set and image size -> slides with the training log of the plain network and its test accuracy. The FER
slide prints no size; a step took 70 to 75 ms, as on RAF-DB at 48 pixels (51 to 85; 242 to 304 at 100)."""
SLIDE_COLUMNS = {"training": "epoch 50 / accuracy", "validation": "epoch 50 / val_accuracy"}
SLIDE_COLUMNS |= {"test": "accuracy", "n": "images"}
"""Columns of `data_and_sizes` -> cells of the slides."""
AS_PRINTED = {"kumar2021": (("kumar2021", "little_vgg"), "fer6"), "bamb2023": (("bamb2023",), "fer7")}
"""Paper -> its networks and its classes. The text of kumar2021 names two networks and does not say which one
its numbers are of."""
TRANSFER = "Slide: Transfer learning model Using MobileNetV2"
"""The slide with training loss and accuracy of epochs 20 to 25, and nothing else."""
TRANSFER_EPOCHS = 25


def printed_cells(params: BaselineCNN) -> dict[str, str]:
    """Return the printed cells about a run's data set, network and classes: table -> pattern of its cells."""
    # Whoever shows the cells beside synthetic faces says so.
    key = ("fer2013" if params.dataset == "synthetic" else params.dataset, params.image_size)
    if not _as_printed(params):
        return {}
    if params.paper == "bamb2023":
        return dict.fromkeys(SLIDES.get(key, ()), "*")
    return {"Table 2": "*", "Section 5": f"{params.epochs} epochs*"} if key == ("fer2013", 48) else {}


def data_and_sizes(params: BaselineCNN, *, accuracy: Mapping[str, object] | None = None) -> pd.DataFrame:
    """Return what the slides print of the plain network, one row per data set and image size.

    The run's metric record `accuracy` is added to its row if the run is of the printed network and classes.
    """
    paper, rows, measured = load_paper("bamb2023"), {}, {}
    if accuracy and params.paper == "bamb2023" and _as_printed(params):
        # The interval is missing when all images are of one person.
        interval = " [{:.3f}, {:.3f}]".format(*accuracy["ci95"]) if accuracy["ci95"] else ""
        shown = {"measured": f"{accuracy['value']:.3f}{interval}", "n measured": str(accuracy["n"])}
        measured[params.dataset, params.image_size] = shown
    for key in SLIDES | measured:
        cells = paper.matching(dict.fromkeys(SLIDES.get(key, ()), "*"))
        printed = {cell.cell: cell.printed for cell in cells}
        row = {name: printed.get(cell, "") for name, cell in SLIDE_COLUMNS.items()}
        row |= measured.get(key, {"measured": "", "n measured": ""})
        rows[f"{title_of(key[0])}, {key[1]} px"] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("bamb2023", axis="columns")


def stages_table(histories: Mapping[str, pd.DataFrame], trainable: list[int], split: Split) -> pd.DataFrame:
    """Return the best epoch of each stage with its accuracies and loss, beside the majority class.

    `histories` has the epochs of each stage by its name, `trainable` the number of its trainable parameters.
    """
    names = {"epoch": "best epoch", "accuracy": "training accuracy", "val_accuracy": "validation accuracy"}
    best = {stage: history.loc[history["val_accuracy"].idxmax()] for stage, history in histories.items()}
    table = pd.DataFrame(best).T.rename(columns=names | {"val_loss": "validation loss"})
    table = table[[*names.values(), "validation loss"]].astype({"best epoch": int})
    table.insert(0, "trained parameters", trainable)
    return table.assign(**{"majority class": (split.validation.labels == split.majority_class).mean()})


def beside_slide(history: pd.DataFrame, faces: FaceSet) -> pd.DataFrame:
    """Return the printed epochs of MobileNetV2, on training images, beside those of a run on real faces.

    `history` has the epochs of both stages, numbered through, with a column `stage`.
    """
    columns = {}
    for name in ("loss", "accuracy"):
        cells = load_paper("bamb2023").find(table=TRANSFER, metric=f"train_{name}")
        columns[f"{name} printed"] = {int(cell.cell.split()[1]): cell.value for cell in cells}
    printed = pd.DataFrame(columns).rename_axis("epoch")
    if faces.source != "real":
        return printed
    measured = ["loss", "accuracy", "val_accuracy"]
    ours = history.set_index("epoch")[["stage", *measured]]
    return ours.rename(columns={name: f"{name} measured" for name in measured}).join(printed, how="outer")


def published_transfer(history: pd.DataFrame, faces: FaceSet) -> list[dict[str, object]]:
    """Return the `published` block of 41_keras_transfer: the last printed epoch, for runs as long."""
    if faces.source != "real" or len(history) != TRANSFER_EPOCHS:
        return []
    names = ("accuracy", "loss")
    measured = {(TRANSFER, f"epoch 25 / {name}"): f"train_last_epoch.{name}" for name in names}
    return published_counterparts("bamb2023", measured)


def _as_printed(params: BaselineCNN) -> bool:
    networks, label_set = AS_PRINTED[params.paper]
    usual = params.split_by != "official_distinct"  # trains on fewer images than any paper
    return usual and params.architecture in networks and params.label_set == label_set
