"""What every data set has: a name, places where it is found, a reader, and the terms it comes with."""

from pathlib import Path

import yaml

_SETS = yaml.safe_load(Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8"))


class MissingData(FileNotFoundError):
    """A data set that is not on this machine: the run is `not_run`, which is not a failure."""


class DataSet:
    """One raw data set: an entry of `sets.yaml`, whose keys are attributes, and a class that reads it."""

    places: tuple[str, ...]
    expected: tuple[str, ...] = ()
    obtained_from: str = ""
    terms: str = ""

    def __init__(self, name: str) -> None:
        self.name = self.title = name
        for key, value in _SETS[name].items():
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
