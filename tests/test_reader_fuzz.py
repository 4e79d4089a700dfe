"""Whatever the bytes, a reader gives a consistent set or an error that names the file, and nothing else."""

import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fer_utils.data.bad_rows import BadRows
from fer_utils.data.folder import read_folder
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_copies import LABELS, PICTURES, USAGES, encoded, unzipped

from fer_utils.data import FaceSet
from fer_utils.data.fer2013 import read_fer2013
from fer_utils.data.images import ImageDecoder
from fer_utils.data.store import prepared

READERS = {"fer2013": read_fer2013, "folder": read_folder}

# --- small valid files -------------------------------------------------------------------------------------

DIGITS = PICTURES[:3] % 10  # rows half as long as usual
ROWS = [
    {"emotion": str(label), "pixels": " ".join(map(str, image.ravel())), "Usage": usage}
    for label, image, usage in zip(LABELS, DIGITS, USAGES[2:], strict=False)
]


def table(*columns: str) -> bytes:
    rows = [",".join(columns), *(",".join(row[column.strip()] for column in columns) for row in ROWS)]
    return "\n".join([*rows, ""]).encode()


def archive(content: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, data in content.items():
            opened.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


GRAY = Image.fromarray((np.add.outer(np.arange(20), np.arange(20)) * 6).astype(np.uint8))
FACES = {name: encoded(GRAY) for name in ("train/happy/Training_1.png", "test/sad/PrivateTest_2.png")}
OWN = {name: encoded(GRAY, "jpeg") for name in ("happy/s1/1.jpg", "bored/s2/2.jpg")}

BASES = {
    ("fer2013", "fer2013.csv"): table("emotion", "pixels", "Usage"),
    ("fer2013", "icml_face_data.csv"): table("emotion", " Usage", " pixels"),
    ("fer2013", "train.csv"): table("emotion", "pixels"),
    ("fer2013", "test.csv"): table("pixels"),
    ("fer2013", "stored.zip"): archive(FACES, zipfile.ZIP_STORED),
    ("fer2013", "deflated.zip"): archive(FACES, zipfile.ZIP_DEFLATED),
    ("folder", "mine.zip"): archive(OWN, zipfile.ZIP_DEFLATED),
}
COLOUR = Image.merge("RGB", [GRAY, GRAY.rotate(90), GRAY.rotate(180)])
EXIF = Image.Exif()
EXIF[0x0112] = 6
ENCODED = {
    "png": encoded(GRAY),
    "palette.png": encoded(COLOUR.quantize(16)),
    "alpha.png": encoded(COLOUR.convert("RGBA")),
    "16.png": encoded(np.asarray(GRAY).astype(np.uint16) * 257),
    "jpg": encoded(COLOUR, "jpeg"),
    "exif.jpg": encoded(COLOUR, "jpeg", exif=EXIF),
    "bmp": encoded(GRAY, "bmp"),
    "tif": encoded(GRAY, "tiff"),
    "lzw.tif": encoded(COLOUR, "tiff", compression="tiff_lzw"),
    "webp": encoded(COLOUR, "webp"),
    "gif": encoded(COLOUR.quantize(16), "gif", save_all=True, append_images=[GRAY]),
}

# --- what is done to them ----------------------------------------------------------------------------------

WEIRD = st.sampled_from(
    [
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b",",
        b'"',
        b" ",
        b"-1",
        b"256",
        b"3.7",
        b"nan",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ]
)
PIECES = st.one_of(
    WEIRD, st.binary(max_size=8), st.binary(min_size=1, max_size=1).map(lambda byte: byte * 300)
)


@st.composite
def edits(draw) -> Callable[[bytes], bytes]:
    """Draw one to four edits, each at a share of the length: of a table as well as of a picture."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["insert", "replace", "delete", "truncate", "duplicate"]),
                st.floats(0, 1),
                st.integers(0, 40) | st.integers(0, 5000),
                PIECES,
            ),
            min_size=1,
            max_size=4,
        )
    )
    return partial(edited, steps=tuple(steps))


def edited(content: bytes, *, steps: tuple) -> bytes:
    for kind, share, length, piece in steps:
        at = int(share * len(content))
        before, span, after = content[:at], content[at : at + length], content[at + length :]
        content = {
            "insert": before + piece + span + after,
            "replace": before + piece + content[at + len(piece) :],
            "delete": before + after,
            "truncate": before,
            "duplicate": before + span + span + after,
        }[kind]
    return content


def outcome(read: Callable[[], FaceSet], name: str) -> FaceSet | str:
    """Return what a reader gave: a set that is consistent, or a message that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns before it fails
            faces = read()
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        checked = replace(faces)
        assert len(checked) > 0
        assert checked.counts().loc["total", "total"] == len(checked)
        assert len(checked.fingerprint) == 64
        return checked
    assert name in message
    assert message.isprintable()
    return message


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# --- the readers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reader", "name"), BASES)
def test_the_files_are_good_before_they_are_edited(folder, reader, name):
    (folder / name).write_bytes(BASES[reader, name])
    assert len(READERS[reader](folder / name)) >= 2


@pytest.mark.parametrize("policy", ["error", "drop"])
@pytest.mark.parametrize(("reader", "name"), BASES)
@settings(max_examples=25, deadline=None)
@given(change=edits())
def test_an_edited_file_is_read_or_refused(folder, reader, name, policy, change):
    (folder / name).write_bytes(change(BASES[reader, name]))
    result = outcome(lambda: READERS[reader](folder / name, on_bad_rows=policy), name)
    if isinstance(result, FaceSet) and policy == "error":
        assert result.dropped == ()


@pytest.mark.parametrize("policy", ["error", "drop"])
@pytest.mark.parametrize(("reader", "name"), BASES)
@settings(max_examples=15, deadline=None)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(folder, reader, name, policy, content):
    (folder / name).write_bytes(content)
    assert isinstance(outcome(lambda: READERS[reader](folder / name, on_bad_rows=policy), name), str)


@pytest.mark.parametrize("name", [name for _, name in BASES if name.endswith(".csv")])
@settings(max_examples=25, deadline=None)
@given(change=edits())
def test_a_table_gives_the_same_rows_under_both_policies_or_fewer(folder, name, change):
    # Rows that "drop" keeps are those that "error" would accept: a file of these alone is read.
    path = folder / name
    content = change(BASES["fer2013", name])
    path.write_bytes(content)
    kept = outcome(lambda: read_fer2013(path, on_bad_rows="drop"), name)
    strict = outcome(lambda: read_fer2013(path), name)
    if isinstance(strict, FaceSet):
        assert isinstance(kept, FaceSet) and kept.fingerprint == strict.fingerprint
    elif isinstance(kept, FaceSet):
        assert kept.dropped and strict == f"{path}, {kept.dropped[0]}"
        lines = content.split(b"\n")
        good = [lines[int(sample[-5:]) - 1] for sample in kept.sample_id]
        path.write_bytes(b"\n".join([lines[0], *good, b""]))
        assert read_fer2013(path).fingerprint == kept.fingerprint


# --- one picture -------------------------------------------------------------------------------------------


def decoded(content: bytes, *, policy: str) -> FaceSet:
    bad = BadRows(Path("mine.zip"), policy, unit="pictures")
    decoder = ImageDecoder(48)
    images = []
    with bad.at("happy/1.png"):
        images.append(decoder.decode(content))
    bad.notes(len(images))
    return FaceSet(
        name="one",
        source="real",
        images=np.stack(images),
        labels=np.zeros(1, np.int64),
        class_names=("happy",),
        split=np.array(["unassigned"]),
        sample_id=np.array(["happy/1"]),
    )


@pytest.mark.parametrize("policy", ["error", "drop"])
@pytest.mark.parametrize("kind", ENCODED)
@settings(max_examples=20, deadline=None)
@given(change=edits())
def test_an_edited_picture_is_decoded_or_refused(kind, policy, change):
    outcome(lambda: decoded(change(ENCODED[kind]), policy=policy), "mine.zip")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([content[:4] for content in ENCODED.values()]), st.binary(max_size=200))
@example(b"RIFF", b"\0\0\0\0WEBPVP8X")
def test_random_bytes_after_a_true_signature_are_decoded_or_refused(signature, content):
    outcome(lambda: decoded(signature + content, policy="error"), "mine.zip")


# --- a folder of pictures ----------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(change=edits(), policy=st.sampled_from(["error", "drop"]))
def test_an_edited_picture_in_a_folder_is_read_or_refused(folder, change, policy):
    root = unzipped(folder / "faces", FACES)
    edited_file = root / "train" / "happy" / "Training_1.png"
    edited_file.write_bytes(change(edited_file.read_bytes()))
    result = outcome(lambda: read_fer2013(root, on_bad_rows=policy), "faces, train/happy/Training_1.png")
    if policy == "drop":
        assert isinstance(result, FaceSet) and len(result) + len(result.dropped) == 2


# --- prepared files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pixels.npy", "samples.npz", "sidecar.json"])
@settings(max_examples=15, deadline=None)
@given(change=edits() | st.binary(max_size=50).map(lambda content: lambda _: content))
def test_a_prepared_file_that_was_edited_is_made_again(folder, name, change):
    source = folder / "fer2013.csv"
    source.write_bytes(BASES["fer2013", "fer2013.csv"])
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    plain = prepared(source, read_fer2013, folder=folder / "prepared")
    (file,) = (folder / "prepared").glob(f"fer2013-*/{name}")
    file.write_bytes(change(file.read_bytes()))
    again = prepared(source, read_fer2013, folder=folder / "prepared")
    assert again.fingerprint == plain.fingerprint == replace(again).fingerprint
    assert again.origin == plain.origin
    assert json.loads(file.with_name("sidecar.json").read_text())["fingerprint"] == plain.fingerprint
