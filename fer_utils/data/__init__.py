"""Data sets: one reader per raw format, all giving the same `FaceSet` or `ClipSet`."""

from fer_utils.data.catalogue import MissingData, find_clips, find_faces, load_clips, load_faces, sources
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.combine import combine
from fer_utils.data.faceset import FaceSet

__all__ = [
    "ClipSet",
    "FaceSet",
    "MissingData",
    "combine",
    "find_clips",
    "find_faces",
    "load_clips",
    "load_faces",
    "sources",
]
