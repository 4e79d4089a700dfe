"""What the repository promises about itself, beyond its code."""

import json
import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MAX_BYTES = 1_000_000
MAX_CELL_LINES = 12
TARGETS = "help env reproduce test lab live page data check-params check-gpu refresh-outputs bench lock clean"

# Put together here, so that this file does not hold what it looks for.
INDEX_HOSTS = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|anaconda|debian|ubuntu|devpi|artifactory|nexus|mirrors?)"
    + r"(?:\.[\w-]+)*\.(?:org|com|net|io|cn|edu)\b|--(?:extra-)?index"
    + r"-url\b",
    re.IGNORECASE,
)
MACHINE_PATHS = re.compile(
    r"(?:file://|(?<![\w./~}-]))" + "/" + r"(?:root|home|Users|work|workspace|tmp|mnt|scratch)" + r"/[\w.]"
)


@cache
def tracked(pattern: str = "*") -> list[Path]:
    if not (ROOT / ".git").exists():
        return []
    listed = subprocess.check_output(["git", "ls-files", "-z", "--", pattern], cwd=ROOT, text=True)
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


needs_git = pytest.mark.skipif(not tracked(), reason="no git checkout: which files belong to it is unknown")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def stated(project) -> list[str]:
    return project["dependencies"] + project["optional-dependencies"]["dev"]


@pytest.fixture(scope="module")
def environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def locked() -> list[tuple[Requirement, str]]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    logical = re.sub(r"\\\n", " ", text).splitlines()
    entries = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition("--hash=")[0]), line) for line in entries]


# --- the environment, stated three times -------------------------------------------------------------


def test_conda_and_pyproject_state_the_same_requirements(environment, stated):
    (by_pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert by_pip == [*stated, "-e ."]


def test_the_conda_python_is_one_that_the_project_supports(environment, project):
    (python,) = [entry for entry in environment["dependencies"] if str(entry).startswith("python=")]
    supported = Requirement("python" + project["requires-python"]).specifier
    assert supported.contains(python.removeprefix("python=") + ".0")


def test_every_direct_dependency_is_locked_to_a_version_that_it_allows(locked, stated):
    for wanted in map(Requirement, stated):
        name = canonicalize_name(wanted.name)
        found = [entry for entry, _ in locked if canonicalize_name(entry.name) == name]
        assert found, f"{wanted} is not in requirements.lock: run `make lock`"
        for entry in found:
            (pin,) = entry.specifier
            assert wanted.specifier.contains(pin.version), f"the lock has {entry}, wanted is {wanted}"


def test_every_locked_package_has_one_version_and_a_hash(locked):
    for entry, line in locked:
        assert [pin.operator for pin in entry.specifier] == ["=="], f"{entry} is not pinned"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{entry} has no hash"


def test_the_lock_names_no_address(locked):
    assert not [str(entry) for entry, line in locked if "://" in line]


def test_the_citation_names_this_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (str(citation["version"]), citation["license"]) == (project["version"], project["license"])


# --- what is committed -------------------------------------------------------------------------------


@needs_git
@pytest.mark.parametrize(
    ("forbidden", "advice"),
    [
        (INDEX_HOSTS, "name packages, never the registry they come from"),
        (MACHINE_PATHS, "write paths relative to the repository"),
    ],
    ids=["package registries", "paths of one machine"],
)
def test_no_tracked_file_is_tied_to_one_place(forbidden, advice):
    found = [
        f"{relative(path)}, line {number}: {hit[0]}"
        for path in tracked()
        for number, line in enumerate(path.read_bytes().decode("latin-1").splitlines(), start=1)
        if (hit := forbidden.search(line))
    ]
    assert not found, f"{advice}:\n" + "\n".join(found)


@pytest.mark.parametrize("place", ["home/somebody/data", "root/.cache", "tmp/ipykernel_7/1.py", "work/x"])
def test_a_machine_path_is_recognised(place):
    assert MACHINE_PATHS.search(f"open('/{place}')")
    assert MACHINE_PATHS.search(f"file:///{place}")
    assert not MACHINE_PATHS.search(f"https://example.org/{place}")
    assert not MACHINE_PATHS.search(f"./{place}")


@needs_git
def test_no_tracked_file_is_larger_than_one_megabyte():
    sizes = {relative(path): path.stat().st_size for path in tracked()}
    assert not {name: size for name, size in sizes.items() if size > MAX_BYTES}


@needs_git
@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("data/raw/fer2013.csv", True),
        ("data/raw/fer2013/train/happy/Training_1.jpg", True),
        ("data/prepared/fer2013-0/pixels.npy", True),
        ("data/published/kumar2021.yaml", False),
        ("data/README.md", False),
        (".venv", True),
        ("reports/smoke/run/results.json", True),
        ("reports/reference/run/results.json", False),
        ("reports/reference/run/predictions.npz", False),
        ("reports/reference/run/predictions_by_frame.npz", False),
        ("reports/reference/run/notebook.ipynb", True),
        ("reports/reference/run/figures/results.json", True),
        ("reports/reference/.run-unfinished/results.json", True),
        ("reports/reference/index.html", True),
        ("reports/reference/aggregates.json", False),
        ("reports/paper/40_fastai_transfer--imagenet--resnet18/results.json", True),
        ("reports/checkpoints/run/last.weights.h5", True),
        ("notebooks/10_baseline_cnn.ipynb", False),
    ],
)
def test_git_ignores_data_and_what_can_be_made_again_and_nothing_else(path, ignored):
    asked = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", path], cwd=ROOT, check=False)
    assert asked.returncode == (0 if ignored else 1)


# --- notebooks as stored -----------------------------------------------------------------------------


def code_cells(notebook: Path) -> list[dict]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


each_notebook = pytest.mark.parametrize("notebook", tracked("notebooks/*.ipynb"), ids=lambda path: path.stem)


@each_notebook
def test_the_first_code_cell_alone_holds_the_parameters(notebook):
    assert ["parameters" in tags(cell) for cell in code_cells(notebook)].index(True) == 0
    assert sum("parameters" in tags(cell) for cell in code_cells(notebook)) == 1


@each_notebook
def test_code_cells_are_short(notebook):
    sources = ["".join(cell["source"]) for cell in code_cells(notebook) if "parameters" not in tags(cell)]
    assert not [source for source in sources if len(source.splitlines()) > MAX_CELL_LINES]


@each_notebook
def test_the_notebook_is_stored_as_one_complete_run_from_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]


# --- size --------------------------------------------------------------------------------------------

LIMITS = {"lines": 13_995, "modules": 90, "modules at the root": 20, "parameter files": 60, "tests": 12_000}
LIMITS["lines with audit"] = 15_435
"""Largest sizes; `lines` and `modules` leave out audit/, `tests` are lines."""


def lines_of(paths: list[Path]) -> int:
    return sum(path.read_bytes().count(b"\n") for path in paths)


def test_the_package_and_its_tests_are_small():
    package = sorted((ROOT / "fer_utils").rglob("*.py"))
    beside_audit = [path for path in package if "audit" not in relative(path)]
    root = {path.relative_to(ROOT / "fer_utils").parts[0] for path in package}
    found = {
        "lines": lines_of(beside_audit),
        "lines with audit": lines_of(package),
        "modules": len(beside_audit),
        "modules at the root": len([name for name in root if name.endswith(".py")]),
        "parameter files": len(list((ROOT / "params").glob("*/*.yaml"))),
        "tests": lines_of(list((ROOT / "tests").rglob("*.py"))),
    }
    assert not {name: number for name, number in found.items() if number > LIMITS[name]}


# --- the commands ------------------------------------------------------------------------------------


def test_make_help_has_a_line_for_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*) *:(?!=)", makefile, flags=re.MULTILINE))
    by_hand = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.check_output(["make", "--silent", "help"], cwd=ROOT, env=by_hand, text=True)
    explained = set(re.findall(r"^\W*(?:make )?([a-z][a-z-]*)\b[^\n]*\w", shown, flags=re.MULTILINE))
    assert targets >= set(TARGETS.split())
    assert targets <= explained, "give each target its `## help`"
