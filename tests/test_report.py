"""Reports and the index page work offline, have alt texts, scopes and intervals, and show failures."""

import base64
import re
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from results_files import put, study, without_result

from fer_utils.report import export_report, write_index

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not a real image").decode()
HOSTILE = '<img src=x onerror="alert(1)">'
TABLE = """
<style>@import 'https://x.example/a.css'; td {background: url(https://x.example/b.png)}</style>
<table border="1" class="dataframe"><thead>
<tr style="text-align: right;"><th></th><th>name</th><th>f1</th></tr>
</thead><tbody><tr><th>0</th><td>sad</td><td>0.41</td></tr></tbody></table>"""
WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox()"}


def external_references(page: str) -> list[str]:
    """Return everything in a page that could load or lead elsewhere, except relative links to files."""
    soup = BeautifulSoup(page, "html.parser")
    found = [tag.name for tag in soup(["script", "link", "iframe", "object"])]
    found += [tag["src"] for tag in soup(src=True) if not tag["src"].startswith("data:")]
    found += re.findall(r"<[^>]*\b(?:src|srcset|href|action)\s*=\s*[\"']?((?:https?:)?//[^\"'> ]*)", page)
    styles = "".join(style.get_text() for style in soup("style"))
    found += re.findall(r"@import|url\((?!['\"]?data:)", styles)
    return found + re.findall(r"<[^>]*\son\w+\s*=", page)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("reports")
    put(folder, study("run", reason="below the paper, see why"))
    shown = [
        ({"text/html": TABLE, "text/plain": "x"}, {}),
        ({"image/png": PNG}, {"image/png": {"alt": 'A "curve" <1>'}}),
        ({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}, {}),
        (WIDGET, {}),
        ({"application/javascript": "fetch('https://x.example')"}, {}),
        ({"text/html": "<script src='https://x.example/y.js'></script><b onclick='x()'>kept</b>"}, {}),
    ]
    outputs = [
        new_output("stream", name="stdout", text="1 of 9\r9 of 9\nepoch 1 <b>\n"),
        new_output("stream", name="stdout", text="epoch 2\n"),
        *(new_output("display_data", data=data, metadata=metadata) for data, metadata in shown),
    ]
    prose = "# Title\n\nSee [the paper](https://doi.org/10.1/abc) and ![plot](https://x.example/p.png)."
    cells = [
        new_markdown_cell(prose, id="prose"),
        new_code_cell("print('<visible> code')", outputs=outputs, id="shown"),
        new_code_cell("secret = 1", metadata={"tags": ["remove-in-report"]}, id="hidden"),
    ]
    widgets = {"state": {"1": {}}, "version_major": 2, "version_minor": 0}
    metadata = {"widgets": {"application/vnd.jupyter.widget-state+json": widgets}}
    path = folder / "run" / "notebook.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return export_report(path).read_text(encoding="utf-8")


def test_a_report_is_self_contained(report):
    assert external_references(report) == []
    assert "the paper (https://doi.org/10.1/abc)" in BeautifulSoup(report, "html.parser").get_text()
    assert "plot: not part of this file" in report and "kept" in report


def test_a_report_folds_code_and_hides_tagged_cells_and_widgets(report):
    soup = BeautifulSoup(report, "html.parser")
    assert "<visible> code" in soup.find("details").get_text()
    assert "9 of 9\nepoch 1 <b>\nepoch 2" in soup.get_text() and "1 of 9" not in report
    assert "secret" not in report and "HBox" not in report and "JupyterLab" in report


def test_images_have_alt_texts_and_tables_scopes(report):
    soup = BeautifulSoup(report, "html.parser")
    assert [image["alt"] for image in soup("img")] == ['A "curve" <1>', "figure without description"]
    table = soup.main.find("table", class_="dataframe")
    assert [th["scope"] for th in table("th")] == ["col", "col", "col", "row"]
    assert [td.get("class") for td in table("td")] == [None, ["number"]]


def test_a_report_begins_with_status_data_protocol_and_machine(report):
    header = BeautifulSoup(report, "html.parser").find("header").get_text(" ")
    facts = ("run", "done", "below the paper", "FER-2013", "official split", "1,200 exact", "Some CPU")
    assert all(fact in header for fact in facts) and "synthetic" not in header


def test_a_failed_notebook_shows_its_error(tmp_path):
    traceback = ["\x1b[31mValueError\x1b[0m: no <faces>"]
    error = new_output("error", ename="ValueError", evalue="no <faces>", traceback=traceback)
    path = put(tmp_path, without_result(HOSTILE, "no <faces>", status="failed")).with_name("notebook.ipynb")
    nbformat.write(new_notebook(cells=[new_code_cell("fail()", outputs=[error])]), path)
    soup = BeautifulSoup(export_report(path).read_text(encoding="utf-8"), "html.parser")
    assert "ValueError: no <faces>" in soup.find("pre", class_="error").get_text()
    assert soup.find("header").find(class_="status").get_text() == "failed"
    assert soup.title.get_text() == HOSTILE and not soup("img")


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> BeautifulSoup:
    folder = tmp_path_factory.mktemp("index")
    smoke, reference = folder / "smoke", folder / "reference"
    for run in ("10_baseline_cnn--kumar2021", "old"):
        put(smoke, study(run, profile="smoke", source="synthetic"))
        (smoke / run / "report.html").write_text("<p>report")
    put(smoke / ".failed", without_result("old", "loss is NaN at epoch 3", status="failed"))
    put(smoke, without_result("raf", HOSTILE))
    put(smoke, study("broken")).write_text("{")
    put(reference, study(f"10 {HOSTILE[1:4]}#odd?"))
    page = write_index(smoke, expected=["00_data_prep", "old"])
    text = page.read_text(encoding="utf-8")
    assert external_references(text) == []
    soup = BeautifulSoup(text, "html.parser")
    for link in soup("a", href=True):
        assert (smoke / unquote(link["href"])).is_file(), link["href"]
    return soup


def test_the_index_lists_every_run_with_its_status(index):
    runs = {run.th.get_text(strip=True): run.get_text(" ", strip=True) for run in index.table("tbody")}
    assert list(runs) == ["00_data_prep", "10_baseline_cnn--kumar2021", "broken", "old", "raf"]
    assert "not run yet" in runs["00_data_prep"] and "results.json cannot be used" in runs["broken"]
    kumar = runs["10_baseline_cnn--kumar2021"]
    assert "synthetic" in kumar and "0.562 [0.545, 0.578]" in kumar and "0.249" in kumar
    assert "latest attempt failed" in runs["old"] and "loss is NaN at epoch 3" in runs["old"]
    assert HOSTILE in runs["raf"] and len(index("img")) == 1
    assert "1 of 5 runs done" in index.find(class_="lead").get_text()
    assert {run["data-status"] for run in index.table("tbody")} == {
        "done",
        "failed",
        "not run",
        "not run yet",
    }


def test_the_index_compares_papers_with_runs_on_real_data(index):
    rows = [row for table in index("table", class_="comparison") for row in table("tbody")]
    (accuracy,) = [row for row in rows if row.th.get_text() == "accuracy" and "3,534" in row.get_text()]
    text = accuracy.get_text(" ", strip=True)
    assert "0.54 0.562 [0.545, 0.578]" in text and "+2.2 pp" in text and "3,534" in text
    assert "official split" in text and "PROFILE=reference" in text
    assert sum("not run yet" in row.get_text() for row in rows) > 10
