"""The audit's rules on invented claims, what it finds in the five papers, and when it stops finding it."""

import decimal
import os
import re
import zipfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from published_changes import one, with_changes
from sklearn.metrics import classification_report

from fer_utils.audit import (
    CERTAINTY,
    VERDICTS,
    Finding,
    as_table,
    audit,
    audit_paper,
    counts_table,
    for_reading,
    write_findings,
)
from fer_utils.audit.rules import published_facts
from fer_utils.cli import main
from fer_utils.files import project_path, read_json
from fer_utils.papers import PAPERS, Paper, load_paper


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return [finding for key in PAPERS for finding in audit_paper(key)]


def test_findings_have_a_valid_form_and_distinct_locations(findings):
    assert {f.paper for f in findings} == set(PAPERS)
    for found in findings:
        assert found.verdict in VERDICTS and found.certainty in CERTAINTY
        assert found.location.strip() and found.printed.strip() and found.explanation.strip(), found
        if found.follows_from:
            cause = one(findings, found.follows_from, paper=found.paper)
            assert cause.verdict == "inconsistent" and not cause.follows_from
    names = [(f.paper, f.location, f.rule) for f in findings]
    assert len(set(names)) == len(names)


CAUSES = {
    ("kishor2022", "Abstract, Sections 1 and 5: classes"): "likely",
    ("kishor2022", "References"): "certain",
    ("dubey2020", "Table 2: validation accuracy 60/40: validation accuracy / Swish 60/40"): "likely",
    ("dubey2020", "Section 2.3, Figs. 2 and 3: captions"): "likely",
    ("dubey2020", "Section 4: number of a class"): "likely",
    ("kumar2021", "Sections 2.2, 4 and 5: split"): "certain",
    ("kumar2021", "Section 2.5: convolution stride"): "likely",
    ("kumar2021", "Section 2.5: pooling stride"): "likely",
    ("kumar2021", "Section 5: the other diagonal of Fig. 6"): "likely",
    ("srivastav2024", "Table 2: epoch 5 / accuracy"): "certain",
    ("srivastav2024", "Table 2: epoch 21 / accuracy"): "likely",
    ("srivastav2024", "Table 2: caption"): "likely",
    ("srivastav2024", "Section 2: three data sets"): "likely",
    ("srivastav2024", "Section 1 and Abstract: data"): "likely",
    ("srivastav2024", "Section 3: Fig. 8"): "likely",
    ("srivastav2024", "References"): "certain",
    ("srivastav2024", "Section 3: VGG-19: parameters"): "likely",
    ("bamb2023", "Slide: Datasets: type of RAF-DB"): "likely",
    ("bamb2023", "Slide: Datasets: type of EXP-W"): "likely",
    ("bamb2023", "Slide: References: link of FER-2013"): "likely",
    ("bamb2023", "Slide: Datasets: FER-2013: expressions"): "likely",
}
"""Inconsistent claims of the five papers that do not follow from another one, but for kumar2021's Table 2."""


def test_these_claims_and_no_others_are_inconsistent(findings):
    found = {
        (f.paper, f.location): f.certainty
        for f in findings
        if f.verdict == "inconsistent" and not f.follows_from
    }
    tables = {place for place in found if place[0] == "kumar2021" and place[1].startswith("Table 2")}
    assert {place: found[place] for place in found.keys() - tables} == CAUSES
    places = {location.lower().replace("table", "Table") for _, location in tables}
    assert {"Table 2: fear", "Table 2: happy"} <= places


@pytest.mark.parametrize(
    ("paper", "location", "verdict", "shown"),
    [
        ("kishor2022", "Section 6: accuracy", "not_checkable", "89.72"),
        (
            "kishor2022",
            "Section 3 and Table 1: frames or clips: Adam / validation",
            "not_checkable",
            "135/159",
        ),
        ("kishor2022", "Tables 1 and 2: losses", "consistent", "1.63 >= (1 - 85.30 %) * 0.693"),
        ("dubey2020", "Figs. 5 and 6: test clips (negative, positive, surprise)", "noteworthy", "0.002"),
        ("dubey2020", "Table 2: validation accuracy 70/30", "consistent", "2 with n = 48, 0 with n = 47"),
        ("dubey2020", "Sections 4 and 5: last layer", "not_checkable", "softmax"),
        ("kumar2021", "Section 5: precision, recall and F1: Happy / precision", "inconsistent", "0.88"),
        ("kumar2021", "Abstract: recall and F1", "consistent", "Fear / f1 35% and 0.35"),
        ("srivastav2024", "Table 1: number of samples", "consistent", "7175, 14350"),
        ("srivastav2024", "Tables 1 and 2: train_loss", "noteworthy", "0.454"),
        ("srivastav2024", "Section 4 and Table 1: train_loss", "not_checkable", "1.451926, 1.540882"),
        ("srivastav2024", "Abstract: accuracy", "not_checkable", "0.700209"),
        ("srivastav2024", "Fig. 10: images per class", "consistent", "0.15"),
        ("bamb2023", "Slide: FER dataset: 574 steps: validation", "consistent", "4 with n = 2840"),
        ("bamb2023", "Slide: RAF 100 X 100: val_accuracy: number of samples", "consistent", "1536, 1537"),
        ("bamb2023", "Slides: RAF 48X48 and RAF 100 X 100: val_accuracy", "consistent", "0.0095"),
    ],
)
def test_what_is_said_of_a_claim(findings, paper, location, verdict, shown):
    found = one(findings, location, paper=paper)
    assert found.verdict == verdict and shown in f"{found.explanation} {found.expected} {found.printed}"


MENDED = {
    ("kishor2022", "Section 6: accuracy"): {"ness of 89%": "ness of 85%", "printed: 89%": "printed: 85%"},
    ("dubey2020", "Table 2: validation accuracy 60/40"): {"62\t56.2\t47.7": "62\t56.2\t43.7"},
    ("kumar2021", "Section 5: precision, recall and F1"): {"Happy\t0.88\t": "Happy\t0.80\t"},
    ("srivastav2024", "Abstract: accuracy"): {
        "rate of 70.2": "rate of 70.0",
        "printed: 70.2": "printed: 70.0",
    },
    ("bamb2023", "Slide: RAF dataset 48X48: before epoch 45: steps"): {"001/384 [": "384/384 ["},
}


@pytest.mark.parametrize(("paper", "location"), MENDED)
def test_a_claim_whose_digits_are_mended_is_consistent(tmp_path, paper, location):
    found = with_changes(tmp_path, paper, *MENDED[paper, location].items())
    assert one(found, location).verdict == "consistent"


def paper_of(*claims: str, lines: str = "Happy\t84.0\t100\nSad\t50.0\t40") -> Paper:
    """Return an invented paper with one table and some claims."""
    table = {"table": "Table 1", "template": "{class}\t{recall}\t{support}", "row": "{class}"}
    table |= {"fields": {"recall": "percent", "support": "count"}, "lines": lines}
    return Paper(key="toy", title="Toy", tables=[table], claims=[yaml.safe_load(claim) for claim in claims])


@pytest.mark.parametrize(
    ("claim", "verdict", "certainty"),
    [
        ("holds: ['{Table 1: Happy / recall} > {Table 1: Sad / recall}']", "consistent", "certain"),
        ("holds: ['{Table 1: Sad / support} == 90']", "inconsistent", "likely"),
        ("holds: ['{Table 1: Sad / support} + 1 == 950 // 10']", "inconsistent", "certain"),
        ("holds: ['{Table 1: Sad / support} == 90'], unless: 90 may be meant", "not_checkable", "possible"),
        ("holds: ['{Table 1: Happy / recall} > 100 / 140'], otherwise: noteworthy", "consistent", "certain"),
        ("holds: ['{Table 1: Sad / recall} > 100 / 140'], otherwise: noteworthy", "noteworthy", "likely"),
    ],
)
def test_arithmetic(claim, verdict, certainty):
    (found,) = audit(paper_of(f"{{rule: arithmetic, where: Text, {claim}}}"))
    assert (found.verdict, found.certainty) == (verdict, certainty), found


STEP = "rule: arithmetic, holds: ['{Table 1: 2 / value} - {Table 1: 1 / value} <= step({Table 1: [01] *})']"


@pytest.mark.parametrize(
    ("column", "claim", "verdict"),
    [
        ("3.2 2.2 1.2", "rule: arithmetic, holds: ['decreasing({Table 1: *})']", "consistent"),
        ("3.2 2.2 2.3", "rule: arithmetic, holds: ['decreasing({Table 1: *})']", "inconsistent"),
        ("3.2 2.2 9.0 8.0", f"{STEP}, otherwise: noteworthy", "noteworthy"),
        ("3.2 2.2 2.0 1.0", f"{STEP}, otherwise: noteworthy", "consistent"),
        ("0.54", "rule: rates, cells: 'Table 1: *', n: [3534]", "not_checkable"),
        ("0.53", "rule: same, cells: 'Table 1: *', to: 'Table 1: *'", "consistent"),
    ],
)
def test_columns(column, claim, verdict):
    (found,) = audit(paper_of_column(f"{{where: Text, {claim}}}", column.split()))
    assert found.verdict == verdict


def paper_of_column(claim: str, printed: list[str], unit: str = "loss") -> Paper:
    """Return an invented paper with one column, whose rows are called 0, 1 and so on."""
    lines = "\n".join(f"{row}\t{text}" for row, text in enumerate(printed))
    table = {"table": "Table 1", "template": "{row}\t{value}", "row": "{row}", "fields": {"value": unit}}
    return Paper(key="toy", title="Toy", tables=[table | {"lines": lines}], claims=[yaml.safe_load(claim)])


few = settings(deadline=None, max_examples=25)


@few
@given(
    n=st.integers(2, 40_000),
    shares=st.lists(st.fractions(0, 1), min_size=3, max_size=6),
    decimals=st.integers(2, 6),
    rounding=st.sampled_from([decimal.ROUND_HALF_EVEN, decimal.ROUND_HALF_UP, decimal.ROUND_DOWN]),
)
def test_true_rates_are_never_called_inconsistent(n, shares, decimals, rounding):
    rates = [decimal.Decimal(int(share * n)) / n for share in shares]
    printed = [str(rate.quantize(decimal.Decimal(10) ** -decimals, rounding)) for rate in rates]
    claim = f"{{rule: rates, where: Text, cells: 'Table 1: *', n: [{n}], sizes: [{max(1, n - 9)}, {n + 9}]}}"
    found = audit(paper_of_column(claim, printed, "fraction"))
    assert not [each for each in found if each.verdict == "inconsistent"]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("rule: same, where: Text, to: '', cells: 'Table 1: *ls'", "claims.0: toy prints no cell Table 1"),
        ("rule: arithmetic, where: Text, holds: ['__import__(1) > 2']", "not a comparison of cells"),
        ("rule: arithmetic, where: Text, holds: ['1 / 0 > 2']", "not a comparison of cells"),
        ("rule: fact, where: Text, about: FER-2014, fact: images", "no 'FER-2014'; did you mean 'FER-2013'"),
        ("rule: table, where: Text, matrix: Fig. 1", "no confusion matrix 'Fig. 1'"),
        ("rule: same, where: Text, cells: 'Table 1: *'", "to\n  Field required"),
    ],
)  # fmt: skip
def test_a_claim_that_cannot_be_checked_is_an_error_that_says_why(claim, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        audit(paper_of(f"{{{claim}}}"))


def audit_command(path: Path, capsys, *options: str) -> tuple[int, str]:
    status = main(["audit", str(path), *options])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def test_the_template_of_the_command_is_a_valid_file(tmp_path, capsys):
    assert main(["audit", "--template"]) == 0
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    status, printed = audit_command(path, capsys, "--html", str(tmp_path / "page.html"))
    assert status == 0 and "inconsistent: 0" in printed
    path.write_text(path.read_text("utf-8").replace("0.84    0.82", "0.48    0.82"), encoding="utf-8")
    status, printed = audit_command(path, capsys, "--html", str(tmp_path / "page.html"))
    assert status == 3 and "Table 2: happy" in printed
    assert "Table 2: happy" in (tmp_path / "page.html").read_text(encoding="utf-8")


FORMS = {
    "matrix.csv": ",angry,happy\nangry,18,3\nhappy,2,41\n",
    "matrix.md": "| | angry | happy |\n|---|--:|--:|\n| angry | 18 | 3 |\n| happy | 2 | 41 |\n",
    "matrix.tsv": "\tangry\thappy\nangry\t18\t3\nhappy\t2\t41\n",
    "report.csv": ",precision,recall,f1-score,support\na,0.90,0.86,0.88,21\nb,0.94,0.95,0.94,43\n",
}
LABELS = [["angry"] * 21 + ["happy"] * 43, ["angry"] * 18 + ["happy"] * 44 + ["angry"] * 2]
FORMS["report.txt"] = classification_report(*LABELS)


@pytest.mark.parametrize("name", FORMS)
def test_one_table_in_the_forms_that_tools_print(tmp_path, capsys, name):
    (tmp_path / name).write_text(FORMS[name], encoding="utf-8")
    status, printed = audit_command(tmp_path / name, capsys)
    assert status == 0 and "inconsistent: 0" in printed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("split: folds", "splt: folds", "line 24: tables.2.splt: unknown key; did you mean 'split'?"),
        ("split: folds", "split: fold", "line 24: tables.2.split: Input should be 'single'"),
        ("0.84    0.82      0.83", "0.84    0.82", "line 14: tables.1.report: 'happy' has 3 numbers for 4"),
        ("0.84    0.82", "0.84    8.82", "line 11: tables.1: happy / recall: '8.82' is not a possible value"),
        ("matrix: Table 1", "matrix: Table 9", "line 11: tables.1: no confusion matrix 'Table 9'"),
        ("says: two", "sais: two", "line 30: claims.0.arithmetic.sais: unknown key"),
        ("Table 2: accuracy}", "Table 2: acuracy}", "line 28: claims.0: mine prints no cell Table 2: acur"),
        ("2     41        7", "2     41", "line 6: tables.0.confusion: rows and"),
        ("tables:", "table", "not YAML"),
        ("- table: Table 2", "- table: Table 1", "line 4: tables.0.table: 'Table 1' is the name of more"),
        ("UAR: 0.55", "UARR: 0.55", "tables.2.figures.UARR: unknown figure"),
        ("figures: {", "figurs: {", "tables.2.figurs: unknown key; did you mean 'figures'?"),
        ("rule: arithmetic", "rule: arithmetik", "line 28: claims.0: unknown rule; did you mean 'arith"),
        ("happy           0.84", "hapy            0.84", "Table 1 has no class hapy; did you mean 'happy'?"),
    ],
)
def test_an_unusable_file_is_named_with_line_and_key(tmp_path, capsys, old, new, message):
    text = project_path("data/audit_template.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    status, printed = audit_command(path, capsys)
    assert status == 2 and message in printed, printed


def test_a_table_alone_may_be_a_mean_over_folds_unless_its_split_is_stated(tmp_path, capsys):
    path = tmp_path / "report.csv"
    rows = ["a,0.90,0.86,0.87,21", "b,0.94,0.95,0.94,43"]
    path.write_text("\n".join([",precision,recall,f1-score,support", *rows]), encoding="utf-8")
    assert audit_command(path, capsys)[0] == 0
    assert audit_command(path, capsys, "--split", "single")[0] == 3
    path.write_text(",a,b\na,1x,2\nb,3,4\n", encoding="utf-8")
    status, printed = audit_command(path, capsys)
    assert status == 2 and f"{path}: report: a / predicted a: '1x' is not a number" in printed
    path.write_bytes(b"")
    assert audit_command(path, capsys) == (2, f"error: {path}: the file is empty\n")
    path.write_bytes(b"\xff\xfe\x00")
    assert audit_command(path, capsys)[0] == 2


def test_findings_are_written_and_tabulated(findings, tmp_path):
    written = read_json(write_findings(tmp_path / "findings.json", findings))
    assert [Finding(**each) for each in written] == findings
    assert list(as_table([]).columns) == list(as_table(findings).columns) == list(written[0])
    counts = counts_table(findings)
    causes = [f for f in findings if not f.follows_from]
    assert list(counts.index) == list(PAPERS) and int(counts.to_numpy().sum()) == len(causes)
    for verdict in VERDICTS:
        shown = for_reading(findings, paper="kumar2021", verdict=verdict)
        assert len(shown) == sum((f.paper, f.verdict) == ("kumar2021", verdict) for f in findings)


def test_the_published_counts_of_fer2013_add_up():
    facts = published_facts("FER-2013")
    parts = [sum(facts[part].values()) for part in ("Training", "PublicTest", "PrivateTest")]
    assert parts == [28_709, 3_589, 3_589] and sum(parts) == facts["images"]
    for part in ("Training", "PrivateTest"):
        assert facts[f"{part} without disgust"] == sum(facts[part].values()) - facts[part]["disgust"]


def test_fer2013_has_so_many_black_images():
    """The smallest files of the folder form: a black square is the shortest JPEG of its size."""
    path = os.environ.get("FER2013_PATH", "")
    if not zipfile.is_zipfile(path):
        pytest.skip("FER2013_PATH does not name the zip of FER-2013")
    with zipfile.ZipFile(path) as archive:
        sizes = sorted(info.file_size for info in archive.infolist() if info.filename.endswith(".jpg"))
    if len(sizes) != 35_887:
        pytest.skip("FER2013_PATH is not the folder form with one JPEG per image")
    black = published_facts("FER-2013")["black images"]
    assert sizes.count(sizes[0]) == black and sizes[black] > 1.2 * sizes[0]


PHRASES = {
    "kishor2022": ("SoftMax", "[13]"),
    "dubey2020": (
        "samples of class 3 (Surprise)",
        "In the last layer, we have used two activation functions",
    ),
    "srivastav2024": (
        "VGG-19 (see Fig. 8)",
        "Fig. 8. Learning rate graph",
        "Fig. 2. Architecture of VGG19",
        "diagonal elements of confusion matrix have maximum value",
        "better performance as compare to last step",
        "information from Emotion will be used to set up the model",
        "Table 2. Epoch table with train loss, valid loss and error rate",
        "from three datasets are shown",
        "FER and JAFFE informational index",
    ),
    "bamb2023": (
        "Neutral, Sadness, Surprise, Happiness, Fear, Anger, Contempt, and Disgust",
        "Training and validation Accuracy on Transfer learning model Using MobileNetV2",
        "29672 facial image Posed",
        "http://www.consortium.ri.cmu.edu/ckagree/",
    ),
}


@pytest.mark.parametrize("key", PHRASES)
def test_the_words_that_are_judged_stand_in_the_document(key):
    folder = os.environ.get("FER_PAPERS_DIR")
    path = Path(folder or "") / load_paper(key).document
    if not folder or not path.is_file():
        pytest.skip("FER_PAPERS_DIR does not hold the papers' documents")
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert not [phrase for phrase in PHRASES[key] if phrase not in text]
    if key == "srivastav2024":
        assert "Fig. 5" not in text
