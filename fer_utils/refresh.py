"""Renew the outputs that the stored notebooks carry, so that they change only where a result changed."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from fer_utils.files import project_path, write_text
from fer_utils.report import LIVE_TYPES

MAX_BYTES = 1_000_000
_VOLATILE = ("execution", "papermill", "widgets")


def refresh_outputs(notebook: Path) -> str:
    """Execute a notebook with its defaults and store it with outputs; returns a line that says so.

    Raises
    ------
    ValueError
        When the stored notebook would be larger than 1 MB.
    nbclient.exceptions.CellExecutionError
        When a cell fails; the stored notebook is left as it was.
    """
    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, kernel_name="python3", timeout=None, resources=_beside(notebook)).execute()
    for holder in [content, *content.cells]:
        for key in _VOLATILE:
            holder.metadata.pop(key, None)
    for cell in content.cells:
        if cell.cell_type == "code":
            # What frameworks say on stderr differs between machines and is no result.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                # A widget without its kernel shows nothing, and has another name in every execution.
                for kind in {*LIVE_TYPES} & output.get("data", {}).keys():
                    del output.data[kind]
    content.metadata["language_info"] = {"name": "python"}  # not the version it happened to run on
    text = nbformat.writes(content).replace(f"{project_path('')}/", "") + "\n"
    if len(text) > MAX_BYTES:
        raise ValueError(f"{notebook}: {len(text) / 1e6:.2f} MB with outputs, over 1 MB; draw fewer pictures")
    write_text(notebook, text)
    return f"{notebook.name}: {len(text) / 1024:.0f} KiB"


def _beside(notebook: Path) -> dict[str, dict[str, str]]:
    return {"metadata": {"path": str(notebook.resolve().parent)}}
