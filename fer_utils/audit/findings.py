"""What the audit says: one claim, one rule, one verdict, with the numbers to check it by hand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from fer_utils.files import write_json

Verdict = Literal["consistent", "inconsistent", "not_checkable"]
Certainty = Literal["certain", "likely", "possible"]

CERTAINTY = {
    "certain": "Arithmetic on the printed numbers alone, whatever the rounding. Where the verdict is "
    "inconsistent, no single changed digit mends it: a result is wrong, or more than one digit. What is not "
    "checkable is certainly so from what is printed.",
    "likely": "The printed numbers exclude each other, but one changed digit would mend them: a slip in "
    "copying and a wrong result look alike. Or the verdict rests on a usual definition, or on a data set's "
    "published counts, which the explanation names.",
    "possible": "The verdict holds for one reading of what the paper leaves open; another one is named.",
}
"""What each certainty of a verdict means."""


@dataclass(frozen=True)
class Place:
    """Where a claim stands: key of the paper, table or section and what it is about."""

    paper: str
    location: str

    def at(self, detail: object) -> "Place":
        """Return a place within this one."""
        return Place(self.paper, f"{self.location}: {detail}")


@dataclass(frozen=True)
class Finding:
    """A verdict on one printed claim.

    `printed` is what the paper says, `expected` what follows from other numbers of the paper or from a
    published fact, and `explanation` the arithmetic and what else could explain it.
    """

    paper: str
    location: str
    rule: str
    printed: str
    expected: str
    verdict: Verdict
    certainty: Certainty
    explanation: str


def finding(
    place: Place,
    rule: str,
    *,
    printed: object,
    expected: object,
    verdict: Verdict,
    certainty: Certainty,
    explanation: str,
) -> Finding:
    """Return a finding at a place; numbers are written out."""
    return Finding(
        place.paper, place.location, rule, str(printed), str(expected), verdict, certainty, explanation
    )


def judged(
    place: Place,
    rule: str,
    holds: bool,
    *,
    printed: object,
    expected: object,
    explanation: str,
    certainty: Certainty = "certain",
) -> Finding:
    """Return a finding that is consistent where the rule holds, else inconsistent."""
    verdict = "consistent" if holds else "inconsistent"
    return finding(
        place,
        rule,
        printed=printed,
        expected=expected,
        verdict=verdict,
        certainty=certainty,
        explanation=explanation,
    )


def not_checkable(place: Place, rule: str, *, printed: object, why: str) -> Finding:
    """Return a finding that says why nothing follows from what is printed."""
    return finding(
        place,
        rule,
        printed=printed,
        expected="-",
        verdict="not_checkable",
        certainty="certain",
        explanation=why,
    )


def as_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return one row per finding, with the fields as columns."""
    return pd.DataFrame([asdict(each) for each in findings], columns=list(Finding.__dataclass_fields__))


def for_reading(findings: Sequence[Finding], *, paper: str, verdict: Verdict) -> pd.DataFrame:
    """Return a paper's findings of one verdict, by their certainty, in two wide columns: claim and why."""
    rows = [
        {
            "claim": f"{each.location}. Printed: {each.printed}."
            + (f" Expected: {each.expected}." if verdict != "not_checkable" else ""),
            "certainty": each.certainty,
            "why": each.explanation,
        }
        for each in findings
        if (each.paper, each.verdict) == (paper, verdict)
    ]
    return pd.DataFrame(rows, columns=["claim", "certainty", "why"]).set_index("certainty")


def counts_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return how many findings of each verdict there are: one row per paper."""
    table = as_table(findings)
    verdicts = ["consistent", "inconsistent", "not_checkable"]
    counted = pd.crosstab(table["paper"], table["verdict"]).reindex(columns=verdicts, fill_value=0)
    return counted.reindex(table["paper"].unique())


def write_findings(path: str | Path, findings: Sequence[Finding]) -> Path:
    """Write ``findings.json``: a list of objects with the fields of `Finding`."""
    return write_json(path, [asdict(each) for each in findings])
