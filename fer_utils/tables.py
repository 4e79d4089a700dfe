"""Run folders as tables: one run, many runs, and papers beside measurements."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_utils.files import digest, read_json, sha256_of, write_json
from fer_utils.papers import PAPERS, RATES, Headline, PublishedCell, load_paper
from fer_utils.results import read_results
from fer_utils.run import method_of

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]
"""The content of a results.json, or one metric in it."""

NBSP = "\N{NO-BREAK SPACE}"
AGGREGATES = "aggregates.json"
"""In a profile's folder: values computed from several runs, stored because their intervals take seconds."""


def _table(rows: Iterable[Any], index: str, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    import pandas as pd  # takes two seconds, which the index page does not need

    return pd.DataFrame(rows, columns=columns).set_index(index)


def format_metric(record: Record | None, *, percent: bool = False, sd: float | None = None) -> str:
    """Return a metric as ``0.543 [0.526, 0.559]`` or ``54.3 % [52.6, 55.9]``, with the `sd` over seeds."""
    if record is None:
        return ""
    number = (lambda x: f"{100 * x:.1f}") if percent else (lambda x: f"{x:.3f}")
    text = number(record["value"]) + (" %" if percent else "")
    if record.get("ci95"):
        text += f" [{number(record['ci95'][0])}, {number(record['ci95'][1])}]"
    return text if sd is None else f"{text}, sd {number(sd)}"


def format_seconds(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, whichever fits."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of one form as a Markdown table; columns of numbers are aligned to the right."""

    def line(cells: Iterable[object]) -> str:
        texts = (" ".join(str(cell).split()).replace("|", r"\|").replace("<", "&lt;") for cell in cells)
        # A narrow column breaks before an interval, not inside, and not before a percent sign.
        return f"| {' | '.join(re.sub(r' (?=%|[-+.0-9]+])', NBSP, text) for text in texts)} |"

    columns = zip(*(row.values() for row in rows), strict=True)
    numeric = [all(re.match(r"[-+−]?\d|$", str(cell)) for cell in column) for column in columns]
    rule = "|".join("---:" if is_number else "---" for is_number in numeric)
    return "\n".join([line(rows[0]), f"|{rule}|", *(line(row.values()) for row in rows)]) + "\n"


def find_metric(result: Record, key: str) -> Record | None:
    """Find ``accuracy``, ``per_class.<class>.<metric>`` or ``<name in other_metrics>.<metric>``."""
    if result.get("status") != "done":
        return None
    if key in result.get("metrics", {}):
        return result["metrics"][key]
    name, _, metric = key.rpartition(".")
    for row in result.get("per_class", []):
        if name == f"per_class.{row['class']}" and row.get(metric) is not None:
            return {"value": row[metric], "ci95": row.get(f"{metric}_ci95"), "n": row["support"]}
    return result.get("other_metrics", {}).get(name, {}).get(metric)


def leakage_of(result: Record) -> str:
    """Return what leaks from training into the test set, or "none"."""
    return result.get("protocol", {}).get("leakage", "none")


def seeds_of(result: Record) -> list[str]:
    """Return the runs of all seeds that a result is the mean of, or the run itself."""
    return result.get("members", {}).get("runs", [result.get("run")])


def describe_protocol(result: Record) -> str | None:
    """Return a run's protocol as one line, or None if it has none."""
    if not (stated := result.get("protocol")):
        return None
    subjects = {True: "subject-independent", False: "subjects shared across splits", None: ""}
    duplicates, seed = stated["overlap"].get("exact_duplicates"), stated["seed"]
    seeds = seed if isinstance(seed, list) else [seed]
    parts = [
        stated["split"],
        stated["selection"],
        subjects[stated["subject_independent"]],
        "" if stated["leakage"] == "none" else f"leakage: {stated['leakage']}",
        f"{duplicates:,} exact duplicates across splits" if duplicates else "",
        "" if seed is None else f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}",
        result.get("dataset", {}).get("form"),
    ]
    return "; ".join(filter(None, parts))


def describe_hardware(result: Record) -> str | None:
    """Return the machine and the time of a run, or None if it states none; of several seeds the sum."""
    if not (compute := result.get("compute")):
        return None
    threads = f", {n} thread{'s' if n > 1 else ''}" if (n := compute.get("threads")) else ""
    in_all = f" for all {n} seeds" if (n := len(seeds_of(result))) > 1 else ""
    device = f"{compute['device_name']} ({compute['device']}{threads})"
    if compute["seconds"] is None:
        return device
    return f"{device}, {format_seconds(compute['seconds'])}{in_all}"


def metrics_table(sets: Mapping[str, Mapping[str, Record]]) -> "pd.DataFrame":
    """Return metric records as text: one row for each name, n in the last column."""
    shown = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_auc")
    index = "95 % CI in brackets"
    rows = []
    for name, records in sets.items():
        row = {index: name.replace("_", " ")}
        for metric in filter(records.get, shown):
            text = format_metric(records[metric])
            row[metric.replace("_", " ")] = text.replace(", ", f",{NBSP}")
        rows.append(row | {"n": next(iter(records.values()))["n"]})
    return _table(rows, index).fillna("").rename_axis(None).rename_axis(index, axis="columns")


def per_class_table(rows: Sequence[Record], *, published: Sequence[Record] = ()) -> "pd.DataFrame":
    """Return precision, recall, F1 and AUC per class, with the published values in columns of their own."""
    table = _table(rows, "class").round(3)
    if "f1_ci95" in table:
        table["f1_ci95"] = [f"[{x[0]:.3f}, {x[1]:.3f}]" if x else "" for x in table["f1_ci95"]]
    table = table.rename(columns={"f1_ci95": "95 % CI of f1"})
    values = published_by_class(published)
    for metric in ("precision", "recall", "f1"):
        column = [values.get(name, {}).get(metric) for name in table.index]
        if any(value is not None for value in column):
            table.insert(table.columns.get_loc(metric) + 1, f"{metric} printed", column)
    return table


def published_by_class(published: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Return ``{class: {metric: published value}}`` of a `published` block."""
    found: dict[str, dict[str, float]] = {}
    for record in published:
        block, *rest = record["compared_with"].split(".")
        if block == "per_class":
            found.setdefault(rest[0], {})[rest[1]] = record["value"]
    return found


def one_vs_rest_table(predictions: Any) -> "pd.DataFrame":
    """Return counts and rates of each class against all others, as in dubey2020's Tables 3 and 4."""
    from fer_utils.evaluation import evaluate

    result = evaluate(predictions, n_boot=0)
    rates = _table(result.per_class, "class")[["recall", "precision", "f1"]]
    matrix = _table(result.confusion_matrix, rates.index, rates.index)
    truth, predicted = matrix.sum(axis=1), matrix.sum()
    wrong = truth + predicted - 2 * matrix.to_numpy().diagonal()
    rates.insert(0, "n (truth)", truth)
    rates.insert(1, "n (predicted)", predicted)
    rates.insert(2, "accuracy", 1 - wrong / truth.sum())
    return rates


def run_summary(result: Record) -> "pd.DataFrame":
    """Return protocol, machine and versions of a results.json as a table of two columns."""
    compute, environment = result["compute"], result["environment"]
    protocol = dict(result.get("protocol", {}))
    shared = protocol.pop("overlap", {})
    speed, gpu_memory = compute.get("samples_per_second"), compute.get("peak_gpu_memory_mb")
    rows = {"data": f"{result['dataset']['name']} ({result['dataset']['source']})"}
    rows |= {name.replace("_", " "): "not known" if x is None else x for name, x in protocol.items()}
    rows |= {f"{name.replace('_', ' ')} with test": count for name, count in shared.items()}
    rows["device"] = compute["device_name"]
    rows["training"] = f"{compute['seconds']:.0f} s" + (f", {speed:.0f} samples/s" if speed else "")
    rows["peak memory"] = f"{compute['peak_memory_mb']:.0f} MiB"
    rows |= {} if gpu_memory is None else {"peak GPU memory": f"{gpu_memory:.0f} MiB"}
    rows["software"] = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    rows["commit"] = environment["commit"] or f"unknown: {environment.get('commit_unknown')}"
    table = _table([(name, str(text)) for name, text in rows.items()], "key", ["key", ""])
    return table.rename_axis(None)


def load_results(folder: Path) -> list[Record]:
    """Read every ``<folder>/<run>/results.json``; a damaged one is a failed run whose reason names it."""
    return [load_result(path) for path in sorted(folder.glob("[!.]*/results.json"))]


def load_result(path: Path) -> Record:
    """Read one results.json as `load_results` does."""
    try:
        return read_results(path)
    except (ValueError, OSError, TypeError) as error:
        reason = f"{'/'.join(path.parts[-3:])} cannot be used: {error}"[:400]
        run, profile = path.parent.name, path.parent.parent.name
        heading = {"kind": "study", "status": "failed", "run": run, "variant": None, "paper": None}
        return heading | {"notebook": run.split("--")[0], "profile": profile, "reason": reason}


def load_methods(folder: Path) -> list[Record]:
    """Return `load_results` with each method's seeds merged: means with intervals, `members`, total times."""
    runs = {result["run"]: result for result in load_results(folder)}
    families: dict[str, list[Record]] = {}
    for run, result in runs.items():
        families.setdefault(method_of(run), []).append(result)
    found = []
    for name, family in families.items():
        found += family if len(family) == 1 else _stored(folder, name, family, "merge_seeds")
    for merged in (result for result in found if "members" in result):
        seeds = [runs[run] for run in seeds_of(merged)]
        merged["environment"]["commit"] = ", ".join({str(one["environment"]["commit"]): 0 for one in seeds})
        if notes := {one["note"]: 0 for one in seeds if one.get("note")}:
            merged["note"] = "; ".join(notes)
    return found


def compare_methods(folder: Path) -> list[tuple["pd.DataFrame", "pd.DataFrame"]]:
    """Return a table of methods and one of their pairs, for each group that reports on the same samples."""
    stored = _stored(folder, "pairs", load_results(folder), "compare_methods")
    return [tuple(_table(one["data"], one["columns"][0], one["columns"]) for one in pair) for pair in stored]


def _stored(folder: Path, name: str, results: Sequence[Record], function: str) -> Any:
    """Return what a function of `comparison` returns, from `AGGREGATES` if the runs have not changed."""
    path = folder / AGGREGATES
    arrays = [file for result in results for file in sorted((folder / result["run"]).glob("pred*.npz"))]
    key = digest(list(results), [[file.name, sha256_of(file)] for file in arrays])
    known = read_json(path) if path.is_file() else {}
    if known.get(name, {}).get("key") != key:
        from fer_utils import comparison  # takes seconds

        known[name] = {"key": key, "value": getattr(comparison, function)(folder, results)}
        write_json(path, dict(sorted(known.items())))
    return known[name]["value"]


def run_row(result: Record) -> dict[str, str]:
    """Return a run's row of `runs_table` and of the index page; missing values are empty."""
    data, seed = result.get("dataset", {}), result.get("protocol", {}).get("seed", "")
    metrics = {name: find_metric(result, name) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    baselines = {name: find_metric(result, f"{name}_baseline.accuracy") for name in ("majority", "chance")}
    return {
        "run": result["run"],
        "status": result["status"].replace("_", " "),
        "reason": result.get("reason") or result.get("note") or "",
        "data": "synthetic" if data.get("source") == "synthetic" else data.get("name", ""),
        **{name: format_metric(record) for name, record in metrics.items()},
        "n": f"{metrics['accuracy']['n']:,}" if metrics["accuracy"] else "",
        "leakage": leakage_of(result).removeprefix("none"),
        **{name: f"{record['value']:.3f}" if record else "" for name, record in baselines.items()},
        "computed_on": describe_hardware(result) or "",
        "seed": ", ".join(map(str, seed)) if isinstance(seed, list) else str("" if seed is None else seed),
    }


def runs_table(results: Iterable[Record]) -> "pd.DataFrame":
    """Return one row of text per run: status, data, metrics with intervals, baselines, machine and seed."""
    table = _table(map(run_row, results), "run", list(run_row({"run": "", "status": ""})))
    return table.rename(columns=lambda name: name.replace("_", " "))


def coverage_table(results: Iterable[Record]) -> "pd.DataFrame":
    """Return how and where the reference profile covers each printed table, figure and claim."""
    done, rows = [result for result in results if result["status"] == "done"], []
    for paper in map(load_paper, PAPERS):
        for entry in paper.coverage:  # a run, or all runs of a file with a grid
            runs = [one for one in done if entry.run and f"{one['run']}--".startswith(f"{entry.run}--")]
            data = runs[0]["dataset"] if runs else None
            if data is None:
                covered = "not run yet" if entry.run else "shown" if entry.notebook else "left out"
            elif data["source"] == "synthetic":
                covered = "synthetic data only"
            else:
                covered = f"{data['name']}, as in the paper" if entry.same_data else f"{data['name']} instead"
            where = entry.run or entry.notebook
            rows.append((paper.key, entry.item, covered, where, entry.note))
    return _table(rows, "paper", ["paper", "printed", "covered", "where", "note"])


def comparison_rows(results: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the papers' headline numbers, each with every run that reports against it.

    `measured`, `low` and `high` are None where no run is on real data; `delta` (percentage points, measured
    minus printed) where none is without leakage on the paper's own test images. `text` says why there is no
    value, which `short` is alone. A number without a run is one row, with an empty `result`. `is_first` marks
    one run of several: without leakage, then the best on validation.
    """
    rows = []
    headlines = [(paper, headline) for paper in map(load_paper, PAPERS) for headline in paper.headline]
    for paper, headline in headlines:
        cell = paper.cell(headline.table, headline.cell)
        place = {"paper": cell.paper, "table": cell.table, "cell": cell.cell}
        pairs = [
            (result, entry["compared_with"])
            for result in results
            for entry in result.get("published", [])
            if place.items() <= entry.items()
        ]
        arms = [_comparison(cell, headline, *pair) for pair in pairs or [({}, "")]]
        arms.sort(key=lambda arm: (leakage_of(arm["result"]) != "none", -arm["on_validation"]))
        rows += [arm | {"is_first": arm is arms[0]} for arm in arms]
    return rows


def _comparison(cell: PublishedCell, headline: Headline, result: Record, key: str) -> dict[str, Any]:
    record, percent = find_metric(result, key), cell.unit == "percent"
    real = record if record and result["dataset"]["source"] == "real" else None
    low, high = (real and real["ci95"]) or (None, None)
    honest = leakage_of(result) == "none"
    comparable = real and honest and headline.same_images and cell.unit in RATES
    return {
        "cell": cell,
        "headline": headline,
        "result": result,
        "compared_with": key,
        "status": result.get("status", "not run yet").replace("_", " "),
        "printed": cell.printed + (" %" if percent and "%" not in cell.printed else ""),
        "text": _comparison_text(cell, result, record, key=key),
        "short": format_metric(real, percent=percent),
        "measured": real and real["value"],
        "low": low,
        "high": high,
        "delta": 100 * (real["value"] - cell.value) if comparable else None,
        "n": record and record["n"],
        "protocol": describe_protocol(result),
        "hardware": describe_hardware(result),
        "seeds": seeds_of(result),
        "seconds": result.get("compute", {}).get("seconds", 0),
        "on_validation": (find_metric(result, "validation.accuracy") or {"value": 0})["value"],
    }


def _comparison_text(cell: PublishedCell, result: Record, record: Record | None, *, key: str) -> str:
    percent = cell.unit == "percent"
    if not result:
        return "not run yet"
    if result["status"] != "done":
        return f"{result['status'].replace('_', ' ')}: {result['reason']}"
    if record is None:
        return "the run reports no such number"
    text = format_metric(record, percent=percent)
    if result["dataset"]["source"] != "real":
        return f"{text} synthetic – not comparable"
    if spread := result.get("members", {}).get("metrics", {}).get(key):
        sd = format_metric({"value": spread["sd"]}, percent=percent)
        text += f", mean of {spread['n']} seeds (sd {sd})"
    if (leak := leakage_of(result)) != "none":
        text += f"; leakage: {leak}"
    distinct = find_metric(result, f"without_duplicates.{key}")
    if distinct is None or distinct["n"] == record["n"]:
        return text
    return f"{text}; without duplicates {format_metric(distinct, percent=percent)}, n {distinct['n']:,}"


def comparison_for_figure(comparison: Iterable[Record]) -> "pd.DataFrame":
    """Return the rates of `comparison_rows` as `plots.paper_vs_measured` takes them."""
    rows = [
        {"label": f"{row['cell'].paper}: {row['headline'].name}", "printed": row["cell"].value}
        | {name: row[name] for name in ("measured", "low", "high", "n")}
        for row in comparison
        if 0 <= row["cell"].value <= 1
    ]
    return _table(rows, "label").astype(float).reset_index()
