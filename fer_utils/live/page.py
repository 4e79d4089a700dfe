"""The demo as a page for people who do not want code: Voilà, with the notebook's cells for the page alone."""

import threading
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from papermill.parameterize import parameterize_notebook
from traitlets.config import Config
from voila.app import Voila

from fer_utils.files import ConfigError

PARAMETERS, PAGE = "parameters", "page"
"""Tags of the cells that are executed and shown; the story around them is for JupyterLab."""

IDLE_SECONDS = 600
"""After which the kernel of a page that nobody has open is ended."""

MESSAGE_BYTES = 4 * 2**20
"""Largest message that is taken from a browser; the panel sends files in slices of a quarter."""

ONLY_FROM_HERE = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' ws://127.0.0.1:* ws://localhost:*",
        "frame-ancestors 'self'",
        "form-action 'self'",
    ]
)
"""Content security policy: the browser itself refuses to ask any other machine for anything."""

_TEMPLATES = Path(__file__).with_name("static") / "voila"


class Page(Voila):
    """Voilà with the page's template in front of its own, and a browser that is told the token."""

    def setup_template_dirs(self) -> None:
        """Look for templates in this package first."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(_TEMPLATES))

    def launch_browser(self) -> None:
        """Open the page; by a file only its owner can read, as a command line is for all to see."""
        redirect = Path(self.connection_dir) / "open.html"
        redirect.write_text(f'<meta http-equiv="refresh" content="0; url={self.display_url}">')
        threading.Thread(target=webbrowser.open, args=(redirect.as_uri(),), daemon=True).start()


def serve(
    notebook: Path,
    *,
    port: int = 8866,
    open_browser: bool = True,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Serve a notebook as a page on this machine alone until interrupted; the address has a new token.

    Parameters
    ----------
    notebook : path
    port : int
        If it is taken, one close to it; the address is printed.
    open_browser : bool
    parameters : mapping, optional
        Set after the notebook's own, as papermill does.

    Raises
    ------
    ConfigError
        When there is no such notebook, or no cell of it has the tag `page`.
    """
    if not notebook.is_file():
        raise ConfigError(f"{notebook}: no such notebook")
    cells = nbformat.read(notebook, as_version=4).cells
    if not any(PAGE in _tags(cell) for cell in cells):
        raise ConfigError(f"{notebook}: no cell has the tag {PAGE!r}, so there is nothing to show")
    config = _configuration(port=port, open_browser=open_browser, parameters=parameters or {})
    Page.launch_instance(argv=[str(notebook)], config=config)


def _configuration(*, port: int, open_browser: bool, parameters: Mapping[str, Any]) -> Config:
    config = Config()
    config.Voila.update(
        ip="127.0.0.1",
        port=port,
        auto_token=True,
        open_browser=open_browser,
        config_file_paths=[],  # whatever is set for other pages of this machine
        tornado_settings={
            "headers": {"Content-Security-Policy": ONLY_FROM_HERE},
            "websocket_max_message_size": MESSAGE_BYTES,
        },
    )
    config.VoilaConfiguration.update(
        theme="light",
        strip_sources=True,
        allow_template_override="NO",
        allow_theme_override="NO",
        file_allowlist=[],
        prelaunch_hook=_for_the_page(parameters),
    )
    config.MappingKernelManager.update(cull_idle_timeout=IDLE_SECONDS, cull_interval=60)
    return config


def _for_the_page(parameters: Mapping[str, Any]) -> Callable[..., nbformat.NotebookNode]:
    """Return what Voilà calls with the notebook before it executes it."""

    def prepared(_: object, *, notebook: nbformat.NotebookNode, cwd: str) -> nbformat.NotebookNode:
        notebook.cells = [cell for cell in notebook.cells if _tags(cell) & {PARAMETERS, PAGE}]
        if parameters:
            notebook.metadata.setdefault("papermill", nbformat.NotebookNode())
            notebook = parameterize_notebook(notebook, dict(parameters))
        given = [cell for cell in notebook.cells if _tags(cell) & {PARAMETERS, "injected-parameters"}]
        if given:
            # Parameters are checked by what was executed, and Voilà executes without IPython's history.
            remember = nbformat.v4.new_code_cell(f"In.extend({[cell.source for cell in given]!r})")
            notebook.cells.insert(notebook.cells.index(given[-1]) + 1, remember)
        return notebook

    return prepared


def _tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))
