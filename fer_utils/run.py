"""The run folder: what a run leaves behind, with everything needed to judge and repeat it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fer_utils import hardware
from fer_utils.evaluation import Evaluation
from fer_utils.files import read_json, write_json, write_text
from fer_utils.params import NOTEBOOKS, Parameters, notebook_of
from fer_utils.results import Environment, Results


@dataclass(frozen=True)
class Run:
    """A run in progress; `finish` writes `results.json`, which is what makes it a result."""

    params: Parameters
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        notebook_of(self.params.run)
        self.folder.mkdir(parents=True, exist_ok=True)
        # From here on the folder holds no result until `finish`: an interrupted run must not look finished.
        (self.folder / "results.json").unlink(missing_ok=True)
        write_text(self.folder / "params.yaml", yaml.safe_dump(self.params.studied(), sort_keys=False))

    @property
    def folder(self) -> Path:
        """Folder of the run's files."""
        return self.params.folder

    def show(self, figure: Any, *, alt: str, name: str) -> None:
        """Show a matplotlib figure with its alt text and save it as `figures/<name>.png`."""
        from fer_utils import plots

        plots.show(figure, alt=alt, name=name, folder=self.folder / "figures")

    def finish(
        self,
        result: Evaluation | None = None,
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

        Parameters
        ----------
        result : Evaluation, optional
            Of the reported predictions; left out by notebooks that are no study.
        split : Split or Folds, optional
        data : FaceSet or ClipSet, optional
            The data set, where there is no `split`.
        selection : str, optional
            How the reported model was selected, such as "epoch 7 of 10, best on validation".
        history : DataFrame, optional
            One row an epoch, over all trainings that the reported predictions needed; column `seconds`, and
            `images_per_second` if known.
        n_parameters : int, optional
            Number of the network's parameters.
        others : mapping, optional
            Further metric records by name, such as `majority_baseline`.
        published : sequence of dict
            Printed values with their counterparts, as `papers.published_values` returns them.
        paper : str, optional
            Key of the paper that is reproduced.
        """
        content: dict[str, Any] = heading(self.params.run, self.params.profile, status="done", paper=paper)
        if data is not None:
            content["dataset"] = describe(data)
        if split is not None:
            content["dataset"] = describe(split.test) | {"samples": split.n_samples}
            content["protocol"] = {
                "split": split.description,
                "selection": selection,
                "subject_independent": split.subject_independent,
                "leakage": split.leakage,
                "overlap": {"exact_duplicates": split.n_shared},
                "seed": self.params.seed,
            }
        if result is not None:
            content |= asdict(result)
        if others:
            content["other_metrics"] = others
        if published:
            content["published"] = list(published)
        compute = {"seconds": round(self.seconds, 3), "peak_memory_mb": round(hardware.peak_memory_mb(), 1)}
        compute |= hardware.current()
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


def write_results(folder: Path, content: Mapping[str, Any]) -> Path:
    """Check and write `results.json` into `folder`."""
    checked = Results.check(_plain(content))
    # What was never set is left out.
    return write_json(
        folder / "results.json", checked.model_dump(mode="json", by_alias=True, exclude_unset=True)
    )


def describe(data: Any) -> dict[str, Any]:
    """Return the `dataset` block for a FaceSet or ClipSet."""
    found = {
        "name": data.name,
        "source": data.source,
        "samples": len(data),
        "classes": list(data.class_names),
        "fingerprint": data.fingerprint,
    }
    form = data.origin.get("form") or data.origin.get("file")
    return found | ({"form": str(form)} if form else {})


def _plain(value: Any) -> Any:
    """Return nested values without numpy types, which pydantic and JSON do not know."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
