"""A torch network and fastai's optimiser as arrays, and what names a network in a training's key."""

import hashlib
import sys
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from fer_utils.training import common
from fer_utils.training.common import Arrays, State

if TYPE_CHECKING:
    from fastai.learner import Learner

_TRAINED = "trained/"


def state(learn: "Learner") -> State:
    """Return copies of the network's and the optimiser's arrays.

    Where `callbacks.Averaging` has put mean weights into the network, those that are trained stand with the
    optimiser's.
    """
    moments = {
        f"{i}/{name}": _array(value)
        for i, parameter in enumerate(learn.opt.state_dict()["state"])
        for name, value in parameter.items()
        if not isinstance(value, bool)  # whether it decays: a Learner knows that anew
    }
    averaging = getattr(learn, "averaging", None)
    if averaging is not None:
        trained = averaging.aside or learn.model.state_dict()
        moments |= {_TRAINED + name: _array(value) for name, value in trained.items()}
    return State(model=arrays(learn.model), optimizer=moments)


def restore(learn: "Learner", stored: State) -> None:
    """Put what `state` returned into a Learner with the same network, callbacks and a new optimiser."""
    learn.model.load_state_dict(tensors(stored.model))
    trained = {name: array for name, array in stored.optimizer.items() if name.startswith(_TRAINED)}
    if trained:
        learn.averaging.resume(epochs=len(stored.rows))
        own = {name.removeprefix(_TRAINED): array for name, array in trained.items()}
        learn.model.load_state_dict(tensors(own))
    parameters = list(learn.opt.all_params().itemgot(0))
    for entry in stored.optimizer.keys() - trained.keys():
        i, name = entry.split("/")
        parameter, array = parameters[int(i)], stored.optimizer[entry]
        # Adam counts its steps in a plain number; the rest lies in memory as the parameter does.
        value = array.item() if name == "step" else torch.empty_like(parameter).copy_(torch.tensor(array))
        learn.opt.state[parameter][name] = value


def arrays(model: nn.Module) -> Arrays:
    """Return copies of all parameters and buffers by name."""
    return {name: _array(value) for name, value in model.state_dict().items()}


def tensors(stored: Arrays) -> dict[str, Tensor]:
    """Return what `arrays` returned as a state dict."""
    return {name: torch.tensor(array) for name, array in stored.items()}


def network_key(model: nn.Module) -> list[object]:
    """Return what names a network: its layers with their settings, its weights, its code.

    Its mode (training or evaluation) and device do not count.
    """
    weights = hashlib.sha256()
    for name, array in arrays(model).items():
        weights.update(f"{name} {array.dtype} {array.shape}".encode())
        weights.update(array)
    learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [repr(model), _plain_attributes(model), weights.hexdigest(), learned, _code(model)]


def _array(value: Tensor | int) -> np.ndarray:
    # A copy: a tensor on the CPU shares its memory with the array, and the next step changes it.
    return value.detach().cpu().numpy().copy() if isinstance(value, Tensor) else np.array(value)


def _plain_attributes(model: nn.Module) -> list[tuple[str, str]]:
    # Settings that a module keeps beside its weights and that its repr may not show.
    found = [
        (f"{place}.{name}", repr(value))
        for place, module in model.named_modules()
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training"
    ]
    return [entry for entry in found if " at 0x" not in entry[1]]  # an address differs in every process


def _code(model: nn.Module) -> list[str]:
    # Of the modules that define the network's classes; torch's own have a version, a notebook has no file.
    names = {type(module).__module__ for module in model.modules()}
    files = [
        getattr(sys.modules.get(name), "__file__", None) for name in names if name.split(".")[0] != "torch"
    ]
    return common.code_key(*sorted(file for file in files if file is not None))
