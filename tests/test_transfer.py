"""srivastav2024's networks: their parts, and that pretrained weights reach the body whole or not at all."""

import numpy as np
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError


@pytest.fixture(scope="module")
def transfer():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.models import transfer

    return transfer


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """Return random weights of a ResNet-18 under the names that torchvision and timm give them."""
    import torch
    import torchvision

    torch.manual_seed(5)
    network = torchvision.models.resnet18(weights=None)
    return {name: array.numpy() for name, array in network.state_dict().items()}


def arrays(module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("architecture", ["small_resnet", "resnet18", "vgg19_bn"])
def test_gray_images_become_one_logit_a_class(transfer, architecture):
    import torch

    model = transfer.build(architecture, n_classes=5, seed=0).eval()
    images = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        assert model(images.float()).shape == (3, 5)
        torch.testing.assert_close(model(images), model(images.float()))
    assert [name for name, _ in model.named_children()] == ["pictures", "body", "head"]


@pytest.mark.parametrize("architecture", ["small_resnet", "resnet18"])
def test_the_seed_alone_decides_the_weights(transfer, architecture):
    import torch

    torch.manual_seed(1)
    first = arrays(transfer.build(architecture, n_classes=3, seed=4))
    torch.manual_seed(2)
    again = arrays(transfer.build(architecture, n_classes=3, seed=4))
    other = arrays(transfer.build(architecture, n_classes=3, seed=5))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("architecture", ["small_resnet", "resnet18", "resnet50", "vgg19"])
def test_the_groups_have_every_parameter_once_the_head_last(transfer, architecture):
    model = transfer.build(architecture, n_classes=3, seed=0)
    groups = transfer.layer_groups(architecture)(model)
    assert len(groups) == 3 and all(groups)
    assert [id(one) for group in groups for one in group] == [id(one) for one in model.parameters()]
    assert [id(one) for one in groups[-1]] == [id(one) for one in model.head.parameters()]


def test_resnets_groups_are_those_of_fastais_vision_learner(transfer):
    import torchvision
    from fastai.vision.learner import create_vision_model, model_meta

    split = model_meta[torchvision.models.resnet18]["split"]
    theirs = split(create_vision_model(torchvision.models.resnet18, 3, pretrained=False))
    ours = transfer.layer_groups("resnet18")(transfer.build("resnet18", n_classes=3, seed=0))
    assert [[tuple(one.shape) for one in group] for group in ours] == [
        [tuple(one.shape) for one in group] for group in theirs
    ]


def test_pictures_are_scaled_and_normalised_as_imagenets(transfer):
    import torch

    gray = torch.full((1, 1, 48, 48), 255.0)
    seen = transfer.Pictures(96)(gray)
    assert seen.shape == (1, 3, 96, 96)
    expected = [
        (1 - mean) / sd for mean, sd in zip(transfer.IMAGENET_MEAN, transfer.IMAGENET_SD, strict=True)
    ]
    np.testing.assert_allclose(seen[0, :, 48, 48], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("resnet19", 48), "architecture='resnet19': use one of"),
        (("vgg19", 24), "image_size=24: vgg19 needs at least 32"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(transfer, wrong, said):
    architecture, size = wrong
    with pytest.raises(ConfigError, match=said):
        transfer.build(architecture, n_classes=3, seed=0, image_size=size)


# --- pretrained weights ---------------------------------------------------------------------------------


def test_published_weights_reach_the_body_and_leave_the_head(transfer, published):
    model = transfer.build("resnet18", n_classes=3, seed=0)
    head = arrays(model.head)
    transfer.load_body(model, published, architecture="resnet18")
    body = arrays(model.body)
    assert all(np.array_equal(body[name], published[name]) for name in body)
    assert all(np.array_equal(array, head[name]) for name, array in arrays(model.head).items())


def test_counters_that_other_libraries_leave_out_are_not_missed(transfer, published):
    without = {name: array for name, array in published.items() if not name.endswith("num_batches_tracked")}
    model = transfer.build("resnet18", n_classes=3, seed=0)
    transfer.load_body(model, without, architecture="resnet18")
    assert np.array_equal(arrays(model.body)["conv1.weight"], published["conv1.weight"])


def test_vggs_features_are_found_by_their_published_names(transfer):
    import torchvision

    network = torchvision.models.vgg19(weights=None)
    given = {name: array.numpy() for name, array in network.features.state_dict(prefix="features.").items()}
    model = transfer.build("vgg19", n_classes=3, seed=0)
    transfer.load_body(model, given | {"classifier.0.bias": np.zeros(4096)}, architecture="vgg19")
    assert np.array_equal(arrays(model.body)["34.weight"], given["features.34.weight"])


def test_a_run_of_this_project_lends_its_body_to_other_classes(transfer):
    earlier = transfer.build("small_resnet", n_classes=7, seed=1)
    model = transfer.build("small_resnet", n_classes=3, seed=2)
    transfer.load_body(model, arrays(earlier), architecture="small_resnet")
    theirs = arrays(earlier.body)
    assert all(np.array_equal(array, theirs[name]) for name, array in arrays(model.body).items())
    assert model.head.logits.out_features == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conv1.weight": None}, "conv1.weight is missing"),
        ({"conv9.weight": np.zeros(1)}, "conv9.weight is not part of it"),
        (
            {"conv1.weight": np.zeros((64, 1, 7, 7))},
            r"conv1.weight has shape \(64, 1, 7, 7\), resnet18 has \(64, 3, 7, 7\)",
        ),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(transfer, published, change, said):
    given = {name: array for name, array in (published | change).items() if array is not None}
    model = transfer.build("resnet18", n_classes=3, seed=0)
    before = arrays(model)
    with pytest.raises(ConfigError, match=f"weights do not fit architecture=resnet18: {said}"):
        transfer.load_body(model, given, architecture="resnet18")
    assert all(np.array_equal(array, before[name]) for name, array in arrays(model).items())


@pytest.fixture
def torch_folder(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def publish(monkeypatch, url: str) -> None:
    """Let torchvision say that its ResNet-18 lies at `url`."""
    from types import SimpleNamespace

    from fer_utils.models import imagenet

    known = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=url))
    monkeypatch.setattr(imagenet.torchvision.models, "get_model_weights", lambda architecture: known)


def stored(folder, published, *, named_for: str | None = None):
    """Write a weights file whose name ends in the beginning of its hash, as torchvision's do."""
    import torch

    from fer_utils.files import sha256_of

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.tensor(array) for name, array in published.items()}
    learned = {
        name: torch.nn.Parameter(one) if one.is_floating_point() else one for name, one in tensors.items()
    }
    torch.save(learned, folder / "new.pth")  # torchvision's older files hold parameters, not plain tensors
    start = (named_for or sha256_of(folder / "new.pth"))[:8]
    return (folder / "new.pth").rename(folder / f"resnet18-{start}.pth")


def test_imagenets_weights_come_from_their_address_and_stay(torch_folder, tmp_path, published, monkeypatch):
    from fer_utils.models.imagenet import imagenet_weights

    source = stored(tmp_path / "server", published)
    publish(monkeypatch, source.as_uri())
    assert np.array_equal(imagenet_weights("resnet18")["conv1.weight"], published["conv1.weight"])
    source.unlink()  # from now on offline
    assert np.array_equal(imagenet_weights("resnet18")["fc.bias"], published["fc.bias"])
    assert (torch_folder / source.name).is_file()


@pytest.mark.parametrize("served", ["nothing", "another file"])
def test_without_the_right_file_the_run_is_not_run(torch_folder, tmp_path, published, monkeypatch, served):
    from fer_utils.models.imagenet import imagenet_weights

    name = "resnet18-f37072fd.pth"
    if served == "another file":
        stored(tmp_path / "server", published, named_for="f37072fd")
    publish(monkeypatch, (tmp_path / "server" / name).as_uri())
    with pytest.raises(MissingData) as raised:
        imagenet_weights("resnet18")
    said = str(raised.value)
    assert said.startswith(f"weights='imagenet': {name} is not here and cannot be fetched")
    assert f"put it at {torch_folder / name}" in said
    assert not torch_folder.exists() or not list(torch_folder.iterdir())


def test_a_damaged_file_in_torchs_folder_is_not_used(torch_folder, tmp_path, published, monkeypatch):
    from fer_utils.models.imagenet import imagenet_weights

    source = stored(tmp_path / "server", published)
    publish(monkeypatch, source.as_uri())
    imagenet_weights("resnet18")
    (torch_folder / source.name).write_bytes(source.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=r"its SHA-256 does not begin with \w{8}; delete it and run again"):
        imagenet_weights("resnet18")
