"""The experiments: what is done, what an honest arm gives, what the leaky one gives beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data import MissingData
from fer_utils.effects.arms import (
    Arm,
    Seeds,
    load_seeds,
    of_own_samples,
    of_records,
    of_same_samples,
)
from fer_utils.effects.effect import Effect
from fer_utils.splits import CLIPS_SHARED, SUBJECTS_SHARED
from fer_utils.statistics import Interval, difference_interval, mean_interval

OFFICIAL = "10_baseline_cnn--protocol-official"
RANDOM = "10_baseline_cnn--protocol-random"
RESHUFFLED = "10_baseline_cnn--protocol-reshuffled"
CACHED = "10_baseline_cnn--protocol-cached"
CLIPS, FRAMES, DATA = "30_cnn3d_smic", "20_hybrid_hog_cnn--frames", "00_data_prep"

FER2013, DRAWN_CLIPS = "FER-2013", "synthetic clips"


# --- the experiments ------------------------------------------------------------------------------


def reshuffled(reports: Path) -> Effect:
    """Validate on images that are drawn anew for every epoch, and have trained before."""
    return _take_and_skip("reshuffled", reports, RESHUFFLED)


def cached(reports: Path) -> Effect:
    """Validate on images that were drawn apart from those that train, so that most of them train as well."""
    return _take_and_skip("cached", reports, CACHED)


def _take_and_skip(key: str, reports: Path, method: str) -> Effect:
    official, leaky = load_seeds(reports, OFFICIAL), load_seeds(reports, method)
    last = min(official.shortest(), leaky.shortest())
    right = [answers.correct[last - 1] for answers in official.answers("validation")]
    theirs = [history["val_accuracy"].iloc[last - 1] for history in leaky.history]
    n = leaky.results[0]["other_metrics"]["validation"]["accuracy"]["n"]
    return _between_samples(
        key,
        of_same_samples(f"PublicTest, after epoch {last}", right),
        of_own_samples(f"what validates in epoch {last}", theirs, n=n, leak=_leak(leaky)),
        official,
        leaky,
    )


def random_split(reports: Path) -> Effect:
    """Report on images drawn at random from all."""
    official, leaky = load_seeds(reports, OFFICIAL), load_seeds(reports, RANDOM)
    epochs = min(official.shortest(), leaky.shortest())
    honest = _chosen_on_validation(official, epochs=epochs)
    theirs = _chosen_on_validation(leaky, epochs=epochs)
    return _between_samples(
        "random_split",
        of_same_samples("PrivateTest", honest),
        of_own_samples(
            "a random tenth", [right.mean() for right in theirs], n=len(theirs[0]), leak=_leak(leaky)
        ),
        official,
        leaky,
    )


def exact_copies(reports: Path) -> Effect:
    """Leave test images in that also stand in another part, pixel for pixel."""
    return _copies(reports, "exact_copies", "exact copies", ["exact"])


def all_copies(reports: Path) -> Effect:
    """Leave test images in that stand in another part, exactly or nearly so."""
    return _copies(reports, "all_copies", "exact and near copies", ["exact", "near"])


def best_epoch(reports: Path) -> Effect:
    """Choose the epoch on the images that are reported."""
    official = load_seeds(reports, OFFICIAL)
    test = official.answers("test")
    honest = _chosen_on_validation(official)
    best = [answers.correct[answers.best] for answers in test]
    return _on_same_samples(
        "best_epoch",
        of_same_samples("epoch best on PublicTest", honest),
        of_same_samples("epoch best on PrivateTest", best, leak="epoch chosen on test"),
        np.array(best, dtype=float) - np.array(honest, dtype=float),
        official,
    )


def best_seed(reports: Path) -> Effect:
    """Train several times and report the run that came out best."""
    official = load_seeds(reports, OFFICIAL)
    right = np.array(_chosen_on_validation(official), dtype=float)
    best = right[right.mean(axis=1).argmax()]
    return _on_same_samples(
        "best_seed",
        of_same_samples(f"mean of {len(right)} runs", right),
        of_same_samples(f"best of {len(right)} runs on PrivateTest", [best], leak="run chosen on test"),
        np.array([best - right.mean(axis=0)]),
        official,
    )


def random_clips(reports: Path) -> Effect:
    """Hold out clips at random, of people who have others in training."""
    runs = load_seeds(reports, CLIPS)
    honest = of_records("one subject left out", _accuracies(runs, None))
    random = _accuracies(runs, "pixels_random")
    return _between_samples(
        "random_clips", honest, of_records("random clips", random, leak=SUBJECTS_SHARED), runs
    )


def random_frames(reports: Path) -> Effect:
    """Hold out frames at random, whose neighbours have trained."""
    runs = load_seeds(reports, FRAMES)
    honest = of_records("whole subjects", _accuracies(runs, "split_by_subject"))
    random = _accuracies(runs, "split_by_frame")
    return _between_samples(
        "random_frames", honest, of_records("single frames", random, leak=CLIPS_SHARED), runs
    )


@dataclass(frozen=True)
class Experiment:
    """What is done, on which data, and the function that measures it from run folders."""

    trick: str
    data: str
    measure: Callable[[Path], Effect]


EXPERIMENTS: Mapping[str, Experiment] = {
    "reshuffled": Experiment("shuffle the parts again for every epoch", FER2013, reshuffled),
    "cached": Experiment("draw each part apart and keep it", FER2013, cached),
    "random_split": Experiment("split all images at random", FER2013, random_split),
    "exact_copies": Experiment("leave exact copies of other parts in the test", FER2013, exact_copies),
    "all_copies": Experiment("leave exact and near copies in the test", FER2013, all_copies),
    "best_epoch": Experiment("choose the epoch on the test", FER2013, best_epoch),
    "best_seed": Experiment("report the best of several runs", FER2013, best_seed),
    "random_frames": Experiment("hold out single frames at random", DRAWN_CLIPS, random_frames),
    "random_clips": Experiment("hold out clips at random, not people", DRAWN_CLIPS, random_clips),
}
"""Name of an experiment -> what is done in it."""


def measure_all(reports: Path) -> tuple[list[Effect], dict[str, str]]:
    """Measure every experiment whose runs are there.

    Parameters
    ----------
    reports : Path
        A profile's folder of run folders.

    Returns
    -------
    effects : list of Effect
        In the order of `EXPERIMENTS`.
    missing : dict of str to str
        Name of an experiment -> which run it has none of.
    """
    effects, missing = [], {}
    for key, experiment in EXPERIMENTS.items():
        try:
            effects.append(experiment.measure(Path(reports)))
        except MissingData as error:
            missing[key] = str(error)
    return effects, missing


# --- shared steps ---------------------------------------------------------------------------------


def _chosen_on_validation(seeds: Seeds, *, epochs: int | None = None) -> list[np.ndarray]:
    """Return which test images each seed has right, shape (N,), at its epoch best on validation."""
    parts = zip(*(seeds.answers(part, epochs=epochs) for part in ("validation", "test")), strict=True)
    return [test.correct[validation.best] for validation, test in parts]


def _copies(reports: Path, key: str, what: str, columns: list[str]) -> Effect:
    official = load_seeds(reports, OFFICIAL)
    right = np.array(_chosen_on_validation(official), dtype=float)
    copied = np.isin(official.answers("test")[0].sample_id, _copied(reports, columns))
    everything = of_same_samples("PrivateTest", right, leak=f"{what} of other parts")
    distinct = of_same_samples(f"without {what}", right[:, ~copied])
    repeated = of_same_samples(what, right[:, copied])
    # All = distinct + share * (repeated - distinct): the two sets of images have none in common.
    share = copied.mean()
    low, high = difference_interval(repeated.value, repeated.interval, distinct.value, distinct.interval)
    by_seed = right.mean(axis=1) - right[:, ~copied].mean(axis=1)
    return _effect_of(key, distinct, everything, (share * low, share * high), by_seed, official)


def _copied(reports: Path, columns: list[str]) -> np.ndarray:
    path = Path(reports) / DATA / "copies.csv"
    if not path.is_file():
        raise MissingData(f"no list of copies from {DATA} in {Path(reports).name}; make it from its YAML")
    copies = pd.read_csv(path)
    return copies.loc[copies[columns].any(axis=1), "sample_id"].to_numpy(dtype=str)


def _between_samples(key: str, honest: Arm, leaky: Arm, *seeds: Seeds) -> Effect:
    interval = difference_interval(leaky.value, leaky.interval, honest.value, honest.interval)
    by_seed = [a - b for a, b in zip(leaky.by_seed, honest.by_seed, strict=False)]
    return _effect_of(key, honest, leaky, interval, by_seed, *seeds)


def _on_same_samples(key: str, honest: Arm, leaky: Arm, added: np.ndarray, seeds: Seeds) -> Effect:
    """Return the effect of an arm that adds `added`, shape (seeds, N), to what is right of each sample."""
    return _effect_of(key, honest, leaky, mean_interval(added.mean(axis=0)), added.mean(axis=1), seeds)


def _accuracies(runs: Seeds, name: str | None) -> list[dict]:
    """Return the accuracy records of a block of each run's `other_metrics`; None stands for its `metrics`."""
    blocks = (found["metrics"] if name is None else found["other_metrics"][name] for found in runs.results)
    return [block["accuracy"] for block in blocks]


def _effect_of(
    key: str, honest: Arm, leaky: Arm, interval: Interval, by_seed: Sequence[float], *seeds: Seeds
) -> Effect:
    experiment = EXPERIMENTS[key]
    runs = tuple(folder.name for each in seeds for folder in each.folders)
    sizes = tuple(float(size) for size in by_seed)
    ends = tuple(map(float, interval))
    return Effect(key, experiment.trick, honest, leaky, ends, sizes, experiment.data, runs)


def _leak(seeds: Seeds) -> str:
    return seeds.results[0]["protocol"]["leakage"]
