"""Learning rates: what a look at the loss suggests, and what the one-cycle schedule makes of one."""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch

from fer_utils.files import ConfigError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai uses what torch and pandas are about to drop
    from fastai.callback.schedule import combined_cos, steep, valley
    from fastai.learner import Learner

Rule = Literal["steep", "valley", "minimum"]
RULES = get_args(Rule)
"""Where the loss falls fastest; the middle of its longest fall, as fastai has it; where it is lowest."""
DIV, DIV_FINAL, WARM_UP, MOMENTA = 25.0, 1e5, 0.25, (0.95, 0.85, 0.95)
"""fastai's one-cycle: it starts at the highest rate over 25 and ends at that over 100,000."""
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
        For too few steps, a loss that is no number from the start, or one that explodes at once.
    """
    if steps < _FEWEST:
        raise ConfigError(f"rate_steps={steps}: at least {_FEWEST} batches are needed to see a curve")
    with tempfile.TemporaryDirectory() as folder:  # fastai keeps the weights there meanwhile
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


def one_cycle(rates: Sequence[float], *, epochs: int, points: int = 200) -> pd.DataFrame:
    """Return the one-cycle schedule as fastai runs it: columns epoch, group, rate, momentum.

    L. N. Smith, *A disciplined approach to neural network hyper-parameters* (2018).

    Parameters
    ----------
    rates : sequence of float
        The highest rate of each group.
    epochs : int
    points : int
        At how many moments.
    """
    moments = np.linspace(0, 1, points)
    momentum = [float(combined_cos(WARM_UP, *MOMENTA)(float(moment))) for moment in moments]
    parts = []
    for group, rate in enumerate(rates, start=1):
        schedule = combined_cos(WARM_UP, rate / DIV, rate, rate / DIV_FINAL)
        values = [float(schedule(float(moment))) for moment in moments]
        columns = {"epoch": epochs * moments, "group": group, "rate": values, "momentum": momentum}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
