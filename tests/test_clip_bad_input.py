"""What cannot be used of clips is in one list with its reason, or an error where that is asked for."""

import os
from pathlib import Path

import pytest
from clip_trees import (
    SAMM_ROWS,
    SMALL,
    frame_names,
    ramp,
    write_frames,
    write_samm,
    write_smic,
    write_smic_e,
    write_table,
    write_video,
)
from fer_utils.data.clips.samm import read_samm
from fer_utils.data.clips.smic import read_smic
from fer_utils.data.clips.table import read_clip_table
from PIL import Image

from fer_utils.data.clip_files import Clip, Skipped, to_clipset
from fer_utils.files import ConfigError


def bad_table(root: Path) -> Path:
    """A table of one good clip and one of each kind that cannot be used."""
    good = frame_names("{}.png", range(1, 9))
    for name in ("good", "missing", "sizes", "unreadable", "empty", "huge", "unlisted"):
        write_frames(root / name, good)
    (root / "missing/4.png").unlink()
    Image.new("L", (30, 30)).save(root / "sizes/5.png")
    (root / "unreadable/3.png").write_bytes(b"not a picture")
    (root / "empty/2.png").write_bytes(b"")
    write_video(root / "short.avi", ramp(5))
    (root / "zero.avi").write_bytes(b"")
    (root / "noise.avi").write_bytes(bytes(range(256)) * 8)
    write_frames(root / "names", {1: "1.png", 2: "01.png"})
    write_frames(root / "words", {1: "1.png", 2: "last.png"})
    lines = [f"{name},p1,{times},sad" for name, times in BAD_TIMES.items()]
    return write_table(root, "good,p1,1,8,sad", *lines, "good,,1,4,sad", "good,p1,1,8,sad", "good,p1,2,x,sad")


BAD_TIMES = {
    "missing": "1,8",
    "sizes": "1,8",
    "unreadable": "1,8",
    "empty": "1,8",
    "huge": "1,999999999",
    "short.avi": "2,6",
    "zero.avi": "1,5",
    "noise.avi": "1,5",
    "names": "1,2",
    "words": "1,2",
    "nowhere": "1,8",
    "../outside": "1,8",
}

REASONS = {
    "missing/1-8": "1 of the frames 1-8 are missing, the first is 4",
    "sizes/1-8": "frame 1 has 24x20 pixels and frame 5 has 30x30",
    "unreadable/1-8": "3.png: not a usable picture",
    "empty/1-8": "2.png: an empty file",
    "huge/1-999999999": "999999991 of the frames 1-999999999 are missing, the first is 9",
    "short.avi/2-6": "short.avi: frame 6 of 6 cannot be read",
    "zero.avi/1-5": "zero.avi: an empty file",
    "noise.avi/1-5": "noise.avi: not a video that OpenCV can read",
    "names/1-2": "01.png and 1.png are two pictures of one frame",
    "words/1-2": "the picture last.png is not named",
    "nowhere/1-8": "meview.csv, row 13: there is no nowhere",
    "../outside/1-8": "meview.csv, row 14: there is no ../outside",
    "good/1-4": "no subject is given",
    "good/1-8": "a second clip of this name",
    "good/2-x": "the offset is 'x', not a frame number",
    "unlisted": "meview.csv has no row of it",
}


def test_everything_that_cannot_be_used_is_in_one_list_with_its_reason(tmp_path):
    write_frames(tmp_path / "outside", frame_names("{}.png", range(1, 9)))
    clips = read_clip_table(bad_table(tmp_path / "data"), frame_rate=25, crop_face=False, **SMALL)
    assert clips.sample_id.tolist() == ["good/1-8"]
    assert len(clips.skipped) == len(REASONS)
    for (what, why), text in zip(REASONS.items(), clips.skipped, strict=True):
        assert text.startswith(what) and why in text


def test_under_strict_the_first_that_cannot_be_used_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"^meview: missing/1-8.* the first is 4$"):
        read_clip_table(bad_table(tmp_path / "data"), frame_rate=25, strict=True)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ("5,4", "the onset 5 is after the offset 4"),
        ("4,4", "1 frame: a movement needs two frames or more"),
        ("0,4", "frame 0: the first frame of a video is number 1"),
        ("-1,4", "the onset is '-1', not a frame number"),
        (",4", "the onset is '', not a frame number"),
    ],
)
def test_times_that_make_no_clip_are_told(tmp_path, times, reason):
    write_video(tmp_path / "a.avi", ramp(5))
    table = write_table(tmp_path, "a.avi,p1,1,5,sad", f"a.avi,p1,{times},sad")
    (problem,) = read_clip_table(table, crop_face=False, **SMALL).skipped
    assert reason in problem


def test_what_only_annotation_or_folder_has_is_listed(tmp_path):
    rows = [*SAMM_ROWS[:1], ["012", "012_3_1", 1, 3, 4, 9, 7, "Micro", "4", "Anger", 2, None]]
    clips = read_samm(write_samm(tmp_path, rows), **SMALL)
    assert clips.skipped == (
        "012_3_1: SAMM_Micro_FACS_Codes_v2.xlsx, row 16: there is no 012_3_1",
        "011_2_4: SAMM_Micro_FACS_Codes_v2.xlsx has no row of it",
    )
    with pytest.raises(ValueError, match="samm: 012_3_1"):
        read_samm(tmp_path, strict=True, **SMALL)


def test_smic_lists_what_is_misplaced_misnamed_or_of_one_frame(tmp_path):
    place = write_smic(tmp_path)
    three = frame_names("reg_image{}.bmp", (1, 2, 3))
    write_frames(place / "s1/micro/positive/s1_ne_07", three)
    write_frames(place / "s1/micro/positive/s2_po_01", three)
    write_frames(place / "s1/micro/positive/s1_happy_01", three)
    write_frames(place / "s1/micro/positive/s1_po_08", {1: "reg_image1.bmp"})
    write_frames(place / "s1/micro/positive/s1_po_09", {1: "reg_image1.bmp", 3: "reg_image3.bmp"})
    (place / "s1/micro/positive/s1_po_10").mkdir()
    clips = read_smic(tmp_path, **SMALL)
    assert len(clips) == 3
    assert clips.skipped == (
        "s1_happy_01: not named like s1_ne_01 (subject; ne, po or sur; number)",
        "s1_ne_07: lies in s1/micro/positive/, which is not what its name says",
        "s1_po_08: 1 frame: a movement needs two frames or more",
        "s1_po_09: 1 of the frames 1-3 are missing, the first is 2",
        "s1_po_10: the folder has no pictures",
        "s2_po_01: lies in s1/micro/positive/, which is not what its name says",
    )


def test_smic_e_lists_recordings_without_times_or_row_or_folder(tmp_path):
    rows = [
        [1, "s1_ne_01", "negative", 99, "missing", None, None, None],
        [2, "s2_ne_01", "negative", 99, 103, None, None, None],
        [2, "s2_xy_01", "negative", 99, 103, None, None, None],
        [11, "s11_po_02", "positive", 10, 18, 16, 99, None],
    ]
    clips = read_smic(write_smic_e(tmp_path, rows), **SMALL)
    assert clips.sample_id.tolist() == ["s11_po_02"]
    assert clips.skipped == tuple(
        f"{name}: SMIC-HS-E_annotation.xlsx, row {row}: {why}"
        for name, row, why in (
            ("s1_ne_01", 2, "the offset is 'missing', not a frame number"),
            ("s2_ne_01", 3, "there is no s2_ne_01"),
            ("s2_xy_01", 4, "not named like s1_ne_01 (subject; ne, po or sur; number)"),
            ("s11_po_02_2", 5, "70 of the frames 16-99 are missing, the first is 30"),
        )
    )


def test_names_that_are_not_utf8_are_listed_in_letters_that_can_be_written(tmp_path):
    place = os.fsencode(write_smic(tmp_path)) + b"/s1/micro/negative/s1_po_\xe9"
    os.mkdir(place)
    clips = read_smic(tmp_path, **SMALL)
    (problem,) = clips.skipped
    assert problem.startswith("s1_po_\\udce9: not named like")
    problem.encode("utf-8")


def test_a_clip_whose_own_name_is_not_utf8_is_skipped():
    clip = Clip("s1_\udce9", "s1", "sad", (), 25.0, 1, None, 2)
    with pytest.raises(ValueError, match=r"s1_\\udce9: the name is not UTF-8"):
        to_clipset([clip], name="x", class_names=("sad",), strict=True)


def test_where_no_clip_is_left_the_first_reason_is_told():
    with pytest.raises(ValueError, match=r"^x: no clip could be read; a: gone$"):
        to_clipset([Skipped("a", "gone"), Skipped("b", "too")], name="x", class_names=("sad",))
    with pytest.raises(ValueError, match="there are none"):
        to_clipset([], name="x", class_names=("sad",))


@pytest.mark.parametrize("option", [{"sampling": "last"}, {"n_frames": 1}, {"size": 0}])
def test_options_that_cannot_be_used_are_named_before_anything_is_read(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        to_clipset(iter([Skipped("a", "gone")]), name="x", class_names=("sad",), strict=True, **option)


def test_clips_are_read_one_at_a_time(tmp_path):
    write_frames(tmp_path, frame_names("{}.png", (1, 2)))
    read = []

    def clips():
        for number in range(3):
            read.append(number)
            yield Clip(f"c{number}", "p", "sad", (tmp_path / "1.png", tmp_path / "2.png"), 25.0, 1, None, 2)
            (tmp_path / "2.png").write_bytes(b"")  # by now the clip before has been read

    result = to_clipset(clips(), name="x", class_names=("sad",), **SMALL)
    assert read == [0, 1, 2]
    assert result.sample_id.tolist() == ["c0"]
