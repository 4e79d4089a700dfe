"""Drawn faces and clips with known action units: the data that the study can always run on."""

from fer_utils.synthetic.faces import (
    PROTOTYPES,
    Showing,
    expression_units,
    random_face,
    synthetic_faces,
    synthetic_sample,
)
from fer_utils.synthetic.identity import ACTION_UNITS, HAIR_STYLES, Identity, Scene
from fer_utils.synthetic.masks import synthetic_changes, synthetic_masks
from fer_utils.synthetic.render import action_unit_mask, render_face

__all__ = [
    "ACTION_UNITS",
    "HAIR_STYLES",
    "PROTOTYPES",
    "Identity",
    "Scene",
    "Showing",
    "action_unit_mask",
    "expression_units",
    "random_face",
    "render_face",
    "synthetic_changes",
    "synthetic_faces",
    "synthetic_masks",
    "synthetic_sample",
]
