"""What the audit says: one claim, one rule, one verdict, with the numbers to check it by hand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from fer_utils.files import write_json

Verdict = Literal["consistent", "inconsistent", "noteworthy", "not_checkable"]
Certainty = Literal["certain", "likely", "possible"]

VERDICTS = {
    "consistent": "The number can be: it agrees with the other numbers that the rule names.",
    "inconsistent": "It cannot be, together with the other numbers that the rule names.",
    "noteworthy": "It can be, and a reader should know what it means.",
    "not_checkable": "Too little is printed, or another reading of the text would make it true.",
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


def write_findings(path: str | Path, findings: Sequence[Finding]) -> Path:
    """Write ``findings.json``: a list of objects with the fields of `Finding`."""
    return write_json(path, [asdict(each) for each in findings])
