"""What a printed number says about the value behind it, in exact arithmetic."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import floor
from typing import Literal

from fer_utils.papers import PublishedCell

Rounding = Literal["rounded", "truncated", "either"]

_FLOAT32 = Fraction(1, 2**23)
"""Relative error that a program in single precision may add before it prints: 0.7 can print as 0.6999."""


@dataclass(frozen=True)
class Window:
    """The closed interval of values that may stand behind a printed number."""

    low: Fraction
    high: Fraction

    def __contains__(self, value: Fraction | int) -> bool:
        return self.low <= value <= self.high

    def overlaps(self, other: "Window") -> bool:
        """Return whether some value lies in both windows."""
        return self.low <= other.high and other.low <= self.high

    def __str__(self) -> str:
        return f"{float(self.low):.4f} to {float(self.high):.4f}"


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

    @property
    def digits(self) -> str:
        """The number without its percent sign, blanks and thousands commas."""
        return self.text.replace(",", "").replace("%", "").strip()

    @cached_property
    def value(self) -> Fraction:
        """The number as it stands; percent as a fraction."""
        return Fraction(Decimal(self.digits)) * self._scale

    @cached_property
    def number(self) -> float:
        """The value as a float."""
        return float(self.value)

    @property
    def unit_of_last_digit(self) -> Fraction:
        """What a change of one in the last printed digit adds."""
        return Fraction(10) ** Decimal(self.digits).as_tuple().exponent * self._scale

    @property
    def _scale(self) -> Fraction:
        return Fraction(1, 100) if self.unit == "percent" else Fraction(1)

    def window(self, rounding: Rounding = "either") -> Window:
        """Return the values that print like this; counts stand for themselves.

        Halves may go up or down. ``either`` holds what rounds *or* truncates to the printed number, so that
        a table is inconsistent only where neither fits.
        """
        value, last = self.value, self.unit_of_last_digit
        if self.unit == "count":
            return Window(value, value)
        if self.digits.startswith("-"):
            mirrored = Printed(self.digits[1:], self.unit).window(rounding)
            return Window(-mirrored.high, -mirrored.low)
        slack = value * _FLOAT32
        low = value if rounding == "truncated" else value - last / 2
        high = value + (last / 2 if rounding == "rounded" else last)
        return Window(max(low - slack, Fraction(0)), high + slack)

    def one_digit_changes(self) -> Iterator["Printed"]:
        """Yield every number that differs from this one in a single digit."""
        for place, old in enumerate(self.text):
            if old.isdigit():
                for new in "0123456789".replace(old, ""):
                    yield Printed(self.text[:place] + new + self.text[place + 1 :], self.unit)

    def __str__(self) -> str:
        return self.text


def counts_within(window: Window, n: int) -> range:
    """Return the numbers of successes out of `n` whose rate lies in the window."""
    low, high = window.low, window.high  # whole numbers throughout: thousands of sizes are tried
    first = -(-low.numerator * n // low.denominator)
    return range(max(0, first), min(n, high.numerator * n // high.denominator) + 1)


def fits(printed: Printed, n: int, rounding: Rounding = "either", *, folds: int = 1) -> bool:
    """Return whether some whole number out of `n` prints as this rate.

    With `folds`, the rate is a mean over folds of equal sizes, or of sizes that differ by one. Folds of
    other sizes make more rates possible.
    """
    window, (size, larger) = printed.window(rounding), divmod(n, folds)
    if not larger:
        return len(counts_within(window, n)) > 0
    if not size:
        return True  # some folds are empty, and their rate is undefined
    smaller = folds - larger
    for right in range(larger * (size + 1) + 1):  # in the larger folds; the smaller give the rest
        rest = Fraction(right, size + 1)
        share = Window(*((end * folds - rest) / smaller for end in (window.low, window.high)))
        if share.high >= 0 and len(counts_within(share, smaller * size)) > 0:
            return True
    return False


def best_sizes(
    rates: Iterable[Printed], *, sizes: Iterable[int], rounding: Rounding = "rounded"
) -> tuple[int, list[int]]:
    """Return the largest number of rates that one size fits, and the sizes that fit so many."""
    windows = [rate.window(rounding) for rate in rates]
    counted = {n: sum(len(counts_within(window, n)) > 0 for window in windows) for n in sizes}
    most = max(counted.values())
    return most, [n for n, fitting in counted.items() if fitting == most]


def nearest_rates(printed: Printed, n: int) -> str:
    """Return the counts out of `n` on both sides of a printed rate, as a line that can be checked by hand."""
    below = floor(printed.value * n)
    decimals = max(2, -Decimal(printed.digits).as_tuple().exponent + 1)
    scale, sign = (100, " %") if printed.unit == "percent" else (1, "")
    return ", ".join(f"{k}/{n} = {scale * k / n:.{decimals}f}{sign}" for k in (below, below + 1))


def mends(printed: Printed, n: int) -> list[Printed]:
    """Return the rates that one changed digit makes of this one and that fit `n` samples."""
    return [changed for changed in printed.one_digit_changes() if fits(changed, n)]
