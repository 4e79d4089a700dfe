"""FER+ (E. Barsoum et al., ICMI 2016, arXiv:1608.01041): ten people's votes on every image of FER-2013."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fer_utils.data.fer2013 import USAGE
from fer_utils.data.forms import csv_format
from fer_utils.data.raw_files import DataSet
from fer_utils.files import project_path
from fer_utils.labels import FER7, canonical

VOTED = (*FER7, "contempt", "unknown", "not a face")
"""What a person could vote for, in the order of the columns here."""
ROWS, RATERS = 35_887, 10
AGAIN = "download fer2013new.csv again (data/README.md)"


class FerPlus(DataSet):
    """The published file of votes, `fer2013new.csv`; its rows are those of the original `fer2013.csv`."""

    def holds(self, path: Path) -> bool:
        """Return whether it is a file."""
        return path.is_file()

    def read(self, path: Path) -> pd.DataFrame:
        """Return a row for each of `fer2013.csv`: `usage`, and the number of votes for each of `VOTED`."""
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, **csv_format(path))
        except ValueError as error:  # also of its parser and of its encoding
            problem = " ".join(str(error).split())
            raise ValueError(f"{path}: not readable as a table ({problem}); {AGAIN}") from error
        table.columns = ["not a face" if name == "NF" else canonical(name) for name in table.columns]
        if missing := {"usage", *VOTED} - {*table.columns}:
            raise ValueError(f"{path}, line 1: no column {', '.join(sorted(missing))}; {AGAIN}")
        if len(table) != ROWS:
            raise ValueError(f"{path}: {len(table):,} rows, not {ROWS:,}; {AGAIN}")
        counts = table[[*VOTED]].apply(pd.to_numeric, errors="coerce")
        total, wrong = counts.sum(axis=1), ~counts.isin(range(RATERS + 1))
        wrong["sum"] = ~total.isin([RATERS - 1, RATERS])  # one row of the published file has nine votes
        wrong["usage"] = ~table["usage"].isin(USAGE)
        if wrong.any(axis=None):
            row, name = wrong.stack().idxmax()
            value = table.assign(sum=total.astype(str)).at[row, name][:20]
            raise ValueError(f"{path}, line {row + 2}: {name} is {value!r}, of {RATERS} votes; {AGAIN}")
        return counts.astype(int).assign(usage=table["usage"])


def read_votes(data_path: str | Path) -> pd.DataFrame:
    """Return the votes of the published file in a folder, or beside a file: see `FerPlus.read`."""
    path, reader = project_path(data_path), FerPlus("ferplus")
    return reader.read(reader.find(path.parent if path.is_file() else path))


@cache
def kaggle_rows() -> pd.DataFrame:
    """Return `data/kaggle_rows.csv.gz` by sample id: `row` in `fer2013.csv` (-1: unknown), matched, label."""
    table = pd.read_csv(project_path("data/kaggle_rows.csv.gz"))
    table.index = table["path"].str.removesuffix(".jpg")
    return table.assign(row=table["row"].fillna(-1).astype(int), label=table["path"].str.split("/").str[1])


def join(votes: pd.DataFrame, sample_id: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return the votes on images of FER-2013 (0 where the row is unknown) with the columns of `with_labels`.

    The index is `sample_id`, shape (N,), the column `fer2013` has the names of the classes in `labels`.
    """
    row = _rows(sample_id, labels)
    counts = votes[[*VOTED]].to_numpy()[row] * (row >= 0)[:, None]
    table = pd.DataFrame(counts, index=pd.Index(sample_id, name="sample_id"), columns=[*VOTED])
    return with_labels(table.assign(fer2013=labels))


def with_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of the counts of `VOTED` with what follows from them.

    `ferplus` is the emotion with more votes than anything else, empty where there is none; `top` the most
    votes for one emotion; `entropy` that of all votes in bits, NaN without votes.
    """
    counts = table[[*VOTED]].to_numpy()
    most, first = counts.max(axis=1, keepdims=True), counts.argmax(axis=1)
    clear = ((counts == most).sum(axis=1) == 1) & (first < len(FER7))
    names, top = np.where(clear, np.array(VOTED)[first], ""), counts[:, : len(FER7)].max(axis=1)
    entropy = stats.entropy(np.where(most > 0, counts, np.nan), base=2, axis=1)
    return table.assign(ferplus=names, top=top, entropy=entropy)


def _rows(sample_id: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the row of each image in the original `fer2013.csv`, -1 where it is not known."""
    known, lines = kaggle_rows(), pd.Series(sample_id).str.extract(r"^\w+_row(\d+)$")[0]
    line = lines.fillna("0").astype(int).to_numpy()  # in the table, of which the header is the first
    found = np.where(line, line < ROWS + 2, pd.Index(sample_id).isin(known.index))
    if not found.all():
        fix = "keep the names of the Kaggle folder, or read fer2013.csv"
        raise ValueError(f"{sample_id[~found][0]}: no image of FER-2013 has this name; {fix}")
    row = np.where(line, line - 2, known["row"].reindex(sample_id).fillna(-1)).astype(int)
    alone = known[known["matched"] == "bytes"].set_index("row")["label"]
    original = alone.reindex(np.where(line, row, -1)).to_numpy()
    if (moved := pd.notna(original) & (original != labels)).any():
        first = (
            f"{sample_id[moved][0]} is {labels[moved][0]}, in the original fer2013.csv {original[moved][0]}"
        )
        raise ValueError(f"{first}: these rows are in another order; use the original or the Kaggle folder")
    return row
