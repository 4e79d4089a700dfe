"""Shared helpers of a reproducible study of facial expression and micro-expression recognition."""

__version__ = "0.1.0"
