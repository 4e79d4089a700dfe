"""Picture files made into gray images of one size, whatever their content claims to be."""

import io
import warnings
from collections import Counter

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
"""What is tried on the content of a picture file, whatever its suffix; Pillow knows many more."""

SHORTEST_SIDE, LONGEST_SIDE = 8, 16_384
"""Pixels. Nothing is to be seen in fewer than 8; no camera makes more than 16,384 a side."""

MOST_PIXELS = 2**26
"""8192 x 8192: decoded in colour that takes 256 MiB."""

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_SIZE = "of another size"


class PictureDecoder:
    """Turns picture files into gray images of one size and counts what had to be converted.

    A picture is turned as its EXIF data say; what is transparent becomes white, as on a page; 16 bits are
    scaled to 8; colour becomes luma (ITU-R 601, Pillow's "L"); of a picture that is not square the middle is
    taken; and it is resized with a Lanczos filter. Of several frames the first is used.

    Parameters
    ----------
    size : int
        Height and width of the images, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.decoded = self.converted = 0
        self._reasons: Counter[str] = Counter()
        self._sizes: set[tuple[int, int]] = set()

    def decode(self, content: bytes) -> np.ndarray:
        """Return the image of uint8, shape (size, size), of a picture file's content.

        Raises
        ------
        ValueError
            For bytes that are no picture, and for one whose size or depth is not accepted.
        """
        if not content:
            raise ValueError("an empty file")
        try:
            with warnings.catch_warnings():
                # Pillow warns of many pixels; here they are refused.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                    check_size(*picture.size)
                    reasons = self._reasons_to_convert(picture)
                    image = squared(to_gray(picture), self.size)
        except UnidentifiedImageError:
            raise ValueError(f"not a usable picture: none of {', '.join(FORMATS)}") from None
        except Exception as error:  # whatever hostile bytes make of Pillow's parsers
            raise ValueError(f"not a usable picture: {error or type(error).__name__}") from error
        self.decoded += 1
        self.converted += bool(reasons)
        self._reasons.update(reasons)
        if _SIZE in reasons:
            self._sizes.add(picture.size)
        return np.asarray(image)

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of the numbers must know about how the pictures were changed."""
        if not self.converted:
            return ()
        reasons = []
        for reason, count in sorted(self._reasons.items(), key=lambda item: (-item[1], item[0])):
            sizes = f" ({self._span()})" if reason == _SIZE else ""
            reasons.append(f"{count} {reason}{sizes}")
        form = f"{self.size}x{self.size} gray"
        return (
            f"{self.converted} of {self.decoded} pictures were converted to {form}: {', '.join(reasons)}",
        )

    def _span(self) -> str:
        by_area = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        return " to ".join(f"{width}x{height}" for width, height in dict.fromkeys([by_area[0], by_area[-1]]))

    def _reasons_to_convert(self, picture: Image.Image) -> list[str]:
        reasons = {
            _SIZE: picture.size != (self.size, self.size),
            "stored in colour": picture.mode not in _GRAY_MODES,
            "of another depth": picture.mode == "1" or picture.mode.startswith("I;16"),
            "with transparency": picture.has_transparency_data,
            "turned as EXIF says": picture.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9),
        }
        return [reason for reason, holds in reasons.items() if holds]


def check_size(width: int, height: int) -> None:
    """Raise `ValueError` for a picture too small to see anything in, or too large to decode."""
    if not SHORTEST_SIDE <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
        raise ValueError(f"{width}x{height} pixels; sides have {SHORTEST_SIDE} to {LONGEST_SIDE:,}")
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width}x{height} pixels; {MOST_PIXELS:,} are accepted at most")


def to_gray(picture: Image.Image) -> Image.Image:
    """Return a picture as its EXIF data turn it, in 8-bit gray; `PictureDecoder` says how."""
    white = 2 ** _bits(picture) - 1
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        values = np.asarray(picture, dtype=np.uint32)
        return Image.fromarray(((255 * values + white // 2) // white).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError("32 bits a pixel, of which black and white are not known; save it with 8 or 16")
    if picture.has_transparency_data:
        page = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(page, picture.convert("RGBA")).convert("L")
    if picture.mode in _GRAY_MODES:
        return picture.convert("L")
    return picture.convert("RGB").convert("L")


def squared(
    picture: Image.Image, size: int, *, region: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """Return a square part of a gray picture in `size` x `size` pixels, resized with a Lanczos filter.

    Parameters
    ----------
    picture : Image
        8 bits a pixel, Pillow's "L".
    size : int
    region : (left, upper, right, lower), optional
        In pixels, not necessarily whole ones; by default the largest square in the middle.
    """
    if region is None:
        return ImageOps.fit(picture, (size, size), method=Image.Resampling.LANCZOS)
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=region)


def _bits(picture: Image.Image) -> int:
    # Pillow has one mode for 12 and 16 bits; only TIFF has 12, and says so.
    return getattr(picture, "tag_v2", {}).get(ExifTags.Base.BitsPerSample, (16,))[0]
