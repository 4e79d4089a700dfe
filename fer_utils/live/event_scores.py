"""How well the events that were found in videos agree with those that are there.

An event that was found is right when it overlaps a true one by at least half of what the two cover together,
as in the spotting tasks of the Facial Micro-Expression Grand Challenge: Y. He et al., *Spotting macro- and
micro-expression intervals in long video sequences*, FG 2020 (MEGC 2020), and the same in 2021.
"""

from collections.abc import Sequence
from math import nan
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from fer_utils.live.spotting import kind_of
from fer_utils.statistics import bootstrap_weights, percentile_interval

KINDS = ("micro", "macro", "all")
"""The rows of `event_scores`."""

_COUNTS = ["tp", "fp", "fn"]
_TIMES = ["onset", "apex", "offset"]


class Timed(Protocol):
    """What has a beginning, a highest point and an end in seconds: `Spotted`, `Event`, `Movement`."""

    @property
    def onset(self) -> float:
        """When it begins."""

    @property
    def apex(self) -> float:
        """When it is strongest."""

    @property
    def offset(self) -> float:
        """When it is over, after the onset."""


def overlap(one: Timed, other: Timed) -> float:
    """Return the time that two events share over the time that they cover: 0 to 1.

    Also known as intersection over union.
    """
    shared = min(one.offset, other.offset) - max(one.onset, other.onset)
    if shared <= 0:
        return 0.0
    # Of events that overlap, no time between them is covered by neither.
    return shared / (max(one.offset, other.offset) - min(one.onset, other.onset))


def match_events(
    found: Sequence[Timed], truth: Sequence[Timed], *, iou: float = 0.5
) -> list[tuple[int, int]]:
    """Pair the events that were found in a video with those that are there, each at most once.

    Of all ways to pair them it is one with the most pairs, and of these one with the greatest overlap.

    Parameters
    ----------
    found, truth : sequence of Timed
        In any order.
    iou : float
        The overlap that a pair needs, above 0 and at most 1.

    Returns
    -------
    list of (int, int)
        Positions in `found` and in `truth`, in the order of `found`.

    Raises
    ------
    ValueError
        For an `iou` outside its range, and an event that does not end after it begins.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou={iou}: what counts as the same event is an overlap above 0 and at most 1")
    for event in (*found, *truth):
        if not event.onset < event.offset:
            raise ValueError(
                f"an event from {event.onset} s to {event.offset} s: it must end after it begins"
            )
    shared = np.array([[overlap(one, other) for other in truth] for one in found])
    shared = shared.reshape(len(found), len(truth))
    fits = shared >= iou
    # All overlaps together weigh less than one pair more.
    worth = fits * (1 + shared / (1 + min(shared.shape)))
    pairs = zip(*linear_sum_assignment(worth, maximize=True), strict=True)
    return [(int(one), int(other)) for one, other in pairs if fits[one, other]]


def event_scores(
    found: Sequence[Sequence[Timed]],
    truth: Sequence[Sequence[Timed]],
    *,
    iou: float = 0.5,
    n_boot: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return precision, recall and F1 of the events found in videos.

    Micro- and macro-expressions are told apart by their duration and matched among themselves: a true
    micro-expression that was found as a macro-expression is one missed and one that is not there. "all"
    counts both kinds together. The counts of all videos are added up before anything is divided.

    Parameters
    ----------
    found, truth : sequence of sequence of Timed
        One sequence a video, in the same order.
    iou : float
        As in `match_events`.
    n_boot, seed : int
        Resamples of the videos for the intervals, and the seed of the draws.

    Returns
    -------
    DataFrame
        One row each of `KINDS`: `n_videos`; the counts `tp`, `fp`, `fn`; `precision`, `recall`, `f1`, not a
        number where nothing is divided by nothing; `f1_low` and `f1_high`, the 95 % interval, not a number
        for a single video; `onset_error`, `apex_error` and `offset_error`, the mean distances from the truth
        in seconds of the events that match.

    Raises
    ------
    ValueError
        When there are no videos, or another number of them in `found` than in `truth`.
    """
    if len(found) != len(truth) or not len(truth):
        raise ValueError(
            f"events were found in {len(found)} videos and are known of {len(truth)}; none is left out"
        )
    rows, counts, errors = {}, {}, {}
    for kind in KINDS[:2]:
        pairs = [(_of(kind, one), _of(kind, other)) for one, other in zip(found, truth, strict=True)]
        counts[kind], errors[kind] = _counted(pairs, iou)
    counts["all"] = counts["micro"] + counts["macro"]
    errors["all"] = np.concatenate([errors["micro"], errors["macro"]])
    for kind in KINDS:
        rows[kind] = _row(counts[kind], errors[kind], n_boot=n_boot, seed=seed)
    return pd.DataFrame(rows).T.astype({"n_videos": int} | dict.fromkeys(_COUNTS, int))


def _of(kind: str, events: Sequence[Timed]) -> list[Timed]:
    return [event for event in events if kind_of(event.onset, event.offset) == kind]


def _counted(pairs: list[tuple[list[Timed], list[Timed]]], iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of each video (V, 3), and the distances in time of each match (M, 3)."""
    counts, errors = [], []
    for found, truth in pairs:
        matches = match_events(found, truth, iou=iou)
        counts.append((len(matches), len(found) - len(matches), len(truth) - len(matches)))
        errors += [[getattr(found[i], at) - getattr(truth[j], at) for at in _TIMES] for i, j in matches]
    return np.array(counts), np.abs(np.array(errors, dtype=float)).reshape(-1, len(_TIMES))


def _row(counts: np.ndarray, errors: np.ndarray, *, n_boot: int, seed: int) -> dict[str, float]:
    tp, fp, fn = (int(total) for total in counts.sum(axis=0))
    f1 = float(_f1(counts.sum(axis=0)))
    weights = bootstrap_weights(np.arange(len(counts)), n_boot=n_boot, seed=seed)
    resampled = np.concatenate([_f1(counts.T @ some) for some in weights] or [np.empty(0)])
    low, high = percentile_interval([resampled], value=f1) or (nan, nan)
    return {
        "n_videos": len(counts),
        **dict(zip(_COUNTS, (tp, fp, fn), strict=True)),
        "precision": tp / (tp + fp) if tp + fp else nan,
        "recall": tp / (tp + fn) if tp + fn else nan,
        "f1": f1,
        "f1_low": low,
        "f1_high": high,
        **{f"{at}_error": errors[:, i].mean() if len(errors) else nan for i, at in enumerate(_TIMES)},
    }


def _f1(counts: np.ndarray) -> np.ndarray:
    """Return F1 of counts (3, ...): twice the true positives over all found and all true events."""
    tp, fp, fn = np.asarray(counts, dtype=float)
    events = 2 * tp + fp + fn
    return np.divide(2 * tp, events, out=np.full_like(events, nan), where=events > 0)
