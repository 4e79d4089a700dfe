"""What a printed number says about the value behind it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from math import floor
from typing import Any, Literal

import numpy as np

from fer_utils.papers import RATES, PublishedCell

Rounding = Literal["rounded", "truncated", "either"]
Ends = tuple[float, float]
"""The smallest and the largest value that a number may have."""

SLACK = 1e-9
_FLOAT32 = 2.0**-23
"""Relative error that a program in single precision may add before it prints: 0.7 can print as 0.6999."""


@dataclass(frozen=True)
class Printed:
    """A number as it stands on the page, with its unit as in `fer_utils.papers`."""

    text: str
    unit: str = "fraction"

    @classmethod
    def of(cls, cell: PublishedCell) -> "Printed":
        """Return a published cell as printed."""
        words = cell.unit == "count" and not re.fullmatch(r"[\d,. ]+", cell.printed)  # seven, or 138M
        return cls(f"{cell.value:.0f}" if words else cell.printed, cell.unit)

    @cached_property
    def value(self) -> Fraction:
        """The number as it stands, exactly; percent as a fraction."""
        return Fraction(re.sub("[,% ]", "", self.text)) / (100 if self.unit == "percent" else 1)

    @property
    def decimals(self) -> int:
        """The number of printed decimals."""
        return len(re.sub(r"^[^.]*\.?|\D", "", self.text))

    @property
    def last_digit(self) -> float:
        """What a change of one in the last printed digit adds."""
        return 10.0**-self.decimals / (100 if self.unit == "percent" else 1)

    @cache  # noqa: B019 (few numbers, asked for thousands of times)
    def ends(self, rounding: Rounding = "either", *, signed: bool = False) -> Ends:
        """Return the values that print like this; counts stand for themselves.

        Halves may go up or down. ``either`` holds what rounds *or* truncates to the printed number, so that
        a table is inconsistent only where neither fits. A `signed` zero may be a small negative number.
        """
        size = abs(float(self.value))
        if self.unit == "count":
            return float(self.value), float(self.value)
        low = size - (self.last_digit / 2 if rounding != "truncated" else 0) - size * _FLOAT32
        high = size + self.last_digit / (2 if rounding == "rounded" else 1) + size * _FLOAT32
        if low <= 0:
            low = -high if signed else 0.0
        return (-high, -low) if self.text.startswith("-") else (low, high)

    def one_digit_changes(self) -> Iterator["Printed"]:
        """Yield every possible number that differs from this one in a single digit."""
        for place, old in enumerate(self.text):
            for digit in "0123456789".replace(old, "") if old.isdigit() else ():
                new = Printed(self.text[:place] + digit + self.text[place + 1 :], self.unit)
                if self.unit not in RATES or new.value <= 1:
                    yield new

    def __str__(self) -> str:
        return self.text


def overlap(one: Ends, other: Ends) -> bool:
    """Return whether some value lies between both pairs of ends."""
    return one[0] <= other[1] + SLACK and other[0] <= one[1] + SLACK


def fits(rate: Printed, n: Any, rounding: Rounding = "either") -> Any:
    """Return whether some whole number out of `n`, an integer or an array, prints as this rate."""
    low, high = rate.ends(rounding)
    return np.ceil(low * n - SLACK) <= np.floor(np.minimum(high, 1) * n + SLACK)


def nearest_rates(rate: Printed, n: int) -> str:
    """Return the counts out of `n` on both sides of a printed rate, as a line that can be checked by hand."""
    below, decimals = floor(rate.value * n), max(2, rate.decimals + 1)
    scale, sign = (100, " %") if rate.unit == "percent" else (1, "")
    return ", ".join(f"{k}/{n} = {scale * k / n:.{decimals}f}{sign}" for k in (below, below + 1))
