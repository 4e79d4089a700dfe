"""All that was measured of class-activation maps: records for `other_metrics` of results.json, and files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.files import write_text

Records = dict[str, dict[str, dict[str, Any]]]


def records(
    *, bands: pd.DataFrame, areas: pd.DataFrame, randomised: pd.DataFrame, truth: pd.DataFrame | None = None
) -> Records:
    """Return the tables of this package as records of value, ci95 and n.

    Parameters
    ----------
    bands, areas, randomised, truth : DataFrame
        As `band_table`, `area_table`, `randomisation_table` and, for synthetic faces, `truth_table` return
        them.

    Returns
    -------
    dict
        ``cam_share_<class>`` (band -> share of the map), ``cam_deletion`` and ``cam_insertion`` (area,
        random_maps, difference), ``cam_rank_correlation`` and ``cam_ssim`` (row of the table -> value), for
        synthetic faces ``cam_pointing_game`` and ``cam_energy_inside``. What has no value is left out.
    """
    found = {
        f"cam_share_{name}": _rows(table.set_index("band"), ("share", "low", "high"))
        for name, table in bands.groupby("class", sort=False)
    }
    for way, row in areas.iterrows():
        parts = {
            "area": row[["area", "low", "high"]],
            "random_maps": row[["random maps"]],
            "difference": row[["difference", "difference low", "difference high"]],
        }
        found[f"cam_{way}"] = {name: _record(values, row["n"]) for name, values in parts.items()}
    found["cam_rank_correlation"] = _rows(randomised, ("rank correlation", "rank low", "rank high"))
    found["cam_ssim"] = _rows(randomised, ("ssim", "ssim low", "ssim high"))
    if truth is not None:
        found["cam_pointing_game"] = _rows(truth, ("pointing", "pointing low", "pointing high"))
        found["cam_energy_inside"] = _rows(truth, ("energy", "energy low", "energy high"))
    return found


def save_tables(folder: str | Path, **tables: pd.DataFrame | None) -> list[Path]:
    """Write each table as ``cam_<name>.csv`` into the folder, whole or not at all, and return the paths.

    Rows that are only numbered lose their numbers; named ones keep their names in the first column.

    Parameters
    ----------
    folder : str or Path
        Made when it is not there.
    **tables : DataFrame or None
        Name in the file's name -> table, such as ``bands=band_table(...)``; None, for what was not measured,
        writes nothing.
    """
    return [
        write_text(
            Path(folder) / f"cam_{name}.csv",
            table.to_csv(index=not isinstance(table.index, pd.RangeIndex), lineterminator="\n"),
        )
        for name, table in tables.items()
        if table is not None
    ]


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    known = table[table[columns[0]].notna()]
    return {_key(name): _record(row[list(columns)], row["n"]) for name, row in known.iterrows()}


def _record(values: pd.Series, n: int) -> dict[str, Any]:
    value, *interval = (float(number) for number in values)
    known = interval if interval and not np.isnan(interval).any() else None
    return {"value": value, "ci95": known, "n": int(n)}


def _key(name: str) -> str:
    """Return a name such as "Grad-CAM++" in the form of metric names, without dots."""
    spelt = name.lower().replace("++", " plus plus").replace(",", "")
    return "_".join(spelt.replace("-", " ").replace(".", " ").split())
