"""Figures of a `CamStudy`: heat maps, and what the four checks found."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SKY,
    WIDTH,
    face,
    heading,
    intervals,
    legend_above,
    one_row_each,
    overlay,
    panels,
    source_name,
    styled,
)

if TYPE_CHECKING:
    from fer_utils.explain import CamStudy, GradCAM


@styled
def mean_maps(study: "CamStudy") -> Figure:
    """Draw the mean map of each class's images over their mean face, and the bands of the face.

    One scale for all classes: the maximum of all means is 1. Each map is divided by its own maximum, so a
    class is pale if its maps do not agree on a region. All-zero maps are left out of the mean.
    """
    faces, maps = study.faces, study.maps
    members = {label: faces.labels == label for label in np.unique(faces.labels)}
    used = {label: rows & maps.maps.any(axis=(1, 2)) for label, rows in members.items()}
    means = {label: maps.maps[rows].sum(axis=0) / max(1, rows.sum()) for label, rows in used.items()}
    highest = max(mean.max() for mean in means.values()) or 1.0
    figure, axes = panels(len(members) + 1, columns=4, row_height=2.25)
    face(axes[0], faces.images.mean(axis=0))
    axes[0].set_title(f"mean of all, n = {len(faces)}", loc="center")
    for ax, (label, mean) in zip(axes[1:], means.items(), strict=True):
        overlay(ax, faces.images[members[label]].mean(axis=0), mean / highest)
        n, of = int(used[label].sum()), int(members[label].sum())
        ax.set_title(f"{faces.class_names[label]}, n = {n}" + f" of {of}" * (n < of), loc="center")
    height = faces.images.shape[1]
    for ax in axes:
        for name, (top, bottom) in study.bands.items():
            for edge in (top, bottom):  # a pixel's centre is at a whole number
                ax.axhline(edge * height - 0.5, color="white", lw=0.7, ls=":")
            if ax is axes[0]:
                at = (top + bottom) / 2 * height - 0.5
                ax.text(0.5, at, name, color="white", va="center", fontsize=8)
    heading(
        figure, f"{maps.method}, mean over the images of each class, {_layer(maps)}: {source_name(faces)}"
    )
    return figure


@styled
def cam_examples(study: "CamStudy", *, per_class: int = 2) -> Figure:
    """Draw the first `per_class` images of each class, one class a row, each beside its maps.

    On synthetic faces the region of the expression is outlined in blue.
    """
    faces, cams = study.faces, list(study.cams.values())
    rows = [np.flatnonzero(faces.labels == label)[:per_class] for label in range(len(faces.class_names))]
    named = [(name, these) for name, these in zip(faces.class_names, rows, strict=True) if len(these)]
    columns = per_class * (1 + len(cams))
    width = 0.8 * WIDTH  # many coloured images: their bytes go into a stored notebook
    height = len(named) * ((width - 0.6) / columns + 0.04) + 0.6
    figure, axes = panels(columns * len(named), columns=columns, width=width, height=height)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    grid = np.array(axes, object).reshape(len(named), per_class, 1 + len(cams))
    for line, (name, these) in zip(grid, named, strict=True):
        line[0, 0].set_ylabel(name)
        for ax in line[len(these) :].ravel():
            ax.set_axis_off()
        for row, (left, *others) in zip(these, line, strict=False):
            face(left, faces.images[row])
            for ax, cam in zip(others, cams, strict=True):
                overlay(ax, faces.images[row], cam.maps[row])
            if study.masks is not None and study.masks[row].any():
                for ax in (left, *others):
                    ax.contour(study.masks[row], levels=[0.5], colors=SKY, linewidths=0.9)
    for ax, name in zip(grid[0].ravel(), ["image", *study.cams] * per_class, strict=True):
        ax.set_title(name, loc="center", fontsize=8.5, pad=3)
    outlined = "" if study.masks is None else "; blue: the expression's region"
    heading(figure, f"{_layer(cams[0])}: {source_name(faces)}{outlined}")
    return figure


@styled
def band_shares(table: pd.DataFrame) -> Figure:
    """Draw the density of each class's evidence in each band of the face; a uniform map has 1 everywhere.

    Parameters
    ----------
    table : DataFrame
        `CamStudy.band_shares`. Bands that the paper claims are orange.
    """
    classes = list(table["class"].unique())
    figure, axes = panels(len(classes), columns=4, row_height=1.95, sharex=True)
    dense = table.assign(**{name: table[name] / table["area"] for name in ("share", "low", "high")})
    for number, (ax, name) in enumerate(zip(axes, classes, strict=True)):
        bands = dense[dense["class"] == name].reset_index()
        ax.axvline(1, color="#6b6b6b", ls="--", lw=1.2)
        for claimed, color, marker in ((False, GREY, "o"), (True, ORANGE, "D")):
            rows = bands[bands["claimed"] == claimed]
            intervals(ax, rows.index, rows["share"], rows["low"], rows["high"], color=color, marker=marker)
        one_row_each(ax, bands["band"] if number % 4 == 0 else [""] * len(bands))
        ax.set_title(f"{name}, n = {bands['n'].iloc[0]}", loc="center")
        ax.grid(False, axis="y")
        ax.xaxis.set_tick_params(labelbottom=True)
    # One scale for all, set at the end: a limit on one side would stop the autoscaling of the other.
    axes[0].set_xlim(0, 1.05 * max(1.0, np.nanmax(dense[["share", "high"]])))
    heading(figure, "Share of the map / area of the band, 95 % intervals; orange: claimed by the paper")
    return figure


@styled
def perturbation_curves(table: pd.DataFrame) -> Figure:
    """Draw the mean probability as pixels are removed and inserted, by Grad-CAM and by random maps.

    Parameters
    ----------
    table : DataFrame
        `CamStudy.perturbation`.
    """
    axis = {"deletion": "removed (lower is better)", "insertion": "inserted (higher is better)"}
    figure, axes = panels(len(axis), columns=len(axis), height=3.2, sharey=True)
    for ax, (way, label) in zip(axes, axis.items(), strict=True):
        curves = table[table["way"] == way].groupby("maps", sort=False)
        for (name, curve), color in zip(curves, (BLUE, GREY), strict=False):
            ax.fill_between(curve["share"], curve["low"], curve["high"], color=color, alpha=0.22, lw=0)
            ax.plot(curve["share"], curve["probability"], color=color, label=name)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"share of the pixels {label}", title=way.capitalize())
        legend_above(ax)
    axes[0].set_ylabel("mean probability of the class, 95 % band")
    return figure


@styled
def randomised_similarity(table: pd.DataFrame) -> Figure:
    """Draw how similar the maps of ever more randomised networks are to those of the trained one.

    Parameters
    ----------
    table : DataFrame
        `CamStudy.randomisation`: the last row is chance.
    """
    measures = {"rank correlation": ("rank low", "rank high"), "ssim": ("ssim low", "ssim high")}
    figure, axes = panels(2, columns=2, height=1.1 + 0.3 * len(table), sharey=True)
    rows = np.arange(len(table))
    for ax, (name, (low, high)) in zip(axes, measures.items(), strict=True):
        ax.axvspan(table[low].iloc[-1], table[high].iloc[-1], color=GREY, alpha=0.25, lw=0)
        for part, color in ((slice(0, -1), BLUE), (slice(-1, None), INK)):
            values = table.iloc[part]
            intervals(ax, rows[part], values[name], values[low], values[high], color=color)
        ax.axvline(1, color=GREEN, ls=":")
        one_row_each(ax, [f"{name} (n = {n})" for name, n in zip(table.index, table["n"], strict=True)])
        ax.set(xlim=(min(-0.2, table[low].min()), 1.03))
        ax.set_title("SSIM" if name == "ssim" else name.capitalize())
    heading(figure, "Similarity of randomised networks' maps to the trained one's; 1: equal, grey: chance")
    return figure


def _layer(maps: "GradCAM") -> str:
    return "{} × {}".format(*maps.native_size) + f" maps of {maps.layer}"
