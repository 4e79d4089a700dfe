"""srivastav2024's networks: their layers and groups, and that pretrained weights reach the body or raise."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.models.weights import read_weights, write_weights


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


def params(architecture: str, **changes: object) -> SimpleNamespace:
    defaults = {"seed": 0, "image_size": 48, "dropout": 0.5, "width": 1.0, "weights": "none"}
    return SimpleNamespace(architecture=architecture, **defaults | {"weights_sha256": ""} | changes)


@pytest.mark.parametrize("architecture", ["small_resnet", "efficientnet_lite0", "resnet18", "vgg19_bn"])
def test_a_network_maps_gray_images_to_logits_and_has_three_layer_groups(transfer, architecture):
    import torch

    model = transfer.build(params(architecture), 5).eval()
    images = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    with torch.no_grad():
        assert model(images.float()).shape == (3, 5)
        torch.testing.assert_close(model(images), model(images.float()))
    groups = transfer.layer_groups(architecture)(model)
    assert len(groups) == 3 and all(groups)
    assert [id(one) for group in groups for one in group] == [id(one) for one in model.parameters()]
    assert [id(one) for one in groups[-1]] == [id(one) for one in model.head.parameters()]


@pytest.mark.parametrize("architecture", ["small_resnet", "resnet18"])
def test_the_seed_alone_decides_the_weights(transfer, architecture):
    import torch

    torch.manual_seed(1)
    first = arrays(transfer.build(params(architecture, seed=4), 3))
    torch.manual_seed(2)
    again = arrays(transfer.build(params(architecture, seed=4), 3))
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_layer_groups_of_a_resnet_are_those_of_vision_learner(transfer):
    import torchvision
    from fastai.vision.learner import create_vision_model, model_meta

    split = model_meta[torchvision.models.resnet18]["split"]
    theirs = split(create_vision_model(torchvision.models.resnet18, 3, pretrained=False))
    ours = transfer.layer_groups("resnet18")(transfer.build(params("resnet18"), 3))
    ours, theirs = ([[tuple(one.shape) for one in group] for group in groups] for groups in (ours, theirs))
    assert ours == theirs


def test_images_are_scaled_and_normalised_for_imagenet_weights(transfer):
    import torch

    scaled = transfer.ImageNetInput(96)(torch.full((1, 1, 48, 48), 255.0))
    assert scaled.shape == (1, 3, 96, 96)
    expected = (1 - np.array(transfer.IMAGENET_MEAN)) / transfer.IMAGENET_SD
    np.testing.assert_allclose(scaled[0, :, 48, 48], expected, rtol=1e-6)


# --- pretrained weights ---------------------------------------------------------------------------------


def test_published_weights_reach_the_body_and_leave_the_head(transfer, published):
    model = transfer.build(params("resnet18"), 3)
    head = arrays(model.head)
    counters = {name for name in published if name.endswith("num_batches_tracked")}  # timm has none
    without = {name: value for name, value in published.items() if name not in counters}
    transfer.load_body(model, without, architecture="resnet18")
    body = arrays(model.body)
    assert all(np.array_equal(body[name], published[name]) for name in body if name not in counters)
    assert all(np.array_equal(array, head[name]) for name, array in arrays(model.head).items())


def test_lite0_with_the_weights_of_its_package_recognises_an_espresso(transfer):
    import torch
    from skimage.data import coffee

    model = transfer.build(params("efficientnet_lite0", weights="imagenet", image_size=224), 7).eval()
    image = torch.tensor(coffee()[:, 100:500].mean(axis=2))  # gray, as faces are
    weight, bias = list(torch.load(transfer.LITE0_FILE, weights_only=True).values())[-2:]
    with torch.no_grad():
        features = model.body(model.inputs(image[None, None])).mean(dim=(2, 3))
    probabilities = torch.softmax(features @ weight.T + bias, dim=1)[0]
    espresso = 967  # of ImageNet's classes
    assert probabilities.argmax() == espresso and probabilities[espresso] > 0.5


def test_another_file_of_lite0_is_refused(transfer, tmp_path, monkeypatch):
    (tmp_path / "other.pth").write_bytes(b"no weights")
    monkeypatch.setattr(transfer, "LITE0_FILE", tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=r"other\.pth"):
        transfer.imagenet_weights("efficientnet_lite0")


def test_published_weights_of_vgg_are_found_by_their_names(transfer):
    import torch
    from torchvision.models import vgg

    model = torch.nn.Sequential(OrderedDict(body=vgg.make_layers([8, "M", 8])))
    given = {f"features.{name}": array + 1 for name, array in arrays(model.body).items()}
    transfer.load_body(model, given | {"classifier.0.bias": np.zeros(4096)}, architecture="vgg19")
    assert np.array_equal(arrays(model.body)["3.weight"], given["features.3.weight"])


def test_a_saved_run_gives_its_body_to_a_network_with_other_classes(transfer, tmp_path):
    earlier = transfer.build(params("small_resnet", seed=1), 7)
    file = tmp_path / "model.safetensors"
    write_weights(file, arrays(earlier))
    changes = {"seed": 2, "weights": str(file), "weights_sha256": sha256_of(file).upper()}
    model, theirs = transfer.build(params("small_resnet", **changes), 3), arrays(earlier.body)
    assert all(np.array_equal(array, theirs[name]) for name, array in arrays(model.body).items())
    assert model.head.logits.out_features == 3


def test_weights_that_do_not_fit_are_named_and_change_nothing(transfer, published):
    model = transfer.build(params("resnet18"), 3)
    before = arrays(model)
    for change, problem in (
        ({"conv1.weight": None}, r"conv1.weight has shape None.*\(64, 3, 7, 7\)"),
        ({"conv9.weight": np.zeros(1)}, r"conv9.weight has shape \(1,\).*None"),
        ({"conv1.weight": np.zeros((64, 1, 7, 7))}, r"conv1.weight.*\(64, 1, 7, 7\).*\(64, 3, 7, 7\)"),
    ):
        given = {name: array for name, array in (published | change).items() if array is not None}
        with pytest.raises(ConfigError, match=f"resnet18.*{problem}"):
            transfer.load_body(model, given, architecture="resnet18")
    assert all(np.array_equal(array, before[name]) for name, array in arrays(model).items())


@pytest.fixture
def torch_folder(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def publish(transfer, monkeypatch, url: str) -> None:
    """Let torchvision publish its ResNet-18 at `url`."""
    known = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=url))
    monkeypatch.setattr(transfer.torchvision.models, "get_model_weights", lambda architecture: known)


def stored(folder, published, *, named_for: str | None = None):
    """Write a weights file whose name ends in the beginning of its hash, as torchvision's do."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.tensor(array) for name, array in published.items()}
    learned = {
        name: torch.nn.Parameter(one) if one.is_floating_point() else one for name, one in tensors.items()
    }
    torch.save(learned, folder / "new.pth")  # torchvision's older files hold parameters, not plain tensors
    start = (named_for or sha256_of(folder / "new.pth"))[:8]
    return (folder / "new.pth").rename(folder / f"resnet18-{start}.pth")


def test_imagenet_weights_are_downloaded_once(transfer, torch_folder, tmp_path, published, monkeypatch):
    source = stored(tmp_path / "server", published)
    publish(transfer, monkeypatch, source.as_uri())
    model = transfer.build(params("resnet18", weights="imagenet"), 3)
    assert np.array_equal(arrays(model.body)["conv1.weight"], published["conv1.weight"])
    content = source.read_bytes()
    source.unlink()  # from now on offline
    assert np.array_equal(transfer.imagenet_weights("resnet18")["fc.bias"], published["fc.bias"])
    (torch_folder / source.name).write_bytes(content[:-100])
    with pytest.raises(ConfigError, match=source.name):
        transfer.imagenet_weights("resnet18")


def test_without_the_right_file_the_run_is_not_run(transfer, torch_folder, tmp_path, published, monkeypatch):
    name = "resnet18-f37072fd.pth"
    publish(transfer, monkeypatch, (tmp_path / "server" / name).as_uri())
    for _ in ("nothing is served", "another file is served"):
        with pytest.raises(MissingData, match=name) as raised:
            transfer.imagenet_weights("resnet18")
        assert str(torch_folder / name) in str(raised.value)
        assert not torch_folder.exists() or not list(torch_folder.iterdir())
        stored(tmp_path / "server", published, named_for="f37072fd")


# --- safetensors files ----------------------------------------------------------------------------------


def read(path, sha256: str) -> dict[str, np.ndarray]:
    return read_weights(SimpleNamespace(weights=str(path), weights_sha256=sha256))


def test_written_weights_are_read_again(tmp_path):
    given = {
        "body.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "head.bias": np.zeros(3),
        "body.norm.num_batches_tracked": np.array(5),
    }
    file = tmp_path / "net.safetensors"
    write_weights(file, given)
    found = read(file, sha256_of(file))
    assert found.keys() == given.keys()
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    for wrong in ("", "0" * 64):
        with pytest.raises(ConfigError, match=sha256_of(file)):
            read(file, wrong)


def test_a_missing_file_is_missing_data_and_another_format_is_named(tmp_path):
    with pytest.raises(MissingData, match=r"data/raw/net\.safetensors"):
        read("data/raw/net.safetensors", "0" * 64)
    other = tmp_path / "weights.safetensors"
    other.write_bytes(b"PK\x03\x04 a pickle in a zip")
    with pytest.raises(ConfigError, match=r"weights\.safetensors"):
        read(other, sha256_of(other))
