"""Figures that compare runs, protocols and published values."""

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.plots import style

_VERDICTS = {
    "consistent": (style.BLUE, ""),
    "inconsistent": (style.RED, "//"),
    "not_checkable": (style.GREY, ".."),
}


@style.styled
def paper_vs_measured(rows: pd.DataFrame) -> Figure:
    """Draw printed values (hollow diamonds) beside measured ones (dots with 95 % intervals).

    Columns label, printed, measured, low, high, n. A missing measured value is drawn as "not run".
    """
    numbers = rows[["printed", "measured", "low", "high"]].apply(pd.to_numeric)
    figure, ax = style.labelled_rows(rows["label"], row_height=0.24)
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
def protocols(table: pd.DataFrame, *, majority: float, chance: float) -> Figure:
    """Draw one measure under several protocols, beside its value for the majority class and for chance.

    Columns label, value, low, high, n, leak. `leak` is False, True, or names what leaks.
    """
    figure, ax = style.labelled_rows(table["label"], row_height=0.42, xlabel="value and 95 % interval")
    ax.axvline(chance, color=style.GREY, ls=":", lw=1.4, label=f"chance {chance:.2f}")
    ax.axvline(majority, **style.MAJORITY, label=f"majority class {majority:.2f}")
    _honest_and_leaky(ax, table, table["leak"].astype(bool), names=("honest", "leak"))
    for row, values in enumerate(table.to_dict("records")):
        what = f": {values['leak']}" if isinstance(values["leak"], str) else ""
        leak = f"\nleak{what}" if values["leak"] else ""
        style.note_right(ax, row, f"{values['value']:.2f}, n = {values['n']:,.0f}{leak}")
    ax.set_xlim(0, 1)
    style.legend_above(ax)
    return figure


@style.styled
def arms(table: pd.DataFrame) -> Figure:
    """Draw an accuracy measured in several ways: mean and interval, and a small circle for each seed.

    Columns label, value, low, high, n, leak ("none" or its name), seeds (the values of each).
    """
    figure, ax = style.labelled_rows(table["label"], row_height=0.5, xlabel="accuracy and 95 % interval")
    _honest_and_leaky(ax, table, table["leak"] != "none", names=("honest, mean", "leak, mean"))
    circle = {"marker": "o", "mfc": "white", "ms": 4, "ls": "none"}
    for row, values in enumerate(table.to_dict("records")):
        seeds, leaky = values["seeds"], values["leak"] != "none"
        ax.plot(seeds, [row + 0.27] * len(seeds), mec=style.RED if leaky else style.BLUE, **circle)
        leak = f"\nleak: {textwrap.fill(values['leak'], 34)}" if leaky else ""
        style.note_right(ax, row, f"{100 * values['value']:.1f} %, n = {values['n']:,}{leak}")
    ax.plot([], [], mec=style.INK, label="one seed", **circle)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.margins(x=0.08)
    style.legend_above(ax)
    return figure


@style.styled
def effect_sizes(table: pd.DataFrame) -> Figure:
    """Draw honest and leaky accuracies as the ends of a line, one row each, with the difference as text.

    Index: the leak. Columns honest, leaky, low, high (95 % interval of the difference) and data; rows whose
    data begins with "synthetic" are hollow.
    """
    rows, synthetic = np.arange(len(table)), table["data"].str.startswith("synthetic").to_numpy()
    figure, ax = style.labelled_rows(table.index, row_height=0.45, xlabel="accuracy")
    ax.hlines(rows, table["honest"], table["leaky"], color="#c4c4c4", lw=3, zorder=1)
    ends = (("honest", style.BLUE, "o", "honest"), ("leaky", style.RED, "X", "with the leak"))
    for name, color, marker, label in ends:
        for these, fill, suffix in ((~synthetic, color, ""), (synthetic, "white", ", synthetic faces")):
            if these.any():
                look = {"ms": 8, "mec": color, "mfc": fill, "mew": 1.4, "ls": "none", "clip_on": False}
                ax.plot(table[name][these], rows[these], marker, label=label + suffix, zorder=3, **look)
    for row, values in enumerate(table.itertuples()):
        interval = f"[{100 * values.low:+.1f}, {100 * values.high:+.1f}]"
        style.note_right(ax, row, f"{100 * (values.leaky - values.honest):+.1f} points\n{interval}")
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    style.legend_above(ax, columns=2)
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
def verdicts(counts: pd.DataFrame) -> Figure:
    """Draw the verdicts on each paper's claims: the table of `audit.counts_table`."""
    counts = counts[list(_VERDICTS)]
    figure, ax = style.labelled_rows(counts.index, row_height=0.42)
    counts.plot.barh(ax=ax, stacked=True, width=0.62, ec="white", legend=False)
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none"}
    for bars, (name, (color, hatch)) in zip(ax.containers, _VERDICTS.items(), strict=True):
        for bar in bars:
            bar.set(facecolor=color, hatch=hatch)
        texts = [str(count) if count else "" for count in counts[name]]
        for text in ax.bar_label(bars, texts, label_type="center", fontsize=8):
            text.set_bbox(box if text.get_text() else None)
        bars.set_label(name.replace("_", " "))
    ax.set(ylim=(len(counts) - 0.5, -0.5), xlabel="printed claims", ylabel="")
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

    def place(activation: str, split: str) -> float:
        return splits.index(split) + 0.34 * (activations.index(activation) - (len(activations) - 1) / 2)

    for activation, color, marker in zip(activations, style.COLORS, "osv^D", strict=False):
        arm = table[table["activation"] == activation].sort_values("seed", kind="stable")
        look = {"color": color, "marker": marker, "ms": 5, "alpha": 0.75, "mew": 0, "ls": "none"}
        for split, values in arm.groupby("split", sort=False)["accuracy"]:
            x = place(activation, split)
            aside = np.linspace(-0.09, 0.09, len(values)) if len(values) > 1 else 0.0
            ax.plot(x + aside, values, zorder=3, clip_on=False, **look)
            ax.hlines(values.mean(), x - 0.14, x + 0.14, color=color, lw=2.6, zorder=2)
        ax.plot([], [], label=f"{activation}, one seed", **look)
    ax.plot([], [], "_", color=style.INK, ms=14, mew=2.6, label="mean")
    if majority is not None:
        ax.axhline(majority, **style.MAJORITY, label=f"majority class {majority:.2f}")
    if printed is not None:
        x = [place(*pair) for pair in zip(printed["activation"], printed["split"], strict=True)]
        ax.plot(x, printed["accuracy"], **style.PRINTED, label="printed in the paper")
    ax.set_xticks(range(len(splits)), splits)
    ax.set(xlim=(-0.5, len(splits) - 0.5), ylim=(0, 1), ylabel="validation accuracy")
    ax.set_xlabel("training / validation, percent of the clips")
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
def validation_arms(curves: pd.DataFrame, *, printed: pd.DataFrame | None = None) -> Figure:
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
    if printed is not None:
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


def _honest_and_leaky(ax: Axes, table: pd.DataFrame, leaky: pd.Series, *, names: tuple[str, str]) -> None:
    for these, color, marker, name in (
        (~leaky.to_numpy(), style.BLUE, "o", names[0]),
        (leaky.to_numpy(), style.RED, "X", names[1]),
    ):
        rows = np.flatnonzero(these)
        style.intervals(ax, rows, table[these], "value", color=color, marker=marker, label=name)
