"""What can be checked in dubey2020: two confusion matrices, their tables, accuracies of small splits."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor

from fer_utils.audit.claims import check_rates
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.matrices import check_matrix, figures_of
from fer_utils.audit.reports import check_report, table_of
from fer_utils.audit.rounding import Printed, fits
from fer_utils.audit.sizes import SMIC_HS, check_composition, check_majority, check_parts
from fer_utils.papers import ConfusionMatrix, Paper

ARMS = {"ReLU": ("Fig. 5", "Table 3"), "Swish": ("Fig. 6", "Table 4")}
SHARES = {"80/20": Fraction(1, 5), "70/30": Fraction(3, 10), "60/40": Fraction(2, 5), "50/50": Fraction(1, 2)}


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    matrices = {matrix.table: matrix for matrix in paper.confusion_matrices}
    for arm, (figure, table) in ARMS.items():
        yield from _one_arm(paper, arm, matrices[figure], table)
    yield from _data(paper, matrices["Fig. 5"])
    for split in SHARES:
        yield from _granularity(paper, split)
    yield _rounding(paper)
    yield from (_more_training(paper, arm) for arm in ARMS)
    yield _overtakes(paper, matrices)
    yield not_checkable(
        Place(paper.key, "Section 4: area under the curve"),
        "area under the curve",
        printed="0.70 and 0.66 (Negative)",
        why="The scores behind the curves are not printed; a confusion matrix alone bounds the area loosely.",
    )


def _one_arm(paper: Paper, arm: str, matrix: ConfusionMatrix, name: str) -> Iterator[Finding]:
    table, place = table_of(paper, name), Place(paper.key, name)
    yield from check_matrix(
        matrix.counts, matrix.class_names, table, place=Place(paper.key, f"{matrix.table} and {name}")
    )
    yield from check_report(table, place=place)
    accuracy = Printed.of(paper.cell("Table 2", f"validation accuracy / {arm} 80/20"))
    in_table2 = {("", "accuracy"): accuracy}
    where = Place(paper.key, f"{matrix.table} and Table 2: {arm} 80/20")
    yield from check_matrix(matrix.counts, matrix.class_names, in_table2, place=where)
    supports = [sum(row) for row in matrix.counts]
    right = sum(row[i] for i, row in enumerate(matrix.counts))
    where = Place(paper.key, f"{matrix.table}: {arm} 80/20")
    claim = "; deep learning gives high accuracy (Section 5)"
    yield check_majority(supports, right, accuracy, place=where, claim=claim)


def _data(paper: Paper, matrix: ConfusionMatrix) -> Iterator[Finding]:
    place = Place(paper.key, "Section 2.1")
    inputs = {name: Printed.of(paper.find(table="Section 2.1", class_name=name)[0]) for name in SMIC_HS}
    total = Printed.of(paper.cell("Section 2.1", "inputs"))
    yield check_parts(list(inputs.values()), total, place=place.at("inputs"))
    clips = paper.cell("Section 2.1", "SMIC clips")
    yield judged(
        place.at("clips"),
        "class counts of the data set",
        clips.value == sum(SMIC_HS.values()) and all(inputs[name].value <= SMIC_HS[name] for name in SMIC_HS),
        printed=f"{total} of {clips.printed}: "
        + ", ".join(f"{name} {count}" for name, count in inputs.items()),
        expected="at most " + ", ".join(f"{name} {count}" for name, count in SMIC_HS.items()),
        certainty="likely",
        explanation="SMIC-HS has 164 clips of 16 people; which 6 were left out is not said.",
    )
    supports = dict(zip(matrix.class_names, map(sum, matrix.counts), strict=True))
    yield check_composition(
        [supports[name] for name in SMIC_HS],
        [int(inputs[name].value) for name in SMIC_HS],
        place=Place(paper.key, "Figs. 5 and 6: test clips (negative, positive, surprise)"),
        note="The paper does not say how it split: clips in the order of their files or a split by person "
        "could give such a mix. A stratified split could not.",
    )


def _rates(paper: Paper, part: str, split: str) -> dict[str, Printed]:
    cells = {arm: paper.cell("Table 2", f"{part} accuracy / {arm} {split}") for arm in ARMS}
    return {f"{arm} {split}": Printed.of(cell) for arm, cell in cells.items()}


def _sizes(paper: Paper, split: str) -> tuple[list[int], dict[str, int]]:
    """Return the sizes that a share of all clips can be rounded to, and the parts' sizes that fit best."""
    clips = int(paper.cell("Section 2.1", "inputs").value)
    candidates = sorted({floor(SHARES[split] * clips), ceil(SHARES[split] * clips)})
    parts = [{"validation": n, "training": clips - n} for n in candidates]

    def fitting(sizes: dict[str, int]) -> int:
        return sum(fits(rate, n) for part, n in sizes.items() for rate in _rates(paper, part, split).values())

    return candidates, max(reversed(parts), key=fitting)


def _granularity(paper: Paper, split: str) -> Iterator[Finding]:
    candidates, sizes = _sizes(paper, split)
    listed = " or ".join(map(str, candidates))
    for part, n in sizes.items():
        best = f"{sizes['validation']} fits best" if len(candidates) > 1 else "the other half trains"
        source = f"158 clips at {split} leave {listed} for validation; {best}."
        place = Place(paper.key, f"Table 2: {part} accuracy {split}")
        yield from check_rates(_rates(paper, part, split), n, place=place, source=source)


def _rounding(paper: Paper) -> Finding:
    """Return whether one way of shortening numbers explains all of Table 2."""
    counted = {"rounded": 0, "truncated": 0}
    rates = [
        (rate, n)
        for split in SHARES
        for part, n in _sizes(paper, split)[1].items()
        for rate in _rates(paper, part, split).values()
    ]
    for way in counted:
        counted[way] = sum(fits(rate, n, way) for rate, n in rates)
    return judged(
        Place(paper.key, "Table 2: rounding"),
        "granularity of rates",
        max(counted.values()) >= len(rates) - 1,
        printed=f"{len(rates)} accuracies",
        expected=f"rounded {counted['rounded']}, cut off {counted['truncated']} of {len(rates)} fit",
        certainty="likely",
        explanation=f"Sizes as found for each split. {counted['truncated']} of {len(rates)} are whole "
        f"numbers cut off after the printed digits, {counted['rounded']} rounded ones: the table was cut "
        "off, so that 62 and 62.5 are both 20/32. The one that does not fit has a finding of its own.",
    )


def _more_training(paper: Paper, arm: str) -> Finding:
    cells = [Printed.of(paper.cell("Table 2", f"validation accuracy / {arm} {split}")) for split in SHARES]
    rises = [i for i in range(len(cells) - 1) if cells[i + 1].value > cells[i].value]
    splits = list(SHARES)
    listed = ", ".join(f"{splits[i]} {cells[i]} -> {splits[i + 1]} {cells[i + 1]}" for i in rises)
    return judged(
        Place(paper.key, f"Section 4 and Table 2: {arm}"),
        "prose against table",
        not rises,
        printed="better with more training data",
        expected=" > ".join(splits),
        certainty="possible" if rises else "certain",
        explanation=f"Less training data, yet better: {listed or 'nowhere'}. 80/20 is the best of the four, "
        "which may be all that is meant; the validation sets differ and hold 32 to 79 clips.",
    )


def _overtakes(paper: Paper, matrices: dict[str, ConfusionMatrix]) -> Finding:
    """The claim that ReLU overtakes Swish by a considerable amount, against all four printed splits."""
    pairs = {
        split: [Printed.of(paper.cell("Table 2", f"validation accuracy / {arm} {split}")) for arm in ARMS]
        for split in SHARES
    }
    ahead = [split for split, (relu, swish) in pairs.items() if relu.value > swish.value]
    figures = [figures_of(matrices[f].counts, matrices[f].class_names) for f, _ in ARMS.values()]
    right = [sum(row[i] for i, row in enumerate(matrices[f].counts)) for f, _ in ARMS.values()]
    macro = [float(each["", "macro_f1"]) for each in figures]
    shown = ", ".join(f"{split} {relu} against {swish}" for split, (relu, swish) in pairs.items())
    return judged(
        Place(paper.key, "Section 4: ReLU overtakes Swish"),
        "prose against table",
        len(ahead) == len(pairs) and right[0] > right[1],
        printed="ReLU overtakes Swish by a considerable amount",
        expected=f"ReLU ahead in {len(ahead)} of {len(pairs)} splits; {right[0]} against {right[1]} of 32 "
        "right at 80/20",
        certainty="likely",
        explanation=f"Table 2, ReLU against Swish: {shown}. Figs. 5 and 6 have the same number right, so "
        f"62.5 and 62 are one value. Macro-F1 {macro[0]:.3f} against {macro[1]:.3f}: ReLU is ahead on the 3 "
        "positive clips, Swish on the 8 surprise ones, negative is the same.",
    )
