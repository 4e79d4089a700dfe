"""What fastai's Learner tells of a training, and where its random numbers start."""

import time
import warnings

import numpy as np
import torch
from torch import Tensor

from fer_utils.training import common, torch_state
from fer_utils.training.common import Measured, Record, TrainingDiverged

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    from fastai.callback.core import Callback, CancelFitException
    from fastai.learner import Recorder


class Reseed(Callback):
    """Start every epoch's random numbers anew: dropout draws from a state that is in no checkpoint."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_epoch(self) -> None:
        """Hand the epoch to the batches and to torch."""
        self.dls.train.epoch = self.epoch
        torch.manual_seed(common.epoch_seed(self._seed, self.epoch))


class Progress(Callback):
    """Tell a record of every epoch, and stop at a loss that is no number; `diverged` then says where."""

    order = Recorder.order + 1

    def __init__(self, record: Record, *, learning_rate: float) -> None:
        self._record, self._rate = record, learning_rate
        self.diverged: TrainingDiverged | None = None

    def before_train(self) -> None:
        """Begin a pass over the training images."""
        self._pass = _Pass()

    def before_validate(self) -> None:
        """Begin a pass over the validation images."""
        self._pass = _Pass()

    def after_loss(self) -> None:
        """Count a batch, or stop."""
        loss = self.loss.item()
        if self.training and not np.isfinite(loss):
            # Raised by `_train`: before an error of a callback fastai puts a preface of its own.
            self.diverged = TrainingDiverged.at(
                loss=loss, epoch=self.epoch + 1, batch=self.iter + 1, learning_rate=self._rate
            )
            raise CancelFitException
        self._pass.add(loss, self.pred, *self.yb)

    def after_train(self) -> None:
        """Close the pass."""
        self._trained = self._pass.measured()

    def after_validate(self) -> None:
        """Put the epoch on record."""
        validated, state = self._pass.measured(), torch_state.state(self.learn)
        self._record.end_epoch(
            self._trained,
            validated,
            images=len(self.dls.train.dataset),
            model=state.model,
            optimizer=state.optimizer,
        )


class _Pass:
    # Means over all images: fastai's own training loss is a running average that favours the last batches.
    def __init__(self) -> None:
        self._start, self._images, self._loss, self._hits = time.perf_counter(), 0, 0.0, 0

    def add(self, loss: float, logits: Tensor, labels: Tensor) -> None:
        self._images += len(labels)
        self._loss += loss * len(labels)
        self._hits += int((logits.argmax(dim=1) == labels).sum())

    def measured(self) -> Measured:
        seconds = time.perf_counter() - self._start
        return Measured(self._loss / self._images, self._hits / self._images, seconds)
