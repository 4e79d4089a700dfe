"""Whatever the bytes, a reader gives a consistent set or an error that names the file, and nothing else."""

import io
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_copies import LABELS, PICTURES, USAGES, encoded

from fer_utils.data.images import ImageDecoder
from fer_utils.data.registry import FACES
from fer_utils.live.frames import Frame, Problem
from fer_utils.live.sources import decode_image

DIGITS = PICTURES[:3] % 10  # rows half as long as usual
ROWS = [
    {"emotion": str(label), "pixels": " ".join(map(str, image.ravel())), "Usage": usage}
    for label, image, usage in zip(LABELS, DIGITS, USAGES[2:], strict=False)
]


def table(*columns: str) -> bytes:
    rows = [",".join(columns), *(",".join(row[column.strip()] for column in columns) for row in ROWS)]
    return "\n".join([*rows, ""]).encode()


def archive(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in content.items():
            opened.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


GRAY = Image.fromarray((np.add.outer(np.arange(20), np.arange(20)) * 6).astype(np.uint8))
COLOUR = Image.merge("RGB", [GRAY, GRAY.rotate(90), GRAY.rotate(180)])
EXIF = Image.Exif()
EXIF[0x0112] = 6
KAGGLE = {name: encoded(GRAY) for name in ("train/happy/Training_1.png", "test/sad/PrivateTest_2.png")}
OWN = {name: encoded(GRAY, "jpeg") for name in ("happy/s1/1.jpg", "bored/s2/2.jpg")}

BASES = {
    "fer2013.csv": (FACES["fer2013"], table("emotion", "pixels", "Usage")),
    "fer2013.zip": (FACES["fer2013"], archive(KAGGLE)),
    "mine.zip": (FACES["folder"], archive(OWN)),
}
WEIRD = (b"\0", b"\r", b"\n", b",", b'"', b" ", b"-1", b"256", b"3.7", b"nan", b"\xff\xfe", b"\xef\xbb\xbf")
PIECES = st.one_of(
    st.sampled_from(WEIRD),
    st.binary(max_size=8),
    st.binary(min_size=1, max_size=1).map(lambda byte: byte * 300),
)


@st.composite
def edits(draw) -> Callable[[bytes], bytes]:
    """Return a function that inserts, deletes or repeats bytes at one to four places."""
    length, times = st.integers(0, 40) | st.integers(0, 5000), st.integers(0, 2)
    step = st.tuples(st.floats(0, 1), length, times, PIECES)
    return partial(edited, steps=tuple(draw(st.lists(step, min_size=1, max_size=4))))


def edited(content: bytes, *, steps: tuple) -> bytes:
    for share, length, times, piece in steps:
        at = int(share * len(content))
        content = content[:at] + piece + times * content[at : at + length] + content[at + length :]
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("policy", ["error", "drop"])
@pytest.mark.parametrize("name", BASES)
@settings(max_examples=12, deadline=None)
@given(change=edits() | st.binary(max_size=200).map(lambda content: lambda _: content))
def test_an_edited_file_is_read_or_refused(folder, name, policy, change):
    dataset, content = BASES[name]
    (folder / name).write_bytes(change(content))
    with warnings.catch_warnings(action="ignore"):  # Pillow warns before it fails
        try:
            faces, problem = dataset.read(folder / name, on_bad_rows=policy), ""
        except (ValueError, OSError) as error:
            faces, problem = None, str(error)
    if problem:
        assert name in problem and problem.isprintable()
    else:
        assert faces.counts().loc["total", "total"] == len(faces) > 0
        assert policy == "drop" or faces.dropped == ()


ENCODED = {
    "png": encoded(GRAY),
    "exif.jpg": encoded(COLOUR, "jpeg", exif=EXIF),
    "lzw.tif": encoded(COLOUR, "tiff", compression="tiff_lzw"),
    "webp": encoded(COLOUR, "webp"),
    "gif": encoded(COLOUR.quantize(16), "gif", save_all=True, append_images=[GRAY]),
}


@pytest.mark.parametrize("kind", ENCODED)
@settings(max_examples=12, deadline=None)
@given(change=edits())
@example(change=lambda content: b"RIFF\0\0\0\0WEBPVP8X")
def test_an_edited_image_is_decoded_or_refused(kind, change):
    content = change(ENCODED[kind])
    with warnings.catch_warnings(action="ignore"):
        assert isinstance(decode_image(content), Frame | Problem)
        try:
            image, problem = ImageDecoder(48).decode(content), ""
        except ValueError as error:
            image, problem = None, str(error)
    assert problem or (image.shape == (48, 48) and image.dtype == np.uint8)
