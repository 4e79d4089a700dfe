"""RAF-DB is read the same from the authors' folder and from Kaggle's, and no label is taken on trust."""

import numpy as np
import pytest
from fer_utils.data.rafdb import LIST, read_rafdb
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.data import load_faces
from fer_utils.files import ConfigError
from fer_utils.labels import FER7, RAFDB7

LABELLED = {"train_00001": 5, "train_00002": 4, "train_12271": 7, "test_0001": 1, "test_3068": 6}
CLASSES = {"train_00001": "sad", "train_00002": "happy", "train_12271": "neutral"}
CLASSES |= {"test_0001": "surprise", "test_3068": "angry"}


def jpegs() -> dict[str, bytes]:
    colour = [np.repeat(np.kron(image, np.ones((2, 2), np.uint8))[:, :, None], 3, 2) for image in PICTURES]
    return {
        f"{name}_aligned.jpg": encoded(image, "jpeg") for name, image in zip(LABELLED, colour, strict=True)
    }


def listing(labelled=LABELLED, *more: str) -> bytes:
    return "".join(
        f"{line}\n" for line in [*(f"{name}.jpg {n}" for name, n in labelled.items()), *more]
    ).encode()


def original(path, labels: bytes | None = None, pictures=None):
    aligned = {f"Image/aligned/{name}": data for name, data in (pictures or jpegs()).items()}
    beside = {"Annotation/manual/train_00001_manu_attri.txt": b"", "Image/original/train_00001.jpg": b"x"}
    return unzipped(path / "basic", {LIST: labels or listing(), **aligned, **beside})


def by_class(labelled=LABELLED) -> dict[str, bytes]:
    return {
        f"{name.split('_')[0]}/{labelled[name.removesuffix('_aligned.jpg')]}/{name}": data
        for name, data in jpegs().items()
    }


def tables(labelled=LABELLED) -> dict[str, bytes]:
    rows = {split: ["image,label"] for split in ("train", "test")}
    for name, label in labelled.items():
        rows[name.split("_")[0]].append(f"{name}_aligned.jpg,{label}")
    return {f"{split}_labels.csv": "\r\n".join([*lines, ""]).encode() for split, lines in rows.items()}


def kaggle(path, labelled=LABELLED, beside: bool = True):
    root = unzipped(path / "DATASET", by_class())
    unzipped(path if beside else root, tables(labelled))
    return root


def seen(faces) -> dict[str, tuple[str, str]]:
    rows = zip(faces.sample_id.tolist(), faces.labels, faces.split.tolist(), strict=True)
    return {name: (FER7[label], split) for name, label, split in rows}


EXPECTED = {name: (CLASSES[name], name.split("_")[0]) for name in LABELLED}


# --- both forms --------------------------------------------------------------------------------------------


def test_labels_1_to_7_are_the_seven_classes_in_the_authors_order():
    assert dict(enumerate(RAFDB7, start=1)) == {
        1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral",
    }  # fmt: skip


@pytest.mark.parametrize("form", [original, kaggle, lambda path: kaggle(path, beside=False)])
def test_every_form_gives_class_and_split_of_every_picture(tmp_path, form):
    faces = read_rafdb(form(tmp_path))
    assert seen(faces) == EXPECTED
    assert (faces.name, faces.source, faces.class_names) == ("rafdb", "real", FER7)
    assert set(faces.subject) == {""} and faces.images.shape == (5, 48, 48)
    assert faces.notes == (
        "5 of 5 pictures were converted to 48x48 gray: 5 of another size (96x96), 5 stored in colour",
    )


def test_both_forms_have_the_same_pixels_and_say_which_they_are(tmp_path):
    one, other = read_rafdb(original(tmp_path)), read_rafdb(kaggle(tmp_path))
    assert one.fingerprint == other.fingerprint
    assert (one.origin, other.origin) == ({"form": "original"}, {"form": "kaggle"})


@pytest.mark.parametrize("form", [original, kaggle])
def test_images_have_the_size_that_is_asked_for(tmp_path, form):
    path = form(tmp_path)
    assert read_rafdb(path, image_size=100).images.shape == (5, 100, 100)
    with pytest.raises(ConfigError, match="image_size=4: use 8 to 1024 pixels"):
        read_rafdb(path, image_size=4)


def test_the_aligned_faces_may_still_be_zipped_as_they_are_distributed(tmp_path):
    path = unzipped(tmp_path / "basic", {LIST: listing()})
    (path / "Image").mkdir()
    zipped(path / "Image" / "aligned.zip", {f"aligned/{name}": data for name, data in jpegs().items()})
    assert read_rafdb(path).fingerprint == read_rafdb(original(tmp_path / "other")).fingerprint


@pytest.mark.parametrize("content", [by_class(), {f"DATASET/{name}": x for name, x in by_class().items()}])
def test_a_zip_of_kaggles_form_is_read_by_its_folders_and_a_note_says_so(tmp_path, content):
    faces = read_rafdb(zipped(tmp_path / "archive.zip", content))
    assert seen(faces) == EXPECTED
    assert faces.notes[0] == "no train_labels.csv and test_labels.csv: labels by the folders"


def test_other_ways_of_writing_the_list_read_the_same(tmp_path):
    text = listing().decode()
    for number, other in enumerate(
        (text.replace("\n", "\r\n"), f"\ufeff{text}\n\n", text.replace(" ", "\t"))
    ):
        assert seen(read_rafdb(original(tmp_path / str(number), other.encode()))) == EXPECTED


# --- what cannot be used -----------------------------------------------------------------------------------

BAD_LISTS = [
    (
        listing({**LABELLED, "train_00002": 8}),
        1,
        rf"train_00002_aligned\.jpg: {LIST}, line 2: label '8'; they are 1,",
    ),
    (listing({**LABELLED, "train_00002": ""}), 1, rf"{LIST}, line 2: label ''"),
    (listing(LABELLED, "train_9.jpg 3"), 1, rf"{LIST}, line 6: the picture of train_9 is not there"),
    (listing(LABELLED, "nonsense 3"), 1, rf"{LIST}, line 6: 'nonsense' is no picture of train or test"),
    (listing(LABELLED, "test_0001.jpg 2"), 1, rf"{LIST}, line 6: test_0001\.jpg a second time; .* line 4"),
    (
        listing({k: v for k, v in LABELLED.items() if k != "test_3068"}),
        1,
        "test_3068_aligned.jpg: no list of labels",
    ),
]


@pytest.mark.parametrize(("labels", "bad", "message"), BAD_LISTS)
def test_a_bad_line_stops_the_reading_with_file_and_line_or_is_left_out_and_listed(
    tmp_path, labels, bad, message
):
    path = original(tmp_path, labels)
    with pytest.raises(ValueError, match=f"basic, .*{message}"):
        read_rafdb(path)
    faces = read_rafdb(path, on_bad_rows="drop")
    assert len(faces.dropped) == bad
    assert seen(faces).items() <= EXPECTED.items()
    assert faces.notes[-1].startswith(f"{bad} of {len(faces) + bad} pictures were dropped: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other_1_aligned.jpg", r"other_1_aligned\.jpg: not train_<number>_aligned\.jpg"),
        ("train_00003_aligned.jpg", "no list of labels names this picture"),
        (
            "more/train_00001_aligned.jpg",
            r"train_00001_aligned\.jpg: a second picture of this name, beside more/",
        ),
    ],
)
def test_a_picture_that_no_line_names_or_that_is_twice_there_is_bad(tmp_path, name, message):
    path = original(tmp_path, pictures=jpegs() | {name: jpegs()["train_00001_aligned.jpg"]})
    with pytest.raises(ValueError, match=message):
        read_rafdb(path)
    assert seen(read_rafdb(path, on_bad_rows="drop")) == EXPECTED


def test_a_picture_that_does_not_decode_is_bad(tmp_path):
    path = original(tmp_path, pictures=jpegs() | {"test_0001_aligned.jpg": b"no picture"})
    with pytest.raises(ValueError, match=r"test_0001_aligned\.jpg: not a usable picture"):
        read_rafdb(path)
    assert "test_0001" not in read_rafdb(path, on_bad_rows="drop").sample_id


def test_folder_table_and_name_must_agree(tmp_path):
    path = kaggle(tmp_path, {**LABELLED, "train_00001": 3})
    with pytest.raises(ValueError, match=r"lies in train/5/ but train_labels\.csv, line 2 says 3"):
        read_rafdb(path)
    assert len(read_rafdb(path, on_bad_rows="drop")) == 4
    (path / "test" / "5").mkdir()
    (path / "train" / "5" / "train_00001_aligned.jpg").rename(path / "test" / "5" / "train_00001_aligned.jpg")
    with pytest.raises(ValueError, match="lies in test/ but is named train: which is it"):
        read_rafdb(path)


def test_a_table_without_its_columns_or_without_the_other_puts_the_copy_in_doubt(tmp_path):
    path = kaggle(tmp_path)
    (tmp_path / "test_labels.csv").write_text("picture,label\n")
    with pytest.raises(
        ValueError, match=r"test_labels\.csv: has columns picture, label; image and label are"
    ):
        read_rafdb(path, on_bad_rows="drop")
    (tmp_path / "test_labels.csv").unlink()
    with pytest.raises(ValueError, match=r"holds train_labels\.csv without the other"):
        read_rafdb(path, on_bad_rows="drop")


def test_a_table_lists_only_pictures_of_its_own_split(tmp_path):
    path = kaggle(tmp_path)
    with open(tmp_path / "train_labels.csv", "a", encoding="utf-8") as table:
        table.write("test_0001_aligned.jpg,1\n")
    with pytest.raises(
        ValueError, match=r"train_labels\.csv, line 5: 'test_0001_aligned\.jpg' is no picture of train"
    ):
        read_rafdb(path)


def test_other_content_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_rafdb(tmp_path / "absent")
    with pytest.raises(ValueError, match="no pictures named train/<1 to 7>/<picture>"):
        read_rafdb(tmp_path)
    with pytest.raises(ValueError, match=r"neither Image/aligned nor Image/aligned\.zip"):
        read_rafdb(unzipped(tmp_path / "basic", {LIST: listing()}))
    inside = {f"basic/Image/aligned/{name}": data for name, data in jpegs().items()}
    with pytest.raises(ValueError, match="of the authors' form give the unpacked folder"):
        read_rafdb(zipped(tmp_path / "basic.zip", inside))


LINES = st.lists(
    st.sampled_from([*listing().decode().splitlines(), "", "x", "train_00001.jpg", "test_1.jpg 9"])
)


@settings(max_examples=40, deadline=None)
@given(LINES)
def test_whatever_the_list_says_a_picture_has_the_class_of_a_line_that_names_it(tmp_path_factory, lines):
    path = original(tmp_path_factory.mktemp("raf"), ("\n".join(lines) + "\n").encode())
    said = {line.split(".")[0]: line.split()[1] for line in lines if len(line.split()) == 2}
    shown, problem = {}, ""
    try:
        shown = seen(read_rafdb(path, on_bad_rows="drop"))
    except ValueError as error:
        problem = str(error)
    assert shown if not problem else "nothing is left" in problem
    for name, (class_name, split) in shown.items():
        assert RAFDB7[int(said[name]) - 1] == class_name and name.startswith(split)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["error", "drop"]))
def test_whatever_the_bytes_of_a_table_the_reading_ends_with_a_set_or_an_error_that_names_the_copy(
    tmp_path_factory, content, policy
):
    path = kaggle(tmp_path_factory.mktemp("raf"))
    (path.parent / "train_labels.csv").write_bytes(b"image,label\n" * (content[:1] > b"\x40") + content)
    try:
        faces = read_rafdb(path, on_bad_rows=policy)
        problem = ""
        assert policy == "drop" and set(faces.split) == {"test"}
    except ValueError as error:
        problem = str(error)
    assert not problem or (str(path.parent) in problem and problem.isprintable())


# --- through the catalogue ---------------------------------------------------------------------------------


def test_a_changed_table_beside_the_pictures_is_another_prepared_set(tmp_path):
    kaggle(tmp_path)
    where = {"data_path": tmp_path, "prepared_dir": tmp_path / "prepared"}
    faces = load_faces("rafdb", **where)
    assert seen(faces) == EXPECTED and faces.origin["form"] == "kaggle"
    unzipped(tmp_path, tables({**LABELLED, "train_00001": 3}))
    with pytest.raises(ValueError, match="lies in train/5/"):
        load_faces("rafdb", **where)
    assert load_faces("rafdb", image_size=100, on_bad_rows="drop", **where).images.shape == (4, 100, 100)
