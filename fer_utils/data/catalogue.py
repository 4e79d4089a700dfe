"""Which data sets there are, where they are looked for, and how a study gets them."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from fer_utils.data.bad_rows import OnBadRows
from fer_utils.data.cards import MissingData, Source
from fer_utils.data.clips.catalogue import clip_shortfall, load_clips
from fer_utils.data.clips.places import CLIP_DATASETS, clip_sources, find_clips, is_clip_entry
from fer_utils.data.combine import combine
from fer_utils.data.faceset import FaceSet
from fer_utils.data.fer2013_csv import SIZE
from fer_utils.data.places import FACE_DATA, face_sources, find_faces, is_face_entry
from fer_utils.data.scaling import check_image_size, scaled
from fer_utils.data.store import prepared
from fer_utils.files import ConfigError, project_path, sha256_of
from fer_utils.labels import FER7

__all__ = [
    "CLIP_DATASETS",
    "DATASETS",
    "FACE_DATA",
    "JOINED",
    "PUBLISHED_COPIES",
    "MissingData",
    "Source",
    "clip_shortfall",
    "find_clips",
    "find_faces",
    "load_clips",
    "load_faces",
    "published_as",
    "shortfall",
    "sources",
    "unknown_entries",
]

JOINED = MappingProxyType({"rafdb+fer2013": ("rafdb", "fer2013")})
"""Value of `dataset` -> the sets that are read and made one, with the classes of `FER7`."""

DATASETS = ("synthetic", *FACE_DATA, *JOINED)
"""What the `dataset` parameter of a study of still faces may say."""

PUBLISHED_COPIES = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
}
"""MD5 of the files that the challenge distributed -> their names."""


def load_faces(
    dataset: str,
    *,
    data_path: str | Path = "data/raw",
    on_bad_rows: OnBadRows = "error",
    image_size: int = 48,
    synthetic_subjects: int = 40,
    synthetic_per_subject: int = 70,
    seed: int = 0,
    prepared_dir: str | Path = "data/prepared",
) -> FaceSet:
    """Return a data set by the name that the `dataset` parameter gives it.

    Parameters
    ----------
    dataset : str
        One of `DATASETS`. "folder" is pictures of one's own; those of `JOINED` are several sets as one
        (`combine`), whose split column keeps what each of them says.
    data_path : path
        The raw file or folder, or a folder that holds it (`find_faces`), of joined sets all of them; ignored
        for synthetic faces. Relative paths start at the project folder.
    on_bad_rows : {"error", "drop"}
        What a row or picture that cannot be used does: stop the reading, or be left out and listed.
    image_size : int, 8 to 1024
        Height and width of the images, in pixels. Pictures are read at this size; FER-2013, which exists at
        48 only, is scaled from there, and a note says so.
    synthetic_subjects, synthetic_per_subject, seed : int
        Size and seed of the synthetic set; ignored for a real one.
    prepared_dir : path
        Where the memory-mapped form is kept.

    Raises
    ------
    MissingData
        When a real data set is not there; of joined ones it names all that are not.
    ConfigError
        For an unknown name, an image size out of range, or a single file for joined sets.
    ValueError
        For damaged data.
    """
    if dataset not in DATASETS:
        raise ConfigError(f"dataset={dataset!r}: known are {', '.join(DATASETS)}")
    check_image_size(image_size)
    if dataset == "synthetic":
        from fer_utils.synthetic import synthetic_faces  # it imports this package

        plan = {"n_subjects": synthetic_subjects, "images_per_subject": synthetic_per_subject}
        return synthetic_faces(**plan, size=image_size, seed=seed)
    given = {"data_path": data_path, "on_bad_rows": on_bad_rows, "image_size": image_size}
    if dataset in JOINED:
        return _load_joined(dataset, **given, prepared_dir=prepared_dir)
    return _load_real(dataset, **given, prepared_dir=prepared_dir)


def sources(data_path: str | Path = "data/raw") -> list[Source]:
    """Return every raw data set that the study looks for in a folder, found or not.

    Where `data_path` is itself a data set, that one alone.
    """
    path = project_path(data_path)
    listed = [*face_sources(data_path), *clip_sources(data_path)]
    return [source for source in listed if source.path == path] or listed


def unknown_entries(data_path: str | Path = "data/raw") -> list[str]:
    """Return the names in a folder that belong to no data set that is looked for."""
    folder = project_path(data_path)
    entries = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    inside = {path if path.is_dir() else path.parent for one in clip_sources(folder) if (path := one.path)}
    inside |= {one.path for one in face_sources(folder)}
    if folder in inside:  # then they are of that data set
        return []
    shown = [name for name in entries if not name.startswith(".")]
    return [name for name in shown if not is_face_entry(name) and not is_clip_entry(name)]


def published_as(origin: Mapping[str, str | int]) -> str | None:
    """Return the name under which a file with this origin was published, or None for an unverified copy."""
    return PUBLISHED_COPIES.get(str(origin.get("md5")))


def shortfall(faces: FaceSet) -> str:
    """Return what the whole data set has and this copy of it lacks, or an empty text.

    A copy with part of the splits, such as FER-2013's train.csv, lacks the others.
    """
    counts = FACE_DATA[faces.name].counts
    present = {name: int((faces.split == name).sum()) for name in counts}
    instead = ("validation", "test") if present.get("pooled_test") else ("pooled_test",)
    lacking = [
        f"{present[name]:,} of {counts[name]:,}{'' if name == 'unassigned' else f' {name}'}"
        for name in counts
        if name not in instead and present[name] != counts[name]
    ]
    return f"it has {', '.join(lacking)} images" if lacking else ""


def _load_real(
    dataset: str, *, data_path: str | Path, on_bad_rows: OnBadRows, image_size: int, prepared_dir: str | Path
) -> FaceSet:
    known = FACE_DATA[dataset]
    path = find_faces(dataset, data_path)
    options: dict[str, object] = {"on_bad_rows": on_bad_rows}
    if known.any_size:
        options["image_size"] = image_size
    read = partial(known.read, path, **options)
    settings = {"reader": dataset, **options}
    if not known.any_size and image_size != SIZE:
        settings["scaled_to"] = image_size
    pictures, lists = known.files(path)
    if lists:  # they may lie beside the pictures, whose hash then does not tell when they were changed
        settings["lists"] = {file.name: sha256_of(file) for file in lists}
    return prepared(
        pictures,
        lambda _: scaled(read(), image_size=image_size),
        folder=project_path(prepared_dir),
        settings=settings,
    )


def _load_joined(dataset: str, *, data_path: str | Path, **given: object) -> FaceSet:
    names = JOINED[dataset]
    if project_path(data_path).is_file():
        raise ConfigError(
            f"data_path={str(data_path)!r}: a single file; {dataset} needs the folder that holds both sets"
        )
    missing = []
    for name in names:
        try:
            find_faces(name, data_path)
        except MissingData as error:
            missing.append(str(error))
    if missing:
        raise MissingData(f"dataset={dataset!r}: {'; '.join(missing)}")
    sets = [_load_real(name, data_path=data_path, **given) for name in names]
    return combine(sets, class_names=FER7)
