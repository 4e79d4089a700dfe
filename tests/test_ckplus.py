"""CK+48 is read with people known, so that no person is on two sides of a split."""

import pytest
from fer_utils.data.ckplus import holds_ckplus, read_ckplus
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.labels import CKPLUS7
from fer_utils.splits import official_split

NAMES = (
    *(f"anger/S010_004_000000{frame}.png" for frame in (17, 18, 19)),
    *(f"contempt/S138_008_0000000{frame}.png" for frame in (7, 8, 9)),
    *(f"sadness/S011_002_000000{frame}.png" for frame in (20, 21, 22)),
    *(f"happy/S010_006_000000{frame}.png" for frame in (13, 14, 15)),
)


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(PICTURES[number % len(PICTURES)]) for number, name in enumerate(names)}


each_form = pytest.mark.parametrize("put", [zipped, unzipped])


@each_form
@pytest.mark.parametrize("top", ["", "CK+48/", "archive/CK+48/"])
def test_the_folder_is_the_class_and_the_name_has_person_and_sequence(tmp_path, put, top):
    faces = read_ckplus(put(tmp_path / "CK+48.zip", pictures(*(top + name for name in NAMES))))
    assert (faces.name, faces.class_names, set(faces.split)) == ("ckplus", CKPLUS7, {"unassigned"})
    rows = zip(faces.sample_id.tolist(), faces.labels, faces.subject.tolist(), strict=True)
    found = {name: (CKPLUS7[label], subject) for name, label, subject in rows}
    assert len(found) == 12
    assert found["S010_004_00000017"] == ("angry", "S010")
    assert found["S138_008_00000009"] == ("contempt", "S138")
    assert found["S011_002_00000020"] == ("sad", "S011")
    assert found["S010_006_00000013"] == ("happy", "S010")
    assert faces.notes == (
        "12 frames of 4 sequences of 3 people; those of one sequence hardly differ, so that only a split by "
        "person is honest",
    )


def test_the_seven_classes_are_in_the_order_of_ckplus_labels_without_neutral():
    assert dict(enumerate(CKPLUS7, start=1)) == {
        1: "angry", 2: "contempt", 3: "disgust", 4: "fear", 5: "happy", 6: "sad", 7: "surprise",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("neutral/S010_004_00000001.png", "not <class>/S<person>_<sequence>_<frame>.png"),
        ("anger/1.png", r"anger/1\.png: not <class>"),
        ("S010_004_00000001.png", "not <class>"),
        ("happy/S010_004_00000017.png", "a second picture of this name, beside anger/"),
    ],
)
def test_a_picture_of_unknown_class_or_person_is_an_error_or_left_out_and_listed(tmp_path, name, message):
    path = unzipped(tmp_path / "CK+48", pictures(*NAMES, name))
    with pytest.raises(ValueError, match=message):
        read_ckplus(path)
    faces = read_ckplus(path, on_bad_rows="drop")
    assert len(faces) == 12 and len(faces.dropped) == 1
    assert "1 of 13 pictures were dropped" in faces.notes[-1]


def test_no_pictures_and_damaged_ones_are_named(tmp_path):
    with pytest.raises(ValueError, match="no pictures named <class>/S<person>"):
        read_ckplus(tmp_path)
    path = unzipped(tmp_path / "CK+48", pictures(*NAMES) | {NAMES[0]: b""})
    with pytest.raises(ValueError, match=r"CK\+48, anger/S010_004_00000017\.png: an empty file"):
        read_ckplus(path)


def test_images_have_the_size_that_is_asked_for(tmp_path):
    assert read_ckplus(unzipped(tmp_path / "CK", pictures(*NAMES)), image_size=32).images.shape == (
        12,
        32,
        32,
    )


def test_the_official_split_has_every_person_in_one_part(tmp_path):
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    names = [
        f"{folder}/S{person:03}_00{number}_0000000{frame}.png"
        for person in range(20)
        for number, folder in enumerate(folders)
        for frame in (1, 2)
    ]
    split = official_split(read_ckplus(unzipped(tmp_path / "CK+48", pictures(*names))), seed=0)
    parts = [set(part.subject) for part in (split.train, split.validation, split.test)]
    assert split.subject_independent is True
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20


def test_a_folder_is_known_by_a_class_with_a_frame_in_it(tmp_path):
    assert not holds_ckplus(tmp_path / "absent")
    path = unzipped(tmp_path / "some", {"anger/picture.png": b"", "other/S010_004_00000017.png": b""})
    assert not holds_ckplus(path)
    unzipped(path, {"fear/S010_004_00000017.png": b""})
    assert holds_ckplus(path) and not holds_ckplus(tmp_path)
