"""Raw data sets: where one is found, and its files in a folder or a zip archive.

Names and sizes of files are not trusted: nothing is unpacked to disk, and no entry of an archive gives more
bytes than it declares.
"""

import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml

from fer_utils.data.forms import IMAGE_SUFFIXES, is_hidden, printable, refusal, some, unread
from fer_utils.files import ConfigError

OnBadRows = Literal["error", "drop"]
MAX_FILE_BYTES = 2**28  # of one image file: as many as the largest accepted image takes without compression
MAX_ARCHIVE_BYTES = 2**34  # of all images in one archive, unpacked: 16 GiB
MAX_DROPPED = 10_000  # with more bad rows the file is of another kind, not a damaged copy

_SETS = yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8"))


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


class DataSet:
    """One raw data set: an entry of `sets.yaml`, whose keys are attributes, and a class that reads it."""

    places: tuple[str, ...]
    expected: tuple[str, ...] = ()
    obtained_from: str = ""
    terms: str = ""

    def __init__(self, name: str) -> None:
        self.name = self.title = name
        for key, value in _SETS[name].items():
            setattr(self, key, tuple(value) if isinstance(value, list) else value)

    def holds(self, path: Path) -> bool:
        """Return whether a folder or a file is this data set."""
        raise NotImplementedError

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return the file or folder that is read, and the lists of labels that may lie beside it."""
        return path, ()

    def find(self, folder: Path) -> Path:
        """Return the file or folder of the data set in a folder; `MissingData` names all places."""
        for place in self.places:
            named = folder.glob(place) if "*" in place else [folder / place]
            if found := [path for path in sorted(named) if self.holds(path)]:
                return only(found, self.title)
        places, near = ", ".join(str(folder / place) for place in self.places), self.near(folder)
        there = f"; {near}" if near else ""
        raise MissingData(f"{self.title} is not here; looked for {places}{there}. data/README.md says more")

    def near(self, folder: Path) -> str:
        """Return what in a folder may be this data set under another name or packed, and what to do."""
        heads = {place.split("/")[0].split(".")[0].lower() for place in self.places} - {"", "*"}
        found = [folder] if folder.is_file() else sorted(folder.glob("*"))
        found = [one for one in found if one.name.lower().startswith((*heads, "archive")) or one == folder]
        return "; ".join(f"{one.name} is there: {unread(one) or 'another form or name'}" for one in found[:5])


def only(files: Sequence[Path], what: str) -> Path:
    """Return the one file that is `what`; of several none is chosen, but all are named in a `ConfigError`."""
    if len(files) == 1:
        return files[0]
    each = some(sorted(file.name for file in files))
    raise ConfigError(f"{files[0].parent}: {each} may each be {what}; keep one here, or name it in data_path")


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key for paths by which s2 comes before s10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", path.name)]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files in a folder and the folders below it; links are followed, but not round in circles."""

    def stop(error: OSError) -> None:  # os.walk would skip a folder that it cannot read
        raise error

    for place, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        real = Path(place).resolve()
        above = {real, *real.parents}
        folders[:] = [name for name in folders if (real / name).resolve() not in above]
        yield from (path for name in names if (path := Path(place, name)).is_file())


class BadRows:
    """Bad rows or images of a source: under "error" the first is an error; under "drop" all are `dropped`."""

    def __init__(self, path: Path, policy: OnBadRows, *, unit: str = "images") -> None:
        self.path, self.policy, self.unit = path, policy, unit
        self.dropped: list[str] = []

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Take a `ValueError` of the block as a problem of the row or image at `place`."""
        try:
            yield
        except ValueError as error:
            if self.policy == "error":
                raise ValueError(printable(f"{self.path}, {place}: {error}")) from error
            self.dropped.append(printable(f"{place}: {error}"))
            if len(self.dropped) > MAX_DROPPED:
                many = f"{self.path}: more than {MAX_DROPPED:,} bad {self.unit}"
                raise ValueError(f"{many}; the first: {self.dropped[0]}") from error

    def notes(self, kept: int) -> tuple[str, ...]:
        """Return a note on what was dropped, given how many rows were kept; none kept is an error."""
        count, first = len(self.dropped), some(self.dropped, 3)
        if not kept:
            raise ValueError(f"{self.path}: no usable {self.unit}, {count} are bad; {first}")
        return (f"{count} of {kept + count} {self.unit} were dropped: {first}",) if count else ()


@contextmanager
def open_images(path: Path, bad: BadRows) -> Iterator[tuple[dict[str, Callable[[], bytes]], list[str]]]:
    """List the image files of a folder or zip, each with a function that reads it, and its other files."""
    files = files_below(path) if path.is_dir() else ()
    entries = {file.relative_to(path).as_posix(): partial(read_file, file) for file in files}
    with nullcontext(entries) if path.is_dir() else _zip_entries(path) as found:
        images, others = {}, []
        for name in sorted(name for name in found if not is_hidden(name)):
            if not name.lower().endswith(IMAGE_SUFFIXES):
                others.append(printable(name))
                continue
            with bad.at(name):
                if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
                    raise ValueError("the file name is not UTF-8; rename the file")
                images[PurePosixPath(name).as_posix()] = found[name]
        yield images, others


@contextmanager
def _zip_entries(path: Path) -> Iterator[dict[str, Callable[[], bytes]]]:
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # damaged bytes raise nearly anything
            found = f"neither a folder nor a whole .zip archive ({error})"
            raise ValueError(f"{path}: {found}; {refusal([path], ['folders', '.zip'])}") from error
        entries, total = {}, 0
        for entry in archive.infolist():
            name = entry.orig_filename
            if not entry.flag_bits & 0x800:  # not declared as UTF-8, though macOS and others write it
                name = name.encode("cp437").decode("utf-8", "surrogateescape")
            name = name.replace("\\", "/")
            if name in entries:
                raise ValueError(printable(f"{path}: {name} is in the archive twice"))
            if name.lower().endswith(IMAGE_SUFFIXES):
                total += entry.file_size
                if entry.file_size > MAX_FILE_BYTES or total > MAX_ARCHIVE_BYTES:
                    most = f"{MAX_FILE_BYTES:,} at most, and {MAX_ARCHIVE_BYTES:,} for all images"
                    size = f"{printable(name)} unpacks to {entry.file_size:,} bytes"
                    raise ValueError(f"{path}: {size}; {most}")
            if not name.endswith("/"):
                entries[name] = partial(_read_entry, archive, entry)
        yield entries


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            return opened.read(entry.file_size + 1)  # with a limit Python unpacks no more than that
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"cannot be unpacked ({error})") from error


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file; `ValueError` for one that is larger than any image."""
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise ValueError(f"{size:,} bytes; {MAX_FILE_BYTES:,} at most")
    return path.read_bytes()
