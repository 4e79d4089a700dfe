"""Image files of any content decoded to gray images of one size."""

import io
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from fer_utils.data.samples import FaceSet

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")  # tried on an image file, whatever its suffix
MIN_SIDE, MAX_SIDE, MAX_PIXELS = 8, 16_384, 2**26  # 8192 x 8192 pixels in colour take 256 MiB

PngImagePlugin.MAX_TEXT_CHUNK = MAX_PIXELS  # texts and profiles in real files exceed Pillow's one megabyte

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the image upright."""


class ImageDecoder:
    """Decodes image files to gray images of `size` x `size` pixels and counts the conversions.

    An image is turned upright by its EXIF orientation; transparency becomes white; 16 bits are scaled to 8;
    colour becomes luma (ITU-R 601); the middle square is cropped and resized with a Lanczos filter.
    """

    def __init__(self, size: int) -> None:
        self.size, self.decoded, self.converted = size, 0, 0
        self._reasons: Counter[str] = Counter()

    def decode(self, content: bytes) -> np.ndarray:
        """Return the image, uint8 (size, size); `ValueError` for bytes that are no usable image."""
        with open_image(content) as image:
            reasons = {
                "of another size": image.size != (self.size, self.size),
                "stored in colour": image.mode not in _GRAY_MODES,
                "of another depth": image.mode == "1" or image.mode.startswith("I;16"),
                "with transparency": image.has_transparency_data,
                "turned by EXIF": _orientation(image) in _TURN,
            }
            try:
                gray = np.asarray(squared(to_gray(image), self.size))
            except Exception as error:  # damaged bytes raise nearly anything
                raise ValueError(f"not a usable image: {error or type(error).__name__}") from error
        self.decoded += 1
        self.converted += any(reasons.values())
        self._reasons.update(reason for reason, holds in reasons.items() if holds)
        return gray

    def notes(self) -> tuple[str, ...]:
        """Return a note on how many images were converted, and how."""
        each = ", ".join(f"{count} {reason}" for reason, count in self._reasons.most_common())
        count, form = f"{self.converted} of {self.decoded} images", f"{self.size}x{self.size} gray"
        return (f"{count} were converted to {form}: {each}",) if self.converted else ()


def open_image(content: bytes) -> Image.Image:
    """Return the Pillow image of an image file's bytes; `ValueError` for another kind, size or no image."""
    if not content:
        raise ValueError("an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # an error below
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"not a usable image in one of the formats {', '.join(FORMATS)}") from error
    check_size(*image.size)
    return image


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` for an image too small to show anything, or too large to decode."""
    if not MIN_SIDE <= min(width, height) <= max(width, height) <= MAX_SIDE or width * height > MAX_PIXELS:
        sides = f"sides have {MIN_SIDE} to {MAX_SIDE:,}, {MAX_PIXELS:,} are accepted at most"
        raise ValueError(f"{width}x{height} pixels; {sides}")


def to_gray(image: Image.Image) -> Image.Image:
    """Return an image upright and in 8-bit gray, as `ImageDecoder` describes."""
    # Pillow has one mode for 12 and 16 bits; only TIFF has 12, and declares it.
    white = 2 ** getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    image.load()  # which turns a TIFF upright by itself
    # `ImageOps.exif_transpose` writes the EXIF data anew and fails on odd entries in them.
    if (turn := _TURN.get(_orientation(image))) is not None:
        image = image.transpose(turn)
    if image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.uint32)
        return Image.fromarray(((255 * values + white // 2) // white).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of which black and white are not known; save it with 8 or 16")
    if image.has_transparency_data:
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image.convert("RGBA")).convert("L")
    return image.convert("L") if image.mode in _GRAY_MODES else image.convert("RGB").convert("L")


def squared(image: Image.Image, size: int, *, region: tuple | None = None) -> Image.Image:
    """Return a square region (left, upper, right, lower) of a gray image, by default the middle, resized."""
    if region is None:
        return ImageOps.fit(image, (size, size), method=Image.Resampling.LANCZOS)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=region)


def scaled(faces: FaceSet, *, image_size: int) -> FaceSet:
    """Return the images in another size, with a note on the size that they come from."""
    height, width = faces.images.shape[1:]
    if (height, width) == (image_size, image_size):
        return faces
    images = np.empty((len(faces), image_size, image_size), np.uint8)
    for row, image in enumerate(faces.images):
        images[row] = squared(Image.fromarray(image), image_size, region=(0, 0, width, height))
    note = f"all images were scaled from {width}x{height} to {image_size}x{image_size} pixels"
    note += ", which adds no detail" if image_size > min(height, width) else ""
    return replace(faces, images=images, notes=(*faces.notes, note))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data raise nearly anything
        return 1
