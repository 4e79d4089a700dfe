"""All data sets by name, and how a study gets one: found, read once, then memory-mapped."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_utils.data import clip_files
from fer_utils.data.clip_readers import Casme2, ClipReader, ClipTable, Samm, Smic
from fer_utils.data.fer2013 import Fer2013
from fer_utils.data.folders import CkPlus, ImageFolder, Jaffe, OwnFolder, RafDb
from fer_utils.data.raw_files import DataSet, MissingData
from fer_utils.data.samples import ClipSet, FaceSet, combine
from fer_utils.data.store import prepared, prepared_from
from fer_utils.files import ConfigError, digest, nearest, project_path, sha256_of
from fer_utils.labels import FER7, LABEL_SETS, SMIC3, SMIC3_OF

if TYPE_CHECKING:
    from fer_utils.params import ClipParameters, FaceParameters

_FACES = {"fer2013": Fer2013, "rafdb": RafDb, "ckplus": CkPlus, "jaffe": Jaffe, "folder": OwnFolder}
_CLIPS = {"smic-hs": Smic, "smic-vis": Smic, "smic-nir": Smic, "samm": Samm, "casme2": Casme2}
FACES: Mapping[str, ImageFolder] = {name: kind(name) for name, kind in _FACES.items()}
CLIPS: Mapping[str, ClipReader] = {name: kind(name) for name, kind in (_CLIPS | {"table": ClipTable}).items()}
"""Value of the `dataset` parameter -> data set of still faces, or of clips."""

PREPARED = "data/prepared"  # where the memory-mapped forms are kept, below the project folder


def load_faces(params: "FaceParameters", *, prepared_dir: str | Path = PREPARED) -> FaceSet:
    """Return the still faces that the parameters name, with the classes of `label_set`.

    A real data set that is not there raises `MissingData`, damaged data a `ValueError` with file and row.
    """
    size = getattr(params, "picture_size", params.image_size)  # where a network scales the images itself
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
        options = {"image_size": size, "on_bad_rows": params.on_bad_rows}
        found = {name: find(name, params.data_path) for name in names}  # all, before the first is read
        sets = [_prepared(FACES[name], path, options, prepared_dir) for name, path in found.items()]
        faces = combine(sets, class_names=FER7) if len(sets) > 1 else sets[0]
    return faces if params.label_set == "own" else faces.with_classes(LABEL_SETS[params.label_set])


def _prepared(
    dataset: DataSet, path: Path, options: Mapping[str, object], prepared_dir: str | Path
) -> FaceSet | ClipSet:
    source, lists = dataset.files(path)
    # A list may lie beside the files, whose hash then does not tell when it was changed.
    hashes = {"lists": {file.name: sha256_of(file) for file in lists}} if lists else {}
    return prepared_from(
        source,
        lambda: dataset.read(path, **options),
        folder=project_path(prepared_dir),
        settings={"reader": dataset.name, **options, **hashes},
    )


def load_clips(params: "ClipParameters", *, prepared_dir: str | Path = PREPARED) -> ClipSet:
    """Return the clips that the parameters name, with the classes of `label_set`.

    `frame_rate` is that of the synthetic camera and of images in a table. Errors are those of `load_faces`.
    """
    options = {"size": params.image_size, "n_frames": params.n_frames}
    if params.dataset == "synthetic":
        clips = _synthetic_clips(params, options, project_path(prepared_dir))
    else:
        options["sampling"] = params.sampling
        options |= {"frame_rate": params.frame_rate} if params.dataset == "table" else {}
        path = find(params.dataset, params.data_path)
        clips = _prepared(CLIPS[params.dataset], path, options, prepared_dir)
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
    from fer_utils.synthetic import motion as generator

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
    files = [*sorted(package.glob("*.*")), Path(clip_files.__file__)]
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
    """Return the file or folder of a real data set, which `data_path` is or holds, or raise `MissingData`."""
    path = project_path(data_path)
    return path if path.is_file() and dataset in FACES else {**FACES, **CLIPS}[dataset].find(path)


def title_of(dataset: str) -> str:
    """Return the name of a data set, or of several combined, as tables show it."""
    return " + ".join(FACES[name].title for name in dataset.split("+"))


def sources(folder: Path) -> Iterator[tuple[DataSet, Path | None]]:
    """Yield every raw data set that is looked for in a folder, and where it is; None where it is missing."""
    for dataset in (one for one in (*FACES.values(), *CLIPS.values()) if one.expected):
        try:
            yield dataset, dataset.find(folder)
        except MissingData:
            yield dataset, None
        except ConfigError:  # several tables of clips, which `load_clips` will say again
            yield dataset, folder
