"""What every training has, whatever trains it: epochs on record, a checkpoint, a key that finds it again."""

import ast
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from fer_utils.data import Samples
from fer_utils.files import ConfigError, atomic_write, digest
from fer_utils.hardware import MissingGPU, processor_name, reset_peak_gpu_memory, set_current

_PARTS = ("model", "optimizer", "best", "answers")

Arrays = dict[str, np.ndarray]
Row = dict[str, float]
Choice = Literal["best", "last"]
"""Which epoch's weights a training keeps: the best on validation, or the last one, validation looking on."""


@dataclass(frozen=True)
class Fit:
    """What a training left behind.

    Attributes
    ----------
    history : DataFrame, one row per epoch
        Columns epoch, loss, accuracy, val_loss, val_accuracy, seconds (training part), validation_seconds,
        images_per_second; those of torch also elapsed, compile_seconds and start (`callbacks.Clock`).
    best_epoch : int
        The epoch, counted from 1, whose weights the model now has: the one best on validation, or the last
        where their number was fixed beforehand.
    resumed_from : int
        Epochs found in a checkpoint, 0 for an uninterrupted training.
    seconds : float
        Wall time of all epochs with validation, those before an interruption included.
    answers : dict of str to ndarray of uint8
        Name of a watched set -> the class answered for each of its images after each epoch, shape
        (epochs, N); empty where nothing was watched.
    kept : dict of int to Path
        Epoch -> its weights as safetensors; empty where none were to be kept.
    """

    history: pd.DataFrame
    best_epoch: int
    resumed_from: int
    seconds: float
    answers: Arrays = field(default_factory=dict)
    kept: dict[int, Path] = field(default_factory=dict)

    @property
    def best(self) -> dict[str, float]:
        """The row of `history` at `best_epoch`."""
        return self.history.set_index("epoch").loc[self.best_epoch].to_dict()


@dataclass(frozen=True)
class Measured:
    """One pass over the images: mean loss, accuracy as a fraction, and the seconds it took."""

    loss: float
    accuracy: float
    seconds: float


@dataclass
class State:
    """All that a training needs to go on: arrays by name, and the rows of the epochs behind it."""

    model: Arrays
    optimizer: Arrays
    best: Arrays = field(default_factory=dict)
    answers: Arrays = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything to a ``.npz``, whole or not at all."""
        arrays = {f"{part}/{name}": array for part in _PARTS for name, array in getattr(self, part).items()}
        with atomic_write(path) as temporary:
            np.savez(temporary, history=np.array(json.dumps(self.rows)), **arrays)

    @classmethod
    def load(cls, path: Path) -> "State":
        """Read what `save` wrote; a damaged file raises `ValueError` that says to delete it."""
        parts: dict[str, Arrays] = {part: {} for part in _PARTS}
        try:
            with np.load(path, allow_pickle=False) as stored:
                rows = json.loads(str(stored["history"]))
                for entry in set(stored.files) - {"history"}:
                    part, name = entry.split("/", 1)
                    parts[part][name] = stored[entry]
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not readable as a checkpoint ({error}); delete it") from error
        return cls(**parts, rows=rows)


class Record:
    """The epochs of one training, on disk as it goes on and told to `log`.

    Parameters
    ----------
    path : Path
        The checkpoint; one that is there already is continued.
    first : State
        What the training starts from.
    epochs : int
        How many it shall have.
    log : callable
        Gets one line per epoch, those of an earlier start included.
    every : int
        After how many epochs it is written; after the last in any case. What came after it is lost in a stop.
    """

    def __init__(
        self, path: Path, first: State, *, epochs: int, log: Callable[[str], None], every: int = 1
    ) -> None:
        if not path.exists():
            # The first weights too: the same network fitted again, after a stop in epoch 1, starts anew.
            first.save(path)
        self.path, self.epochs, self.log, self.every = path, epochs, log, every
        self.state = State.load(path)
        self.resumed_from = len(self.state.rows)
        if self.resumed_from == epochs:
            log(f"this training is finished already ({path.name})")
        elif self.resumed_from:
            log(f"continuing after epoch {self.resumed_from} of {epochs} ({path.name})")
        for row in self.state.rows:  # a report shows the whole training, not the part since the last kill
            log(epoch_line(row, epochs))

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest accuracy on validation, the earliest of equals, counted from 1."""
        return 1 + int(np.argmax([row["val_accuracy"] for row in self.state.rows]))

    def end_epoch(
        self,
        trained: Measured,
        validated: Measured,
        *,
        images: int,
        model: Arrays,
        optimizer: Arrays,
        answers: Arrays | None = None,
        times: Row | None = None,
    ) -> None:
        """Note an epoch that trained on `images` images; the arrays are copies, the record keeps them.

        `answers` are those of this epoch, of shape (N,) for each watched set; `times` are further columns.
        """
        state, epoch = self.state, len(self.state.rows) + 1
        row = {
            "epoch": epoch,
            "loss": trained.loss,
            "accuracy": trained.accuracy,
            "val_loss": validated.loss,
            "val_accuracy": validated.accuracy,
            "seconds": trained.seconds,
            "validation_seconds": validated.seconds,
            "images_per_second": images / trained.seconds,
            **(times or {}),
        }
        rows = [*state.rows, row]
        so_far = {
            name: np.concatenate([state.answers.get(name, row[:0].reshape(0, len(row))), row[np.newaxis]])
            for name, row in (answers or {}).items()
        }
        self.state = State(model, optimizer, state.best, so_far, rows)
        if self.best_epoch == epoch:
            self.state.best = model
        if epoch % self.every == 0 or epoch == self.epochs:
            self.state.save(self.path)
        self.log(epoch_line(row, self.epochs))

    def fit(self, choose: Choice = "best") -> Fit:
        """Return what the epochs on record amount to."""
        history = pd.DataFrame(self.state.rows)
        seconds = float(history["seconds"].sum() + history["validation_seconds"].sum())
        chosen = self.best_epoch if choose == "best" else len(history)
        return Fit(history, chosen, self.resumed_from, seconds, self.state.answers)


def epoch_line(row: Row, epochs: int) -> str:
    """Return one epoch as a line of text."""
    return (
        f"epoch {row['epoch']:3d}/{epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.4f}  "
        f"{row['seconds']:.1f} s  {row['images_per_second']:.0f} images/s"
    )


def data_key(first: Samples, *others: Samples) -> list[str]:
    """Return what names the pictures and the labels, and the order of the first set, in a training's key."""
    fingerprints = [samples.fingerprint for samples in (first, *others)]
    return [*fingerprints, digest(first.sample_id.tolist())]


def code_key(*files: str | Path) -> list[str]:
    """Return the code of `files` and of this module as Python sees it: a comment changes no number."""
    return [ast.dump(ast.parse(Path(path).read_text(encoding="utf-8"))) for path in (__file__, *files)]


def checkpoint_path(folder: str | Path, key: Iterable[object]) -> Path:
    """Return the file of the training that `key`, everything that determines it, names."""
    return Path(folder) / f"{digest(*key)[:24]}.npz"


@contextmanager
def memory_errors(kind: type[Exception], *, setting: str, size: int) -> Iterator[None]:
    """Say of a GPU that has too little memory, an error of `kind`, which value of `setting` to try.

    Raises
    ------
    ConfigError
        In place of the framework's error; half of `size` is what it names.
    """
    try:
        yield
    except kind as error:
        advice = f"try {setting}={size // 2}" if size > 1 else "use device=cpu or smaller images"
        raise ConfigError(f"{setting}={size}: too much for the GPU's memory; {advice}") from error


def hardware(gpu_name: str | None, *, backend: str, device: Literal["auto", "cpu", "cuda"]) -> dict[str, str]:
    """Return `device` ("cpu" or "cuda"), `device_name` and `backend` of a training, as results state them.

    The GPU's memory is watched from here on; see `fer_utils.hardware.peak_gpu_memory_mb`.

    Raises
    ------
    MissingGPU
        When "cuda" is asked for and the backend sees no GPU.
    """
    if device == "cuda" and gpu_name is None:
        raise MissingGPU(
            f"device=cuda: the {backend} backend sees no GPU here; use device=auto or device=cpu"
        )
    if gpu_name is not None:
        reset_peak_gpu_memory(backend)
    name = gpu_name or processor_name()
    found = {"device": "cuda" if gpu_name else "cpu", "device_name": name, "backend": backend}
    set_current(**found)
    return found
