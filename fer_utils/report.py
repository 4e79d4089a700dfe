"""Executed notebooks as reports, and the index page of a profile; the pages work offline."""

import os
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from fer_utils.files import write_text
from fer_utils.papers import PAPERS, load_paper
from fer_utils.tables import (
    comparison_rows,
    describe_hardware,
    describe_protocol,
    load_methods,
    load_result,
    load_results,
    run_row,
)

TEMPLATES = Path(__file__).parent / "templates"
HIDDEN_TAG = "remove-in-report"
DISPLAYED = [
    "text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain",
]  # fmt: skip
"""Types of output in a report, the preferred first; widgets and scripts need a live session."""

_EXTERNAL_CSS = re.compile(r"@import[^;]*;?|url\(\s*['\"]?(?!data:|#|['\"])[^)]*\)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+−]?[\d,.]+(e[-+]?\d+)?\s*(%|pp|s)?|nan|<NA>|None|[–—-]|", re.IGNORECASE)


def export_report(notebook: Path, html: Path, *, title: str | None = None) -> Path:
    """Write an executed notebook as one HTML file that needs neither network nor JavaScript.

    Code is folded, cells tagged ``remove-in-report`` are left out, links become text with their address. The
    header is from the ``results.json`` beside the notebook. An image takes its alt text from the output's
    metadata, ``display(figure, metadata={"image/png": {"alt": "..."}})``, or from the cell's ``alt``.

    Parameters
    ----------
    notebook : Path
        An executed notebook.
    html : Path
        The file to write; replaced only when the page is complete.
    title : str, optional
        The run's name by default.
    """
    import nbformat
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor, TagRemovePreprocessor
    from traitlets.config import Config

    notebook, html = Path(notebook), Path(html)
    content = nbformat.read(notebook, as_version=4)
    results = notebook.with_name("results.json")
    if results.is_file():
        run = load_result(results)
    else:
        failed = any(out.output_type == "error" for cell in content.cells for out in cell.get("outputs", []))
        run = {"status": "failed" if failed else "no_results", "run": notebook.stem}
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        config=Config(NbConvertBase={"display_data_priority": DISPLAYED}),
        exclude_anchor_links=True,
        embed_images=True,
    )
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={HIDDEN_TAG}, enabled=True))
    page = {
        "title": title or run["run"],
        "run": run,
        "style": _style(),
        "protocol": describe_protocol(run),
        "hardware": describe_hardware(run),
        "has_heading": any(
            cell.cell_type == "markdown" and cell.source.startswith("# ") for cell in content.cells
        ),
    }
    resources = {"metadata": {"name": notebook.stem, "path": str(notebook.parent)}, "page": page}
    text, _ = exporter.from_notebook_node(content, resources=resources)
    return write_text(html, _offline(text))


def _offline(page: str) -> str:
    """Return a page without anything that would load something, and with a scope for each table heading."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "html.parser")
    for tag in soup(["script", "link", "iframe", "object", "embed", "base", "video", "audio"]):
        tag.decompose()
    for tag in soup("meta", attrs={"http-equiv": True}):
        tag.decompose()
    for tag in soup("style"):
        tag.string = _EXTERNAL_CSS.sub("none", tag.get_text())
    for tag in soup(True):
        tag.attrs = {
            name: _EXTERNAL_CSS.sub("none", value) if name == "style" else value
            for name, value in tag.attrs.items()
            if not name.startswith("on") and name not in ("srcset", "background", "xlink:href")
        }
    for image in soup("img"):
        if not image.get("src", "").startswith("data:"):
            image.replace_with(f"[{image.get('alt') or 'figure'}: not part of this file]")
    for link in soup("a", href=True):
        address = link["href"]
        if not address.startswith("#"):
            known = address.startswith("javascript:") or address.rstrip("/") in link.get_text()
            link.insert_after("" if known else f" ({address})")
            link.unwrap()
    for table in soup("table"):  # headings get their scope, columns of numbers their class
        table.attrs.pop("border", None)
        for heading in table("th"):
            heading.attrs.setdefault("scope", "col" if heading.find_parent("thead") else "row")
        for column in zip_longest(*(row(["th", "td"]) for row in table("tr"))):
            cells = [cell for cell in column if cell is not None]
            data = [cell.get_text().strip() for cell in cells if cell.name == "td"]
            if data and all(map(_NUMBER.fullmatch, data)):
                for cell in cells:
                    cell["class"] = [*cell.get("class", []), "number"]
    return str(soup)


def write_index(
    profile_dir: Path, *, reference_dir: Path | None = None, expected: Sequence[str] = ()
) -> Path:
    """Write ``index.html`` of a profile: its runs, and the papers' numbers beside the measured ones.

    Parameters
    ----------
    profile_dir : Path
        ``reports/<profile>``; ``<profile_dir>/.failed/<run>`` is the latest attempt of a run that failed.
    reference_dir : Path, optional
        ``reports/reference``: the runs on real data, to which this profile's are added.
    expected : sequence of str
        Runs of the profile's parameter files; those without a folder are listed as not run yet.
    """
    import jinja2

    profile_dir, reference_dir = Path(profile_dir), Path(reference_dir or profile_dir)
    real = [one for one in load_methods(profile_dir) if one.get("dataset", {}).get("source") == "real"]
    if reference_dir.resolve() != profile_dir.resolve():
        real = load_methods(reference_dir) + real
    folders = {profile_dir.name: profile_dir, reference_dir.name: reference_dir}
    papers = [load_paper(key) for key in PAPERS]
    comparison = comparison_rows(real, papers)
    for row in comparison:
        if row["run"]:
            folder = folders.get(row["profile"], reference_dir) / row["folder"]
            row["href"] = _link(folder, profile_dir)
    finished, failed = (
        {result["run"]: result for result in load_results(folder)}
        for folder in (profile_dir, profile_dir / ".failed")
    )
    runs = []
    for name in sorted({*finished, *failed, *expected}):
        row = run_row(finished.get(name, {"run": name, "status": "not run yet"}))
        row |= {"href": _link(profile_dir / name, profile_dir), "failed": failed.get(name, {}).get("reason")}
        runs.append(row | {"failed_href": _link(profile_dir / ".failed" / name, profile_dir)})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("index.html.j2").render(
        profile=profile_dir.name,
        style=_style(),
        runs=runs,
        papers=[(paper, [row for row in comparison if row["paper"] == paper.key]) for paper in papers],
    )
    return write_text(profile_dir / "index.html", page)


def _link(folder: Path, start: Path) -> str | None:
    for path in (folder / "report.html", folder / "results.json"):
        if path.is_file():
            return os.path.relpath(path, start).replace(os.sep, "/")
    return None


def _style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")
