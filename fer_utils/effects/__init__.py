"""How much a way of measuring adds to an accuracy: the leaky one beside the honest one, from finished runs.

Nothing is trained here. `arms` reads the runs, `experiments` sets them side by side, `luck` says how far two
runs of one setting differ by chance.
"""

from fer_utils.effects.arms import Arm, MissingRuns, Seeds, load_seeds
from fer_utils.effects.effect import Effect, effects_table, read_effects, records, write_effects
from fer_utils.effects.experiments import EXPERIMENTS, measure_all
from fer_utils.effects.luck import pooled_sd, printed_differences, seed_spread, two_runs

__all__ = [
    "EXPERIMENTS",
    "Arm",
    "Effect",
    "MissingRuns",
    "Seeds",
    "effects_table",
    "load_seeds",
    "measure_all",
    "pooled_sd",
    "printed_differences",
    "read_effects",
    "records",
    "seed_spread",
    "two_runs",
    "write_effects",
]
