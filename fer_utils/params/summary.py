"""90_summary, which reads what the other notebooks leave."""

from fer_utils.params.base import Parameters


class Summary(Parameters):
    """90_summary."""

    kind = "summary"

    reports_dir: str
