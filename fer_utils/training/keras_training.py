"""Keras: threads and device, batches of a split, and callbacks that make a training repeat and resume.

A notebook calls `model.fit` itself. With the callbacks of 10_baseline_cnn, in their order, an interrupted
training resumes after its last complete epoch and ends at the numbers of an uninterrupted one.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from fer_utils import hardware
from fer_utils.data import FaceSet
from fer_utils.files import ConfigError
from fer_utils.params import Training
from fer_utils.predictions import Predictions
from fer_utils.splits import Split
from fer_utils.training import memory_errors, prepare_torch
from fer_utils.training.checkpoints import epoch_order, epoch_seed

COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "images_per_second"]

_DEVICE = ExitStack()  # never closed: the device that `prepare` chose is used by the whole process


def prepare(params: Training) -> None:
    """Set threads and device, before the first tensor exists, and record them for `hardware.current`.

    A missing GPU is an error. If the machine has one that TensorFlow does not see, a line says so.
    """
    keras.config.set_floatx("float32")  # whatever ~/.keras/keras.json says
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_max_epochs(None)  # whatever KERAS_MAX_EPOCHS says
    keras.config.set_max_steps_per_epoch(None)
    backend = keras.backend.backend()
    if backend == "torch":
        gpu = prepare_torch(params)
        _DEVICE.enter_context(keras.device("cuda" if gpu else "cpu"))  # Keras chose one when it was imported
    else:
        gpu = _prepare_tensorflow(params)
        if gpu is None and params.device != "cpu" and shutil.which("nvidia-smi"):
            print(f"device={params.device}: TensorFlow does not see this machine's GPU; to train on it, set")
            print("KERAS_BACKEND=torch in the environment and start again")
    hardware.use_device(gpu, backend=backend, device=params.device, threads=params.threads)


def _prepare_tensorflow(params: Training) -> str | None:
    import tensorflow as tf

    try:  # threads and visible devices are fixed with the first tensor
        tf.config.threading.set_intra_op_parallelism_threads(params.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.experimental.enable_tensor_float_32_execution(False)  # which has 10 bits of float32's 23
        if params.device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        gpus = tf.config.get_visible_devices("GPU")
        for gpu in gpus:  # as torch does: allocate what is needed, not all memory
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        settings = f"threads={params.threads}, device={params.device}"
        raise ConfigError(f"{settings}: {error}; restart the kernel") from error
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def precision(params: Training) -> str:
    """Return the Keras dtype policy for a training: float32, or bfloat16 where that is safe."""
    return "mixed_bfloat16" if params.mixed_precision else "float32"


class EpochBatches(keras.utils.PyDataset):
    """Images and labels in batches, for `model.fit(..., shuffle=False)`, `evaluate` and `predict`.

    `draw` returns the images of an epoch, counted from 0. The seed shuffles them in every epoch; without it
    they keep their order.
    """

    def __init__(self, draw: Callable[[int], FaceSet], *, batch_size: int, seed: int | None = None) -> None:
        super().__init__()
        self.draw, self.batch_size, self.seed = draw, batch_size, seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the images of an epoch and their order, which depends on the seed and the epoch alone."""
        self.faces = self.draw(epoch)
        n = len(self.faces)
        self.order = np.arange(n) if self.seed is None else epoch_order(n, seed=self.seed, epoch=epoch)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.faces) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images `(B, H, W, 1)` uint8 and labels `(B,)` of a batch."""
        rows = self.order[number * self.batch_size : (number + 1) * self.batch_size]
        return self.faces.images[rows][..., np.newaxis], self.faces.labels[rows]


def batches(split: Split, params: Training) -> tuple[EpochBatches, EpochBatches]:
    """Return the batches for training, shuffled anew in every epoch, and those for validation.

    A split whose sets are drawn again for every epoch (`Split.redrawn`) gives each epoch its own images.
    """
    sets = split.redrawn or (lambda epoch: (split.train, split.validation))
    return (
        EpochBatches(lambda epoch: sets(epoch)[0], batch_size=params.batch_size, seed=params.seed),
        EpochBatches(lambda epoch: sets(epoch)[1], batch_size=hardware.VALIDATION_BATCH),
    )


class RepeatableEpochs(keras.callbacks.Callback):
    """Set all random states and the order of images from seed and epoch, for resumed trainings.

    No checkpoint contains the states: with TensorFlow dropout draws from that of its layer, with torch from
    the global one. The logs get `seconds` (with validation) and `images_per_second` (of training alone).
    """

    def __init__(self, seed: int, train: EpochBatches, validation: EpochBatches) -> None:
        super().__init__()
        self.seed, self.train, self.validation = seed, train, validation

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = self.trained = time.perf_counter()
        start = epoch_seed(self.seed, epoch)
        keras.utils.set_random_seed(start)
        states = [variable for variable in self.model.variables if "seed_generator_state" in variable.path]
        for number, state in enumerate(states):
            state.assign(np.array([start + number, 0], dtype=np.uint32))
        self.train.start_epoch(epoch)
        self.validation.start_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["seconds"] = time.perf_counter() - self.start
        logs["images_per_second"] = len(self.train.faces) / (self.trained - self.start)


class RecordPredictions(keras.callbacks.Callback):
    """Keep the predicted classes of some sets, such as ``test=split.test``; they select nothing.

    The folder gets a file for each set and epoch, so that a resumed training has all of them.
    """

    def __init__(self, folder: Path, **sets: FaceSet) -> None:
        super().__init__()
        self.folder, self.sets = folder, sets

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, faces in self.sets.items():
            predicted = predict_probabilities(self.model, faces.images).argmax(axis=1).astype(np.uint8)
            np.save(self.folder / f"{name}-{epoch + 1:04d}.npy", predicted)

    def predictions(self, name: str) -> np.ndarray:
        """Return the predicted classes of a set, shape (epochs, N) uint8."""
        return np.stack([np.load(path) for path in sorted(self.folder.glob(f"{name}-*.npy"))])


def best_so_far(log: Path) -> float | None:
    """Return the best validation accuracy in a CSV log, or None before the first epoch.

    A resumed `ModelCheckpoint` needs it as `initial_value_threshold`, or it would take the first epoch after
    the interruption for the best.
    """
    started = log.is_file() and log.stat().st_size  # CSVLogger creates it before the first epoch ends
    return float(read_history(log)["val_accuracy"].max()) if started else None


def read_history(log: Path) -> pd.DataFrame:
    """Return the epochs, counted from 1, in a CSV log of `CSVLogger`, also those before an interruption."""
    table = pd.read_csv(log).drop_duplicates("epoch", keep="last")
    table["epoch"] += 1
    return table[[*COLUMNS, *table.columns.difference(COLUMNS)]].reset_index(drop=True)


def predict_probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images of shape (N, H, W) uint8."""
    size = hardware.VALIDATION_BATCH
    with memory_errors(hardware.VALIDATION_SETTING, size):
        return model.predict(images[..., np.newaxis], batch_size=size, verbose=0)


def predict(model: keras.Model, faces: FaceSet) -> Predictions:
    """Return the predictions for all images of a set."""
    probabilities = predict_probabilities(model, faces.images)
    return Predictions(faces.sample_id, faces.labels, probabilities, faces.class_names, group=faces.subject)
