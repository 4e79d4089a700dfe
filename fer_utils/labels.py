"""Label sets, their orders, and maps between the vocabularies of papers and data sets."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

FER7 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER-2013's classes in the order of its integer labels 0-6, which is not alphabetical."""

FER6 = tuple(name for name in FER7 if name != "disgust")
"""The six classes of kumar2021: FER-2013 without disgust."""

LABEL_SETS = {"fer7": FER7, "fer6": FER6}

SMIC3 = ("negative", "positive", "surprise")
"""SMIC's classes in the order of dubey2020's integer labels 0-2."""

_NAMES = yaml.safe_load(Path(__file__).with_name("labels.yaml").read_text(encoding="utf-8"))
SMIC3_OF: dict[str, str] = _NAMES["smic3"]
"""Class of SMIC, SAMM or CASME II -> class of SMIC, as MEGC 2019 had it; it left the others out."""

SYNONYMS: dict[str, str] = _NAMES["synonyms"]
"""Spellings found in the papers and data sets, lower case, with the name used here."""

INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
"""For `str.translate`: removes soft hyphens and characters without width, which come with copied text."""


def canonical(name: str) -> str:
    """Return the name used here for a class as a paper or data set spells it."""
    lowered = unicodedata.normalize("NFC", " ".join(name.translate(INVISIBLE).split()).lower())
    return SYNONYMS.get(lowered, lowered)


def name_key(name: str) -> str:
    """Return a name without what typing changes in it: case, spaces, leading zeros, ".0", Unicode forms."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", name).casefold())
    folded = "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf")  # zero width
    return re.sub(r"(?<![0-9.])0+(?=[0-9])|[.]0+$", "", folded)


def alike(names: Iterable[str]) -> list[str]:
    """Return the groups of different names with one `name_key`, as a message lists them."""
    groups: dict[str, list[str]] = {}
    for name in sorted({*map(str, names)}):
        groups.setdefault(name_key(name), []).append(repr(name))
    return [" and ".join(group) for group in groups.values() if len(group) > 1]


def agree(sources: Mapping[str, str]) -> None:
    """Raise `ValueError` where sources of one fact, such as folder and file name, contradict each other."""
    if len({name_key(text) for text in sources.values()}) > 1:
        says = ", ".join(f"{source} says {text or 'nothing'}" for source, text in sources.items())
        raise ValueError(f"{says}; correct or move one")
