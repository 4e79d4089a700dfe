"""The generated parts of README.md and docs/: tables and sentences with numbers of the committed runs."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fer_utils import tables
from fer_utils.effects import effects_table, read_effects
from fer_utils.files import PROJECT, project_path, read_json, write_text
from fer_utils.papers import load_paper
from fer_utils.report import FIGURE, comparison_figure, template
from fer_utils.tables import Record, find_metric, format_metric

PAGES = ("README.md", "docs/results.md", "docs/live_demo.md")
"""In them, text between ``<!-- name:start -->`` and ``<!-- name:end -->`` is replaced by part `name`."""

_PART = re.compile(r"<!-- (\w+):start -->\n.*?<!-- \1:end -->", re.DOTALL)


def render(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with its generated parts replaced."""
    text = "<!-- {0}:start -->\n{1}\n<!-- {0}:end -->"
    return _PART.sub(lambda part: text.format(part[1], parts[part[1]].strip()), page)


def generated(reference: Path) -> dict[str, str]:
    """Return the generated parts, name -> Markdown, from the committed runs in `reference`."""
    results = {result["run"]: result for result in tables.load_methods(reference)}
    honest = [result for result in results.values() if tables.leakage_of(result) == "none"]
    comparison = tables.comparison_rows(honest)
    first = [row for row in comparison if row["is_first"]]
    waiting = sum(row["measured"] is None for row in first)
    still = f"\n{waiting} of the papers' {len(first)} headline numbers have no run on real data yet.\n"
    effects = effects_table(read_effects(reference / "61_protocol_effects" / "effects.json"))
    measured = []
    for data, rows in effects.groupby("data"):
        records = rows.drop(columns="data").reset_index().to_dict("records")
        measured.append(f"Measured on {data}:\n\n{tables.markdown(records)}")
    shown = {row["result"].get("run") for row in comparison}
    covered = [result for result in honest if result["run"] in shown]
    of_runs = tables_of_runs()
    return {
        "learnt": learnt(results, effects, reference),
        "headline": headline(first, link="docs/results.md") + still,
        "results": headline(comparison) + still,
        "runs": template("runs.md.j2").render(results=covered, tables=tables),
        "methods": methods(honest),
        **{name: metrics_of_run(results, table) for name, table in of_runs.items() if name != "demo"},
        "effects": "\n".join(measured),
        "demo": demo(results, of_runs["demo"], reference),
    }


def tables_of_runs() -> dict[str, Any]:
    """Return the content of `data/tables.yaml`."""
    return yaml.safe_load((PROJECT / "data" / "tables.yaml").read_text(encoding="utf-8"))


def headline(comparison: Iterable[Record], *, link: str = "") -> str:
    """Return headline numbers with a run on real data, one row a run."""
    rows = [
        {
            "study": f"{row['cell'].paper}, {row['headline'].name}",
            "printed": row["printed"],
            "measured [95 % CI]": row["short"],
            "n": f"{row['n']:,}",
            "seeds": len(row["seeds"]),
            "training": tables.format_seconds(row["seconds"]),
            "details": "[{run}]({link}#{run})".format(run=row["result"]["run"], link=link),
        }
        for row in comparison
        if row["measured"] is not None
    ]
    return tables.markdown(rows)


def methods(results: Iterable[Record]) -> str:
    """Return every method without leakage that was measured on FER-2013, its seeds in one row."""
    columns = {
        "accuracy": "accuracy",
        "without duplicates": "without_duplicates.accuracy",
        "ten views": "ten_crop.accuracy",
        "macro-F1": "macro_f1",
    }
    rows = []
    for result in results:
        accuracy, members = find_metric(result, "accuracy"), result.get("members", {})
        if accuracy is None or result["dataset"]["name"] != "fer2013":
            continue
        row = {"run": f"`{result['run']}`"}
        for column, key in columns.items():
            name, _, metric = key.rpartition(".")
            spreads = members.get("other_metrics", {}).get(name, {}) if name else members.get("metrics", {})
            row[column] = format_metric(find_metric(result, key), sd=spreads.get(metric, {}).get("sd"))
        row |= {"seeds": len(tables.seeds_of(result)), "n": f"{accuracy['n']:,}"}
        rows.append(row | {"training, all seeds": tables.format_seconds(result["compute"]["seconds"])})
    return tables.markdown(rows)


def metrics_of_run(results: Mapping[str, Record], table: Mapping[str, Any]) -> str:
    """Return a table of `data/tables.yaml`: one row for each block of a run's metrics."""
    rows = []
    for text, block in table["rows"].items():
        keys = [f"{block}.{metric}" if block else metric for metric in table["columns"].values()]
        metrics = [find_metric(results[table["run"]], key) for key in keys]
        row = {table["heading"]: text} | dict(zip(table["columns"], map(format_metric, metrics), strict=True))
        row["n"] = f"{metrics[0]['n']:,}"
        rows.append(row | ({"leakage": table["leakage"].get(block, "none")} if "leakage" in table else {}))
    return tables.markdown(rows)


def demo(results: Mapping[str, Record], metrics: Mapping[str, tuple[str, str]], reference: Path) -> str:
    """Return what is known about the predictions and the speed of the live demo."""
    speed = read_json(reference / "50_live_demo" / "latency.json")
    benchmark = read_json(PROJECT / "benchmarks" / "live_demo.json")
    ours, usual = (benchmark["loops"][name]["frames_per_second"] for name in ("this demo", "the usual loop"))
    found = {name: find_metric(results[run], key) for name, (run, key) in metrics.items()}
    rows = [(name, format_metric(one), f"{one['n']:,}") for name, one in found.items()]
    times = "{median_ms:.1f} ms (95th percentile {p95_ms:.1f} ms)".format(**speed["steps"][-1])
    rates = f"{ours:.0f}; baseline loop {usual:.0f} (factor {ours / usual:.0f})"
    rows += [
        ("time per frame, one face, 640×480", times, speed["frames"]),
        ("frames per second", rates, benchmark["frames"]),
        ("memory growth from frame 1,000 to 10,000", f"{benchmark['memory_growth_mb']:.1f} MB", ""),
    ]
    return tables.markdown([dict(zip(("what", "value [95 % CI]", "n"), row, strict=True)) for row in rows])


def learnt(results: Mapping[str, Record], effects: pd.DataFrame, reference: Path) -> str:
    """Return sentences on what the study has shown so far."""
    pairs = pd.concat([pairs for _, pairs in tables.compare_methods(reference)])
    return template("learnt.md.j2").render(
        printed=lambda paper, table, cell: load_paper(paper).cell(table, cell).value,
        metric=lambda run, key, **options: format_metric(find_metric(results[run], key), **options),
        hog=pairs.loc["20_hybrid_hog_cnn--hybrid − 20_hybrid_hog_cnn--raw"],
        adam=pairs.loc["20_hybrid_hog_cnn--raw − 20_hybrid_hog_cnn--rmsprop"],
        effects=effects,
        added="adds, points [95 %]",
    )


def write_pages(reference: Path) -> list[Path]:
    """Write the generated parts of `PAGES` and the figure in docs/; return the paths."""
    (PROJECT / "docs" / FIGURE).unlink(missing_ok=True)  # drawn again, also after a change of style
    comparison_figure(tables.comparison_rows(tables.load_methods(reference)), PROJECT / "docs")
    parts = generated(reference)
    pages = [project_path(page) for page in PAGES]
    return [write_text(page, render(page.read_text(encoding="utf-8"), parts)) for page in pages]
