"""Figures of class-activation maps: where they are warm, and what that is worth."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_utils.data import FaceSet
from fer_utils.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SKY,
    WIDTH,
    check_columns,
    face,
    heading,
    legend_above,
    overlay,
    panels,
    styled,
)

if TYPE_CHECKING:
    from fer_utils.saliency import GradCAM


@styled
def mean_maps(faces: FaceSet, maps: "GradCAM", *, bands: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the mean map of each class's images over their mean face, and where the bands of the face lie.

    One scale for all classes: the warmest place of the warmest class is 1. Each map is divided by its own
    maximum: a pale class is one whose maps do not agree on a place. All-zero ones are left out (n of all).

    Parameters
    ----------
    faces : FaceSet
    maps : GradCAM
        Of these images.
    bands : mapping of str to (float, float)
        As in `saliency.FACE_BANDS`: drawn as lines, to be held against the faces.

    Raises
    ------
    ValueError
        When maps do not fit the images.
    """
    _check(faces, {"maps": maps})
    of_class = {number: faces.labels == number for number in np.unique(faces.labels) if number >= 0}
    used = {number: rows & maps.maps.any(axis=(1, 2)) for number, rows in of_class.items()}
    means = {number: maps.maps[rows].sum(axis=0) / max(1, rows.sum()) for number, rows in used.items()}
    warmest = max(mean.max() for mean in means.values()) or 1.0
    figure, axes = panels(len(of_class) + 1, columns=4, row_height=2.25)
    face(axes[0], faces.images.mean(axis=0))
    axes[0].set_title(f"mean of all, n = {len(faces)}", loc="center")
    for ax, (number, mean) in zip(axes[1:], means.items(), strict=True):
        overlay(ax, faces.images[of_class[number]].mean(axis=0), mean / warmest)
        n, of = int(used[number].sum()), int(of_class[number].sum())
        ax.set_title(f"{faces.class_names[number]}, n = {n}" + f" of {of}" * (n < of), loc="center")
    for ax in axes:
        _edges(ax, bands, faces.images.shape[1], named=ax is axes[0])
    heading(figure, f"{maps.method}, mean over images of each class, {_layer(maps)}: {_source(faces)}")
    return figure


@styled
def cam_examples(
    faces: FaceSet, cams: Mapping[str, "GradCAM"], *, per_class: int = 2, masks: np.ndarray | None = None
) -> Figure:
    """Draw the first images of each class, one class a row, each beside its maps.

    Parameters
    ----------
    faces : FaceSet
    cams : mapping of str to GradCAM
        One column each, under its name; of these images.
    per_class : int
        Images in a row.
    masks : ndarray of bool, shape (N, H, W), optional
        Where the expression was drawn: outlined in blue.

    Raises
    ------
    ValueError
        When there is no map, or maps or masks do not fit the images.
    """
    _check(faces, cams)
    if masks is not None and masks.shape != faces.images.shape:
        raise ValueError(f"masks {masks.shape} do not fit the images {faces.images.shape}")
    rows = [np.flatnonzero(faces.labels == number)[:per_class] for number in range(len(faces.class_names))]
    named = [(name, these) for name, these in zip(faces.class_names, rows, strict=True) if len(these)]
    columns = per_class * (1 + len(cams))
    width = 0.8 * WIDTH  # many coloured pictures: their bytes go into a stored notebook
    cell = (width - 0.6) / columns
    size = {"width": width, "height": len(named) * (cell + 0.04) + 0.6}
    figure, axes = panels(columns * len(named), columns=columns, **size)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.0, hspace=0.0)
    grid = np.array(axes, object).reshape(len(named), per_class, 1 + len(cams))
    for line, (name, these) in zip(grid, named, strict=True):
        line[0, 0].set_ylabel(name)
        for place, ax in enumerate(line.ravel()):
            image, column = divmod(place, 1 + len(cams))
            if image >= len(these):
                ax.set_axis_off()
                continue
            _example(ax, faces, cams, these[image], column, masks)
    for ax, name in zip(grid[0].ravel(), ["picture", *cams] * per_class, strict=True):
        ax.set_title(name, loc="center", fontsize=8.5, pad=3)
    outlined = "" if masks is None else "; blue: where the expression was drawn"
    heading(figure, f"{_layer(next(iter(cams.values())))}: {_source(faces)}{outlined}")
    return figure


@styled
def band_shares(table: pd.DataFrame) -> Figure:
    """Draw how densely the evidence of each class lies in each band; 1 is a map that is the same all over.

    Parameters
    ----------
    table : DataFrame
        As `studies.cam.band_table` returns it. Bands that the paper claims are orange.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(table, ("class", "band", "claimed", "share", "low", "high", "area", "n"))
    classes = list(dict.fromkeys(table["class"]))
    figure, axes = panels(len(classes), columns=4, row_height=1.95, sharex=True)
    for number, (ax, name) in enumerate(zip(axes, classes, strict=True)):
        bands = table[table["class"] == name]
        dense = bands[["share", "low", "high"]].div(bands["area"], axis=0)
        ax.axvline(1, color="#6b6b6b", ls="--", lw=1.2)
        for said, color in ((False, GREY), (True, ORANGE)):
            y = np.flatnonzero(bands["claimed"] == said)
            ax.hlines(y, dense["low"].iloc[y], dense["high"].iloc[y], color=color, lw=2.4)
            ax.plot(dense["share"].iloc[y], y, "D" if said else "o", color=color, ms=6)
        ax.set_yticks(range(len(bands)), bands["band"] if number % 4 == 0 else [""] * len(bands))
        ax.set(ylim=(len(bands) - 0.5, -0.5))
        ax.set_title(f"{name}, n = {bands['n'].iloc[0]}", loc="center")
        ax.grid(False, axis="y")
        ax.xaxis.set_tick_params(labelbottom=True)
    # One scale for all, set at the end: a limit at one side would end the fitting of the other.
    axes[0].set_xlim(0, 1.05 * max(1.0, np.nanmax(table[["share", "high"]].div(table["area"], axis=0))))
    heading(figure, "Share of the map / the band's area, 95 % intervals; orange: claimed by the paper")
    return figure


@styled
def perturbation_curves(table: pd.DataFrame) -> Figure:
    """Draw the mean probability as images lose and gain pixels, by the network's maps and by random ones.

    Parameters
    ----------
    table : DataFrame
        As `studies.cam.curve_table` returns it.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    check_columns(table, ("way", "maps", "share", "probability", "low", "high"))
    said = {"deletion": "taken away (lower is better)", "insertion": "put in (higher is better)"}
    ways = list(dict.fromkeys(table["way"]))
    figure, axes = panels(len(ways), columns=len(ways), height=3.2, sharey=True)
    for ax, way in zip(axes, ways, strict=True):
        curves = table[table["way"] == way].groupby("maps", sort=False)
        for (name, curve), color in zip(curves, (BLUE, GREY), strict=False):
            ax.fill_between(curve["share"], curve["low"], curve["high"], color=color, alpha=0.22, lw=0)
            ax.plot(curve["share"], curve["probability"], color=color, label=name)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel=f"share of the pixels {said.get(way, way)}")
        ax.set_title(way.capitalize())
        legend_above(ax)
    axes[0].set_ylabel("mean probability of the class, 95 % band")
    return figure


@styled
def randomised_similarity(table: pd.DataFrame) -> Figure:
    """Draw how alike maps stay as more and more layers start anew, and how alike those of other images are.

    Parameters
    ----------
    table : DataFrame
        As `studies.cam.randomisation_table` returns it: the last row is chance.

    Raises
    ------
    ValueError
        When a column is missing or there are no rows.
    """
    measures = {"rank correlation": ("rank low", "rank high"), "ssim": ("ssim low", "ssim high")}
    check_columns(table, [*measures, *(name for pair in measures.values() for name in pair), "n"])
    figure, axes = panels(2, columns=2, height=1.1 + 0.3 * len(table), sharey=True)
    y = np.arange(len(table))
    colors = [BLUE] * (len(table) - 1) + [INK]
    for ax, (name, (low, high)) in zip(axes, measures.items(), strict=True):
        ax.axvspan(table[low].iloc[-1], table[high].iloc[-1], color=GREY, alpha=0.25, lw=0)
        ax.hlines(y, table[low], table[high], color=colors, lw=2.4)
        ax.scatter(table[name], y, color=colors, s=34, zorder=3)
        ax.axvline(1, color=GREEN, ls=":")
        ax.set(xlim=(min(-0.2, table[low].min()), 1.03), ylim=(len(table) - 0.5, -0.5))
        ax.set_title("SSIM" if name == "ssim" else name.capitalize())
    axes[0].set_yticks(y, [f"{name} (n = {n})" for name, n in zip(table.index, table["n"], strict=True)])
    heading(figure, "Maps of re-initialised networks beside the trained one's; 1: the same map, grey: chance")
    return figure


def _example(
    ax: Axes, faces: FaceSet, cams: Mapping[str, "GradCAM"], row: int, column: int, masks: np.ndarray | None
) -> None:
    if column:
        overlay(ax, faces.images[row], list(cams.values())[column - 1].maps[row])
    else:
        face(ax, faces.images[row])
    if masks is not None and masks[row].any():
        ax.contour(masks[row], levels=[0.5], colors=SKY, linewidths=0.9)


def _edges(ax: Axes, bands: Mapping[str, tuple[float, float]], height: int, *, named: bool) -> None:
    for name, (top, bottom) in bands.items():
        for edge in (top, bottom):  # fractions of the height; a pixel's centre is at a whole number
            ax.axhline(edge * height - 0.5, color="white", lw=0.7, ls=":")
        if named:
            ax.text(0.5, (top + bottom) / 2 * height - 0.5, name, color="white", va="center", fontsize=8)


def _layer(maps: "GradCAM") -> str:
    return "{} × {}".format(*maps.native_size) + f" maps of {maps.layer}"


def _source(faces: FaceSet) -> str:
    said = faces.source == "real" or "synthetic" in faces.name.lower()
    return faces.name if said else f"{faces.name} (synthetic)"


def _check(faces: FaceSet, cams: Mapping[str, "GradCAM"]) -> None:
    if not cams:
        raise ValueError("there is no map to draw")
    for name, cam in cams.items():
        if cam.maps.shape != faces.images.shape:
            raise ValueError(f"{name}: maps {cam.maps.shape} do not fit the images {faces.images.shape}")
