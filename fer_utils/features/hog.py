"""Which histograms of oriented gradients (HOG) are meant, and whether they fit an image; no framework needed.

Dalal & Triggs, *Histograms of oriented gradients for human detection* (CVPR 2005), with the conventions of
`skimage.feature.hog`: no smoothing, and a pixel votes for the one bin that its gradient's direction lies in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from fer_utils.files import ConfigError

BlockNorm = Literal["L1", "L1-sqrt", "L2", "L2-Hys"]


@dataclass(frozen=True)
class HOG:
    """Parameters of a HOG, under the names and with the defaults of `skimage.feature.hog`.

    Attributes
    ----------
    orientations : int
        Bins of the half circle, 1 to 180.
    pixels_per_cell : tuple of int
        Rows and columns of a cell; one number stands for both. Cells begin at the upper left corner, and
        pixels at the right and at the bottom that fill no whole cell are left out.
    cells_per_block : tuple of int
        Rows and columns of a block; one number stands for both. Blocks overlap: there is one at every cell
        where it fits.
    block_norm : {"L1", "L1-sqrt", "L2", "L2-Hys"}
        How the histograms of a block are scaled; L2-Hys cuts at 0.2 and scales again.
    transform_sqrt : bool
        Take the square root of the gray levels first.

    Raises
    ------
    ConfigError
        For a value that no image could have.
    """

    orientations: int = 9
    pixels_per_cell: int | tuple[int, int] = (8, 8)
    cells_per_block: int | tuple[int, int] = (3, 3)
    block_norm: BlockNorm = "L2-Hys"
    transform_sqrt: bool = False

    def __post_init__(self) -> None:
        if not _is_count(self.orientations) or self.orientations > 180:
            raise ConfigError(f"orientations must be an integer from 1 to 180, got {self.orientations!r}")
        for key in ("pixels_per_cell", "cells_per_block"):
            object.__setattr__(self, key, _pair(key, getattr(self, key)))
        if self.block_norm not in get_args(BlockNorm):
            known = ", ".join(get_args(BlockNorm))
            raise ConfigError(f"block_norm must be one of {known}, got {self.block_norm!r}")
        if not isinstance(self.transform_sqrt, bool):
            raise ConfigError(f"transform_sqrt must be true or false, got {self.transform_sqrt!r}")

    def cells(self, image_shape: Sequence[int]) -> tuple[int, int]:
        """Return the rows and columns of cells in an image of shape (H, W).

        Raises
        ------
        ConfigError
            When not one block fits, with the cells and blocks that would.
        """
        height, width = image_shape
        (cell_height, cell_width), (block_rows, block_columns) = self.pixels_per_cell, self.cells_per_block
        rows, columns = height // cell_height, width // cell_width
        if rows < block_rows or columns < block_columns:
            largest_cell = (height // block_rows, width // block_columns)
            options = {"cells": (largest_cell, "pixels"), "blocks": ((rows, columns), "cells")}
            fits = [
                f"{name} of at most {a}×{b} {unit}" for name, ((a, b), unit) in options.items() if min(a, b)
            ]
            raise ConfigError(
                f"pixels_per_cell={self.pixels_per_cell}, cells_per_block={self.cells_per_block}: a block of "
                f"{cell_height * block_rows}×{cell_width * block_columns} pixels does not fit an image of "
                f"{height}×{width}; use {' or '.join(fits) or 'smaller cells and smaller blocks'}"
            )
        return rows, columns

    def size(self, image_shape: Sequence[int]) -> int:
        """Return how many features an image of shape (H, W) has; raises as `cells`."""
        (rows, columns), (block_rows, block_columns) = self.cells(image_shape), self.cells_per_block
        blocks = (rows - block_rows + 1) * (columns - block_columns + 1)
        return blocks * block_rows * block_columns * self.orientations


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _pair(key: str, value: object) -> tuple[int, int]:
    pair = (value, value) if _is_count(value) else value
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(_is_count, pair)):
        raise ConfigError(f"{key} must be a positive integer or two of them (rows, columns), got {value!r}")
    return tuple(pair)
