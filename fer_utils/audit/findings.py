"""What the audit says: one claim, one rule, one verdict, with the numbers to check it by hand."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from fer_utils.files import PROJECT, write_json, write_text

Verdict = Literal["consistent", "inconsistent", "noteworthy", "not_checkable"]
Certainty = Literal["certain", "likely", "possible"]

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
    "likely": "If inconsistent, one changed digit would make the numbers agree, so a typing error and a "
    "wrong result look alike. Or the verdict rests on a published fact that the explanation names.",
    "possible": "The verdict holds for one reading of what the paper leaves open; another one is named.",
}
"""What each certainty of a verdict means."""


@dataclass(frozen=True)
class Finding:
    """A verdict on one printed claim.

    `printed` is what the paper says, `expected` what follows from other numbers of the paper or from a
    published fact, and `explanation` the arithmetic and what else could explain it. `follows_from` is the
    location of another finding of the same paper that has the same cause, or empty.
    """

    paper: str
    location: str
    rule: str
    printed: str
    expected: str
    verdict: Verdict
    certainty: Certainty
    explanation: str
    follows_from: str = ""


@dataclass(frozen=True)
class Place:
    """Where a claim stands: key of the paper, and table or section and what it is about."""

    paper: str
    location: str

    def at(self, detail: object) -> "Place":
        """Return a place within this one."""
        return Place(self.paper, f"{self.location}: {detail}")

    def finding(
        self,
        rule: str,
        verdict: Verdict | bool,
        *,
        printed: object,
        why: str,
        expected: object = "",
        certainty: Certainty = "certain",
        follows_from: str = "",
    ) -> Finding:
        """Return a finding at this place; a verdict of True is consistent, and of False inconsistent."""
        if isinstance(verdict, bool):
            verdict = "consistent" if verdict else "inconsistent"
        return Finding(
            self.paper,
            self.location,
            rule,
            str(printed),
            str(expected),
            verdict,
            certainty,
            why,
            follows_from,
        )


def as_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return one row per finding, with the fields as columns."""
    return pd.DataFrame([asdict(each) for each in findings], columns=list(Finding.__dataclass_fields__))


def for_reading(findings: Sequence[Finding], *, paper: str, verdict: Verdict) -> pd.DataFrame:
    """Return a paper's findings of one verdict in two wide columns: claim and why.

    Findings that follow from another one stand below it, marked by an arrow.
    """
    chosen = [each for each in findings if (each.paper, each.verdict) == (paper, verdict)]
    causes = {each.location for each in chosen}
    order = {each.location: number for number, each in reversed(list(enumerate(chosen)))}
    chosen.sort(
        key=lambda each: (order.get(each.follows_from, order[each.location]), each.follows_from in causes)
    )
    rows = [
        {
            "claim": ("↳ " if each.follows_from in causes else "")
            + f"{each.location}. Printed: {each.printed}."
            + (f" Expected: {each.expected}." if each.expected else ""),
            "certainty": each.certainty,
            "why": each.explanation,
        }
        for each in chosen
    ]
    return pd.DataFrame(rows, columns=["claim", "certainty", "why"]).set_index("certainty")


def counts_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the number of findings of each verdict, one row per paper.

    Findings that follow from another one are not counted: one wrong digit counts once.
    """
    table = as_table(findings)
    counted = table[table["follows_from"] == ""]
    counts = pd.crosstab(counted["paper"], counted["verdict"]).reindex(columns=list(VERDICTS), fill_value=0)
    return counts.reindex(table["paper"].unique(), fill_value=0)


def as_text(findings: Sequence[Finding]) -> str:
    """Return the findings on one paper for a terminal, those that matter most first."""
    lines = [] if findings else ["nothing to check: no numbers that constrain each other"]
    for verdict in reversed(VERDICTS):
        table = for_reading(findings, paper=findings[0].paper if findings else "", verdict=verdict)
        follow = int(table["claim"].str.startswith("↳").sum())
        lines.append(
            f"{verdict.replace('_', ' ')}: {len(table) - follow}"
            + f", and {follow} that follow" * bool(follow)
        )
        for certainty, row in table.iterrows() if verdict != "consistent" else ():
            text = f"{row['claim']} {row['why']} ({certainty})"
            lines.append(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


def write_page(path: Path, title: str, findings: Sequence[Finding]) -> Path:
    """Write the findings as an HTML page that works offline."""
    paper = findings[0].paper if findings else ""
    tables = [
        f"<h2>{verdict.replace('_', ' ').capitalize()}</h2><p>{VERDICTS[verdict]}</p>"
        + for_reading(findings, paper=paper, verdict=verdict).reset_index().to_html(index=False)
        for verdict in reversed(VERDICTS)
        if any(each.verdict == verdict for each in findings)
    ]
    style, title = STYLE.read_text(encoding="utf-8"), html.escape(title)
    page = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    page += f"<style>{style}</style></head><body class='index'><main><h1>{title}</h1>"
    with pd.option_context("display.max_colwidth", None):
        page += "".join(tables) + "</main></body></html>"
    return write_text(path, page)


def write_findings(path: str | Path, findings: Sequence[Finding]) -> Path:
    """Write ``findings.json``: a list of objects with the fields of `Finding`."""
    return write_json(path, [asdict(each) for each in findings])
