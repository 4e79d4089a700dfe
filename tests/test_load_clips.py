"""Clips by the name of their data set: found where they are distributed, read or drawn once, described."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from clip_trees import (
    CASME2_ROWS,
    SAMM_ROWS,
    SMALL,
    SMIC_E_ROWS,
    frame_names,
    ramp,
    write_casme2,
    write_frames,
    write_samm,
    write_smic,
    write_smic_e,
    write_table,
    write_video,
)
from fer_utils.data.catalogue import CLIP_DATASETS, clip_shortfall, unknown_entries
from fer_utils.data.clips import reading
from fer_utils.data.clips.casme2 import read_casme2
from fer_utils.data.clips.samm import read_samm
from fer_utils.data.clips.smic import SMIC3, read_smic
from fer_utils.data.clips.table import read_clip_table

from fer_utils.cli import main
from fer_utils.data import ClipSet, MissingData, find_clips, load_clips, sources
from fer_utils.files import ConfigError
from fer_utils.synthetic import clips as generator

REAL = [name for name in CLIP_DATASETS if name != "synthetic"]
DRAWN = {
    "synthetic_subjects": 2,
    "synthetic_clips_per_subject": 3,
    "n_frames": 3,
    "size": 24,
    "frame_rate": 20.0,
}


def write_meview(root: Path) -> Path:
    write_video(root / "videos" / "a.avi", ramp(), rate=30)
    write_frames(root / "b", frame_names("frame{}.png", range(9, 14)))
    rows = ("videos/a.avi,p1,3,7,Happiness", "videos/a.avi,p2,8,12,fear", "b,p3,9,13,bored")
    return write_table(root, *rows)


@pytest.fixture
def raw(tmp_path) -> Path:
    """A folder with every data set where its distribution puts it."""
    root = tmp_path / "raw"
    for part in ("HS", "VIS", "NIR"):
        write_smic(root, part)
    write_samm(root / "SAMM")
    write_casme2(root / "CASME2" / "Cropped", prefix="reg_img")
    table = "CASME2-coding-20140508.xlsx"
    (root / "CASME2" / "Cropped" / table).rename(root / "CASME2" / table)
    write_meview(root / "MEVIEW")
    return root


@pytest.fixture
def load(raw, tmp_path):
    """`load_clips` on that folder with small clips."""

    def loaded(dataset: str, **options) -> ClipSet:
        where = {"data_path": raw, "prepared_dir": tmp_path / "prepared"}
        return load_clips(dataset, **(where | SMALL | options))

    return loaded


READ = {
    "smic-hs": lambda raw: read_smic(raw / "SMIC_all_cropped" / "HS", part="HS", **SMALL),
    "smic-vis": lambda raw: read_smic(raw / "SMIC_all_cropped" / "VIS", part="VIS", **SMALL),
    "smic-nir": lambda raw: read_smic(raw / "SMIC_all_cropped" / "NIR", part="NIR", **SMALL),
    "samm": lambda raw: read_samm(raw / "SAMM", **SMALL),
    "casme2": lambda raw: read_casme2(raw / "CASME2" / "Cropped", **SMALL),
    "table": lambda raw: read_clip_table(raw / "MEVIEW" / "meview.csv", frame_rate=100, **SMALL),
}


def assert_same(one: ClipSet, other: ClipSet) -> None:
    for field in fields(ClipSet):
        if field.name != "origin":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    assert one.fingerprint == other.fingerprint
    assert one.origin.items() >= other.origin.items()


def prepared_sets(tmp_path) -> int:
    return len([path for path in (tmp_path / "prepared").iterdir() if path.is_dir()])


# --- read once, drawn once ---------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", REAL)
def test_the_prepared_copy_is_a_fresh_read_and_opens_without_the_pictures(load, raw, dataset, monkeypatch):
    fresh = READ[dataset](raw)
    assert_same(load(dataset), fresh)

    def read_again(*_, **__):
        raise AssertionError("the pictures are read again")

    monkeypatch.setattr(reading, "read_frames", read_again)
    again = load(dataset)
    assert_same(again, fresh)
    assert isinstance(again.clips, np.memmap)
    assert {"file", "bytes", "sha256", "sampling"} <= set(again.origin)


def test_drawn_clips_are_drawn_once_for_the_same_arguments(load, tmp_path, monkeypatch):
    arguments = {"n_subjects": 2, "clips_per_subject": 3, "n_frames": 3, "size": 24, "frame_rate": 20.0}
    direct = generator.synthetic_clips(**arguments, seed=1)
    first = load("synthetic", **DRAWN, seed=1)
    assert_same(first, direct)
    drawn = generator.synthetic_clips
    calls = []

    def counted(**arguments):
        calls.append(arguments)
        return drawn(**arguments)

    monkeypatch.setattr(generator, "synthetic_clips", counted)
    assert_same(load("synthetic", **DRAWN, seed=1), direct)
    assert calls == []
    others = [{"seed": 2}, {"frame_rate": 25.0}, {"n_frames": 4}, {"size": 32}, {"synthetic_subjects": 3}]
    for changed in others:
        load("synthetic", **({**DRAWN, "seed": 1} | changed))
    assert len(calls) == len(others) and prepared_sets(tmp_path) == len(others) + 1


def test_drawn_clips_are_drawn_again_when_their_generator_changed(load, tmp_path, monkeypatch):
    from fer_utils.data.clips import catalogue

    first = load("synthetic", **DRAWN)
    monkeypatch.setattr(catalogue, "_generator_code", lambda: "another")
    second = load("synthetic", **DRAWN)
    assert second.fingerprint == first.fingerprint and second.origin["sha256"] == "another"
    assert prepared_sets(tmp_path) == 2


@pytest.mark.parametrize(
    "option",
    [{"sampling": "first"}, {"n_frames": 3}, {"size": 6}, {"leave_out": ["s1_ne_01"]}],
    ids=lambda option: next(iter(option)),
)
def test_another_option_is_another_prepared_set(load, tmp_path, option):
    load("smic-hs")
    load("smic-hs", **option)
    assert prepared_sets(tmp_path) == 2
    # Neither of these changes what is read.
    load("smic-hs", frame_rate=25.0, seed=3, strict=True, label_set="smic3", synthetic_subjects=9)
    assert prepared_sets(tmp_path) == 2


def test_clips_sampled_otherwise_remember_it_in_the_prepared_copy(load):
    for _ in range(2):
        with pytest.raises(ValueError, match="do not run evenly"):
            _ = load("samm", sampling="first").apex_position
        assert load("samm").apex_position.tolist() == [2, -1]


def test_an_annotation_beside_the_frames_is_part_of_what_is_prepared(load, raw):
    before = load("casme2")
    write_casme2(raw / "again", rows=[CASME2_ROWS[0], [*CASME2_ROWS[1][:8], "surprise"]])
    table = "CASME2-coding-20140508.xlsx"
    (raw / "again" / table).rename(raw / "CASME2" / table)
    after = load("casme2")
    assert [clips.class_names[clips.labels[1]] for clips in (before, after)] == ["others", "surprise"]


def test_a_changed_frame_or_video_is_read_again(load, raw):
    before = load("smic-hs").fingerprint, load("table").fingerprint
    write_frames(raw / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_01", {8: "reg_image8.bmp"}, first_level=9)
    write_frames(raw / "MEVIEW" / "b", {9: "frame9.png"}, first_level=9)
    assert load("smic-hs").fingerprint != before[0] and load("table").fingerprint != before[1]


def test_the_frame_rate_of_a_table_is_that_of_its_pictures_and_noted(load):
    clips = load("table", frame_rate=50.0)
    assert clips.frame_rate.tolist() == [30.0, 30.0, 50.0]
    assert "50 frames per second were given for the clips in pictures" in clips.notes


# --- where they are found ----------------------------------------------------------------------------


def test_of_two_forms_of_smic_the_cropped_one_is_taken(tmp_path, raw):
    write_smic(raw, raw=True)
    assert find_clips("smic-hs", raw) == raw / "SMIC_all_cropped" / "HS"
    assert find_clips("smic-hs", raw / "SMIC_all_raw") == raw / "SMIC_all_raw" / "HS"
    write_smic(tmp_path / "SMIC", raw=True)
    assert find_clips("smic-hs", tmp_path) == tmp_path / "SMIC" / "SMIC_all_raw" / "HS"


def test_the_recordings_of_smic_e_are_found_and_read_with_their_annotation(tmp_path, load):
    write_smic_e(tmp_path / "e", SMIC_E_ROWS)
    assert find_clips("smic-hs", tmp_path / "e") == tmp_path / "e/HS_long/SMIC-HS-E/HS"
    clips = load("smic-hs", data_path=tmp_path / "e")
    assert (clips.name, len(clips)) == ("smic-hs-e", 3)
    assert clip_shortfall(clips) == ""


def test_a_data_set_is_found_in_its_own_folder_and_not_in_that_of_another(raw):
    own = {"smic-vis": "SMIC_all_cropped/VIS", "samm": "SAMM", "casme2": "CASME2/Cropped"}
    for dataset, place in own.items():
        assert find_clips(dataset, raw / place) == raw / place
        for other in set(own) - {dataset}:
            with pytest.raises(MissingData):
                find_clips(other, raw / place)
    for path in (raw, raw / "MEVIEW", raw / "MEVIEW" / "meview.csv"):
        assert find_clips("table", path) == raw / "MEVIEW" / "meview.csv"


@pytest.mark.parametrize("dataset", REAL)
def test_what_is_not_there_is_named_with_every_place(tmp_path, dataset):
    with pytest.raises(MissingData, match="looked for") as caught:
        load_clips(dataset, data_path=tmp_path / "raw", prepared_dir=tmp_path / "prepared")
    part = dataset[5:].upper()
    places = {
        "samm": ["SAMM"],
        "casme2": ["CASME2/Cropped", "CASME II", "CASME2_RAW_selected"],
        "table": ["*.csv", "MEVIEW/*.csv", "clips/*.csv"],
    }.get(dataset, [f"SMIC_all_cropped/{part}", f"SMIC_all_raw/{part}", f"{part}_long", f"SMIC/{part}"])
    for place in places:
        assert str(tmp_path / "raw" / place) in str(caught.value)
    assert not (tmp_path / "prepared").exists()


def test_several_tables_have_to_be_told_apart(raw):
    write_table(raw / "MEVIEW").rename(raw / "MEVIEW" / "a.csv")
    write_table(raw / "MEVIEW")
    with pytest.raises(
        ConfigError, match=r"several tables of clips, a\.csv, meview\.csv; let data_path name one"
    ):
        find_clips("table", raw)
    assert find_clips("table", raw / "MEVIEW" / "a.csv").name == "a.csv"


def test_frames_without_their_annotation_are_an_error_and_not_missing_data(load, raw):
    next((raw / "SAMM").glob("*.xlsx")).unlink()
    with pytest.raises(FileNotFoundError, match="no annotation") as caught:
        load("samm")
    assert not isinstance(caught.value, MissingData)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("smic", {}, "dataset='smic': known are synthetic, smic-hs, smic-vis"),
        ("smic-hs", {"label_set": "fer7"}, "label_set='fer7': use 'own' or 'smic3'"),
        ("smic-hs", {"sampling": "last"}, "sampling='last'"),
    ],
)
def test_names_and_options_that_are_not_known_are_refused(load, dataset, options, message):
    with pytest.raises(ConfigError, match=message):
        load(dataset, **options)


# --- left out, skipped, merged -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "left", "wrong"),
    [
        ("smic-hs", "s1_sur_02", "s1_sur_03"),
        ("samm", "011_2_4", "011_2_5"),
        ("casme2", "sub02/EP02_01f", "sub02/EP02_01"),
        ("table", "b/9-13", "b/9-14"),
        ("synthetic", "synthetic-clip-s000-0001", "synthetic-clip-s000-0009"),
    ],
)
def test_named_clips_are_left_out_of_every_data_set(load, dataset, left, wrong):
    options = DRAWN if dataset == "synthetic" else {}
    every = load(dataset, **options)
    rest = load(dataset, leave_out=[left], **options)
    assert set(every.sample_id) - set(rest.sample_id) == {left}
    assert f"left out on request: {left}" in rest.notes and rest.fingerprint != every.fingerprint
    with pytest.raises(ValueError, match=f"leave_out names {wrong}, .*nearest to '{wrong}' is '"):
        load(dataset, leave_out=[left, wrong], **options)


def test_bad_clips_are_listed_or_an_error_unless_they_are_left_out(load, raw):
    write_frames(raw / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_09", {1: "reg_image1.bmp"})
    why = "s1_ne_09: 1 frame: a movement needs two frames or more"
    for _ in range(2):  # read, then prepared
        assert load("smic-hs").skipped == (why,)
        with pytest.raises(ValueError, match=f"^smic-hs: {why}$"):
            load("smic-hs", strict=True)
    write_frames(raw / "SMIC_all_cropped/HS/s1/micro/positive/s1_ne_08", {1: "reg_image1.bmp"})
    with pytest.raises(ValueError, match=r"^smic-hs: s1_ne_09: .* \(and 1 more\)$"):
        load("smic-hs", strict=True)
    assert len(load("smic-hs", strict=True, leave_out=["s1_ne_08", "s1_ne_09"])) == 3


def test_classes_are_merged_into_smics_three_and_the_rest_is_counted(load):
    for dataset, labels in {"samm": [1], "casme2": [1], "table": [1, 0]}.items():
        clips = load(dataset, label_set="smic3")
        assert clips.class_names == SMIC3 and clips.labels.tolist() == labels
        assert "left out, of classes that have no place in negative, positive, surprise" in clips.notes[-1]
    assert clips.notes[-1].endswith(": bored 1")
    assert_same(load("smic-hs", label_set="smic3"), load("smic-hs"))
    assert load("synthetic", label_set="smic3", **DRAWN).class_names == SMIC3


def test_a_set_of_which_merging_leaves_nothing_says_so(load, raw):
    write_samm(raw / "SAMM", SAMM_ROWS[1:])
    with pytest.raises(ValueError, match=r"label_set='smic3' leaves no clip; 1 of 1 clips left out.*other 1"):
        load("samm", label_set="smic3")


# --- make data ---------------------------------------------------------------------------------------


def test_make_data_describes_every_set_of_clips(raw, capsys, tiny):
    (raw / "holiday").mkdir()
    assert main(["data", str(raw)]) == 0
    out = capsys.readouterr().out
    for text in (
        f"smic-hs: found {raw / 'SMIC_all_cropped' / 'HS'}",
        "state   incomplete: 3 of 164 clips",
        "clips   3 of 2 subjects, 2 of them of s01",
        "note    incomplete: 3 of 164 clips (negative 1 of 70",
        "from    University of Oulu",
        "terms   a licence agreement, signed by a member of the faculty",
        "state   incomplete: 2 of 159 clips",
        "state   incomplete: 2 of 247 clips",
        f"table: found {raw / 'MEVIEW' / 'meview.csv'}",
        "note    100 frames per second were given for the clips in pictures",
        "holiday: not known",
    ):
        assert text in out
    assert out.count("not known") == 1
    for name, count in {"negative": 1, "surprise": 1, "total": 3}.items():
        assert f"{name:<10}{count:>3}" in out


def test_make_data_says_what_was_skipped_and_what_is_damaged(raw, capsys, tiny):
    write_frames(raw / "SMIC_all_cropped/HS/s1/micro/negative/s1_ne_09", {1: "reg_image1.bmp"})
    next((raw / "SAMM").glob("*.xlsx")).write_bytes(b"no workbook")
    assert main(["data", str(raw)]) == 1
    out = capsys.readouterr().out
    assert "state   incomplete: 3 of 164 clips; 1 skipped" in out
    assert "skipped s1_ne_09: 1 frame: a movement needs two frames or more" in out
    assert f"damaged {raw / 'SAMM' / 'SAMM_Micro_FACS_Codes_v2.xlsx'}: not a whole Excel workbook" in out


def test_make_data_of_one_set_of_clips_describes_that_one_alone(raw, capsys, tiny):
    assert main(["data", str(raw / "SMIC_all_cropped" / "VIS")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("smic-vis: found") and "missing" not in out and "not known" not in out
    assert main(["data", str(raw / "MEVIEW" / "meview.csv")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("table: found") and "fer2013" not in out
    assert "state   complete" in out


def test_missing_sets_say_what_to_put_where_from_whom_and_on_what_terms(tmp_path):
    listed = {source.name: source for source in sources(tmp_path)}
    assert set(REAL) < set(listed)
    for source in listed.values():
        assert source.path is None and source.obtained_from and source.terms
        assert str(tmp_path) in source.expected


def test_the_places_and_annotations_of_clips_are_known_names(raw):
    for name in ("SMIC", "HS_long", "CASME II", "clips"):
        (raw / name).mkdir()
    assert unknown_entries(raw) == []
    for place in ("SAMM", "CASME2", "SMIC_all_cropped", "MEVIEW"):
        assert unknown_entries(raw / place) == []
