"""Learning rates: what a look at the loss suggests, and what a schedule makes of one."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch

from fer_utils.files import ConfigError
from fer_utils.training.batches import memory_errors

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    from fastai.callback.schedule import SchedCos, combined_cos, steep, valley
    from fastai.learner import Learner

Rule = Literal["steep", "valley", "minimum"]
RULES = get_args(Rule)
"""Where the loss falls fastest; the middle of its longest fall, as fastai has it; where it is lowest."""
Schedule = Literal["constant", "one_cycle", "cosine"]
SCHEDULES = get_args(Schedule)
DIV, DIV_FINAL, WARM_UP, MOMENTA = 25.0, 1e5, 0.25, (0.95, 0.85, 0.95)
"""fastai's one-cycle: it starts at the highest rate over 25 and ends at that over 100,000, as cosine does."""
_FEWEST, _FEWEST_POINTS = 20, 5


@dataclass(frozen=True)
class RateFinder:
    """The loss while the learning rate rises from batch to batch, and what three rules read off it.

    L. N. Smith, *Cyclical learning rates for training neural networks* (WACV 2017), Section 3.3.

    Attributes
    ----------
    rates, losses : ndarray of float, shape (n,)
        Losses are running means, as fastai smooths them; the first tenth and the last batches are left out.
    suggestions : dict of str to float
        By the names in `RULES`.
    """

    rates: np.ndarray
    losses: np.ndarray
    suggestions: dict[str, float]


def find_rates(learn: Learner, *, steps: int = 100) -> RateFinder:
    """Train for some batches with a rising rate and put everything back.

    Parameters
    ----------
    learn : Learner
        From `fastai_fit.learner`; frozen or not. Its weights are afterwards what they were before.
    steps : int
        Batches, at least 20. It stops before where the loss is four times its lowest.

    Raises
    ------
    ConfigError
        For too few steps, a loss that is no number from the start, or one that explodes at once; also for a
        batch too large for the GPU.
    """
    if steps < _FEWEST:
        raise ConfigError(f"rate_steps={steps}: at least {_FEWEST} batches are needed to see a curve")
    guard = memory_errors(setting="batch_size", size=learn.dls.train.batch_size)
    with tempfile.TemporaryDirectory() as folder, guard:  # fastai keeps the weights there meanwhile
        learn.path = Path(folder)
        learn.lr_find(num_it=steps, show_plot=False, suggest_funcs=None)
    seen = slice(steps // 10, -5)
    rates = np.array(learn.recorder.lrs[seen])
    losses = np.array([float(loss) for loss in learn.recorder.losses[seen]])
    usable = np.cumprod(np.isfinite(losses)).astype(bool)
    if usable.sum() < _FEWEST_POINTS:
        seen = len(learn.recorder.losses)
        what = "exploded" if usable.all() else "is not a number"
        raise ConfigError(
            f"rate_steps={steps}: the loss {what} after {seen} batches; use more, or look at the data"
        )
    return RateFinder(rates[usable], losses[usable], suggest(rates[usable], losses[usable]))


def suggest(rates: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    """Return the rate that each of `RULES` picks; "minimum", the paper's, is that of the lowest loss."""
    x, y = torch.tensor(rates), torch.tensor(losses)
    found = {rule.__name__: float(rule(x, y, len(x))[0]) for rule in (steep, valley)}
    return found | {"minimum": float(rates[losses.argmin()])}


def spread(highest: float, lowest: float | None, *, groups: int) -> list[float]:
    """Return each group's highest rate: equal factors from `lowest` to `highest`, or all alike for None."""
    return [highest] * groups if lowest is None else np.geomspace(lowest, highest, groups).tolist()


def course(schedule: Schedule, highest: np.ndarray) -> dict[str, Callable[[float], np.ndarray]]:
    """Return what a schedule varies, "lr" and "mom" as fastai names them, over a training from 0 to 1.

    One-cycle: L. N. Smith, *A disciplined approach to neural network hyper-parameters* (2018), as fastai has
    it. Cosine, from the highest rate down: Loshchilov, Hutter, *SGDR* (ICLR 2017), without restarts.

    Parameters
    ----------
    schedule : {"constant", "one_cycle", "cosine"}
        "constant" varies nothing.
    highest : ndarray of float
        The highest rate of each group.

    Raises
    ------
    ConfigError
        For another schedule.
    """
    if schedule == "one_cycle":
        rate = combined_cos(WARM_UP, highest / DIV, highest, highest / DIV_FINAL)
        return {"lr": rate, "mom": combined_cos(WARM_UP, *MOMENTA)}
    if schedule == "cosine":
        return {"lr": SchedCos(highest, highest / DIV_FINAL)}
    if schedule != "constant":
        raise ConfigError(f"schedule={schedule}: use {' or '.join(SCHEDULES)}")
    return {}


def plan(
    schedule: Schedule, rates: Sequence[float], *, epochs: int, momentum: float, points: int = 200
) -> pd.DataFrame:
    """Return learning rate and momentum over a training: columns epoch, group, rate, momentum.

    Parameters
    ----------
    schedule : {"constant", "one_cycle", "cosine"}
    rates : sequence of float
        The highest rate of each group.
    epochs : int
    momentum : float
        Where the schedule leaves it as it is.
    points : int
        At how many moments.
    """
    highest, moments = np.array(rates, dtype=float), np.linspace(0, 1, points)
    unvaried = {"lr": lambda _: highest, "mom": lambda _: momentum}
    at = unvaried | course(schedule, highest)
    rows = [
        (epochs * moment, group, rate, float(at["mom"](float(moment))))
        for moment in moments
        for group, rate in enumerate(at["lr"](float(moment)), start=1)
    ]
    return pd.DataFrame(rows, columns=["epoch", "group", "rate", "momentum"])
