"""How far runs of one setting differ by chance, beside the differences that papers read something into."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data import MissingData
from fer_utils.effects.arms import load_seeds
from fer_utils.papers import load_paper
from fer_utils.statistics import Z

METHODS = (
    "10_baseline_cnn--protocol-official",
    "20_hybrid_hog_cnn--raw",
    "20_hybrid_hog_cnn--hybrid",
)
"""Methods with several seeds on FER-2013's official parts, one epoch chosen on PublicTest each."""


@dataclass(frozen=True)
class Pair:
    """Two printed accuracies that a paper sets side by side; `n` is None where it is not known."""

    paper: str
    cells: tuple[tuple[str, str], tuple[str, str]]
    about: str
    n: int | None


def _dubey(split: str, n: int) -> Pair:
    swish, relu = (("Table 2", f"validation accuracy / {name} {split}") for name in ("Swish", "ReLU"))
    return Pair("dubey2020", (swish, relu), f"Swish or ReLU, {split}", n)


PAIRS: Sequence[Pair] = (
    Pair(
        "kishor2022",
        (("Table 1", "Adam / validation"), ("Table 1", "RMSprop / validation")),
        "Adam or RMSprop",
        None,
    ),
    # 158 clips have 32, 48, 64 and 79 in the held-out parts of these shares.
    *(_dubey(*part) for part in (("80/20", 32), ("70/30", 48), ("60/40", 64), ("50/50", 79))),
    Pair(
        "kumar2021",
        (("Section 5", "280 epochs / accuracy (higher than)"), ("Section 5", "35 epochs / accuracy")),
        "280 or 35 epochs",
        3_534,
    ),
    Pair(
        "srivastav2024",
        (("Table 2", "epoch 22 / accuracy"), ("Table 2", "epoch 24 / accuracy")),
        "best or last epoch",
        7_175,
    ),
    # 1,536 images fit the printed rates of both slides (60_paper_audit).
    Pair(
        "bamb2023",
        (
            ("Slide: RAF 100 X 100", "epoch 50 / val_accuracy"),
            ("Slide: RAF dataset 48X48", "epoch 50 / val_accuracy"),
        ),
        "RAF-DB at 100 or 48 px",
        1_536,
    ),
)
"""Differences of printed accuracies."""


def seed_spread(reports: Path, methods: Sequence[str] = METHODS) -> pd.DataFrame:
    """Return how the accuracy of each method varies over its seeds.

    Returns
    -------
    DataFrame, one row per method of two seeds or more
        Columns seeds, mean, sd, lowest, highest; fractions. Methods without finished runs are left out.

    Raises
    ------
    MissingData
        When no method has two seeds.
    """
    rows = {}
    for method in methods:
        try:
            results = load_seeds(reports, method).results
        except MissingData:
            continue
        values = np.array([result["metrics"]["accuracy"]["value"] for result in results])
        if len(values) > 1:
            ends = {"lowest": values.min(), "highest": values.max()}
            rows[method] = {"seeds": len(values), "mean": values.mean(), "sd": values.std(ddof=1)} | ends
    if not rows:
        raise MissingData(f"no method of two seeds or more among {', '.join(methods)}")
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method").astype({"seeds": int})


def pooled_sd(spread: pd.DataFrame) -> float:
    """Return the standard deviation over seeds that the methods of `seed_spread` have in common."""
    freedom = spread["seeds"] - 1
    return float(np.sqrt((freedom * spread["sd"] ** 2).sum() / freedom.sum()))


def two_runs(sd: float) -> float:
    """Return how far two runs of one setting are apart at most, in 95 % of cases."""
    return Z * sqrt(2) * sd


def printed_differences() -> pd.DataFrame:
    """Return the differences of `PAIRS`, and what chance alone allows where the number of samples is known.

    Returns
    -------
    DataFrame, one row per pair
        Columns paper, about, first, second, difference (all fractions), n, chance: how far two classifiers
        of equal merit are apart at most in 95 % of samples of this size, if the answers of one say nothing
        about those of the other. Where both saw the same samples that is too wide.
    """
    return pd.DataFrame([_difference(pair) for pair in PAIRS])


def _difference(pair: Pair) -> dict[str, object]:
    paper = load_paper(pair.paper)
    first, second = (paper.cell(*cell).value for cell in pair.cells)
    both = (first + second) / 2
    chance = Z * sqrt(2 * both * (1 - both) / pair.n) if pair.n else nan
    known = {"paper": pair.paper, "about": pair.about, "first": first, "second": second}
    return known | {"difference": first - second, "n": pair.n or nan, "chance": chance}
