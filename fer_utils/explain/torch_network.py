"""`Network` for torch: forward hooks, autograd."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fer_utils.explain.network import Network
from fer_utils.files import ConfigError


class TorchNetwork(Network):
    """A torch module that returns logits, shape (N, K). Layers have their names in `named_modules`.

    `cascade` has the last block with weights and up to five evenly spaced ones before it. Blocks are the
    model's children; of all but the last (the head), their children.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.cascade = model, _cascade(model)

    def filters(self) -> np.ndarray:
        """Return the kernels of the first 2D convolution, summed over its input channels: shape (F, h, w)."""
        for module in self.model.modules():
            if isinstance(module, nn.Conv2d):
                return module.weight.detach().sum(dim=1).cpu().numpy()
        raise ValueError(f"{type(self.model).__name__} has no Conv2d layer, so there are no filters to show")

    def layers(self, size: Sequence[int], *, depth: int | None = None) -> pd.DataFrame:
        """Return the layers in the order in which they run, with output shape and parameters, and the total.

        Parameters
        ----------
        size : sequence of int
            Height and width of the images in pixels; of clips: frames, height and width.
        depth : int, optional
            How deep to look into containers, 1 being the model's own children; by default single layers.
        """
        listed = []
        for name, module in self.model.named_modules():
            level, single = name.count(".") + 1, not list(module.children())
            if name and (single if depth is None else level == depth or (single and level < depth)):
                listed.append(name)
        shapes = {name: output.shape[1:] for name, output in self._outputs(np.zeros(size), listed).items()}
        rows = [(name, self.model.get_submodule(name), shape) for name, shape in shapes.items()]
        table = pd.DataFrame(
            {
                "kind": type(module).__name__ if name != "total" else "",
                "output": "×".join(map(str, shape)),
                "parameters": sum(values.numel() for values in module.parameters()),
            }
            for name, module, shape in [*rows, ("total", self.model, ())]
        )
        return table.set_axis([*shapes, "total"]).rename_axis("layer")

    def activations(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each layer's maps of one image, shape (H, W): layer to ndarray of shape (C, h, w)."""
        found = self._outputs(image, layers)
        return {name: found[name][0].numpy() for name in layers}

    def randomised(self, from_layer: str, *, seed: int) -> Self:  # noqa: D102
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
        return type(self)(fresh.to(self._device()))

    def _outputs(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return what each layer returns for one image, in the order in which they run."""
        found: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor) -> None:
            found[name] = output.detach().cpu().clone()  # the next layer may work in place

        with ExitStack() as hooks:
            for name in layers:
                module = self.model.get_submodule(name)
                hook = module.register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
                hooks.enter_context(hook)
            self.predict(np.asarray(image, np.uint8)[None])
        return found

    def _relu_sizes(self, size: Sequence[int]) -> dict[str, int]:
        relus = [name for name, module in self.model.named_modules() if isinstance(module, nn.ReLU)]
        outputs = self._outputs(np.zeros(size), relus)
        return {name: min(output.shape[2:], default=0) for name, output in outputs.items()}

    def _layer_names(self) -> list[str]:
        return [name for name, _ in self.model.named_modules() if name]

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        with self._evaluating(), torch.no_grad():
            return self._logits(images).float().softmax(dim=1).cpu().numpy()

    def _maps_and_gradients(
        self, images: np.ndarray, classes: np.ndarray, layer: str
    ) -> tuple[np.ndarray, np.ndarray]:
        with self._evaluating():
            return maps_and_gradients(self, images, classes, layer)

    def _watch(self, layer: str, see: Callable[[Any], Any]) -> Any:
        return self.model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: see(output))

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

    def cut(output: Tensor) -> Tensor:
        captured.append(output.detach().requires_grad_())
        return captured[-1].clone()

    with torch.enable_grad(), network._watch(layer, cut):
        logits = network._logits(images)
        targets = torch.from_numpy(classes).to(logits.device)
        # Images do not influence each other in evaluation mode: the sum's gradient holds each image's own.
        (gradients,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), captured[-1])
    return captured[-1].detach().cpu().numpy(), gradients.cpu().numpy()


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
