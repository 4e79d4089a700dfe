"""Can the printed numbers be? Tables and claims of a paper, checked by arithmetic alone.

Nothing is trained and no data set is read: the numbers are those of the paper's file (``data/published`` has
the five papers'), beside what others published (``data/facts.yaml``).
"""

from fer_utils.audit.files import audit_file
from fer_utils.audit.findings import (
    CERTAINTY,
    VERDICTS,
    Finding,
    as_table,
    as_text,
    counts_table,
    for_reading,
    write_findings,
)
from fer_utils.audit.rules import audit
from fer_utils.papers import load_paper


def audit_paper(key: str) -> list[Finding]:
    """Return the findings on one of `fer_utils.papers.PAPERS`."""
    return audit(load_paper(key))
