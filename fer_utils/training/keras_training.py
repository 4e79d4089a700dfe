"""Keras: threads and device, batches of a split, and callbacks that make a training repeat and resume.

A notebook calls `model.fit` itself. With these callbacks, in this order, an interrupted training resumes
after its last complete epoch and ends at the numbers of an uninterrupted one::

    callbacks = [
        ReseedEachEpoch(seed, train, validation),
        TimeEachEpoch(train),
        StopOnNaN(),
        keras.callbacks.ModelCheckpoint(..., initial_value_threshold=best_so_far(folder / "history.csv")),
        keras.callbacks.CSVLogger(folder / "history.csv", append=True),
        keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False),
    ]
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
from fer_utils.training import TrainingDiverged, memory_errors
from fer_utils.training.checkpoints import epoch_order, epoch_seed

COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "images_per_second"]

_DEVICE = ExitStack()  # never closed: the device that `prepare` chose is used by the whole process


def prepare(params: Training, *, log: Callable[[str], None] = print) -> None:
    """Set threads and device, before the first tensor exists, and record them for `hardware.current`.

    Parameters
    ----------
    params : Training
        `threads` (their number affects rounding) and `device`: "auto" takes a GPU if the backend sees one,
        "cuda" raises `MissingGPU` without one.
    log : callable
        Gets a line where TensorFlow does not see the GPU of the machine.
    """
    backend = keras.backend.backend()
    choose = {"tensorflow": _prepare_tensorflow, "torch": _prepare_torch}
    if backend not in choose:
        raise ConfigError(f"KERAS_BACKEND={backend}: use one of {', '.join(choose)}")
    try:
        gpu = choose[backend](params.threads, params.device)
    except RuntimeError as error:  # TensorFlow fixes both with its first tensor
        raise ConfigError(
            f"threads={params.threads}, device={params.device}: {error}; restart the kernel"
        ) from error
    no_gpu = backend == "tensorflow" and gpu is None and params.device != "cpu"
    if no_gpu and shutil.which("nvidia-smi"):
        note = f"device={params.device}: TensorFlow does not see this machine's GPU; "
        note += "set KERAS_BACKEND=torch in the environment and start again to train on it"
        if params.device == "cuda":
            raise ConfigError(note)
        log(note)
    hardware.use_device(gpu, backend=backend, device=params.device, threads=params.threads)


def precision(params: Training) -> str:
    """Return the Keras dtype policy for a training: 32 bits, or 16 where that is safe.

    Mixed precision uses bfloat16, or float16 (for which Keras scales the loss) on a GPU without it.
    """
    if not params.mixed_precision:
        return "float32"
    if keras.backend.backend() == "torch":
        import torch

        on_gpu = keras.ops.zeros(1).device.type == "cuda"
        bfloat16 = not on_gpu or torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        import tensorflow as tf

        gpus = tf.config.get_visible_devices("GPU")
        details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        bfloat16 = details.get("compute_capability", (8, 0)) >= (8, 0)  # NVIDIA's Ampere and later
    return "mixed_bfloat16" if bfloat16 else "mixed_float16"


class Batches(keras.utils.PyDataset):
    """Images and labels in batches, for `model.fit(..., shuffle=False)`, `evaluate` and `predict`.

    Parameters
    ----------
    faces : FaceSet or callable
        The images, or a function from epoch, counted from 0, to the images of that epoch.
    seed : int, optional
        Shuffles the images in every epoch; without it they keep their order.
    """

    def __init__(
        self, faces: FaceSet | Callable[[int], FaceSet], *, batch_size: int, seed: int | None = None
    ) -> None:
        super().__init__()
        self._draw = faces if callable(faces) else lambda epoch: faces
        self.batch_size, self.seed = batch_size, seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the images of an epoch and their order, which depends on the seed and the epoch alone."""
        self.faces = self._draw(epoch)
        n = len(self.faces)
        self._order = np.arange(n) if self.seed is None else epoch_order(n, seed=self.seed, epoch=epoch)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.faces) // self.batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images `(B, H, W, 1)` uint8 and labels `(B,)` of a batch."""
        rows = self._order[number * self.batch_size : (number + 1) * self.batch_size]
        return self.faces.images[rows][..., np.newaxis], self.faces.labels[rows]


def batches(split: Split, params: Training) -> tuple[Batches, Batches]:
    """Return the batches for training, shuffled anew in every epoch, and those for validation.

    A split whose sets are drawn again for every epoch (`Split.redrawn`) gives each epoch its own images.
    """
    train, validation = split.train, split.validation
    if redrawn := split.redrawn:
        train, validation = (lambda epoch: redrawn(epoch)[0]), (lambda epoch: redrawn(epoch)[1])
    return (
        Batches(train, batch_size=params.batch_size, seed=params.seed),
        Batches(validation, batch_size=hardware.VALIDATION_BATCH),
    )


class ReseedEachEpoch(keras.callbacks.Callback):
    """Set all random states and the order of images from seed and epoch, for resumed trainings.

    No checkpoint contains the states: with TensorFlow dropout draws from that of its layer, with torch from
    the global one.
    """

    def __init__(self, seed: int, *batches: Batches) -> None:
        super().__init__()
        self.seed, self.batches = seed, batches

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        start = epoch_seed(self.seed, epoch)
        keras.utils.set_random_seed(start)
        states = [variable for variable in self.model.variables if "seed_generator_state" in variable.path]
        for number, state in enumerate(states):
            state.assign(np.array([start + number, 0], dtype=np.uint32))
        for dataset in self.batches:
            dataset.start_epoch(epoch)


class TimeEachEpoch(keras.callbacks.Callback):
    """Add `seconds` (with validation) and `images_per_second` (of the training alone) to the epoch's logs."""

    def __init__(self, train: Batches) -> None:
        super().__init__()
        self.train = train

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.start = self.trained = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        logs["seconds"] = time.perf_counter() - self.start
        logs["images_per_second"] = len(self.train.faces) / (self.trained - self.start)


class StopOnNaN(keras.callbacks.Callback):
    """Raise `TrainingDiverged` at the first batch whose loss is NaN or infinite."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict) -> None:
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            rate = float(np.asarray(self.model.optimizer.learning_rate))
            raise TrainingDiverged.at(loss=loss, epoch=self.epoch + 1, batch=batch + 1, learning_rate=rate)


class RecordPredictions(keras.callbacks.Callback):
    """Keep the predicted classes of some sets after every epoch; they select nothing.

    Parameters
    ----------
    folder : path
        Gets a file for each set and epoch, so that a resumed training has all of them.
    **sets : FaceSet
        Such as ``test=split.test``.
    """

    def __init__(self, folder: Path, **sets: FaceSet) -> None:
        super().__init__()
        self.folder, self.sets = Path(folder), sets

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
    log = Path(log)  # CSVLogger creates it before the first epoch ends
    return float(read_history(log)["val_accuracy"].max()) if log.is_file() and log.stat().st_size else None


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


def _prepare_tensorflow(threads: int, device: str) -> str | None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # which has 10 bits of float32's 23
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:  # as torch does: allocate what is needed, not all memory
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def _prepare_torch(threads: int, device: str) -> str | None:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # which has 10 bits of float32's 23
    use_gpu = device != "cpu" and torch.cuda.is_available()
    _DEVICE.enter_context(keras.device("cuda" if use_gpu else "cpu"))  # Keras chose one when it was imported
    return torch.cuda.get_device_name(0) if use_gpu else None
