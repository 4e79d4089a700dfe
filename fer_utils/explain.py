"""Looking inside a torch network: its layers, first filters, activations, and what Grad-CAM says it looks at.

Nothing here changes a network: no hook stays behind, no gradient is stored, and every module is in training
or evaluation mode as it was before. Layers go by their names in `named_modules`, as `describe_layers` lists
them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_utils.files import ConfigError

SMALLEST_MAP = 6
"""Rows and columns that a map needs for Grad-CAM: one of 2x2, upsampled, says nothing about a face."""


@dataclass(frozen=True, eq=False)
class GradCAM:
    """Class-activation maps of some images.

    Attributes
    ----------
    maps : ndarray of float32, shape (N, H, W)
        At the images' size, 0 to 1: each is divided by its own maximum, so strengths do not compare between
        images. All zero where nothing in the layer speaks for the class.
    native_size : tuple of int
        Rows and columns of the layer's map before it was upsampled: what the network itself can tell apart.
    layer : str
    classes : tuple of int, length N
        The class that each map explains.
    """

    maps: np.ndarray
    native_size: tuple[int, int]
    layer: str
    classes: tuple[int, ...]


def describe_layers(model: nn.Module, size: Sequence[int] = (48, 48)) -> pd.DataFrame:
    """Return the layers in the order in which they run, with output shape and parameters, and the total.

    Parameters
    ----------
    model : nn.Module
    size : sequence of int
        Height and width of its gray images in pixels; frames, height and width of its clips.

    Returns
    -------
    DataFrame
        Index layer; columns kind, output (such as "16×48×48") and parameters, as `display.layers` for Keras.
    """
    leaves = {name: layer for name, layer in model.named_modules() if name and not list(layer.children())}
    shapes: dict[str, str] = {}

    def note(name: str, output: Tensor) -> None:
        shapes[name] = "×".join(map(str, output.shape[1:]))

    one = np.zeros((1, 1, *size), np.uint8)
    with _evaluating(model), torch.no_grad(), _watching(leaves, note):
        model(_as_input(model, one))
    rows = [
        (name, type(leaves[name]).__name__, shape, _n_parameters(leaves[name]))
        for name, shape in shapes.items()
    ]
    rows.append(("total", "", "", _n_parameters(model)))
    return pd.DataFrame(rows, columns=["layer", "kind", "output", "parameters"]).set_index("layer")


def first_layer_filters(model: nn.Module) -> np.ndarray:
    """Return the kernels of the first convolution, shape (F, h, w).

    Kernels over several input channels are summed over them: what they do to a gray picture.

    Raises
    ------
    ValueError
        When the network has no two-dimensional convolution.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight.detach().sum(dim=1).cpu().numpy()
    raise ValueError(f"{type(model).__name__} has no Conv2d layer whose filters could be shown")


def activations(model: nn.Module, image: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what some layers make of one image.

    Parameters
    ----------
    model : nn.Module
    image : ndarray, shape (H, W) or (C, H, W)
        Values as the network takes them.
    layers : sequence of str

    Returns
    -------
    dict of str to ndarray of shape (C, h, w)
        In the order of `layers`.

    Raises
    ------
    ConfigError
        For a layer that the network does not have, naming those it has, or one that gives no map.
    """
    found: dict[str, np.ndarray] = {}

    def keep(name: str, output: Tensor) -> None:
        found[name] = _checked_map(name, output)[0].cpu().numpy().copy()

    chosen = {name: _layer(model, name) for name in layers}
    with _evaluating(model), torch.no_grad(), _watching(chosen, keep):
        model(_as_input(model, np.asarray(image)[None]))
    return {name: found[name] for name in layers}


def grad_cam(model: nn.Module, images: np.ndarray, *, layer: str, classes: Sequence[int]) -> GradCAM:
    """Show where in each image the evidence for a class lies.

    The layer's channels are weighted by the mean gradient of the class's logit over their map, summed, and
    cut at zero: Selvaraju et al., *Grad-CAM* (ICCV 2017), equations 1 and 2; then upsampled (bilinear).

    Parameters
    ----------
    model : nn.Module
        Gives logits, shape (N, K).
    images : ndarray, shape (N, H, W) or (N, C, H, W)
        Values as the network takes them.
    layer : str
        One whose map has at least `SMALLEST_MAP` rows and columns, such as the last before the last pool.
    classes : sequence of int, length N
        The class to explain for each image: the true one, the predicted one, or any other.

    Raises
    ------
    ConfigError
        For a layer that the network does not have, naming those it has, or whose map is too small.
    ValueError
        When `classes` does not fit the images or the network.
    """
    captured: dict[str, Tensor] = {}

    def cut(name: str, output: Tensor) -> Tensor:
        # The gradient is asked for at this map alone, so it works in a frozen network, too. The layers
        # after it get a copy: an in-place ReLU would change the map itself.
        captured[name] = _checked_map(name, output, smallest=SMALLEST_MAP).detach().requires_grad_()
        return captured[name].clone()

    with _evaluating(model), torch.enable_grad(), _watching({layer: _layer(model, layer)}, cut):
        logits = model(_as_input(model, images))
        targets = _checked_classes(classes, logits)
        # Images do not influence each other in evaluation mode: the sum's gradient holds each image's own.
        (gradients,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), captured[layer])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    evidence = (weights * captured[layer].detach()).sum(dim=1, keepdim=True)
    maps = functional.interpolate(evidence.relu(), images.shape[-2:], mode="bilinear")[:, 0]
    highest = maps.amax(dim=(1, 2), keepdim=True)
    maps = torch.where(highest > 0, maps / highest, 0.0)
    return GradCAM(maps.cpu().numpy(), tuple(evidence.shape[2:]), layer, tuple(targets.tolist()))


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _as_input(model: nn.Module, images: np.ndarray) -> Tensor:
    tensor = torch.tensor(images)  # a copy: a data set's images are read-only
    tensor = tensor[:, None] if tensor.ndim == 3 else tensor
    return tensor.to(next(model.parameters()).device)


def _layer(model: nn.Module, name: str) -> nn.Module:
    known = {known: layer for known, layer in model.named_modules() if known}
    if name not in known:
        raise ConfigError(f"no layer {name!r}; known are {', '.join(known)}")
    return known[name]


def _checked_map(name: str, output: Tensor, *, smallest: int = 1) -> Tensor:
    if output.ndim != 4:
        raise ConfigError(f"layer {name!r} gives {tuple(output.shape[1:])} per image, not maps")
    height, width = output.shape[2:]
    if min(height, width) < smallest:
        raise ConfigError(
            f"layer {name!r} gives a map of {height}x{width}; take an earlier layer or a larger image, "
            f"whose map is at least {smallest}x{smallest}"
        )
    return output


def _checked_classes(classes: Sequence[int], logits: Tensor) -> Tensor:
    n, k = logits.shape
    targets = [int(number) for number in classes]
    if len(targets) != n or not all(0 <= number < k for number in targets):
        raise ValueError(f"{n} images need {n} classes of 0 to {k - 1}, got {targets}")
    return torch.tensor(targets, device=logits.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:  # one by one: part of a network may be frozen
            module.training = training


@contextmanager
def _watching(layers: dict[str, nn.Module], see: Callable[[str, Tensor], Tensor | None]) -> Iterator[None]:
    """Call `see` with a layer's name and output while the block runs; what it returns replaces the output."""
    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.enter_context(
                layer.register_forward_hook(lambda _layer, _inputs, output, name=name: see(name, output))
            )
        yield
