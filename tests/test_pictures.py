"""Picture files are found and decoded the same from folder and zip, and nothing in them can do harm."""

import io
import os
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from fer_utils.data.bad_rows import BadRows
from fer_utils.data.pictures import open_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.data import pictures
from fer_utils.data.images import ImageDecoder

GRAY = Image.fromarray(PICTURES[0])
PNG = encoded(GRAY)
SMOOTH = np.add.outer(np.arange(0, 96, 2), np.arange(0, 144, 3)).astype(np.uint8)
"""48x48, which survives lossy formats and resizing almost unchanged."""


def listed(path: Path, policy: str = "error") -> tuple[dict[str, bytes], BadRows, tuple[str, ...]]:
    bad = BadRows(path, policy, unit="pictures")
    with open_pictures(path, bad) as found:
        return {name: read() for name, read in found.files}, bad, found.notes


def decoded(content: bytes, size: int = 48) -> np.ndarray:
    return ImageDecoder(size).decode(content)


# --- finding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put", [zipped, unzipped])
def test_pictures_are_listed_by_name_without_hidden_and_system_files(tmp_path, put):
    content = {
        name: name.encode() for name in ("b/2.PNG", "a/x.jpeg", "a/1.webp", "c.tif", "d/e/f.gif", "g.bmp")
    }
    others = {"a/notes.txt": b"", "a/.x.png": b"", "__MACOSX/a/x.png": b"", ".git/x.png": b""}
    path = put(tmp_path / "some.zip", content | others)
    found, _, notes = listed(path)
    assert list(found) == sorted(content) and found == content
    assert notes == ()
    with open_pictures(path, BadRows(path, "error", unit="pictures")) as again:
        assert again.passed_over == ["a/notes.txt"]


def test_what_is_neither_a_folder_nor_a_zip_is_refused(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match=r"a\.rar: neither a folder nor a whole \.zip archive"):
        listed(tmp_path / "a.rar")
    os.mkfifo(tmp_path / "pipe.zip")
    for name in ("pipe.zip", "absent.zip"):
        with pytest.raises(FileNotFoundError, match=f"{name}: no such file"):
            listed(tmp_path / name)


def test_links_to_files_are_followed_inside_the_folder_and_no_others(tmp_path):
    outside = unzipped(tmp_path / "outside", {"secret.png": b"secret", "folder/x.png": b"secret"})
    root = unzipped(tmp_path / "root", {"a/1.png": b"one"})
    (root / "a" / "2.png").symlink_to("1.png")
    (root / "a" / "3.png").symlink_to(outside / "secret.png")
    (root / "a" / "4.png").symlink_to("absent.png")
    (root / "a" / "5.png").symlink_to("5.png")
    (root / "b").symlink_to(outside / "folder")
    (root / "c").symlink_to(root)
    found, _, notes = listed(root)
    assert found == {"a/1.png": b"one", "a/2.png": b"one"}
    assert notes == ("5 links to folders or out of the data folder were not followed, such as a/3.png",)
    (tmp_path / "link").symlink_to(root)
    assert listed(tmp_path / "link")[0] == found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error_and_not_an_empty_one(tmp_path):
    root = unzipped(tmp_path / "root", {"a/1.png": b"one", "b/2.png": b"two"})
    (root / "b").chmod(0)
    with pytest.raises(PermissionError, match="b"):
        listed(root)
    (root / "b").chmod(0o700)


def test_a_name_that_is_no_utf8_is_a_bad_picture(tmp_path):
    root = unzipped(tmp_path / "root", {"a/1.png": b"one", "a/\udcff.png": b"two"})
    with pytest.raises(ValueError, match=r"root, a/\\udcff\.png: the file name is not UTF-8"):
        listed(root)
    found, bad, _ = listed(root, "drop")
    assert list(found) == ["a/1.png"]
    assert bad.dropped == [r"a/\udcff.png: the file name is not UTF-8; give it another"]


# --- zips --------------------------------------------------------------------------------------------------


def edited(path: Path, offsets: dict[tuple[bytes, int], bytes]) -> Path:
    """Overwrite bytes of a one-entry zip, counted from the signature of one of its headers."""
    content = bytearray(path.read_bytes())
    for (signature, offset), data in offsets.items():
        at = content.index(signature) + offset
        content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


def with_flags(path: Path, flags: int) -> Path:
    return edited(path, {(LOCAL, 6): struct.pack("<H", flags), (CENTRAL, 8): struct.pack("<H", flags)})


def declaring(path: Path, size: int) -> Path:
    return edited(path, {(LOCAL, 22): struct.pack("<I", size), (CENTRAL, 24): struct.pack("<I", size)})


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "a/../../a.png",
        "/a.png",
        "..\\a.png",
        "\\a.png",
        "C:\\a.png",
        "C:a.png",
        "a/../x.sh",
        "..",
    ],
)
@pytest.mark.parametrize("policy", ["error", "drop"])
def test_an_entry_that_points_out_of_the_archive_is_refused(tmp_path, name, policy):
    path = zipped(tmp_path / "bad.zip", {"a/1.png": b"", name: b""})
    with pytest.raises(ValueError, match=r"bad\.zip: .* points out of the archive"):
        listed(path, policy)


def test_a_name_that_is_cut_off_by_a_nul_is_refused(tmp_path):
    path = zipped(tmp_path / "bad.zip", {"a/x.png": b""})
    path.write_bytes(path.read_bytes().replace(b"a/x.png", b"a/x\0png"))
    with pytest.raises(ValueError, match="points out of the archive"):
        listed(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip_is_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("a/1.png")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match=r"bad\.zip: a/1\.png is a link or device"):
        listed(tmp_path / "bad.zip", "drop")


def test_an_encrypted_entry_is_refused(tmp_path):
    path = with_flags(zipped(tmp_path / "bad.zip", {"a/1.png": PNG}), 1)
    with pytest.raises(ValueError, match=r"bad\.zip: a/1\.png is encrypted"):
        listed(path, "drop")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_python_unpacks_without_limit_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", method) as archive:
        archive.writestr("a/1.png", bytes(10_000))
    with pytest.raises(ValueError, match=r"bad\.zip: a/1\.png is packed by another method than deflate"):
        listed(tmp_path / "bad.zip", "drop")


def test_a_zip_that_declares_too_much_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    path = declaring(zipped(tmp_path / "bomb.zip", {"a/1.png": PNG}), 2**28 + 1)
    with pytest.raises(ValueError, match=r"bomb\.zip: a/1\.png unpacks to 268,435,457 bytes"):
        listed(path, "drop")
    monkeypatch.setattr(pictures, "MOST_BYTES_OF_A_ZIP", 2500)
    path = zipped(tmp_path / "bomb.zip", {f"a/{number}.png": bytes(1000) for number in range(3)})
    with pytest.raises(ValueError, match=r"bomb\.zip: its pictures unpack to more than 2,500 bytes"):
        listed(path, "drop")


def test_an_entry_gives_no_more_than_it_declares(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(2**26))
    declaring(path, 100)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"cannot be unpacked \(Bad CRC-32"):
        listed(path)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_a_file_too_large_for_a_picture_is_a_bad_picture(tmp_path):
    root = unzipped(tmp_path / "root", {"a/1.png": b""})
    os.truncate(root / "a" / "1.png", 2**28 + 1)
    bad = BadRows(root, "error", unit="pictures")
    with open_pictures(root, bad) as found, pytest.raises(ValueError, match="268,435,457 bytes"):
        found.files[0].read()


def test_names_written_as_utf8_without_saying_so_and_with_backslashes_are_understood(tmp_path):
    path = with_flags(zipped(tmp_path / "mac.zip", {"a\\grün.png": b"one"}), 0)
    assert list(listed(path)[0]) == ["a/grün.png"]
    path.write_bytes(path.read_bytes().replace("grün".encode(), "grün ".encode("cp437")))
    with pytest.raises(ValueError, match=r"mac\.zip, a/gr\\udc81n \.png: the file name is not UTF-8"):
        listed(path)


# --- decoding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "gif"])
def test_gray_pictures_in_lossless_formats_are_taken_as_they_are(kind):
    np.testing.assert_array_equal(decoded(encoded(GRAY, kind)), PICTURES[0])


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_gray_pictures_in_lossy_formats_are_close(kind):
    np.testing.assert_allclose(decoded(encoded(SMOOTH, kind, quality=95)), SMOOTH, atol=6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
def test_gray_pictures_stored_otherwise_are_the_same_picture(mode):
    kind = "tiff" if mode == "CMYK" else "png"
    np.testing.assert_allclose(decoded(encoded(GRAY.convert(mode), kind)), PICTURES[0], atol=1)


def test_colours_are_weighed_and_a_palette_is_looked_up():
    red = Image.new("RGB", (48, 48), (255, 0, 0))
    for picture in (red, red.quantize(4)):
        assert np.unique(decoded(encoded(picture))).tolist() == [76]


def test_one_bit_is_black_or_white():
    stripes = np.tile([False, True], (48, 24))
    np.testing.assert_array_equal(decoded(encoded(stripes)), stripes * np.uint8(255))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind):
    values = PICTURES[0].astype(np.uint16) * 257
    np.testing.assert_array_equal(decoded(encoded(values, kind)), PICTURES[0])


def test_twelve_bits_are_scaled_by_their_own_white():
    content = bytearray(encoded(np.full((48, 48), 0xFFFF, np.uint16), "tiff"))
    bits = content.index(struct.pack("<HHI", 258, 3, 1)) + 8
    content[bits : bits + 2] = struct.pack("<H", 12)
    assert np.unique(decoded(bytes(content))).tolist() == [255]


@pytest.mark.parametrize("values", [np.ones((48, 48), np.int32), np.ones((48, 48), np.float32)])
def test_thirty_two_bits_have_no_known_white_and_are_refused(values):
    with pytest.raises(ValueError, match="32 bits a pixel"):
        decoded(encoded(values, "tiff"))


def test_what_is_transparent_is_white():
    picture = GRAY.convert("RGBA")
    picture.putalpha(Image.fromarray(np.repeat([[0, 255]], 48, axis=0).astype(np.uint8).repeat(24, axis=1)))
    image = decoded(encoded(picture))
    assert (image[:, :24] == 255).all()
    np.testing.assert_array_equal(image[:, 24:], PICTURES[0][:, 24:])


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_picture_is_turned_as_its_exif_data_say(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoder = ImageDecoder(48)
    image = decoder.decode(encoded(GRAY, exif=exif))
    np.testing.assert_array_equal(image, np.rot90(PICTURES[0], turned))
    said = ("1 of 1 pictures were converted to 48x48 gray: 1 turned as EXIF says",)
    assert decoder.notes() == (() if orientation == 1 else said)


def test_the_middle_of_a_long_picture_is_taken_and_resized():
    wide = np.hstack(
        [np.zeros((96, 200), np.uint8), SMOOTH.repeat(2, 0).repeat(2, 1), np.zeros((96, 200), np.uint8)]
    )
    np.testing.assert_allclose(decoded(encoded(wide))[2:-2, 2:-2], SMOOTH[2:-2, 2:-2], atol=2)
    assert decoded(encoded(wide), 100).shape == (100, 100)


def test_of_several_frames_the_first_is_taken():
    content = encoded(GRAY, "gif", save_all=True, append_images=[Image.fromarray(255 - PICTURES[0])])
    np.testing.assert_array_equal(decoded(content), PICTURES[0])


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ((7, 48), "7x48 pixels; sides have 8 to 16,384"),
        ((20_000, 48), "20000x48 pixels; sides"),
        ((8193, 8192), "8193x8192 pixels; 67,108,864 are accepted"),
        ((16_384, 10_000), "16384x10000 pixels; 67,108,864 are accepted"),
        ((2**30, 2**30), "not a usable picture"),
    ],
)
def test_a_size_that_is_not_accepted_is_refused_by_the_header_alone(size, problem):
    ihdr = struct.pack(">4sIIBBBBB", b"IHDR", *size, 8, 0, 0, 0, 0)
    content = PNG[:12] + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + PNG[33:]
    tracemalloc.start()
    with pytest.raises(ValueError, match=problem):
        decoded(content)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_text_that_says_what_a_bad_picture_is_repeats_itself():
    texts = set()
    for _ in range(2):
        with pytest.raises(ValueError, match="none of JPEG, PNG") as error:
            decoded(io.BytesIO(b"some text").getvalue())
        texts.add(str(error.value))
    assert len(texts) == 1


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(8, 70), st.integers(8, 70)),
    st.sampled_from(["L", "RGB", "RGBA", "LA", "P", "1", "I;16"]),
    st.sampled_from([8, 48, 65]),
    st.integers(0, 255),
)
def test_a_flat_picture_stays_flat_whatever_its_size_and_mode(size, mode, side, gray):
    if mode == "I;16":
        picture = Image.fromarray(np.full(size, gray * 257, np.uint16))
    else:
        picture = Image.new("L", size, gray).convert(mode, dither=Image.Dither.NONE)
    image = decoded(encoded(picture), side)
    assert image.shape == (side, side) and image.dtype == np.uint8
    expected = 255 * (gray > 127) if mode == "1" else gray
    np.testing.assert_allclose(image, expected, atol=1)
