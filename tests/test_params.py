"""Parameters are checked wherever they are set, and a misspelt name is an error that names the right one."""

import ast
import difflib

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from fer_utils.files import ConfigError, project_path
from fer_utils.params import NOTEBOOKS, BaselineCNN, Summary
from fer_utils.run import find_runs, notebook_defaults, notebook_path, profile_runs, read_runs

YAMLS = sorted(project_path("params").glob("*/*.yaml"))
KUMAR = "10_baseline_cnn--kumar2021.yaml"
CHECK = "from fer_utils.params import BaselineCNN\n\nparams = BaselineCNN.from_notebook(globals())"

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS)


def cells_of(notebook: str) -> list[str]:
    content = nbformat.read(notebook_path(notebook), as_version=4)
    return [cell.source for cell in content.cells if cell.cell_type == "code"]


def yaml_file(folder, text: str, name: str = KUMAR):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- notebooks and parameter files -------------------------------------------------------------------


@each_notebook
def test_the_parameters_cell_is_valid_and_complete(notebook):
    defaults, fields = notebook_defaults(notebook), NOTEBOOKS[notebook].model_fields
    params = NOTEBOOKS[notebook].from_values(defaults)
    assert (params.run, params.profile) == (notebook, "by_hand")
    assert set(fields) - set(defaults) <= {name for name, field in fields.items() if not field.is_required()}


@each_notebook
def test_no_name_of_a_later_cell_looks_like_a_misspelt_parameter(notebook):
    # Else the parameters could not be read again in a kernel in which later cells have run.
    plain = (ast.Constant, ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.JoinedStr)
    statements = [node for source in cells_of(notebook)[1:] for node in ast.parse(source).body]
    assigned = [node for node in statements if isinstance(node, ast.Assign) and isinstance(node.value, plain)]
    targets = [target for node in assigned for target in node.targets]
    loops = [node for node in statements if isinstance(node, ast.For)]
    targets += [node.target for node in loops if "range" in ast.dump(node.iter)]
    names = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    fields = NOTEBOOKS[notebook].model_fields
    alike = {name: difflib.get_close_matches(name, fields, 1, 0.8) for name in names - set(fields)}
    assert not {name: found for name, found in alike.items() if found}


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_parameter_file_is_valid(path):
    assert all(run == path.stem or run.startswith(f"{path.stem}--") for run in read_runs(path))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("# no changes\n", {}),
        ("learning_rate: 1e-3", {"learning_rate": 0.001}),
        ("data_path: 006_1_2", {"data_path": "006_1_2"}),  # a clip of SAMM, which YAML takes for a number
    ],
)
def test_a_parameter_file_holds_what_differs_from_the_defaults(tmp_path, text, values):
    assert read_runs(yaml_file(tmp_path, text)) == {"10_baseline_cnn--kumar2021": values}


def test_parameters_are_immutable_and_describe_the_study_without_its_folders():
    params = BaselineCNN.from_values(notebook_defaults("10_baseline_cnn"))
    with pytest.raises(ValueError, match="frozen"):
        params.epochs = 1
    assert set(BaselineCNN.model_fields) - set(params.studied()) == {"output_dir", "checkpoint_dir"}


# --- names and values --------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "name"), [("epoch", "epochs"), ("12", "l2"), ("labelset", "label_set")])
def test_a_misspelt_name_is_reported_with_the_right_name(typed, name):
    with pytest.raises(ConfigError, match=f"^somewhere: .*{typed!r}.*{name!r}"):
        BaselineCNN.from_values({typed: 1}, where="somewhere")


def test_missing_and_unknown_names_are_all_reported():
    with pytest.raises(ConfigError, match=r"'epoch'.*'epochs'.*'sede'.*'seed'"):
        BaselineCNN.from_values({"epoch": 3, "sede": 1})
    with pytest.raises(ConfigError, match=r"'xyzzy'.*output_dir, reports_dir"):
        Summary.from_values({"xyzzy": 1})
    with pytest.raises(ConfigError, match="reports_dir is missing"):
        Summary.from_values({"output_dir": "reports/by_hand/90_summary"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", "35"),
        ("batch_norm", 1),
        ("dropout", 1.0),
        ("learning_rate", float("inf")),
        ("label_set", "fer8"),
        ("output_dir", ""),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_reported_with_its_name(name, value):
    values = notebook_defaults("10_baseline_cnn") | {name: value}
    with pytest.raises(ConfigError, match=f"test: {name}={value!r}: "):
        BaselineCNN.from_values(values, where="test")


# --- parameter files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("epoch: 3", "'epoch'.*'epochs'"),
        ("epochs: 3\nseed: 1\nepochs: 30", "'epochs'"),
        ("- epochs", "list"),
        ("epochs: 2026-13-01", "YAML"),
        ("epochs: !!python/object:os.system {}", "YAML"),
        ("output_dir: reports/elsewhere", "output_dir"),
        ("seed: -1", "seed=-1"),
        ("grid: {seed: []}", "grid"),
        ("grid: {sede: [0]}", "'sede'.*'seed'"),
        ("seed: 0\ngrid: {seed: [0]}", "seed"),
        ("grid: {seed: [0, -1]}", "seed-1"),
    ],
)
def test_an_unusable_parameter_file_is_named_with_the_problem(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=rf"{KUMAR}.*{complaint}"):
        read_runs(yaml_file(tmp_path, text))


def test_a_grid_makes_one_run_of_each_combination(tmp_path):
    text = "epochs: 2\ngrid: {architecture: [kumar2021, bamb2023], dropout: [0.0, 0.5]}"
    path = yaml_file(tmp_path, text, "10_baseline_cnn--a.yaml")
    yaml_file(tmp_path, "", "10_baseline_cnn.yaml")
    runs = read_runs(path)
    values = {"epochs": 2, "architecture": "bamb2023", "dropout": 0.5}
    assert runs["10_baseline_cnn--a--bamb2023--dropout0.5"] == values
    assert len(runs) == 4 and list(profile_runs(tmp_path)) == sorted(["10_baseline_cnn", *runs])
    assert set(find_runs(tmp_path, "10_baseline_cnn--a")) == set(runs)
    assert find_runs(tmp_path, next(iter(runs))) == {next(iter(runs)): path}
    with pytest.raises(ConfigError, match=r"'10_baseline_cnn--b'.*'10_baseline_cnn--a'"):
        find_runs(tmp_path, "10_baseline_cnn--b")


def test_an_unknown_notebook_is_reported_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"'10_base_cnn'.*'10_baseline_cnn'"):
        read_runs(yaml_file(tmp_path, "", "10_base_cnn--kumar2021.yaml"))


@pytest.mark.parametrize("change", [{"source": "reports_dir = str(1)"}, {"tags": []}])
def test_a_notebook_without_literal_defaults_is_named(tiny, change):
    tiny.write()
    content = nbformat.read(notebook_path("90_summary"), as_version=4)
    content.cells[0].source = change.get("source", content.cells[0].source)
    content.cells[0].metadata.tags = change.get("tags", ["parameters"])
    nbformat.write(content, notebook_path("90_summary"))
    with pytest.raises(ConfigError, match=r"90_summary\.ipynb: "):
        notebook_defaults("90_summary")


# --- in a kernel, as JupyterLab, papermill and nbval execute cells -----------------------------------


class Kernel:
    """Executes cells one after the other, with or without a history (nbval has none)."""

    def __init__(self, shell: InteractiveShell, history: bool):
        self.shell, self.history = shell, history

    def run(self, *cells: str) -> dict:
        for cell in cells:
            self.shell.run_cell(cell, store_history=self.history).raise_error()
        return self.shell.user_ns

    def error(self, cell: str) -> str:
        return str(self.shell.run_cell(cell, store_history=self.history).error_in_exec)


@pytest.fixture(params=[True, False], ids=["history", "no history"])
def kernel(request, capsys) -> Kernel:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield Kernel(shell, request.param)
    InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def defaults() -> str:
    return cells_of("10_baseline_cnn")[0]


def test_stored_and_injected_values_are_accepted(kernel, defaults):
    assert kernel.run(defaults, "# Parameters\nepochs = 35\n", CHECK)["params"].epochs == 35


@pytest.mark.parametrize("line", ["epoch = 3", "epoch: int = 3", "seed, epoch = 0, 3", "bogus_option = None"])
def test_an_unknown_name_is_an_error_until_it_is_corrected(kernel, defaults, line):
    kernel.run(f"{defaults}\n{line}")
    name = "bogus_option" if "bogus" in line else "epoch"
    assert repr(name) in kernel.error(CHECK)
    assert kernel.run(defaults, CHECK)["params"].epochs


def test_parameters_can_be_read_again_after_later_cells(kernel, defaults):
    later = "from pathlib import Path\nfaces, model, others = [], None, {}\nfor fold in range(2): pass"
    kernel.run(defaults, CHECK, later, CHECK)
    kernel.run(defaults + "\nepoch = 3")
    assert "'epoch'; did you mean 'epochs'" in kernel.error(CHECK)
    assert kernel.run(CHECK)["params"].epochs


def test_a_bad_value_or_a_forgotten_cell_is_reported(kernel, defaults):
    assert "run the parameters cell" in kernel.error(CHECK)
    kernel.run(defaults + '\nlabel_set = "fer8"')
    assert "label_set='fer8'" in kernel.error(CHECK)
