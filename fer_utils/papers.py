"""The results that the five papers print, read from ``data/published/<paper>.yaml``.

A file holds each number as it stands on the page. Two forms keep the transcription short and checkable:

``tables``
    Printed ``lines`` (tabs and line breaks as in the document) and one ``template`` that says what they hold.
    ``{name}`` marks a field; a blank stands for any blanks or line breaks, all else for itself. Fields listed
    under ``fields`` become cells, the others only name the ``row`` (``{n}`` counts the records). A field
    called ``class`` gives the cell's class. ``matrix: true``: a confusion matrix whose rows are the truth.
``statements``
    Numbers in prose or in a picture: the words around them (``context``) and what each one is.

Values are derived from the printed strings by their unit, so the two cannot disagree.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, Field

PAPERS = ("kishor2022", "dubey2020", "kumar2021", "srivastav2024", "bamb2023")
PUBLISHED_FOLDER = Path(__file__).parents[1] / "data" / "published"

Unit = Literal[
    "fraction", "percent", "count", "loss", "seconds", "milliseconds", "minutes:seconds", "fps", "pixels",
    "years", "label",
]  # fmt: skip
RATES = ("fraction", "percent")
_WORDS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


@dataclass(frozen=True)
class PublishedCell:
    """One printed number.

    ``value`` is in [0, 1] for the units ``fraction`` and ``percent``, seconds for ``minutes:seconds``, else
    the printed number. ``context`` is the line or phrase of the document that holds ``printed``.
    """

    paper: str
    table: str
    cell: str
    metric: str
    class_name: str | None
    unit: str
    printed: str
    value: float
    context: str


@dataclass(frozen=True)
class ConfusionMatrix:
    """A printed confusion matrix: ``counts[i][j]`` samples of class ``i`` were predicted as class ``j``."""

    paper: str
    table: str
    class_names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Headline:
    """A number that sums a paper up, the notebook that reproduces it, and what it was measured on."""

    table: str
    cell: str
    notebook: str
    measured_on: str


@dataclass(frozen=True)
class Protocol:
    """What a paper states, and does not state, about how its numbers were made."""

    data: str
    split: str
    selection: str
    epochs: str
    seeds: str


@dataclass(frozen=True)
class Paper:
    """A paper's printed results: tables first, then prose, each in the order of the document.

    ``believe`` is what a reader should, in our words, after the audit and the runs on real data.
    ``cam_regions`` is where its class-activation maps are said to highlight: class to parts of the face.
    """

    key: str
    title: str
    citation: str
    doi: str | None
    document: str
    believe: str
    protocol: Protocol
    headline: tuple[Headline, ...]
    cells: tuple[PublishedCell, ...]
    confusion_matrices: tuple[ConfusionMatrix, ...]
    notes: tuple[str, ...]
    cam_regions: dict[str, tuple[str, ...]]

    def cell(self, table: str, cell: str) -> PublishedCell:
        """Return one printed number; a KeyError names the nearest cell where there is no such one."""
        for candidate in self.cells:
            if (candidate.table, candidate.cell) == (table, cell):
                return candidate
        known = [f"{c.table}: {c.cell}" for c in self.cells]
        raise KeyError(f"{self.key} prints no cell {table}: {cell}{_nearest(f'{table}: {cell}', known)}")

    def find(
        self, *, table: str | None = None, metric: str | None = None, class_name: str | None = None
    ) -> tuple[PublishedCell, ...]:
        """Return the cells that agree with every argument given, in their order (none: an empty tuple)."""
        wanted = {"table": table, "metric": metric, "class_name": class_name}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        return tuple(c for c in self.cells if all(getattr(c, name) == v for name, v in wanted.items()))


def load_paper(key: str, *, folder: Path | None = None) -> Paper:
    """Read one paper's printed results.

    Parameters
    ----------
    key
        One of :data:`PAPERS`.
    folder
        Where the files lie; ``data/published`` beside the package by default.

    Raises
    ------
    KeyError
        If the key is unknown; the message names the nearest one.
    FileNotFoundError
        If the paper's file is missing.
    ValueError
        If the file is malformed; the message names the file and the entry.
    """
    if key not in PAPERS:
        raise KeyError(f"no paper {key!r}{_nearest(key, PAPERS)}; known: {', '.join(PAPERS)}")
    path = (folder or PUBLISHED_FOLDER) / f"{key}.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        return _build(key, _File.model_validate(content))
    except (yaml.YAMLError, ValueError) as error:  # pydantic's errors are ValueErrors and name the entry
        raise ValueError(f"{path}: {error}") from error


_SAME_METRIC = {"validation_accuracy": "accuracy"}


def published_values(paper: str, result: Any, *, cells: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the printed cells that an evaluation measured too: the `published` block of results.json.

    Parameters
    ----------
    paper : str
        Key of the paper.
    result : Evaluation
        Its metrics and rows per class decide which cells have a counterpart.
    cells : mapping
        Name of a table in `data/published/<paper>.yaml` -> pattern of its cells, such as ``"*"``; upper and
        lower case are the same.
    """
    per_class = {row["class"]: row for row in result.per_class}
    found = []
    for cell in load_paper(paper).cells:
        metric = _SAME_METRIC.get(cell.metric, cell.metric)
        if not _matches(cell, cells) or metric == "support":
            continue
        if cell.class_name is None and metric in result.metrics:
            counterpart = metric
        elif metric in per_class.get(cell.class_name, {}):
            counterpart = f"per_class.{cell.class_name}.{metric}"
        else:
            continue
        found.append(_published(cell, metric, counterpart))
    return found


def published_counterparts(paper: str, counterparts: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Return the `published` block for printed cells, (table, cell), whose counterparts are named.

    A counterpart is a key of results.json, such as ``"validation.accuracy"``.
    """
    source = load_paper(paper)
    cells = {key: source.cell(*place) for place, key in counterparts.items()}
    return [_published(cell, cell.metric, key) for key, cell in cells.items()]


def printed_beside(
    paper: str, measured: Mapping[tuple[str, str], float], *, cells: Mapping[str, str]
) -> pd.DataFrame:
    """Return printed numbers beside measured ones.

    Parameters
    ----------
    paper : str
        Key of the paper.
    measured : mapping
        (table, cell) -> measured value; upper and lower case are the same.
    cells : mapping
        As in `published_values`.

    Returns
    -------
    DataFrame, one row per printed number
        Columns printed and measured (NaN where nothing was measured); index ``"<table>: <cell>"``.
    """
    values = {tuple(map(str.casefold, place)): value for place, value in measured.items()}
    rows = {
        f"{cell.table}: {cell.cell}": (cell.value, values.get((cell.table.casefold(), cell.cell.casefold())))
        for cell in load_paper(paper).cells
        if _matches(cell, cells)
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["printed", "measured"], dtype=float)


def _matches(cell: PublishedCell, cells: Mapping[str, str]) -> bool:
    return fnmatch(cell.cell.casefold(), cells.get(cell.table, "").casefold())


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


class _Number(BaseModel, extra="forbid", populate_by_name=True):
    cell: str
    printed: str
    metric: str | None = None
    unit: Unit | None = None
    class_name: str | None = Field(default=None, alias="class")


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

    def numbers(self) -> Iterator[tuple[str, _Number]]:
        """Yield each number with the printed line it stands in."""
        used = {*self.fields, *self.metrics, *_field_names(self.row)} - {"n"}
        if unknown := used - set(_field_names(self.template)):
            raise ValueError(f"{self.table}: the template holds no field {sorted(unknown)[0]!r}")
        for n, (line, values) in enumerate(_records(self), start=1):
            row = self.row.format(n=n, **values)
            class_name = values["class"].lower() if "class" in values else None
            for name, unit in self.fields.items():
                column = f"predicted {name}" if self.matrix else name
                metric = "count" if self.matrix else self.metrics.get(name, self.metric or name)
                cell = f"{row} / {column}" if row else column
                printed = values[name]
                yield (
                    line,
                    _Number(cell=cell, printed=printed, metric=metric, unit=unit, class_name=class_name),
                )


class _Statement(BaseModel, extra="forbid"):
    table: str
    note: str = ""
    context: str
    metric: str | None = None  # of every number that names none, as the unit below
    unit: Unit | None = None
    cells: list[_Number] = Field(min_length=1)

    def numbers(self) -> Iterator[tuple[str, _Number]]:
        """Yield each number with the phrase it stands in."""
        for number in self.cells:
            filled = {"metric": number.metric or self.metric, "unit": number.unit or self.unit}
            if None in filled.values():
                raise ValueError(f"{self.table}: {number.cell}: give a metric and a unit")
            if number.printed not in self.context:
                raise ValueError(f"{self.table}: {number.cell}: the context does not hold {number.printed!r}")
            yield self.context, number.model_copy(update=filled)


class _File(BaseModel, extra="forbid"):
    title: str
    citation: str
    doi: str | None
    document: str
    believe: str
    protocol: Protocol
    headline: tuple[Headline, ...] = Field(min_length=1)
    tables: list[_Table] = []
    statements: list[_Statement] = []
    cam_regions: dict[str, tuple[str, ...]] = {}


def _build(key: str, raw: _File) -> Paper:
    entries = [*raw.tables, *raw.statements]
    cells = tuple(_cell(key, entry.table, *number) for entry in entries for number in entry.numbers())
    names = [(cell.table, cell.cell) for cell in cells]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{repeated[0][0]}: the cell {repeated[0][1]!r} is given more than once")
    if missing := [h for h in raw.headline if (h.table, h.cell) not in names]:
        raise ValueError(f"headline: there is no cell {missing[0].table}: {missing[0].cell}")
    matrices = tuple(_matrices(key, raw.tables, cells))
    notes = tuple(f"{entry.table}: {entry.note}" for entry in entries if entry.note)
    same = {
        name: getattr(raw, name)
        for name in ("title", "citation", "doi", "document", "believe", "protocol", "headline", "cam_regions")
    }
    return Paper(key=key, **same, cells=cells, confusion_matrices=matrices, notes=notes)


def _cell(key: str, table: str, context: str, number: _Number) -> PublishedCell:
    try:
        value = parse_printed(number.printed, unit=number.unit)
    except ValueError as error:
        raise ValueError(f"{table}: {number.cell}: {error}") from None
    return PublishedCell(paper=key, table=table, value=value, context=context, **number.model_dump())


def _matrices(key: str, tables: list[_Table], cells: Iterable[PublishedCell]) -> Iterator[ConfusionMatrix]:
    columns = {table.table: [name.lower() for name in table.fields] for table in tables if table.matrix}
    for table, classes in columns.items():
        mine = [cell for cell in cells if cell.table == table]
        counts = tuple(tuple(int(c.value) for c in mine if c.class_name == name) for name in classes)
        if any(len(row) != len(classes) for row in counts):
            raise ValueError(f"{table}: the matrix needs one row and one column for each of {classes}")
        yield ConfusionMatrix(key, table, tuple(classes), counts)


def _records(table: _Table) -> Iterator[tuple[str, dict[str, str]]]:
    """Split the printed lines into repetitions of the template; whatever does not fit is an error."""
    names, pattern = _field_names(table.template), _pattern(table.template)
    text, position = table.lines.strip("\n"), 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            line = text[position:].split("\n")[0]
            raise ValueError(f"{table.table}: the line {line!r} does not fit the template {table.template!r}")
        yield match[0], dict(zip(names, match.groups(), strict=True))
        position = match.end() + 1


def _field_names(template: str) -> list[str]:
    return re.findall(r"\{([^{}]+)\}", template)


def _pattern(template: str) -> re.Pattern[str]:
    literals = re.split(r"\{[^{}]+\}", template)
    escaped = [r"[ \n]*".join(map(re.escape, re.split(r"[ \n]+", text))) for text in literals]
    return re.compile(r"([^\t\n]*?)".join(escaped) + r"(?=\n|\Z)")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
