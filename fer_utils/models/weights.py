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


def read_weights(params: FastaiTransfer | KerasTransfer) -> dict[str, np.ndarray]:
    """Return the arrays of the safetensors file `params.weights` by name, after a check of its hash.

    Without the file the run is `not_run` (`MissingData`), and never starts from random weights instead.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path, file = params.weights, project_path(params.weights)
    if not file.is_file():
        raise missing_weights(f"weights={path!r}: no such file", put=file)
    if (found := sha256_of(file)) != params.weights_sha256.lower():
        raise ConfigError(
            f"{path}: weights_sha256 is {params.weights_sha256 or 'empty'}, the file has {found}; if it is "
            "the right file, write that hash, else download it again"
        )
    try:
        return load_file(file)
    except (SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as safetensors ({error})") from error


def write_weights(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as safetensors; `read_weights` reads them."""
    from safetensors.numpy import save_file

    with atomic_write(path) as temporary:
        # safetensors writes the memory of an array, whatever its strides
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, temporary)


def check_shapes(arrays: Mapping, variables: Mapping, *, network: str) -> None:
    """Raise `ConfigError` unless arrays and variables of a network have the same names and shapes."""
    given, wanted = ({name: tuple(one.shape) for name, one in of.items()} for of in (arrays, variables))
    for name in sorted({*given, *wanted}):
        if given.get(name) != wanted.get(name):
            shapes = f"{name} has shape {given.get(name)}, the network's has {wanted.get(name)}"
            raise ConfigError(f"weights do not fit {network}: {shapes}")


def missing_weights(problem: str, *, put: Path) -> MissingData:
    """Return the error for weights that are not on this machine."""
    place = put.relative_to(project_path("")) if put.is_relative_to(project_path("")) else put
    return MissingData(f"{problem}; put it at {place}, or set weights: {NONE} to start from random weights")


@contextmanager
def time_limit() -> Iterator[None]:
    """Give up a download after ten seconds without a response: those of the frameworks have no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10.0)
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
