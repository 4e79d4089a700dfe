"""What every data set has: a name, places where it is found, a reader, and the terms it comes with."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from fer_utils.data.samples import FaceSet


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


class DataSet:
    """One raw data set. Adding one means adding a subclass to `fer_utils.data.registry`.

    Attributes
    ----------
    name, title : str
        The value of the `dataset` parameter, and the name in messages and tables.
    places : tuple of str
        Below a folder, where it is looked for, in this order; "" is the folder itself.
    expected : tuple of str
        Of these places, those that `make data` asks for.
    obtained_from, terms : str
        Who distributes it, and on what conditions.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    places: ClassVar[tuple[str, ...]]
    expected: ClassVar[tuple[str, ...]]
    obtained_from: ClassVar[str]
    terms: ClassVar[str]

    def holds(self, path: Path) -> bool:
        """Return whether a folder is this data set."""
        raise NotImplementedError

    def find(self, folder: Path) -> Path:
        """Return the file or folder of the data set in a folder.

        Raises
        ------
        MissingData
            Naming every place that was looked at.
        """
        for place in self.places:
            if (folder / place).is_file() or self.holds(folder / place):
                return folder / place
        places = ", ".join(str(folder / place) for place in self.places)
        raise MissingData(
            f"{self.title} is not here; looked for {places}. data/README.md says where it comes from"
        )


class FaceData(DataSet):
    """A data set of still faces."""

    counts: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """Split -> images of the whole data set."""

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return the file or folder of the images, and the lists of labels beside it."""
        return path, ()

    def read(self, path: Path, *, image_size: int = 48, on_bad_rows: str = "error") -> FaceSet:
        """Read the data set from what `find` returned, or from a path of the user."""
        raise NotImplementedError

    def missing_from(self, faces: FaceSet) -> str:
        """Return how many images of the whole data set a copy lacks, or an empty text."""
        present = {name: int((faces.split == name).sum()) for name in self.counts}
        other = ("validation", "test") if present.get("pooled_test") else ("pooled_test",)
        lacking = [
            f"{present[name]:,} of {count:,}{'' if name == 'unassigned' else f' {name}'}"
            for name, count in self.counts.items()
            if name not in other and present[name] != count
        ]
        return f"it has {', '.join(lacking)} images" if lacking else ""
