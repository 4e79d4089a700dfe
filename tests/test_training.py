"""A Keras training repeats, resumes, chooses on validation and says clearly when it cannot go on."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_utils.data import FaceSet
from fer_utils.files import ConfigError
from fer_utils.training import TrainingDiverged

SIZE = 16
CLASSES = ("dark", "grey", "bright")
MEASURED = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.fixture(scope="module")
def keras_fit(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.training import keras_fit

    keras_fit.prepare(threads=2, device="cpu")
    return keras_fit


def faces(name: str, n: int, seed: int) -> FaceSet:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % len(CLASSES)
    images = random.integers(0, 160, (n, SIZE, SIZE)) + 40 * labels[:, None, None]
    return FaceSet(
        name=name,
        source="synthetic",
        images=images.astype(np.uint8),
        labels=labels.astype(np.int64),
        class_names=CLASSES,
        split=np.full(n, name),
        sample_id=np.array([f"{name}-{i}" for i in range(n)]),
    )


TRAIN, VALIDATION = faces("train", 60, 1), faces("validation", 30, 2)


def network(*, seed: int = 0, dropout: float = 0.5, learning_rate: float = 0.01, optimizer: str = "adam"):
    """Build a network with all that carries state: normalisation, dropout and an adaptive optimiser."""
    import keras
    from keras import layers

    from fer_utils.training import keras_fit

    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1), dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(4, 3, strides=2, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flatten"),
            layers.Dropout(dropout, name="dropout"),
            layers.Dense(len(CLASSES), activation="softmax", name="probabilities"),
        ],
        name="tiny",
    )
    keras_fit.compile_classifier(model, learning_rate=learning_rate, optimizer=optimizer)
    return model


def fit(model, folder, *, train=TRAIN, validation=VALIDATION, log=lambda line: None, **settings):
    from fer_utils.training import keras_fit

    settings = {"epochs": 4, "batch_size": 16, "seed": 0} | settings
    return keras_fit.fit(model, train, validation, checkpoint_dir=folder, log=log, **settings)


def weights(model) -> list[np.ndarray]:
    return [np.array(variable) for variable in model.variables]


def stored_state(folder) -> dict[str, np.ndarray]:
    """Return all arrays of the only checkpoint: weights, optimiser, random state."""
    (path,) = folder.glob("*.npz")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "history"}


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def assert_same_training(folder, finished, model, *, as_in) -> None:
    expected_folder, expected, expected_model = as_in
    assert finished.history[MEASURED].equals(expected.history[MEASURED])
    assert finished.best_epoch == expected.best_epoch
    assert same(weights(model), weights(expected_model))
    state, expected_state = stored_state(folder), stored_state(expected_folder)
    assert state.keys() == expected_state.keys()
    assert all(np.array_equal(state[name], expected_state[name]) for name in state)


@pytest.fixture(scope="module")
def uninterrupted(keras_fit, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("uninterrupted"), network()
    return folder, fit(model, folder), model


class Killed(BaseException):
    """Stands in for SIGKILL: no `except Exception` may soften it."""


def kill_after(epoch: int):
    def log(line: str) -> None:
        if line.startswith(f"epoch {epoch:3d}/"):
            raise Killed

    return log


def kill_in_batch(model, batch: int) -> None:
    """Make `model` die in the given batch, counted over all epochs."""
    import keras

    class Kill(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, _batch, logs=None):
            Kill.seen += 1
            if Kill.seen == batch:
                raise Killed

    original = model.fit
    model.fit = lambda *arguments, callbacks, **named: original(
        *arguments, callbacks=[*callbacks, Kill()], **named
    )


def test_the_same_seed_gives_the_same_weights_bit_for_bit(uninterrupted, tmp_path):
    model = network()
    assert_same_training(tmp_path, fit(model, tmp_path), model, as_in=uninterrupted)


def test_another_seed_gives_other_weights(uninterrupted, tmp_path):
    model = network(seed=1)
    fit(model, tmp_path, seed=1)
    assert not same(weights(model), weights(uninterrupted[2]))


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_training_killed_after_an_epoch_resumes_to_the_uninterrupted_result(uninterrupted, tmp_path, epoch):
    with pytest.raises(Killed):
        fit(network(), tmp_path, log=kill_after(epoch))
    lines, model = [], network()
    resumed = fit(model, tmp_path, log=lines.append)
    assert resumed.resumed_from == epoch
    assert f"after epoch {epoch} of 4" in lines[0]
    assert_same_training(tmp_path, resumed, model, as_in=uninterrupted)


def test_a_training_killed_within_an_epoch_repeats_that_epoch(uninterrupted, tmp_path):
    dying = network()
    kill_in_batch(dying, 10)  # four batches an epoch: the second of the third epoch
    with pytest.raises(Killed):
        fit(dying, tmp_path)
    model = network()
    resumed = fit(model, tmp_path)
    assert resumed.resumed_from == 2
    assert_same_training(tmp_path, resumed, model, as_in=uninterrupted)


@pytest.mark.parametrize("batch", [2, 10])
def test_the_same_network_can_be_fitted_again_after_an_interruption(uninterrupted, tmp_path, batch):
    """Stop the kernel in JupyterLab, run the training cell again: the result is that of a fresh run."""
    from fer_utils.training import keras_fit

    model = network()
    original = model.fit
    kill_in_batch(model, batch)
    with pytest.raises(Killed):
        fit(model, tmp_path)
    model.fit = original
    keras_fit.compile_classifier(model, learning_rate=0.01)
    assert_same_training(tmp_path, fit(model, tmp_path), model, as_in=uninterrupted)


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
        ({}, {"batch_size": 30}),
        ({}, {"seed": 1}),
        ({}, {"train": with_one_other_pixel(TRAIN)}),
        ({}, {"train": with_one_other_label(TRAIN)}),
        ({}, {"train": TRAIN.take(np.arange(len(TRAIN))[::-1])}),
        ({}, {"validation": with_one_other_pixel(VALIDATION)}),
        ({"dropout": 0.4}, {}),
        ({"learning_rate": 0.02}, {}),
        ({"optimizer": "rmsprop"}, {}),
    ],
    ids=str.split("epochs batch_size seed pixel label order validation dropout rate optimizer"),
)
def test_another_setting_or_image_never_finds_the_training(uninterrupted, tmp_path, of_network, of_fit):
    folder = shutil.copytree(uninterrupted[0], tmp_path / "checkpoints")
    with pytest.raises(Killed):  # by the first epoch's line: it trains
        fit(network(**of_network), folder, log=kill_after(1), **of_fit)


def drawn(epoch: int) -> tuple[FaceSet, FaceSet]:
    """Return other thirds of the training images in every epoch."""
    order = np.random.default_rng(epoch).permutation(len(TRAIN))
    return TRAIN.take(np.sort(order[:40])), TRAIN.take(np.sort(order[40:]))


def test_parts_that_are_drawn_anew_train_and_validate_in_their_epoch(keras_fit, tmp_path):
    asked, model = [], network()

    def redrawn(epoch):
        asked.append(epoch)
        return drawn(epoch)

    finished = fit(model, tmp_path, redrawn=redrawn)
    assert set(asked) == {0, 1, 2, 3}
    _, last = drawn(3)
    if finished.best_epoch == 4:
        answers = keras_fit.predict_probabilities(model, last.images).argmax(axis=1)
        assert finished.history["val_accuracy"].iloc[-1] == pytest.approx((answers == last.labels).mean())
    fixed = fit(network(), tmp_path, train=drawn(0)[0], validation=drawn(0)[1])
    assert fixed.resumed_from == 0, (
        "parts held fixed are another training, though the first epoch is the same"
    )
    assert fixed.history["loss"].iloc[0] == finished.history["loss"].iloc[0]
    assert fixed.history["loss"].iloc[1] != finished.history["loss"].iloc[1]


def test_tf_data_draws_its_parts_as_a_reshuffled_split_does_unless_it_is_told_not_to(keras_fit):
    import tensorflow as tf

    def parts(again: bool) -> list[tuple[set, set]]:
        stream = tf.data.Dataset.range(500).shuffle(500, seed=12, reshuffle_each_iteration=again)
        train, validation = stream.take(400), stream.skip(400).take(50)
        return [tuple({int(i) for i in part} for part in (train, validation)) for _ in range(4)]

    for train, validation in parts(again=True):
        assert 0.6 < len(train & validation) / 50 < 0.95  # four fifths are expected
    assert len(set.union(*(train for train, _ in parts(again=True)))) > 490
    fixed = parts(again=False)
    assert not fixed[0][0] & fixed[0][1] and all(one == fixed[0] for one in fixed)


def test_what_is_watched_is_answered_after_every_epoch_and_changes_nothing(uninterrupted, tmp_path):
    from fer_utils.training import keras_fit

    watched = {"validation": VALIDATION, "others": faces("test", 12, 5)}
    with pytest.raises(Killed):
        fit(network(), tmp_path, watched=watched, log=kill_after(2))
    model = network()
    finished = fit(model, tmp_path, watched=watched)
    assert finished.resumed_from == 2
    assert finished.history[MEASURED].equals(uninterrupted[1].history[MEASURED])
    assert same(weights(model), weights(uninterrupted[2]))
    assert {name: answers.shape for name, answers in finished.answers.items()} == {
        "validation": (4, 30),
        "others": (4, 12),
    }
    right = (finished.answers["validation"] == VALIDATION.labels).mean(axis=1)
    assert right == pytest.approx(finished.history["val_accuracy"].to_numpy())
    now = keras_fit.predict_probabilities(model, VALIDATION.images).argmax(axis=1)
    assert np.array_equal(now, finished.answers["validation"][finished.best_epoch - 1])
    assert uninterrupted[1].answers == {}


def test_divergence_is_reported_with_epoch_batch_and_learning_rate(keras_fit, tmp_path):
    model = network(learning_rate=1e30, optimizer="sgd")
    with pytest.raises(TrainingDiverged, match=r"epoch 1, batch [2-4]; .*learning_rate \(now 1e\+30\)"):
        fit(model, tmp_path)


def test_the_epoch_best_on_validation_is_kept_the_earliest_of_equals(keras_fit, tmp_path):
    model, after_epoch, accuracies = network(), [], iter([0.5, 0.7, 0.7, 0.6])
    model.evaluate = lambda *_, **__: {"loss": 1.0, "accuracy": next(accuracies)}
    finished = fit(model, tmp_path, log=lambda line: after_epoch.append(weights(model)))
    assert finished.best_epoch == 2
    assert finished.best["val_accuracy"] == 0.7
    assert same(weights(model), after_epoch[1])
    assert not same(weights(model), after_epoch[2])


@pytest.mark.parametrize("batch_size", [7, 256])
def test_probabilities_are_those_of_keras_own_predict(uninterrupted, keras_fit, batch_size):
    model = uninterrupted[2]
    found = keras_fit.predict_probabilities(model, VALIDATION.images, batch_size=batch_size)
    assert found.shape == (30, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model.predict(VALIDATION.images[..., None], verbose=0), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_memory_mapped_images_train_to_the_same_weights(uninterrupted, keras_fit, tmp_path):
    np.save(tmp_path / "images.npy", TRAIN.images)
    mapped = replace(TRAIN, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    model = network()
    checkpoints = tmp_path / "checkpoints"
    assert_same_training(checkpoints, fit(model, checkpoints, train=mapped), model, as_in=uninterrupted)
    np.testing.assert_array_equal(
        keras_fit.predict_probabilities(model, mapped.images, batch_size=7),
        keras_fit.predict_probabilities(model, TRAIN.images, batch_size=7),
    )


@pytest.mark.parametrize("damage", [b"", b"not an archive", None], ids=["empty", "foreign", "truncated"])
def test_a_damaged_checkpoint_is_named_and_the_way_out_is_given(uninterrupted, tmp_path, damage):
    (whole,) = uninterrupted[0].glob("*.npz")
    content = whole.read_bytes()
    (tmp_path / whole.name).write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(ValueError, match=rf"{whole.name}.*delete it"):
        fit(network(), tmp_path)


def test_an_image_without_a_class_cannot_be_learned(keras_fit, tmp_path):
    labels = VALIDATION.labels.copy()
    labels[3] = -1
    with pytest.raises(ValueError, match=r"validation: 1 of 30 images have no class; .*labelled"):
        fit(network(), tmp_path, validation=replace(VALIDATION, labels=labels))


# --- mixed precision ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_half(keras_fit, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("in_half"), network()
    return folder, fit(model, folder, mixed_precision=True), model


def test_mixed_precision_resumes_to_the_uninterrupted_result(in_half, tmp_path):
    with pytest.raises(Killed):
        fit(network(), tmp_path, mixed_precision=True, log=kill_after(1))
    model = network()
    resumed = fit(model, tmp_path, mixed_precision=True)
    assert resumed.resumed_from == 1
    assert_same_training(tmp_path, resumed, model, as_in=in_half)


def test_mixed_precision_is_of_the_training_alone_and_what_is_validated_is_what_is_kept(in_half, keras_fit):
    folder, finished, model = in_half
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert all(array.dtype != np.float16 for array in stored_state(folder).values())
    said = keras_fit.predict_probabilities(model, VALIDATION.images)
    assert said.dtype == np.float32
    accuracy = np.mean(said.argmax(axis=1) == VALIDATION.labels)
    assert accuracy == pytest.approx(finished.best["val_accuracy"], abs=1e-6)


def test_mixed_precision_is_another_training(uninterrupted, in_half, tmp_path):
    folder = shutil.copytree(uninterrupted[0], tmp_path / "checkpoints")
    with pytest.raises(Killed):
        fit(network(), folder, mixed_precision=True, log=kill_after(1))
    assert not in_half[1].history[MEASURED].equals(uninterrupted[1].history[MEASURED])


def test_pixels_and_probabilities_stay_in_32_bits_and_all_between_is_in_16(keras_fit, monkeypatch, tmp_path):
    seen = {}
    clone = keras_fit.keras.models.clone_model

    def noted(*arguments, **settings):
        found = clone(*arguments, **settings)
        seen.update({layer.name: layer.compute_dtype for layer in found.layers})
        return found

    monkeypatch.setattr(keras_fit.keras.models, "clone_model", noted)
    fit(network(), tmp_path, mixed_precision=True, epochs=1)
    assert seen.pop("scale") == seen.pop("probabilities") == "float32"
    assert set(seen.values()) == {"bfloat16"} and {"conv", "norm", "dropout"} <= set(seen)


def test_a_gpu_without_bfloat16_trains_in_float16_with_a_scaled_loss(keras_fit, monkeypatch, tmp_path):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["an older GPU"])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (7, 5)}
    )
    finished = fit(network(), tmp_path, mixed_precision=True, epochs=1)
    assert np.isfinite(finished.best["loss"])
    state = stored_state(tmp_path)
    assert max(array.max() for name, array in state.items() if name.startswith("optimizer/")) >= 2**10


# --- a GPU, or none -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("fit", "batch_size=16: too much for the GPU's memory; try batch_size=8"),
        ("evaluate", "hardware.VALIDATION_BATCH=256: too much .*; try .*VALIDATION_BATCH=128"),
        ("predict_on_batch", "hardware.VALIDATION_BATCH=256: too much .*; try .*VALIDATION_BATCH=128"),
    ],
)
def test_too_little_memory_on_the_gpu_names_the_size_to_try(keras_fit, tmp_path, part, message):
    import tensorflow as tf

    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    model = network()
    setattr(model, part, full)
    with pytest.raises(ConfigError, match=message):
        fit(model, tmp_path, epochs=1, watched={"validation": VALIDATION})


def test_predicting_names_its_own_batch_size(keras_fit):
    import tensorflow as tf

    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    model = network()
    model.predict_on_batch = full
    with pytest.raises(ConfigError, match="batch_size=9: too much for the GPU's memory; try batch_size=4"):
        keras_fit.predict_probabilities(model, VALIDATION.images, batch_size=9)
    with pytest.raises(ConfigError, match=r"batch_size=1: .*; use device=cpu or smaller images"):
        keras_fit.predict_probabilities(model, VALIDATION.images, batch_size=1)


def test_where_torch_alone_sees_a_gpu_the_way_to_it_is_named(keras_fit, monkeypatch):
    _without_gpu()
    monkeypatch.setattr(keras_fit.hardware, "torch_gpu_name", lambda: "Tesla T4")
    lines: list[str] = []
    assert keras_fit.prepare(threads=2, log=lines.append)["device"] == "cpu"
    assert len(lines) == 1 and "PyTorch sees Tesla T4" in lines[0] and "KERAS_BACKEND=torch" in lines[0]
    with pytest.raises(ConfigError, match=r"device=cuda: TensorFlow sees no GPU .*KERAS_BACKEND=torch"):
        keras_fit.prepare(threads=2, device="cuda")
    keras_fit.prepare(threads=2, device="cpu", log=lines.append)
    assert len(lines) == 1, "who asks for the processor needs no advice"


def _without_gpu() -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")


def test_a_gpu_that_is_not_there_is_a_configuration_error(keras_fit, monkeypatch):
    _without_gpu()
    monkeypatch.setattr(keras_fit.hardware, "torch_gpu_name", lambda: None)
    with pytest.raises(ConfigError, match="device=cuda: the tensorflow backend sees no GPU"):
        keras_fit.prepare(threads=2, device="cuda")


def test_the_hardware_is_named(keras_fit):
    prepared = keras_fit.prepare(threads=2, device="cpu")
    assert prepared["device"] == "cpu"
    assert prepared["backend"] == "tensorflow"
    assert prepared["device_name"]


def test_threads_cannot_change_in_a_running_kernel_and_the_message_says_so(keras_fit):
    network()  # TensorFlow fixes its threads with the first tensor
    with pytest.raises(ConfigError, match=r"threads=1.*restart the kernel"):
        keras_fit.prepare(threads=1, device="cpu")


def test_another_keras_backend_is_a_configuration_error(keras_fit, monkeypatch):
    monkeypatch.setattr(keras_fit.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax: use one of tensorflow, torch"):
        keras_fit.prepare(threads=2)
