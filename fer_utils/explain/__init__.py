"""Looking inside a trained network: layers, filters, activations, Grad-CAM, and four checks on its maps.

`torch_network.TorchNetwork` and `keras_network.KerasNetwork` give both frameworks one interface; a notebook
imports the one that it needs.
"""

from fer_utils.explain.network import GradCAM, Network
from fer_utils.explain.study import CamStudy
