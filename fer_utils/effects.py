"""Effects of evaluation protocols: how much each flawed way of measuring adds to an accuracy.

Nothing is trained here. The experiments and the runs they read are listed in `data/effects.yaml`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict

from fer_utils.data import MissingData
from fer_utils.files import PROJECT, read_json, write_json
from fer_utils.papers import load_paper
from fer_utils.params import method_of
from fer_utils.predictions import EpochPredictions
from fer_utils.statistics import Interval, Z, difference_interval, mean_interval, wilson_interval

DUPLICATES = Path("00_data_prep") / "copies.csv"
"""Test images with duplicates in other sets, in a profile's folder."""


class Arm(BaseModel):
    """An accuracy measured in one way: the mean over the seeds, as a fraction.

    `interval` is for that mean as it varies with the samples, `n` the number of test samples of one seed, and
    `leak` the name of the leakage or "none".
    """

    model_config = ConfigDict(frozen=True)

    label: str
    value: float
    interval: Interval
    by_seed: tuple[float, ...]
    n: int
    leak: str = "none"


class Effect(BaseModel):
    """One experiment: an accuracy measured honestly, and in the way (`trick`) that inflates it.

    `key` is its name in `data/effects.yaml`. `interval` is for `size`, as it varies with the samples;
    `by_seed` has `size` for each seed that both arms have. `runs` are the runs that were read.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    trick: str
    honest: Arm
    leaky: Arm
    interval: Interval
    by_seed: tuple[float, ...]
    data: str
    runs: tuple[str, ...]

    @property
    def size(self) -> float:
        """Difference in accuracy, leaky less honest, as a fraction."""
        return self.leaky.value - self.honest.value


@dataclass(frozen=True)
class Seeds:
    """The finished runs of one method, which differ only in their seed."""

    method: str
    folders: tuple[Path, ...]

    @cached_property
    def results(self) -> tuple[dict, ...]:
        """The results.json of each run."""
        return tuple(read_json(folder / "results.json") for folder in self.folders)

    @cached_property
    def history(self) -> tuple[pd.DataFrame, ...]:
        """The history.csv of each run, one row per epoch."""
        return tuple(pd.read_csv(folder / "history.csv") for folder in self.folders)

    @property
    def leakage(self) -> str:
        """Name of the leakage in these runs."""
        return self.results[0]["protocol"]["leakage"]

    def epochs(self, name: str) -> tuple[EpochPredictions, ...]:
        """Return each run's predictions by epoch on one set, "validation" or "test"."""
        return tuple(EpochPredictions.load(folder / f"epochs_{name}.npz") for folder in self.folders)

    def correct_on_test(self, *, epochs: int | None = None) -> np.ndarray:
        """Return which test images each seed has correct, shape (seeds, N), at its best epoch on validation.

        `epochs` is the number of epochs to select from; all by default.
        """
        pairs = zip(self.epochs("validation"), self.epochs("test"), strict=True)
        return np.array([test.correct[validation.first(epochs).best] for validation, test in pairs], float)


@cache
def definitions() -> dict[str, Any]:
    """Return the content of `data/effects.yaml`: experiments, arms and printed pairs."""
    return yaml.safe_load((PROJECT / "data" / "effects.yaml").read_text(encoding="utf-8"))


def load_seeds(reports: Path, method: str) -> Seeds:
    """Return the finished runs of a method in a profile's folder; `MissingData` when there is none."""
    found = [path.parent for path in sorted(Path(reports).glob(f"{method}*/results.json"))]
    same = [folder for folder in found if method_of(folder.name) == method]
    done = tuple(folder for folder in same if read_json(folder / "results.json")["status"] == "done")
    if not done:
        raise MissingData(f"no finished run of {method} in {Path(reports).name}; run its parameter file")
    return Seeds(method, done)


# --- the experiments ------------------------------------------------------------------------------


def measure_all(reports: Path) -> tuple[list[Effect], dict[str, str]]:
    """Measure every experiment whose runs are in a profile's folder.

    Returns the effects, in the order of `data/effects.yaml`, and a dict from the names of the other
    experiments to what is missing.
    """
    effects, missing = [], {}
    for key in definitions()["experiments"]:
        try:
            effects.append(measure(key, reports))
        except MissingData as error:
            missing[key] = str(error)
    return effects, missing


def measure(key: str, reports: Path) -> Effect:
    """Measure one experiment of `data/effects.yaml`; `MissingData` when one of its runs is missing."""
    experiment = definitions()["experiments"][key]
    reports = Path(reports)
    runs = [load_seeds(reports, experiment[arm]) for arm in ("honest", "leaky") if arm in experiment]
    honest, leaky, interval, by_seed = _KINDS[experiment["kind"]](experiment, reports, *runs)
    return Effect(
        key=key,
        trick=experiment["what"],
        honest=honest,
        leaky=leaky,
        interval=interval,
        by_seed=tuple(by_seed),
        data=experiment["data"],
        runs=tuple(folder.name for seeds in runs for folder in seeds.folders),
    )


Measured = tuple[Arm, Arm, Interval, Sequence[float]]


def _last_validation_epoch(experiment: dict, _: Path, official: Seeds, leaky: Seeds) -> Measured:
    """Validation accuracy after the last epoch that all runs have."""
    last = min(map(len, official.history + leaky.history))
    labels = [label.format(epoch=last) for label in experiment["labels"]]
    correct = [epochs.correct[last - 1] for epochs in official.epochs("validation")]
    accuracies = [history["val_accuracy"].iloc[last - 1] for history in leaky.history]
    n = leaky.results[0]["other_metrics"]["validation"]["accuracy"]["n"]
    return _independent(
        _same_samples(labels[0], correct), _own_samples(labels[1], accuracies, n=n, leak=leaky.leakage)
    )


def _test_set(experiment: dict, _: Path, official: Seeds, leaky: Seeds) -> Measured:
    """Test accuracy at the best epoch on validation, of as many epochs as all runs have."""
    epochs = min(map(len, official.history + leaky.history))
    labels, theirs = experiment["labels"], leaky.correct_on_test(epochs=epochs)
    accuracies = [correct.mean() for correct in theirs]
    return _independent(
        _same_samples(labels[0], official.correct_on_test(epochs=epochs)),
        _own_samples(labels[1], accuracies, n=theirs.shape[1], leak=leaky.leakage),
    )


def _duplicates(experiment: dict, reports: Path, official: Seeds) -> Measured:
    """Test accuracy without and with the images that have duplicates in other sets."""
    if not (reports / DUPLICATES).is_file():
        raise MissingData(f"no {DUPLICATES} in {reports.name}; run the parameter file of {DUPLICATES.parent}")
    table = pd.read_csv(reports / DUPLICATES)
    ids = table.loc[table[experiment["columns"]].any(axis=1), "sample_id"].to_numpy(dtype=str)
    correct = official.correct_on_test()
    copied = np.isin(official.epochs("test")[0].sample_id, ids)
    labels = experiment["labels"]
    everything = _same_samples(labels[1], correct, leak=experiment["leak"])
    distinct, repeated = _same_samples(labels[0], correct[:, ~copied]), _same_samples("", correct[:, copied])
    # all = distinct + share * (repeated - distinct), and the two sets of images are disjoint.
    low, high = difference_interval(repeated.value, repeated.interval, distinct.value, distinct.interval)
    by_seed = correct.mean(axis=1) - correct[:, ~copied].mean(axis=1)
    return distinct, everything, (copied.mean() * low, copied.mean() * high), by_seed


def _best_epoch(experiment: dict, _: Path, official: Seeds) -> Measured:
    """Test accuracy at the best epoch on validation, and at the best one on the test set."""
    labels, honest = experiment["labels"], official.correct_on_test()
    best = np.array([epochs.correct[epochs.best] for epochs in official.epochs("test")], float)
    added = best - honest
    leaky = _same_samples(labels[1], best, leak=experiment["leak"])
    return _same_samples(labels[0], honest), leaky, mean_interval(added.mean(axis=0)), added.mean(axis=1)


def _best_seed(experiment: dict, _: Path, official: Seeds) -> Measured:
    """Mean test accuracy of all seeds, and that of the best one on the test set."""
    correct = official.correct_on_test()
    labels = [label.format(runs=len(correct)) for label in experiment["labels"]]
    best = correct[correct.mean(axis=1).argmax()]
    added = best - correct.mean(axis=0)
    leaky = _same_samples(labels[1], [best], leak=experiment["leak"])
    return _same_samples(labels[0], correct), leaky, mean_interval(added), [added.mean()]


def _stored_metrics(experiment: dict, _: Path, runs: Seeds) -> Measured:
    """Two blocks of metrics of the same runs.

    The interval of an arm is that of one seed, averaged: the seeds share their samples, and only metrics of
    them are stored.
    """
    arms = []
    for label, block, leak in zip(
        experiment["labels"], experiment["blocks"], ("none", experiment["leak"]), strict=True
    ):
        blocks = [found["other_metrics"][block] if block else found["metrics"] for found in runs.results]
        records = [metrics["accuracy"] for metrics in blocks]
        values = [record["value"] for record in records]
        interval = np.mean([record["ci95"] for record in records], axis=0)
        arms.append(_arm(label, values, interval, n=records[0]["n"], leak=leak))
    return _independent(*arms)


_KINDS = {
    "last_validation_epoch": _last_validation_epoch,
    "test_set": _test_set,
    "duplicates": _duplicates,
    "best_epoch": _best_epoch,
    "best_seed": _best_seed,
    "stored_metrics": _stored_metrics,
}


def _arm(label: str, values: Sequence[float], interval: Sequence[float], *, n: int, leak: str) -> Arm:
    ends = (float(interval[0]), float(interval[1]))
    return Arm(label=label, value=np.mean(values), interval=ends, by_seed=tuple(values), n=n, leak=leak)


def _same_samples(label: str, correct: Sequence[np.ndarray], *, leak: str = "none") -> Arm:
    """Return the arm of seeds with the same test samples: `correct` has shape (seeds, N)."""
    correct = np.array(correct, dtype=float)
    interval = mean_interval(correct.mean(axis=0))
    return _arm(label, correct.mean(axis=1), interval, n=correct.shape[1], leak=leak)


def _own_samples(label: str, accuracies: Sequence[float], *, n: int, leak: str) -> Arm:
    """Return the arm of seeds that each have their own `n` test samples, taken as independent."""
    interval = wilson_interval(round(sum(accuracies) * n), n * len(accuracies))
    return _arm(label, accuracies, interval, n=n, leak=leak)


def _independent(honest: Arm, leaky: Arm) -> Measured:
    interval = difference_interval(leaky.value, leaky.interval, honest.value, honest.interval)
    by_seed = [a - b for a, b in zip(leaky.by_seed, honest.by_seed, strict=False)]
    return honest, leaky, interval, by_seed


# --- tables, records and files --------------------------------------------------------------------


def pick(effects: Sequence[Effect], *keys: str) -> list[Effect]:
    """Return the effects with one of the keys, in the order of the keys; `MissingData` when there is none."""
    found = {effect.key: effect for effect in effects}
    if not (picked := [found[key] for key in keys if key in found]):
        raise MissingData(f"no finished runs of the experiments {', '.join(keys)}; run them first")
    return picked


def effects_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return one row of text per effect, the largest first: accuracies in percent, difference in points."""
    rows = {}
    for effect in sorted(effects, key=lambda effect: -effect.size):
        low, high = (100 * end for end in effect.interval)
        rows[effect.trick] = {
            "honest": f"{100 * effect.honest.value:.1f} %",
            "looks like": f"{100 * effect.leaky.value:.1f} %",
            "adds, points [95 %]": f"{100 * effect.size:+.1f} [{low:+.1f}, {high:+.1f}]",
            "each seed": ", ".join(f"{100 * size:+.1f}" for size in effect.by_seed),
            "n": f"{effect.leaky.n:,}",
            "data": effect.data,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what is done")


def sizes_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return the effects as numbers for a figure, the largest first: honest, leaky, low, high, data."""
    rows = {
        effect.trick: (effect.honest.value, effect.leaky.value, *effect.interval, effect.data)
        for effect in sorted(effects, key=lambda effect: -effect.size)
    }
    columns = ["honest", "leaky", "low", "high", "data"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("what is done")


def arms_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return every arm of the effects once, for a figure: label, value, low, high, n, leak, seeds."""
    arms: dict[str, Arm] = {}
    for effect in effects:
        for arm in (effect.honest, effect.leaky):
            arms.pop(arm.label, None)  # an arm that several effects share is in the place of the last
            arms[arm.label] = arm
    columns = ["label", "value", "low", "high", "n", "leak", "seeds"]
    rows = [(arm.label, arm.value, *arm.interval, arm.n, arm.leak, arm.by_seed) for arm in arms.values()]
    return pd.DataFrame(rows, columns=columns)


def records(effects: Sequence[Effect]) -> dict[str, dict[str, dict]]:
    """Return the effects as metric records, for `other_metrics` of results.json."""
    found = {}
    for effect in effects:
        parts = {
            "honest": (effect.honest.value, effect.honest.interval, effect.honest.n),
            "leaky": (effect.leaky.value, effect.leaky.interval, effect.leaky.n),
            "difference": (effect.size, effect.interval, effect.leaky.n),
        }
        found[effect.key] = {
            name: {"value": value, "ci95": list(ends), "n": n} for name, (value, ends, n) in parts.items()
        }
    return found


def write_effects(path: str | Path, effects: Sequence[Effect]) -> Path:
    """Write the effects as JSON, with the seeds of both arms and the runs that were read."""
    return write_json(path, [effect.model_dump(mode="json") for effect in effects])


def read_effects(path: str | Path) -> list[Effect]:
    """Read what `write_effects` wrote."""
    return [Effect(**stored) for stored in read_json(path)]


# --- curves over the epochs -----------------------------------------------------------------------


def validation_curves(reports: Path) -> pd.DataFrame:
    """Return the validation accuracy of every arm, seed and epoch; arms without runs are left out.

    Columns: arm, seed, epoch, accuracy, and `seen`, the share of the validation images that are trained on.
    """
    parts = []
    for arm, seeds in _validation_sets(reports).items():
        for result, history in zip(seeds.results, seeds.history, strict=True):
            columns = {"accuracy": history["val_accuracy"], "seen": history["validation_seen"]}
            named = {"arm": arm, "seed": result["protocol"]["seed"], "epoch": history["epoch"]}
            parts.append(pd.DataFrame(named | columns))
    if not parts:
        raise MissingData(f"no finished runs of {', '.join(definitions()['validation_sets'].values())}")
    return pd.concat(parts, ignore_index=True)


def last_epochs(reports: Path) -> pd.DataFrame:
    """Return the accuracies after the last epoch of each arm, beside those on bamb2023's slides.

    Columns: epoch, training, validation (accuracies, of arms the mean over seeds), seen (share of the
    validation images that are trained on; NaN for a slide), unseen (accuracy on the other validation images
    if four fifths of them are trained on and classified as well as training images: (validation - 0.8
    training) / 0.2; NaN where another share is trained on).
    """
    rows = {}
    for arm, seeds in _validation_sets(reports).items():
        epoch = min(map(len, seeds.history))
        ends = pd.DataFrame([history.iloc[epoch - 1] for history in seeds.history]).mean()
        rows[arm] = (epoch, ends["accuracy"], ends["val_accuracy"], ends["validation_seen"])
    paper = load_paper("bamb2023")
    for slide in definitions()["slides"]:
        printed = [paper.cell(slide, f"epoch 50 / {name}").value for name in ("accuracy", "val_accuracy")]
        rows[slide] = (50, *printed, nan)
    columns = ["epoch", "training", "validation", "seen"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("arm")
    unseen = (table["validation"] - 0.8 * table["training"]) / 0.2
    return table.assign(unseen=unseen.where(table["seen"].isna() | (abs(table["seen"] - 0.8) < 0.05)))


def epoch_curves(seeds: Seeds) -> pd.DataFrame:
    """Return columns seed, epoch, validation, test: accuracies after each epoch."""
    tables = []
    parts = zip(seeds.results, seeds.epochs("validation"), seeds.epochs("test"), strict=True)
    for result, validation, test in parts:
        table = pd.DataFrame({"validation": validation.accuracy, "test": test.accuracy})
        table.insert(0, "epoch", range(1, len(table) + 1))
        table.insert(0, "seed", result["protocol"]["seed"])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _validation_sets(reports: Path) -> dict[str, Seeds]:
    found = {}
    for arm, method in definitions()["validation_sets"].items():
        try:
            found[arm] = load_seeds(reports, method)
        except MissingData:
            continue
    return found


# --- variation by chance --------------------------------------------------------------------------


def seed_spread(reports: Path) -> pd.DataFrame:
    """Return seeds, mean, sd, lowest and highest accuracy of each of the `seed_methods` with two seeds."""
    rows = {}
    for method in definitions()["seed_methods"]:
        try:
            results = load_seeds(reports, method).results
        except MissingData:
            continue
        values = np.array([result["metrics"]["accuracy"]["value"] for result in results])
        if len(values) > 1:
            rows[method] = (len(values), values.mean(), values.std(ddof=1), values.min(), values.max())
    if not rows:
        raise MissingData(f"no method with two seeds among {', '.join(definitions()['seed_methods'])}")
    columns = ["seeds", "mean", "sd", "lowest", "highest"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("method")


def pooled_sd(spread: pd.DataFrame) -> float:
    """Return the pooled standard deviation over seeds of the methods of `seed_spread`."""
    freedom = spread["seeds"] - 1
    return float(np.sqrt((freedom * spread["sd"] ** 2).sum() / freedom.sum()))


def seed_difference(sd: float) -> float:
    """Return the largest difference of two runs of one setting, in 95 % of cases."""
    return Z * sqrt(2) * sd


def printed_differences() -> pd.DataFrame:
    """Return the differences of `printed_pairs`, and what chance alone allows where n is known.

    Columns: paper, about, first, second, difference (fractions), n, and `chance`, the largest difference of
    two equally good classifiers in 95 % of samples of this size, if their errors are independent. For
    classifiers tested on the same samples that is too wide.
    """
    rows = []
    for pair in definitions()["printed_pairs"]:
        paper = load_paper(pair["paper"])
        first, second = (paper.cell(*cell).value for cell in pair["cells"])
        mean, n = (first + second) / 2, pair["n"] or nan
        chance = Z * sqrt(2 * mean * (1 - mean) / n)
        row = {"paper": pair["paper"], "about": pair["about"], "first": first, "second": second}
        rows.append(row | {"difference": first - second, "n": n, "chance": chance})
    return pd.DataFrame(rows)
