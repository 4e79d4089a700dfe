"""Clips of micro-expressions: one reader per data set -> `ClipSet`."""
