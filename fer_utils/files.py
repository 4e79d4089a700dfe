"""Files that are either whole or absent, and the hashes that name their content."""

import difflib
import fcntl
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout: notebooks run from any folder, so every relative path of the project starts here."""


class ConfigError(ValueError):
    """A parameter that cannot be used; the message names the key and what would be accepted."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown name: the nearest valid one, or all of them."""
    known = sorted(known)
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.5):
        return f"; did you mean {close[0]!r}?"
    return f"; choose one of {', '.join(known) or 'none'}"


def project_path(path: str | Path) -> Path:
    """Return `path` as it is when absolute, else below the project folder."""
    return PROJECT / Path(path).expanduser()


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it, as a whole, when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: numpy and Keras choose or check the format by it.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix="".join(path.suffixes), dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.umask(mask := os.umask(0))  # the only way to read it
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the operating system releases when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{path.name}: in progress in another process; waiting for it", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            print(f"warning: {path.parent}: no locks here ({error}); start no run twice", file=sys.stderr)
        yield


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, value: object) -> Path:
    """Write `value` as readable JSON; NaN and infinity are refused, since JSON has neither."""
    return write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict:
    """Read a JSON file; a damaged one raises `ValueError` that names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); delete it and run again") from error


def write_arrays(path: str | Path, **arrays: np.ndarray) -> Path:
    """Write a compressed ``.npz``, whole or not at all; equal arrays, equal bytes."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return Path(path)


@contextmanager
def stderr_to(path: str | Path) -> Iterator[None]:
    """Redirect file descriptor 2 to a file: libraries and child processes write to it below Python."""
    terminal = os.dup(2)
    try:
        with open(path, "wb") as file:
            sys.stderr.flush()
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def reading_arrays(path: str | Path, *, what: str) -> Iterator[Mapping[str, np.ndarray]]:
    """Yield the arrays of a ``.npz``; whatever goes wrong in the block is an error that names the file."""
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                yield stored
        except Exception as error:  # a damaged zip raises nearly anything
            raise ValueError(f"{path}: not readable as {what} ({error}); run it again") from error


def sha256_of(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: object) -> str:
    """Return a SHA-256 over JSON-able parts: equal parts, equal digest, whatever the order of keys."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
