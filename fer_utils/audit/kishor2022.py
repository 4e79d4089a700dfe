"""What can be checked in kishor2022: two tables of two rows, without any number of images."""

from collections.abc import Iterator
from fractions import Fraction
from math import exp, log

from fer_utils.audit.claims import check_loss
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed, fits, nearest_rates, sizes_that_fit
from fer_utils.audit.sizes import fer2013_total
from fer_utils.papers import Paper

OPTIMISERS = ("Adam", "RMSprop")
PARTS = ("training", "validation")
LABELS = ("shock", "fulfilment", "fear", "sharpness", "offensiveness", "neutral")
"""The labels that Section 1 lists, in its words."""

SHOWN = ("neutral", "surprised", "happy", "angry", "fear")
"""The classes of Figs. 4 to 8, of which Section 5 says that each figure is a class."""

SAMM_CLIPS = 159
"""Micro-movements of SAMM. Source: A. K. Davison et al., IEEE Transactions on Affective Computing 9, 2018."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    accuracy, loss = _cells(paper, "Table 1"), _cells(paper, "Table 2")
    yield _classes(paper)
    yield _data_set(paper)
    yield _headline(paper, accuracy)
    yield from (_adam_ahead(paper, accuracy, part) for part in PARTS)
    for key in accuracy:
        place = Place(paper.key, f"Tables 1 and 2: {' '.join(key)}")
        yield check_loss(accuracy[key], loss[key], classes=7, place=place)
    yield _same_loss(paper, accuracy, loss)
    yield _high_loss(paper, accuracy, loss)
    yield from (_size(paper, accuracy, part) for part in PARTS)
    yield _frames(paper, accuracy)
    yield _layers(paper)
    yield from _not_shown(paper)
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


def _classes(paper: Paper) -> Finding:
    printed = paper.cell("Abstract", "classes")
    return judged(
        Place(paper.key, "Abstract, Sections 1 and 5: classes"),
        "prose against prose",
        printed.value == len(LABELS) == len(SHOWN),
        printed=f"{printed.printed} classes; {len(LABELS)} labels; {len(SHOWN)} figures",
        expected="one number of classes",
        certainty="likely",
        explanation=f"Section 1 lists {len(LABELS)} labels ({', '.join(LABELS)}). In Section 5 each figure "
        f"is a class, and there are {len(SHOWN)} (Figs. 4 to 8: {', '.join(SHOWN)}); Figs. 3 and 9 name no "
        "others. A list may be short of one; the number of classes decides what an accuracy is worth.",
    )


def _data_set(paper: Paper) -> Finding:
    return judged(
        Place(paper.key, "Abstract, Sections 3 and 6: data set"),
        "prose against prose",
        False,
        printed='gray images "from the Kaggle site"; SAMM and MEVIEW',
        expected="one data set, or which result is of which",
        certainty="possible",
        explanation="The Abstract trains on images from Kaggle, Sections 3 and 6 on SAMM and on frames of "
        "MEVIEW; no section names all three. Its reference [1] for Kaggle is a paper on landmark maps in the "
        "list of references. All may have been used; which one Tables 1 and 2 are of is not said.",
    )


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
        certainty="possible",
        explanation=f"How well a model shows the classes is usually said of images held out: {held_out} with "
        f"Adam, and no validation value is higher. The training value {train} ({like}not rounded) is near "
        f"{printed}; if that is what is meant, the sentence holds, but says nothing on new faces.",
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


def _high_loss(
    paper: Paper, accuracy: dict[tuple[str, str], Printed], loss: dict[tuple[str, str], Printed]
) -> Finding:
    rate, cost = accuracy["Adam", "validation"], loss["Adam", "validation"]
    wrong = float(1 - rate.value)
    each = float(cost.value) / wrong
    return not_checkable(
        Place(paper.key, "Table 2: validation loss with Adam"),
        "loss beside accuracy",
        printed=f"accuracy {rate}, loss {cost}",
        why=f"Even odds over seven classes cost ln 7 = {log(7):.2f} and are right in 14 %; {cost} is near, "
        f"yet {rate} % are right. If right answers cost nothing, wrong ones cost {cost} / {wrong:.4g} = "
        f"{each:.1f} on average, as if their true class had got 1 in {round(exp(each) / 1000):,},000. "
        "Possible, and a loss that counts the Abstract's L2 is larger too; what is counted is not said.",
    )


def _size(paper: Paper, accuracy: dict[tuple[str, str], Printed], part: str) -> Finding:
    rates = [accuracy[name, part] for name in OPTIMISERS]
    sizes = sizes_that_fit(rates, sizes=range(1, 10_001), rounding="either")
    always = int(1 / (rates[0].unit_of_last_digit or Fraction(1)))
    why = (
        "No number of images is printed. The smallest that both can be rates of, rounded or cut off, are "
        f"{', '.join(map(str, sizes[:6]))}; so are {len(sizes):,} sizes up to {always:,}, and all above."
    )
    official = fer2013_total(2)
    if part == "validation" and not all(fits(rate, official) for rate in rates):
        near = "; ".join(f"{rate}: {nearest_rates(rate, official)}" for rate in rates)
        why += f" FER-2013's PrivateTest, {official:,} images, is none of them ({near})."
    return not_checkable(
        Place(paper.key, f"Table 1: {part}"),
        "size that fits all rates",
        printed=" and ".join(map(str, rates)),
        why=why,
    )


def _frames(paper: Paper, accuracy: dict[tuple[str, str], Printed]) -> Finding:
    rates = {part: [accuracy[name, part] for name in OPTIMISERS] for part in PARTS}
    least = {p: sizes_that_fit(r, sizes=range(1, 10_001), rounding="either")[0] for p, r in rates.items()}
    near = nearest_rates(rates["validation"][0], SAMM_CLIPS)
    return judged(
        Place(paper.key, "Section 3 and Table 1: frames or clips"),
        "size that fits all rates",
        min(least.values()) > SAMM_CLIPS,
        printed="frames of the clips are the data",
        expected=f"at least {least['validation']} for validation and {least['training']} for training",
        certainty="likely",
        explanation="Of no smaller number can both optimisers' rates be, rounded or cut off. SAMM has "
        f"{SAMM_CLIPS} clips, MEVIEW a few dozen: clips were not counted (of {SAMM_CLIPS}: {near}). Frames "
        "of one clip are nearly the same image; whether training and validation share clips is not said. "
        'The columns are headed "Precision"; the text calls them accuracy, as this does.',
    )


def _layers(paper: Paper) -> Finding:
    side = int(paper.cell("Section 3.2", "image size").value)
    convolutions = int(paper.cell("Section 4", "convolutional layers").value)
    sides = [side // 2**pools for pools in range(convolutions + 1)]
    most = sum(after > 0 for after in sides) - 1
    return judged(
        Place(paper.key, "Section 4: layers"),
        "sizes of the layers",
        most > 0,
        printed=f"{convolutions} convolutions of 3x3 and poolings of 2x2 on {side}x{side}",
        expected="a side of 1 or more after each layer",
        certainty="possible",
        explanation=f"A pooling halves the side: {' -> '.join(map(str, sides))}. At most {most} fit, fewer "
        "than one after each convolution, unless they are padded; where they stand and how wide the layers "
        "are is not printed.",
    )


def _not_shown(paper: Paper) -> Iterator[Finding]:
    """Claims in words of which no result is printed."""
    side = int(paper.cell("Section 3.2", "image size").value)
    yield not_checkable(
        Place(paper.key, "Section 3: gray images"),
        "prose against prose",
        printed="gray images halve the complexity of the model",
        why=f"The input falls to a third ({side} x {side} x 3 = {3 * side**2:,} values to {side**2:,}), and "
        "only the first convolution has fewer weights. No widths are printed, so that the whole cannot be "
        "counted.",
    )
    yield not_checkable(
        Place(paper.key, "Abstract: hybrid with HOG, other depths, cross-validation, pictures of layers"),
        "abstract against body",
        printed="all four were done",
        why="Sections 1 to 6 describe one network of six convolutions on pixels and compare two optimisers. "
        "None of the four has a number, a table or a figure; HOG and Torch are named in the Abstract alone.",
    )
    yield not_checkable(
        Place(paper.key, "Section 6: deep learning is best"),
        "prose against table",
        printed="the comparison shows deep learning to be best",
        why="Adam is compared with RMSprop on one network. No other approach is measured, nor quoted.",
    )
