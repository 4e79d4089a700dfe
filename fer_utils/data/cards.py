"""What `make data` says of a raw data set: whether it is here, who distributes it and on what terms."""

from dataclasses import dataclass
from pathlib import Path


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


@dataclass(frozen=True)
class Source:
    """One raw data set as `make data` reports it.

    Attributes
    ----------
    name : str
        The value of the `dataset` parameter.
    path : Path or None
        Where it was found.
    expected : str
        What to put where.
    obtained_from, terms : str
        Who distributes it, and on what conditions.
    """

    name: str
    path: Path | None
    expected: str
    obtained_from: str
    terms: str


FACE_CARDS = {
    "fer2013": {
        "obtained_from": "Kaggle, competition 'Challenges in Representation Learning: Facial Expression "
        "Recognition Challenge' (Goodfellow et al. 2013)",
        "terms": "the competition's rules, which you accept there; the photographs are not free",
    },
    "rafdb": {
        "obtained_from": "Beijing University of Posts and Telecommunications, by e-mail from an academic "
        "address (Li, Deng, Du 2017)",
        "terms": "research that is not commercial; no part may be passed on; the photographs are not free",
    },
    "ckplus": {
        "obtained_from": "University of Pittsburgh and Carnegie Mellon University (Lucey et al. 2010); the "
        "48x48 crops are somebody else's copy",
        "terms": "an agreement, which says whose faces may be shown; the crops have no terms of their own",
    },
    "jaffe": {
        "obtained_from": "Zenodo, on request, doi:10.5281/zenodo.3451524 (Lyons et al. 1998)",
        "terms": "research that is not commercial, with citation; the images may not be redistributed",
    },
}
"""Data set of still faces -> who distributes it and on what terms."""

_SMIC_CARD = {
    "obtained_from": "University of Oulu (Li et al. 2013)",
    "terms": "a licence agreement, signed by a member of the faculty; research that is not commercial",
}

CLIP_CARDS = {
    "smic-hs": _SMIC_CARD,
    "smic-vis": _SMIC_CARD,
    "smic-nir": _SMIC_CARD,
    "samm": {
        "obtained_from": "Manchester Metropolitan University (Davison et al. 2018)",
        "terms": "a release agreement",
    },
    "casme2": {
        "obtained_from": "Institute of Psychology, Chinese Academy of Sciences (Yan et al. 2014)",
        "terms": "a licence agreement",
    },
    "table": {
        "obtained_from": "clips of your own, or MEVIEW: Czech Technical University (Husák, Čech, Matas 2017)",
        "terms": "those of their source; MEVIEW's videos are poker games and TV interviews from the internet",
    },
}
"""Set of clips -> who distributes it and on what terms."""
