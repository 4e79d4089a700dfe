"""Torch networks, trained by fastai's Learner: `prepare`, `learner`, `fit`, `predict_probabilities`."""

import tempfile
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
from fer_utils.training import batches, callbacks, common, torch_state
from fer_utils.training.batches import Augmentation, Batches, warp
from fer_utils.training.callbacks import Progress, Reseed
from fer_utils.training.common import Choice, Fit, Record

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    import fastai
    import fastai.callback.schedule  # gives the Learner fit_one_cycle and lr_find
    from fastai.callback.core import TrainEvalCallback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner, Recorder
    from fastai.optimizer import SGD, Adam, RMSProp

OPTIMIZERS = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD}
"""By the name in a notebook's parameters; fastai's own settings but for L2 in place of decoupled decay."""
SCHEDULES = ("constant", "one_cycle")
Groups = Callable[[nn.Module], list[list[nn.Parameter]]]
"""From a network to its parameters in groups, those next to the pixels first; each may have its own rate."""


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


def one_group(model: nn.Module) -> list[list[nn.Parameter]]:
    """Return all parameters that are to be trained as one group."""
    return [[parameter for parameter in model.parameters() if parameter.requires_grad]]


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
    label_smoothing: float = 0.0,
    augmentation: Augmentation | None = None,
    groups: Groups = one_group,
    frozen: bool = False,
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
    learn = Learner(
        loaders,
        _place(model, device),
        loss_func=partial(_loss, label_smoothing=label_smoothing),
        splitter=groups,
        opt_func=partial(OPTIMIZERS[optimizer], decouple_wd=False, **constants),
        lr=learning_rate,
        wd=weight_decay,
        wd_bn_bias=False,
        default_cbs=False,
        cbs=[TrainEvalCallback(), Recorder(), Reseed(seed)],
        path=tempfile.gettempdir(),  # where lr_find keeps the weights meanwhile, else in the current folder
    )
    learn.create_opt()
    if frozen:
        learn.freeze()
    return learn


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
    label_smoothing: float = 0.0,
    schedule: Literal["constant", "one_cycle"] = "constant",
    augmentation: Augmentation | None = None,
    groups: Groups = one_group,
    frozen: bool = False,
    lowest_rate: float | None = None,
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
    label_smoothing : float
        Share of the truth that is spread evenly over all classes, in the loss of training and validation.
    schedule : {"constant", "one_cycle"}
        The learning rate over the training.
    augmentation : Augmentation or None
        Of training images only.
    groups : callable
        From the network to the parameters to train, in groups; those of the group next to the pixels first.
    frozen : bool
        Train the last group alone, and, as fastai does, the batch normalisation of all.
    lowest_rate : float or None
        Learning rate of the first group, from which the others' rise by equal factors to `learning_rate`;
        None gives all groups the same.
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
        "label_smoothing": label_smoothing,
        "frozen": frozen,
    }
    plan = {
        "epochs": epochs,
        "schedule": schedule,
        "mixed_precision": mixed_precision,
        "lowest_rate": lowest_rate,
        "groups": [len(group) for group in groups(model)],
    }
    changes = None if augmentation is None else asdict(augmentation)
    key = [
        torch_state.network_key(model),
        common.data_key(train, validation),
        [settings, plan, changes],
        [torch.__version__, fastai.__version__, np.__version__, torch.get_num_threads()],
        common.code_key(__file__, batches.__file__, callbacks.__file__, torch_state.__file__),
    ]
    path = common.checkpoint_path(checkpoint_dir, key)
    network = deepcopy(model)
    if mixed_precision:
        # Around the forward pass alone: left open, it would keep copies of weights that a step has changed.
        network.forward = _autocast(device)(network.forward)
    with _memory_errors(batch_size):
        learn = learner(network, train, validation, augmentation=augmentation, groups=groups, **settings)
        record = Record(path, torch_state.state(learn), epochs=epochs, log=log)
        _train(learn, record, schedule, lowest_rate)
    kept = record.state.best if choose == "best" else record.state.model
    _place(model, device).load_state_dict(torch_state.tensors(kept))
    return record.fit(choose)


def predict_probabilities(
    model: nn.Module, images: np.ndarray, *, batch_size: int = 256, views: Tensor | None = None
) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images (N, H, W) or clips (N, T, H, W), uint8.

    On the device that the network is on, in evaluation mode, whatever mode it is in before and after.

    Parameters
    ----------
    model : nn.Module
    images : ndarray of uint8
    batch_size : int
        Images at once.
    views : Tensor of float32, shape (V, 2, 3), or None
        Of each image the mean of the probabilities over these views, such as `batches.ten_crop()`; images
        alone. None looks once, at the whole image.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = torch.tensor(np.ascontiguousarray(images[start : start + batch_size]), device=device)
            batch = batch.unsqueeze(1).float()
            looks = (
                [batch] if views is None else [warp(batch, view.expand(len(batch), 2, 3)) for view in views]
            )
            said = [functional.softmax(model(look).float(), dim=1) for look in looks]
            parts.append(torch.stack(said).mean(dim=0).cpu().numpy())
    model.train(was_training)
    return np.concatenate(parts)


def _train(learn: Learner, record: Record, schedule: str, lowest_rate: float | None) -> None:
    torch_state.restore(learn, record.state)
    progress = Progress(record, learning_rate=learn.lr)
    run = learn.fit if schedule == "constant" else learn.fit_one_cycle
    rates = learn.lr if lowest_rate is None else slice(lowest_rate, learn.lr)
    with learn.no_logging():
        run(record.epochs, rates, cbs=[progress], start_epoch=record.resumed_from)
    if progress.diverged is not None:
        raise progress.diverged


def _place(model: nn.Module, device: str) -> nn.Module:
    # On a CPU, too, a step of six convolutions at 48 pixels takes a fifth less time with channels last.
    # Those over clips of one channel gain nothing.
    if any(isinstance(module, nn.Conv3d) for module in model.modules()):
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def _loss(logits: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
    return functional.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)


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
