"""Figures of how a study was measured: who was held out, which split, which epoch, and what leaks."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fer_utils.plots.style import (
    BLUE,
    COLORS,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PRINTED,
    RED,
    check_columns,
    legend_above,
    panels,
    styled,
)


@styled
def by_subject(table: pd.DataFrame) -> Figure:
    """Draw how many clips of each held-out subject there are, and how many each of two methods got right.

    Parameters
    ----------
    table : DataFrame
        Index: the subjects. Column `clips`, and one more for each method, under its name.

    Raises
    ------
    ValueError
        When there is no subject or no method, more methods than two, or more right than there are clips.
    """
    check_columns(table, ("clips",))
    methods = [name for name in table.columns if name != "clips"]
    if not 1 <= len(methods) <= 2:
        raise ValueError(f"one or two methods can be drawn beside each other, got {methods}")
    if (table[methods].gt(table["clips"], axis=0)).any(axis=None):
        raise ValueError("a method has more clips right than the subject has clips")
    table = table.sort_values("clips", ascending=False, kind="stable")
    y = np.arange(len(table))
    figure, (ax,) = panels(1, height=0.9 + 0.3 * len(table))
    ax.barh(y, table["clips"], height=0.84, color="#e3e3e3", label="clips")
    height = 0.62 / len(methods)
    for number, (name, color) in enumerate(zip(methods, (BLUE, ORANGE), strict=False)):
        middle = y + height * (number - (len(methods) - 1) / 2)
        share = table[name].sum() / table["clips"].sum()
        ax.barh(middle, table[name], height=height, color=color, label=f"right: {name} ({share:.0%} of all)")
    for position, row in zip(y, table.to_dict("records"), strict=True):
        right = ", ".join(f"{row[name]:.0f}" for name in methods)
        ax.text(row["clips"], position, f"  {right} of {row['clips']:.0f}", va="center", fontsize=8)
    ax.set_yticks(y, [str(subject) for subject in table.index])
    ax.set(ylim=(len(table) - 0.4, -0.6), xlabel="clips")
    ax.set_title(f"{len(table)} subjects, {table['clips'].sum():,.0f} clips")
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(False, axis="y")
    legend_above(ax)
    return figure


@styled
def lucky_splits(
    table: pd.DataFrame, *, printed: pd.DataFrame | None = None, majority: float | None = None
) -> Figure:
    """Draw the validation accuracy of each seed: what one split of many happens to give.

    Parameters
    ----------
    table : DataFrame
        Columns activation, split (such as "80/20"), seed, accuracy. Splits stand in their first order.
    printed : DataFrame, optional
        Columns activation, split, accuracy. Only for results on the data that the paper used.
    majority : float, optional
        Accuracy of always saying the commonest class.

    Raises
    ------
    ValueError
        When a column is missing, there are no rows, or something printed has no place.
    """
    check_columns(table, ("activation", "split", "seed", "accuracy"))
    splits, activations = (list(dict.fromkeys(table[key])) for key in ("split", "activation"))
    places = {
        (activation, split): x + 0.34 * (number - (len(activations) - 1) / 2)
        for x, split in enumerate(splits)
        for number, activation in enumerate(activations)
    }
    figure, (ax,) = panels(1, height=3.4)
    for activation, color, marker in zip(activations, COLORS, "osv^D", strict=False):
        arm = table[table["activation"] == activation].sort_values("seed", kind="stable")
        for number, (split, values) in enumerate(arm.groupby("split", sort=False)["accuracy"]):
            x, label = places[activation, split], f"{activation}, one seed" if not number else None
            aside = np.linspace(-0.09, 0.09, len(values)) if len(values) > 1 else 0.0
            ax.plot(
                x + aside,
                values,
                marker,
                color=color,
                ms=5,
                alpha=0.75,
                mew=0,
                label=label,
                zorder=3,
                clip_on=False,
            )
            ax.hlines(values.mean(), x - 0.14, x + 0.14, color=color, lw=2.6, zorder=2)
    ax.plot([], [], "_", color=INK, ms=14, mew=2.6, label="mean")
    if majority is not None:
        ax.axhline(majority, color="#6b6b6b", ls="--", lw=1.2, label=f"majority class {majority:.2f}")
    if printed is not None:
        _printed(ax, printed, places)
    ax.set_xticks(range(len(splits)), splits)
    ax.set(xlim=(-0.5, len(splits) - 0.5), ylim=(0, 1), ylabel="validation accuracy")
    ax.set_xlabel("training / validation, percent of the clips")
    ax.grid(False, axis="x")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0.2, columnspacing=1.2)
    return figure


@styled
def protocols(table: pd.DataFrame, *, majority: float, chance: float) -> Figure:
    """Draw one measure under several protocols, row by row, those that leak set apart by colour and sign.

    Parameters
    ----------
    table : DataFrame
        Columns label, value, low, high, n, leak. `leak` is False, True, or says in words what leaks.
    majority, chance : float
        The same measure for always saying the commonest class, and for guessing.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(table, ("label", "value", "low", "high", "n", "leak"))
    leaky = table["leak"].astype(bool).to_numpy()
    figure, (ax,) = panels(1, height=1.1 + 0.42 * len(table))
    ax.axvline(chance, color=GREY, ls=":", lw=1.4, label=f"chance {chance:.2f}")
    ax.axvline(majority, color="#6b6b6b", ls="--", lw=1.2, label=f"majority class {majority:.2f}")
    for these, color, marker, name in ((~leaky, BLUE, "o", "honest"), (leaky, RED, "X", "leak")):
        y, part = np.flatnonzero(these), table[these]
        ax.hlines(y, part["low"], part["high"], color=color, lw=2.2, zorder=2)
        if len(y):
            ax.plot(part["value"], y, marker, color=color, ms=7, zorder=3, label=name, clip_on=False)
    for y, row in enumerate(table.to_dict("records")):
        what = f": {row['leak']}" if isinstance(row["leak"], str) else ""
        note = f"{row['value']:.2f}, n = {row['n']:,.0f}" + (f"\nleak{what}" if leaky[y] else "")
        ax.text(1.015, y, note, va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.set_yticks(range(len(table)), table["label"])
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5), xlabel="dot or cross and 95 % interval")
    ax.spines["left"].set_visible(False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2, columnspacing=1.2)
    return figure


@styled
def epoch_choice(table: pd.DataFrame, *, fixed: int, best: int) -> Figure:
    """Draw the accuracy on held-out clips over the epochs, and two ways to choose one.

    Parameters
    ----------
    table : DataFrame
        Columns epoch, accuracy: all folds pooled.
    fixed : int
        The epoch that was set beforehand.
    best : int
        The one with the best accuracy on the very clips it is reported on.

    Raises
    ------
    ValueError
        When a column is missing, or one of the two is no epoch of the table.
    """
    check_columns(table, ("epoch", "accuracy"))
    accuracy = dict(zip(table["epoch"], table["accuracy"], strict=True))
    for name, epoch in (("fixed", fixed), ("best", best)):
        if epoch not in accuracy:
            raise ValueError(f"{name}={epoch} is not among the epochs of the table")
    figure, (ax,) = panels(1, height=3.2)
    ax.plot(table["epoch"], table["accuracy"], color=GREY, label="held-out clips, folds pooled")
    for epoch, color, marker, size, name in (
        (fixed, GREEN, "o", 12, "set beforehand"),  # larger, so that both show where they agree
        (best, RED, "X", 7, "best on these clips (leak)"),
    ):
        ax.axvline(epoch, color=color, ls=":", zorder=1)
        label = f"{name}: epoch {epoch}, {accuracy[epoch]:.3f}"
        ax.plot(epoch, accuracy[epoch], marker, color=color, ms=size, zorder=3, ls="none", label=label)
    ax.set(xlabel="epoch", ylabel="accuracy")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_above(ax)
    return figure


def _printed(ax: Axes, printed: pd.DataFrame, places: dict[tuple[str, str], float]) -> None:
    check_columns(printed, ("activation", "split", "accuracy"))
    pairs = list(zip(printed["activation"], printed["split"], strict=True))
    if strange := [pair for pair in pairs if pair not in places]:
        raise ValueError(f"printed {strange[0]} is not among what was measured: {list(places)}")
    ax.plot([places[pair] for pair in pairs], printed["accuracy"], **PRINTED, label="printed in the paper")
