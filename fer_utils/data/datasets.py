"""What every data set has: a name, places where it is found, a reader, and the terms it comes with."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from fer_utils.data.samples import FaceSet


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


class DataSet:
    """One raw data set: an entry of `sets.yaml`, whose keys are attributes, and a class that reads it."""

    name: str
    title: str
    places: tuple[str, ...]
    expected: tuple[str, ...] = ()
    obtained_from: str = ""
    terms: str = ""

    def __init__(self) -> None:
        for key, value in _specifications().get(self.name, {}).items():
            setattr(self, key, tuple(value) if isinstance(value, list) else value)

    def holds(self, path: Path) -> bool:
        """Return whether a folder is this data set."""
        raise NotImplementedError

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return the file or folder that is read, and the lists of labels that may lie beside it."""
        return path, ()

    def find(self, folder: Path) -> Path:
        """Return the file or folder of the data set in a folder; `MissingData` names all places."""
        for place in self.places:
            if (folder / place).is_file() or self.holds(folder / place):
                return folder / place
        places = ", ".join(str(folder / place) for place in self.places)
        raise MissingData(
            f"{self.title} is not here; looked for {places}. data/README.md says where it comes from"
        )


@cache
def _specifications() -> dict[str, dict]:
    return yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8"))


class FaceData(DataSet):
    """A data set of still faces."""

    counts: Mapping[str, int] = MappingProxyType({})
    published: Mapping[str, str] = MappingProxyType({})

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
