"""What can be checked in kishor2022: two tables of two rows, without any number of images."""

from collections.abc import Iterator
from fractions import Fraction

from fer_utils.audit.claims import check_loss
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed, sizes_that_fit
from fer_utils.papers import Paper

OPTIMISERS = ("Adam", "RMSprop")
PARTS = ("training", "validation")


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    accuracy, loss = _cells(paper, "Table 1"), _cells(paper, "Table 2")
    yield _headline(paper, accuracy)
    yield from (_adam_ahead(paper, accuracy, part) for part in PARTS)
    for key in accuracy:
        place = Place(paper.key, f"Tables 1 and 2: {' '.join(key)}")
        yield check_loss(accuracy[key], loss[key], classes=7, place=place)
    yield _same_loss(paper, accuracy, loss)
    yield from (_size(paper, accuracy, part) for part in PARTS)
    yield not_checkable(
        Place(paper.key, "Fig. 9"),
        "granularity of rates",
        printed="90 % to 97 %",
        why="Scores of single webcam frames, not rates out of a number of samples.",
    )
    yield not_checkable(
        Place(paper.key, "Table 1: majority class"),
        "accuracy against the majority class",
        printed="85.30, 74.52",
        why="No class counts are printed, and the data set of the tables is not certain.",
    )


def _cells(paper: Paper, table: str) -> dict[tuple[str, str], Printed]:
    keys = [(optimiser, part) for optimiser in OPTIMISERS for part in PARTS]
    return {key: Printed.of(paper.cell(table, " / ".join(key))) for key in keys}


def _headline(paper: Paper, accuracy: dict[tuple[str, str], Printed]) -> Finding:
    printed = Printed.of(paper.cell("Section 6", "accuracy"))
    held_out = accuracy["Adam", "validation"]
    train = accuracy["Adam", "training"]
    like = "cut off, " if train.window().overlaps(printed.window("truncated")) else ""
    return judged(
        Place(paper.key, "Section 6: accuracy"),
        "prose against table",
        printed.window().overlaps(held_out.window()),
        printed=printed,
        expected=held_out,
        certainty="likely",
        explanation=f'The model "shows the classes" rightly in {printed}. Validation with Adam is '
        f"{held_out}, and no other validation value is higher; the training value {train} ({like}not "
        "rounded) is what is quoted. It says nothing on new faces.",
    )


def _adam_ahead(paper: Paper, accuracy: dict[tuple[str, str], Printed], part: str) -> Finding:
    adam, other = (accuracy[name, part] for name in OPTIMISERS)
    return judged(
        Place(paper.key, f"Section 5 and Table 1: {part}"),
        "prose against table",
        adam.value > other.value,
        printed="Adam is more accurate than RMSprop",
        expected=f"{adam} against {other}",
        explanation=f"{adam} - {other} = {float(100 * (adam.value - other.value)):.2f} points; how sure the "
        "difference is cannot be said without the number of images.",
    )


def _same_loss(
    paper: Paper, accuracy: dict[tuple[str, str], Printed], loss: dict[tuple[str, str], Printed]
) -> Finding:
    first, second = (loss[name, "training"] for name in OPTIMISERS)
    a, b = (accuracy[name, "training"] for name in OPTIMISERS)
    return not_checkable(
        Place(paper.key, "Table 2: training loss"),
        "loss beside accuracy",
        printed=f"{first} and {second}",
        why=f"The same loss beside training accuracies of {a} and {b}. Remarkable, and a copied cell would "
        "look like this, but no accuracy bounds a loss from above.",
    )


def _size(paper: Paper, accuracy: dict[tuple[str, str], Printed], part: str) -> Finding:
    rates = [accuracy[name, part] for name in OPTIMISERS]
    sizes = sizes_that_fit(rates, sizes=range(1, 10_001))
    always = int(1 / (rates[0].unit_of_last_digit or Fraction(1)))
    return not_checkable(
        Place(paper.key, f"Table 1: {part}"),
        "size that fits all rates",
        printed=" and ".join(map(str, rates)),
        why="No number of images is printed. The smallest that fit both are "
        f"{', '.join(map(str, sizes[:6]))}; {len(sizes):,} sizes up to {always:,} do, and every larger one.",
    )
