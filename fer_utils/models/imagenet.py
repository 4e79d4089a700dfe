"""Weights that torchvision's networks were trained to on ImageNet, as they are published."""

from pathlib import Path

import numpy as np
import torch
import torchvision.models

from fer_utils.files import ConfigError, sha256_of
from fer_utils.weights import PATIENCE, answer_within, missing_weights


def imagenet_weights(architecture: str) -> dict[str, np.ndarray]:
    """Return the arrays of torchvision's first ImageNet weights, from torch's folder or from the network.

    Parameters
    ----------
    architecture : str
        As torchvision names it.

    Raises
    ------
    MissingData
        When the file is neither in torch's folder nor to be had; it says where to put it.
    ConfigError
        When the file there is another one: its published name ends in the beginning of its SHA-256.
    """
    url = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1.url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    start = file.stem.rsplit("-", 1)[-1]
    if not file.is_file():
        _fetch(url, file, start)
    if not sha256_of(file).startswith(start):
        raise ConfigError(f"{file}: its SHA-256 does not begin with {start}; delete it and run again")
    stored = torch.load(file, map_location="cpu", weights_only=True)
    return {name: array.detach().numpy() for name, array in stored.items()}


def _fetch(url: str, file: Path, start: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with answer_within(PATIENCE):
            torch.hub.download_url_to_file(url, str(file), hash_prefix=start, progress=False)
    except (OSError, RuntimeError) as error:  # no network, no such page; a wrong hash
        problem = f"weights='imagenet': {file.name} is not here and cannot be fetched ({error})"
        raise missing_weights(problem, put=file) from error
