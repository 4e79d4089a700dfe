"""Figures, one function a figure: each returns a matplotlib `Figure` and touches no global state.

Colours keep apart under the common colour-vision deficiencies, and none is the only sign of anything.
`show` puts a figure with its alternative text into a notebook, `browse` leafs through figures in JupyterLab.
"""

from fer_utils.plots.comparison import metric_intervals, paper_vs_measured
from fer_utils.plots.data import class_split_counts, duplicate_groups, mean_faces, sample_grid
from fer_utils.plots.notebook import browse, show
from fer_utils.plots.predictions import mistake, prediction_grid
from fer_utils.plots.results import confusion_matrix, learning_curves, per_class_f1, roc_curves
from fer_utils.plots.style import COLORS, PRINTED, STYLE, WIDTH

__all__ = [
    "COLORS",
    "PRINTED",
    "STYLE",
    "WIDTH",
    "browse",
    "class_split_counts",
    "confusion_matrix",
    "duplicate_groups",
    "learning_curves",
    "mean_faces",
    "metric_intervals",
    "mistake",
    "paper_vs_measured",
    "per_class_f1",
    "prediction_grid",
    "roc_curves",
    "sample_grid",
    "show",
]
