"""Run folders as pages: an executed notebook to a report, many results to tables and an index.

The pages load nothing, so that they open offline and years later; data is prepared here and set in HTML by
the templates beside this module.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from fer_utils.comparison import merge_seeds
from fer_utils.files import write_text
from fer_utils.papers import PAPERS, load_paper
from fer_utils.tables import (
    comparison_table,
    hardware,
    load_methods,
    load_results,
    protocol,
    read_results,
    run_row,
    runs_table,
    with_interval,
)

__all__ = [
    "comparison_table",
    "export_report",
    "load_methods",
    "load_results",
    "runs_table",
    "write_index",
]

TEMPLATES = Path(__file__).parent / "templates"
HIDDEN_TAG = "remove-in-report"
WIDGET_NOTE = "An interactive element: open the notebook in JupyterLab to use it."

LIVE_TYPES = ("application/vnd.jupyter.widget-view+json", "application/javascript", "text/vnd.mermaid")
_FRAMEWORK_LOG = re.compile(
    r"^(\d{4}-\d\d-\d\d .*: [IWE] (tensorflow|external|xla)/"  # 2026-01-01 10:00:00.0: I tensorflow/...
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d"  # absl: I0000 00:00:1767225600.0 12 gpu_device.cc:1]
    r"|WARNING: All log messages before absl::InitializeLog"
    r"|To enable the following instructions:"
    r"|.*(cuInit|Unable to register cu|computation_placer|cuda_executor|TensorRT|oneDNN|cpu_feature_guard))"
)
_OVERWRITTEN = re.compile(r"[^\r\n]*\r(?=[^\r\n])|\x08")  # what a progress bar replaced on its line
_EXTERNAL_CSS = re.compile(r"@import[^;]*;?|url\(\s*['\"]?(?!data:|#|['\"])[^)]*\)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+−]?[\d,.]+(e[-+]?\d+)?\s*(%|pp|s)?|nan|<NA>|None|[–—-]|", re.IGNORECASE)


def export_report(notebook: Path, html: Path, *, title: str | None = None) -> Path:
    """Write an executed notebook as one HTML file that needs no network and no JavaScript.

    Prose and outputs are shown, code is folded, cells tagged ``remove-in-report`` are left out, and links are
    written out as addresses. The header states what ``results.json`` beside the notebook says of the run.

    Parameters
    ----------
    notebook
        An executed notebook; images take their alt text from the output's metadata,
        ``display(figure, metadata={"image/png": {"alt": "..."}})``, or from the cell's ``alt``.
    html
        Where to write; replaced only when the page is complete.
    title
        Title of the page; the run's name, or the notebook's, by default.
    """
    notebook, html = Path(notebook), Path(html)
    nb = _for_reading(nbformat.read(notebook, as_version=4))
    run = next(read_results([notebook.with_name("results.json")]), None)
    if run is None:
        failed = any(o.output_type == "error" for c in nb.cells for o in c.get("outputs", []))
        run = {"status": "failed" if failed else "no_results", "run": notebook.stem}
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        embed_images=True,
    )
    # What was printed piece by piece, an epoch at a time, is one text.
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    resources = {
        "metadata": {"name": notebook.stem, "path": str(notebook.parent)},
        "page": {
            "title": title or run["run"],
            "run": run,
            "style": _style(),
            "protocol": protocol(run),
            "hardware": hardware(run),
            "has_heading": any(re.match(r"#\s", c.source) for c in nb.cells if c.cell_type == "markdown"),
        },
    }
    page, _ = exporter.from_notebook_node(nb, resources=resources)
    return write_text(html, _offline(page))


def _for_reading(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what only a live session can show, and the log lines of frameworks that start up."""
    nb.cells = [cell for cell in nb.cells if HIDDEN_TAG not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _is_readable(output)]
    return nb


def _is_readable(output: nbformat.NotebookNode) -> bool:
    if output.output_type == "stream":
        lines = _OVERWRITTEN.sub("", output.text).splitlines(keepends=True)
        noisy = output.name == "stderr"
        output.text = "".join(line for line in lines if not (noisy and _FRAMEWORK_LOG.match(line)))
        return bool(output.text.strip())
    if "data" in output:
        live = [kind for kind in LIVE_TYPES if output.data.pop(kind, None) is not None]
        if live and not output.data.keys() - {"text/plain"}:
            output.data["text/plain"] = WIDGET_NOTE
    return output.get("data") != {}


def _offline(page: str) -> str:
    """Remove all that would load something, write out links, complete tables for screen readers."""
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup(["script", "link", "iframe", "object", "embed", "base", "video", "audio"]):
        tag.decompose()
    for tag in soup("meta", attrs={"http-equiv": True}):
        tag.decompose()
    for tag in soup("style"):
        tag.string = _EXTERNAL_CSS.sub("none", tag.get_text())
    for tag in soup(True):
        for name in [name for name in tag.attrs if name.startswith("on") or name in ("srcset", "background")]:
            del tag[name]
        if "style" in tag.attrs:
            tag["style"] = _EXTERNAL_CSS.sub("none", tag["style"])
    for image in soup("img"):
        if not image.get("src", "").startswith("data:"):
            image.replace_with(f"[{image.get('alt') or 'figure'}: not part of this file]")
    for link in soup("a", href=True):
        _write_out(link)
    for tag in soup(True, attrs={"xlink:href": True}):
        del tag["xlink:href"]
    for table in soup("table"):
        _complete_table(table)
    return str(soup)


def _write_out(link: Tag) -> None:
    address = link["href"]
    if not address.startswith("#"):
        if address.startswith("javascript:"):
            address = ""
        known = not address or address.rstrip("/") in link.get_text()
        link.insert_after("" if known else f" ({address})")
        link.unwrap()


def _complete_table(table: Tag) -> None:
    """Give headings their scope, and mark the columns that hold only numbers."""
    table.attrs.pop("border", None)
    for heading in table("th"):
        heading.attrs.setdefault("scope", "col" if heading.find_parent("thead") else "row")
    rows = [row(["th", "td"]) for row in table("tr")]
    for column in range(max(map(len, rows), default=0)):
        cells = [row[column] for row in rows if column < len(row)]
        data = [cell for cell in cells if cell.name == "td"]
        if data and all(_NUMBER.fullmatch(cell.get_text().strip()) for cell in data):
            for cell in cells:
                cell["class"] = [*cell.get("class", []), "number"]


def write_index(
    profile_dir: Path, *, reference_dir: Path | None = None, expected: Sequence[str] = ()
) -> Path:
    """Write ``index.html`` of a profile: its runs, then what the papers print beside what was measured.

    Parameters
    ----------
    profile_dir
        ``reports/<profile>``; ``<profile_dir>/.failed/<run>`` holds the latest attempt of a run that failed.
    reference_dir
        ``reports/reference``: the runs on real data; this profile's own runs on real data are added.
    expected
        Run names of the profile's parameter files; those without a folder are listed as not run yet.
    """
    profile_dir = Path(profile_dir)
    mine = load_results(profile_dir)
    reference_dir = Path(reference_dir) if reference_dir else profile_dir
    real = [result for result in mine if result.get("dataset", {}).get("source") == "real"]
    real = merge_seeds(profile_dir, real)
    if reference_dir.resolve() != profile_dir.resolve():
        real = load_methods(reference_dir) + real
    folders = {"": profile_dir, profile_dir.name: profile_dir, reference_dir.name: reference_dir}
    papers = [load_paper(key) for key in PAPERS]
    rows = comparison_table(real, papers).astype(object)
    comparison = [
        row
        | {
            "href": row["run"]
            and _href(folders.get(row["profile"], reference_dir) / row["folder"], profile_dir)
        }
        for row in rows.where(rows.notna(), None).to_dict("records")
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("index.html.j2").render(
        profile=profile_dir.name,
        style=_style(),
        runs=_index_runs(profile_dir, mine, expected),
        papers=[(paper, [row for row in comparison if row["paper"] == paper.key]) for paper in papers],
    )
    return write_text(profile_dir / "index.html", page)


def _index_runs(profile_dir: Path, results: list[dict], expected: Sequence[str]) -> list[dict]:
    good = {result["run"]: result for result in results}
    failed = {result["run"]: result for result in load_results(profile_dir / ".failed")}
    runs = []
    for name in sorted({*good, *failed, *expected}):
        result = good.get(name, {"run": name, "status": "not run yet"})
        metrics = result.get("metrics", {})
        runs.append(
            run_row(result)
            | {
                "shown": {key: with_interval(record) for key, record in metrics.items()},
                "href": _href(profile_dir / name, profile_dir),
                "failed": failed.get(name, {}).get("reason"),
                "failed_href": _href(profile_dir / ".failed" / name, profile_dir),
            }
        )
    return runs


def _href(folder: Path, start: Path) -> str | None:
    for path in (folder / "report.html", folder / "results.json"):
        if path.is_file():
            return os.path.relpath(path, start).replace(os.sep, "/")
    return None


def _style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")
