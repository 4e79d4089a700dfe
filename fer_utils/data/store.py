"""Prepared data sets: read and checked once, then memory-mapped.

A prepared set is a folder named by the content of its source and the settings of its reader,
`<name>-<hash>/`, with `images.npy` (uint8), `samples.npz` (labels, splits, ids, subjects) and `sidecar.json`
(names, notes, what was dropped, settings, hashes). Nothing in it is ever unpickled; what does not fit its
hashes is made again.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from fer_utils.data.bad_rows import printable
from fer_utils.data.faceset import FaceSet
from fer_utils.files import digest, read_json, sha256_of, write_json

FORMAT = 3
"""Raised when a reader or this layout changes meaning, so that older prepared files are made again."""

_ARRAYS = ("images.npy", "samples.npz")
_SAMPLES = ("labels", "split", "sample_id", "subject")


def prepared(
    source: Path,
    read: Callable[[Path], FaceSet],
    *,
    folder: Path,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> FaceSet:
    """Return the data set of `source`, preparing it when that has not been done or was damaged.

    Parameters
    ----------
    source : Path
        A raw file or folder.
    read : callable
        The reader that turns `source` into a `FaceSet`.
    folder : Path
        Where prepared sets are kept.
    settings : mapping of str to what JSON can say
        What else than `source` decides the result, such as the name and options that `read` was made of:
        other settings are another prepared set.

    Returns
    -------
    FaceSet
        Its images memory-mapped read-only, its `origin` naming file, bytes, SHA-256 and, for a single file,
        MD5: not a safeguard, but the hash by which published copies are known.
    """
    content = content_hash(source)
    target = folder / f"{printable(source.stem)}-{digest(content, dict(settings))[:16]}"
    if not _is_whole(target):
        with _one_at_a_time(target):
            if not _is_whole(target):  # another process may have made it meanwhile
                origin = {"file": printable(source.name), "bytes": size_of(source), "sha256": content}
                _write(read(source), target, origin=origin | _md5_of(source), settings=dict(settings))
    return _open(target)


def content_hash(source: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    if source.is_file():
        return sha256_of(source)
    total = hashlib.sha256()
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(source).as_posix()}\0".encode("utf-8", "surrogateescape"))
        total.update(bytes.fromhex(sha256_of(file)))
    return total.hexdigest()


def size_of(source: Path) -> int:
    """Return the bytes of a file or of all files below a folder."""
    if source.is_file():
        return source.stat().st_size
    return sum(path.stat().st_size for path in source.rglob("*") if path.is_file())


def _md5_of(source: Path) -> dict[str, str]:
    # Read once more, from memory mostly, rather than slow down every opening of what is prepared already.
    if not source.is_file():
        return {}
    with open(source, "rb") as file:
        return {"md5": hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()}


def _is_whole(target: Path) -> bool:
    try:
        sidecar = read_json(target / "sidecar.json")
        seal = sidecar.pop("seal")
        if sidecar["format"] != FORMAT or seal != digest(sidecar):
            return False
        return all(sha256_of(target / name) == sidecar["sha256"][name] for name in _ARRAYS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


@contextmanager
def _one_at_a_time(target: Path) -> Iterator[None]:
    # The operating system lets go of this lock when its process ends, however it ends.
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / f".{target.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(
    faces: FaceSet, target: Path, *, origin: dict[str, str | int], settings: dict[str, object]
) -> None:
    # Under the lock, so a staging folder found here was left by a process that was killed.
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        np.save(staging / "images.npy", faces.images, allow_pickle=False)
        np.savez_compressed(staging / "samples.npz", **{key: getattr(faces, key) for key in _SAMPLES})
        sidecar = {
            "format": FORMAT,
            "name": faces.name,
            "source": faces.source,
            "class_names": list(faces.class_names),
            "notes": list(faces.notes),
            "dropped": list(faces.dropped),
            "origin": origin,
            "settings": settings,
            "fingerprint": faces.fingerprint,
            "sha256": {name: sha256_of(staging / name) for name in _ARRAYS},
        }
        write_json(staging / "sidecar.json", sidecar | {"seal": digest(sidecar)})
        if target.exists():
            shutil.rmtree(target)  # it is damaged; who has it mapped keeps what is mapped
        os.rename(staging, target)
    except OSError as error:  # numpy says how many bytes were written, and neither where nor why no more
        raise OSError(f"{target}: cannot be written ({error}); is the disk full?") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _open(target: Path) -> FaceSet:
    sidecar = read_json(target / "sidecar.json")
    with np.load(target / "samples.npz", allow_pickle=False) as samples:
        columns = {key: samples[key] for key in _SAMPLES}
    faces = FaceSet(
        name=sidecar["name"],
        source=sidecar["source"],
        images=np.load(target / "images.npy", mmap_mode="r", allow_pickle=False),
        class_names=tuple(sidecar["class_names"]),
        notes=tuple(sidecar["notes"]),
        origin=sidecar["origin"],
        dropped=tuple(sidecar["dropped"]),
        **columns,
    )
    faces.__dict__["fingerprint"] = sidecar["fingerprint"]  # its files were just found whole
    return faces
