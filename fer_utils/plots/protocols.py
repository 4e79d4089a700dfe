"""Figures that compare runs, protocols and published values."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.plots.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PRINTED,
    RED,
    intervals,
    legend_above,
    note_right,
    one_row_each,
    panels,
    styled,
)

_LEGEND = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "columnspacing": 1.2}


@styled
def paper_vs_measured(rows: pd.DataFrame) -> Figure:
    """Draw printed values (hollow diamonds) beside measured ones (dots with 95 % intervals).

    Parameters
    ----------
    rows : DataFrame
        Columns label, printed, measured, low, high, n. A missing measured value is drawn as "not run".
    """
    numbers = rows[["printed", "measured", "low", "high"]].apply(pd.to_numeric)
    figure, (ax,) = panels(1, height=0.9 + 0.34 * len(rows))
    values = (numbers["measured"], numbers["low"], numbers["high"])
    intervals(ax, range(len(rows)), *values, label="measured, 95 % interval")
    around = {**PRINTED, "ms": 8, "zorder": 1.9}  # where both are equal, the dot is inside the diamond
    ax.plot(numbers["printed"], np.arange(len(rows)), **around, label="printed in the paper")
    for row, (measured, n) in enumerate(zip(numbers["measured"], rows["n"], strict=True)):
        note_right(ax, row, "not run" if np.isnan(measured) else f"n = {n:,.0f}" if pd.notna(n) else "")
    if numbers.max(axis=None) <= 1:
        ax.set_xlim(0, 1)
    one_row_each(ax, rows["label"])
    ax.legend(ncols=2, **_LEGEND)
    return figure


@styled
def protocols(table: pd.DataFrame, *, majority: float, chance: float) -> Figure:
    """Draw one measure under several protocols; those with a leak have their own colour and marker.

    Parameters
    ----------
    table : DataFrame
        Columns label, value, low, high, n, leak. `leak` is False, True, or names what leaks.
    majority, chance : float
        The same measure for the majority class and for random guessing.
    """
    figure, (ax,) = panels(1, height=1.1 + 0.42 * len(table))
    ax.axvline(chance, color=GREY, ls=":", lw=1.4, label=f"chance {chance:.2f}")
    ax.axvline(majority, color="#6b6b6b", ls="--", lw=1.2, label=f"majority class {majority:.2f}")
    _honest_and_leaky(ax, table, table["leak"].astype(bool).to_numpy(), names=("honest", "leak"))
    for row, values in enumerate(table.to_dict("records")):
        what = f": {values['leak']}" if isinstance(values["leak"], str) else ""
        leak = f"\nleak{what}" if values["leak"] else ""
        note_right(ax, row, f"{values['value']:.2f}, n = {values['n']:,.0f}{leak}")
    one_row_each(ax, table["label"])
    ax.set(xlim=(0, 1), xlabel="value and 95 % interval")
    ax.legend(ncols=4, **_LEGEND)
    return figure


@styled
def arms(table: pd.DataFrame) -> Figure:
    """Draw an accuracy measured in several ways: mean and interval, and a small circle for each seed.

    Parameters
    ----------
    table : DataFrame
        Columns label, value, low, high, n, leak ("none" or its name), seeds (the values of each).
    """
    leaky = (table["leak"] != "none").to_numpy()
    figure, (ax,) = panels(1, height=1.2 + 0.5 * len(table))
    _honest_and_leaky(ax, table, leaky, names=("honest, mean", "leak, mean"))
    for row, values in enumerate(table.to_dict("records")):
        seeds = values["seeds"]
        color = RED if leaky[row] else BLUE
        ax.plot(seeds, np.full(len(seeds), row + 0.27), "o", mfc="white", mec=color, ms=4)
        leak = f"\nleak: {textwrap.fill(values['leak'], 34)}" if leaky[row] else ""
        note_right(ax, row, f"{100 * values['value']:.1f} %, n = {values['n']:,}{leak}")
    ax.plot([], [], "o", mfc="white", mec=INK, ms=4, label="one seed")
    one_row_each(ax, table["label"])
    ax.set(ylim=(len(table) - 0.4, -0.5), xlabel="accuracy and 95 % interval")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.margins(x=0.08)
    legend_above(ax)
    return figure


@styled
def effect_sizes(table: pd.DataFrame) -> Figure:
    """Draw honest and leaky accuracies as the ends of a line, one row each, with the difference as text.

    Parameters
    ----------
    table : DataFrame
        Index: the leak. Columns honest, leaky, low, high (95 % interval of the difference) and data; rows
        whose data begins with "synthetic" are hollow.
    """
    rows, synthetic = np.arange(len(table)), table["data"].str.startswith("synthetic").to_numpy()
    figure, (ax,) = panels(1, height=1.1 + 0.45 * len(table))
    ax.hlines(rows, table["honest"], table["leaky"], color="#c4c4c4", lw=3, zorder=1)
    ends = (("honest", BLUE, "o", "honest"), ("leaky", RED, "X", "with the leak"))
    for name, color, marker, label in ends:
        for these, fill, suffix in ((~synthetic, color, ""), (synthetic, "white", ", synthetic faces")):
            if these.any():
                look = {"ms": 8, "mec": color, "mfc": fill, "mew": 1.4, "ls": "none", "clip_on": False}
                ax.plot(table[name][these], rows[these], marker, label=label + suffix, zorder=3, **look)
    for row, values in enumerate(table.to_dict("records")):
        difference = 100 * (values["leaky"] - values["honest"])
        interval = f"[{100 * values['low']:+.1f}, {100 * values['high']:+.1f}]"
        note_right(ax, row, f"{difference:+.1f} points\n{interval}")
    one_row_each(ax, table.index)
    ax.set(xlim=(0, 1), xlabel="accuracy")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(ncols=2, **_LEGEND)
    return figure


@styled
def printed_luck(differences: pd.DataFrame, *, two_runs: float) -> Figure:
    """Draw printed differences beside those that chance alone allows.

    Parameters
    ----------
    differences : DataFrame
        Columns paper, about, difference, chance (fractions; NaN if unknown), n.
    two_runs : float
        Difference of two runs with equal settings that is not exceeded in 95 % of cases.
    """
    rows = np.arange(len(differences))
    figure, (ax,) = panels(1, height=1.2 + 0.4 * len(differences))
    chance = 100 * differences["chance"].fillna(0)
    ax.barh(rows, chance, height=0.6, color="#dcdcdc", label="two equal classifiers, this many samples")
    ax.axvspan(0, 100 * two_runs, color=BLUE, alpha=0.25, lw=0, label="two seeds of one setting, FER-2013")
    ax.plot(100 * differences["difference"].abs(), rows, **PRINTED, label="printed difference")
    for row, n in enumerate(differences["n"]):
        note_right(ax, row, "n is not printed" if np.isnan(n) else f"n = {n:,.0f}")
    one_row_each(ax, differences["paper"] + ": " + differences["about"])
    ax.set(xlabel="difference in accuracy, points")
    ax.set_xlim(left=0)
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure


@styled
def by_subject(table: pd.DataFrame) -> Figure:
    """Draw the number of clips of each held-out subject, and how many each method classified correctly.

    Parameters
    ----------
    table : DataFrame
        Index: the subjects. Column `clips`, and one for each of at most two methods.
    """
    methods = [name for name in table.columns if name != "clips"]
    table = table.sort_values("clips", ascending=False, kind="stable")
    rows, height = np.arange(len(table)), 0.62 / len(methods)
    figure, (ax,) = panels(1, height=0.9 + 0.3 * len(table))
    ax.barh(rows, table["clips"], height=0.84, color="#e3e3e3", label="clips")
    for number, (name, color) in enumerate(zip(methods, (BLUE, ORANGE), strict=False)):
        middle = rows + height * (number - (len(methods) - 1) / 2)
        share = table[name].sum() / table["clips"].sum()
        label = f"correct: {name} ({share:.0%} of all)"
        ax.barh(middle, table[name], height=height, color=color, label=label)
    for row, values in enumerate(table.to_dict("records")):
        correct = ", ".join(f"{values[name]:.0f}" for name in methods)
        ax.text(values["clips"], row, f"  {correct} of {values['clips']:.0f}", va="center", fontsize=8)
    one_row_each(ax, table.index.astype(str))
    ax.set(xlabel="clips", title=f"{len(table)} subjects, {table['clips'].sum():,.0f} clips")
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure


@styled
def lucky_splits(
    table: pd.DataFrame, *, printed: pd.DataFrame | None = None, majority: float | None = None
) -> Figure:
    """Draw the validation accuracy of each random split: how much one split of many depends on luck.

    Parameters
    ----------
    table : DataFrame
        Columns activation, split (such as "80/20"), seed, accuracy.
    printed : DataFrame, optional
        Columns activation, split, accuracy; only for results on the paper's own data.
    majority : float, optional
        Accuracy of the majority class.
    """
    splits, activations = (list(table[key].unique()) for key in ("split", "activation"))
    figure, (ax,) = panels(1, height=3.4)

    def place(activation: str, split: str) -> float:
        return splits.index(split) + 0.34 * (activations.index(activation) - (len(activations) - 1) / 2)

    for activation, color, marker in zip(activations, COLORS, "osv^D", strict=False):
        arm = table[table["activation"] == activation].sort_values("seed", kind="stable")
        look = {"color": color, "marker": marker, "ms": 5, "alpha": 0.75, "mew": 0, "ls": "none"}
        for split, values in arm.groupby("split", sort=False)["accuracy"]:
            x = place(activation, split)
            aside = np.linspace(-0.09, 0.09, len(values)) if len(values) > 1 else 0.0
            ax.plot(x + aside, values, zorder=3, clip_on=False, **look)
            ax.hlines(values.mean(), x - 0.14, x + 0.14, color=color, lw=2.6, zorder=2)
        ax.plot([], [], label=f"{activation}, one seed", **look)
    ax.plot([], [], "_", color=INK, ms=14, mew=2.6, label="mean")
    if majority is not None:
        ax.axhline(majority, color="#6b6b6b", ls="--", lw=1.2, label=f"majority class {majority:.2f}")
    if printed is not None:
        x = [place(*pair) for pair in zip(printed["activation"], printed["split"], strict=True)]
        ax.plot(x, printed["accuracy"], **PRINTED, label="printed in the paper")
    ax.set_xticks(range(len(splits)), splits)
    ax.set(xlim=(-0.5, len(splits) - 0.5), ylim=(0, 1), ylabel="validation accuracy")
    ax.set_xlabel("training / validation, percent of the clips")
    ax.grid(False, axis="x")
    ax.legend(ncols=5, **_LEGEND)
    return figure


@styled
def epoch_choice(table: pd.DataFrame, *, fixed: int, best: int) -> Figure:
    """Draw the accuracy on held-out clips over the epochs, and two ways to choose one.

    Parameters
    ----------
    table : DataFrame
        Columns epoch, accuracy: all folds pooled.
    fixed, best : int
        The epoch that was set beforehand, and the best one on the very clips that are reported.
    """
    accuracy = table.set_index("epoch")["accuracy"]
    figure, (ax,) = panels(1, height=3.2)
    ax.plot(accuracy, color=GREY, label="held-out clips, folds pooled")
    for epoch, color, marker, size, name in (
        (fixed, GREEN, "o", 12, "set beforehand"),  # larger, so that both are visible at one place
        (best, RED, "X", 7, "best on these clips (leak)"),
    ):
        ax.axvline(epoch, color=color, ls=":", zorder=1)
        label = f"{name}: epoch {epoch}, {accuracy[epoch]:.3f}"
        ax.plot(epoch, accuracy[epoch], marker, color=color, ms=size, zorder=3, ls="none", label=label)
    ax.set(xlabel="epoch", ylabel="accuracy")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(ax)
    return figure


@styled
def validation_arms(curves: pd.DataFrame, *, printed: pd.DataFrame | None = None) -> Figure:
    """Draw validation accuracy for several ways to choose the images, and the share that has trained.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, seed, epoch, accuracy, seen. One thin line per seed, one colour per arm.
    printed : DataFrame, optional
        Columns epoch, accuracy.
    """
    figure, (left, right) = panels(2, columns=2, row_height=3.6, width_ratios=(3, 2))
    looks = zip(curves.groupby("arm", sort=False), COLORS, ("-", "--", "-.", ":"), strict=False)
    for (arm, rows), color, dashes in looks:
        seeds = rows["seed"].nunique()
        label = f"{arm} ({seeds} seed{'s' if seeds > 1 else ''})"
        for number, (_, line) in enumerate(rows.groupby("seed", sort=False)):
            look = {"color": color, "ls": dashes, "lw": 1.3, "alpha": 0.85}
            left.plot(line["epoch"], line["accuracy"], label=None if number else label, **look)
        right.plot(rows.groupby("epoch")["seen"].mean(), color=color, ls=dashes, clip_on=False)
    if printed is not None:
        left.plot(printed["epoch"], printed["accuracy"], **PRINTED, label="printed in bamb2023")
    left.set(title="Validation accuracy")
    right.set(title="Validation images also used in training")
    for ax in (left, right):
        ax.set(ylim=(0, 1), xlabel="epoch")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
def chosen_epochs(curves: pd.DataFrame) -> Figure:
    """Draw validation and test accuracy over the epochs, one panel per seed, and each one's best epoch.

    Parameters
    ----------
    curves : DataFrame
        Columns seed, epoch, validation, test.
    """
    seeds = curves["seed"].unique()
    figure, axes = panels(len(seeds), columns=min(3, len(seeds)), row_height=3.3, sharey=True)
    for ax, (seed, rows) in zip(axes, curves.groupby("seed", sort=False), strict=True):
        line = rows.set_index("epoch")
        ax.plot(line["validation"], color=GREY, label="validation")
        ax.plot(line["test"], color=BLUE, label="test")
        honest, lucky = line["validation"].idxmax(), line["test"].idxmax()
        for epoch, color, marker, size, label in (
            (honest, INK, "o", 9, "best on validation"),
            (lucky, RED, "X", 7, "best on test (leak)"),
        ):
            look = {"color": color, "ms": size, "ls": "none", "zorder": 3}
            ax.plot(epoch, line["test"][epoch], marker, label=label, **look)
        difference = 100 * (line["test"][lucky] - line["test"][honest])
        ax.set(xlabel="epoch", title=f"seed {seed}: {difference:+.2f} points")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


def _honest_and_leaky(ax: Axes, table: pd.DataFrame, leaky: np.ndarray, *, names: tuple[str, str]) -> None:
    for these, color, marker, name in ((~leaky, BLUE, "o", names[0]), (leaky, RED, "X", names[1])):
        part = table[these]
        values = (part["value"], part["low"], part["high"])
        intervals(ax, np.flatnonzero(these), *values, color=color, marker=marker, label=name)
