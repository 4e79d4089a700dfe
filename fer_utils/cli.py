"""The commands behind `make`: each prints what it did, and exits 1 on failure, 2 on bad input."""

import argparse
import sys
from os.path import relpath
from pathlib import Path
from typing import get_args

from fer_utils.files import ConfigError, project_path
from fer_utils.params import FixedSplit
from fer_utils.run import find_runs, notebook_defaults, notebook_of, notebook_path, profile_runs, read_runs

RAW = project_path("data/raw")  # where data sets are looked for; a fresh checkout has no such folder yet


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a terminal may have no "č"
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (ConfigError, OSError) as error:  # an OSError names its file: no permission, no space
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    from fer_utils.runner import run_yaml

    runs = [options.run] if options.run else list(read_runs(options.yaml))
    return int("failed" in [run_yaml(options.yaml, run=run) for run in runs])


def _train(options: argparse.Namespace) -> None:
    from fer_utils.data import MissingData, load_clips
    from fer_utils.params import Cnn3dSmic

    run = options.run or options.yaml.stem
    if notebook_of(run) != "30_cnn3d_smic":
        raise ConfigError(f"{options.yaml}: only runs of 30_cnn3d_smic can be trained in several jobs")
    folder = {"output_dir": f"reports/{options.yaml.absolute().parent.name}/{run}"}
    given = notebook_defaults(run) | read_runs(options.yaml)[run] | folder
    params = Cnn3dSmic.from_values(given, where=str(options.yaml))
    if not 0 <= options.job < params.fold_jobs:
        raise ConfigError(f"--job {options.job}: {options.yaml} has jobs 0 to {params.fold_jobs - 1}")
    try:
        clips = load_clips(params)
    except MissingData as error:
        print(f"nothing to train: {error}")
        return
    from fer_utils.studies import dubey2020
    from fer_utils.training import fastai_training

    fastai_training.prepare(params)
    print(*dubey2020.train_job(params, clips, options.job), sep="\n")


def _profile(name: str) -> Path:
    known = {path.name: path for path in project_path("params").glob("[!.]*/")}
    if name not in known:
        raise ConfigError(f"no profile {name!r} in params/; choose one of {', '.join(sorted(known))}")
    return known[name]


def _check_params(options: argparse.Namespace) -> int:
    files, problems = set(), 0
    for folder in [_profile(options.profile)] if options.profile else project_path("params").glob("[!.]*/"):
        files |= set(find_runs(folder, options.run).values() if options.run else folder.glob("[!.]*.yaml"))
    for path in sorted(files):
        try:
            read_runs(path)
        except ConfigError as error:
            print("error:", str(error).replace(f"{project_path('')}/", ""), file=sys.stderr)
            problems += 1
    print(f"{len(files) - problems} of {len(files)} parameter files are valid")
    return 2 if problems else 0


def _index(options: argparse.Namespace) -> None:
    from fer_utils.report import write_index

    expected = list(profile_runs(_profile(options.profile)))
    index = write_index(project_path("reports") / options.profile, expected=expected)
    print(f"report: {index.relative_to(project_path(''))}")


def _data(options: argparse.Namespace) -> int:
    from fer_utils.data import load_clips, load_faces, registry
    from fer_utils.params import ClipParameters, FaceParameters
    from fer_utils.report import template

    if not options.path.exists() and options.path != RAW:
        raise ConfigError(f"{options.path}: no such file or folder")
    unusable = 0
    for dataset, found in registry.sources(options.path):
        page = {"dataset": dataset, "found": found, "folder": options.path, "raw": relpath(options.path)}
        given = {"dataset": dataset.name, "data_path": str(found)}
        try:
            if found and dataset.name in registry.CLIPS:
                page["samples"] = load_clips(ClipParameters(**given))
            elif found:
                page["samples"] = load_faces(FaceParameters(**given))
        except (ValueError, OSError) as error:
            page["problem"], unusable = error, unusable + 1
        print(template("data.txt.j2").render(page), end="")
    print("synthetic: always available (rendered by fer_utils.synthetic)\ndata/README.md describes every set")
    return int(unusable > 0)


def _refresh(options: argparse.Namespace) -> None:
    from fer_utils.runner import refresh_outputs

    for notebook in options.notebooks or sorted(project_path("notebooks").glob("*.ipynb")):
        print(refresh_outputs(Path(notebook)))


def _readme(options: argparse.Namespace) -> None:
    from fer_utils.files import write_text
    from fer_utils.report.pages import write_pages
    from fer_utils.results import schema

    write_text(project_path("fer_utils/results.schema.json"), schema())
    for path in write_pages(project_path("reports/reference")):
        print(f"{path.relative_to(project_path(''))}: tables written from reports/reference")


def _networks(_: argparse.Namespace) -> None:
    from fer_utils.live.demo import export_networks

    for path in export_networks():
        print(f"{path.relative_to(project_path(''))}: {path.stat().st_size:,} bytes")


def _page(options: argparse.Namespace) -> None:
    from fer_utils.live.page import serve

    serve(notebook_path("50_live_demo"), port=options.port, open_browser=not options.no_browser)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)


def _audit(options: argparse.Namespace) -> int:
    from fer_utils.audit.files import audit_command

    return audit_command(None if options.template else options.file, page=options.html, split=options.split)


def _score(options: argparse.Namespace) -> None:
    from fer_utils.score import score

    options.output = options.output or project_path("reports/by_hand") / options.file.stem
    try:
        print(score(options))
    except ValueError as error:  # of a data set, which names its file
        raise ConfigError(str(error)) from error


def _typed_path(text: str) -> Path:
    """Return a path as the shell means it: from its own folder, unlike those in parameters."""
    return Path(text).expanduser().absolute()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fer-utils", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    run = command("run", _run, "execute the runs of a parameter file and put their folders in place")
    run.add_argument("yaml", type=Path, help="params/<profile>/<file>.yaml")
    run.add_argument("--run", help="one run of the file's grid")
    train = command("train", _train, "train some folds and seeds of a run in advance")
    train.add_argument("yaml", type=Path, help="params/<profile>/30_cnn3d_smic*.yaml with fold_jobs above 1")
    train.add_argument("--run", help="one run of the file's grid")
    train.add_argument("--job", type=int, required=True, help="which share, from 0")
    check = command("check-params", _check_params, "validate every parameter file, or those of one profile")
    check.add_argument("--profile")
    check.add_argument("--run")
    index = command("index", _index, "write reports/<profile>/index.html from the run folders")
    index.add_argument("--profile", default="smoke")
    data = command("data", _data, "say which data sets are found, complete, missing")
    data.add_argument("path", nargs="?", type=_typed_path, default=RAW)
    refresh = command("refresh-outputs", _refresh, "execute the notebooks as stored and keep their outputs")
    refresh.add_argument("notebooks", nargs="*")
    command("networks", _networks, "renew the live demo's networks from their runs in reports/reference")
    page = command("page", _page, "serve the live demo as a page, on this machine alone")
    page.add_argument("--port", type=_port, default=8866)
    page.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    audited = command("audit", _audit, "check whether printed tables can be; exits 3 if they cannot")
    audited.add_argument("file", nargs="?", type=Path, help="YAML, or one table as CSV, Markdown or report")
    audited.add_argument("--html", type=Path, help="write a page, too")
    audited.add_argument("--split", default="unknown", help="of one table: single, pooled, folds or unknown")
    audited.add_argument("--template", action="store_true", help="print an example file")
    scored = command("score", _score, "metrics of any model's predictions under this protocol")
    scored.add_argument("file", type=Path, help="CSV with sample_id and label, or a column a class; or ONNX")
    scored.add_argument("--dataset", help="of faces (fer2013), or the name of a study with subject and truth")
    scored.add_argument("--split", choices=get_args(FixedSplit), default="official", help="of which test set")
    scored.add_argument("--data-path", type=_typed_path, default=RAW)
    runs = [path.parent.name for path in project_path("reports/reference").glob("*/predictions.npz")]
    scored.add_argument("--against", choices=sorted(runs), metavar="RUN", help="of reports/reference")
    scored.add_argument("--selection", default="not stated", help="how the model was selected")
    scored.add_argument("--output", type=Path, metavar="FOLDER", help="reports/by_hand/<file> without it")
    command("readme", _readme, "write README's tables from reports/reference, and the schema of results.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
