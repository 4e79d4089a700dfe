"""A Keras training repeats, resumes, selects on validation and says clearly when it cannot continue."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.keras_run import MEASURED, TRAIN, VALIDATION, Killed, faces, fit, network, split, state

from fer_utils import hardware
from fer_utils.files import ConfigError
from fer_utils.training import memory_errors


@pytest.fixture(scope="module")
def keras_training(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return keras_training


@pytest.fixture
def eager(keras_training):
    """For a few steps: building a graph would take longer."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def uninterrupted(keras_training, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return (*fit(folder), folder)


def assert_same(one, other):
    assert one[1][MEASURED].equals(other[1][MEASURED])
    assert_same_weights(state(one[0]), state(other[0]))


def assert_same_weights(one, other):
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def best(folder):
    model = network()
    model.load_weights(folder / "best.weights.h5")
    return model.get_weights()


def test_a_killed_training_resumes_to_the_same_bits_and_best_epoch(uninterrupted, keras_training, tmp_path):
    def record():
        return keras_training.RecordPredictions(tmp_path, validation=VALIDATION, test=faces("test", 12, 5))

    for epoch in (1, 3):
        with pytest.raises(Killed):
            fit(tmp_path, first=[record()], kill_in_epoch=epoch)
    recorder = record()
    resumed = fit(tmp_path, first=[recorder])
    assert_same(resumed, uninterrupted)
    assert_same_weights(best(tmp_path), best(uninterrupted[2]))
    assert recorder.predictions("test").shape == (4, 12)  # recording changes nothing
    accuracy = (recorder.predictions("validation") == VALIDATION.labels).mean(axis=1)
    np.testing.assert_allclose(accuracy, resumed[1]["val_accuracy"], atol=1e-6)


def test_the_earliest_of_the_best_epochs_is_kept_also_after_a_resume(eager, tmp_path):
    import keras

    seen = {}

    class Accuracies(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            logs["val_accuracy"] = (0.5, 0.7, 0.7, 0.6)[epoch]
            seen[epoch + 1] = self.model.get_weights()

    with pytest.raises(Killed):
        fit(tmp_path, first=[Accuracies()], kill_in_epoch=3)
    _, history = fit(tmp_path, first=[Accuracies()])
    assert history["val_accuracy"].tolist() == [0.5, 0.7, 0.7, 0.6]
    assert_same_weights(best(tmp_path), seen[2])
    assert not np.array_equal(seen[2][0], seen[3][0])


def test_a_finished_training_is_found_again_with_its_history(uninterrupted, keras_training):
    _, history, folder = uninterrupted
    assert fit(folder)[1].equals(history)
    assert {*MEASURED, "seconds", "images_per_second"} <= {*history}
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    model = network()
    model.load_weights(folder / "best.weights.h5")
    predictions = keras_training.predict(model, VALIDATION)
    assert predictions.correct.mean() == pytest.approx(history["val_accuracy"].max(), abs=1e-6)


def test_a_split_drawn_anew_gives_each_epoch_its_own_images(keras_training):
    def redrawn(epoch):
        order = np.random.default_rng(epoch).permutation(len(TRAIN))
        return TRAIN.take(np.sort(order[:40])), TRAIN.take(np.sort(order[40:]))

    train, validation = keras_training.batches(split(redrawn), SimpleNamespace(batch_size=16, seed=0))
    seen = []
    for epoch in (0, 1):
        train.start_epoch(epoch)
        validation.start_epoch(epoch)
        images = np.concatenate([train[i][0] for i in range(len(train))])[..., 0]
        assert sorted(map(bytes, images)) == sorted(map(bytes, redrawn(epoch)[0].images))
        np.testing.assert_array_equal(validation[0][1], redrawn(epoch)[1].labels)
        seen.append(images)
    assert not np.array_equal(*seen)


def test_a_loss_that_is_nan_is_an_error(eager, tmp_path):
    with pytest.raises(RuntimeError, match="NaN"):
        fit(tmp_path, model=network(learning_rate=1e30))


def test_mixed_precision_computes_in_16_bits_and_keeps_32(keras_training, eager, tmp_path):
    assert keras_training.precision(SimpleNamespace(mixed_precision=False)) == "float32"
    policy = keras_training.precision(SimpleNamespace(mixed_precision=True))
    _, history = fit(tmp_path, model=network(dtype=policy), epochs=1)
    assert np.isfinite(history["loss"]).all()
    reported = network()
    reported.load_weights(tmp_path / "best.weights.h5")
    assert all(weight.dtype == np.float32 for weight in reported.get_weights())
    assert keras_training.predict(reported, VALIDATION).probabilities.dtype == np.float32


@pytest.mark.parametrize(
    ("size", "message"), [(16, "=16: .*; try batch_size=8"), (1, "=1: .*; use device=cpu")]
)
def test_too_little_gpu_memory_names_the_batch_size_to_try(keras_training, size, message):
    import tensorflow as tf

    with pytest.raises(ConfigError, match=message), memory_errors("batch_size", size):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    with pytest.raises(KeyError), memory_errors("batch_size", size):
        raise KeyError("another error stays what it is")


def test_the_device_is_recorded_and_a_missing_gpu_is_an_error(keras_training, monkeypatch, capsys):
    import tensorflow as tf

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    found = hardware.current()
    assert (found["device"], found["backend"], found["threads"]) == ("cpu", "tensorflow", 2)
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(hardware.MissingGPU, match="device=cuda: the tensorflow backend sees no GPU"):
        keras_training.prepare(SimpleNamespace(threads=2, device="cuda"))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    keras_training.prepare(SimpleNamespace(threads=2, device="auto"))
    assert "KERAS_BACKEND=torch" in capsys.readouterr().out


def test_a_file_of_keras_in_the_home_folder_has_no_say(keras_training):
    import keras

    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    assert keras.config.floatx() == "float32" and keras.config.image_data_format() == "channels_last"
    given = {**os.environ, "KERAS_BACKEND": "jax"}
    command = [sys.executable, "-c", "import os, fer_utils; print(os.environ['KERAS_BACKEND'])"]
    assert subprocess.run(command, env=given, capture_output=True, text=True).stdout == "tensorflow\n"


def test_other_threads_in_a_running_kernel_are_a_configuration_error(keras_training):
    network()  # TensorFlow fixes its threads with the first tensor
    with pytest.raises(ConfigError, match=r"threads=1.*restart the kernel"):
        keras_training.prepare(SimpleNamespace(threads=1, device="cpu"))
