"""Checkpoint folders, and the order of images in an epoch, so that a training resumes to the same numbers."""

import ast
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fer_utils.data import Samples
from fer_utils.files import PROJECT, digest
from fer_utils.params import Parameters

PACKAGES = ("numpy", "keras", "tensorflow", "torch", "torchvision", "fastai")
"""Packages whose version can change the numbers of a training."""
CODE = ("models", "training", "features")
"""Folders of `fer_utils` whose code can."""


def checkpoint_folder(params: Parameters, *data: Samples, stage: str = "", network: str = "") -> Path:
    """Return the folder, made if needed, in which a training keeps what it needs to resume.

    In its name, `checkpoints/<run>/<stage>-<hash>`, the hash covers all parameters except where files are
    written, the content and order of the training and the validation set, the versions of `PACKAGES` and the
    code in `CODE`, but not the cells of a notebook. `stage`, such as "frozen" or "fold03", tells the
    trainings of one run apart; `network` describes what is not in `params`.
    """
    code = sorted(path for name in CODE for path in (PROJECT / "fer_utils" / name).rglob("*.py"))
    found = digest(
        [params.studied(), stage, network],
        [[samples.fingerprint, digest(samples.sample_id.tolist())] for samples in data],
        [{package: version(package) for package in PACKAGES}, os.environ.get("KERAS_BACKEND", "")],
        [ast.dump(ast.parse(path.read_text(encoding="utf-8"))) for path in code],
    )
    folder = params.checkpoints / params.run / f"{stage or 'training'}-{found[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def epoch_order(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """Return the order, shape (n,), in which an epoch sees the images: a resumed training sees the same."""
    return np.random.default_rng((seed, epoch)).permutation(n)


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the random seed for an epoch, which does not depend on the epochs before it."""
    return int(np.random.default_rng((seed, epoch)).integers(2**31))
