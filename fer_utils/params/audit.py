"""60_paper_audit, which reads the printed tables and trains nothing."""

from typing import Annotated, Literal

from pydantic import Field

from fer_utils.papers import PAPERS
from fer_utils.params.base import Parameters


class PaperAudit(Parameters):
    """60_paper_audit."""

    kind = "audit"

    papers: Annotated[list[Literal[*PAPERS]], Field(min_length=1)]
