"""The arms over their epochs, for figures."""

from pathlib import Path

import pandas as pd

from fer_utils.effects.arms import MissingRuns, Seeds, load_seeds
from fer_utils.effects.experiments import OFFICIAL, RANDOM, RESHUFFLED

ARMS = {
    "official parts": OFFICIAL,
    "a random draw, held fixed": RANDOM,
    "drawn again for every epoch": RESHUFFLED,
}
"""How the validation images came about -> the method that trained so."""


def validation_curves(reports: Path) -> pd.DataFrame:
    """Return the validation accuracy of every arm, seed and epoch.

    Returns
    -------
    DataFrame
        Columns arm, seed, epoch, accuracy, seen: the share of the validation images that have trained. Arms
        without finished runs are left out.

    Raises
    ------
    MissingRuns
        When none has one.
    """
    parts = []
    for arm, method in ARMS.items():
        try:
            seeds = load_seeds(reports, method)
        except MissingRuns:
            continue
        for result, history in zip(seeds.results, seeds.history, strict=True):
            columns = {"accuracy": history["val_accuracy"], "seen": history["validation_seen"]}
            named = {"arm": arm, "seed": result["protocol"]["seed"], "epoch": history["epoch"]}
            parts.append(pd.DataFrame(named | columns))
    if not parts:
        raise MissingRuns(f"no finished run of {', '.join(ARMS.values())}; make them from their YAMLs")
    return pd.concat(parts, ignore_index=True)


def epoch_curves(seeds: Seeds) -> pd.DataFrame:
    """Return columns seed, epoch, validation, test: the accuracies after each epoch of runs that kept them."""
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
