"""Image files of any content decoded to gray images of one size."""

import io
import warnings
from collections import Counter

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from fer_utils.data.forms import refusal

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM")  # tried on an image file, whatever its suffix
MIN_SIDE, MAX_SIDE, MAX_PIXELS = 8, 16_384, 2**26  # 8192 x 8192 pixels in colour take 256 MiB

PngImagePlugin.MAX_TEXT_CHUNK = MAX_PIXELS  # texts and profiles in real files exceed Pillow's one megabyte

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_TURNS = {
    Image.Transpose.TRANSPOSE: (5, 6, 7, 8),
    Image.Transpose.FLIP_LEFT_RIGHT: (2, 3, 6, 7),
    Image.Transpose.FLIP_TOP_BOTTOM: (3, 4, 7, 8),
}
"""Steps in this order that turn an image upright, and the EXIF orientations that need each."""


class ImageDecoder:
    """Decodes image files to gray images of `size` x `size` pixels and counts the conversions.

    An image is turned upright by its EXIF orientation, and no other metadata matters; transparency becomes
    white, or is ignored where it covers all; 16 bits are scaled to 8; colour becomes luma (ITU-R 601); the
    middle square is cropped and resized with a Lanczos filter.
    """

    def __init__(self, size: int) -> None:
        self.size, self.decoded, self.converted = size, 0, 0
        self._reasons: Counter[str] = Counter()

    def decode(self, content: bytes) -> np.ndarray:
        """Return the image, uint8 (size, size); `ValueError` for bytes that are no usable image."""
        with open_image(content) as image:
            reasons = ["of another size"] if image.size != (self.size, self.size) else []
            try:
                image, changes = plain(image)
                gray = np.asarray(squared(image.convert("L"), self.size))
            except Exception as error:  # damaged bytes raise nearly anything
                raise ValueError(f"not a usable image: {error or type(error).__name__}") from error
        self.decoded += 1
        self.converted += bool(reasons + changes)
        self._reasons.update(reasons + changes)
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
    large = Image.DecompressionBombWarning  # an error below
    try:
        with warnings.catch_warnings(action="ignore", category=large):
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"not a usable image; {refusal([], FORMATS, content[:512])}") from error
    check_size(*image.size)
    return image


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` for an image too small to show anything, or too large to decode."""
    if not MIN_SIDE <= min(width, height) <= max(width, height) <= MAX_SIDE or width * height > MAX_PIXELS:
        sides = f"sides have {MIN_SIDE} to {MAX_SIDE:,}, {MAX_PIXELS:,} are accepted at most"
        raise ValueError(f"{width}x{height} pixels; {sides}")


def plain(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """Return an image upright and opaque in 8-bit gray or RGB, and what was changed in it."""
    tags = getattr(image, "tag_v2", {})  # of TIFF
    # Pillow has one mode for 12 and 16 bits; only TIFF has 12, and declares it.
    white = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
    deep = image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I")
    negative = deep and tags.get(ExifTags.Base.PhotometricInterpretation) == 0  # Pillow turns 8 bits alone
    changes = {
        "stored in colour": image.mode not in _GRAY_MODES,
        "of another depth": image.mode == "1" or deep,
        "with transparency": image.has_transparency_data,
        "turned by EXIF": _orientation(image) in range(2, 9),
        "with white as zero, made positive": negative,
    }
    image.load()  # which turns a TIFF upright by itself
    # `ImageOps.exif_transpose` writes the EXIF data anew and fails on odd entries in them.
    orientation = _orientation(image)
    for step in (step for step, orientations in _TURNS.items() if orientation in orientations):
        image = image.transpose(step)
    if deep:
        values = np.asarray(image, dtype=np.uint32)
        values = (255 * (white - values if negative else values) + white // 2) // white
        image = Image.fromarray(values.astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of which black and white are not known; save it with 8 or 16")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() == (0, 0):  # a channel that nobody set; viewers show the image
            changes["fully transparent, read without transparency"] = True
        else:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    gray = image.mode in _GRAY_MODES
    return image.convert("L" if gray else "RGB"), [change for change, holds in changes.items() if holds]


def squared(image: Image.Image, size: int, *, region: tuple | None = None) -> Image.Image:
    """Return a square region (left, upper, right, lower) of a gray image, by default the middle, resized."""
    if region is None:
        return ImageOps.fit(image, (size, size), method=Image.Resampling.LANCZOS)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=region)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data raise nearly anything
        return 1
