"""Two sets of labels, FER-2013's own and the votes of FER+: to train on (40), and to score by (62)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data import MissingData
from fer_utils.data.votes import join
from fer_utils.labels import FER7
from fer_utils.predictions import Predictions
from fer_utils.results import read_results
from fer_utils.run import method_of
from fer_utils.splits import Split


def with_votes(split: Split, votes: pd.DataFrame) -> tuple[Split, np.ndarray]:
    """Return a split of FER-2013 with FER+'s labels in training and validation, and the votes of training.

    Left out are images whose FER+ label (`votes.with_labels`) is no class of the set, such as ties and
    contempt. The test set stays as it is. The votes are shares of each image's votes for the classes,
    float32, shape (N, K).
    """
    names, sets, shares = [*split.train.class_names], {}, {}
    for name in ("train", "validation"):
        faces = getattr(split, name)
        table = join(votes, faces.sample_id, np.array(names)[faces.labels])
        labels = pd.Index(names).get_indexer(table["ferplus"])
        sets[name] = replace(faces.take(labels >= 0), labels=labels[labels >= 0])
        counts = table.loc[labels >= 0, names].to_numpy(np.float32)
        shares[name] = counts / counts.sum(axis=1, keepdims=True)
    description = f"{split.description}; training and validation with FER+'s labels"
    return replace(split, **sets, description=description), shares["train"]


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
