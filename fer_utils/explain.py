"""Looking inside a torch network: its layers, first filters, activations, and what class-activation maps say.

Nothing here changes a network: no hook stays behind, no gradient is stored, and every module is in training
or evaluation mode as it was before. Layers go by their names in `named_modules`, as `describe_layers` lists
them.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fer_utils.files import ConfigError
from fer_utils.saliency import SMALLEST_MAP, GradCAM, checked_classes, checked_map, class_activation_maps

__all__ = [
    "GradCAM",
    "activations",
    "cam_layer",
    "describe_layers",
    "first_layer_filters",
    "grad_cam",
    "grad_cam_plus_plus",
    "randomised",
]


def describe_layers(
    model: nn.Module, size: Sequence[int] = (48, 48), *, depth: int | None = None
) -> pd.DataFrame:
    """Return the layers in the order in which they run, with output shape and parameters, and the total.

    Parameters
    ----------
    model : nn.Module
    size : sequence of int
        Height and width of its gray images in pixels; frames, height and width of its clips.
    depth : int or None
        How deep to look into containers, 1 being the network's own parts; None lists single layers alone.

    Returns
    -------
    DataFrame
        Index layer; columns kind, output (such as "16×48×48") and parameters, as `display.layers` for Keras.
    """
    leaves = {name: layer for name, layer in model.named_modules() if name and _is_row(name, layer, depth)}
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


def cam_layer(model: nn.Module, size: Sequence[int] = (48, 48)) -> str:
    """Return the last ReLU whose map has at least `SMALLEST_MAP` rows and columns: the layer for `grad_cam`.

    Parameters
    ----------
    model : nn.Module
    size : sequence of int
        Height and width of its gray images in pixels.

    Raises
    ------
    ConfigError
        When no map is that large; larger pictures then help.
    """
    layers = describe_layers(model, size)
    of_relu = layers[layers["kind"] == "ReLU"]["output"].str.split("×")
    large = [name for name, shape in of_relu.items() if min(map(int, shape[1:]), default=0) >= SMALLEST_MAP]
    if not large:
        raise ConfigError(
            f"no ReLU has a map of {SMALLEST_MAP}x{SMALLEST_MAP} or more for images of {size[0]}x{size[1]} "
            "pixels; use a larger image_size"
        )
    return large[-1]


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
        checked_map(name, output.shape[1:], smallest=1)
        found[name] = output[0].cpu().numpy().copy()

    chosen = {name: _layer(model, name) for name in layers}
    with _evaluating(model), torch.no_grad(), _watching(chosen, keep):
        model(_as_input(model, np.asarray(image)[None]))
    return {name: found[name] for name in layers}


def grad_cam(
    model: nn.Module, images: np.ndarray, *, layer: str, classes: Sequence[int], batch_size: int = 256
) -> GradCAM:
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
    batch_size : int
        Images looked at together; it changes memory, not maps.

    Raises
    ------
    ConfigError
        For a layer that the network does not have, naming those it has, or whose map is too small.
    ValueError
        When `classes` does not fit the images or the network.
    """
    return _explained("Grad-CAM", model, images, layer, classes, batch_size)


def grad_cam_plus_plus(
    model: nn.Module, images: np.ndarray, *, layer: str, classes: Sequence[int], batch_size: int = 256
) -> GradCAM:
    """Show where in each image the evidence for a class lies, several places of equal weight alike.

    As `grad_cam`, with positive gradients alone, weighted so that a channel counts as much where it fires on
    a small area as on a large one: Chattopadhay et al., *Grad-CAM++* (WACV 2018); the formula is
    `saliency.grad_cam_plus_plus_weights`. The layer must follow its ReLU. Parameters, result and errors as in
    `grad_cam`.
    """
    return _explained("Grad-CAM++", model, images, layer, classes, batch_size)


def randomised(model: nn.Module, *, from_layer: str, seed: int) -> nn.Module:
    """Return a copy whose layers from `from_layer` to the last start anew.

    The network whose maps `saliency.randomisation_check` holds against the trained one's: Adebayo et al.,
    *Sanity checks for saliency maps* (NeurIPS 2018), cascading randomisation. Weights are drawn from the
    logits down, so with one seed a longer cascade repeats the new weights of a shorter one.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    from_layer : str
        It and all that come later in `named_modules` start anew; a container counts with its layers.
    seed : int

    Returns
    -------
    nn.Module
        On the same device. Weights as `reset_parameters` draws them (PyTorch's default, whatever the network
        was first initialised with); the statistics of batch normalisation are those before any image.

    Raises
    ------
    ConfigError
        For a layer that the network does not have, or weights that do not know how to start anew.
    """
    _layer(model, from_layer)
    # Drawn on the CPU: a GPU would draw other numbers from the same seed.
    fresh = copy.deepcopy(model).cpu()
    modules = [(name, module) for name, module in fresh.named_modules() if name]
    start = [name for name, _ in modules].index(from_layer)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        for name, module in reversed(modules[start:]):
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
            elif list(module.parameters(recurse=False)):
                raise ConfigError(f"layer {name!r} has weights but no reset_parameters: it cannot start anew")
    return fresh.to(_device(model))


def _explained(
    method: str, model: nn.Module, images: np.ndarray, layer: str, classes: Sequence[int], batch_size: int
) -> GradCAM:
    module, captured = _layer(model, layer), {}

    def cut(name: str, output: Tensor) -> Tensor:
        # The gradient is asked for at this map alone, so it works in a frozen network, too. The layers
        # after it get a copy: an in-place ReLU would change the map itself.
        checked_map(name, output.shape[1:])
        captured[name] = output.detach().requires_grad_()
        return captured[name].clone()

    def look(batch: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = model(_as_input(model, batch))
        targets = torch.from_numpy(checked_classes(numbers, logits.shape[1])).to(logits.device)
        # Images do not influence each other in evaluation mode: the sum's gradient holds each image's own.
        (gradients,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), captured[layer])
        return captured[layer].detach().cpu().numpy(), gradients.cpu().numpy()

    settings = {"layer": layer, "classes": classes, "method": method, "batch_size": batch_size}
    with _evaluating(model), torch.enable_grad(), _watching({layer: module}, cut):
        return class_activation_maps(look, images, size=images.shape[-2:], **settings)


def _is_row(name: str, layer: nn.Module, depth: int | None) -> bool:
    level, single = name.count(".") + 1, not list(layer.children())
    return single if depth is None else level == depth or (single and level < depth)


def _n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _as_input(model: nn.Module, images: np.ndarray) -> Tensor:
    tensor = torch.tensor(images)  # a copy: a data set's images are read-only
    tensor = tensor[:, None] if tensor.ndim == 3 else tensor
    return tensor.to(_device(model))


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _layer(model: nn.Module, name: str) -> nn.Module:
    known = {known: layer for known, layer in model.named_modules() if known}
    if name not in known:
        raise ConfigError(f"no layer {name!r}; known are {', '.join(known)}")
    return known[name]


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
