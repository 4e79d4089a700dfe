"""Which images or clips train, which choose, which are reported, and whether anybody is on both sides."""

from fer_utils.splits.frames import frame_leak, seen_in_training, split_frames
from fer_utils.splits.parts import (
    CLIPS_SHARED,
    RANDOM_SHARED,
    SUBJECTS_SHARED,
    VALIDATION_SHARE,
    Split,
    stratified_holdout,
)
from fer_utils.splits.stills import (
    STILL_SPLITS,
    official_split,
    random_split,
    split_stills,
    stills_leak,
)

__all__ = [
    "CLIPS_SHARED",
    "RANDOM_SHARED",
    "STILL_SPLITS",
    "SUBJECTS_SHARED",
    "VALIDATION_SHARE",
    "Split",
    "frame_leak",
    "official_split",
    "random_split",
    "seen_in_training",
    "split_frames",
    "split_stills",
    "stills_leak",
    "stratified_holdout",
]
