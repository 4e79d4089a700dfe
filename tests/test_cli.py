"""The commands behind `make`: exit 0 when done, 1 after a failure, 2 for unusable input."""

import io
import subprocess
import sys

import pytest
from conftest import RUN

import fer_utils.runner
import fer_utils.tables
from fer_utils.cli import main
from fer_utils.files import PROJECT


@pytest.fixture
def project(tiny):
    tiny.write()
    (tiny.folder / "params" / "paper").mkdir()
    tiny.yaml.with_name(f"{RUN}--short.yaml").write_text("reports_dir: reports")
    return tiny


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("not_run", 0), ("failed", 1)])
def test_run_makes_each_run_of_a_grid_and_exits_by_their_status(project, monkeypatch, status, code):
    made = []
    monkeypatch.setattr(fer_utils.runner, "run_yaml", lambda path, run: made.append(run) or status)
    project.yaml.write_text("grid: {reports_dir: [a, b]}")
    assert main(["run", str(project.yaml)]) == code and made == [f"{RUN}--a", f"{RUN}--b"]
    assert main(["run", str(project.yaml), "--run", f"{RUN}--b"]) == code and made[2:] == [f"{RUN}--b"]


def test_unusable_input_is_one_line_that_names_the_right_one(project, capsys):
    assert main(["run", str(project.yaml.with_name("90_sumary.yaml"))]) == 2
    project.yaml.write_text("report_dir: x")
    assert main(["run", str(project.yaml)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ") and f"'{RUN}'" in first
    assert "'report_dir'" in second and "'reports_dir'" in second


def test_what_a_terminal_cannot_print_is_escaped_and_a_port_is_checked(project, monkeypatch, capsys):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        assert main(["data", "Čech"]) == 2
    terminal.seek(0)
    assert "\\u010cech: no such file or folder" in terminal.read()
    with pytest.raises(SystemExit):
        main(["page", "--port", "99999"])
    assert "'99999' is no port: 1 to 65535" in capsys.readouterr().err


def test_check_params_reports_every_problem_of_the_profiles_asked_for(project, capsys):
    assert main(["check-params"]) == 0
    project.yaml.write_text("report_dir: x")
    (project.folder / "params" / "paper" / f"{RUN}--long.yaml").write_text("reports_dir: 3")
    assert main(["check-params"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in err] == [
        f"params/paper/{RUN}--long.yaml",
        f"params/smoke/{RUN}.yaml",
    ]
    assert main(["check-params", "--profile", "smoke", "--run", f"{RUN}--short"]) == 0
    assert main(["check-params", "--profile", "smoke", "--run", f"{RUN}--shrt"]) == 2
    assert main(["check-params", "--profile", "smok"]) == main(["index", "--profile", "smok"]) == 2
    nearest, *profiles = capsys.readouterr().err.splitlines()
    assert f"'{RUN}--short'" in nearest and all("paper, smoke" in line for line in profiles)


def test_the_index_imports_nothing_that_takes_seconds():
    heavy = ("torch", "tensorflow", "sklearn", "nbconvert", "matplotlib", "papermill", "bs4", "pandas")
    code = "import sys; from fer_utils.cli import main; main(['index', '--profile', 'reference'])"
    code += f"; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert found.stdout.splitlines()[-1:] == ["[]"], found.stderr


def test_data_names_what_is_missing_and_where_to_put_it(project, capsys):
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "fer2013: missing\n  expected at data/raw/fer2013.csv" in out and "synthetic: " in out


@pytest.mark.parametrize(
    ("name", "text", "job", "code", "named"),
    [
        ("10_baseline_cnn--a.yaml", "epochs: 1", 0, 2, "30_cnn3d_smic"),
        ("30_cnn3d_smic--a.yaml", "fold_jobs: 2", 2, 2, "--job 2"),
        ("30_cnn3d_smic--a.yaml", "dataset: samm\ndata_path: none", 0, 0, "SAMM"),
    ],
)
def test_train_refuses_other_runs_and_jobs_and_waits_for_data(tmp_path, capsys, name, text, job, code, named):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["train", str(tmp_path / name), "--job", str(job)]) == code
    assert named in "".join(capsys.readouterr())
