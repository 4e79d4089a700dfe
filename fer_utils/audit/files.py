"""Anybody's tables: a YAML file, or one table as CSV, Markdown or scikit-learn's report.

In a YAML file a table stands under ``report`` (rows: classes; columns: precision, recall, f1, support),
``confusion`` (rows: the truth) or ``figures`` (metric: value), beside the keys of the rule `Table` that say
how its numbers came about. ``data/audit_template.yaml`` is an example.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fer_utils.audit.findings import Finding, as_text, write_page
from fer_utils.audit.rules import RULES, Table, audit
from fer_utils.files import PROJECT, ConfigError, nearest
from fer_utils.papers import Paper, parse_printed

_METRICS = {
    "f1-score": "f1",
    "f1 score": "f1",
    "uar": "macro_recall",
    "uf1": "macro_f1",
    "wf1": "weighted_f1",
}
_COLUMNS = ("precision", "recall", "f1", "support", "specificity")
_FORMS = ("report", "confusion", "figures")
YAML = (".yaml", ".yml")
FIGURES = ("accuracy", "cohen_kappa", "mcc", "support")
FIGURES += tuple(f"{kind}_{m}" for kind in ("macro", "weighted", "micro") for m in _COLUMNS if m != "support")
_HOW = ("matrix", "split", "rounding")


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
    texts = {"extra_forbidden": "unknown key", "missing": "this key is missing"}
    problems = []
    for each in error.errors():
        text = texts.get(each["type"], each["msg"])
        if each["type"] == "union_tag_invalid":
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
    """Return a paper whose simple tables are written as statements and templates, and what checks these."""
    full, statements, tables = [], [], {}
    for number, table in enumerate(content.get("tables") or []):
        where = f"tables.{number}"
        if not (forms := [form for form in _FORMS if form in table]):
            if "template" not in table:
                raise ValueError(f"{where}: a table needs one of the keys {', '.join(_FORMS)}")
            full.append(table)
            continue
        known = ("table", "title", "note", "unit", "supports", *_FORMS, *_HOW)
        if unknown := table.keys() - set(known):
            raise ValueError(f"{where}.{min(unknown)}: unknown key{nearest(min(unknown), known)}")
        if "table" not in table:
            raise ValueError(f"{where}: a table needs its name, such as table: Table 1")
        name, how = table["table"], {key: table[key] for key in _HOW if key in table}
        if forms == ["confusion"]:
            full.append(_confusion(name, table["confusion"], f"{where}.confusion"))
            how["matrix"] = name
        else:
            statements += _statements(table, where)
        try:
            printed = "" if forms == ["confusion"] else name
            tables[where] = Table(rule="table", where=name, table=printed, **how)
        except ValidationError as error:
            raise ValueError(_problems(error, where)[0]) from error
    content = content | {"tables": full, "statements": statements + (content.get("statements") or [])}
    return Paper(**content, key=key), tables


def _grid(text: str) -> list[list[str]]:
    """Return the cells of a table in CSV, in Markdown, or with blanks between the columns."""
    lines = [line for line in text.splitlines() if line.strip() and not re.fullmatch(r"[|:\s-]+", line)]
    separator = next((mark for mark in ("|", ",", "\t") if mark in text), None)
    if separator is None:
        return [re.split(r"\s{2,}", line.strip()) for line in lines]
    return [[cell.strip() for cell in line.strip(" |").split(separator)] for line in lines]


def _confusion(name: str, text: str, where: str) -> dict[str, Any]:
    header, *rows = _grid(text)
    classes = header[-len(rows) :]
    if [row[0] for row in rows] != classes or {len(row) for row in rows} != {len(classes) + 1}:
        raise ValueError(
            f"{where}: rows and columns need the same classes in the same order, and a count each"
        )
    template = "\t".join(f"{{{column}}}" for column in ("class", *classes))
    lines = "\n".join("\t".join(row) for row in rows)
    table = {"table": name, "matrix": True, "template": template, "row": "{class}", "lines": lines}
    return table | {"fields": dict.fromkeys(classes, "count")}


def _statements(table: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a report and the figures of a table, each as a statement."""
    name, unit = table["table"], table.get("unit", "fraction")
    cells = [
        _cell(f"{key} / support", n, "support", unit, key.lower())
        for key, n in table.get("supports", {}).items()
    ]
    for label, printed in table.get("figures", {}).items():
        metric = _METRICS.get(label.lower(), label)
        if metric not in FIGURES:
            raise ValueError(f"{where}.figures.{label}: unknown figure{nearest(metric, FIGURES)}")
        cells.append(_cell(label, printed, metric, unit))
    header, *rows = _grid(table["report"]) if "report" in table else [[]]
    metrics = [_METRICS.get(label.lower(), label.lower()) for label in header]
    metrics = [metric for metric in metrics if metric in _COLUMNS]
    total = False
    for row in rows:
        kind, values = row[0].lower(), [value for value in row[1:] if value]
        if kind == "accuracy":
            cells.append(_cell("accuracy", values[0], "accuracy", unit))
            continue
        if len(values) != len(metrics):
            raise ValueError(
                f"{where}.report: {row[0]!r} has {len(values)} numbers for {len(metrics)} columns"
            )
        average = re.fullmatch(r"(macro|weighted|micro|samples)[ -]?(avg|average)", kind)
        for metric, printed in zip(metrics, values, strict=True):
            if not average:
                cells.append(_cell(f"{row[0]} / {metric}", printed, metric, unit, kind))
            elif metric != "support":
                cells.append(_cell(f"{kind} / {metric}", printed, f"{average[1]}_{metric}", unit))
            elif not total:
                total = True
                cells.append(_cell("support", printed, "support", unit))
    for cell in cells:
        try:
            parse_printed(cell["printed"], unit=cell["unit"])
        except ValueError as error:
            raise ValueError(f"{where}: {cell['cell']}: {error}") from error
        yield {"table": name, "context": cell["printed"], "cells": [cell]}


def _cell(name: str, printed: str, metric: str, unit: str, of_class: str | None = None) -> dict[str, Any]:
    unit = "count" if metric == "support" else "percent" if "%" in printed else unit
    return {"cell": name, "printed": printed, "metric": metric, "unit": unit, "class": of_class}
