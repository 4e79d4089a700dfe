"""The networks are what the paper prints where it prints it, and HOG joins them where the study says."""

import itertools

import numpy as np
import pytest

from fer_utils.features.hog import HOG
from fer_utils.files import ConfigError
from fer_utils.synthetic import synthetic_faces

SETTINGS = HOG(cells_per_block=2)
NETWORKS = list(itertools.product(("raw", "hybrid"), ("shallow", "deep")))


@pytest.fixture(scope="module")
def torch():
    """Import late: collecting this file must not start torch in every test process."""
    import torch

    return torch


@pytest.fixture(scope="module", autouse=True)
def one_thread(torch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kishor2022():
    from fer_utils.models import kishor2022

    return kishor2022


@pytest.fixture(scope="module")
def explain():
    from fer_utils import explain

    return explain


def build(kishor2022, features="raw", depth="shallow", **settings):
    usual = {"n_classes": 7, "hog": SETTINGS, "seed": 0, "dropout": 0.0}
    return kishor2022.build(features=features, depth=depth, **(usual | settings))


def of_kind(model, kind) -> list:
    return [layer for layer in model.modules() if isinstance(layer, kind)]


def kinds(model) -> list[str]:
    return [type(layer).__name__ for layer in model]


def noise(n: int = 4, size: int = 48):
    import torch

    rng = np.random.default_rng(0)
    return torch.tensor(rng.integers(0, 256, (n, 1, size, size), dtype=np.uint8))


# --- the layers -----------------------------------------------------------------------------------


def test_the_shallow_network_is_the_papers_six_convolutions_with_pools_and_a_flatten(kishor2022):
    model = build(kishor2022)
    block = ["Conv2d", "ReLU"] * 2 + ["MaxPool2d"]
    assert kinds(model.pixels) == ["Scale", *block * 3, "Flatten"]
    assert kinds(model.head) == ["Linear", "ReLU", "Linear"]


@pytest.mark.parametrize(("depth", "count"), [("shallow", 6), ("deep", 9)])
@pytest.mark.parametrize("features", ["raw", "hybrid"])
def test_convolutions_are_three_by_three_and_pools_two_by_two(torch, kishor2022, features, depth, count):
    model = build(kishor2022, features, depth)
    convolutions = of_kind(model, torch.nn.Conv2d)
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * count
    assert {(layer.stride, layer.padding) for layer in convolutions} == {((1, 1), (1, 1))}
    assert {layer.kernel_size for layer in of_kind(model, torch.nn.MaxPool2d)} == {2}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(("features", "depth"), NETWORKS)
def test_every_network_gives_logits_of_stored_pixels(torch, kishor2022, features, depth, batch_norm):
    model = build(kishor2022, features, depth, n_classes=6, batch_norm=batch_norm, dropout=0.5).eval()
    with torch.no_grad():
        logits = model(noise())
        assert logits.shape == (4, 6) and logits.dtype == torch.float32
        assert not torch.allclose(logits.sum(dim=1), torch.ones(4))
        torch.testing.assert_close(model(noise().float()), logits)


def test_pixels_are_scaled_inside(torch, kishor2022):
    scale = build(kishor2022).pixels.scale
    grays = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(scale(grays), torch.tensor([-1, -0.6, 1]))


def test_normalisation_stands_between_convolution_and_relu_and_replaces_the_bias(torch, kishor2022):
    model = build(kishor2022, batch_norm=True)
    block = ["Conv2d", "BatchNorm2d", "ReLU"] * 2 + ["MaxPool2d"]
    assert kinds(model.pixels) == ["Scale", *block * 3, "Flatten"]
    assert all(layer.bias is None for layer in of_kind(model, torch.nn.Conv2d))


def test_dropout_is_on_the_dense_layer_and_left_out_at_zero(torch, kishor2022):
    assert kinds(build(kishor2022, dropout=0.25).head) == ["Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in of_kind(build(kishor2022, dropout=0.25), torch.nn.Dropout)] == [0.25]
    assert not of_kind(build(kishor2022, "hybrid"), torch.nn.Dropout)


@pytest.mark.parametrize(("features", "depth"), NETWORKS)
def test_layers_are_named_and_the_one_for_grad_cam_has_a_map_of_at_least_six_by_six(
    kishor2022, explain, features, depth
):
    model = build(kishor2022, features, depth)
    table = explain.TorchNetwork(model).layers()
    for name in ("pixels.conv1_1", "pixels.relu3_2", "pixels.pool3", "head.dense1", "head.logits"):
        assert name in table.index
    found = explain.TorchNetwork(model).maps(
        noise(2)[:, 0].numpy(), [0, 6], layer=kishor2022.CAM_LAYER[depth]
    )
    assert found.native_size == (12, 12)
    assert found.maps.shape == (2, 48, 48)
    assert table.loc["total", "parameters"] == sum(p.numel() for p in model.parameters())


def test_a_deeper_network_costs_at_most_twice_as_much(kishor2022, explain):
    shallow, deep = (multiply_adds(build(kishor2022, depth=depth), explain) for depth in ("shallow", "deep"))
    assert shallow < deep < 2 * shallow


def multiply_adds(model, explain) -> int:
    import torch

    outputs = explain.TorchNetwork(model).layers()["output"]
    total = 0
    for name, layer in model.named_modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            pixels = outputs[name].split("×")[1:]
            total += layer.weight.numel() * int(np.prod([int(side) for side in pixels]))
    return total


# --- HOG ------------------------------------------------------------------------------------------


def test_hog_joins_the_flattened_convolutional_features_before_the_first_dense_layer(kishor2022):
    model = build(kishor2022, "hybrid")
    assert kinds(model.hog) == ["HOGLayer", "BatchNorm1d", "Linear", "ReLU"]
    width = model.pixels(noise()).shape[1]
    assert width == 64 * 6 * 6
    assert model.hog.dense.in_features == SETTINGS.size((48, 48))
    assert model.head.dense1.in_features == width + model.hog.dense.out_features


def test_the_network_sees_hog_of_the_image_that_it_is_given(torch, kishor2022):
    from fer_utils.features.hog_torch import hog_features

    model, images = build(kishor2022, "hybrid").eval(), noise()
    expected = torch.tensor(hog_features(images[:, 0].numpy(), SETTINGS))
    torch.testing.assert_close(model.hog.histograms(images), expected)
    with torch.no_grad():  # and it counts: with the branch cut off, the answer is another
        before = model(images)
        model.hog.dense.weight.zero_()
        assert not torch.allclose(model(images), before)


def test_the_raw_network_knows_nothing_of_hog(torch, kishor2022):
    model = build(kishor2022)
    other = build(kishor2022, hog=HOG(orientations=4, pixels_per_cell=6))
    assert model.hog is None
    torch.testing.assert_close(model(noise()), other(noise()), rtol=0, atol=0)


def test_both_branches_learn(torch, kishor2022):
    model = build(kishor2022, "hybrid", batch_norm=True)
    torch.nn.functional.cross_entropy(model(noise()), torch.tensor([0, 1, 2, 3])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.hog.dense.weight.grad.abs().sum() > 0
    assert model.pixels.conv1_1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("features", ["raw", "hybrid"])
def test_it_computes_in_bfloat16_under_autocast(torch, kishor2022, features):
    model = build(kishor2022, features).eval()
    with torch.no_grad():
        exact = model(noise())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(noise().float())
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


# --- seeds and sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize(("features", "depth"), NETWORKS)
def test_the_same_seed_gives_the_same_weights_whatever_was_built_before(torch, kishor2022, features, depth):
    first = build(kishor2022, features, depth).state_dict()
    build(kishor2022, "hybrid", "deep", batch_norm=True)
    torch.rand(5)
    again = build(kishor2022, features, depth).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = build(kishor2022, features, depth, seed=1).state_dict()
    assert not torch.equal(first["head.dense1.weight"], other["head.dense1.weight"])


def test_building_draws_nothing_from_the_random_numbers_of_others(torch, kishor2022):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    build(kishor2022, "hybrid")
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("depth", ["shallow", "deep"])
def test_raw_and_hybrid_networks_start_from_the_same_convolutions(torch, kishor2022, depth):
    raw, hybrid = (build(kishor2022, features, depth).pixels.state_dict() for features in ("raw", "hybrid"))
    assert all(torch.equal(raw[name], hybrid[name]) for name in raw)


def test_weights_are_drawn_as_he_et_al_do(torch, kishor2022):
    for layer in of_kind(build(kishor2022, depth="deep"), torch.nn.Conv2d)[1:]:
        fan_in = layer.in_channels * 9
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
        assert not layer.bias.any()


def test_the_smallest_image_works_and_a_smaller_one_is_refused_with_that_size(kishor2022):
    assert build(kishor2022, image_size=8)(noise(size=8)).shape == (4, 7)
    assert build(kishor2022, "hybrid", image_size=50)(noise(size=50)).shape == (4, 7)
    with pytest.raises(ConfigError, match="image_size=7: kishor2022 needs at least 8 pixels"):
        build(kishor2022, image_size=7)


def test_a_hog_that_does_not_fit_the_image_is_refused(kishor2022):
    with pytest.raises(ConfigError, match="does not fit an image of 12×12"):
        build(kishor2022, "hybrid", image_size=12)


# --- they learn -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(n_subjects=6, images_per_subject=14, seed=0)


@pytest.mark.parametrize(("features", "batch_norm"), [("raw", False), ("hybrid", True)])
def test_a_network_can_learn_a_few_faces_by_heart(torch, kishor2022, faces, features, batch_norm):
    images = torch.tensor(faces.images[:14])[:, None]
    labels = torch.tensor(np.array(faces.labels[:14]))
    model = build(kishor2022, features, batch_norm=batch_norm)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(25):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert (model(images).argmax(dim=1) == labels).float().mean() > 0.9


def test_the_hog_baseline_gives_probabilities_that_repeat_and_beat_chance(kishor2022, faces):
    from fer_utils.features.hog_torch import hog_features

    features, known = hog_features(faces.images, SETTINGS), faces.split == "train"
    assert known.any() and not known.all()
    runs = [kishor2022.hog_baseline().fit(features[known], faces.labels[known]) for _ in range(2)]
    first, again = (run.predict_proba(features) for run in runs)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    assert first.shape == (len(faces), 7)
    assert runs[0].score(features[known], faces.labels[known]) > 0.5


def test_a_weaker_penalty_fits_the_training_images_closer(kishor2022, faces):
    from fer_utils.features.hog_torch import hog_features

    features, labels = hog_features(faces.images, SETTINGS), faces.labels
    scores = [
        kishor2022.hog_baseline(c=c).fit(features, labels).predict_proba(features)[range(len(faces)), labels]
        for c in (1e-4, 1e-2)
    ]
    assert scores[0].mean() < scores[1].mean()
