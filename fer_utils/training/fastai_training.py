"""What a notebook needs beside fastai's own `Learner`: batches, callbacks that resume, and predictions."""

import ctypes
import time
import warnings
from pathlib import Path

import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401 (gives the Learner fit_one_cycle and lr_find)
import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.tracker import TrackerCallback
from fastai.data.core import DataLoaders
from fastai.learner import Recorder
from fastai.optimizer import SGD, Adam, RMSProp
from fastai.torch_core import to_device
from fastcore.foundation import L
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fer_utils import hardware
from fer_utils.data import Samples
from fer_utils.files import ConfigError, atomic_write
from fer_utils.params import Training
from fer_utils.predictions import Predictions
from fer_utils.training import memory_errors, prepare_torch
from fer_utils.training.batches import Augmentation, Batches, warp
from fer_utils.training.checkpoints import epoch_seed

OPTIMIZERS = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
"""fastai's optimizers by their names in the parameters."""


def prepare(params: Training) -> None:
    """Set threads and repeatable convolutions, and record the device; a missing GPU is an error."""
    gpu = prepare_torch(params)
    hardware.use_device(gpu, backend="torch", device=params.device, threads=params.threads)


def dataloaders(train: Samples, validation: Samples, params: Training) -> DataLoaders:
    """Return fastai's `DataLoaders` of a training and a validation set that lie on the device.

    The parameters `rotation`, `crop`, `flip` and `cutout`, where the notebook has them, are the augmentation.
    """
    device = "cuda" if params.device != "cpu" and torch.cuda.is_available() else "cpu"
    return DataLoaders(
        Batches(train, batch_size=params.batch_size, seed=params.seed, augmentation=Augmentation.of(params)),
        Batches(validation, batch_size=hardware.VALIDATION_BATCH),
        device=torch.device(device),
    )


class ReseedEachEpoch(Callback):
    """Start the random numbers of every epoch from the seed and the epoch's number.

    A resumed training then sees the same batches as an uninterrupted one. An epoch with frozen layers has
    random numbers of its own: else the second stage would train on the batches of the first one again.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_epoch(self) -> None:
        seed = epoch_seed(self.seed, self.n_epoch) if self.opt.frozen_idx else self.seed
        self.dls.train.seed, self.dls.train.epoch = seed, self.epoch
        torch.manual_seed(epoch_seed(seed, self.epoch))


class BFloat16(Callback):
    """Compute the forward pass in bfloat16 where that is safe: fastai's MixedPrecision for CPUs, too.

    Weights, gradients and loss stay float32.
    """

    order = MixedPrecision.order

    def before_fit(self) -> None:
        device = self.dls.device.type
        if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ConfigError("mixed_precision: this GPU has no bfloat16; use mixed_precision: false")
        onednn = torch.backends.mkldnn.is_available()
        if device == "cpu" and onednn and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            text = "mixed_precision: without AVX-512, bfloat16 is several times slower than float32"
            warnings.warn(f"{text}; use mixed_precision: false or another processor", stacklevel=2)
        vars(self.model).pop("forward", None)  # left from an interrupted training
        # Around forward alone, so that an interrupt never leaves the process in this mode.
        self.model.forward = torch.autocast(device, dtype=torch.bfloat16)(self.model.forward)

    def after_pred(self) -> None:
        self.learn.pred = self.pred.float()

    def after_fit(self) -> None:
        vars(self.model).pop("forward", None)


class StopOnNaN(Callback):
    """Raise an error at the first batch whose loss is NaN or infinite; fastai's own callback only stops."""

    order = Recorder.order + 1
    run_valid = False

    def after_batch(self) -> None:
        if not hasattr(self.learn, "lr_finder") and not np.isfinite(float(self.smooth_loss)):
            where, rate = f"epoch {self.epoch + 1}, batch {self.iter + 1}", self.opt.hypers[-1]["lr"]
            advice = f"try a smaller learning_rate (now {rate:g})"
            raise ArithmeticError(f"the loss became {float(self.loss.detach())} in {where}; {advice}")


class ResumeTraining(Callback):
    """Save the state of a training after every epoch, and resume from it.

    Pass it to `fit` or `fit_one_cycle` together with `start_epoch=resume.start_epoch`. A resumed training
    prints the table of all epochs and ends at the weights and the best epoch of an uninterrupted one; a
    finished one is loaded. A `Learner` with another loss, optimizer, weight decay or number of epochs than
    `state.pth` in the folder (of `checkpoints.checkpoint_folder`) is an error.
    """

    order = TrackerCallback.order + 5  # after SaveModelCallback and WeightAverage

    def __init__(self, folder: Path) -> None:
        self.file, self.state = folder / "state.pth", {"rows": []}
        if self.file.is_file():
            self.state = torch.load(self.file, map_location="cpu", weights_only=True)

    @property
    def start_epoch(self) -> int:
        """Number of epochs in the saved state."""
        return len(self.state["rows"])

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, from 1; loss and accuracy are of the training batches as they were seen."""
        return pd.DataFrame(self.state["rows"]).drop(columns="log", errors="ignore")

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, with the highest accuracy on validation; the earliest of equals."""
        return 1 + int(self.history["val_accuracy"].argmax())

    def before_fit(self) -> None:
        if not hasattr(self.learn, "skip_to_epoch"):
            self.state = {"rows": []}
            return
        if (before := self.state["settings"]) != (now := self._settings()):
            folder = self.file.parent
            raise ConfigError(f"{folder} has a training with {before}, not {now}; delete it to train again")
        self.model.load_state_dict(self.state["model"])
        if "average" in self.state:
            self.learn.weight_average.average.load_state_dict(self.state["average"])
        on_device = to_device(self.state["optimizer"], self.dls.device)
        self.opt.load_state_dict({"hypers": self.opt.hypers, "state": on_device})
        loss = self.recorder.smooth_loss
        loss.val, loss.count = torch.tensor(self.state["smooth_loss"]), self.start_epoch * len(self.dls.train)
        for callback in self.learn.cbs:
            if callback.name in self.state["best"]:
                callback.best = self.state["best"][callback.name]
        if hasattr(self.learn, "param_scheduler"):
            self.learn.param_scheduler.hps = {name: [*values] for name, values in self.state["hps"].items()}

    def _settings(self) -> str:
        """Return what a notebook sets in its Learner, and what may therefore differ from the parameters."""
        loss = getattr(self.loss_func, "func", self.loss_func)
        weights = loss.state_dict() if isinstance(loss, nn.Module) else {}
        steps = [getattr(step, "func", step).__name__ for step in self.opt.cbs]
        decay = self.opt.hypers[-1].get("wd")
        return f"{loss} {weights}, {steps}, weight decay {decay}, {self.n_epoch} epochs"

    def after_cancel_epoch(self) -> None:
        if self.epoch < self.start_epoch:
            row = self.state["rows"][self.epoch]
            self.recorder.log = L([*row["log"]])
            self.recorder.start_epoch = time.time() - row["seconds"]

    def before_train(self) -> None:
        self._begin, self._images = time.perf_counter(), 0
        self._sums = torch.zeros(2, device=self.dls.device)

    def after_loss(self) -> None:
        if self.training:
            labels = self.y if self.y.ndim == 1 else self.y.argmax(dim=1)  # of shares of votes
            correct = (self.pred.detach().argmax(dim=1) == labels).sum()
            self._sums += torch.stack([self.loss.detach() * len(self.y), correct])
            self._images += len(self.y)

    def after_train(self) -> None:
        self._train_seconds = time.perf_counter() - self._begin

    def after_epoch(self) -> None:
        if self.epoch < self.start_epoch:
            return
        loss, accuracy = (self._sums / self._images).tolist()
        log = [float(value) for value in self.recorder.values[-1]]
        measured = dict(zip(self.recorder.metric_names[1:], log, strict=False))
        row = {
            "epoch": self.epoch + 1,
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": measured["valid_loss"],
            "val_accuracy": measured["accuracy"],
            "seconds": time.perf_counter() - self._begin,
            "images_per_second": self._images / self._train_seconds,
            "log": [self.epoch, *log],
        }
        hps = self.learn.param_scheduler.hps if hasattr(self.learn, "param_scheduler") else {}
        self.state = {
            "settings": self._settings(),
            "rows": [*self.state["rows"], row],
            "model": self.model.state_dict(),
            "optimizer": self.opt.state_dict()["state"],
            "smooth_loss": float(self.recorder.smooth_loss.val),
            "best": {cb.name: float(cb.best) for cb in self.learn.cbs if isinstance(cb, TrackerCallback)},
            "hps": {name: [float(value) for value in values] for name, values in hps.items()},
        }
        if hasattr(self.learn, "weight_average"):
            self.state["average"] = self.learn.weight_average.average.state_dict()
        with atomic_write(self.file) as temporary:
            torch.save(self.state, temporary)
        # glibc keeps freed memory in small pieces: 55 epochs of a small ResNet once grew to 23 GB.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)


class WeightAverage(Callback):
    """Validate, and let `SaveModelCallback` save, a moving average of weights and normalisation statistics.

    After every step the average moves by 1 - d towards the network, d being the smaller of `decay` and
    (1 + steps) / (10 + steps), so that a short training does not remember its start: Polyak & Juditsky,
    *Acceleration of stochastic approximation by averaging* (1992). 0.999 averages over the last 1,000 steps.
    """

    order = TrackerCallback.order + 2  # SaveModelCallback saves the average; then training continues

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def before_fit(self) -> None:
        def moved(average: Tensor, current: Tensor, steps: int | Tensor) -> Tensor:
            step = 1 - min(self.decay, (1 + int(steps)) / (10 + int(steps)))
            return average.lerp(current, step) if average.is_floating_point() else current

        self.average, self._trained = AveragedModel(self.model, avg_fn=moved, use_buffers=True), None

    def after_step(self) -> None:
        self.average.update_parameters(self.model)

    def before_validate(self) -> None:
        self._trained = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.module.state_dict())

    def after_epoch(self) -> None:
        if self._trained is not None:
            self.model.load_state_dict(self._trained)
            self._trained = None


def predict_probabilities(model: nn.Module, images: np.ndarray, *, views: Tensor | None = None) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images (N, H, W) or clips (N, T, H, W), uint8.

    They are the mean over `views` of an image, float32 of shape (V, 2, 3), such as `batches.ten_crop()`. The
    model may be on any device; its mode stays.
    """
    device, was_training, size = next(model.parameters()).device, model.training, hardware.VALIDATION_BATCH
    model.eval()
    found = []
    with torch.inference_mode(), memory_errors(hardware.VALIDATION_SETTING, size):
        for start in range(0, len(images), size):
            chunk = np.ascontiguousarray(images[start : start + size])
            batch = torch.tensor(chunk, device=device).unsqueeze(1).float()
            seen = [batch]
            if views is not None:
                seen = [warp(batch, view.expand(len(batch), 2, 3)) for view in views.to(device)]
            logits = torch.stack([model(view).float() for view in seen])
            found.append(logits.softmax(dim=2).mean(dim=0).cpu().numpy())
    model.train(was_training)
    return np.concatenate(found)


def predict(model: nn.Module, samples: Samples, *, views: Tensor | None = None) -> Predictions:
    """Return the predictions for a FaceSet or ClipSet; see `predict_probabilities`."""
    probabilities = predict_probabilities(model, samples.pixels, views=views)
    return Predictions(
        samples.sample_id, samples.labels, probabilities, samples.class_names, group=samples.subject
    )
