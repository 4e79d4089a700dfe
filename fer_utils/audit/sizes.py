"""Numbers of samples: from batches, from splits, from data sets, and by chance."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import comb
from typing import Literal

import numpy as np
from scipy import stats

from fer_utils.audit.findings import Finding, Place, judged
from fer_utils.audit.rounding import Printed

FER2013 = {
    "angry": (3_995, 467, 491),
    "disgust": (436, 56, 55),
    "fear": (4_097, 496, 528),
    "happy": (7_215, 895, 879),
    "sad": (4_830, 653, 594),
    "surprise": (3_171, 415, 416),
    "neutral": (4_965, 607, 626),
}
"""Images of each class in Training, PublicTest and PrivateTest.

Source: I. J. Goodfellow et al., *Challenges in representation learning*, ICONIP 2013; counted in the
competition's file.
"""

FER2013_BLACK = 12
"""Pictures in FER-2013 that are one black square: 11 in Training, 1 in PublicTest; counted there."""

RAF_DB = {"all": 29_672, "basic": 15_339, "basic training": 12_271, "basic test": 3_068}
"""Images of RAF-DB, of its single-label part and of that part's split.

Source: S. Li, W. Deng, J. Du, *Reliable crowdsourcing and deep locality-preserving learning for expression
recognition in the wild*, CVPR 2017.
"""

RAF_DB_HAPPY = 5_957
"""Images of the largest class, happiness, of the 15,339: 4,772 of them train. Source: as `RAF_DB`."""

EXPW = 91_793
"""Images of ExpW. Source: Z. Zhang, P. Luo, C. C. Loy, X. Tang, IJCV 126, 2018."""

SFEW = 1_766
"""Images of SFEW 2.0, the stills of EmotiW: 958, 436 and 372.

Source: A. Dhall, O. V. Ramana Murthy, R. Goecke, J. Joshi, T. Gedeon, *Video and image based emotion
recognition challenges in the wild: EmotiW 2015*, ICMI 2015.
"""

SMIC_HS = {"negative": 70, "positive": 51, "surprise": 43}
"""Clips of SMIC-HS. Source: X. Li et al., *A spontaneous micro-expression database*, FG 2013."""

ALPHA = 0.005
"""What chance makes less likely than this is called inconsistent: low, since many claims are checked."""

_COMPOSITIONS = 200_000
"""Up to so many compositions the exact test is used."""


def fer2013_total(*parts: int, without: Sequence[str] = ()) -> int:
    """Return FER-2013's images in some parts (0 Training, 1 PublicTest, 2 PrivateTest), of some classes."""
    return sum(counts[part] for name, counts in FER2013.items() if name not in without for part in parts)


def training_sizes(
    steps: int, *, batch_sizes: Iterable[int], drop_last: bool = False
) -> dict[int, tuple[int, int]]:
    """Return, for each batch size, the fewest and the most images that make so many steps an epoch.

    Parameters
    ----------
    steps
        Batches of one epoch.
    drop_last
        Whether a last batch that is not full is left out; else it counts as a step.
    """
    if drop_last:
        return {batch: (steps * batch, (steps + 1) * batch - 1) for batch in batch_sizes}
    return {batch: ((steps - 1) * batch + 1, steps * batch) for batch in batch_sizes}


@dataclass(frozen=True)
class Cut:
    """A way in which a data set makes so many steps: the share of its batches, or of its images, that trains.

    `whole` is how many batches or images there are, `part` how many train; `drop_last`: only full batches.
    """

    data: str
    images: int
    batch: int
    share: Fraction
    of: Literal["batches", "images"]
    whole: int
    part: int
    drop_last: bool

    def __str__(self) -> str:
        shown = f"{self.data} ({self.images:,}) in batches of {self.batch}"
        if self.share < 1:
            shown += f", {self.share} of {self.whole:,} {self.of}"
        return shown + (", full batches only" if self.drop_last else "")


def explained_steps(
    steps: int, *, images: Mapping[str, int], batch_sizes: Iterable[int], shares: Iterable[Fraction]
) -> list[Cut]:
    """Return every way in which one of the data sets makes so many steps an epoch.

    A share is one of the batches (batched first; rounded down, as ``dataset.take(int(share * len(dataset)))``
    does) or of the images (split first, then batched). A last batch that is not full is kept, or dropped
    where only that makes the steps. A share of 1 is the data set as it is.
    """
    found = (
        next(cuts, None)
        for (name, n), batch, share in product(images.items(), batch_sizes, shares)
        for of in (("batches", "images") if share < 1 else ("images",))
        if (cuts := (c for c in _cuts(name, n, batch, share, of) if _steps(c) == steps))
    )
    return [cut for cut in found if cut]


def _cuts(name: str, n: int, batch: int, share: Fraction, of: str) -> Iterator[Cut]:
    for drop_last in (False, True):
        whole = n if of == "images" else _batches(n, batch, drop_last)
        yield Cut(name, n, batch, share, of, whole, int(share * whole), drop_last)


def _steps(cut: Cut) -> int:
    return cut.part if cut.of == "batches" else _batches(cut.part, cut.batch, cut.drop_last)


def _batches(n: int, batch: int, drop_last: bool) -> int:
    return n // batch if drop_last else -(-n // batch)


def composition_probability(drawn: Sequence[int], population: Sequence[int]) -> float:
    """Return the probability that a random draw without replacement is as unlikely as this one, or more.

    The exact multivariate hypergeometric test where compositions are few; else the chi-square test with the
    correction for a finite population.

    Parameters
    ----------
    drawn, population
        Samples of each class in the draw and in all.

    Raises
    ------
    ValueError
        If a class has more samples drawn than there are.
    """
    drawn, population = list(drawn), list(population)
    if len(drawn) != len(population) or any(k > n for k, n in zip(drawn, population, strict=True)):
        raise ValueError(f"{drawn} cannot be drawn from {population}")
    if comb(sum(drawn) + len(drawn) - 1, len(drawn) - 1) <= _COMPOSITIONS:
        ways = _ways(drawn, population)
        others = (_ways(other, population) for other in _compositions(sum(drawn), population))
        unlikely = sum(other for other in others if other <= ways)
        return float(Fraction(unlikely, comb(sum(population), sum(drawn))))
    n, total = sum(drawn), sum(population)
    if n == total:
        return 1.0
    expected = np.array(population) * n / total
    statistic = ((np.array(drawn) - expected) ** 2 / expected).sum() * (total - 1) / (total - n)
    return float(stats.chi2.sf(statistic, len(drawn) - 1))


def check_parts(
    parts: Sequence[Printed], total: Printed, *, place: Place, rule: str = "parts and total"
) -> Finding:
    """Return whether printed parts add up to a printed total."""
    added = sum(part.value for part in parts)
    missing = total.value - added
    slip = any(new.value == part.value + missing for part in parts for new in part.one_digit_changes())
    slip = missing != 0 and (slip or any(new.value == added for new in total.one_digit_changes()))
    return judged(
        place,
        rule,
        missing == 0,
        printed=total,
        expected=int(added),
        explanation=f"{' + '.join(map(str, parts))} = {int(added):,}; printed {total}."
        + (" One changed digit would mend it." if slip else ""),
        certainty="likely" if slip else "certain",
    )


def check_composition(drawn: Sequence[int], population: Sequence[int], *, place: Place, note: str) -> Finding:
    """Return whether a printed test set may be a random draw from the printed or published whole.

    Never more than ``possible``: a rare draw is no impossible one.
    """
    p, n, total = composition_probability(drawn, population), sum(drawn), sum(population)
    expected = " / ".join(f"{k * n / total:.1f}" for k in population)
    return judged(
        place,
        "test composition under random splitting",
        p >= ALPHA,
        printed=" / ".join(map(str, drawn)),
        expected=expected,
        certainty="possible",
        explanation=f"A random {n} of {total} holds {expected} on average; a mix as unlikely as the printed "
        f"one, or more, has probability {p:.2g} (limit {ALPHA}). {note}",
    )


def check_majority(
    supports: Sequence[int], right: int | None, accuracy: Printed, *, place: Place, claim: str = ""
) -> Finding:
    """Return whether an accuracy is above that of always naming the largest class of the same test set.

    Not a question of possible or not: a finding says that the accuracy supports no claim of recognition.

    Parameters
    ----------
    supports
        Samples of each class in the test set.
    right
        Samples classified rightly; None where only the printed accuracy is known.
    claim
        What the paper says of this accuracy, if anything.
    """
    n, most = sum(supports), max(supports)
    reached = Fraction(right, n) if right is not None else accuracy.window().high
    shown = f"{right}/{n} = {100 * right / n:.2f} %" if right is not None else str(accuracy)
    return judged(
        place,
        "accuracy against the majority class",
        reached > Fraction(most, n),
        printed=f"{accuracy} {claim}".strip(),
        expected=f"more than {most}/{n} = {100 * most / n:.2f} %",
        explanation=f"Always naming the largest class is right in {most} of {n} ({100 * most / n:.2f} %); "
        f"the model reaches {shown}.",
    )


def _ways(drawn: Sequence[int], population: Sequence[int]) -> int:
    ways = 1
    for k, n in zip(drawn, population, strict=True):
        ways *= comb(n, k)
    return ways


def _compositions(n: int, population: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if len(population) == 1:
        if n <= population[0]:
            yield (n,)
        return
    for first in range(min(n, population[0]) + 1):
        for rest in _compositions(n - first, population[1:]):
            yield (first, *rest)
