"""Looking inside a trained network: layers, filters, activations, Grad-CAM, and four checks on its maps.

`TorchNetwork` and `KerasNetwork` give both frameworks one interface. Each is imported when it is first used,
because a notebook needs only one of the frameworks.
"""

from importlib import import_module

from fer_utils.explain.checks import FACE_BANDS, FER2013_BANDS
from fer_utils.explain.network import METHODS, SMALLEST_MAP, GradCAM, Network
from fer_utils.explain.study import CamStudy

_LAZY = {"TorchNetwork": "torch_network", "KerasNetwork": "keras_network"}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(f"fer_utils.explain.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
