"""Training that can be repeated: fixed seeds and threads, resumable, chosen on validation, stopped on NaN.

`keras_fit` trains Keras networks and `fastai_fit` torch networks, by the same few functions. TensorFlow and
torch abort when they meet in one process, so a program imports one of the two.
"""

from fer_utils.training.common import Fit, TrainingDiverged

__all__ = ["Fit", "TrainingDiverged"]
