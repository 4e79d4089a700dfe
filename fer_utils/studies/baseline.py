"""The faces of the baseline networks, and the printed numbers that are about them."""

from collections.abc import Mapping

import pandas as pd

from fer_utils.data import FaceSet, load_faces
from fer_utils.data.catalogue import FACE_DATA
from fer_utils.labels import classes_of
from fer_utils.papers import Paper, load_paper
from fer_utils.params import BaselineCNN

SLIDES = {
    ("fer2013", 48): ("Slide: FER dataset",),
    ("rafdb", 48): ("Slide: RAF dataset 48X48",),
    ("rafdb", 100): ("Slide: RAF 100 X 100", "Slide: Testing Accuracy on RAF 100 X 100"),
    ("rafdb+fer2013", 48): ("Slide: RAF + FER dataset 48X48",),
}
"""Data set and image size -> the slides of bamb2023 that print its log, and its test accuracy if they do.

The FER slide prints no size. FER-2013 has 48 pixels, and a step took 70 to 75 ms: as on RAF-DB at 48
(51 to 85), not at 100 (242 to 304).
"""

AS_PRINTED = {"kumar2021": (("kumar2021", "little_vgg"), "fer6"), "bamb2023": (("bamb2023",), "fer7")}
"""Paper -> its networks and its classes. The text of kumar2021 names two networks and does not say which one
its numbers are of."""

_LAST = "epoch 50"


def load(params: BaselineCNN) -> FaceSet:
    """Return the faces that the parameters name, in their image size and with their classes.

    Raises
    ------
    MissingData
        When a real data set is not there.
    """
    faces = load_faces(**params.data())
    return faces.with_classes(classes_of(params.label_set, own=faces.class_names))


def printed_cells(params: BaselineCNN) -> dict[str, str]:
    """Return the printed cells that are about the run's data: table -> pattern, for `run.published_values`.

    Drawn faces take FER-2013's place; whoever shows them says so. Nothing where the paper prints nothing
    about this data set in this size, and nothing for another network or other classes (`AS_PRINTED`).
    """
    key = ("fer2013" if params.dataset == "synthetic" else params.dataset, params.image_size)
    if not _is_as_printed(params):
        return {}
    if params.paper == "bamb2023":
        return dict.fromkeys(SLIDES.get(key, ()), "*")
    return {"Table 2": "*", "Section 5": f"{params.epochs} epochs*"} if key == ("fer2013", 48) else {}


def data_and_sizes(params: BaselineCNN, *, accuracy: Mapping[str, object] | None = None) -> pd.DataFrame:
    """Return what the slides of bamb2023 print of its network, one row per data set and image size.

    Parameters
    ----------
    params : BaselineCNN
        Decides which row is that of the run.
    accuracy : mapping, optional
        The run's metric record, with `value`, `ci95` (or None) and `n`; None where it is not to stand beside
        the printed ones. Of runs about another paper, another network or other classes it is left out.

    Returns
    -------
    DataFrame
        Columns: training and validation accuracy after the last epoch, test accuracy and its images, what the
        run measured on test and its images; texts, as printed, empty where there is nothing.
    """
    paper = load_paper("bamb2023")
    own = (params.dataset, params.image_size)
    accuracy = accuracy if params.paper == "bamb2023" and _is_as_printed(params) else None
    keys = [*SLIDES, *([own] if own not in SLIDES and accuracy else [])]
    rows = {
        _label(*key): _printed(paper, *SLIDES.get(key, ())) | _measured(accuracy if key == own else None)
        for key in keys
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("bamb2023", axis="columns")


def _is_as_printed(params: BaselineCNN) -> bool:
    networks, label_set = AS_PRINTED[params.paper]
    return params.architecture in networks and params.label_set == label_set


def _label(dataset: str, image_size: int) -> str:
    titles = [FACE_DATA[name].title for name in dataset.split("+")]
    return f"{' + '.join(titles)}, {image_size} px"


def _printed(paper: Paper, log: str = "", test: str = "") -> dict[str, str]:
    def text(table: str, cell: str) -> str:
        return paper.cell(table, cell).printed if table else ""

    return {
        "training": text(log, f"{_LAST} / accuracy"),
        "validation": text(log, f"{_LAST} / val_accuracy"),
        "test": text(test, "accuracy"),
        "n": text(test, "images"),
    }


def _measured(record: Mapping[str, object] | None) -> dict[str, str]:
    if record is None:
        return {"measured": "", "n measured": ""}
    # Pictures of one person alone have no interval.
    interval = " [{:.3f}, {:.3f}]".format(*record["ci95"]) if record["ci95"] else ""
    return {"measured": f"{record['value']:.3f}{interval}", "n measured": str(record["n"])}
