"""Which images or clips train, which choose, which are reported, and whether anybody is on both sides."""

from fer_utils.splits.frames import frame_leak, seen_in_training, split_frames
from fer_utils.splits.parts import (
    CLIPS_SHARED,
    OVERLAPPING,
    RANDOM_SHARED,
    RESHUFFLED,
    SUBJECTS_SHARED,
    VALIDATION_SHARE,
    Redrawn,
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
from fer_utils.splits.take_skip import cached_split, reshuffled_split, take_skip_split

__all__ = [
    "CLIPS_SHARED",
    "OVERLAPPING",
    "RANDOM_SHARED",
    "RESHUFFLED",
    "STILL_SPLITS",
    "SUBJECTS_SHARED",
    "VALIDATION_SHARE",
    "Redrawn",
    "Split",
    "cached_split",
    "frame_leak",
    "official_split",
    "random_split",
    "reshuffled_split",
    "seen_in_training",
    "split_frames",
    "split_stills",
    "stills_leak",
    "stratified_holdout",
    "take_skip_split",
]
