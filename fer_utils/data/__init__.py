"""Data sets: one reader per raw format, all giving the same `FaceSet`."""

from fer_utils.data.catalogue import MissingData, find_fer2013, load_faces, sources
from fer_utils.data.faceset import FaceSet

__all__ = ["FaceSet", "MissingData", "find_fer2013", "load_faces", "sources"]
