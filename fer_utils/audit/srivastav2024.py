"""What can be checked in srivastav2024: two epoch tables and one confusion matrix."""

from collections.abc import Iterator
from fractions import Fraction

from fer_utils.audit.claims import check_decreasing, check_loss, check_rates, check_size
from fer_utils.audit.findings import Finding, Place, judged
from fer_utils.audit.rounding import Printed
from fer_utils.audit.sizes import FER2013, check_composition, check_majority, fer2013_total
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
    for epoch, accuracy in accuracies.items():
        loss = Printed.of(paper.cell("Table 2", f"{epoch} / valid_loss"))
        if epoch in ("epoch 0", "epoch 24"):
            yield check_loss(accuracy, loss, classes=7, place=Place(paper.key, f"Table 2: {epoch}"))
    yield from _layers(paper)


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
    place, accuracy = Place(paper.key, "Fig. 10"), Printed(f"{100 * right / n:.2f} %", "percent")
    yield check_majority(supports, right, accuracy, place=place)
    place = place.at("images per class")
    whole = [sum(FER2013[name]) for name in matrix.class_names]
    yield check_composition(supports, whole, place=place, note="Drawn from all images of FER-2013.")
    official = [FER2013[name][1] + FER2013[name][2] for name in matrix.class_names]
    yield judged(
        place,
        "class counts of the data set",
        supports == official,
        printed=" / ".join(map(str, supports)),
        expected=" / ".join(map(str, official)),
        certainty="possible",
        explanation=f"Expected: PublicTest and PrivateTest together, for {', '.join(matrix.class_names)}. "
        "The paper does not say which images it tested on; these are not FER-2013's test images, so that "
        "its accuracy stands beside no other on them.",
    )
    yield _where_from(Place(paper.key, "Fig. 10: number of images"), n)


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
    frozen = Printed.of(paper.cell("Table 1", "epoch 9 / error_rate"))
    before = n - round(frozen.value * n)
    yield judged(
        Place(paper.key, "Fig. 10 and Table 1"),
        "prose against table",
        right > before,
        printed="better than the step before",
        expected=f"{right} against {before} of {n} right",
        explanation=f"Table 1 ends at an error rate of {frozen}: {before} right; the diagonal of Fig. 10 has "
        f"{right}.",
    )


def _where_from(place: Place, n: int) -> Finding:
    whole, batch = fer2013_total(0, 1, 2), 25
    tests = fer2013_total(1, 2)
    fifth = [size for size in range(whole - 20, whole + 1) if size // 5 == n]
    full = [size for size in (whole // 5, tests) if size // batch * batch == n]
    return judged(
        place,
        "split sizes of the data set",
        bool(fifth or full),
        printed=n,
        expected=f"{whole // 5} (a fifth of {whole:,}) or {tests} (PublicTest and PrivateTest)",
        certainty="possible",
        explanation=f"A fifth of one of {fifth} images, so of FER-2013 without some dozen; or full batches "
        f"of {batch} of one of {full} images, the last batch dropped.",
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
        explanation=f"Weights and biases of the layers of VGG-19 for 1000 classes; {parameters_of_vgg(16):,} "
        "is VGG-16's.",
    )
