"""`Network` for torch: forward hooks, autograd."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from fer_utils.explain.network import Network, evenly_spaced
from fer_utils.files import ConfigError


class TorchNetwork(Network):
    """A torch module that returns logits, shape (N, K). Layers have their names in `named_modules`."""

    model: nn.Module

    def filters(self) -> np.ndarray:  # noqa: D102
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d):
                return module.weight.detach().sum(dim=1).cpu().numpy()
        raise ValueError(f"{type(self.model).__name__} has no Conv2d layer, so there are no filters to show")

    def randomised(self, from_layer: str, *, seed: int) -> Self:  # noqa: D102
        self._check_layer(from_layer)
        fresh = copy.deepcopy(self.model).cpu()  # a GPU would draw other numbers from the same seed
        modules = [(name, module) for name, module in fresh.named_modules() if name]
        start = [name for name, _ in modules].index(from_layer)
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            for name, module in reversed(modules[start:]):
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
                elif list(module.parameters(recurse=False)):
                    raise ConfigError(f"layer {name!r} has weights but no reset_parameters method")
        return type(self)(fresh.to(self._device()), cascade=self.cascade)

    def _rows(self, size: Sequence[int], depth: int | None = None) -> list[tuple]:
        modules = {name: module for name, module in self.model.named_modules() if name}
        single = {name for name, module in modules.items() if not list(module.children())}
        level = {name: name.count(".") + 1 for name in modules}
        if depth is None:
            listed = single
        else:
            listed = {
                name for name in modules if level[name] == depth or (name in single and level[name] < depth)
            }
        shapes: dict[str, Sequence[int]] = {}

        def note(name: str, output: Tensor) -> Tensor:
            shapes[name] = output.shape[1:]
            return output

        with self._watch(listed, note):
            self.predict(np.zeros((1, *size), np.uint8))
        rows = [(name, type(modules[name]).__name__, shape, modules[name]) for name, shape in shapes.items()]
        rows.append(("total", "", (), self.model))
        return [(*row, sum(values.numel() for values in module.parameters())) for *row, module in rows]

    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        return {
            name: min(shape[1:], default=0) for name, kind, shape, _ in self._rows(size) if kind == "ReLU"
        }

    def _layer_names(self) -> list[str]:
        return [name for name, _ in self.model.named_modules() if name]

    def _default_cascade(self) -> tuple[str, ...]:
        """Blocks are the model's children; of all but the last (the head), their children."""

        def with_weights(module: nn.Module) -> list[str]:
            return [name for name, child in module.named_children() if list(child.parameters())]

        names, blocks = [], with_weights(self.model)
        for name in blocks[:-1]:
            inner = with_weights(self.model.get_submodule(name))
            names += [f"{name}.{child}" for child in inner] or [name]
        return evenly_spaced(names + blocks[-1:])

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        with self._evaluating(), torch.no_grad():
            return self._logits(images).float().softmax(dim=1).cpu().numpy()

    def _maps_and_gradients(
        self, images: np.ndarray, classes: np.ndarray, layer: str
    ) -> tuple[np.ndarray, np.ndarray]:
        with self._evaluating():
            return maps_and_gradients(self, images, classes, layer)

    @contextmanager
    def _watch(self, layers: Sequence[str], see: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
        with ExitStack() as hooks:
            for name in layers:
                module = self.model.get_submodule(name)
                hook = module.register_forward_hook(lambda _m, _i, output, name=name: see(name, output))
                hooks.enter_context(hook)
            yield

    def _to_numpy(self, output: Tensor) -> np.ndarray:
        return output.detach().cpu().numpy().copy()

    def _logits(self, images: np.ndarray) -> Tensor:
        return self.model(torch.tensor(np.asarray(images))[:, None].to(self._device()))

    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        before = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            yield
        finally:
            for module, training in before:  # one by one: part of a network may be frozen
                module.training = training


def maps_and_gradients(
    network: Network, images: np.ndarray, classes: np.ndarray, layer: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's maps and gradients of the classes' logits; also for Keras on torch.

    The map is detached, so that the gradient exists in a frozen network, too. The layers after it get a copy,
    because an in-place ReLU would change the map.
    """
    captured: list[Tensor] = []

    def cut(_: str, output: Tensor) -> Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[-1].clone()

    with torch.enable_grad(), network._watch([layer], cut):
        logits = network._logits(images)
        targets = torch.from_numpy(classes).to(logits.device)
        # Images do not influence each other in evaluation mode: the sum's gradient holds each image's own.
        (gradients,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), captured[-1])
    return network._to_numpy(captured[-1]), network._to_numpy(gradients)
