"""Synthetic faces, clips and videos with known action units: the embedded default data."""

from fer_utils.synthetic.faces import expression_units, synthetic_changes, synthetic_faces, synthetic_sample
from fer_utils.synthetic.identity import ACTION_UNITS, PROTOTYPES, Identity, Scene
from fer_utils.synthetic.motion import EXPRESSIONS, synthetic_clip, synthetic_clips, synthetic_video
from fer_utils.synthetic.render import action_unit_mask, render_face
