"""README.md and docs/: generated parts, numbers, links and commands."""

import re

import pytest

from fer_utils import report, tables
from fer_utils.files import PROJECT, project_path
from fer_utils.papers import load_paper
from fer_utils.report import pages

REFERENCE = PROJECT / "reports" / "reference"
DOCS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)


@pytest.fixture(scope="module")
def parts():
    return pages.generated(REFERENCE)


@pytest.mark.parametrize("page", pages.PAGES)
def test_generated_parts_are_those_of_the_committed_runs(page, parts):
    text = project_path(page).read_text(encoding="utf-8")
    assert pages.render(text, parts) == text, "run `make readme`"


def test_the_figure_shows_the_numbers_of_the_committed_runs(tmp_path):
    comparison = tables.comparison_rows(tables.load_methods(REFERENCE))
    report.comparison_figure(comparison, tmp_path)
    assert not list(tmp_path.iterdir()), "docs/ has another figure: run `make readme`"


@pytest.mark.parametrize(
    ("paper", "run", "form"),
    [
        ("kishor2022", "20_hybrid_hog_cnn--hybrid", "the network reaches {:.0%}"),
        ("bamb2023", "10_baseline_cnn--protocol-official", "official split it reaches {:.2f}"),
    ],
)
def test_conclusions_state_the_measured_accuracy(paper, run, form):
    (result,) = [one for one in tables.load_methods(REFERENCE) if one["run"] == run]
    accuracy = result["metrics"]["accuracy"]["value"]
    assert form.format(accuracy).replace("%", " %") in load_paper(paper).believe


def test_only_the_text_between_its_markers_is_replaced():
    page = "before\n<!-- a:start -->\nold\n<!-- a:end -->\nafter\n"
    assert pages.render(page, {"a": "new\n"}) == page.replace("old", "new")
    with pytest.raises(KeyError, match="a"):
        pages.render(page, {})


@each_page
def test_measured_numbers_stand_only_in_generated_parts(page):
    generated = r"<!-- (\w+):start -->.*?<!-- \1:end -->|```.*?```|`[^`]*`"
    prose = re.sub(generated, "", page.read_text("utf-8"), flags=re.S)
    assert not re.findall(r"\d+\.\d+ ?%|\b0\.\d{2,}", prose)


@each_page
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
            anchors = [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings]
            assert heading in anchors, target


@each_page
def test_commands_name_targets_runs_and_files_that_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    code = " ".join(re.findall(r"```.*?```|`[^`]*`", text, flags=re.S))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= set(targets)
    for name in re.findall(r"[ `(]((?:params|notebooks|fer_utils|benchmarks|tests)/[\w./-]+\.\w+)", text):
        assert (PROJECT / name).is_file(), name
