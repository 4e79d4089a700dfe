"""Shared helpers of a reproducible study of facial expression and micro-expression recognition."""

import os
import warnings

warnings.filterwarnings("ignore", module=r"fastai\.|torch\.jit")  # fastai uses what they are about to drop

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # its default with AVX-512; also faster without

if (given := os.environ.setdefault("KERAS_BACKEND", "tensorflow")) not in ("tensorflow", "torch"):
    warnings.warn(f"KERAS_BACKEND={given} is neither tensorflow nor torch; tensorflow is used", stacklevel=1)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a variable goes before ~/.keras/keras.json

__version__ = "0.1.0"
