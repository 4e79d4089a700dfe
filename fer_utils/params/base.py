"""What all parameters have in common: how they are checked, and how a notebook hands them over."""

import ast
import difflib
import linecache
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_utils.files import ConfigError, project_path

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

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
        if misspelt := [name for name in values if name not in cls.model_fields]:
            raise ConfigError(f"{where}: " + "; ".join(unknown(name, cls.model_fields) for name in misspelt))
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
    return list(dict.fromkeys(name for source in last.values() for name in assignments(source)))


def _executed(history: list[str]) -> list[str]:
    # nbval executes without a history; IPython keeps every source for tracebacks all the same.
    if any(history):
        return history
    return ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) == 4]


def assignments(source: str) -> dict[str, ast.expr]:
    """Return the names that a cell assigns, each with the expression last assigned to it."""
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


def unknown(name: str, known: Iterable[str]) -> str:
    """Return what to say of a parameter that there is not."""
    return f"unknown parameter {name!r}{nearest(str(name), known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` did you mean ...`, or what is known where nothing is near."""
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
