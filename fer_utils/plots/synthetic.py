"""Figures of the face generator: what each action unit does, and how an expression grows."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from fer_utils.plots.style import COLORS, face, heading, panels, styled
from fer_utils.synthetic import (
    ACTION_UNITS,
    PROTOTYPES,
    Identity,
    action_unit_mask,
    render_face,
)


@styled
def action_unit_faces(person: Identity, *, size: int = 96) -> Figure:
    """Draw a person once for each action unit at its full intensity, the unit's region outlined.

    Parameters
    ----------
    person : Identity
    size : int
        Side of each picture in pixels.
    """
    figure, axes = panels(len(ACTION_UNITS), columns=6, row_height=1.75)
    for ax, (unit, name) in zip(axes, ACTION_UNITS.items(), strict=True):
        face(ax, render_face(person, {unit: 1.0}, size=size))
        region = action_unit_mask(person, unit, size=size)
        ax.contour(region, levels=[0.5], colors=COLORS[1], linewidths=1.2)
        ax.set_title(f"AU{unit} {name}", fontsize=7, pad=3)
    heading(figure, "One action unit at intensity 1 (synthetic); outlined is what it can change")
    return figure


@styled
def expression_strengths(
    person: Identity,
    *,
    expressions: Mapping[str, Sequence[int]] = PROTOTYPES,
    strengths: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    size: int = 96,
) -> Figure:
    """Draw a person with each expression (columns) at each strength (rows).

    Parameters
    ----------
    person : Identity
    expressions : mapping of str to sequence of int
        The action units of each expression; all get the same intensity.
    strengths : sequence of float
        Intensities in [0, 1].
    size : int
        Side of each picture in pixels.
    """
    columns = len(expressions)
    figure, axes = panels(len(strengths) * columns, columns=columns, row_height=1.2)
    for row, strength in enumerate(strengths):
        for column, (name, units) in enumerate(expressions.items()):
            ax = axes[row * columns + column]
            face(ax, render_face(person, dict.fromkeys(units, strength), size=size))
            if row == 0:
                ax.set_title(name, loc="center", pad=3)
            if column == 0:
                ax.set_ylabel(f"{strength:g}")
    heading(figure, "Each expression's action units (synthetic), all at the intensity on the left")
    return figure
