"""Synthetic faces with known expressions: the data that every notebook runs on by default.

An image is rendered from a person (`Identity`), FACS action-unit intensities and a `Scene`. An expression is
its prototype of action units (`PROTOTYPES`) at varying strength, with units missing and added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.labels import FER7
from fer_utils.synthetic.identity import ACTION_UNITS, Identity, Scene, Seed, check_size
from fer_utils.synthetic.render import action_unit_mask, render_face

PROTOTYPES = {
    "angry": (4, 5, 7, 23),
    "disgust": (9, 15, 16),
    "fear": (1, 2, 4, 5, 7, 20, 26),
    "happy": (6, 12),
    "sad": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "neutral": (),
}
"""Action units of each expression: Friesen & Ekman, *EMFACS-7* (1983), in the units of Ekman & Friesen,
*Facial Action Coding System* (1978)."""

_OPTIONAL_UNITS = {
    "angry": (10, 17, 24, 25),
    "disgust": (4, 10, 17, 25),
    "fear": (25,),
    "happy": (7, 25),
    "sad": (17, 43),
    "surprise": (25,),
    "neutral": (),
}
"""Units that accompany an expression in some images."""

_SPLITS = ("train", "validation", "test")
_RENDERING_TOLERANCE = 2  # gray levels by which another kind of processor may render a pixel differently


@dataclass(frozen=True)
class FaceSpec:
    """Everything that determines one image: person, action units, scene and asymmetry (see `render_face`)."""

    identity: Identity
    action_units: Mapping[int, float]
    scene: Scene
    asymmetry: float = 0.0

    def image(self, *, size: int = 48) -> np.ndarray:
        """Render the image: uint8, (size, size)."""
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
    """Sample action-unit intensities for an expression; raise `ValueError` if it has no prototype.

    All units share one strength and vary around it. One of three or more may be missing; accompanying units
    may be added, and so may weak unrelated ones.
    """
    _check_expressions([expression])
    strength = rng.uniform(0.4, 1.0)
    units = {unit: strength * rng.uniform(0.7, 1.15) for unit in PROTOTYPES[expression]}
    if len(units) > 2 and rng.random() < 0.3:
        del units[int(rng.choice(tuple(units)))]
    for unit in _OPTIONAL_UNITS[expression]:
        if rng.random() < 0.35:
            units[unit] = strength * rng.uniform(0.3, 0.9)
    for position in rng.integers(len(ACTION_UNITS), size=rng.integers(3)):
        unit = tuple(ACTION_UNITS)[position]
        units[unit] = max(units.get(unit, 0.0), rng.uniform(0.0, 0.25))
    return {unit: float(min(intensity, 1.0)) for unit, intensity in units.items()}


def random_face(seed: int, *, expression: str | None = None, size: int = 256) -> np.ndarray:
    """Render an image whose person, scene and strength all follow from the seed.

    Parameters
    ----------
    seed : int
        Non-negative.
    expression : str, optional
        A key of `PROTOTYPES`; random by default. Another expression keeps person and scene.
    size : int
        Side in pixels.
    """
    random_expression = FER7[int(np.random.default_rng((seed, 0)).integers(len(FER7)))]
    return _sample_spec(Identity.sample((seed, 1)), expression or random_expression, (seed, 2)).image(
        size=size
    )


def synthetic_faces(
    *,
    n_subjects: int = 40,
    images_per_subject: int = 70,
    class_names: Sequence[str] = FER7,
    size: int = 48,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
) -> FaceSet:
    """Render a data set of synthetic faces whose splits share no person.

    Parameters
    ----------
    n_subjects, images_per_subject, size : int
        `size` is the side of the images in pixels.
    class_names : sequence of str
        Keys of `PROTOTYPES`, in label order. Class counts within a split differ by one at most.
    seed : int
        An image depends on (seed, subject, number, class) alone.
    fractions : tuple of float
        Shares of the persons in train, validation and test; a split with a share gets at least one.

    Returns
    -------
    FaceSet
        `source` is "synthetic", sample ids are like ``synthetic-s003-0007``.
    """
    class_names = tuple(class_names)
    _check_expressions(class_names)
    check_size(size)
    if not class_names or len(class_names) != len(set(class_names)):
        raise ValueError(f"class_names must be distinct and at least one, got {class_names}")
    if images_per_subject < 1 or seed < 0:
        raise ValueError(
            f"images_per_subject must be at least 1 and seed at least 0, got {images_per_subject}, {seed}"
        )
    subjects_per_split = _subjects_per_split(n_subjects, fractions)
    subject = np.repeat(np.arange(n_subjects), images_per_subject)
    number = np.tile(np.arange(images_per_subject), n_subjects)
    labels = np.arange(len(subject)) % len(class_names)
    identities = [Identity.sample((seed, person)) for person in range(n_subjects)]
    images = np.empty((len(subject), size, size), np.uint8)
    for row, (person, image, label) in enumerate(zip(subject, number, labels, strict=True)):
        key = (seed, int(person), int(image))
        images[row] = _sample_spec(identities[person], class_names[label], key).image(size=size)
    return FaceSet(
        name="synthetic",
        source="synthetic",
        images=images,
        labels=labels.astype(np.int64),
        class_names=class_names,
        split=np.repeat(np.repeat(_SPLITS, subjects_per_split), images_per_subject),
        sample_id=np.array([f"synthetic-s{s:03d}-{i:04d}" for s, i in zip(subject, number, strict=True)]),
        subject=np.array([f"s{s:03d}" for s in subject]),
        notes=(f"synthetic faces rendered by this project, seed {seed}; no real person is shown",),
    )


def synthetic_sample(sample_id: str, expression: str, *, seed: int = 0) -> FaceSpec:
    """Return what an image of `synthetic_faces` was rendered from, for its intensities and masks.

    Parameters
    ----------
    sample_id : str
        Such as ``synthetic-s003-0007``; another form raises `ValueError`.
    expression : str
        The image's class.
    seed : int
        The data set's.
    """
    parts = sample_id.split("-")
    if len(parts) != 3 or parts[0] != "synthetic" or not (parts[1][1:] + parts[2]).isdecimal():
        raise ValueError(f"{sample_id!r} is not the id of a synthetic face, such as 'synthetic-s003-0007'")
    person, image = int(parts[1][1:]), int(parts[2])
    return _sample_spec(Identity.sample((seed, person)), expression, (seed, person, image))


def synthetic_changes(faces: FaceSet, *, seed: int = 0) -> np.ndarray:
    """Return by how many gray levels each pixel differs from the same person's neutral face.

    Pose, light and noise are the image's own, so only the expression differs.

    Parameters
    ----------
    faces : FaceSet
        Rows of `synthetic_faces`, in any order.
    seed : int
        The data set's; another seed raises `ValueError`.

    Returns
    -------
    ndarray of uint8, shape (N, H, W)
    """
    size = faces.images.shape[1]
    pairs = zip(faces.sample_id, faces.labels, strict=True)
    specs = [synthetic_sample(str(one), faces.class_names[label], seed=seed) for one, label in pairs]
    if np.abs(specs[0].image(size=size).astype(int) - faces.images[0]).max() > _RENDERING_TOLERANCE:
        raise ValueError(
            f"seed {seed} gives another image for {faces.sample_id[0]}; pass the data set's seed"
        )
    neutral = [replace(spec, action_units={}).image(size=size) for spec in specs]
    return np.abs(faces.images.astype(np.int16) - np.stack(neutral)).astype(np.uint8)


def _sample_spec(person: Identity, expression: str, key: Seed) -> FaceSpec:
    rng = np.random.default_rng(key)
    scene = Scene.sample(rng)  # before the expression: the same key with another expression keeps its scene
    asymmetry = float(np.clip(0.12 * rng.standard_normal(), -0.4, 0.4))
    return FaceSpec(person, expression_units(expression, rng), scene, asymmetry)


def _check_expressions(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in PROTOTYPES]:
        raise ValueError(f"unknown expression {unknown[0]!r}; choose one of {', '.join(PROTOTYPES)}")


def _subjects_per_split(n_subjects: int, fractions: tuple[float, float, float]) -> list[int]:
    """Divide the subjects in proportion, at least one for each split that has a share."""
    if len(fractions) != len(_SPLITS) or min(fractions) < 0 or not np.isclose(sum(fractions), 1.0):
        raise ValueError(f"fractions must be three shares that add up to 1, got {fractions}")
    counts = [int(share > 0) for share in fractions]
    if n_subjects < sum(counts):
        raise ValueError(f"n_subjects must be at least {sum(counts)}, one for each split, got {n_subjects}")
    while sum(counts) < n_subjects:  # the next subject goes to the split furthest below its share
        missing = [share * n_subjects - count for share, count in zip(fractions, counts, strict=True)]
        counts[int(np.argmax(missing))] += 1
    return counts
