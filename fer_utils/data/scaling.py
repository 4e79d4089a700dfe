"""Images that exist in one size only, in the size that a network is to see."""

from dataclasses import replace

import numpy as np
from PIL import Image

from fer_utils.data.faceset import FaceSet
from fer_utils.files import ConfigError

IMAGE_SIZES = range(8, 1025)
"""Pixels a side."""


def scaled(faces: FaceSet, *, image_size: int) -> FaceSet:
    """Return the images in another size, resized as `PictureDecoder` does it, with a Lanczos filter.

    Parameters
    ----------
    faces : FaceSet
        Of shape (N, H, W); unchanged where H and W are `image_size`.
    image_size : int, 8 to 1024
        Height and width, in pixels.

    Returns
    -------
    FaceSet
        A note says from what size the images come, and that larger ones show no more.

    Raises
    ------
    ConfigError
        For an image size out of range.
    """
    check_image_size(image_size)
    height, width = faces.images.shape[1:]
    if (height, width) == (image_size, image_size):
        return faces
    images = np.empty((len(faces), image_size, image_size), np.uint8)
    for row, image in enumerate(faces.images):
        images[row] = Image.fromarray(image).resize((image_size, image_size), Image.Resampling.LANCZOS)
    enlarged = image_size > min(height, width)
    note = f"all images were scaled from {width}x{height} to {image_size}x{image_size} pixels"
    note += ", which adds nothing to be seen" if enlarged else ""
    return replace(faces, images=images, notes=(*faces.notes, note))


def check_image_size(image_size: int) -> None:
    """Raise `ConfigError` for an image size out of range."""
    if image_size not in IMAGE_SIZES:
        raise ConfigError(f"image_size={image_size!r}: use {IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]} pixels")
