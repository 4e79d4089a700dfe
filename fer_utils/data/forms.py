"""Kinds of files: which are read, which are passed over, and what an error says of the others."""

import tarfile
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import yaml

_FORMS = yaml.safe_load(Path(__file__).with_name("forms.yaml").read_text(encoding="utf-8"))
IMAGE_SUFFIXES, VIDEO_SUFFIXES = tuple(_FORMS["images"]), tuple(_FORMS["videos"])
MAX_HEADER = 8192  # bytes that are read of a table for its header, which a file of another kind may lack


def printable(text: str) -> str:
    """Return `text` with characters that cannot be printed written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, as a note lists them."""
    return printable(", ".join(names[:most])) + " ..." * (len(names) > most)


def unread(file: str | Path, start: bytes = b"") -> str:
    """Return what a file is that no reader takes, by its first bytes or its name, and what to do with it."""
    if isinstance(file, Path) and file.is_file():
        if tarfile.is_tarfile(file):
            with tarfile.open(file) as archive:
                inside = next((one.name for one in archive if one.isfile()), "nothing")
            return f"a tar archive with {inside}: unpack it"
        with open(file, "rb") as opened:
            start = opened.read(512)
    for form in _FORMS["unread"]:
        starts, suffixes = tuple(map(bytes.fromhex, form["starts"])), tuple(form["suffixes"])
        if start.startswith(starts, form.get("skip", 0)) or str(file).lower().endswith(suffixes):
            return f"{form['name']}: {form['fix']}"
    return ""


def refusal(files: Sequence[str | Path], read: Sequence[str], start: bytes = b"") -> str:
    """Return the end of an error: the files that are there, what to do with them, the forms that are read."""
    names = [Path(file).name if isinstance(file, Path) else file for file in files]
    fixes = dict.fromkeys(unread(file, start) for file in files or [""])
    return "; ".join(filter(None, [names and f"found {some(names)}", *fixes, f"read are {', '.join(read)}"]))


def csv_format(path: Path) -> dict[str, str]:
    """Return the encoding and the separator `sep` of a table in text."""
    with open(path, "rb") as file:
        start = file.read(MAX_HEADER)
    encoding = "utf-16" if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    first = start.decode(encoding, errors="replace").partition("\n")[0]
    return {"sep": max(",;\t", key=first.count), "encoding": encoding}


def is_hidden(name: str) -> bool:
    """Return whether a file, or a folder above it, is one of those that systems and NAS leave behind."""
    return any(part.startswith(".") or part in _FORMS["system"] for part in PurePosixPath(name).parts)
