"""What is wrong with a copy of a data set: repeated pictures, contradicting labels, blank images."""

import numpy as np
import pandas as pd

from fer_utils.data.faceset import SPLITS, FaceSet


def duplicate_groups(faces: FaceSet) -> list[np.ndarray]:
    """Return the groups of two or more images with exactly the same pixels.

    Returns
    -------
    list of ndarray of int
        Indices into `faces`, ascending within a group; groups in order of their first image.
    """
    _, inverse, counts = np.unique(faces.image_digests, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])
    return sorted((group for group in groups if len(group) > 1), key=lambda group: group[0])


def shared_with(faces: FaceSet, *others: FaceSet) -> np.ndarray:
    """Return a mask over `faces`, shape (N,): the picture is also, pixel for pixel, in one of `others`."""
    return np.isin(faces.image_digests, np.concatenate([other.image_digests for other in others]))


def overlap_table(faces: FaceSet) -> pd.DataFrame:
    """Return how many images of each split (rows) also stand in each split (columns).

    On the diagonal are the images that repeat an earlier one of the same split.
    """
    names = [name for name in SPLITS if name in faces.split]
    parts = {name: faces.only(name) for name in names}
    rows, columns = pd.Index(names, name="images of"), pd.Index(names, name="also in")
    table = pd.DataFrame(0, index=rows, columns=columns)
    for row, part in parts.items():
        for column, other in parts.items():
            repeated = len(part) - len(np.unique(part.image_digests))
            table.loc[row, column] = repeated if row == column else int(shared_with(part, other).sum())
    return table


def duplicate_summary(faces: FaceSet, groups: list[np.ndarray]) -> dict[str, int]:
    """Return the counts that describe `groups` of exact duplicates, and the blank images."""
    labels_differ = [group for group in groups if len(np.unique(faces.labels[group])) > 1]
    splits_differ = [group for group in groups if len(np.unique(faces.split[group])) > 1]
    return {
        "images": len(faces),
        "groups of identical images": len(groups),
        "images that repeat another": sum(len(group) - 1 for group in groups),
        "groups that cross splits": len(splits_differ),
        "groups with contradicting labels": len(labels_differ),
        "blank images": len(blank_images(faces)),
    }


def blank_images(faces: FaceSet) -> np.ndarray:
    """Return the indices of images in which every pixel has the same value."""
    return np.flatnonzero(faces.images.min(axis=(1, 2)) == faces.images.max(axis=(1, 2)))
