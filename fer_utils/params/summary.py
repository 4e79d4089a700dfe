"""61_protocol_effects and 90_summary, which read what the other notebooks leave."""

from fer_utils.params.base import Parameters


class ProtocolEffects(Parameters):
    """61_protocol_effects."""

    kind = "audit"

    reports_dir: str


class Summary(Parameters):
    """90_summary."""

    kind = "summary"

    reports_dir: str
