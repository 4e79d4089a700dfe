"""`Network` for torch: forward hooks, autograd."""

import copy
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from fer_utils.explain.network import Network


class TorchNetwork(Network):
    """A torch module that returns logits, shape (N, K), and is set to evaluation mode by every method.

    `cascade` has the last block with weights and up to five evenly spaced children of those before it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.cascade = model, _cascade(model)

    def filters(self) -> np.ndarray:
        """Return the kernels of the first 2D convolution, summed over its input channels: shape (F, h, w)."""
        first = next(module for module in self.model.modules() if isinstance(module, nn.Conv2d))
        return first.weight.detach().sum(dim=1).cpu().numpy()

    def activations(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each layer's maps of one image, shape (H, W): layer to ndarray of shape (C, h, w)."""
        found = self._outputs(image, layers)
        return {name: found[name][0].numpy() for name in layers}

    def randomised(self, from_layer: str, *, seed: int) -> Self:  # noqa: D102
        fresh = copy.deepcopy(self.model).cpu()  # a GPU would draw other numbers from the same seed
        modules = dict(fresh.named_modules())
        start = list(modules).index(from_layer)
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            for module in reversed(list(modules.values())[start:]):
                if list(module.parameters(recurse=False)):
                    module.reset_parameters()
        return type(self)(fresh.to(self._device()))

    def _outputs(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return what each layer returns for one image, in the order in which they run."""
        found: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor) -> None:
            found[name] = output.detach().cpu().clone()  # the next layer may work in place

        with ExitStack() as hooks:
            for name in layers:
                hooks.enter_context(self._watch(name, partial(keep, name)))
            self.predict(np.asarray(image, np.uint8)[None])
        return found

    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        modules = self.model.named_modules()
        relus = [name for name, module in modules if isinstance(module, nn.ReLU | nn.ReLU6)]
        outputs = self._outputs(np.zeros(size), relus)
        return {name: min(output.shape[2:], default=0) for name, output in outputs.items()}

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self._logits(images).float().softmax(dim=1).cpu().numpy()

    def _watch(self, layer: str, see: Callable[[Tensor], Tensor | None]) -> Any:
        return self.model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: see(output))

    def _logits(self, images: np.ndarray) -> Tensor:
        return self.model.eval()(torch.tensor(np.asarray(images))[:, None].to(self._device()))

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device


def _cascade(model: nn.Module) -> tuple[str, ...]:
    def with_weights(module: nn.Module) -> list[str]:
        return [name for name, child in module.named_children() if list(child.parameters())]

    *blocks, last = with_weights(model)
    others = []
    for name in blocks:
        inner = with_weights(model.get_submodule(name))
        others += [f"{name}.{child}" for child in inner] or [name]
    chosen = np.linspace(len(others) - 1, 0, min(5, len(others))).round().astype(int)
    return (last, *(others[number] for number in chosen))
