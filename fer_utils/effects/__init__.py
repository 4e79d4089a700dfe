"""How much a way of measuring adds to an accuracy: the leaky one beside the honest one, from finished runs.

Nothing is trained here. `arms` reads the runs, `experiments` sets them side by side, `luck` says how far two
runs of one setting differ by chance.
"""

from fer_utils.effects.arms import Arm, Seeds, load_seeds
from fer_utils.effects.curves import epoch_curves, last_epochs, validation_curves
from fer_utils.effects.effect import (
    Effect,
    arms_table,
    effects_table,
    pick,
    read_effects,
    records,
    sizes_table,
    write_effects,
)
from fer_utils.effects.experiments import EXPERIMENTS, measure_all
from fer_utils.effects.luck import pooled_sd, printed_differences, seed_spread, two_runs

__all__ = [
    "EXPERIMENTS",
    "Arm",
    "Effect",
    "Seeds",
    "arms_table",
    "effects_table",
    "epoch_curves",
    "last_epochs",
    "load_seeds",
    "measure_all",
    "pick",
    "pooled_sd",
    "printed_differences",
    "read_effects",
    "records",
    "seed_spread",
    "sizes_table",
    "two_runs",
    "validation_curves",
    "write_effects",
]
