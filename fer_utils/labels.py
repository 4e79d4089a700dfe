"""Label sets, their orders, and maps between the vocabularies of papers and data sets."""

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
