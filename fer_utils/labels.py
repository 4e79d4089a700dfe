"""Label sets, their orders, and maps between the vocabularies of papers and data sets."""

from collections.abc import Sequence

import numpy as np

FER7 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER-2013's classes in the order of its integer labels 0-6, which is not alphabetical."""

FER6 = tuple(name for name in FER7 if name != "disgust")
"""The six classes of kumar2021: FER-2013 without disgust."""

LABEL_SETS = {"fer7": FER7, "fer6": FER6}

RAFDB7 = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
"""The classes of `FER7` in the order of RAF-DB's labels 1-7."""

CKPLUS7 = ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
"""CK+'s classes in the order of its labels 1-7: contempt is there, neutral is not."""

SMIC3 = ("negative", "positive", "surprise")
"""SMIC's classes in the order of dubey2020's integer labels 0-2."""

_NEGATIVE = ("angry", "contempt", "disgust", "fear", "sad", "repression")
SMIC3_OF = {name: name for name in SMIC3} | dict.fromkeys(_NEGATIVE, "negative") | {"happy": "positive"}
"""Class of SMIC, SAMM or CASME II -> class of SMIC, as MEGC 2019 had it; it left the others out.

Source: J. See, M. H. Yap, J. Li, X. Hong, S.-J. Wang, *MEGC 2019 - the second facial micro-expressions grand
challenge*, FG 2019.
"""


def classes_of(label_set: str, *, own: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of one of `LABEL_SETS`, or those of the data set itself for "own"."""
    return tuple(own) if label_set == "own" else LABEL_SETS[label_set]


SYNONYMS = {
    "anger": "angry",
    "fearful": "fear",
    "unfortunate": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "natural": "neutral",
    "disgusted": "disgust",
}
"""Spellings found in the papers and data sets, lower case, with the name used here."""


def canonical(name: str) -> str:
    """Return the name used here for a class as a paper or data set spells it."""
    lowered = name.strip().lower()
    return SYNONYMS.get(lowered, lowered)


def map_labels(labels: np.ndarray, *, source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """Re-index labels (N,) from one class order to another; -1 where a class is not in `target`."""
    position = {name: index for index, name in enumerate(target)}
    table = np.array([position.get(name, -1) for name in source], dtype=np.int64)
    return table[labels]
