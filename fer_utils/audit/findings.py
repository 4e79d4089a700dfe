"""What the audit says: one claim, one rule, one verdict, with the numbers to check it by hand."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from fer_utils.files import PROJECT, write_json, write_text

STYLE = PROJECT / "fer_utils/templates/style.css"
VERDICTS = {
    "consistent": "The numbers agree with each other, or with what is published.",
    "not_checkable": "Too little is printed, or another reading of the text would make it true.",
    "noteworthy": "The numbers are possible, and readers should know what they mean.",
    "inconsistent": "The numbers cannot all be correct.",
}
"""What each verdict means."""

CERTAINTY = {
    "certain": "Arithmetic on the printed numbers alone, however they were rounded. If inconsistent, no "
    "single changed digit makes the numbers agree: a result is wrong, or more than one digit.",
    "likely": "If inconsistent, one changed digit, or one number under another name, would make the numbers "
    "agree, so a typing error and a wrong result look alike. Or the verdict rests on a published fact.",
    "possible": "The verdict holds for one reading of what the paper leaves open; another one is named.",
}
"""What each certainty of a verdict means."""
Verdict, Certainty = Literal[*VERDICTS], Literal[*CERTAINTY]


@dataclass(frozen=True)
class Finding:
    """A verdict on one printed claim.

    `printed` is what the paper says, `expected` what follows from other numbers of the paper or from a
    published fact, and `explanation` the arithmetic and what else could explain it. `follows_from` is the
    location of another finding of the same paper that has the same cause, or empty.
    """

    paper: str = field(default="", kw_only=True)
    location: str
    rule: str
    verdict: Verdict
    printed: str
    expected: str
    explanation: str
    certainty: Certainty = "certain"
    follows_from: str = ""


def as_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return one row per finding, with the fields as columns."""
    return pd.DataFrame([asdict(each) for each in findings], columns=list(Finding.__dataclass_fields__))


def for_reading(findings: Sequence[Finding], *, verdict: Verdict, paper: str = "") -> pd.DataFrame:
    """Return the findings of one verdict, of a paper if given, in two wide columns: claim and why.

    Findings that follow from another one stand below it, marked by an arrow.
    """
    chosen = [each for each in findings if each.verdict == verdict and paper in ("", each.paper)]
    order = {each.location: number for number, each in reversed(list(enumerate(chosen)))}
    chosen.sort(key=lambda each: order.get(each.follows_from, order[each.location]))
    rows = []
    for each in chosen:
        expected = f" Expected: {each.expected}." * bool(each.expected)
        claim = f"{each.location}. Printed: {each.printed}.{expected}"
        rows.append((each.certainty, "↳ " * (each.follows_from in order) + claim, each.explanation))
    return pd.DataFrame(rows, columns=["certainty", "claim", "why"]).set_index("certainty")


def counts_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the number of findings of each verdict, one row per paper.

    Findings that follow from another one are not counted: one wrong digit counts once.
    """
    table = as_table(findings)
    counted = table[table["follows_from"] == ""]
    counts = pd.crosstab(counted["paper"], counted["verdict"])
    return counts.reindex(index=table["paper"].unique(), columns=list(VERDICTS), fill_value=0)


def as_text(findings: Sequence[Finding]) -> str:
    """Return the findings on one paper for a terminal, those that matter most first."""
    lines = [] if findings else ["nothing to check: no numbers that constrain each other"]
    for verdict in reversed(VERDICTS):
        table = for_reading(findings, verdict=verdict)
        follow = sum(claim.startswith("↳") for claim in table["claim"])
        note = f", and {follow} that follow" if follow else ""
        lines.append(f"{verdict.replace('_', ' ')}: {len(table) - follow}{note}")
        for certainty, row in table.iterrows() if verdict != "consistent" else ():
            text = f"{row['claim']} {row['why']} ({certainty})"
            lines.append(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


def write_page(path: Path, title: str, findings: Sequence[Finding]) -> Path:
    """Write the findings as an HTML page that works offline."""
    title, parts = html.escape(title), []
    with pd.option_context("display.max_colwidth", None):
        for verdict in reversed(VERDICTS):
            table = for_reading(findings, verdict=verdict)
            heading = f"<h2>{verdict.replace('_', ' ').capitalize()}</h2><p>{VERDICTS[verdict]}</p>"
            parts += [heading + table.reset_index().to_html(index=False)] if len(table) else []
    page = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    page += f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body class='index'><main>"
    return write_text(path, f"{page}<h1>{title}</h1>{''.join(parts)}</main></body></html>")


def write_findings(path: str | Path, findings: Sequence[Finding]) -> Path:
    """Write ``findings.json``: a list of objects with the fields of `Finding`."""
    return write_json(path, [asdict(each) for each in findings])
