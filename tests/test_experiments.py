"""Sweeps have the cells asked for, and compare on validation."""

from dataclasses import dataclass

import numpy as np
import pytest

from fer_utils.data import FaceSet
from fer_utils.experiments import ablate, cross_validate, sweep, vary
from fer_utils.files import ConfigError
from fer_utils.params import HybridHogCNN, notebook_defaults
from fer_utils.predictions import Predictions


@pytest.fixture(scope="module")
def params() -> HybridHogCNN:
    return HybridHogCNN.from_values(notebook_defaults("20_hybrid_hog_cnn"), where="test")


def faces(labels: list[int], *, subject: list[str] | None = None) -> FaceSet:
    n = len(labels)
    return FaceSet(
        name="drawn",
        source="synthetic",
        images=np.random.default_rng(0).integers(256, size=(n, 16, 16), dtype=np.uint8),
        labels=np.array(labels),
        class_names=("happy", "sad"),
        split=np.full(n, "train"),
        sample_id=np.array([f"i{number:03d}" for number in range(n)]),
        subject=None if subject is None else np.array(subject),
    )


@dataclass
class Pretended:
    """Right in as many of ten images as its learning rate says."""

    rate: float
    held_out: FaceSet | None = None
    epochs: int = 3
    seconds: float = 2.0
    parameters: int = 10

    @property
    def validation(self) -> Predictions:
        labels = np.zeros(10, int) if self.held_out is None else self.held_out.labels
        right = np.arange(len(labels)) < round(self.rate * len(labels))
        answer = np.where(right, labels, 1 - labels)
        return Predictions(
            np.array([f"v{i}" for i in range(len(labels))]), labels, np.eye(2)[answer], ("happy", "sad")
        )


def test_a_grid_is_every_combination_and_nothing_else_changes(params):
    cells = vary(params, {"features": ["raw", "hybrid"], "depth": ["shallow", "deep"]})
    assert [(c.features, c.depth) for c in cells] == [
        ("raw", "shallow"), ("raw", "deep"), ("hybrid", "shallow"), ("hybrid", "deep"),
    ]  # fmt: skip
    kept = set(HybridHogCNN.model_fields) - {"features", "depth", "sweeps", "cv_folds", "cv_grid"}
    assert all(getattr(cell, name) == getattr(params, name) for cell in cells for name in kept)
    assert not any(cell.sweeps or cell.cv_folds for cell in cells)


def test_an_empty_grid_is_the_parameters_themselves(params):
    (cell,) = vary(params, {})
    assert cell.learning_rate == params.learning_rate


def test_an_ablation_takes_one_thing_out_at_a_time(params):
    cells = ablate(params, [{"dropout": 0.0}, {"batch_norm": False}])
    assert [(c.dropout, c.batch_norm) for c in cells] == [(0.3, True), (0.0, True), (0.3, False)]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"learning_rat": [0.1]}, "unknown parameter 'learning_rat'; did you mean 'learning_rate'?"),
        ({"dropout": [1.5]}, "dropout=1.5"),
        ({"optimizer": ["adamw"]}, "optimizer='adamw'"),
    ],
)
def test_a_grid_of_unknown_names_or_impossible_values_is_refused(params, grid, message):
    with pytest.raises(ConfigError) as caught:
        vary(params, grid)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cv_grid": {"learning_rat": [0.1]}}, "cv_grid: unknown parameter 'learning_rat'; did you mean"),
        ({"cv_grid": {"dropout": [2.0]}}, "dropout=2.0"),
        ({"cv_grid": {"dropout": []}}, "cv_grid: no value for 'dropout'"),
        ({"cv_grid": {"sweeps": [True]}}, "cv_grid: unknown parameter 'sweeps'"),
        ({"cv_folds": 1}, "cv_folds=1: one fold leaves nothing to train on"),
    ],
)
def test_a_parameter_file_with_an_impossible_grid_is_refused_before_anything_runs(params, changes, message):
    with pytest.raises(ConfigError) as caught:
        HybridHogCNN.from_values(params.model_dump() | changes, where="x.yaml")
    assert str(caught.value).startswith("x.yaml: ") and message in str(caught.value)


def test_a_sweep_shows_what_differs_and_the_accuracy_on_validation(params):
    cells = vary(params, {"learning_rate": [0.3, 0.8]})
    table = sweep(cells, lambda cell: Pretended(cell.learning_rate))
    assert table.columns.tolist() == [
        "learning_rate", "accuracy", "low", "high", "n", "epochs", "parameters", "seconds",
    ]  # fmt: skip
    assert table["accuracy"].tolist() == pytest.approx([0.3, 0.8])
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()


def test_cross_validation_holds_every_image_out_once_and_lists_every_cell(params):
    train, seen = faces([0, 1] * 20), []

    def pretend(cell, part, held_out):
        seen.append(sorted(held_out.sample_id))
        assert not set(part.sample_id) & set(held_out.sample_id)
        return Pretended(cell.learning_rate, held_out)

    asked = params.varied(cv_folds=4, cv_grid={"learning_rate": [0.2, 0.6]})
    table = cross_validate(asked, train, pretend, log=lambda line: None)
    assert table["learning_rate"].tolist() == [0.6, 0.2]  # best first
    assert table["mean"].tolist() == pytest.approx([0.6, 0.2])
    assert table["n"].tolist() == [40, 40] and table["seconds"].tolist() == [8.0, 8.0]
    assert sorted(name for held_out in seen[:4] for name in held_out) == train.sample_id.tolist()
