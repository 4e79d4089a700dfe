"""Figures, one function a figure: each returns a matplotlib `Figure` and touches no global state.

Colours keep apart under the common colour-vision deficiencies, and none is the only sign of anything.
`show` puts a figure with its alternative text into a notebook, `browse` leafs through figures in JupyterLab.
"""

from fer_utils.plots.audit import verdicts
from fer_utils.plots.cam import (
    band_shares,
    cam_examples,
    mean_maps,
    perturbation_curves,
    randomised_similarity,
)
from fer_utils.plots.clips import clip_strip, flow_fields
from fer_utils.plots.comparison import metric_intervals, paper_vs_measured
from fer_utils.plots.data import (
    class_split_counts,
    duplicate_groups,
    face_sheet,
    mean_faces,
    near_pairs,
    nearest_similarity,
    sample_grid,
)
from fer_utils.plots.effects import arms, chosen_epochs, effect_sizes, printed_luck, validation_arms
from fer_utils.plots.explain import activation_sheets, filter_sheet, side_by_side
from fer_utils.plots.features import hog_glyphs
from fer_utils.plots.live import events, latency, probability_timeline, reliability, watched
from fer_utils.plots.notebook import browse, show, show_source
from fer_utils.plots.predictions import mistake, prediction_grid
from fer_utils.plots.results import confusion_matrix, learning_curves, per_class_f1, roc_curves
from fer_utils.plots.style import COLORS, PRINTED, STYLE, WIDTH
from fer_utils.plots.synthetic import action_unit_faces, expression_strengths
from fer_utils.plots.training import batch, rate_finder, schedule, time_to_accuracy
from fer_utils.plots.validation import by_subject, epoch_choice, lucky_splits, protocols

__all__ = [
    "COLORS",
    "PRINTED",
    "STYLE",
    "WIDTH",
    "action_unit_faces",
    "activation_sheets",
    "arms",
    "band_shares",
    "batch",
    "browse",
    "by_subject",
    "cam_examples",
    "chosen_epochs",
    "class_split_counts",
    "clip_strip",
    "confusion_matrix",
    "duplicate_groups",
    "effect_sizes",
    "epoch_choice",
    "events",
    "expression_strengths",
    "face_sheet",
    "filter_sheet",
    "flow_fields",
    "hog_glyphs",
    "latency",
    "learning_curves",
    "lucky_splits",
    "mean_faces",
    "mean_maps",
    "metric_intervals",
    "mistake",
    "near_pairs",
    "nearest_similarity",
    "paper_vs_measured",
    "per_class_f1",
    "perturbation_curves",
    "prediction_grid",
    "printed_luck",
    "probability_timeline",
    "protocols",
    "randomised_similarity",
    "rate_finder",
    "reliability",
    "roc_curves",
    "sample_grid",
    "schedule",
    "show",
    "show_source",
    "side_by_side",
    "time_to_accuracy",
    "validation_arms",
    "verdicts",
    "watched",
]
