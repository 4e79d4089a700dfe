"""Predictions against two sets of labels, for 62_label_noise: FER-2013's own, and the votes of FER+."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data import MissingData
from fer_utils.labels import FER7
from fer_utils.predictions import Predictions
from fer_utils.results import read_results
from fer_utils.run import method_of


def read_methods(reports: Path) -> tuple[dict[str, list[Predictions]], dict[str, str]]:
    """Return the predictions of each method on FER-2013, one for each seed, and the leaks of methods.

    All have the seven classes; one that a method does not know has a probability of 0.
    """
    methods, leaks = {}, {}
    for path in sorted(reports.glob("*/predictions.npz")):
        result = read_results(path.with_name("results.json"))
        if result["dataset"]["name"] == "fer2013":
            run, method = Predictions.load(path).in_id_order(), method_of(result["run"])
            classes = np.array([FER7.index(name) for name in run.class_names])
            probabilities = run.probabilities @ np.eye(len(FER7))[classes]
            run = replace(run, truth=classes[run.truth], probabilities=probabilities, class_names=FER7)
            methods.setdefault(method, []).append(run)
            leaks |= {method: leak} if (leak := result["protocol"]["leakage"]) != "none" else {}
    if not methods:
        raise MissingData(f"{reports}: no finished run on FER-2013; run one of params/reference first")
    return methods, leaks


def scored(run: Predictions, table: pd.DataFrame, labels: str) -> Predictions:
    """Return the predictions on the images of a table, with one of its columns of labels as the truth."""
    part = run.subset(pd.Index(run.sample_id).isin(table.index))
    return replace(part, truth=[FER7.index(name) for name in table.loc[part.sample_id, labels]])
