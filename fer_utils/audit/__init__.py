"""Are the printed tables possible? Each claim of the five papers, checked by arithmetic alone.

Nothing is trained and no data set is read: the numbers are those of ``data/published``, beside the published
counts of the data sets.
"""

from pathlib import Path
from types import ModuleType

from fer_utils.audit import bamb2023, dubey2020, kishor2022, kumar2021, srivastav2024
from fer_utils.audit.findings import (
    CERTAINTY,
    Finding,
    Place,
    as_table,
    counts_table,
    for_reading,
    write_findings,
)
from fer_utils.papers import PAPERS, load_paper

__all__ = [
    "CERTAINTY",
    "Finding",
    "Place",
    "as_table",
    "audit_paper",
    "audit_papers",
    "counts_table",
    "for_reading",
    "write_findings",
]

_READINGS: dict[str, ModuleType] = {
    "kishor2022": kishor2022,
    "dubey2020": dubey2020,
    "kumar2021": kumar2021,
    "srivastav2024": srivastav2024,
    "bamb2023": bamb2023,
}


def audit_paper(key: str, *, folder: Path | None = None) -> list[Finding]:
    """Return the findings on one paper.

    Parameters
    ----------
    key
        One of `fer_utils.papers.PAPERS`.
    folder
        Where the published tables lie; ``data/published`` by default.

    Raises
    ------
    KeyError
        If there is no such paper, or the paper's file lacks a cell that the audit reads; the message names
        the nearest one.
    """
    paper = load_paper(key, folder=folder)
    return list(_READINGS[key].findings(paper))


def audit_papers(*, folder: Path | None = None) -> list[Finding]:
    """Return the findings on all five papers, in the order of `fer_utils.papers.PAPERS`."""
    return [finding for key in PAPERS for finding in audit_paper(key, folder=folder)]
