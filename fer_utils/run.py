"""A run: its notebook and parameter file, and the folder with everything needed to judge and repeat it."""

import ast
import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic_core import to_jsonable_python

from fer_utils import hardware
from fer_utils.files import ConfigError, nearest, project_path, read_json, write_json, write_text
from fer_utils.params import NOTEBOOKS, Parameters
from fer_utils.results import Environment, Results

if TYPE_CHECKING:
    from fer_utils.evaluation import Evaluation


def notebook_of(run: str) -> str:
    """Return the notebook of a run: the text of its name before `--`; `ConfigError` if there is none."""
    notebook = run.split("--")[0]
    if notebook not in NOTEBOOKS:
        raise ConfigError(f"run {run!r}: no notebook {notebook!r}{nearest(notebook, NOTEBOOKS)}")
    return notebook


def method_of(run: str) -> str:
    """Return the name of a run without its seed: the method of ``x--raw--seed2`` is ``x--raw``."""
    return re.sub(r"--?seed\d+$", "", run)


def notebook_path(run: str) -> Path:
    """Return the notebook file of a run."""
    return project_path("notebooks") / f"{notebook_of(run)}.ipynb"


def notebook_defaults(run: str) -> dict[str, object]:
    """Return the defaults in the `parameters` cell of a run's notebook."""
    path = notebook_path(run)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    try:
        (source,) = (cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", []))
        lines = [node for node in ast.parse("".join(source)).body if isinstance(node, ast.Assign)]
        return {target.id: ast.literal_eval(line.value) for line in lines for target in line.targets}
    except (SyntaxError, ValueError, AttributeError):
        raise ConfigError(f"{path}: tag one cell `parameters`, with lines `name = literal` only") from None


def read_runs(path: Path) -> dict[str, dict[str, object]]:
    """Return the runs of a parameter file with their values, checked against the notebook's model.

    A file describes one run of its own name, or with ``grid: {seed: [0, 1, 2]}`` one for each combination of
    values, `<file>--seed0` and so on. Keys are joined by `--`; of a string only the value is named.
    """
    model, runs = NOTEBOOKS[notebook_of(path.stem)], _expand_grid(path)
    defaults = notebook_defaults(path.stem)
    for run, values in runs.items():
        # The notebook's defaults fill what the file leaves out.
        model.from_values(defaults | values, where=str(path) if run == path.stem else f"{path}, {run}")
    return runs


def profile_runs(folder: Path) -> dict[str, Path]:
    """Return all runs of a profile, sorted by name, each with its parameter file; values are not checked."""
    return dict(sorted((run, path) for path in folder.glob("[!.]*.yaml") for run in _expand_grid(path)))


def find_runs(folder: Path, name: str) -> dict[str, Path]:
    """Return the runs of a profile that `name` means: one, all seeds of a method, or those of a file."""
    runs = profile_runs(folder)
    if found := {run: path for run, path in runs.items() if name in (run, method_of(run), path.stem)}:
        return found
    known = {*runs, *(path.stem for path in runs.values())}
    raise ConfigError(f"{folder}: no run {name!r}{nearest(name, known)}")


def _expand_grid(path: Path) -> dict[str, dict[str, object]]:
    """Return the runs of a parameter file with their values, which are not checked."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_ParameterLoader) or {}
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a plain ValueError
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected lines of `name: value`, got a {type(values).__name__}")
    if given := {"output_dir", "checkpoint_dir"} & set(values):
        raise ConfigError(f"{path}: {', '.join(sorted(given))} depends on the machine; remove it")
    if (grid := values.pop("grid", None)) is None:
        return {path.stem: values}
    if not isinstance(grid, dict) or not all(isinstance(cell, list) and cell for cell in grid.values()):
        raise ConfigError(f"{path}: grid: write a list of values for each name, such as `seed: [0, 1, 2]`")
    if twice := set(grid) & set(values):
        raise ConfigError(f"{path}: {', '.join(sorted(twice))}: set in the file and in its grid; remove one")
    runs = {}
    for combination in itertools.product(*grid.values()):
        cell = dict(zip(grid, combination, strict=True))
        names = (value if isinstance(value, str) else f"{name}{value}" for name, value in cell.items())
        runs["--".join([path.stem, *names])] = values | cell
    return runs


class _ParameterLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error (else the last one would silently win) and 1e-3 a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := [key for position, key in enumerate(keys) if key in keys[:position]]:
            raise yaml.YAMLError(f"{repeated[0]!r} is set twice")
        return super().construct_mapping(node, deep=deep)


_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
_ParameterLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))
_CLIP = ("tag:yaml.org,2002:str", re.compile(r"\d+(_\d+)+$"))  # 006_1_2 of SAMM, to YAML a number
for _digit in "0123456789":
    _ParameterLoader.yaml_implicit_resolvers[_digit].insert(0, _CLIP)


class Run:
    """A run in progress; `finish` writes `results.json` into `folder`, which is what makes it a result."""

    def __init__(self, params: Parameters) -> None:
        notebook_of(params.run)
        self.params, self.folder, self.started = params, params.folder, time.perf_counter()
        self.folder.mkdir(parents=True, exist_ok=True)
        # From here on the folder holds no result until `finish`: an interrupted run must not look finished.
        (self.folder / "results.json").unlink(missing_ok=True)
        write_text(self.folder / "params.yaml", yaml.safe_dump(params.studied(), sort_keys=False))

    def show(self, figure: Any, *, alt: str, name: str) -> None:
        """Show a matplotlib figure with its alt text and save it as `figures/<name>.png`."""
        from fer_utils import plots

        plots.show(figure, alt=alt, name=name, folder=self.folder / "figures")

    def finish(
        self,
        result: "Evaluation | None" = None,
        *,
        split: Any = None,
        data: Any = None,
        selection: str | None = None,
        history: Any = None,
        n_parameters: int | None = None,
        others: Mapping[str, Mapping[str, Any]] | None = None,
        published: Sequence[Mapping[str, Any]] = (),
        paper: str | None = None,
    ) -> Path:
        """Write `results.json`; the blocks on data, protocol and cost are derived from the arguments.

        Notebooks that are no study leave out `result`, and give `data` where there is no `split`. `history`
        has one row an epoch, over all trainings that the reported predictions needed, with `seconds` and, if
        known, `images_per_second`. `others` are further metrics by name, such as `majority_baseline`, and
        `published` the printed values, as `papers.published_values` returns them.
        """
        content = heading(self.params.run, self.params.profile, status="done", paper=paper)
        if data is not None:
            content["dataset"] = describe(data)
        if split is not None:
            content["dataset"] = describe(split.test) | {"samples": split.n_samples}
            content["protocol"] = {
                "split": split.description,
                "selection": selection,
                "subject_independent": split.subject_independent,
                "leakage": split.leakage,
                "overlap": {"exact_duplicates": int(split.repeated.sum())},
                "seed": self.params.seed,
            }
        content |= asdict(result) if result else {}
        content |= {"other_metrics": others} if others else {}
        content |= {"published": published} if published else {}
        seconds, peak = time.perf_counter() - self.started, hardware.peak_memory_mb()
        compute = {"seconds": round(seconds, 3), "peak_memory_mb": round(peak, 1)} | hardware.current()
        if compute["device"] == "cuda":
            compute["peak_gpu_memory_mb"] = round(hardware.peak_gpu_memory_mb(compute["backend"]), 1)
        if history is not None and len(history):
            compute |= {"seconds": float(history["seconds"].sum()), "epochs": len(history)}
            if "images_per_second" in history:
                compute["samples_per_second"] = float(history["images_per_second"].median())
        if n_parameters is not None:
            compute["parameters"] = n_parameters
        content |= {"compute": compute, "environment": Environment.current(), "params": self.params.studied()}
        return write_results(self.folder, content)

    def summary(self) -> Any:
        """Return protocol, machine and versions of the finished run as a table of two columns."""
        from fer_utils.tables import run_summary

        return run_summary(read_json(self.folder / "results.json"))


def heading(run: str, profile: str, *, status: str, paper: str | None = None) -> dict[str, Any]:
    """Return the first lines of a results.json: what ran, and how it ended."""
    notebook = notebook_of(run)
    return {
        "kind": NOTEBOOKS[notebook].kind,
        "status": status,
        "run": run,
        "variant": run.partition("--")[2] or None,
        "notebook": notebook,
        "profile": profile,
        "paper": paper,
    }


def write_results(folder: Path, content: Mapping[str, Any]) -> Path:
    """Check and write `results.json` into `folder`; what was never set is left out."""
    plain = to_jsonable_python(content, fallback=lambda value: value.tolist())  # of numpy
    checked = Results.check(plain).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return write_json(folder / "results.json", checked)


def describe(data: Any) -> dict[str, Any]:
    """Return the `dataset` block for a FaceSet or ClipSet."""
    found = {"name": data.name, "source": data.source, "samples": len(data)}
    found |= {"classes": list(data.class_names), "fingerprint": data.fingerprint}
    form = data.origin.get("form") or data.origin.get("file")
    return found | ({"form": str(form)} if form else {})
