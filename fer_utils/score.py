"""Any model's predictions under this project's protocol: a CSV or ONNX file → `results.json` and a page.

They are of the test set of a data set of faces, whose labels are read from the data, or of a study that
leaves one subject out, with `truth` and `subject` in columns of the file.
"""

import base64
import difflib
import re
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from fer_utils import hardware, report, tables
from fer_utils.comparison import mcnemar_p_value, paired_difference
from fer_utils.data import FaceSet, load_faces
from fer_utils.data.clip_files import read_table
from fer_utils.data.forms import IMAGE_SUFFIXES
from fer_utils.evaluation import evaluate, reference_points, reliability, reliability_records
from fer_utils.files import ConfigError, digest, nearest, project_path, read_json, sha256_of, write_text
from fer_utils.labels import LABEL_SETS, alike, canonical
from fer_utils.onnx import OnnxModel
from fer_utils.params import FaceParameters
from fer_utils.predictions import Predictions
from fer_utils.results import Environment
from fer_utils.run import describe, write_results
from fer_utils.splits import Split, split_faces

COMMAND = "fer-utils score"
KEYS = ("sample_id", "label", "subject", "truth", "dataset")  # columns; every other one is a class
ROUNDED = 0.02  # by which printed probabilities may miss a sum of 1; they are then divided by their sum


def score(given: Namespace) -> str:
    """Write what the options of `fer-utils score` ask for, and return the metrics as text."""
    file, output, against = given.file, given.output, given.against
    if (output / "results.json").is_file() and read_json(output / "results.json")["notebook"] != COMMAND:
        raise ConfigError(f"{output}: has the results of a run; choose another folder for --output")
    table = None if file.suffix.lower() == ".onnx" else _read(file)
    if table is not None and "subject" in table:
        predictions, base, about = _of_subjects(file, table, given.dataset or file.stem)
    else:
        wanted = {"dataset": given.dataset or "fer2013", "data_path": str(given.data_path)}
        wanted = FaceParameters.from_values(wanted, where=COMMAND)
        predictions, base, about = _of_faces(file, table, wanted, given.split)
    result = asdict(evaluate(predictions))
    others = reference_points(predictions, base) | about.pop("other_metrics", {})
    bins = None if table is not None and "label" in table else reliability(predictions)
    if bins is None:  # labels alone rank nothing
        for records in (result["metrics"], *others.values()):
            records.pop("macro_auc", None)
        result["per_class"] = [row | {"auc": None} for row in result["per_class"]]
    else:
        others |= reliability_records(bins)
    if against:
        others["against"], result["note"] = _compared(predictions, against)
    about["protocol"] |= {"selection": given.selection, "seed": None, "subject_independent": None}
    known = isinstance(base, Split)  # of a study the images are not known
    about["protocol"]["overlap"] = {"exact_duplicates": int(base.repeated.sum())} if known else {}
    content = {"kind": "study", "status": "done", "run": output.name, "variant": None, "notebook": COMMAND}
    content |= {"profile": output.absolute().parent.name, "paper": None, "other_metrics": others}
    content |= {"compute": {"device": "not known", "device_name": "another program", "seconds": None}}
    content |= result | about | {"environment": Environment.current()}
    content["params"] = {"file": file.name, "sha256": sha256_of(file), "split": given.split}
    predictions.save(output / "predictions.npz")
    page = _write_page(output / "report.html", content, bins)
    write_results(output, content)
    lines = report.head_table(content).to_string(), result.get("note"), f"report: {page}"
    return "\n".join(filter(None, lines))


def _read(file: Path) -> pd.DataFrame:
    """Return a CSV file as texts; the index is the row's number in the file."""
    if file.suffix.lower() != ".csv" or not file.is_file() or not file.stat().st_size:
        raise ConfigError(f"{file}: no such file, an empty one, or neither .csv nor .onnx")
    table = read_table(file, {}).rename(columns=canonical)
    problems = {
        "no column sample_id; separate columns with commas": "sample_id" not in table,
        "two columns of one class": table.columns.has_duplicates,
        "write a column label, or one for each class": ("label" in table) == bool(_classes(table)),
        "write both subject and truth": ("subject" in table) != ("truth" in table),
        "add rows below the header": table.empty,
    }
    if problem := next((text for text, holds in problems.items() if holds), ""):
        raise ConfigError(f"{file}, row 1: {problem}; the columns are {', '.join(table)[:200]}")
    for key in set(KEYS) & set(table):
        _refuse(file, table[key], table[key] == "", "is empty")
    _refuse(file, table["sample_id"], table["sample_id"].duplicated(), "has an earlier row")
    return table


def _classes(table: pd.DataFrame) -> list[str]:
    """Return the columns of classes; none where the file has labels."""
    return [name for name in table if name not in KEYS]


def _refuse(file: Path, column: pd.Series, wrong: pd.Series, problem: str) -> None:
    """Raise an error that names the first wrong cell of a column."""
    if count := int(wrong.sum()):
        first, more = column[wrong].index[0], f" ({count:,} rows are like this)" if count > 1 else ""
        cell = repr(column[first]) if isinstance(column[first], str) else f"{column[first]:.4g}"
        raise ConfigError(f"{file}, row {first}, column {column.name}: {cell} {problem}{more}")


def _indices(file: Path, labels: pd.Series, class_names: Sequence[str]) -> np.ndarray:
    own, names = labels.map(canonical), [canonical(name) for name in class_names]
    wrong = ~own.isin(names)
    _refuse(file, labels, wrong, f"is no class{nearest(own[wrong].iloc[0], names) if wrong.any() else ''}")
    return own.map(names.index).to_numpy()


def _probabilities(file: Path, table: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Return probabilities, shape (rows, K); 1 for the label where there are labels only."""
    if "label" in table:
        return np.eye(len(class_names))[_indices(file, table["label"], class_names)]
    cells = table[[canonical(name) for name in class_names]]
    values = cells.apply(pd.to_numeric, errors="coerce")
    advice = "of logits, write the softmax; divide percentages by 100"
    for name in cells:
        _refuse(file, cells[name], ~values[name].between(0, 1 + ROUNDED), f"is not from 0 to 1; {advice}")
    total = values.sum(axis=1).rename("sum of all classes")
    _refuse(file, total, abs(total - 1) > ROUNDED, f"is not 1; {advice}")
    return values.to_numpy() / np.where(abs(total - 1) < 1e-3, 1.0, total)[:, None]


def _of_subjects(file: Path, table: pd.DataFrame, name: str) -> tuple[Predictions, Any, dict[str, Any]]:
    classes = _classes(table) or sorted(set(table["truth"].map(canonical)))
    truth, probabilities = _indices(file, table["truth"], classes), _probabilities(file, table, classes)
    ids, subject = (table[key].to_numpy(str) for key in ("sample_id", "subject"))
    if (n_subjects := len(np.unique(subject))) < 2:
        raise ConfigError(f"{file}, column subject: {subject[0]!r} only; two or more subjects are needed")
    if twins := alike(subject):
        raise ConfigError(f"{file}, column subject: {twins[0]} hardly differ; give each subject one id")
    predictions = Predictions(ids, truth, probabilities, tuple(classes), group=subject)
    data = {"name": name, "source": "synthetic" if name == "synthetic" else "real", "samples": len(table)}
    data |= {"classes": classes, "form": "labels and subjects as a CSV file states them"}
    data["fingerprint"] = digest(ids.tolist(), subject.tolist(), truth.tolist())
    split = f"leave one subject out ({n_subjects} subjects, pooled), as the file states"
    about = {"dataset": data, "protocol": {"split": split, "leakage": "not known"}}
    sets = table.groupby("dataset").indices if "dataset" in table else {}
    metrics = {f"dataset_{one}": evaluate(predictions.subset(rows)).metrics for one, rows in sets.items()}
    about |= {"other_metrics": metrics}
    base = SimpleNamespace(test=predictions, repeated=np.zeros(len(table), bool))
    base.majority_class = int(np.bincount(truth).argmax())
    return predictions, base, about


def _of_faces(
    file: Path, table: pd.DataFrame | None, wanted: FaceParameters, split_by: str
) -> tuple[Predictions, Split, dict[str, Any]]:
    model = OnnxModel.read(file.absolute()) if table is None else None
    if model and model.n_frames:
        raise ConfigError(f"{file}: a network for clips; write its predictions to a CSV file")
    faces = load_faces(wanted.model_copy(update={"image_size": model.image_size} if model else {}))
    faces = _of_classes(file, faces, map(canonical, model.class_names) if model else _classes(table))
    split = split_faces(faces, SimpleNamespace(split_by=split_by, seed=0))
    test, leakage = split.test, "not known" if split.leakage == "none" else split.leakage
    about = {"dataset": describe(test) | {"samples": split.n_samples}}
    about["protocol"] = {"split": split.description, "leakage": leakage}
    if model:
        start = time.perf_counter()
        table = pd.DataFrame(model.predict(test.images), columns=list(map(canonical, model.class_names)))
        about["compute"] = hardware.current() | {"seconds": time.perf_counter() - start}
        table["sample_id"] = test.sample_id
    table = table.iloc[_order(file, table["sample_id"], split)]
    columns = test.sample_id, test.labels, _probabilities(file, table, test.class_names), test.class_names
    return Predictions(*columns, group=test.subject), split, about


def _of_classes(file: Path, faces: FaceSet, given: Iterable[str]) -> FaceSet:
    """Return the images of the classes that are predicted: all, or those of a label set."""
    known, names = {canonical(name): name for name in faces.class_names}, set(given)
    if unknown := sorted(names - set(known)):
        advice = f"{nearest(unknown[0], known)} (leave out a class that {faces.name} lacks, and rescale)"
        raise ConfigError(f"{file}, column {unknown[0]}: no class of {faces.name}{advice}")
    if not names or names == set(known):
        return faces
    if names not in map(set, LABEL_SETS.values()):
        raise ConfigError(f"{file}, row 1: add a column for {', '.join(sorted(set(known) - names))}")
    return faces.with_classes([known[name] for name in known if name in names])


def _order(file: Path, ids: pd.Series, split: Split) -> np.ndarray:
    """Return the position in `ids` of each test sample, shape (N,)."""
    samples = split.test.sample_id.tolist()
    names = pd.Series({sample: _names(sample) for sample in samples}).explode()
    names = names[~names.duplicated(keep=False)]
    known = dict(zip(names, names.index, strict=True)) | dict(zip(samples, samples, strict=True))
    whole = {_names(sample)[0]: sample for sample in samples}

    def find(text: str) -> str | None:
        own, *shorter = _names(text)  # a path may begin above the data set
        return known.get(text, known.get(own)) or next(filter(None, map(whole.get, shorter)), None)

    found = ids.map(find)
    if (unknown := found.isna()).any():
        text = ids[unknown].iloc[0]
        sets = [name for name, part in split.sets.items() if text in part.sample_id]
        near = difflib.get_close_matches(text, known, n=1, cutoff=0)[0]
        advice = f"it is in {sets[0]}; leave it out" if sets else f"the nearest is {near!r}"
        _refuse(file, ids, unknown, f"is not in the test set, or not unique; {advice}")
    _refuse(file, ids, found.duplicated(), "has an earlier row under another name")
    if missing := sorted(set(samples) - set(found)):
        count, such = f"{len(missing):,} of {len(samples):,}", ", ".join(map(repr, missing[:3]))
        raise ConfigError(f"{file}: no row for {count} test images, such as {such}; add them")
    return pd.Series(range(len(ids)), index=found)[samples].to_numpy()


def _names(sample_id: str) -> list[str]:
    """Return the names of a sample without its suffix: with all folders, with fewer, its row number."""
    path = re.sub(rf"({'|'.join(IMAGE_SUFFIXES)})$", "", sample_id.replace("\\", "/"), flags=re.IGNORECASE)
    names = [path, *(path[cut.end() :] for cut in re.finditer("/", path))]
    row = re.fullmatch("[A-Za-z]+_row([0-9]+)", path)  # of FER-2013's table, whose row 0 is line 2
    return [*names, str(int(row[1]) - 2)] if row else names


def _compared(predictions: Predictions, run: str) -> tuple[dict[str, dict], str]:
    """Return the metrics of the comparison with a run, and a sentence on them."""
    other, n = Predictions.load(project_path("reports/reference") / run / "predictions.npz"), len(predictions)
    if set(other.sample_id) != set(predictions.sample_id):
        raise ConfigError(f"--against {run}: it is of other samples ({len(other):,}, these are {n:,})")
    if (difference := paired_difference([predictions], [other])) is None:
        raise ConfigError(f"--against {run}: all samples are of one subject; a comparison needs at least two")
    low, high = difference.interval
    found = {"difference": {"value": difference.value, "ci95": [low, high], "n": n}}
    values = (100 * value for value in (difference.value, low, high))
    text = "Accuracy minus that of {}: {:+.1f} points [{:+.1f}, {:+.1f}]".format(run, *values)
    if not predictions.grouped:
        found["mcnemar_p"] = {"value": mcnemar_p_value(predictions, other), "ci95": None, "n": n}
        text += f", exact McNemar test p = {found['mcnemar_p']['value']:.2g}"
    return found, f"{text}, n {n:,}"


def _write_page(path: Path, content: dict[str, Any], bins: pd.DataFrame | None) -> Path:
    from fer_utils import plots  # takes seconds

    matrix, names = content["confusion_matrix"], content["dataset"]["classes"]
    figures = {"Confusion matrix": plots.confusion_matrix(matrix, names, counted="Samples")}
    figures |= {} if bins is None else {"Calibration": plots.reliability(bins)}
    page = report.template("score.html.j2").render(
        content,
        style=report.STYLE.read_text(encoding="utf-8"),
        head=report.head_table(content).to_html(),
        by_class=tables.per_class_table(content["per_class"]).dropna(axis=1, how="all").to_html(),
        figures={name: base64.b64encode(plots.png(figure)).decode() for name, figure in figures.items()},
    )
    return write_text(path, report.offline(page))
