"""Whatever is set, wherever it is set, is checked; a misspelt name is an error that says which was meant."""

import string

import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from fer_utils.files import ConfigError, project_path
from fer_utils.params import (
    NOTEBOOKS,
    BaselineCNN,
    Summary,
    notebook_defaults,
    notebook_of,
    notebook_path,
    parameter_names,
    read_yaml,
    yaml_runs,
)

STORED = [name for name in NOTEBOOKS if notebook_path(name).exists()]
YAMLS = sorted(project_path("params").glob("*/*.yaml"))
KUMAR = "10_baseline_cnn--kumar2021.yaml"

each_notebook = pytest.mark.parametrize("notebook", STORED)


def cells_of(notebook: str) -> list[str]:
    content = nbformat.read(notebook_path(notebook), as_version=4)
    return [cell.source for cell in content.cells if cell.cell_type == "code"]


def yaml_file(folder, text: str, name: str = KUMAR):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- the models and the notebooks --------------------------------------------------------------------


@each_notebook
def test_a_notebooks_parameters_cell_names_exactly_what_its_model_knows(notebook):
    assert list(notebook_defaults(notebook)) and set(notebook_defaults(notebook)) == set(
        NOTEBOOKS[notebook].model_fields
    )


@each_notebook
def test_a_notebooks_defaults_are_valid_and_lead_to_a_folder_of_its_own(notebook):
    params = NOTEBOOKS[notebook].checked(notebook_defaults(notebook), where="test")
    assert (params.run, params.profile) == (notebook, "by_hand")


@each_notebook
def test_the_parameters_cell_begins_as_the_check_expects(notebook):
    assert cells_of(notebook)[0].startswith("# Defaults")


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_parameter_file_is_valid(path):
    assert set(read_yaml(path)) <= set(NOTEBOOKS[notebook_of(path.stem)].model_fields)


def test_checked_parameters_are_frozen_and_describe_the_study_without_its_folders():
    params = BaselineCNN.checked(notebook_defaults("10_baseline_cnn"), where="test")
    with pytest.raises(ValueError, match="frozen"):
        params.epochs = 1
    assert set(BaselineCNN.model_fields) - set(params.studied()) == {"output_dir", "checkpoint_dir"}


# --- names -------------------------------------------------------------------------------------------


@st.composite
def one_edit_away(draw) -> tuple[type, str, str]:
    model = draw(st.sampled_from(sorted(NOTEBOOKS.values(), key=lambda found: found.__name__)))
    name = draw(st.sampled_from(sorted(model.model_fields)))
    at = draw(st.integers(0, len(name)))
    typed = draw(st.sampled_from(["", *string.ascii_letters, *string.digits, "_", "-", " ", "é"]))
    return model, name, name[:at] + typed + name[at + draw(st.integers(0, 1)) :]


@given(one_edit_away())
@example((BaselineCNN, "epochs", "epoch"))
@example((BaselineCNN, "l2", "12"))
@example((BaselineCNN, "synthetic_subjects", "synthetic_subject"))
def test_a_name_one_edit_away_is_reported_with_the_name_that_was_meant(edited):
    model, name, typed = edited
    if typed in model.model_fields:
        return
    with pytest.raises(ConfigError) as caught:
        model.checked({typed: 1}, where="somewhere")
    assert str(caught.value) == f"somewhere: unknown parameter {typed!r}; did you mean {name!r}?"


def test_every_unknown_name_is_reported_at_once():
    with pytest.raises(ConfigError, match=r"'epoch'; did you mean 'epochs'\?.*'sede'; did you mean 'seed'\?"):
        BaselineCNN.checked({"epoch": 3, "sede": 1}, where="test")


def test_a_name_like_no_other_is_answered_with_all_that_are_known():
    with pytest.raises(ConfigError, match="unknown parameter 'xyzzy'; known are output_dir, reports_dir"):
        Summary.checked({"xyzzy": 1}, where="test")


def test_a_missing_parameter_is_named():
    with pytest.raises(ConfigError, match="test: reports_dir is missing"):
        Summary.checked({"output_dir": "reports/by_hand/90_summary"}, where="test")


# --- values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "35"),
        ("epochs", 3.5),
        ("epochs", True),
        ("batch_norm", "yes"),
        ("batch_norm", 1),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("learning_rate", 0),
        ("learning_rate", "1e-3"),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("l2", float("inf")),
        ("seed", -1),
        ("seed", None),
        ("synthetic_subjects", 2),
        ("label_set", "fer8"),
        ("optimizer", "Adam"),
        ("dataset", "FER2013"),
        ("output_dir", ""),
    ],
)
def test_a_value_out_of_type_or_range_is_named_with_its_parameter(name, value):
    values = notebook_defaults("10_baseline_cnn") | {name: value}
    with pytest.raises(ConfigError, match=f"test: {name}={value!r}: "):
        BaselineCNN.checked(values, where="test")


def test_a_whole_number_is_accepted_where_a_fraction_is():
    params = BaselineCNN.checked(notebook_defaults("10_baseline_cnn") | {"dropout": 0, "l2": 0}, where="test")
    assert (params.dropout, params.l2) == (0.0, 0.0)


# --- parameter files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epoch: 3", r"unknown parameter 'epoch'; did you mean 'epochs'\?"),
        ("12: 0.1", r"unknown parameter 12; did you mean 'l2'\?"),
        ("epochs: 3\nseed: 1\nepochs: 30", "'epochs' is set twice"),
        ("- epochs", "holds a list, not lines of `name: value`"),
        ("[]", "holds a list, not lines of `name: value`"),
        ("false", "holds a bool, not lines of `name: value`"),
        ("epochs 3", "holds a str, not lines of `name: value`"),
        ("epochs: [3", "not readable as YAML"),
        ("epochs: 2026-13-01", "not readable as YAML"),
        ("epochs: !!python/object:os.system {}", "not readable as YAML"),
        ("epochs: {one: 1, one: 2}", "'one' is set twice"),
        ("output_dir: reports/elsewhere", "output_dir belongs to a machine, not to a study; remove it"),
        ("checkpoint_dir: here\noutput_dir: there", "checkpoint_dir, output_dir belongs to a machine"),
        ("seed: -1", "seed=-1: "),
        ("seed:", "seed=None: "),
    ],
)
def test_a_parameter_file_that_cannot_be_used_is_named_with_what_is_wrong(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=rf"{KUMAR}: .*{complaint}"):
        read_yaml(yaml_file(tmp_path, text))


def test_bytes_that_are_no_text_are_no_parameter_file(tmp_path):
    path = tmp_path / KUMAR
    path.write_bytes(b"seed: \xff\xfe")
    with pytest.raises(ConfigError, match=f"{KUMAR}: not readable as YAML"):
        read_yaml(path)


def test_an_empty_parameter_file_means_the_defaults(tmp_path):
    assert read_yaml(yaml_file(tmp_path, "# nothing differs\n")) == {}


def test_an_unknown_run_of_a_known_notebook_is_answered_with_the_nearest_that_exists(tmp_path):
    yaml_file(tmp_path, "", "10_baseline_cnn--bamb2023.yaml")
    yaml_file(tmp_path, "")
    with pytest.raises(ConfigError, match="no such file; did you mean '10_baseline_cnn--kumar2021'"):
        read_yaml(tmp_path / "10_baseline_cnn--kumar21.yaml")


def test_an_unknown_notebook_is_answered_with_the_nearest_that_exists(tmp_path):
    with pytest.raises(ConfigError, match=r"no notebook '10_base_cnn'; did you mean '10_baseline_cnn'\?"):
        read_yaml(yaml_file(tmp_path, "", "10_base_cnn--kumar2021.yaml"))


def test_a_profiles_runs_are_its_files_in_order(tmp_path):
    for name in ("b.yaml", "a--x.yaml", "notes.txt"):
        yaml_file(tmp_path, "", name)
    assert yaml_runs(tmp_path) == ["a--x", "b"]


def test_a_notebook_whose_defaults_are_not_plain_values_is_named(tiny):
    tiny.write()
    content = nbformat.read(notebook_path("90_summary"), as_version=4)
    content.cells[0].source += "\nreports_dir = str(1)"
    nbformat.write(content, notebook_path("90_summary"))
    with pytest.raises(ConfigError, match=r"90_summary\.ipynb: a default is not a plain value"):
        notebook_defaults("90_summary")


def test_a_notebook_without_a_parameters_cell_is_named(tiny):
    tiny.write()
    content = nbformat.read(notebook_path("90_summary"), as_version=4)
    content.cells[0].metadata.tags = []
    nbformat.write(content, notebook_path("90_summary"))
    with pytest.raises(ConfigError, match=r"90_summary\.ipynb: 0 cells tagged `parameters` instead of one"):
        notebook_defaults("90_summary")


# --- as JupyterLab executes cells, in any order ------------------------------------------------------

CHECK = "from fer_utils.params import BaselineCNN\n\nparams = BaselineCNN.from_notebook()"


class JupyterLab:
    """Executes cells one after the other, as a kernel does for JupyterLab."""

    def __init__(self, shell: InteractiveShell):
        self.shell = shell

    def run(self, *cells: str) -> "JupyterLab":
        for cell in cells:
            self.shell.run_cell(cell, store_history=True).raise_error()
        return self

    def attempt(self, cell: str) -> Exception | None:
        result = self.shell.run_cell(cell, store_history=True)
        return result.error_in_exec or result.error_before_exec

    def __getitem__(self, name: str) -> object:
        return self.shell.user_ns[name]


@pytest.fixture
def lab(capsys) -> JupyterLab:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield JupyterLab(shell)
    InteractiveShell.clear_instance()


@pytest.fixture
def defaults() -> str:
    return cells_of("10_baseline_cnn")[0]


def test_the_defaults_as_stored_are_accepted(lab, defaults):
    assert lab.run(defaults, CHECK)["params"].epochs == notebook_defaults("10_baseline_cnn")["epochs"]


def test_a_name_misspelt_in_the_edited_cell_is_named_and_a_corrected_one_forgotten(lab, defaults):
    lab.run(defaults.replace("\nepochs =", "\nepoch ="))
    assert "unknown parameter 'epoch'; did you mean 'epochs'?" in str(lab.attempt(CHECK))
    assert lab.run(defaults.replace("\nepochs = ", "\nepochs = 1"), CHECK)["params"].epochs >= 10


@pytest.mark.parametrize(
    "line", ["epoch = 3", "epoch: int = 3", "epoch = n_epochs = 3", "seed, epoch = 0, 3"]
)
def test_a_misspelt_line_added_to_the_cell_is_named_however_it_is_written(lab, defaults, line):
    lab.run(f"{defaults}\n{line}")
    assert "'epoch'; did you mean 'epochs'?" in str(lab.attempt(CHECK))


def test_a_misspelt_name_that_was_injected_is_named(lab, defaults):
    lab.run(defaults, "# Parameters\nepoch = 3\n")
    assert "unknown parameter 'epoch'; did you mean 'epochs'?" in str(lab.attempt(CHECK))


def test_an_injected_value_takes_the_place_of_the_default(lab, defaults):
    assert lab.run(defaults, "# Parameters\nepochs = 35\n", CHECK)["params"].epochs == 35


def test_the_check_can_be_run_again_after_later_cells(lab, defaults):
    later = "from pathlib import Path\nfaces, model = [], None\nepoch = 3\nfor fold in range(2): pass"
    assert lab.run(defaults, CHECK, later, CHECK)["params"].epochs


def test_a_bad_value_in_the_edited_cell_is_named(lab, defaults):
    lab.run(defaults + '\nlabel_set = "fer8"')
    assert "this notebook: label_set='fer8': " in str(lab.attempt(CHECK))


def test_a_parameters_cell_that_is_not_python_is_named_as_such(lab, defaults):
    assert isinstance(lab.attempt(defaults + "\nepochs ="), SyntaxError)
    problem = lab.attempt(CHECK)
    assert isinstance(problem, ConfigError) and "the parameters cell is not Python: line " in str(problem)


def test_a_parameters_cell_that_stopped_half_way_is_named_as_such(lab, defaults):
    assert isinstance(lab.attempt(defaults.replace("seed = 0", "seed = undefined_name")), NameError)
    problem = lab.attempt(CHECK)
    assert isinstance(problem, ConfigError) and "seed has no value" in str(problem)


def test_the_check_before_the_parameters_cell_says_what_to_run_first(lab):
    assert "run the parameters cell (it begins with `# Defaults`) before this one" in str(lab.attempt(CHECK))


def test_parameters_are_only_read_from_a_notebook():
    InteractiveShell.clear_instance()
    with pytest.raises(ConfigError, match="none is running here"):
        Summary.from_notebook()


def test_only_the_last_execution_of_each_parameters_cell_counts():
    executed = ["", "# Defaults\nold = 1", "x = 2", "# Defaults\na = 1\nb = 2", "# Parameters\nb = 3\nc = 4"]
    assert parameter_names(executed) == ["a", "b", "c"]
