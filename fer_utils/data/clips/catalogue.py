"""How a study gets its clips: read or drawn once, then memory-mapped."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from fer_utils.data.clips import reading
from fer_utils.data.clips.annotation import check_ids, left_out
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.places import CLIP_DATA, check_name, find_clips
from fer_utils.data.clips.reading import Sampling
from fer_utils.data.store import kept, prepared
from fer_utils.files import ConfigError, digest, project_path, sha256_of
from fer_utils.labels import SMIC3, SMIC3_OF

ClipLabels = Literal["own", "smic3"]
"""`own`: the data set's classes. `smic3`: merged into SMIC's three, see `fer_utils.labels.SMIC3_OF`."""

CLIP_COUNTS = {"smic-hs": 164, "smic-vis": 71, "smic-nir": 71, "samm": 159, "casme2": 247}
"""Clips of each whole set by the papers that presented them; SMIC's in the cropped and raw forms."""


def load_clips(
    dataset: str,
    *,
    data_path: str | Path = "data/raw",
    label_set: ClipLabels = "own",
    strict: bool = False,
    leave_out: Sequence[str] = (),
    sampling: Sampling = "interpolate",
    n_frames: int = 18,
    size: int = 64,
    frame_rate: float = 100.0,
    synthetic_subjects: int = 16,
    synthetic_clips_per_subject: float = 10.25,
    seed: int = 0,
    prepared_dir: str | Path = "data/prepared",
) -> ClipSet:
    """Return a set of clips by the name that the `dataset` parameter gives it.

    Parameters
    ----------
    dataset : str
        One of `CLIP_DATASETS`. "table" is a CSV table beside videos or folders of pictures.
    data_path : path
        What `find_clips` takes; ignored for synthetic clips.
    label_set : {"own", "smic3"}
        The data set's own classes, or these merged into negative, positive and surprise; clips of classes
        that have no place there are left out, and a note says how many.
    strict : bool
        Whether a clip that cannot be used is an error; otherwise all are listed in `skipped`.
    leave_out : sequence of str
        Ids of clips to leave out, whether they can be used or not.
    sampling : {"interpolate", "first"}
        See `fer_utils.data.clips.reading.Sampling`; drawn clips always run from onset to offset.
    n_frames, size : int
        Frames of every clip, and their height and width in pixels.
    frame_rate : float
        Frames per second: of the drawn camera, and of the pictures of a table, which do not say it. Ignored
        for everything else.
    synthetic_subjects, synthetic_clips_per_subject, seed
        Size and seed of the synthetic set; ignored for a real one.
    prepared_dir : path
        Where the memory-mapped form is kept, that of drawn clips as well.

    Raises
    ------
    MissingData
        When a real data set is not there.
    ConfigError
        For a name or option that is not known.
    ValueError
        For an id in `leave_out` that no clip has, for data that cannot be read, and under `strict` for the
        first clip that cannot be used.
    """
    check_name(dataset)
    if label_set not in get_args(ClipLabels):
        raise ConfigError(f"label_set={label_set!r}: use {' or '.join(map(repr, get_args(ClipLabels)))}")
    leave_out, folder = sorted({*leave_out}), project_path(prepared_dir)
    form = {"n_frames": n_frames, "size": size}
    rate = {"frame_rate": frame_rate} if dataset in ("synthetic", "table") else {}
    if dataset == "synthetic":
        plan = {"n_subjects": synthetic_subjects, "clips_per_subject": synthetic_clips_per_subject}
        clips = _without(_drawn(folder, **plan, **form, **rate, seed=seed), leave_out)
    else:
        options = form | rate | {"sampling": sampling, "leave_out": leave_out}
        clips = _read(dataset, find_clips(dataset, data_path), folder, options)
    if strict and clips.skipped:
        more = f" (and {len(clips.skipped) - 1} more)" if len(clips.skipped) > 1 else ""
        raise ValueError(f"{clips.name}: {clips.skipped[0]}{more}")
    return _with_labels(clips, label_set)


def clip_shortfall(clips: ClipSet) -> str:
    """Return what a set of clips in its own classes lacks, or an empty text."""
    whole = CLIP_COUNTS.get(clips.name, 0)
    lacking = [f"{len(clips)} of {whole} clips"] if len(clips) < whole else []
    return "; ".join(lacking + ([f"{len(clips.skipped)} skipped"] if clips.skipped else []))


def _read(dataset: str, path: Path, folder: Path, options: dict[str, object]) -> ClipSet:
    known = CLIP_DATA[dataset]
    source = path if path.is_dir() else path.parent
    table = known.annotation(path)
    # It may lie beside the source, so that the hash of the source does not tell when it was changed.
    settings = {"reader": dataset, "annotation": {table.name: sha256_of(table)} if table else {}, **options}
    read = partial(known.read, path, **options)
    return prepared(source, lambda _: read(), folder=folder, settings=settings, follow_links=path.is_dir())


def _drawn(folder: Path, **arguments: float) -> ClipSet:
    from fer_utils.synthetic import clips as generator  # it imports this package

    code = _generator_code()
    origin = {"generator": generator.__name__.rpartition(".")[0], "sha256": code}
    return kept(
        lambda: replace(generator.synthetic_clips(**arguments), origin=origin),
        name="synthetic-clips",
        content=code,
        folder=folder,
        settings=arguments,
    )


@cache
def _generator_code() -> str:
    from fer_utils.synthetic import clips as generator  # it imports this package

    # The code as Python sees it: a comment changes no pixel, but another version of a library may.
    files = [*sorted(Path(generator.__file__).parent.glob("*.py")), Path(reading.__file__)]
    code = [ast.dump(ast.parse(path.read_text(encoding="utf-8"))) for path in files]
    return digest(code, np.__version__, cv2.__version__)


def _without(clips: ClipSet, leave_out: Sequence[str]) -> ClipSet:
    check_ids(leave_out, clips.sample_id.tolist())
    if not leave_out:
        return clips
    rest = clips.take(~np.isin(clips.sample_id, leave_out))
    return replace(rest, notes=(*clips.notes, *left_out(leave_out)))


def _with_labels(clips: ClipSet, label_set: ClipLabels) -> ClipSet:
    if label_set == "own" or clips.class_names == SMIC3:
        return clips
    merged = clips.merged(SMIC3_OF, SMIC3)
    if not len(merged):
        raise ValueError(f"{clips.name}: label_set='smic3' leaves no clip; {merged.notes[-1]}")
    return merged
