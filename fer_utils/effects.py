"""Effects of evaluation protocols: how much each flawed way of measuring adds to an accuracy.

Nothing is trained here. The experiments and the runs they read are listed in `data/effects.yaml`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel

from fer_utils.data import MissingData
from fer_utils.data.duplicates import DUPLICATES
from fer_utils.files import PROJECT, read_json, write_json
from fer_utils.papers import load_paper
from fer_utils.predictions import EpochPredictions, Predictions
from fer_utils.run import method_of
from fer_utils.statistics import Estimate, Interval, Z, bootstrap_weights, over_samples, over_seeds

CHOSEN_ON_TEST = ("best on test", "best of each fold")
"""Values of `epoch` in `data/effects.yaml` that use the test samples."""


class Arm(BaseModel):
    """An accuracy measured in one way: the mean over the seeds, as a fraction.

    `interval` is for that mean as it varies with the test samples and the seeds, `n` the number of test
    samples of one seed, and `leak` the name of the leakage or "none".
    """

    label: str
    value: float
    interval: Interval
    by_seed: tuple[float, ...]
    n: int
    leak: str = "none"


class Effect(BaseModel):
    """One experiment of `data/effects.yaml`: an accuracy measured honestly, and in a way that inflates it.

    `interval` is for `size`, as it varies with the test samples and the seeds; `by_seed` has `size` for each
    seed that both arms have. `runs` are the runs that were read.
    """

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

    folders: list[Path]

    @cached_property
    def results(self) -> list[dict]:
        """The results.json of each run."""
        return [read_json(folder / "results.json") for folder in self.folders]

    @cached_property
    def history(self) -> list[pd.DataFrame]:
        """The history.csv of each run, one row per epoch; of a run with several seeds a table for each."""
        tables = [pd.read_csv(_existing(folder / "history.csv")) for folder in self.folders]
        seeds = [table["seed"] if "seed" in table else [0] * len(table) for table in tables]
        return [part for table, seed in zip(tables, seeds, strict=True) for _, part in table.groupby(seed)]

    def epochs(self, name: str) -> list[EpochPredictions]:
        """Return each run's predictions by epoch on one set, "validation" or "test"."""
        return [EpochPredictions.load(folder / f"epochs_{name}.npz") for folder in self.folders]


@cache
def definitions() -> dict[str, Any]:
    """Return the content of `data/effects.yaml`: experiments, arms and printed pairs."""
    return yaml.safe_load((PROJECT / "data" / "effects.yaml").read_text(encoding="utf-8"))


def load_seeds(reports: Path, methods: Iterable[str]) -> dict[str, Seeds]:
    """Return the finished runs of each method that has any; `MissingData` when no method has."""
    found: dict[str, list[Path]] = {}
    for path in sorted(reports.glob("*/results.json")):
        if method_of(path.parent.name) in methods and read_json(path)["status"] == "done":
            found.setdefault(method_of(path.parent.name), []).append(path.parent)
    if not found:
        raise MissingData(f"no finished run of {', '.join(methods)} in {reports.name}")
    return {method: Seeds(found[method]) for method in methods if method in found}


def measure_all(reports: Path) -> tuple[list[Effect], dict[str, str]]:
    """Measure every experiment whose runs are in a profile's folder; returns also what the others miss."""
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
    settings = [experiment["honest"], experiment["leaky"]]
    runs = [load_seeds(reports, [setting["method"]])[setting["method"]] for setting in settings]
    recorded = all("epoch" in setting for setting in settings)
    last = min(table["epoch"].max() for seeds in runs for table in seeds.history) if recorded else 1
    honest, leaky = (_arm(*of, last, reports) for of in zip(settings, runs, strict=True))
    if honest.drawn is None or leaky.drawn is None:
        # The seeds of an arm with their own samples vary with these, too.
        sources = [one.from_samples for one in (honest, leaky) if one.drawn is not None]
    elif np.array_equal(leaky.unit, honest.unit):
        paired = leaky.drawn - honest.drawn
        sources = [over_samples(paired, n_units=len(np.unique(leaky.unit)))]
    else:
        raise ValueError(f"{key}: both arms need the same test samples")
    size = float(np.mean(leaky.values) - np.mean(honest.values))
    best = settings[1].get("seeds") == "best"  # one of all seeds
    if not best and len(leaky.values) == len(honest.values):  # pairs of seeds
        by_seed = [a - b for a, b in zip(leaky.values, honest.values, strict=True)]
        sources += over_seeds(by_seed)
    else:
        by_seed = [size]
        sources += [*over_seeds(leaky.values), *over_seeds(honest.values)] if not best else []
    low, high = Estimate(size, tuple(sources)).interval
    chosen = best or settings[1].get("epoch") in CHOSEN_ON_TEST
    return Effect(
        key=key,
        trick=experiment["what"],
        honest=honest.arm(),
        leaky=leaky.arm(),
        interval=(max(low, 0.0) if chosen else low, high),  # the best of several is never worse
        by_seed=by_seed,
        data=experiment["data"],
        runs=tuple(dict.fromkeys(folder.name for seeds in runs for folder in seeds.folders)),
    )


class _Measured(NamedTuple):
    """An arm with the accuracy of each seed, and their mean in each resample of the test samples.

    `unit` is what each sample belongs to when it is drawn. Both are None where each seed has its own samples.
    """

    label: str
    leak: str
    values: list[float]
    n: int
    drawn: np.ndarray | None = None
    unit: np.ndarray | None = None

    @property
    def from_samples(self) -> tuple[float, float]:
        return over_samples(self.drawn, n_units=len(np.unique(self.unit)))

    def arm(self) -> Arm:
        value, sources = float(np.mean(self.values)), over_seeds(self.values)
        sources += [] if self.drawn is None else [self.from_samples]
        low, high = Estimate(value, tuple(sources)).interval
        interval = (max(low, 0.0), min(high, 1.0))
        return Arm(**self._asdict(), value=value, interval=interval, by_seed=self.values)


def _arm(setting: dict, seeds: Seeds, last: int, reports: Path) -> _Measured:
    """Measure an arm of `data/effects.yaml` over `last` epochs."""
    label = setting["label"].format(epoch=last, runs=len(seeds.folders))
    if setting["samples"] == "own":
        leak = seeds.results[0]["protocol"]["leakage"]
        if setting["set"] == "validation":
            n = seeds.results[0]["other_metrics"]["validation"]["accuracy"]["n"]
            values = [history["val_accuracy"].iloc[last - 1] for history in seeds.history]
            return _Measured(label, leak, values, n)
        values, (unit, _) = _accuracies(setting, seeds, last), _tested(setting, seeds)[0]
        return _Measured(label, leak, values[:, 0].tolist(), len(unit))
    (unit, _), *_ = _tested(setting, seeds)
    kept = np.ones(len(unit), bool)
    if kinds := setting.get("without"):
        table = pd.read_csv(_existing(reports / DUPLICATES))
        kept = ~np.isin(unit, table.loc[table[kinds].any(axis=1), "sample_id"].to_numpy(str))
    values = _accuracies(setting, seeds, last, kept)[:, 0].tolist()
    drawn = _accuracies(setting, seeds, last, kept, n_boot=1000).mean(axis=0)
    return _Measured(label, setting.get("leak", "none"), values, int(kept.sum()), drawn, unit)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingData(f"no {path.name} in {path.parent.name}; run {path.parent.name}")
    return path


@lru_cache(maxsize=4)
def _weights(unit: tuple[str, ...], n_boot: int, seed: int) -> np.ndarray:
    """Return the weights of all resamples, shape (N, B); without resamples 1 for each sample, (N, 1)."""
    if not n_boot:
        return np.ones((len(unit), 1), np.float32)
    return np.hstack(list(bootstrap_weights(np.array(unit), n_boot=n_boot, seed=seed)))


def _accuracies(
    setting: dict, seeds: Seeds, last: int, kept: np.ndarray | None = None, *, n_boot: int = 0
) -> np.ndarray:
    """Return the accuracy of each seed, shape (seeds, 1), or in each resample, shape (seeds, B).

    What is chosen, the epoch or the run, is chosen anew in each resample; so validation is resampled, too.
    """
    accuracies = []
    for number, (unit, correct) in enumerate(_tested(setting, seeds)):
        used = _weights(tuple(unit), n_boot, 0)
        used = used if kept is None else used * kept[:, None]
        if (choice := setting.get("epoch", "last")) == "last":
            epoch = np.full(used.shape[1], min(last, len(correct)) - 1)
        elif choice == "best on validation":
            chosen_on = seeds.epochs("validation")[number]
            drawn = _weights(tuple(chosen_on.sample_id), n_boot, 1)
            epoch = (chosen_on.correct[:last].astype(np.float32) @ drawn).argmax(axis=0)
        else:
            epoch = (correct[:last].astype(np.float32) @ used).argmax(axis=0)
        occurring, row = np.unique(epoch, return_inverse=True)
        by_epoch = correct[occurring].astype(np.float32) @ used / used.sum(axis=0)
        accuracies.append(by_epoch[row, np.arange(len(row))])
    return np.max(accuracies, axis=0, keepdims=True) if "seeds" in setting else np.array(accuracies)


def _tested(setting: dict, seeds: Seeds) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the unit of each test sample, shape (N,), and what is correct, (epochs, N), for each seed."""
    if name := setting.get("predictions"):
        files = [file for folder in seeds.folders for file in sorted(folder.glob(name)) or [folder / name]]
        every = [Predictions.load(_existing(file)).in_id_order() for file in files]
        return [(one.unit, one.correct[None]) for one in every]
    if setting["set"] != "folds":
        return [(one.sample_id, one.correct) for one in seeds.epochs(setting["set"])]
    found = []
    for history in seeds.history:  # the accuracy of each fold after each epoch
        folds = {}
        for fold, rows in history.groupby("fold"):
            n = rows["held_out"].iloc[0]
            right = (rows["val_accuracy"] * n).round().to_numpy()
            right = right.max(keepdims=True) if setting["epoch"] == "best of each fold" else right
            folds[fold] = np.arange(n) < right[:, None]
        unit = np.repeat(list(folds), [one.shape[1] for one in folds.values()])
        found.append((unit, np.hstack(list(folds.values()))))
    return found


def pick(effects: Sequence[Effect], *keys: str) -> list[Effect]:
    """Return the effects with one of the keys, in the order of the keys; `MissingData` when there is none."""
    picked = [effect for key in keys for effect in effects if effect.key == key]
    if not picked:
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
            "adds, points [95 %]": f"{100 * effect.size:+.1f} [{low:+.1f},\N{NO-BREAK SPACE}{high:+.1f}]",
            "each seed": ", ".join(f"{100 * size:+.1f}" for size in effect.by_seed),
            "n": f"{effect.leaky.n:,}",
            "data": effect.data,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what is done")


def arms_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Return every arm of the effects once: label, value, low, high, n, leak, seeds."""
    columns = ["label", "value", "low", "high", "n", "leak", "seeds"]
    arms = [arm for effect in effects for arm in (effect.honest, effect.leaky)]
    rows = [(arm.label, arm.value, *arm.interval, arm.n, arm.leak, arm.by_seed) for arm in arms]
    return pd.DataFrame(rows, columns=columns).drop_duplicates("label", keep="last", ignore_index=True)


def records(effects: Sequence[Effect]) -> dict[str, dict[str, dict]]:
    """Return the effects as metric records, for `other_metrics` of results.json."""
    found = {}
    for effect in effects:
        arms = {"honest": effect.honest, "leaky": effect.leaky}
        block = {
            name: {"value": arm.value, "ci95": [*arm.interval], "n": arm.n} for name, arm in arms.items()
        }
        block["difference"] = {"value": effect.size, "ci95": [*effect.interval], "n": effect.leaky.n}
        found[effect.key] = block
    return found


def write_effects(path: Path, effects: Sequence[Effect]) -> Path:
    """Write the effects as JSON, with the seeds of both arms and the runs that were read."""
    return write_json(path, [effect.model_dump(mode="json") for effect in effects])


def read_effects(path: Path) -> list[Effect]:
    """Read what `write_effects` wrote."""
    return [Effect(**stored) for stored in read_json(path)]


def validation_curves(reports: Path) -> pd.DataFrame:
    """Return the validation accuracy of every arm, seed and epoch; arms without runs are left out.

    Columns: arm, seed, epoch, accuracy, and `seen`, the share of the validation images that are trained on.
    """
    arms, parts = definitions()["validation_sets"], []
    for method, seeds in load_seeds(reports, arms).items():
        for result, history in zip(seeds.results, seeds.history, strict=True):
            part = history[["epoch", "val_accuracy", "validation_seen"]]
            part = part.set_axis(["epoch", "accuracy", "seen"], axis="columns")
            parts.append(part.assign(arm=arms[method], seed=result["protocol"]["seed"]))
    return pd.concat(parts, ignore_index=True)[["arm", "seed", "epoch", "accuracy", "seen"]]


def last_epochs(reports: Path) -> pd.DataFrame:
    """Return the accuracies after the last epoch of each arm, beside those on bamb2023's slides.

    Columns: epoch, training, validation (accuracies, of arms the mean over seeds), seen (share of the
    validation images that are trained on; NaN for a slide), unseen (accuracy on the other validation images
    if four fifths of them are trained on and classified as well as training images: (validation - 0.8
    training) / 0.2; NaN where another share is trained on).
    """
    arms, rows, paper = definitions()["validation_sets"], {}, load_paper("bamb2023")
    for method, seeds in load_seeds(reports, arms).items():
        epoch = min(map(len, seeds.history))
        ends = pd.DataFrame([history.iloc[epoch - 1] for history in seeds.history]).mean()
        rows[arms[method]] = (epoch, ends["accuracy"], ends["val_accuracy"], ends["validation_seen"])
    for slide in definitions()["slides"]:
        printed = [paper.cell(slide, f"epoch 50 / {name}").value for name in ("accuracy", "val_accuracy")]
        rows[slide] = (50, *printed, nan)
    columns = ["epoch", "training", "validation", "seen"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("arm")
    unseen = (table["validation"] - 0.8 * table["training"]) / 0.2
    return table.assign(unseen=unseen.where(table["seen"].isna() | (abs(table["seen"] - 0.8) < 0.05)))


def epoch_curves(reports: Path, method: str) -> pd.DataFrame:
    """Return columns seed, epoch, validation, test: accuracies of a method's runs after each epoch."""
    tables, seeds = [], load_seeds(reports, [method])[method]
    parts = zip(seeds.results, seeds.epochs("validation"), seeds.epochs("test"), strict=True)
    for result, validation, test in parts:
        named = {"seed": result["protocol"]["seed"], "epoch": np.arange(1, len(test.predicted) + 1)}
        tables.append(pd.DataFrame(named | {"validation": validation.accuracy, "test": test.accuracy}))
    return pd.concat(tables, ignore_index=True)


def seed_spread(reports: Path) -> pd.DataFrame:
    """Return seeds, mean, sd, lowest and highest accuracy of each of the `seed_methods` with two seeds."""
    accuracies = [
        (method, result["metrics"]["accuracy"]["value"])
        for method, seeds in load_seeds(reports, definitions()["seed_methods"]).items()
        for result in seeds.results
    ]
    by_method = pd.DataFrame(accuracies, columns=["method", "accuracy"]).groupby("method", sort=False)
    spread = by_method["accuracy"].agg(seeds="size", mean="mean", sd="std", lowest="min", highest="max")
    return spread[spread["seeds"] > 1]


def seed_difference(spread: pd.DataFrame) -> float:
    """Return the largest difference of two runs of one setting, in 95 % of cases, from `seed_spread`.

    The spreads of the settings differ, so that they count as an estimate of few degrees of freedom.
    """
    variances = zip(2 * spread["sd"] ** 2 / len(spread), spread["seeds"] - 1, strict=True)
    return Estimate(0.0, tuple(variances)).interval[1]


def printed_differences() -> pd.DataFrame:
    """Return the differences of `printed_pairs`, and what chance alone allows where n is known.

    Columns: paper, about, first, second, difference (fractions), n, and `chance`, the largest difference of
    two equally good classifiers in 95 % of samples of this size, if their errors are independent.
    """
    rows = []
    for pair in definitions()["printed_pairs"]:
        first, second = (load_paper(pair["paper"]).cell(*cell).value for cell in pair["cells"])
        rows.append((pair["paper"], pair["about"], first, second, first - second, pair["n"]))
    columns = ["paper", "about", "first", "second", "difference", "n"]
    table = pd.DataFrame(rows, columns=columns).astype({"n": float})
    mean = (table["first"] + table["second"]) / 2
    return table.assign(chance=Z * np.sqrt(2 * mean * (1 - mean) / table["n"]))
