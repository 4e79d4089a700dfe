"""Picture files in a folder or zip, found and read without trust in their names and sizes.

Nothing is unpacked to disk. Of a zip, every entry is judged by its declared name, kind and size before
the first one is read, and no entry gives more bytes than it declares.
"""

import io
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fer_utils.data.bad_rows import BadRows, printable

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")

MOST_BYTES = 2**28
"""Of one picture file: as many as the largest accepted picture takes without compression."""

MOST_BYTES_OF_A_ZIP = 2**34
"""Of all pictures of one zip, unpacked: 16 GiB, 250 times FER-2013."""

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks the others in pieces of any size, so that a small entry could fill the memory."""


class PictureFile(NamedTuple):
    """A picture file by its name below the root, with `/` between folders, and how to get its bytes."""

    name: str
    read: Callable[[], bytes]


class Pictures(NamedTuple):
    """The picture files of a source in the order of their names.

    Attributes
    ----------
    files : list of PictureFile
    passed_over : list of str
        Names of the other files, without hidden ones.
    notes : tuple of str
        Which links were not followed.
    """

    files: list[PictureFile]
    passed_over: list[str]
    notes: tuple[str, ...] = ()


@contextmanager
def open_pictures(path: Path, bad: BadRows) -> Iterator[Pictures]:
    """List the picture files of a folder or zip, whose bytes can be read while the block lasts.

    Hidden files and folders and those of macOS (`__MACOSX`) are passed over. Links to files are followed
    inside the folder; links that lead out of it, and links to folders, are not, and a note says so.

    Parameters
    ----------
    path : Path
        A folder or a zip archive.
    bad : BadRows
        Told of names that are not UTF-8.

    Raises
    ------
    ValueError
        For something else, and for a zip that is damaged or not honest: with an entry that points out of
        the archive, is a link, is encrypted, is packed by another method than deflate, or is too large.
    OSError
        When a folder or file may not be read.
    """
    if path.is_dir():
        yield _in_folder(path, bad)
        return
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file or folder")
    with open(path, "rb") as file, _archive(path, file) as archive:
        yield _in_zip(path, archive, bad)


def _in_folder(path: Path, bad: BadRows) -> Pictures:
    def stop(error: OSError) -> None:  # os.walk would pass over a folder that it may not read
        raise error

    found: dict[str, Callable[[], bytes]] = {}
    not_followed = []
    root = os.path.realpath(path)
    for folder, folders, files in os.walk(root, onerror=stop):
        below = os.path.relpath(folder, root)
        for name in [*files, *folders]:
            inner = PurePosixPath(below, name).as_posix()
            full = os.path.join(folder, name)
            if _is_hidden(inner):
                continue
            if os.path.islink(full) and not _stays_inside(full, root):
                not_followed.append(inner)
            elif os.path.isfile(full):
                found[inner] = partial(_file_bytes, full)
    return _pictures(found.items(), bad, notes=_link_notes(sorted(not_followed)))


def _stays_inside(link: str, root: str) -> bool:
    target = os.path.realpath(link)
    return os.path.isfile(target) and os.path.commonpath([target, root]) == root


def _link_notes(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    text = f"{len(names)} links to folders or out of the data folder were not followed, such as {names[0]}"
    return (printable(text),)


def _file_bytes(file: str) -> bytes:
    if (size := os.path.getsize(file)) > MOST_BYTES:
        raise ValueError(f"{size:,} bytes; a picture file has {MOST_BYTES:,} at most")
    return Path(file).read_bytes()


def _archive(path: Path, file: io.BufferedReader) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # whatever the bytes of a damaged directory make of its parser
        raise ValueError(f"{path}: neither a folder nor a whole .zip archive ({error})") from error


def _in_zip(path: Path, archive: zipfile.ZipFile, bad: BadRows) -> Pictures:
    found = []
    total = 0
    for entry in archive.infolist():
        name = _entry_name(entry)
        total += entry.file_size if _is_picture(name) else 0
        if problem := _entry_problem(entry, name):
            raise ValueError(printable(f"{path}: {name} {problem}"))
        if total > MOST_BYTES_OF_A_ZIP:
            raise ValueError(
                f"{path}: its pictures unpack to more than {MOST_BYTES_OF_A_ZIP:,} bytes; "
                "if you know where it comes from, unpack it and give the folder"
            )
        if not name.endswith("/") and not _is_hidden(name):
            found.append((PurePosixPath(name).as_posix(), partial(_entry_bytes, archive, entry)))
    return _pictures(found, bad)


def _entry_name(entry: zipfile.ZipInfo) -> str:
    name = entry.orig_filename
    if not entry.flag_bits & 0x800:  # not said to be UTF-8, though macOS and others write UTF-8 nevertheless
        name = name.encode("cp437").decode("utf-8", "surrogateescape")
    return name.replace("\\", "/")


def _entry_problem(entry: zipfile.ZipInfo, name: str) -> str | None:
    if name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name:
        return "points out of the archive; this is no honest copy"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or device, not a file"
    if entry.flag_bits & 0x1:
        return "is encrypted; unpack the archive and give the folder"
    if _is_picture(name) and entry.compress_type not in _PACKINGS:
        return "is packed by another method than deflate; unpack the archive and give the folder"
    if _is_picture(name) and entry.file_size > MOST_BYTES:
        return f"unpacks to {entry.file_size:,} bytes; a picture file has {MOST_BYTES:,} at most"
    return None


def _entry_bytes(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as opened:
            # Told how many, Python unpacks no more; left to itself, it unpacks first and cuts afterwards.
            return opened.read(entry.file_size + 1)
    except Exception as error:  # whatever the bytes of a damaged entry make of its parser
        raise ValueError(f"cannot be unpacked ({error})") from error


def _pictures(
    found: Iterable[tuple[str, Callable[[], bytes]]], bad: BadRows, *, notes: tuple[str, ...] = ()
) -> Pictures:
    files, passed_over = [], []
    for name, read in sorted(found, key=lambda item: item[0]):
        if not _is_picture(name):
            passed_over.append(printable(name))
            continue
        with bad.at(name):
            _check_utf8(name)
            files.append(PictureFile(name, read))
    return Pictures(files, passed_over, notes)


def _check_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("the file name is not UTF-8; give it another") from None


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or any(part.startswith(".") and part != "." for part in parts)


def _is_picture(name: str) -> bool:
    return not _is_hidden(name) and name.lower().endswith(IMAGE_SUFFIXES)
