"""RAF-DB, CK+48, JAFFE and folders of own images: what names, folders and lists say is read or refused."""

import numpy as np
import pytest
from raw_copies import PICTURES, encoded, unzipped, zipped

from fer_utils.data.registry import FACES
from fer_utils.labels import FER7

RAFDB, CKPLUS, JAFFE, OWN = (FACES[name] for name in ("rafdb", "ckplus", "jaffe", "folder"))
RAFDB_LIST = RAFDB.label_list
each_form = pytest.mark.parametrize("put", [zipped, unzipped])


def images(*names: str) -> dict[str, bytes]:
    return {name: encoded(PICTURES[number % len(PICTURES)]) for number, name in enumerate(names)}


LABELLED = {"train_00001": 5, "train_00002": 4, "train_12271": 7, "test_0001": 1, "test_3068": 6}
CLASSES = {"train_00001": "sad", "train_00002": "happy", "train_12271": "neutral"}
CLASSES |= {"test_0001": "surprise", "test_3068": "angry"}


def jpegs() -> dict[str, bytes]:
    colour = [np.repeat(np.kron(image, np.ones((2, 2), np.uint8))[:, :, None], 3, 2) for image in PICTURES]
    return {f"{name}_aligned.jpg": encoded(one, "jpeg") for name, one in zip(LABELLED, colour, strict=True)}


def listing(labelled=LABELLED) -> bytes:
    return "\n".join([*(f"{name}.jpg {label}" for name, label in labelled.items()), ""]).encode()


def original(path, labels: bytes | None = None, pictures=None):
    aligned = {f"Image/aligned/{name}": data for name, data in (pictures or jpegs()).items()}
    return unzipped(path / "basic", {RAFDB_LIST: labels or listing(), **aligned})


def by_class() -> dict[str, bytes]:
    return {
        f"{name.split('_')[0]}/{LABELLED[name.removesuffix('_aligned.jpg')]}/{name}": data
        for name, data in jpegs().items()
    }


def kaggle(path):
    return unzipped(path / "DATASET", by_class())


def rafdb_classes(faces) -> dict[str, str]:
    assert all(name.startswith(split) for name, split in zip(faces.sample_id, faces.split, strict=True))
    return dict(zip(faces.sample_id.tolist(), [FER7[label] for label in faces.labels], strict=True))


@pytest.mark.parametrize("form", [original, kaggle])
def test_every_form_of_rafdb_gives_class_and_split(tmp_path, form):
    faces = RAFDB.read(form(tmp_path))
    assert rafdb_classes(faces) == CLASSES
    assert faces.images.shape == (5, 48, 48) and faces.class_names == FER7
    assert faces.origin["form"] == ("original folder" if form is original else "kaggle folder")
    assert "5 of another size" in faces.notes[0]
    assert RAFDB.read(form(tmp_path), image_size=96).images.shape == (5, 96, 96)


def test_the_faces_of_rafdb_may_be_zipped_in_either_form(tmp_path):
    path = unzipped(tmp_path / "basic", {RAFDB_LIST: listing()})
    (path / "Image").mkdir()
    zipped(path / "Image" / "aligned.zip", {f"aligned/{name}": data for name, data in jpegs().items()})
    assert rafdb_classes(RAFDB.read(path)) == CLASSES
    faces = RAFDB.read(zipped(tmp_path / "archive.zip", {f"DATASET/{k}": v for k, v in by_class().items()}))
    assert rafdb_classes(faces) == CLASSES


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({**LABELLED, " train_00002": 1}, r"line 6: train_00002\.jpg a second time; .*line 2"),
        ({**LABELLED, "train_00002": 8}, rf"train_00002_aligned\.jpg: {RAFDB_LIST}, line 2: label '8'"),
        ({**LABELLED, "train_9": 3}, rf"{RAFDB_LIST}, line 6: the image train_9 is missing"),
        ({**LABELLED, "nonsense": 3}, rf"{RAFDB_LIST}, line 6: 'nonsense\.jpg' is no image"),
        (
            {k: v for k, v in LABELLED.items() if k != "test_3068"},
            r"test_3068_aligned\.jpg: no line of the list",
        ),
    ],
)
def test_a_bad_line_of_rafdbs_list_is_an_error_with_its_line_or_dropped(tmp_path, labels, message):
    path = original(tmp_path, listing(labels))
    with pytest.raises(ValueError, match=f"basic, .*{message}"):
        RAFDB.read(path)
    faces = RAFDB.read(path, on_bad_rows="drop")
    assert len(faces.dropped) == 1 and rafdb_classes(faces).items() <= CLASSES.items()


def test_folder_and_file_name_of_rafdb_must_agree_and_a_list_needs_its_images(tmp_path):
    path = kaggle(tmp_path)
    (path / "train" / "5" / "train_00001_aligned.jpg").rename(path / "test" / "1" / "train_00001_aligned.jpg")
    with pytest.raises(ValueError, match="folder says test, file name says train"):
        RAFDB.read(path)
    with pytest.raises(ValueError, match=r"neither Image/aligned nor Image/aligned\.zip"):
        RAFDB.read(unzipped(tmp_path / "basic", {RAFDB_LIST: listing()}))
    with pytest.raises(ValueError, match="no images named"):
        RAFDB.read(tmp_path / "basic" / "EmoLabel")


CKPLUS_NAMES = (
    *(f"anger/S010_004_000000{frame}.png" for frame in (17, 18, 19)),
    *(f"contempt/S138_008_0000000{frame}.png" for frame in (7, 8, 9)),
    "sadness/S011_002_00000020.png",
)


def described(faces) -> dict[str, tuple[str, str]]:
    names = [faces.class_names[label] for label in faces.labels]
    return dict(zip(faces.sample_id.tolist(), zip(names, faces.subject.tolist(), strict=True), strict=True))


@each_form
def test_ckplus_and_jaffe_take_class_and_person_from_the_names(tmp_path, put):
    for top in ("", "archive/CK+48/"):
        content = images(*(top + name for name in CKPLUS_NAMES))
        faces = CKPLUS.read(put(tmp_path / f"{bool(top)}.zip", content))
        found = described(faces)
        assert len(found) == 7 and found["S010_004_00000017"] == ("angry", "S010")
        assert found["S138_008_00000009"] == ("contempt", "S138") and {*faces.split} == {"unassigned"}
        assert "split by person" in faces.notes[0]
    names = ("KA.AN1.39.tiff", "jaffe/KL.HA1.158.tiff", "happy/KM.HA2.5.png")
    assert described(JAFFE.read(put(tmp_path / "jaffe.zip", images(*names)))) == {
        "KA.AN1.39": ("angry", "KA"),
        "KL.HA1.158": ("happy", "KL"),
        "KM.HA2.5": ("happy", "KM"),
    }


@pytest.mark.parametrize(
    ("reader", "good", "name", "message"),
    [
        (CKPLUS, CKPLUS_NAMES, "neutral/S010_004_00000001.png", "not <class>/S<person>"),
        (CKPLUS, CKPLUS_NAMES, "anger/1.png", r"anger/1\.png: not <class>"),
        (CKPLUS, CKPLUS_NAMES, "happy/S010_004_00000017.png", "a second image of this name"),
        (JAFFE, ("KA.AN1.39.tiff",), "KA.XX1.39.tiff", "not <person>.<expression>"),
        (JAFFE, ("KA.AN1.39.tiff",), "happy/KM.SA1.9.tiff", "folder says happy, file name says sad"),
    ],
)
def test_an_image_that_names_no_class_or_person_is_an_error_or_dropped(tmp_path, reader, good, name, message):
    path = unzipped(tmp_path / "raw", images(*good, name))
    with pytest.raises(ValueError, match=message):
        reader.read(path)
    faces = reader.read(path, on_bad_rows="drop")
    assert len(faces) == len(good) and len(faces.dropped) == 1
    with pytest.raises(ValueError, match="no images named"):
        reader.read(unzipped(tmp_path / "none", {"a.txt": b""}))


@each_form
def test_known_classes_come_first_and_keep_their_order(tmp_path, put):
    names = (
        "bored/1.png",
        "Neutral/2.png",
        "Anger/3.png",
        "Contempt/4.png",
        "happiness/5.jfif",
        "happy/6.pgm",
    )
    faces = OWN.read(put(tmp_path / "mine.zip", images(*names)))
    assert (faces.name, faces.class_names) == ("mine", ("angry", "happy", "neutral", "Contempt", "bored"))
    labels = dict(zip(faces.sample_id, faces.labels, strict=True))
    assert [labels[name] for name in names] == [4, 2, 0, 3, 1, 1]
    assert "Anger -> angry, happiness -> happy" in faces.notes[0]


@each_form
@pytest.mark.parametrize("top", ["", "mine/"])
def test_folders_above_a_class_are_splits_and_below_it_subjects(tmp_path, put, top):
    names = ("Test/happy/1.png", "train/happy/s1/2.png", "train/sad/3.png", "val/sad/4.png")
    faces = OWN.read(put(tmp_path / "mine.zip", images(*(top + name for name in names))))
    assert faces.split.tolist() == ["test", "train", "train", "validation"]
    assert faces.subject.tolist() == ["", "s1", "", ""]
    assert faces.class_names == ("happy", "sad") and faces.sample_id.tolist() == list(names)
    read = "were read as splits test, train, validation; classes happy, sad; subjects s1"
    assert faces.notes == (f"folders{top and ' in '}{top} {read}",)


@pytest.mark.parametrize(
    "folders", ["Training PublicTest", "train_set dev", "FER2013Train val", "TRAIN-IMAGES Valid2"]
)
@pytest.mark.parametrize("top", ["", "archive/mine/"])
def test_other_names_of_split_folders_are_not_taken_for_classes(tmp_path, folders, top):
    names = [f"{top}{folder}/{name}/1.png" for folder in folders.split() for name in ("happy", "sad")]
    content = images(*names) | {f"{names[0].rpartition('/')[0]}/@eaDir/1.png/thumb.jpg": b"of a NAS"}
    faces = OWN.read(unzipped(tmp_path / "mine", content))
    assert faces.class_names == ("happy", "sad") and {*faces.split} >= {"train", "validation"}


@each_form
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no images named <class>/<file>"),
        (("1.png", "happy/2.png"), r"1\.png does not lie in"),
        (("train/1.png", "train/happy/2.png"), r"train/1\.png does not lie in"),
        (("happy/s/session/1.png",), r"happy/s/session/1\.png does not lie in"),
        (("train/happy/1.png", "happy/2.png"), r"happy/2\.png lies beside train/"),
        (("happy/1.png", "total/2.png"), r"total/2\.png: 'total'"),
        (("train_set/images/1.png", "val_set/images/2.png"), r"train_set/images/1\.png: 'images'"),
        (("fold1/happy/1.png", "fold2/happy/2.png"), r"fold1/happy/1\.png: 'fold1' cannot be a class"),
        (("train/happy/1.png", "eval/happy/2.png"), r"eval/happy/2\.png: 'eval' cannot be a class"),
        (("siteA/Joy/1.png", "siteB/sad/2.png"), ".* 'siteA' would be the class and 'Joy' a subject"),
        (("pain/train/1.png", "rest/ben/2.png"), ".* 'pain' would be the class and 'train' a subject"),
    ],
)
def test_another_layout_is_an_error_under_drop_too(tmp_path, put, names, message):
    path = put(tmp_path / "mine.zip", images(*names) | {"README.txt": b"mine"})
    with pytest.raises(ValueError, match=rf"mine\.zip(, layout)?: {message}"):
        OWN.read(path, on_bad_rows="drop")


@each_form
def test_bad_own_images_are_an_error_or_dropped_and_blank_and_other_ones_are_noted(tmp_path, put):
    content = (
        {"happy/1.png": encoded(np.full((50, 50), 9, np.uint8))}
        | images("sad/2.png")
        | {"sad/3.png": b"no", "bored/4.png": b"", "5.heic": b""}
    )
    path = put(tmp_path / "mine.zip", content)
    with pytest.raises(ValueError, match=r"mine\.zip, bored/4\.png: an empty file"):
        OWN.read(path)
    faces = OWN.read(path, on_bad_rows="drop", image_size=64)
    assert faces.class_names == ("happy", "sad") and faces.images.shape == (2, 64, 64)
    assert [text.split(":")[0] for text in faces.dropped] == ["bored/4.png", "sad/3.png"]
    assert any(note.endswith("have one gray level: happy/1.png") for note in faces.notes)
    assert "5.heic" in faces.notes[0] and "2 of 4 images were dropped" in faces.notes[-1]
