"""A file is complete or absent, and equal content has an equal hash."""

import json
import math
import os
import stat
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.files import PROJECT, atomic_write, digest, project_path, read_json, write_json, write_text

jsonable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_relative_paths_start_at_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project_path("data/raw") == PROJECT / "data" / "raw"
    assert project_path(tmp_path) == tmp_path
    assert project_path("~/faces") == tmp_path / "faces"


def test_an_interrupted_write_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "new" / "table.csv", "earlier")
    with suppress(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half of it")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path):
    mask = os.umask(0o027)
    try:
        path = write_text(tmp_path / "shared.txt", "")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@settings(max_examples=10)  # each waits for the disk
@given(st.dictionaries(st.text(), jsonable, max_size=4))
def test_json_is_read_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    assert read_json(write_json(path, value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_json_lacks_are_refused_and_the_earlier_file_kept(tmp_path, value):
    path = write_json(tmp_path / "results.json", {"f1": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"f1": value})
    assert read_json(path) == {"f1": 0.5}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"results\.json"):
        read_json(tmp_path / "results.json")


@given(jsonable, jsonable)
def test_equal_values_have_equal_digests_and_others_not(a, b):
    assert (digest(a) == digest(b)) == (json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True))
    assert len({digest("a", "b"), digest(["a", "b"]), digest("ab"), digest("a", "b", None)}) == 4
