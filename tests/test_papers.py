"""The published tables are complete, exact, and stand in the documents where those are supplied."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from fer_utils import tables
from fer_utils.files import PROJECT
from fer_utils.papers import PAPERS, RATES, load_paper, parse_printed
from fer_utils.run import profile_runs

STATEMENT = "table: T, context: about 80%, cells: [{cell: a, metric: accuracy, unit: percent, printed: 81%}]"
SMALL = """
title: A study
citation: A. Author, 2020
doi: null
document: a.txt
believe: Nothing without its protocol.
protocol: {data: a, split: b, selection: c, epochs: d, seeds: e}
headline:
  - {table: Table 1, cell: Happy / recall, name: recall, notebook: 10_baseline_cnn, measured_on: nothing}
tables:
  - table: Table 1
    template: "{class}\\t{recall}"
    row: "{class}"
    fields: {recall: percent}
    lines: "Happy\\t84"
"""


def squeeze(text: str) -> str:
    return " ".join(text.split())


def document_of(key: str) -> str:
    folder = os.environ.get("FER_PAPERS_DIR")
    if not folder:
        pytest.skip("FER_PAPERS_DIR does not say where the papers' documents are")
    path = Path(folder) / load_paper(key).document
    if not path.is_file():
        pytest.skip(f"{path.name} is not in FER_PAPERS_DIR")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", PAPERS)
def test_cells_are_unique_named_and_plausible(key):
    cells = load_paper(key).cells
    assert max(Counter((c.table, c.cell) for c in cells).values()) == 1
    for cell in cells:
        assert cell.table and cell.cell and cell.metric and cell.printed in cell.context
        assert 0 <= cell.value <= (1 if cell.unit in RATES else float("inf"))
        digits = re.sub(r"[ ,%]", "", cell.printed)
        if re.fullmatch(r"[0-9.]+", digits):
            assert cell.value == pytest.approx(float(digits) / (100 if cell.unit == "percent" else 1))


@pytest.mark.parametrize("key", PAPERS)
def test_the_document_holds_every_cell_and_no_other_result(key):
    document, cells = document_of(key), load_paper(key).cells
    assert not {squeeze(c.context) for c in cells if squeeze(c.context) not in squeeze(document)}
    contexts, number = squeeze("\n".join(c.context for c in cells)), re.compile(r"[0-9][0-9.,:]*%?")
    for line in document.splitlines():
        if any(map(number.fullmatch, line.split("\t")[1:])) or "ms/step - loss" in line:
            assert squeeze(line) in contexts
    printed = {c.printed.replace(" ", "") for c in cells}
    body = document.split("References\n")[0].split("REFERENCES\n")[0]
    assert {percentage.replace(" ", "") for percentage in re.findall(r"[0-9.]+ ?%", body)} <= printed


def test_a_transcribed_table_keeps_its_slips():
    paper = load_paper("kumar2021")
    assert paper.cell("Table 2", "Happy / precision").printed == "0.88"
    assert paper.cell("Section 5", "Happy / precision").printed == "0.80"
    assert {c.value for c in paper.find(metric="recall", class_name="happy")} == {0.84}
    assert load_paper("bamb2023").cell("Slide: FER dataset", "epoch 47 / val_accuracy").value == 0.8496


def test_confusion_matrices_have_the_truth_in_rows():
    relu, swish = load_paper("dubey2020").confusion_matrices
    assert relu.class_names == swish.class_names == ("negative", "positive", "surprise")
    assert relu.counts == ((14, 1, 6), (1, 2, 0), (4, 0, 4))
    assert swish.counts[0] == (14, 4, 3)
    (fer,) = load_paper("srivastav2024").confusion_matrices
    assert len(fer.class_names) == 7 and sum(map(sum, fer.counts)) == 7175
    assert fer.counts[fer.class_names.index("disgust")] == (22, 43, 13, 4, 2, 6, 2)


@pytest.mark.parametrize(
    ("printed", "unit", "value"),
    [
        ("62.5%", "percent", 0.625),
        ("92 %", "percent", 0.92),
        ("0.80", "fraction", 0.8),
        ("28,273", "count", 28273),
        ("138M", "count", 138e6),
        ("seven", "count", 7),
        ("03:48", "minutes:seconds", 228),
    ],
)
def test_printed_forms_are_understood(printed, unit, value):
    assert parse_printed(printed, unit=unit) == value


@pytest.mark.parametrize(
    "text", ["1.2 fraction", "101% percent", "-1 count", "2.5 count", "nan loss", " loss"]
)
def test_impossible_values_are_refused(text):
    printed, unit = text.split(" ")
    with pytest.raises(ValueError, match=unit):
        parse_printed(printed, unit=unit)


def test_an_unknown_paper_cell_or_file_is_named(tmp_path):
    with pytest.raises(KeyError, match="kumar2021"):
        load_paper("kumar2012")
    with pytest.raises(KeyError, match="Table 2: Happy / precision"):
        load_paper("kumar2021").cell("Table 2", "Hapy / precision")
    with pytest.raises(FileNotFoundError, match=r"kumar2021\.yaml"):
        load_paper("kumar2021", folder=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("recall: percent", "recall: per cent", "fields.recall"),
        ("Happy\\t84", "Happy\\t84\\t85", "does not fit"),
        ("Happy\\t84", "Happy\\t840", "Happy / recall"),
        ("Happy\\t84", "Happy\\t84\\nHappy\\t85", "more than once"),
        ("cell: Happy / recall", "cell: Sad / recall", "Sad / recall"),
        ("title: A study", "title: [", "YAML|parsing"),
        ("seeds: e}", "sead: e}", "protocol"),
        ("believe: Nothing without its protocol.", "", "believe, protocol or headline is missing"),
        ("tables:", f"statements: [{{{STATEMENT}}}]\ntables:", "81%"),
    ],
)
def test_a_malformed_file_is_named_with_its_entry(tmp_path, old, new, named):
    path = tmp_path / "kumar2021.yaml"
    path.write_text(SMALL, encoding="utf-8")
    (cell,) = load_paper("kumar2021", folder=tmp_path).cells
    assert (cell.class_name, cell.metric, cell.value) == ("happy", "recall", 0.84)
    path.write_text(SMALL.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"(?s)kumar2021\.yaml.*({named})"):
        load_paper("kumar2021", folder=tmp_path)


def test_coverage_names_runs_that_have_a_parameter_file():
    folders = (PROJECT / "params" / "reference", PROJECT / "params" / "paper")
    known = {run for folder in folders for run in profile_runs(folder)}
    named = {entry.run for key in PAPERS for entry in load_paper(key).coverage if entry.run}
    assert all(any(f"{run}--".startswith(f"{name}--") for run in known) for name in named)
    covered = tables.coverage_table([])["covered"]
    assert set(covered) == {"not run yet", "shown", "left out"} and len(covered) > 30
