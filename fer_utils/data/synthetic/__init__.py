"""Drawn faces and clips with known action units: the data that the study can always run on."""

from fer_utils.data.synthetic.faces import (
    ACTION_UNITS,
    HAIR_STYLES,
    PROTOTYPES,
    Identity,
    Scene,
    Showing,
    action_unit_mask,
    expression_units,
    random_face,
    render_face,
    synthetic_faces,
    synthetic_sample,
)

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
    "synthetic_faces",
    "synthetic_sample",
]
