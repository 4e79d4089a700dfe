"""What can be checked in srivastav2024: two epoch tables and one confusion matrix."""

from collections.abc import Iterator
from fractions import Fraction

from fer_utils.audit.claims import check_decreasing, check_rates, check_size
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.rounding import Printed
from fer_utils.audit.sizes import (
    FER2013,
    FER2013_BLACK,
    SFEW,
    check_composition,
    check_majority,
    fer2013_total,
)
from fer_utils.papers import ConfusionMatrix, Paper

SIZES = range(100, 36_001)
"""Sizes of a validation set that are tried: FER-2013 has 35,887 images."""

VGG = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each block of VGG-16 and VGG-19. Source: K. Simonyan, A. Zisserman, arXiv:1409.1556."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    (matrix,) = paper.confusion_matrices
    total = sum(map(sum, matrix.counts))
    errors, accuracies = _column(paper, "Table 1", "error_rate"), _column(paper, "Table 2", "accuracy")
    source = f"Fig. 10 counts {total:,} images."
    for name, rates in (("Table 1", errors), ("Table 2", accuracies)):
        place = Place(paper.key, name)
        yield check_size(rates, total, sizes=SIZES, place=place)
        yield from check_rates(rates, total, place=place, source=source)
    yield from _figure10(paper, matrix, accuracies)
    yield from _headline(paper, accuracies)
    for column in ("train_loss", "valid_loss", "error_rate"):
        place = Place(paper.key, f"Section 4 and Table 1: {column}")
        yield check_decreasing(_column(paper, "Table 1", column), place=place, what=column)
    yield from _words(paper, matrix)
    yield from _layers(paper)
    yield from _open(paper)


def parameters_of_vgg(layers: int, *, classes: int = 1000, side: int = 224) -> int:
    """Return the number of weights and biases of VGG-16 or VGG-19, from its layers."""
    count, channels = 0, 3
    for width, convolutions in zip((64, 128, 256, 512, 512), VGG[layers], strict=True):
        for _ in range(convolutions):
            count += (9 * channels + 1) * width
            channels = width
    for inputs, outputs in ((512 * (side // 32) ** 2, 4096), (4096, 4096), (4096, classes)):
        count += (inputs + 1) * outputs
    return count


def _column(paper: Paper, table: str, name: str) -> dict[str, Printed]:
    cells = [cell for cell in paper.find(table=table) if cell.cell.endswith(f" / {name}")]
    return {cell.cell.removesuffix(f" / {name}"): Printed.of(cell) for cell in cells}


def _figure10(paper: Paper, matrix: ConfusionMatrix, accuracies: dict[str, Printed]) -> Iterator[Finding]:
    supports = [sum(row) for row in matrix.counts]
    n, right = sum(supports), sum(row[i] for i, row in enumerate(matrix.counts))
    yield from _figure10_accuracy(paper, right, n, accuracies)
    yield _diagonal(Place(paper.key, "Fig. 10 and Section 4: diagonal"), matrix)
    yield _better(paper, right, n, accuracies)
    place, accuracy = Place(paper.key, "Fig. 10"), Printed(f"{100 * right / n:.2f} %", "percent")
    yield check_majority(supports, right, accuracy, place=place)
    whole = [sum(FER2013[name]) for name in matrix.class_names]
    official = [FER2013[name][1] + FER2013[name][2] for name in matrix.class_names]
    note = (
        f"Drawn from all of FER-2013; classes: {', '.join(matrix.class_names)}. They are not its PublicTest "
        f"and PrivateTest, which hold {' / '.join(map(str, official))}, so the accuracy is not comparable "
        "with others on those."
    )
    yield check_composition(supports, whole, place=place.at("images per class"), note=note)
    yield _where_from(place.at("number of images"), n)


def _figure10_accuracy(paper: Paper, right: int, n: int, accuracies: dict[str, Printed]) -> Iterator[Finding]:
    shown, last = f"{right}/{n} = {right / n:.6f}", list(accuracies)[-1]
    right_last = round(accuracies[last].value * n)
    yield judged(
        Place(paper.key, "Fig. 10 and Table 2"),
        "confusion matrix against table",
        any(Fraction(right, n) in value.window() for value in accuracies.values()),
        printed=f"{last} {accuracies[last]}",
        expected=shown,
        certainty="possible",
        explanation=f"The diagonal sums to {right}; no printed epoch has {shown}. The last one has "
        f"{right_last} right. The matrix may be of one of epochs 7 to 17, which are not printed.",
    )
    headline = Printed.of(paper.cell("Abstract", "accuracy"))
    yield judged(
        Place(paper.key, "Fig. 10 and Abstract"),
        "confusion matrix against prose",
        Fraction(right, n) in headline.window(),
        printed=headline,
        expected=f"{right}/{n} = {100 * right / n:.2f} %",
        certainty="possible",
        explanation="The only matrix of the model that was trained whole gives less than the abstract "
        "states; the two may be of different epochs.",
    )


def _diagonal(place: Place, matrix: ConfusionMatrix) -> Finding:
    lines = {"row": matrix.counts, "column": tuple(zip(*matrix.counts, strict=True))}
    wrong = [
        f"{kind} {name}"
        for kind, rows in lines.items()
        for i, (name, row) in enumerate(zip(matrix.class_names, rows, strict=True))
        if max(row) != row[i] or row.count(max(row)) > 1
    ]
    return judged(
        place,
        "prose against table",
        not wrong,
        printed="the diagonal elements have the maximum value",
        expected="the largest of each row and column",
        explanation=f"Rows or columns whose largest cell lies elsewhere: {', '.join(wrong) or 'none'} of "
        f"{2 * len(matrix.counts)}. That says nothing of the step before, whose matrix (Fig. 7) is not "
        "printed.",
    )


def _better(paper: Paper, right: int, n: int, accuracies: dict[str, Printed]) -> Finding:
    frozen, last = Printed.of(paper.cell("Table 1", "epoch 9 / error_rate")), list(accuracies)[-1]
    before = n - round(frozen.value * n)
    losses = [
        paper.cell(table, f"{epoch} / valid_loss").printed
        for table, epoch in (("Table 1", "epoch 9"), ("Table 2", "epoch 0"), ("Table 2", last))
    ]
    return judged(
        Place(paper.key, "Fig. 10 and Table 1"),
        "prose against table",
        right > before,
        printed="better than the step before",
        expected=f"{right} against {before} of {n} right",
        explanation=f"Table 1 ends at an error rate of {frozen}: {before} right; the diagonal of Fig. 10 "
        f"has {right}. valid_loss falls and rises again: {losses[0]} at the end of Table 1, {losses[1]} in "
        f"the first epoch of Table 2, {losses[2]} in its last.",
    )


def _where_from(place: Place, n: int) -> Finding:
    whole, batch = fer2013_total(0, 1, 2), 25
    faces = whole - FER2013_BLACK
    return judged(
        place,
        "split sizes of the data set",
        n in (faces // 5, whole // 5 // batch * batch),
        printed=n,
        expected=f"{faces // 5:,} (a fifth of {whole:,} - {FER2013_BLACK})",
        certainty="possible",
        explanation=f"{whole:,} images of FER-2013 less {FER2013_BLACK} black squares are {faces:,}, and "
        f"{faces:,} / 5 = {faces / 5:,g}. Or a fifth of all, {whole // 5:,}, of which {n // batch} full "
        f"batches of {batch} were counted.",
    )


def _headline(paper: Paper, accuracies: dict[str, Printed]) -> Iterator[Finding]:
    headline = Printed.of(paper.cell("Abstract", "accuracy"))
    best = max(accuracies, key=lambda epoch: accuracies[epoch].value)
    fitting = [epoch for epoch, value in accuracies.items() if value.window().overlaps(headline.window())]
    yield judged(
        Place(paper.key, "Abstract: accuracy"),
        "prose against table",
        bool(fitting),
        printed=headline,
        expected=f"at most {accuracies[best]} ({best})",
        certainty="possible",
        explanation=f"{headline} stands for {headline.window()}; the best of the {len(accuracies)} printed "
        f"epochs is {accuracies[best]}. Epochs 7 to 17 are not printed and may hold it; one changed digit "
        "(70.0) would mend it.",
    )


def _words(paper: Paper, matrix: ConfusionMatrix) -> Iterator[Finding]:
    """Yield what captions and prose say of classes, data and figures."""
    n, right = sum(map(sum, matrix.counts)), sum(row[i] for i, row in enumerate(matrix.counts))
    first, *_, last = _column(paper, "Table 2", "accuracy").values()
    yield judged(
        Place(paper.key, "Table 2: caption"),
        "prose against table",
        False,
        printed="train loss, valid loss and error rate",
        expected="train loss, valid loss and accuracy",
        certainty="likely",
        explanation=f"The column is headed accuracy. {first} to {last} as error rates would leave at most "
        f"{1 - paper.cell('Table 2', 'epoch 4 / accuracy').value:.1%} right, and Fig. 10 has {right}/{n} = "
        f"{right / n:.1%} right: the caption of Table 1 was printed again.",
    )
    named = int(paper.cell("Fig. 11", "classes").value)
    disgust = sum(matrix.counts[matrix.class_names.index("disgust")])
    yield judged(
        Place(paper.key, "Figs. 3, 10 and 11: classes"),
        "prose against table",
        named == len(matrix.counts),
        printed=f"six cardinal emotions ({named}: happy, sad, angry, fear, surprise and neutral)",
        expected=f"{len(matrix.counts)} classes in Fig. 10",
        certainty="possible",
        explanation=f"Fig. 10 has disgust too, with {disgust} of {n:,} images; the six of Fig. 1 have "
        "disgust and leave neutral out. Figs. 3 and 11 may show no face of that class.",
    )
    yield judged(
        Place(paper.key, "Section 1 and Abstract: data"),
        "prose against prose",
        False,
        printed="information from Emotion (EmotiW) sets up the model; models are trained on FER",
        expected="one data set",
        certainty="likely",
        explanation=f"Fig. 10 counts {n:,} images; SFEW, the stills of EmotiW, has {SFEW:,} in all. The "
        "results are not of EmotiW, and the 38 % and 59 % cited from it are on other images.",
    )
    yield judged(
        Place(paper.key, "Section 3: Fig. 8"),
        "prose against caption",
        False,
        printed="VGG-19 (see Fig. 8)",
        expected="Fig. 2, Architecture of VGG19",
        explanation="Fig. 8 is a learning rate graph. The figures count 1 to 4 and 6 to 11: there is no "
        "Fig. 5.",
    )


def _open(paper: Paper) -> Iterator[Finding]:
    """Yield the claims of which too little is printed."""
    why = {
        "Abstract: VGG and Resnet": (
            "one of two networks trained on FER",
            "Tables 1 and 2 and Fig. 10 do not say which network they are of, and no second set is printed.",
        ),
        "Section 4: learning rate": (
            "the learning rate with the lowest loss",
            "Figs. 4 and 8 are curves, and no learning rate, momentum or optimiser is printed as a number.",
        ),
        "Fig. 7": (
            "confusion matrix before unfreezing",
            "A picture without printed counts; its comparison with Fig. 10 rests on Table 1 alone.",
        ),
        "Section 4: images held out": (
            "valid_loss, error_rate and accuracy",
            "How the images were split, and whether those that choose the learning rate and the epoch are "
            "those reported, is not said; there is one set of figures for both.",
        ),
    }
    for location, (printed, reason) in why.items():
        yield not_checkable(Place(paper.key, location), "claim without numbers", printed=printed, why=reason)


def _layers(paper: Paper) -> Iterator[Finding]:
    layers, convolutions, dense = (
        int(paper.cell("Section 3", f"VGG-19 {name}").value)
        for name in ("layers", "convolutional layers", "fully connected layers")
    )
    place = Place(paper.key, "Section 3: VGG-19")
    yield judged(
        place.at("layers"),
        "parts and total",
        convolutions + dense == layers,
        printed=layers,
        expected=convolutions + dense,
        explanation=f"{convolutions} + {dense}.",
    )
    printed, counted = paper.cell("Section 3", "VGG-19 parameters"), parameters_of_vgg(19)
    yield judged(
        place.at("parameters"),
        "parameters from layers",
        round(counted / 1e6) == printed.value / 1e6,
        printed=printed.printed,
        expected=f"{counted:,}",
        certainty="likely",
        explanation="Weights and biases of the layers of VGG-19 for 1000 classes; "
        f"{parameters_of_vgg(16):,} is VGG-16's.",
    )
