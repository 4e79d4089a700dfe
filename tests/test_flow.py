"""The small network on optical flow."""

import pytest

from fer_utils.features.flow import STILL
from fer_utils.files import ConfigError


@pytest.fixture(scope="module")
def torch():
    """Import late: collecting this file must not start torch in every test process."""
    import torch

    return torch


@pytest.fixture(scope="module")
def flow_net(torch):
    from fer_utils.models import flow_net

    return flow_net


def test_pictures_come_with_and_without_the_axis_that_a_batch_puts_in_front(torch, flow_net):
    model = flow_net.build(n_classes=3, seed=0).eval()
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    plain = model(pictures)
    assert plain.shape == (2, 3)
    torch.testing.assert_close(model(pictures.float()[:, None]), plain)
    assert dict(model.named_modules())[flow_net.CAM_LAYER].__class__ is torch.nn.ReLU


def test_no_movement_is_zero_inside_the_network(torch, flow_net):
    still = torch.full((1, 3, 64, 64), STILL, dtype=torch.uint8)
    model = flow_net.build(n_classes=3, seed=0)
    assert (model.scale(still) == 0).all() and (model[:-2](still) == 0).all()


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone(torch, flow_net):
    state = torch.get_rng_state()
    first, second, other = (
        torch.cat([weights.flatten() for weights in flow_net.build(n_classes=3, seed=seed).parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(first) == 26_659


def test_dropout_can_be_left_out_and_small_pictures_are_refused(torch, flow_net):
    model = flow_net.build(n_classes=5, seed=0, dropout=0.0, image_size=32)
    assert "dropout" not in dict(model.named_modules())
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    with pytest.raises(ConfigError, match="image_size=31: the network on flow needs at least 32"):
        flow_net.build(n_classes=3, seed=0, image_size=31)
