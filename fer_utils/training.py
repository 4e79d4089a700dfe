"""Training that can be repeated: fixed seeds and threads, resumable, chosen on validation, stopped on NaN."""

import ast
import importlib
import json
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pandas as pd

from fer_utils.data import FaceSet
from fer_utils.files import ConfigError, atomic_write, digest
from fer_utils.hardware import processor_name

_DEVICE = ExitStack()  # never closed: what `prepare_keras` chose holds for the whole process


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; the message says when and what to change."""


@dataclass(frozen=True)
class Fit:
    """What a training left behind.

    Attributes
    ----------
    history : DataFrame, one row per epoch
        Columns epoch, loss, accuracy, val_loss, val_accuracy, seconds (training part), images_per_second.
    best_epoch : int
        The epoch, counted from 1, whose weights the model now has.
    resumed_from : int
        Epochs found in a checkpoint, 0 for an uninterrupted training.
    seconds : float
        Wall time of all epochs with validation, those before an interruption included.
    """

    history: pd.DataFrame
    best_epoch: int
    resumed_from: int
    seconds: float

    @property
    def best(self) -> dict[str, float]:
        """The row of `history` at `best_epoch`."""
        return self.history.set_index("epoch").loc[self.best_epoch].to_dict()


def prepare_keras(*, threads: int, device: str = "auto") -> dict[str, str]:
    """Fix what makes a Keras training repeat, before the first tensor exists.

    Parameters
    ----------
    threads : int
        Threads of one operation: sums in another order give other bits.
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where the backend sees one.

    Returns
    -------
    dict
        `device` ("cpu" or "cuda"), `device_name`, `backend`.

    Raises
    ------
    ConfigError
        When "cuda" is asked for and the backend sees no GPU.
    """
    backend = keras.backend.backend()
    set_up = {"tensorflow": _prepare_tensorflow, "torch": _prepare_torch}
    if backend not in set_up:
        raise ConfigError(f"KERAS_BACKEND={backend}: use one of {', '.join(set_up)}")
    try:
        gpu_name = set_up[backend](threads, device)
    except RuntimeError as error:  # TensorFlow fixes both with its first tensor
        raise ConfigError(f"threads={threads}, device={device}: {error}; restart the kernel") from error
    if device == "cuda" and gpu_name is None:
        raise ConfigError(
            f"device=cuda: the {backend} backend sees no GPU here; use device=auto or device=cpu"
        )
    name = gpu_name or processor_name()
    return {"device": "cuda" if gpu_name else "cpu", "device_name": name, "backend": backend}


def compile_classifier(model: keras.Model, *, learning_rate: float, optimizer: str = "adam") -> None:
    """Compile for integer labels with accuracy as the only metric."""
    # A name of its own: Keras would count (adam, adam_1), and a training is found again by its optimiser too.
    config = {"learning_rate": learning_rate, "name": optimizer}
    algorithm = keras.optimizers.get({"class_name": optimizer, "config": config})
    # XLA is left out: on a CPU it made these networks two to five times slower.
    model.compile(algorithm, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)


def fit_keras(
    model: keras.Model,
    train: FaceSet,
    validation: FaceSet,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    checkpoint_dir: Path,
    log: Callable[[str], None] = print,
) -> Fit:
    """Train a compiled classifier and leave it with the weights of the epoch best on validation.

    Every epoch ends in a checkpoint with all state (weights, optimiser, dropout's random state), named by
    everything that determines the training: the same call finds it again after a kill and continues to the
    same result; any other setting, data, version or code never does. A finished training is found again too.

    Parameters
    ----------
    model : keras.Model
        Compiled; takes `(N, H, W, 1)` uint8.
    train, validation : FaceSet
        The epoch is chosen by accuracy on `validation`, the earliest of equals.
    epochs, batch_size, seed : int
        The order of images in an epoch depends on `seed` and the epoch alone.
    checkpoint_dir : Path
        Safe to delete when nothing is running.
    log : callable
        Gets one line per epoch.

    Raises
    ------
    TrainingDiverged
        At the first batch whose loss is NaN or infinite.
    ValueError
        For a damaged checkpoint, which names the file to delete.

    Notes
    -----
    Numbers repeat to the last bit on a CPU of one kind with the same number of threads; on a GPU nearly.
    """
    settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    key = _training_key(model, train, validation, settings)
    checkpoint = _Checkpoint(Path(checkpoint_dir) / f"{key}.npz")
    state = checkpoint.load(model)
    resumed_from = len(state.rows)
    if resumed_from == epochs:
        log(f"this training is finished already ({checkpoint.path.name})")
    elif resumed_from:
        log(f"continuing after epoch {resumed_from} of {epochs} ({checkpoint.path.name})")
    for row in state.rows:  # a report shows the whole training, not the part since the last kill
        log(_epoch_line(row, epochs))
    for epoch in range(resumed_from, epochs):
        state.rows.append(_one_epoch(model, train, validation, epoch=epoch, **settings))
        if state.best_epoch == epoch + 1:
            state.best_variables = _values(model.variables)
        checkpoint.save(model, state)
        log(_epoch_line(state.rows[-1], epochs))
    _assign(model.variables, state.best_variables)
    history = pd.DataFrame(state.rows)
    seconds = float(history["seconds"].sum() + history["validation_seconds"].sum())
    return Fit(history, state.best_epoch, resumed_from, seconds)


def predict_probabilities(model: keras.Model, images: np.ndarray, *, batch_size: int = 256) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images of shape (N, H, W) uint8."""
    batches = range(0, len(images), batch_size)
    # predict_on_batch keeps one batch in memory, also when `images` is a memory-mapped file.
    parts = [model.predict_on_batch(_batch(images[start : start + batch_size])) for start in batches]
    return np.concatenate([np.asarray(part) for part in parts])


def _one_epoch(
    model: keras.Model,
    train: FaceSet,
    validation: FaceSet,
    *,
    epoch: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> dict[str, float]:
    order = np.random.default_rng((seed, epoch)).permutation(len(train))
    start = time.perf_counter()
    logs = model.fit(
        _batch(train.images[order]),
        train.labels[order],
        batch_size=batch_size,
        shuffle=False,  # already shuffled, by (seed, epoch), so that a resumed training sees the same order
        verbose=0,
        callbacks=[_StopOnNaN(epoch + 1, model), _Reseed(seed, epoch)],
    ).history
    trained = time.perf_counter()
    measured = model.evaluate(
        _batch(validation.images), validation.labels, batch_size=256, verbose=0, return_dict=True
    )
    return {
        "epoch": epoch + 1,
        "loss": logs["loss"][-1],
        "accuracy": logs["accuracy"][-1],
        "val_loss": measured["loss"],
        "val_accuracy": measured["accuracy"],
        "seconds": trained - start,
        "validation_seconds": time.perf_counter() - trained,
        "images_per_second": len(train) / (trained - start),
    }


def _epoch_line(row: dict[str, float], epochs: int) -> str:
    return (
        f"epoch {row['epoch']:3d}/{epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.4f}  "
        f"{row['seconds']:.1f} s  {row['images_per_second']:.0f} images/s"
    )


def _batch(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images)[..., np.newaxis]


class _StopOnNaN(keras.callbacks.Callback):
    def __init__(self, epoch: int, model: keras.Model) -> None:
        super().__init__()
        self._where = f"epoch {epoch}"
        self._rate = float(np.asarray(model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not np.isfinite(loss):
            raise TrainingDiverged(
                f"the loss became {loss} in {self._where}, batch {batch + 1}; "
                f"try a smaller learning_rate (now {self._rate:g}) or batch_norm=true"
            )


class _Reseed(keras.callbacks.Callback):
    # Torch's dropout draws from the global random state, which is in no checkpoint, and so does Keras when it
    # builds what it trains: the state starts anew with every epoch, when all is built.
    def __init__(self, seed: int, epoch: int) -> None:
        super().__init__()
        self._seed = int(np.random.default_rng((seed, epoch)).integers(2**31))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        keras.utils.set_random_seed(self._seed)


@dataclass
class _State:
    rows: list[dict[str, float]]
    best_variables: list[np.ndarray]

    @property
    def best_epoch(self) -> int:
        return 1 + int(np.argmax([row["val_accuracy"] for row in self.rows]))


@dataclass(frozen=True)
class _Checkpoint:
    path: Path

    def save(self, model: keras.Model, state: _State) -> None:
        arrays = {f"model_{i}": value for i, value in enumerate(_values(model.variables))}
        arrays |= {f"optimizer_{i}": value for i, value in enumerate(_values(model.optimizer.variables))}
        arrays |= {f"best_{i}": value for i, value in enumerate(state.best_variables)}
        with atomic_write(self.path) as temporary:
            np.savez(temporary, history=np.array(json.dumps(state.rows)), **arrays)

    def load(self, model: keras.Model) -> _State:
        model.optimizer.build(model.trainable_variables)
        if not self.path.exists():
            # The first weights too: the same network fitted again, after a stop in epoch 1, starts anew.
            self.save(model, _State([], []))
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                _assign(model.variables, _numbered(stored, "model"))
                _assign(model.optimizer.variables, _numbered(stored, "optimizer"))
                return _State(json.loads(str(stored["history"])), _numbered(stored, "best"))
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: not readable as a checkpoint ({error}); delete it") from error


def _numbered(stored: np.lib.npyio.NpzFile, prefix: str) -> list[np.ndarray]:
    count = sum(name.startswith(f"{prefix}_") for name in stored.files)
    return [stored[f"{prefix}_{i}"] for i in range(count)]


def _values(variables: list) -> list[np.ndarray]:
    # A copy: on the CPU a backend may hand out its own buffer, which the next step overwrites.
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list, values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _training_key(model: keras.Model, train: FaceSet, validation: FaceSet, settings: dict[str, int]) -> str:
    backend = keras.backend.backend()
    framework = importlib.import_module(backend)
    return digest(
        model.to_json(),
        keras.optimizers.serialize(model.optimizer),
        [train.fingerprint, validation.fingerprint, digest(train.sample_id.tolist())],
        settings,
        [backend, framework.__version__, keras.__version__, np.__version__],
        [_threads(backend, framework), str(keras.ops.zeros(1).device)],
        # The code as Python sees it: a comment or a line break changes no number.
        ast.dump(ast.parse(Path(__file__).read_text(encoding="utf-8"))),
    )[:24]


def _threads(backend: str, framework: ModuleType) -> int:
    if backend == "torch":
        return framework.get_num_threads()
    return framework.config.threading.get_intra_op_parallelism_threads()


def _prepare_tensorflow(threads: int, device: str) -> str | None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def _prepare_torch(threads: int, device: str) -> str | None:
    import torch

    torch.set_num_threads(threads)
    use_gpu = device != "cpu" and torch.cuda.is_available()
    if not use_gpu:  # Keras took the GPU, if there is one, when it was imported
        _DEVICE.enter_context(keras.device("cpu"))
    return torch.cuda.get_device_name(0) if use_gpu else None
