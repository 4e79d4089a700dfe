"""A short Keras training with the callbacks of the notebooks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from helpers.face_sets import face_set

from fer_utils.data import FaceSet

SIZE = 16
CLASSES = ("dark", "gray", "bright")
MEASURED = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


class Killed(BaseException):
    """Stands in for SIGKILL: no `except Exception` catches it."""


def faces(name: str, n: int, seed: int) -> FaceSet:
    """Return noise whose brightness depends on the class."""
    labels = np.arange(n) % len(CLASSES)
    images = np.random.default_rng(seed).integers(0, 160, (n, SIZE, SIZE)) + 40 * labels[:, None, None]
    return face_set(images, labels, CLASSES, name=name)


TRAIN, VALIDATION = faces("train", 60, 1), faces("validation", 30, 2)


def split(redrawn=None) -> SimpleNamespace:
    """Return both sets as a split."""
    return SimpleNamespace(train=TRAIN, validation=VALIDATION, redrawn=redrawn)


def network(*, learning_rate: float = 0.01, dtype: str = "float32"):
    """Build a network with everything that has a state: normalization, dropout, an adaptive optimizer."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((SIZE, SIZE, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, strides=2, activation="relu", dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Flatten(),
            layers.Dropout(0.5, dtype=dtype),
            layers.Dense(8, activation="relu", dtype=dtype),
            layers.Dropout(0.5, dtype=dtype),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def callbacks(folder: Path, train, validation, *, seed: int = 0) -> list:
    """Return the callbacks of the notebooks."""
    import keras

    from fer_utils.training import keras_training

    log = folder / "history.csv"
    best_only = {"monitor": "val_accuracy", "mode": "max", "save_best_only": True, "save_weights_only": True}
    best_only["initial_value_threshold"] = keras_training.best_so_far(log)
    return [
        keras_training.RepeatableEpochs(seed, train, validation),
        keras.callbacks.TerminateOnNaN(raise_error=True),
        keras.callbacks.ModelCheckpoint(folder / "best.weights.h5", **best_only),
        keras.callbacks.CSVLogger(log, append=True),
        keras.callbacks.BackupAndRestore(folder / "backup", delete_checkpoint=False),
    ]


def fit(folder: Path, *, model=None, data=None, kill_in_epoch: int = 0, first=(), epochs: int = 4):
    """Train as a notebook does and return the model with its history; or die in a batch of an epoch."""
    import keras

    from fer_utils.training import keras_training

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch + 1

        def on_train_batch_end(self, batch, logs=None):
            if self.epoch == kill_in_epoch and batch == 1:
                raise Killed

    model = model or network()
    params = SimpleNamespace(batch_size=16, seed=0)
    train, validation = keras_training.batches(data or split(), params)
    used = [Kill(), *first, *callbacks(folder, train, validation)]
    model.fit(train, validation_data=validation, epochs=epochs, callbacks=used, shuffle=False, verbose=0)
    return model, keras_training.read_history(folder / "history.csv")


def state(model) -> list[np.ndarray]:
    """Return copies of all weights and of the optimizer's state."""
    import keras

    variables = [*model.weights, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
