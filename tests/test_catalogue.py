"""`make data` and `load_faces`: what is found, whole, known, missing, and what it says of each."""

import hashlib

import numpy as np
import pytest
from fer_utils.data.catalogue import (
    DATASETS,
    FACES,
    JOINED,
    PUBLISHED_COPIES,
    published_as,
    shortfall,
    sources,
    unknown_entries,
)
from PIL import Image
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.cli import main
from fer_utils.data import MissingData, find_faces, load_faces
from fer_utils.files import ConfigError
from fer_utils.labels import FER7

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
    assert find_faces("fer2013", whole(tmp_path / name).parent) == tmp_path / name


def test_the_official_csv_is_preferred_and_a_named_file_is_taken_as_it_is(tmp_path):
    other = whole(tmp_path / "icml_face_data.csv")
    first = whole(tmp_path / "fer2013.csv")
    assert find_faces("fer2013", tmp_path) == first
    assert find_faces("fer2013", other) == other


def test_the_challenges_folder_is_one_set_without_labels_for_its_test_part(tmp_path):
    csv(tmp_path / "train.csv", *(f"{label},{PIXELS}" for label in range(7)), header="emotion,pixels")
    csv(tmp_path / "test.csv", PIXELS, PIXELS, header="pixels")
    assert find_faces("fer2013", tmp_path) == tmp_path
    faces = load_faces("fer2013", data_path=tmp_path, prepared_dir=tmp_path / "prepared")
    assert faces.counts().loc["unlabelled"].to_dict() == {"train": 0, "pooled_test": 2, "total": 2}
    assert len(faces.with_classes(faces.class_names)) == 7


def test_what_is_not_there_is_named_with_every_place(tmp_path):
    with pytest.raises(MissingData) as caught:
        find_faces("fer2013", tmp_path)
    assert all(str(tmp_path / name) in str(caught.value) for name in FACES["fer2013"].places)
    with pytest.raises(MissingData, match="data_path names a folder"):
        load_faces("folder", data_path=tmp_path / "absent")


def test_an_unknown_data_set_names_the_known_ones():
    with pytest.raises(
        ValueError, match="dataset='raf': known are synthetic, fer2013, rafdb, ckplus, jaffe, folder"
    ):
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
        monkeypatch.setitem(FACES["fer2013"].counts, part, 7)
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


# --- the other sets of stills ------------------------------------------------------------------------

PNG = encoded(PICTURES[0])
LIST = b"train_00001.jpg 5\ntest_0001.jpg 1\n"
RAFDB = {
    "EmoLabel/list_patition_label.txt": LIST,
    "Image/aligned/train_00001_aligned.jpg": PNG,
    "Image/aligned/test_0001_aligned.jpg": PNG,
}
RAFDB_KAGGLE = {"train/5/train_00001_aligned.jpg": PNG, "test/1/test_0001_aligned.jpg": PNG}
CKPLUS = {"anger/S010_004_00000017.png": PNG, "fear/S011_003_00000012.png": PNG}
JAFFE = {"KA.AN1.39.tiff": PNG, "KL.HA1.158.tiff": PNG}

PLACES = [
    ("rafdb", "RAF-DB/basic", RAFDB),
    ("rafdb", "RAF-DB", RAFDB),
    ("rafdb", "rafdb", RAFDB),
    ("rafdb", "basic", RAFDB),
    ("rafdb", "DATASET", RAFDB_KAGGLE),
    ("rafdb", "rafdb/DATASET", RAFDB_KAGGLE),
    ("ckplus", "CK+48", CKPLUS),
    ("ckplus", "CK+/CK+48", CKPLUS),
    ("ckplus", "ckplus", CKPLUS),
    ("jaffe", "jaffe", JAFFE),
    ("jaffe", "jaffedbase", JAFFE),
    ("jaffe", "jaffe/jaffedbase", JAFFE),
]


@pytest.mark.parametrize(("dataset", "place", "content"), PLACES)
def test_every_set_is_found_where_its_source_unpacks_to_and_is_nothing_else(
    tmp_path, dataset, place, content
):
    folder = unzipped(tmp_path / "raw" / place, content)
    assert find_faces(dataset, tmp_path / "raw") == find_faces(dataset, folder) == folder
    assert {one.name: one.path for one in sources(tmp_path / "raw") if one.path} == {dataset: folder}
    assert [one.name for one in sources(folder)] == [dataset]
    assert unknown_entries(tmp_path / "raw") == unknown_entries(folder) == []
    faces = load_faces(dataset, data_path=tmp_path / "raw", prepared_dir=tmp_path / "prepared")
    assert faces.name == dataset and len(faces) == 2 and faces.images.shape[1:] == (48, 48)


@pytest.mark.parametrize(
    ("dataset", "name", "content"), [("ckplus", "CK+48.zip", CKPLUS), ("jaffe", "jaffe.zip", JAFFE)]
)
def test_a_zip_need_not_be_unpacked(tmp_path, dataset, name, content):
    path = zipped(tmp_path / name, content)
    assert [(one.name, one.path) for one in sources(path)] == [(dataset, path)]
    for place in (path, tmp_path):
        assert len(load_faces(dataset, data_path=place, prepared_dir=tmp_path / "prepared")) == 2


def test_sets_lie_beside_each_other_without_being_mixed(tmp_path):
    whole(tmp_path / "fer2013.csv")
    found = {"fer2013": tmp_path / "fer2013.csv"}
    for dataset, place, content in (PLACES[0], PLACES[6], PLACES[9]):
        found[dataset] = unzipped(tmp_path / place, content)
    assert {one.name: one.path for one in sources(tmp_path) if one.path} == found
    assert unknown_entries(tmp_path) == []
    unzipped(tmp_path, {"train_labels.csv": b"", "test_labels.csv": b"", "other.csv": b""})
    assert unknown_entries(tmp_path) == ["other.csv"]


@pytest.mark.parametrize("dataset", ["rafdb", "ckplus", "jaffe"])
def test_a_set_that_is_not_there_is_named_with_every_place(tmp_path, dataset):
    with pytest.raises(MissingData) as caught:
        load_faces(dataset, data_path=tmp_path)
    assert all(str(tmp_path / place) in str(caught.value) for place in FACES[dataset].places)


def test_images_have_the_size_that_is_asked_for(tmp_path):
    where = {"data_path": unzipped(tmp_path / "CK+48", CKPLUS), "prepared_dir": tmp_path / "prepared"}
    for size in (48, 100, 48):
        assert load_faces("ckplus", image_size=size, **where).images.shape == (2, size, size)
    drawn = load_faces("synthetic", synthetic_subjects=3, synthetic_per_subject=7, image_size=32)
    assert drawn.images.shape[1:] == (32, 32)


def test_fer2013_is_scaled_from_its_48_pixels_and_says_so(tmp_path):
    rows = [
        f"{label},{' '.join(map(str, picture.ravel()))},Training" for label, picture in enumerate(PICTURES)
    ]
    where = {"data_path": csv(tmp_path / "fer2013.csv", *rows), "prepared_dir": tmp_path / "prepared"}
    large, small = load_faces("fer2013", image_size=100, **where), load_faces("fer2013", **where)
    assert (small.images == PICTURES).all() and small.notes == ()
    expected = [Image.fromarray(one).resize((100, 100), Image.Resampling.LANCZOS) for one in PICTURES]
    assert (large.images == np.stack([np.asarray(one) for one in expected])).all()
    assert large.notes == (
        "all images were scaled from 48x48 to 100x100 pixels, which adds nothing to be seen",
    )
    assert load_faces("fer2013", image_size=24, **where).notes == (
        "all images were scaled from 48x48 to 24x24 pixels",
    )
    assert (large.labels == small.labels).all() and (large.sample_id == small.sample_id).all()


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("size", [0, 7, 1025])
def test_an_image_size_out_of_range_is_refused_before_anything_is_read(tmp_path, dataset, size):
    with pytest.raises(ConfigError, match=f"image_size={size}: use 8 to 1024 pixels"):
        load_faces(dataset, data_path=tmp_path / "absent", image_size=size)


@pytest.mark.parametrize("dataset", [name for name, known in FACES.items() if known.any_size])
@pytest.mark.parametrize("size", [7, 1025])
def test_each_reader_of_pictures_refuses_an_image_size_out_of_range_in_the_same_words(
    tmp_path, dataset, size
):
    contents = {"rafdb": RAFDB, "ckplus": CKPLUS, "jaffe": JAFFE, "folder": {"happy/1.png": PNG}}
    path = unzipped(tmp_path / "raw", contents[dataset])
    with pytest.raises(ConfigError, match=f"image_size={size}: use 8 to 1024 pixels"):
        FACES[dataset].read(path, image_size=size, on_bad_rows="error")


def test_every_dataset_but_the_synthetic_one_has_its_reader_and_unknown_ones_are_refused():
    assert set(DATASETS) == {"synthetic", *FACES, *JOINED}
    assert all(set(names) <= set(FACES) and name == "+".join(names) for name, names in JOINED.items())
    with pytest.raises(ConfigError, match="dataset='raf': known are fer2013, rafdb"):
        find_faces("raf")


# --- two sets as one ---------------------------------------------------------------------------------

WIDE = np.random.default_rng(5).integers(256, size=(100, 100), dtype=np.uint8)


def both_sets(tmp_path):
    whole(tmp_path / "raw" / "fer2013.csv")
    aligned = {name: encoded(WIDE) for name in RAFDB if name.startswith("Image")}
    unzipped(tmp_path / "raw" / "RAF-DB" / "basic", RAFDB | aligned)
    return {"data_path": tmp_path / "raw", "prepared_dir": tmp_path / "prepared"}


def test_rafdb_and_fer2013_are_read_at_one_size_and_joined_with_seven_classes(tmp_path):
    both = load_faces("rafdb+fer2013", **both_sets(tmp_path))
    assert both.name == "rafdb+fer2013" and both.images.shape == (23, 48, 48)
    assert both.class_names == FER7 and np.bincount(both.labels).tolist() == [3, 3, 3, 3, 4, 4, 3]
    assert sorted(both.sample_id)[-2:] == ["rafdb/test_0001", "rafdb/train_00001"]
    assert {name: int((both.split == name).sum()) for name in ("train", "validation", "test")} == {
        "train": 8,
        "validation": 7,
        "test": 8,
    }
    assert "rafdb has no angry, disgust, fear, happy, neutral" in both.notes
    assert {"rafdb.sha256", "fer2013.sha256"} <= set(both.origin)


def test_at_100_pixels_rafdb_keeps_its_own_pixels_and_only_fer2013_is_scaled(tmp_path):
    where = both_sets(tmp_path)
    both = load_faces("rafdb+fer2013", image_size=100, **where)
    of_rafdb = np.array([one.startswith("rafdb/") for one in both.sample_id])
    assert both.images.shape == (23, 100, 100) and (both.images[of_rafdb] == WIDE).all()
    assert [note for note in both.notes if "scaled" in note] == [
        "fer2013: all images were scaled from 48x48 to 100x100 pixels, which adds nothing to be seen"
    ]
    alone = load_faces("rafdb", image_size=100, **where)
    assert (alone.images == WIDE).all() and alone.notes == ()


@pytest.mark.parametrize(
    ("there", "missing", "present"),
    [
        ((), ("FER-2013", "RAF-DB"), ()),
        (("rafdb",), ("FER-2013",), ("RAF-DB",)),
        (("fer2013",), ("RAF-DB",), ("FER-2013",)),
    ],
)
def test_of_two_sets_the_one_that_is_missing_is_named(tmp_path, there, missing, present):
    if "rafdb" in there:
        unzipped(tmp_path / "basic", RAFDB)
    if "fer2013" in there:
        whole(tmp_path / "fer2013.csv")
    with pytest.raises(MissingData, match=r"^dataset='rafdb\+fer2013': ") as caught:
        load_faces("rafdb+fer2013", data_path=tmp_path)
    assert all(f"{title} is not here" in str(caught.value) for title in missing)
    assert not any(f"{title} is not here" in str(caught.value) for title in present)


def test_two_sets_do_not_lie_in_one_file(tmp_path):
    with pytest.raises(ConfigError, match=r"fer2013\.csv': a single file; rafdb\+fer2013 needs the folder"):
        load_faces("rafdb+fer2013", data_path=whole(tmp_path / "fer2013.csv"))


def test_make_data_counts_what_a_copy_of_each_set_lacks(tmp_path, capsys, tiny):
    for _, place, content in (PLACES[0], PLACES[6], PLACES[9]):
        unzipped(tmp_path / "raw" / place, content)
    assert main(["data", str(tmp_path / "raw")]) == 0
    out = capsys.readouterr().out
    for text in (
        f"rafdb: found {tmp_path / 'raw' / 'RAF-DB' / 'basic'}",
        "state   incomplete: it has 1 of 12,271 train, 1 of 3,068 test images",
        f"ckplus: found {tmp_path / 'raw' / 'CK+48'}",
        "state   incomplete: it has 2 of 981 images",
        "note    2 frames of 2 sequences of 2 people",
        "state   incomplete: it has 2 of 213 images",
        "terms   research that is not commercial; no part may be passed on",
        "terms   an agreement",
        "terms   research that is not commercial, with citation; the images may not be redistributed",
    ):
        assert text in out
    assert "not known" not in out


def test_make_data_says_what_to_put_where_for_every_set(tmp_path, capsys, tiny):
    (tmp_path / "raw").mkdir()
    assert main(["data", str(tmp_path / "raw")]) == 0
    out = capsys.readouterr().out
    for place in ("RAF-DB/basic", "DATASET", "CK+48", "jaffe", "fer2013.csv"):
        assert str(tmp_path / "raw" / place) in out


def test_make_data_names_the_file_and_line_of_a_bad_label(tmp_path, capsys, tiny):
    content = RAFDB | {"EmoLabel/list_patition_label.txt": LIST.replace(b"5", b"9")}
    unzipped(tmp_path / "raw" / "RAF-DB", content)
    assert main(["data", str(tmp_path / "raw")]) == 1
    assert "EmoLabel/list_patition_label.txt, line 1: label '9'; they are 1, 2" in capsys.readouterr().out


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
