"""What can be checked in kumar2021: one classification report, three splits, and the prose about them."""

from collections.abc import Callable, Iterator

from fer_utils.audit.claims import check_same
from fer_utils.audit.findings import Finding, Place, finding, judged, not_checkable
from fer_utils.audit.matrices import check_feasible
from fer_utils.audit.reports import (
    METRICS,
    Table,
    check_report,
    distance_from_f1,
    report_mends,
    row_holds,
    table_of,
)
from fer_utils.audit.rounding import Printed, Window
from fer_utils.audit.sizes import FER2013, check_majority, check_parts, fer2013_total
from fer_utils.papers import Paper

TEST = {name: counts[2] for name, counts in FER2013.items() if name != "disgust"}
"""PrivateTest without disgust, which the printed supports are."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    table, place = table_of(paper, "Table 2"), Place(paper.key, "Table 2")
    yield from check_report(table, place=place)
    yield _predictions(table, place)
    yield check_feasible(table, place=place)
    yield from _mended(table, place)
    yield from _supports(table, place)
    supports = [int(table[name, "support"].value) for name in TEST]
    yield check_majority(supports, None, table["", "accuracy"], place=place.at("Accuracy"))
    yield from _prose(paper, table)
    yield from _sizes(paper)
    yield from _layers(paper)
    yield from _not_shown(paper)


def _predicted(table: Table) -> Window:
    """Return how many predictions the classes have together: support x recall / precision, with rounding."""
    low, high = 0, 0
    for name in TEST:
        support, recall, precision = (table[name, metric] for metric in ("support", "recall", "precision"))
        low += support.value * recall.window().low / precision.window().high
        high += support.value * recall.window().high / precision.window().low
    return Window(low, high)


def _predicted_as_printed(table: Table) -> dict[str, float]:
    """Return the predictions of each class as the printed numbers stand."""
    right = {name: table[name, "support"].value * table[name, "recall"].value for name in TEST}
    return {name: float(right[name] / table[name, "precision"].value) for name in TEST}


def _predictions(table: Table, place: Place) -> Finding:
    """Every image is predicted once, so that the predictions of the classes add up to the images."""
    images, window = sum(table[name, "support"].value for name in TEST), _predicted(table)
    keys = [(name, metric) for name in TEST for metric in ("precision", "recall")]
    changes = ((key, changed) for key in keys for changed in table[key].one_digit_changes() if changed.value)
    slip = images not in window and any(images in _predicted({**table, k: new}) for k, new in changes)
    counted = _predicted_as_printed(table)
    listed = " + ".join(f"{name} {count:.0f}" for name, count in counted.items())
    first = " x ".join(str(table["angry", metric]) for metric in ("support", "recall"))
    return judged(
        place.at("predictions"),
        "predictions add up",
        images in window,
        printed=f"supports, recalls and precisions, which give {sum(counted.values()):,.0f} predictions",
        expected=f"{int(images):,}",
        certainty="likely" if slip else "certain",
        explanation="A class is predicted support x recall / precision times, angry "
        f"{first} / {table['angry', 'precision']} = {counted['angry']:.0f}: {listed} = "
        f"{sum(counted.values()):,.0f}, with rounding {float(window.low):,.0f} to {float(window.high):,.0f}. "
        f"Each of the {int(images):,} images is predicted once. F1 plays no part here."
        + (" One changed digit would mend it." if slip else ""),
    )


def _mended(table: Table, place: Place) -> Iterator[Finding]:
    """Yield whether a matrix fits once one digit is changed in each row that does not hold."""
    broken = [name for name in TEST if not row_holds(table, name)]
    mends = report_mends(table) if broken else []
    if not mends:
        return
    best = min(mends, key=lambda choice: distance_from_f1({**table, **choice}))
    changes = {**best, ("fear", "support"): Printed(str(TEST["fear"]), "count")}
    shown = ", ".join(
        f"{name} {metric} {table[name, metric]} -> {new}" for (name, metric), new in changes.items()
    )
    mended = {**table, **changes}
    found = check_feasible(mended, place=place)
    options = [
        sorted({f"{n} {m} {v}" for choice in mends for (n, m), v in choice.items() if n == name})
        for name, _ in best
    ]
    yield finding(
        place.at(f"with one digit changed in {len(changes)} cells"),
        found.rule,
        printed=shown,
        expected=found.expected,
        verdict=found.verdict,
        certainty="likely",
        explanation="All rows and averages hold with one of "
        f"{'; with one of '.join(', '.join(o) for o in options)}. The named changes fit best, and the prose "
        "prints the happy one. The predictions of the classes then add up to "
        f"{sum(_predicted_as_printed(mended).values()):,.0f}. {found.explanation} Slips of a digit (8 for 0, "
        "6 for 8) explain all of Table 2; no result has to be wrong.",
    )


def _supports(table: Table, place: Place) -> Iterator[Finding]:
    for name, counted in TEST.items():
        printed = table[name, "support"]
        yield judged(
            place.at(f"{name.capitalize()} support"),
            "class counts of the data set",
            printed.value == counted,
            printed=printed,
            expected=counted,
            certainty="likely",
            explanation=f"FER-2013's PrivateTest has {counted} images of {name}; five of six supports are "
            "its.",
        )


def _prose(paper: Paper, table: Table) -> Iterator[Finding]:
    for section in ("Abstract", "Section 5"):
        for cell in paper.find(table=section):
            if cell.class_name and cell.metric in METRICS:
                place = Place(paper.key, f"{section}: {cell.cell}")
                in_table = table[cell.class_name, cell.metric]
                yield check_same(Printed.of(cell), in_table, place=place, what=cell.cell)
    cell = paper.cell("Section 5", "35 epochs / accuracy")
    place = Place(paper.key, "Section 5: accuracy")
    yield check_same(Printed.of(cell), table["", "accuracy"], place=place, what="Accuracy after 35 epochs")
    yield from (_extreme(paper, table, metric) for metric in METRICS)
    yield not_checkable(
        Place(paper.key, "Section 5: 280 epochs"),
        "prose against table",
        printed="more than 65 % with 280 epochs",
        why="A prospect: no result of such a run is printed.",
    )


def _extreme(paper: Paper, table: Table, metric: str) -> Finding:
    ranked = sorted(TEST, key=lambda name: table[name, metric].value)
    return judged(
        Place(paper.key, f"Section 5: highest and lowest {metric}"),
        "prose against table",
        (ranked[0], ranked[-1]) == ("neutral", "happy"),
        printed="highest happy, lowest neutral",
        expected=f"highest {ranked[-1]} {table[ranked[-1], metric]}, lowest {ranked[0]} "
        f"{table[ranked[0], metric]}",
        explanation="The order of the classes in Table 2: " + ", ".join(ranked) + ".",
    )


def _sizes(paper: Paper) -> Iterator[Finding]:
    def of(table: str, cell: str) -> Printed:
        return Printed.of(paper.cell(table, cell))

    place = Place(paper.key, "Section 2.2")
    for cell, part in (("training images", 0), ("validation images", 2)):
        counted = fer2013_total(part, without=["disgust"])
        yield judged(
            place.at(cell),
            "split sizes of the data set",
            of("Section 2.2", cell).value == counted,
            printed=of("Section 2.2", cell),
            expected=f"{counted:,}",
            certainty="likely",
            explanation=f"FER-2013's {('Training', 'PublicTest', 'PrivateTest')[part]} without disgust, "
            f"which the text does not say; PublicTest, on which to choose, has "
            f"{fer2013_total(1, without=['disgust']):,} and is not used.",
        )
    sexes = [of("Table 1", "male"), of("Table 1", "female")]
    yield check_parts(sexes, of("Table 1", "images"), place=Place(paper.key, "Table 1"))
    yield _validation_share(paper.key, of)


def _validation_share(key: str, of: Callable[[str, str], Printed]) -> Finding:
    section2 = [of("Section 2.2", f"{part} images").value for part in ("training", "validation")]
    section5 = [of("Section 5", f"{part} images").value for part in ("training", "validation")]
    shares = [float(100 * part[1] / sum(part)) for part in (section2, section5)]
    printed = of("Section 4", "validation share")
    return judged(
        Place(key, "Sections 2.2, 4 and 5: split"),
        "split sizes of one study",
        all(abs(share - float(100 * printed.value)) < 1 for share in shares),
        printed=f"28,273 / 3,534; 75 % / {printed}; 27000 / 3000",
        expected="one split",
        explanation=f"The validation share is {shares[0]:.1f} %, {printed} and {shares[1]:.1f} %. 30,000 may "
        f"be a rounded {int(sum(section2)):,}; a quarter may not be a rounded ninth or tenth. Table 2 counts "
        "the first split.",
    )


def _layers(paper: Paper) -> Iterator[Finding]:
    layers, convolutions, dense = (
        int(paper.cell("Section 2.4", name).value)
        for name in ("layers", "convolutional layers", "fully connected layers")
    )
    yield judged(
        Place(paper.key, "Section 2.4: layers"),
        "parts and total",
        convolutions + dense + 1 == layers,
        printed=layers,
        expected=convolutions + dense + 1,
        explanation=f"{convolutions} convolutional + {dense} fully connected + 1 softmax.",
    )
    little = int(paper.cell("Section 4", "little vgg layers").value)
    yield judged(
        Place(paper.key, "Section 4: little vgg"),
        "prose against prose",
        little == layers,
        printed=f"{little} layers",
        expected=f"{layers} layers (Section 2.4)",
        certainty="possible",
        explanation="Sections 2.4 and 4 name two depths for the model, and Section 2.5 five convolutions, as "
        "Section 2.4. Section 4 may count other kinds of layers.",
    )
    yield _sides(paper, convolutions)
    for cell in ("convolution stride", "pooling stride"):
        stride = paper.cell("Section 2.5", cell)
        yield judged(
            Place(paper.key, f"Section 2.5: {cell}"),
            "possible value",
            stride.value >= 1,
            printed=stride.printed,
            expected="1 or more",
            certainty="likely",
            explanation="A window that moves by 0 never ends; one changed digit would mend it (1 for the "
            "convolutions, which preserve the size; 2 is usual for 2x2 pools).",
        )


def _sides(paper: Paper, convolutions: int) -> Finding:
    side = int(paper.cell("Section 2.2", "image size").value)
    sides = [side // 2**pools for pools in range(convolutions + 1)]
    return judged(
        Place(paper.key, "Sections 2.4 and 2.5: sizes of the layers"),
        "sizes of the layers",
        sides[-1] > 0,
        printed=f"{convolutions} times a 3x3 convolution that preserves the size, and a 2x2 pool",
        expected="a side of 1 or more after each layer",
        certainty="likely",
        explanation=f"With pools that halve the side (a stride of 2): {' -> '.join(map(str, sides))}. Such a "
        "network exists; how wide its layers are is not printed.",
    )


def _not_shown(paper: Paper) -> Iterator[Finding]:
    """Claims in words of which too little is printed, or that a definition excludes."""
    yield finding(
        Place(paper.key, "Section 5: the other diagonal of Fig. 6"),
        "prose against definition",
        printed="the diagonal from top right to bottom left holds the images that the classifier ignored",
        expected="no image is ignored",
        verdict="inconsistent",
        certainty="likely",
        explanation="A confusion matrix counts every image once, in the row of its class and the column of "
        "its answer. With the classes in the order of Table 2 the other diagonal holds angry taken for "
        "surprise, fear for sad, happy for neutral and the reverse: errors like any others off the main "
        "diagonal, and other pairs if the classes stood in another order.",
    )
    yield not_checkable(
        Place(paper.key, "Fig. 6: confusion matrix"),
        "figures of the confusion matrix",
        printed="a picture",
        why="Its cells are not in the text of the document. Read from the picture, they would decide which "
        "digits of Table 2 are slips.",
    )
    yield not_checkable(
        Place(paper.key, "Table 1: men, women and ages"),
        "labels of the data set",
        printed="17,000 male, 13,000 female, age difference 60 yrs",
        why="FER-2013 has a class, the pixels and a part for each image, no sex and no age. How whole "
        "thousands were counted, and of which images, is not said.",
    )
    yield not_checkable(
        Place(paper.key, "Abstract: competitive classification"),
        "prose against table",
        printed="competitive",
        why="No other result is quoted. For comparison: the winner of the challenge had 71.2 % on "
        "PrivateTest in 2013, in seven classes (Y. Tang, arXiv:1306.0239); Table 2 has 0.54 in six.",
    )
