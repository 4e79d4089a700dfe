"""A prepared set is what the reader gave, is made once, and is made again when it was damaged."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_utils.data import ClipSet, FaceSet, store
from fer_utils.data.store import content_hash, kept, prepared, size_of
from fer_utils.files import read_json, sha256_of, write_json

MD5 = "c56bd5480f6e5413cb62a0ad9666613a"
"""Of the bytes 0 to 9."""


def read(source: Path) -> FaceSet:
    """Read a toy format: every byte of the file is a 2x2 picture of that gray."""
    with open(source.with_suffix(".log"), "a") as log:
        log.write("read\n")
    gray = np.frombuffer(source.read_bytes(), dtype=np.uint8)
    return FaceSet(
        name="toy",
        source="real",
        images=np.repeat(gray, 4).reshape(-1, 2, 2),
        labels=np.arange(len(gray)) % 2,
        class_names=("happy", "sad"),
        split=np.array(["train"] * len(gray)),
        sample_id=np.array([f"byte{number}" for number in range(len(gray))]),
        subject=np.array(["006"] * len(gray)),
        notes=("grün",),
        dropped=("byte 11: no gray",),
    )


def read_slowly(source: Path) -> FaceSet:
    time.sleep(0.3)
    return read(source)


def times_read(source: Path) -> int:
    return len(source.with_suffix(".log").read_text().splitlines())


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "toy.raw"
    path.write_bytes(bytes(range(10)))
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "prepared"


def only_folder(folder: Path) -> Path:
    (made,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    return made


def assert_is_what_was_read(faces: FaceSet, source: Path) -> None:
    plain = read(source)
    for key in ("images", "labels", "split", "sample_id", "subject"):
        np.testing.assert_array_equal(getattr(faces, key), getattr(plain, key))
    for key in ("name", "source", "class_names", "notes", "dropped", "fingerprint"):
        assert getattr(faces, key) == getattr(plain, key)


def test_a_prepared_set_is_what_the_reader_gave_and_names_its_origin(source, folder):
    faces = prepared(source, read, folder=folder)
    assert_is_what_was_read(faces, source)
    assert faces.origin == {"file": "toy.raw", "bytes": 10, "sha256": sha256_of(source), "md5": MD5}
    assert only_folder(folder).name.startswith("toy-")


def test_it_is_read_once_and_then_memory_mapped_read_only(source, folder):
    prepared(source, read, folder=folder)
    faces = prepared(source, read, folder=folder)
    assert times_read(source) == 1
    assert isinstance(faces.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        faces.images[0] = 0


def test_other_content_under_the_same_name_is_another_set(source, folder):
    prepared(source, read, folder=folder)
    source.write_bytes(bytes(range(5)))
    assert len(prepared(source, read, folder=folder)) == 5
    assert times_read(source) == 2


def test_other_settings_are_another_set_and_the_same_ones_the_same(source, folder):
    several = [
        {},
        {"on_bad_rows": "drop"},
        {"on_bad_rows": "error"},
        {"on_bad_rows": "drop", "image_size": 64},
    ]
    for settings in (*several, {"image_size": 64, "on_bad_rows": "drop"}):
        assert_is_what_was_read(prepared(source, read, folder=folder, settings=settings), source)
    assert len([path for path in folder.iterdir() if path.is_dir()]) == len(several)
    sidecars = [read_json(path) for path in folder.glob("*/sidecar.json")]
    assert all(sidecar["settings"] in several for sidecar in sidecars)


def test_a_folder_has_no_md5(tmp_path, folder):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "toy.raw").write_bytes(bytes(range(10)))
    faces = prepared(tmp_path / "raw", lambda raw: read(raw / "toy.raw"), folder=folder)
    assert sorted(faces.origin) == ["bytes", "file", "sha256"]


def clips_of(source: Path) -> ClipSet:
    """Read the same toy format as clips: every byte is one of two equal frames."""
    faces = read(source)
    times = {name: np.arange(len(faces)) + late for late, name in enumerate(("onset", "apex", "offset"))}
    return ClipSet(
        name="toy",
        source="synthetic",
        clips=np.repeat(faces.images[:, None], 2, axis=1),
        labels=faces.labels,
        class_names=faces.class_names,
        sample_id=faces.sample_id,
        subject=faces.subject,
        frame_rate=np.full(len(faces), 100.0),
        notes=("grün", "two"),
        skipped=("byte 11: no gray",),
        origin={"sampling": "first", "form": "toy"},
        **times,
    )


def test_clips_are_prepared_with_every_field_and_keep_what_their_reader_says_of_the_origin(source, folder):
    for _ in range(2):
        clips, plain = prepared(source, clips_of, folder=folder), clips_of(source)
        assert isinstance(clips, ClipSet) and isinstance(clips.clips, np.memmap)
        for key in ("clips", *ClipSet.COLUMNS):
            np.testing.assert_array_equal(getattr(clips, key), getattr(plain, key))
            assert getattr(clips, key).dtype == getattr(plain, key).dtype
        for key in ("name", "source", "class_names", "notes", "skipped", "fingerprint"):
            assert getattr(clips, key) == getattr(plain, key)
        found = {"file": "toy.raw", "bytes": 10, "sha256": sha256_of(source), "md5": MD5}
        assert clips.origin == plain.origin | found
        with pytest.raises(ValueError, match="do not run evenly"):
            _ = clips.apex_position
    assert times_read(source) == 3  # two of them by the comparisons


def test_what_would_have_to_be_pickled_is_refused_and_leaves_nothing(source, folder):
    def unsafe(source: Path) -> FaceSet:
        faces = read(source)
        return replace(faces, subject=faces.subject.astype(object))

    with pytest.raises(ValueError, match="pickle"):
        prepared(source, unsafe, folder=folder)
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []


def test_what_was_made_of_the_same_content_and_settings_is_made_once(source, folder):
    made = []

    def make() -> FaceSet:
        made.append(1)
        return read(source)

    for content, settings in (("a", {}), ("a", {}), ("b", {}), ("a", {"seed": 1})):
        assert_is_what_was_read(
            kept(make, name="drawn", content=content, folder=folder, settings=settings), source
        )
    assert len(made) == 3
    assert len(list(folder.glob("drawn-*"))) == 3


def test_a_file_whose_name_is_no_utf8_can_be_prepared(tmp_path, folder):
    source = tmp_path / "toy\udcff.raw"
    source.write_bytes(b"12")
    assert prepared(source, read, folder=folder).origin["file"] == "toy\\udcff.raw"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["pixels.npy", "samples.npz", "sidecar.json"])
@pytest.mark.parametrize("damage", [cut_short, altered, emptied, Path.unlink])
def test_a_damaged_file_is_noticed_and_the_set_made_again(source, folder, name, damage):
    prepared(source, read, folder=folder)
    damage(only_folder(folder) / name)
    assert_is_what_was_read(prepared(source, read, folder=folder), source)
    prepared(source, read, folder=folder)
    assert times_read(source) == 3  # one of them by the comparison


@pytest.mark.parametrize(
    "change",
    [
        {"fields": {"class_names": ["sad", "happy"]}},
        {"kind": "ClipSet"},
        {"sha256": {}},
        {"sha256": []},
        {"format": 1},
        {"settings": {"edited": 1}},
    ],
    ids=str,
)
def test_an_edited_sidecar_is_noticed_and_the_set_made_again(source, folder, change):
    prepared(source, read, folder=folder)
    sidecar = only_folder(folder) / "sidecar.json"
    write_json(sidecar, read_json(sidecar) | change)
    assert_is_what_was_read(prepared(source, read, folder=folder), source)


def test_a_sidecar_that_is_no_object_is_noticed(source, folder):
    prepared(source, read, folder=folder)
    (only_folder(folder) / "sidecar.json").write_text("[]")
    assert_is_what_was_read(prepared(source, read, folder=folder), source)


def test_a_reader_that_fails_leaves_nothing_behind(source, folder):
    def fail(source):
        raise ValueError("line 7: no")

    with pytest.raises(ValueError, match="line 7: no"):
        prepared(source, fail, folder=folder)
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []
    assert_is_what_was_read(prepared(source, read, folder=folder), source)


def test_a_set_mapped_before_its_file_was_damaged_on_disk_is_replaced_not_overwritten(source, folder):
    before = prepared(source, read, folder=folder)
    (only_folder(folder) / "samples.npz").unlink()
    prepared(source, read, folder=folder)
    assert_is_what_was_read(before, source)


# --- at the same time, and killed --------------------------------------------------------------------------


def test_who_need_the_same_set_at_once_prepare_it_once(source, folder):
    # The lock is on the open file, so that it holds between threads as it does between processes.
    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(lambda _: prepared(source, read_slowly, folder=folder), range(4)))
    assert times_read(source) == 1
    for faces in sets:
        assert_is_what_was_read(faces, source)


def stop_before_the_sidecar(source: Path) -> FaceSet:
    def killed(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    store.write_json = killed  # in that process only
    return read(source)


def test_a_process_killed_half_way_leaves_nothing_that_looks_prepared_and_the_next_cleans_up(source, folder):
    spawn = multiprocessing.get_context(
        "spawn"
    )  # a fork would inherit the threads of whatever is loaded here
    process = spawn.Process(
        target=prepared, args=(source, stop_before_the_sidecar), kwargs={"folder": folder}
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert all(path.name.startswith(".") for path in folder.iterdir())
    (staging,) = folder.glob(".toy-*.staging")
    assert (staging / "pixels.npy").exists()
    assert_is_what_was_read(prepared(source, read, folder=folder), source)
    assert sorted(path.suffix for path in folder.iterdir() if path.name.startswith(".")) == [".lock"]


# --- what names a raw folder -------------------------------------------------------------------------------


def test_a_folder_is_named_by_the_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "raw" / "a").mkdir(parents=True)
    (tmp_path / "raw" / "a" / "one.txt").write_text("1")
    (tmp_path / "raw" / "two.txt").write_text("22")
    first = content_hash(tmp_path / "raw")
    assert size_of(tmp_path / "raw") == 3
    (tmp_path / "raw" / "a" / "one.txt").write_text("2")
    second = content_hash(tmp_path / "raw")
    (tmp_path / "raw" / "a" / "one.txt").rename(tmp_path / "raw" / "one.txt")
    assert len({first, second, content_hash(tmp_path / "raw")}) == 3


def test_links_to_folders_are_part_of_the_content_only_for_a_reader_that_follows_them(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw" / "s1").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "round").symlink_to(
        tmp_path, target_is_directory=True
    )  # no way out but to stop
    hashes = []
    for text in ("1", "2"):
        (tmp_path / "elsewhere" / "frame.txt").write_text(text)
        hashes += [content_hash(tmp_path / "raw", follow_links=follow) for follow in (False, True)]
    assert hashes[0] == hashes[2] and hashes[1] != hashes[3]
    assert (size_of(tmp_path / "raw"), size_of(tmp_path / "raw", follow_links=True)) == (0, 1)
