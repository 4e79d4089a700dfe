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
from fer_utils.synthetic.identity import ACTION_UNITS, Identity, Scene
from fer_utils.synthetic.motion import EXPRESSIONS, synthetic_video
from fer_utils.synthetic.render import action_unit_mask, render_face
