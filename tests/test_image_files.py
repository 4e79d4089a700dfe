"""Image files in folders and zips: found and decoded alike, and nothing in them can do harm."""

import os
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.data import raw_files
from fer_utils.data.images import ImageDecoder
from fer_utils.data.raw_files import BadRows, open_images
from fer_utils.live.sources import decode_image

GRAY = Image.fromarray(PICTURES[0])
PNG = encoded(GRAY)


def listed(path: Path, policy: str = "error") -> tuple[dict[str, bytes], list[str]]:
    bad = BadRows(path, policy)
    with open_images(path, bad) as (images, _):
        return {name: read() for name, read in images.items()}, bad.dropped


def decoded(content: bytes, size: int = 48) -> np.ndarray:
    return ImageDecoder(size).decode(content)


@pytest.mark.parametrize("put", [zipped, unzipped])
def test_images_are_listed_by_name_without_hidden_and_system_files(tmp_path, put):
    content = {name: name.encode() for name in ("b/2.PNG", "a/x.jpeg", "c.tif", "d/e/f.gif")}
    others = {"a/notes.txt": b"", "a/.x.png": b"", "__MACOSX/a/x.png": b"", ".git/x.png": b""}
    path = put(tmp_path / "some.zip", content | others)
    found, _ = listed(path)
    assert list(found) == sorted(content) and found == content


def test_links_are_followed_but_not_round_in_circles(tmp_path):
    outside = unzipped(tmp_path / "outside", {"folder/x.png": b"far"})
    root = unzipped(tmp_path / "root", {"a/1.png": b"one"})
    (root / "a" / "2.png").symlink_to("1.png")
    (root / "a" / "4.png").symlink_to("absent.png")
    (root / "a" / "5.png").symlink_to("5.png")
    (root / "b").symlink_to(outside / "folder")
    (root / "c").symlink_to(root)
    assert listed(root)[0] == {"a/1.png": b"one", "a/2.png": b"one", "b/x.png": b"far"}


def test_unusable_names_sizes_and_policies_are_named(tmp_path):
    root = unzipped(tmp_path / "root", {"a/1.png": b"one", "a/\udcff.png": b"two"})
    with pytest.raises(ValueError, match=r"root, a/\\udcff\.png: the file name is not UTF-8"):
        listed(root)
    assert list(listed(root, "drop")[0]) == ["a/1.png"]
    os.truncate(root / "a" / "1.png", 2**28 + 1)
    with pytest.raises(ValueError, match="268,435,457 bytes"):
        listed(root, "drop")
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match=r"a\.rar: neither a folder nor a whole \.zip archive"):
        listed(tmp_path / "a.rar")
    with pytest.raises(FileNotFoundError, match="absent"):
        listed(tmp_path / "absent")


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def edited(path: Path, offsets: dict[tuple[bytes, int], bytes]) -> Path:
    """Overwrite bytes of a one-entry zip, counted from the signature of one of its headers."""
    content = bytearray(path.read_bytes())
    for (signature, offset), data in offsets.items():
        at = content.index(signature) + offset
        content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


def with_flags(path: Path, flags: int) -> Path:
    return edited(path, {(LOCAL, 6): struct.pack("<H", flags), (CENTRAL, 8): struct.pack("<H", flags)})


def declaring(path: Path, size: int) -> Path:
    return edited(path, {(LOCAL, 22): struct.pack("<I", size), (CENTRAL, 24): struct.pack("<I", size)})


def test_entries_above_the_archive_are_ignored_and_repeated_or_encrypted_ones_are_errors(tmp_path):
    path = zipped(tmp_path / "bad.zip", {"a/1.png": b"one", "../a.png": b"", "..\\b.png": b""})
    assert listed(path)[0] == {"a/1.png": b"one"}
    with_flags(zipped(path, {"a\\grün.png": b"one"}), 0)  # as macOS writes UTF-8, and Windows folders
    assert list(listed(path)[0]) == ["a/grün.png"]
    with_flags(zipped(path, {"a/1.png": PNG}), 1)
    with pytest.raises(ValueError, match=r"cannot be unpacked .*encrypted"):
        listed(path)
    zipped(path, {"a/1.png": b"", "a/2.png": b""})
    path.write_bytes(path.read_bytes().replace(b"a/2.png", b"a/1.png"))
    with pytest.raises(ValueError, match=r"a/1\.png is in the archive twice"):
        listed(path, "drop")


def test_an_archive_gives_no_more_than_it_declares_and_may_not_declare_too_much(tmp_path, monkeypatch):
    path = declaring(zipped(tmp_path / "bomb.zip", {"a/1.png": PNG}), 2**28 + 1)
    with pytest.raises(ValueError, match=r"bomb\.zip: a/1\.png unpacks to 268,435,457 bytes"):
        listed(path, "drop")
    monkeypatch.setattr(raw_files, "MAX_ARCHIVE_BYTES", 2500)
    zipped(path, {f"a/{number}.png": bytes(1000) for number in range(3)})
    with pytest.raises(ValueError, match=r"a/2\.png .* 2,500 for all images"):
        listed(path, "drop")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(2**26))
    declaring(path, 100)
    tracemalloc.start()
    with pytest.raises(ValueError, match="cannot be unpacked"):
        listed(path)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_colour_depth_and_transparency_are_converted():
    red = Image.new("RGB", (48, 48), (255, 0, 0))
    assert (decoded(encoded(red)) == 76).all() and (decoded(encoded(red.quantize(4))) == 76).all()
    np.testing.assert_array_equal(decoded(encoded(PICTURES[0].astype(np.uint16) * 257)), PICTURES[0])
    half = GRAY.convert("LA")
    half.paste((0, 0), (0, 0, 24, 48))
    page = np.where(np.arange(48) < 24, 255, PICTURES[0])
    np.testing.assert_array_equal(decoded(encoded(half)), page)
    with pytest.raises(ValueError, match="32 bits"):
        decoded(encoded(np.ones((48, 48), np.float32), "tiff"))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_an_image_is_turned_by_its_exif_orientation(kind, orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.add.outer(np.arange(0, 96, 2), np.arange(0, 144, 3)).astype(np.uint8)
    image = decoded(encoded(Image.fromarray(smooth), kind, exif=exif))
    np.testing.assert_allclose(image, np.rot90(smooth, turned), atol=8)


def clear(image: Image.Image) -> bytes:
    image.putalpha(0)
    return encoded(image)


NEGATIVE = Image.fromarray((255 - PICTURES[0].astype("<u2")) * 257)
UNUSUAL = {
    "RGBA": (clear(GRAY.convert("RGBA")), "fully transparent"),
    "LA": (clear(GRAY.convert("LA")), "fully transparent"),
    "palette": (encoded(GRAY.convert("P"), transparency=bytes(256)), "fully transparent"),
    "white is zero": (encoded(NEGATIVE, "tiff", tiffinfo={262: 0}), "white as zero"),
    "PGM": (b"P5 48 48 65535\n" + (PICTURES[0].astype(">u2") * 257).tobytes(), "another depth"),
}


@pytest.mark.parametrize("form", UNUSUAL)
def test_clear_negative_and_deep_images_are_read_and_shown_as_viewers_do_and_noted(form):
    content, word = UNUSUAL[form]
    decoder = ImageDecoder(48)
    np.testing.assert_array_equal(decoder.decode(content), PICTURES[0])
    assert word in decoder.notes()[0]
    np.testing.assert_array_equal(decode_image(content).image[:, :, 1], PICTURES[0])


@given(st.integers(256, 65_535), st.integers(0, 20), st.integers(0, 2**32 - 1), st.binary(max_size=20))
@example(282, 10, 1, struct.pack("<ii", -1, 0))
def test_exif_entries_other_than_the_orientation_do_not_matter(tag, kind, count, value):
    odd = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 274, 3, 1, 6)
    odd += struct.pack("<HHII", tag if tag != 274 else 275, kind, count, 38) + bytes(4) + value
    with warnings.catch_warnings(action="ignore"):
        image = decoded(encoded(GRAY, "jpeg", exif=odd, quality=100))
    np.testing.assert_allclose(image.astype(int), np.rot90(PICTURES[0], 3).astype(int), atol=8)


def test_large_texts_and_profiles_do_not_matter():
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "x" * 3_000_000, zip=True)
    for options in ({"pnginfo": text}, {"icc_profile": bytes(3_000_000)}):
        np.testing.assert_array_equal(decoded(encoded(GRAY, **options)), PICTURES[0])


def test_the_middle_square_is_taken_and_conversions_are_noted():
    decoder = ImageDecoder(100)
    wide = np.pad(np.full((96, 96), 200, np.uint8), ((0, 0), (60, 60)))
    assert (decoder.decode(encoded(wide))[:, 5:-5] == 200).all()
    decoder.decode(encoded(Image.new("RGB", (100, 100))))
    (note,) = decoder.notes()
    assert note.startswith("2 of 2 images") and "1 stored in colour" in note
    frames = encoded(GRAY, "gif", save_all=True, append_images=[Image.fromarray(255 - PICTURES[0])])
    np.testing.assert_array_equal(decoded(frames), PICTURES[0])


@pytest.mark.parametrize("size", [(7, 48), (20_000, 48), (8193, 8192), (2**30, 2**30)])
def test_a_size_out_of_range_is_refused_by_the_header_alone(size):
    ihdr = struct.pack(">4sIIBBBBB", b"IHDR", *size, 8, 0, 0, 0, 0)
    content = PNG[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + PNG[33:]
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"pixels|not a usable image"):
        decoded(content)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
