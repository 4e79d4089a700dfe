"""Effects of evaluation protocols: how much each flawed way of measuring adds to an accuracy.

Nothing is trained here. The experiments and the runs they read are listed in `data/effects.yaml`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel

from fer_utils.data import MissingData
from fer_utils.files import PROJECT, read_json, write_json
from fer_utils.papers import load_paper
from fer_utils.predictions import EpochPredictions
from fer_utils.run import method_of
from fer_utils.statistics import Interval, Z, difference_interval, mean_interval, wilson_interval

DUPLICATES = Path("00_data_prep") / "copies.csv"
"""Images with duplicates in other sets, in a profile's folder."""


class Arm(BaseModel):
    """An accuracy measured in one way: the mean over the seeds, as a fraction.

    `interval` is for that mean as it varies with the samples, `n` the number of test samples of one seed, and
    `leak` the name of the leakage or "none".
    """

    label: str
    value: float
    interval: Interval
    by_seed: tuple[float, ...]
    n: int
    leak: str = "none"


class Effect(BaseModel):
    """One experiment of `data/effects.yaml`: an accuracy measured honestly, and in a way that inflates it.

    `interval` is for `size`, as it varies with the samples; `by_seed` has `size` for each seed that both arms
    have. `runs` are the runs that were read.
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
        """The history.csv of each run, one row per epoch."""
        return [pd.read_csv(folder / "history.csv") for folder in self.folders]

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
    last = min(len(history) for seeds in runs for history in seeds.history) if recorded else 0
    copies = None
    if kinds := experiment["honest"].get("without"):
        if not (reports / DUPLICATES).is_file():
            raise MissingData(f"no {DUPLICATES} in {reports.name}; run 00_data_prep")
        table = pd.read_csv(reports / DUPLICATES)
        copied = table.loc[table[kinds].any(axis=1), "sample_id"].to_numpy(dtype=str)
        copies = np.isin(runs[0].epochs("test")[0].sample_id, copied)
    (honest, of_honest), (leaky, of_leaky) = (
        _arm(setting, seeds, last, copies) for setting, seeds in zip(settings, runs, strict=True)
    )
    by_seed = [a - b for a, b in zip(leaky.by_seed, honest.by_seed, strict=False)]
    if of_honest is None or of_leaky is None:
        interval = difference_interval(leaky.value, leaky.interval, honest.value, honest.interval)
    elif copies is not None:
        # all = distinct + share * (repeated - distinct), and the two sets of images are disjoint.
        repeated = of_leaky[:, copies].mean(axis=0)
        around = mean_interval(repeated)
        ends = difference_interval(repeated.mean(), around, honest.value, honest.interval)
        interval = tuple(copies.mean() * end for end in ends)
    else:  # paired
        interval = mean_interval(of_leaky.mean(axis=0) - of_honest.mean(axis=0))
        if len(of_leaky) == 1:
            by_seed = [leaky.value - honest.value]
    return Effect(
        key=key,
        trick=experiment["what"],
        honest=honest,
        leaky=leaky,
        interval=interval,
        by_seed=by_seed,
        data=experiment["data"],
        runs=tuple(dict.fromkeys(folder.name for seeds in runs for folder in seeds.folders)),
    )


def _arm(setting: dict, seeds: Seeds, last: int, copies: np.ndarray | None) -> tuple[Arm, np.ndarray | None]:
    """Return an arm of `data/effects.yaml` over `last` epochs.

    The array has which test samples each seed has correct, shape (seeds, N), if all seeds share the samples.
    """
    correct, leak = None, setting.get("leak", "none")
    if "block" in setting:
        # Only metrics are stored, and the seeds share their samples: the interval is that of one seed.
        blocks = [result["other_metrics"] | {"metrics": result["metrics"]} for result in seeds.results]
        stored = [block[setting["block"]]["accuracy"] for block in blocks]
        values, n = [record["value"] for record in stored], stored[0]["n"]
        interval = np.mean([record["ci95"] for record in stored], axis=0)
    elif setting["samples"] == "shared":
        correct = _correct(setting, seeds, last)
        correct = correct[:, ~copies] if "without" in setting else correct
        values, n = correct.mean(axis=1), correct.shape[1]
        interval = mean_interval(correct.mean(axis=0))
    else:
        if setting["set"] == "validation":
            values = [history["val_accuracy"].iloc[last - 1] for history in seeds.history]
            n = seeds.results[0]["other_metrics"]["validation"]["accuracy"]["n"]
        else:
            own = _correct(setting, seeds, last)
            values, n = own.mean(axis=1), own.shape[1]
        interval = wilson_interval(round(sum(values) * n), n * len(values))
        leak = seeds.results[0]["protocol"]["leakage"]
    label = setting["label"].format(epoch=last, runs=len(seeds.folders))
    arm = Arm(label=label, value=np.mean(values), interval=tuple(interval), by_seed=values, n=n, leak=leak)
    return arm, correct


def _correct(setting: dict, seeds: Seeds, last: int) -> np.ndarray:
    """Return which samples each seed has correct, shape (seeds, N), at the epoch of the setting."""
    if setting["epoch"] == "last":
        epochs = [last - 1] * len(seeds.folders)
    else:
        chosen_on = seeds.epochs(setting["epoch"].removeprefix("best on "))
        epochs = [predictions.first(last).best for predictions in chosen_on]
    measured = zip(seeds.epochs(setting["set"]), epochs, strict=True)
    correct = np.array([predictions.correct[epoch] for predictions, epoch in measured], float)
    return correct[[correct.mean(axis=1).argmax()]] if setting.get("seeds") == "best" else correct


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
    """Return the largest difference of two runs of one setting, in 95 % of cases, from `seed_spread`."""
    freedom = spread["seeds"] - 1
    pooled_sd = sqrt((freedom * spread["sd"] ** 2).sum() / freedom.sum())
    return Z * sqrt(2) * pooled_sd


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
