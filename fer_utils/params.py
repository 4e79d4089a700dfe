"""One typed model per notebook: what can be set, what it accepts, and which name was meant.

The same model checks a notebook's `parameters` cell, what papermill injects and every YAML in `params/`.
"""

import ast
import difflib
import linecache
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_utils.files import ConfigError, project_path
from fer_utils.labels import LABEL_SETS

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]

DEFAULTS_CELL = "# Defaults"
"""How the first line of every notebook's own parameters cell begins."""
INJECTED_CELL = "# Parameters"
"""The first line of the cell that papermill injects."""


class Parameters(BaseModel):
    """What every notebook has.

    Attributes
    ----------
    output_dir : str
        The run folder, `reports/<profile>/<run>`; a relative path starts at the project folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: ClassVar[str] = "study"

    output_dir: str = Field(min_length=1)

    @property
    def folder(self) -> Path:
        """The run folder as a path, whatever folder the kernel runs in."""
        return project_path(self.output_dir)

    @property
    def run(self) -> str:
        """Name of the run, `<notebook>` or `<notebook>--<variant>`."""
        return self.folder.name

    @property
    def profile(self) -> str:
        """`smoke`, `reference`, `paper`, or `by_hand` for a run outside the profiles."""
        return self.folder.parent.name

    def studied(self) -> dict[str, object]:
        """Return the parameters that describe the study, without where its files go."""
        return self.model_dump(exclude={"output_dir", "checkpoint_dir"})

    @classmethod
    def checked(cls, values: Mapping[str, object], *, where: str) -> Self:
        """Return the frozen parameters, or say what is wrong with them.

        Parameters
        ----------
        values : mapping
            All parameters or some; what is missing is an error only where the model has no default.
        where : str
            Named in the message: a file or "this notebook".

        Raises
        ------
        ConfigError
            For unknown names (with the nearest valid one) and for values out of type or range.
        """
        if unknown := [name for name in values if name not in cls.model_fields]:
            raise ConfigError(f"{where}: " + "; ".join(_unknown(name, cls.model_fields) for name in unknown))
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(f"{where}: " + "; ".join(map(_problem, error.errors()))) from None

    @classmethod
    def from_notebook(cls) -> Self:
        """Return the checked parameters of the running notebook.

        Reads the names assigned in the cells that begin with `# Defaults` and `# Parameters` (papermill's),
        as last executed, and their present values: a misspelt name fails in JupyterLab as in papermill.

        Raises
        ------
        ConfigError
            As `checked`; also outside a notebook, and before the parameters cell has been executed.
        """
        from IPython import get_ipython

        shell = get_ipython()
        if shell is None:
            raise ConfigError("parameters are read from a notebook, and none is running here")
        names = parameter_names(_executed(shell.user_ns.get("In", [])))
        if unset := [name for name in names if name not in shell.user_ns]:
            raise ConfigError(f"this notebook: {unset[0]} has no value; run the parameters cell to its end")
        return cls.checked({name: shell.user_ns[name] for name in names}, where="this notebook")


class FaceParameters(Parameters):
    """What every notebook about still faces has."""

    dataset: Literal["synthetic", "fer2013", "folder"]
    data_path: str
    on_bad_rows: Literal["error", "drop"]
    synthetic_subjects: int = Field(ge=3)
    synthetic_per_subject: Count
    seed: int = Field(ge=0)

    def data(self) -> dict[str, object]:
        """Return the arguments of `fer_utils.data.load_faces`."""
        return self.model_dump(include=set(FaceParameters.model_fields) - set(Parameters.model_fields))


class DataPrep(FaceParameters):
    """00_data_prep."""

    kind = "data"


class Training(FaceParameters):
    """What every notebook that trains on still faces has."""

    label_set: Literal["own", *LABEL_SETS]
    optimizer: Literal["adam", "rmsprop", "sgd"]
    learning_rate: Positive
    batch_size: Count
    epochs: Count
    threads: Count
    device: Literal["auto", "cpu", "cuda"]
    checkpoint_dir: str = Field(min_length=1)

    @property
    def checkpoints(self) -> Path:
        """Where a training leaves what it needs to continue after a kill."""
        return project_path(self.checkpoint_dir)


class BaselineCNN(Training):
    """10_baseline_cnn."""

    paper: Literal["kumar2021", "bamb2023"]
    architecture: Literal["kumar2021", "little_vgg", "bamb2023"]
    image_size: Count
    dropout: Rate
    l2: float = Field(ge=0)
    batch_norm: bool


class HybridHogCNN(Training):
    """20_hybrid_hog_cnn."""

    features: Literal["raw", "hybrid", "hog"]
    depth: Literal["shallow", "deep"]
    hog_orientations: Count
    hog_cell: Count
    hog_block: Count
    hog_norm: Literal["L1", "L1-sqrt", "L2", "L2-Hys"]
    dropout: Rate
    batch_norm: bool
    l2: float = Field(ge=0)
    rotation: float = Field(ge=0, le=180)
    crop: float = Field(ge=0, le=0.5)
    flip: bool
    schedule: Literal["constant", "one_cycle"]
    mixed_precision: bool
    sweeps: bool
    sweep_seeds: list[Annotated[int, Field(ge=0)]]
    cv_folds: int = Field(ge=0)
    cv_grid: dict[str, list]

    @model_validator(mode="after")
    def _grid_fits(self) -> Self:
        for name, values in self.cv_grid.items():
            if name in _NOT_IN_A_GRID or name not in type(self).model_fields:
                known = set(type(self).model_fields) - _NOT_IN_A_GRID
                raise ValueError(f"cv_grid: {_unknown(name, known)}")
            if not values:
                raise ValueError(f"cv_grid: no value for {name!r}; give a list of at least one")
            for value in values:
                self.varied(**{name: value})
        if self.cv_folds == 1:
            raise ValueError("cv_folds=1: one fold leaves nothing to train on; use 0 (none) or 2 and more")
        return self

    def varied(self, **changes: object) -> Self:
        """Return one cell of a sweep: these parameters with `changes`, and no sweep of its own."""
        alone = {"sweeps": False, "cv_folds": 0, "cv_grid": {}}
        return self.checked(self.model_dump() | alone | changes, where="sweep")


_NOT_IN_A_GRID = {"sweeps", "sweep_seeds", "cv_folds", "cv_grid", "output_dir", "checkpoint_dir", "dataset"}


class Summary(Parameters):
    """90_summary."""

    kind = "summary"

    reports_dir: str


NOTEBOOKS: dict[str, type[Parameters]] = {
    "00_data_prep": DataPrep,
    "10_baseline_cnn": BaselineCNN,
    "20_hybrid_hog_cnn": HybridHogCNN,
    "90_summary": Summary,
}


def notebook_of(run: str) -> str:
    """Return the notebook of a run: the part of its name before `--`.

    Raises
    ------
    ConfigError
        When there is no such notebook, with the nearest that exists.
    """
    notebook = run.split("--")[0]
    if notebook not in NOTEBOOKS:
        raise ConfigError(f"run {run!r}: no notebook {notebook!r}{_nearest(notebook, NOTEBOOKS)}")
    return notebook


def read_yaml(path: Path) -> dict[str, object]:
    """Return the parameters set in `params/<profile>/<run>.yaml`, checked against its notebook's model.

    Raises
    ------
    ConfigError
        For anything but a flat mapping of known names to usable values, naming the file and the key.
    """
    path = Path(path)
    model = NOTEBOOKS[notebook_of(path.stem)]
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_nearest(path.stem, yaml_runs(path.parent))}") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a plain ValueError
        raise ConfigError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds a {type(values).__name__}, not lines of `name: value`")
    if given := {"output_dir", "checkpoint_dir"} & set(values):
        raise ConfigError(
            f"{path}: {', '.join(sorted(given))} belongs to a machine, not to a study; remove it"
        )
    # The notebook's defaults fill what the file leaves out; they are checked by the notebook itself.
    model.checked(notebook_defaults(path.stem) | values, where=str(path))
    return values


def yaml_runs(folder: Path) -> list[str]:
    """Return the names of the runs that a profile's folder describes, in order."""
    return sorted(path.stem for path in Path(folder).glob("*.yaml"))


def notebook_path(run: str) -> Path:
    """Return the notebook file of a run."""
    return project_path("notebooks") / f"{notebook_of(run)}.ipynb"


def notebook_defaults(run: str) -> dict[str, object]:
    """Return the literal defaults in the `parameters` cell of a run's notebook."""
    import nbformat

    cells = nbformat.read(notebook_path(run), as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise ConfigError(f"{notebook_path(run)}: {len(tagged)} cells tagged `parameters` instead of one")
    try:
        return {name: ast.literal_eval(value) for name, value in _assignments(tagged[0]).items()}
    except ValueError:
        raise ConfigError(f"{notebook_path(run)}: a default is not a plain value") from None


def parameter_names(executed: Iterable[str]) -> list[str]:
    """Return the names assigned in a notebook's parameters cells, given the sources executed so far.

    Only the last execution of either cell counts: a misspelt name that has been corrected is forgotten.

    Raises
    ------
    ConfigError
        When the parameters cell has not been executed.
    """
    last = {}
    for source in executed:
        for start in (DEFAULTS_CELL, INJECTED_CELL):
            if source.startswith(start):
                last[start] = source
    if DEFAULTS_CELL not in last:
        raise ConfigError(f"run the parameters cell (it begins with `{DEFAULTS_CELL}`) before this one")
    return list(dict.fromkeys(name for source in last.values() for name in _assignments(source)))


def _executed(history: list[str]) -> list[str]:
    # nbval executes without a history; IPython keeps every source for tracebacks all the same.
    if any(history):
        return history
    return ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) == 4]


def _assignments(source: str) -> dict[str, ast.expr]:
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ConfigError(f"the parameters cell is not Python: line {error.lineno}: {error.msg}") from None
    found = {}
    for node in statements:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for part in (part for target in targets if target for part in ast.walk(target)):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                found[part.id] = getattr(node, "value", None)
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"unknown parameter {name!r}{_nearest(str(name), known)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known)) or 'none'}"


def _problem(error: Mapping[str, object]) -> str:
    name = ".".join(map(str, error["loc"]))
    if not name:  # a rule about several parameters says itself which
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "float_type" and _is_number(error["input"]):
        return f"{name}={error['input']!r}: YAML reads this as text; write {float(error['input'])!r}"
    return f"{name}={error['input']!r}: {str(error['msg'])[0].lower()}{str(error['msg'])[1:]}"


def _is_number(text: object) -> bool:
    try:
        return isinstance(text, str) and float(text) is not None
    except ValueError:
        return False


class _UniqueKeys(yaml.SafeLoader):
    """YAML without the silent last-one-wins of repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := [key for position, key in enumerate(keys) if key in keys[:position]]:
            raise yaml.constructor.ConstructorError(
                None, None, f"{repeated[0]!r} is set twice", node.start_mark
            )
        return super().construct_mapping(node, deep=deep)
