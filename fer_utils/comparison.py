"""Methods against each other on the same samples: means over seeds, differences, exact tests.

A method is one or more trained models that differ in nothing but their seed.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.evaluation import Predictions, aggregate, mcnemar_exact, paired_bootstrap
from fer_utils.files import digest
from fer_utils.metrics import measure, once_each
from fer_utils.predictions import aligned
from fer_utils.statistics import bootstrap_weights, percentile_interval

Methods = Mapping[str, Sequence[Predictions]]
"""Name of a method -> the predictions of its seeds, all about the same samples."""

_SEED = re.compile(r"--?seed\d+$")


def over_seeds(
    runs: Sequence[Predictions], *, metric: str = "accuracy", n_boot: int = 2000, seed: int = 0
) -> dict[str, object]:
    """Return a metric of a method: its mean over the seeds, how it varies with them and with the samples.

    Returns
    -------
    dict
        ``mean``, ``sd`` (over the seeds; None for one), ``seeds`` (their number), ``ci95`` of the mean as it
        varies with the samples (or groups), ``n`` samples.

    Raises
    ------
    ValueError
        When the runs are not about the same samples.
    """
    ordered = aligned(runs)

    def values(weights: np.ndarray) -> np.ndarray:
        return np.array([measure(run, weights, names=[metric])[metric] for run in ordered])

    found = aggregate(values(once_each(ordered[0]))[:, 0])
    draws = bootstrap_weights(ordered[0].unit, n_boot=n_boot, seed=seed)
    resampled = [values(weights).mean(axis=0) for weights in draws]
    interval = percentile_interval(np.concatenate(resampled), value=found["mean"]) if resampled else None
    described = {"mean": found["mean"], "sd": found["sd"], "seeds": found["n"]}
    return described | {"ci95": None if interval is None else list(interval), "n": len(ordered[0])}


def over_splits(
    runs: Sequence[Predictions], *, metric: str = "accuracy", n_boot: int = 2000, seed: int = 0
) -> dict[str, object]:
    """Return the mean of a metric over several random splits of one data set, as a metric record.

    Returns
    -------
    dict
        ``value``; ``ci95``, in which a person (or other group, or independent sample) is drawn for all splits
        alike; ``n``, the samples that are reported in one split or more.
    """
    names = [np.where(run.group == "", run.sample_id, run.group) for run in runs]
    units, unit = np.unique(np.concatenate(names), return_inverse=True)
    of_run = np.split(unit, np.cumsum([len(run) for run in runs])[:-1])

    def mean(weights: np.ndarray) -> np.ndarray:
        # A split none of whose people was drawn has no value, and this draw then none either.
        with np.errstate(invalid="ignore"):
            pairs = zip(runs, of_run, strict=True)
            values = [measure(run, weights[of], names=[metric])[metric] for run, of in pairs]
        return np.mean(values, axis=0)

    value = float(mean(np.ones((len(units), 1), dtype=np.float32))[0])
    drawn = [mean(weights) for weights in bootstrap_weights(np.arange(len(units)), n_boot=n_boot, seed=seed)]
    interval = percentile_interval(np.concatenate(drawn), value=value) if drawn else None
    judged = len(np.unique(np.concatenate([run.sample_id for run in runs])))
    return {"value": value, "ci95": None if interval is None else list(interval), "n": judged}


def methods_table(methods: Methods) -> pd.DataFrame:
    """Return one row per method: accuracy and macro-F1 over its seeds, with intervals."""
    rows = {}
    for name, runs in methods.items():
        accuracy, macro_f1 = (over_seeds(runs, metric=metric) for metric in ("accuracy", "macro_f1"))
        rows[name] = {
            "accuracy": accuracy["mean"],
            "low": accuracy["ci95"][0] if accuracy["ci95"] else None,
            "high": accuracy["ci95"][1] if accuracy["ci95"] else None,
            "sd over seeds": accuracy["sd"],
            "macro F1": macro_f1["mean"],
            "seeds": accuracy["seeds"],
            "n": accuracy["n"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def pairs_table(methods: Methods) -> pd.DataFrame:
    """Return one row per pair of methods: the difference in accuracy, its interval, and McNemar's p values.

    The difference is between the means over the seeds; its interval is a paired bootstrap over the samples.
    The exact McNemar test compares two models, so there is one p value for every seed that both have; it is
    left out where samples depend on each other.
    """
    columns = ["method − other", "difference", "low", "high", "McNemar p", "n"]
    rows = []
    for first, second in combinations(methods, 2):
        a, b = methods[first], methods[second]
        between = paired_bootstrap(a, b)
        low, high = between.ci95 or (None, None)
        tests = [] if a[0].grouped else [mcnemar_exact(*pair) for pair in zip(a, b, strict=False)]
        p_values = ", ".join(f"{test.p_value:.2g}" for test in tests) or None
        rows.append((f"{first} − {second}", between.difference, low, high, p_values, between.n))
    return pd.DataFrame(rows, columns=columns).set_index("method − other")


def method_of(run: str) -> str:
    """Return the name of a run without its seed: ``x--raw--seed2`` is the method ``x--raw``."""
    return _SEED.sub("", run)


def merge_seeds(folder: Path, results: Sequence[dict]) -> list[dict]:
    """Return the results with the finished seeds of one method as one, in the order of their first.

    A merged result has means as values, `members` with mean, sd and number, also of the other metrics, and
    all seeds in its protocol. Runs are merged only where their parameters differ in nothing but the seed; one
    of them may have no seed in its name.

    Parameters
    ----------
    folder : Path
        Holds ``<run>/predictions.npz``, from which the intervals of the means are computed.
    results : sequence of dict
        The runs' results.json.
    """
    families: dict[str, list[dict]] = {}
    for result in results:
        done = result["status"] == "done" and "seed" in result.get("params", {})
        key = f"{method_of(result['run'])} {_settings(result)}" if done else result["run"]
        families.setdefault(key, []).append(result)
    return [_merged(folder, runs) if len(runs) > 1 else runs[0] for runs in families.values()]


def _settings(result: dict) -> str:
    return digest({name: value for name, value in result.get("params", {}).items() if name != "seed"})


def _merged(folder: Path, runs: Sequence[dict]) -> dict:
    first, names = runs[0], [run["run"] for run in runs]
    folders = [Path(folder) / name for name in names]
    metrics = _means([run["metrics"] for run in runs], [path / "predictions.npz" for path in folders])
    shared = set.intersection(*(set(run.get("other_metrics", {})) for run in runs))
    others = {name: [run["other_metrics"][name] for run in runs] for name in shared}
    kept = {name: [path / f"predictions_{name}.npz" for path in folders] for name in shared}
    return first | {
        "run": method_of(first["run"]),
        "variant": method_of(first["variant"]),
        "metrics": metrics,
        "other_metrics": {name: _means(records, kept[name]) for name, records in others.items()},
        "members": {
            "runs": names,
            "metrics": _spread([run["metrics"] for run in runs]),
            "other_metrics": {name: _spread(records) for name, records in others.items()},
        },
        "protocol": first["protocol"] | _over_all([run["protocol"] for run in runs]),
        "compute": first["compute"] | {"seconds": sum(run["compute"]["seconds"] for run in runs)},
    }


def _over_all(protocols: Sequence[dict]) -> dict[str, object]:
    selection = protocols[0]["selection"]
    if len({protocol["selection"] for protocol in protocols}) > 1:  # each seed has an epoch of its own
        selection = re.sub(r"^epoch \d+ of|\b\d+ of(?= \d+, best)", "each seed's epoch of", selection)
    return {"seed": [protocol["seed"] for protocol in protocols], "selection": selection}


def _means(records: Sequence[dict[str, dict]], predictions: Sequence[Path]) -> dict[str, dict]:
    intervals = _intervals(predictions)
    shared = [name for name in records[0] if all(name in record for record in records)]
    means = {name: float(np.mean([record[name]["value"] for record in records])) for name in shared}
    return {
        name: records[0][name] | {"value": mean, "ci95": intervals.get(name)} for name, mean in means.items()
    }


def _intervals(paths: Sequence[Path]) -> dict[str, tuple[float, float] | None]:
    if not all(path.is_file() for path in paths):
        return {}  # of what is computed from a part of the samples no predictions are kept
    runs = [Predictions.load(path) for path in paths]
    # Where the seed also draws what is reported, the seeds are splits.
    over = over_seeds if len({frozenset(run.sample_id) for run in runs}) == 1 else over_splits
    return {name: over(runs, metric=name)["ci95"] for name in ("accuracy", "macro_f1")}


def _spread(records: Sequence[dict[str, dict]]) -> dict[str, dict[str, object]]:
    shared = [name for name in records[0] if all(name in record for record in records)]
    return {name: aggregate([record[name]["value"] for record in records]) for name in shared}


def comparable_methods(folder: Path, results: Sequence[Mapping]) -> list[dict[str, list[Predictions]]]:
    """Return the methods among finished runs on real data, grouped by the samples that they report on.

    Parameters
    ----------
    folder : Path
        Holds ``<run>/predictions.npz``.
    results : sequence of dict
        The runs' results.json.

    Returns
    -------
    list of dict
        In each, name of a method -> its seeds' predictions. Only groups of two or more methods.
    """
    groups: dict[tuple, dict[str, list[Predictions]]] = {}
    for result in results:
        path = Path(folder) / result["run"] / "predictions.npz"
        real = result.get("dataset", {}).get("source") == "real"
        if not real or result["status"] != "done" or not path.is_file():
            continue
        runs = Predictions.load(path).in_id_order()
        samples = (runs.class_names, *runs.sample_id.tolist())
        groups.setdefault(samples, {}).setdefault(method_of(result["run"]), []).append(runs)
    return [group for group in groups.values() if len(group) > 1]


def as_metrics(runs: Sequence[Predictions]) -> dict[str, dict[str, object]]:
    """Return a method's means over its seeds as metric records, for `other_metrics` of results.json."""
    found = {metric: over_seeds(runs, metric=metric) for metric in ("accuracy", "macro_f1")}
    return {name: {"value": of["mean"], "ci95": of["ci95"], "n": of["n"]} for name, of in found.items()}
