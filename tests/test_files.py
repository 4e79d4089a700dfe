"""A file is whole or absent, and equal content has an equal name."""

import hashlib
import json
import math
import os
import stat
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.files import (
    PROJECT,
    atomic_write,
    digest,
    project_path,
    read_json,
    sha256_of,
    write_json,
    write_text,
)

jsonable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_relative_paths_start_at_the_project_and_absolute_ones_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_path("data/raw") == PROJECT / "data" / "raw"
    assert project_path(tmp_path) == tmp_path
    assert (PROJECT / "pyproject.toml").is_file()


def test_a_home_folder_is_spelt_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project_path("~/faces") == tmp_path / "faces"


def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "table.csv", "earlier")
    with suppress(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half of it")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_shows_nothing_before_it_is_complete(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_keeps_the_suffix_that_libraries_go_by(tmp_path):
    with atomic_write(tmp_path / "model.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
    with atomic_write(tmp_path / "array.npy") as temporary:
        np.save(temporary, np.arange(3))
    assert np.load(tmp_path / "array.npy").tolist() == [0, 1, 2]


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        path = write_text(tmp_path / "shared.txt", "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@settings(max_examples=25)  # each waits for the disk
@given(st.dictionaries(st.text(), jsonable, max_size=4))
def test_json_comes_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    assert read_json(write_json(path, value)) == value


def test_json_is_readable_text_in_any_language(tmp_path):
    assert "Δ ± überrascht" in write_json(tmp_path / "a.json", {"name": "Δ ± überrascht"}).read_text("utf-8")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_refused_and_the_earlier_file_kept(tmp_path, value):
    path = write_json(tmp_path / "results.json", {"f1": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"f1": value})
    assert read_json(path) == {"f1": 0.5}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe", b"not json"])
def test_damaged_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"results\.json: not readable as JSON .*delete it and run again"):
        read_json(tmp_path / "results.json")


@given(st.binary(max_size=200))
def test_a_files_hash_is_sha256_of_its_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


@given(st.dictionaries(st.text(), jsonable, max_size=5))
def test_the_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(dict(reversed(value.items()))) == digest(value)


@given(jsonable, jsonable)
def test_the_digest_tells_different_values_apart(a, b):
    assert (digest(a) == digest(b)) == (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))


def test_the_digest_tells_parts_from_one_list():
    assert len({digest("a", "b"), digest(["a", "b"]), digest("ab"), digest("a", "b", None)}) == 4
