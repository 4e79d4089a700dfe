"""Where sets of clips are looked for, and which reader each of them has."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fer_utils.data.cards import CLIP_CARDS, MissingData, Source
from fer_utils.data.clips import casme2, samm, smic
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.table import COLUMNS, is_clip_table, read_clip_table
from fer_utils.files import ConfigError, project_path

CLIP_DATASETS = ("synthetic", "smic-hs", "smic-vis", "smic-nir", "samm", "casme2", "table")
"""What the `dataset` parameter of a study of clips may say."""

TABLE_FOLDERS = ("", "MEVIEW", "clips")


class ClipData(NamedTuple):
    """How a set of clips is found and read.

    Attributes
    ----------
    read : callable
        Its reader.
    annotation : callable
        Gives the file that belongs to what was found and may lie beside it, or None.
    expected : tuple of str
        What `make data` asks for, below `data/raw`.
    places : tuple of str
        All places below a folder where it is looked for, the most wanted first.
    holds : callable
        Whether a place holds it.
    """

    read: Callable[..., ClipSet]
    annotation: Callable[[Path], Path | None]
    expected: tuple[str, ...]
    places: tuple[str, ...] = ()
    holds: Callable[[Path], bool] = Path.is_dir


def find_clips(dataset: str, data_path: str | Path = "data/raw") -> Path:
    """Return the folder of the subjects of a set of clips, or the file of a table of clips.

    Parameters
    ----------
    dataset : str
        One of `CLIP_DATASETS` without "synthetic".
    data_path : path
        That folder or file, or a folder that holds it under a name that it is distributed with. Where SMIC
        is there cropped and raw, the cropped form is taken. Relative paths start at the project folder.

    Raises
    ------
    MissingData
        Naming every place that was looked at.
    ConfigError
        When a folder has several tables of clips.
    """
    check_name(dataset, real=True)
    path = project_path(data_path)
    if dataset == "table":
        return _find_table(path)
    known = CLIP_DATA[dataset]
    for place in known.places:
        if known.holds(path / place):
            return path / place
    places = ", ".join(str(path / place) for place in known.places)
    raise MissingData(f"{dataset} is not here; looked for {places}. data/README.md says where it comes from")


def clip_sources(data_path: str | Path = "data/raw") -> list[Source]:
    """Return every real set of clips that is looked for in a folder, found or not."""
    return [
        Source(name, _found(name, data_path), _expected(name, Path(data_path)), **CLIP_CARDS[name])
        for name in CLIP_DATASETS
        if name != "synthetic"
    ]


def is_clip_entry(name: str) -> bool:
    """Return whether a set of clips, its annotation or a folder that holds it may have this name."""
    places = [place for known in CLIP_DATA.values() for place in known.places]
    tables = (samm.ANNOTATION, casme2.ANNOTATION, smic.ANNOTATION.format(".*"))
    tops = {place.partition("/")[0] for place in (*places, *TABLE_FOLDERS)}
    return name in tops or any(re.fullmatch(table, name) for table in tables)


def check_name(dataset: str, *, real: bool = False) -> None:
    """Raise `ConfigError` for a name that is not in `CLIP_DATASETS`, or not that of a `real` set."""
    known = [name for name in CLIP_DATASETS if not real or name != "synthetic"]
    if dataset not in known:
        raise ConfigError(f"dataset={dataset!r}: known are {', '.join(known)}")


def _find_table(path: Path) -> Path:
    if path.is_file():
        return path
    for folder in (path / name for name in TABLE_FOLDERS):
        tables = sorted(file for file in folder.glob("*.csv") if is_clip_table(file))
        if len(tables) > 1:
            names = ", ".join(table.name for table in tables)
            raise ConfigError(f"{folder}: several tables of clips, {names}; let data_path name one")
        if tables:
            return tables[0]
    places = ", ".join(str(path / name / "*.csv") for name in TABLE_FOLDERS)
    columns = ",".join(COLUMNS)
    raise MissingData(f"no table of clips is here; looked for {places} with columns {columns}")


def _found(dataset: str, data_path: str | Path) -> Path | None:
    path = project_path(data_path)
    if dataset == "table" and path.is_file() and not is_clip_table(path):
        return None
    try:
        return find_clips(dataset, path)
    except MissingData:
        return None
    except ConfigError:  # several tables, which `load_clips` will say again
        return path


def _expected(dataset: str, path: Path) -> str:
    return " or ".join(str(path / place) for place in CLIP_DATA[dataset].expected)


def _smic(part: smic.Part) -> ClipData:
    every = [f"{top}{place}".format(part) for top in ("", "SMIC/") for place in smic.PLACES]
    return ClipData(
        read=partial(smic.read_smic, part=part),
        annotation=partial(smic.smic_annotation, part=part),
        expected=(f"SMIC_all_cropped/{part}", f"SMIC_all_raw/{part}", f"{part}_long"),
        places=tuple(dict.fromkeys(every)),
        holds=partial(smic.holds_smic, part=part),
    )


_CASME2_FORMS = ("Cropped", "CASME2_RAW_selected", "CASME2-RAW", "")

CLIP_DATA = {
    "smic-hs": _smic("HS"),
    "smic-vis": _smic("VIS"),
    "smic-nir": _smic("NIR"),
    "samm": ClipData(
        read=samm.read_samm,
        annotation=samm.samm_annotation,
        expected=("SAMM",),
        places=("SAMM", ""),
        holds=samm.holds_samm,
    ),
    "casme2": ClipData(
        read=casme2.read_casme2,
        annotation=casme2.casme2_annotation,
        expected=("CASME2/Cropped", "CASME2"),
        places=tuple(f"{top}{form}" for form in _CASME2_FORMS for top in ("CASME2/", "CASME II/", "")),
        holds=casme2.holds_casme2,
    ),
    "table": ClipData(
        read=read_clip_table,
        annotation=lambda table: table,
        expected=("MEVIEW/<any name>.csv with the clips that it lists",),
    ),
}
"""Value of the `dataset` parameter -> how that set is found and read."""
