"""FER-2013 is read alike from every form, strictly, with the split that names or `Usage` say."""

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from raw_copies import LABELS, NAMES, PICTURES, USAGES, csv, encoded, files, lines, pixels, unzipped, zipped

from fer_utils.data.duplicates import duplicate_groups
from fer_utils.data.registry import FACES
from fer_utils.labels import FER7

read = FACES["fer2013"].read
ROWS = list(zip(LABELS, USAGES, map(pixels, PICTURES), strict=True))
ICML = ["emotion, Usage, pixels", *(f"{label}, {usage}, {image}" for label, usage, image in ROWS)]

SEMICOLONS = [lines()[0].upper().replace(",", ";"), *(line.replace(",", ";") for line in lines()[1:])]


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "fer2013.csv"


def test_folder_zip_and_table_give_the_same_faces_and_name_their_form(tmp_path, table):
    of_zip = read(zipped(tmp_path / "fer2013.zip", files()))
    of_folder = read(unzipped(tmp_path / "fer2013", files()))
    of_table = read(csv(table, lines()))
    assert of_zip.fingerprint == of_folder.fingerprint == of_table.fingerprint
    assert [one.origin["form"] for one in (of_zip, of_folder, of_table)] == ["kaggle folder"] * 2 + ["csv"]
    np.testing.assert_array_equal(of_table.images, PICTURES)
    rows = zip(of_zip.sample_id, of_zip.labels, of_zip.split, strict=True)
    splits = ["train"] * 3 + ["validation", "test"]
    assert list(rows) == sorted(zip(NAMES, LABELS, splits, strict=True))
    assert of_zip.class_names == FER7 and of_zip.notes == ()


@pytest.mark.parametrize(
    ("rows", "end", "start"),
    [
        (lines(), "\r\n", b""),
        (lines(), "\n", b"\xef\xbb\xbf"),
        (ICML, "\n", b""),
        ([",".join(f'"{cell}"' for cell in line.split(",")) for line in lines()], "\n", b""),
        (SEMICOLONS, "\n", b""),
    ],
    ids=["CRLF", "byte-order mark", "icml", "quoted", "capitals, semicolons"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_other_ways_of_writing_the_table_read_the_same(table, rows, end, start, encoding):
    csv(table, rows, end=end, start=start)
    if encoding != "utf-8":
        table.write_bytes(table.read_bytes().decode("utf-8-sig").replace(",", "\t").encode(encoding))
    faces = read(table)
    np.testing.assert_array_equal(faces.images, PICTURES)
    assert (faces.labels.tolist(), faces.sample_id[-1]) == (LABELS, "PrivateTest_row00006")


def test_packed_tables_are_named_with_what_to_do(tmp_path):
    text = "\n".join(lines()).encode()
    plain = tmp_path / "plain"
    plain.write_bytes(text)
    assert len(read(plain)) == 5
    (tmp_path / "fer2013.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    zipped(tmp_path / "fer2013.zip", {"fer2013.csv": text})
    with tarfile.open(tmp_path / "icml.tar.xz", "w:xz") as archive:
        archive.add(plain, "data/icml_face_data.csv")
    (tmp_path / "page.csv").write_text("<!DOCTYPE html><p>sign in to download")
    for name, named in {
        "fer2013.csv.gz": "a gzip file: unpack it",
        "fer2013.zip": r"unpack it; found fer2013\.csv",
        "icml.tar.xz": r"a tar archive with data/icml_face_data\.csv: unpack it",
        "page.csv": "a web page: download the file itself",
    }.items():
        with pytest.raises(ValueError, match=f"{name}.*{named}"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    "names",
    [tuple(f"{Path(name).parent}/im{i}" for i, name in enumerate(NAMES)), (*NAMES[:4], "test/surprise/im8")],
)
def test_renamed_test_files_are_one_pooled_test_set(tmp_path, names):
    faces = read(zipped(tmp_path / "fer2013.zip", files(names)))
    assert sorted(faces.split) == ["pooled_test"] * 2 + ["train"] * 3
    assert "one pooled test set" in faces.notes[0]


GOOD = pixels(PICTURES[0])
BAD_ROWS = {
    "2303 values": (f"3,{GOOD.rsplit(' ', 1)[0]},Training", "2303 pixel values instead of 2304"),
    "300": (f"3,300 {GOOD},Training", "pixel 1 is '300'"),
    "-1": (f"3,-1 {GOOD},Training", "pixel 1 is '-1'"),
    "2**64": (f"3,{2**64} {GOOD},Training", f"pixel 1 is '{2**64}'"),
    "3.5": (f"3,{GOOD} 3.5,Training", "pixel 2305 is '3.5'"),
    "NUL": (f"3,\0 {GOOD},Training", r"pixel 1 is '\x00'"),
    "not UTF-8": (f"\udcff,{GOOD},Training", r"emotion is '\\xff'"),
    "label 7": (f"7,{GOOD},Training", "emotion is '7', not 0-6"),
    "usage": (f"3,{GOOD},Test", "Usage is 'Test'"),
    "a field less": (f"3,{GOOD}", "2 fields instead of 3"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_an_error_with_its_line_or_dropped_and_listed(table, case):
    text, problem = BAD_ROWS[case]
    rows = lines()
    table.write_bytes("\n".join([*rows[:3], text, *rows[3:], ""]).encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message holds backslashes
        read(table)
    assert str(error.value).startswith(f"{table}, line 4: {problem}")
    faces = read(table, on_bad_rows="drop")
    np.testing.assert_array_equal(faces.images, PICTURES)
    assert len(faces.dropped) == 1 and faces.dropped[0].startswith(f"line 4: {problem}")
    assert faces.notes == (f"1 of 6 rows were dropped: {faces.dropped[0]}",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: the columns are missing"),
        (b"emotion,pixels,Usage\n", "no usable rows"),
        (b"emotion,pixels\n3,0\n", "columns are emotion, pixels; emotion, pixels, Usage are needed"),
        ("emotion".encode("utf-16"), "columns are emotion; emotion, pixels, Usage are needed"),
        (b"SQLite format 3", "in a CSV file; or the Kaggle folder"),
        (b"emotion,pixels,Usage\n7,0,Training\n", "no usable rows, 1 are bad"),
        (b"emotion,pixels,Usage\n" + b"\n" * 20_000, "more than 10,000 bad rows"),
    ],
)
def test_a_table_of_another_kind_is_an_error_under_drop_too(table, content, message):
    table.write_bytes(content)
    with pytest.raises(ValueError, match=rf"fer2013\.csv.*{message}"):
        read(table, on_bad_rows="drop")


@pytest.mark.parametrize("put", [zipped, unzipped])
@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("train/angry/Training_1.jpg", b"\xff\xd8\xffno", "not a usable image"),
        ("train/angry/Training_2.png", b"", "an empty file"),
        ("train/anger/Training_5.png", encoded(PICTURES[0]), "not train/<class>/<file>"),
        ("train/happy/PublicTest_6.png", encoded(PICTURES[0]), "folder says train"),
        ("train/angry/Training_10.jpeg", encoded(PICTURES[0]), "a second image"),
    ],
)
def test_a_bad_image_is_an_error_or_dropped_and_listed(tmp_path, put, name, data, problem):
    path = put(tmp_path / "fer.zip", files() | {name: data})
    with pytest.raises(ValueError, match=rf"fer\.zip, \S+: {problem}"):
        read(path)
    faces = read(path, on_bad_rows="drop")
    assert len(faces) == 5 and problem in faces.dropped[0] and "1 of 6 images" in faces.notes[0]


@pytest.fixture(scope="module")
def real_path() -> Path:
    path = os.environ.get("FER2013_PATH")
    if not path or not path.endswith(".zip"):
        pytest.skip("FER2013_PATH does not name the zip of FER-2013")
    return Path(path)


def test_the_real_set_has_its_published_counts_and_1853_duplicates(real_path):
    real = read(real_path)
    counts = real.counts().loc[list(FER7)]
    assert counts["train"].tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert counts["validation"].tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert counts["test"].tolist() == [491, 55, 528, 879, 594, 416, 626]
    six = real.with_classes([name for name in FER7 if name != "disgust"])
    assert (len(six.only("train")), len(six.only("test"))) == (28_273, 3_534)
    assert sum(len(group) - 1 for group in duplicate_groups(real)) == 1_853
