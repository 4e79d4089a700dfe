"""The recipes beyond the papers: what each aims at on PrivateTest of FER-2013, and what was measured of it.

Printed elsewhere are numbers of public programs. How they were chosen was read from their code, so they are
marks to aim at and not results to compare with.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer_utils.files import read_json
from fer_utils.tables import load_methods, with_spread

RECORD, FAST = "40_fastai_transfer--record", "40_fastai_transfer--fast"
FAST_AIM = "70.2 % within 60 s"
_COLUMNS = ["recipe", "on PrivateTest", "aim", "printed elsewhere", "measured"]


@dataclass(frozen=True)
class Aim:
    """A number of the record's recipe.

    Attributes
    ----------
    what : str
        How PrivateTest is looked at.
    other : str
        Its name in `other_metrics`; "" is the reported number.
    aim : str
    elsewhere : str
        What public programs print, and how it was chosen.
    """

    what: str
    other: str = ""
    aim: str = ""
    elsewhere: str = ""


AIMS = (
    Aim("one view", aim="at least 73.3 %"),
    Aim("one view, without the copies", "without_duplicates"),
    Aim(
        "ten windows",
        "ten_crop",
        aim="at least 73.3 %, beyond it 74.2 %",
        elsewhere="73.28 % (usef-kh/fer: of PublicTest, while PrivateTest chose); 73.70 % (LetheSec: best "
        "epoch on PrivateTest itself); 74.14 % (ResidualMaskingNetwork: ImageNet's weights, several views)",
    ),
    Aim("ten windows, without the copies", "ten_crop_without_duplicates"),
)


def aims_table(folder: Path) -> pd.DataFrame:
    """Return one row per aim, with what the runs in a folder measured, or "not run".

    Parameters
    ----------
    folder : Path
        Of a profile, such as ``reports/paper``: holds ``<run>/results.json`` and, of the fast recipe,
        ``time_to_accuracy.json``.

    Returns
    -------
    DataFrame
        Columns recipe, on PrivateTest, aim, printed elsewhere and measured, all text.
    """
    done = {result["run"]: result for result in load_methods(folder) if _counts(result)}
    rows = [
        (RECORD, one.what, one.aim, one.elsewhere, _measured(done.get(RECORD), one.other)) for one in AIMS
    ]
    file = Path(folder) / FAST / "time_to_accuracy.json"
    pace = {}
    if FAST in done and file.is_file():
        pace = read_json(file) | {"device_name": done[FAST]["compute"]["device_name"]}
    for name, what in (("one view", "one view"), ("flip_views", "the picture and its mirror image")):
        rows.append((FAST, what, FAST_AIM, "", _in_time(pace, name)))
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("recipe")


def _counts(result: dict) -> bool:
    return result["status"] == "done" and result["dataset"]["source"] == "real"


def _measured(result: dict | None, other: str) -> str:
    if result is None:
        return "not run"
    seeds = len(result.get("members", {}).get("runs", [RECORD]))
    text = with_spread(result, "accuracy", of=other, percent=True)
    return f"{text}; {seeds} seed{'s' if seeds > 1 else ''}" if text else "not measured"


def _in_time(pace: dict, view: str) -> str:
    # Of the epoch that validation chose: the first that reaches a mark would be chosen on PrivateTest.
    for row in pace.get("views", {}).get(view, ()):
        if row["epoch"] == pace["chosen_epoch"]:
            reached = f"{100 * row['accuracy']:.1f} % after {row['seconds']:.0f} s (epoch {row['epoch']})"
            apart = f"compiling {pace['compile_seconds']:.0f} s more" if pace["compile_seconds"] else ""
            starts = f"in {pace['starts']} starts" if pace["starts"] > 1 else ""
            return ", ".join(part for part in (reached, apart, starts, pace["device_name"]) if part)
    return "not run"
