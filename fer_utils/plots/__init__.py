"""Figures, one function per figure: each returns a matplotlib `Figure` and changes no global state.

All colours are distinguishable with common colour-vision deficiencies, and nothing is shown by colour alone.
`show` displays a figure with its alt text in a notebook, `interact` one with controls.
"""

# ruff: noqa: I001
from fer_utils.plots.cam import band_shares, cam_examples, mean_maps, perturbation_curves
from fer_utils.plots.cam import randomised_similarity
from fer_utils.plots.data import action_unit_faces, class_split_counts, clip_strip, expression_strengths
from fer_utils.plots.data import flow_fields, image_groups, mean_faces, nearest_similarity, sample_grid
from fer_utils.plots.networks import activation_sheets, filter_sheet, hog_glyphs
from fer_utils.plots.notebook import interact, png, show, show_source
from fer_utils.plots.protocols import arms, by_subject, chosen_epochs, effect_sizes, lucky_splits
from fer_utils.plots.protocols import paper_vs_measured, printed_luck, validation_arms
from fer_utils.plots.results import confusion_matrix, events, image_grid, learning_curves, per_class_f1
from fer_utils.plots.results import prediction_grid, probability_timeline, rate_finder, reliability
from fer_utils.plots.results import roc_curves
