"""Anybody's tables: a YAML file, or one table as CSV, Markdown or scikit-learn's report.

``data/audit_template.yaml`` is an example of such a file; `OwnTable` has the keys of its tables.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from fer_utils.audit.findings import Finding, as_text, write_page
from fer_utils.audit.rules import RULES, Table, audit
from fer_utils.files import PROJECT, ConfigError, nearest
from fer_utils.papers import Paper, parse_printed

YAML = (".yaml", ".yml")
_NAMES = {"f1-score": "f1", "f1 score": "f1", "uar": "macro_recall", "uf1": "macro_f1", "wf1": "weighted_f1"}
_COLUMNS = ("precision", "recall", "f1", "specificity", "support")
FIGURES = ["accuracy", "cohen_kappa", "mcc", "support"]
FIGURES += [f"{kind}_{metric}" for kind in ("macro", "weighted", "micro") for metric in _COLUMNS[:-1]]


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
    report: str = ""
    confusion: str = ""
    figures: dict[str, str] = Field(default={})
    supports: dict[str, str] = Field(default={})

    def parts(self) -> tuple[list[dict], list[dict]]:
        """Return the table as tables and statements of a `Paper`."""
        if not (self.report or self.confusion or self.figures or self.supports):
            raise ValueError("a table needs one of the keys report, confusion, figures")
        statements = []
        for name, metric, printed, of_class in self._numbers():
            unit = "count" if metric == "support" else "percent" if "%" in printed else self.unit
            try:
                parse_printed(printed, unit=unit)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            cell = {"cell": name, "printed": printed, "metric": metric, "unit": unit, "class": of_class}
            statements.append({"table": self.table, "context": printed, "cells": [cell]})
        return [self._matrix()] if self.confusion else [], statements

    def _numbers(self) -> Iterator[tuple[str, str, str, str | None]]:
        """Yield name, metric, text and class of each number; a report repeats its total in each average."""
        for name, printed in self.supports.items():
            yield f"{name} / support", "support", printed, name.lower()
        for label, printed in self.figures.items():
            metric = _NAMES.get(label.lower(), label)
            if metric not in FIGURES:
                raise ValueError(f"figures.{label}: unknown figure{nearest(metric, FIGURES)}")
            yield label, metric, printed, None
        header, *rows = _grid(self.report) or [[]]
        metrics = [_NAMES.get(label.lower(), label.lower()) for label in header]
        metrics, total = [metric for metric in metrics if metric in _COLUMNS], ""
        for label, *values in rows:
            kind, values = label.lower(), [value for value in values if value]
            average = re.fullmatch(r"(macro|weighted|micro|samples)[ -]?(avg|average)", kind)
            if kind == "accuracy":
                yield kind, kind, values[0], None
                continue
            if len(values) != len(metrics):
                raise ValueError(f"report: {label!r} has {len(values)} numbers for {len(metrics)} columns")
            for metric, printed in zip(metrics, values, strict=True):
                if not average:
                    yield f"{label} / {metric}", metric, printed, kind
                elif metric != "support":
                    yield f"{kind} / {metric}", f"{average[1]}_{metric}", printed, None
                else:
                    total = total or printed
        if total:
            yield "support", "support", total, None

    def _matrix(self) -> dict[str, Any]:
        header, *rows = _grid(self.confusion)
        classes = header[-len(rows) :]
        if [row[0] for row in rows] != classes or {len(row) for row in rows} != {len(classes) + 1}:
            raise ValueError("confusion: rows and columns need the same classes in one order, and counts")
        template = "\t".join(f"{{{name}}}" for name in ("class", *classes))
        table = {"table": self.table, "matrix": True, "template": template, "row": "{class}"}
        table["lines"] = "\n".join(map("\t".join, rows))
        return table | {"fields": dict.fromkeys(classes, "count")}


def _grid(text: str) -> list[list[str]]:
    """Return the cells of a table in CSV, in Markdown, or with blanks between the columns."""
    lines = [line for line in text.splitlines() if line.strip() and not re.fullmatch(r"[|:\s-]+", line)]
    separator = next((mark for mark in ("|", ",", "\t") if mark in text), None)
    if separator is None:
        return [re.split(r"\s{2,}", line.strip()) for line in lines]
    return [[cell.strip() for cell in line.strip(" |").split(separator)] for line in lines]


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
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if not text.strip():
            raise ValueError("the file is empty")
        if path.suffix.lower() in YAML:
            content = yaml.load(text, Loader=yaml.CBaseLoader)
        else:
            form = "report" if re.search("precision|recall", text, re.IGNORECASE) else "confusion"
            content = {"title": path.name, "tables": [{"table": path.stem, form: text, "split": split}]}
        if not isinstance(content, dict):
            raise ValueError("a file has the keys title, tables and claims")
        paper, tables = _paper(path.stem, content)
        return paper, audit(paper, tables=tables)
    except yaml.YAMLError as error:
        hint = "under |, the first line of a table must not be indented further: put a word before it"
        raise ConfigError(f"{path}: not YAML: {error}\n({hint})") from None
    except ValidationError as error:
        problems = _problems(error)
    except ValueError as error:
        problems = [str(error)]
    lines = [f", line {_line(text, problem)}" if path.suffix.lower() in YAML else "" for problem in problems]
    raise ConfigError("\n".join(f"{path}{line}: {it}" for line, it in zip(lines, problems, strict=True)))


def _problems(error: ValidationError, *within: str) -> list[str]:
    """Return what is wrong, each beginning with its place, such as ``claims.3.split: unknown key``."""
    problems = []
    for each in error.errors():
        text = {"missing": "this key is missing"}.get(each["type"], each["msg"])
        if each["type"] == "extra_forbidden":
            text = "unknown key" + (nearest(each["loc"][-1], OwnTable.model_fields) if within else "")
        elif each["type"] == "union_tag_invalid":
            text = f"unknown rule{nearest(each['ctx']['tag'], RULES)}"
        place = ".".join(map(str, (*within, *each["loc"])))
        problems.append(f"{place}: {text}" if place else text.removeprefix("Value error, "))
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
    full, statements, claims = [], list(content.get("statements") or []), {}
    for number, table in enumerate(content.get("tables") or []):
        if "template" in table:
            full.append(table)
            continue
        place = f"tables.{number}"
        try:
            own = OwnTable(**table)
            own.where, own.matrix = own.where or own.table, own.matrix or own.table * bool(own.confusion)
            tables, numbers = own.parts()
        except ValidationError as error:
            raise ValueError(_problems(error, place)[0]) from error
        except ValueError as error:
            separator = "." if re.match(r"(figures|report|confusion)\b[.:]", str(error)) else ": "
            raise ValueError(f"{place}{separator}{error}") from error
        full, statements, claims[place] = full + tables, statements + numbers, own
    return Paper(**content | {"tables": full, "statements": statements}, key=key), claims
