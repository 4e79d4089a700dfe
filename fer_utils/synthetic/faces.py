"""Synthetic faces with known expressions: the data that every notebook runs on by default.

An image is rendered from a person (`Identity`), FACS action-unit intensities and a `Scene`. An expression is
its prototype of action units (`PROTOTYPES`) at varying strength, with units missing and added.
"""

from typing import Any

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.labels import FER7
from fer_utils.synthetic.identity import ACTION_UNITS, FACS, PROTOTYPES, Identity, Scene
from fer_utils.synthetic.render import render_face

_SPLITS = ("train", "validation", "test")
_SHARES = np.array((0.7, 0.15, 0.15))
_RENDERING_TOLERANCE = 2  # gray levels by which another kind of processor may render a pixel differently


def expression_units(expression: str, rng: np.random.Generator, *, weakest: float = 0.4) -> dict[int, float]:
    """Sample action-unit intensities for an expression.

    All units vary around one strength, `weakest` to 1; one may be missing, accompanying and weak ones added.
    """
    strength = rng.uniform(weakest, 1.0)
    units = {unit: strength * rng.uniform(0.7, 1.15) for unit in PROTOTYPES[expression]}
    if len(units) > 2 and rng.random() < 0.3:
        del units[int(rng.choice(tuple(units)))]
    for unit in FACS["optional"][expression]:
        if rng.random() < 0.35:
            units[unit] = strength * rng.uniform(0.3, 0.9)
    for position in rng.integers(len(ACTION_UNITS), size=rng.integers(3)):
        unit = tuple(ACTION_UNITS)[position]
        units[unit] = max(units.get(unit, 0.0), rng.uniform(0.0, 0.25))
    return {unit: float(min(intensity, 1.0)) for unit, intensity in units.items()}


def sample_asymmetry(rng: np.random.Generator) -> float:
    """Sample the asymmetry of an expression, as `render_face` takes it."""
    return float(np.clip(0.12 * rng.standard_normal(), -0.4, 0.4))


def distribute(total: int, weights: np.ndarray, *, at_least: np.ndarray) -> np.ndarray:
    """Divide a total in proportion to weights, but `at_least` to each."""
    counts = at_least.copy()
    while counts.sum() < total:  # the next goes where most is missing
        counts[np.argmax(total * weights / weights.sum() - counts)] += 1
    return counts


def synthetic_faces(
    *, n_subjects: int = 40, images_per_subject: int = 70, size: int = 48, seed: int = 0
) -> FaceSet:
    """Render a data set of synthetic faces whose splits share no person.

    70 % of the subjects are for training. An image depends on (seed, subject, number, class) and size alone.
    """
    subjects_of = distribute(n_subjects, _SHARES, at_least=np.ones(len(_SPLITS), int))
    subject = np.repeat(np.arange(n_subjects), images_per_subject)
    number = np.tile(np.arange(images_per_subject), n_subjects)
    labels = np.arange(len(subject)) % len(FER7)
    ids = [f"synthetic-s{s:03d}-{i:04d}" for s, i in zip(subject, number, strict=True)]
    images = np.empty((len(subject), size, size), np.uint8)
    for row, (sample_id, label) in enumerate(zip(ids, labels, strict=True)):
        images[row] = render_face(**synthetic_sample(sample_id, FER7[label], seed=seed), size=size)
    return FaceSet(
        name="synthetic",
        source="synthetic",
        images=images,
        labels=labels,
        class_names=FER7,
        split=np.repeat(np.repeat(_SPLITS, subjects_of), images_per_subject),
        sample_id=np.array(ids),
        subject=np.array([f"s{s:03d}" for s in subject]),
        notes=(f"synthetic faces rendered by this project, seed {seed}; no real person is shown",),
    )


def synthetic_sample(sample_id: str, expression: str, *, seed: int = 0) -> dict[str, Any]:
    """Return the arguments of `render_face` for an image of `synthetic_faces`; `seed` is the set's."""
    _, subject, number = sample_id.split("-")
    person, image = int(subject[1:]), int(number)
    rng = np.random.default_rng((seed, person, image))
    scene = Scene.sample(rng)  # before the expression: with another expression the scene stays the same
    asymmetry = sample_asymmetry(rng)
    units = expression_units(expression, rng, weakest=0.7)
    identity = Identity.sample((seed, person))
    return {"identity": identity, "action_units": units, "scene": scene, "asymmetry": asymmetry}


def synthetic_changes(faces: FaceSet, *, seed: int = 0) -> np.ndarray:
    """Return by how many gray levels each pixel differs from the same person's neutral face: uint8 (N, H, W).

    Only the expression differs. `faces` are rows of `synthetic_faces`, of the same `seed`.
    """
    size = faces.images.shape[1]
    pairs = zip(faces.sample_id, faces.labels, strict=True)
    drawn = [synthetic_sample(str(one), faces.class_names[label], seed=seed) for one, label in pairs]
    again = render_face(**drawn[0], size=size).astype(int)
    if np.abs(again - faces.images[0]).max() > _RENDERING_TOLERANCE:
        where = faces.sample_id[0]
        raise ValueError(f"seed {seed} gives another image for {where}; pass the data set's seed")
    neutral = [render_face(**one | {"action_units": {}}, size=size) for one in drawn]
    return np.abs(faces.images.astype(np.int16) - np.stack(neutral)).astype(np.uint8)
