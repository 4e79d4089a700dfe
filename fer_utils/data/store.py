"""Prepared data sets: read and checked once, then memory-mapped.

A prepared set is a folder `<name>-<hash>/`, named by the content of its source and the settings of its
reader, with `pixels.npy` and `sidecar.json` (all other fields, hashes). A damaged one is made again.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from fer_utils.data.raw_files import files_below, printable
from fer_utils.data.samples import ClipSet, FaceSet, Samples
from fer_utils.files import digest, read_json, sha256_of, write_json

FORMAT = 6  # raised when a reader or this layout changes meaning, so that older prepared files are made again

_MD5 = partial(hashlib.md5, usedforsecurity=False)
_KINDS = {kind.__name__: kind for kind in (FaceSet, ClipSet)}

AnySamples = TypeVar("AnySamples", bound=Samples)


def prepared_from(
    source: Path, read: Callable[[], AnySamples], *, folder: Path, settings: Mapping[str, object]
) -> AnySamples:
    """Return the data set of a raw file or folder, read at the first call and memory-mapped afterwards.

    Its key is the content of `source` with the `settings`: JSON values that decide what `read` gives.
    """
    if source.is_file():
        files, content = [source], sha256_of(source)
    else:
        files, total = sorted(files_below(source)), hashlib.sha256()
        for file in files:
            total.update(f"{file.relative_to(source).as_posix()}\0".encode("utf-8", "surrogateescape"))
            total.update(bytes.fromhex(sha256_of(file)))
        content = total.hexdigest()

    def make() -> AnySamples:
        samples = read()
        size = sum(file.stat().st_size for file in files)
        found = {"file": printable(source.name), "bytes": size, "sha256": content}
        if source.is_file():  # not a safeguard, but the hash by which published copies are known
            with open(source, "rb") as file:
                found["md5"] = hashlib.file_digest(file, _MD5).hexdigest()
        return replace(samples, origin={**samples.origin, **found})

    return prepared(make, name=source.stem, content=content, folder=folder, settings=settings)


def prepared(
    make: Callable[[], AnySamples], *, name: str, content: str, folder: Path, settings: Mapping[str, object]
) -> AnySamples:
    """Return what `make` returns, or an earlier call with the same `content`, a hash, and `settings`."""
    key = digest(FORMAT, content, dict(settings))[:16]
    target = folder / f"{printable(name)}-{key}"
    if not _is_whole(target):  # a whole set is opened without writing: its folder may be read-only
        folder.mkdir(parents=True, exist_ok=True)
        # The operating system releases this lock when its process ends, however it ends.
        with open(folder / f".{target.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_whole(target):  # another process may have made it meanwhile
                _write(make(), target, settings=dict(settings))
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
