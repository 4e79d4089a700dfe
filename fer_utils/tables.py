"""Many run folders as tables: what was run, and what the papers print beside what was measured."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from fer_utils import results as results_file
from fer_utils.comparison import merge_seeds
from fer_utils.papers import RATES, Headline, Paper, PublishedCell


def load_results(folder: Path) -> list[dict]:
    """Read ``<folder>/<run>/results.json`` of every run, in the order of their names.

    A file that is damaged or breaks the schema is a failed run whose reason names the file, never an error.
    """
    folders = sorted(p for p in Path(folder).glob("*") if p.is_dir() and not p.name.startswith("."))
    return list(read_results(path / "results.json" for path in folders))


def load_methods(folder: Path) -> list[dict]:
    """Return `load_results` with the seeds of one method merged into one result."""
    return merge_seeds(folder, load_results(folder))


def read_results(paths: Iterable[Path]) -> Iterator[dict]:
    """Yield the content of the files that exist; a damaged one becomes a failed run."""
    for path in filter(Path.is_file, paths):
        try:
            yield results_file.read_results(path)
        except Exception as error:  # whatever is wrong with one file, the others are shown
            name = "/".join(path.parts[-3:])
            yield {
                "kind": "study", "status": "failed", "run": path.parent.name, "variant": None, "paper": None,
                "notebook": path.parent.name.split("--")[0], "profile": path.parent.parent.name,
                "reason": f"{name} cannot be used: {error}"[:400],
            }  # fmt: skip


def runs_table(results: Sequence[dict]) -> pd.DataFrame:
    """Return one row per run: status, data, metrics with intervals, baselines, cost and seed."""
    return pd.DataFrame([run_row(result) for result in results], columns=list(run_row({})))


def run_row(result: dict) -> dict:
    """Return a run's line of `runs_table`; what it does not state is None."""
    metrics, other = result.get("metrics", {}), result.get("other_metrics", {})
    low, high = metrics.get("accuracy", {}).get("ci95") or (None, None)
    seed = result.get("protocol", {}).get("seed")
    return {
        "run": result.get("run"),
        "status": result.get("status"),
        "reason": result.get("reason"),
        "dataset": result.get("dataset", {}).get("name"),
        "source": result.get("dataset", {}).get("source"),
        "accuracy": _value(metrics, "accuracy"),
        "accuracy_low": low,
        "accuracy_high": high,
        "balanced_accuracy": _value(metrics, "balanced_accuracy"),
        "macro_f1": _value(metrics, "macro_f1"),
        "n": metrics.get("accuracy", {}).get("n"),
        "majority_accuracy": _value(other.get("majority_baseline", {}), "accuracy"),
        "chance_accuracy": _value(other.get("chance_baseline", {}), "accuracy"),
        "seconds": result.get("compute", {}).get("seconds"),
        "hardware": hardware(result),
        "seed": ", ".join(map(str, seed)) if isinstance(seed, list) else None if seed is None else str(seed),
    }


def _value(metrics: dict, name: str) -> float | None:
    return metrics.get(name, {}).get("value")


def runs_for_reading(results: Sequence[dict]) -> pd.DataFrame:
    """Return `runs_table` in the words and the width that a page has room for."""
    rows = []
    for result in results:
        metrics, other = result.get("metrics", {}), result.get("other_metrics", {})
        majority = other.get("majority_baseline", {}).get("accuracy")
        data = result.get("dataset", {})
        rows.append(
            {
                "run": result["run"],
                "status": result["status"].replace("_", " ")
                + (f": {result['reason']}" if result.get("reason") else ""),
                "faces": "synthetic" if data.get("source") == "synthetic" else data.get("name", ""),
                **{
                    name.replace("_", " "): with_interval(metrics[name]) if name in metrics else ""
                    for name in ("accuracy", "macro_f1")
                },
                "majority": with_interval(majority | {"ci95": None}) if majority else "",
                "n": metrics.get("accuracy", {}).get("n", ""),
                "time": duration(result["compute"]["seconds"]) if "compute" in result else "",
            }
        )
    columns = ["run", "status", "faces", "accuracy", "macro f1", "majority", "n", "time"]
    return pd.DataFrame(rows, columns=columns).set_index("run")


def what_to_believe(papers: Iterable[Paper]) -> pd.DataFrame:
    """Return one row per paper: what a reader should believe of it, in our words."""
    rows = {paper.key: {"what a reader should believe": paper.believe} for paper in papers}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("paper")


def comparison_table(results: Sequence[dict], papers: Iterable[Paper]) -> pd.DataFrame:
    """Return the papers' headline numbers, each with every run that reports against it.

    ``measured``, ``ci95_low``, ``ci95_high`` and ``delta_pp`` (percentage points, measured less printed) hold
    numbers only where a run on real data can be compared; ``shown`` is what to print in every case: the value
    with its interval in the paper's unit, the value of a synthetic run labelled as such, or why there is
    none. A number without a run is one row.
    """
    rows = []
    for paper in papers:
        for headline in paper.headline:
            cell = paper.cell(headline.table, headline.cell)
            pairs = [(r, e) for r in results for e in r.get("published", []) if _is_about(e, cell)]
            rows += [_comparison(cell, headline, *pair) for pair in pairs or [({}, {})]]
    return pd.DataFrame(rows).astype({"n": "Int64"})


def _is_about(entry: dict, cell: PublishedCell) -> bool:
    return (entry["paper"], entry["table"], entry["cell"]) == (cell.paper, cell.table, cell.cell)


def _comparison(cell: PublishedCell, headline: Headline, result: dict, entry: dict) -> dict:
    record = _measured(result, entry.get("compared_with", ""))
    source = result.get("dataset", {}).get("source")
    real = record is not None and source == "real"
    low, high = record["ci95"] or (None, None) if real else (None, None)
    percent_sign = " %" if cell.unit == "percent" and "%" not in cell.printed else ""
    run, profile = result.get("run"), result.get("profile")
    repeated = result.get("members", {}).get("runs", [run])[0]
    return {
        "paper": cell.paper,
        "table": cell.table,
        "cell": cell.cell,
        "metric": cell.metric,
        "printed": cell.printed + percent_sign,
        "printed_value": cell.value,
        "measured_on": headline.measured_on,
        "status": result.get("status", "not run yet"),
        "shown": _shown(cell, result, record, key=entry.get("compared_with")),
        "measured": record["value"] if real else None,
        "ci95_low": low,
        "ci95_high": high,
        "delta_pp": 100 * (record["value"] - cell.value) if real and cell.unit in RATES else None,
        "compared_with": entry.get("compared_with"),
        "n": record["n"] if record else None,
        "dataset": result.get("dataset", {}).get("name"),
        "source": source,
        "protocol": protocol(result),
        "hardware": hardware(result),
        "profile": profile,
        "run": run,
        "folder": repeated,
        "command": f"make reproduce PROFILE={profile} RUN={repeated}" if run else None,
    }


def _measured(result: dict, key: str) -> dict | None:
    """Find ``accuracy``, ``per_class.<class>.<metric>`` or ``<name in other_metrics>.<metric>``."""
    if result.get("status") != "done":
        return None
    if key in result.get("metrics", {}):
        return result["metrics"][key]
    name, _, metric = key.rpartition(".")
    if name.startswith("per_class."):
        for row in result.get("per_class", []):
            if row["class"] == name.removeprefix("per_class.") and row.get(metric) is not None:
                return {"value": row[metric], "ci95": None, "n": row["support"]}
    return result.get("other_metrics", {}).get(name, {}).get(metric)


def _shown(cell: PublishedCell, result: dict, record: dict | None, *, key: str | None) -> str:
    if not result:
        return "not run yet"
    if result["status"] != "done":
        return f"{result['status'].replace('_', ' ')}: {result['reason']}"
    if record is None:
        return "the run reports no such number"
    text = with_interval(record, percent=cell.unit == "percent")
    if result["dataset"]["source"] != "real":
        return f"{text} synthetic – not comparable"
    if members := result.get("members", {}).get("metrics", {}).get(key):
        sd = with_interval({"value": members["sd"]}, percent=cell.unit == "percent")
        text += f", mean of {members['n']} seeds (sd {sd})"
    if (leak := result.get("protocol", {}).get("leakage", "none")) != "none":
        text += f"; leaks: {leak}"
    distinct = result.get("other_metrics", {}).get("without_duplicates", {}).get(key)
    if distinct is None or distinct["n"] == record["n"]:
        return text
    without = with_interval(distinct, percent=cell.unit == "percent")
    return f"{text}; without duplicates {without}, n {distinct['n']:,}"


def with_interval(record: dict, *, percent: bool = False) -> str:
    """Return ``0.543 [0.526, 0.559]``, or ``54.3 % [52.6, 55.9]``, of a metric's record."""
    number = (lambda x: f"{100 * x:.1f}") if percent else (lambda x: f"{x:.3f}")
    interval = f" [{number(record['ci95'][0])}, {number(record['ci95'][1])}]" if record.get("ci95") else ""
    return number(record["value"]) + (" %" if percent else "") + interval


def with_spread(result: dict, metric: str, *, of: str = "", percent: bool = False) -> str:
    """Return a metric as `with_interval`, of several seeds with their sd; "" where the run has none such.

    `of` is a name in `other_metrics`; "" takes the reported metrics.
    """
    own, members = result.get("metrics", {}), result.get("members", {})
    record = (result.get("other_metrics", {}).get(of, {}) if of else own).get(metric)
    if record is None:
        return ""
    text = with_interval(record, percent=percent)
    several = (members.get("other_metrics", {}).get(of, {}) if of else members.get("metrics", {})).get(metric)
    if several is None:
        return text
    sd = f"{100 * several['sd']:.1f}" if percent else f"{several['sd']:.3f}"
    return f"{text}, sd {sd}"


def protocol(result: dict) -> str | None:
    """Return a run's protocol as one line, or None where it states none."""
    if not (stated := result.get("protocol")):
        return None
    subjects = {True: "subjects kept apart", False: "subjects shared between the parts", None: None}
    duplicates = stated["overlap"]["exact_duplicates"]
    seed = stated["seed"]
    parts = [
        stated["split"],
        stated["selection"],
        subjects[stated["subject_independent"]],
        None if stated["leakage"] == "none" else f"leak: {stated['leakage']}",
        f"{duplicates:,} exact duplicates across the parts" if duplicates else None,
        f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}",
    ]
    return "; ".join(part for part in parts if part)


def hardware(result: dict) -> str | None:
    """Return what a run was computed on and how long it took, or None where it does not say."""
    if not (compute := result.get("compute")):
        return None
    count = compute.get("threads")
    threads = f", {count} thread{'s' if count > 1 else ''}" if count else ""
    return f"{compute['device_name']} ({compute['device']}{threads}), {duration(compute['seconds'])}"


def duration(seconds: float) -> str:
    """Return a time in the unit that fits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def for_reading(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return a `comparison_table` in the words and the width that a page has room for."""
    rows = comparison.astype(object).where(comparison.notna(), "")
    delta = [f"{value:+.1f}" if value != "" else "" for value in rows["delta_pp"]]
    return pd.DataFrame(
        {
            "paper": rows["paper"],
            "where": rows["table"] + ": " + rows["cell"],
            "printed": rows["printed"],
            "measured [95 % interval]": rows["shown"],
            "Δ points": delta,
            "n": rows["n"],
            "protocol": rows["protocol"],
            "run": rows["run"],
        }
    ).set_index("paper")


def for_figure(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the rates of a `comparison_table` as `plots.paper_vs_measured` takes them."""
    rates = comparison[comparison["printed_value"].between(0, 1)]
    names = {
        "printed_value": "printed",
        "measured": "measured",
        "ci95_low": "low",
        "ci95_high": "high",
        "n": "n",
    }
    label = rates["paper"] + "\n" + rates["table"].str.removeprefix("Slide: ") + ": " + rates["cell"]
    return rates[list(names)].rename(columns=names).assign(label=label).reset_index(drop=True)


def run_summary(content: dict) -> pd.DataFrame:
    """Return protocol, machine and versions of a results.json as a table of two columns."""
    compute, environment = content["compute"], content["environment"]
    stated = {key: value for key, value in content.get("protocol", {}).items() if key != "overlap"}
    shared = content.get("protocol", {}).get("overlap", {})
    speed, gpu_memory = compute.get("samples_per_second"), compute.get("peak_gpu_memory_mb")
    rows = {
        "data": f"{content['dataset']['name']} ({content['dataset']['source']})",
        **{key.replace("_", " "): "not known" if value is None else value for key, value in stated.items()},
        **{f"{key.replace('_', ' ')} with test": value for key, value in shared.items()},
        "device": compute["device_name"],
        "training": f"{compute['seconds']:.0f} s" + (f", {speed:.0f} samples/s" if speed else ""),
        "peak memory": f"{compute['peak_memory_mb']:.0f} MiB",
        **({"peak GPU memory": f"{gpu_memory:.0f} MiB"} if gpu_memory is not None else {}),
        "software": ", ".join(f"{name} {version}" for name, version in environment["packages"].items()),
        "commit": environment["commit"],
    }
    return pd.DataFrame({"": {key: str(value) for key, value in rows.items()}})
