"""Methods compared: means over seeds, paired differences, exact tests, and sweeps over parameters.

A method is one or more trained models that differ only in their seed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from fer_utils.data import FaceSet
from fer_utils.data.duplicates import DUPLICATES
from fer_utils.evaluation import measure
from fer_utils.files import PROJECT, digest
from fer_utils.predictions import Predictions, aligned
from fer_utils.run import method_of
from fer_utils.splits import random_folds
from fer_utils.statistics import (
    Estimate,
    bootstrap_weights,
    mean_and_sd,
    over_samples,
    over_seeds,
    percentile_interval,
    wilson_interval,
)

Methods = Mapping[str, Sequence[Predictions]]
"""Name of a method -> the predictions of its seeds, for the same samples."""


def mean_metrics(runs: Sequence[Predictions]) -> dict[str, dict[str, object]]:
    """Return mean accuracy, macro-F1 and balanced accuracy over several runs of a method, as metric records.

    The samples of the runs may differ; `n` is the number of distinct samples. The interval covers other
    samples (or groups) and other seeds: the bootstrap variance of the mean, in which a sample that several
    runs have is drawn for all of them at once, plus the variance between the runs.
    """
    n_samples, n_units = (
        len(np.unique(np.concatenate([getattr(run, name) for run in runs]))) for name in ("sample_id", "unit")
    )
    found = {}
    for name, (values, drawn) in _resampled(runs).items():
        mean = float(np.mean(values))
        if len(runs) == 1 or not len(drawn):
            interval = percentile_interval([drawn], value=mean, n_units=n_units)
        else:
            low, high = Estimate(mean, (over_samples(drawn, n_units=n_units), *over_seeds(values))).interval
            interval = [max(low, 0.0), min(high, 1.0)]
        found[name] = {"value": mean, "ci95": interval, "n": n_samples}
    return found


def paired_difference(
    a: Sequence[Predictions], b: Sequence[Predictions], *, metric: str = "accuracy", pairs: bool = False
) -> Estimate | None:
    """Return the mean of a metric over the runs of a, less that over the runs of b; None for a single group.

    `metric` is accuracy, macro_f1 or balanced_accuracy. The samples (or groups) must be the same in all runs
    (`ValueError`). A method with several runs adds the variance between them; that of a method with one run
    is not known and left out. With `pairs`, run i of a and of b are of the same training.
    """
    aligned([*a, *b])
    (values_a, drawn_a), (values_b, drawn_b) = (_resampled(runs)[metric] for runs in (a, b))
    if not len(drawn_a):
        return None
    samples = over_samples(drawn_a - drawn_b, n_units=len(np.unique(a[0].unit)))
    difference = float(np.mean(values_a) - np.mean(values_b))
    unpaired = [*over_seeds(values_a), *over_seeds(values_b)]
    seeds = over_seeds(np.subtract(values_a, values_b)) if pairs else unpaired
    return Estimate(difference, (samples, *seeds))


def _resampled(runs: Sequence[Predictions]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return three metrics of each run, and the mean over the runs in each resample."""
    names = ["accuracy", "macro_f1", "balanced_accuracy"]
    units, unit = np.unique(np.concatenate([run.unit for run in runs]), return_inverse=True)
    of_run = np.split(unit, np.cumsum([len(run) for run in runs])[:-1])

    def measured(weights: np.ndarray) -> np.ndarray:  # shape (runs, metrics, B)
        values = [measure(run, weights[rows], names=names) for run, rows in zip(runs, of_run, strict=True)]
        return np.array([[value[name] for name in names] for value in values])

    values = measured(np.ones((len(units), 1), np.float32))[..., 0].T
    resamples = bootstrap_weights(np.arange(len(units)), n_boot=2000, seed=0)
    drawn = np.hstack([np.empty((len(names), 0)), *(measured(weights).mean(axis=0) for weights in resamples)])
    return {name: (values[row], drawn[row]) for row, name in enumerate(names)}


def mcnemar_p_value(a: Predictions, b: Predictions) -> float:
    """Return the exact two-sided p value of two classifiers being correct equally often."""
    a, b = aligned([a, b])
    if a.grouped:
        raise ValueError("McNemar's test needs independent samples; these have groups")
    only_a, only_b = int((a.correct & ~b.correct).sum()), int((b.correct & ~a.correct).sum())
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def methods_table(methods: Methods) -> pd.DataFrame:
    """Return one row per method: accuracy and macro-F1 over its seeds, with intervals."""
    rows = []
    for name, runs in methods.items():
        found = mean_metrics(runs)
        accuracy, macro_f1 = found["accuracy"], found["macro_f1"]["value"]
        sd = mean_and_sd([run.correct.mean() for run in runs])["sd"]
        low, high = accuracy["ci95"] or (None, None)
        rows.append((name, accuracy["value"], low, high, sd, macro_f1, len(runs), accuracy["n"]))
    columns = ["method", "accuracy", "low", "high", "sd over seeds", "macro F1", "seeds", "n"]
    return pd.DataFrame(rows, columns=columns).set_index("method")


def pairs_table(methods: Methods) -> pd.DataFrame:
    """Return one row per pair of methods: the difference in accuracy, its interval, and Holm's p value.

    `paired_difference` says what the interval covers. The p values of all pairs in the table are corrected
    for their number (S. Holm 1979, Scandinavian Journal of Statistics 6, 65-70).
    """
    rows = {}
    for (first, a), (second, b) in combinations(methods.items(), 2):
        if found := paired_difference(a, b):
            rows[f"{first} − {second}"] = (found.value, *found.interval, found.p_value, len(a[0]))
    columns = ["difference", "low", "high", "p (Holm)", "n"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("method − other")
    if rows:
        table["p (Holm)"] = multipletests(table["p (Holm)"], method="holm")[1]
    return table


def merge_seeds(folder: Path, results: Sequence[dict]) -> list[dict]:
    """Return the results with the finished seeds of each method merged, in the order of their first.

    A merged result has means as values, their intervals (`mean_metrics`) from ``<run>/predictions.npz`` in
    `folder`, `members` with mean, sd and number of runs, and all seeds in its protocol. Merged runs agree
    in size, epochs and the parameters that their file states (without a file, in all), except the seed.
    """
    families: dict[str, list[dict]] = {}
    for result in results:
        key, params = result["run"], dict(result.get("params", {}))
        if result["status"] == "done" and params.pop("seed", None) is not None:
            names = accumulate(key.split("--"), "{}--{}".format)  # the file's own, and the values of its grid
            files = [PROJECT / "params" / result.get("profile", "") / f"{name}.yaml" for name in names]
            file = next((file for file in reversed(files) if file.is_file()), None)
            stated = yaml.safe_load(file.read_text(encoding="utf-8")) if file else params
            cost = {name: result.get("compute", {}).get(name) for name in ("parameters", "epochs")}
            key = f"{method_of(key)} {digest({name: params.get(name) for name in stated}, cost)}"
        families.setdefault(key, []).append(result)
    return [_merged(Path(folder), runs) if len(runs) > 1 else runs[0] for runs in families.values()]


def _merged(folder: Path, runs: Sequence[dict]) -> dict:
    first, names = runs[0], [run["run"] for run in runs]
    blocks = {"": [run["metrics"] for run in runs]}
    shared = set.intersection(*(set(run.get("other_metrics", {})) for run in runs))
    blocks |= {name: [run["other_metrics"][name] for run in runs] for name in sorted(shared)}
    means, spread = {}, {}
    for block, records in blocks.items():
        kept = _predictions(folder, names, block)  # without them a mean has no interval
        if block and [len(run) for run in kept] != [record["accuracy"]["n"] for record in records if kept]:
            kept = []  # without the duplicates of another split
        interval = {name: record["ci95"] for name, record in (mean_metrics(kept) if kept else {}).items()}
        common = [name for name in records[0] if all(name in record for record in records)]
        spread[block] = {name: mean_and_sd([record[name]["value"] for record in records]) for name in common}
        means[block] = {
            name: records[0][name] | {"value": spread[block][name]["mean"], "ci95": interval.get(name)}
            for name in common
        }
    members = {"runs": names, "metrics": spread.pop(""), "other_metrics": spread}
    by_class = pd.concat([pd.DataFrame(run["per_class"]) for run in runs]).groupby("class", sort=False)
    by_class = by_class.mean(numeric_only=True).astype({"support": int}).astype(object)  # no intervals
    selection = first["protocol"]["selection"]
    if len({run["protocol"]["selection"] for run in runs}) > 1:  # each seed has its own best epoch
        selection = re.sub(r"^epoch \d+ of|\b\d+ of(?= \d+, best)", "each seed's epoch of", selection)
    seeds = {"seed": [run["protocol"]["seed"] for run in runs], "selection": selection}
    return first | {
        "run": method_of(first["run"]),
        "variant": method_of(first["run"]).partition("--")[2] or None,
        "metrics": means.pop(""),
        "other_metrics": means,
        "members": members,
        "per_class": by_class.where(by_class.notna(), None).reset_index().to_dict("records"),
        "protocol": first["protocol"] | seeds,
        "compute": first["compute"] | {"seconds": sum(run["compute"]["seconds"] for run in runs)},
    }


def _predictions(folder: Path, names: Sequence[str], block: str) -> list[Predictions]:
    """Return the predictions of runs that a block of metrics is about; [] where they are not saved."""
    part, copies = block == "without_duplicates", folder / DUPLICATES
    stem = "predictions" if part or not block else f"predictions_{block}"
    paths = [folder / name / f"{stem}.npz" for name in names]
    if not all(map(Path.is_file, [*paths, copies] if part else paths)):
        return []
    runs = [Predictions.load(path) for path in paths]
    if not part:
        return runs
    table = pd.read_csv(copies)
    repeated = table.loc[table["exact"], "sample_id"].to_numpy(str)
    return [run.subset(~np.isin(run.sample_id, repeated)) for run in runs]


def compare_methods(folder: Path, results: Sequence[Mapping]) -> list[list[dict]]:
    """Return `methods_table` and `pairs_table`, as JSON, of methods with the same test samples.

    Only runs on real data without leakage count. The predictions of a method's seeds are from
    ``<run>/predictions.npz`` in `folder`.
    """
    groups: dict[tuple, dict[str, list[Predictions]]] = {}
    for result in results:
        path = folder / result["run"] / "predictions.npz"
        real = result.get("dataset", {}).get("source") == "real"
        honest = result.get("protocol", {}).get("leakage") == "none"
        if real and honest and result["status"] == "done" and path.is_file():
            run = Predictions.load(path).in_id_order()
            samples = (run.class_names, *run.sample_id.tolist())
            groups.setdefault(samples, {}).setdefault(method_of(result["run"]), []).append(run)
    compared = [(methods_table(group), pairs_table(group)) for group in groups.values() if len(group) > 1]
    named = [[table.reset_index().astype(object) for table in pair] for pair in compared]
    # JSON has no NaN
    return [[t.where(t.notna(), None).to_dict("split", index=False) for t in pair] for pair in named]


def sweep(cells: Sequence[Any], train: Callable[[Any], Any]) -> pd.DataFrame:
    """Train every cell, which is a set of parameters, and return one row each.

    `train` returns an object with `validation` (Predictions), `epochs`, `parameters` and `seconds`. Columns:
    the parameters in which the cells differ, then validation accuracy, low, high (Wilson), n, epochs,
    parameters and seconds.
    """
    rows = []
    for cell in cells:
        trained = train(cell)
        cost = {name: getattr(trained, name) for name in ("epochs", "parameters", "seconds")}
        rows.append(_differing(cells, cell) | _accuracy(trained.validation.correct) | cost)
    return pd.DataFrame(rows)


def cross_validate(
    params: Any, faces: FaceSet, train: Callable[[Any, FaceSet, FaceSet], Any], *, log: Callable = print
) -> pd.DataFrame:
    """Cross-validate every combination of `params.cv_grid` on `faces`, the training images.

    Subjects are kept together where all are known. One row per combination, best first: the parameters in
    which they differ; mean and sd of the folds' accuracies; accuracy, low, high and n of all held-out images
    pooled; seconds.
    """
    by = "subject" if (faces.subject != "").all() else "sample"
    folds = random_folds(faces, n_folds=params.cv_folds, seed=params.seed, by=by)
    grid, rows = params.cv_grid, []
    cells = [params.varied(**dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
    for cell in cells:
        trained = [train(cell, fold.train, fold.test) for fold in folds.splits]
        by_fold = [fold.validation.correct for fold in trained]
        spread = mean_and_sd([correct.mean() for correct in by_fold])
        row = _differing(cells, cell) | {"mean": spread["mean"], "sd": spread["sd"]}
        row |= _accuracy(np.concatenate(by_fold)) | {"seconds": sum(fold.seconds for fold in trained)}
        rows.append(row)
        log(f"cell {len(rows)} of {len(cells)}: mean accuracy {spread['mean']:.3f}")
    return pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def _differing(cells: Sequence[Any], cell: Any) -> dict[str, object]:
    every = [other.studied() for other in cells]
    return {name: value for name, value in cell.studied().items() if any(one[name] != value for one in every)}


def _accuracy(correct: np.ndarray) -> dict[str, float]:
    low, high = wilson_interval(int(correct.sum()), len(correct))
    return {"accuracy": float(correct.mean()), "low": low, "high": high, "n": len(correct)}
