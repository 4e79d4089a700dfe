"""Run one YAML: execute its notebook, export the report, and put the finished folder in place as a whole."""

import fcntl
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import papermill
from papermill.exceptions import PapermillExecutionError

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, project_path, read_json
from fer_utils.hardware import MissingGPU
from fer_utils.params import notebook_path, read_runs
from fer_utils.report import export_report
from fer_utils.results import Environment
from fer_utils.run import heading, write_results

CELL_TIMEOUT = None
"""Seconds that one cell may take; a paper's training takes hours, so there is no limit."""

KERNEL_OPTIONS = ("--IPKernelApp.capture_fd_output=False", "--IPKernelApp.log_level=ERROR")
"""What frameworks say below Python goes to the log: in the notebook it would differ between machines, and the
last words of a dying kernel would be lost on the way there."""

_MISSING = {MissingData.__name__, MissingGPU.__name__}

logging.getLogger("papermill").addHandler(logging.NullHandler())  # what it has to say is in the run folder


def run_yaml(path: Path, *, run: str | None = None, reports: Path | None = None) -> str:
    """Make one run of a parameter file and return its status.

    The notebook works in a staging folder that replaces `reports/<profile>/<run>` only when everything, the
    HTML report included, is there. A failed or impossible run never touches an earlier finished one.

    Parameters
    ----------
    path : Path
        `params/<profile>/<file>.yaml`.
    run : str, optional
        One of the runs of the file's grid; the file's own name by default.
    reports : Path, optional
        Where profiles are kept; `reports/` of the project by default.

    Returns
    -------
    {"done", "not_run", "failed"}
        "not_run": the data, the weights or the GPU that it asks for are not on this machine.

    Raises
    ------
    ConfigError
        For a parameter file that cannot be used; nothing has been run then.
    """
    path, run = Path(path), run or Path(path).stem
    runs = read_runs(path)
    if run not in runs:
        raise ConfigError(f"{path}: no run {run!r}; choose one of {', '.join(runs)}")
    values = runs[run]
    reports = (reports or project_path("reports")).absolute()
    profile = path.absolute().parent.name
    with (
        _only_one(reports / ".locks" / profile / run),
        _elapsed(f"{profile}/{run}") as progress,
        _staging_folder(reports / ".staging" / profile / run) as top,
    ):
        _recover(reports / profile / run)
        progress.result = _make(values, top / profile / run, target=reports / profile / run)
    return progress.result


def _make(values: dict[str, object], staging: Path, *, target: Path) -> str:
    staging.mkdir(parents=True)
    executed, log = staging / "notebook.ipynb", staging / "kernel.log"
    failure = _execute(values, notebook_path(target.name), executed, log=log)
    status, reason = _outcome(failure, log=log)
    if failure is not None:
        first = heading(target.name, target.parent.name, status=status)
        write_results(
            staging,
            first | {"reason": reason, "environment": Environment.current().model_dump(), "params": values},
        )
    if executed.exists():
        _name_final_folder(executed, staging=staging, target=target)
        export_report(executed, staging / "report.html", title=target.name)
    if failure is not None:
        print(f"{target.name}: {status.replace('_', ' ')}: {reason}", file=sys.stderr)
    attempt = target.parent / ".failed" / target.name
    if status == "failed" or (status == "not_run" and _is_done(target)):
        _replace(attempt, staging)
    else:
        _replace(target, staging)
        shutil.rmtree(attempt, ignore_errors=True)
    return status


def _execute(values: dict[str, object], notebook: Path, executed: Path, *, log: Path) -> Exception | None:
    try:
        with _stderr_to(log):
            papermill.execute_notebook(
                notebook,
                executed,
                parameters=values | {"output_dir": str(executed.parent)},
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=CELL_TIMEOUT,
                extra_arguments=[*KERNEL_OPTIONS],
            )
    except Exception as error:  # whatever stops a notebook, a dead kernel too, is a failure of this run
        return error
    if not executed.with_name("results.json").exists():
        return RuntimeError("the notebook ended without writing results.json")
    return None


def _outcome(failure: Exception | None, *, log: Path) -> tuple[str, str | None]:
    if failure is None:
        return "done", None
    if not isinstance(failure, PapermillExecutionError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [f"; last line of {log.name}: {line.strip()}" for line in lines if line.strip()][-1:]
        return "failed", _in_project("".join([f"{type(failure).__name__}: {failure}", *said]))
    if failure.ename in _MISSING and failure.evalue:
        return "not_run", _in_project(failure.evalue)
    return "failed", _in_project(f"{failure.ename}: {failure.evalue}")


def _is_done(folder: Path) -> bool:
    try:
        return read_json(folder / "results.json")["status"] == "done"
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # absent, damaged or something else
        return False


def _name_final_folder(notebook: Path, *, staging: Path, target: Path) -> None:
    # The stored notebook should name the folder that a reader finds, not the one it was made in.
    text = _in_project(notebook.read_text(encoding="utf-8"))
    text = text.replace(_in_project(str(staging)), _in_project(str(target)))
    notebook.write_text(text, encoding="utf-8")


def _in_project(text: str) -> str:
    # Where the checkout lies on this machine says nothing to a reader.
    return text.replace(f"{project_path('')}/", "")


def _replace(target: Path, staging: Path) -> None:
    # Two renames: there is no moment in which the folder is half old, half new. A process that is killed
    # between them leaves the old one where `_recover` finds it.
    target.parent.mkdir(parents=True, exist_ok=True)
    retired = _retired(target)
    shutil.rmtree(retired, ignore_errors=True)
    if target.exists():
        os.rename(target, retired)
    os.rename(staging, target)
    shutil.rmtree(retired, ignore_errors=True)


def _recover(target: Path) -> None:
    if _retired(target).exists() and not target.exists():
        os.rename(_retired(target), target)


def _retired(target: Path) -> Path:
    return target.with_name(f".{target.name}.retired")


@contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    # The kernel inherits file descriptor 2: frameworks talk there, below everything that Python could catch.
    terminal = os.dup(2)
    try:
        with open(log, "wb") as file:
            sys.stderr.flush()
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _staging_folder(folder: Path) -> Iterator[Path]:
    # What an earlier run left here it left when it was killed. The name is new each time: should its kernel
    # still be alive, it cannot write into this run.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield Path(tempfile.mkdtemp(dir=folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    # The kernel of the system lets go of this lock when the process dies, however it dies.
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{path.name}: the same run is already being made; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Progress:
    result = "stopped"


@contextmanager
def _elapsed(label: str) -> Iterator[_Progress]:
    progress, finished, start = _Progress(), threading.Event(), time.monotonic()

    def tick() -> None:
        while not finished.wait(1):
            print(f"\r{label:<44} {time.monotonic() - start:5.0f} s", end="", flush=True)

    on_terminal = sys.stdout.isatty()
    if on_terminal:
        threading.Thread(target=tick, daemon=True).start()
    try:
        yield progress
    finally:
        finished.set()
        line = f"{label:<44} {time.monotonic() - start:5.0f} s  {progress.result.replace('_', ' ')}"
        print(f"\r{line}" if on_terminal else line, flush=True)
