"""One typed model per notebook: what can be set, what it accepts, and which name was meant.

The same model checks a notebook's `parameters` cell, what papermill injects and every YAML in `params/`.
"""

from fer_utils.params.audit import PaperAudit
from fer_utils.params.base import DEFAULTS_CELL, INJECTED_CELL, Parameters, parameter_names
from fer_utils.params.clips import Cnn3dSmic
from fer_utils.params.live import LiveDemo
from fer_utils.params.notebooks import (
    NOTEBOOKS,
    notebook_defaults,
    notebook_of,
    notebook_path,
    read_yaml,
    yaml_runs,
)
from fer_utils.params.stills import BaselineCNN, DataPrep, FaceParameters, HybridHogCNN, Training
from fer_utils.params.summary import ProtocolEffects, Summary
from fer_utils.params.transfer import FastaiTransfer, KerasTransfer

__all__ = [
    "DEFAULTS_CELL",
    "INJECTED_CELL",
    "NOTEBOOKS",
    "BaselineCNN",
    "Cnn3dSmic",
    "DataPrep",
    "FaceParameters",
    "FastaiTransfer",
    "HybridHogCNN",
    "KerasTransfer",
    "LiveDemo",
    "PaperAudit",
    "Parameters",
    "ProtocolEffects",
    "Summary",
    "Training",
    "notebook_defaults",
    "notebook_of",
    "notebook_path",
    "parameter_names",
    "read_yaml",
    "yaml_runs",
]
