"""Data sets by name: found where their sources put them, prepared once, combined, reported by `make data`."""

import clip_trees
import numpy as np
import pytest
from clip_trees import ramp, write_casme2, write_frames, write_samm, write_smic, write_table, write_video
from PIL import Image
from raw_copies import PICTURES, csv, encoded, load, pixels, unzipped, zipped

from fer_utils.cli import main
from fer_utils.data import MissingData, find, registry
from fer_utils.data.registry import CLIPS, FACES, sources
from fer_utils.files import ConfigError
from fer_utils.labels import FER7

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
    ("rafdb", "DATASET", RAFDB_KAGGLE),
    ("rafdb", "rafdb/DATASET", RAFDB_KAGGLE),
    ("ckplus", "CK+48", CKPLUS),
    ("ckplus", "CK+/CK+48", CKPLUS),
    ("ckplus", "CK+48.zip", CKPLUS),
    ("jaffe", "jaffe", JAFFE),
    ("jaffe", "jaffe/jaffedbase", JAFFE),
]


def fer2013(path):
    """Write a table with every class in every split, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{label},{pixels(PICTURES[label % 5])},{usage}" for usage in USAGES for label in range(7)]
    return csv(path, ["emotion,pixels,Usage", *rows])


USAGES = ("Training", "PublicTest", "PrivateTest")


def found_in(folder) -> dict:
    return {one.name: path for one, path in sources(folder) if path}


@pytest.mark.parametrize(("dataset", "place", "content"), PLACES)
def test_a_set_of_faces_is_found_where_its_source_unpacks_to(tmp_path, dataset, place, content):
    (tmp_path / "raw").mkdir()
    folder = (zipped if place.endswith(".zip") else unzipped)(tmp_path / "raw" / place, content)
    assert find(dataset, tmp_path / "raw") == find(dataset, folder) == folder
    assert found_in(tmp_path / "raw") == {dataset: folder}
    for path in (tmp_path / "raw", folder):
        faces = load(tmp_path, dataset, path)
        assert faces.name == dataset and len(faces) == 2


def test_fer2013_is_found_under_its_published_names_the_whole_table_first(tmp_path):
    for name in ("icml_face_data.csv", "fer2013.csv"):
        path = fer2013(tmp_path / name)
        assert find("fer2013", tmp_path) == find("fer2013", path) == path
    (tmp_path / "other" / "train" / "happy").mkdir(parents=True)
    assert find("fer2013", tmp_path / "other") == tmp_path / "other"


@pytest.fixture
def raw(tmp_path):
    """A folder with data sets of every kind where their distributions put them."""
    root = tmp_path / "raw"
    fer2013(root / "fer2013.csv")
    for _, place, content in (PLACES[0], PLACES[3], PLACES[6]):
        unzipped(root / place, content)
    for part in ("HS", "VIS"):
        write_smic(root, part)
    write_samm(root / "SAMM")
    write_casme2(root / "CASME2" / "Cropped", prefix="reg_img")
    write_video(root / "MEVIEW" / "a.avi", ramp(), rate=30)
    write_table(root / "MEVIEW", "a.avi,p1,3,7,Happiness")
    return root


def test_sets_beside_each_other_are_not_mixed(raw):
    assert found_in(raw) == {
        "fer2013": raw / "fer2013.csv",
        "rafdb": raw / "RAF-DB" / "basic",
        "ckplus": raw / "CK+48",
        "jaffe": raw / "jaffe",
        "smic-hs": raw / "SMIC_all_cropped" / "HS",
        "smic-vis": raw / "SMIC_all_cropped" / "VIS",
        "samm": raw / "SAMM",
        "casme2": raw / "CASME2" / "Cropped",
        "table": raw / "MEVIEW" / "meview.csv",
    }


@pytest.mark.parametrize("dataset", [*FACES, *CLIPS])
def test_a_missing_set_is_named_with_every_place(tmp_path, dataset):
    with pytest.raises(MissingData) as caught:
        find(dataset, tmp_path / "raw")
    places = {**FACES, **CLIPS}[dataset].places
    assert all(str(tmp_path / "raw" / place) in str(caught.value) for place in places)


def test_a_set_is_read_once_and_again_after_a_change(raw, tmp_path, monkeypatch):
    first = load(tmp_path, "jaffe", raw)
    clips = clip_trees.load(tmp_path, "smic-hs", raw)

    def read_again(*_, **__):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        for dataset in (FACES["jaffe"], CLIPS["smic-hs"]):
            patched.setattr(type(dataset), "read", read_again)
        again = load(tmp_path, "jaffe", raw)
        assert again.fingerprint == first.fingerprint and isinstance(again.images, np.memmap)
        assert {"file", "bytes", "sha256", "form"} <= set(again.origin)
        # Labels, seed and strictness do not change what is read.
        options = {"synthetic_seed": 3, "strict": True, "label_set": "smic3", "frame_rate": 25.0}
        assert clip_trees.load(tmp_path, "smic-hs", raw, **options).fingerprint == clips.fingerprint
    frame = raw / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01"
    write_frames(frame, {8: "reg_image8.bmp"}, first_level=9)
    assert clip_trees.load(tmp_path, "smic-hs", raw).fingerprint != clips.fingerprint


def test_synthetic_clips_are_drawn_once_for_the_same_arguments_and_code(tmp_path, monkeypatch):
    options = {"synthetic_subjects": 2, "synthetic_clips_per_subject": 3.0, "image_size": 24}

    def drawn(**changes):
        return clip_trees.load(tmp_path, "synthetic", tmp_path, **options, frame_rate=25.0, **changes)

    first = drawn()
    assert drawn().fingerprint == first.fingerprint and isinstance(first.clips, np.memmap)
    assert drawn(synthetic_seed=2).fingerprint != first.fingerprint
    monkeypatch.setattr(registry, "sha256_of", lambda file: 64 * "0")
    assert drawn().origin["sha256"] != first.origin["sha256"]


def test_rafdb_and_fer2013_are_combined_at_one_size(raw, tmp_path):
    wide = np.random.default_rng(5).integers(256, size=(100, 100), dtype=np.uint8)
    unzipped(raw / "RAF-DB" / "basic", {name: encoded(wide) for name in RAFDB if name.startswith("Image")})
    both = load(tmp_path, "rafdb+fer2013", raw, image_size=100)
    of_rafdb = np.char.startswith(both.sample_id, "rafdb/")
    assert both.images.shape == (23, 100, 100) and (both.images[of_rafdb] == wide).all()
    assert both.class_names == FER7 and np.bincount(both.labels).tolist() == [3, 3, 3, 3, 4, 4, 3]
    assert (both.split == "train").sum() == 8
    assert {"rafdb.form", "fer2013.sha256"} <= set(both.origin)
    assert any(note.startswith("fer2013: all images were scaled") for note in both.notes)
    with pytest.raises(ConfigError, match="needs the folder that holds both"):
        load(tmp_path, "rafdb+fer2013", raw / "fer2013.csv")
    (raw / "fer2013.csv").unlink()
    with pytest.raises(MissingData, match="FER-2013 is not here"):
        load(tmp_path, "rafdb+fer2013", raw)


def test_what_lies_there_in_another_form_is_named_with_what_to_do(tmp_path):
    for name in ("FER2013.CSV", "archive.zip", "SMIC_all_raw.rar"):
        (tmp_path / name).touch()
    (tmp_path / "clips.csv").write_text("clip,subject,offset\n")
    fer2013(tmp_path / "other.csv")
    for dataset, named in {
        "fer2013": r"FER2013\.CSV is there: another form or name; archive\.zip is there: a zip .*: unpack",
        "smic-vis": r"SMIC_all_raw\.rar is there: a RAR archive: unpack it",
        "table": r"clips\.csv: no row has the columns .* the nearest lacks emotion, onset",
    }.items():
        with pytest.raises(MissingData, match=f"is not here; looked for .*; .*{named}") as caught:
            find(dataset, tmp_path)
        assert "other.csv" not in str(caught.value)


def test_subjects_and_classes_that_hardly_differ_are_an_error_or_noted(tmp_path):
    names = ("happy/Zoë/1.png", "sad/zoe\u0308/2.png", "pain/3/4.png", "Pain/ 03/4.png")
    unzipped(tmp_path / "mine", dict(zip(names, map(encoded, PICTURES), strict=False)))
    with pytest.raises(ValueError, match=r"' 03' and '3'; subjects 'Zoë' and .*; classes 'Pain' and 'pain'"):
        load(tmp_path, "folder", tmp_path / "mine")
    noted = load(tmp_path, "folder", tmp_path / "mine", on_bad_rows="drop")
    assert len({*noted.subject}) == 4 and "are they the same?" in noted.notes[-1]
    write_video(tmp_path / "clips" / "a.avi", ramp())
    rows = [f"a.avi,{subject},{onset},8,sad" for onset, subject in enumerate(("1.0", "01", "2"), start=1)]
    write_table(tmp_path / "clips", *rows)
    assert "subjects '01' and '1.0'" in clip_trees.load(tmp_path, "table", tmp_path).notes[-1]
    with pytest.raises(ValueError, match=r"'01' and '1\.0'.*strict: false"):
        clip_trees.load(tmp_path, "table", tmp_path, strict=True)


def test_paths_typed_in_a_shell_are_from_its_folder(raw, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "raw/MEVIEW"]) == 0 and f"found {raw}/MEVIEW/meview.csv" in capsys.readouterr().out
    assert main(["data", "data/raw"]) == 2 and f"{tmp_path}/data/raw: no such" in capsys.readouterr().err


def test_make_data_describes_every_copy_and_a_damaged_one(raw, tmp_path, capsys, tiny, monkeypatch):
    write_frames(raw / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_09", {1: "reg_image1.bmp"})
    assert main(["data", str(raw)]) == 0
    out = capsys.readouterr().out
    for text in (
        f"fer2013: found {raw / 'fer2013.csv'}",
        "an unverified copy",
        "incomplete: it has 7 of 28,709 train",
        "University of Oulu",
        "incomplete: 3 of 164 clips",
        "skipped s1_ne_09: 1 frame",
        str(raw / "SMIC_all_cropped/NIR"),
    ):
        assert text in out, text
    md5 = load(tmp_path, "fer2013", raw).origin["md5"]
    monkeypatch.setattr(FACES["fer2013"], "published", {md5: "fer2013.csv"})
    main(["data", str(raw)])
    assert "fer2013.csv as published" in capsys.readouterr().out
    with open(raw / "fer2013.csv", "a") as table:
        table.write("0,1 2,Training\n")
    assert main(["data", str(raw)]) == 1
    assert f"cannot be used: {raw / 'fer2013.csv'}, line 23: 2 pixel values" in capsys.readouterr().out


def test_images_have_the_size_and_the_classes_that_are_asked_for(raw, tmp_path):
    six = load(tmp_path, "fer2013", raw, label_set="fer6")
    assert len(six) == 18 and "disgust" not in six.class_names
    assert load(tmp_path, "ckplus", raw, image_size=100).images.shape == (2, 100, 100)
    small, large = (load(tmp_path, "fer2013", raw, image_size=size) for size in (48, 100))
    expected = [Image.fromarray(one).resize((100, 100), Image.Resampling.LANCZOS) for one in small.images]
    np.testing.assert_array_equal(large.images, np.stack([np.asarray(one) for one in expected]))
    assert small.notes == () and "scaled from 48x48 to 100x100" in large.notes[0]
