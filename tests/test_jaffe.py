"""JAFFE is read by its names: person, expression, take."""

import numpy as np
import pytest
from fer_utils.data.jaffe import holds_jaffe, read_jaffe
from raw_copies import encoded, unzipped, zipped

from fer_utils.labels import FER7
from fer_utils.splits import official_split

NAMES = {
    "KA.AN1.39.tiff": "angry",
    "KL.DI4.173.tiff": "disgust",
    "KM.SA5.13.tiff": "sad",
    "KR.NE3.73.tiff": "neutral",
    "NA.SU1.208.tiff": "surprise",
    "TM.HA1.180.tiff": "happy",
    "YM.FE4.70.tiff": "fear",
}
IMAGE = np.random.default_rng(0).integers(256, size=(256, 256), dtype=np.uint8)
TIFF = encoded(IMAGE, "tiff")


def pictures(*names: str) -> dict[str, bytes]:
    return dict.fromkeys(names, TIFF) | {"README": b"read me", "a_names.dat": b""}


@pytest.mark.parametrize("put", [zipped, unzipped])
@pytest.mark.parametrize("top", ["", "jaffe/"])
def test_names_say_who_shows_what(tmp_path, put, top):
    faces = read_jaffe(put(tmp_path / "jaffe.zip", pictures(*(top + name for name in NAMES))))
    assert (faces.name, faces.class_names, set(faces.split)) == ("jaffe", FER7, {"unassigned"})
    assert faces.sample_id.tolist() == [name.removesuffix(".tiff") for name in NAMES]
    assert [FER7[label] for label in faces.labels] == list(NAMES.values())
    assert faces.subject.tolist() == ["KA", "KL", "KM", "KR", "NA", "TM", "YM"]
    assert faces.notes == ("7 of 7 pictures were converted to 48x48 gray: 7 of another size (256x256)",)


def test_converted_and_sorted_copies_are_read_too(tmp_path):
    content = {"Angry/KA.AN1.39.png": encoded(IMAGE), "surprise/KA.SU2.37.tiff.bmp": encoded(IMAGE, "bmp")}
    faces = read_jaffe(unzipped(tmp_path / "jaffe", content), image_size=100)
    assert faces.sample_id.tolist() == ["KA.AN1.39", "KA.SU2.37"] and faces.images.shape == (2, 100, 100)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("KA.XX1.39.tiff", r"KA\.XX1\.39\.tiff: not <person>\.<expression>"),
        ("holiday.tiff", r"holiday\.tiff: not <person>"),
        ("sadness/KA.AN2.40.tiff", "lies in sadness/ but is named AN: which is it"),
        ("copy/KA.AN1.39.tiff", r"copy/KA\.AN1\.39\.tiff"),
    ],
)
def test_what_the_names_do_not_say_is_an_error_or_left_out_and_listed(tmp_path, name, message):
    path = unzipped(tmp_path / "jaffe", pictures(*NAMES, name))
    with pytest.raises(ValueError, match=message):
        read_jaffe(path)
    faces = read_jaffe(path, on_bad_rows="drop")
    assert len(faces) == 7 and len(faces.dropped) == 1


def test_no_pictures_are_an_error_with_an_example(tmp_path):
    with pytest.raises(ValueError, match=r"such as KA\.AN1\.39\.tiff"):
        read_jaffe(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_jaffe(tmp_path / "absent")


def test_the_official_split_has_every_person_in_one_part(tmp_path):
    people = ["KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM"]
    codes = ["AN", "DI", "FE", "HA", "NE", "SA", "SU"]
    names = [f"{who}.{code}1.{n}.tiff" for n, who in enumerate(people) for code in codes]
    split = official_split(read_jaffe(unzipped(tmp_path / "jaffe", pictures(*names))), seed=1)
    assert [len(set(part.subject)) for part in (split.train, split.validation, split.test)] == [8, 1, 1]
    assert split.subject_independent is True


def test_a_folder_is_known_by_its_pictures_or_by_those_of_a_class(tmp_path):
    assert not holds_jaffe(tmp_path)
    sets = unzipped(tmp_path / "raw", pictures("jaffe/KA.AN1.39.tiff"))
    assert holds_jaffe(sets / "jaffe") and not holds_jaffe(sets)
    assert holds_jaffe(unzipped(tmp_path / "sorted", pictures("Angry/KA.AN1.39.tiff")))
