"""Figures, one function per figure: each returns a matplotlib `Figure` and changes no global state.

All colours are distinguishable with common colour-vision deficiencies, and nothing is shown by colour alone.
`show` displays a figure with its alt text in a notebook, `interact` one with controls.
"""

# ruff: noqa: F403
from fer_utils.plots.cam import *
from fer_utils.plots.data import *
from fer_utils.plots.live import *
from fer_utils.plots.networks import *
from fer_utils.plots.notebook import *
from fer_utils.plots.protocols import *
from fer_utils.plots.results import *
