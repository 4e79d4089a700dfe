"""Own pictures in folders by class are read with subjects and splits, or refused where these are unclear."""

import numpy as np
import pytest
from fer_utils.data.folder import read_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.files import ConfigError

PNG = encoded(PICTURES[0])


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(PICTURES[number % len(PICTURES)]) for number, name in enumerate(names)}


each_form = pytest.mark.parametrize("put", [zipped, unzipped])


@each_form
def test_classes_of_fer_come_first_in_its_order_and_the_others_by_the_alphabet(tmp_path, put):
    names = (
        "bored/1.png",
        "Neutral/2.png",
        "Anger/3.png",
        "Contempt/4.png",
        "happiness/5.png",
        "happy/6.png",
    )
    faces = read_folder(put(tmp_path / "mine.zip", pictures(*names)))
    assert faces.class_names == ("angry", "happy", "neutral", "Contempt", "bored")
    assert (faces.name, faces.source) == ("mine", "real")
    by_id = dict(zip(faces.sample_id.tolist(), faces.labels.tolist(), strict=True))
    assert by_id == dict(zip(names, [4, 2, 0, 3, 1, 1], strict=True))
    assert set(faces.split) == {"unassigned"} and set(faces.subject) == {""}
    assert faces.notes == ("folders taken for a class by another name: Anger -> angry, happiness -> happy",)
    chosen = faces.images[faces.sample_id == "bored/1.png"]
    np.testing.assert_array_equal(chosen, PICTURES[:1])


@each_form
def test_the_folder_below_a_class_is_the_subject(tmp_path, put):
    faces = read_folder(
        put(tmp_path / "mine.zip", pictures("happy/006/1.png", "happy/s2/1.png", "sad/1.png"))
    )
    assert faces.subject.tolist() == ["006", "s2", ""]
    assert faces.class_names == ("happy", "sad")


@each_form
def test_folders_above_the_classes_give_the_split(tmp_path, put):
    names = ("Test/happy/1.png", "train/happy/s1/2.png", "train/sad/3.png", "val/sad/4.png")
    faces = read_folder(put(tmp_path / "mine.zip", pictures(*names)))
    assert faces.split.tolist() == ["test", "train", "train", "validation"]
    assert faces.subject.tolist() == ["", "s1", "", ""]
    same = read_folder(
        put(tmp_path / "x.zip", pictures(*(name.replace("val/", "validation/") for name in names)))
    )
    assert same.fingerprint == faces.fingerprint


@each_form
@pytest.mark.parametrize("names", [("happy/1.png", "sad/s/2.png"), ("train/happy/1.png", "test/sad/2.png")])
def test_one_more_folder_around_changes_nothing_but_a_note(tmp_path, put, names):
    plain = read_folder(put(tmp_path / "plain.zip", pictures(*names)))
    around = read_folder(put(tmp_path / "mine.zip", pictures(*(f"mine/{name}" for name in names))))
    np.testing.assert_array_equal(around.sample_id, plain.sample_id)
    assert around.fingerprint == plain.fingerprint
    assert around.notes == ("everything lies in mine/",)


@pytest.mark.parametrize(
    ("name", "split", "class_names", "subject"),
    [
        ("happy/s1/1.png", "unassigned", ("happy",), "s1"),
        ("train/happy/1.png", "train", ("happy",), ""),
        ("bored/1.png", "unassigned", ("bored",), ""),
    ],
)
def test_a_class_or_split_alone_is_not_taken_for_a_folder_around(tmp_path, name, split, class_names, subject):
    faces = read_folder(unzipped(tmp_path / "mine", pictures(name)))
    assert faces.split.tolist() == [split]
    assert faces.class_names == class_names
    assert faces.subject.tolist() == [subject]


@each_form
@pytest.mark.parametrize("policy", ["error", "drop"])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no pictures in <class>/<file>"),
        (("1.png",), r"1\.png does not lie in <class>/<file>"),
        (("1.png", "happy/2.png"), r"1\.png does not lie in"),
        (("train/1.png", "train/happy/2.png"), r"train/1\.png does not lie in"),
        (("happy/s/session/1.png",), r"happy/s/session/1\.png does not lie in"),
        (("train/happy/s/session/1.png",), r"train/happy/s/session/1\.png does not lie in"),
        (("train/happy/1.png", "happy/2.png"), r"happy/2\.png lies beside train/"),
        (("happy/1.png", "total/2.png"), r"total/2\.png: 'total' has another meaning"),
    ],
)
def test_another_layout_is_refused(tmp_path, put, names, message, policy):
    path = put(tmp_path / "mine.zip", pictures(*names) | {"README.txt": b"mine"})
    with pytest.raises(ValueError, match=rf"mine\.zip: {message}"):
        read_folder(path, on_bad_rows=policy)


def test_an_entry_that_is_twice_in_a_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "mine.zip", pictures("happy/1.png", "happy/2.png"))
    path.write_bytes(path.read_bytes().replace(b"happy/2.png", b"happy/1.png"))
    with pytest.raises(ValueError, match=r"mine\.zip: happy/1\.png is there twice"):
        read_folder(path)


@each_form
def test_bad_pictures_are_an_error_or_left_out_and_listed(tmp_path, put):
    content = pictures("happy/1.png", "sad/2.png") | {"sad/3.png": b"no", "bored/4.png": b""}
    path = put(tmp_path / "mine.zip", content)
    with pytest.raises(ValueError, match=r"mine\.zip, bored/4\.png: an empty file"):
        read_folder(path)
    faces = read_folder(path, on_bad_rows="drop")
    assert faces.class_names == ("happy", "sad")
    assert [text.split(":")[0] for text in faces.dropped] == ["bored/4.png", "sad/3.png"]
    assert faces.notes[-1].startswith("2 of 4 pictures were dropped: bored/4.png: an empty file; sad/3.png")


def test_what_is_not_read_is_said(tmp_path):
    root = unzipped(tmp_path / "mine", pictures("happy/1.png") | {"happy/2.heic": b"", "README.txt": b""})
    (root / "happy" / "3.png").symlink_to(tmp_path / "elsewhere.png")
    assert read_folder(root).notes == (
        "2 files of other kinds were passed over, such as README.txt",
        "1 links to folders or out of the data folder were not followed, such as happy/3.png",
    )
    (root / "happy" / "1.png").unlink()
    with pytest.raises(ValueError, match=r"no pictures in .*1 links .* were not followed"):
        read_folder(root)


def test_images_have_the_size_that_is_asked_for(tmp_path):
    path = unzipped(tmp_path / "mine", pictures("happy/1.png"))
    faces = read_folder(path, image_size=64)
    assert faces.images.shape == (1, 64, 64)
    assert faces.notes == ("1 of 1 pictures were converted to 64x64 gray: 1 of another size (48x48)",)
    with pytest.raises(ConfigError, match="image_size=7: use 8 to 1024 pixels"):
        read_folder(path, image_size=7)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_folder(tmp_path / "absent")


PARTS = st.sampled_from(["happy", "joy", "sad", "s1", "train", "test", "Val", "bored", "mine"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(PARTS, max_size=4).map("/".join), min_size=1, max_size=4, unique=True))
def test_any_nesting_is_read_with_every_picture_or_refused_by_name(tmp_path_factory, folders):
    path = tmp_path_factory.mktemp("nesting") / "mine.zip"
    zipped(path, {f"{folder}/1.png".lstrip("/"): PNG for folder in folders})
    try:
        faces = read_folder(path)
    except ValueError as error:
        problem = str(error)
    else:
        problem = ""
        assert len(faces) == len(folders)
    assert not problem or "mine.zip: " in problem
