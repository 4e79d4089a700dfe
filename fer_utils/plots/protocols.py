"""Figures that compare runs, protocols and published values."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.plots import style

if TYPE_CHECKING:
    from fer_utils.effects import Effect


@style.styled
def paper_vs_measured(rows: pd.DataFrame) -> Figure:
    """Draw printed values (hollow diamonds) beside measured ones (dots with 95 % intervals).

    Columns label, printed, measured, low, high, n. A missing measured value is drawn as "not run".
    """
    numbers = rows[["printed", "measured", "low", "high"]].apply(pd.to_numeric)
    figure, ax = style.labelled_rows(
        rows["label"], row_height=0.24, xlabel="accuracy, F1 or error (fraction)"
    )
    look = {"label": "measured, 95 % confidence interval", "ms": 4}
    style.intervals(ax, range(len(rows)), numbers, "measured", **look)
    around = {**style.PRINTED, "ms": 8, "zorder": 1.9}  # where both are equal, the dot is inside the diamond
    ax.plot(numbers["printed"], range(len(rows)), **around, label="printed in the paper")
    for row, (measured, n) in enumerate(zip(numbers["measured"], rows["n"], strict=True)):
        style.note_right(ax, row, "not run" if np.isnan(measured) else f"n = {n:,.0f}" if pd.notna(n) else "")
    if numbers.max(axis=None) <= 1:
        ax.set_xlim(np.floor(10 * numbers.min(axis=None)) / 10, 1)
    style.legend_above(ax)
    return figure


@style.styled
def arms(table: pd.DataFrame, *, majority: float | None = None, chance: float | None = None) -> Figure:
    """Draw an accuracy measured in several ways: value and interval, and a small circle for each seed.

    Columns label, value, low, high, n, leak (its name, "none" or empty) and, optionally, seeds (the values of
    each). `majority` and `chance` are the accuracies of the majority class and of guessing.
    """
    figure, ax = style.labelled_rows(table["label"], row_height=0.5, xlabel="accuracy and 95 % interval")
    if chance is not None:
        ax.axvline(chance, color=style.GREY, ls=":", lw=1.4, label=f"chance {chance:.2f}")
    if majority is not None:
        ax.axvline(majority, **style.MAJORITY, label=f"majority class {majority:.2f}")
    leaky = ~table["leak"].isin(["none", ""]).to_numpy()
    for these, color, marker, name in ((~leaky, style.BLUE, "o", "honest"), (leaky, style.RED, "X", "leak")):
        look = {"color": color, "marker": marker, "label": name}
        style.intervals(ax, np.flatnonzero(these), table[these], "value", **look)
    circle = {"marker": "o", "mfc": "white", "mec": style.INK, "ms": 4, "ls": "none"}
    for row, values in enumerate(table.to_dict("records")):
        seeds = values.get("seeds", ())
        label = "one seed" if len(seeds) and row == 0 else None
        ax.plot(seeds, [row + 0.27] * len(seeds), label=label, **circle)
        leak = f"\nleak: {textwrap.fill(values['leak'], 34)}" if leaky[row] else ""
        style.note_right(ax, row, f"{100 * values['value']:.1f} %, n = {values['n']:,}{leak}")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.margins(x=0.08)
    style.legend_above(ax)
    return figure


@style.styled
def effect_sizes(effects: "Sequence[Effect]") -> Figure:
    """Draw honest and leaky accuracies as the ends of a line, the largest difference first and as text."""
    effects = sorted(effects, key=lambda effect: -effect.size)
    rows, labels = range(len(effects)), [f"{effect.trick}\n({effect.data})" for effect in effects]
    honest, leaky = [effect.honest.value for effect in effects], [effect.leaky.value for effect in effects]
    figure, ax = style.labelled_rows(labels, row_height=0.45, xlabel="accuracy")
    ax.hlines(rows, honest, leaky, color="#c4c4c4", lw=3, zorder=1)
    look = {"ms": 8, "ls": "none", "clip_on": False, "zorder": 3}
    ax.plot(honest, rows, "o", color=style.BLUE, label="honest", **look)
    ax.plot(leaky, rows, "X", color=style.RED, label="with the leak", **look)
    for row, effect in enumerate(effects):
        low, high = (100 * end for end in effect.interval)
        style.note_right(ax, row, f"{100 * effect.size:+.1f} points\n[{low:+.1f}, {high:+.1f}]")
    ax.set_xlim(0, 1.02)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    style.legend_above(ax)
    return figure


@style.styled
def printed_luck(differences: pd.DataFrame, *, two_runs: float) -> Figure:
    """Draw printed differences beside those that chance alone allows.

    Columns paper, about, difference, chance (fractions; NaN if unknown), n. In 95 % of cases, two runs with
    equal settings differ by less than `two_runs`.
    """
    labels = differences["paper"] + ": " + differences["about"]
    figure, ax = style.labelled_rows(labels, row_height=0.4, xlabel="difference in accuracy, points")
    rows, chance = range(len(labels)), 100 * differences["chance"].fillna(0)
    ax.barh(rows, chance, height=0.6, color=style.PALE, label="two equal classifiers, this many samples")
    label = "two seeds of one setting, FER-2013"
    ax.axvspan(0, 100 * two_runs, color=style.BLUE, alpha=0.25, lw=0, label=label)
    ax.plot(100 * differences["difference"].abs(), rows, **style.PRINTED, label="printed difference")
    for row, n in enumerate(differences["n"]):
        style.note_right(ax, row, "n is not printed" if np.isnan(n) else f"n = {n:,.0f}")
    ax.set_xlim(left=0)
    ax.grid(False, axis="y")
    style.legend_above(ax)
    return figure


@style.styled
def by_subject(table: pd.DataFrame) -> Figure:
    """Draw the number of clips of each held-out subject, and how many each method classified correctly.

    Index: the subjects. Column `clips`, and one for each of at most two methods.
    """
    table = table.sort_values("clips", ascending=False, kind="stable")
    methods = table.drop(columns="clips")
    rows, height = np.arange(len(table)), 0.62 / methods.shape[1]
    figure, ax = style.labelled_rows(table.index.astype(str), row_height=0.3, xlabel="clips")
    ax.barh(rows, table["clips"], height=0.84, color=style.PALE, label="clips")
    for number, (name, color) in enumerate(zip(methods, (style.BLUE, style.ORANGE), strict=False)):
        middle = rows + height * (number - (methods.shape[1] - 1) / 2)
        label = f"correct: {name} ({table[name].sum() / table['clips'].sum():.0%} of all)"
        ax.barh(middle, table[name], height=height, color=color, label=label)
    for row, (clips, correct) in enumerate(zip(table["clips"], methods.to_numpy(), strict=True)):
        counts = ", ".join(f"{count:.0f}" for count in correct)
        ax.text(clips, row, f"  {counts} of {clips:.0f}", va="center", fontsize=8)
    ax.set_title(f"{len(table)} subjects, {table['clips'].sum():,.0f} clips")
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(False, axis="y")
    style.legend_above(ax)
    return figure


@style.styled
def lucky_splits(
    table: pd.DataFrame, *, printed: pd.DataFrame | None = None, majority: float | None = None
) -> Figure:
    """Draw the validation accuracy of each random split: how much one split of many depends on luck.

    Columns activation, split (such as "80/20"), seed, accuracy. `printed` has no seed, and is only for
    results on the paper's own data; `majority` is the accuracy of the majority class.
    """
    splits, activations = (list(table[key].unique()) for key in ("split", "activation"))
    figure, (ax,) = style.panels(1, height=3.4)
    look = {"x": "split", "y": "accuracy", "hue": "activation", "order": splits, "hue_order": activations}
    look |= {"ax": ax, "palette": style.COLORS[: len(activations)]}
    sns.stripplot(table, dodge=True, jitter=False, size=6, alpha=0.6, clip_on=False, **look)
    mean = {"errorbar": None, "ls": "none", "marker": "_", "ms": 22, "mew": 2.6, "legend": False}
    sns.pointplot(table, dodge=0.8 - 0.8 / len(activations), **mean, **look)
    ax.plot([], [], "_", color=style.INK, ms=14, mew=2.6, label="mean")
    if majority is not None:
        ax.axhline(majority, **style.MAJORITY, label=f"majority class {majority:.2f}")
    if printed is not None:
        diamond = {"marker": "D", "linewidth": 1.3, "edgecolor": style.INK, "legend": False, "zorder": 4}
        look["palette"] = ["white"] * len(activations)
        sns.stripplot(printed, dodge=True, jitter=False, **diamond, **look)
        ax.plot([], [], **style.PRINTED, label="printed in the paper")
    ax.set(ylim=(0, 1), ylabel="validation accuracy", xlabel="training / validation, percent of the clips")
    ax.grid(False, axis="x")
    style.legend_above(ax, columns=5)
    return figure


@style.styled
def epoch_choice(table: pd.DataFrame, *, fixed: int, best: int) -> Figure:
    """Draw the pooled accuracy (columns epoch, accuracy) on held-out clips, and two ways to choose an epoch.

    `fixed` was set beforehand; `best` is the best one on the very clips that are reported.
    """
    accuracy = table.set_index("epoch")["accuracy"]
    figure, (ax,) = style.panels(1, height=3.2)
    ax.plot(accuracy, color=style.GREY, label="held-out clips, folds pooled")
    names = {"set beforehand": fixed, "best on these clips (leak)": best}
    _chosen(ax, accuracy, {f"{name}: epoch {n}, {accuracy[n]:.3f}": n for name, n in names.items()})
    ax.set_ylabel("accuracy")
    style.epoch_axis(ax)
    style.legend_above(ax)
    return figure


@style.styled
def validation_arms(curves: pd.DataFrame, *, printed: pd.DataFrame) -> Figure:
    """Draw validation accuracy for several ways to choose the images, and the share that has trained.

    Columns arm, seed, epoch, accuracy, seen; of `printed` epoch, accuracy. One thin line per seed, one colour
    per arm.
    """
    figure, (left, right) = style.panels(2, columns=2, row_height=3.6, width_ratios=(3, 2))
    seeds = curves.groupby("arm")["seed"].transform("nunique")
    named = curves["arm"] + " (" + seeds.astype(str) + " seed" + np.where(seeds > 1, "s)", ")")
    look = {"x": "epoch", "hue": named, "style": named, "palette": style.COLORS, "errorbar": None}
    sns.lineplot(curves, y="accuracy", units="seed", estimator=None, lw=1.3, alpha=0.85, ax=left, **look)
    sns.lineplot(curves, y="seen", ax=right, clip_on=False, legend=False, **look)
    left.plot(printed["epoch"], printed["accuracy"], **style.PRINTED, label="printed in bamb2023")
    handles, labels = left.get_legend_handles_labels()
    left.get_legend().remove()
    left.set(title="Validation accuracy", ylabel="")
    right.set(title="Validation images also used in training", ylabel="")
    for ax in (left, right):
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        style.epoch_axis(ax)
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    return figure


@style.styled
def chosen_epochs(curves: pd.DataFrame) -> Figure:
    """Draw accuracy over the epochs and each seed's best one: columns seed, epoch, validation, test."""
    seeds = curves["seed"].nunique()
    figure, axes = style.panels(seeds, columns=min(3, seeds), row_height=3.3, sharey=True)
    for ax, (seed, rows) in zip(axes, curves.groupby("seed", sort=False), strict=True):
        line = rows.set_index("epoch")[["validation", "test"]]
        line.plot(ax=ax, color=[style.GREY, style.BLUE], legend=False)
        honest, lucky = line.idxmax()
        _chosen(ax, line["test"], {"best on validation": honest, "best on test (leak)": lucky})
        difference = 100 * (line["test"][lucky] - line["test"][honest])
        ax.set_title(f"seed {seed}: {difference:+.2f} points")
        style.epoch_axis(ax)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


def _chosen(ax: Axes, accuracy: pd.Series, epochs: Mapping[str, int]) -> None:
    """Mark an honestly chosen epoch and a leaky one, by label; the first larger, so that both are visible."""
    looks = ({"marker": "o", "color": style.GREEN, "ms": 11}, {"marker": "X", "color": style.RED, "ms": 7})
    for (label, epoch), look in zip(epochs.items(), looks, strict=True):
        ax.axvline(epoch, color=look["color"], ls=":", zorder=1)
        ax.plot(epoch, accuracy[epoch], ls="none", zorder=3, label=label, **look)
