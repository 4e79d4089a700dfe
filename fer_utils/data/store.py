"""Prepared data sets: read and checked once, then memory-mapped.

A prepared set is a folder named by the content of its source and the settings of its reader,
`<name>-<hash>/`, with `pixels.npy` (uint8), `samples.npz` (labels, ids, subjects and the other columns) and
`sidecar.json` (names, notes, what was left out, settings, hashes). Nothing in it is ever unpickled; what does
not fit its hashes is made again.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from fer_utils.data.bad_rows import printable
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.faceset import FaceSet
from fer_utils.data.samples import Samples
from fer_utils.files import digest, read_json, sha256_of, write_json

FORMAT = 4
"""Raised when a reader or this layout changes meaning, so that older prepared files are made again."""

_ARRAYS = ("pixels.npy", "samples.npz")
_KINDS = {kind.__name__: kind for kind in (FaceSet, ClipSet)}

AnySamples = TypeVar("AnySamples", bound=Samples)


def prepared(
    source: Path,
    read: Callable[[Path], AnySamples],
    *,
    folder: Path,
    settings: Mapping[str, object] = MappingProxyType({}),
    follow_links: bool = False,
) -> AnySamples:
    """Return the data set of `source`, preparing it when that has not been done or was damaged.

    Parameters
    ----------
    source : Path
        A raw file or folder.
    read : callable
        The reader that turns `source` into a `FaceSet` or `ClipSet`.
    folder : Path
        Where prepared sets are kept.
    settings : mapping of str to what JSON can say
        What else than `source` decides the result, such as the name and options that `read` was made of:
        other settings are another prepared set.
    follow_links : bool
        Whether `read` follows links to folders, so that their files name the content as well.

    Returns
    -------
    FaceSet or ClipSet
        Its pixels memory-mapped read-only. To the `origin` that `read` gave it are added file, bytes, SHA-256
        and, for a single file, MD5: not a safeguard, but the hash by which published copies are known.
    """
    content = content_hash(source, follow_links=follow_links)

    def make() -> AnySamples:
        samples = read(source)
        size = size_of(source, follow_links=follow_links)
        found = {"file": printable(source.name), "bytes": size, "sha256": content} | _md5_of(source)
        return replace(samples, origin={**samples.origin, **found})

    return kept(make, name=source.stem, content=content, folder=folder, settings=settings)


def kept(
    make: Callable[[], AnySamples],
    *,
    name: str,
    content: str,
    folder: Path,
    settings: Mapping[str, object] = MappingProxyType({}),
) -> AnySamples:
    """Return what `make` gives, from the files kept of an earlier call where they are whole.

    Parameters
    ----------
    make : callable
        Makes a `FaceSet` or `ClipSet`.
    name : str
        With what the folder's name begins.
    content : str
        A hash of what the set is made from, such as raw files or a generator's code.
    folder, settings
        As in `prepared`.
    """
    target = folder / f"{printable(name)}-{digest(content, dict(settings))[:16]}"
    if not _is_whole(target):
        with _one_at_a_time(target):
            if not _is_whole(target):  # another process may have made it meanwhile
                _write(make(), target, settings=dict(settings))
    return _open(target)


def content_hash(source: Path, *, follow_links: bool = False) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    if source.is_file():
        return sha256_of(source)
    total = hashlib.sha256()
    for file in sorted(_files_below(source, follow_links=follow_links)):
        total.update(f"{file.relative_to(source).as_posix()}\0".encode("utf-8", "surrogateescape"))
        total.update(bytes.fromhex(sha256_of(file)))
    return total.hexdigest()


def size_of(source: Path, *, follow_links: bool = False) -> int:
    """Return the bytes of a file or of all files below a folder."""
    files = [source] if source.is_file() else _files_below(source, follow_links=follow_links)
    return sum(path.stat().st_size for path in files)


def _files_below(folder: Path, *, follow_links: bool) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=follow_links):
        real = Path(place).resolve()
        above = {real, *real.parents}  # a link to one of these would lead round in circles
        folders[:] = [name for name in folders if not follow_links or (real / name).resolve() not in above]
        yield from (path for name in names if (path := Path(place, name)).is_file())


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


def _write(samples: Samples, target: Path, *, settings: dict[str, object]) -> None:
    # Under the lock, so a staging folder found here was left by a process that was killed.
    staging = target.with_name(f".{target.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        columns = {key: getattr(samples, key) for key in samples.COLUMNS}
        np.save(staging / "pixels.npy", samples.pixels, allow_pickle=False)
        np.savez_compressed(staging / "samples.npz", allow_pickle=False, **columns)
        arrays = {samples.PIXELS, *samples.COLUMNS}
        names = [field.name for field in fields(samples) if field.name not in arrays]
        sidecar = {
            "format": FORMAT,
            "kind": type(samples).__name__,
            "fields": {name: getattr(samples, name) for name in names},
            "settings": settings,
            "fingerprint": samples.fingerprint,
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


def _open(target: Path) -> Samples:
    sidecar = read_json(target / "sidecar.json")
    kind = _KINDS[sidecar["kind"]]
    with np.load(target / "samples.npz", allow_pickle=False) as arrays:
        columns = {key: arrays[key] for key in kind.COLUMNS}
    pixels = np.load(target / "pixels.npy", mmap_mode="r", allow_pickle=False)
    stored = sidecar["fields"].items()  # JSON has no tuples, and no field is a list
    rest = {key: tuple(value) if isinstance(value, list) else value for key, value in stored}
    samples = kind(**{kind.PIXELS: pixels}, **columns, **rest)
    samples.__dict__["fingerprint"] = sidecar["fingerprint"]  # its files were just found whole
    return samples
