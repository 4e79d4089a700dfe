"""The eight-convolution network is the published one, and a window makes it see the middle of any image."""

from itertools import pairwise

import numpy as np
import pytest


@pytest.fixture(scope="module")
def transfer():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.models import transfer

    return transfer


@pytest.mark.parametrize(("window", "first_dense"), [(40, 512 * 2 * 2), (0, 512 * 3 * 3)])
def test_it_has_the_published_layers(transfer, window, first_dense):
    import torch
    from torch import nn

    with torch.device("meta"):  # forty million weights, of which only the shapes matter
        model = transfer.build("vgg8", n_classes=7, seed=0, window=window)
    shapes = [tuple(one.weight.shape) for one in model.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    channels = [1, 64, 64, 128, 128, 256, 256, 512, 512]
    convolutions = [(after, before, 3, 3) for before, after in pairwise(channels)]
    assert shapes == [*convolutions, (4096, first_dense), (4096, 4096), (7, 4096)]
    assert sum(isinstance(one, nn.MaxPool2d) for one in model.modules()) == 4


def test_whole_images_are_seen_through_their_middle_window(transfer):
    import torch

    model = transfer.build("vgg8", n_classes=5, seed=0, window=40, width=0.1).eval()
    images = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        said = model(images)
        assert said.shape == (3, 5)
        torch.testing.assert_close(model(images[..., 4:44, 4:44].float()), said)
    assert [name for name, _ in model.named_children()] == ["pictures", "body", "head"]


def test_the_seed_alone_decides_its_weights(transfer):
    import torch

    first, again, other = (
        transfer.build("vgg8", n_classes=3, seed=seed, width=0.1).state_dict() for seed in (4, 4, 5)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_its_groups_have_every_parameter_once_the_head_last(transfer):
    model = transfer.build("vgg8", n_classes=3, seed=0, width=0.1)
    groups = transfer.layer_groups("vgg8")(model)
    assert len(groups) == 3 and all(groups)
    assert [id(one) for group in groups for one in group] == [id(one) for one in model.parameters()]
    assert [id(one) for one in groups[-1]] == [id(one) for one in model.head.parameters()]


def test_an_exported_network_takes_whole_images_too(transfer, tmp_path):
    from fer_utils import onnx
    from fer_utils.evaluation import evaluate
    from fer_utils.onnx import OnnxModel
    from fer_utils.predictions import Predictions
    from fer_utils.synthetic import synthetic_faces

    faces = synthetic_faces(n_subjects=3, images_per_subject=7)
    model = transfer.build("vgg8", n_classes=7, seed=0, window=40, width=0.1).eval()
    share = np.full((len(faces), 7), 1 / 7)
    said = Predictions(faces.sample_id, faces.labels, share, faces.class_names)
    about = onnx.about(evaluate(said, n_boot=0), faces, run="40_fastai_transfer--x", split="none")
    onnx.export(model, tmp_path / "model.onnx", about)
    read = OnnxModel.read(tmp_path / "model.onnx")
    assert read.image_size == 48 and read.predict(faces.images).shape == (len(faces), 7)
