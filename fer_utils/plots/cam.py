"""Figures of a `CamStudy`: heat maps, and what the four checks found."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.explain import CamStudy, GradCAM
from fer_utils.plots import style


@style.styled
def mean_maps(study: CamStudy) -> Figure:
    """Draw the mean map of each class's images over their mean face, and the bands of the face.

    All means have one scale, whose maximum is 1: a class is pale if its maps do not agree on a region.
    """
    faces, maps = study.faces, study.maps
    members = {label: faces.labels == label for label in np.unique(faces.labels)}
    used = {label: rows & maps.maps.any(axis=(1, 2)) for label, rows in members.items()}
    means = {label: maps.maps[rows].sum(axis=0) / max(1, rows.sum()) for label, rows in used.items()}
    highest = max(mean.max() for mean in means.values()) or 1.0
    title = f"{maps.method}, mean over the images of each class, {_layer(maps)}: {style.source_name(faces)}"
    figure, axes = style.panels(len(members) + 1, columns=4, row_height=2.25, title=title)
    style.face(axes[0], faces.images.mean(axis=0))
    axes[0].set_title(f"mean of all, n = {len(faces)}", loc="center")
    for ax, (label, mean) in zip(axes[1:], means.items(), strict=True):
        style.overlay(ax, faces.images[members[label]].mean(axis=0), mean / highest)
        n, of = int(used[label].sum()), int(members[label].sum())
        ax.set_title(f"{faces.class_names[label]}, n = {n}" + f" of {of}" * (n < of), loc="center")
    for name, edges in study.bands.items():
        at = np.array(edges) * faces.images.shape[1] - 0.5  # a pixel's centre is at a whole number
        for ax in axes:
            for edge in at:
                ax.axhline(edge, color="white", lw=0.7, ls=":")
        axes[0].text(0.5, at.mean(), name, color="white", va="center", fontsize=8)
    return figure


@style.styled
def cam_examples(study: CamStudy, *, per_class: int = 2) -> Figure:
    """Draw the first `per_class` images of each class, one class a row, each beside its maps."""
    faces, cams = study.faces, list(study.cams.values())
    rows = [np.flatnonzero(faces.labels == label)[:per_class] for label in range(len(faces.class_names))]
    named = [(name, these) for name, these in zip(faces.class_names, rows, strict=True) if len(these)]
    columns = per_class * (1 + len(cams))
    width = 0.8 * style.WIDTH  # many coloured images: their bytes go into a stored notebook
    height = len(named) * ((width - 0.6) / columns + 0.04) + 0.6
    outlined = "" if study.masks is None else "; blue: the expression's region"
    title = f"{_layer(cams[0])}: {style.source_name(faces)}{outlined}"
    size = {"width": width, "height": height}
    figure, axes = style.panels(columns * len(named), columns=columns, title=title, **size)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    grid = np.array(axes, object).reshape(len(named), per_class, 1 + len(cams))
    for line, (name, these) in zip(grid, named, strict=True):
        line[0, 0].set_ylabel(name)
        for ax in line[len(these) :].ravel():
            ax.set_axis_off()
        for row, (left, *others) in zip(these, line, strict=False):
            style.face(left, faces.images[row])
            for ax, cam in zip(others, cams, strict=True):
                style.overlay(ax, faces.images[row], cam.maps[row])
            if study.masks is not None and study.masks[row].any():
                for ax in (left, *others):
                    ax.contour(study.masks[row], levels=[0.5], colors=style.SKY, linewidths=0.9)
    for ax, name in zip(grid[0].ravel(), ["image", *study.cams] * per_class, strict=True):
        ax.set_title(name, loc="center", fontsize=8.5, pad=3)
    return figure


@style.styled
def band_shares(table: pd.DataFrame) -> Figure:
    """Draw `CamStudy.band_shares` per area: a uniform map has 1 everywhere; claimed bands are orange."""
    classes = table.groupby("class", sort=False)
    title = "Share of the map / area of the band, 95 % intervals; orange: claimed by the paper"
    figure, axes = style.panels(len(classes), columns=4, row_height=1.95, sharex=True, title=title)
    for number, (ax, (name, bands)) in enumerate(zip(axes, classes, strict=True)):
        dense = bands[["share", "low", "high"]].div(bands["area"], axis=0).reset_index(drop=True)
        ax.axvline(1, **style.MAJORITY)
        for claimed, color, marker in ((False, style.GREY, "o"), (True, style.ORANGE, "D")):
            rows = dense[bands["claimed"].to_numpy() == claimed]
            style.intervals(ax, rows.index, rows, "share", color=color, marker=marker)
        style.label_rows(ax, bands["band"] if number % 4 == 0 else [""] * len(bands))
        ax.set_title(f"{name}, n = {bands['n'].iloc[0]}", loc="center")
        ax.xaxis.set_tick_params(labelbottom=True)
        ax.grid(False, axis="y")
    axes[0].set_xlim(left=0)  # at the end: it stops the autoscaling
    return figure


@style.styled
def perturbation_curves(table: pd.DataFrame) -> Figure:
    """Draw `CamStudy.perturbation`: the mean probability by Grad-CAM's order of pixels and by random ones."""
    axis = {"deletion": "removed (lower is better)", "insertion": "inserted (higher is better)"}
    figure, axes = style.panels(len(axis), columns=len(axis), height=3.2, sharey=True)
    for ax, (way, label) in zip(axes, axis.items(), strict=True):
        curves = table[table["way"] == way].groupby("maps", sort=False)
        for (name, curve), color in zip(curves, (style.BLUE, style.GREY), strict=False):
            ax.fill_between(curve["share"], curve["low"], curve["high"], color=color, alpha=0.22, lw=0)
            ax.plot(curve["share"], curve["probability"], color=color, label=name)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"share of the pixels {label}", title=way.capitalize())
        style.legend_above(ax)
    axes[0].set_ylabel("mean probability of the class, 95 % band")
    return figure


@style.styled
def randomised_similarity(table: pd.DataFrame) -> Figure:
    """Draw `CamStudy.randomisation`: how similar the maps of ever more randomised networks are."""
    title = "Similarity of randomised networks' maps to the trained one's; 1: equal, grey: chance"
    height = 1.1 + 0.3 * len(table)
    figure, axes = style.panels(2, columns=2, height=height, sharey=True, title=title)
    rows, labels = np.arange(len(table)), [f"{name} (n = {n})" for name, n in table["n"].items()]
    for ax, (value, short) in zip(axes, (("rank correlation", "rank"), ("ssim", "ssim")), strict=True):
        low, high = f"{short} low", f"{short} high"
        ax.axvspan(table[low].iloc[-1], table[high].iloc[-1], color=style.GREY, alpha=0.25, lw=0)
        for part, color in ((slice(0, -1), style.BLUE), (slice(-1, None), style.INK)):
            style.intervals(ax, rows[part], table.iloc[part], value, low=low, high=high, color=color)
        ax.axvline(1, color=style.GREEN, ls=":")
        style.label_rows(ax, labels)
        ax.set(xlim=(min(-0.2, table[low].min()), 1.03))
        ax.set_title("SSIM" if value == "ssim" else value.capitalize())
    return figure


def _layer(maps: GradCAM) -> str:
    return "{} × {}".format(*maps.native_size) + f" maps of {maps.layer}"
