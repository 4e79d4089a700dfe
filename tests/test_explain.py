"""Torch networks whose maps are known: Grad-CAM, layers, filters, activations and randomised copies."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.files import ConfigError

SIDE, N_CLASSES = 24, 4
CORNERS = {0: (0, 0), 1: (0, 12), 2: (12, 0), 3: (12, 12)}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch  # late: collecting this file must not start torch in every test process

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sequential(**layers):
    from torch import nn

    return nn.Sequential(OrderedDict(layers))


def layer_of(function):
    """Return a layer without weights that computes `function`."""
    from torch import nn

    class Layer(nn.Module):
        def forward(self, x):
            return function(x)

    return Layer()


def corner_network():
    """Logit k is the mean brightness of corner k; channel k of every layer shows that corner alone."""
    import torch
    from torch import nn

    corners = torch.zeros(N_CLASSES, SIDE, SIDE)
    for k, (top, left) in CORNERS.items():
        corners[k, top : top + 12, left : left + 12] = 1
    model = sequential(
        scale=layer_of(lambda images: images.float() / 255),
        corner=layer_of(lambda x: x * corners),
        conv=nn.Conv2d(N_CLASSES, N_CLASSES, 1, bias=False),
        relu=nn.ReLU(inplace=True),
        pool=nn.MaxPool2d(2),
        small=nn.MaxPool2d(4),
        mean=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(0.5),
        logits=nn.Linear(N_CLASSES, N_CLASSES, bias=False),
    )
    with torch.no_grad():
        model.conv.weight.copy_(torch.eye(N_CLASSES)[:, :, None, None])
        model.logits.weight.copy_(torch.eye(N_CLASSES))
    return network(model)


def random_model(seed: int = 0):
    import torch
    from torch import nn

    torch.manual_seed(seed)
    return sequential(
        scale=layer_of(lambda images: images.float() / 255),
        conv1=nn.Conv2d(1, 5, 3, padding=1),
        norm1=nn.BatchNorm2d(5),
        relu1=nn.ReLU(inplace=True),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(5, 6, 3, padding=1),
        relu2=nn.ReLU(),
        mean=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        logits=nn.Linear(6, N_CLASSES),
    )


def network(model):
    from fer_utils.explain.torch_network import TorchNetwork

    return TorchNetwork(model)


def noise(n: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


@pytest.mark.parametrize("method", ["Grad-CAM", "Grad-CAM++"])
@pytest.mark.parametrize("layer", ["corner", "relu", "pool"])
def test_a_network_that_reads_one_corner_has_its_map_there(layer, method):
    images = np.repeat(noise(1), N_CLASSES, axis=0)
    found = corner_network().maps(images, range(N_CLASSES), layer=layer, method=method)
    assert (found.classes, found.layer, found.method) == ((0, 1, 2, 3), layer, method)
    for k, (top, left) in CORNERS.items():
        inside = found.maps[k, top : top + 12, left : left + 12].sum()
        assert inside / found.maps[k].sum() > 0.95


@pytest.mark.parametrize("k", range(N_CLASSES))
def test_after_global_pooling_grad_cam_is_the_class_activation_map(k):
    """Selvaraju et al., Section 3.1: there it is CAM (Zhou et al., 2016), with the last layer's weights."""
    import torch

    model, images = random_model().eval().requires_grad_(False), noise()
    with torch.no_grad():  # a frozen network has maps, too
        found = network(model).maps(images, [k] * 3)
    assert (found.layer, found.native_size) == ("relu2", (12, 12))
    with torch.no_grad():
        maps = model[:7](torch.tensor(images)[:, None])
        expected = (maps * model.logits.weight[k][None, :, None, None]).sum(dim=1).relu()
        expected = torch.nn.functional.interpolate(expected[:, None], (SIDE, SIDE), mode="bilinear")[:, 0]
    highest = expected.amax(dim=(1, 2), keepdim=True)
    np.testing.assert_allclose(found.maps, torch.where(highest > 0, expected / highest, 0), atol=1e-5)


def test_plus_plus_is_the_formula_of_the_paper_with_derivatives_of_the_exponential():
    """Equations 16 and 19 in full, in double precision, from the gradient of exp(S) that torch gives."""
    import torch

    model, images = random_model().eval(), noise(1)
    maps = model[:7](torch.tensor(images)[:, None]).detach().double().requires_grad_()
    score = torch.exp(torch.nn.Sequential(*model[7:]).double()(maps)[0, 2])
    (first,) = torch.autograd.grad(score, maps)
    second, third = first**2 / score, first**3 / score**2  # S is linear here: its higher derivatives are 0
    alpha = second / (2 * second + maps.sum(dim=(2, 3), keepdim=True) * third)
    weights = (alpha * first.relu()).sum(dim=(2, 3), keepdim=True)
    expected = (weights * maps).sum(dim=1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(expected, (SIDE, SIDE), mode="bilinear")[0, 0].detach()
    found = network(random_model()).maps(images, [2], method="Grad-CAM++").maps[0]
    np.testing.assert_allclose(found, expected / expected.max(), atol=1e-5)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 4), layer=st.sampled_from(["conv1", "relu1", "conv2"]))
def test_maps_have_the_size_of_the_images_and_are_those_of_each_image_alone(seed, n, layer):
    looked, images, classes = network(random_model(seed)), noise(n, seed), np.arange(n) % N_CLASSES
    found = looked.maps(images, classes, layer=layer)
    assert (found.maps.shape, found.maps.dtype) == ((n, SIDE, SIDE), np.float32)
    highest = found.maps.max(axis=(1, 2))
    assert np.isfinite(found.maps).all() and found.maps.min() >= 0
    np.testing.assert_allclose(highest[highest > 0], 1)
    alone = [looked.maps(images[i : i + 1], classes[i : i + 1], layer=layer).maps[0] for i in range(n)]
    np.testing.assert_allclose(found.maps, alone, atol=1e-4)


def test_layers_that_do_not_fit_are_errors():
    for layer, shape in {"logits": r"\(4,\)", "small": r"\(4, 3, 3\)"}.items():
        with pytest.raises(ConfigError, match=f"'{layer}' returns {shape}.*6x6"):
            corner_network().maps(noise(), [0, 1, 2], layer=layer)
    with pytest.raises(ValueError, match="3 images"):
        corner_network().maps(noise(), [0, 1], layer="relu")
    with pytest.raises(ConfigError, match="after the ReLU"):
        network(random_model()).maps(noise(), [0, 1, 2], layer="conv1", method="Grad-CAM++")


def test_the_default_layer_is_the_last_relu_with_a_map_large_enough():
    from torch import nn

    parts = [part for _ in range(5) for part in (nn.Conv2d(1, 1, 1), nn.ReLU(), nn.MaxPool2d(2))]
    halved = nn.Sequential(*parts)
    looked = network(nn.Sequential(layer_of(lambda x: x.float()), *halved, nn.Flatten()))
    assert looked.cam_layer((48, 48)) == "11"  # 6x6; the next is 3x3
    assert looked.cam_layer((96, 96)) == "14"
    with pytest.raises(ConfigError, match="image_size"):
        network(nn.Sequential(layer_of(lambda x: x.float()), *halved[:2], nn.Flatten())).cam_layer((5, 5))


def test_filters_are_the_kernels_of_the_first_convolution_summed_over_channels():
    from torch import nn

    colour = nn.Sequential(nn.Flatten(0, 0), nn.Conv2d(3, 2, 3))
    np.testing.assert_allclose(network(colour).filters(), colour[1].weight.detach().sum(dim=1), rtol=1e-6)


def test_activations_are_what_each_layer_returns_though_the_next_one_works_in_place():
    import torch

    model = random_model().eval()
    found = network(model).activations(noise()[0], ["relu2", "norm1"])
    assert list(found) == ["relu2", "norm1"]
    with torch.no_grad():
        expected = model[:3](torch.tensor(noise()[:1])[:, None])[0]
    np.testing.assert_allclose(found["norm1"], expected, atol=1e-6)
    assert found["norm1"].min() < 0


def weights(looked) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in looked.model.state_dict().items()}


def changed(before, after) -> set[str]:
    return {name.split(".")[0] for name in before if not np.array_equal(before[name], after[name])}


def test_a_longer_cascade_has_the_new_weights_of_a_shorter_one_and_the_seed_decides_them():
    looked = network(random_model())
    before = weights(looked)
    short, long, other = (
        weights(looked.randomised(name, seed=seed))
        for name, seed in (("conv2", 3), ("conv1", 3), ("conv2", 4))
    )
    assert changed(before, short) == changed(short, other) == {"conv2", "logits"}
    assert changed(short, long) == {"conv1"}


def test_nothing_changes_the_weights():
    model = random_model()
    before, looked = weights(network(model)), network(model)
    looked.maps(noise(), [0, 1, 2])
    looked.activations(noise()[0], ["relu1"])
    looked.randomised("conv1", seed=0)
    assert not changed(before, weights(looked))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
