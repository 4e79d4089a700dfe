"""What the audit says of kishor2022, dubey2020 and kumar2021 beyond their tables, and when it stops."""

import pytest
from published_changes import one, with_changes

from fer_utils.audit import Finding, audit_paper
from fer_utils.papers import load_paper

PAPERS = ("kishor2022", "dubey2020", "kumar2021")


@pytest.fixture(scope="module")
def findings() -> dict[str, list[Finding]]:
    return {key: audit_paper(key) for key in PAPERS}


@pytest.mark.parametrize(
    ("paper", "location", "verdict", "certainty", "shown"),
    [
        ("kishor2022", "Abstract, Sections 1 and 5: classes", "inconsistent", "likely", "lists 6 labels"),
        ("kishor2022", "Abstract, Sections 3 and 6: data set", "inconsistent", "possible", "MEVIEW"),
        ("kishor2022", "Section 6: accuracy", "inconsistent", "possible", "cut off, not rounded"),
        (
            "kishor2022",
            "Section 3 and Table 1: frames or clips",
            "consistent",
            "likely",
            "135/159 = 84.906 %",
        ),
        ("kishor2022", "Section 4: layers", "consistent", "possible", "48 -> 24 -> 12 -> 6 -> 3 -> 1 -> 0"),
        ("kishor2022", "Section 3: gray images", "not_checkable", "certain", "6,912 values to 2,304"),
        (
            "kishor2022",
            "Table 2: validation loss with Adam",
            "not_checkable",
            "certain",
            "1.63 / 0.147 = 11.1",
        ),
        ("kishor2022", "Table 1: validation", "not_checkable", "certain", "3061/3589 = 85.288 %"),
        ("dubey2020", "Table 3: accuracy of each class", "inconsistent", "certain", "surprise 22 against 24"),
        ("dubey2020", "Table 4: accuracy of each class", "inconsistent", "certain", "positive 27 against 29"),
        ("dubey2020", "Section 2.1: participants", "consistent", "certain", "10 + 10 = 20"),
        ("dubey2020", "Section 2.1: clips", "consistent", "likely", "4 + 1 + 1 of them are missing"),
        ("dubey2020", "Section 2.3, Figs. 2 and 3: captions", "inconsistent", "likely", "Figs. 7 and 8"),
        (
            "dubey2020",
            "Section 4: area under the curve",
            "not_checkable",
            "certain",
            "0.606 with ReLU and 0.606",
        ),
        ("dubey2020", "Section 3: frames", "not_checkable", "certain", "18/100 s = 180 ms"),
        (
            "kumar2021",
            "Table 2: predictions",
            "inconsistent",
            "likely",
            "3,381, with rounding 3,278 to 3,489",
        ),
        ("kumar2021", "Sections 2.4 and 2.5: sizes of the layers", "consistent", "likely", "48 -> 24 -> 12"),
        (
            "kumar2021",
            "Section 5: the other diagonal of Fig. 6",
            "inconsistent",
            "likely",
            "angry taken for surprise",
        ),
        ("kumar2021", "Table 1: men, women and ages", "not_checkable", "certain", "no sex and no age"),
    ],
)
def test_what_is_said_of_a_claim(findings, paper, location, verdict, certainty, shown):
    found = one(findings[paper], location)
    assert (found.verdict, found.certainty) == (verdict, certainty)
    assert shown in found.explanation


def test_a_size_that_fits_is_not_said_to_fit_none(tmp_path):
    changes = ("Adam\t89.72\t85.30", "Adam\t89.72\t85.29"), ("RMSprop\t76.91\t74.52", "RMSprop\t76.91\t74.51")
    found = with_changes(tmp_path, "kishor2022", *changes)
    assert "PrivateTest" not in one(found, "Table 1: validation").explanation


def test_an_accuracy_in_words_that_is_the_validation_one_is_not_blamed(tmp_path):
    changes = ("exactness of 89%", "exactness of 85%"), ("printed: 89%", "printed: 85%")
    assert one(with_changes(tmp_path, "kishor2022", *changes), "Section 6: accuracy").verdict == "consistent"


def test_each_count_behind_a_rate_of_dubey2020_is_named(findings):
    found = one(findings["dubey2020"], "Table 2: validation accuracy 70/30")
    assert "54.1 is 26/48 = 54.17 %. 56.2 is 27/48 = 56.25 %." in found.explanation
    assert "4 with 48, 0 with 47 fit" in found.explanation
    wrong = one(findings["dubey2020"], "Table 2: validation accuracy 60/40: Swish 60/40")
    assert "Of 63: 30/63 = 47.62 %" in wrong.explanation and "31/64 = 48.44 %" in wrong.explanation


def test_a_rate_that_only_single_precision_explains_is_no_certain_one(findings):
    found = one(findings["dubey2020"], "Table 2: training accuracy 70/30")
    assert (found.verdict, found.certainty) == ("consistent", "possible")
    assert "77/110 = 70.00 %, which single precision holds as a hair less" in found.explanation


def test_relu_and_swish_differ_in_the_wrong_answers_of_one_class(findings):
    found = one(findings["dubey2020"], "Section 4: ReLU overtakes Swish")
    assert "negative [14, 1, 6] against [14, 4, 3]" in found.explanation
    assert "weighted F1 0.633 against 0.634" in found.explanation


def test_what_the_text_reads_from_the_curves_agrees_with_the_matrices(findings, tmp_path):
    location = "Section 4, Figs. 5 and 6: positive and surprise"
    assert one(findings["dubey2020"], location).verdict == "consistent"
    exchanged = with_changes(tmp_path, "dubey2020", ("Negative\t14\t1\t6", "Negative\t14\t5\t2"))
    assert one(exchanged, location).verdict == "inconsistent"


def test_captions_that_agree_with_the_text_are_not_blamed(tmp_path):
    cell = '{{cell: {} / figure in the caption, metric: figure, unit: label, printed: "{}"}}'.format
    found = with_changes(
        tmp_path,
        "dubey2020",
        ("Figure 2: SWISH", "Figure 3: SWISH"),
        (cell("Swish", 2), cell("Swish", 3)),
        ("Figure 3: RELU", "Figure 2: RELU"),
        (cell("ReLU", 3), cell("ReLU", 2)),
    )
    assert one(found, "Section 2.3, Figs. 2 and 3: captions").verdict == "consistent"


def test_predictions_of_a_mended_report_add_up(findings, tmp_path):
    changes = (
        ("Fear\t0.48\t0.31\t0.35\t526", "Fear\t0.40\t0.31\t0.35\t528"),
        ("Happy\t0.88\t", "Happy\t0.80\t"),
    )
    found = one(with_changes(tmp_path, "kumar2021", *changes), "Table 2: predictions")
    assert (found.verdict, found.expected) == ("consistent", "3,534") and "= 3,534, with" in found.explanation
    mended = one(findings["kumar2021"], "Table 2: with one digit changed in 3 cells")
    assert "add up to 3,534" in mended.explanation


def test_the_figures_of_dubey2020_are_held_as_printed():
    paper = load_paper("dubey2020")
    assert paper.cell("Section 2.3", "ReLU / figure in the text").value == 2
    assert paper.cell("Fig. 3", "ReLU / figure in the caption").value == 3
    assert paper.cell("Section 1", "longest expression").value == 500
