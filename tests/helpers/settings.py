"""Parameters for tests."""

from fer_utils.params import NOTEBOOKS, Parameters
from fer_utils.run import notebook_defaults


def notebook_params(notebook: str, **changes: object) -> Parameters:
    """Return the defaults of a notebook, such as "10_baseline_cnn", with `changes`."""
    return NOTEBOOKS[notebook](**notebook_defaults(notebook) | changes)
