"""Widgets for JupyterLab: browse figures and data sets, move the action units of a synthetic face.

Without JupyterLab they display nothing: a stored notebook has figures instead.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import ipywidgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from fer_utils.data import SPLITS, FaceSet
from fer_utils.plots.data import face_sheet
from fer_utils.plots.notebook import png
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES, FaceSpec, Identity, Scene

PAGE = 40  # faces on a page of `browse_faces`
SIZE = 256  # side of the synthetic face in pixels
_ALL, _CUSTOM = "all", "custom"


def browse(draw: Callable[[int], Figure], n: int, *, label: str) -> None:
    """Display a slider that draws figure 0 to n - 1."""
    if n < 1 or not in_jupyterlab():
        return
    picture = ipywidgets.Image(value=png(draw(0)), format="png", layout={"max_width": "100%"})
    slider = ipywidgets.IntSlider(min=0, max=n - 1, description=label, continuous_update=False)
    slider.observe(lambda change: setattr(picture, "value", png(draw(change["new"]))), names="value")
    display(ipywidgets.VBox([slider, picture]))


def in_jupyterlab() -> bool:
    """Return whether widgets are live: Jupyter's server sets this variable, papermill does not."""
    return "JPY_SESSION_NAME" in os.environ


def browse_faces(faces: FaceSet, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Display pages of faces by class, split and kind of duplicate, each face with its id, split and class.

    Only the images of the current page are read. `groups` has what can be chosen beside all images: name to
    groups of row numbers, such as duplicates.
    """
    if not in_jupyterlab():
        return
    members = {"all images": [np.arange(len(faces))], **groups}
    classes = [(_ALL, _ALL), *((name, label) for label, name in enumerate(faces.class_names))]
    splits = [_ALL, *(name for name in SPLITS if name in faces.split)]
    group = ipywidgets.Dropdown(options=list(members), description="show")
    class_name = ipywidgets.Dropdown(options=classes, description="class")
    split = ipywidgets.Dropdown(options=splits, description="split")
    page = ipywidgets.IntSlider(min=1, max=1, description="page", continuous_update=False)
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})

    def draw(_: Any = None) -> None:
        parts = members[group.value]
        rows = np.concatenate([np.empty(0, int), *parts])
        numbers = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
        fits = np.ones(len(rows), bool)
        if class_name.value != _ALL:
            fits &= faces.labels[rows] == class_name.value
        if split.value != _ALL:
            fits &= faces.split[rows] == split.value
        page.max = max(1, -(-fits.sum() // PAGE))
        shown = slice((page.value - 1) * PAGE, page.value * PAGE)
        captions = [f"group {n}" for n in numbers[fits][shown]] if group.value in groups else None
        chosen = ", ".join(menu.label for menu in (group, class_name, split))
        title = f"{faces.name}: {chosen}; {fits.sum():,} images, page {page.value} of {page.max}"
        picture.value = png(face_sheet(faces.take(rows[fits][shown]), captions=captions, title=title))

    def choose(_: Any) -> None:
        if page.value == 1:
            draw()
        else:
            page.value = 1  # draws

    for menu in (group, class_name, split):
        menu.observe(choose, names="value")
    page.observe(draw, names="value")
    draw()
    display(ipywidgets.VBox([ipywidgets.HBox([group, class_name, split]), page, picture]))


def move_action_units() -> None:
    """Display a synthetic face with a slider for each of its action units."""
    if not in_jupyterlab():
        return

    def slider(text: str, low: float, high: float, step: float, value: float = 0.0) -> Any:
        wide = {"style": {"description_width": "190px"}, "layout": {"width": "420px"}}
        return ipywidgets.FloatSlider(value, min=low, max=high, step=step, description=text, **wide)

    picture = ipywidgets.Image(format="png", width=SIZE, height=SIZE)
    names = [*PROTOTYPES, _CUSTOM]
    expression = ipywidgets.Dropdown(options=names, value="neutral", description="expression")
    person = ipywidgets.BoundedIntText(min=0, max=999_999, description="person")
    region = ipywidgets.Checkbox(description="outline the region", indent=False)
    angles = {name: slider(f"{name} (°)", -20.0, 20.0, 1.0) for name in ("yaw", "pitch", "roll")}
    light = slider("light from the side (°)", -90.0, 90.0, 5.0, Scene().light_azimuth)
    units = {number: slider(f"AU{number} {name}", 0.0, 1.0, 0.05) for number, name in ACTION_UNITS.items()}

    def draw(_: Any = None) -> None:
        pose = {name: angle.value for name, angle in angles.items()}
        intensities = {number: unit.value for number, unit in units.items()}
        scene = Scene(**pose, light_azimuth=light.value)
        spec = FaceSpec(Identity.sample(person.value), intensities, scene)
        image = cv2.cvtColor(spec.image(size=SIZE), cv2.COLOR_GRAY2BGR)
        if region.value:
            mask = spec.mask(size=SIZE, above=0.0).astype(np.uint8)
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, outlines, -1, (5, 143, 222), 2)  # BGR of the figures' orange
        picture.value = cv2.imencode(".png", image)[1].tobytes()

    def customise(_: Any) -> None:
        expression.value = _CUSTOM
        draw()

    def preset(_: Any) -> None:
        if expression.value == _CUSTOM:
            return
        for number, unit in units.items():
            unit.unobserve(customise, names="value")  # draw once, not once per slider
            unit.value = float(number in PROTOTYPES[expression.value])
            unit.observe(customise, names="value")
        draw()

    expression.observe(preset, names="value")
    for unit in units.values():
        unit.observe(customise, names="value")
    controls = [person, region, *angles.values(), light]
    for control in controls:
        control.observe(draw, names="value")
    draw()
    left = ipywidgets.VBox([picture, expression, *controls])
    display(ipywidgets.HBox([left, ipywidgets.VBox(list(units.values()))]))
