"""Run folders as tables: one run, many runs, and papers beside measurements."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_utils.files import digest, read_json, sha256_of, write_json
from fer_utils.papers import RATES, Headline, Paper, PublishedCell
from fer_utils.results import read_results
from fer_utils.run import method_of

if TYPE_CHECKING:
    import pandas as pd

Result = dict[str, Any]
Record = Mapping[str, Any]

AGGREGATES = "aggregates.json"
"""In a profile's folder: values computed from several runs, stored because their intervals take seconds."""


def _table(rows: Iterable[Any], index: str, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    import pandas as pd  # takes two seconds, which the index page does not need

    return pd.DataFrame(rows, columns=columns).set_index(index)


# --- numbers as text -----------------------------------------------------------------------------------


def format_metric(record: Record | None, *, percent: bool = False, sd: float | None = None) -> str:
    """Return a metric record as ``0.543 [0.526, 0.559]`` or ``54.3 % [52.6, 55.9]``; "" for None.

    `sd` is the standard deviation over seeds, if there were several.
    """
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
        return f"| {' | '.join(texts)} |"

    columns = zip(*(row.values() for row in rows), strict=True)
    numeric = [all(re.match(r"[-+−]?\d|$", str(cell)) for cell in column) for column in columns]
    rule = "|".join("---:" if is_number else "---" for is_number in numeric)
    return "\n".join([line(rows[0]), f"|{rule}|", *(line(row.values()) for row in rows)]) + "\n"


# --- one run -------------------------------------------------------------------------------------------


def metrics_table(sets: Mapping[str, Mapping[str, Record]]) -> "pd.DataFrame":
    """Return metric records as text: one row for each name, n in the last column."""
    shown = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_auc")
    index = "95 % CI in brackets"
    rows = []
    for name, records in sets.items():
        texts = {metric: format_metric(records[metric]) for metric in shown if metric in records}
        rows.append({index: name} | texts | {"n": next(iter(records.values()))["n"]})
    return _table(rows, index).rename_axis(None).rename_axis(index, axis="columns")


def per_class_table(rows: Sequence[Record], *, published: Sequence[Record] = ()) -> "pd.DataFrame":
    """Return precision, recall, F1 and AUC per class, with the published values in columns of their own."""
    table = _table(rows, "class").round(3)
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


def layers_table(model: Any) -> "pd.DataFrame":
    """Return the layers of a Keras model with output shape and parameters, and the total."""
    rows = [
        (layer.name, type(layer).__name__, "×".join(map(str, layer.output.shape[1:])), layer.count_params())
        for layer in model.layers
    ]
    rows.append(("total", "", "", model.count_params()))
    return _table(rows, "layer", ["layer", "kind", "output", "parameters"])


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
    rows = {
        "data": f"{result['dataset']['name']} ({result['dataset']['source']})",
        **{key.replace("_", " "): "not known" if value is None else value for key, value in protocol.items()},
        **{f"{key.replace('_', ' ')} with test": value for key, value in shared.items()},
        "device": compute["device_name"],
        "training": f"{compute['seconds']:.0f} s" + (f", {speed:.0f} samples/s" if speed else ""),
        "peak memory": f"{compute['peak_memory_mb']:.0f} MiB",
        **({"peak GPU memory": f"{gpu_memory:.0f} MiB"} if gpu_memory is not None else {}),
        "software": ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
        "commit": environment["commit"],
    }
    table = _table([(key, str(value)) for key, value in rows.items()], "key", ["key", ""])
    return table.rename_axis(None)


def describe_protocol(result: Record) -> str | None:
    """Return a run's protocol as one line, or None if it has none."""
    if not (stated := result.get("protocol")):
        return None
    subjects = {True: "subject-independent", False: "subjects shared across splits", None: None}
    duplicates, seed = stated["overlap"]["exact_duplicates"], stated["seed"]
    parts = [
        stated["split"],
        stated["selection"],
        subjects[stated["subject_independent"]],
        None if stated["leakage"] == "none" else f"leakage: {stated['leakage']}",
        f"{duplicates:,} exact duplicates across splits" if duplicates else None,
        f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}",
        result.get("dataset", {}).get("form"),
    ]
    return "; ".join(part for part in parts if part)


def describe_hardware(result: Record) -> str | None:
    """Return the machine and the time of a run, or None if it states none; of several seeds the sum."""
    if not (compute := result.get("compute")):
        return None
    count = compute.get("threads")
    threads = f", {count} thread{'s' if count > 1 else ''}" if count else ""
    runs = len(result.get("members", {}).get("runs", [0]))
    in_all = f" for all {runs} seeds" if runs > 1 else ""
    device = f"{compute['device_name']} ({compute['device']}{threads})"
    return f"{device}, {format_seconds(compute['seconds'])}{in_all}"


# --- many runs -----------------------------------------------------------------------------------------


def load_results(folder: Path) -> list[Result]:
    """Read ``<folder>/<run>/results.json`` of every run, in the order of their names.

    A damaged file, or one of another form, becomes a failed run whose reason names the file.
    """
    return [load_result(path) for path in sorted(Path(folder).glob("[!.]*/results.json"))]


def load_result(path: Path) -> Result:
    """Read one results.json as `load_results` does."""
    try:
        return read_results(path)
    except (ValueError, OSError, TypeError) as error:
        reason = f"{'/'.join(path.parts[-3:])} cannot be used: {error}"[:400]
        run, profile = path.parent.name, path.parent.parent.name
        heading = {"kind": "study", "status": "failed", "run": run, "variant": None, "paper": None}
        return heading | {"notebook": run.split("--")[0], "profile": profile, "reason": reason}


def load_methods(folder: Path) -> list[Result]:
    """Return `load_results` with the seeds of each method merged into one result.

    A merged result has the mean of each metric with its interval, `members`, and the sum of the times.
    """
    families: dict[str, list[Result]] = {}
    for result in load_results(folder):
        families.setdefault(method_of(result["run"]), []).append(result)
    found = []
    for name, family in families.items():
        merged = family if len(family) == 1 else _stored(folder, name, family, _merge)
        for result in merged:
            members = result.get("members", {}).get("runs", [])
            if runs := [one for one in family if one["run"] in members]:
                commits = dict.fromkeys(str(one["environment"]["commit"]) for one in runs)
                result["environment"] |= {"commit": ", ".join(commits)}
                if notes := dict.fromkeys(one["note"] for one in runs if one.get("note")):
                    result["note"] = "; ".join(notes)
        found += merged
    return found


def _merge(folder: Path, results: Sequence[Result]) -> list[Result]:
    from fer_utils.comparison import merge_seeds  # takes seconds to import

    return merge_seeds(folder, results)


def compare_methods(folder: Path) -> list[tuple["pd.DataFrame", "pd.DataFrame"]]:
    """Return a table of methods and one of their pairs, for each group that reports on the same samples."""
    stored = _stored(folder, "pairs", load_results(folder), _compare)
    return [tuple(_table(one["data"], one["columns"][0], one["columns"]) for one in pair) for pair in stored]


def _compare(folder: Path, results: Sequence[Result]) -> list[list[dict]]:
    from fer_utils.comparison import comparable_methods, methods_table, pairs_table

    def plain(table: "pd.DataFrame") -> dict[str, list]:
        named = table.reset_index().astype(object)
        return named.where(named.notna(), None).to_dict("split", index=False)  # JSON has no NaN

    groups = comparable_methods(folder, results)
    return [[plain(methods_table(group)), plain(pairs_table(group))] for group in groups]


def _stored(
    folder: Path, name: str, results: Sequence[Result], compute: Callable[[Path, Sequence[Result]], Any]
) -> Any:
    """Return what `compute` gives for these results, from `AGGREGATES` if they have not changed since."""
    path = Path(folder) / AGGREGATES
    arrays = [file for result in results for file in sorted((path.parent / result["run"]).glob("pred*.npz"))]
    key = digest(list(results), [[file.name, sha256_of(file)] for file in arrays])
    known = read_json(path) if path.is_file() else {}
    if known.get(name, {}).get("key") != key:
        known[name] = {"key": key, "value": compute(Path(folder), results)}
        write_json(path, dict(sorted(known.items())))
    return known[name]["value"]


def run_row(result: Record) -> dict[str, Any]:
    """Return a run's row of `runs_table` and of the index page; missing values are empty."""
    metrics, data = result.get("metrics", {}), result.get("dataset", {})
    seed = result.get("protocol", {}).get("seed")
    baselines = {name: find_metric(result, f"{name}_baseline.accuracy") for name in ("majority", "chance")}
    return {
        "run": result["run"],
        "status": result["status"].replace("_", " "),
        "reason": result.get("reason") or result.get("note") or "",
        "data": "synthetic" if data.get("source") == "synthetic" else data.get("name", ""),
        **{name: format_metric(metrics.get(name)) for name in ("accuracy", "balanced_accuracy", "macro_f1")},
        "n": f"{metrics['accuracy']['n']:,}" if "accuracy" in metrics else "",
        **{name: f"{record['value']:.3f}" if record else "" for name, record in baselines.items()},
        "computed_on": describe_hardware(result) or "",
        "seed": ", ".join(map(str, seed)) if isinstance(seed, list) else "" if seed is None else str(seed),
    }


def runs_table(results: Iterable[Record]) -> "pd.DataFrame":
    """Return one row of text per run: status, data, metrics with intervals, baselines, machine and seed."""
    columns = list(run_row({"run": "", "status": ""}))
    table = _table(map(run_row, results), "run", columns)
    return table.rename(columns=lambda name: name.replace("_", " "))


def what_to_believe(papers: Iterable[Paper]) -> "pd.DataFrame":
    """Return one row per paper: what a reader should believe of it, in our words."""
    rows = [(paper.key, paper.believe) for paper in papers]
    return _table(rows, "paper", ["paper", "what a reader should believe"])


# --- papers beside measurements ------------------------------------------------------------------------


def comparison_rows(results: Sequence[Record], papers: Iterable[Paper]) -> list[dict[str, Any]]:
    """Return the papers' headline numbers, each with every run that reports against it.

    `measured`, `low`, `high` and `delta` (percentage points, measured minus printed) are numbers only where a
    run on real data can be compared, else None. `text` is for display: the value with its interval in the
    paper's unit, or why there is none; `short` is the value alone. A number without a run is one row. Of
    several runs the first is without leakage, then has the most seeds, then was trained longest.
    """
    rows = []
    for paper in papers:
        for headline in paper.headline:
            cell = paper.cell(headline.table, headline.cell)
            place = (cell.paper, cell.table, cell.cell)
            pairs = [
                (result, entry["compared_with"])
                for result in results
                for entry in result.get("published", [])
                if (entry["paper"], entry["table"], entry["cell"]) == place
            ]
            arms = [_comparison(cell, headline, *pair) for pair in pairs or [({}, "")]]
            rows += sorted(arms, key=lambda arm: (arm["leakage"] != "none", -arm["seeds"], -arm["seconds"]))
    return rows


def _comparison(cell: PublishedCell, headline: Headline, result: Record, key: str) -> dict[str, Any]:
    record, data = find_metric(result, key), result.get("dataset", {})
    comparable = record if record and data["source"] == "real" else {"value": None, "ci95": None}
    low, high = comparable["ci95"] or (None, None)
    is_rate = comparable["value"] is not None and cell.unit in RATES
    run, profile = result.get("run"), result.get("profile")
    return {
        **{name: getattr(cell, name) for name in ("paper", "table", "cell", "metric")},
        "printed": cell.printed + (" %" if cell.unit == "percent" and "%" not in cell.printed else ""),
        "printed_value": cell.value,
        "name": headline.name,
        "measured_on": headline.measured_on,
        "status": result.get("status", "not run yet").replace("_", " "),
        "text": _comparison_text(cell, result, record, key=key),
        "short": format_metric(comparable if comparable is record else None, percent=cell.unit == "percent"),
        "measured": comparable["value"],
        "low": low,
        "high": high,
        "delta": 100 * (comparable["value"] - cell.value) if is_rate else None,
        "compared_with": key or None,
        "n": record["n"] if record else None,
        "dataset": data.get("name"),
        "source": data.get("source"),
        "protocol": describe_protocol(result),
        "hardware": describe_hardware(result),
        "commit": result.get("environment", {}).get("commit"),
        "note": result.get("note"),
        "profile": profile,
        "run": run,
        "folder": result.get("members", {}).get("runs", [run])[0],
        "leakage": leakage_of(result),
        "seeds": len(result.get("members", {}).get("runs", [run])),
        "seconds": result.get("compute", {}).get("seconds", 0),
        "command": f"make reproduce PROFILE={profile} RUN={run}" if run else None,
    }


def find_metric(result: Record, key: str) -> Record | None:
    """Find ``accuracy``, ``per_class.<class>.<metric>`` or ``<name in other_metrics>.<metric>``."""
    if result.get("status") != "done":
        return None
    if key in result.get("metrics", {}):
        return result["metrics"][key]
    name, _, metric = key.rpartition(".")
    for row in result.get("per_class", []):
        if name == f"per_class.{row['class']}" and row.get(metric) is not None:
            return {"value": row[metric], "ci95": None, "n": row["support"]}
    return result.get("other_metrics", {}).get(name, {}).get(metric)


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


def comparison_for_display(comparison: Iterable[Record]) -> "pd.DataFrame":
    """Return the columns of `comparison_rows` that a page has room for, as text."""
    rows = [
        {
            "paper": row["paper"],
            "where": f"{row['table']}: {row['name']}",
            "printed": row["printed"],
            "measured [95 % CI]": row["text"],
            "Δ points": "" if row["delta"] is None else f"{row['delta']:+.1f}",
            "n": "" if row["n"] is None else row["n"],
            "protocol": row["protocol"] or "",
            "run": row["run"] or "",
        }
        for row in comparison
    ]
    return _table(rows, "paper")


def comparison_for_figure(comparison: Iterable[Record]) -> "pd.DataFrame":
    """Return the rates of `comparison_rows` as `plots.paper_vs_measured` takes them."""
    rows = [
        {
            "label": f"{row['paper']}: {row['name']}",
            "printed": row["printed_value"],
            **{name: row[name] for name in ("measured", "low", "high", "n")},
        }
        for row in comparison
        if 0 <= row["printed_value"] <= 1
    ]
    return _table(rows, "label").astype(float).reset_index()


def leakage_of(result: Record) -> str:
    """Return what leaks from training into the test set, or "none"."""
    return result.get("protocol", {}).get("leakage", "none")
