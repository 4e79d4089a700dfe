"""Reports and the index open offline, can be read by anyone, and never flatter a number."""

import base64
import json
import re
from dataclasses import replace
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fer_utils.effects import Arm, Effect
from fer_utils.files import PROJECT, read_json
from fer_utils.papers import PAPERS, load_paper
from fer_utils.readme import (
    readme_effects,
    readme_methods,
    readme_protocols,
    readme_table,
    replace_between_markers,
)
from fer_utils.report import (
    comparison_table,
    export_report,
    load_results,
    runs_table,
    write_index,
)
from fer_utils.results import Results
from fer_utils.tables import what_to_believe

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not a real picture").decode()
HOSTILE = '<img src=x onerror="alert(1)">'
KUMAR = load_paper("kumar2021")


def metric(value, low=None, high=None, n=3534):
    return {"value": value, "ci95": None if low is None else [low, high], "n": n}


def printed(table, cell, compared_with):
    it = KUMAR.cell(table, cell)
    return {
        "paper": it.paper, "table": table, "cell": cell, "metric": it.metric, "value": it.value,
        "printed": it.printed, "compared_with": compared_with,
    }  # fmt: skip


def study(run="10_baseline_cnn--kumar2021", *, profile="reference", source="real", **changes):
    result = {
        "kind": "study", "status": "done", "run": run, "variant": "kumar2021", "notebook": "10_baseline_cnn",
        "profile": profile, "paper": "kumar2021",
        "dataset": {"name": "FER-2013", "source": source, "samples": 35340, "classes": ["angry", "happy"],
                    "fingerprint": "0123abcd"},
        "protocol": {"split": "official split", "selection": "epoch best on PublicTest",
                     "subject_independent": None, "leakage": "none",
                     "overlap": {"exact_duplicates": 1200}, "seed": 0},
        "metrics": {"accuracy": metric(0.562, 0.5455, 0.5782), "balanced_accuracy": metric(0.53, 0.51, 0.55),
                    "macro_f1": metric(0.527, 0.51, 0.545)},
        "other_metrics": {"majority_baseline": {"accuracy": metric(0.249, 0.235, 0.263)},
                          "chance_baseline": {"accuracy": metric(1 / 6)},
                          "validation": {"accuracy": metric(0.571, 0.55, 0.59), "loss": metric(1.2)}},
        "per_class": [{"class": "happy", "support": 879, "precision": 0.8, "recall": 0.78, "f1": 0.79,
                       "auc": 0.95}],
        "confusion_matrix": [[1, 2], [3, 4]],
        "published": [printed("Table 2", "Accuracy / f1", "accuracy"),
                      printed("Table 2", "Happy / f1", "per_class.happy.f1"),
                      printed("Section 5", "35 epochs / accuracy", "validation.accuracy")],
        "compute": {"device": "cpu", "device_name": "Some CPU", "seconds": 3000.0, "epochs": 35},
        "environment": {"python": "3.11", "packages": {"keras": "3"}, "platform": "Linux", "commit": None,
                        "created": "2026-01-01T00:00:00Z"},
        "params": {"seed": 0},
    }  # fmt: skip
    return result | changes


def not_run(run="10_baseline_cnn--raf", reason="RAF-DB is not under data/raw", **changes):
    keys = ("kind", "variant", "notebook", "profile", "paper")
    return {key: study()[key] for key in keys} | {"run": run, "status": "not_run", "reason": reason} | changes


def put(folder, result):
    path = folder / result["run"] / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result), encoding="utf-8")
    return path


def external_references(page):
    """Everything in a page that could load or lead elsewhere, except relative links to files."""
    soup = BeautifulSoup(page, "html.parser")
    found = [tag.name for tag in soup(["script", "link", "iframe", "object"])]
    found += [tag["src"] for tag in soup(src=True) if not tag["src"].startswith("data:")]
    found += re.findall(r"<[^>]*\b(?:src|srcset|href|action)\s*=\s*[\"']?((?:https?:)?//[^\"'> ]*)", page)
    styles = "".join(style.get_text() for style in soup("style"))
    found += re.findall(r"@import|url\((?!['\"]?data:)", styles)
    return found + re.findall(r"<[^>]*\son\w+\s*=", page)


TABLE = """
<style>@import 'https://x.example/a.css'; td {background: url(https://x.example/b.png)}</style>
<table border="1" class="dataframe"><thead>
<tr style="text-align: right;"><th></th><th>name</th><th>f1</th></tr>
</thead><tbody><tr><th>0</th><td>sad</td><td>0.41</td></tr></tbody></table>"""
NOISE = """\
2026-01-01 00:00:00.1: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
E0000 00:00:1767225600.123456 12 cuda_dnn.cc:8579] Unable to register cuDNN factory
real warning
"""
LIVE = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "HBox()"}
WIDGETS = {"state": {"1": {}}, "version_major": 2, "version_minor": 0}


@pytest.fixture
def notebook(tmp_path):
    shown = [
        ({"text/html": TABLE, "text/plain": "x"}, {}),
        ({"image/png": PNG}, {"image/png": {"alt": 'A "curve" <1>'}}),
        ({"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}, {}),
        (LIVE, {}),
        ({"application/javascript": "fetch('https://x.example')"}, {}),
        ({"text/html": "<script src='https://x.example/y.js'></script><b onclick='x()'>kept</b>"}, {}),
    ]
    outputs = [
        new_output("stream", name="stdout", text="1 of 9\r9 of 9\nepoch 1 <b>\n"),
        new_output("stream", name="stderr", text=NOISE),
        *(new_output("display_data", data=data, metadata=metadata) for data, metadata in shown),
    ]
    prose = "# Title\n\nSee [the paper](https://doi.org/10.1/abc) and ![plot](https://x.example/p.png)."
    cells = [
        new_markdown_cell(prose, id="prose"),
        new_code_cell("print('<visible> code')", outputs=outputs, id="shown"),
        new_code_cell("secret = 1", metadata={"tags": ["remove-in-report"]}, id="hidden"),
    ]
    path = tmp_path / "run" / "notebook.ipynb"
    path.parent.mkdir()
    widgets = {"application/vnd.jupyter.widget-state+json": WIDGETS}
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": widgets}), path)
    return path


@pytest.fixture
def report(notebook):
    put(notebook.parent.parent, study("run", reason="below the paper, see why"))
    return export_report(notebook, notebook.with_name("report.html")).read_text(encoding="utf-8")


def test_a_report_loads_and_links_nothing_outside_itself(report):
    assert external_references(report) == []
    assert "the paper (https://doi.org/10.1/abc)" in BeautifulSoup(report, "html.parser").get_text()
    assert "plot: not part of this file" in report
    assert "kept" in report


def test_every_image_of_a_report_has_its_alt_text_or_says_that_it_has_none(report):
    alts = [image["alt"] for image in BeautifulSoup(report, "html.parser")("img")]
    assert alts == ['A "curve" <1>', "figure without description"]


def test_a_report_folds_code_shows_outputs_and_hides_tagged_cells_and_start_up_noise(report):
    soup = BeautifulSoup(report, "html.parser")
    assert "<visible> code" in soup.find("details").get_text()
    assert "epoch 1 <b>" in soup.get_text() and "real warning" in soup.get_text()
    assert "9 of 9" in report and "1 of 9" not in report
    assert "secret" not in report and "tensorflow" not in report and "cuda" not in report
    assert "open the notebook in JupyterLab" in report and "HBox" not in report


def test_a_report_opens_with_run_status_data_protocol_and_machine(report):
    header = BeautifulSoup(report, "html.parser").find("header").get_text(" ")
    for fact in (
        "run",
        "done",
        "below the paper",
        "FER-2013",
        "official split",
        "1,200 exact duplicates",
        "Some CPU",
    ):
        assert fact in header
    assert "synthetic" not in header


def test_tables_of_a_report_have_scopes_and_right_aligned_numbers(report):
    table = BeautifulSoup(report, "html.parser").find("table", class_="dataframe")
    assert [th["scope"] for th in table("th")] == ["col", "col", "col", "row"]
    assert [td.get("class") for td in table("td")] == [None, ["number"]]
    assert [th.get("class") for th in table.select("thead th")] == [None, None, ["number"]]


def test_a_failed_notebook_shows_its_error_plainly_and_its_status(tmp_path):
    error = new_output(
        "error", ename="ValueError", evalue="no <faces>", traceback=["\x1b[31mValueError\x1b[0m: no <faces>"]
    )
    path = tmp_path / "notebook.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("fail()", outputs=[error])]), path)
    page = export_report(path, tmp_path / "out" / "report.html", title=HOSTILE).read_text(encoding="utf-8")
    soup = BeautifulSoup(page, "html.parser")
    assert "ValueError: no <faces>" in soup.find("pre", class_="error").get_text()
    assert soup.find("header").find(class_="status").get_text() == "failed"
    assert soup.title.get_text() == HOSTILE == soup.h1.get_text()
    assert not soup("img")


def test_a_notebook_without_results_is_not_called_done(notebook):
    page = export_report(notebook, notebook.with_name("report.html")).read_text(encoding="utf-8")
    assert BeautifulSoup(page, "html.parser").find(class_="status").get_text() == "no results"


def test_equal_inputs_give_equal_pages(notebook, tmp_path):
    first, second = (export_report(notebook, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second
    put(tmp_path / "smoke", study())
    assert write_index(tmp_path / "smoke").read_bytes() == write_index(tmp_path / "smoke").read_bytes()


def test_damaged_results_become_failed_runs_that_name_the_file(tmp_path):
    put(tmp_path, study("a"))
    put(tmp_path, study("b", status="great"))
    put(tmp_path, study("c")).write_text("{half")
    put(tmp_path, study("d")).write_text("[]")
    put(tmp_path, study("e")).write_bytes(b"\xff\xfe")
    put(tmp_path / ".staging", study("f"))
    (tmp_path / "empty").mkdir()
    results = load_results(tmp_path)
    assert [(r["run"], r["status"]) for r in results] == [("a", "done"), *((x, "failed") for x in "bcde")]
    for result in results[1:]:
        assert f"{result['run']}/results.json" in result["reason"]
        Results.check(result)
    assert load_results(tmp_path / "nothing here") == []


def test_runs_table_states_metrics_baselines_cost_and_seed():
    table = runs_table([study(), not_run()])
    row = table.iloc[0]
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"], row["n"]) == (
        0.562,
        0.5455,
        0.5782,
        3534,
    )
    assert (row["majority_accuracy"], row["seconds"], row["seed"]) == (0.249, 3000.0, "0")
    assert table.iloc[1]["reason"] == "RAF-DB is not under data/raw"
    assert list(runs_table([]).columns) == list(table.columns)


def row_of(table, cell, run=None):
    rows = table[(table["cell"] == cell) & (table["run"] == run if run else True)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_what_was_printed_piece_by_piece_is_one_text(tmp_path):
    lines = [new_output("stream", name="stdout", text=f"epoch {number}\n") for number in (1, 2)]
    nbformat.write(
        nbformat.v4.new_notebook(cells=[new_code_cell("train()", outputs=lines)]), tmp_path / "a.ipynb"
    )
    page = export_report(tmp_path / "a.ipynb", tmp_path / "a.html").read_text("utf-8")
    assert "epoch 1\nepoch 2" in page


def test_a_real_run_stands_beside_the_printed_number_with_interval_and_difference():
    table = comparison_table([study()], [KUMAR])
    accuracy = row_of(table, "Accuracy / f1")
    assert accuracy["printed"] == "0.54" and accuracy["shown"] == "0.562 [0.545, 0.578]"
    assert accuracy["delta_pp"] == pytest.approx(2.2) and accuracy["n"] == 3534
    assert accuracy["command"] == "make reproduce PROFILE=reference RUN=10_baseline_cnn--kumar2021"
    happy = row_of(table, "Happy / f1")
    assert (happy["measured"], happy["n"]) == (0.79, 879) and happy["delta_pp"] == pytest.approx(-3)
    assert row_of(table, "35 epochs / accuracy")["shown"] == "57.1 % [55.0, 59.0]"


def test_headline_numbers_without_a_run_say_so():
    table = comparison_table([], [load_paper(key) for key in PAPERS])
    assert len(table) == sum(len(load_paper(key).headline) for key in PAPERS)
    assert set(table["shown"]) == {"not run yet"} and table["measured"].isna().all()


@pytest.mark.parametrize(
    ("status", "shown"), [("not_run", "not run: no data"), ("failed", "failed: no data")]
)
def test_a_run_without_a_result_gives_its_reason_beside_the_printed_number(status, shown):
    waiting = not_run(
        reason="no data", status=status, published=[printed("Table 2", "Accuracy / f1", "accuracy")]
    )
    row = row_of(comparison_table([waiting], [KUMAR]), "Accuracy / f1")
    assert row["shown"] == shown and row.isna()["measured"] and row["run"] == waiting["run"]


def test_two_runs_against_one_number_are_two_rows():
    table = comparison_table([study("a"), study("b")], [KUMAR])
    assert row_of(table, "Accuracy / f1", "a")["measured"] == row_of(table, "Accuracy / f1", "b")["measured"]


def test_a_synthetic_number_is_labelled_and_never_compared():
    row = row_of(comparison_table([study(source="synthetic")], [KUMAR]), "Accuracy / f1")
    assert row["shown"] == "0.562 [0.545, 0.578] synthetic – not comparable"
    assert row[["measured", "ci95_low", "ci95_high", "delta_pp"]].isna().all()
    assert "synthetic" not in readme_table([study(source="synthetic")])


def test_a_comparison_with_a_number_the_run_lacks_is_not_an_error():
    result = study(published=[printed("Table 2", "Accuracy / f1", "per_class.bored.f1")])
    assert (
        row_of(comparison_table([result], [KUMAR]), "Accuracy / f1")["shown"]
        == "the run reports no such number"
    )


@pytest.fixture
def reports(tmp_path):
    smoke, reference = tmp_path / "smoke", tmp_path / "reference"
    put(smoke, study("10_baseline_cnn--kumar2021", profile="smoke", source="synthetic"))
    put(smoke, study("old", profile="smoke", source="synthetic"))
    put(smoke / ".failed", not_run("old", "loss is NaN at epoch 3", status="failed"))
    put(smoke, not_run("raf", HOSTILE))
    put(smoke, study("broken")).write_text("{")
    put(reference, study(f"10 {HOSTILE[1:4]}#odd?"))
    for path in (smoke / "old", smoke / "10_baseline_cnn--kumar2021"):
        (path / "report.html").write_text("<p>report")
    return smoke, reference


def test_the_index_is_complete_and_self_contained(reports):
    smoke, reference = reports
    page = write_index(smoke, reference_dir=reference, expected=["00_data_prep", "old"]).read_text(
        encoding="utf-8"
    )
    soup = BeautifulSoup(page, "html.parser")
    assert external_references(page) == [] and not soup("img")
    runs = {row.th.get_text(): row.get_text(" ", strip=True) for row in soup.table.select("tbody tr")}
    assert list(runs) == ["00_data_prep", "10_baseline_cnn--kumar2021", "broken", "old", "raf"]
    assert "not run yet" in runs["00_data_prep"]
    assert (
        "synthetic" in runs["10_baseline_cnn--kumar2021"]
        and "0.562 [0.545, 0.578]" in runs["10_baseline_cnn--kumar2021"]
    )
    assert "broken/results.json" in runs["broken"] and HOSTILE in runs["raf"]
    assert "loss is NaN at epoch 3" in runs["old"] and "earlier run" in runs["old"]
    papers = soup.find("section", id="papers").get_text(" ", strip=True)
    for fact in ("0.54", "0.562 [0.545, 0.578]", "+2.2 pp", "not run yet", "Some CPU", "PROFILE=reference"):
        assert fact in papers
    assert "synthetic" not in papers


def test_links_of_the_index_lead_to_files(reports):
    smoke, reference = reports
    soup = BeautifulSoup(
        write_index(smoke, reference_dir=reference).read_text(encoding="utf-8"), "html.parser"
    )
    links = [unquote(link["href"]) for link in soup("a") if not link["href"].startswith("#")]
    assert "old/report.html" in links and any(link.startswith("../reference/") for link in links)
    assert all((smoke / link).is_file() for link in links)


def test_the_index_can_be_read_without_seeing_it(reports):
    soup = BeautifulSoup(write_index(reports[0]).read_text(encoding="utf-8"), "html.parser")
    assert soup.html["lang"] == "en" and soup.title.get_text()
    assert all(th.get("scope") for th in soup("th")) and all(table.caption for table in soup("table"))
    assert all(
        region["aria-labelledby"] in {h["id"] for h in soup(id=True)} for region in soup(role="region")
    )


def test_an_index_of_an_empty_profile_is_written(tmp_path):
    page = write_index(tmp_path / "smoke", reference_dir=tmp_path / "reference").read_text(encoding="utf-8")
    assert "no runs yet" in page and "not run yet" in page


def test_the_readme_table_holds_real_rows_with_their_command():
    waiting = not_run(
        reason="a | b", published=[printed("Section 5", "280 epochs / accuracy (higher than)", "accuracy")]
    )
    text = readme_table([study(), waiting], papers=[KUMAR])
    rows = [line for line in text.splitlines() if line.startswith("| kumar2021")]
    assert len(rows) == 4 and r"not run: a \| b" in rows.pop()
    assert len(rows) == 3 and all(line.count("|") == 8 for line in rows)
    assert "| 0.54 | 0.562 [0.545, 0.578] | 3,534 |" in rows[0]
    assert "`make reproduce PROFILE=reference RUN=10_baseline_cnn--kumar2021`" in rows[0]
    assert "1 of the papers' 5 headline rows have no run yet" in text


def merged() -> dict:
    members = {
        "accuracy": {"mean": 0.562, "sd": 0.0041, "n": 3},
        "macro_f1": {"mean": 0.527, "sd": 0.01, "n": 3},
    }
    runs = [f"10_baseline_cnn--kumar2021-seed{seed}" for seed in range(3)]
    return study(members={"runs": runs, "metrics": members})


def test_a_mean_over_seeds_says_so_with_its_spread_and_the_command_of_one_of_them():
    rows = comparison_table([merged()], [KUMAR])
    row = rows[rows["cell"] == "Accuracy / f1"].iloc[0]
    assert row["shown"] == "0.562 [0.545, 0.578], mean of 3 seeds (sd 0.004)"
    assert row["command"] == "make reproduce PROFILE=reference RUN=10_baseline_cnn--kumar2021-seed0"
    assert row["run"] == "10_baseline_cnn--kumar2021"


def test_the_readme_lists_every_method_on_real_data_with_its_seeds():
    alone = study("10_baseline_cnn--alone")
    alone["other_metrics"]["ten_crop"] = {"accuracy": {"value": 0.6, "ci95": [0.5, 0.7], "n": 3534}}
    text = readme_methods([merged(), alone, study("x", source="synthetic"), not_run()])
    head, _, *rows = text.splitlines()
    assert head == "| run | accuracy | without duplicates | ten views | macro-F1 | seeds | n | training |"
    assert [row.split(" | ")[0] for row in rows] == [
        "| `10_baseline_cnn--kumar2021`",
        "| `10_baseline_cnn--alone`",
    ]
    assert "| 0.562 [0.545, 0.578], sd 0.004 |" in rows[0] and "| 3 |" in rows[0]
    assert "| 0.562 [0.545, 0.578] |" in rows[1] and "| 1 |" in rows[1]
    assert "| 0.600 [0.500, 0.700] |" in rows[1] and "0.600" not in rows[0]


def test_the_readme_keeps_what_leaks_out_of_its_results_and_methods():
    leaky = study("10_baseline_cnn--leaky")
    leaky["protocol"] = leaky["protocol"] | {"leakage": "random images"}
    shown = comparison_table([leaky], [KUMAR])["shown"]
    assert shown.str.endswith("; leaks: random images").any(), "in the table of all runs it says so itself"
    assert "leaky" not in readme_methods([leaky]) and "leaky" not in readme_table([leaky], papers=[KUMAR])


def test_the_readme_lists_effects_from_the_largest():
    arms = [Arm("a", 0.5, (0.48, 0.52), (0.5,), 100), Arm("b", 0.9, (0.88, 0.92), (0.9,), 100, "a leak")]
    effect = Effect("reshuffled", "shuffle again", *arms, (0.37, 0.43), (0.4,), "FER-2013", ("run",))
    small = replace(effect, trick="choose", leaky=replace(arms[1], value=0.51), interval=(0.0, 0.02))
    head, rule, first, second = readme_effects([small, effect]).splitlines()
    assert head.startswith("| what is done | honest | looks like | adds, points [95 %] |")
    assert first == "| shuffle again | 50.0 % | 90.0 % | +40.0 [+37.0, +43.0] | +40.0 | 100 | FER-2013 |"
    assert second.startswith("| choose | 50.0 % | 51.0 % | +1.0 [+0.0, +2.0] |") and rule.startswith("|---|")


def test_what_to_believe_has_a_line_for_every_paper():
    table = what_to_believe(load_paper(key) for key in PAPERS)
    assert table.index.tolist() == list(PAPERS)
    assert table["what a reader should believe"].str.len().between(100, 700).all()


def test_the_readme_sets_protocols_side_by_side_and_names_each_leak():
    run = read_json(PROJECT / "reports/reference/30_cnn3d_smic/results.json")
    rows = [row.strip("| ").split(" | ") for row in readme_protocols([not_run(), run]).splitlines()[2:]]
    assert [row[0].split(",")[0] for row in rows[:2]] == ["one subject at a time", "the same"]
    assert rows[0][1].startswith(f"{run['metrics']['accuracy']['value']:.3f} [") and rows[0][-1] == "none"
    assert "epoch chosen on test" in rows[1] and "subjects on both sides" in rows[2]
    assert readme_protocols([not_run()]) == "not run\n"


def test_markers_keep_the_text_around_them_and_refresh_is_idempotent():
    text = "before\n<!-- results:start -->\nold\n<!-- results:end -->\nafter\n"
    new = replace_between_markers(text, "results", "| new |\n")
    assert new == "before\n<!-- results:start -->\n| new |\n<!-- results:end -->\nafter\n"
    assert replace_between_markers(new, "results", "| new |\n") == new
    with pytest.raises(ValueError, match="results:end"):
        replace_between_markers("<!-- results:start -->", "results", "")
