"""The results that the five papers print, read from ``data/published/<paper>.yaml``.

A file holds each number as it stands on the page; its value is derived from the printed string by the unit.
``tables`` have printed ``lines`` and one ``template`` that says what they hold. ``{name}`` marks a field; a
blank stands for any blanks or line breaks, all else for itself. Fields listed under ``fields`` become cells,
the others only name the ``row`` (``{n}`` counts the records); a field ``class`` gives the cell's class. The
rows of a ``matrix`` are the truth. ``statements`` are numbers in prose or in a figure, with the words around
them (``context``). ``claims`` are for the rules of `fer_utils.audit`.
"""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, model_validator

from fer_utils.files import PROJECT, nearest

if TYPE_CHECKING:
    import pandas as pd

PAPERS = ("kishor2022", "dubey2020", "kumar2021", "srivastav2024", "bamb2023")
PUBLISHED_FOLDER = PROJECT / "data" / "published"

Unit = Literal[
    "fraction", "percent", "count", "loss", "seconds", "milliseconds", "minutes:seconds", "fps", "pixels",
    "years", "label",
]  # fmt: skip
RATES = ("fraction", "percent")
_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
]  # fmt: skip


@dataclass(frozen=True)
class PublishedCell:
    """One printed number.

    ``value`` is in [0, 1] for ``fraction`` and ``percent``, in seconds for ``minutes:seconds``.
    """

    paper: str
    table: str
    cell: str
    metric: str
    class_name: str | None
    unit: str
    printed: str
    value: float
    context: str  # the line or phrase of the document that holds ``printed``


@dataclass(frozen=True)
class ConfusionMatrix:
    """A printed confusion matrix: ``counts[i][j]`` samples of class ``i`` were predicted as class ``j``."""

    table: str
    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Headline:
    """A number that sums a paper up, its name in our words, the notebook, and what it was measured on."""

    table: str
    cell: str
    name: str
    notebook: str
    measured_on: str
    same_images: bool = False  # as the runs here, so that a difference can be shown


class Coverage(BaseModel, extra="forbid"):
    """What answers a printed table, figure or claim: a run of the reference profile or a notebook."""

    item: str
    run: str = ""
    notebook: str = ""
    same_data: bool = False  # as the paper had
    note: str = ""


@dataclass(frozen=True)
class Protocol:
    """What a paper states, and does not state, about how its numbers were made."""

    data: str
    split: str
    selection: str
    epochs: str
    seeds: str


class _Table(BaseModel, extra="forbid"):
    table: str
    title: str = ""
    note: str = ""
    template: str
    row: str = ""
    fields: dict[str, Unit] = Field(min_length=1)
    metric: str | None = None  # of every field that ``metrics`` does not name; else the field's own name
    metrics: dict[str, str] = {}
    matrix: bool = False
    lines: str

    def numbers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each number with the printed line that holds it."""
        names, in_row = (re.findall(r"\{([^{}]+)\}", text) for text in (self.template, self.row))
        if unknown := {*self.fields, *self.metrics, *in_row} - {*names, "n"}:
            raise ValueError(f"{self.table}: the template holds no field {sorted(unknown)[0]!r}")
        blanks = (re.split(r"[ \n]+", text) for text in re.split(r"\{[^{}]+\}", self.template))
        literals = [r"[ \n]*".join(map(re.escape, words)) for words in blanks]
        pattern = re.compile(r"([^\t\n]*?)".join(literals) + r"(?=\n|\Z)")
        lines, position, n = self.lines.strip("\n"), 0, 0
        while position < len(lines):
            if (match := pattern.match(lines, position)) is None:
                line = lines[position:].split("\n")[0]
                raise ValueError(f"{self.table}: the line {line!r} does not fit {self.template!r}")
            position, n = match.end() + 1, n + 1
            values = dict(zip(names, match.groups(), strict=True))
            row = self.row.format(n=n, **values)
            class_name = values["class"].lower() if "class" in values else None
            for name, unit in self.fields.items():
                column = f"predicted {name}" if self.matrix else name
                number = {"cell": f"{row} / {column}" if row else column, "printed": values[name]}
                metric = "count" if self.matrix else self.metrics.get(name, self.metric or name)
                yield match[0], number | {"metric": metric, "unit": unit, "class_name": class_name}


class _Number(BaseModel, extra="forbid"):
    cell: str
    printed: str
    metric: str | None = None
    unit: Unit | None = None
    class_name: str | None = Field(default=None, alias="class")


class _Statement(BaseModel, extra="forbid"):
    table: str
    note: str = ""
    context: str
    metric: str | None = None  # of every number that names none, as the unit below
    unit: Unit | None = None
    cells: list[_Number] = Field(min_length=1)

    def numbers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each number with the phrase that holds it."""
        for number in self.cells:
            metric, unit = number.metric or self.metric, number.unit or self.unit
            if metric is None or unit is None:
                raise ValueError(f"{self.table}: {number.cell}: give a metric and a unit")
            if number.printed not in self.context:
                raise ValueError(f"{self.table}: {number.cell}: the context does not hold {number.printed!r}")
            yield self.context, number.model_dump() | {"metric": metric, "unit": unit}


class Paper(BaseModel, extra="forbid", frozen=True):
    """A paper's printed results: tables first, then prose, each in the order of the document.

    ``believe`` is what a reader should. ``cam_regions``: class to the parts of the face highlighted.
    """

    key: str
    title: str
    citation: str = ""
    doi: str | None = None
    document: str = ""
    believe: str = ""
    protocol: Protocol | None = None
    headline: tuple[Headline, ...] = ()
    coverage: list[Coverage] = []
    tables: list[_Table] = []
    statements: list[_Statement] = []
    claims: list[dict[str, Any]] = []
    cam_regions: dict[str, tuple[str, ...]] = {}

    @cached_property
    def cells(self) -> tuple[PublishedCell, ...]:
        """All printed numbers."""
        found = []
        for entry in (*self.tables, *self.statements):
            for context, number in entry.numbers():
                try:
                    value = parse_printed(number["printed"], unit=number["unit"])
                except ValueError as error:
                    raise ValueError(f"{entry.table}: {number['cell']}: {error}") from None
                found.append(PublishedCell(self.key, entry.table, context=context, value=value, **number))
        return tuple(found)

    @cached_property
    def confusion_matrices(self) -> tuple[ConfusionMatrix, ...]:
        """The printed confusion matrices."""
        found = []
        # A matrix whose lines have two forms is given as two tables of one name.
        columns = {table.table: tuple(map(str.lower, table.fields)) for table in self.tables if table.matrix}
        for table, classes in columns.items():
            cells = self.find(table=table)
            rows = [tuple(int(cell.value) for cell in cells if cell.class_name == name) for name in classes]
            if {len(row) for row in rows} != {len(classes)}:
                raise ValueError(f"{table}: the matrix needs one row and one column for each of {classes}")
            found.append(ConfusionMatrix(table, classes, tuple(rows)))
        return tuple(found)

    @model_validator(mode="after")
    def _cells_fit(self) -> Self:
        names = [(cell.table, cell.cell) for cell in self.cells]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{repeated[0][0]}: the cell {repeated[0][1]!r} is given more than once")
        if missing := [h for h in self.headline if (h.table, h.cell) not in names]:
            raise ValueError(f"headline: there is no cell {missing[0].table}: {missing[0].cell}")
        _ = self.confusion_matrices
        return self

    def cell(self, table: str, cell: str) -> PublishedCell:
        """Return one printed number; a KeyError names the nearest cell where there is no such one."""
        return self.select(f"{table}: {cell}")[0]

    def select(self, pattern: str) -> list[PublishedCell]:
        """Return the cells whose name, ``<table>: <cell>``, fits a pattern with ``*`` for any text."""
        cells = {f"{each.table}: {each.cell}": each for each in self.cells}
        if found := fnmatch.filter(cells, pattern):
            return [cells[name] for name in found]
        raise KeyError(f"{self.key} prints no cell {pattern}{nearest(pattern, cells)}")

    def matching(self, patterns: Mapping[str, str]) -> list[PublishedCell]:
        """Return the cells whose names fit the pattern of their table, whatever the case of letters."""
        return [c for c in self.cells if fnmatch.fnmatch(c.cell.lower(), patterns.get(c.table, "").lower())]

    def find(self, **wanted: str) -> tuple[PublishedCell, ...]:
        """Return the cells that agree with every argument, such as `table`, `metric` or `class_name`."""
        return tuple(c for c in self.cells if all(getattr(c, name) == v for name, v in wanted.items()))


def load_paper(key: str, *, folder: Path | None = None) -> Paper:
    """Read the printed results of one of `PAPERS`, from ``data/published`` by default."""
    if key not in PAPERS:
        raise KeyError(f"no paper {key!r}{nearest(key, PAPERS)}")
    path = (folder or PUBLISHED_FOLDER) / f"{key}.yaml"
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=yaml.CBaseLoader)  # as text: 0.50 keeps its 0
        paper = Paper(**content, key=key)
        if paper.believe and paper.protocol and paper.headline:  # an audit alone needs none of them
            return paper
        raise ValueError("believe, protocol or headline is missing")
    except (yaml.YAMLError, ValueError) as error:  # pydantic's errors are ValueErrors and name the entry
        raise ValueError(f"{path}: {error}") from error


def published_values(paper: str, result: Any, *, cells: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the printed cells that an `Evaluation` measured too: the `published` block of results.json.

    `cells` maps a table in `data/published/<paper>.yaml` to a pattern of its cells, such as ``"*"``.
    """
    per_class = {row["class"]: row for row in result.per_class}
    found = []
    for cell in load_paper(paper).matching(cells):
        metric = cell.metric.removeprefix("validation_")
        if cell.class_name is None and metric in result.metrics:
            found.append(_published(cell, metric, metric))
        elif metric in per_class.get(cell.class_name, {}) and metric != "support":
            found.append(_published(cell, metric, f"per_class.{cell.class_name}.{metric}"))
    return found


def published_counterparts(paper: str, counterparts: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Return the `published` block for printed cells, (table, cell) -> key of results.json."""
    source = load_paper(paper)
    cells = [(source.cell(*place), key) for place, key in counterparts.items()]
    return [_published(cell, cell.metric, key) for cell, key in cells]


def printed_beside(
    paper: str, measured: Mapping[tuple[str, str], float], *, cells: Mapping[str, str]
) -> "pd.DataFrame":
    """Return one row for each printed number, columns printed and measured (NaN where nothing was measured).

    `measured` maps (table, cell) to a value, `cells` is as in `published_values`.
    """
    import pandas as pd  # takes two seconds, which the index page does not need

    values = {f"{table}: {cell}".lower(): value for (table, cell), value in measured.items()}
    shown = {f"{cell.table}: {cell.cell}": cell.value for cell in load_paper(paper).matching(cells)}
    rows = {name: (value, values.get(name.lower())) for name, value in shown.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["printed", "measured"], dtype=float)


def _published(cell: PublishedCell, metric: str, counterpart: str) -> dict[str, Any]:
    record = {"paper": cell.paper, "table": cell.table, "cell": cell.cell, "metric": metric}
    return record | {"value": cell.value, "printed": cell.printed, "compared_with": counterpart}


def parse_printed(printed: str, *, unit: Unit) -> float:
    """Return the number that a printed string states (``"62.5%"``: 0.625), or raise ValueError."""
    text = printed.strip().lower().replace(",", "")
    try:
        if unit == "minutes:seconds":
            minutes, seconds = text.split(":")
            return float(60 * int(minutes) + int(seconds))
        if unit == "percent":
            value = Decimal(text.removesuffix("%").strip()) / 100
        elif text in _WORDS:
            value = Decimal(_WORDS.index(text))
        elif unit == "count" and text.endswith("m"):
            value = Decimal(text[:-1]) * 1_000_000
        else:
            value = Decimal(text)
    except (InvalidOperation, ValueError):
        raise ValueError(f"{printed!r} is not a number in {unit}") from None
    possible = value.is_finite() and value >= 0 and (unit not in RATES or value <= 1)
    if not possible or (unit in ("count", "pixels", "label") and value % 1):
        raise ValueError(f"{printed!r} is not a possible value in {unit}")
    return float(value)
