"""Pretrained weights: read, write, download with a time limit, and check that they are the expected file."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, atomic_write, project_path, sha256_of
from fer_utils.params import FastaiTransfer, KerasTransfer

NONE, IMAGENET = "none", "imagenet"
"""Values of the parameter `weights` besides the path of a file."""

PATIENCE = 10.0
"""Seconds without a response after which a download is given up."""


def read_weights(path: str | Path, *, sha256: str) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file by name, after a check of its hash.

    Relative paths start at the project folder. Without the file the run is `not_run` (`MissingData`), and
    never starts from random weights instead.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = project_path(path)
    if not file.is_file():
        raise missing_weights(f"weights={str(path)!r}: no such file", put=file)
    if (found := sha256_of(file)) != sha256.lower():
        raise ConfigError(
            f"{path}: weights_sha256 is {sha256 or 'empty'}, the file has {found}; if it is the right file, "
            "write that hash, else download it again"
        )
    try:
        return load_file(file)
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as safetensors ({error})") from error


def write_weights(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as safetensors; `read_weights` reads them."""
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        # safetensors writes the memory of an array, whatever its strides
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)


def missing_weights(problem: str, *, put: Path) -> MissingData:
    """Return the error for weights that are not on this machine."""
    place = put.relative_to(project_path("")) if put.is_relative_to(project_path("")) else put
    return MissingData(f"{problem}; put it at {place}, or set weights: {NONE} to start from random weights")


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Limit the time that a connection waits for a response: the frameworks' downloads have no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def initialisation(params: FastaiTransfer | KerasTransfer) -> str:
    """Return in words what a network starts from, as `protocol.selection` and the report state it."""
    if params.weights == NONE:
        return "random weights, no pretraining"
    if params.weights == IMAGENET:
        return "weights trained on ImageNet"
    return f"weights from {Path(params.weights).name} (SHA-256 {params.weights_sha256[:12].lower()}...)"
