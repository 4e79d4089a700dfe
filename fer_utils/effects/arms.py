"""One arm of an experiment: the seeds of one method as their run folders hold them, and what they come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data import MissingData
from fer_utils.epochs import EpochAnswers
from fer_utils.files import read_json
from fer_utils.params import method_of
from fer_utils.statistics import Interval, mean_interval, wilson_interval


@dataclass(frozen=True)
class Arm:
    """An accuracy, measured in one way.

    Attributes
    ----------
    label : str
        What was measured, in a few words.
    value : float
        Mean over the seeds, a fraction.
    interval : (float, float)
        95 % interval of that mean, as it varies with the samples.
    by_seed : tuple of float
    n : int
        Samples that one seed reports on.
    leak : str
        Name of the leak, or "none".
    """

    label: str
    value: float
    interval: Interval
    by_seed: tuple[float, ...]
    n: int
    leak: str = "none"


@dataclass(frozen=True)
class Seeds:
    """The finished runs of one method, which differ in nothing but their seed.

    Attributes
    ----------
    method : str
        Their common name, such as ``10_baseline_cnn--protocol-official``.
    folders : tuple of Path
        Their run folders, in the order of their seeds.
    """

    method: str
    folders: tuple[Path, ...]

    @cached_property
    def results(self) -> tuple[dict, ...]:
        """What each run found: its results.json."""
        return tuple(read_json(folder / "results.json") for folder in self.folders)

    @cached_property
    def history(self) -> tuple[pd.DataFrame, ...]:
        """The epochs of each run: `Fit.history`, and `validation_seen`."""
        return tuple(pd.read_csv(folder / "history.csv") for folder in self.folders)

    def answers(self, part: str, *, epochs: int | None = None) -> tuple[EpochAnswers, ...]:
        """Return what each run answered after each epoch about a part, "validation" or "test"."""
        loaded = (EpochAnswers.load(folder / f"epochs_{part}.npz") for folder in self.folders)
        return tuple(answers if epochs is None else answers.first(epochs) for answers in loaded)

    def shortest(self) -> int:
        """Return the number of epochs that every run has."""
        return min(map(len, self.history))


def load_seeds(reports: Path, method: str) -> Seeds:
    """Return the finished runs of a method in a profile's folder.

    Raises
    ------
    MissingData
        When there is none.
    """
    found = [path.parent for path in sorted(Path(reports).glob(f"{method}*/results.json"))]
    same = [folder for folder in found if method_of(folder.name) == method]
    done = tuple(folder for folder in same if read_json(folder / "results.json")["status"] == "done")
    if not done:
        raise MissingData(f"no finished run of {method} in {Path(reports).name}; make it from its YAML")
    return Seeds(method, done)


def of_same_samples(label: str, correct: Sequence[np.ndarray], *, leak: str = "none") -> Arm:
    """Return the arm of seeds that report on the same samples.

    Parameters
    ----------
    label : str
    correct : sequence of ndarray of bool, shape (N,)
        For each seed, which samples are right, all in one order.
    leak : str
    """
    right = np.array(correct, dtype=float)
    of_samples = right.mean(axis=0)
    interval = mean_interval(of_samples)
    return Arm(label, float(of_samples.mean()), interval, tuple(right.mean(axis=1)), right.shape[1], leak)


def of_own_samples(label: str, accuracies: Sequence[float], *, n: int, leak: str = "none") -> Arm:
    """Return the arm of seeds that each report on `n` samples of their own, taken as independent draws."""
    successes = round(sum(accuracies) * n)
    interval = wilson_interval(successes, n * len(accuracies))
    return Arm(label, float(np.mean(accuracies)), interval, tuple(map(float, accuracies)), n, leak)


def of_records(label: str, records: Sequence[dict], *, leak: str = "none") -> Arm:
    """Return the arm of metric records, one for each seed.

    Its interval is that of one seed, averaged over them: what is known of the samples does not grow with the
    seeds, and here only the records are.
    """
    values = tuple(record["value"] for record in records)
    low, high = np.mean([record["ci95"] for record in records], axis=0)
    return Arm(label, float(np.mean(values)), (float(low), float(high)), values, records[0]["n"], leak)
