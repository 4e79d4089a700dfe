"""`make data` and `load_faces`: what is found, whole, known, missing, and what it says of each."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from fer_utils.cli import main
from fer_utils.data import MissingData, catalogue, find_fer2013, load_faces
from fer_utils.data.catalogue import PUBLISHED_COPIES, published_as, shortfall, sources, unknown_entries

PIXELS = " ".join(["7"] * 2304)


def csv(path, *rows: str, header: str = "emotion,pixels,Usage"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def whole(path):
    parts = ("Training", "PublicTest", "PrivateTest")
    return csv(path, *(f"{label},{PIXELS},{part}" for part in parts for label in range(7)))


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv", "train.csv"])
def test_fer2013_is_found_under_its_published_names(tmp_path, name):
    assert find_fer2013(whole(tmp_path / name).parent) == tmp_path / name


def test_the_official_csv_is_preferred_and_a_named_file_is_taken_as_it_is(tmp_path):
    other = whole(tmp_path / "icml_face_data.csv")
    first = whole(tmp_path / "fer2013.csv")
    assert find_fer2013(tmp_path) == first
    assert find_fer2013(other) == other


def test_the_challenges_folder_is_one_set_without_labels_for_its_test_part(tmp_path):
    csv(tmp_path / "train.csv", *(f"{label},{PIXELS}" for label in range(7)), header="emotion,pixels")
    csv(tmp_path / "test.csv", PIXELS, PIXELS, header="pixels")
    assert find_fer2013(tmp_path) == tmp_path
    faces = load_faces("fer2013", data_path=tmp_path, prepared_dir=tmp_path / "prepared")
    assert faces.counts().loc["unlabelled"].to_dict() == {"train": 0, "pooled_test": 2, "total": 2}
    assert len(faces.with_classes(faces.class_names)) == 7


def test_what_is_not_there_is_named_with_every_place(tmp_path):
    with pytest.raises(MissingData) as caught:
        find_fer2013(tmp_path)
    assert all(str(tmp_path / name) in str(caught.value) for name in catalogue.FER2013_NAMES)
    with pytest.raises(MissingData, match="data_path names a folder"):
        load_faces("folder", data_path=tmp_path / "absent")


def test_an_unknown_data_set_names_the_known_ones():
    with pytest.raises(ValueError, match="dataset='raf': known are synthetic, fer2013, folder"):
        load_faces("raf")


def test_pictures_of_ones_own_are_prepared_once(tmp_path):
    for label in ("happy", "bored"):
        for number in range(3):
            folder = tmp_path / "mine" / label
            folder.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(256, size=(60, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f"{number}.png")
    faces = load_faces("folder", data_path=tmp_path / "mine", prepared_dir=tmp_path / "prepared")
    assert faces.class_names == ("happy", "bored") and faces.images.shape == (6, 48, 48)
    assert set(faces.split) == {"unassigned"}
    again = load_faces("folder", data_path=tmp_path / "mine", prepared_dir=tmp_path / "prepared")
    assert again.fingerprint == faces.fingerprint and again.notes == faces.notes


def test_dropping_is_asked_for_and_remembered_apart_from_strict_reading(tmp_path):
    path = csv(tmp_path / "fer2013.csv", f"0,{PIXELS},Training", f"9,{PIXELS},Training")
    where = {"data_path": path, "prepared_dir": tmp_path / "prepared"}
    with pytest.raises(ValueError, match=r"fer2013\.csv, line 3: "):
        load_faces("fer2013", **where)
    for _ in range(2):  # read, then from the prepared file
        faces = load_faces("fer2013", on_bad_rows="drop", **where)
        assert len(faces) == 1
        (dropped,) = faces.dropped
        assert dropped.startswith("line 3: ")
    with pytest.raises(ValueError, match=r"fer2013\.csv, line 3: "):
        load_faces("fer2013", **where)


def test_published_files_are_known_by_their_md5(tmp_path, monkeypatch):
    assert PUBLISHED_COPIES["f8428a1edbd21e88f42c73edd2a14f95"] == "fer2013.csv"
    path = whole(tmp_path / "fer2013.csv")
    where = {"data_path": path, "prepared_dir": tmp_path / "prepared"}
    assert published_as(load_faces("fer2013", **where).origin) is None
    monkeypatch.setitem(PUBLISHED_COPIES, hashlib.md5(path.read_bytes()).hexdigest(), "fer2013.csv")
    assert published_as(load_faces("fer2013", **where).origin) == "fer2013.csv"


def test_what_a_copy_lacks_is_counted(tmp_path, monkeypatch):
    faces = load_faces("fer2013", data_path=whole(tmp_path / "fer2013.csv"), prepared_dir=tmp_path / "p")
    assert shortfall(faces) == "it has 7 of 28,709 train, 7 of 3,589 validation, 7 of 3,589 test images"
    for part in ("train", "validation", "test"):
        monkeypatch.setitem(catalogue.FER2013_COUNTS, part, 7)
    assert shortfall(faces) == ""


def test_every_source_says_where_it_comes_from_and_on_what_terms(tmp_path):
    for source in sources(tmp_path):
        assert source.path is None and source.expected and source.obtained_from and source.terms


def test_what_is_not_known_is_pointed_out(tmp_path):
    whole(tmp_path / "fer2013.csv")
    for name in ("holiday", ".DS_Store"):
        (tmp_path / name).mkdir()
    assert unknown_entries(tmp_path) == ["holiday"]
    assert unknown_entries(tmp_path / "absent") == []


# --- make data ---------------------------------------------------------------------------------------


def test_make_data_reports_a_copy_in_full(tmp_path, capsys, tiny):
    whole(tmp_path / "raw" / "fer2013.csv")
    (tmp_path / "raw" / "holiday").mkdir()
    assert main(["data", str(tmp_path / "raw")]) == 0
    out = capsys.readouterr().out
    for text in (
        f"fer2013: found {tmp_path / 'raw' / 'fer2013.csv'}",
        "an unverified copy",
        "incomplete: it has 7 of 28,709 train",
        "from    Kaggle",
        "terms   the competition's rules",
        "holiday: not known",
        "synthetic: always there",
    ):
        assert text in out
    assert "disgust" in out


def test_make_data_says_what_is_wrong_with_a_damaged_copy_and_exits_1(tmp_path, capsys, tiny):
    path = csv(tmp_path / "raw" / "fer2013.csv", f"0,{PIXELS} 1,Training")
    assert main(["data", str(tmp_path / "raw")]) == 1
    assert f"damaged {path}, line 2: 2305 pixel values instead of 2304" in capsys.readouterr().out


def test_make_data_of_a_folder_that_is_not_there_is_an_error_but_a_fresh_checkout_is_not(
    tmp_path, capsys, tiny
):
    assert main(["data", str(tmp_path / "rwa")]) == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path / 'rwa'}: there is no such file or folder to look through\n"
    )
    assert main(["data"]) == 0
