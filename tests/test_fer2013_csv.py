"""The challenge's other tables are told apart by their header, and bad rows are named or left out."""

from pathlib import Path

import numpy as np
import pytest
from raw_copies import LABELS, PICTURES, USAGES, csv, files, lines, pixels, unzipped

from fer_utils.data import FaceSet
from fer_utils.data.fer2013 import read_fer2013

ICML = [
    "emotion, Usage, pixels",
    *(
        f"{label}, {usage}, {pixels(image)}"
        for label, usage, image in zip(LABELS, USAGES, PICTURES, strict=True)
    ),
]
TRAIN = [
    "emotion,pixels",
    *(f"{label},{pixels(image)}" for label, image in zip(LABELS, PICTURES, strict=True)),
]
TEST = ["pixels", *map(pixels, PICTURES[::-1])]


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "table.csv"


# --- forms -------------------------------------------------------------------------------------------------


def test_icml_face_data_is_the_same_as_fer2013(tmp_path, table):
    one, other = read_fer2013(csv(table, ICML)), read_fer2013(csv(tmp_path / "fer2013.csv", lines()))
    assert one.fingerprint == other.fingerprint
    np.testing.assert_array_equal(one.sample_id, other.sample_id)
    assert one.sample_id.tolist()[-1] == "PrivateTest_row00006"


def test_a_table_without_usage_is_all_training_images(table):
    faces = read_fer2013(csv(table, TRAIN))
    np.testing.assert_array_equal(faces.images, PICTURES)
    np.testing.assert_array_equal(faces.labels, LABELS)
    assert set(faces.split) == {"train"}
    assert faces.sample_id[0] == "Training_row00002"
    assert faces.notes == faces.dropped == ()


def test_a_table_of_pixels_alone_is_one_pooled_test_set_without_classes(table):
    faces = read_fer2013(csv(table, TEST))
    np.testing.assert_array_equal(faces.images, PICTURES[::-1])
    assert set(faces.split) == {"pooled_test"}
    assert set(faces.labels) == {FaceSet.UNLABELLED}
    assert faces.counts().loc["unlabelled", "total"] == 5
    assert "have no labels" in faces.notes[0]


def test_the_form_is_in_the_header_and_not_in_the_name(tmp_path):
    assert set(read_fer2013(csv(tmp_path / "test.csv", TRAIN)).split) == {"train"}
    assert len(set(read_fer2013(csv(tmp_path / "train.csv", ICML)).split)) == 3


@pytest.mark.parametrize("rows", [TRAIN, TEST, ICML], ids=["train", "test", "icml"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_form_may_have_windows_line_ends_a_byte_order_mark_and_no_last_line_end(table, rows, end):
    plain = read_fer2013(csv(table, rows))
    table.write_bytes(b"\xef\xbb\xbf" + end.join(rows).encode())
    assert read_fer2013(table).fingerprint == plain.fingerprint


# --- the challenge's folder --------------------------------------------------------------------------------


def test_a_folder_with_train_and_test_tables_is_one_set(tmp_path):
    csv(tmp_path / "train.csv", TRAIN)
    csv(tmp_path / "test.csv", TEST)
    (tmp_path / "example_submission.csv").write_text("id,emotion\n")
    faces = read_fer2013(tmp_path)
    assert faces.split.tolist() == ["train"] * 5 + ["pooled_test"] * 5
    np.testing.assert_array_equal(faces.images, [*PICTURES, *PICTURES[::-1]])
    np.testing.assert_array_equal(faces.labels, LABELS + [-1] * 5)
    assert len(faces.notes) == 1


@pytest.mark.parametrize(("name", "rows"), [("train.csv", TRAIN), ("test.csv", TEST)])
def test_a_folder_with_one_of_the_tables_is_that_table(tmp_path, name, rows):
    path = csv(tmp_path / name, rows)
    assert read_fer2013(tmp_path).fingerprint == read_fer2013(path).fingerprint


def test_a_folder_with_the_whole_table_is_read_from_that(tmp_path):
    for name, rows in (("train.csv", TRAIN), ("test.csv", TEST), ("icml_face_data.csv", ICML)):
        csv(tmp_path / name, rows)
    assert set(read_fer2013(tmp_path).split) == {"train", "validation", "test"}


def test_bad_rows_of_a_folder_name_their_table(tmp_path):
    csv(tmp_path / "train.csv", [*TRAIN, "7,0"])
    csv(tmp_path / "test.csv", [*TEST, "1 2 3"])
    with pytest.raises(ValueError, match=r"train\.csv, line 7: emotion is '7'"):
        read_fer2013(tmp_path)
    faces = read_fer2013(tmp_path, on_bad_rows="drop")
    assert faces.dropped == (
        "train.csv, line 7: emotion is '7', not 0-6",
        "test.csv, line 7: 3 pixel values instead of 2304",
    )
    assert len(faces) == 10


def test_two_tables_of_the_same_images_and_tables_beside_pictures_are_refused(tmp_path):
    csv(tmp_path / "train.csv", TRAIN)
    csv(tmp_path / "test.csv", TRAIN)
    with pytest.raises(ValueError, match=r"train\.csv and test\.csv both hold images of train"):
        read_fer2013(tmp_path)
    unzipped(tmp_path, files())
    with pytest.raises(ValueError, match=r"train\.csv beside a folder of pictures"):
        read_fer2013(tmp_path)


# --- bad rows ----------------------------------------------------------------------------------------------

GOOD = pixels(PICTURES[0])
BAD = {
    "2303 values": (f"3,{GOOD.rsplit(' ', 1)[0]},Training", "2303 pixel values instead of 2304"),
    "2305 values": (f"3,{GOOD} 0,Training", "2305 pixel values instead of 2304"),
    "300": (f"3,300 {GOOD},Training", "pixel 1 is '300', not a whole number from 0 to 255"),
    "-1": (f"3,-1 {GOOD},Training", "pixel 1 is '-1', not a whole number from 0 to 255"),
    "3.7": (f"3,3.7 {GOOD},Training", "pixel 1 is '3.7', not a whole number from 0 to 255"),
    "abc": (f"3,abc {GOOD},Training", "pixel 1 is 'abc', not a whole number from 0 to 255"),
    "NUL": (f"3,\0 {GOOD},Training", r"pixel 1 is '\x00', not a whole number from 0 to 255"),
    "not UTF-8": (f"\udcff,{GOOD},Training", r"emotion is '\\xff', not 0-6"),
    "label 7": (f"7,{GOOD},Training", "emotion is '7', not 0-6"),
    "no label": (f",{GOOD},Training", "emotion is '', not 0-6"),
    "usage": (f"3,{GOOD},Test", "Usage is 'Test', not one of Training, PublicTest, PrivateTest"),
    "a field less": (f"3,{GOOD}", "2 fields instead of 3"),
    "a field more": (f"3,{GOOD},Training,", "4 fields instead of 3"),
    "nothing": ("", "1 fields instead of 3"),
}


def with_bad_rows(table: Path, bad: dict[int, str]) -> Path:
    """Write a table of 39 rows, in three blocks, with `bad` in some lines."""
    header, *good = lines()
    rows = [header, *(good * 8)[:39]]
    for line, text in bad.items():
        rows[line - 1] = text
    table.write_bytes("\n".join([*rows, ""]).encode("utf-8", "surrogateescape"))
    return table


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("line", [2, 18, 40])
def test_a_bad_row_is_an_error_or_left_out_and_listed_with_its_line(table, case, line):
    text, problem = BAD[case]
    with_bad_rows(table, {line: text})
    with pytest.raises(ValueError) as error:  # noqa: PT011 its whole text is compared
        read_fer2013(table)
    assert str(error.value) == f"{table}, line {line}: {problem}"
    faces = read_fer2013(table, on_bad_rows="drop")
    assert faces.dropped == (f"line {line}: {problem}",)
    assert faces.notes == (f"1 of 39 rows were dropped: line {line}: {problem}",)
    assert [int(name[-5:]) for name in faces.sample_id] == [n for n in range(2, 41) if n != line]
    np.testing.assert_array_equal(faces.images, [PICTURES[(n - 2) % 5] for n in range(2, 41) if n != line])


def test_of_several_bad_rows_the_first_is_the_error_and_all_are_listed(table):
    with_bad_rows(
        table, dict(zip(range(5, 5 + 2 * len(BAD), 2), (text for text, _ in BAD.values()), strict=True))
    )
    with pytest.raises(ValueError, match="line 5: 2303 pixel values"):
        read_fer2013(table)
    faces = read_fer2013(table, on_bad_rows="drop")
    assert len(faces) + len(faces.dropped) == 39
    assert [text.split(": ", 1)[1] for text in faces.dropped] == [problem for _, problem in BAD.values()]


def test_a_table_of_bad_rows_alone_is_refused_under_both_policies(table):
    csv(table, ["emotion,pixels,Usage", "7,0,Training", "3,0,Training"])
    with pytest.raises(ValueError, match="line 2: emotion is '7'"):
        read_fer2013(table)
    with pytest.raises(
        ValueError, match=r"table\.csv: nothing is left, all 2 rows are bad; the first: line 2"
    ):
        read_fer2013(table, on_bad_rows="drop")


def test_a_file_of_another_kind_under_a_good_header_is_given_up(table):
    table.write_bytes(b"pixels\n" + b"\n" * 20_000)
    with pytest.raises(
        ValueError, match=r"table\.csv: more than 10,000 bad rows; the first: line 2: pixel 1"
    ):
        read_fer2013(table, on_bad_rows="drop")


@pytest.mark.parametrize(
    "content", [b"", b"emotion,pixels,Usage\n", b"emotion,pixels,pixels\n3,0,0\n", b"a,b\n"]
)
def test_a_table_without_its_columns_or_rows_is_refused_under_both_policies(table, content):
    table.write_bytes(content)
    with pytest.raises(ValueError, match=r"table\.csv"):
        read_fer2013(table, on_bad_rows="drop")
