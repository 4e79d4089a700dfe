"""Which data sets there are, where they are looked for, and how a study gets them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from fer_utils.data.cards import FER2013_CARD, MissingData, Source
from fer_utils.data.clips.catalogue import clip_shortfall, load_clips
from fer_utils.data.clips.places import CLIP_DATASETS, clip_sources, find_clips, is_clip_entry
from fer_utils.data.clips.table import is_clip_table
from fer_utils.data.faceset import FaceSet
from fer_utils.data.fer2013 import read_fer2013
from fer_utils.data.folder import read_folder
from fer_utils.data.store import prepared
from fer_utils.data.synthetic import synthetic_faces
from fer_utils.files import project_path

__all__ = [
    "CLIP_DATASETS",
    "DATASETS",
    "FER2013_COUNTS",
    "FER2013_NAMES",
    "PUBLISHED_COPIES",
    "MissingData",
    "Source",
    "clip_shortfall",
    "find_clips",
    "find_fer2013",
    "load_clips",
    "load_faces",
    "published_as",
    "shortfall",
    "sources",
    "unknown_entries",
]

DATASETS = ("synthetic", "fer2013", "folder")
"""What the `dataset` parameter may say."""

FER2013_NAMES = ("fer2013.csv", "icml_face_data.csv", "fer2013.zip", "fer2013", "train.csv", "test.csv")
"""Looked for in this order. `fer2013` is a folder: Kaggle's, or the challenge's with its tables."""

FER2013_COUNTS = {"train": 28_709, "validation": 3_589, "test": 3_589, "pooled_test": 7_178}
"""Images of each part of the whole data set."""

PUBLISHED_COPIES = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
}
"""MD5 of the files that the challenge distributed -> their names."""


def find_fer2013(data_path: str | Path) -> Path:
    """Return the FER-2013 copy at `data_path` or in that folder.

    Raises
    ------
    MissingData
        Naming every place that was looked at.
    """
    path = project_path(data_path)
    if path.is_file() or _is_fer2013_folder(path):
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
    on_bad_rows: Literal["error", "drop"] = "error",
    synthetic_subjects: int = 40,
    synthetic_per_subject: int = 70,
    seed: int = 0,
    prepared_dir: str | Path = "data/prepared",
) -> FaceSet:
    """Return a data set by the name that the `dataset` parameter gives it.

    Parameters
    ----------
    dataset : {"synthetic", "fer2013", "folder"}
    data_path : path
        The raw file or folder; for FER-2013 also the folder that holds it. Relative paths start at the
        project folder.
    on_bad_rows : {"error", "drop"}
        What a row or picture that cannot be used does: stop the reading, or be left out and listed.
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
    if dataset not in DATASETS:
        raise ValueError(f"dataset={dataset!r}: known are {', '.join(DATASETS)}")
    find, read = {"fer2013": (find_fer2013, read_fer2013), "folder": (_find_folder, read_folder)}[dataset]
    settings = {"reader": dataset, "on_bad_rows": on_bad_rows}
    read = partial(read, on_bad_rows=on_bad_rows)
    return prepared(find(data_path), read, folder=project_path(prepared_dir), settings=settings)


def sources(data_path: str | Path = "data/raw") -> list[Source]:
    """Return every raw data set that the study looks for in a folder, found or not.

    Where `data_path` is itself a data set, that one alone.
    """
    path = project_path(data_path)
    try:
        found = None if is_clip_table(path) else find_fer2013(path)
    except MissingData:
        found = None
    expected = " or ".join(str(Path(data_path) / name) for name in FER2013_NAMES)
    listed = [Source("fer2013", found, expected, **FER2013_CARD), *clip_sources(data_path)]
    return [source for source in listed if source.path == path] or listed


def unknown_entries(data_path: str | Path = "data/raw") -> list[str]:
    """Return the names in a folder that belong to no data set that is looked for."""
    folder = project_path(data_path)
    entries = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    inside = {path if path.is_dir() else path.parent for one in clip_sources(folder) if (path := one.path)}
    if folder in inside or _is_fer2013_folder(folder):  # then they are of that data set
        return []
    shown = [name for name in entries if not name.startswith(".")]
    return [name for name in shown if name not in FER2013_NAMES and not is_clip_entry(name)]


def published_as(origin: Mapping[str, str | int]) -> str | None:
    """Return the name under which a file with this origin was published, or None for an unverified copy."""
    return PUBLISHED_COPIES.get(str(origin.get("md5")))


def shortfall(faces: FaceSet) -> str:
    """Return what FER-2013 has and this copy of it lacks, or an empty text.

    A copy with part of the splits, such as the challenge's train.csv, lacks the others.
    """
    present = {name: int((faces.split == name).sum()) for name in FER2013_COUNTS}
    parts = ("train", "pooled_test") if present["pooled_test"] else ("train", "validation", "test")
    lacking = [
        f"{present[name]:,} of {FER2013_COUNTS[name]:,} {name}"
        for name in parts
        if present[name] != FER2013_COUNTS[name]
    ]
    return f"it has {', '.join(lacking)} images" if lacking else ""


def _is_fer2013_folder(path: Path) -> bool:
    return (path / "train").is_dir() or all((path / name).is_file() for name in ("train.csv", "test.csv"))


def _find_folder(data_path: str | Path) -> Path:
    path = project_path(data_path)
    if not path.exists():
        raise MissingData(f"{path}: not there; data_path names a folder (or zip) of <class>/<picture>")
    return path
