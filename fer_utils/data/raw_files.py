"""Files of a raw data set, in a folder or a zip archive, read without trust in their names and sizes.

Nothing is unpacked to disk. `open_zip` is the one check of archives: it checks the declared name, kind and
size of every entry before the first one is read, and no entry gives more bytes than it declares.
"""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

OnBadRows = Literal["error", "drop"]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
MAX_FILE_BYTES = 2**28  # of one image file: as many as the largest accepted image takes without compression
MAX_ARCHIVE_BYTES = 2**34  # of everything that is read from one archive, unpacked: 16 GiB
MAX_DROPPED = 10_000  # with more bad rows the file is of another kind, not a damaged copy

# Python unpacks other methods in pieces of any size, so a small entry could fill the memory.
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def printable(text: str) -> str:
    """Return `text` with characters that cannot be printed written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key for paths by which s2 comes before s10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split("([0-9]+)", path.name)]


class BadRows:
    """Rows or images (`unit`) of a source that cannot be used.

    Under the policy "error" the first one is an error; under "drop" all are listed in `dropped`.
    """

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
                many = f"more than {MAX_DROPPED:,} bad {self.unit}"
                raise ValueError(f"{self.path}: {many}; the first: {self.dropped[0]}") from error

    def notes(self, kept: int) -> tuple[str, ...]:
        """Return a note on what was dropped, given how many rows were kept; none kept is an error."""
        count = len(self.dropped)
        if not count:
            return ()
        if not kept:
            nothing = f"nothing is left, all {count} {self.unit} are bad"
            raise ValueError(f"{self.path}: {nothing}; the first: {self.dropped[0]}")
        first = "; ".join(self.dropped[:3]) + (" ..." if count > 3 else "")
        return (f"{count} of {kept + count} {self.unit} were dropped: {first}",)


class ImageFiles(NamedTuple):
    """The image files of a source (name -> function that reads it), its other files, notes on links."""

    files: dict[str, Callable[[], bytes]]
    others: list[str]
    notes: tuple[str, ...] = ()


@contextmanager
def open_images(path: Path, bad: BadRows) -> Iterator[ImageFiles]:
    """List the image files of a folder or zip by name; their bytes can be read while the block lasts.

    Hidden files are ignored. Links are followed to files inside the folder only, and a note lists the others.
    """
    with ExitStack() as stack:
        if path.is_dir():
            found, notes = _files_in_folder(path.resolve())
        else:
            opened = open_zip(path, wanted=_is_image, max_bytes=MAX_ARCHIVE_BYTES)
            found, notes = stack.enter_context(opened), ()
        visible = sorted(name for name in found if not _is_hidden(name))
        files = {}
        for name in filter(_is_image, visible):
            with bad.at(name):
                if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
                    raise ValueError("the file name is not UTF-8; rename the file")
                files[PurePosixPath(name).as_posix()] = found[name]
        yield ImageFiles(files, [printable(name) for name in visible if not _is_image(name)], notes)


@contextmanager
def open_zip(
    path: Path, *, wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[dict[str, Callable[[], bytes]]]:
    """Open a zip archive after checking all its entries; yield name -> function that reads the entry.

    Entries whose name is not `wanted` may be of any size; the others have `max_bytes` together, unpacked. A
    damaged archive, an unsafe path, a link, an encrypted or repeated entry and one that is too large are a
    `ValueError`.
    """
    with open(path, "rb") as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # damaged bytes raise nearly anything
            raise ValueError(f"{path}: neither a folder nor a whole .zip archive ({error})") from error
        with archive:
            entries, total = {}, 0
            for entry in archive.infolist():
                name = entry.orig_filename
                if not entry.flag_bits & 0x800:  # not declared as UTF-8, though macOS and others write it
                    name = name.encode("cp437").decode("utf-8", "surrogateescape")
                name = name.replace("\\", "/")
                read = wanted(name)
                total += entry.file_size if read else 0
                kind = stat.S_IFMT(entry.external_attr >> 16)
                unpack = "unpack the archive and give the folder"
                problems = {
                    "is an unsafe path in the archive; do not use this copy": (
                        re.match("/|[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name
                    ),
                    "is a link or device, not a file": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
                    f"is encrypted; {unpack}": entry.flag_bits & 0x1,
                    f"is compressed by another method than deflate; {unpack}": (
                        read and entry.compress_type not in _COMPRESSION
                    ),
                    f"unpacks to {entry.file_size:,} bytes; {MAX_FILE_BYTES:,} at most": (
                        read and entry.file_size > MAX_FILE_BYTES
                    ),
                    f"brings the unpacked size to {total:,} bytes; {max_bytes:,} at most": total > max_bytes,
                    "is in the archive twice": name in entries,
                }
                for problem in (text for text, holds in problems.items() if holds):
                    raise ValueError(printable(f"{path}: {name} {problem}"))
                if not name.endswith("/"):
                    entries[name] = partial(_entry_bytes, archive, entry)
            yield entries


def _entry_bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            return opened.read(entry.file_size + 1)  # with a limit Python unpacks no more than that
    except Exception as error:  # damaged bytes raise nearly anything
        raise ValueError(f"cannot be unpacked ({error})") from error


def _files_in_folder(root: Path) -> tuple[dict[str, Callable[[], bytes]], tuple[str, ...]]:
    def stop(error: OSError) -> None:  # os.walk would skip a folder that it cannot read
        raise error

    found, not_followed = {}, []
    for folder, folders, files in os.walk(root, onerror=stop):
        for path in (Path(folder, name) for name in [*files, *folders]):
            name = path.relative_to(root).as_posix()
            inside = not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(root)
            if path.is_file() and inside:
                found[name] = partial(read_file, path)
            elif path.is_symlink() and not _is_hidden(name):
                not_followed.append(name)
    if not not_followed:
        return found, ()
    kinds = "links to folders or out of the data folder"
    first = printable(min(not_followed))
    return found, (f"{len(not_followed)} {kinds} were not followed, such as {first}",)


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file; `ValueError` for one that is empty or larger than any image."""
    if not 0 < (size := path.stat().st_size) <= MAX_FILE_BYTES:
        raise ValueError(f"{size:,} bytes; {MAX_FILE_BYTES:,} at most" if size else "an empty file")
    return path.read_bytes()


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") and part != "." for part in parts)


def _is_image(name: str) -> bool:
    return not _is_hidden(name) and name.lower().endswith(IMAGE_SUFFIXES)
