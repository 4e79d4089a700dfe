"""Keras networks: `prepare`, `compile_classifier`, `fit`, `predict_probabilities`."""

import importlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Literal

import keras
import numpy as np

from fer_utils import hardware
from fer_utils.data import FaceSet
from fer_utils.files import ConfigError
from fer_utils.training import common
from fer_utils.training.checkpoints import epoch_order, epoch_seed
from fer_utils.training.common import Arrays, Fit, Measured, Record, State, TrainingDiverged

_DEVICE = ExitStack()  # never closed: what `prepare` chose holds for the whole process


def prepare(
    *, threads: int, device: Literal["auto", "cpu", "cuda"] = "auto", log: Callable[[str], None] = print
) -> dict[str, str]:
    """Fix what makes a Keras training repeat, before the first tensor exists.

    Parameters
    ----------
    threads : int
        Threads of one operation: sums in another order give other bits.
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where the backend sees one.
    log : callable
        Gets a line where TensorFlow sees no GPU and torch does.

    Returns
    -------
    dict
        `device` ("cpu" or "cuda"), `device_name`, `backend`.

    Raises
    ------
    MissingGPU
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
    overlooked = backend == "tensorflow" and gpu_name is None and device != "cpu"
    if overlooked and (unused := hardware.torch_gpu_name()):
        note = f"device={device}: TensorFlow sees no GPU here, but PyTorch sees {unused}; "
        note += "start again with KERAS_BACKEND=torch in the environment to train on it"
        if device == "cuda":
            raise ConfigError(note)
        log(note)
    return common.hardware(gpu_name, backend=backend, device=device)


def compile_classifier(model: keras.Model, *, learning_rate: float, optimizer: str = "adam") -> None:
    """Compile for integer labels with accuracy as the only metric."""
    # A name of its own: Keras would count (adam, adam_1), and a training is found again by its optimiser too.
    config = {"learning_rate": learning_rate, "name": optimizer}
    algorithm = keras.optimizers.get({"class_name": optimizer, "config": config})
    # XLA is left out: on a CPU it made these networks two to five times slower.
    model.compile(algorithm, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)


def fit(
    model: keras.Model,
    train: FaceSet,
    validation: FaceSet,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    checkpoint_dir: Path,
    mixed_precision: bool = False,
    redrawn: Callable[[int], tuple[FaceSet, FaceSet]] | None = None,
    watched: Mapping[str, FaceSet] = MappingProxyType({}),
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
    mixed_precision : bool
        Train in 16 bits where that is safe: bfloat16, or float16 with a scaled loss on a GPU without it. Only
        the steps of the training: `model` itself, all weights, validation and `watched` stay float32.
    redrawn : callable, optional
        Epoch, counted from 0, -> the (train, validation) that take the place of the two in that epoch
        (`Split.redrawn`). What it returns must depend on the epoch alone.
    watched : mapping of str to FaceSet
        Sets that are answered after every epoch, for `Fit.answers`. They choose nothing.
    log : callable
        Gets one line per epoch.

    Raises
    ------
    TrainingDiverged
        At the first batch whose loss is NaN or infinite.
    ValueError
        For images without a class, and for a damaged checkpoint, which names the file to delete.
    ConfigError
        For batches too large for the GPU, with the size to try.

    Notes
    -----
    Numbers repeat to the last bit on a CPU of one kind with the same number of threads; on a GPU nearly.
    """
    common.check_labelled(train, validation)
    settings = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    # Two epochs tell the parts that are drawn anew from others of the same first draw.
    parts = [redrawn(0), redrawn(1)] if redrawn else [(train, validation)]
    data = [common.data_key(*pair) for pair in parts]
    data += [[name, *common.data_key(faces)] for name, faces in watched.items()]
    network = _in_half(model) if mixed_precision else model
    path = common.checkpoint_path(checkpoint_dir, _key(network, data, settings))
    optimizer = network.optimizer
    optimizer.build(network.trainable_variables)
    first = State(model=_values(network.variables), optimizer=_values(optimizer.variables))
    record = Record(path, first, epochs=epochs, log=log)
    _assign(network.variables, record.state.model)
    _assign(optimizer.variables, record.state.optimizer)
    for epoch in range(record.resumed_from, epochs):
        if redrawn:
            train, validation = redrawn(epoch)
        trained = _train(network, train, epoch=epoch, batch_size=batch_size, seed=seed)
        weights = _values(network.variables)
        if network is not model:
            _assign(model.variables, weights)
        record.end_epoch(
            trained,
            _validate(model, validation),
            images=len(train),
            model=weights,
            optimizer=_values(optimizer.variables),
            answers={name: _answers(model, faces) for name, faces in watched.items()},
        )
    _assign(model.variables, record.state.best)
    return record.fit()


def predict_probabilities(
    model: keras.Model, images: np.ndarray, *, batch_size: int | None = None
) -> np.ndarray:
    """Return class probabilities, shape (N, K) float32, for images of shape (N, H, W) uint8.

    Parameters
    ----------
    model : keras.Model
    images : ndarray of uint8
    batch_size : int, optional
        Images at once, `hardware.VALIDATION_BATCH` by default.

    Raises
    ------
    ConfigError
        For batches too large for the GPU, with the size to try.
    """
    setting = "batch_size" if batch_size else hardware.VALIDATION_SETTING
    size = batch_size or hardware.VALIDATION_BATCH
    batches = range(0, len(images), size)
    # predict_on_batch keeps one batch in memory, also when `images` is a memory-mapped file.
    with _memory_errors(setting, size):
        parts = [model.predict_on_batch(_batch(images[start : start + size])) for start in batches]
    return np.concatenate([np.asarray(part) for part in parts])


def _train(model: keras.Model, train: FaceSet, *, epoch: int, batch_size: int, seed: int) -> Measured:
    order = epoch_order(len(train), seed=seed, epoch=epoch)
    start = time.perf_counter()
    with _memory_errors("batch_size", batch_size):
        logs = model.fit(
            _batch(train.images[order]),
            train.labels[order],
            batch_size=batch_size,
            shuffle=False,  # shuffled by (seed, epoch) already: a resumed training sees the same order
            verbose=0,
            callbacks=[_StopOnNaN(epoch + 1, model), _Reseed(epoch_seed(seed, epoch))],
        ).history
    return Measured(logs["loss"][-1], logs["accuracy"][-1], time.perf_counter() - start)


def _validate(model: keras.Model, validation: FaceSet) -> Measured:
    size, start = hardware.VALIDATION_BATCH, time.perf_counter()
    with _memory_errors(hardware.VALIDATION_SETTING, size):
        logs = model.evaluate(
            _batch(validation.images), validation.labels, batch_size=size, verbose=0, return_dict=True
        )
    return Measured(logs["loss"], logs["accuracy"], time.perf_counter() - start)


def _answers(model: keras.Model, faces: FaceSet) -> np.ndarray:
    return predict_probabilities(model, faces.images).argmax(axis=1).astype(np.uint8)


def _batch(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images)[..., np.newaxis]


class _StopOnNaN(keras.callbacks.Callback):
    def __init__(self, epoch: int, model: keras.Model) -> None:
        super().__init__()
        self._epoch = epoch
        self._rate = float(np.asarray(model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not np.isfinite(loss):
            raise TrainingDiverged.at(loss=loss, epoch=self._epoch, batch=batch + 1, learning_rate=self._rate)


class _Reseed(keras.callbacks.Callback):
    # Torch's dropout draws from the global random state, which is in no checkpoint, and so does Keras when it
    # builds what it trains: the state starts anew with every epoch, when all is built.
    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        keras.utils.set_random_seed(self._seed)


def _in_half(model: keras.Model) -> keras.Model:
    """Return a network of the same state that computes in 16 bits between its first and last weights.

    Pixels are scaled and the probabilities computed in float32, as is every weight kept.
    """
    policy = "mixed_bfloat16" if _has_bfloat16() else "mixed_float16"
    names = [layer.name for layer in model.layers]
    weighted = [layer.name for layer in model.layers if layer.weights]
    halved = names[names.index(weighted[0]) : names.index(weighted[-1])]

    def anew(layer: keras.Layer) -> keras.Layer:
        changed = {"dtype": policy} if layer.name in halved else {}
        return type(layer).from_config(layer.get_config() | changed)

    network = keras.models.clone_model(model, clone_function=anew)  # compiled as the model is
    if policy == "mixed_float16":  # small gradients would vanish
        network.optimizer = keras.optimizers.LossScaleOptimizer(network.optimizer)
    _assign(network.variables, _values(model.variables))
    return network


def _has_bfloat16() -> bool:
    if keras.backend.backend() == "torch":
        import torch

        on_gpu = keras.ops.zeros(1).device.type == "cuda"
        return not on_gpu or torch.cuda.is_bf16_supported(including_emulation=False)
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return details.get("compute_capability", (8, 0)) >= (8, 0)  # NVIDIA's Ampere and later


def _memory_errors(setting: str, size: int) -> AbstractContextManager:
    if keras.backend.backend() == "torch":
        import torch

        kind = torch.OutOfMemoryError
    else:
        import tensorflow as tf

        kind = tf.errors.ResourceExhaustedError
    return common.memory_errors(kind, setting=setting, size=size)


def _values(variables: list) -> Arrays:
    # A copy: on the CPU a backend may hand out its own buffer, which the next step overwrites.
    arrays = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    return {str(i): array for i, array in enumerate(arrays)}


def _assign(variables: list, values: Arrays) -> None:
    for i, variable in enumerate(variables):
        variable.assign(values[str(i)])


def _key(model: keras.Model, data: list[list[str]], settings: dict[str, int]) -> list[object]:
    backend = keras.backend.backend()
    framework = importlib.import_module(backend)
    return [
        model.to_json(),
        keras.optimizers.serialize(model.optimizer),
        data,
        settings,
        [backend, framework.__version__, keras.__version__, np.__version__],
        [_threads(backend, framework), str(keras.ops.zeros(1).device)],
        common.code_key(__file__),
    ]


def _threads(backend: str, framework: ModuleType) -> int:
    if backend == "torch":
        return framework.get_num_threads()
    return framework.config.threading.get_intra_op_parallelism_threads()


def _prepare_tensorflow(threads: int, device: str) -> str | None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)  # 10 bits of what is called float32
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:  # as torch does: take what is needed, not all that there is
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def _prepare_torch(threads: int, device: str) -> str | None:
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # which keeps 10 bits of what is called float32
    use_gpu = device != "cpu" and torch.cuda.is_available()
    _DEVICE.enter_context(keras.device("cuda" if use_gpu else "cpu"))  # Keras chose one as it was imported
    return torch.cuda.get_device_name(0) if use_gpu else None
