"""A fastai training repeats, resumes, chooses on validation and says clearly when it cannot go on."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import ClipSet, FaceSet
from fer_utils.files import ConfigError
from fer_utils.training import TrainingDiverged

SIZE = 16
CLASSES = ("dark", "grey", "bright")
MEASURED = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.fixture(scope="module")
def fastai_fit():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    return fastai_fit


@pytest.fixture(scope="module")
def batches(fastai_fit):
    from fer_utils.training import batches

    return batches


def faces(name: str, n: int, seed: int, *, noise: int = 160, size: tuple[int, int] = (SIZE, SIZE)) -> FaceSet:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % len(CLASSES)
    images = random.integers(0, noise, (n, *size)) + 40 * labels[:, None, None]
    return FaceSet(
        name=name,
        source="synthetic",
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        class_names=CLASSES,
        split=np.full(n, name),
        sample_id=np.array([f"{name}-{i}" for i in range(n)]),
    )


def clips_of(still: FaceSet) -> ClipSet:
    """Return clips of 17 frames in which nothing moves."""
    n = len(still)
    return ClipSet(
        name=still.name,
        source="synthetic",
        clips=np.repeat(still.images[:, None], 17, axis=1),
        labels=still.labels,
        class_names=CLASSES,
        sample_id=still.sample_id,
        subject=still.sample_id,
        frame_rate=np.full(n, 100.0),
        onset=np.zeros(n, dtype=np.int64),
        apex=np.full(n, 3),
        offset=np.full(n, 16),
    )


TRAIN, VALIDATION = faces("train", 32, 1), faces("validation", 24, 2)


def network(*, seed: int = 0, dropout: float = 0.5):
    """Build a network with all that carries state: normalisation and dropout."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    return nn.Sequential(
        nn.AvgPool2d(2, divisor_override=4 * 255),  # scales, too
        nn.Conv2d(1, 4, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8, len(CLASSES)),
    )


def fit(model, folder, *, train=TRAIN, validation=VALIDATION, log=lambda line: None, **changed):
    from fer_utils.training import fastai_fit

    given = {"epochs": 4, "batch_size": 8, "learning_rate": 0.01, "seed": 0, "device": "cpu"} | changed
    return fastai_fit.fit(model, train, validation, checkpoint_dir=folder, log=log, **given)


def weights(model) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def stored_state(folder) -> dict[str, np.ndarray]:
    """Return all arrays of the only checkpoint: weights and optimiser."""
    (path,) = folder.glob("*.npz")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "history"}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def assert_same_training(folder, finished, model, *, as_in) -> None:
    expected_folder, expected, expected_model = as_in
    assert finished.history[MEASURED].equals(expected.history[MEASURED])
    assert finished.best_epoch == expected.best_epoch
    assert same(weights(model), weights(expected_model))
    assert same(stored_state(folder), stored_state(expected_folder))


@pytest.fixture(scope="module")
def uninterrupted(fastai_fit, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("uninterrupted"), network()
    return folder, fit(model, folder), model


class Killed(BaseException):
    """Stands in for SIGKILL: no `except Exception` may soften it."""


def kill_after(epoch: int):
    def log(line: str) -> None:
        if line.startswith(f"epoch {epoch:3d}/"):
            raise Killed

    return log


def linear(factor: float = 1.0):
    """Build a network without any state but its weights, whose logits are multiplied by `factor`."""
    import torch
    from torch import nn

    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, values):
            return self.factor * values

    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), Times(1 / 255), nn.Linear(SIZE**2, len(CLASSES)), Times(factor))


def body_and_head(model) -> list[list]:
    """Return the parameters of `network()` in two groups: convolutions with their normalisation, logits."""
    return [list(model[:-1].parameters()), list(model[-1].parameters())]


@pytest.fixture
def compiled_in_python(monkeypatch):
    """Trace the network as `compiled` does, but leave out the compiler, which takes long; count graphs."""
    import torch
    from torch._dynamo.testing import CompileCounter

    counter, compiled = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda forward, **how: compiled(forward, backend=counter, **how))
    return counter


def augmentation(**changed):
    from fer_utils.training.batches import Augmentation

    return Augmentation(**({"rotation": 20.0, "crop": 0.2, "flip": True} | changed))


# --- learning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd", "nesterov"])
def test_every_optimiser_learns_a_separable_set(fastai_fit, tmp_path, optimizer):
    train, validation = faces("train", 32, 1, noise=2), faces("validation", 24, 2, noise=2)
    settings = {"epochs": 20, "optimizer": optimizer, "learning_rate": 1.0 if optimizer == "sgd" else 0.02}
    model = linear()
    found = fit(model, tmp_path, train=train, validation=validation, **settings)
    assert found.history["loss"].iloc[-1] < 0.5 * found.history["loss"].iloc[0]
    assert found.best["val_accuracy"] > 0.9
    predicted = fastai_fit.predict_probabilities(model, validation.images).argmax(axis=1)
    assert (predicted == validation.labels).mean() == pytest.approx(found.best["val_accuracy"])


def test_loss_and_accuracy_are_means_over_all_images(fastai_fit, tmp_path):
    model = linear()
    row = fit(model, tmp_path, epochs=1, batch_size=7, learning_rate=0.0).best
    for prefix, part in (("", TRAIN), ("val_", VALIDATION)):
        probabilities = fastai_fit.predict_probabilities(model, part.images)
        loss = -np.log(probabilities[np.arange(len(part)), part.labels]).mean()
        assert row[f"{prefix}loss"] == pytest.approx(loss, rel=1e-5)
        assert row[f"{prefix}accuracy"] == (probabilities.argmax(axis=1) == part.labels).mean()


def test_weight_decay_is_l2_on_weights_and_spares_biases(fastai_fit, tmp_path):
    model = linear(factor=0.0)  # so that the loss has no gradient
    before = weights(model)
    one_step = {"epochs": 1, "batch_size": len(TRAIN), "optimizer": "sgd", "learning_rate": 0.1}
    fit(model, tmp_path, weight_decay=0.5, **one_step)
    after = weights(model)
    np.testing.assert_allclose(after["2.weight"], before["2.weight"] * (1 - 0.1 * 0.5), rtol=1e-6)
    np.testing.assert_array_equal(after["2.bias"], before["2.bias"])


def test_parameters_without_gradient_stay(fastai_fit, tmp_path):
    model = network()
    model[1].requires_grad_(False)
    before = weights(model)
    fit(model, tmp_path, epochs=1, weight_decay=0.1)
    changed = {name for name, value in weights(model).items() if not np.array_equal(value, before[name])}
    assert "8.weight" in changed
    assert not {"1.weight", "1.bias"} & changed


def test_a_frozen_body_keeps_its_convolutions_while_head_and_normalisation_learn(fastai_fit, tmp_path):
    model = network()
    before = weights(model)
    fit(model, tmp_path, groups=body_and_head, frozen=True)
    kept = {name for name, array in weights(model).items() if np.array_equal(array, before[name])}
    assert kept == {"1.weight", "1.bias", "3.weight", "3.bias"}
    assert all(parameter.requires_grad for parameter in model.parameters())  # for the stage that follows


def test_the_groups_steps_are_as_large_as_their_rates(fastai_fit, tmp_path):
    """One step of plain SGD: the change is the rate times the gradient."""
    one = {"epochs": 1, "batch_size": 32, "optimizer": "sgd", "groups": body_and_head, "choose": "last"}
    changes = {}
    for lowest in (None, 0.0001):
        model = network(dropout=0.0)
        before = weights(model)
        fit(model, tmp_path, lowest_rate=lowest, **one)
        changes[lowest] = {name: array - before[name] for name, array in weights(model).items()}
    np.testing.assert_allclose(changes[0.0001]["8.weight"], changes[None]["8.weight"], rtol=1e-5)
    np.testing.assert_allclose(
        100 * changes[0.0001]["1.weight"], changes[None]["1.weight"], rtol=0.01, atol=1e-6
    )


def test_label_smoothing_spreads_part_of_the_truth_over_all_classes(fastai_fit, tmp_path):
    import torch

    once = {"epochs": 1, "learning_rate": 1e-12}
    model = network()
    found = fit(model, tmp_path, label_smoothing=0.3, **once)
    said = torch.tensor(fastai_fit.predict_probabilities(model, VALIDATION.images)).log()
    truth = torch.nn.functional.one_hot(torch.tensor(VALIDATION.labels), len(CLASSES))
    expected = -(said * (0.7 * truth + 0.3 / len(CLASSES))).sum(dim=1).mean()
    assert found.best["val_loss"] == pytest.approx(expected.item(), abs=1e-5)


def test_a_last_batch_of_one_image_does_not_break_batch_normalisation(fastai_fit, tmp_path):
    train = faces("train", 33, 1)
    assert len(fit(network(), tmp_path, train=train, epochs=1).history) == 1


def test_mixed_precision_gives_other_float32_weights_and_nearly_the_same_loss(uninterrupted, tmp_path):
    _, expected, expected_model = uninterrupted
    model = network()
    found = fit(model, tmp_path, mixed_precision=True)
    assert found.history["loss"][0] == pytest.approx(expected.history["loss"][0], rel=0.05)
    assert {str(parameter.dtype) for parameter in model.parameters()} == {"torch.float32"}
    assert not same(weights(model), weights(expected_model))


def test_nesterovs_momentum_is_torchs(fastai_fit, tmp_path):
    import torch

    given = {"epochs": 1, "batch_size": 8, "learning_rate": 0.05, "optimizer": "nesterov", "momentum": 0.8}
    model, theirs = linear(), linear()
    fit(model, tmp_path, weight_decay=0.1, **given)
    decays = [{"params": [theirs[2].weight], "weight_decay": 0.1}, {"params": [theirs[2].bias]}]
    optimizer = torch.optim.SGD(decays, lr=0.05, momentum=0.8, nesterov=True)
    from fer_utils.training.batches import Batches

    for images, labels in Batches(TRAIN, batch_size=8, device="cpu", seed=0):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theirs(images), labels).backward()
        optimizer.step()
    np.testing.assert_allclose(weights(model)["2.weight"], weights(theirs)["2.weight"], atol=1e-6)
    np.testing.assert_allclose(weights(model)["2.bias"], weights(theirs)["2.bias"], atol=1e-6)


def test_mixed_pictures_have_mixed_losses(fastai_fit, tmp_path):
    """At a rate of zero the network stays: the loss of mixtures lies above that of the pictures."""
    plain, mixed = (
        fit(linear(), tmp_path, epochs=1, learning_rate=1e-12, mixup=mixup).history for mixup in (0.0, 1.0)
    )
    assert mixed["val_loss"][0] == pytest.approx(plain["val_loss"][0], abs=1e-6)
    assert mixed["loss"][0] != plain["loss"][0]
    assert mixed["loss"][0] == pytest.approx(plain["loss"][0], rel=0.5)


def test_the_running_mean_of_the_weights_is_validated_and_kept(fastai_fit, tmp_path):
    """Against a mean that is worked out from the weights after every step."""
    seen, plain = [], linear()
    plain.register_forward_pre_hook(
        lambda module, _: seen.append(weights(module)["2.weight"]) if module.training else None
    )
    one_epoch = {"epochs": 1, "batch_size": 8, "learning_rate": 0.05, "optimizer": "sgd"}
    fit(plain, tmp_path, **one_epoch)
    averaged = linear()
    found = fit(averaged, tmp_path, weight_averaging=0.5, **one_epoch)
    mean = seen[0]
    for step, after in enumerate([*seen[1:], weights(plain)["2.weight"]], start=1):
        keep = min(0.5, (1 + step) / (10 + step))
        mean = keep * mean + (1 - keep) * after
    np.testing.assert_allclose(weights(averaged)["2.weight"], mean, atol=1e-6)
    said = fastai_fit.predict_probabilities(averaged, VALIDATION.images).argmax(axis=1)
    assert (said == VALIDATION.labels).mean() == pytest.approx(found.best["val_accuracy"])


def test_normalisation_is_learned_anew_under_the_mean_of_the_weights(fastai_fit, tmp_path):
    import torch

    model = network()
    fit(model, tmp_path, weight_averaging=0.9, batch_size=len(TRAIN))
    stored = model[4].running_mean.clone()
    with torch.no_grad():
        entering = model[:4](torch.tensor(TRAIN.images[:, None]).float())
    np.testing.assert_allclose(stored, entering.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mixed_precision", [False, True])
@pytest.mark.parametrize("architecture", ["small_resnet", "vgg8"])
def test_a_whole_network_is_compiled_once_for_every_size_of_batch(
    fastai_fit, tmp_path, compiled_in_python, architecture, mixed_precision
):
    """With 32 images in batches of 12 the last one is smaller; validation has one batch."""
    from fer_utils.models import transfer

    model = transfer.build(architecture, n_classes=len(CLASSES), seed=0, image_size=SIZE, width=0.05)
    fit(model, tmp_path, compiled=True, epochs=2, batch_size=12, mixed_precision=mixed_precision)
    layers = [part for part in model.modules() if not list(part.children())]
    assert compiled_in_python.frame_count == 3
    assert compiled_in_python.op_count >= 3 * len(layers)


@pytest.mark.parametrize("how", [{}, {"mixed_precision": True, "weight_averaging": 0.9, "batch_size": 12}])
def test_a_compiled_training_is_the_same_training_with_its_compiling_apart(
    fastai_fit, tmp_path, compiled_in_python, how
):
    """With 32 images in batches of 12 the last one is smaller, and has a graph of its own."""
    found, expected = (fit(network(), tmp_path, compiled=on, **how).history for on in (True, False))
    np.testing.assert_allclose(found[MEASURED], expected[MEASURED], rtol=1e-4)
    assert (found["compile_seconds"] > 0).all() and (expected["compile_seconds"] == 0).all()
    assert found["elapsed"].is_monotonic_increasing


# --- repeating ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_bit_for_bit(uninterrupted, tmp_path):
    model = network()
    assert_same_training(tmp_path, fit(model, tmp_path), model, as_in=uninterrupted)


def test_another_seed_gives_other_weights(uninterrupted, tmp_path):
    model = network()
    fit(model, tmp_path, seed=1)
    assert not same(weights(model), weights(uninterrupted[2]))


def test_memory_mapped_images_train_to_the_same_weights(uninterrupted, fastai_fit, tmp_path):
    np.save(tmp_path / "images.npy", TRAIN.images)
    mapped = replace(TRAIN, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    model, folder = network(), tmp_path / "checkpoints"
    assert_same_training(folder, fit(model, folder, train=mapped), model, as_in=uninterrupted)
    np.testing.assert_array_equal(
        fastai_fit.predict_probabilities(model, mapped.images),
        fastai_fit.predict_probabilities(model, TRAIN.images),
    )


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"schedule": "one_cycle"},
        {"augmented": True},
        {"schedule": "one_cycle", "augmented": True, "optimizer": "rmsprop", "weight_decay": 0.01},
        {"mixed_precision": True},
        {"groups": body_and_head, "frozen": True, "schedule": "one_cycle"},
        {"groups": body_and_head, "lowest_rate": 0.001, "schedule": "one_cycle", "label_smoothing": 0.1},
        {"optimizer": "nesterov", "schedule": "cosine", "weight_averaging": 0.9, "window": 14, "mixup": 0.4},
    ],
    ids=["constant", "one_cycle", "augmented", "all", "mixed", "frozen", "rates", "record"],
)
def test_a_training_killed_after_an_epoch_resumes_to_the_uninterrupted_result(
    fastai_fit, tmp_path, changed, epoch
):
    settings = dict(changed)
    if settings.pop("augmented", False):
        settings["augmentation"] = augmentation()
    if window := settings.pop("window", 0):
        settings["augmentation"] = augmentation(window=window)
    whole, model = tmp_path / "whole", network()
    expected = whole, fit(model, whole, **settings), model
    killed = tmp_path / "killed"
    with pytest.raises(Killed):
        fit(network(), killed, log=kill_after(epoch), **settings)
    lines, model = [], network()
    resumed = fit(model, killed, log=lines.append, **settings)
    assert resumed.resumed_from == epoch
    assert f"after epoch {epoch} of 4" in lines[0]
    assert_same_training(killed, resumed, model, as_in=expected)


@pytest.mark.parametrize(("batch", "epochs_before"), [(2, 0), (10, 2)])
def test_the_same_network_can_be_fitted_again_after_an_interruption(
    uninterrupted, tmp_path, batch, epochs_before
):
    """Stop the kernel in JupyterLab, run the training cell again: the result is that of a fresh run."""
    seen = 0

    def kill(module, _arguments):
        nonlocal seen
        seen += module.training
        if seen == batch:
            raise Killed

    model = network()
    before = weights(model)
    hook = model.register_forward_pre_hook(kill)
    with pytest.raises(Killed):
        fit(model, tmp_path)
    hook.remove()
    assert same(weights(model), before)
    again = fit(model, tmp_path)
    assert again.resumed_from == epochs_before
    assert_same_training(tmp_path, again, model, as_in=uninterrupted)


def test_a_finished_training_is_found_again_without_training(uninterrupted):
    folder, first, first_model = uninterrupted
    lines, model = [], network()
    again = fit(model, folder, log=lines.append)
    assert again.resumed_from == 4
    assert "finished already" in lines[0]
    assert len(lines) == 1 + 4  # the epochs of the first time are shown, none is trained
    assert again.history.equals(first.history)
    assert (again.best_epoch, again.seconds) == (first.best_epoch, first.seconds)
    assert same(weights(model), weights(first_model))


def with_one_other_pixel(faces: FaceSet) -> FaceSet:
    images = faces.images.copy()
    images[0, 0, 0] ^= 1
    return replace(faces, images=images)


def with_one_other_label(faces: FaceSet) -> FaceSet:
    labels = faces.labels.copy()
    labels[0] = (labels[0] + 1) % len(CLASSES)
    return replace(faces, labels=labels)


@pytest.mark.parametrize(
    ("of_network", "of_fit"),
    [
        ({}, {"epochs": 2}),
        ({}, {"batch_size": 16}),
        ({}, {"seed": 1}),
        ({}, {"train": with_one_other_pixel(TRAIN)}),
        ({}, {"train": with_one_other_label(TRAIN)}),
        ({}, {"train": TRAIN.take(np.arange(len(TRAIN))[::-1])}),
        ({}, {"validation": with_one_other_pixel(VALIDATION)}),
        ({"dropout": 0.4}, {}),
        ({"seed": 1}, {}),
        ({}, {"learning_rate": 0.02}),
        ({}, {"optimizer": "rmsprop"}),
        ({}, {"weight_decay": 0.01}),
        ({}, {"schedule": "one_cycle"}),
        ({}, {"augmentation": {}}),
        ({}, {"augmentation": {"window": 14}}),
        ({}, {"mixup": 0.4}),
        ({}, {"weight_averaging": 0.9}),
        ({}, {"keep_every": 2}),
        ({}, {"compiled": True}),
        ({}, {"mixed_precision": True}),
        ({}, {"label_smoothing": 0.1}),
        ({}, {"groups": body_and_head}),
        ({}, {"groups": body_and_head, "frozen": True}),
        ({}, {"groups": body_and_head, "lowest_rate": 0.001}),
    ],
    ids=str.split(
        "epochs batch_size seed pixel label order validation dropout weights rate optimizer decay schedule "
        "augmentation window mixup averaging keeping compiling precision smoothing groups frozen rates"
    ),
)
def test_another_setting_or_image_never_finds_the_training(
    uninterrupted, tmp_path, of_network, of_fit, compiled_in_python
):
    folder = shutil.copytree(uninterrupted[0], tmp_path / "checkpoints")
    if "augmentation" in of_fit:
        of_fit = {"augmentation": augmentation(**of_fit["augmentation"])}
    with pytest.raises(Killed):  # by the first epoch's line: it trains
        fit(network(**of_network), folder, log=kill_after(1), **of_fit)


def test_a_frozen_layer_a_hidden_setting_and_the_threads_make_another_training(fastai_fit, tmp_path):
    import torch

    fit(linear(), tmp_path, epochs=1)
    frozen = linear()
    frozen[2].bias.requires_grad_(False)
    for model in (frozen, linear(factor=2.0)):  # the factor is in no weight and in no repr
        assert fit(model, tmp_path, epochs=1).resumed_from == 0
    torch.set_num_threads(2)
    try:
        assert fit(linear(), tmp_path, epochs=1).resumed_from == 0
    finally:
        torch.set_num_threads(1)
    assert fit(linear(), tmp_path, epochs=1).resumed_from == 1


# --- choosing, predicting -------------------------------------------------------------------------------


def test_the_network_has_the_weights_of_the_epoch_best_on_validation(fastai_fit, tmp_path):
    """Validation has the wrong labels: the more is learned, the worse it becomes."""
    train = faces("train", 33, 1, noise=2)
    wrong = replace(train, labels=(train.labels + 1) % len(CLASSES))
    settings = {"train": train, "validation": wrong, "learning_rate": 0.05, "epochs": 20}
    model = linear()
    found = fit(model, tmp_path / "whole", **settings)
    assert found.best_epoch == 1 + found.history["val_accuracy"].argmax() < 20
    with pytest.raises(Killed):
        fit(linear(), tmp_path / "killed", log=kill_after(found.best_epoch), **settings)
    then = stored_state(tmp_path / "killed")
    assert same(weights(model), {name: then[f"model/{name}"] for name in weights(model)})
    predicted = fastai_fit.predict_probabilities(model, wrong.images).argmax(axis=1)
    assert (predicted == wrong.labels).mean() == pytest.approx(found.best["val_accuracy"])


def test_of_equal_epochs_the_earliest_is_kept(fastai_fit, tmp_path):
    found = fit(linear(), tmp_path, learning_rate=0.0)
    assert found.history["val_accuracy"].nunique() == 1
    assert found.best_epoch == 1


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_probabilities_do_not_depend_on_the_batch(uninterrupted, fastai_fit, batch_size):
    import torch

    model = uninterrupted[2]
    model.train()
    found = fastai_fit.predict_probabilities(model, VALIDATION.images, batch_size=batch_size)
    assert model.training
    assert found.shape == (24, 3)
    assert found.dtype == np.float32
    with torch.no_grad():
        logits = model.eval()(torch.tensor(VALIDATION.images[:, None]).float())
    np.testing.assert_allclose(found, logits.softmax(dim=1).numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_the_learner_finds_a_learning_rate_and_says_nothing(fastai_fit, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"batch_size": 8, "learning_rate": 0.01, "seed": 0, "device": "cpu"}
    model = network()
    before = weights(model)
    learn = fastai_fit.learner(model, TRAIN, VALIDATION, **settings)
    assert 1e-7 < learn.lr_find(num_it=20, show_plot=False).valley < 10
    assert same(weights(model), before)
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())


# --- the clock, and weights that are kept ----------------------------------------------------------------


def test_weights_of_chosen_epochs_are_kept_as_the_clock_runs(uninterrupted, tmp_path):
    from safetensors.numpy import load_file

    model = network()
    found = fit(model, tmp_path, keep_every=3)
    assert list(found.kept) == [3, 4]
    assert same(
        load_file(found.kept[4]), {name: stored_state(tmp_path)[f"model/{name}"] for name in weights(model)}
    )
    history = found.history
    assert history["elapsed"].is_monotonic_increasing
    assert (history["elapsed"] >= history["seconds"].cumsum() + history["validation_seconds"].cumsum()).all()
    assert same(weights(model), weights(uninterrupted[2]))  # keeping changes nothing
    found.kept[3].unlink()
    with pytest.raises(ConfigError, match=r"keep_every=3: .*epoch3.safetensors is gone; delete .*npz"):
        fit(network(), tmp_path, keep_every=3)


def test_a_training_that_was_stopped_adds_up_its_parts_and_says_so(fastai_fit, tmp_path, monkeypatch):
    from types import SimpleNamespace

    from fer_utils.training import callbacks

    hour = 3600.0
    with pytest.raises(Killed):
        fit(network(), tmp_path, keep_every=1, log=kill_after(2))
    real = callbacks.time.perf_counter
    later = SimpleNamespace(perf_counter=lambda: real() + hour)  # the night between stop and start
    monkeypatch.setattr(callbacks, "time", later)
    monkeypatch.setattr(fastai_fit, "time", later)
    found = fit(network(), tmp_path, keep_every=1)
    assert list(found.history["start"]) == [1, 1, 2, 2]
    assert found.history["elapsed"].is_monotonic_increasing
    assert found.history["elapsed"].iloc[-1] < hour / 2
    assert list(found.kept) == [1, 2, 3, 4] and all(path.is_file() for path in found.kept.values())


def test_a_checkpoint_every_few_epochs_costs_a_stop_only_those_since(fastai_fit, tmp_path, uninterrupted):
    with pytest.raises(Killed):
        fit(network(), tmp_path, checkpoint_every=2, log=kill_after(3))
    model = network()
    found = fit(model, tmp_path, checkpoint_every=3)  # another pace of writing is the same training
    assert found.resumed_from == 2
    assert same(weights(model), weights(uninterrupted[2]))
    assert fit(network(), tmp_path).resumed_from == len(found.history)  # the last epoch is always written


# --- errors ---------------------------------------------------------------------------------------------


def test_divergence_is_reported_with_epoch_batch_and_learning_rate(fastai_fit, tmp_path):
    expected = r"^the loss became \w+ in epoch 1, batch [2-4]; .*learning_rate \(now 1e\+30\)"
    with pytest.raises(TrainingDiverged, match=expected):
        fit(network(), tmp_path, learning_rate=1e30, optimizer="sgd")


@pytest.mark.parametrize("damage", [b"", b"not an archive", None], ids=["empty", "foreign", "truncated"])
def test_a_damaged_checkpoint_is_named_and_the_way_out_is_given(uninterrupted, tmp_path, damage):
    (whole,) = uninterrupted[0].glob("*.npz")
    content = whole.read_bytes()
    (tmp_path / whole.name).write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(ValueError, match=rf"{whole.name}.*delete it"):
        fit(network(), tmp_path)


def test_a_batch_too_large_for_the_gpu_names_the_parameter(fastai_fit, tmp_path):
    import torch

    from fer_utils.training import rates

    def full(_module, _arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model = network()
    model.register_forward_pre_hook(full)
    with pytest.raises(ConfigError, match=r"^batch_size=8: .*memory; try batch_size=4"):
        fit(model, tmp_path)
    settings = {"batch_size": 8, "learning_rate": 0.01, "seed": 0, "device": "cpu"}
    learn = fastai_fit.learner(model, TRAIN, VALIDATION, **settings)
    with pytest.raises(ConfigError, match=r"^batch_size=8: .*memory; try batch_size=4"):
        rates.find_rates(learn, steps=20)
    with pytest.raises(ConfigError, match=r"^batch_size=2: .*memory; try batch_size=1"):
        fastai_fit.predict_probabilities(model, VALIDATION.images, batch_size=2)


def test_views_go_where_the_network_is(fastai_fit, batches):
    class Views:
        def to(self, device):
            return batches.flip_views().to(device)

    said = fastai_fit.predict_probabilities(network(), VALIDATION.images, views=Views())
    assert said.shape == (len(VALIDATION), len(CLASSES))


def test_no_room_where_nothing_is_learned_names_another_setting(fastai_fit, tmp_path):
    import torch

    def full(module, _arguments):
        if not module.training:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model = network()
    model.register_forward_pre_hook(full)
    for look in (
        lambda: fit(model, tmp_path),
        lambda: fastai_fit.predict_probabilities(model, VALIDATION.images),
    ):
        with pytest.raises(ConfigError, match=r"^fer_utils\S+VALIDATION_BATCH=256: .*VALIDATION_BATCH=128"):
            look()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"optimizer": "adagrad"}, "optimizer=adagrad: use one of adam, rmsprop, sgd, nesterov"),
        ({"schedule": "linear"}, "schedule=linear: use constant or one_cycle or cosine"),
        ({"choose": "first"}, "choose=first: use best or last"),
    ],
)
def test_an_unknown_choice_names_the_known_ones(fastai_fit, tmp_path, wrong, expected):
    with pytest.raises(ConfigError, match=expected):
        fit(network(), tmp_path, **wrong)


def test_an_image_without_a_class_cannot_be_learned(fastai_fit, tmp_path):
    labels = VALIDATION.labels.copy()
    labels[3] = -1
    with pytest.raises(ValueError, match=r"validation: 1 of 24 images have no class; .*labelled"):
        fit(network(), tmp_path, validation=replace(VALIDATION, labels=labels))


def test_a_gpu_that_is_not_there_is_a_configuration_error(fastai_fit):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="device=cuda: the torch backend sees no GPU"):
        fastai_fit.prepare(threads=1, device="cuda")


def test_the_hardware_is_named(fastai_fit):
    prepared = fastai_fit.prepare(threads=1, device="cpu")
    assert (prepared["device"], prepared["backend"]) == ("cpu", "torch")
    assert prepared["device_name"]


# --- batches --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 12), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_every_epoch_has_every_image_once_and_no_batch_of_one(batches, n, batch_size, seed, epoch):
    part = faces("train", n, 0)
    loader = batches.Batches(part, batch_size=batch_size, device="cpu", seed=seed)
    loader.epoch = epoch
    seen = list(loader)
    sizes = [len(labels) for _, labels in seen]
    assert len(loader) == len(seen)
    assert max(sizes) <= batch_size + 1
    assert 1 not in sizes or 1 in (n, batch_size)
    images = np.concatenate([images.numpy() for images, _ in seen])[:, 0]
    labels = np.concatenate([labels.numpy() for _, labels in seen])
    order = [int(np.flatnonzero((part.images == image).all(axis=(1, 2)))[0]) for image in images]
    assert sorted(order) == list(range(n))
    np.testing.assert_array_equal(labels, part.labels[order])


def epoch_images(batches, *, epoch: int, seed: int | None = 0, **changed) -> np.ndarray:
    loader = batches.Batches(TRAIN, batch_size=8, device="cpu", seed=seed, **changed)
    loader.epoch = epoch
    return np.concatenate([images.numpy() for images, _ in loader])[:, 0]


def test_without_seed_and_augmentation_the_images_come_as_they_are(batches):
    found = epoch_images(batches, epoch=3, seed=None)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, TRAIN.images)


def test_an_augmentation_of_nothing_changes_nothing(batches):
    nothing = augmentation(rotation=0.0, crop=0.0, flip=False)
    found = epoch_images(batches, epoch=0, augmentation=nothing)
    np.testing.assert_allclose(found, epoch_images(batches, epoch=0), atol=1e-2)


def test_seed_and_epoch_decide_order_and_augmentation(batches):
    first = epoch_images(batches, epoch=1, augmentation=augmentation())
    np.testing.assert_array_equal(first, epoch_images(batches, epoch=1, augmentation=augmentation()))
    assert not np.array_equal(first, epoch_images(batches, epoch=2, augmentation=augmentation()))
    assert not np.array_equal(first, epoch_images(batches, epoch=1, seed=1, augmentation=augmentation()))


def test_a_flip_mirrors_left_and_right_of_some_images(batches):
    flip = augmentation(rotation=0.0, crop=0.0)
    pairs = zip(
        epoch_images(batches, epoch=0), epoch_images(batches, epoch=0, augmentation=flip), strict=True
    )
    mirrored = []
    for image, found in pairs:
        mirrored.append(not np.allclose(found, image, atol=1e-2))
        np.testing.assert_allclose(found, image[:, ::-1] if mirrored[-1] else image, atol=1e-2)
    assert 0.2 < np.mean(mirrored) < 0.8


@settings(deadline=None, max_examples=50)
@given(
    rotation=st.floats(0, 180),
    crop=st.floats(0, 0.9),
    flip=st.booleans(),
    size=st.tuples(st.integers(8, 32), st.integers(8, 32)),
    seed=st.integers(0, 99),
)
def test_augmented_images_keep_shape_and_range_and_are_not_sheared(batches, rotation, crop, flip, size, seed):
    import torch

    drawn = batches.Augmentation(rotation=rotation, crop=crop, flip=flip).draw(
        6, size=size, random=np.random.default_rng(seed)
    )
    images = torch.tensor(faces("train", 6, seed, size=size).images)[:, None].float()
    found = batches.warp(images, drawn)
    assert found.shape == images.shape
    lowest, highest = images.amin(dim=(1, 2, 3)), images.amax(dim=(1, 2, 3))
    assert (found.amin(dim=(1, 2, 3)) >= lowest - 0.01).all()
    assert (found.amax(dim=(1, 2, 3)) <= highest + 0.01).all()
    pixels = np.diag([size[1], size[0]])
    for x_y in drawn.double().numpy():
        in_pixels = pixels @ x_y[:, :2] @ np.linalg.inv(pixels)
        squares = in_pixels @ in_pixels.T
        scale = np.sqrt(squares[0, 0])
        np.testing.assert_allclose(squares, scale**2 * np.eye(2), atol=1e-4)
        assert 1 - crop - 1e-4 <= scale <= 1 + 1e-4
        assert np.abs(x_y[:, 2]).max() <= 1 - scale + 1e-4
        assert np.sign(np.linalg.det(in_pixels)) == 1 or flip


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [({"rotation": 200}, "rotation=200"), ({"crop": 1}, "crop=1"), ({"cutout": 1.5}, "cutout=1.5")],
)
def test_an_impossible_augmentation_is_refused(batches, wrong, expected):
    with pytest.raises(ConfigError, match=f"{expected}: use "):
        batches.Augmentation(**wrong)


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 99), clip=st.booleans())
def test_a_cut_out_square_is_gray_and_the_rest_untouched(batches, share, seed, clip):
    import torch

    random = np.random.default_rng(seed)
    images = torch.tensor(random.uniform(0, 100, (6, 2, 5, 30, 40) if clip else (6, 1, 30, 40))).float()
    centres = augmentation().draw_centres(6, random=random)
    cut = batches.cut_out(images, centres, share=share)
    gray = (cut == batches.GRAY).flatten(1, -3).all(dim=1)
    untouched = (cut == images).flatten(1, -3).all(dim=1)
    assert (gray ^ untouched).all()
    for hole in gray:
        rows, columns = hole.any(dim=1), hole.any(dim=0)
        assert torch.equal(hole, rows[:, None] & columns[None, :])
        assert max(rows.sum(), columns.sum()) <= share * 30 + 1


def test_a_whole_hole_has_the_side_that_was_asked_for(batches):
    import torch

    cut = batches.cut_out(torch.zeros(1, 1, 40, 40), torch.tensor([[0.5, 0.5]]), share=0.25)
    assert (cut == batches.GRAY).sum() == 10 * 10


def test_ten_views_are_five_windows_and_their_mirror_images(batches):
    import torch

    images = torch.rand(3, 1, 40, 40)
    views = [batches.warp(images, view.expand(3, 2, 3)) for view in batches.ten_crop(0.1)]
    for view, mirrored in zip(views[:5], views[5:], strict=True):
        torch.testing.assert_close(mirrored.flip(-1), view)
    corner = torch.nn.functional.interpolate(
        images[..., :36, :36], size=(40, 40), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(views[1][..., 2:-2, 2:-2], corner[..., 2:-2, 2:-2])
    middle = batches.ten_crop(0.0)
    torch.testing.assert_close(batches.warp(images, middle[0].expand(3, 2, 3)), images)


def test_probabilities_over_views_are_the_mean_of_each_views(uninterrupted, fastai_fit, batches):
    model, views = uninterrupted[2], batches.ten_crop(0.2)
    each = [
        fastai_fit.predict_probabilities(model, VALIDATION.images, views=views[number : number + 1])
        for number in range(10)
    ]
    together = fastai_fit.predict_probabilities(model, VALIDATION.images, views=views)
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("choose", ["best", "last"])
def test_clips_are_trained_on_and_judged_as_images_are(fastai_fit, tmp_path, choose):
    from fer_utils.models import dubey2020

    parts = [clips_of(part) for part in (TRAIN, VALIDATION)]
    model = dubey2020.Dubey2020(n_frames=17, image_size=SIZE, dropout=0.1)
    settings = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01, "batch_size": 8, "epochs": 6}
    how = {"seed": 0, "checkpoint_dir": tmp_path, "device": "cpu", "choose": choose}
    fit = fastai_fit.fit(model, *parts, **settings, **how, log=lambda line: None)
    said = fastai_fit.predict_probabilities(model, parts[1].clips).argmax(axis=1)
    assert (said == parts[1].labels).mean() == pytest.approx(fit.best["val_accuracy"])
    assert fit.best["val_accuracy"] > 0.8


def test_the_last_epoch_and_the_best_are_two_looks_at_one_training(fastai_fit, tmp_path):
    import torch

    lines, kept, settings = [], {}, {"epochs": 4, "batch_size": 8, "learning_rate": 0.03, "seed": 0}
    for choose in ("last", "best"):
        model = network()
        how = {"checkpoint_dir": tmp_path, "device": "cpu", "choose": choose, "log": lines.append}
        kept[choose] = (fastai_fit.fit(model, TRAIN, VALIDATION, **settings, **how), model)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    assert sum("finished already" in line for line in lines) == 1
    (last, last_model), (best, best_model) = kept["last"], kept["best"]
    assert last.history.equals(best.history)
    assert last.best_epoch == 4
    assert best.best["val_accuracy"] == best.history["val_accuracy"].max()
    same = all(map(torch.equal, last_model.state_dict().values(), best_model.state_dict().values()))
    assert same == (best.best_epoch == 4)
    for fit, model in kept.values():
        said = fastai_fit.predict_probabilities(model, VALIDATION.images).argmax(axis=1)
        assert (said == VALIDATION.labels).mean() == pytest.approx(fit.best["val_accuracy"])


def test_the_frames_of_a_clip_are_augmented_alike(batches):
    still = clips_of(TRAIN)
    changes = batches.Augmentation(rotation=20, crop=0.2)
    for images, _ in batches.Batches(still, batch_size=8, device="cpu", seed=0, augmentation=changes):
        assert images.shape[1:] == (1, 17, SIZE, SIZE)
        assert (images == images[:, :, :1]).all()
