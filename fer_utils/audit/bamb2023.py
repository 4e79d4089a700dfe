"""What can be checked in bamb2023: lines of Keras's training log, image counts, one test accuracy."""

from collections.abc import Iterator
from fractions import Fraction
from math import prod, sqrt

from fer_utils.audit.claims import check_epoch_times, check_rates, check_repeated
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed, fits, sizes_that_fit
from fer_utils.audit.sizes import (
    EXPW,
    FER2013,
    RAF_DB,
    RAF_DB_HAPPY,
    Cut,
    explained_steps,
    fer2013_total,
    training_sizes,
)
from fer_utils.papers import Paper

FER = "Slide: FER dataset"
MOBILE = "Slide: Transfer learning model Using MobileNetV2"
RAF_48 = "Slide: RAF dataset 48X48"
BOTH = "Slide: RAF + FER dataset 48X48"
RAF_100 = "Slide: RAF 100 X 100"
TEST = "Slide: Testing Accuracy on RAF 100 X 100"
SUMMARY = "Slide: Layer Used in Transfer learning Model"
LOGS = {FER: 574, MOBILE: 397, RAF_48: 384, BOTH: 656, RAF_100: 384}
"""Log -> steps of an epoch, as printed behind the slash."""

BATCHES = (8, 10, 16, 20, 25, 30, 32, 40, 50, 60, 64, 100, 128, 256)
"""Usual batch sizes, which are tried."""

SHARES = tuple(Fraction(share) for share in ("1", "9/10", "4/5", "3/4", "7/10"))
"""Shares that train, which are tried."""

_FER, _RAF = fer2013_total(0, 1, 2), RAF_DB["basic"]
_FERS = {"FER-2013": _FER, "FER-2013 Training": fer2013_total(0)}
_RAFS = {"RAF-DB": RAF_DB["all"], "RAF-DB basic": _RAF, "RAF-DB basic training": RAF_DB["basic training"]}
_BOTH = {f"{raf} + {fer}": n + m for raf, n in _RAFS.items() for fer, m in _FERS.items()}
IMAGES = {
    FER: _FERS,
    MOBILE: {**_FERS, **_RAFS, **_BOTH, "ExpW": EXPW},
    RAF_48: _RAFS,
    BOTH: _BOTH,
    RAF_100: _RAFS,
}
"""Log -> images that may have been cut up: whole data sets and their training parts."""

OFFICIAL = {
    "FER-2013 Training": (fer2013_total(1), fer2013_total(1, 2)),
    "RAF-DB basic training": (RAF_DB["basic test"],),
}
"""Training part -> sizes of the official parts on which it may be validated."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    yield from _counts(paper)
    yield from _test(paper)
    for log, steps in LOGS.items():
        yield _training_set(paper, log, steps)
        yield from _times(paper, log, steps)
    for log in (RAF_48, RAF_100):
        place = Place(paper.key, f"{log}: val_accuracy")
        source = "A tenth of 480 batches of 32 is 48: 1,536 images."
        yield from check_rates(_column(paper, log, "val_accuracy"), 48 * 32, place=place, source=source)
    for log in (FER, BOTH):
        yield _validation(paper, log)
    yield _raf_used(paper)
    yield _repeated(paper)
    yield _two_values(paper)
    yield from _layers(paper)
    yield _majority(paper)
    yield from _open(paper)


def _column(paper: Paper, log: str, name: str) -> dict[str, Printed]:
    cells = [cell for cell in paper.find(table=log) if cell.cell.endswith(f" / {name}")]
    return {cell.cell.removesuffix(f" / {name}"): Printed.of(cell) for cell in cells}


def _counts(paper: Paper) -> Iterator[Finding]:
    known = {"FER-2013": _FER, "RAF-DB": RAF_DB["all"], "EXP-W": EXPW}
    for name, counted in known.items():
        printed = Printed.of(paper.cell("Slide: Datasets", f"{name} / images"))
        yield judged(
            Place(paper.key, f"Slide: Datasets: {name}"),
            "split sizes of the data set",
            printed.value == counted,
            printed=printed,
            expected=f"{counted:,}",
            certainty="likely",
            explanation=f"{name} has {counted:,} images as published.",
        )
    yield judged(
        Place(paper.key, "Slide: Datasets: FER-2013: expressions"),
        "class counts of the data set",
        False,
        printed="Neutral, Sadness, Surprise, Happiness, Fear, Anger, Contempt, and Disgust (8)",
        expected=f"{', '.join(FER2013)} ({len(FER2013)})",
        certainty="likely",
        explanation="FER-2013 as published has no contempt, and the network on a later slide has "
        f"{paper.cell('Slide: Layers in model on RAF 100 X 100', 'classes').printed} outputs. Contempt "
        "comes from a relabelling (FER+), whose other counts the slide does not have.",
    )


def _test(paper: Paper) -> Iterator[Finding]:
    printed, n = paper.cell(TEST, "accuracy"), int(paper.cell(TEST, "images").value)
    exact = Fraction(printed.printed)
    yield judged(
        Place(paper.key, TEST),
        "granularity of rates",
        (exact * n).denominator == 1,
        printed=f"{printed.printed} of {n}",
        expected=f"a multiple of 1/{n}",
        explanation=f"{printed.printed} x {n} = {float(exact * n):g}. The decimals end: the number of "
        f"images is a multiple of {exact.denominator}. {n} is 48 full batches of 32.",
    )
    last = Printed.of(paper.cell(RAF_100, "epoch 50 / val_accuracy"))
    right, before = int(exact * n), round(last.value * n)
    deviation = sqrt(sum(k * (n - k) / n for k in (right, before)))
    yield judged(
        Place(paper.key, f"{TEST}: beside validation"),
        "difference of two rates by chance",
        abs(right - before) < 3 * deviation,
        printed=f"{right} of {n} in the test, {last} in the last validation",
        expected=f"{before} of {n}, more or less {2 * deviation:.0f}",
        explanation=f"{last} x {n} = {before}. The difference of two such counts has a standard deviation "
        f"of {deviation:.1f}; this one is {right - before}. That the test is above every printed validation "
        "says nothing.",
        certainty="possible",
    )


def _cuts(log: str) -> list[Cut]:
    return explained_steps(LOGS[log], images=IMAGES[log], batch_sizes=BATCHES, shares=SHARES)


def _training_set(paper: Paper, log: str, steps: int) -> Finding:
    cuts = _cuts(log)
    sizes = training_sizes(steps, batch_sizes=(32, 40, 50, 64))
    dropped = training_sizes(steps, batch_sizes=(32, 40, 50, 64), drop_last=True)
    ranges = ", ".join(f"{batch}: {sizes[batch][0]:,} to {dropped[batch][1]:,}" for batch in sizes)
    tried = f"the whole, {', '.join(map(str, SHARES[1:]))}"
    place, rule = Place(paper.key, f"{log}: {steps} steps"), "training-set size from steps"
    why = f"Images for {steps} steps in batches of {ranges}, a short last batch kept or dropped."
    if log == MOBILE:
        why += (
            f" The data set is not named. Of {', '.join(IMAGES[log])} ({tried}), these make {steps} in a "
            f"usual batch size: {'; '.join(map(str, cuts)) or 'none'}."
        )
        return not_checkable(place, rule, printed=steps, why=why)
    return judged(
        place,
        rule,
        True,
        printed=steps,
        expected="; ".join(map(str, cuts)),
        certainty="possible",
        explanation=f"{why} Expected: every solution with a usual batch size ({tried}).",
    )


def _times(paper: Paper, log: str, steps: int) -> Iterator[Finding]:
    unit, per_second = ("ms_per_step", 1000) if _column(paper, log, "ms_per_step") else ("s_per_step", 1)
    step = _column(paper, log, unit)
    epochs = {label: (seconds, step[label]) for label, seconds in _column(paper, log, "seconds").items()}
    yield check_epoch_times(epochs, steps, per_second=per_second, place=Place(paper.key, f"{log}: time"))
    for label, done in _column(paper, log, "steps").items():
        if done.value != steps:
            yield judged(
                Place(paper.key, f"{log}: {label}: steps"),
                "validation after the last step",
                False,
                printed=f"{done}/{steps}",
                expected=f"{steps}/{steps}",
                certainty="likely",
                explanation="Keras prints val_loss after the last step only, and the line's time is that "
                f"of {steps} steps: the step count is a slip.",
            )


def _left(cut: Cut) -> dict[int, str]:
    """Return the sizes that the validation set of a cut may have: a tenth, half of the rest, or all of it.

    A short last batch may lie in it, or be dropped. Each comes with its source.
    """
    if cut.share == 1:
        left = dict.fromkeys(OFFICIAL.get(cut.data, ()), f"official part beside {cut.data}")
    else:
        rest = cut.whole - cut.part
        left = {n: f"{n:,} {cut.of} of {cut.data}" for n in (cut.whole // 10, rest // 2, -(-rest // 2), rest)}
    if cut.of == "images":
        return left | {n // cut.batch * cut.batch: f"{of}, full batches only" for n, of in left.items()}
    short = -cut.images % cut.batch
    with_short = {n * cut.batch - short: f"{of}, the short one with them" for n, of in left.items()}
    return with_short | {n * cut.batch: of for n, of in left.items()}


def _validation(paper: Paper, log: str) -> Finding:
    """Return whether the validation accuracies fit a size that some solution of the steps leaves."""
    rates = list(_column(paper, log, "val_accuracy").values())
    left = {n: source for cut in reversed(_cuts(log)) for n, source in _left(cut).items()}  # the first stays
    sizes = sorted(n for n in left if n * rates[0].unit_of_last_digit < 1)
    fitting = {n: sum(fits(rate, n, "rounded") for rate in rates) for n in sizes}
    good = [n for n in sizes if fitting[n] == len(rates)]
    place, rule = Place(paper.key, f"{log}: val_accuracy"), "granularity of rates"
    printed = ", ".join(map(str, rates))
    why = (
        f"Sizes of a validation set that the solutions for {LOGS[log]} steps leave, and how many of the "
        f"{len(rates)} accuracies are a whole number out of each, rounded as Keras does: "
    ) + ", ".join(f"{n:,} ({fitting[n]})" for n in sizes)
    if not good:
        return not_checkable(place, rule, printed=printed, why=f"{why}. No size is printed.")
    chances = (prod(float(n * rate.unit_of_last_digit) for rate in rates) for n in good)
    by_chance = ", ".join(f"{chance:.2g} ({n:,})" for n, chance in zip(good, chances, strict=True))
    return judged(
        place,
        rule,
        True,
        printed=printed,
        expected="whole numbers out of " + " or ".join(f"{n:,} ({left[n]})" for n in good),
        explanation=f"{why}. A wrong size fits all with probability {by_chance}, and {len(sizes)} were "
        "tried: a hint, no proof. No size is printed.",
        certainty="possible",
    )


def _raf_used(paper: Paper) -> Finding:
    total, basic, steps = RAF_DB["all"], _RAF, LOGS[RAF_100]
    batches, n = -(-basic // 32), int(paper.cell(TEST, "images").value)
    rates = [rate for log in (RAF_48, RAF_100) for rate in _column(paper, log, "val_accuracy").values()]
    good = sizes_that_fit(rates, sizes=range(100, RAF_DB["basic test"] + 1))
    return judged(
        Place(paper.key, "Slide: Datasets: RAF-DB as used"),
        "training-set size from steps",
        -(-total // 32) * 4 // 5 == steps,
        printed=f"{paper.cell('Slide: Datasets', 'RAF-DB / images').printed} images with seven expressions",
        expected=f"{basic:,}",
        certainty="possible",
        explanation=f"{basic:,} images have one of the seven expressions: {batches} batches of 32, of which "
        f"4/5 are {steps} steps and a tenth, 48, the {n:,} test images; {total:,} would make "
        f"{-(-total // 32) * 4 // 5} steps. Of all sizes from 100 to the official test part's "
        f"{RAF_DB['basic test']:,}, those that fit all {len(rates)} validation accuracies are "
        f"{', '.join(map(str, good))}. So whole batches were cut 80/10/10, not the official parts. The "
        f"short batch, {basic - 32 * (batches - 1)} images, would come last and in the test if batches kept "
        "their order: they were shuffled, or it was counted as full. The slide may describe the data set "
        "and not what was used.",
    )


def _repeated(paper: Paper) -> Finding:
    first, second = (_column(paper, log, "val_accuracy") for log in (RAF_48, RAF_100))
    counts = [round(rate.value * 1536) for rate in (*first.values(), *second.values())]
    spread = max(counts) - min(counts) + 1
    return check_repeated(
        first,
        second,
        chance=1 / spread,
        place=Place(paper.key, "Slides: RAF 48X48 and RAF 100 X 100: val_accuracy"),
        note=f"The printed values span {spread} counts of 1,536 images. The losses of these rows differ, so "
        "that whole lines were not copied.",
    )


def _two_values(paper: Paper) -> Finding:
    log = BOTH
    ends, values = _column(paper, log, "line_end"), _column(paper, log, "val_accuracy")
    losses = _column(paper, log, "val_loss")
    same = [label for label, end in ends.items() if end.window().overlaps(values[label].window())]
    copied = [label for label, end in ends.items() if end.text == losses[label].text]
    most = max(ends.values(), key=lambda end: sum(end.text == other.text for other in ends.values()))
    times = sum(end.text == most.text for end in ends.values())
    return judged(
        Place(paper.key, f"{log}: val_accuracy"),
        "value printed twice",
        len(same) == len(ends),
        printed=", ".join(f"{label} {end} and {values[label]}" for label, end in ends.items()),
        expected="one value an epoch",
        certainty="possible",
        explanation=f"The two agree in {len(same)} of {len(ends)} epochs. {most} ends {times} lines, and "
        f"{', '.join(copied) or 'no epoch'} ends with its own val_loss. The slide cuts its lines; their "
        "ends may have been filled in by whoever copied it.",
    )


def _layers(paper: Paper) -> Iterator[Finding]:
    channels = int(paper.cell(SUMMARY, "input channels").value)
    expected = {
        "Conv1": (9 * channels * 32, f"3 x 3 x {channels} x 32 weights, no bias"),
        "bn_Conv1": (4 * 32, "scale, shift, mean and variance of 32 channels"),
        "expanded_conv_depthwise": (9 * 32, "3 x 3 weights for each of 32 channels, no bias"),
    }
    for layer, (count, why) in expected.items():
        printed = paper.cell(SUMMARY, f"{layer} / parameters")
        yield judged(
            Place(paper.key, f"{SUMMARY}: {layer}"),
            "parameters from layers",
            printed.value == count,
            printed=printed.printed,
            expected=count,
            certainty="likely",
            explanation=f"{why}: {count}.",
        )


def _majority(paper: Paper) -> Finding:
    lowest = {
        log: min(_column(paper, log, "val_accuracy").values(), key=lambda rate: rate.value)
        for log in (RAF_48, RAF_100, FER)
    }
    happy = sum(FER2013["happy"])
    return judged(
        Place(paper.key, "All logs: val_accuracy"),
        "accuracy against the majority class",
        all(rate.value > Fraction(RAF_DB_HAPPY, _RAF) for rate in lowest.values()),
        printed=", ".join(f"{log.removeprefix('Slide: ')} {rate} or more" for log, rate in lowest.items()),
        expected=f"more than {happy / _FER:.1%} (FER-2013), {RAF_DB_HAPPY / _RAF:.1%} (RAF-DB)",
        certainty="likely",
        explanation=f"Always naming happy is right in {happy:,} of {_FER:,} images of FER-2013 and in "
        f"{RAF_DB_HAPPY:,} of {_RAF:,} of RAF-DB; a random tenth differs little. Class counts of the parts "
        "are not printed, and the slide Confusion Matrix has no numbers.",
    )


def _open(paper: Paper) -> Iterator[Finding]:
    """Yield the claims of which too little is printed."""
    last = paper.cell(MOBILE, "epoch 25 / accuracy").printed
    why = {
        f"{MOBILE}: validation accuracy": (
            "Training and validation accuracy",
            f"The log has no val_accuracy: {last} is of the training images. Which data set it is, is not "
            "said.",
        ),
        "All logs: images held out": (
            "val_accuracy and testing accuracy",
            "No line that makes train_ds, val_ds and the test images is shown. The sizes are those of "
            "whole batches taken and skipped; if the stream is shuffled again for every epoch, as tf.data "
            "does unless told not to, the images of a validation have trained before. Nothing printed "
            "excludes that, and no duplicates were looked for.",
        ),
    }
    for location, (printed, reason) in why.items():
        yield not_checkable(Place(paper.key, location), "claim without numbers", printed=printed, why=reason)
