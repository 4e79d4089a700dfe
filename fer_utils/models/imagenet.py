"""Weights that torchvision's networks were trained to on ImageNet, as they are published."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torchvision.models

from fer_utils.weights import missing_weights

TIMEOUT = 20
"""Seconds that the network may take to answer before the run is `not_run`."""


def imagenet_weights(architecture: str) -> dict[str, np.ndarray]:
    """Return the arrays of torchvision's first ImageNet weights, from torch's folder or from the network.

    The published file name ends in the beginning of its SHA-256; a file that differs is not used. It is read
    as weights alone.

    Parameters
    ----------
    architecture : str
        As torchvision names it.

    Raises
    ------
    MissingData
        When the file is neither in torch's folder nor to be had, or is damaged; it says where to put it.
    """
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    try:
        with _answer_within(TIMEOUT):
            arrays = torch.hub.load_state_dict_from_url(
                url, progress=False, check_hash=True, map_location="cpu", weights_only=True
            )
    except Exception as error:  # no network, no such page, a wrong hash, half a file: the same remedy for all
        problem = f"weights='imagenet': {file.name} is not here and cannot be fetched ({error})"
        raise missing_weights(problem, put=file) from error
    return {name: array.numpy() for name, array in arrays.items()}


@contextmanager
def _answer_within(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
