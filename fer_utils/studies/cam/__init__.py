"""What class-activation maps are worth: the measurement that 40_fastai_transfer and 41_keras_transfer share.

It needs no framework, only two functions of a notebook: images and classes to maps, and images to
probabilities. Intervals resample people where they are known and images where not.
"""

from fer_utils.studies.cam.checks import (
    area_table,
    curve_table,
    perturbed,
    randomisation_table,
)
from fer_utils.studies.cam.choice import (
    FEWEST_UNITS,
    Explain,
    balanced,
    bands_note,
    bands_of,
    people,
    too_few,
)
from fer_utils.studies.cam.claims import CLAIMED, band_table, claim_table
from fer_utils.studies.cam.records import records, save_tables
from fer_utils.studies.cam.truth import CHANGED, truth_masks, truth_table

__all__ = [
    "CHANGED",
    "CLAIMED",
    "FEWEST_UNITS",
    "Explain",
    "area_table",
    "balanced",
    "band_table",
    "bands_note",
    "bands_of",
    "claim_table",
    "curve_table",
    "people",
    "perturbed",
    "randomisation_table",
    "records",
    "save_tables",
    "too_few",
    "truth_masks",
    "truth_table",
]
