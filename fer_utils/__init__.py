"""Shared helpers of a reproducible study of facial expression and micro-expression recognition."""

import warnings

warnings.filterwarnings("ignore", module=r"fastai\.|torch\.jit")  # fastai uses what they are about to drop

__version__ = "0.1.0"
