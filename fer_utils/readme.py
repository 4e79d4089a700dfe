"""README's tables, generated from the committed runs in reports/reference."""

from collections.abc import Iterable, Sequence

import pandas as pd

from fer_utils.effects import Effect, effects_table
from fer_utils.papers import PAPERS, Paper, load_paper
from fer_utils.tables import comparison_table, duration, with_interval, with_spread


def readme_table(results: Sequence[dict], *, papers: Iterable[Paper] | None = None) -> str:
    """Return the comparison as a Markdown table: the headline numbers that a run on real data reports on."""
    table = comparison_table(_honest(results), papers or [load_paper(key) for key in PAPERS])
    rows = table[table["run"].notna() & (table["source"] != "synthetic")]
    columns = ("study", "printed", "measured [95 % interval]", "n", "protocol", "hardware", "command")
    lines = _markdown_head(*columns)
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        cells = (
            f"{row['paper']}, {row['table']}: {row['cell']}", row["printed"], row["shown"],
            f"{row['n']:,}" if row["n"] else "", row["protocol"] or "", row["hardware"] or "",
            f"`{row['command']}`",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(_markdown_cell, cells))} |")
    waiting = int((table["status"] == "not run yet").sum())
    return (
        "\n".join([*lines, "", f"{waiting} of the papers' {len(table)} headline rows have no run yet."])
        + "\n"
    )


def readme_methods(results: Sequence[dict]) -> str:
    """Return every method measured on real data as a Markdown table, with all its seeds in one row."""
    lines = _markdown_head(
        "run", "accuracy", "without duplicates", "ten views", "macro-F1", "seeds", "n", "training"
    )
    for result in _honest(results):
        if result.get("dataset", {}).get("source") != "real" or "accuracy" not in result.get("metrics", {}):
            continue
        metrics, members = result["metrics"], result.get("members", {})
        cells = (
            f"`{result['run']}`", with_spread(result, "accuracy"),
            with_spread(result, "accuracy", of="without_duplicates"),
            with_spread(result, "accuracy", of="ten_crop"),
            with_spread(result, "macro_f1"),
            str(len(members.get("runs", [result["run"]]))), f"{metrics['accuracy']['n']:,}",
            duration(result["compute"]["seconds"]),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(_markdown_cell, cells))} |")
    return "\n".join(lines) + "\n"


_CLIP_PROTOCOLS = {
    "": ("one subject at a time, epoch fixed beforehand", "none"),
    "pixels_loso_best_epoch": (
        "the same, the epoch that was best on the held-out clips",
        "epoch chosen on test",
    ),
    "pixels_random": ("random clips, epoch fixed beforehand", "subjects on both sides"),
    "pixels_random_best_epoch": ("random clips, best epoch", "subjects on both sides, epoch chosen on test"),
    "still": ("one subject at a time, the network sees one frame repeated", "none"),
    "flow": ("one subject at a time, a small network on optical flow", "none"),
    "majority_baseline": ("always the most frequent class", ""),
}
"""Name in `other_metrics` of a run of 30_cnn3d_smic ("": the reported one) -> what it is, and what leaks."""


def readme_protocols(results: Sequence[dict]) -> str:
    """Return the protocols of the finished run `30_cnn3d_smic` as a Markdown table, or a line without it."""
    run = next((result for result in results if result["run"] == "30_cnn3d_smic"), {"status": "not_run"})
    if run["status"] != "done":
        return "not run\n"
    lines = _markdown_head("who is held out, which epoch counts", "accuracy", "UF1", "UAR", "n", "leak")
    for name, (what, leak) in _CLIP_PROTOCOLS.items():
        metrics = run["other_metrics"][name] if name else run["metrics"]
        shown = [with_interval(metrics[key]) for key in ("accuracy", "macro_f1", "balanced_accuracy")]
        cells = (what, *shown, f"{metrics['accuracy']['n']}", leak)
        lines.append(f"| {' | '.join(map(_markdown_cell, cells))} |")
    return "\n".join(lines) + "\n"


def readme_effects(effects: Sequence[Effect]) -> str:
    """Return what each way of measuring adds as a Markdown table, the largest first."""
    return _markdown(effects_table(effects))


def _markdown(table: pd.DataFrame) -> str:
    named = table.reset_index()
    rows = [f"| {' | '.join(map(_markdown_cell, row))} |" for row in named.itertuples(index=False)]
    return "\n".join([*_markdown_head(*named.columns), *rows]) + "\n"


def _honest(results: Iterable[dict]) -> list[dict]:
    # What leaks stands in the table of effects, beside its honest arm.
    return [result for result in results if result.get("protocol", {}).get("leakage", "none") == "none"]


_WORDS = {
    "what is done",
    "recipe",
    "on PrivateTest",
    "aim",
    "printed elsewhere",
    "measured",
    "data",
    "study",
    "run",
    "protocol",
    "hardware",
    "command",
    "who is held out, which epoch counts",
    "leak",
}


def _markdown_head(*columns: str) -> list[str]:
    rules = ("---" if column in _WORDS else "---:" for column in columns)
    return [f"| {' | '.join(columns)} |", f"|{'|'.join(rules)}|"]


def _markdown_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def replace_between_markers(text: str, marker: str, new: str) -> str:
    """Return `text` with what stands between ``<!-- marker:start -->`` and ``<!-- marker:end -->`` replaced.

    Raises
    ------
    ValueError
        If the two markers are not there once each, in this order.
    """
    start, end = f"<!-- {marker}:start -->", f"<!-- {marker}:end -->"
    before, found_start, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end and text.count(start) == text.count(end) == 1):
        raise ValueError(f"the text needs one line {start!r} and, after it, one line {end!r}")
    return f"{before}{start}\n{new.strip()}\n{end}{after}"
