"""Clips are read from the layouts in which SMIC, SAMM, CASME II and others are distributed."""

import cv2
import numpy as np
import pytest
from clip_trees import (
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
from fer_utils.data.clips.casme2 import read_casme2
from fer_utils.data.clips.samm import SAMM8, read_samm
from fer_utils.data.clips.smic import HS_CLIPS, HS_SUBJECTS, SMIC3, read_smic
from fer_utils.data.clips.table import read_clip_table
from PIL import Image

from fer_utils.data import NO_APEX
from fer_utils.files import ConfigError
from fer_utils.synthetic import synthetic_faces


def levels(clips, clip_id):
    """Mean brightness of each frame of one clip: the trees here brighten by one from frame to frame."""
    return clips.clips[clips.sample_id.tolist().index(clip_id)].mean(axis=(1, 2)).round(1).tolist()


# SMIC


@pytest.mark.parametrize("raw", [False, True], ids=["cropped", "raw"])
def test_smic_is_read_from_folders_of_classes(tmp_path, raw):
    write_smic(tmp_path, raw=raw)
    clips = read_smic(tmp_path, **SMALL, strict=True)
    assert (clips.name, clips.source, clips.class_names) == ("smic-hs", "real", SMIC3)
    assert clips.sample_id.tolist() == ["s1_ne_01", "s1_sur_02", "s11_po_01"]
    assert clips.subject.tolist() == ["s01", "s01", "s11"]
    assert [SMIC3[label] for label in clips.labels] == ["negative", "surprise", "positive"]
    assert set(clips.frame_rate) == {100.0}
    assert (set(clips.onset), set(clips.apex), set(clips.offset)) == ({8}, {NO_APEX}, {12})
    assert clips.clips.shape == (3, 5, 8, 8)
    assert levels(clips, "s1_ne_01") == [100, 101, 102, 103, 104]
    assert clips.origin["form"] == ("raw" if raw else "cropped")
    assert clips.skipped == ()


def test_frames_under_uneven_padding_are_in_the_order_of_their_numbers(tmp_path):
    folder = write_smic(tmp_path) / "s1/micro/negative/s1_ne_02"
    write_frames(folder, {number: f"reg_image{number:0{number % 3}d}.bmp" for number in range(8, 13)})
    assert levels(read_smic(tmp_path, **SMALL), "s1_ne_02") == [100, 101, 102, 103, 104]


def test_the_first_frames_in_the_order_of_names_are_taken_by_that_option(tmp_path):
    folder = write_smic(tmp_path) / "s1/micro/negative/s1_ne_02"
    write_frames(folder, frame_names("reg_image{}.bmp", range(8, 13)))  # 10, 11, 12, 8, 9 in that order
    clips = read_smic(tmp_path, size=8, n_frames=4, sampling="first")
    assert levels(clips, "s1_ne_02") == [102, 103, 104, 100]
    assert clips.origin["sampling"] == "first"
    assert "the first 4 frames in the order of their names, not onset to offset" in clips.notes


def test_longer_and_shorter_clips_get_the_same_length_and_short_ones_are_named(tmp_path):
    folder = write_smic(tmp_path) / "s1/micro/negative/s1_ne_02"
    write_frames(folder, frame_names("reg_image{}.bmp", (3, 4)))
    clips = read_smic(tmp_path, size=8, n_frames=3)
    assert levels(clips, "s1_ne_01") == [100, 102, 104]
    assert levels(clips, "s1_ne_02") == [100, 100, 101]
    assert "1 of 4 clips have fewer than 3 frames; those between were interpolated: s1_ne_02" in clips.notes


@pytest.mark.parametrize("part", ["VIS", "NIR"])
def test_the_slower_cameras_have_25_frames_per_second(tmp_path, part):
    write_smic(tmp_path, part)
    clips = read_smic(tmp_path, part=part, **SMALL)
    assert clips.name == f"smic-{part.lower()}"
    assert set(clips.frame_rate) == {25.0}


def test_the_folder_of_one_form_or_of_one_part_will_do_as_well(tmp_path):
    place = write_smic(tmp_path)
    whole = read_smic(tmp_path, **SMALL)
    for path in (place.parent, place):
        assert read_smic(path, **SMALL).fingerprint == whole.fingerprint


def test_two_forms_in_one_folder_have_to_be_told_apart(tmp_path):
    write_smic(tmp_path)
    write_smic(tmp_path, raw=True)
    with pytest.raises(ValueError, match=r"more than one form.*SMIC_all_cropped/HS.*SMIC_all_raw/HS"):
        read_smic(tmp_path)


def test_another_part_or_no_part_is_not_taken_for_the_one_that_was_asked_for(tmp_path):
    place = write_smic(tmp_path, "VIS")
    with pytest.raises(ValueError, match="is part VIS, not HS"):
        read_smic(place)
    with pytest.raises(ValueError, match=r"no folder s1, s2 .* in SMIC_all_cropped/HS"):
        read_smic(tmp_path)
    with pytest.raises(ConfigError, match="part='hs': use 'HS' or 'VIS' or 'NIR'"):
        read_smic(tmp_path, part="hs")
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        read_smic(tmp_path / "nowhere")


def test_a_part_of_smic_says_what_it_lacks(tmp_path):
    write_smic(tmp_path)
    note = next(note for note in read_smic(tmp_path, **SMALL).notes if note.startswith("incomplete"))
    assert "3 of 164 clips (negative 1 of 70, positive 1 of 51, surprise 1 of 43)" in note
    assert "no clip of s02, s03" in note and "none of s07, s10, s16 and s17 either" in note


def test_the_whole_of_smic_is_complete(tmp_path):
    places = [(subject, code) for subject in HS_SUBJECTS for code in ("ne", "po", "sur")]
    classes = dict(zip(("ne", "po", "sur"), SMIC3, strict=True))
    left = dict(HS_CLIPS)
    number = 0
    while any(left.values()):
        subject, code = places[number % len(places)]
        number += 1
        if left[classes[code]]:
            left[classes[code]] -= 1
            short = f"s{int(subject[1:])}"
            folder = tmp_path / f"HS/{short}/micro/{classes[code]}/{short}_{code}_{number:02d}"
            write_frames(folder, frame_names("reg_image{}.bmp", (1, 2)))
    clips = read_smic(tmp_path, size=8, n_frames=2, strict=True)
    assert clips.counts()["total"].tolist() == [70, 51, 43, 164]
    assert len(set(clips.subject)) == 16
    assert not [note for note in clips.notes if "incomplete" in note]


def test_named_clips_are_left_out(tmp_path):
    write_smic(tmp_path)
    clips = read_smic(tmp_path, leave_out=["s1_sur_02"], **SMALL)
    assert clips.sample_id.tolist() == ["s1_ne_01", "s11_po_01"]
    assert "left out on request: s1_sur_02" in clips.notes
    with pytest.raises(ValueError, match="leave_out names s9_ne_01, which the data set does not have"):
        read_smic(tmp_path, leave_out=["s9_ne_01"])


def test_smic_e_is_read_from_its_recordings_with_second_movements(tmp_path):
    clips = read_smic(write_smic_e(tmp_path, SMIC_E_ROWS), **SMALL, strict=True)
    assert clips.name == "smic-hs-e"
    assert clips.sample_id.tolist() == ["s1_ne_01", "s1_ne_01_2", "s11_po_02"]
    assert clips.subject.tolist() == ["s01", "s01", "s11"]
    assert clips.labels.tolist() == [0, 0, 1]
    assert (clips.onset.tolist(), clips.offset.tolist()) == ([99, 110, 10], [103, 114, 18])
    assert levels(clips, "s1_ne_01") == [101, 102, 103, 104, 105]
    assert levels(clips, "s1_ne_01_2") == [112, 113, 114, 115, 116]
    assert levels(clips, "s11_po_02") == [105, 107, 109, 111, 113]
    assert set(clips.apex) == {NO_APEX}


def test_the_annotation_of_smic_e_may_lie_beside_the_recordings(tmp_path):
    write_smic_e(tmp_path, SMIC_E_ROWS, table="SMIC-HS-E/SMIC-HS-E_annotation.xlsx")
    assert len(read_smic(tmp_path / "HS_long" / "SMIC-HS-E", **SMALL)) == 3


def test_smic_e_without_its_annotation_cannot_be_read(tmp_path):
    write_frames(tmp_path / "SMIC-HS-E/HS/s01/s1_ne_01", frame_names("image{}.jpg", range(5)))
    with pytest.raises(FileNotFoundError, match=r"no annotation .*SMIC.*HS"):
        read_smic(tmp_path)


# SAMM


def test_samm_is_read_below_thirteen_rows_of_explanations(tmp_path):
    clips = read_samm(write_samm(tmp_path), crop_face=False, **SMALL, strict=True)
    assert (clips.name, clips.class_names) == ("samm", SAMM8)
    assert clips.sample_id.tolist() == ["006_1_2", "011_2_4"]
    assert clips.subject.tolist() == ["006", "011"]
    assert [SAMM8[label] for label in clips.labels] == ["happy", "other"]
    assert (clips.onset.tolist(), clips.offset.tolist()) == ([5562, 30], [5570, 34])
    assert clips.apex.tolist() == [5566, NO_APEX]
    assert clips.apex_position.tolist() == [2, NO_APEX]
    assert set(clips.frame_rate) == {200.0}
    assert levels(clips, "006_1_2") == [102, 104, 106, 108, 110]
    assert "1 of 2 clips have no apex between onset and offset in the annotation: 011_2_4" in clips.notes


def test_subjects_that_excel_made_numbers_get_their_zeros_back(tmp_path):
    rows = [[6, *SAMM_ROWS[0][1:]], [11, *SAMM_ROWS[1][1:]]]
    assert read_samm(write_samm(tmp_path, rows), **SMALL).subject.tolist() == ["006", "011"]


def test_an_apex_outside_its_clip_is_none(tmp_path):
    rows = [[*SAMM_ROWS[0][:4], 5571, *SAMM_ROWS[0][5:]], SAMM_ROWS[1]]
    assert read_samm(write_samm(tmp_path, rows), **SMALL).apex.tolist() == [NO_APEX, NO_APEX]


# CASME II


@pytest.mark.parametrize("prefix", ["img", "reg_img"], ids=["raw", "cropped"])
def test_casme2_is_read_with_a_slash_for_an_apex(tmp_path, prefix):
    clips = read_casme2(write_casme2(tmp_path, prefix=prefix), **SMALL, strict=True)
    assert clips.name == "casme2"
    assert clips.sample_id.tolist() == ["sub01/EP02_01f", "sub02/EP02_01f"]
    assert clips.subject.tolist() == ["sub01", "sub02"]
    assert [clips.class_names[label] for label in clips.labels] == ["happy", "others"]
    assert clips.onset.tolist() == [46, 3] and clips.offset.tolist() == [86, 11]
    assert clips.apex.tolist() == [59, NO_APEX]
    assert set(clips.frame_rate) == {200.0}
    assert levels(clips, "sub02/EP02_01f") == [102, 104, 106, 108, 110]
    assert clips.origin["form"] == ("raw" if prefix == "img" else "cropped")


def test_the_annotation_may_lie_beside_the_folder_of_frames(tmp_path):
    write_casme2(tmp_path / "Cropped", prefix="reg_img")
    (tmp_path / "Cropped/CASME2-coding-20140508.xlsx").rename(tmp_path / "CASME2-coding-20140508.xlsx")
    assert len(read_casme2(tmp_path / "Cropped", **SMALL)) == 2


# a table beside videos and folders


def test_videos_are_read_from_onset_to_offset_counted_from_one(tmp_path):
    write_video(tmp_path / "videos" / "a.avi", ramp(), rate=30)
    table = write_table(tmp_path, "videos/a.avi,p1,3,7,Happiness", "videos/a.avi,p1,8,12,fear")
    clips = read_clip_table(table, crop_face=False, **SMALL, strict=True)
    assert (clips.name, clips.class_names) == ("meview", ("fear", "happy"))
    assert clips.sample_id.tolist() == ["videos/a.avi/3-7", "videos/a.avi/8-12"]
    assert clips.subject.tolist() == ["p1", "p1"]
    assert clips.labels.tolist() == [1, 0]
    assert clips.frame_rate.tolist() == [30.0, 30.0]
    np.testing.assert_allclose(levels(clips, "videos/a.avi/3-7"), 60 + 8 * np.arange(3, 8), atol=2)
    np.testing.assert_allclose(levels(clips, "videos/a.avi/8-12"), 60 + 8 * np.arange(8, 13), atol=2)


def test_folders_of_pictures_need_a_frame_rate(tmp_path):
    write_frames(tmp_path / "b", frame_names("frame{}.png", range(9, 14)))
    table = write_table(tmp_path, "b,p1,9,13,sad,11", header="clip,subject,onset,offset,emotion,apex")
    clips = read_clip_table(table, frame_rate=50, crop_face=False, **SMALL, strict=True)
    assert levels(clips, "b/9-13") == [100, 101, 102, 103, 104]
    assert (clips.frame_rate.tolist(), clips.apex.tolist()) == ([50.0], [11])
    with pytest.raises(ValueError, match=r"^meview: b/9-13: .*give frame_rate$"):
        read_clip_table(table, strict=True)


def test_classes_that_are_not_asked_for_are_skipped(tmp_path):
    write_frames(tmp_path / "b", frame_names("{}.png", range(9)))
    table = write_table(tmp_path, "b,p1,0,4,sad", "b,p1,5,8,anger")
    clips = read_clip_table(table, class_names=("angry",), frame_rate=25, **SMALL)
    assert clips.sample_id.tolist() == ["b/5-8"]
    assert clips.skipped == ("b/0-4: its class is 'sad', not one of angry",)


def test_pictures_are_turned_upright_as_exif_says(tmp_path):
    picture = Image.fromarray(np.vstack([np.full((12, 24), 200), np.full((12, 24), 40)]).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for number in (1, 2):
        (tmp_path / "b").mkdir(exist_ok=True)
        picture.save(tmp_path / "b" / f"{number}.jpg", exif=exif)
    clips = read_clip_table(write_table(tmp_path, "b,p1,1,2,sad"), frame_rate=25, crop_face=False, **SMALL)
    assert clips.clips[0, 0, 0].mean() < 60 and clips.clips[0, 0, -1].mean() > 180


def filmed_face(shift: int) -> np.ndarray:
    face = synthetic_faces(n_subjects=4, images_per_subject=7, size=96).images[0]
    frame = np.full((240, 320), 128, dtype=np.uint8)
    frame[60:180, 100 + shift : 220 + shift] = cv2.resize(face, (120, 120))
    return frame


def test_the_face_of_the_first_frame_is_the_crop_of_the_whole_clip(tmp_path):
    write_video(tmp_path / "a.avi", np.stack([filmed_face(shift) for shift in (0, 3, 6)]))
    table = write_table(tmp_path, "a.avi,p1,1,3,sad")
    cropped = read_clip_table(table, size=64, n_frames=3).clips[0].astype(int)
    whole = read_clip_table(table, size=64, n_frames=3, crop_face=False).clips[0].astype(int)
    assert (whole[:, :4] == whole[0, 0, 0]).all()  # the wall above the face
    assert cropped[0, :4].std() > 5
    # The face moves in the crop, which does not follow it: some 5 of 64 pixels in 6 of about 80.
    shifted = {shift: abs(cropped[0, :, : 64 - shift] - cropped[2, :, shift:]).mean() for shift in range(10)}
    assert min(shifted, key=shifted.get) in (4, 5, 6)


def test_without_a_face_the_whole_frames_are_taken_and_a_note_says_so(tmp_path):
    write_video(tmp_path / "a.avi", ramp(5))
    clips = read_clip_table(write_table(tmp_path, "a.avi,p1,1,5,sad"), **SMALL)
    assert "1 of 1 clips show the detector no face and are whole frames: a.avi/1-5" in clips.notes


def test_a_table_is_checked_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"meview.csv, line 1: no column onset, emotion in the header"):
        read_clip_table(write_table(tmp_path, header="clip,subject,offset"))
    path = write_table(tmp_path)
    path.write_bytes("clip,subject,onset,offset,emotion\nb,J\xf6rg,1,2,sad\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"meview.csv: not UTF-8"):
        read_clip_table(path)
    with pytest.raises(FileNotFoundError):
        read_clip_table(tmp_path / "nowhere.csv")


def test_a_table_with_a_byte_order_mark_is_read_like_one_without(tmp_path):
    write_frames(tmp_path / "b", frame_names("{}.png", range(9)))
    table = write_table(tmp_path, "b,p1,0,4,sad")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(read_clip_table(table, frame_rate=25, **SMALL)) == 1
