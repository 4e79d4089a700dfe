"""The audit of the five papers: what it finds, and that it stops finding it where the number is mended."""

from collections import Counter
from fractions import Fraction

import pytest
from published_changes import with_changes

from fer_utils.audit import (
    CERTAINTY,
    Finding,
    as_table,
    audit_paper,
    audit_papers,
    counts_table,
    for_reading,
    write_findings,
)
from fer_utils.audit.matrices import feasible_matrix, figures_of
from fer_utils.audit.reports import classes_of, table_of
from fer_utils.audit.rounding import Printed
from fer_utils.audit.sizes import FER2013, fer2013_total
from fer_utils.audit.srivastav2024 import parameters_of_vgg
from fer_utils.files import read_json
from fer_utils.papers import PAPERS, load_paper

VERDICTS = ("consistent", "inconsistent", "not_checkable")


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return audit_papers()


def one(findings: list[Finding], paper: str, location: str, rule: str = "") -> Finding:
    (found,) = [f for f in findings if f.paper == paper and f.location == location and rule in f.rule]
    return found


def test_every_paper_has_findings_of_valid_form(findings):
    assert {f.paper for f in findings} == set(PAPERS)
    for found in findings:
        assert found.verdict in VERDICTS and found.certainty in CERTAINTY
        assert all(text.strip() for text in vars(found).values()), found


def test_no_claim_is_judged_twice_by_one_rule(findings):
    repeated = Counter((f.paper, f.location, f.rule) for f in findings)
    assert max(repeated.values()) == 1, repeated.most_common(3)


def test_findings_are_the_same_each_time(findings):
    assert audit_paper("bamb2023") == [f for f in findings if f.paper == "bamb2023"]


INCONSISTENT = {
    ("kishor2022", "Abstract, Sections 1 and 5: classes"): ("likely", "one number of classes"),
    ("kishor2022", "Abstract, Sections 3 and 6: data set"): ("possible", "one data set"),
    ("kishor2022", "Section 6: accuracy"): ("possible", "85.30"),
    ("dubey2020", "Fig. 5: ReLU 80/20"): ("certain", "21/32 = 65.62 %"),
    ("dubey2020", "Fig. 6: Swish 80/20"): ("certain", "21/32 = 65.62 %"),
    ("dubey2020", "Table 3: accuracy of each class"): ("certain", "24/32 = 75.00 %"),
    ("dubey2020", "Table 4: accuracy of each class"): ("certain", "24/32 = 75.00 %"),
    ("dubey2020", "Section 2.3, Figs. 2 and 3: captions"): ("likely", "ReLU Fig. 3"),
    ("dubey2020", "Figs. 5 and 6: test clips (negative, positive, surprise)"): (
        "possible",
        "13.4 / 10.1 / 8.5",
    ),
    ("dubey2020", "Table 2: validation accuracy 60/40: Swish 60/40"): ("likely", "30/64 = 46.88 %"),
    ("dubey2020", "Section 4 and Table 2: ReLU"): ("possible", "80/20 > 70/30"),
    ("dubey2020", "Section 4 and Table 2: Swish"): ("possible", "80/20 > 70/30"),
    ("dubey2020", "Section 4: ReLU overtakes Swish"): ("likely", "ReLU ahead in 1 of 4 splits"),
    ("kumar2021", "Table 2: Fear"): ("likely", "F1 0.3767"),
    ("kumar2021", "Table 2: Happy"): ("likely", "F1 0.8595"),
    ("kumar2021", "Table 2: macro precision"): ("likely", "0.5417 to 0.5566"),
    ("kumar2021", "Table 2: weighted precision"): ("likely", "0.5615 to 0.5765"),
    ("kumar2021", "Table 2: support"): ("likely", "3532"),
    ("kumar2021", "Table 2: predictions"): ("likely", "3,532"),
    ("kumar2021", "Table 2"): ("certain", "a confusion matrix"),
    ("kumar2021", "Section 5: the other diagonal of Fig. 6"): ("likely", "no image is ignored"),
    ("kumar2021", "Table 2: Fear support"): ("likely", "528"),
    ("kumar2021", "Section 5: Happy / precision"): ("likely", "0.88"),
    ("kumar2021", "Sections 2.2, 4 and 5: split"): ("certain", "one split"),
    ("kumar2021", "Section 4: little vgg"): ("possible", "8 layers"),
    ("kumar2021", "Section 2.5: convolution stride"): ("likely", "1 or more"),
    ("kumar2021", "Section 2.5: pooling stride"): ("likely", "1 or more"),
    ("srivastav2024", "Table 2: epoch 5"): ("certain", "4734/7175 = 0.6597909"),
    ("srivastav2024", "Table 2: epoch 21"): ("likely", "4971/7175 = 0.6928223"),
    ("srivastav2024", "Fig. 10 and Table 2"): ("possible", "4910/7175 = 0.684321"),
    ("srivastav2024", "Fig. 10 and Abstract"): ("possible", "68.43 %"),
    ("srivastav2024", "Abstract: accuracy"): ("possible", "0.700209 (epoch 22)"),
    ("srivastav2024", "Section 4 and Table 1: train_loss"): ("possible", "3 of 9"),
    ("srivastav2024", "Section 4 and Table 1: valid_loss"): ("possible", "4 of 9"),
    ("srivastav2024", "Section 4 and Table 1: error_rate"): ("possible", "1 of 9"),
    ("srivastav2024", "Table 2: caption"): ("likely", "accuracy"),
    ("srivastav2024", "Figs. 3, 10 and 11: classes"): ("possible", "7 classes"),
    ("srivastav2024", "Section 1 and Abstract: data"): ("likely", "one data set"),
    ("srivastav2024", "Section 3: Fig. 8"): ("certain", "Fig. 2"),
    ("srivastav2024", "Section 3: VGG-19: parameters"): ("likely", "143,667,240"),
    ("bamb2023", "Slide: Datasets: FER-2013: expressions"): ("likely", "surprise, neutral (7)"),
    ("bamb2023", "Slide: RAF dataset 48X48: before epoch 45: steps"): ("likely", "384/384"),
    ("bamb2023", "Slide: Datasets: RAF-DB as used"): ("possible", "15,339"),
    ("bamb2023", "Slide: RAF + FER dataset 48X48: val_accuracy"): ("possible", "one value an epoch"),
}


def test_these_claims_and_no_others_are_inconsistent(findings):
    found = {(f.paper, f.location): f for f in findings if f.verdict == "inconsistent"}
    assert set(found) == set(INCONSISTENT)
    for place, (certainty, expected) in INCONSISTENT.items():
        assert (found[place].certainty, expected in found[place].expected) == (certainty, True), found[place]


def test_both_confusion_matrices_of_dubey2020_give_their_tables(findings):
    for location in ("Fig. 5 and Table 3", "Fig. 6 and Table 4"):
        found = one(findings, "dubey2020", location)
        assert found.verdict == "consistent" and "18 printed figures" in found.printed


def test_nearly_all_accuracies_of_dubey2020_are_cut_off_and_not_rounded(findings):
    assert "cut off 15 of 16" in one(findings, "dubey2020", "Table 2: rounding").expected


def test_one_size_fits_the_epochs_and_the_matrix_of_srivastav2024(findings):
    for table in ("Table 1", "Table 2"):
        found = one(findings, "srivastav2024", table, "size that fits")
        assert (found.verdict, found.certainty, found.printed) == ("consistent", "certain", "7175")
        assert found.expected.startswith("7175, 14350")


def test_three_slips_of_a_digit_explain_the_report_of_kumar2021(findings):
    found = one(findings, "kumar2021", "Table 2: with one digit changed in 3 cells")
    assert (found.verdict, found.certainty) == ("consistent", "likely")
    assert (
        "fear precision 0.48 -> 0.40, happy precision 0.88 -> 0.80, fear support 526 -> 528" in found.printed
    )


def test_the_matrix_named_for_kumar2021_prints_its_report():
    table = table_of(load_paper("kumar2021"), "Table 2")
    table |= {("fear", "precision"): Printed("0.40"), ("happy", "precision"): Printed("0.80")}
    table |= {("fear", "support"): Printed("528", "count")}
    names = classes_of(table)
    figures = figures_of(feasible_matrix(table).matrix.tolist(), names)
    for key in [(name, metric) for name in names for metric in ("precision", "recall", "f1", "support")]:
        window = table[key].window()
        assert float(window.low) - 1e-6 <= figures[key] <= float(window.high) + 1e-6, key
    assert figures["", "support"] == 3534


def test_the_test_images_of_bamb2023_are_48_batches_of_32(findings):
    found = one(findings, "bamb2023", "Slide: Testing Accuracy on RAF 100 X 100")
    assert found.verdict == "consistent" and "1437" in found.explanation
    assert Fraction("0.935546875") == Fraction(1437, 48 * 32)
    for log in ("Slide: RAF dataset 48X48", "Slide: RAF 100 X 100"):
        assert one(findings, "bamb2023", f"{log}: val_accuracy", "granularity").certainty == "certain"


def test_a_report_whose_slips_are_mended_is_not_blamed(tmp_path):
    found = with_changes(
        tmp_path,
        "kumar2021",
        ("Fear\t0.48\t0.31\t0.35\t526", "Fear\t0.40\t0.31\t0.35\t528"),
        ("Happy\t0.88\t", "Happy\t0.80\t"),
    )
    assert not [f for f in found if f.verdict == "inconsistent" and "Table 2" in f.location]
    assert not [f for f in found if "digit changed" in f.location]
    assert one(found, "kumar2021", "Section 5: Happy / precision").verdict == "consistent"


def test_accuracies_whose_digits_are_mended_are_not_blamed(tmp_path):
    found = with_changes(tmp_path, "dubey2020", ("42.1\t48.1\t62\t56.2\t47.7", "42.1\t48.1\t62\t56.2\t43.7"))
    assert not [f for f in found if f.rule == "granularity of rates" and f.verdict == "inconsistent"]
    assert "cut off 16 of 16" in one(found, "dubey2020", "Table 2: rounding").expected


def test_a_wrong_cell_in_a_printed_matrix_is_found(tmp_path):
    found = with_changes(tmp_path, "dubey2020", ("Negative\t14\t4\t3", "Negative\t14\t4\t8"))
    wrong = {
        f.location for f in found if f.rule == "figures of the confusion matrix" and f.verdict != "consistent"
    }
    assert {"Fig. 6 and Table 4: negative support", "Fig. 6 and Table 4: negative recall"} <= wrong


def test_a_paper_without_an_expected_cell_says_which(tmp_path):
    headline = "table: Table 1\n    cell: {} / validation"
    changes = ("Adam\t89.72\t85.30", "Adem\t89.72\t85.30"), (headline.format("Adam"), headline.format("Adem"))
    with pytest.raises(KeyError, match="prints no cell Table 1: Adam / training; did you mean"):
        with_changes(tmp_path, "kishor2022", *changes)


def test_findings_are_written_and_tabulated(findings, tmp_path):
    written = read_json(write_findings(tmp_path / "findings.json", findings))
    assert [Finding(**each) for each in written] == findings
    table = as_table(findings)
    assert list(table.columns) == list(written[0]) and len(table) == len(findings)
    assert list(as_table([]).columns) == list(table.columns)
    counts = counts_table(findings)
    assert list(counts.index) == list(PAPERS) and int(counts.to_numpy().sum()) == len(findings)


def test_the_counts_of_fer2013_are_those_of_its_parts():
    assert [fer2013_total(part) for part in range(3)] == [28_709, 3_589, 3_589]
    assert fer2013_total(0, 1, 2) == sum(map(sum, FER2013.values())) == 35_887
    assert fer2013_total(2, without=["disgust"]) == 3_534


@pytest.mark.parametrize(("layers", "parameters"), [(16, 138_357_544), (19, 143_667_240)])
def test_the_parameters_of_vgg_follow_from_its_layers(layers, parameters):
    assert parameters_of_vgg(layers) == parameters


def test_findings_are_read_in_two_wide_columns_one_verdict_and_paper_at_a_time():
    findings = audit_papers()
    for verdict in ("consistent", "inconsistent", "not_checkable"):
        for paper in PAPERS:
            shown = for_reading(findings, paper=paper, verdict=verdict)
            assert list(shown.columns) == ["claim", "why"] and shown.index.name == "certainty"
            assert len(shown) == sum((each.paper, each.verdict) == (paper, verdict) for each in findings)
    swish = for_reading(findings, paper="dubey2020", verdict="inconsistent")["claim"].iloc[1]
    assert swish.startswith("Fig. 6: Swish 80/20. Printed: 62") and "Expected: more than 21/32" in swish
