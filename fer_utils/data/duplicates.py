"""Exact and near duplicates in a data set, contradicting labels and blank images."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_utils.data.samples import SPLITS, FaceSet

NEAR = 0.90  # similarity from which two images are near duplicates; `near_duplicates` says how it was chosen
CANDIDATE = 0.75  # least correlation of two thumbnails for their images to be compared at full size
_THUMBNAIL = 12
_BLOCK = 1024  # rows of thumbnails multiplied at a time: 150 MB for FER-2013


def duplicate_groups(faces: FaceSet) -> list[np.ndarray]:
    """Return the groups (arrays of indices) of two or more images with exactly the same pixels."""
    return _groups(np.unique(faces.digests, return_inverse=True)[1])


def overlap_table(faces: FaceSet) -> pd.DataFrame:
    """Return how many images of each split (rows) are also in each split, or repeat one of the same."""
    names = [name for name in SPLITS if name in faces.split]
    counts = pd.crosstab(faces.digests, faces.split.astype(object)).reindex(columns=names).to_numpy()
    table = counts.T @ (counts > 0)
    np.fill_diagonal(table, (counts - (counts > 0)).sum(axis=0))
    return pd.DataFrame(table, names, names).rename_axis(index="images of", columns="also in")


def duplicate_summary(faces: FaceSet, groups: Sequence[np.ndarray]) -> dict[str, int]:
    """Return counts of the groups of exact duplicates, and of blank images."""
    return {
        "images": len(faces),
        "groups of identical images": len(groups),
        "images that repeat another": sum(len(group) - 1 for group in groups),
        **_conflicts(faces, groups),
        "blank images": len(blank_images(faces)),
    }


def _conflicts(faces: FaceSet, groups: Sequence[np.ndarray]) -> dict[str, int]:
    return {
        "groups that cross splits": sum(len(np.unique(faces.split[group])) > 1 for group in groups),
        "groups with contradicting labels": sum(len(np.unique(faces.labels[group])) > 1 for group in groups),
    }


def blank_images(faces: FaceSet) -> np.ndarray:
    """Return the indices of images in which every pixel has the same value."""
    return np.flatnonzero(faces.images.min(axis=(1, 2)) == faces.images.max(axis=(1, 2)))


def near_duplicates(faces: FaceSet, *, threshold: float = NEAR) -> pd.DataFrame:
    """Return the pairs of images that are most likely the same photograph, though not equal.

    The similarity is the largest normalised cross-correlation of one image's inner part with the other image
    over shifts of up to a twelfth of the side, as it is and mirrored, without coarse shading. Only pairs
    whose thumbnails correlate by `CANDIDATE` are compared: about half of the copies shifted by two pixels
    are missed. The threshold was chosen by eye on FER-2013: 64 pairs sampled from 0.90-0.93, 64 from above
    and 48 of the mirrored ones all showed one photograph; of 40 from 0.86-0.90, five showed two.

    Returns `first` < `second` (rows of unequal images that are not blank), `similarity`, `mirrored`; sorted.
    """
    side = min(faces.images.shape[1:])
    details = np.empty(faces.images.shape, np.float32)  # without coarse shading and pixel noise
    for row, image in enumerate(faces.images.astype(np.float32)):
        shading = cv2.GaussianBlur(image, (0, 0), side / 8, borderType=cv2.BORDER_REFLECT)
        details[row] = cv2.GaussianBlur(image - shading, (0, 0), side / 48)
    margin = max(side // 12, 1)
    found = []
    for first, second, mirrored in _candidates(faces, details):
        both = details[first], np.ascontiguousarray(details[second, :, :: -1 if mirrored else 1])
        similarity = max(
            float(cv2.matchTemplate(a, b[margin:-margin, margin:-margin], cv2.TM_CCOEFF_NORMED).max())
            for a, b in (both, both[::-1])
        )
        if similarity >= threshold:
            found.append((first, second, similarity, mirrored))
    types = {"first": int, "second": int, "similarity": float, "mirrored": bool}
    pairs = pd.DataFrame(found, columns=list(types)).astype(types)
    pairs = pairs.sort_values(["similarity", "first", "second"], ascending=[False, True, True])
    return pairs.drop_duplicates(["first", "second"], ignore_index=True)


def near_overlap_table(faces: FaceSet, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return how many images of each split (rows) have a near duplicate in each split (columns)."""
    image, other = _both_ways(pairs)
    found = pd.DataFrame({"image": image, "images of": faces.split[image], "near in": faces.split[other]})
    found = found.drop_duplicates()
    names = [name for name in SPLITS if name in faces.split]
    table = pd.crosstab(found["images of"], found["near in"])
    return table.reindex(index=names, columns=names, fill_value=0).rename_axis("images of").astype(int)


def seen_in_training(faces: FaceSet, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return how many images of each other split (rows) have an exact or a near duplicate in training."""
    image, other = _both_ways(pairs)
    training = faces.split == "train"
    near = np.isin(np.arange(len(faces)), image[training[other]])
    exact = np.isin(faces.digests, faces.digests[training])
    found = pd.DataFrame({"exact": exact, "near": near, "exact or near": exact | near, "of": True})
    counts = found.groupby(pd.Categorical(faces.split, SPLITS), observed=True).sum()
    return counts.drop(index="train", errors="ignore").rename_axis("images of").astype(int)


def copies_elsewhere(faces: FaceSet, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return sample_id and split of the held-out images with an `exact` or `near` copy in another split."""
    image, other = _both_ways(pairs)
    near = np.isin(np.arange(len(faces)), image[faces.split[image] != faces.split[other]])
    exact = pd.Series(faces.split).groupby(faces.digests).transform("nunique").to_numpy() > 1
    columns = {"sample_id": faces.sample_id, "split": faces.split, "exact": exact, "near": near}
    return pd.DataFrame(columns)[(faces.split != "train") & (exact | near)].reset_index(drop=True)


def near_summary(faces: FaceSet, pairs: pd.DataFrame, *, thresholds: Sequence[float]) -> pd.DataFrame:
    """Return counts of the near duplicates, and of groups that they link, at each threshold (rows)."""
    rows, size = {}, (len(faces), len(faces))
    for threshold in thresholds:
        kept = pairs[pairs["similarity"] >= threshold]
        links = coo_array((np.ones(len(kept)), (kept["first"], kept["second"])), shape=size)
        groups = _groups(connected_components(links, directed=False)[1])
        rows[threshold] = {
            "pairs": len(kept),
            "groups": len(groups),
            "images": sum(map(len, groups)),
            "largest group": max(map(len, groups), default=0),
            **_conflicts(faces, groups),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("similarity at least")


def nearest_similarity(faces: FaceSet, pairs: pd.DataFrame) -> np.ndarray:
    """Return each image's similarity to the most similar other one, shape (N,); NaN where it has no pair."""
    image, _ = _both_ways(pairs)
    similarity = np.tile(pairs["similarity"].to_numpy(), 2)
    return pd.Series(similarity).groupby(image).max().reindex(range(len(faces))).to_numpy()


def _both_ways(pairs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    first, second = pairs["first"].to_numpy(), pairs["second"].to_numpy()
    return np.concatenate([first, second]), np.concatenate([second, first])


def _groups(key: np.ndarray) -> list[np.ndarray]:
    """Return the groups of two or more positions of equal key, in order of their first one."""
    positions = pd.Series(np.arange(len(key))).groupby(key)
    return sorted((group.to_numpy() for _, group in positions if len(group) > 1), key=lambda group: group[0])


def _candidates(faces: FaceSet, details: np.ndarray) -> Iterator[tuple[int, int, bool]]:
    """Yield (first, second, mirrored) for pairs of unequal images whose thumbnails correlate."""
    usable = np.setdiff1d(np.arange(len(faces)), blank_images(faces))
    if not len(usable):
        return
    key = np.unique(faces.digests, return_inverse=True)[1][usable]
    small = (_THUMBNAIL, _THUMBNAIL)
    thumbnails = np.stack([cv2.resize(details[i], small, interpolation=cv2.INTER_AREA) for i in usable])
    thumbnails -= thumbnails.mean(axis=(1, 2), keepdims=True)  # so that products are correlations
    lengths = np.linalg.norm(thumbnails, axis=(1, 2), keepdims=True)
    thumbnails /= np.maximum(lengths, np.float32(1e-6))
    straight, turned = (one.reshape(len(usable), -1) for one in (thumbnails, thumbnails[:, :, ::-1]))
    for start in range(0, len(usable), _BLOCK):
        for mirrored, others in ((False, straight), (True, turned)):
            products = straight[start : start + _BLOCK] @ others[start:].T
            first, second = (found + start for found in np.nonzero(products >= CANDIDATE))
            kept = (first < second) & (key[first] != key[second])
            for pair in zip(usable[first[kept]], usable[second[kept]], strict=True):
                yield *map(int, pair), mirrored
