"""Claims in words and log lines against the numbers printed for them."""

from collections.abc import Mapping
from math import log, prod

from scipy.stats import binom

from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed, Rounding, Window, best_sizes, fits, mends, nearest_rates
from fer_utils.audit.sizes import ALPHA

_GRANULARITY = "granularity of rates"
_MOST_FITS = 0.05
"""That rates fit a size says something only where so few would by chance."""


def check_same(prose: Printed, table: Printed, *, place: Place, what: str) -> Finding:
    """Return whether a number in the prose and the same one in a table may stand for one value."""
    holds = prose.window().overlaps(table.window())
    rounded = _share(prose, table, "rounded") or _share(prose, table, "truncated")
    slip = any(changed.window().overlaps(table.window()) for changed in prose.one_digit_changes())
    why = f"{what}: {prose} in the text, {table} in the table."
    if holds and not rounded:
        why += " They agree only if one is rounded and the other is cut off."
    if slip and not holds:
        why += " One changed digit would mend it."
    return judged(
        place,
        "prose against table",
        holds,
        printed=prose,
        expected=table,
        explanation=why,
        certainty=("certain" if rounded else "possible") if holds else ("likely" if slip else "certain"),
    )


def check_rates(rates: Mapping[str, Printed], n: int, *, place: Place, source: str) -> list[Finding]:
    """Return one finding on the rates that fit `n` samples and one for each rate that does not.

    Not checkable where steps of 1/n are finer than the printed digits, so that every rate fits.

    Parameters
    ----------
    rates
        Label of a rate -> the rate.
    source
        Where `n` comes from, as a sentence.
    """
    if all(rate.unit_of_last_digit * n >= 1 for rate in rates.values()):
        why = f"{source} Steps of 1/{n} are finer than the printed digits, so that every rate fits."
        return [not_checkable(place, _GRANULARITY, printed=_joined(rates), why=why)]
    good = {label: rate for label, rate in rates.items() if fits(rate, n)}
    wrong = [
        _bad_rate(rate, n, place.at(label), source) for label, rate in rates.items() if label not in good
    ]
    return [_good_rates(good, len(rates), n, place, source), *wrong] if good else wrong


def check_size(rates: Mapping[str, Printed], n: int, *, sizes: range, place: Place) -> Finding:
    """Return whether a size stated elsewhere is one of those that most of a table's rates fit."""
    most, best = best_sizes(rates.values(), sizes=sizes, rounding="either")
    listed = ", ".join(map(str, best[:6])) + (", ..." if len(best) > 6 else "")
    return judged(
        place,
        "size that fits all rates",
        n in best,
        printed=n,
        expected=listed,
        explanation=f"Of all sizes from {sizes[0]:,} to {sizes[-1]:,}, those that fit most of the rates "
        f"({most} of {len(rates)}) are {listed}.",
        certainty="certain" if all(size % n == 0 for size in best) else "possible",
    )


def check_decreasing(values: Mapping[str, Printed], *, place: Place, what: str) -> Finding:
    """Return whether printed values fall from each to the next, as a text says of them.

    Where the last is below the first, an inconsistency is only ``possible``: the text may mean the whole
    course and not every step.
    """
    labels, numbers = list(values), list(values.values())
    rises = [i for i in range(1, len(numbers)) if numbers[i].value > numbers[i - 1].value]
    listed = ", ".join(f"{labels[i - 1]} {numbers[i - 1]} -> {labels[i]} {numbers[i]}" for i in rises)
    course = f"From first to last: {numbers[0]} to {numbers[-1]}."
    why = f"{what} rises in {len(rises)} of {len(numbers) - 1} steps"
    return judged(
        place,
        "prose against table",
        not rises,
        printed=f"{what} decreasing",
        expected=f"{len(rises)} of {len(numbers) - 1} steps rise",
        explanation=f"{why}: {listed}. {course}" if rises else f"{why}. {course}",
        certainty="possible" if rises and numbers[-1].value < numbers[0].value else "certain",
    )


def check_epoch_times(
    epochs: Mapping[str, tuple[Printed, Printed]], steps: int, *, per_second: int, place: Place
) -> Finding:
    """Return whether printed times of epochs are their steps times the printed time of a step.

    Seconds are whole; the first step, which also builds the model's graph, may count in the epoch alone.

    Parameters
    ----------
    epochs
        Label of an epoch -> its seconds and the time of one step.
    steps
        Steps of an epoch.
    per_second
        How many of the step's units make a second: 1000 for milliseconds.
    """
    allowed = {}
    for label, (_, step) in epochs.items():
        low = (steps - 1) * (step.value - step.unit_of_last_digit) / per_second - 1
        high = steps * (step.value + step.unit_of_last_digit) / per_second
        allowed[label] = Window(low, high + max(5, high / 20))
    wrong = [label for label, (seconds, _) in epochs.items() if seconds.value not in allowed[label]]
    of = {1: "s", 1000: "ms"}.get(per_second, f"s/{per_second}")
    shown = dict.fromkeys(
        f"{seconds} s = {float(seconds.value * per_second / steps):.3g} {of} a step, printed {step}"
        for seconds, step in epochs.values()
    )
    return judged(
        place,
        "epoch time from steps",
        not wrong,
        printed=", ".join(f"{label} {seconds} s" for label, (seconds, _) in epochs.items()),
        expected=", ".join(
            f"{label} {float(w.low):.0f} to {float(w.high):.0f} s" for label, w in allowed.items()
        ),
        explanation=f"{steps} steps: {'; '.join(shown)}. Allowed for: the rounding of a step's time and a "
        f"slower first step. Off: {', '.join(wrong) or 'none'}.",
        certainty="likely",
    )


def check_loss(accuracy: Printed, loss: Printed, *, classes: int | None, place: Place) -> Finding:
    """Return whether a mean cross-entropy is possible beside an accuracy.

    A sample that is classified wrongly gives its true class at most 1/2, and costs at least ln 2; so the mean
    is at least (1 - accuracy) x ln 2. No accuracy bounds it from above.
    """
    least = float(1 - accuracy.window().high) * log(2)
    why = f"At least (1 - {float(accuracy.value):.6g}) x ln 2 = {least:.3f}; there is no upper limit."
    if classes:
        why += f" Even odds over {classes} classes cost ln {classes} = {log(classes):.3f}."
    return judged(
        place,
        "loss beside accuracy",
        float(loss.window().high) >= least,
        printed=f"accuracy {accuracy}, loss {loss}",
        expected=f"loss of {least:.3f} or more",
        explanation=why,
        certainty="likely",
    )


def check_repeated(
    first: Mapping[str, Printed],
    second: Mapping[str, Printed],
    *,
    chance: float,
    place: Place,
    note: str,
) -> Finding:
    """Return whether two runs print the same values in more rows than chance makes likely.

    Parameters
    ----------
    chance
        Probability that one row agrees.
    note
        Where that probability comes from, and what else is known.
    """
    shared = [label for label in first if label in second]
    same = [label for label in shared if first[label].text == second[label].text]
    p = float(binom.sf(len(same) - 1, len(shared), chance))
    return judged(
        place,
        "rows repeated between tables",
        p >= ALPHA,
        printed=f"{len(same)} of {len(shared)} rows the same: "
        + (", ".join(f"{label} {first[label]}" for label in same) or "none"),
        expected=f"about {len(shared) * chance:.2f} of {len(shared)}",
        explanation=f"If a row agrees with probability {chance:.3f}, so many or more agree with probability "
        f"{p:.2g} (limit {ALPHA}). {note}",
        certainty="possible",
    )


def _good_rates(good: Mapping[str, Printed], of: int, n: int, place: Place, source: str) -> Finding:
    chance = prod(min(1.0, float(1.5 * n * rate.unit_of_last_digit)) for rate in good.values())
    cut = [label for label, rate in good.items() if not fits(rate, n, "rounded")]
    how = f"{', '.join(cut)} only if cut off, not rounded" if cut else "all of them rounded"
    return judged(
        place,
        _GRANULARITY,
        True,
        printed=_joined(good),
        expected=f"whole numbers out of {n}",
        explanation=f"{source} {len(good)} of {of} rates are a whole number out of {n}; {how}. By chance all "
        f"of these would fit with probability {chance:.2g}.",
        certainty="certain" if chance < _MOST_FITS else "possible",
    )


def _bad_rate(rate: Printed, n: int, place: Place, source: str) -> Finding:
    near, mended = nearest_rates(rate, n), mends(rate, n)
    slip = f" One changed digit gives {', '.join(map(str, mended[:4]))}, which would fit." if mended else ""
    return judged(
        place,
        _GRANULARITY,
        False,
        printed=rate,
        expected=near,
        explanation=f"{source} {near}: none prints as {rate}, rounded or cut off.{slip}",
        certainty="likely" if mended else "certain",
    )


def _share(first: Printed, second: Printed, rounding: Rounding) -> bool:
    """Return whether the windows share more than an end."""
    one, two = first.window(rounding), second.window(rounding)
    return min(one.high, two.high) - max(one.low, two.low) > min(one.high - one.low, two.high - two.low) / 100


def _joined(rates: Mapping[str, Printed]) -> str:
    return ", ".join(f"{label} {rate}" for label, rate in rates.items())
