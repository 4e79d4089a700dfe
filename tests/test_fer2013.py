"""FER-2013 is read the same from every form, strictly, and its split only where the names say it."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fer_utils.data.fer2013_csv import parse_pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_copies import LABELS, NAMES, PICTURES, csv, encoded, files, lines, pixels, unzipped, zipped

from fer_utils.data import FaceSet
from fer_utils.data.duplicates import duplicate_groups
from fer_utils.data.fer2013 import read_fer2013
from fer_utils.files import ConfigError
from fer_utils.labels import FER7


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "fer2013.csv"


def assert_same_faces(one: FaceSet, other: FaceSet) -> None:
    assert one.fingerprint == other.fingerprint
    assert one.counts().equals(other.counts())
    assert sorted(one.labels) == sorted(other.labels)


# --- the forms agree ---------------------------------------------------------------------------------------


def test_folder_zip_and_csv_give_the_same_faces(tmp_path, table):
    from_zip = read_fer2013(zipped(tmp_path / "fer2013.zip", files()))
    from_folder = read_fer2013(unzipped(tmp_path / "fer2013", files()))
    from_csv = read_fer2013(csv(table, lines()))
    assert_same_faces(from_zip, from_folder)
    assert_same_faces(from_zip, from_csv)
    np.testing.assert_array_equal(from_zip.sample_id, from_folder.sample_id)
    np.testing.assert_array_equal(from_csv.images, PICTURES)
    assert from_zip.class_names == FER7
    assert from_zip.notes == ()


def test_pictures_come_in_the_order_of_their_names_with_official_split_and_label(tmp_path):
    faces = read_fer2013(zipped(tmp_path / "fer2013.zip", files()))
    rows = zip(faces.sample_id, faces.labels, faces.split, strict=True)
    splits = ["train"] * 3 + ["validation", "test"]
    assert list(rows) == sorted(zip(NAMES, LABELS, splits, strict=True))
    assert (faces.images[faces.sample_id == NAMES[1]][0] == PICTURES[1]).all()


@pytest.mark.parametrize("put", [zipped, unzipped])
def test_a_leading_folder_upper_case_suffixes_and_system_files_change_nothing(tmp_path, put):
    plain = read_fer2013(put(tmp_path / "plain.zip", files()))
    content = {f"archive/{name}": data for name, data in files(suffix=".PNG").items()}
    content |= {
        "__MACOSX/archive/train/angry/._Training_10.jpg": b"Mac",
        "archive/train/angry/.Training_10.png": b"hidden",
        "archive/test/Thumbs.db": b"Windows",
        "archive/README.txt": b"from somewhere",
    }
    nested = read_fer2013(put(tmp_path / "nested.zip", content))
    np.testing.assert_array_equal(nested.sample_id, plain.sample_id)
    assert nested.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("rows", "end", "start"),
    [
        (lines(), "\r\n", b""),
        (lines(), "\n", b"\xef\xbb\xbf"),
        ([",".join(f'"{cell}"' for cell in line.split(",")) for line in lines()], "\n", b""),
        ([",".join(f" {cell}" for cell in line.split(",")) for line in lines()], "\n", b""),
        ([",".join(reversed(line.split(","))) for line in lines()], "\n", b""),
    ],
    ids=["CRLF", "byte-order mark", "quoted", "spaces after commas", "other column order"],
)
def test_other_ways_of_writing_the_same_csv_read_the_same(table, rows, end, start):
    faces = read_fer2013(csv(table, rows, end=end, start=start))
    np.testing.assert_array_equal(faces.images, PICTURES)
    np.testing.assert_array_equal(faces.labels, LABELS)


def test_a_csv_without_a_newline_at_its_end_is_whole(table):
    table.write_text("\n".join(lines()))
    assert len(read_fer2013(table)) == len(NAMES)


def test_a_csv_of_blank_pictures_and_more_rows_than_one_block_is_read_whole(table):
    row = f"3,{pixels(np.zeros((48, 48), int))},Training"  # the shortest row there is
    faces = read_fer2013(csv(table, [lines()[0], *[row] * 70]))
    assert faces.images.shape == (70, 48, 48) and not faces.images.any()
    assert len(set(faces.sample_id)) == 70


# --- the split is official only where the names say so -----------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"{Path(name).parent}/im{number}" for number, name in enumerate(NAMES)),
        (*NAMES[:4], "test/surprise/im8"),
        (*NAMES[:4], "test/surprise/PrivateTest_8_flipped"),
    ],
    ids=["all renamed", "one renamed", "one almost"],
)
def test_renamed_test_files_are_one_pooled_test_set_and_nothing_is_called_test(tmp_path, names):
    faces = read_fer2013(zipped(tmp_path / "renamed.zip", files(names)))
    assert set(faces.split) == {"train", "pooled_test"}
    assert len(faces.only("pooled_test")) == 2
    assert "PrivateTest cannot be known" in faces.notes[0]


def test_renamed_training_files_leave_an_officially_named_test_folder_official(tmp_path):
    names = ("train/angry/a", "train/happy/b", "train/neutral/c", *NAMES[3:])
    faces = read_fer2013(zipped(tmp_path / "renamed.zip", files(names)))
    assert set(faces.split) == {"train", "validation", "test"}
    assert faces.notes == ()


@pytest.mark.parametrize("wrong", ["train/angry/PrivateTest_1", "test/angry/Training_1"])
def test_a_name_that_contradicts_its_folder_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{wrong}.png: lies in .* which is it"):
        read_fer2013(zipped(tmp_path / "moved.zip", files((wrong, *NAMES[1:]))))


# --- bad input is refused, and the message says where ------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], "2303 pixel values instead of 2304"),
        (lambda p: [*p, "0"], "2305 pixel values instead of 2304"),
        (lambda p: [*p[:9], "300", *p[10:]], "pixel 10 is '300'"),
        (lambda p: [*p[:9], "-1", *p[10:]], "pixel 10 is '-1'"),
        (lambda p: [*p[:9], "3.7", *p[10:]], "pixel 10 is '3.7'"),
        (lambda p: [*p[:9], "abc", *p[10:]], "pixel 10 is 'abc'"),
        (lambda p: [*p[:9], "", *p[10:]], "pixel 10 is ''"),
        (lambda p: [*p[:9], "0012", *p[10:]], "pixel 10 is '0012'"),
        (lambda p: [*p[:9], "1\t2", *p[11:]], "pixel 10 is '1.t2'"),
        (lambda p: [*p[:9], '1"2', *p[10:]], "pixel 10 is '1\"2'"),
        (lambda p: [], "pixel 1 is ''"),
    ],
)
def test_a_row_with_wrong_pixels_is_named_by_file_and_line(table, change, message):
    rows = lines()
    label, row, usage = rows[3].split(",")
    rows[3] = f"{label},{' '.join(change(row.split(' ')))},{usage}"
    with pytest.raises(ValueError, match=f"fer2013.csv, line 4: {message}"):
        read_fer2013(csv(table, rows))


def test_a_value_missing_in_one_row_and_added_to_the_next_is_not_evened_out(table):
    rows = lines()
    one, other = (row.split(",") for row in rows[2:4])
    one[1], other[1] = one[1].rsplit(" ", 1)[0], other[1] + " 0"
    rows[2:4] = ",".join(one), ",".join(other)
    with pytest.raises(ValueError, match="line 3: 2303 pixel values"):
        read_fer2013(csv(table, rows))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("7,{},Training", "emotion is '7', not 0-6"),
        (",{},Training", "emotion is '', not 0-6"),
        ("happy,{},Training", "emotion is 'happy'"),
        ("3,{},Test", "Usage is 'Test', not one of Training, PublicTest, PrivateTest"),
        ("3,{}", "2 fields instead of 3"),
        ("3,{},Training,", "4 fields instead of 3"),
        ("", "1 fields instead of 3"),
    ],
)
def test_a_row_with_another_problem_is_named_by_its_line(table, row, message):
    rows = lines()
    rows[2] = row.format(pixels(PICTURES[0]))
    with pytest.raises(ValueError, match=f"fer2013.csv, line 3: {message}"):
        read_fer2013(csv(table, rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"emotion,pixels,Usage\n", "a header and no rows"),
        (b"label,pixels,Usage\n", r"line 1: no column emotion in the header \(label, pixels, Usage\)"),
        (b"emotion,pixels,usage\n", "line 1: no column Usage"),
        (b"emotion,pixels,id\n", "line 1: no column Usage"),
        (b"pixels,Usage\n", "line 1: no column emotion"),
        (b"emotion,pixels\n", "a header and no rows"),
        (b"pixels", "a header and no rows"),
        (b"emotion,pixels,pixels,Usage\n", "line 1: more than one column pixels"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1: no column emotion, pixels, Usage"),
        ("emotion,pixels,Usage\n".encode("utf-16"), "line 1: not plain text, or in UTF-16"),
        ("emotion,pixels,Usage\n".encode("utf-16-be"), "line 1: not plain text, or in UTF-16"),
        (b"emotion,pixels,Usage\r3,1 2 3,Training\r", "line 1: lines end in single carriage returns"),
        (b"0 " * 10_000, "line 1: no column emotion, pixels, Usage"),
    ],
)
def test_a_csv_without_the_three_columns_or_without_rows_is_refused(table, content, message):
    table.write_bytes(content)
    with pytest.raises(ValueError, match=f"fer2013.csv(, |: ){message}"):
        read_fer2013(table)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("train/angry/Training_1.jpg", b"\xff\xd8\xffnot a picture", "Training_1.jpg: not a usable picture"),
        ("train/angry/Training_1.png", encoded(PICTURES[0])[:600], "Training_1.png: not a usable picture"),
        ("train/angry/Training_1.png", b"", "Training_1.png: an empty file"),
        ("train/angry/Training_1.png", encoded(PICTURES[0][:1, :1]), "1x1 pixels; sides have 8 to 16,384"),
        (
            "train/anger/Training_1.png",
            encoded(PICTURES[0]),
            "anger/Training_1.png: not train/<class>/<file>",
        ),
        ("Training_1.png", encoded(PICTURES[0]), "Training_1.png: not train/<class>/<file>"),
        ("train/angry/Training_10.tif", encoded(PICTURES[0]), "a second picture of this name"),
        ("copy/train/angry/Training_10.jpg", encoded(PICTURES[0]), "more than one copy, in , copy"),
    ],
)
@pytest.mark.parametrize("put", [zipped, unzipped])
def test_a_picture_that_is_not_one_of_fer2013_is_named(tmp_path, put, name, data, message):
    with pytest.raises(ValueError, match=f"fer.*{message}"):
        read_fer2013(put(tmp_path / "fer.zip", files() | {name: data}))


@pytest.mark.parametrize("name", ["../train/angry/Training_1.png", "/train/angry/x.png", "train/../../x.sh"])
def test_an_entry_that_points_out_of_its_zip_is_refused_and_nothing_is_written(tmp_path, name):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = zipped(inside / "fer2013.zip", files() | {name: encoded(PICTURES[0])})
    with pytest.raises(ValueError, match="points out of the archive"):
        read_fer2013(path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_zip_is_refused(tmp_path, keep):
    path = zipped(tmp_path / "fer2013.zip", files())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"fer2013\.zip"):
        read_fer2013(path)


def test_a_damaged_entry_of_a_zip_is_named(tmp_path):
    path = zipped(tmp_path / "fer2013.zip", files())
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fer2013\.zip, train/angry/Training_10\.png: cannot be unpacked"):
        read_fer2013(path)


# --- other pictures are converted, and bad ones dropped when that is asked for ------------------------------


@pytest.mark.parametrize("put", [zipped, unzipped])
def test_pictures_of_another_size_or_in_colour_are_converted_and_said(tmp_path, put):
    content = files()
    gray = Image.fromarray(PICTURES[0])
    content["train/angry/Training_11.png"] = encoded(gray.convert("RGB"))
    content["train/angry/Training_12.png"] = encoded(gray.resize((96, 60)))
    content["train/angry/Training_13.bmp"] = encoded(gray.resize((30, 30)).convert("RGB"), "bmp")
    faces = read_fer2013(put(tmp_path / "fer.zip", content))
    assert faces.notes == (
        "3 of 8 pictures were converted to 48x48 gray: "
        "2 of another size (30x30 to 96x60), 2 stored in colour",
    )
    same = faces.images[np.isin(faces.sample_id, [NAMES[0], "train/angry/Training_11"])]
    np.testing.assert_array_equal(same, [PICTURES[0]] * 2)


BAD_PICTURES = {
    "train/angry/Training_1.jpg": (b"\xff\xd8\xffnot a picture", "not a usable picture: none of JPEG"),
    "train/angry/Training_2.png": (b"", "an empty file"),
    "train/angry/Training_3.png": (encoded(PICTURES[0][:1, :1]), "1x1 pixels"),
    "train/angry/Training_4.png": (encoded(np.zeros((8, 20_000), np.uint8)), "20000x8 pixels"),
    "train/anger/Training_5.png": (encoded(PICTURES[0]), "not train/<class>/<file>"),
    "train/happy/PublicTest_6.png": (encoded(PICTURES[0]), "lies in train/ but is named PublicTest"),
    "train/angry/Training_10.jpeg": (encoded(PICTURES[0]), "a second picture of this name"),
}


@pytest.mark.parametrize("put", [zipped, unzipped])
@pytest.mark.parametrize("name", BAD_PICTURES)
def test_one_bad_picture_is_an_error_or_is_left_out_and_listed(tmp_path, put, name):
    data, problem = BAD_PICTURES[name]
    path = put(tmp_path / "fer.zip", files() | {name: data})
    with pytest.raises(ValueError, match=rf"fer\.zip, \S+: .*{problem}"):
        read_fer2013(path)
    faces = read_fer2013(path, on_bad_rows="drop")
    (dropped,) = faces.dropped
    assert problem in dropped
    assert faces.notes == (f"1 of 6 pictures were dropped: {dropped}",)
    assert len(faces) == 5


@pytest.mark.parametrize("put", [zipped, unzipped])
def test_all_bad_pictures_are_left_out_and_the_note_names_a_few(tmp_path, put):
    bad = {name: data for name, (data, _) in BAD_PICTURES.items()}
    faces = read_fer2013(put(tmp_path / "fer.zip", files() | bad), on_bad_rows="drop")
    assert_same_faces(faces, read_fer2013(put(tmp_path / "good.zip", files())))
    assert len(faces.dropped) == len(bad)
    assert faces.notes[0].startswith("7 of 12 pictures were dropped: ") and faces.notes[0].endswith(" ...")
    only_bad = put(tmp_path / "bad.zip", {name: bad[name] for name in list(bad)[:5]})
    with pytest.raises(ValueError, match="nothing is left, all 5 pictures are bad"):
        read_fer2013(only_bad, on_bad_rows="drop")


def test_another_policy_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="on_bad_rows='skip': use 'error' or 'drop'"):
        read_fer2013(zipped(tmp_path / "fer.zip", files()), on_bad_rows="skip")


def test_a_folder_without_pictures_and_a_missing_path_say_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match="no pictures below train/<class>/"):
        read_fer2013(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"data/README\.md"):
        read_fer2013(tmp_path / "fer2013.csv")


# --- properties of the parser ------------------------------------------------------------------------------

IMAGES = st.builds(
    lambda seed, n, top: np.random.default_rng(seed).integers(
        top, size=(n, 48, 48), dtype=np.uint8, endpoint=True
    ),
    st.integers(0, 2**32),
    st.integers(1, 3),
    st.sampled_from([0, 9, 10, 99, 100, 255]),
)
WRONG = st.one_of(
    st.integers(256, 10**6).map(str),
    st.integers(-300, -1).map(str),
    st.floats().map(repr),
    st.text(st.characters(codec="utf-8"), max_size=5).filter(lambda t: not (t.isascii() and t.isdigit())),
).map(str.encode)


@settings(max_examples=50, deadline=None)
@given(IMAGES)
def test_pixels_written_are_the_pixels_read(images):
    fields = [pixels(image).encode() for image in images]
    np.testing.assert_array_equal(parse_pixels(fields), images)


@settings(max_examples=100, deadline=None)
@given(IMAGES, WRONG, st.data())
def test_one_wrong_number_is_refused_and_its_line_named(images, wrong, data):
    fields = [pixels(image).encode() for image in images]
    row = data.draw(st.integers(0, len(fields) - 1))
    position = data.draw(st.integers(0, 48 * 48 - 1))
    tokens = fields[row].split(b" ")
    tokens[position] = wrong
    fields[row] = b" ".join(tokens)
    with pytest.raises(ValueError, match=r"^(pixel \d+ is|\d+ pixel values)"):
        parse_pixels(fields)


# --- the real data, where it is ----------------------------------------------------------------------------

REAL_COUNTS = {
    "train": [3995, 436, 4097, 7215, 4830, 3171, 4965],
    "validation": [467, 56, 496, 895, 653, 415, 607],
    "test": [491, 55, 528, 879, 594, 416, 626],
}


@pytest.fixture(scope="module")
def real_path() -> Path:
    path = os.environ.get("FER2013_PATH")
    if not path or not Path(path).is_file():
        pytest.skip("FER2013_PATH does not name the zip of FER-2013")
    return Path(path)


@pytest.fixture(scope="module")
def real(real_path) -> FaceSet:
    return read_fer2013(real_path)


def test_the_real_set_has_its_published_counts(real):
    counts = real.counts()
    for split, expected in REAL_COUNTS.items():
        assert counts.loc[list(FER7), split].tolist() == expected
    assert counts.loc["total", "total"] == 35_887


def test_without_disgust_the_real_set_has_the_counts_of_kumar2021(real):
    six = real.with_classes([name for name in FER7 if name != "disgust"])
    assert (len(six.only("train")), len(six.only("test"))) == (28_273, 3_534)


def test_1853_images_of_the_real_set_repeat_another(real):
    assert sum(len(group) - 1 for group in duplicate_groups(real)) == 1_853


def test_a_csv_written_from_real_pictures_gives_the_same_faces(real, real_path, tmp_path, table):
    with zipfile.ZipFile(real_path) as archive:
        names = archive.namelist()[::120]
        part = zipped(tmp_path / "part.zip", {name: archive.read(name) for name in names})
        rows = ["emotion,pixels,Usage"]
        for name in names:
            *_, class_name, file = name.split("/")
            picture = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            rows.append(f"{FER7.index(class_name)},{pixels(picture)},{file.split('_')[0]}")
    from_csv, from_zip = read_fer2013(csv(table, rows)), read_fer2013(part)
    assert_same_faces(from_csv, from_zip)
    chosen = np.isin(real.sample_id, from_zip.sample_id)
    assert real.take(chosen).fingerprint == from_csv.fingerprint
    assert len(from_csv) > 200
