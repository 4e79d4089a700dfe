"""The run folder: what a run leaves behind, with everything needed to judge and repeat it."""

import json
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fer_utils.data import Samples
from fer_utils.evaluation import Evaluation
from fer_utils.files import PROJECT, write_json, write_text
from fer_utils.hardware import peak_gpu_memory_mb, peak_memory_mb, processor_name
from fer_utils.papers import load_paper
from fer_utils.params import NOTEBOOKS, Parameters, notebook_of
from fer_utils.schema import check_results
from fer_utils.splits import Split

PACKAGES = (
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "keras",
    "tensorflow",
    "torch",
    "fastai",
    "opencv-python-headless",
)
"""Packages whose version can change a number."""

_SAME_METRIC = {"validation_accuracy": "accuracy"}


@dataclass(frozen=True)
class Run:
    """A run in progress; `finish` writes `results.json`, which is what makes it a result.

    Parameters
    ----------
    params : Parameters
        The checked parameters of the notebook.
    """

    params: Parameters
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        notebook_of(self.params.run)
        self.folder.mkdir(parents=True, exist_ok=True)
        # From here on the folder holds no result until `finish`: an interrupted run must not look finished.
        (self.folder / "results.json").unlink(missing_ok=True)
        write_text(self.folder / "params.yaml", _yaml(self.params.studied()))

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return self.params.folder

    @property
    def figures(self) -> Path:
        """Where the run's pictures go."""
        return self.folder / "figures"

    def show(self, figure: Any, *, alt: str, name: str) -> None:
        """Show a matplotlib figure with its alt text and keep it as `figures/<name>.png`."""
        from fer_utils import plots

        plots.show(figure, alt=alt, name=name, folder=self.figures)

    def finish(self, *, paper: str | None = None, **blocks: Any) -> Path:
        """Write `results.json` with the given blocks, validated against the schema.

        Parameters
        ----------
        paper : str or None
            Key of the paper that is reproduced.
        **blocks
            Further top-level blocks of results.json, such as `metrics` or `dataset`.

        Raises
        ------
        jsonschema.ValidationError
            When a block is not as the schema says.
        """
        compute = {"device": "cpu", "device_name": processor_name(), "seconds": round(self.seconds, 3)}
        compute["peak_memory_mb"] = round(peak_memory_mb(), 1)
        compute |= blocks.get("compute", {})
        if compute["device"] == "cuda" and "backend" in compute:
            compute["peak_gpu_memory_mb"] = round(peak_gpu_memory_mb(compute["backend"]), 1)
        blocks["compute"] = compute
        first = heading(self.params.run, self.params.profile, status="done", paper=paper)
        last = {"environment": environment(), "params": self.params.studied()}
        return write_results(self.folder, first | blocks | last)

    def finish_study(self, evaluation: Evaluation, *, split: Split, **blocks: Any) -> Path:
        """Write the results of a study; as `finish`, with the evaluation and the data set spelt out."""
        parts = (split.train, split.validation, split.test)
        dataset = describe(split.test) | {"samples": sum(map(len, parts))}
        return self.finish(dataset=dataset, **asdict(evaluation), **blocks)

    @property
    def seconds(self) -> float:
        """Wall time since the run began."""
        return time.perf_counter() - self.started


def heading(run: str, profile: str, *, status: str, paper: str | None = None) -> dict[str, Any]:
    """Return the first lines of a results.json: what ran, and how it ended."""
    notebook = notebook_of(run)
    return {
        "kind": NOTEBOOKS[notebook].kind,
        "status": status,
        "run": run,
        "variant": run.split("--", 1)[1] if "--" in run else None,
        "notebook": notebook,
        "profile": profile,
        "paper": paper,
    }


def write_results(folder: Path, results: Mapping[str, Any]) -> Path:
    """Validate and write `results.json` into `folder`."""
    plain = json.loads(json.dumps(results, default=_plain))
    check_results(plain)
    return write_json(folder / "results.json", plain)


def describe(samples: Samples) -> dict[str, Any]:
    """Return the `dataset` block for a data set."""
    return {
        "name": samples.name,
        "source": samples.source,
        "samples": len(samples),
        "classes": list(samples.class_names),
        "fingerprint": samples.fingerprint,
    }


def measured(values: Mapping[str, float], *, n: int) -> dict[str, dict[str, Any]]:
    """Return plain values as metric records without intervals, for `other_metrics`."""
    return {name: {"value": float(value), "ci95": None, "n": n} for name, value in values.items()}


def published_beside(paper: str, evaluation: Evaluation, *, cells: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the printed cells that this evaluation measured too.

    Parameters
    ----------
    paper : str
        Key of the paper.
    evaluation : Evaluation
        Its metrics and per-class rows decide which cells have a counterpart.
    cells : mapping
        Name of a table in `data/published/<paper>.yaml` -> pattern of its cells, such as ``"*"``.

    Returns
    -------
    list of dict
        The `published` block; `compared_with` is a key of `metrics` or `per_class.<class>.<metric>`.
    """
    per_class = {row["class"]: row for row in evaluation.per_class}
    found = []
    for cell in load_paper(paper).cells:
        metric = _SAME_METRIC.get(cell.metric, cell.metric)
        if not fnmatch(cell.cell, cells.get(cell.table, "")) or metric == "support":
            continue
        if cell.class_name is None and metric in evaluation.metrics:
            counterpart = metric
        elif metric in per_class.get(cell.class_name, {}):
            counterpart = f"per_class.{cell.class_name}.{metric}"
        else:
            continue
        record = {"paper": paper, "table": cell.table, "cell": cell.cell, "metric": metric}
        found.append(record | {"value": cell.value, "printed": cell.printed, "compared_with": counterpart})
    return found


def environment() -> dict[str, Any]:
    """Return versions, platform, commit and time: the `environment` block."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "platform": platform.platform(terse=True),
        "commit": _commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        # Results are what a run makes, not what it was made with.
        changed = git(
            "status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)reports"
        )
        return git("rev-parse", "--short=12", "HEAD") + ("-modified" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot stand in results.json")


def _yaml(values: Mapping[str, object]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False)
