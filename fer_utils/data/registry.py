"""All data sets by name, and how a study gets one: found, read once, then memory-mapped.

A prepared set is a folder `<name>-<hash>/`, named by the content of its source and the settings of its
reader, with `pixels.npy` and `sidecar.json` (all other fields, hashes). A damaged one is made again.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from fer_utils.data import clip_files
from fer_utils.data.clip_readers import ClipReader, ClipTable, Smic
from fer_utils.data.fer2013 import Fer2013
from fer_utils.data.flow_files import FlowFiles
from fer_utils.data.folders import ImageFolder, OwnFolder, RafDb
from fer_utils.data.forms import is_hidden, printable
from fer_utils.data.raw_files import DataSet, MissingData, files_below
from fer_utils.data.samples import ClipSet, FaceSet, Samples, combine
from fer_utils.files import (
    ConfigError,
    digest,
    locked,
    nearest,
    project_path,
    read_json,
    sha256_of,
    write_json,
)
from fer_utils.labels import FER7, LABEL_SETS, SMIC3, SMIC3_OF, alike

if TYPE_CHECKING:
    from fer_utils.params import ClipParameters, FaceParameters

_FACES = Fer2013("fer2013"), RafDb("rafdb"), ImageFolder("ckplus"), ImageFolder("jaffe"), OwnFolder("folder")
_CLIPS = *map(Smic, ("smic-hs", "smic-vis", "smic-nir")), ClipReader("samm"), ClipReader("casme2")
FACES: Mapping[str, ImageFolder] = {one.name: one for one in _FACES}
CLIPS = {one.name: one for one in (*_CLIPS, ClipTable("table"), FlowFiles("megc2019"))}
"""Value of the `dataset` parameter -> data set of still faces, or of clips."""

FORMAT = 7  # raised when a reader or this layout changes meaning, so that older prepared files are made again
PREPARED = "data/prepared"  # where the memory-mapped forms are kept, below the project folder

_MD5 = partial(hashlib.md5, usedforsecurity=False)
_KINDS = {kind.__name__: kind for kind in (FaceSet, ClipSet)}
AnySamples = TypeVar("AnySamples", bound=Samples)


def load_faces(params: "FaceParameters", *, prepared_dir: str | Path = PREPARED) -> FaceSet:
    """Return the still faces that the parameters name, with the classes of `label_set`.

    A real data set that is not there raises `MissingData`, damaged data a `ValueError` with file and row.
    """
    size = getattr(params, "picture_size", params.image_size)  # where a network scales the images itself
    if params.dataset == "synthetic":
        from fer_utils.synthetic import synthetic_faces

        subjects, each = params.synthetic_subjects, params.synthetic_per_subject
        faces = synthetic_faces(n_subjects=subjects, images_per_subject=each, size=size, seed=params.seed)
    else:
        names = params.dataset.split("+")
        if len(names) > 1 and project_path(params.data_path).is_file():
            needed = f"{params.dataset} needs the folder that holds both sets"
            raise ConfigError(f"data_path={str(params.data_path)!r}: a single file; {needed}")
        options = {"image_size": size, "on_bad_rows": params.on_bad_rows}
        found = {name: find(name, params.data_path) for name in names}  # all, before the first is read
        sets = [_prepared(FACES[name], path, options, prepared_dir) for name, path in found.items()]
        faces = combine(sets, class_names=FER7) if len(sets) > 1 else sets[0]
    faces = _distinct(faces, strict=params.on_bad_rows == "error")
    return faces if params.label_set == "own" else faces.with_classes(LABEL_SETS[params.label_set])


def _distinct(samples: AnySamples, *, strict: bool) -> AnySamples:
    """Note subjects and classes that are probably one, as their names hardly differ; if `strict` an error."""
    names = {"subjects": samples.subject, "classes": samples.class_names}
    if not (found := [f"{what} {group}" for what in names for group in alike(names[what])]):
        return samples
    note = f"{'; '.join(found)} differ only in case, spaces, zeros or Unicode form; are they the same?"
    if strict:
        setting = "on_bad_rows: drop" if isinstance(samples, FaceSet) else "strict: false"
        raise ValueError(f"{samples.name}: {note} Give each one name, or set {setting} if they are not")
    return replace(samples, notes=(*samples.notes, note))


def _prepared(
    dataset: DataSet, path: Path, options: Mapping[str, object], prepared_dir: str | Path
) -> FaceSet | ClipSet:
    source, lists = dataset.files(path)
    # A list may lie beside the files, whose hash then does not tell when it was changed.
    hashes = {"lists": {file.name: sha256_of(file) for file in lists}} if lists else {}
    settings, read = {"reader": dataset.name, **options, **hashes}, partial(dataset.read, path, **options)
    return prepared_from(source, read, folder=project_path(prepared_dir), settings=settings)


def load_clips(params: "ClipParameters", *, prepared_dir: str | Path = PREPARED) -> ClipSet:
    """Return the clips that the parameters name, with the classes of `label_set`; as `load_faces` does."""
    options = {"size": params.image_size, "n_frames": params.n_frames}
    if params.dataset == "synthetic":
        clips = _synthetic_clips(params, options, project_path(prepared_dir))
    else:
        options["sampling"] = params.sampling
        options |= {"frame_rate": params.frame_rate} if params.dataset == "table" else {}
        path = find(params.dataset, params.data_path)
        clips = _prepared(CLIPS[params.dataset], path, options, prepared_dir)
    clips = _without(clips, {*params.leave_out}) if params.leave_out else clips
    clips = _distinct(clips, strict=params.strict)
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
    code = {"numpy": np.__version__, "cv2": cv2.__version__, "resample": sha256_of(clip_files.__file__)}
    package, make = Path(generator.__file__).parent, partial(generator.synthetic_clips, **arguments)
    return prepared_from(package, make, folder=folder, settings=arguments | code)


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
    is_set = path.is_file() and dataset in (*FACES, "table", "megc2019")
    return path if is_set else {**FACES, **CLIPS}[dataset].find(path)


def title_of(dataset: str) -> str:
    """Return the name of a data set, or of several combined, as tables show it."""
    return " + ".join(FACES[name].title for name in dataset.split("+"))


def sources(folder: Path) -> Iterator[tuple[DataSet, Path | None]]:
    """Yield every raw data set that is looked for in a folder, and where it is; None where it is missing."""
    for dataset in (one for one in (*FACES.values(), *CLIPS.values()) if one.expected):
        try:
            yield dataset, dataset.find(folder)
        except (MissingData, ConfigError) as error:  # several tables of clips, which `load_clips` says again
            yield dataset, None if isinstance(error, MissingData) else folder


def prepared_from(
    source: Path, read: Callable[[], AnySamples], *, folder: Path, settings: Mapping[str, object]
) -> AnySamples:
    """Return the data set of a raw file or folder, read at the first call and memory-mapped afterwards.

    Its key is the content of `source` with the `settings`: JSON values that decide what `read` gives.
    """
    if source.is_file():
        files, content = [source], sha256_of(source)
    else:
        files = [f for f in sorted(files_below(source)) if not is_hidden(f.relative_to(source).as_posix())]
        total = hashlib.sha256()
        for file in files:
            total.update(f"{file.relative_to(source).as_posix()}\0".encode("utf-8", "surrogateescape"))
            total.update(bytes.fromhex(sha256_of(file)))
        content = total.hexdigest()
    target = folder / f"{printable(source.stem)}-{digest(FORMAT, content, dict(settings))[:16]}"
    if not _is_whole(target):  # a whole set is opened without writing: its folder may be read-only
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{target.name}.lock"):
            if not _is_whole(target):  # another process may have made it meanwhile
                samples, size = read(), sum(file.stat().st_size for file in files)
                found = {"file": printable(source.name), "bytes": size, "sha256": content}
                if source.is_file():  # not a safeguard, but the hash by which published copies are known
                    with open(source, "rb") as opened:
                        found["md5"] = hashlib.file_digest(opened, _MD5).hexdigest()
                samples = replace(samples, origin=samples.origin | found)
                _write(samples, target, settings=dict(settings))
    sidecar = read_json(target / "sidecar.json")
    kind = _KINDS[sidecar["kind"]]
    pixels = np.load(target / "pixels.npy", mmap_mode="r", allow_pickle=False)
    stored = sidecar["fields"].items()  # JSON has no tuples, and no field is a list
    rest = {key: tuple(value) if isinstance(value, list) else value for key, value in stored}
    columns = {key: np.array(values) for key, values in sidecar["columns"].items()}
    samples = kind(**{kind.PIXELS: pixels}, **columns, **rest)
    samples.__dict__["fingerprint"] = sidecar["fingerprint"]  # its files have just been checked
    return samples


def _is_whole(target: Path) -> bool:
    try:
        sidecar = read_json(target / "sidecar.json")
        seal = sidecar.pop("seal")
        return seal == digest(sidecar) and sidecar["sha256"] == sha256_of(target / "pixels.npy")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _write(samples: Samples, target: Path, *, settings: dict[str, object]) -> None:
    # Under the lock, so a staging folder found here was left by a process that was killed.
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        np.save(staging / "pixels.npy", samples.pixels, allow_pickle=False)
        names = [one.name for one in fields(samples) if one.name not in {samples.PIXELS, *samples.COLUMNS}]
        sidecar = {
            "kind": type(samples).__name__,
            "fields": {name: getattr(samples, name) for name in names},
            "columns": {name: getattr(samples, name).tolist() for name in samples.COLUMNS},
            "settings": settings,
            "fingerprint": samples.fingerprint,
            "sha256": sha256_of(staging / "pixels.npy"),
        }
        write_json(staging / "sidecar.json", sidecar | {"seal": digest(sidecar)})
        if target.exists():
            shutil.rmtree(target)  # damaged; a process that has it mapped keeps its mapping
        os.rename(staging, target)
    except OSError as error:  # numpy does not say which file it could not write
        raise OSError(f"{target}: cannot be written ({error}); is the disk full?") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
