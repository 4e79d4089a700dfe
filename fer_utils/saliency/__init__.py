"""Class-activation maps as numbers, without a framework: how they come about, and what they are worth.

`explain` and `explain_keras` take maps and gradients from a network; everything here needs arrays alone.
"""

from fer_utils.saliency.class_maps import (
    SMALLEST_MAP,
    WEIGHTS,
    GradCAM,
    checked_classes,
    checked_map,
    class_activation_maps,
    grad_cam_plus_plus_weights,
    grad_cam_weights,
    upsampled,
)
from fer_utils.saliency.intervals import mean_intervals
from fer_utils.saliency.perturbation import BLUR, Curves, deletion_curve, insertion_curve
from fer_utils.saliency.regions import (
    FACE_BANDS,
    FER2013_BANDS,
    band_areas,
    band_energy,
    band_means,
    energy_inside,
    localisation,
    pointing_game,
)
from fer_utils.saliency.sanity import random_maps, randomisation_check

__all__ = [
    "BLUR",
    "FACE_BANDS",
    "FER2013_BANDS",
    "SMALLEST_MAP",
    "WEIGHTS",
    "Curves",
    "GradCAM",
    "band_areas",
    "band_energy",
    "band_means",
    "checked_classes",
    "checked_map",
    "class_activation_maps",
    "deletion_curve",
    "energy_inside",
    "grad_cam_plus_plus_weights",
    "grad_cam_weights",
    "insertion_curve",
    "localisation",
    "mean_intervals",
    "pointing_game",
    "random_maps",
    "randomisation_check",
    "upsampled",
]
