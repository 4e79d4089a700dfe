"""Executed notebooks as reports, and the index page of a profile; the pages work offline."""

import base64
import io
import os
import re
from collections.abc import Mapping, Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from fer_utils import tables
from fer_utils.files import PROJECT, digest, write_text
from fer_utils.papers import PAPERS, Paper, load_paper

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parents[1] / "templates"
FIGURE = "printed_against_measured.svg"
STYLE = TEMPLATES / "style.css"
DISPLAYED = [
    "text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg", "text/plain",
]  # fmt: skip
"""Types of output in a report, the preferred first; widgets and scripts need a live session."""

_LOADING = "script, link, iframe, object, embed, base, video, audio, meta[http-equiv]"
_EXTERNAL_CSS = re.compile(r"@import[^;]*;?|url\(\s*['\"]?(?!data:|#|['\"])[^)]*\)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+−]?[\d,.]+(e[-+]?\d+)?\s*(%|pp|s)?|nan|<NA>|None|[–—-]|", re.IGNORECASE)


def export_report(notebook: Path) -> Path:
    """Write an executed notebook as `report.html` beside it, which needs neither network nor JavaScript.

    Cells tagged ``remove-in-report`` are left out. The header is from the ``results.json`` beside the
    notebook, an image's alt text from its ``metadata={"image/png": {"alt": "..."}}``, or the cell's ``alt``.
    """
    import nbformat
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor, TagRemovePreprocessor
    from traitlets.config import Config

    content = nbformat.read(notebook, as_version=4)
    run = tables.load_result(notebook.with_name("results.json"))
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        config=Config(NbConvertBase={"display_data_priority": DISPLAYED}),
        exclude_anchor_links=True,
        embed_images=True,
    )
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)
    exporter.register_preprocessor(TagRemovePreprocessor(remove_cell_tags={"remove-in-report"}, enabled=True))
    matrix = notebook.with_name("figures") / "confusion_matrix.png"
    page = {
        "metrics": head_table(run).to_html() if run.get("metrics") else None,
        "confusion_matrix": base64.b64encode(matrix.read_bytes()).decode() if matrix.is_file() else None,
        "run": run,
        "style": STYLE.read_text(encoding="utf-8"),
        "protocol": tables.describe_protocol(run),
        "hardware": tables.describe_hardware(run),
    }
    resources = {"metadata": {"name": notebook.stem, "path": str(notebook.parent)}, "page": page}
    text, _ = exporter.from_notebook_node(content, resources=resources)
    return write_text(notebook.with_name("report.html"), offline(text))


def head_table(run: Mapping) -> "pd.DataFrame":
    """Return the metrics of a run beside its baselines, the first thing in its report."""
    others = run["other_metrics"]
    names = ["without_duplicates", "majority_baseline", "chance_baseline"]
    names += [name for name in others if name.startswith("dataset_")]
    sets = {"this run": run["metrics"]} | {name: others[name] for name in names if name in others}
    return tables.metrics_table(sets).drop(columns=["weighted f1", "macro auc"], errors="ignore")


def offline(page: str) -> str:
    """Return a page without anything that would load something, and with a scope for each table heading."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.select(_LOADING):
        tag.decompose()
    for tag in soup("style"):
        tag.string = _EXTERNAL_CSS.sub("none", tag.get_text())
    for tag in soup(True):
        for name in list(tag.attrs):
            if name.startswith("on") or name in ("srcset", "background", "xlink:href"):
                del tag[name]
            elif name == "style":
                tag["style"] = _EXTERNAL_CSS.sub("none", tag["style"])
    for image in soup.select('img:not([src^="data:"])'):
        image.replace_with(f"[{image.get('alt') or 'figure'}: not part of this file]")
    for link in soup.select('a[href]:not([href^="#"])'):
        known = link["href"].startswith("javascript:") or link["href"].rstrip("/") in link.get_text()
        link.insert_after("" if known else f" ({link['href']})")
        link.unwrap()
    for number, heading in enumerate(soup("h2"), start=1):
        heading.attrs.setdefault("id", f"section-{number}")
        entry = soup.new_tag("li")
        entry.append(soup.new_tag("a", href=f"#{heading['id']}", string=heading.get_text()))
        soup.select_one("nav.contents ul").append(entry)
    for table in soup("table"):  # headings get their scope, columns of numbers their class
        table.attrs.pop("border", None)
        for heading in table("th"):
            heading.attrs.setdefault("scope", "col" if heading.find_parent("thead") else "row")
        for column in zip_longest(*(row(["th", "td"]) for row in table("tr"))):
            cells = [cell for cell in column if cell is not None]
            data = [cell.get_text().strip() for cell in cells if cell.name == "td"]
            if re.search(r"\d", "".join(data)) and all(map(_NUMBER.fullmatch, data)):
                for cell in cells:
                    cell["class"] = [*cell.get("class", []), "number"]
    return str(soup)


def write_index(profile_dir: Path, *, expected: Sequence[str] = ()) -> Path:
    """Write ``index.html`` of a profile: its runs, and the papers' numbers beside the measured ones.

    ``.failed/<run>`` is the latest attempt of a run that failed; ``reference/`` beside `profile_dir` has the
    runs on real data, to which this profile's are added. Runs that are `expected` are listed in any case.
    """
    folders = dict.fromkeys([profile_dir.with_name("reference"), profile_dir])
    measured = [result for folder in folders for result in tables.load_methods(folder)]
    rows = tables.comparison_rows([one for one in measured if one.get("dataset", {}).get("source") == "real"])
    for row in rows:
        folder = profile_dir.with_name(row["result"].get("profile", "reference"))
        row["href"] = _link(folder / str(row["seeds"][0]), profile_dir)
    finished, failed = (
        {result["run"]: result for result in tables.load_results(folder)}
        for folder in (profile_dir, profile_dir / ".failed")
    )
    runs = []
    for name in sorted({*finished, *failed, *expected}):
        result = finished.get(name, {"run": name, "status": "not run yet"})
        row = tables.run_row(result) | {"paper": result.get("paper")}
        row |= {"href": _link(profile_dir / name, profile_dir), "failed": failed.get(name, {}).get("reason")}
        runs.append(row | {"failed_href": _link(profile_dir / ".failed" / name, profile_dir)})
    made = [result["environment"] for result in finished.values() if "environment" in result]
    statuses = {"failed" if one.get("failed") else one["status"] for one in [*runs, *rows]}
    page = template("index.html.j2").render(
        profile=profile_dir.name,
        style=STYLE.read_text(encoding="utf-8"),
        latest=max(made, key=lambda environment: environment["created"], default=None),
        figure=base64.b64encode(comparison_figure(rows, profile_dir).encode()).decode(),
        filters={"paper": PAPERS, "status": sorted(statuses)},
        runs=runs,
        papers=_by_paper(rows),
    )
    return write_text(profile_dir / "index.html", page)


def comparison_html(rows: Sequence[dict]) -> str:
    """Return `tables.comparison_rows` as HTML with a filter: one row a number, of which all runs unfold."""
    part = template("comparison.html.j2").module
    choices = {"paper": PAPERS, "status": sorted({row["status"] for row in rows})}
    return part.filters(choices) + part.comparison(_by_paper(rows))


def template(name: str) -> jinja2.Template:
    """Return a template of `TEMPLATES`."""
    options = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}
    return jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), **options).get_template(name)


def _by_paper(rows: Sequence[dict]) -> list[tuple[Paper, list[list[dict]]]]:
    return [
        (load_paper(key), [list(arms) for _, arms in groupby(of_paper, key=lambda row: row["cell"])])
        for key, of_paper in groupby(rows, key=lambda row: row["cell"].paper)
    ]


def comparison_figure(comparison: Sequence[dict], folder: Path) -> str:
    """Return the figure *printed and measured* as SVG, from `folder` or docs/ if it shows these numbers."""
    first = [row for row in comparison if row["is_first"]]
    numbers = ("measured", "low", "high", "n")
    key = digest([[row["headline"].name, row["cell"].value, *map(row.get, numbers)] for row in first])
    for path in (folder / FIGURE, PROJECT / "docs" / FIGURE):
        if path.is_file() and key in (svg := path.read_text(encoding="utf-8")):
            return svg
    import matplotlib  # takes a second to import

    from fer_utils import plots

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "fixed"}):  # the same file again for the same numbers
        figure = plots.paper_vs_measured(tables.comparison_for_figure(first))
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Description": key})
    write_text(folder / FIGURE, buffer.getvalue())
    return buffer.getvalue()


def _link(folder: Path, start: Path) -> str | None:
    for path in (folder / "report.html", folder / "results.json"):
        if path.is_file():
            return os.path.relpath(path, start).replace(os.sep, "/")
    return None
