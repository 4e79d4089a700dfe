"""Execute notebooks: a run of a parameter file, and the outputs that are stored in `notebooks/`."""

import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from fer_utils.files import ConfigError, locked, project_path, read_json, stderr_to, write_text
from fer_utils.report import DISPLAYED, export_report
from fer_utils.results import Environment
from fer_utils.run import heading, notebook_path, read_runs, write_results
from fer_utils.tables import load_result

KERNEL_OPTIONS = ["--IPKernelApp.capture_fd_output=False", "--IPKernelApp.log_level=ERROR"]
"""The frameworks' own messages go to kernel.log: they differ between machines, and the last one names the
cause when a kernel dies."""

MAX_STORED_BYTES = 1_000_000
SHOWS_FIGURE = "run.show("  # such a cell may fail: the report has the error, results.json a note
_NOT_RUN = {"MissingData", "MissingGPU"}
_VOLATILE = ("execution", "papermill", "widgets")

logging.getLogger("papermill").addHandler(logging.NullHandler())  # its messages are in the run folder


def run_yaml(path: Path, *, run: str | None = None) -> str:
    """Make one run of a parameter file and return its status: "done", "not_run" or "failed".

    The notebook works in a staging folder that replaces `reports/<profile>/<run>` only when it is complete,
    HTML report included. A run that failed, or that lacks data, weights or a GPU ("not_run"), never replaces
    an earlier finished one. `run` is one of the file's grid, by default the file's own name.
    """
    run = run or path.stem
    runs = read_runs(path)
    if run not in runs:
        raise ConfigError(f"{path}: no run {run!r}; choose one of {', '.join(runs)}")
    reports = project_path("reports")
    profile = path.absolute().parent.name
    target = reports / profile / run
    staging = reports / ".staging" / profile / run
    with locked(reports / ".locks" / profile / run):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        retired, status, start = _retired(target), "stopped", time.monotonic()
        if retired.exists() and not target.exists():
            os.rename(retired, target)  # a process was killed between the two renames of `_replace`
        try:
            # A new name each time: the kernel of a killed run cannot write into it.
            status = _make(runs[run], Path(tempfile.mkdtemp(dir=staging), profile, run), target=target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            seconds = f"{time.monotonic() - start:5.0f} s"
            print(f"{f'{profile}/{run}':<44} {seconds}  {status.replace('_', ' ')}", flush=True)
    return status


def _make(values: dict[str, object], staging: Path, *, target: Path) -> str:
    """Execute the notebook in `staging`, write its report, and move the folder to its place."""
    staging.mkdir(parents=True)
    executed, log = staging / "notebook.ipynb", staging / "kernel.log"
    status, reason = _execute(values, target.name, executed, log=log)
    if reason:
        content = heading(target.name, target.parent.name, status=status) | {"reason": reason}
        write_results(staging, content | {"environment": Environment.current(), "params": values})
        print(f"{target.name}: {status.replace('_', ' ')}: {reason}", file=sys.stderr)
    if executed.exists():
        # The stored notebook names the folder that a reader finds, not the one it was made in.
        text = _in_project(executed.read_text(encoding="utf-8"))
        text = text.replace(_in_project(str(staging)), _in_project(str(target)))
        executed.write_text(text, encoding="utf-8")
        export_report(executed)
    attempt, earlier = target.parent / ".failed" / target.name, load_result(target / "results.json")
    if status == "failed" or (status == "not_run" and earlier["status"] == "done"):
        _replace(attempt, staging)
    else:
        _replace(target, staging)
        shutil.rmtree(attempt, ignore_errors=True)
    return status


def _execute(values: dict[str, object], run: str, executed: Path, *, log: Path) -> tuple[str, str]:
    """Return the status and, unless it is "done", the reason."""
    results = executed.with_name("results.json")
    notebook = nbformat.read(notebook_path(run), as_version=4)
    for cell in notebook.cells:
        if SHOWS_FIGURE in cell.source:
            cell.metadata.setdefault("tags", []).append("raises-exception")
    os.environ.pop("JUPYTER_PATH", None)  # it may have another kernel of the name python3
    os.environ |= {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(executed.parents[2] / "ipython")}
    try:
        with stderr_to(log):
            papermill.execute_notebook(
                notebook,
                executed,
                parameters=values | {"output_dir": str(executed.parent)},
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=None,  # a paper's training takes hours
                extra_arguments=KERNEL_OPTIONS,
            )
    except PapermillExecutionError as error:
        reason = _in_project(f"{error.ename}: {error.evalue}")
        if SHOWS_FIGURE in error.source and results.exists():
            note = f"a figure is missing: {reason}"
            write_results(results.parent, read_json(results) | {"note": note})
            print(f"{run}: {note}", file=sys.stderr)
            return "done", ""
        if error.ename in _NOT_RUN and error.evalue:
            return "not_run", _in_project(error.evalue)
        return "failed", reason
    except Exception as error:  # whatever stops a notebook, a dead kernel too, is a failure of this run
        lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
        last = f"; last line of {log.name}: {lines[-1].strip()}" if lines else ""
        return "failed", _in_project(f"{type(error).__name__}: {error}{last}")
    if not results.exists():
        return "failed", "the notebook ended without writing results.json"
    return "done", ""


def refresh_outputs(notebook: Path) -> str:
    """Execute a notebook with its defaults, store it unless a cell fails, and return a line that says so."""
    from nbclient import NotebookClient

    content = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(notebook.resolve().parent)}}
    NotebookClient(content, kernel_name="python3", timeout=None, resources=resources).execute()
    for holder in [content, *content.cells]:
        for key in _VOLATILE:
            holder.metadata.pop(key, None)
    for cell in content.cells:
        if cell.cell_type == "code":
            # Messages on stderr differ between machines, and a widget shows nothing without its kernel.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                for kind in output.get("data", {}).keys() - DISPLAYED:
                    del output.data[kind]
    content.metadata["language_info"] = {"name": "python"}  # not the version it was executed with
    text = _in_project(nbformat.writes(content)) + "\n"
    if len(text) > MAX_STORED_BYTES:
        raise ValueError(f"{notebook}: {len(text) / 1e6:.2f} MB with outputs, limit 1 MB; show fewer images")
    write_text(notebook, text)
    return f"{notebook.name}: {len(text) / 1024:.0f} KiB"


def _in_project(text: str) -> str:
    """Return a text with paths relative to the project, which mean something on other machines."""
    return text.replace(f"{project_path('')}/", "")


def _retired(target: Path) -> Path:
    return target.with_name(f".{target.name}.retired")


def _replace(target: Path, staging: Path) -> None:
    """Put `staging` in the place of `target` by two renames: the folder is never half old, half new."""
    target.parent.mkdir(parents=True, exist_ok=True)
    retired = _retired(target)
    shutil.rmtree(retired, ignore_errors=True)
    if target.exists():
        os.rename(target, retired)
    os.rename(staging, target)
    shutil.rmtree(retired, ignore_errors=True)
