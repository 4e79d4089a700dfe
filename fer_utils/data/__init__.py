"""Data sets: one reader for each raw format, all returning the same `FaceSet` or `ClipSet`."""

from fer_utils.data.raw_files import MissingData
from fer_utils.data.registry import find, load_clips, load_faces
from fer_utils.data.samples import NO_APEX, SPLITS, ClipSet, FaceSet, Samples, clip_of, combine, separate
