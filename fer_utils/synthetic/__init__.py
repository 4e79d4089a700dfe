"""Synthetic faces, clips and videos with known action units: the embedded default data."""

from fer_utils.synthetic.clips import synthetic_clip, synthetic_clips
from fer_utils.synthetic.faces import (
    PROTOTYPES,
    FaceSpec,
    expression_units,
    synthetic_changes,
    synthetic_faces,
    synthetic_sample,
)
from fer_utils.synthetic.identity import ACTION_UNITS, HAIR, Identity, Scene
from fer_utils.synthetic.motion import EXPRESSIONS, synthetic_video
from fer_utils.synthetic.render import action_unit_mask, render_face

__all__ = [
    "ACTION_UNITS",
    "EXPRESSIONS",
    "HAIR",
    "PROTOTYPES",
    "FaceSpec",
    "Identity",
    "Scene",
    "action_unit_mask",
    "expression_units",
    "render_face",
    "synthetic_changes",
    "synthetic_clip",
    "synthetic_clips",
    "synthetic_faces",
    "synthetic_sample",
    "synthetic_video",
]
