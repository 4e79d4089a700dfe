"""Show figures and source code in a notebook, and save figures."""

import base64
import inspect
import io
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import ipywidgets
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from PIL import Image

from fer_utils.files import atomic_write
from fer_utils.plots.style import styled


def show(figure: Figure, *, alt: str, name: str, folder: Path) -> None:
    """Display a figure with `alt` as its alt text; save it as ``folder/name.png``, and charts as SVG."""
    content = png(figure)
    with atomic_write(folder / f"{name}.png") as temporary:
        temporary.write_bytes(content)
    if not any(ax.images for ax in figure.axes):  # charts, which other documents can scale
        with atomic_write(folder / f"{name}.svg") as temporary:
            figure.savefig(temporary, format="svg")
    data = {"image/png": base64.b64encode(content).decode(), "text/plain": alt}
    display(data, metadata={"image/png": {"alt": alt}}, raw=True)


def interact(draw: Callable[..., Figure], **controls: object) -> None:
    """Display, in JupyterLab, a figure with controls for `draw`, given as in `ipywidgets.interact`."""
    if "JPY_SESSION_NAME" not in os.environ:  # set by Jupyter's server; a stored notebook has no kernel
        return
    # Not `ipywidgets.interact` itself: its output widget blocks nbclient, which may inherit the variable.
    widgets = {name: ipywidgets.interactive.widget_from_abbrev(values) for name, values in controls.items()}
    picture = ipywidgets.Image(format="png", layout={"max_width": "100%"})

    def update(_: object = None) -> None:
        picture.value = png(draw(**{name: widget.value for name, widget in widgets.items()}))

    for name, widget in widgets.items():
        widget.description, widget.continuous_update = name, False
        widget.style = {"description_width": "190px"}
        widget.observe(update, names="value")
    update()
    display(ipywidgets.VBox([*widgets.values(), picture]))


def show_source(*objects: Callable | type) -> None:
    """Display the source of functions or classes, such as the one that builds a network, and its file."""
    for thing in objects:
        module = inspect.getmodule(thing).__name__.replace(".", "/")
        source = textwrap.dedent(inspect.getsource(thing)).rstrip()
        display(Markdown(f"`{module}.py`\n```python\n{source}\n```"))


@styled
def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG; equal figures give equal bytes."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # 256 colours are enough for charts and gray faces, and take half the bytes in a stored notebook.
    picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(stored, format="png", optimize=True)
    return stored.getvalue()
