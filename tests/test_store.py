"""A prepared set is what the reader gave, is made once, and is made again when it was damaged."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.face_sets import face_set

from fer_utils.data import FaceSet
from fer_utils.data.registry import prepared_from
from fer_utils.files import sha256_of


def read(source: Path) -> FaceSet:
    """Read a toy format: every byte of the file is a 2x2 image of that gray."""
    with open(source.with_suffix(".log"), "a") as log:
        log.write("read\n")
    gray = np.frombuffer(source.read_bytes(), dtype=np.uint8)
    ids, subject = [f"byte{number}" for number in range(len(gray))], ["006"] * len(gray)
    columns = {"sample_id": np.array(ids), "subject": np.array(subject)}
    texts = {"notes": ("grün",), "dropped": ("byte 11: no gray",)}
    return face_set(np.repeat(gray, 4).reshape(-1, 2, 2), **columns, **texts)


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "toy.raw"
    path.write_bytes(bytes(range(10)))
    return path


def prepare(source: Path, reader=read, **settings) -> FaceSet:
    folder = source.parent / "prepared"
    return prepared_from(source, lambda: reader(source), folder=folder, settings=settings)


def times_read(source: Path) -> int:
    return len(source.with_suffix(".log").read_text().splitlines())


def folders(source: Path) -> list[Path]:
    return [path for path in (source.parent / "prepared").iterdir() if path.is_dir()]


def assert_same(one, other) -> None:
    for key in (one.PIXELS, *one.COLUMNS):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
        assert getattr(one, key).dtype == getattr(other, key).dtype
    for key in ("name", "source", "class_names", "notes", "fingerprint"):
        assert getattr(one, key) == getattr(other, key)


def test_faces_are_read_once_and_then_memory_mapped_with_their_origin(source):
    for _ in range(2):
        faces = prepare(source)
    assert times_read(source) == 1
    assert_same(faces, read(source))
    assert faces.dropped == ("byte 11: no gray",)
    md5 = "c56bd5480f6e5413cb62a0ad9666613a"  # of the bytes 0 to 9
    assert faces.origin == {"file": "toy.raw", "bytes": 10, "sha256": sha256_of(source), "md5": md5}
    assert isinstance(faces.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        faces.images[0] = 0


def test_other_content_and_other_settings_are_other_sets(source):
    for settings in ({}, {"a": 1}, {"a": 2}, {"a": 1}):
        prepare(source, **settings)
    assert times_read(source) == 3
    source.write_bytes(bytes(range(5)))
    assert len(prepare(source)) == 5 and len(folders(source)) == 4


def test_a_folder_is_known_by_its_files_also_by_links(tmp_path):
    root, elsewhere, toy = tmp_path / "raw", tmp_path / "elsewhere", tmp_path / "toy.raw"
    for folder in (root, elsewhere):
        folder.mkdir()
    (root / "link").symlink_to(elsewhere, target_is_directory=True)
    toy.write_bytes(b"12")

    def content() -> str:
        options = {"folder": tmp_path / "prepared", "settings": {}}
        return prepared_from(root, lambda: read(toy), **options).origin["sha256"]

    (root / "one.txt").write_text("1")
    before = content()
    (elsewhere / "frame.txt").write_text("x")
    linked = content()
    (root / "one.txt").rename(root / "two.txt")
    assert len({before, linked, content()}) == 3


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["pixels.npy", "sidecar.json"])
@pytest.mark.parametrize("damage", [altered, Path.unlink])
def test_a_damaged_set_is_made_again(source, name, damage):
    prepare(source)
    damage(folders(source)[0] / name)
    assert_same(prepare(source), read(source))
    prepare(source)
    assert times_read(source) == 3  # one of them by the comparison


def test_a_set_that_is_needed_at_once_is_prepared_once(source):
    def read_slowly(path: Path) -> FaceSet:
        time.sleep(0.3)
        return read(path)

    # The lock is on the open file, so that it holds between threads as it does between processes.
    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(lambda _: prepare(source, read_slowly), range(4)))
    assert times_read(source) == 1
    for faces in sets:
        assert_same(faces, sets[0])


def test_a_killed_process_leaves_nothing_that_looks_prepared(source):
    prepare(source)
    (whole,) = folders(source)
    staging = whole.rename(whole.with_name(f".{whole.name}.staging"))
    (staging / "sidecar.json").unlink()  # written last
    assert_same(prepare(source), read(source))
    assert folders(source) == [whole]


def test_a_reader_that_fails_leaves_nothing_behind(source):
    def fail(path):
        raise ValueError("line 7: no")

    with pytest.raises(ValueError, match="line 7"):
        prepare(source, fail)
    assert folders(source) == []
    assert_same(prepare(source), read(source))
