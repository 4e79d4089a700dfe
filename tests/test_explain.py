"""What Grad-CAM and the views into a network show, on networks whose answer is known beforehand."""

from collections import OrderedDict

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.features.hog import HOG
from fer_utils.files import ConfigError
from fer_utils.plots import explain as figures

SIDE, N_CLASSES = 24, 4
CORNERS = {0: (0, 0), 1: (0, 12), 2: (12, 0), 3: (12, 12)}
"""Class -> top and left of the quarter of the picture that the network below reads it from."""


@pytest.fixture(scope="module")
def torch():
    """Import late: collecting this file must not start torch in every test process."""
    import torch

    return torch


@pytest.fixture(scope="module")
def explain():
    from fer_utils import explain

    return explain


@pytest.fixture(scope="module", autouse=True)
def one_thread(torch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def layer_of(function):
    """Return a layer without weights that computes `function`."""
    from torch import nn

    class Layer(nn.Module):
        def forward(self, x):
            return function(x)

    return Layer()


def pixels():
    return layer_of(lambda images: images.float() / 255)


def corner_network():
    """Logit k is the mean brightness of corner k; channel k of every layer shows that corner alone."""
    import torch
    from torch import nn

    corners = torch.zeros(N_CLASSES, SIDE, SIDE)
    for k, (top, left) in CORNERS.items():
        corners[k, top : top + 12, left : left + 12] = 1
    layers = OrderedDict(
        scale=pixels(),
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
    network = nn.Sequential(layers)
    with torch.no_grad():
        network.conv.weight.copy_(torch.eye(N_CLASSES)[:, :, None, None])
        network.logits.weight.copy_(torch.eye(N_CLASSES))
    return network


def random_network(seed: int = 0):
    import torch
    from torch import nn

    torch.manual_seed(seed)
    layers = OrderedDict(
        scale=pixels(),
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
    return nn.Sequential(layers)


def noise(n: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


def cam(network, images=None, *, layer="relu2", classes=None):
    from fer_utils import explain

    images = noise() if images is None else images
    return explain.grad_cam(
        network, images, layer=layer, classes=[0] * len(images) if classes is None else classes
    )


# --- Grad-CAM -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["corner", "conv", "relu", "pool"])
@pytest.mark.parametrize(("k", "corner"), CORNERS.items())
def test_a_network_that_reads_one_corner_has_its_map_there(layer, k, corner):
    found = cam(corner_network(), layer=layer, classes=[k] * 3)
    top, left = corner
    inside = found.maps[:, top : top + 12, left : left + 12].sum(axis=(1, 2))
    assert (inside / found.maps.sum(axis=(1, 2)) > 0.95).all()


def test_each_image_gets_the_map_of_its_own_class():
    image = np.repeat(noise(1), N_CLASSES, axis=0)
    found = cam(corner_network(), image, layer="corner", classes=range(N_CLASSES))
    assert found.classes == (0, 1, 2, 3)
    for k, (top, left) in CORNERS.items():
        assert found.maps[k, top : top + 12, left : left + 12].max() == 1
        assert found.maps[k].sum() == pytest.approx(
            found.maps[k, top : top + 12, left : left + 12].sum(), rel=1e-5
        )


@pytest.mark.parametrize("k", range(N_CLASSES))
def test_after_global_pooling_it_is_the_class_activation_map(torch, k):
    """Selvaraju et al., Section 3.1: there it is CAM (Zhou et al., 2016), with the last layer's weights."""
    network = random_network().eval()
    images = noise()
    found = cam(network, images, classes=[k] * 3)
    with torch.no_grad():
        maps = network[:7](torch.tensor(images)[:, None])
        expected = (maps * network.logits.weight[k][None, :, None, None]).sum(dim=1).relu()
        expected = torch.nn.functional.interpolate(expected[:, None], (SIDE, SIDE), mode="bilinear")[:, 0]
    highest = expected.amax(dim=(1, 2), keepdim=True)
    expected = torch.where(highest > 0, expected / highest, 0)
    np.testing.assert_allclose(found.maps, expected.numpy(), atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), n=st.integers(1, 4), layer=st.sampled_from(["conv1", "relu1", "conv2"]))
def test_maps_are_of_the_images_size_between_zero_and_one(seed, n, layer):
    found = cam(random_network(seed), noise(n, seed), layer=layer, classes=np.arange(n) % N_CLASSES)
    assert found.maps.shape == (n, SIDE, SIDE)
    assert found.maps.dtype == np.float32
    assert np.isfinite(found.maps).all()
    assert found.maps.min() >= 0 and found.maps.max() <= 1
    highest = found.maps.max(axis=(1, 2))
    np.testing.assert_allclose(highest[highest > 0], 1)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_image_has_a_map_without_nan(value):
    blank = np.full((2, SIDE, SIDE), value, np.uint8)
    for network, layer in ((corner_network(), "conv"), (random_network(), "relu2")):
        assert np.isfinite(cam(network, blank, layer=layer).maps).all()


def test_no_evidence_is_an_empty_map():
    black = np.zeros((1, SIDE, SIDE), np.uint8)
    assert not cam(corner_network(), black, layer="conv").maps.any()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**16))
def test_an_image_alone_and_among_others_has_the_same_map(seed):
    network, images = random_network(seed), noise(4, seed)
    together = cam(network, images, classes=[0, 1, 2, 3]).maps
    alone = [cam(network, images[i : i + 1], classes=[i]).maps[0] for i in range(4)]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_same_call_gives_the_same_bits():
    network = random_network()
    np.testing.assert_array_equal(cam(network).maps, cam(network).maps)


def test_the_size_of_the_layers_own_map_is_told():
    assert cam(random_network(), layer="relu1").native_size == (SIDE, SIDE)
    assert cam(random_network(), layer="relu2").native_size == (SIDE // 2, SIDE // 2)
    assert cam(random_network(), layer="relu2").layer == "relu2"


def test_it_works_where_gradients_are_off_and_on_a_frozen_network(torch):
    expected = cam(random_network()).maps
    network = random_network().requires_grad_(False)
    with torch.no_grad():
        np.testing.assert_array_equal(cam(network).maps, expected)


def test_pictures_of_three_channels_and_read_only_ones_are_taken(torch):
    images = noise()
    images.setflags(write=False)
    network = torch.nn.Sequential(
        OrderedDict(scale=pixels(), mean=torch.nn.Conv2d(3, 1, 1), rest=random_network()[1:])
    )
    colour = np.repeat(images[:, None], 3, axis=1)
    assert cam(network, colour, layer="rest.relu2").maps.shape == (3, SIDE, SIDE)
    assert cam(random_network(), images).maps.shape == (3, SIDE, SIDE)


def test_a_layer_that_runs_twice_is_seen_at_its_last_run(torch):
    relu = torch.nn.ReLU()
    layers = OrderedDict(
        scale=pixels(), conv=torch.nn.Conv2d(1, 3, 3), relu=relu, pool=torch.nn.MaxPool2d(2), again=relu
    )
    network = torch.nn.Sequential(
        layers | {"end": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(363, N_CLASSES))}
    )
    assert cam(network, layer="relu").native_size == (11, 11)


# --- layers that cannot be used -------------------------------------------------------------------


def views(explain, network, layer):
    yield lambda: cam(network, layer=layer)
    yield lambda: explain.activations(network, noise()[0], [layer])


def test_an_unknown_layer_is_refused_with_those_that_are_known(explain):
    for view in views(explain, random_network(), "conv7"):
        with pytest.raises(ConfigError, match=r"no layer 'conv7'; known are scale, conv1, norm1"):
            view()


def test_a_layer_without_maps_is_refused(explain):
    for view in views(explain, random_network(), "logits"):
        with pytest.raises(ConfigError, match=r"layer 'logits' gives \(4,\) per image, not maps"):
            view()


def test_a_map_too_small_to_point_at_anything_is_refused():
    with pytest.raises(ConfigError, match=r"'small' gives a map of 3x3; .* at least 6x6"):
        cam(corner_network(), layer="small")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 1], "3 images need 3 classes, at least one, got 2"),
        ([0, 1, 4], r"the network's classes are 0 to 3, got \[0, 1, 4\]"),
        ([0, 1, -1], r"the network's classes are 0 to 3, got \[0, 1, -1\]"),
    ],
)
def test_classes_must_fit_images_and_network(classes, message):
    with pytest.raises(ValueError, match=message):
        cam(random_network(), classes=classes)


def test_no_image_has_no_map():
    with pytest.raises(ValueError, match="0 images need 0 classes, at least one"):
        cam(random_network(), noise()[:0])


# --- Grad-CAM++ -----------------------------------------------------------------------------------


def plus_plus(network, images=None, *, layer="relu2", classes=None, **settings):
    from fer_utils import explain

    images = noise() if images is None else images
    classes = [0] * len(images) if classes is None else classes
    return explain.grad_cam_plus_plus(network, images, layer=layer, classes=classes, **settings)


@pytest.mark.parametrize("look", [cam, plus_plus])
@pytest.mark.parametrize(("k", "corner"), CORNERS.items())
def test_both_methods_light_up_the_patch_that_decides(look, k, corner):
    top, left = corner
    maps = look(corner_network(), layer="relu", classes=[k] * 3).maps
    inside = maps[:, top : top + 12, left : left + 12].sum(axis=(1, 2))
    assert (inside / maps.sum(axis=(1, 2)) > 0.95).all()


def test_plus_plus_is_the_paper_s_formula_with_derivatives_of_the_exponential(torch):
    """Equations 16 and 19 in full, in double precision, from the gradient of exp(S) that torch gives."""
    network, images = random_network().eval(), noise(1)
    maps = network[:7](torch.tensor(images)[:, None]).detach().double().requires_grad_()
    head = torch.nn.Sequential(*network[7:]).double()
    score = torch.exp(head(maps)[0, 2])
    (first,) = torch.autograd.grad(score, maps, create_graph=True)
    second, third = (
        first**2 / score,
        first**3 / score**2,
    )  # S is linear here: its own higher derivatives are 0
    alpha = second / (2 * second + maps.sum(dim=(2, 3), keepdim=True) * third)
    weights = (alpha * first.relu()).sum(dim=(2, 3), keepdim=True)
    expected = (weights * maps).sum(dim=1, keepdim=True).relu()
    expected = torch.nn.functional.interpolate(expected, (SIDE, SIDE), mode="bilinear")[0, 0]
    found = plus_plus(random_network(), images, classes=[2])
    np.testing.assert_allclose(found.maps[0], (expected / expected.max()).detach().numpy(), atol=1e-5)
    assert (found.method, cam(random_network()).method) == ("Grad-CAM++", "Grad-CAM")


def test_plus_plus_needs_maps_after_their_relu():
    with pytest.raises(ConfigError, match="take the layer after the ReLU"):
        plus_plus(random_network(), layer="conv1")


@pytest.mark.parametrize("look", [cam, plus_plus])
def test_looking_in_small_batches_changes_no_map(look):
    from fer_utils import explain

    function = {cam: explain.grad_cam, plus_plus: explain.grad_cam_plus_plus}[look]
    settings = {"layer": "relu2", "classes": [0, 1, 2, 3, 0]}
    whole = function(random_network(), noise(5), **settings)
    parts = function(random_network(), noise(5), **settings, batch_size=2)
    np.testing.assert_allclose(whole.maps, parts.maps, atol=1e-5)
    assert whole.classes == parts.classes == (0, 1, 2, 3, 0)


def test_maps_are_upsampled_as_torch_does_it(torch):
    from fer_utils.saliency import upsampled

    small = np.random.default_rng(0).random((2, 6, 7), np.float32)
    large = torch.nn.functional.interpolate(torch.tensor(small)[:, None], (48, 40), mode="bilinear")[:, 0]
    expected = large / large.amax(dim=(1, 2), keepdim=True)
    np.testing.assert_allclose(upsampled(small, (48, 40)), expected.numpy(), atol=1e-5)


# --- networks that start anew ---------------------------------------------------------------------


def changed(network, fresh) -> set[str]:
    """Return the layers (the first part of their names) whose state differs."""
    import torch

    before, after = network.state_dict(), fresh.state_dict()
    return {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}


def used_network():
    """A network whose batch normalisation has seen images."""
    import torch

    network = random_network().train()
    network(torch.tensor(noise())[:, None])
    return network


@pytest.mark.parametrize(
    ("from_layer", "expected"),
    [
        ("logits", {"logits"}),
        ("mean", {"logits"}),
        ("conv2", {"conv2", "logits"}),
        ("scale", {"conv1", "norm1", "conv2", "logits"}),
    ],
)
def test_layers_from_the_named_one_to_the_last_start_anew(explain, from_layer, expected):
    network = used_network()
    assert changed(network, explain.randomised(network, from_layer=from_layer, seed=1)) == expected


def test_a_longer_cascade_repeats_the_new_weights_of_a_shorter_one(explain):
    network = used_network()
    shorter, longer = (explain.randomised(network, from_layer=name, seed=1) for name in ("conv2", "conv1"))
    assert changed(shorter, longer) == {"conv1", "norm1"}


def test_the_seed_alone_decides_the_new_weights(torch, explain):
    network = used_network()
    torch.manual_seed(5)
    first = explain.randomised(network, from_layer="conv1", seed=1)
    following = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(following, torch.rand(1))  # the caller's own random numbers go on as they would have
    assert changed(first, explain.randomised(network, from_layer="conv1", seed=1)) == set()
    assert "conv1" in changed(first, explain.randomised(network, from_layer="conv1", seed=2))


def test_maps_of_a_network_that_starts_anew_are_others(explain):
    from fer_utils.saliency import randomisation_check

    fresh = explain.randomised(used_network(), from_layer="conv1", seed=1)
    same = randomisation_check(cam(used_network()).maps, cam(used_network()).maps)
    other = randomisation_check(cam(used_network()).maps, cam(fresh).maps)
    assert (same["ssim"] > 0.999).all() and (other["ssim"] < 0.9).all()


def test_a_container_starts_anew_with_its_layers(torch, explain):
    network = torch.nn.Sequential(OrderedDict(a=torch.nn.Linear(3, 3), b=random_network()))
    assert changed(network, explain.randomised(network, from_layer="b", seed=1)) == {"b"}


def test_layers_that_cannot_start_anew_are_refused(torch, explain):
    with pytest.raises(ConfigError, match="no layer 'conv7'; known are scale"):
        explain.randomised(random_network(), from_layer="conv7", seed=0)
    network = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(1, 1, 1), attention=random_network()))
    network.attention.register_parameter("scale_by", torch.nn.Parameter(torch.ones(1)))
    with pytest.raises(ConfigError, match="layer 'attention' has weights but no reset_parameters"):
        explain.randomised(network, from_layer="conv", seed=0)


# --- the network stays as it was ------------------------------------------------------------------


def refused(_explain, network):
    with pytest.raises(ConfigError):
        cam(network, layer="logits")


LOOKS = {
    "grad_cam_plus_plus": lambda _, network: plus_plus(network, layer="relu1"),
    "randomised": lambda explain, network: explain.randomised(network, from_layer="conv1", seed=0),
    "grad_cam": lambda _, network: cam(network, layer="relu1"),
    "a refusal": refused,
    "activations": lambda explain, network: explain.activations(network, noise()[0], ["relu1"]),
    "describe_layers": lambda explain, network: explain.describe_layers(network, (SIDE, SIDE)),
    "first_layer_filters": lambda explain, network: explain.first_layer_filters(network),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_looking_leaves_no_trace(torch, explain, look):
    network = random_network().train()
    network.norm1.eval()  # a part that is frozen while the rest trains
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    look(explain, network)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


# --- filters, activations, layers -----------------------------------------------------------------


def test_the_first_filters_are_those_of_the_first_convolution(explain):
    network = random_network()
    np.testing.assert_array_equal(
        explain.first_layer_filters(network), network.conv1.weight[:, 0].detach().numpy()
    )


def test_filters_over_colours_are_what_they_do_to_a_gray_picture(torch, explain):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 5, bias=False)
    gray = torch.rand(1, 1, 5, 5)
    response = convolution(gray.repeat(1, 3, 1, 1)).detach().numpy().ravel()
    filters = explain.first_layer_filters(torch.nn.Sequential(convolution))
    np.testing.assert_allclose((filters * gray.numpy()[0]).sum(axis=(1, 2)), response, rtol=1e-5)


def test_a_network_without_convolution_has_no_filters_to_show(torch, explain):
    with pytest.raises(ValueError, match="no Conv2d"):
        explain.first_layer_filters(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)))


def test_activations_are_what_the_layers_give_in_the_order_asked_for(torch, explain):
    network, image = random_network().eval(), noise()[0]
    shown = explain.activations(network.train(), image, ["relu2", "conv1"])
    assert list(shown) == ["relu2", "conv1"]
    network.eval()
    with torch.no_grad():
        x = torch.tensor(image)[None, None]
        np.testing.assert_allclose(shown["relu2"], network[:7](x)[0].numpy(), rtol=1e-6)
        # As the convolution gave it: the ReLU after the normalisation works in place.
        np.testing.assert_allclose(shown["conv1"], network[:2](x)[0].numpy(), rtol=1e-6)


def test_an_in_place_layer_does_not_change_what_is_shown_of_the_one_before(torch, explain):
    layers = OrderedDict(scale=pixels(), conv=torch.nn.Conv2d(1, 3, 3), relu=torch.nn.ReLU(inplace=True))
    shown = explain.activations(torch.nn.Sequential(layers), noise()[0], ["conv", "relu"])
    assert shown["conv"].min() < 0
    np.testing.assert_array_equal(shown["relu"], np.maximum(shown["conv"], 0))


def test_layers_are_described_in_the_order_in_which_they_run(explain):
    table = explain.describe_layers(random_network(), (SIDE, SIDE))
    assert list(table.columns) == ["kind", "output", "parameters"]
    assert table.index.name == "layer"
    assert table.loc["conv1"].tolist() == ["Conv2d", f"5×{SIDE}×{SIDE}", 50]
    assert table.loc["norm1", "parameters"] == 10
    assert table.loc["pool1"].tolist() == ["MaxPool2d", f"5×{SIDE // 2}×{SIDE // 2}", 0]
    assert table.index[-1] == "total"
    assert table.loc["total", "parameters"] == table["parameters"].iloc[:-1].sum()


def test_a_container_can_be_described_as_one_row(explain, torch):
    inner = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    network = torch.nn.Sequential(OrderedDict(pixels=pixels(), body=inner, pool=torch.nn.MaxPool2d(2)))
    table = explain.describe_layers(network, (SIDE, SIDE), depth=1)
    assert table.index.tolist() == ["pixels", "body", "pool", "total"]
    assert table.loc["body"].tolist() == ["Sequential", f"4×{SIDE - 2}×{SIDE - 2}", 40]
    whole = explain.describe_layers(network, (SIDE, SIDE), depth=2)
    assert whole.index.tolist() == ["pixels", "body.0", "body.1", "pool", "total"]
    assert whole.loc["total", "parameters"] == table.loc["total", "parameters"] == 40


def test_the_layer_for_maps_is_the_last_activation_that_is_large_enough(explain, torch):
    def halved(times: int):
        blocks = [
            layer
            for _ in range(times)
            for layer in (torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
        ]
        return torch.nn.Sequential(pixels(), *blocks)

    assert explain.cam_layer(halved(5), (48, 48)) == "11"  # 6x6; the next is 3x3
    assert explain.cam_layer(halved(5), (96, 96)) == "14"
    with pytest.raises(ConfigError, match="no ReLU has a map of 6x6 or more for images of 5x5 pixels"):
        explain.cam_layer(halved(1), (5, 5))


# --- figures --------------------------------------------------------------------------------------

CLASSES = ("angry", "happy", "sad", "surprise")
SETTINGS = HOG(pixels_per_cell=4, cells_per_block=2)


def side_by_side(n: int = 2, *, rows: int | None = None, **cams):
    images = noise(n)
    cams = cams or {"predicted": cam(corner_network(), images, layer="relu", classes=[1] * n)}
    histograms = np.random.default_rng(0).random((n if rows is None else rows, 6, 6, 9))
    return figures.side_by_side(images, cams=cams, histograms=histograms, hog=SETTINGS, class_names=CLASSES)


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


EVERY_FIGURE = {
    "filters": lambda: figures.filter_sheet(random_network().conv1.weight.detach().numpy()[:, 0]),
    "one filter": lambda: figures.filter_sheet(np.zeros((1, 5, 5))),
    "activations": lambda: sheets("relu1", "conv2"),
    "side by side": lambda: side_by_side(),
    "both classes": lambda: both_classes(),
    "blank faces": lambda: figures.side_by_side(
        np.zeros((1, SIDE, SIDE), np.uint8),
        cams={"true": cam(corner_network(), np.zeros((1, SIDE, SIDE), np.uint8), layer="relu")},
        histograms=np.zeros((1, 6, 6, 9)),
        hog=SETTINGS,
        class_names=CLASSES,
    ),
}


def both_classes():
    network, images = corner_network(), noise(2)
    true = cam(network, images, layer="relu", classes=[2, 3])
    return side_by_side(predicted=cam(network, images, layer="corner", classes=[0, 3]), true=true)


def sheets(*layers: str, **settings):
    from fer_utils import explain

    image = noise()[0]
    found = explain.activations(random_network(), image, layers)
    return figures.activation_sheets(found, image=image, **settings)


@pytest.mark.parametrize("draw", EVERY_FIGURE.values(), ids=EVERY_FIGURE)
def test_a_figure_fits_a_report_and_can_be_drawn(draw, tmp_path):
    before = dict(matplotlib.rcParams)
    figure = draw()
    assert 600 <= figure.get_figwidth() * figure.dpi <= 910
    figure.savefig(tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before


def test_every_filter_is_drawn_on_one_scale_around_zero(explain):
    filters = explain.first_layer_filters(random_network())
    figure = figures.filter_sheet(filters)
    drawn = figure.axes[0].images
    np.testing.assert_array_equal([image.get_array() for image in drawn], filters)
    assert {(image.norm.vmin, image.norm.vmax) for image in drawn} == {
        (-abs(filters).max(), abs(filters).max())
    }


def test_the_first_maps_of_each_layer_are_drawn_below_the_face_and_counted():
    figure = sheets("relu1", "conv2", channels=3)
    assert [len(ax.images) for ax in figure.axes[:3]] == [1, 3, 3]
    assert {"relu1: 3 of 5 maps of 24 × 24", "conv2: 3 of 6 maps of 12 × 12"} <= set(words(figure))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), noise()[0])


def test_each_face_stands_beside_its_maps_and_their_classes():
    figure = both_classes()
    texts = words(figure)
    assert [text for text in texts if text.startswith("predicted")] == [
        "predicted: angry",
        "predicted: surprise",
    ]
    assert [text for text in texts if text.startswith("true")] == ["true: sad", "true: surprise"]
    assert texts.count("HOG") == 2
    assert any("24 × 24 of corner" in text and "24 × 24 of relu" in text for text in texts)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: figures.filter_sheet(np.zeros((3, 3))), r"filters: .* shape \(N, h, w\), got \(3, 3\)"),
        (lambda: figures.filter_sheet(np.zeros((0, 3, 3))), "filters: need one or more"),
        (lambda: figures.activation_sheets({}, image=noise()[0]), "no layer"),
        (lambda: side_by_side(2, rows=1), "the histograms: 1 rows do not fit 2 images"),
        (lambda: side_by_side(2, true=cam(random_network())), "true: 3 rows do not fit 2 images"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
