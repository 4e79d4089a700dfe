"""The networks on clips and on optical flow: layers of the assumed sizes, and what each of them can see."""

from functools import cache

import pytest
from helpers.settings import notebook_params

from fer_utils.features.flow import STILL
from fer_utils.files import ConfigError
from fer_utils.synthetic import synthetic_clips


@pytest.fixture(scope="module")
def torch():
    """Import late: collecting this file must not start torch in every test process."""
    import torch

    return torch


@pytest.fixture(scope="module")
def dubey2020(torch):
    from fer_utils.models import dubey2020

    return dubey2020


def params(**changes):
    return notebook_params("30_cnn3d_smic", **changes)


@cache
def clips(n_frames, size):
    return synthetic_clips(n_subjects=2, clips_per_subject=3, n_frames=n_frames, size=size)


@pytest.fixture
def build(dubey2020):
    def build(n_frames=18, size=32, method="cnn3d", **changes):
        return dubey2020.build(params(**changes), clips(n_frames, size), method=method)

    return build


def test_the_network_has_seven_layers_of_the_assumed_sizes(build):
    layers = dict(build(size=64).named_children())
    assert [name for name in layers if not name.startswith(("scale", "act"))] == [
        "conv", "pool", "dropout1", "flatten", "dense", "dropout2", "logits",
    ]  # fmt: skip
    assert layers["conv"].weight.shape == (32, 1, 15, 3, 3)
    assert layers["dense"].weight.shape == (128, 32 * 1 * 20 * 20)


def test_the_activation_is_the_only_difference(torch, build):
    relu, swish = build(activation="relu"), build(activation="swish")
    assert all(torch.equal(a, b) for a, b in zip(relu.parameters(), swish.parameters(), strict=True))
    x = torch.tensor([-2.0, 0.0, 3.0])
    torch.testing.assert_close(swish.act_conv(x), x * torch.sigmoid(x))
    torch.testing.assert_close(relu.act_dense(x), torch.relu(x))


@pytest.mark.parametrize("method", ["cnn3d", "flow", "streams"])
def test_the_seed_alone_determines_the_weights(torch, build, method):
    first = build(method=method).state_dict()
    state = torch.get_rng_state()
    again, other = build(method=method).state_dict(), build(method=method, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    last = [*first][-2]
    assert not torch.equal(first[last], other[last])
    assert torch.equal(torch.get_rng_state(), state)


def test_pixels_are_scaled_and_change_is_relative_to_the_onset(torch, dubey2020):
    ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1, 1)
    torch.testing.assert_close(dubey2020.Scale()(ends).flatten(), torch.tensor([-1.0, 1.0]))
    frames = torch.tensor([100, 116, 84], dtype=torch.uint8).reshape(1, 1, 3, 1, 1)
    torch.testing.assert_close(dubey2020.Change()(frames).flatten(), torch.tensor([0.0, 1.0, -1.0]))


@pytest.mark.parametrize(("n_frames", "size", "method"), [(16, 32, "cnn3d"), (18, 16, "flow")])
def test_clips_that_are_too_short_or_too_small_raise_an_error(build, n_frames, size, method):
    needed = {"cnn3d": "17 frames of 5 pixels", "flow": "2 frames of 28 pixels"}[method]
    with pytest.raises(ConfigError, match=needed):
        build(n_frames, size, method)


def test_the_network_on_flow_takes_flow_images_and_maps_no_movement_to_zero(torch, build):
    model = build(method="flow").eval()
    still = torch.full((2, 1, 3, 64, 64), STILL, dtype=torch.uint8)
    assert model(still).shape == (2, 3)
    assert (torch.nn.Sequential(*list(model)[:-2])(still) == 0).all()
    assert sum(weights.numel() for weights in model.parameters()) == 26_659
    streams = build(size=28, method="streams").eval()
    assert streams(still[..., :28, :28]).shape == (2, 3) and streams.head[-1].in_features == 400
