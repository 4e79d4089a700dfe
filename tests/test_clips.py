"""Clips are read from the layouts of SMIC, SAMM, CASME II and tables; what cannot be used is listed."""

import os

import cv2
import numpy as np
import pytest
from clip_trees import (
    CASME2_ROWS,
    SAMM_HEADER,
    SAMM_ROWS,
    SMIC_E_ROWS,
    frame_names,
    load,
    ramp,
    write_casme2,
    write_frames,
    write_samm,
    write_smic,
    write_smic_e,
    write_table,
    write_video,
    write_workbook,
)
from PIL import Image

from fer_utils.data import NO_APEX, MissingData
from fer_utils.data.clip_files import resample
from fer_utils.files import ConfigError
from fer_utils.labels import SMIC3
from fer_utils.synthetic import synthetic_faces


def levels(clips, clip_id):
    """Mean brightness of each frame of one clip: the trees here brighten by one from frame to frame."""
    return clips.clips[clips.sample_id.tolist().index(clip_id)].mean(axis=(1, 2)).round(1).tolist()


@pytest.mark.parametrize("raw", [False, True], ids=["cropped", "raw"])
def test_smic_is_read_from_folders_of_classes(tmp_path, raw):
    write_smic(tmp_path, raw=raw)
    clips = load(tmp_path, "smic-hs", tmp_path, strict=True)
    assert (clips.name, clips.source, clips.class_names) == ("smic-hs", "real", SMIC3)
    assert clips.sample_id.tolist() == ["s1_ne_01", "s1_sur_02", "s11_po_01"]
    assert clips.subject.tolist() == ["s01", "s01", "s11"]
    assert [SMIC3[label] for label in clips.labels] == ["negative", "surprise", "positive"]
    times = zip(clips.frame_rate, clips.onset, clips.apex, clips.offset, strict=True)
    assert {*times} == {(100.0, 8, NO_APEX, 12)}
    assert levels(clips, "s1_ne_01") == [100, 101, 102, 103, 104]
    assert clips.origin["form"] == ("raw" if raw else "cropped")
    assert "incomplete: 3 of 164 clips" in clips.notes


def test_frames_are_sorted_as_numbers_or_by_name_and_resampled(tmp_path):
    folder = write_smic(tmp_path) / "s1/micro/negative/s1_ne_02"
    write_frames(folder, frame_names("reg_image{}.bmp", range(8, 13)))  # as names 10, 11, 12, 8, 9
    write_frames(folder.with_name("s1_ne_03"), frame_names("reg_image{}.bmp", (3, 4)))
    clips = load(tmp_path, "smic-hs", tmp_path, n_frames=3)
    assert levels(clips, "s1_ne_02") == [100, 102, 104]
    assert levels(clips, "s1_ne_03") == [100, 100, 101]
    assert any("have fewer than 3 frames" in note and "s1_ne_03" in note for note in clips.notes)
    first = load(tmp_path, "smic-hs", tmp_path, n_frames=4, sampling="first")
    assert levels(first, "s1_ne_02") == [102, 103, 104, 100]
    assert first.apex_position.tolist() == [NO_APEX] * len(first)


def test_smic_e_is_read_from_its_recordings_with_second_movements(tmp_path):
    rows = [
        *SMIC_E_ROWS,
        [1, "s1_ne_03", "negative", 99, "missing", None, None, None],
        [2, "s2_xy_01", "negative", 99, 103, None, None, None],
    ]
    clips = load(tmp_path, "smic-hs", write_smic_e(tmp_path / "raw", rows))
    assert (clips.name, clips.labels.tolist()) == ("smic-hs-e", [0, 0, 1])
    assert clips.sample_id.tolist() == ["s1_ne_01", "s1_ne_01_2", "s11_po_02"]
    assert (clips.onset.tolist(), clips.offset.tolist()) == ([99, 110, 10], [103, 114, 18])
    assert levels(clips, "s1_ne_01_2") == [112, 113, 114, 115, 116]
    skipped = [text.split(": ")[:2] for text in clips.skipped]
    table = "SMIC-HS-E_annotation.xlsx"
    assert skipped == [["s1_ne_03", f"{table}, row 4"], ["s2_xy_01", f"{table}, row 5"]]


def test_smic_lists_what_is_misplaced_misnamed_or_incomplete(tmp_path):
    positive = write_smic(tmp_path) / "s1/micro/positive"
    three = frame_names("reg_image{}.bmp", (1, 2, 3))
    for name in ("s1_ne_07", "s2_po_01", "s1_happy_01"):
        write_frames(positive / name, three)
    write_frames(positive / "s1_po_08", {1: "reg_image1.bmp"})
    write_frames(positive / "s1_po_09", {1: "reg_image1.bmp", 3: "reg_image3.bmp"})
    (positive / "s1_po_10").mkdir()
    os.mkdir(os.fsencode(positive) + b"/s1_po_\xe9")
    clips = load(tmp_path, "smic-hs", tmp_path)
    assert len(clips) == 3
    for name, why in {
        "s1_happy_01": "not named like",
        "s1_ne_07": "folder says positive, name says negative",
        "s1_po_08": "two frames or more",
        "s1_po_09": "the first is 2",
        "s1_po_10": "no images",
        "s2_po_01": "folder says 1, name says 2",
        "s1_po_\\udce9": "not named like",
    }.items():
        assert any(text.startswith(f"{name}: ") and why in text for text in clips.skipped)
    assert len(clips.skipped) == 7
    with pytest.raises(ValueError, match=r"^smic-hs: s1_happy_01: .* \(and 6 more\)"):
        load(tmp_path, "smic-hs", tmp_path, strict=True)


def test_samm_is_read_below_thirteen_rows_of_explanations(tmp_path):
    clips = load(tmp_path, "samm", write_samm(tmp_path / "SAMM"), strict=True)
    assert (clips.sample_id.tolist(), clips.subject.tolist()) == (["006_1_2", "011_2_4"], ["006", "011"])
    assert [clips.class_names[label] for label in clips.labels] == ["happy", "other"]
    assert (clips.onset.tolist(), clips.offset.tolist()) == ([5562, 30], [5570, 34])
    assert (clips.apex.tolist(), clips.apex_position.tolist()) == ([5566, NO_APEX], [2, NO_APEX])
    assert set(clips.frame_rate) == {200.0} and levels(clips, "006_1_2") == [102, 104, 106, 108, 110]
    assert any("no apex" in note and "011_2_4" in note for note in clips.notes)


def test_samm_subjects_must_agree_in_cells_folders_and_names(tmp_path):
    numbers = [[6, *SAMM_ROWS[0][1:]], [11, *SAMM_ROWS[1][1:]]]  # as Excel makes them of 006 and 011
    assert load(tmp_path, "samm", write_samm(tmp_path / "a", numbers)).subject.tolist() == ["006", "011"]
    cells = [(None, "011_2_4"), ("006", "011_2_5"), ("012", "012_3_1"), ("006", "006_1_3")]
    root = write_samm(tmp_path / "b", [SAMM_ROWS[0], *([*two, *SAMM_ROWS[1][2:]] for two in cells)])
    for place in ("011/011_2_5", "007/007_1_1", "006/006_1_3"):
        write_frames(root / place, frame_names("011_{:04d}.jpg", range(28, 36)))
    clips = load(tmp_path, "samm", root)
    assert clips.sample_id.tolist() == ["006_1_2"]
    skipped = dict(text.split(": ", 1) for text in clips.skipped)
    for name, problem in {
        "011_2_4": "SAMM_Micro_FACS_Codes_v2.xlsx, row 16: no subject is given",
        "011_2_5": "there is no 006/011_2_5; did you mean '011/011_2_5'?",
        "012_3_1": "there is no 012/012_3_1",
        "006_1_3": "011_0028.jpg is not named 006_<number>",
        "007/007_1_1": "has no row",
    }.items():
        assert problem in skipped[name]


def test_a_workbook_is_refused_where_it_is_not_clear_what_it_says(tmp_path):
    root = write_samm(tmp_path / "SAMM")
    table = root / "SAMM_Micro_FACS_Codes_v2.xlsx"
    odd = ["Sub\u200bject", "FILENAME ", "Code", "Onset\nFrame", "Apex\u00a0Frame", *SAMM_HEADER[5:]]
    computed = [[*row[:3], f"={row[3]}", *row[4:]] for row in SAMM_ROWS[1:]]
    write_workbook(table, {"MICRO_ONLY": [odd, SAMM_ROWS[0], *computed]})
    clips = load(tmp_path, "samm", root)
    assert clips.sample_id.tolist() == ["006_1_2"]
    assert "011_2_4: SAMM_Micro_FACS_Codes_v2.xlsx, row 3: the onset is 'a formula" in clips.skipped[0]
    sheet = [[*SAMM_HEADER, "subject "], *([*row, "006"] for row in SAMM_ROWS)]
    write_workbook(table, {"MICRO_ONLY": sheet})
    with pytest.raises(ValueError, match="more than one column Subject"):
        load(tmp_path, "samm", root)
    write_workbook(table, {"other": sheet})
    with pytest.raises(ValueError, match=r"v2\.xlsx: .*MICRO_ONLY"):
        load(tmp_path, "samm", root)
    write_workbook(table.with_name("SAMM_FACS_Codes (1).xlsx"), {"MICRO_ONLY": sheet})
    with pytest.raises(ConfigError, match=r"Codes \(1\)\.xlsx, SAMM_Micro_FACS_Codes_v2\.xlsx may each"):
        load(tmp_path, "samm", root)
    for file in root.glob("*.xlsx"):
        file.rename(file.with_suffix(".xls"))
    with pytest.raises(FileNotFoundError, match=r"_v2\.xls; a table of another kind: save it as \.xlsx"):
        load(tmp_path, "samm", root)


@pytest.mark.parametrize("prefix", ["img", "reg_img"], ids=["raw", "cropped"])
def test_casme2_is_read_with_a_slash_for_an_apex(tmp_path, prefix):
    root = write_casme2(tmp_path / "CASME2" / "Cropped", prefix=prefix)
    clips = load(tmp_path, "casme2", root, strict=True)
    assert clips.sample_id.tolist() == ["sub01/EP02_01f", "sub02/EP02_01f"]
    assert clips.subject.tolist() == ["sub01", "sub02"]
    assert [clips.class_names[label] for label in clips.labels] == ["happy", "others"]
    assert [*zip(clips.onset, clips.offset, clips.apex, strict=True)] == [(46, 86, 59), (3, 11, NO_APEX)]
    assert levels(clips, "sub02/EP02_01f") == [102, 104, 106, 108, 110]
    assert clips.origin["form"] == ("raw" if prefix == "img" else "cropped")


def test_an_annotation_beside_the_frames_is_part_of_what_is_prepared(tmp_path):
    table, root = "CASME2-coding-20140508.xlsx", tmp_path / "CASME2"
    for emotion in ("others", "surprise"):
        rows = [CASME2_ROWS[0], [*CASME2_ROWS[1][:8], emotion]]
        write_casme2(root / "Cropped", prefix="reg_img", rows=rows)
        (root / "Cropped" / table).rename(root / table)
        clips = load(tmp_path, "casme2", tmp_path)
        assert clips.class_names[clips.labels[1]] == emotion
    (root / table).unlink()
    with pytest.raises(FileNotFoundError, match="no annotation") as caught:
        load(tmp_path, "casme2", tmp_path)
    assert not isinstance(caught.value, MissingData)


def test_videos_are_read_from_onset_to_offset_and_images_need_a_rate(tmp_path):
    write_video(tmp_path / "raw" / "videos" / "a.avi", ramp(), rate=30)
    write_frames(tmp_path / "raw" / "b", frame_names("frame{}.png", range(9, 14)))
    header = "clip,subject,onset,offset,emotion,apex"
    rows = ("videos/a.avi,p1,3,7,Happiness,", "videos/a.avi,p1,8,12,fear,", "b,p1,9,13,sad,11")
    clips = load(tmp_path, "table", write_table(tmp_path / "raw", *rows, header=header), frame_rate=50.0)
    assert (clips.name, clips.class_names) == ("meview", ("fear", "happy", "sad"))
    assert clips.sample_id.tolist() == ["videos/a.avi/3-7", "videos/a.avi/8-12", "b/9-13"]
    assert (clips.frame_rate.tolist(), clips.apex.tolist()) == ([30.0, 30.0, 50.0], [NO_APEX, NO_APEX, 11])
    np.testing.assert_allclose(levels(clips, "videos/a.avi/8-12"), 60 + 8 * np.arange(8, 13), atol=2)
    assert "50 frames per second were given for the clips in images" in clips.notes
    assert load(tmp_path, "table", tmp_path / "raw", frame_rate=25.0).frame_rate.tolist()[2] == 25.0


BAD_CLIPS = {
    "missing,p1,1,8,sad": "missing, the first is 4",
    "sizes,p1,1,8,sad": "frame 1 has 24x20 pixels and frame 5 has 30x30",
    "unreadable,p1,1,8,sad": "3.png: not a usable image",
    "short.avi,p1,2,6,sad": "frame 6 of 6 cannot be read",
    "short.avi,p1,0,4,sad": "the first frame of a video is number 1",
    "noise.avi,p1,1,5,sad": "not a video that OpenCV can read",
    "names,p1,1,2,sad": "two images of one frame",
    "words,p1,1,2,sad": "last.png is not named",
    "nowhere,p1,1,8,sad": "row 11: there is no nowhere",
    "../outside,p1,1,8,sad": "row 12: ../outside lies outside the folder raw",
    "good,,1,4,sad": "no subject is given",
    "good,p1,1,8,sad": "a second clip of this name",
    "good,p1,2,x,sad": "the offset is 'x'",
    "good,p1,5,4,sad": "the onset 5 is after the offset 4",
    "two,p1,1,4,sad": "images of several clips: a1.png, b2.png",
    "phone,p1,1,4,sad": "phone is no clip; found 1.heic; a HEIF or AVIF image: save it as JPEG",
    "SHORT.avi,p1,1,4,sad": "there is no SHORT.avi; did you mean 'short.avi'?",
    "/short.avi,p1,1,4,sad": "/short.avi lies outside the folder raw",
    "note.doc,p1,1,4,sad": "row 21: note.doc is no clip; found note.doc; read are .avi",
}


def test_everything_that_cannot_be_used_is_listed_with_its_reason(tmp_path):
    root, good = tmp_path / "raw", frame_names("{}.png", range(1, 9))
    for name in ("good", "missing", "sizes", "unreadable", "unlisted", "../outside"):
        write_frames(root / name, good)
    (root / "missing/4.png").unlink()
    Image.new("L", (30, 30)).save(root / "sizes/5.png")
    (root / "unreadable/3.png").write_bytes(b"not an image")
    write_video(root / "short.avi", ramp(5))
    (root / "noise.avi").write_bytes(bytes(range(256)) * 8)
    (root / "note.doc").write_bytes(b"x")
    write_frames(root / "names", {1: "1.png", 2: "01.png"})
    write_frames(root / "two", {1: "a1.png", 2: "b2.png"})
    (root / "phone").mkdir()
    (root / "phone" / "1.heic").write_bytes(b"\0\0\0 ftypheic")
    write_frames(root / "words", {1: "1.png", 2: "last.png"})
    clips = load(tmp_path, "table", write_table(root, "good,p1,1,8,sad", *BAD_CLIPS), frame_rate=25.0)
    assert clips.sample_id.tolist() == ["good/1-8"]
    assert clips.skipped[-1] == "unlisted: meview.csv has no row of it"
    for row, text in zip(BAD_CLIPS, clips.skipped, strict=False):
        clip, _, onset, offset, _ = row.split(",")
        assert text.startswith(f"{clip}/{onset}-{offset}: ") and BAD_CLIPS[row] in text


HEADER, ROWS = "clip,subject,onset,offset,emotion", ["a.avi,s1,1,5,happy", "b.avi,s2,1,5,sad"]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([HEADER, *ROWS]).replace(",", ";"),
        "\n".join([HEADER, *ROWS]).replace(",", "\t"),
        "\n".join([HEADER.title(), *ROWS, ",,,,", ",,,,"]),
        "\n".join([HEADER, *(f"./{row}" for row in ROWS)]),
        "\n".join([HEADER, *(f"FOLDER\\{row}" for row in ROWS)]),
        "\n".join(['"cl\u200bip ","Sub\nject",onset,offset,emotion', *ROWS]),
    ],
    ids=["semicolons", "tabs", "capitals and empty rows", "./", "absolute of Windows", "odd header"],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_ways_of_writing_the_table_read_the_same(tmp_path, text, encoding):
    root = tmp_path / "clips"
    for name in "ab":
        write_video(root / f"{name}.avi", ramp(5))
    (root / "t.csv").write_bytes(text.replace("FOLDER", str(root).replace("/", "\\")).encode(encoding))
    clips = load(tmp_path, "table", tmp_path)
    assert [clips.class_names[label] for label in clips.labels] == ["happy", "sad"] and clips.skipped == ()


@pytest.mark.parametrize("name", ["a.M4V", "a.mpg", "a.m1v", "a.ts", "a.3gp"])
def test_videos_of_phones_and_discs_are_read(tmp_path, name):
    write_video(tmp_path / "clips" / name, ramp(8), codec="mp4v" if name[-1] in "Vp" else "MPG1")
    write_table(tmp_path / "clips", f"{name},s1,2,6,sad")
    found = levels(load(tmp_path, "table", tmp_path), f"{name}/2-6")
    np.testing.assert_allclose(found, 68 + 8 * np.arange(1, 6), atol=4)


def test_a_table_without_its_columns_is_named(tmp_path):
    path = write_table(tmp_path / "clips", header="clip,subject,offset")
    with pytest.raises(MissingData, match="clip,subject,onset,offset,emotion"):
        load(tmp_path, "table", tmp_path)
    with pytest.raises(ValueError, match=r"meview\.csv: no row has the columns .*emotion"):
        load(tmp_path, "table", path)
    with pytest.raises(ValueError, match=r"meview\.csv, row 1: more than one column emotion"):
        load(tmp_path, "table", write_table(tmp_path / "clips", header=f"{HEADER},emotion"))
    path.write_bytes(f"{HEADER}\nb,J\xf6rg,1,2,sad\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"meview\.csv: .*utf-8"):
        load(tmp_path, "table", tmp_path)
    write_table(tmp_path / "clips").rename(tmp_path / "clips" / "a.csv")
    write_table(tmp_path / "clips")
    with pytest.raises(ConfigError, match=r"a\.csv, meview\.csv"):
        load(tmp_path, "table", tmp_path)


def filmed_face(shift: int) -> np.ndarray:
    face = synthetic_faces(n_subjects=4, images_per_subject=7, size=96).images[0]
    frame = np.full((240, 320), 128, dtype=np.uint8)
    frame[60:180, 100 + shift : 220 + shift] = cv2.resize(face, (120, 120))
    return frame


def test_the_face_of_the_first_frame_is_the_crop_of_the_whole_clip(tmp_path):
    write_video(tmp_path / "raw" / "a.avi", np.stack([filmed_face(shift) for shift in (0, 3, 6)]))
    write_video(tmp_path / "raw" / "b.avi", ramp(3))
    table = write_table(tmp_path / "raw", "a.avi,p1,1,3,sad", "b.avi,p1,1,3,sad")
    clips = load(tmp_path, "table", table, image_size=64, n_frames=3)
    first, _, last = clips.clips[0].astype(int)
    assert first[:4].std() > 5  # no wall above the face
    # The face moves in the crop, which does not follow it: some 5 of 64 pixels in 6 of about 80.
    shifted = {shift: abs(first[:, : 64 - shift] - last[:, shift:]).mean() for shift in range(10)}
    assert min(shifted, key=shifted.get) in (4, 5, 6)
    assert any("have no face" in note and note.endswith("b.avi/1-3") for note in clips.notes)


def test_named_clips_are_left_out_and_a_wrong_name_gets_the_nearest(tmp_path):
    write_smic(tmp_path / "raw")
    rest = load(tmp_path, "smic-hs", tmp_path / "raw", leave_out=["s1_sur_02"])
    assert rest.sample_id.tolist() == ["s1_ne_01", "s11_po_01"]
    assert "left out on request: s1_sur_02" in rest.notes
    with pytest.raises(ValueError, match=r"leave_out: .*'s1_sur_2'; did you mean 's1_sur_02'"):
        load(tmp_path, "smic-hs", tmp_path / "raw", leave_out=["s1_sur_2"])


def test_classes_are_merged_into_smics_three(tmp_path):
    write_samm(tmp_path / "SAMM")
    clips = load(tmp_path, "samm", tmp_path, label_set="smic3")
    assert (clips.class_names, clips.labels.tolist()) == (SMIC3, [1]) and clips.notes[-1].endswith("other 1")
    write_samm(tmp_path / "SAMM", SAMM_ROWS[1:])
    with pytest.raises(ValueError, match="label_set='smic3' leaves no clip"):
        load(tmp_path, "samm", tmp_path, label_set="smic3")


def test_frames_between_two_are_mixed_in_proportion_and_the_first_are_taken_as_they_are():
    frames = np.array([0, 100, 20], dtype=np.uint8)[:, None, None]
    assert resample(frames, 5)[:, 0, 0].tolist() == [0, 50, 100, 60, 20]
    assert resample(frames, 2)[:, 0, 0].tolist() == [0, 20]
    assert resample(frames, 2, method="first")[:, 0, 0].tolist() == [0, 100]
