"""Several data sets of faces as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from fer_utils.data.faceset import FaceSet
from fer_utils.labels import canonical


def combine(
    sets: Sequence[FaceSet],
    *,
    class_names: Sequence[str],
    mapping: Mapping[str, str] = MappingProxyType({}),
) -> FaceSet:
    """Return the images of all sets as one set with common classes.

    Parts are joined as they are: of a set with a validation part and one without it, the first one's alone
    would choose. `splits.official_split` therefore splits each set by itself and joins what that gives.

    Parameters
    ----------
    sets : sequence of FaceSet
        Each with another name, all with images of one size, all real or all synthetic.
    class_names : sequence of str
        The common classes in label order.
    mapping : mapping of str to str
        Class of a set -> common class, where neither its own name nor, failing that, its `canonical` one is
        in `class_names`: with `{"contempt": "disgust"}` contempt becomes disgust. What has no place is left
        out.

    Returns
    -------
    FaceSet
        Named like `rafdb+fer2013`. Ids and known subjects have the set's name in front; splits are kept.
        Notes have it too, and say which classes a set lacks and how many images were left out. `origin` has
        every set's entries as `rafdb.sha256` and so on.

    Raises
    ------
    ValueError
        For no sets, two of one name, images of different sizes, real faces with synthetic ones, or a mapping
        from a class that no set has or to one that is not in `class_names`.
    """
    _check(sets)
    if unknown := {*mapping}.difference(*(faces.class_names for faces in sets)):
        raise ValueError(f"mapping: no set has a class {', '.join(sorted(unknown))}")
    parts = {faces.name: _relabelled(faces, class_names, mapping) for faces in sets}
    together = {
        key: np.concatenate([getattr(part, key) for part in parts.values()])
        for key in ("images", "labels", "split")
    }
    return FaceSet(
        name="+".join(parts),
        source=sets[0].source,
        **together,
        class_names=tuple(class_names),
        sample_id=np.array(
            [f"{name}/{one}" for name, part in parts.items() for one in part.sample_id], dtype=str
        ),
        subject=np.array(
            [f"{name}/{one}" if one else "" for name, part in parts.items() for one in part.subject],
            dtype=str,
        ),
        notes=tuple(note for faces in sets for note in _notes(faces, parts[faces.name])),
        origin={f"{faces.name}.{key}": value for faces in sets for key, value in faces.origin.items()},
        dropped=tuple(f"{faces.name}: {text}" for faces in sets for text in faces.dropped),
    )


def separate(faces: FaceSet) -> tuple[FaceSet, ...]:
    """Return the images of each set that `combine` joined, in their order; any other set as it is, alone.

    Each has the name of its set again, so that it can be split as that set is; ids, classes, notes and origin
    stay those of the joined set.
    """
    names = faces.name.split("+")
    if len(names) == 1:
        return (faces,)
    owner = np.array([one.partition("/")[0] for one in faces.sample_id], dtype=str)
    if not np.isin(owner, names).all():  # a folder of one's own may have a "+" in its name
        return (faces,)
    return tuple(replace(faces.take(owner == name), name=name) for name in names)


def _check(sets: Sequence[FaceSet]) -> None:
    names = [faces.name for faces in sets]
    if not names or len({*names}) < len(names):
        raise ValueError(f"cannot combine {', '.join(names) or 'nothing'}: give sets of different names")
    sizes = {"x".join(map(str, faces.images.shape[1:])): faces.name for faces in sets}
    if len(sizes) > 1:
        each = ", ".join(f"{name} has {size}" for size, name in sizes.items())
        raise ValueError(f"images of different sizes cannot be one set ({each}); read them at one image_size")
    if len({faces.source for faces in sets}) > 1:
        each = ", ".join(f"{faces.name} is {faces.source}" for faces in sets)
        raise ValueError(f"real and synthetic faces cannot be one set ({each}); results never mix them")


def _relabelled(faces: FaceSet, class_names: Sequence[str], mapping: Mapping[str, str]) -> FaceSet:
    became = {name: name if name in class_names else canonical(name) for name in faces.class_names}
    by_name = {name: new for name, new in became.items() if new in class_names}
    return faces.merged(by_name | dict(mapping), class_names)


def _notes(faces: FaceSet, part: FaceSet) -> list[str]:
    present = np.bincount(part.labels, minlength=len(part.class_names))
    lacking = [name for name, count in zip(part.class_names, present, strict=True) if not count]
    unlabelled = int((faces.labels == FaceSet.UNLABELLED).sum())
    notes = [f"{faces.name} has no {', '.join(lacking)}"] if lacking else []
    notes += [f"{faces.name}: {note}" for note in part.notes]
    return notes + ([f"{faces.name}: {unlabelled} images without a class left out"] if unlabelled else [])
