"""The generated parts of README.md and docs/: tables and sentences with numbers of the committed runs."""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pandas as pd

from fer_utils.files import PROJECT, project_path, read_json, write_text
from fer_utils.papers import PAPERS, load_paper
from fer_utils.report import FIGURE, comparison_figure
from fer_utils.tables import (
    Record,
    compare_methods,
    comparison_rows,
    describe_hardware,
    describe_protocol,
    find_metric,
    format_metric,
    format_seconds,
    leakage_of,
    load_methods,
    markdown,
)

PAGES = ("README.md", "docs/results.md", "docs/live_demo.md")
"""In them, text between ``<!-- name:start -->`` and ``<!-- name:end -->`` is replaced by part `name`."""

_PART = re.compile(r"<!-- (\w+):start -->\n.*?<!-- \1:end -->", re.DOTALL)


def render(page: str, parts: Mapping[str, str]) -> str:
    """Return a page with its generated parts replaced."""
    text = "<!-- {0}:start -->\n{1}\n<!-- {0}:end -->"
    return _PART.sub(lambda part: text.format(part[1], parts[part[1]].strip()), page)


def generated(reference: Path) -> dict[str, str]:
    """Return the generated parts, name -> Markdown, from the committed runs in `reference`."""
    from fer_utils import effects

    results = {result["run"]: result for result in load_methods(reference)}
    honest = [result for result in results.values() if leakage_of(result) == "none"]
    comparison = comparison_rows(honest, [load_paper(key) for key in PAPERS])
    first = [next(arms) for _, arms in groupby(comparison, key=itemgetter("paper", "table", "cell"))]
    waiting = sum(row["measured"] is None for row in first)
    still = f"\n{waiting} of the papers' {len(first)} headline numbers have no run on real data yet.\n"
    added = effects.effects_table(effects.read_effects(reference / "61_protocol_effects" / "effects.json"))
    shown = {row["run"] for row in comparison}
    return {
        "learnt": learnt(results, added, reference),
        "headline": headline(first, link="docs/results.md") + still,
        "results": headline(comparison) + still,
        "runs": runs([result for result in honest if result["run"] in shown]),
        "methods": methods(honest),
        "cams": cams(results["40_fastai_transfer--small_resnet"]),
        "clips": clips(results["30_cnn3d_smic"]),
        "frames": frames(results["20_hybrid_hog_cnn--frames"]),
        "effects": markdown(added.reset_index().to_dict("records")),
        "demo": demo(results, reference),
    }


def headline(comparison: Iterable[Record], *, link: str = "") -> str:
    """Return headline numbers with a run on real data, one row a run."""
    rows = [
        {
            "study": f"{row['paper']}, {row['name']}",
            "printed": row["printed"],
            "measured [95 % CI]": row["short"],
            "n": f"{row['n']:,}",
            "seeds": row["seeds"],
            "training": format_seconds(row["seconds"]),
            "details": f"[{row['run']}]({link}#{row['run']})",
        }
        for row in comparison
        if row["measured"] is not None
    ]
    return markdown(rows)


def runs(results: Iterable[Record]) -> str:
    """Return one section for each run: data, protocol, hardware, commit and command."""
    sections = []
    for result in results:
        data = result["dataset"]
        facts = {
            "Data": f"{data['name']}, {data['form']}, fingerprint `{data['fingerprint'][:12]}`",
            "Protocol": describe_protocol(result),
            "Computed on": describe_hardware(result),
            "Commit": result.get("note") or f"`{result['environment']['commit']}`",
            "Command": f"`make reproduce PROFILE={result['profile']} RUN={result['run']}`",
        }
        lines = [f"- {name}: {text}" for name, text in facts.items()]
        sections.append("\n".join([f"### {result['run']}", "", *lines, ""]))
    return "\n".join(sections)


_METHOD_COLUMNS = {
    "accuracy": "accuracy",
    "without duplicates": "without_duplicates.accuracy",
    "ten views": "ten_crop.accuracy",
    "macro-F1": "macro_f1",
}


def methods(results: Iterable[Record]) -> str:
    """Return every method without leakage that was measured on real data, its seeds in one row."""
    rows = []
    for result in results:
        accuracy = find_metric(result, "accuracy")
        if accuracy is None or result["dataset"]["source"] != "real":
            continue
        members = result.get("members", {})
        columns = {}
        for column, key in _METHOD_COLUMNS.items():
            name, _, metric = key.rpartition(".")
            spreads = members.get("other_metrics", {}).get(name, {}) if name else members.get("metrics", {})
            columns[column] = format_metric(find_metric(result, key), sd=spreads.get(metric, {}).get("sd"))
        seeds, time = len(members.get("runs", [result])), format_seconds(result["compute"]["seconds"])
        counts = {"seeds": seeds, "n": f"{accuracy['n']:,}", "training, all seeds": time}
        rows.append({"run": f"`{result['run']}`"} | columns | counts)
    return markdown(rows)


def cams(result: Record) -> str:
    """Return what removing and inserting the pixels of a map does to the probability of the class."""
    rows = []
    for name in ("deletion", "insertion"):
        area, random, difference = (
            find_metric(result, f"cam_{name}.{key}") for key in ("area", "random_maps", "difference")
        )
        columns = {"Grad-CAM": area, "random maps": random, "difference": difference}
        texts = {column: format_metric(record) for column, record in columns.items()}
        rows.append({"area under the": f"{name} curve"} | texts | {"n": area["n"]})
    return markdown(rows)


_CLIP_METRICS = {"accuracy": "accuracy", "UF1": "macro_f1", "UAR": "balanced_accuracy"}
_LOSO, _TEST = "leave one subject out", "epoch selected on test"
_CLIP_PROTOCOLS = {
    "": (f"{_LOSO}, epoch fixed beforehand", "none"),
    "pixels_loso_best_epoch": (f"{_LOSO}, epoch that is best on the held-out clips", _TEST),
    "pixels_random": ("random clips, epoch fixed beforehand", "subjects in training and test"),
    "pixels_random_best_epoch": ("random clips, best epoch", f"subjects in both, {_TEST}"),
    "still": (f"{_LOSO}, one frame repeated instead of the clip", "none"),
    "flow": (f"{_LOSO}, a small network on optical flow", "none"),
    "majority_baseline": ("always the most frequent class", ""),
}
"""Name in `other_metrics` of a run of 30_cnn3d_smic ("": the reported one) -> protocol and leakage."""


def clips(run: Record) -> str:
    """Return the protocols of a run of 30_cnn3d_smic, one row each."""
    rows = []
    for name, (protocol, leakage) in _CLIP_PROTOCOLS.items():
        metrics = run["other_metrics"][name] if name else run["metrics"]
        texts = {label: format_metric(metrics[metric]) for label, metric in _CLIP_METRICS.items()}
        rows.append({"protocol": protocol} | texts | {"n": metrics["accuracy"]["n"], "leakage": leakage})
    return markdown(rows)


def frames(run: Record) -> str:
    """Return the accuracy on frames of clips under three splits."""
    splits = {
        "frames at random": "split_by_frame",
        "whole clips held out": "split_by_clip",
        "whole subjects held out": "split_by_subject",
        "always the most frequent class": "majority_baseline",
    }
    rows = []
    for name, key in splits.items():
        accuracy = find_metric(run, f"{key}.accuracy")
        rows.append({"split": name, "accuracy": format_metric(accuracy), "n": f"{accuracy['n']:,}"})
    return markdown(rows)


def demo(results: Mapping[str, Record], reference: Path) -> str:
    """Return what is known about the predictions and the speed of the live demo."""
    network, run = results["40_fastai_transfer--live"], results["50_live_demo"]
    speed = read_json(reference / "50_live_demo" / "latency.json")
    benchmark = read_json(PROJECT / "benchmarks" / "live_demo.json")
    ours, usual = (benchmark["loops"][name]["frames_per_second"] for name in ("this demo", "the usual loop"))
    total = speed["steps"][-1]
    metrics = {
        "accuracy of the shipped network on PrivateTest": (network, "accuracy"),
        "– without duplicates of other sets": (network, "without_duplicates.accuracy"),
        "– of predictions with a probability of 0.9 or more": (run, "confidence_90_to_100.accuracy"),
        "– of predictions with a probability of 0.5 to 0.7": (run, "confidence_50_to_70.accuracy"),
        "faces found by the Haar cascade": (run, "photographs.found"),
        "accuracy on the faces found": (run, "photographs.accuracy"),
        "– the same images without detection and crop": (run, "photographs.accuracy_direct"),
        "micro-expressions spotted, F1 (synthetic videos)": (run, "spotting_micro.f1"),
        "macro-expressions spotted, F1 (synthetic videos)": (run, "spotting_macro.f1"),
        "spotted micro-expressions classified correctly (synthetic)": (run, "naming_micro.accuracy"),
    }
    found = {name: find_metric(*place) for name, place in metrics.items()}
    rows = [(name, format_metric(one), f"{one['n']:,}") for name, one in found.items()]
    times = f"{total['median_ms']:.1f} ms (95th percentile {total['p95_ms']:.1f} ms)"
    rates = f"{ours:.0f}; baseline loop {usual:.0f} (factor {ours / usual:.0f})"
    rows += [
        ("time per frame, one face, 640×480", times, speed["frames"]),
        ("frames per second", rates, benchmark["frames"]),
        ("memory growth from frame 1,000 to 10,000", f"{benchmark['memory_growth_mb']:.1f} MB", ""),
    ]
    return markdown([dict(zip(("what", "value [95 % CI]", "n"), row, strict=True)) for row in rows])


def learnt(results: Mapping[str, Record], added: pd.DataFrame, reference: Path) -> str:
    """Return sentences on what the study has shown so far."""
    pairs = pd.concat([pairs for _, pairs in compare_methods(reference)])
    hog = pairs.loc["20_hybrid_hog_cnn--hybrid − 20_hybrid_hog_cnn--raw"]
    points, low, high = 100 * hog[["difference", "low", "high"]]
    kumar, hybrids = results["10_baseline_cnn--kumar2021"], results["20_hybrid_hog_cnn--hybrid"]
    plain, distinct, hybrid = (
        format_metric(find_metric(run, key), percent=True)
        for run, key in ((kumar, "accuracy"), (kumar, "without_duplicates.accuracy"), (hybrids, "accuracy"))
    )
    happy = find_metric(kumar, "per_class.happy.f1")
    reshuffled = added.loc["reshuffle training, validation and test images for every epoch"]
    duplicates = added.loc["keep exact duplicates of other sets in the test set"]
    sentences = [
        f"kumar2021's accuracy of 54 % is reproduced (one seed, six classes): {plain}, without duplicates "
        f"{distinct}. For happy the paper reports an F1 of 0.82; here it is {happy['value']:.2f}.",
        "kishor2022 reports 85.3 % without naming data set or split; its network reaches "
        f"{hybrid} on FER-2013.",
        "Adding HOG features to the pixels makes no detectable difference: "
        f"{points:+.1f} points [{low:+.1f}, {high:+.1f}], n = {hog['n']:,}.",
        "Reshuffling training, validation and test images every epoch lifts the validation accuracy of one "
        f"network from {reshuffled['honest']} to {reshuffled['looks like']}.",
        "Exact duplicates across FER-2013's sets inflate accuracy by "
        f"{duplicates['adds, points [95 %]']} points.",
    ]
    return "".join(f"- {sentence}\n" for sentence in sentences)


def write_pages(reference: Path) -> list[Path]:
    """Write the generated parts of `PAGES` and the figure in docs/; return the paths."""
    results = load_methods(reference)
    (PROJECT / "docs" / FIGURE).unlink(missing_ok=True)  # drawn again, also after a change of style
    comparison_figure(comparison_rows(results, [load_paper(key) for key in PAPERS]), PROJECT / "docs")
    parts = generated(reference)
    return [
        write_text(page, render(page.read_text(encoding="utf-8"), parts)) for page in map(project_path, PAGES)
    ]
