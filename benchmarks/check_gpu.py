"""What a training on a GPU needs, tried in about two minutes: ``make check-gpu``.

Prints a row for each check and exits 1 if one fails. Without a GPU it says so and exits 0; ``--device cpu``
tries the checks on the CPU. Keras runs in a process of its own.
"""

import copy
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import accuracy

from fer_utils import splits
from fer_utils.data import load_faces
from fer_utils.explain.torch_network import TorchNetwork
from fer_utils.files import ConfigError
from fer_utils.models import small_resnet
from fer_utils.params import FastaiTransfer
from fer_utils.run import notebook_defaults
from fer_utils.training import fastai_training, memory_errors
from fer_utils.training.fastai_training import BFloat16, ReseedEachEpoch, ResumeTraining

CPU = sys.argv[1:] == ["--device", "cpu"]
DEVICE = "cpu" if CPU else "cuda"
CHANGES = {"architecture": "small_resnet", "weights": "none", "device": DEVICE, "synthetic_subjects": 20}
PARAMS = FastaiTransfer.from_values(notebook_defaults("40_fastai_transfer") | CHANGES, where="check_gpu.py")
KERAS = """
import sys, keras, numpy as np
from fer_utils.models import baseline
from fer_utils.params import BaselineCNN
from fer_utils.run import notebook_defaults
from fer_utils.training import keras_training
values = notebook_defaults("10_baseline_cnn") | {"device": sys.argv[1]}
params = BaselineCNN.from_values(values, where="check_gpu.py")
keras_training.prepare(params)
model = baseline.build(params, n_classes=6)
model.compile("adam", "sparse_categorical_crossentropy")
loss = model.train_on_batch(np.zeros((16, 48, 48, 1), np.uint8), np.zeros(16, int))
print(f"loss {float(loss):.2f} on {keras.backend.backend()}")
"""


class StopAfter(Callback):
    """Stop a training after an epoch, as a kill does."""

    order = 100

    def after_epoch(self) -> None:
        raise CancelFitException


def train(folder: Path, *callbacks: Callback) -> tuple[torch.nn.Module, ResumeTraining]:
    """Train two epochs of a small ResNet in bfloat16, or those that are missing in `folder`."""
    faces = load_faces(PARAMS)
    split = splits.split_faces(faces, PARAMS)
    dls = fastai_training.dataloaders(split.train, split.validation, PARAMS)
    model = small_resnet.build(n_classes=len(faces.class_names), seed=0, width=0.35)
    resume, always = ResumeTraining(folder / "training"), [ReseedEachEpoch(0), BFloat16()]
    learn = Learner(dls, model, CrossEntropyLossFlat(), metrics=accuracy, path=folder, cbs=always)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2, 0.01, start_epoch=resume.start_epoch, cbs=[resume, *callbacks])
    return model, resume


def gpu() -> str:
    free, total = torch.cuda.mem_get_info()
    return f"{torch.cuda.get_device_name(0)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"


def bfloat16() -> str:
    assert torch.cuda.is_bf16_supported(including_emulation=False), "slow here: write mixed_precision: false"
    return "supported"


def pytorch(folder: Path) -> str:
    _, resume = train(folder / "whole")
    return f"2 epochs, loss {resume.history['loss'].iloc[-1]:.2f}"


def cam(folder: Path) -> str:
    model, _ = train(folder / "whole")  # is loaded
    faces = load_faces(PARAMS).take(np.arange(7))
    here, on_cpu = (
        TorchNetwork(each).maps(faces.images, faces.labels) for each in (model, copy.deepcopy(model).cpu())
    )
    alike = np.corrcoef(here.maps.ravel(), on_cpu.maps.ravel())[0, 1]
    assert alike > 0.95, f"correlation {alike:.2f} with the maps on the CPU"
    return f"seven maps at layer {here.layer}, correlation {alike:.3f} with those on the CPU"


def resumed(folder: Path) -> str:
    train(folder / "parts", StopAfter())
    ends = [train(folder / name)[1].history["loss"].iloc[-1] for name in ("whole", "parts")]
    assert abs(ends[0] - ends[1]) < 0.05, f"loss {ends[1]:.3f} after a stop, {ends[0]:.3f} without"
    return f"loss {ends[1]:.3f} after a stop, {ends[0]:.3f} without"


def keras() -> str:
    how = {"env": os.environ | {"KERAS_BACKEND": "torch"}, "capture_output": True, "text": True}
    ended = subprocess.run([sys.executable, "-c", KERAS, DEVICE], check=False, **how)
    assert ended.returncode == 0, ended.stderr.strip().splitlines()[-1]
    return ended.stdout.strip().splitlines()[-1]


def out_of_memory() -> str:
    try:
        with memory_errors("batch_size", 64):
            torch.empty(2**50, device="cuda")
    except ConfigError as error:
        return str(error)
    raise AssertionError("no error for 4 PiB")


def main() -> int:
    """Run the checks, print a table and return the exit status."""
    if not CPU and not torch.cuda.is_available():
        print("no GPU that PyTorch can use: nothing to check (docs/gpu.md)")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        fastai_training.prepare(PARAMS)
        checks: dict[str, Callable[[], str]] = {} if CPU else {"GPU": gpu, "bfloat16": bfloat16}
        checks |= {
            "PyTorch": partial(pytorch, Path(name)),
            "Grad-CAM": partial(cam, Path(name)),
            "resume": partial(resumed, Path(name)),
            "Keras": keras,
        }
        checks |= {} if CPU else {"out of memory": out_of_memory}
        for what, check in checks.items():
            try:
                status, text = "ok", check()
            except Exception as error:  # whatever is wrong, the other checks are of interest, too
                status, text, failed = "FAILED", f"{type(error).__name__}: {error}", 1
            print(f"{what:<14} {status:<7} {text}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
