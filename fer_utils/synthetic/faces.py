"""Synthetic faces with known expressions: the data that the study can always run on.

A picture is drawn from a person (`Identity`), FACS action-unit intensities and a `Scene`. An expression is
its prototype of action units (`PROTOTYPES`) at varying strength, with units missing and added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fer_utils.data.faceset import FaceSet
from fer_utils.labels import FER7
from fer_utils.synthetic.identity import ACTION_UNITS, Identity, Scene, Seed, check_size
from fer_utils.synthetic.render import action_unit_mask, render_face

PROTOTYPES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "angry": (4, 5, 7, 23),
        "disgust": (9, 15, 16),
        "fear": (1, 2, 4, 5, 7, 20, 26),
        "happy": (6, 12),
        "sad": (1, 4, 15),
        "surprise": (1, 2, 5, 26),
        "neutral": (),
    }
)
"""Action units of each expression: Friesen & Ekman, *EMFACS-7* (1983), in the units of Ekman & Friesen,
*Facial Action Coding System* (1978). Ekman, Friesen & Hager, *Investigator's Guide* (2002) lists variants."""

_COMPANIONS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "angry": (10, 17, 24, 25),
        "disgust": (4, 10, 17, 25),
        "fear": (25,),
        "happy": (7, 25),
        "sad": (17, 43),
        "surprise": (25,),
        "neutral": (),
    }
)
"""Units that come along in some showings."""

_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Showing:
    """One picture's cause: who shows what, how strongly, and where.

    Attributes
    ----------
    identity : Identity
    action_units : dict of int to float
    scene : Scene
    asymmetry : float
        As in `render_face`.
    """

    identity: Identity
    action_units: Mapping[int, float]
    scene: Scene
    asymmetry: float = 0.0

    def image(self, *, size: int = 48) -> np.ndarray:
        """Draw it: uint8, (size, size)."""
        return render_face(
            self.identity, self.action_units, size=size, scene=self.scene, asymmetry=self.asymmetry
        )

    def mask(self, *, size: int = 48, above: float = 0.25) -> np.ndarray:
        """Return where the units stronger than `above` act: bool, (size, size)."""
        mask = np.zeros((size, size), bool)
        for unit, intensity in self.action_units.items():
            if intensity > above:
                mask |= action_unit_mask(self.identity, unit, size=size, scene=self.scene)
        return mask


def expression_units(expression: str, rng: np.random.Generator) -> dict[int, float]:
    """Draw action-unit intensities for one showing of an expression.

    All units share the showing's strength and vary around it. One of three or more may be missing; units
    that often come along may be added, and so may weak ones that have nothing to do with the expression.

    Raises
    ------
    ValueError
        An expression without a prototype.
    """
    _check_expressions([expression])
    strength = rng.uniform(0.4, 1.0)
    units = {unit: strength * rng.uniform(0.7, 1.15) for unit in PROTOTYPES[expression]}
    if len(units) > 2 and rng.random() < 0.3:
        del units[int(rng.choice(tuple(units)))]
    for unit in _COMPANIONS[expression]:
        if rng.random() < 0.35:
            units[unit] = strength * rng.uniform(0.3, 0.9)
    for stray in rng.integers(len(ACTION_UNITS), size=rng.integers(3)):
        unit = tuple(ACTION_UNITS)[stray]
        units[unit] = max(units.get(unit, 0.0), rng.uniform(0.0, 0.25))
    return {unit: float(min(intensity, 1.0)) for unit, intensity in units.items()}


def random_face(seed: int, *, expression: str | None = None, size: int = 256) -> np.ndarray:
    """Draw a picture of nobody in particular: person, scene and strength all follow from the seed.

    Parameters
    ----------
    seed : int
        Non-negative.
    expression : str, optional
        A key of `PROTOTYPES`; drawn from the seed when left out. Another one keeps person and scene.
    size : int
        Side in pixels.
    """
    drawn = FER7[int(np.random.default_rng((seed, 0)).integers(len(FER7)))]
    return _showing(Identity.sample((seed, 1)), expression or drawn, (seed, 2)).image(size=size)


def synthetic_faces(
    *,
    n_subjects: int = 40,
    images_per_subject: int = 70,
    class_names: Sequence[str] = FER7,
    size: int = 48,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
) -> FaceSet:
    """Draw a data set of synthetic faces whose splits share no person.

    Parameters
    ----------
    n_subjects, images_per_subject : int
        People, and pictures of each.
    class_names : sequence of str
        Keys of `PROTOTYPES`, in label order. Classes take turns, so their counts in a split differ by one
        at most.
    size : int
        Side of the pictures in pixels.
    seed : int
        Non-negative. A picture depends on (seed, subject, number, class) alone, never on what was drawn
        before it.
    fractions : tuple of float
        Shares of the people in train, validation and test; a split that has a share gets at least one.

    Returns
    -------
    FaceSet
        `source` is "synthetic", sample ids are like ``synthetic-s003-0007``.

    Raises
    ------
    ValueError
        An expression without a prototype, too few people for the splits, or a size too small for a face.
    """
    class_names = tuple(class_names)
    _check_request(class_names, images_per_subject, seed)
    check_size(size)
    per_split = _people_per_split(n_subjects, fractions)
    subject = np.repeat(np.arange(n_subjects), images_per_subject)
    number = np.tile(np.arange(images_per_subject), n_subjects)
    labels = np.arange(len(subject)) % len(class_names)
    people = [Identity.sample((seed, person)) for person in range(n_subjects)]
    images = np.empty((len(subject), size, size), np.uint8)
    for row, (person, picture, label) in enumerate(zip(subject, number, labels, strict=True)):
        key = (seed, int(person), int(picture))
        images[row] = _showing(people[person], class_names[label], key).image(size=size)
    return FaceSet(
        name="synthetic",
        source="synthetic",
        images=images,
        labels=labels.astype(np.int64),
        class_names=class_names,
        split=np.repeat(np.repeat(_SPLITS, per_split), images_per_subject),
        sample_id=np.array([f"synthetic-s{s:03d}-{i:04d}" for s, i in zip(subject, number, strict=True)]),
        subject=np.array([f"s{s:03d}" for s in subject]),
        notes=(f"drawn by the project's face generator, seed {seed}; no person is shown",),
    )


def synthetic_sample(sample_id: str, expression: str, *, seed: int = 0) -> Showing:
    """Return what a picture of `synthetic_faces` was drawn from, for its intensities and masks.

    Parameters
    ----------
    sample_id : str
        Such as ``synthetic-s003-0007``.
    expression : str
        The picture's class.
    seed : int
        The data set's.

    Raises
    ------
    ValueError
        An id of another form, or an expression without a prototype.
    """
    parts = sample_id.split("-")
    if len(parts) != 3 or parts[0] != "synthetic" or not (parts[1][1:] + parts[2]).isdecimal():
        raise ValueError(f"{sample_id!r} is no id of a synthetic face; they are like 'synthetic-s003-0007'")
    person, picture = int(parts[1][1:]), int(parts[2])
    return _showing(Identity.sample((seed, person)), expression, (seed, person, picture))


def _showing(person: Identity, expression: str, key: Seed) -> Showing:
    rng = np.random.default_rng(key)
    scene = Scene.sample(rng)  # before the expression: the same key in another mood keeps its scene
    asymmetry = float(np.clip(0.12 * rng.standard_normal(), -0.4, 0.4))
    return Showing(person, expression_units(expression, rng), scene, asymmetry)


def _check_expressions(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in PROTOTYPES]:
        raise ValueError(
            f"no prototype for {', '.join(map(repr, unknown))}; known are {', '.join(PROTOTYPES)}"
        )


def _check_request(class_names: tuple[str, ...], images_per_subject: int, seed: int) -> None:
    _check_expressions(class_names)
    if not class_names or len(class_names) != len(set(class_names)):
        raise ValueError(f"class_names must be distinct and at least one, got {class_names}")
    if images_per_subject < 1:
        raise ValueError(f"images_per_subject must be at least 1, got {images_per_subject}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")


def _people_per_split(n_subjects: int, fractions: tuple[float, float, float]) -> list[int]:
    """Share people out in proportion, at least one to each split that has a share."""
    if len(fractions) != len(_SPLITS) or min(fractions) < 0 or not np.isclose(sum(fractions), 1.0):
        raise ValueError(
            f"fractions must be three shares (train, validation, test) that add up to 1, got {fractions}"
        )
    counts = [int(share > 0) for share in fractions]
    if n_subjects < sum(counts):
        raise ValueError(
            f"n_subjects={n_subjects} is too small for {sum(counts)} splits that share no person; "
            f"use at least {sum(counts)}"
        )
    while sum(counts) < n_subjects:  # the next person goes where most are owed
        owed = [share * n_subjects - count for share, count in zip(fractions, counts, strict=True)]
        counts[int(np.argmax(owed))] += 1
    return counts
