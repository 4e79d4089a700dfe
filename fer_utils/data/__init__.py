"""Data sets: one reader per raw format, all giving the same `FaceSet` or `ClipSet`."""

from fer_utils.data.catalogue import MissingData, find_clips, find_fer2013, load_clips, load_faces, sources
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.faceset import FaceSet

__all__ = [
    "ClipSet",
    "FaceSet",
    "MissingData",
    "find_clips",
    "find_fer2013",
    "load_clips",
    "load_faces",
    "sources",
]
