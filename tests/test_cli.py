"""The commands behind `make`: 0 when it is done, 1 when it failed, 2 when what was asked cannot be used."""

import pytest
from bs4 import BeautifulSoup
from conftest import RUN

import fer_utils.runner
from fer_utils.cli import main


def profile(tiny, name: str, **runs: str) -> None:
    folder = tiny.folder / "params" / name
    folder.mkdir(parents=True, exist_ok=True)
    for run, text in runs.items():
        (folder / f"{RUN}{run}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def project(tiny):
    tiny.write()
    profile(tiny, "smoke", **{"--short": "reports_dir: reports"})
    profile(tiny, "paper")
    return tiny


# --- run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("not_run", 0), ("failed", 1)])
def test_run_exits_by_how_the_run_ended(monkeypatch, status, code):
    monkeypatch.setattr(fer_utils.runner, "run_yaml", lambda path, run: status)
    assert main(["run", "params/smoke/90_summary.yaml"]) == code


def test_run_of_an_unknown_file_is_answered_in_one_line_with_the_nearest(project, capsys):
    assert main(["run", str(project.yaml.with_name(f"{RUN}--shrot.yaml"))]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and f"did you mean '{RUN}--short'?" in err and err.count("\n") == 1


def test_run_of_a_misspelt_parameter_names_the_right_one(project, capsys):
    profile(project, "smoke", **{"": "report_dir: x"})
    assert main(["run", str(project.yaml)]) == 2
    assert "unknown parameter 'report_dir'; did you mean 'reports_dir'?" in capsys.readouterr().err


# --- check-params ------------------------------------------------------------------------------------


def test_check_params_counts_the_files_that_are_valid(project, capsys):
    assert main(["check-params"]) == 0
    assert capsys.readouterr().out == "2 parameter files are valid\n"
    assert main(["check-params", "--profile", "smoke", "--run", RUN]) == 0
    assert capsys.readouterr().out == "1 parameter file is valid\n"
    assert main(["check-params", "--profile", "paper"]) == 0
    assert capsys.readouterr().out == "0 parameter files are valid\n"


def test_check_params_names_every_file_that_is_not(project, capsys):
    profile(project, "smoke", **{"--short": "report_dir: x"})
    profile(project, "paper", **{"--long": "reports_dir: 3"})
    assert main(["check-params"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        f"error: params/paper/{RUN}--long.yaml: reports_dir=3: input should be a valid string",
        f"error: params/smoke/{RUN}--short.yaml: unknown parameter 'report_dir'; did you mean 'reports_dir'?",
    ]


def test_check_params_looks_only_at_the_profile_asked_for(project):
    profile(project, "paper", **{"--long": "reports_dir: 3"})
    assert main(["check-params", "--profile", "smoke"]) == 0
    assert main(["check-params", "--profile", "paper"]) == 2


def test_check_params_of_an_unknown_profile_names_the_known_ones(project, capsys):
    assert main(["check-params", "--profile", "smok"]) == 2
    assert capsys.readouterr().err == "error: no profile 'smok' in params/; known are paper, smoke\n"


def test_check_params_of_an_unknown_run_names_the_nearest(project, capsys):
    assert main(["check-params", "--profile", "smoke", "--run", f"{RUN}--shrt"]) == 2
    assert f"did you mean '{RUN}--short'?" in capsys.readouterr().err


# --- index, data, readme -----------------------------------------------------------------------------


def test_index_lists_what_has_not_been_run_yet(project, capsys):
    assert main(["index"]) == 0
    assert capsys.readouterr().out == "report: reports/smoke/index.html\n"
    page = (project.folder / "reports" / "smoke" / "index.html").read_text("utf-8")
    text = BeautifulSoup(page, "html.parser").get_text()
    assert f"{RUN}--short" in text and "not run yet" in text


def test_data_says_what_is_missing_and_what_to_put_where(project, capsys):
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert "fer2013: missing\n  put     data/raw/fer2013.csv" in out and "synthetic: always there" in out


def test_readme_renews_its_tables_and_nothing_else(project, capsys):
    readme = project.folder / "README.md"
    names = ("results", "methods", "clips", "effects")
    marked = "".join(f"<!-- {name}:start -->\nold\n<!-- {name}:end -->\n" for name in names)
    readme.write_text(f"before\n{marked}after\n", encoding="utf-8")
    assert main(["readme"]) == 0
    text = readme.read_text("utf-8")
    assert "old" not in text and "| study |" in text and "| run |" in text and "| recipe |" in text
    assert text.startswith("before\n") and text.endswith("after\n")


# --- refresh-outputs ---------------------------------------------------------------------------------


def test_refresh_outputs_takes_the_notebooks_of_the_project(project, monkeypatch, capsys):
    monkeypatch.setattr("fer_utils.refresh.refresh_outputs", lambda path: f"{path.name}: 1 KiB")
    assert main(["refresh-outputs"]) == 0
    assert capsys.readouterr().out == f"{RUN}.ipynb: 1 KiB\n"


# --- what cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["rnu"], ["run"], ["check-params", "--profil"]])
def test_an_unknown_command_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: fer-utils" in capsys.readouterr().err


# --- trainings ahead of a run -----------------------------------------------------------------------


def train_ahead(folder, text: str, *, name: str = "30_cnn3d_smic--a.yaml", job: int = 0) -> int:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return main(["train", str(path), "--job", str(job)])


def test_only_a_study_of_folds_is_trained_ahead(tmp_path, capsys):
    assert train_ahead(tmp_path, "epochs: 1", name="10_baseline_cnn--a.yaml") == 2
    assert "only runs of 30_cnn3d_smic have folds to train ahead" in capsys.readouterr().err


def test_a_job_that_the_run_does_not_have_is_refused(tmp_path, capsys):
    assert train_ahead(tmp_path, "fold_jobs: 2", job=2) == 2
    assert "--job 2: " in (said := capsys.readouterr().err) and "has jobs 0 to 1" in said


def test_without_its_data_a_job_has_nothing_to_do_and_the_run_says_why(tmp_path, capsys):
    assert train_ahead(tmp_path, f"dataset: samm\ndata_path: {tmp_path}") == 0
    assert "nothing to train: samm is not here" in capsys.readouterr().out
