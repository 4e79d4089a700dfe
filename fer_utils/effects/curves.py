"""The arms over their epochs, for figures."""

from math import nan
from pathlib import Path

import pandas as pd

from fer_utils.data import MissingData
from fer_utils.effects.arms import Seeds, load_seeds
from fer_utils.effects.experiments import CACHED, OFFICIAL, RANDOM, RESHUFFLED
from fer_utils.papers import load_paper

ARMS = {
    "official parts": OFFICIAL,
    "a random draw, held fixed": RANDOM,
    "each part drawn apart and kept": CACHED,
    "drawn again for every epoch": RESHUFFLED,
}
"""How the validation images came about -> the method that trained so."""


SLIDES = (
    "Slide: FER dataset",
    "Slide: RAF dataset 48X48",
    "Slide: RAF + FER dataset 48X48",
    "Slide: RAF 100 X 100",
)
"""Slides of bamb2023 that print training and validation accuracy after epoch 50."""


def validation_curves(reports: Path) -> pd.DataFrame:
    """Return the validation accuracy of every arm, seed and epoch.

    Returns
    -------
    DataFrame
        Columns arm, seed, epoch, accuracy, seen: the share of the validation images that have trained. Arms
        without finished runs are left out.

    Raises
    ------
    MissingData
        When none has one.
    """
    parts = []
    for arm, method in ARMS.items():
        try:
            seeds = load_seeds(reports, method)
        except MissingData:
            continue
        for result, history in zip(seeds.results, seeds.history, strict=True):
            columns = {"accuracy": history["val_accuracy"], "seen": history["validation_seen"]}
            named = {"arm": arm, "seed": result["protocol"]["seed"], "epoch": history["epoch"]}
            parts.append(pd.DataFrame(named | columns))
    if not parts:
        raise MissingData(f"no finished run of {', '.join(ARMS.values())}; make them from their YAMLs")
    return pd.concat(parts, ignore_index=True)


def last_epochs(reports: Path) -> pd.DataFrame:
    """Return what each arm ends at, in the words of a training log, beside what bamb2023's slides end at.

    Returns
    -------
    DataFrame, one row per arm and slide
        Columns epoch, training, validation (accuracies, of arms the mean over seeds), seen (the share of the
        validation images that have trained; NaN for a slide), unseen (what the validation images that never
        trained must have given if four fifths of them trained and are answered as well as training
        images: (validation - 0.8 training) / 0.2; NaN where another share has trained).
    """
    rows = {}
    for arm, method in ARMS.items():
        try:
            seeds = load_seeds(reports, method)
        except MissingData:
            continue
        epoch = seeds.shortest()
        ends = pd.DataFrame([history.iloc[epoch - 1] for history in seeds.history]).mean()
        named = {"training": ends["accuracy"], "validation": ends["val_accuracy"]}
        rows[arm] = {"epoch": epoch} | named | {"seen": ends["validation_seen"]}
    paper = load_paper("bamb2023")
    for slide in SLIDES:
        logged = {"training": "accuracy", "validation": "val_accuracy"}
        values = {name: paper.cell(slide, f"epoch 50 / {cell}").value for name, cell in logged.items()}
        rows[slide] = {"epoch": 50} | values | {"seen": nan}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    unseen = (table["validation"] - 0.8 * table["training"]) / 0.2
    may_be = table["seen"].isna() | (abs(table["seen"] - 0.8) < 0.05)
    return table.assign(unseen=unseen.where(may_be)).astype({"epoch": int})


def epoch_curves(seeds: Seeds) -> pd.DataFrame:
    """Return columns seed, epoch, validation, test: accuracies after each epoch of runs that kept them."""
    parts = zip(seeds.results, seeds.answers("validation"), seeds.answers("test"), strict=True)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "seed": result["protocol"]["seed"],
                    "epoch": range(1, len(test.accuracy) + 1),
                    "validation": validation.accuracy,
                    "test": test.accuracy,
                }
            )
            for result, validation, test in parts
        ],
        ignore_index=True,
    )
