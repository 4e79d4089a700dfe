"""The content of results.json as typed models: what a run found, and what is needed to judge it."""

import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from fer_utils.files import PROJECT, ConfigError, read_json
from fer_utils.papers import PAPERS

PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "keras", "tensorflow", "torch", "fastai")
PACKAGES += ("opencv-python-headless",)
"""Packages whose version can change a number."""

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class Block(BaseModel, extra="forbid", populate_by_name=True, allow_inf_nan=False):
    """A part of results.json."""


class Metric(Block):
    """A measured value with its 95 % confidence interval and the number of samples; rates are fractions."""

    value: float
    ci95: tuple[float, float] | None
    n: Count


Metrics = dict[str, Metric]


class Dataset(Block):
    """The data that was used; `form` is how the copy was stored, such as "kaggle folder" or "csv"."""

    name: Text
    source: Literal["real", "synthetic"]
    samples: Count
    classes: list[str]
    fingerprint: Text
    form: str | None = None


class Protocol(Block):
    """How the reported number was obtained.

    `subject_independent` is None where subjects are not known, `leakage` is "none" or the name of the leak,
    `overlap` has the number of exact duplicates of reported samples in training or validation. `seed` is
    None, and `overlap` empty, where the training is another program's.
    """

    split: Text
    selection: Text
    subject_independent: bool | None
    leakage: Text
    overlap: dict[str, Count]
    seed: int | list[int] | None


class ClassRow(Block):
    """Metrics of one class; None where they are not defined."""

    class_name: str = Field(alias="class")
    support: Count
    precision: Fraction | None
    recall: Fraction | None
    f1: Fraction | None
    f1_ci95: tuple[Fraction, Fraction] | None = None
    auc: Fraction | None


class Published(Block):
    """A printed number, and the metric to compare it with.

    `compared_with` is `accuracy`, `per_class.<class>.<metric>` or `<name in other_metrics>.<metric>`.
    """

    paper: str
    table: str
    cell: str
    metric: str
    value: float
    printed: str
    compared_with: str


class Compute(Block):
    """The machine and the cost of a run; `seconds` is None for the predictions of another program."""

    device: Text
    device_name: Text
    backend: str | None = None
    threads: int | None = None
    seconds: Positive | None
    epochs: Count | None = None
    samples_per_second: Positive | None = None
    peak_memory_mb: Positive | None = None
    peak_gpu_memory_mb: Positive | None = None
    parameters: Count | None = None


class Environment(Block):
    """Versions and commit; "-modified" after the commit says that files differed from it."""

    python: str
    packages: dict[str, str]
    platform: str
    commit: str | None
    commit_unknown: str | None = None  # what git said
    created: str

    @staticmethod
    def current() -> dict[str, Any]:
        """Return the environment of this process as plain values."""
        return {
            "python": platform.python_version(),
            "packages": {name: version(name) for name in PACKAGES},
            "platform": platform.platform(terse=True),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **_commit(),
        }


class Results(Block):
    """The whole of results.json."""

    kind: Literal["study", "data", "live", "audit", "summary"]
    status: Literal["done", "failed", "not_run"]
    reason: str | None = None
    note: str | None = None
    run: Text
    variant: str | None
    notebook: Text
    profile: Text
    paper: Literal[*PAPERS] | None
    dataset: Dataset | None = None
    protocol: Protocol | None = None
    metrics: Metrics = {}
    other_metrics: dict[str, Metrics] = {}
    per_class: list[ClassRow] = []
    confusion_matrix: list[list[Count]] = []
    published: list[Published] = []
    compute: Compute | None = None
    environment: Environment | None = None
    params: dict[str, Any] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.status != "done" and not self.reason:
            raise ValueError(f"status={self.status!r}: give the reason")
        blocks = ("compute", "confusion_matrix", "dataset", "environment", "metrics", "per_class", "protocol")
        missing = [name for name in blocks if not getattr(self, name)]
        if self.kind == "study" and self.status == "done" and missing:
            raise ValueError(f"a finished study needs {', '.join(missing)}")
        return self

    @classmethod
    def check(cls, content: Mapping[str, Any], *, where: str = "results.json") -> Self:
        """Return the model of a results.json, or raise `ConfigError` that names each place and problem."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise ConfigError(f"{where}: {'; '.join(problems)}") from None


def read_results(path: Path) -> dict[str, Any]:
    """Return the content of a results.json after checking it; `ValueError` names the file and the place."""
    content = read_json(path)
    Results.check(content, where=str(path))
    return content


def plain_metrics(values: Mapping[str, float], *, n: int) -> dict[str, dict[str, Any]]:
    """Return plain values as metric records without intervals, for `other_metrics`."""
    return {name: {"value": float(value), "ci95": None, "n": n} for name, value in values.items()}


def schema() -> str:
    """Return the JSON Schema of results.json as text; `results.schema.json` holds it."""
    return json.dumps(Results.model_json_schema(by_alias=True), indent=2, ensure_ascii=False) + "\n"


def _commit() -> dict[str, str | None]:
    def git(*arguments: str) -> str:
        command = ["git", "-C", PROJECT, *arguments]
        return subprocess.check_output(command, text=True, stderr=subprocess.PIPE)

    try:
        # A run changes files in reports/; that does not change the code that it was made with.
        code = ["--", ":(top)", ":(top,exclude)reports"]
        changed = git("status", "--porcelain", "--untracked-files=no", *code)
        return {"commit": git("rev-parse", "--short=12", "HEAD").strip() + ("-modified" if changed else "")}
    except (OSError, subprocess.CalledProcessError) as error:
        return {"commit": None, "commit_unknown": str(getattr(error, "stderr", error)).strip()}
