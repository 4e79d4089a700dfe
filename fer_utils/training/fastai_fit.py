"""Torch networks, trained by fastai's Learner: `prepare`, `learner`, `fit`, `predict_probabilities`."""

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_utils.data.samples import Samples
from fer_utils.files import ConfigError
from fer_utils.training import batches, common, torch_state
from fer_utils.training.batches import Augmentation, Batches
from fer_utils.training.common import Choice, Fit, Measured, Record, TrainingDiverged

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    import fastai
    import fastai.callback.schedule  # gives the Learner fit_one_cycle and lr_find
    from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner, Recorder
    from fastai.optimizer import SGD, Adam, RMSProp

OPTIMIZERS = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
"""By the name in a notebook's parameters; fastai's own settings but for L2 in place of decoupled decay."""
SCHEDULES = ("constant", "one_cycle")


def prepare(*, threads: int, device: Literal["auto", "cpu", "cuda"] = "auto") -> dict[str, str]:
    """Fix what makes a torch training repeat.

    Parameters
    ----------
    threads : int
        Threads of one operation: sums in another order give other bits.
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where torch sees one.

    Returns
    -------
    dict
        `device` ("cpu" or "cuda", what `fit` takes), `device_name`, `backend` ("torch").

    Raises
    ------
    ConfigError
        When "cuda" is asked for and torch sees no GPU.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    gpu_name = torch.cuda.get_device_name(0) if device != "cpu" and torch.cuda.is_available() else None
    return common.hardware(gpu_name, backend="torch", device=device)


def learner(
    model: nn.Module,
    train: Samples,
    validation: Samples,
    *,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: str,
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam",
    momentum: float | None = None,
    weight_decay: float = 0.0,
    augmentation: Augmentation | None = None,
) -> Learner:
    """Return the Learner that `fit` trains with, to look at or to find a learning rate with.

    It draws no bars. Every epoch starts from `seed` and its number, so that training it repeats. Parameters
    as in `fit`; the network itself is used, not a copy.
    """
    if optimizer not in OPTIMIZERS:
        raise ConfigError(f"optimizer={optimizer}: use one of {', '.join(OPTIMIZERS)}")
    constants = {} if momentum is None else {"mom": momentum}
    on_device = partial(Batches, device=device)
    loaders = DataLoaders(
        on_device(train, batch_size=batch_size, seed=seed, augmentation=augmentation),
        on_device(validation, batch_size=common.VALIDATION_BATCH),
        device=torch.device(device),
    )
    return Learner(
        loaders,
        _place(model, device),
        loss_func=_loss,
        opt_func=partial(OPTIMIZERS[optimizer], decouple_wd=False, **constants),
        lr=learning_rate,
        wd=weight_decay,
        wd_bn_bias=False,
        default_cbs=False,
        cbs=[TrainEvalCallback(), Recorder(), _Reseed(seed)],
        path=tempfile.gettempdir(),  # where lr_find keeps the weights meanwhile, else in the current folder
    )


def fit(
    model: nn.Module,
    train: Samples,
    validation: Samples,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    checkpoint_dir: Path,
    device: str,
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam",
    momentum: float | None = None,
    weight_decay: float = 0.0,
    schedule: Literal["constant", "one_cycle"] = "constant",
    augmentation: Augmentation | None = None,
    mixed_precision: bool = False,
    choose: Choice = "best",
    log: Callable[[str], None] = print,
) -> Fit:
    """Train a classifier and leave it, on `device`, with the weights of one epoch: the best on validation.

    Every epoch ends in a checkpoint with all state, named by everything that determines the training, the
    weights it starts from included: the same call finds it again after a kill and continues to the same
    result; any other setting, data, version or code never does. The network changes only when all is done, so
    that a stopped cell can simply be run again; a finished training is found again by the network that it
    started from.

    Parameters
    ----------
    model : nn.Module
        Maps float images of 0-255, shape (N, 1, H, W), or clips, shape (N, 1, T, H, W), to logits, shape
        (N, K). Parameters that do not require a gradient stay as they are.
    train, validation : Samples
        Fitted on, and looked at after every epoch.
    epochs, batch_size : int
        A single image left for the last batch joins the batch before.
    learning_rate : float
        The highest one, where `schedule` changes it.
    seed : int
        With the epoch it decides the order, the augmentation and dropout.
    checkpoint_dir : Path
        Safe to delete when nothing is running.
    device : str
        What `prepare` returned.
    optimizer : {"adam", "rmsprop", "sgd"}
        With fastai's own constants.
    momentum : float or None
        In place of fastai's own, which is 0 for "sgd" and "rmsprop"; one_cycle varies it by itself.
    weight_decay : float
        L2 regularisation: `weight_decay * w` is added to the gradient, as by a penalty of half as much times
        the sum of squares (so Keras' `l2` is half of it). Biases and normalisation are left out.
    schedule : {"constant", "one_cycle"}
        The learning rate over the training.
    augmentation : Augmentation or None
        Of training images only.
    mixed_precision : bool
        Compute in bfloat16 where that is safe; weights and results stay float32.
    choose : {"best", "last"}
        Which epoch's weights stay: that of the highest accuracy on `validation`, the earliest of equals, or
        the last, on which `validation` has no influence. It is one training either way: after one call the
        other finds it finished.
    log : callable
        Gets one line per epoch.

    Raises
    ------
    TrainingDiverged
        At the first batch whose loss is NaN or infinite.
    ValueError
        For images without a class, and for a damaged checkpoint, which names the file to delete.
    ConfigError
        For an unknown optimizer or schedule, mixed precision on a GPU without it, or a batch too large for
        the GPU.

    Notes
    -----
    Numbers repeat to the last bit on a CPU of one kind with the same number of threads; on a GPU nearly.
    """
    common.check_labelled(train, validation)
    for name, value, known in (("schedule", schedule, SCHEDULES), ("choose", choose, get_args(Choice))):
        if value not in known:
            raise ConfigError(f"{name}={value}: use {' or '.join(known)}")
    settings = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": weight_decay,
    }
    plan = {"epochs": epochs, "schedule": schedule, "mixed_precision": mixed_precision}
    changes = None if augmentation is None else asdict(augmentation)
    key = [
        torch_state.network_key(model),
        common.data_key(train, validation),
        [settings, plan, changes],
        [torch.__version__, fastai.__version__, np.__version__, torch.get_num_threads()],
        common.code_key(__file__, batches.__file__, torch_state.__file__),
    ]
    path = common.checkpoint_path(checkpoint_dir, key)
    network = deepcopy(model)
    if mixed_precision:
        # Around the forward pass alone: left open, it would keep copies of weights that a step has changed.
        network.forward = _autocast(device)(network.forward)
    with _memory_errors(batch_size):
        learn = learner(network, train, validation, augmentation=augmentation, **settings)
        learn.create_opt()
        record = Record(path, torch_state.state(learn), epochs=epochs, log=log)
        _train(learn, record, schedule)
    kept = record.state.best if choose == "best" else record.state.model
    _place(model, device).load_state_dict(torch_state.tensors(kept))
    return record.fit(choose)


def predict_probabilities(model: nn.Module, images: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images (N, H, W) or clips (N, T, H, W), uint8.

    On the device that the network is on, in evaluation mode, whatever mode it is in before and after.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = torch.tensor(np.ascontiguousarray(images[start : start + batch_size]), device=device)
            logits = model(batch.unsqueeze(1).float()).float()
            parts.append(functional.softmax(logits, dim=1).cpu().numpy())
    model.train(was_training)
    return np.concatenate(parts)


def _train(learn: Learner, record: Record, schedule: str) -> None:
    torch_state.restore(learn, record.state)
    progress = _Progress(record, learning_rate=learn.lr)
    run = learn.fit if schedule == "constant" else learn.fit_one_cycle
    with learn.no_logging():
        run(record.epochs, cbs=[progress], start_epoch=record.resumed_from)
    if progress.diverged is not None:
        raise progress.diverged


def _place(model: nn.Module, device: str) -> nn.Module:
    # On a CPU, too, a step of six convolutions at 48 pixels takes a fifth less time with channels last.
    # Those over clips of one channel gain nothing.
    if any(isinstance(module, nn.Conv3d) for module in model.modules()):
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float(), labels)


class _Reseed(Callback):
    # Dropout draws from the global random state, which is in no checkpoint: it starts anew with every epoch.
    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_epoch(self) -> None:
        self.dls.train.epoch = self.epoch
        torch.manual_seed(common.epoch_seed(self._seed, self.epoch))


class _Pass:
    # Means over all images: fastai's own training loss is a running average that favours the last batches.
    def __init__(self) -> None:
        self._start, self._images, self._loss, self._hits = time.perf_counter(), 0, 0.0, 0

    def add(self, loss: float, logits: Tensor, labels: Tensor) -> None:
        self._images += len(labels)
        self._loss += loss * len(labels)
        self._hits += int((logits.argmax(dim=1) == labels).sum())

    def measured(self) -> Measured:
        seconds = time.perf_counter() - self._start
        return Measured(self._loss / self._images, self._hits / self._images, seconds)


class _Progress(Callback):
    order = Recorder.order + 1

    def __init__(self, record: Record, *, learning_rate: float) -> None:
        self._record, self._rate = record, learning_rate
        self.diverged: TrainingDiverged | None = None

    def before_train(self) -> None:
        self._pass = _Pass()

    def before_validate(self) -> None:
        self._pass = _Pass()

    def after_loss(self) -> None:
        loss = self.loss.item()
        if self.training and not np.isfinite(loss):
            # Raised by `_train`: before an error of a callback fastai puts a preface of its own.
            self.diverged = TrainingDiverged.at(
                loss=loss, epoch=self.epoch + 1, batch=self.iter + 1, learning_rate=self._rate
            )
            raise CancelFitException
        self._pass.add(loss, self.pred, *self.yb)

    def after_train(self) -> None:
        self._trained = self._pass.measured()

    def after_validate(self) -> None:
        validated, state = self._pass.measured(), torch_state.state(self.learn)
        self._record.end_epoch(
            self._trained,
            validated,
            images=len(self.dls.train.dataset),
            model=state.model,
            optimizer=state.optimizer,
        )


def _autocast(device: str) -> torch.autocast:
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError("mixed_precision=true: this GPU has no bfloat16; use mixed_precision=false")
    return torch.autocast(device, dtype=torch.bfloat16)


@contextmanager
def _memory_errors(batch_size: int) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        smaller = max(1, batch_size // 2)
        raise ConfigError(
            f"batch_size={batch_size}: too much for the GPU's memory; try batch_size={smaller}"
        ) from error
