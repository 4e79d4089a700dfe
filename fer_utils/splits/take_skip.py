"""Take and skip: one shuffled stream of all images, whose parts train, choose and are reported.

Held fixed it is a random split. `tf.data` shuffles again for every pass unless it is told not to: the parts
are then drawn apart from each other. Kept by `cache()` after their first pass, they overlap; not kept, they
are other images in every epoch, and none stays unseen.
"""

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.splits.parts import Redrawn, Split, check_classes, subjects_disjoint

SHARES = (0.8, 0.1)
"""What is taken to train and, of the rest, to choose: the shares that fit the steps which bamb2023 prints.

574 steps of 50 images are 80 % of the 718 batches in FER-2013; 384 of 32 are 80 % of the 480 in RAF-DB, and
its 1,536 test images are a tenth of those.
"""

_TRAIN, _VALIDATION, _TEST, _FIXED = range(4)


def take_skip_split(faces: FaceSet, *, seed: int) -> Split:
    """Split all images at random into 80 % that train, 10 % that choose and 10 % that are reported.

    FER-2013's parts then have their official sizes, to one image: only the draw differs. It takes no
    account of classes or official parts; copies of one photograph, and pictures of one person, come on
    several sides.

    Raises
    ------
    ValueError
        For one class only, or one that has no images in a part.
    """
    faces = faces.labelled()
    parts = [faces.take(_rows(len(faces), seed, _FIXED, part=part)) for part in (_TRAIN, _VALIDATION, _TEST)]
    description = (
        f"random 80/10/10 of all {len(faces):,} images, drawn once without regard to class or official part: "
        f"the first trains, the second chooses, the third is reported (seed {seed})"
    )
    return check_classes(Split(*parts, description, subjects_disjoint(*parts)))


def reshuffled_split(faces: FaceSet, *, seed: int) -> Split:
    """Split as `take_skip_split` does, but anew for each pass over a part: `Split.redrawn`.

    `train` and `validation` are those of the first epoch, `test` is one more draw. Of the images that
    validate in an epoch, four fifths are expected among those that trained in that very epoch, and soon all
    of them among those that have trained (`Split.validation_seen`).

    Raises
    ------
    ValueError
        As `take_skip_split`.
    """
    faces = faces.labelled()

    def rows(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return tuple(_rows(len(faces), seed, part, epoch, part=part) for part in (_TRAIN, _VALIDATION))

    description = (
        f"80/10/10 of all {len(faces):,} images by take and skip, shuffled again for every pass over a part: "
        f"an image that validates or is reported has trained before, or will (seed {seed})"
    )
    redrawn, test = Redrawn(faces, rows), faces.take(_rows(len(faces), seed, _TEST, part=_TEST))
    return check_classes(Split(*redrawn(0), test, description, False, redrawn))


def cached_split(faces: FaceSet, *, seed: int) -> Split:
    """Split as `reshuffled_split` does in its first epoch, and keep that for all.

    Each part is a draw of its own: four fifths of what validates, or is reported, trains as well, and one
    fifth is never seen.

    Raises
    ------
    ValueError
        As `take_skip_split`.
    """
    faces = faces.labelled()
    first = reshuffled_split(faces, seed=seed)
    description = (
        f"80/10/10 of all {len(faces):,} images by take and skip of a stream that is shuffled for each, then "
        f"kept: most of what validates or is reported trains as well (seed {seed})"
    )
    return Split(first.train, first.validation, first.test, description, False)


def _rows(n: int, *drawn: int, part: int) -> np.ndarray:
    """Return the rows, ascending, of one of the three parts of a stream that `drawn` seeds."""
    stream = np.random.default_rng(drawn).permutation(n)
    end = np.cumsum([round(share * n) for share in SHARES])
    return np.sort(np.split(stream, end)[part])
