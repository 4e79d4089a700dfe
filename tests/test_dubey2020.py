"""The 3D-CNN is the one that the paper describes, as far as it does, and sees what was asked for."""

import numpy as np
import pytest

from fer_utils.files import ConfigError


@pytest.fixture(scope="module")
def dubey2020():
    from fer_utils.models import dubey2020

    return dubey2020


def network(dubey2020, **settings):
    return dubey2020.build(**({"activation": "relu", "n_classes": 3, "seed": 0} | settings))


def clips(n: int = 2, size: int = 64):
    import torch

    return torch.randint(0, 256, (n, 1, 18, size, size), dtype=torch.uint8)


def test_seven_layers_with_the_assumed_sizes(dubey2020):
    layers = dict(network(dubey2020).named_children())
    assert [name for name in layers if not name.startswith(("scale", "act"))] == [
        "conv", "pool", "dropout1", "flatten", "dense", "dropout2", "logits",
    ]  # fmt: skip
    assert layers["conv"].weight.shape == (32, 1, 15, 3, 3)
    assert layers["dense"].weight.shape == (128, 32 * 1 * 20 * 20)


def test_clips_become_one_logit_per_class(dubey2020):
    assert network(dubey2020)(clips()).shape == (2, 3)


def test_the_activation_is_the_only_difference(dubey2020):
    import torch

    relu, swish = (network(dubey2020, activation=name) for name in ("relu", "swish"))
    assert all(torch.equal(a, b) for a, b in zip(relu.parameters(), swish.parameters(), strict=True))
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert torch.allclose(swish.act_conv(x), x * torch.sigmoid(x))
    assert torch.allclose(relu.act_dense(x), torch.tensor([0.0, 0.0, 3.0]))


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(dubey2020):
    import torch

    first = network(dubey2020)
    torch.rand(7)
    state = torch.random.get_rng_state()
    again, other = network(dubey2020), network(dubey2020, seed=1)
    assert torch.equal(first.conv.weight, again.conv.weight)
    assert not torch.equal(first.conv.weight, other.conv.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_pixels_are_scaled_to_minus_one_to_one(dubey2020):
    import torch

    ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1, 1)
    assert dubey2020.Scale("pixels")(ends).flatten().tolist() == [-1, 1]


def test_change_is_zero_for_a_clip_that_stands_still_whoever_it_shows(dubey2020):
    still = clips(size=8)[:, :, :1].expand(-1, -1, 18, -1, -1)
    assert dubey2020.Scale("change")(still).abs().max() == 0


def test_change_counts_in_its_unit_from_the_onset_in_both_directions(dubey2020):
    import torch

    frames = torch.tensor([100, 116, 84], dtype=torch.uint8).reshape(1, 1, 3, 1, 1)
    assert dubey2020.Scale("change")(frames).flatten().tolist() == [0, 1, -1]


@pytest.mark.parametrize(("n_frames", "size"), [(16, 64), (18, 4)])
def test_clips_too_short_or_too_small_are_refused_with_the_smallest_that_work(dubey2020, n_frames, size):
    with pytest.raises(
        ConfigError, match=f"n_frames={n_frames}, image_size={size}: .* 17 frames of 5 pixels"
    ):
        network(dubey2020, n_frames=n_frames, image_size=size)


def test_the_smallest_clips_that_work_do(dubey2020):
    small = network(dubey2020, n_frames=17, image_size=5)
    assert small(clips(size=5)[:, :, :17]).shape == (2, 3)


def test_views_differ_in_what_names_a_training(dubey2020):
    from fer_utils.training.torch_state import network_key

    keys = [network_key(network(dubey2020, view=view)) for view in ("pixels", "change")]
    assert keys[0] != keys[1]


def test_a_movement_is_learned_by_change_and_not_from_one_frame(dubey2020):
    """The label is whether a spot brightens or darkens; the faces around it differ wildly."""
    import torch

    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    random = np.random.default_rng(0)
    labels = np.arange(48) % 2
    faces = random.integers(60, 200, (48, 1, 12, 12))
    movie = np.repeat(faces, 17, axis=1)
    strength = np.linspace(0, 24, 17)[None, :, None, None]
    movie[:, :, 4:8, 4:8] += (np.where(labels, 1, -1)[:, None, None, None] * strength).astype(int)
    scores = {}
    for name, seen in {"movie": movie, "one frame": np.repeat(movie[:, -1:], 17, axis=1)}.items():
        torch.manual_seed(0)
        model = network(dubey2020, view="change", n_frames=17, image_size=12, n_classes=2, dropout=0.0)
        x = torch.tensor(seen[:, None], dtype=torch.uint8)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(30):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[:32]), torch.tensor(labels[:32])).backward()
            optimizer.step()
        scores[name] = float((model(x[32:]).argmax(1) == torch.tensor(labels[32:])).float().mean())
    assert scores == {"movie": 1.0, "one frame": 0.5}
