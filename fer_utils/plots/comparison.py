"""Figures of several runs, and of runs beside what papers print."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_utils.plots.style import BLUE, PRINTED, check_columns, panels, styled


@styled
def paper_vs_measured(rows: pd.DataFrame) -> Figure:
    """Draw what a paper prints (hollow diamond) and what was measured (dot and 95 % interval), row by row.

    Parameters
    ----------
    rows : DataFrame
        Columns label, printed, measured, low, high, n. A missing `measured` is drawn as "not run", a missing
        `printed` or interval not at all.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(rows, ("label", "printed", "measured", "low", "high", "n"))
    y = np.arange(len(rows))
    numbers = rows[["printed", "measured", "low", "high"]].apply(pd.to_numeric)
    figure, (ax,) = panels(1, height=0.9 + 0.34 * len(rows))
    _intervals(ax, y, numbers["measured"], numbers["low"], numbers["high"], label="measured, 95 % interval")
    around = {**PRINTED, "ms": 8, "zorder": 1.9}  # where both agree, the dot lies within the diamond
    ax.plot(numbers["printed"], y, **around, label="printed in the paper")
    for position, measured, n in zip(y, numbers["measured"], rows["n"], strict=True):
        note = f"n = {n:,.0f}" if pd.notna(n) else ""
        if np.isnan(measured):
            note = "not run"
        ax.text(1.015, position, note, va="center", fontsize=8.5, transform=ax.get_yaxis_transform())
    if numbers.max(axis=None) <= 1:
        ax.set_xlim(0, 1)
    _one_row_each(ax, rows["label"])
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


@styled
def metric_intervals(
    results: Mapping[str, Mapping[str, Mapping]],
    *,
    baselines: Mapping[str, Mapping[str, Mapping]] | None = None,
    metrics: Sequence[str] = ("accuracy", "balanced_accuracy", "macro_f1"),
) -> Figure:
    """Draw the metrics of several runs with their 95 % intervals, and the baselines as lines.

    Parameters
    ----------
    results : mapping
        ``{run: {metric: {"value", "ci95", "n"}}}``, as `evaluation.Evaluation.metrics`.
    baselines : mapping, optional
        ``{baseline: {metric: {"value", ...}}}`` as of `evaluation.baselines`, for the samples of all runs.
    metrics : sequence of str
        One panel each.

    Raises
    ------
    ValueError
        When there are no runs, or a run lacks one of the metrics.
    """
    if not results:
        raise ValueError("there are no runs to draw")
    for run, record in results.items():
        if missing := [metric for metric in metrics if metric not in record]:
            raise ValueError(f"run {run!r} has no {missing[0]}")
    height = 1.5 + 0.36 * len(results)
    figure, axes = panels(len(metrics), columns=len(metrics), row_height=height, sharey=True)
    for ax, metric in zip(axes, metrics, strict=True):
        records = [record[metric] for record in results.values()]
        low, high = np.array([record["ci95"] or (np.nan, np.nan) for record in records]).T
        value = np.array([record["value"] for record in records], dtype=float)
        for (name, line), dashes in zip((baselines or {}).items(), ("--", ":", "-."), strict=False):
            if metric in line:
                label = name.replace("_", " ")
                ax.axvline(line[metric]["value"], color="#6b6b6b", ls=dashes, lw=1.2, label=label)
        _intervals(ax, np.arange(len(records)), value, low, high, label="measured, 95 % interval")
        ax.set(xlim=(0, 1), title=metric.replace("_", " ").replace("f1", "F1"))
        ax.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
        _one_row_each(ax, [f"{run}\nn = {record[metrics[0]]['n']:,}" for run, record in results.items()])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


def _intervals(ax: Axes, y: np.ndarray, value: object, low: object, high: object, *, label: str) -> None:
    ax.hlines(y, low, high, color=BLUE, lw=2.2, zorder=2)
    ax.plot(value, y, "o", color=BLUE, ms=6, zorder=3, label=label, clip_on=False)


def _one_row_each(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), list(labels))
    ax.tick_params(axis="y", pad=7)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.spines["left"].set_visible(False)
