"""Anybody's tables: a YAML file, or one table as CSV, Markdown or scikit-learn's report.

``data/audit_template.yaml`` is an example of such a file; `OwnTable` has the keys of its tables.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from fer_utils.audit.findings import Finding, as_text, write_page
from fer_utils.audit.rules import RULES, Table, audit
from fer_utils.audit.tables import ALIASES
from fer_utils.files import PROJECT, ConfigError, nearest
from fer_utils.papers import Paper, parse_printed

YAML = (".yaml", ".yml")
_COLUMNS = ("precision", "recall", "f1", "specificity", "support")
FIGURES = ["accuracy", "cohen_kappa", "mcc", "support"]
FIGURES += [f"{kind}_{metric}" for kind in ("macro", "weighted", "micro") for metric in _COLUMNS[:-1]]


def _grid(text: str) -> list[list[str]]:
    """Return the cells of a table in CSV, in Markdown, or with tabs or blanks between the columns."""
    lines = [line for line in text.splitlines() if line.strip() and not re.fullmatch(r"[|:\s-]+", line)]
    if separator := next((mark for mark in "|," if mark in text), None):
        return [[cell.strip() for cell in line.strip(" |").split(separator)] for line in lines]
    return [re.split(r"\s{2,}|\t", line.strip()) for line in lines]


def _report(text: str) -> Iterator[tuple]:
    """Yield name, metric, text and class of each number; a report repeats its total in each average."""
    header, *rows = _grid(text) or [[]]
    metrics, total = [ALIASES.get(label.lower(), label.lower()) for label in header], None
    metrics = [metric for metric in metrics if metric in _COLUMNS]
    for label, *values in rows:
        kind, values = label.lower(), [value for value in values if value]
        average = re.fullmatch(r"(macro|weighted|micro|samples)[ -]?(avg|average)", kind)
        if kind == "accuracy" and values:
            yield kind, kind, values[0], None
            continue
        if len(values) != len(metrics):
            raise ValueError(f"{label!r} has {len(values)} numbers for {len(metrics)} columns")
        for metric, printed in zip(metrics, values, strict=True):
            if not average:
                yield f"{label} / {metric}", metric, printed, kind
            elif metric != "support":
                yield f"{kind} / {metric}", f"{average[1]}_{metric}", printed, None
            else:
                total = total or printed
    if total:
        yield "support", "support", total, None


def _confusion(text: str) -> list[list[str]]:
    """Return the rows of a matrix, each with its class."""
    header, *rows = _grid(text) or [[]]
    classes = header[-len(rows) :]
    if [row[0] for row in rows] != classes or {len(row) for row in rows} != {len(classes) + 1}:
        raise ValueError("rows and columns need the same classes in one order, and counts")
    return rows


def _figures(figures: dict[str, str]) -> Iterator[tuple]:
    """Yield name, metric, text and class of each figure."""
    for label, printed in figures.items():
        metric = ALIASES.get(label.lower(), label)
        if metric not in FIGURES:
            raise ValueError(f".{label}: unknown figure{nearest(metric, FIGURES)}")
        yield label, metric, printed, None


class OwnTable(Table):
    """A table of a file, which is a claim that its numbers fit each other.

    It stands under ``report`` (rows: classes; columns: precision, recall, f1, support), ``confusion`` (rows:
    the truth) or ``figures`` (metric: value), the latter beside ``supports`` (class: number of samples).
    """

    rule: Literal["table"] = "table"
    where: str = ""
    table: str
    title: str = ""
    unit: Literal["fraction", "percent"] = "fraction"
    # Read into lists, of the tuples that `_report` and `_figures` yield, and of rows.
    report: Annotated[str, AfterValidator(_report), AfterValidator(list)] = Field(default=[])
    confusion: Annotated[str, AfterValidator(_confusion)] = Field(default=[])
    figures: Annotated[dict[str, str], AfterValidator(_figures), AfterValidator(list)] = Field(default=[])
    supports: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (self.report or self.confusion or self.figures or self.supports):
            raise ValueError("a table needs one of the keys report, confusion, figures")
        self.where, self.matrix = self.where or self.table, self.matrix or self.table * bool(self.confusion)
        for cell in self.cells():
            try:
                parse_printed(cell["printed"], unit=cell["unit"])
            except ValueError as error:
                raise ValueError(f"{cell['cell']}: {error}") from error
        return self

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yield the numbers but for those of a confusion matrix as cells of a `Paper`."""
        counts = [(f"{name} / support", "support", n, name.lower()) for name, n in self.supports.items()]
        for name, metric, printed, of_class in counts + self.figures + self.report:
            unit = "count" if metric == "support" else "percent" if "%" in printed else self.unit
            yield {"cell": name, "printed": printed, "metric": metric, "unit": unit, "class": of_class}

    def matrices(self) -> list[dict[str, Any]]:
        """Return the confusion matrix, if there is one, as a table of a `Paper`."""
        classes = [name for name, *_ in self.confusion]
        template = "\t".join(f"{{{name}}}" for name in ("class", *classes))
        table = {"table": self.table, "matrix": True, "template": template, "row": "{class}"}
        table["lines"] = "\n".join(map("\t".join, self.confusion))
        table["fields"] = dict.fromkeys(classes, "count")
        return [table] if classes else []


def audit_command(path: Path | None, *, page: Path | None, split: str) -> int:
    """Print the findings on a file, or the template without one; return 3 if something is inconsistent."""
    if path is None:
        print((PROJECT / "data/audit_template.yaml").read_text(encoding="utf-8"), end="")
        return 0
    paper, findings = audit_file(path, split=split)
    print(as_text(findings))
    if page:
        print(f"report: {write_page(page, paper.title, findings)}")
    return 3 if any(each.verdict == "inconsistent" for each in findings) else 0


def audit_file(path: Path, *, split: str = "unknown") -> tuple[Paper, list[Finding]]:
    """Return a file's tables as a paper, and the findings on them; `split` is that of a table alone.

    Raises
    ------
    ConfigError
        If the file cannot be used; the message names the line and the key.
    """
    text, is_yaml = path.read_text(encoding="utf-8", errors="replace"), path.suffix.lower() in YAML
    try:
        if not text.strip():
            raise ValueError("the file is empty")
        if is_yaml:
            content = yaml.load(text, Loader=yaml.CBaseLoader)
        else:
            form = "report" if re.search("precision|recall", text, re.IGNORECASE) else "confusion"
            content = {"title": path.name, "tables": [{"table": path.stem, form: text, "split": split}]}
        if not (isinstance(content, dict) and isinstance(content.get("tables") or [], list)):
            raise ValueError("a file has the keys title, tables and claims")
        paper, tables = _paper(path.stem, content)
        return paper, audit(paper, tables=tables)
    except yaml.YAMLError as error:
        hint = "no tabs before a key; under |, the first line of a table begins with a word, not with blanks"
        raise ConfigError(f"{path}: not YAML: {error}\n({hint})") from None
    except ValueError as error:  # pydantic's, too
        problems = _problems(error) if isinstance(error, ValidationError) else [str(error)]
    lines = (f", line {_line(text, problem)}" if is_yaml else "" for problem in problems)
    raise ConfigError("\n".join(f"{path}{line}: {it}" for line, it in zip(lines, problems, strict=True)))


def _problems(error: ValidationError) -> list[str]:
    """Return what is wrong, each beginning with its place, such as ``claims.3.split: unknown key``."""
    problems = []
    for each in error.errors():
        text = {"missing": "this key is missing"}.get(each["type"], each["msg"].removeprefix("Value error, "))
        place = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            own = error.title.startswith("dict")
            text = "unknown key" + (nearest(each["loc"][-1], OwnTable.model_fields) if own else "")
        elif each["type"] == "union_tag_invalid":
            text = f"unknown rule{nearest(each['ctx']['tag'], RULES)}"
        problems.append(f"{place}: {text}".replace(": .", ".") if place else text)
    return problems


def _line(text: str, problem: str) -> int:
    """Return the line of the entry with which a problem begins, counted from 1."""
    node, line = yaml.compose(text, Loader=yaml.CBaseLoader), 1
    for part in problem.partition(":")[0].split("."):
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = {key.value: (key, value) for key, value in children}
        else:
            children = {str(i): (child, child) for i, child in enumerate(children)}
        if part in children:  # others name a type, not a key
            key, node = children[part]
            line = key.start_mark.line + 1
    return line


def _paper(key: str, content: dict[str, Any]) -> tuple[Paper, dict[str, Table]]:
    """Return a paper whose own tables are written as tables and statements, and the claims that these fit."""
    statements, entries = content.get("statements") or [], enumerate(content.get("tables") or [])
    tables = {f"tables.{number}": table for number, table in entries}
    full = [table for table in tables.values() if "template" in table]
    own = {place: table for place, table in tables.items() if "template" not in table}
    claims = TypeAdapter(dict[str, OwnTable]).validate_python(own)
    names = [each.table for each in claims.values()]
    for place, table in claims.items():
        if names.count(table.table) > 1:
            raise ValueError(f"{place}.table: {table.table!r} is the name of more than one table")
        full += table.matrices()
        statements += [{"table": table.table, "context": c["printed"], "cells": [c]} for c in table.cells()]
    return Paper(**content | {"tables": full, "statements": statements}, key=key), claims
