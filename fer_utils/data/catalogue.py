"""Which data sets there are, where they are looked for, and how a study gets them."""

from dataclasses import dataclass
from pathlib import Path

from fer_utils.data.faceset import FaceSet
from fer_utils.data.fer2013 import read_fer2013
from fer_utils.data.store import prepared
from fer_utils.data.synthetic import synthetic_faces
from fer_utils.files import project_path

FER2013_NAMES = ("fer2013.csv", "fer2013.zip", "fer2013")
"""Looked for in this order: two files and the unpacked Kaggle folder."""


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


@dataclass(frozen=True)
class Source:
    """One raw data set as `make data` reports it.

    Attributes
    ----------
    name : str
        The value of the `dataset` parameter.
    path : Path or None
        Where it was found.
    expected : str
        What to put where.
    """

    name: str
    path: Path | None
    expected: str


def find_fer2013(data_path: str | Path) -> Path:
    """Return the FER-2013 copy at `data_path` or in that folder.

    Raises
    ------
    MissingData
        Naming every place that was looked at.
    """
    path = project_path(data_path)
    if path.is_file() or (path / "train").is_dir():
        return path
    for name in FER2013_NAMES:
        if (path / name).exists():
            return path / name
    places = ", ".join(str(path / name) for name in FER2013_NAMES)
    raise MissingData(f"FER-2013 is not here; looked for {places}. data/README.md says where it comes from")


def load_faces(
    dataset: str,
    *,
    data_path: str | Path = "data/raw",
    synthetic_subjects: int = 40,
    synthetic_per_subject: int = 70,
    seed: int = 0,
    prepared_dir: str | Path = "data/prepared",
) -> FaceSet:
    """Return a data set by the name that the `dataset` parameter gives it.

    Parameters
    ----------
    dataset : {"synthetic", "fer2013"}
    data_path : path
        The raw file or folder, or the folder that holds it; relative paths start at the project folder.
    synthetic_subjects, synthetic_per_subject, seed : int
        Size and seed of the synthetic set; ignored for a real one.
    prepared_dir : path
        Where the memory-mapped form is kept.

    Raises
    ------
    MissingData
        When a real data set is not there.
    ValueError
        For an unknown name or damaged data.
    """
    if dataset == "synthetic":
        size = {"n_subjects": synthetic_subjects, "images_per_subject": synthetic_per_subject}
        return synthetic_faces(**size, seed=seed)
    if dataset == "fer2013":
        return prepared(find_fer2013(data_path), read_fer2013, folder=project_path(prepared_dir))
    raise ValueError(f"dataset={dataset!r}: known are synthetic and fer2013")


def sources(data_path: str | Path = "data/raw") -> list[Source]:
    """Return every raw data set that the study reads, found or not."""
    try:
        found = find_fer2013(data_path)
    except MissingData:
        found = None
    expected = " or ".join(str(Path(data_path) / name) for name in FER2013_NAMES)
    return [Source("fer2013", found, expected)]
