"""The networks of kishor2022: the layers that the paper prints, where HOG joins, and that they can learn."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.settings import notebook_params

from fer_utils.data import FaceSet
from fer_utils.files import ConfigError
from fer_utils.synthetic import synthetic_faces

FACES = synthetic_faces(n_subjects=4, images_per_subject=14, seed=0)


@pytest.fixture(scope="module")
def torch():
    """Import late: collecting this file must not start torch in every test process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kishor2022(torch):
    from fer_utils.models import kishor2022

    return kishor2022


@pytest.fixture
def build(kishor2022):
    def build(features="raw", depth="shallow", faces: FaceSet = FACES, **settings):
        changes = {"features": features, "depth": depth, "dropout": 0.0, "batch_norm": False} | settings
        return kishor2022.build(notebook_params("20_hybrid_hog_cnn", **changes), faces)

    return build


def of_size(side: int) -> FaceSet:
    return replace(FACES, images=np.ascontiguousarray(FACES.images[:, :side, :side]))


def kinds(layers) -> list[str]:
    return [type(layer).__name__ for layer in layers]


def images(n: int = 4, size: int = 48):
    import torch

    return torch.tensor(np.random.default_rng(0).integers(0, 256, (n, 1, size, size), dtype=np.uint8))


@pytest.mark.parametrize(("features", "depth", "count"), [("raw", "shallow", 2), ("hybrid", "deep", 3)])
def test_a_network_has_the_papers_layers(torch, kishor2022, build, features, depth, count):
    block = ["Conv2d", "ReLU"] * count + ["MaxPool2d"]
    assert kinds(build(features, depth).pixels) == ["Scale", *block * 3, "Flatten"]
    assert kinds(build(features, depth).head) == ["Linear", "ReLU", "Linear"]
    model = build(features, depth, batch_norm=True, dropout=0.5).eval()
    assert kinds(model.head) == ["Linear", "ReLU", "Dropout", "Linear"]
    with torch.no_grad():
        logits = model(images())
        assert logits.shape == (4, 7)
        torch.testing.assert_close(model(images().float()), logits)
        found = model.get_submodule(kishor2022.CAM_LAYER[depth])
        assert kinds([found]) == ["ReLU"]


def test_hog_of_the_same_image_joins_before_the_first_dense_layer(torch, kishor2022, build):
    from fer_utils.features.hog import hog_features

    raw, hybrid = build("raw"), build("hybrid").eval()
    assert raw.hog is None and kinds(hybrid.hog) == ["HOGLayer", "BatchNorm1d", "Linear", "ReLU"]
    for name, weights in raw.pixels.state_dict().items():
        assert torch.equal(weights, hybrid.pixels.state_dict()[name])
    hog = kishor2022.hog_settings(notebook_params("20_hybrid_hog_cnn"))
    expected = hog_features(images()[:, 0].numpy(), hog)
    np.testing.assert_allclose(hybrid.hog.histograms(images()), expected, atol=1e-6)
    with torch.no_grad():
        before = hybrid(images())
        hybrid.hog.dense.weight.zero_()
        assert not torch.allclose(hybrid(images()), before)


def test_the_seed_alone_determines_the_weights(torch, build):
    first = build("hybrid").state_dict()
    state = torch.get_rng_state()
    again, other = build("hybrid").state_dict(), build("hybrid", seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.dense1.weight"], other["head.dense1.weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_images_that_are_too_small_raise_an_error_with_a_size_that_works(build):
    assert build(faces=of_size(16))(images(size=16)).shape == (4, 7)
    with pytest.raises(ConfigError, match="does not fit an image of 10×10"):
        build("hybrid", faces=of_size(10))
    with pytest.raises(ConfigError, match="at least 8 pixels"):
        build(faces=of_size(7))
