"""Widgets for people in JupyterLab: leaf through a data set, move the muscles of a drawn face.

Without JupyterLab both do nothing: a stored notebook shows figures of `plots` instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from IPython.display import display

from fer_utils.data import SPLITS, FaceSet
from fer_utils.plots.data import face_sheet
from fer_utils.plots.notebook import in_jupyterlab, png
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES, FaceSpec, Identity, Scene

PAGE = 40
"""Faces on a page of the browser."""

SIZE = 256
"""Side of the drawn face in pixels."""

_EVERY = "all"
_OWN_MIX = "own mix"


def browse_faces(faces: FaceSet, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Display a `FaceBrowser` of a data set; without JupyterLab, do nothing."""
    if in_jupyterlab():
        display(FaceBrowser(faces, groups).box)


def action_units() -> None:
    """Display an `ActionUnits` panel; without JupyterLab, do nothing."""
    if in_jupyterlab():
        display(ActionUnits().box)


class FaceBrowser:
    """Pages of faces of a class, a part and a kind of duplicate, each with its id, part and class.

    Parameters
    ----------
    faces : FaceSet
        Only the images of the page that is shown are read.
    groups : mapping of str to sequence of ndarray of int
        What can be chosen beside all images: a name, and the groups of indices into `faces`. The members of
        a group stand side by side under its number.

    Attributes
    ----------
    class_name, part, group, page : widget
        What is chosen.
    picture, box : widget
        The page, and everything together.
    rows : ndarray of int
        The images that fit the choice, over all pages.
    """

    def __init__(self, faces: FaceSet, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
        import ipywidgets

        self.faces = faces
        self._choices = {"all images": (np.arange(len(faces)), None)}
        for name, members in groups.items():
            rows = np.concatenate([np.empty(0, int), *members])
            numbers = np.repeat(np.arange(1, len(members) + 1), [len(group) for group in members])
            self._choices[name] = (rows, numbers)
        classes = [(_EVERY, _EVERY), *((name, label) for label, name in enumerate(faces.class_names))]
        if (faces.labels == faces.UNLABELLED).any():
            classes.append(("unlabelled", faces.UNLABELLED))
        parts = [_EVERY, *(name for name in SPLITS if name in faces.split)]
        self.class_name = ipywidgets.Dropdown(options=classes, description="class")
        self.part = ipywidgets.Dropdown(options=parts, description="part")
        self.group = ipywidgets.Dropdown(options=list(self._choices), description="show")
        self.page = ipywidgets.IntSlider(min=1, max=1, description="page", continuous_update=False)
        self.picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})
        for choice in (self.class_name, self.part, self.group):
            choice.observe(self._choose, names="value")
        self.page.observe(self._draw, names="value")
        choices = ipywidgets.HBox([self.class_name, self.part, self.group])
        self.box = ipywidgets.VBox([choices, self.page, self.picture])
        self._choose()

    def _choose(self, _: Any = None) -> None:
        rows, numbers = self._choices[self.group.value]
        fits = np.ones(len(rows), bool)
        if self.class_name.value != _EVERY:
            fits &= self.faces.labels[rows] == self.class_name.value
        if self.part.value != _EVERY:
            fits &= self.faces.split[rows] == self.part.value
        self.rows = rows[fits]
        self._numbers = None if numbers is None else numbers[fits]
        with self.page.hold_trait_notifications():
            self.page.max = max(1, -(-len(self.rows) // PAGE))
            self.page.value = 1
        self._draw()

    def _draw(self, _: Any = None) -> None:
        shown = slice((self.page.value - 1) * PAGE, self.page.value * PAGE)
        captions = None if self._numbers is None else [f"group {n}" for n in self._numbers[shown]]
        chosen = ", ".join(choice.label for choice in (self.group, self.class_name, self.part))
        place = f"{len(self.rows):,} images, page {self.page.value} of {self.page.max}"
        title = f"{self.faces.name}: {chosen}; {place}"
        page = self.faces.take(self.rows[shown])
        self.picture.value = png(face_sheet(page, captions=captions, title=title))


class ActionUnits:
    """A drawn face with a slider for each of its action units.

    Attributes
    ----------
    units : dict of int to widget
        The slider of each action unit.
    expression : widget
        Sets the sliders to an expression's prototype; a slider moved by hand makes it an own mix.
    person, yaw, pitch, roll, light : widget
        The seed of the identity, the head's pose and where the light comes from, in degrees.
    region : widget
        Whether to outline what the units that are not 0 can change.
    picture, box : widget
        The face, and everything together.
    """

    def __init__(self) -> None:
        import ipywidgets

        def slider(text: str, **limits: float) -> Any:
            wide = {"style": {"description_width": "190px"}, "layout": {"width": "420px"}}
            return ipywidgets.FloatSlider(description=text, **limits, **wide)

        unit = {"min": 0.0, "max": 1.0, "step": 0.05, "value": 0.0}
        self.units = {number: slider(f"AU{number} {name}", **unit) for number, name in ACTION_UNITS.items()}
        options = [*PROTOTYPES, _OWN_MIX]
        self.expression = ipywidgets.Dropdown(options=options, value="neutral", description="expression")
        self.person = ipywidgets.BoundedIntText(min=0, max=999_999, description="person")
        turned = {"min": -20.0, "max": 20.0, "step": 1.0, "value": 0.0}
        self.yaw, self.pitch, self.roll = (
            slider(f"{name} (°)", **turned) for name in ("yaw", "pitch", "roll")
        )
        lit = {"min": -90.0, "max": 90.0, "step": 5.0, "value": Scene().light_azimuth}
        self.light = slider("light from the side (°)", **lit)
        self.region = ipywidgets.Checkbox(description="outline the region", indent=False)
        self.picture = ipywidgets.Image(format="png", width=SIZE, height=SIZE)
        self.expression.observe(self._preset, names="value")
        for moved in self.units.values():
            moved.observe(self._mix, names="value")
        for changed in (self.person, self.yaw, self.pitch, self.roll, self.light, self.region):
            changed.observe(self._draw, names="value")
        shown = [self.picture, self.expression, self.person, self.region]
        shown = ipywidgets.VBox([*shown, self.yaw, self.pitch, self.roll, self.light])
        self.box = ipywidgets.HBox([shown, ipywidgets.VBox(list(self.units.values()))])
        self._draw()

    def showing(self) -> FaceSpec:
        """Return what is drawn: the person, the intensities and the scene."""
        angles = {"yaw": self.yaw.value, "pitch": self.pitch.value, "roll": self.roll.value}
        scene = replace(Scene(), **angles, light_azimuth=self.light.value)
        units = {number: slider.value for number, slider in self.units.items()}
        return FaceSpec(Identity.sample(self.person.value), units, scene)

    def _preset(self, _: Any) -> None:
        if self.expression.value == _OWN_MIX:
            return
        for number, slider in self.units.items():
            slider.unobserve(self._mix, names="value")  # one picture, not one for each slider
            slider.value = float(number in PROTOTYPES[self.expression.value])
            slider.observe(self._mix, names="value")
        self._draw()

    def _mix(self, _: Any) -> None:
        self.expression.value = _OWN_MIX
        self._draw()

    def _draw(self, _: Any = None) -> None:
        showing = self.showing()
        picture = cv2.cvtColor(showing.image(size=SIZE), cv2.COLOR_GRAY2BGR)
        if self.region.value:
            region = showing.mask(size=SIZE, above=0.0).astype(np.uint8)
            outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, (5, 143, 222), 2)  # BGR of the figures' orange
        self.picture.value = cv2.imencode(".png", picture)[1].tobytes()
