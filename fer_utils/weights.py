"""Pretrained weights: where a network's come from, and that they are the ones that were meant."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, atomic_write, project_path, sha256_of

NONE, IMAGENET = "none", "imagenet"
"""What the parameter `weights` may say besides the path of a file."""


PATIENCE = 10.0
"""Seconds without an answer after which fetching weights is given up."""


def read_weights(path: str | Path, *, sha256: str) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file, by name, after a look at its hash.

    The format holds numbers alone: nothing in it can be executed.

    Parameters
    ----------
    path : path
        Relative paths start at the project folder.
    sha256 : str
        The file's SHA-256 in hexadecimal, as whoever gave it says; capital letters or small.

    Raises
    ------
    MissingData
        When there is no such file: the run is `not_run`, and never starts from random weights instead.
    ConfigError
        For another hash than the file's, or none, and for a file of another format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = project_path(path)
    if not file.is_file():
        raise missing_weights(f"weights={str(path)!r}: no such file", put=file)
    if (found := sha256_of(file)) != sha256.lower():
        said = f"weights_sha256 says {sha256}" if sha256 else "weights_sha256 is empty"
        raise ConfigError(
            f"{path}: {said}, and the file has {found}; if it is the right file, write that hash, "
            "else get the file again"
        )
    try:
        return load_file(file)
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as safetensors ({error})") from error


def write_weights(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as safetensors, whole or not at all; `read_weights` takes them."""
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        # Arrays that are views in another order would be written in the wrong one.
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)


def missing_weights(problem: str, *, put: Path) -> MissingData:
    """Return the error for weights that are not on this machine, which says where they belong."""
    place = put.relative_to(project_path("")) if put.is_relative_to(project_path("")) else put
    return MissingData(
        f"{problem}; put it at {place}, or write weights: {NONE} to start from random weights and say so"
    )


@contextmanager
def answer_within(seconds: float) -> Iterator[None]:
    """Let no connection wait longer for an answer: frameworks that fetch weights set no limit themselves."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def initialisation(weights: str, *, sha256: str) -> str:
    """Return in words what a network starts from, as `protocol.selection` and the report state it."""
    if weights == NONE:
        return "random weights, no pretraining"
    if weights == IMAGENET:
        return "weights trained on ImageNet"
    return f"weights from {Path(weights).name} (SHA-256 {sha256[:12].lower()}...)"
