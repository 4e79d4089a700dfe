"""What can be checked in bamb2023: lines of Keras's training log, image counts, one test accuracy."""

from collections.abc import Iterator
from fractions import Fraction

from fer_utils.audit.claims import check_epoch_times, check_rates, check_repeated
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed, fits
from fer_utils.audit.sizes import EXPW, RAF_DB, explained_steps, fer2013_total, training_sizes
from fer_utils.papers import Paper

LOGS = {
    "Slide: FER dataset": 574,
    "Slide: Transfer learning model Using MobileNetV2": 397,
    "Slide: RAF dataset 48X48": 384,
    "Slide: RAF + FER dataset 48X48": 656,
    "Slide: RAF 100 X 100": 384,
}
"""Log -> steps of an epoch, as printed behind the slash."""

BATCHES = (8, 10, 16, 20, 25, 30, 32, 40, 50, 60, 64, 100, 128, 256)
SHARES = (Fraction(1), Fraction(4, 5))
TEST = "Slide: Testing Accuracy on RAF 100 X 100"
_FER, _FER_TRAIN = fer2013_total(0, 1, 2), fer2013_total(0)
IMAGES = {
    "FER-2013": _FER,
    "FER-2013 Training": _FER_TRAIN,
    "RAF-DB": RAF_DB["all"],
    "RAF-DB basic": RAF_DB["basic"],
    "RAF-DB basic training": RAF_DB["basic training"],
    "RAF-DB basic + FER-2013": RAF_DB["basic"] + _FER,
    "RAF-DB basic training + FER-2013 Training": RAF_DB["basic training"] + _FER_TRAIN,
    "RAF-DB basic + FER-2013 Training": RAF_DB["basic"] + _FER_TRAIN,
    "ExpW": EXPW,
}
OF_LOG = {
    "Slide: FER dataset": ("FER-2013", "FER-2013 Training"),
    "Slide: Transfer learning model Using MobileNetV2": tuple(IMAGES),
    "Slide: RAF dataset 48X48": ("RAF-DB", "RAF-DB basic", "RAF-DB basic training"),
    "Slide: RAF + FER dataset 48X48": tuple(name for name in IMAGES if "+" in name),
    "Slide: RAF 100 X 100": ("RAF-DB", "RAF-DB basic", "RAF-DB basic training"),
}

VALIDATION = {
    "Slide: RAF dataset 48X48": (48, 32, "480 batches of 32"),
    "Slide: RAF 100 X 100": (48, 32, "480 batches of 32"),
    "Slide: FER dataset": (71, 40, "718 batches of 40 (28,709 images)"),
    "Slide: RAF + FER dataset 48X48": (82, 50, "820 batches of 50 (40,980 images)"),
}
"""Log -> validation batches, their size, and the cut that explains the steps."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    yield from _counts(paper)
    yield _test(paper)
    for log, steps in LOGS.items():
        yield _training_set(paper, log, steps)
        yield from _times(paper, log, steps)
    yield from _validation(paper)
    yield _fer_used(paper)
    yield _raf_used(paper)
    yield _repeated(paper)
    yield _two_values(paper)
    yield from _layers(paper)
    yield not_checkable(
        Place(paper.key, "All logs"),
        "accuracy against the majority class",
        printed="0.82 to 0.94",
        why="No class counts of the validation and test images are printed.",
    )


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


def _test(paper: Paper) -> Finding:
    printed, n = paper.cell(TEST, "accuracy"), int(paper.cell(TEST, "images").value)
    exact = Fraction(printed.printed)
    return judged(
        Place(paper.key, TEST),
        "granularity of rates",
        (exact * n).denominator == 1,
        printed=f"{printed.printed} of {n}",
        expected=f"a multiple of 1/{n}",
        explanation=f"{printed.printed} x {n} = {float(exact * n):g}. The decimals end: the number of images "
        f"is a multiple of {exact.denominator}. {n} is 48 full batches of 32.",
    )


def _training_set(paper: Paper, log: str, steps: int) -> Finding:
    images = {name: IMAGES[name] for name in OF_LOG[log]}
    found = explained_steps(steps, images=images, batch_sizes=BATCHES, shares=SHARES)
    sizes = training_sizes(steps, batch_sizes=(32, 40, 50, 64))
    ranges = ", ".join(f"{batch}: {low:,} to {high:,}" for batch, (low, high) in sizes.items())
    place, rule = Place(paper.key, f"{log}: {steps} steps"), "training-set size from steps"
    why = f"Images for {steps} steps in batches of {ranges}."
    if not found:
        why += (
            f" None of {', '.join(images)}, whole or 4/5 of its batches, makes {steps} in a usual batch size."
        )
        return not_checkable(place, rule, printed=steps, why=why)
    shown = "; ".join(
        f"{name} ({images[name]:,}) in batches of {batch}"
        + (f", 4/5 of {-(-images[name] // batch)}" if share < 1 else "")
        for name, batch, share in found
    )
    return judged(
        place,
        rule,
        True,
        printed=steps,
        expected=shown,
        certainty="possible",
        explanation=f"{why} All solutions with a usual batch size, the whole set or 4/5 of its batches: "
        f"{shown}.",
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
                explanation="Keras prints val_loss after the last step only, and the line's time is that of "
                f"{steps} steps: the step count is a slip.",
            )


def _validation(paper: Paper) -> Iterator[Finding]:
    """Yield whether the validation accuracies fit a tenth of the batches, as `take` and `skip` cut them."""
    for log, (batches, batch, source) in VALIDATION.items():
        rates, n = _column(paper, log, "val_accuracy"), batches * batch
        bad = [label for label, rate in rates.items() if not fits(rate, n)]
        place = Place(paper.key, f"{log}: val_accuracy")
        source = f"{source}, of which {LOGS[log]} train: a tenth is {batches} batches."
        if not bad:
            yield from check_rates(rates, n, place=place, source=source)
            continue
        yield not_checkable(
            place,
            "granularity of rates",
            printed=", ".join(f"{label} {rates[label]}" for label in bad),
            why=f"{source} {len(bad)} of {len(rates)} values fit no whole number of {n}; but no size of this "
            "validation set is printed.",
        )


def _fer_used(paper: Paper) -> Finding:
    rates = _column(paper, "Slide: FER dataset", "val_accuracy").values()
    fitting = {n: sum(fits(rate, n, "rounded") for rate in rates) for n in (71 * 50, 71 * 40)}
    return judged(
        Place(paper.key, "Slide: Datasets: FER-2013 as used"),
        "training-set size from steps",
        fitting[71 * 50] >= fitting[71 * 40],
        printed="35887",
        expected=f"{_FER_TRAIN:,}",
        certainty="possible",
        explanation="574 steps are 4/5 of 718 batches: 35,887 images in batches of 50 or 28,709 in batches "
        f"of 40. Of 71 validation batches, 71 x 50 images fit {fitting[71 * 50]} of 4 accuracies, 71 x 40 "
        f"fit {fitting[71 * 40]}: the Training part alone seems to have been cut up. The slide may describe "
        "the data set and not what was used of it.",
    )


def _raf_used(paper: Paper) -> Finding:
    total, steps = RAF_DB["all"], LOGS["Slide: RAF 100 X 100"]
    return judged(
        Place(paper.key, "Slide: Datasets: RAF-DB as used"),
        "training-set size from steps",
        bool(explained_steps(steps, images={"RAF-DB": total}, batch_sizes=[32], shares=SHARES)),
        printed=paper.cell("Slide: Datasets", "RAF-DB / images").printed,
        expected=f"{RAF_DB['basic']:,}",
        certainty="possible",
        explanation=f"With batches of 32, of which 48 are the {48 * 32:,} test images, {steps} steps are 4/5 "
        f"of 480 batches: 15,329 to 15,360 images, as RAF-DB's single-label part has ({RAF_DB['basic']:,}), "
        f"not {total:,}. The slide may describe the data set and not what was used of it.",
    )


def _repeated(paper: Paper) -> Finding:
    logs = ("Slide: RAF dataset 48X48", "Slide: RAF 100 X 100")
    first, second = (_column(paper, log, "val_accuracy") for log in logs)
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
    log = "Slide: RAF + FER dataset 48X48"
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
        f"{', '.join(copied) or 'no epoch'} ends with its own val_loss. The slide cuts its lines; their ends "
        "may have been filled in by whoever copied it.",
    )


def _layers(paper: Paper) -> Iterator[Finding]:
    channels = int(paper.cell("Slide: Layer Used in Transfer learning Model", "input channels").value)
    expected = {
        "Conv1": (9 * channels * 32, f"3 x 3 x {channels} x 32 weights, no bias"),
        "bn_Conv1": (4 * 32, "scale, shift, mean and variance of 32 channels"),
        "expanded_conv_depthwise": (9 * 32, "3 x 3 weights for each of 32 channels, no bias"),
    }
    for layer, (count, why) in expected.items():
        printed = paper.cell("Slide: Layer Used in Transfer learning Model", f"{layer} / parameters")
        yield judged(
            Place(paper.key, f"Slide: Layer Used in Transfer learning Model: {layer}"),
            "parameters from layers",
            printed.value == count,
            printed=printed.printed,
            expected=count,
            certainty="likely",
            explanation=f"{why}: {count}.",
        )
