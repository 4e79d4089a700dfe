"""The pictures of kishor2022 and who is held out: stills with their official split, or frames of clips."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from fer_utils import splits
from fer_utils.data import FaceSet, load_clips, load_faces
from fer_utils.params import HybridHogCNN
from fer_utils.splits import Split

FRAME_SPLITS = {"frame": "frames at random", "clip": "whole clips", "subject": "whole subjects"}
"""The values of `split_by` for frames of clips, as tables name them, from the leakiest to the honest one."""


def load(params: HybridHogCNN) -> FaceSet:
    """Return the stills, or the frames of clips, that the parameters name.

    Raises
    ------
    MissingData
        When a real data set is not there.
    """
    if not params.frames_of:
        return load_faces(params)
    clips = load_clips(params.clips())
    return replace(clips.frames(), name=f"frames of {clips.name} clips")


def split(params: HybridHogCNN, faces: FaceSet) -> tuple[Split, ...]:
    """Return the official split of stills, or the folds in which every frame of the clips is held out once.

    Raises
    ------
    ValueError
        As `splits.official_split` and `splits.random_folds`.
    """
    if not params.frames_of:
        return (splits.official_split(faces, seed=params.seed),)
    how = {"n_folds": params.frame_folds, "seed": params.seed, "validation": True}
    return splits.random_folds(faces, by=params.split_by, **how).splits


def reported(parts: Sequence[Split], faces: FaceSet) -> Split:
    """Return splits as one that has all that is reported on as its test part; of `faces`, when several."""
    if len(parts) == 1:
        return parts[0]
    nothing = faces.take(np.zeros(len(faces), dtype=bool))
    return replace(parts[0], train=nothing, validation=nothing, test=faces)


def frame_splits_table(
    metrics: Mapping[str, Mapping[str, Mapping]], parts: Mapping[str, Sequence[Split]]
) -> pd.DataFrame:
    """Return one row for each way of splitting frames: how accurate, and who was on both sides.

    Parameters
    ----------
    metrics : mapping
        Key of `FRAME_SPLITS` -> `Evaluation.metrics` of all frames, held out in that way.
    parts : mapping
        The same keys -> their splits.

    Returns
    -------
    DataFrame
        Columns label, value (accuracy), low, high (95 %), n (frames), leak, and the shares of reported frames
        whose clip and whose subject were trained on as well.
    """
    rows = []
    for by, measured in metrics.items():
        accuracy, seen = measured["accuracy"], splits.seen_in_training(parts[by])
        low, high = accuracy["ci95"] or (None, None)
        row = {"label": FRAME_SPLITS[by], "value": accuracy["value"], "low": low, "high": high}
        row |= {"n": accuracy["n"], "leak": parts[by][0].leakage}
        rows.append(row | {f"{who} trained on": share for who, share in seen.items()})
    return pd.DataFrame(rows)
