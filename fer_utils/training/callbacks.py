"""What fastai's Learner tells of a training, where its random numbers start, and the mean of its weights."""

import time
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from fer_utils.models.weights import write_weights
from fer_utils.training import TrainingDiverged, checkpoints, torch_state
from fer_utils.training.common import Measured, Record, Row

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    from fastai.callback.core import Callback, CancelFitException
    from fastai.learner import Recorder

STATISTICS_IMAGES = 5000
"""Training images, repeats included, for batch normalisation's means and variances under mean weights."""


class Reseed(Callback):
    """Start every epoch's random numbers anew: dropout draws from a state that is in no checkpoint."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_epoch(self) -> None:
        """Hand the epoch to the batches and to torch."""
        self.dls.train.epoch = self.epoch
        torch.manual_seed(checkpoints.epoch_seed(self._seed, self.epoch))


class Clock:
    """The seconds that a training has taken, over all its starts; compiling stands apart.

    A start counts from its call to the end of its last epoch on record: an epoch that was broken off counts
    nowhere, what each start must do again (placing the images on the device) counts each time.

    Parameters
    ----------
    begun : float
        When this start began, by `time.perf_counter`.
    rows : list of dict
        The epochs of earlier starts.
    compile_seconds : float
        Spent on compiling since `begun`.
    """

    def __init__(self, begun: float, rows: list[Row], *, compile_seconds: float = 0.0) -> None:
        last = rows[-1] if rows else {"elapsed": 0.0, "start": 0}
        self._zero = begun + compile_seconds - last["elapsed"]
        self._same = {"compile_seconds": compile_seconds, "start": last["start"] + 1}

    def now(self) -> Row:
        """Return the columns elapsed, compile_seconds and start (from 1) for the end of an epoch."""
        return {"elapsed": time.perf_counter() - self._zero, **self._same}


class Progress(Callback):
    """Tell a record of every epoch, and stop at a loss that is no number; `diverged` then says where.

    Nothing is asked of the device before a pass is over, so that it never waits for an answer.

    Parameters
    ----------
    record : Record
    learning_rate : float
        For the message.
    clock : Clock
    kept : mapping of int to Path
        The epochs, from 1, whose weights are written to a file of their own.
    """

    order = Recorder.order + 1

    def __init__(
        self, record: Record, *, learning_rate: float, clock: Clock, kept: Mapping[int, Path]
    ) -> None:
        self._record, self._rate, self._clock, self._kept = record, learning_rate, clock, kept
        self.diverged: TrainingDiverged | None = None

    def before_train(self) -> None:
        """Begin a pass over the training images."""
        self._pass = _Pass()

    def before_validate(self) -> None:
        """Begin a pass over the validation images."""
        self._pass = _Pass()

    def after_loss(self) -> None:
        """Count a batch."""
        self._pass.add(self.loss, self.pred, *self.yb)

    def after_train(self) -> None:
        """Close the pass, or stop."""
        self._trained, losses = self._pass.measured()
        wrong = np.flatnonzero(~np.isfinite(losses))
        if len(wrong):
            # Raised by `fastai_fit`: before an error of a callback fastai puts a preface of its own.
            self.diverged = TrainingDiverged.at(
                loss=losses[wrong[0]], epoch=self.epoch + 1, batch=wrong[0] + 1, learning_rate=self._rate
            )
            raise CancelFitException

    def after_validate(self) -> None:
        """Put the epoch on record."""
        validated, times = self._pass.measured()[0], self._clock.now()
        state = torch_state.state(self.learn)
        if path := self._kept.get(self.epoch + 1):
            write_weights(path, state.model)
        self._record.end_epoch(
            self._trained,
            validated,
            images=self.dls.train.seen,
            model=state.model,
            optimizer=state.optimizer,
            times=times,
        )


class Averaging(Callback):
    """Validate, and keep, a running mean of the weights in place of those that are being trained.

    After every step the mean moves by 1 - d towards the weights, d being the smaller of `decay` and
    (1 + steps) / (10 + steps), so that a short training does not remember its start: Polyak, Juditsky,
    *Acceleration of stochastic approximation by averaging* (1992), in TensorFlow's form
    (`ExponentialMovingAverage`). Batch normalisation learned its means and variances under other weights: for
    each validation they are taken anew from `STATISTICS_IMAGES` augmented training images.

    Parameters
    ----------
    network : nn.Module
        The Learner's, on its device.
    decay : float
        0.999 is a mean over about the last thousand steps.
    """

    order = Progress.order + 1  # the record is told while the mean is in the network

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self._network, self._decay, self._steps = network, decay, 0
        self._mean = [parameter.detach().clone() for parameter in network.parameters()]
        self.aside: dict[str, Tensor] = {}

    def resume(self, *, epochs: int) -> None:
        """Take the weights that the network has now for the mean after some epochs."""
        self._steps = epochs * len(self.dls.train)
        with torch.no_grad():
            for mean, parameter in zip(self._mean, self._network.parameters(), strict=True):
                mean.copy_(parameter)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the mean."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for mean, parameter in zip(self._mean, self._network.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def before_validate(self) -> None:
        """Put the mean into the network, and the trained weights `aside`."""
        self.aside = {name: value.clone() for name, value in self._network.state_dict().items()}
        for mean, parameter in zip(self._mean, self._network.parameters(), strict=True):
            parameter.copy_(mean)
        train = self.dls.train
        some = islice(train, -(-STATISTICS_IMAGES * len(train) // train.seen))
        with torch.compiler.set_stance("force_eager"):  # a few batches are not worth a graph of their own
            update_bn(some, self._network)

    def after_validate(self) -> None:
        """Go on with the trained weights."""
        self._network.load_state_dict(self.aside)
        self.aside = {}


class _Pass:
    # Means over all images: fastai's own training loss is a running average that favours the last batches.
    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._sizes: list[int] = []
        self._losses: list[Tensor] = []
        self._hits: list[Tensor] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self._sizes.append(len(labels))
        self._losses.append(loss.detach())
        self._hits.append((logits.detach().argmax(dim=1) == labels).sum())

    def measured(self) -> tuple[Measured, np.ndarray]:
        losses = torch.stack(self._losses).double().cpu().numpy()
        images, hits = sum(self._sizes), int(torch.stack(self._hits).sum())
        seconds = time.perf_counter() - self._start
        return Measured(float(losses @ self._sizes) / images, hits / images, seconds), losses
