"""All data sets by name, and how a study gets one: found, read once, then memory-mapped."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_utils.data import clip_files
from fer_utils.data.clip_readers import PARTS, Casme2, ClipReader, ClipTable, Samm, Smic
from fer_utils.data.datasets import DataSet, FaceData, MissingData
from fer_utils.data.fer2013 import Fer2013
from fer_utils.data.folders import RAFDB_TABLES, CkPlus, Jaffe, OwnFolder, RafDb
from fer_utils.data.images import IMAGE_SIZES
from fer_utils.data.samples import ClipSet, FaceSet, combine
from fer_utils.data.store import prepared, prepared_from
from fer_utils.files import ConfigError, digest, nearest, project_path, sha256_of
from fer_utils.labels import FER7, LABEL_SETS, SMIC3, SMIC3_OF

if TYPE_CHECKING:
    from fer_utils.params import ClipParameters, FaceParameters

FACES: Mapping[str, FaceData] = {
    one.name: one for one in (Fer2013(), RafDb(), CkPlus(), Jaffe(), OwnFolder())
}
"""Value of the `dataset` parameter -> data set of still faces."""

CLIPS: Mapping[str, ClipReader] = {
    one.name: one for one in (*map(Smic, PARTS), Samm(), Casme2(), ClipTable())
}
"""Value of the `dataset` parameter -> data set of clips."""

PUBLISHED_COPIES = {
    "f8428a1edbd21e88f42c73edd2a14f95": "fer2013.csv",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "test.csv",
}
"""MD5 of the files that the challenge distributed -> their names."""

PREPARED = "data/prepared"  # where the memory-mapped forms are kept, below the project folder


def load_faces(params: "FaceParameters", *, prepared_dir: str | Path = PREPARED) -> FaceSet:
    """Return the still faces that the parameters name, with the classes of `label_set`.

    A `picture_size`, where a network scales the images itself, goes before `image_size`. A real data set that
    is not there raises `MissingData`, damaged data a `ValueError` that names file and row.

    Examples
    --------
    >>> from fer_utils.params import FaceParameters
    >>> faces = load_faces(FaceParameters(synthetic_subjects=3, synthetic_per_subject=7))
    >>> faces.images.shape
    (21, 48, 48)
    """
    size = getattr(params, "picture_size", params.image_size)
    if size not in IMAGE_SIZES:
        raise ConfigError(f"image_size={size}: use {IMAGE_SIZES[0]} to {IMAGE_SIZES[-1]} pixels")
    if params.dataset == "synthetic":
        from fer_utils.synthetic import synthetic_faces

        faces = synthetic_faces(
            n_subjects=params.synthetic_subjects,
            images_per_subject=params.synthetic_per_subject,
            size=size,
            seed=params.seed,
        )
    else:
        names = params.dataset.split("+")
        if len(names) > 1 and project_path(params.data_path).is_file():
            needed = f"{params.dataset} needs the folder that holds both sets"
            raise ConfigError(f"data_path={str(params.data_path)!r}: a single file; {needed}")
        places = {name: find(name, params.data_path) for name in names}
        options = {"image_size": size, "on_bad_rows": params.on_bad_rows}
        sets = [_real_faces(name, path, options, prepared_dir) for name, path in places.items()]
        faces = combine(sets, class_names=FER7) if len(sets) > 1 else sets[0]
    return faces if params.label_set == "own" else faces.with_classes(LABEL_SETS[params.label_set])


def _real_faces(name: str, path: Path, options: Mapping[str, object], prepared_dir: str | Path) -> FaceSet:
    images, lists = FACES[name].files(path)
    # The lists may lie beside the images, whose hash then does not tell when they were changed.
    hashes = {"lists": {file.name: sha256_of(file) for file in lists}} if lists else {}
    return prepared_from(
        images,
        lambda: FACES[name].read(path, **options),
        folder=project_path(prepared_dir),
        settings={"reader": name, **options, **hashes},
    )


def load_clips(params: "ClipParameters", *, prepared_dir: str | Path = PREPARED) -> ClipSet:
    """Return the clips that the parameters name, with the classes of `label_set`.

    Under `strict` a clip that cannot be used is an error; `leave_out` has ids; `frame_rate` is that of the
    synthetic camera and of images in a table, which do not state it. A real data set that is not there raises
    `MissingData`, data that cannot be read and an unknown id in `leave_out` a `ValueError`.
    """
    folder = project_path(prepared_dir)
    options = {"size": params.image_size, "n_frames": params.n_frames}
    if params.dataset == "synthetic":
        clips = _synthetic_clips(params, options, folder)
    else:
        dataset, path = CLIPS[params.dataset], find(params.dataset, params.data_path)
        options["sampling"] = params.sampling
        options |= {"frame_rate": params.frame_rate} if params.dataset == "table" else {}
        table = dataset.annotation(path)
        # It may lie beside the clips, so that their hash does not tell when it was changed.
        annotation = {table.name: sha256_of(table)} if table else {}
        clips = prepared_from(
            path if path.is_dir() else path.parent,
            lambda: dataset.read(path, **options),
            folder=folder,
            settings={"reader": params.dataset, "annotation": annotation, **options},
            follow_links=path.is_dir(),
        )
    clips = _without(clips, {*params.leave_out}) if params.leave_out else clips
    if params.strict and clips.skipped:
        more = f" (and {len(clips.skipped) - 1} more)" if len(clips.skipped) > 1 else ""
        raise ValueError(f"{clips.name}: {clips.skipped[0]}{more}")
    if params.label_set == "own" or clips.class_names == SMIC3:
        return clips
    merged = clips.merged(SMIC3_OF, SMIC3)
    if not len(merged):
        raise ValueError(f"{clips.name}: label_set='smic3' leaves no clip; {merged.notes[-1]}")
    return merged


def _synthetic_clips(params: "ClipParameters", options: Mapping[str, int], folder: Path) -> ClipSet:
    from fer_utils.synthetic import clips as generator

    arguments = {
        "n_subjects": params.synthetic_subjects,
        "clips_per_subject": params.synthetic_clips_per_subject,
        "frame_rate": params.frame_rate,
        "seed": params.synthetic_seed,
        **options,
    }
    code = _code_of(Path(generator.__file__).parent)
    origin = {"form": "synthetic", "generator": generator.__name__.rpartition(".")[0], "sha256": code}
    return prepared(
        lambda: replace(generator.synthetic_clips(**arguments), origin=origin),
        name="synthetic-clips",
        content=code,
        folder=folder,
        settings=arguments,
    )


@cache
def _code_of(package: Path) -> str:
    files = [*sorted(package.glob("*.py")), Path(clip_files.__file__)]
    return digest([sha256_of(file) for file in files], np.__version__, cv2.__version__)


def _without(clips: ClipSet, leave_out: set[str]) -> ClipSet:
    unusable = {text: text.partition(": ")[0] for text in clips.skipped}
    ids = {*clips.sample_id.tolist(), *unusable.values()}
    if unknown := sorted(leave_out - ids):
        raise ValueError(f"leave_out: {clips.name} has no clip {unknown[0]!r}{nearest(unknown[0], ids)}")
    return replace(
        clips.take(~np.isin(clips.sample_id, [*leave_out])),
        notes=(*clips.notes, f"left out on request: {', '.join(sorted(leave_out))}"),
        skipped=tuple(text for text, name in unusable.items() if name not in leave_out),
    )


def find(dataset: str, data_path: str | Path = "data/raw") -> Path:
    """Return the file or folder of a real data set; `MissingData` names every place searched.

    `data_path` is that file or folder, or a folder that holds it under a name that it is distributed with; a
    relative path starts at the project folder.
    """
    path = project_path(data_path)
    if path.is_file() and dataset in (*FACES, "table"):
        return path
    return {**FACES, **CLIPS}[dataset].find(path)


def title_of(dataset: str) -> str:
    """Return the name of a data set, or of several combined, as tables show it."""
    return " + ".join(FACES[name].title for name in dataset.split("+"))


def sources(data_path: str | Path = "data/raw") -> list[tuple[DataSet, Path | None]]:
    """Return every raw data set that is looked for in a folder, and where it is; None where it is missing.

    Where `data_path` is itself a data set, that one alone.
    """
    path = project_path(data_path)
    if path.is_file():
        by_name = (one for one in FACES.values() if path.name in one.places)
        return [(CLIPS["table"] if CLIPS["table"].holds(path) else next(by_name, FACES["fer2013"]), path)]
    listed = []
    for dataset in (one for one in (*FACES.values(), *CLIPS.values()) if one.expected):
        try:
            found = dataset.find(path)
        except MissingData:
            found = None
        except ConfigError:  # several tables of clips, which `load_clips` will say again
            found = path
        listed.append((dataset, found))
    return [(dataset, found) for dataset, found in listed if found == path] or listed


def unknown_entries(data_path: str | Path = "data/raw") -> dict[str, str]:
    """Return the names in a folder that belong to no known data set -> what to do about each."""
    folder = project_path(data_path)
    found = [path for _, path in sources(folder) if path]
    in_set = folder in found or any(path.parent == folder and CLIPS["table"].holds(path) for path in found)
    if not folder.is_dir() or in_set:  # everything in the folder of a data set belongs to it
        return {}
    places = (place for one in (*FACES.values(), *CLIPS.values()) for place in one.places)
    known = {re.escape(place.partition("/")[0]) for place in places}
    known |= {one.annotation_name for one in CLIPS.values()} | {*RAFDB_TABLES, r"\..*"}
    unknown = sorted(one.name for one in folder.iterdir() if not re.fullmatch("|".join(known), one.name))
    packed = "unpack it, or name it as data/README.md says"
    images = "own images in <class>/ folders are read with dataset: folder and this path as data_path"
    archives = (".zip", ".gz", ".tgz", ".tar", ".rar")
    return {name: packed if name.endswith(archives) else images for name in unknown}


def published_as(origin: Mapping[str, str | int]) -> str | None:
    """Return the name under which a file with this origin was published, or None for an unverified copy."""
    return PUBLISHED_COPIES.get(str(origin.get("md5")))
