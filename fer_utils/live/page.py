"""The demo as a page: Voilà with those cells of the notebook that are tagged `page`."""

import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config
from voila.app import Voila

SETTINGS = Path(__file__).with_name("static") / "voila"
"""Template and `voila.json`: with its policy, the browser itself refuses to contact any other machine."""


class Page(Voila):
    """Voilà with the template of this package, and a token in the address."""

    def setup_template_dirs(self) -> None:
        """Look for templates in this package first."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(SETTINGS))

    def launch_browser(self) -> None:
        """Open the page through a private file, because command lines are visible to other users."""
        redirect = Path(self.connection_dir) / "open.html"
        redirect.write_text(f'<meta http-equiv="refresh" content="0; url={self.display_url}">')
        threading.Thread(target=webbrowser.open, args=(redirect.as_uri(),), daemon=True).start()


def serve(
    notebook: Path, *, port: int, open_browser: bool = True, parameters: Mapping[str, Any] | None = None
) -> None:
    """Serve a notebook's cells tagged `page` on 127.0.0.1 until interrupted, at an address with a new token.

    If the port is in use, the next free one is taken. `parameters` override those of the notebook.
    """

    def prepare(_: object, *, notebook: nbformat.NotebookNode, cwd: str) -> nbformat.NotebookNode:
        kept = {"parameters", "page"}
        notebook.cells = [cell for cell in notebook.cells if kept & set(cell.metadata.get("tags", ()))]
        notebook.metadata.setdefault("papermill", nbformat.NotebookNode())
        return parameterize_notebook(notebook, dict(parameters)) if parameters else notebook

    config = Config(VoilaConfiguration={"prelaunch_hook": prepare})
    # Not the settings of other pages of this machine.
    config.Voila.update(port=port, open_browser=open_browser, config_file_paths=[str(SETTINGS)])
    Page.launch_instance(argv=[str(notebook)], config=config)
