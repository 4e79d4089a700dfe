"""Figures that compare runs, protocols and published values."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.effects import Effect
from fer_utils.plots import style


@style.styled
def paper_vs_measured(rows: pd.DataFrame) -> Figure:
    """Draw printed values (hollow diamonds) beside measured ones (dots with 95 % intervals).

    Columns label, printed, measured, low, high, n. A missing measured value is drawn as "not run".
    """
    numbers = rows[["printed", "measured", "low", "high"]].apply(pd.to_numeric)
    notes = [f"n = {n:,.0f}" if pd.notna(n) else "" for n in rows["n"]]
    notes = np.where(numbers["measured"].isna(), "not run", notes)
    name = "accuracy, F1 or error (fraction)"
    figure, ax = style.labelled_rows(rows["label"], row_height=0.24, xlabel=name, notes=notes)
    look = {"label": "measured, 95 % confidence interval", "ms": 4}
    style.intervals(ax, range(len(rows)), numbers, "measured", **look)
    around = {**style.PRINTED, "ms": 8, "zorder": 1.9}  # where both are equal, the dot is inside the diamond
    ax.plot(numbers["printed"], range(len(rows)), **around, label="printed in the paper")
    if numbers.max(axis=None) <= 1:
        ax.set_xlim(np.floor(10 * numbers.min(axis=None)) / 10, 1)
    style.legend_above(ax)
    return figure


@style.styled
def arms(
    table: pd.DataFrame,
    *,
    majority: float | None = None,
    chance: float | None = None,
    metric: str = "accuracy",
) -> Figure:
    """Draw a metric measured in several ways: value and interval, and a small circle for each seed.

    Columns label, value, low, high, n, leak (its name, "none" or empty) and, optionally, seeds (the values of
    each). `majority` and `chance` are the accuracies of the majority class and of guessing.
    """
    leaky = ~table["leak"].isin(["none", ""]).to_numpy()
    notes = [
        f"{100 * row.value:.1f} %, n = {row.n:,}" + f"\nleak: {textwrap.fill(row.leak, 34)}" * leak
        for row, leak in zip(table.itertuples(), leaky.tolist(), strict=True)
    ]
    name = f"{metric} and 95 % interval"
    figure, ax = style.labelled_rows(table["label"], row_height=0.5, xlabel=name, notes=notes)
    if chance is not None:
        ax.axvline(chance, color=style.GREY, ls=":", lw=1.4, label=f"chance {chance:.2f}")
    if majority is not None:
        ax.axvline(majority, **style.MAJORITY, label=f"majority class {majority:.2f}")
    for these, color, marker, name in ((~leaky, style.BLUE, "o", "honest"), (leaky, style.RED, "X", "leak")):
        look = {"color": color, "marker": marker, "label": name}
        style.intervals(ax, np.flatnonzero(these), table[these], "value", **look)
    circle = {"marker": "o", "mfc": "white", "mec": style.INK, "ms": 4, "ls": "none"}
    for row, seeds in enumerate(table.get("seeds", [])):
        label = "one seed" if len(seeds) and row == 0 else None
        ax.plot(seeds, [row + 0.27] * len(seeds), label=label, **circle)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.margins(x=0.08)
    style.legend_above(ax)
    return figure


@style.styled
def effect_sizes(effects: Sequence[Effect]) -> Figure:
    """Draw honest and leaky accuracies as the ends of a line, the largest difference first and as text."""
    effects = sorted(effects, key=lambda effect: -effect.size)
    rows, labels = range(len(effects)), [f"{effect.trick}\n({effect.data})" for effect in effects]
    honest, leaky = [effect.honest.value for effect in effects], [effect.leaky.value for effect in effects]
    in_points = [tuple(100 * value for value in (effect.size, *effect.interval)) for effect in effects]
    notes = ["{:+.1f} points\n[{:+.1f}, {:+.1f}]".format(*values) for values in in_points]
    figure, ax = style.labelled_rows(labels, row_height=0.45, xlabel="accuracy", notes=notes)
    ax.hlines(rows, honest, leaky, color="#c4c4c4", lw=3, zorder=1)
    look = {"ms": 8, "ls": "none", "clip_on": False, "zorder": 3}
    ax.plot(honest, rows, "o", color=style.BLUE, label="honest", **look)
    ax.plot(leaky, rows, "X", color=style.RED, label="with the leak", **look)
    ax.set_xlim(0, 1.02)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    style.legend_above(ax)
    return figure


@style.styled
def printed_luck(differences: pd.DataFrame, *, two_runs: float) -> Figure:
    """Draw printed differences beside those that chance alone allows.

    Columns paper, about, difference, chance (fractions), n. Equal runs differ by less than `two_runs`.
    """
    labels = differences["paper"] + ": " + differences["about"]
    notes = [f"n = {n:,.0f}" if pd.notna(n) else "n is not printed" for n in differences["n"]]
    name = "difference in accuracy, points"
    figure, ax = style.labelled_rows(labels, row_height=0.4, xlabel=name, notes=notes)
    rows, chance = range(len(labels)), 100 * differences["chance"].fillna(0)
    ax.barh(rows, chance, height=0.6, color=style.PALE, label="two equal classifiers, this many samples")
    label = "two seeds of one setting, FER-2013"
    ax.axvspan(0, 100 * two_runs, color=style.BLUE, alpha=0.25, lw=0, label=label)
    ax.plot(100 * differences["difference"].abs(), rows, **style.PRINTED, label="printed difference")
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

    Columns activation, split, seed, accuracy; `printed`, for results on the paper's own data, has no seed.
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
def validation_arms(curves: pd.DataFrame, *, printed: pd.DataFrame) -> Figure:
    """Draw validation accuracy for several ways to choose the images, and the share that has trained.

    Columns arm, seed, epoch, accuracy, seen; of `printed` epoch, accuracy. One line per seed.
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
def chosen_epochs(curves: pd.DataFrame, *, reported: str = "test", fixed: int | None = None) -> Figure:
    """Draw accuracy over the epochs: the epoch chosen honestly, and the best one on the reported samples.

    Columns seed, epoch, accuracies, one `reported`. The honest epoch is `fixed`, or best on validation.
    """
    seeds = curves["seed"].nunique()
    figure, axes = style.panels(seeds, columns=min(3, seeds), row_height=3.3, sharey=True)
    for ax, (seed, rows) in zip(axes, curves.groupby("seed", sort=False), strict=True):
        lines = rows.drop(columns="seed").set_index("epoch")
        lines.plot(ax=ax, color=[style.GREY, style.BLUE][-lines.shape[1] :], legend=False)
        accuracy, honest = lines[reported], fixed or lines["validation"].idxmax()
        lucky = accuracy.idxmax()
        # The honest one is larger, so that both are visible.
        for epoch, name, marker, size, color in (
            (honest, "set beforehand" if fixed else "best on validation", "o", 11, style.GREEN),
            (lucky, f"best on {reported} (leak)", "X", 7, style.RED),
        ):
            ax.axvline(epoch, color=color, ls=":", zorder=1)
            ax.plot(epoch, accuracy[epoch], marker, color=color, ms=size, ls="none", label=name)
        ax.set_title(f"seed {seed}: {100 * (accuracy[lucky] - accuracy[honest]):+.2f} points")
        style.epoch_axis(ax)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure
