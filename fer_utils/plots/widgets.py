"""Widgets for JupyterLab: browse figures and data sets, move the action units of a synthetic face.

Without JupyterLab they do nothing: a stored notebook shows figures instead.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from fer_utils.data import SPLITS, FaceSet
from fer_utils.plots.data import face_sheet
from fer_utils.plots.notebook import png
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES, FaceSpec, Identity, Scene

PAGE = 40
"""Faces on a page of `browse_faces`."""

SIZE = 256
"""Side of the synthetic face in pixels."""

_ALL, _CUSTOM = "all", "custom"


def in_jupyterlab() -> bool:
    """Return whether widgets are live: Jupyter's server sets this variable, papermill does not."""
    return "JPY_SESSION_NAME" in os.environ


def browse(draw: Callable[[int], Figure], n: int, *, label: str) -> None:
    """Display a slider that draws figure 0 to n - 1."""
    if n < 1 or not in_jupyterlab():
        return
    import ipywidgets

    picture = ipywidgets.Image(value=png(draw(0)), format="png", layout={"max_width": "100%"})
    slider = ipywidgets.IntSlider(min=0, max=n - 1, description=label, continuous_update=False)
    slider.observe(lambda change: setattr(picture, "value", png(draw(change["new"]))), names="value")
    display(ipywidgets.VBox([slider, picture]))


def browse_faces(faces: FaceSet, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Display pages of a data set's faces by class, split and kind of duplicate: a `FaceBrowser`."""
    if in_jupyterlab():
        display(FaceBrowser(faces, groups).box)


def move_action_units() -> None:
    """Display a synthetic face with a slider for each of its action units: an `ActionUnitSliders`."""
    if in_jupyterlab():
        display(ActionUnitSliders().box)


class FaceBrowser:
    """Pages of faces, each with its id, split and class.

    Parameters
    ----------
    faces : FaceSet
        Only the images of the current page are read.
    groups : mapping of str to sequence of ndarray of int
        What can be chosen beside all images: name to groups of row numbers, such as duplicates.

    Attributes
    ----------
    class_name, split, group, page : widget
        The selection.
    picture, box : widget
        The page, and everything together.
    rows : ndarray of int
        The selected images, over all pages.
    """

    def __init__(self, faces: FaceSet, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
        import ipywidgets

        self.faces = faces
        self._choices = {"all images": (np.arange(len(faces)), None)}
        for name, members in groups.items():
            rows = np.concatenate([np.empty(0, int), *members])
            numbers = np.repeat(np.arange(1, len(members) + 1), [len(group) for group in members])
            self._choices[name] = (rows, numbers)
        classes = [(_ALL, _ALL), *((name, label) for label, name in enumerate(faces.class_names))]
        if (faces.labels == faces.UNLABELLED).any():
            classes.append(("unlabelled", faces.UNLABELLED))
        splits = [_ALL, *(name for name in SPLITS if name in faces.split)]
        self.class_name = ipywidgets.Dropdown(options=classes, description="class")
        self.split = ipywidgets.Dropdown(options=splits, description="split")
        self.group = ipywidgets.Dropdown(options=list(self._choices), description="show")
        self.page = ipywidgets.IntSlider(min=1, max=1, description="page", continuous_update=False)
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        for choice in (self.class_name, self.split, self.group):
            choice.observe(self._choose, names="value")
        self.page.observe(self._draw, names="value")
        choices = ipywidgets.HBox([self.class_name, self.split, self.group])
        self.box = ipywidgets.VBox([choices, self.page, self.picture])
        self._choose()

    def _choose(self, _: Any = None) -> None:
        rows, numbers = self._choices[self.group.value]
        fits = np.ones(len(rows), bool)
        if self.class_name.value != _ALL:
            fits &= self.faces.labels[rows] == self.class_name.value
        if self.split.value != _ALL:
            fits &= self.faces.split[rows] == self.split.value
        self.rows = rows[fits]
        self._numbers = None if numbers is None else numbers[fits]
        with self.page.hold_trait_notifications():
            self.page.max = max(1, -(-len(self.rows) // PAGE))
            self.page.value = 1
        self._draw()

    def _draw(self, _: Any = None) -> None:
        shown = slice((self.page.value - 1) * PAGE, self.page.value * PAGE)
        captions = None if self._numbers is None else [f"group {n}" for n in self._numbers[shown]]
        chosen = ", ".join(choice.label for choice in (self.group, self.class_name, self.split))
        place = f"{len(self.rows):,} images, page {self.page.value} of {self.page.max}"
        page = self.faces.take(self.rows[shown])
        self.picture.value = png(
            face_sheet(page, captions=captions, title=f"{self.faces.name}: {chosen}; {place}")
        )


class ActionUnitSliders:
    """A synthetic face with a slider for each of its action units.

    Attributes
    ----------
    units : dict of int to widget
        The slider of each action unit.
    expression : widget
        Sets the sliders to an expression's prototype.
    person, yaw, pitch, roll, light : widget
        Seed of the identity; pose of the head and direction of the light in degrees.
    region : widget
        Whether to outline what the active units can change.
    picture, box : widget
        The face, and everything together.
    """

    def __init__(self) -> None:
        import ipywidgets

        def slider(text: str, low: float, high: float, step: float, value: float = 0.0) -> Any:
            wide = {"style": {"description_width": "190px"}, "layout": {"width": "420px"}}
            return ipywidgets.FloatSlider(value, min=low, max=high, step=step, description=text, **wide)

        self.units = {n: slider(f"AU{n} {name}", 0.0, 1.0, 0.05) for n, name in ACTION_UNITS.items()}
        options = [*PROTOTYPES, _CUSTOM]
        self.expression = ipywidgets.Dropdown(options=options, value="neutral", description="expression")
        self.person = ipywidgets.BoundedIntText(min=0, max=999_999, description="person")
        angles = [slider(f"{name} (°)", -20.0, 20.0, 1.0) for name in ("yaw", "pitch", "roll")]
        self.yaw, self.pitch, self.roll = angles
        self.light = slider("light from the side (°)", -90.0, 90.0, 5.0, Scene().light_azimuth)
        self.region = ipywidgets.Checkbox(description="outline the region", indent=False)
        self.picture = ipywidgets.Image(format="png", width=SIZE, height=SIZE)
        self.expression.observe(self._preset, names="value")
        for unit in self.units.values():
            unit.observe(self._customise, names="value")
        for widget in (self.person, *angles, self.light, self.region):
            widget.observe(self._draw, names="value")
        left = [self.picture, self.expression, self.person, self.region, *angles, self.light]
        self.box = ipywidgets.HBox([ipywidgets.VBox(left), ipywidgets.VBox(list(self.units.values()))])
        self._draw()

    def spec(self) -> FaceSpec:
        """Return the person, the intensities and the scene that are drawn."""
        angles = {"yaw": self.yaw.value, "pitch": self.pitch.value, "roll": self.roll.value}
        scene = replace(Scene(), **angles, light_azimuth=self.light.value)
        units = {number: slider.value for number, slider in self.units.items()}
        return FaceSpec(Identity.sample(self.person.value), units, scene)

    def _preset(self, _: Any) -> None:
        if self.expression.value == _CUSTOM:
            return
        for number, slider in self.units.items():
            slider.unobserve(self._customise, names="value")  # draw once, not once per slider
            slider.value = float(number in PROTOTYPES[self.expression.value])
            slider.observe(self._customise, names="value")
        self._draw()

    def _customise(self, _: Any) -> None:
        self.expression.value = _CUSTOM
        self._draw()

    def _draw(self, _: Any = None) -> None:
        spec = self.spec()
        picture = cv2.cvtColor(spec.image(size=SIZE), cv2.COLOR_GRAY2BGR)
        if self.region.value:
            region = spec.mask(size=SIZE, above=0.0).astype(np.uint8)
            outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, (5, 143, 222), 2)  # BGR of the figures' orange
        self.picture.value = cv2.imencode(".png", picture)[1].tobytes()
