"""Tables in Excel workbooks are read wherever in the sheet they begin, with texts and numbers as shown."""

import pytest
from clip_trees import write_workbook
from fer_utils.data.clips.sheet import read_sheet

TABLE = [["Subject", "Filename", None, "Onset"], ["006", "006_1_2", None, 5562], ["007", None, "x", 7.5]]
ROWS = [
    (2, {"Subject": "006", "Onset": "5562", "Filename": "006_1_2"}),
    (3, {"Subject": "007", "Onset": "7.5", "Filename": ""}),
]
COLUMNS = ("Subject", "Onset", "Filename")


def test_rows_are_read_by_the_names_in_the_header(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"HS": TABLE})
    assert read_sheet(tmp_path / "a.xlsx", columns=COLUMNS) == ROWS


def test_rows_keep_their_numbers_below_explanations_and_empty_rows_are_left_out(tmp_path):
    rows = [["SAMM"], [None], ["Subject, as text"], *TABLE[:2], [None], TABLE[2]]
    write_workbook(tmp_path / "a.xlsx", {"HS": rows})
    assert [number for number, _ in read_sheet(tmp_path / "a.xlsx", columns=COLUMNS)] == [5, 7]


def test_a_sheet_is_found_by_its_name(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"first & last": [["no table"]], "HS": TABLE})
    assert read_sheet(tmp_path / "a.xlsx", columns=COLUMNS, sheet="HS") == ROWS
    with pytest.raises(ValueError, match=r"a.xlsx: no sheet 'VIS'; it has 'first & last', 'HS'"):
        read_sheet(tmp_path / "a.xlsx", columns=COLUMNS, sheet="VIS")


def test_whole_numbers_have_no_decimal_point_and_texts_stay_texts(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"HS": [["a", "b", "c"], [25.0, "25.0", 1e5]]})
    assert read_sheet(tmp_path / "a.xlsx", columns="abc") == [(2, {"a": "25", "b": "25.0", "c": "100000"})]


def test_a_missing_column_is_named(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"HS": TABLE})
    with pytest.raises(ValueError, match=r"a.xlsx, sheet 'HS': no row has the columns Subject, Apex"):
        read_sheet(tmp_path / "a.xlsx", columns=("Subject", "Apex"))


@pytest.mark.parametrize("keep", [0, 300, -300], ids=["empty", "its beginning", "cut short"])
def test_what_is_no_whole_workbook_is_refused(tmp_path, keep):
    path = tmp_path / "a.xlsx"
    write_workbook(path, {"HS": TABLE})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a.xlsx: not a whole Excel workbook"):
        read_sheet(path, columns=COLUMNS)


def test_a_text_file_is_no_workbook(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_text("Subject,Filename\n")
    with pytest.raises(ValueError, match=r"a.xlsx: not a whole Excel workbook"):
        read_sheet(path, columns=COLUMNS)


def test_a_workbook_that_unpacks_to_more_than_any_annotation_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.data.clips.sheet.MOST_BYTES", 1000)
    write_workbook(tmp_path / "a.xlsx", {"HS": TABLE})
    with pytest.raises(ValueError, match=r"unpacks to [0-9,]+ bytes; 1,000 at most"):
        read_sheet(tmp_path / "a.xlsx", columns=COLUMNS)
