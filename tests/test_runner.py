"""One run: a whole folder or none, whatever happens to the notebook, its kernel or the machine."""

import errno
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from unittest.mock import Mock

import papermill
import pytest
from conftest import RUN, WRITE_RESULTS, TinyProject
from papermill.exceptions import PapermillExecutionError

from fer_utils.cli import main
from fer_utils.files import ConfigError
from fer_utils.report import write_index
from fer_utils.runner import run_yaml

MISSING = "looked for /somewhere/fer2013.csv"


def left_behind(tiny: TinyProject) -> list[str]:
    """Return the files of runs under way or abandoned."""
    return [path.name for path in tiny.staging.rglob("*") if path.is_file()]


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def cell_error(name: str, text: str) -> PapermillExecutionError:
    place = {"cell_index": 1, "exec_count": 2, "source": "", "traceback": []}
    return PapermillExecutionError(ename=name, evalue=text, **place)


@pytest.fixture
def stopped_by(monkeypatch):
    """Return a function that lets every execution end in the given error, after the kernel said something."""

    def arrange(error: BaseException, said: bytes = b"") -> None:
        def execute(*_, **__):
            os.write(2, said)
            raise error

        monkeypatch.setattr(papermill, "execute_notebook", execute)

    return arrange


# --- with a real kernel ------------------------------------------------------------------------------


def test_a_good_run_leaves_a_whole_folder_and_one_line(tiny, capfd):
    chatter = "import os\n\nassert os.write(2, b'a framework greets') and reports_dir == 'elsewhere'"
    tiny.write(chatter, WRITE_RESULTS, yaml="reports_dir: elsewhere")
    (tiny.failed / "figures").mkdir(parents=True)
    assert run_yaml(tiny.yaml) == "done"
    assert tiny.results(tiny.target)["run"] == RUN
    names = {"notebook.ipynb", "report.html", "results.json", "kernel.log"}
    assert {path.name for path in tiny.target.iterdir()} == names
    assert left_behind(tiny) == []
    assert not tiny.failed.exists(), "an earlier failure is history"

    page, log = (tiny.target / "report.html").read_text("utf-8"), (tiny.target / "kernel.log").read_text()
    notebook = (tiny.target / "notebook.ipynb").read_text("utf-8")
    assert "a framework greets" in log
    for text in (page, notebook):
        assert f"written to reports/smoke/{RUN}" in text
        assert ".staging" not in text and str(tiny.folder) not in text

    out, err = capfd.readouterr()
    assert err == "" and len(out.splitlines()) == 1
    assert out.startswith(f"smoke/{RUN} ") and out.endswith(" s  done\n")


def test_a_failing_cell_is_shown_and_the_earlier_good_folder_untouched(tiny, capfd):
    tiny.finished_earlier()
    tiny.write(WRITE_RESULTS, "raise ValueError('the loss is not a number')")
    assert main(["run", str(tiny.yaml)]) == 1
    assert "90_summary: failed: ValueError: the loss is not a number" in capfd.readouterr().err
    assert tiny.results(tiny.target)["reason"] == "made earlier"
    assert tiny.results(tiny.failed)["status"] == "failed"
    assert tiny.results(tiny.failed)["reason"] == "ValueError: the loss is not a number"
    assert "the loss is not a number" in (tiny.failed / "report.html").read_text("utf-8")
    assert left_behind(tiny) == []
    page = write_index(tiny.target.parent).read_text("utf-8")
    assert "the loss is not a number" in page and f".failed/{RUN}/report.html" in page


@pytest.mark.parametrize(("after", "status"), [("", "done"), ("raise ValueError('no room')", "failed")])
def test_a_figure_that_fails_says_so_in_its_place_and_decides_nothing(after, status, tiny, capfd):
    tiny.write("run.show(plots.of_what_is_not_there)", WRITE_RESULTS, after)
    assert run_yaml(tiny.yaml) == status
    folder = tiny.target if status == "done" else tiny.failed
    assert "NameError" in (folder / "report.html").read_text("utf-8")
    key, text = ("note", "a figure is missing: NameError") if status == "done" else ("reason", "no room")
    assert text in tiny.results(folder)[key] and text in capfd.readouterr().err


def test_the_kernel_is_this_python_without_startup_files_of_the_user(tiny, monkeypatch):
    for name, text in {
        "kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "other", "language": "python"}',
        "profile_default/startup/00.py": "raise SystemExit",
    }.items():
        (tiny.folder / name).parent.mkdir(parents=True)
        (tiny.folder / name).write_text(text)
    for name in ("JUPYTER_PATH", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tiny.folder))
    tiny.write(f"import sys\n\nassert sys.executable == {sys.executable!r}", WRITE_RESULTS)
    assert run_yaml(tiny.yaml) == "done"


def test_a_file_system_without_locks_is_named_and_the_run_goes_on(tiny, stopped_by, monkeypatch, capfd):
    tiny.write()
    stopped_by(cell_error("MissingData", MISSING))
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    assert run_yaml(tiny.yaml) == "not_run"
    assert f"{tiny.folder}/reports/.locks/smoke: no locks here" in capfd.readouterr().err


def test_a_kernel_that_dies_is_a_failure_even_after_the_result_was_written(tiny, capfd):
    death = "import os, signal\n\nos.write(2, b'out of memory\\n')\nos.kill(os.getpid(), signal.SIGKILL)"
    tiny.write(WRITE_RESULTS, death)
    assert main(["run", str(tiny.yaml)]) == 1
    assert tiny.results(tiny.failed)["reason"].endswith("Kernel died; last line of kernel.log: out of memory")
    assert not tiny.target.exists()
    assert "Traceback" not in capfd.readouterr().err


def test_a_killed_run_leaves_nothing_that_looks_finished_and_can_be_made_again(tiny):
    slow = "import os, time\nfrom pathlib import Path\n\nPath(reports_dir).write_text(str(os.getpid()))\n"
    started = tiny.folder / "started"
    tiny.write(WRITE_RESULTS, slow + "time.sleep(600)", yaml=f"reports_dir: {started}")
    process = tiny.command_line("run", tiny.yaml)
    try:
        wait_for(lambda: started.exists() and started.read_text())
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not tiny.target.exists() and not tiny.failed.exists()
    assert "results.json" in left_behind(tiny), "killed too early to show anything"

    tiny.write(slow, WRITE_RESULTS, yaml=f"reports_dir: {tiny.folder / 'again'}")
    assert run_yaml(tiny.yaml) == "done"
    assert left_behind(tiny) == [] and tiny.results(tiny.target)["status"] == "done"
    wait_for(lambda: has_ended(int(started.read_text())), seconds=10)


def has_ended(pid: int) -> bool:
    """Whether the orphaned kernel of a killed runner is gone (or a zombie that nobody waits for)."""
    try:
        return " Z " in open(f"/proc/{pid}/stat").read()
    except FileNotFoundError:
        return True


def test_a_second_runner_waits_for_the_first(tiny, stopped_by, capfd):
    tiny.write()
    stopped_by(cell_error("ValueError", "this attempt fails"))
    lock = tiny.folder / "reports" / ".locks" / "smoke" / RUN
    lock.parent.mkdir(parents=True)
    said, status = [], []
    with open(lock, "w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = threading.Thread(target=lambda: status.append(run_yaml(tiny.yaml)), daemon=True)
        second.start()
        wait_for(lambda: said.append(capfd.readouterr().err) or "in progress" in "".join(said))
        assert not tiny.staging.exists() and status == []
    second.join(60)
    assert status == ["failed"]


# --- however an execution ends -----------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["MissingData", "MissingGPU"])
def test_what_is_missing_here_is_not_run_which_is_no_failure(missing, tiny, stopped_by, capfd):
    tiny.write()
    stopped_by(cell_error(missing, f"{MISSING} or {tiny.folder}/data/raw"))
    assert main(["run", str(tiny.yaml)]) == 0
    content = tiny.results(tiny.target)
    assert (content["status"], content["reason"]) == ("not_run", f"{MISSING} or data/raw")
    assert f"90_summary: not run: {MISSING}" in capfd.readouterr().err
    shutil.rmtree(tiny.target)
    tiny.finished_earlier()
    assert run_yaml(tiny.yaml) == "not_run"
    assert tiny.results(tiny.target)["reason"] == "made earlier"


@pytest.mark.parametrize(
    ("error", "said", "reason"),
    [
        (cell_error("MissingData", ""), b"", "MissingData: "),
        (cell_error("ConfigError", "epoch"), b"noise", "ConfigError: epoch"),
        (
            RuntimeError("no answer"),
            b"\xff\n",
            "no answer; last line of kernel.log: \N{REPLACEMENT CHARACTER}",
        ),
    ],
)
def test_every_other_end_is_a_failure_with_its_reason(tiny, stopped_by, capfd, error, said, reason):
    tiny.write()
    stopped_by(error, said)
    assert main(["run", str(tiny.yaml)]) == 1
    results = tiny.results(tiny.failed)
    assert results["status"] == "failed" and results["reason"].endswith(reason)
    assert (tiny.failed / "kernel.log").read_bytes() == said
    out, err = capfd.readouterr()
    assert out.endswith("failed\n") and reason in err


def test_a_notebook_that_ends_without_a_result_has_failed(tiny, monkeypatch):
    tiny.write()
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: None)
    assert run_yaml(tiny.yaml) == "failed"
    assert "ended without writing results.json" in tiny.results(tiny.failed)["reason"]


def test_a_run_that_is_interrupted_gives_back_the_terminal_and_cleans_up(tiny, stopped_by, capfd):
    tiny.write()
    stopped_by(KeyboardInterrupt(), b"only for the log")
    with pytest.raises(KeyboardInterrupt):
        run_yaml(tiny.yaml)
    os.write(2, b"heard again")
    out, err = capfd.readouterr()
    assert err == "heard again" and out.endswith("stopped\n")
    assert left_behind(tiny) == [] and not tiny.target.exists() and not tiny.failed.exists()


def test_a_parameter_file_that_cannot_be_used_starts_nothing(tiny, monkeypatch):
    monkeypatch.setattr(papermill, "execute_notebook", lambda *_, **__: pytest.fail("it was executed"))
    tiny.write(yaml="report_dir: reports")
    with pytest.raises(ConfigError, match="did you mean 'reports_dir'"):
        run_yaml(tiny.yaml)
    assert not (tiny.folder / "reports").exists()


def test_a_result_that_a_kill_left_between_two_renames_is_put_back(tiny, stopped_by):
    tiny.write()
    stopped_by(cell_error("ValueError", "this attempt fails"))
    tiny.finished_earlier()
    tiny.target.rename(tiny.target.with_name(f".{RUN}.retired"))
    assert run_yaml(tiny.yaml) == "failed"
    assert tiny.results(tiny.target)["reason"] == "made earlier"
    assert not list(tiny.target.parent.glob(".*.retired"))
