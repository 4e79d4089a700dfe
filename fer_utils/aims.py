"""The recipes beyond the papers: what each aims at on PrivateTest of FER-2013, and what was measured of it.

Printed elsewhere are numbers of public programs. How they were chosen was read from their code, so they are
marks to aim at and not results to compare with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer_utils.files import read_json
from fer_utils.tables import load_methods, over_seeds

RECORD, FAST = "40_fastai_transfer--record", "40_fastai_transfer--fast"
FAST_ACCURACY, FAST_SECONDS = 0.702, 60
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
    Aim(
        "one look",
        aim="at least 73.3 %",
        elsewhere="73.70 % (LetheSec, ResNet-18: ten windows, the best epoch on PrivateTest itself)",
    ),
    Aim("one look, without the copies", "without_duplicates"),
    Aim(
        "ten windows",
        "ten_crop",
        aim="beyond 74.2 %",
        elsewhere="73.28 % (usef-kh/fer: ten windows of PublicTest, while PrivateTest chose); 74.14 % "
        "(ResidualMaskingNetwork: weights from ImageNet, several views)",
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
    pace = Path(folder) / FAST / "time_to_accuracy.json"
    looks = read_json(pace)["looks"] if FAST in done and pace.is_file() else {}
    for look, what in (("one look", "one look"), ("flip_views", "the picture and its mirror image")):
        what = f"seconds to {100 * FAST_ACCURACY:.1f} %, {what}"
        rows.append((FAST, what, f"{FAST_SECONDS} s", "", _seconds_until(FAST_ACCURACY, looks.get(look, ()))))
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("recipe")


def _counts(result: dict) -> bool:
    return result["status"] == "done" and result["dataset"]["source"] == "real"


def _measured(result: dict | None, other: str) -> str:
    if result is None:
        return "not run"
    seeds = len(result.get("members", {}).get("runs", [RECORD]))
    text = over_seeds(result, "accuracy", of=other, percent=True)
    return f"{text}; {seeds} seed{'s' if seeds > 1 else ''}" if text else "not measured"


def _seconds_until(accuracy: float, epochs: Sequence[dict]) -> str:
    if not epochs:
        return "not run"
    reached = next((epoch for epoch in epochs if epoch["accuracy"] >= accuracy), None)
    if reached is None:
        best = max(epochs, key=lambda epoch: epoch["accuracy"])
        return f"not reached: at most {100 * best['accuracy']:.1f} %, after {best['seconds']:.0f} s"
    return f"{reached['seconds']:.0f} s ({100 * reached['accuracy']:.1f} %, epoch {reached['epoch']})"
