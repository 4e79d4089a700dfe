"""Figures of what a way of measuring adds to an accuracy."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.plots.style import (
    BLUE,
    COLORS,
    GREY,
    INK,
    PRINTED,
    RED,
    check_columns,
    legend_above,
    panels,
    styled,
)


@styled
def effect_sizes(table: pd.DataFrame) -> Figure:
    """Draw honest and leaky accuracies as the ends of a line, one row each, with what is added as text.

    Parameters
    ----------
    table : DataFrame
        Index: what is done. Columns honest, leaky (fractions), low, high (95 % interval of what is added) and
        data; rows of data that begins with "synthetic" are drawn hollow.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(table, ("honest", "leaky", "low", "high", "data"))
    y, drawn = np.arange(len(table)), table["data"].str.startswith("synthetic").to_numpy()
    figure, (ax,) = panels(1, height=1.1 + 0.45 * len(table))
    ax.hlines(y, table["honest"], table["leaky"], color="#c4c4c4", lw=3, zorder=1)
    for name, color, marker, label in (
        ("honest", BLUE, "o", "measured honestly"),
        ("leaky", RED, "X", "looks like"),
    ):
        for these, face, of in ((~drawn, color, ""), (drawn, "white", ", drawn faces")):
            if these.any():
                style = {"ms": 8, "mec": color, "mfc": face, "mew": 1.4, "ls": "none", "clip_on": False}
                ax.plot(table[name][these], y[these], marker, label=label + of, zorder=3, **style)
    for at, row in zip(y, table.to_dict("records"), strict=True):
        low, high, added = (100 * value for value in (row["low"], row["high"], row["leaky"] - row["honest"]))
        note = f"{added:+.1f} points\n[{low:+.1f}, {high:+.1f}]"
        ax.text(1.02, at, note, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.set_yticks(y, list(table.index))
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5), xlabel="accuracy")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.spines["left"].set_visible(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, columnspacing=1.2)
    return figure


@styled
def arms(table: pd.DataFrame) -> Figure:
    """Draw an accuracy measured in several ways: mean and interval, and a small circle for each seed.

    Parameters
    ----------
    table : DataFrame
        Columns label, value, low, high, n, leak ("none" or its name), seeds (the values of each).

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(table, ("label", "value", "low", "high", "n", "leak", "seeds"))
    honest = (table["leak"] == "none").to_numpy()
    figure, (ax,) = panels(1, height=1.2 + 0.5 * len(table))
    for these, color, marker, name in ((honest, BLUE, "o", "honest"), (~honest, RED, "X", "leak")):
        y, part = np.flatnonzero(these), table[these]
        ax.hlines(y, part["low"], part["high"], color=color, lw=2.2, zorder=2)
        if len(y):
            ax.plot(part["value"], y, marker, color=color, ms=8, zorder=3, label=f"{name}, mean")
        for at, values in zip(y, part["seeds"], strict=True):
            ax.plot(values, np.full(len(values), at + 0.27), "o", mfc="white", mec=color, ms=4)
    ax.plot([], [], "o", mfc="white", mec=INK, ms=4, label="one seed")
    for at, row in enumerate(table.to_dict("records")):
        leak = "" if row["leak"] == "none" else f"\nleak: {textwrap.fill(row['leak'], 34)}"
        note = f"{100 * row['value']:.1f} %, n = {row['n']:,}{leak}"
        ax.text(1.02, at, note, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.set_yticks(range(len(table)), table["label"])
    ax.set(ylim=(len(table) - 0.4, -0.5), xlabel="accuracy and its 95 % interval")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.margins(x=0.08)
    legend_above(ax)
    return figure


@styled
def validation_arms(curves: pd.DataFrame, *, printed: pd.DataFrame | None = None) -> Figure:
    """Draw validation accuracy over the epochs for each way to get validation images, and what it has seen.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, seed, epoch, accuracy, seen. One thin line a seed, one colour an arm.
    printed : DataFrame, optional
        Columns epoch, accuracy.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(curves, ("arm", "seed", "epoch", "accuracy", "seen"))
    figure, (left, right) = panels(2, columns=2, row_height=3.6, width_ratios=(3, 2))
    arms = list(dict.fromkeys(curves["arm"]))
    for arm, color, dashes in zip(arms, COLORS, ("-", "--", "-.", ":"), strict=False):
        of_arm = curves[curves["arm"] == arm]
        seeds = of_arm["seed"].nunique()
        for number, (_, line) in enumerate(of_arm.groupby("seed", sort=False)):
            label = f"{arm} ({seeds} seed{'s' if seeds > 1 else ''})" if not number else None
            look = {"color": color, "ls": dashes, "lw": 1.3, "alpha": 0.85}
            left.plot(line["epoch"], line["accuracy"], label=label, **look)
        seen = of_arm.groupby("epoch")["seen"].mean()
        right.plot(seen.index, seen, color=color, ls=dashes, clip_on=False)
    if printed is not None:
        left.plot(printed["epoch"], printed["accuracy"], **PRINTED, label="printed in bamb2023")
    left.set(ylim=(0, 1), xlabel="epoch", title="validation accuracy")
    right.set(ylim=(0, 1), xlabel="epoch", title="validation images that have trained")
    for ax in (left, right):
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@styled
def chosen_epochs(curves: pd.DataFrame) -> Figure:
    """Draw validation and test accuracy over the epochs, one panel a seed, and the epoch each would choose.

    Parameters
    ----------
    curves : DataFrame
        Columns seed, epoch, validation, test.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(curves, ("seed", "epoch", "validation", "test"))
    seeds = list(dict.fromkeys(curves["seed"]))
    figure, axes = panels(len(seeds), columns=min(3, len(seeds)), row_height=3.3, sharey=True)
    for ax, seed in zip(axes, seeds, strict=True):
        line = curves[curves["seed"] == seed].set_index("epoch")
        ax.plot(line.index, line["validation"], color=GREY, label="validation")
        ax.plot(line.index, line["test"], color=BLUE, label="test")
        honest, lucky = line["validation"].idxmax(), line["test"].idxmax()
        for epoch, color, marker, size, label in (
            (honest, INK, "o", 9, "best on validation"),
            (lucky, RED, "X", 7, "best on test (leak)"),
        ):
            style = {"color": color, "ms": size, "ls": "none", "zorder": 3}
            ax.plot(epoch, line["test"][epoch], marker, label=label, **style)
        added = 100 * (line["test"][lucky] - line["test"][honest])
        ax.set(xlabel="epoch", title=f"seed {seed}: {added:+.2f} points")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


@styled
def printed_luck(differences: pd.DataFrame, *, two_runs: float) -> Figure:
    """Draw printed differences beside what chance alone allows.

    Parameters
    ----------
    differences : DataFrame
        Columns paper, about, difference, chance (fractions; NaN where it is not known), n.
    two_runs : float
        How far two runs of one setting are apart at most, in 95 % of cases.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(differences, ("paper", "about", "difference", "chance", "n"))
    y = np.arange(len(differences))
    figure, (ax,) = panels(1, height=1.2 + 0.4 * len(differences))
    chance = 100 * differences["chance"].fillna(0)
    ax.barh(y, chance, height=0.6, color="#dcdcdc", label="two equal classifiers, this many samples")
    ax.axvspan(0, 100 * two_runs, color=BLUE, alpha=0.25, lw=0, label="two seeds of one setting, FER-2013")
    ax.plot(100 * differences["difference"].abs(), y, **PRINTED, label="printed difference")
    for at, row in zip(y, differences.to_dict("records"), strict=True):
        note = "n is not printed" if np.isnan(row["n"]) else f"n = {row['n']:,.0f}"
        ax.text(1.015, at, note, va="center", fontsize=8.5, transform=ax.get_yaxis_transform())
    ax.set_yticks(y, differences["paper"] + ": " + differences["about"])
    ax.set(ylim=(len(differences) - 0.5, -0.5), xlabel="difference in accuracy, points")
    ax.set_xlim(left=0)
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure
