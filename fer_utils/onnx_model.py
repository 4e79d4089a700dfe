"""Trained networks as ONNX files, read with onnxruntime alone: no framework, so that a demo starts at once.

A file holds the whole way from gray levels to class probabilities, scaling and softmax included, and says in
its metadata what it was trained on and how well it did. `onnx_export` writes such files.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import onnxruntime

from fer_utils.files import ConfigError, project_path

FILE = "model.onnx"
"""What the file is called in a run folder."""
METADATA = "fer_utils"
"""The key of the file's metadata that holds a `Card` as JSON."""
INPUT, OUTPUT = "images", "probabilities"
LARGEST_FILE = 256 * 2**20
"""Bytes. The largest network of this project, a ResNet-50, has 100 MB."""
BATCH = 64
"""Images at once: bounds the memory, and a batch is fast enough already."""

_LONGEST_TEXT, _LONGEST_NAME, _LARGEST_CARD = 2_000, 50, 64_000
_TEXTS = ("run", "notebook", "dataset", "source", "split", "estimate", "preprocessing", "precision")
_ONE_OF = {"source": ("real", "synthetic"), "precision": ("float32", "float16")}


@dataclass(frozen=True)
class Card:
    """What a file says about its network.

    Attributes
    ----------
    class_names : tuple of str
        In the order of the probabilities.
    image_size : int
        Height and width in pixels of the images that the network takes.
    n_frames : int or None
        Frames of a clip; None for a network that takes stills.
    description : dict
        `run` and `notebook` it comes from; `dataset` and its `source`, "real" or "synthetic"; `metrics`, with
        `accuracy` at least, each a record of `value`, `ci95` (or None) and `n`; of what these are the
        `estimate`, and under which `split`; the `preprocessing` in words; the `precision` in which the
        weights are stored, "float32" or "float16".

    Raises
    ------
    ConfigError
        Where something of this is missing or cannot be; the message names it.
    """

    class_names: tuple[str, ...]
    image_size: int
    n_frames: int | None
    description: dict[str, Any]

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ConfigError(problem)

    @property
    def kind(self) -> Literal["stills", "clips"]:
        """What the network takes."""
        return "stills" if self.n_frames is None else "clips"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one still (H, W), or of one clip (T, H, W)."""
        size = (self.image_size, self.image_size)
        return size if self.n_frames is None else (self.n_frames, *size)

    @property
    def values(self) -> dict[str, Any]:
        """The card's attributes by name; a network's own are not among them."""
        return {field.name: getattr(self, field.name) for field in fields(Card)}

    def to_json(self) -> str:
        """Return the card as text."""
        return json.dumps(self.values, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the card that `to_json` wrote; anything else raises `ConfigError`."""
        if len(text) > _LARGEST_CARD:
            raise ConfigError(f"{len(text):,} characters; {_LARGEST_CARD:,} are accepted at most")
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"not readable as JSON ({error})") from None
        keys = [field.name for field in fields(Card)]
        if not isinstance(said, dict) or said.keys() != set(keys):
            found = ", ".join(map(str, said)) if isinstance(said, dict) else type(said).__name__
            raise ConfigError(f"must have the keys {', '.join(keys)}, and has {found or 'none'}"[:500])
        names = said.pop("class_names")
        return cls(class_names=tuple(names) if isinstance(names, list) else names, **said)


@dataclass(frozen=True, eq=False)
class OnnxModel(Card):
    """A trained network that answers with class probabilities; `read` makes one.

    Attributes
    ----------
    file : Path
        Where it was read from.
    session : onnxruntime.InferenceSession
        What computes. The others are those of `Card`.
    """

    file: Path
    session: onnxruntime.InferenceSession

    @classmethod
    def read(cls, path: str | Path, *, threads: int = 2) -> Self:
        """Read a file that a run wrote.

        Of the graph onnxruntime knows every operation, and it can reach no other file: operations of one's
        own and weights in files beside it are refused. It may still compute for long; read what you trust.

        Parameters
        ----------
        path : path
            The file, or the folder of a run that has a `model.onnx`; relative paths start at the project
            folder.
        threads : int
            Threads of one operation.

        Raises
        ------
        ConfigError
            When there is no such file, it is too large, no ONNX file, or none that this project wrote.
        """
        file = project_path(path)
        file = file / FILE if file.is_dir() else file
        session = _session(_content(file), file, threads)
        card = _card(session, file)
        _check_graph(session, card, file)
        model = cls(**card.values, file=file, session=session)
        _try_out(model)
        return model

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return class probabilities, shape (N, K) float32, each row of sum 1.

        Parameters
        ----------
        images : ndarray of uint8, shape (N, H, W), for clips (N, T, H, W)
            Gray levels as they are stored; the network scales them.

        Raises
        ------
        ConfigError
            For images of another type or shape than the network takes.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim == 0 or images.shape[1:] != self.shape:
            wanted = ", ".join(map(str, ("N", *self.shape)))
            raise ConfigError(f"images must be uint8 of shape ({wanted}), got {images.dtype} {images.shape}")
        parts = [np.zeros((0, len(self.class_names)), dtype=np.float32)]
        for start in range(0, len(images), BATCH):
            batch = np.ascontiguousarray(images[start : start + BATCH])
            parts += self.session.run([OUTPUT], {INPUT: batch})
        return np.concatenate(parts)


def _content(file: Path) -> bytes:
    if not file.is_file():
        runs = "runs of the notebooks 10, 20, 30, 40 and 41 write one when they finish"
        raise ConfigError(f"{file}: no such file; {runs}, called {FILE}")
    if (size := file.stat().st_size) > LARGEST_FILE:
        raise ConfigError(f"{file}: {size:,} bytes; {LARGEST_FILE:,} are accepted at most")
    return file.read_bytes()


def _session(content: bytes, file: Path, threads: int) -> onnxruntime.InferenceSession:
    if threads < 1:
        raise ConfigError(f"threads={threads}: at least 1 is needed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what is wrong is in the error
    # Between two frames a thread would else keep its core busy with waiting.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights in files of their own are looked for below something that is no folder.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        first = str(error).partition("\n")[0][:300]
        raise ConfigError(f"{file}: not usable as an ONNX network ({first})") from None


def _card(session: onnxruntime.InferenceSession, file: Path) -> Card:
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA not in metadata:
        found = f"only {', '.join(sorted(metadata))}"[:200] if metadata else "none at all"
        raise ConfigError(
            f"{file}: an ONNX file without the metadata key {METADATA!r} ({found}), which says what its "
            "classes are and what it takes; runs of this project write it"
        )
    try:
        return Card.from_json(metadata[METADATA])
    except ConfigError as error:
        raise ConfigError(f"{file}: metadata {METADATA!r}: {error}") from None


def _check_graph(session: onnxruntime.InferenceSession, card: Card, file: Path) -> None:
    wanted = {INPUT: ("tensor(uint8)", card.shape), OUTPUT: ("tensor(float)", (len(card.class_names),))}
    ends = [*session.get_inputs(), *session.get_outputs()]
    found = {end.name: (end.type, tuple(end.shape[1:])) for end in ends}
    any_number = all(end.shape and not isinstance(end.shape[0], int) for end in ends)
    if found != wanted or not any_number:
        raise ConfigError(
            f"{file}: its graph has {_in_words(found)}; by its metadata it has {_in_words(wanted)}, for any "
            "number of images"
        )


def _try_out(model: OnnxModel) -> None:
    """Check what a graph says of its output: onnxruntime takes its word for it."""
    said = model.predict(np.zeros((1, *model.shape), dtype=np.uint8))
    if said.shape != (1, len(model.class_names)) or not (said >= 0).all() or not abs(said.sum() - 1) < 1e-3:
        raise ConfigError(
            f"{model.file}: its answers are no probabilities of {len(model.class_names)} classes: to a black "
            f"image it says {said.ravel()[:8].round(3).tolist()}"
        )


def _in_words(ends: Mapping[str, tuple[str, tuple[int, ...]]]) -> str:
    texts = (f"{name} {kind} ({', '.join(map(str, ('N', *rest)))})" for name, (kind, rest) in ends.items())
    return ", ".join(texts)[:300]


def _problems(card: Card) -> Iterator[str]:
    names = card.class_names
    if not isinstance(names, tuple) or not all(_is_text(name, _LONGEST_NAME) for name in names):
        yield f"class_names must be texts of 1 to {_LONGEST_NAME} characters"
    elif len(names) < 2 or len(set(names)) < len(names):
        yield f"class_names must be two or more, each once; got {', '.join(names)}"
    if not _is_count(card.image_size):
        yield f"image_size must be a whole number of pixels, got {card.image_size!r}"
    if card.n_frames is not None and not _is_count(card.n_frames):
        yield f"n_frames must be a whole number, or null for stills, got {card.n_frames!r}"
    told = card.description if isinstance(card.description, dict) else {}
    if lacking := [key for key in (*_TEXTS, "metrics") if key not in told]:
        yield f"description lacks {', '.join(lacking)}"
    else:
        yield from _description_problems(told)


def _description_problems(told: Mapping[str, Any]) -> Iterator[str]:
    for key in _TEXTS:
        if not _is_text(told[key], _LONGEST_TEXT):
            yield f"description.{key} must be a text of 1 to {_LONGEST_TEXT:,} characters"
        elif told[key] not in _ONE_OF.get(key, (told[key],)):
            yield f"description.{key} must be {' or '.join(_ONE_OF[key])}, got {told[key][:50]!r}"
    metrics = told["metrics"] if isinstance(told["metrics"], dict) else {}
    if "accuracy" not in metrics:
        yield "description.metrics must have accuracy"
    for name in metrics:
        if not _is_record(metrics[name]):
            yield f"description.metrics.{name} must have value, ci95 (two numbers or null) and n, a count"


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= longest


def _is_number(value: object) -> bool:
    # Neither NaN nor infinity passes, and no true or false, which are numbers in Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 1


def _is_record(record: object) -> bool:
    if not isinstance(record, dict) or record.keys() != {"value", "ci95", "n"}:
        return False
    ends = [0, 0] if record["ci95"] is None else record["ci95"]
    pair = isinstance(ends, list | tuple) and len(ends) == 2 and all(map(_is_number, ends))
    return pair and _is_number(record["value"]) and _is_count(record["n"])
