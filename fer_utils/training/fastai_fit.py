"""Torch networks, trained by fastai's Learner: `prepare`, `learner`, `fit`, `predict_probabilities`."""

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_utils import hardware
from fer_utils.data import Samples
from fer_utils.files import ConfigError
from fer_utils.training import batches, callbacks, check_labelled, common, rates, torch_state
from fer_utils.training.batches import Augmentation, Batches, memory_errors, warp
from fer_utils.training.callbacks import Averaging, Clock, Progress, Reseed
from fer_utils.training.common import Choice, Fit, Record
from fer_utils.training.rates import SCHEDULES, Schedule, course

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    import fastai
    from fastai.callback.core import TrainEvalCallback
    from fastai.callback.mixup import MixUp
    from fastai.callback.schedule import ParamScheduler  # its module gives the Learner lr_find
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner, Recorder
    from fastai.optimizer import SGD, Adam, Optimizer, RMSProp, average_grad, l2_reg


def _nesterov(
    params: list[list[nn.Parameter]],
    lr: float,
    mom: float = 0.9,
    wd: float = 0.0,
    *,
    decouple_wd: bool,  # as fastai's own have it; `fit` never does
) -> Optimizer:
    """SGD with Nesterov's momentum as torch has it (Sutskever et al., ICML 2013), for fastai's Learner."""
    return Optimizer(params, [l2_reg, average_grad, _nesterov_step], lr=lr, mom=mom, wd=wd)


def _nesterov_step(p: nn.Parameter, lr: float, mom: float, grad_avg: Tensor, **_: object) -> None:
    p.data.add_(p.grad.data, alpha=-lr).add_(grad_avg, alpha=-lr * mom)


OPTIMIZERS = {"adam": Adam, "rmsprop": RMSProp, "sgd": SGD, "nesterov": _nesterov}
"""By the name in a notebook's parameters; fastai's own settings but for L2 in place of decoupled decay."""
Name = Literal["adam", "rmsprop", "sgd", "nesterov"]
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
    MissingGPU
        When "cuda" is asked for and torch sees no GPU.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # which keeps 10 bits of what is called float32
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
    optimizer: Name = "adam",
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
    on_device, loss = partial(Batches, device=device), partial(_loss, label_smoothing=label_smoothing)
    loss.y_int = True  # tells MixUp to mix the losses of two truths, not their numbers
    with memory_errors(setting="batch_size", size=batch_size):
        loaders = DataLoaders(
            on_device(train, batch_size=batch_size, seed=seed, augmentation=augmentation),
            on_device(validation, batch_size=hardware.VALIDATION_BATCH),
            device=torch.device(device),
        )
        _place(model, device)
    learn = Learner(
        loaders,
        model,
        loss_func=loss,
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
    optimizer: Name = "adam",
    momentum: float | None = None,
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
    schedule: Schedule = "constant",
    augmentation: Augmentation | None = None,
    mixup: float = 0.0,
    groups: Groups = one_group,
    frozen: bool = False,
    lowest_rate: float | None = None,
    mixed_precision: bool = False,
    compiled: bool = False,
    weight_averaging: float = 0.0,
    keep_every: int = 0,
    checkpoint_every: int = 1,
    choose: Choice = "best",
    log: Callable[[str], None] = print,
) -> Fit:
    """Train a classifier and leave it, on `device`, with the weights of one epoch: the best on validation.

    A checkpoint with all state is named by everything that determines the training, the weights it starts
    from included: the same call finds it again after a kill and continues to the same result; any other
    setting, data, version or code never does. The network changes only when all is done, so that a stopped
    cell can simply be run again; a finished training is found again by the network that it started from.

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
    optimizer : {"adam", "rmsprop", "sgd", "nesterov"}
        With fastai's own constants; "nesterov" is SGD with Nesterov's momentum.
    momentum : float or None
        In place of fastai's own, which is 0 for "sgd" and "rmsprop" and here 0.9 for "nesterov"; one_cycle
        varies it by itself.
    weight_decay : float
        L2 regularisation: `weight_decay * w` is added to the gradient, as by a penalty of half as much times
        the sum of squares (so Keras' `l2` is half of it). Biases and normalisation are left out.
    label_smoothing : float
        Share of the truth that is spread evenly over all classes, in the loss of training and validation.
    schedule : {"constant", "one_cycle", "cosine"}
        The learning rate over the training: `rates.course`.
    augmentation : Augmentation or None
        Of training images only.
    mixup : float
        Both parameters of the Beta distribution that says how two training images, and their losses, are
        mixed; 0 mixes none: Zhang et al., *mixup: beyond empirical risk minimization* (ICLR 2018), as fastai
        has it. The accuracy on training images then counts the class of the stronger of the two.
    groups : callable
        From the network to the parameters to train, in groups; those of the group next to the pixels first.
    frozen : bool
        Train the last group alone, and, as fastai does, the batch normalisation of all.
    lowest_rate : float or None
        Learning rate of the first group, from which the others' rise by equal factors to `learning_rate`;
        None gives all groups the same.
    mixed_precision : bool
        Compute in bfloat16 where that is safe; weights and results stay float32.
    compiled : bool
        Compile the network (`torch.compile`), for its training alone. What that takes stands apart, in the
        history's column compile_seconds.
    weight_averaging : float
        How much of the running mean of the weights a step keeps, such as 0.999; validation and the result are
        of the mean: `callbacks.Averaging`. 0 takes the weights as they are.
    keep_every : int
        Keep the weights of every so many epochs, and of the last, as files beside the checkpoint; 0 keeps
        none.
    checkpoint_every : int
        After how many epochs the checkpoint is written: writing takes seconds where a network is large, and a
        stop costs the epochs since. It changes no number.
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
        For an unknown optimizer or schedule, mixed precision on a GPU without it, a batch too large for the
        GPU, or kept weights that are gone.

    Notes
    -----
    Numbers repeat to the last bit on a CPU of one kind with the same number of threads; on a GPU nearly.
    """
    begun = time.perf_counter()
    check_labelled(train, validation)
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
        "mixup": mixup,
        "mixed_precision": mixed_precision,
        "compiled": compiled,
        "weight_averaging": weight_averaging,
        "keep_every": keep_every,
        "lowest_rate": lowest_rate,
        "groups": [len(group) for group in groups(model)],
    }
    changes = None if augmentation is None else asdict(augmentation)
    key = [
        torch_state.network_key(model),
        common.data_key(train, validation),
        [settings, plan, changes],
        [torch.__version__, fastai.__version__, np.__version__, torch.get_num_threads()],
        common.code_key(*_CODE),
    ]
    path = common.checkpoint_path(checkpoint_dir, key)
    kept = _kept(path, epochs, keep_every)
    network = _twin(model, device, compiled=compiled, mixed_precision=mixed_precision)
    learn = learner(network, train, validation, augmentation=augmentation, groups=groups, **settings)
    with _memory_errors(learn):
        if weight_averaging:
            learn.add_cb(Averaging(network, decay=weight_averaging))
        if mixup:
            learn.add_cb(MixUp(mixup))
        record = Record(path, torch_state.state(learn), epochs=epochs, log=log, every=checkpoint_every)
        if record.resumed_from < epochs:
            seconds = _warm_up(learn) if compiled else 0.0
            clock = Clock(begun, record.state.rows, compile_seconds=seconds)
            _train(learn, record, schedule, lowest_rate, clock=clock, kept=kept)
    if gone := [file for file in kept.values() if not file.is_file()]:
        raise ConfigError(f"keep_every={keep_every}: {gone[0]} is gone; delete {path} and train again")
    chosen = record.state.best if choose == "best" else record.state.model
    _place(model, device).load_state_dict(torch_state.tensors(chosen))
    return replace(record.fit(choose), kept=kept)


def predict_probabilities(
    model: nn.Module, images: np.ndarray, *, batch_size: int | None = None, views: Tensor | None = None
) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images (N, H, W) or clips (N, T, H, W), uint8.

    On the device that the network is on, in evaluation mode, whatever mode it is in before and after.

    Parameters
    ----------
    model : nn.Module
    images : ndarray of uint8
    batch_size : int, optional
        Images at once, `hardware.VALIDATION_BATCH` by default.
    views : Tensor of float32, shape (V, 2, 3), or None
        Of each image the mean of the probabilities over these views, such as `batches.ten_crop()`; images
        alone. None looks once, at the whole image.

    Raises
    ------
    ConfigError
        For a batch too large for the GPU, with the size to try.
    """
    device, was_training = next(model.parameters()).device, model.training
    views = None if views is None else views.to(device)
    setting = "batch_size" if batch_size else hardware.VALIDATION_SETTING
    size = batch_size or hardware.VALIDATION_BATCH
    model.eval()
    parts = []
    with torch.inference_mode(), memory_errors(setting=setting, size=size):
        for start in range(0, len(images), size):
            batch = torch.tensor(np.ascontiguousarray(images[start : start + size]), device=device)
            batch = batch.unsqueeze(1).float()
            looks = (
                [batch] if views is None else [warp(batch, view.expand(len(batch), 2, 3)) for view in views]
            )
            said = [functional.softmax(model(look).float(), dim=1) for look in looks]
            parts.append(torch.stack(said).mean(dim=0).cpu().numpy())
    model.train(was_training)
    return np.concatenate(parts)


_CODE = [__file__, *(part.__file__ for part in (batches, callbacks, rates, torch_state))]


def _twin(model: nn.Module, device: str, *, compiled: bool, mixed_precision: bool) -> nn.Module:
    network = deepcopy(model)
    if compiled:
        torch.compiler.reset()  # it keeps a few graphs only, those of an earlier training included
        network.forward = torch.compile(network.forward, dynamic=False)
    if mixed_precision:
        # Around the forward pass alone: left open, it would keep copies of weights that a step has changed.
        # And around what is compiled: of a forward pass that is no method any more torch compiles fragments.
        network.forward = _autocast(device)(network.forward)
    return network


def _kept(checkpoint: Path, epochs: int, every: int) -> dict[int, Path]:
    chosen = sorted({*range(every, epochs + 1, every), epochs}) if every else []
    return {epoch: checkpoint.with_name(f"{checkpoint.stem}-epoch{epoch}.safetensors") for epoch in chosen}


def _train(
    learn: Learner,
    record: Record,
    schedule: Schedule,
    lowest_rate: float | None,
    *,
    clock: Clock,
    kept: dict[int, Path],
) -> None:
    torch_state.restore(learn, record.state)
    progress = Progress(record, learning_rate=learn.lr, clock=clock, kept=kept)
    learn.opt.set_hyper("lr", learn.lr if lowest_rate is None else slice(lowest_rate, learn.lr))
    highest = np.array([hyper["lr"] for hyper in learn.opt.hypers])
    varied = course(schedule, highest)
    extra = [ParamScheduler(varied), progress] if varied else [progress]
    # fastai's own Recorder would wait for the device after every batch.
    with learn.no_logging(), learn.removed_cbs(learn.recorder):
        learn.fit(record.epochs, highest.tolist(), cbs=extra, start_epoch=record.resumed_from)
    if progress.diverged is not None:
        raise progress.diverged


def _warm_up(learn: Learner) -> float:
    # Every size of batch has a graph of its own, and all are compiled here, where it can be timed.
    begun, model = time.perf_counter(), learn.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for loader, training in ((learn.dls.train, True), (learn.dls.valid, False)):
        model.train(training)
        for images, labels in loader.of_each_size():
            with torch.set_grad_enabled(training):
                loss = learn.loss_func(model(images), labels)
            if training:
                loss.backward()
    model.load_state_dict(before)
    model.zero_grad(set_to_none=True)
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _place(model: nn.Module, device: str) -> nn.Module:
    # On a CPU, too, a step of six convolutions at 48 pixels takes a fifth less time with channels last.
    # Those over clips of one channel gain nothing.
    if any(isinstance(module, nn.Conv3d) for module in model.modules()):
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def _loss(logits: Tensor, labels: Tensor, *, label_smoothing: float, reduction: str = "mean") -> Tensor:
    return functional.cross_entropy(
        logits.float(), labels, label_smoothing=label_smoothing, reduction=reduction
    )


def _autocast(device: str) -> torch.autocast:
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ConfigError("mixed_precision=true: this GPU has no bfloat16; use mixed_precision=false")
    return torch.autocast(device, dtype=torch.bfloat16)


@contextmanager
def _memory_errors(learn: Learner) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        validating = learn.model is not None and not learn.model.training
        setting = hardware.VALIDATION_SETTING if validating else "batch_size"
        size = (learn.dls.valid if validating else learn.dls.train).batch_size
        with memory_errors(setting=setting, size=size):
            raise
