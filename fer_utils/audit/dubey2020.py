"""What can be checked in dubey2020: two confusion matrices, their tables, accuracies of small splits."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, sqrt

from fer_utils.audit.claims import check_rates
from fer_utils.audit.findings import Finding, Place, judged, not_checkable
from fer_utils.audit.matrices import check_matrix, figures_of
from fer_utils.audit.reports import Table, check_report, table_of
from fer_utils.audit.rounding import Printed, counts_within, fits, nearest_rates
from fer_utils.audit.sizes import SMIC_HS, check_composition, check_majority, check_parts
from fer_utils.papers import ConfusionMatrix, Paper

ARMS = {"ReLU": ("Fig. 5", "Table 3"), "Swish": ("Fig. 6", "Table 4")}
SHARES = {"80/20": Fraction(1, 5), "70/30": Fraction(3, 10), "60/40": Fraction(2, 5), "50/50": Fraction(1, 2)}

_SINGLE = ", which single precision holds as a hair less, cut off"
"""Said of a count that only the error of single precision makes print as a rate."""


def findings(paper: Paper) -> Iterator[Finding]:
    """Yield what the audit says of this paper."""
    matrices = {matrix.table: matrix for matrix in paper.confusion_matrices}
    for arm, (figure, table) in ARMS.items():
        yield from _one_arm(paper, arm, matrices[figure], table)
    for figure, table in ARMS.values():
        yield _each_class(matrices[figure], table_of(paper, table), Place(paper.key, table))
    yield from _data(paper, matrices["Fig. 5"])
    for split in SHARES:
        yield from _granularity(paper, split)
    yield _rounding(paper)
    yield _other_splits(paper)
    yield from (_more_training(paper, arm) for arm in ARMS)
    yield _overtakes(paper, matrices)
    yield from _areas(paper, matrices)
    yield _captions(paper)
    yield from _not_shown(paper)


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
    claim = "% validation accuracy; deep learning gives high accuracy (Section 5)"
    yield check_majority(supports, right, accuracy, place=where, claim=claim)


def _each_class(matrix: ConfusionMatrix, table: Table, place: Place) -> Finding:
    """The printed accuracies of telling one class from the two others, against never or always naming it."""
    figures, names = figures_of(matrix.counts, matrix.class_names), matrix.class_names
    n = int(figures["", "support"])
    most = {name: max(int(figures[name, "support"]), n - int(figures[name, "support"])) for name in names}
    right = {name: int(n * figures[name, "one_vs_rest_accuracy"]) for name in names}
    compared = ", ".join(f"{name} {right[name]} against {most[name]}" for name in names)
    return judged(
        place.at("accuracy of each class"),
        "accuracy against the majority class",
        all(right[name] > most[name] for name in names),
        printed=", ".join(f"{name} {table[name, 'one_vs_rest_accuracy']}" for name in names)
        + ', which show "the ability of the model"',
        expected="more than " + ", ".join(f"{k}/{n} = {100 * k / n:.2f} %" for k in most.values()),
        explanation="Each is one yes-or-no question. Right answers of the model against those of the better "
        f"constant answer (always negative, never positive, never surprise): {compared}, of {n}.",
    )


def _data(paper: Paper, matrix: ConfusionMatrix) -> Iterator[Finding]:
    place = Place(paper.key, "Section 2.1")
    halves = [cell for cell in paper.find(table="Section 2.1") if cell.cell.startswith("participants with")]
    people = Printed.of(paper.cell("Section 2.1", "SMIC participants"))
    yield check_parts([Printed.of(cell) for cell in halves], people, place=place.at("participants"))
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
        explanation="SMIC-HS has 164 clips of 16 people. "
        + " + ".join(str(SMIC_HS[name] - int(inputs[name].value)) for name in SMIC_HS)
        + " of them are missing; which ones and why is not said.",
    )
    supports = dict(zip(matrix.class_names, map(sum, matrix.counts), strict=True))
    drawn, whole = [supports[name] for name in SMIC_HS], [int(inputs[name].value) for name in SMIC_HS]
    yield check_composition(
        drawn,
        whole,
        place=Place(paper.key, "Figs. 5 and 6: test clips (negative, positive, surprise)"),
        note=f"{_by_hand(drawn, whole)} The paper does not say how it split: clips in the order of their "
        "files or a split by person could give such a mix. A stratified split could not.",
    )


def _by_hand(drawn: list[int], whole: list[int]) -> str:
    """Return how far the positive clips of a random draw are from their mean, in standard deviations."""
    n, total, share = sum(drawn), sum(whole), whole[1] / sum(whole)
    spread = sqrt(n * share * (1 - share) * (total - n) / (total - 1))
    return (
        f"By hand: {n} x {whole[1]}/{total} = {n * share:.1f} positive clips with a standard deviation of "
        f"{spread:.1f}; {drawn[1]} are {(n * share - drawn[1]) / spread:.1f} deviations below."
    )


def _rates(paper: Paper, part: str, split: str) -> dict[str, Printed]:
    cells = {arm: paper.cell("Table 2", f"{part} accuracy / {arm} {split}") for arm in ARMS}
    return {f"{arm} {split}": Printed.of(cell) for arm, cell in cells.items()}


def _sizes(paper: Paper, split: str) -> dict[int, tuple[dict[str, int], int]]:
    """Return the sizes that a share of all clips can be rounded to, the best one first.

    Each comes with the sizes of both parts and how many of the split's four accuracies fit them.
    """
    clips = int(paper.cell("Section 2.1", "inputs").value)
    found = {}
    for n in sorted({floor(SHARES[split] * clips), ceil(SHARES[split] * clips)}, reverse=True):
        parts = {"validation": n, "training": clips - n}
        rates = [(rate, m) for part, m in parts.items() for rate in _rates(paper, part, split).values()]
        found[n] = parts, sum(fits(rate, m) for rate, m in rates)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _granularity(paper: Paper, split: str) -> Iterator[Finding]:
    found = _sizes(paper, split)
    (parts, _), *others = found.values()
    listed = " or ".join(map(str, sorted(found)))
    source = f"158 clips at {split} leave {listed} for validation"
    fitting = ", ".join(f"{fit} with {n}" for n, (_, fit) in found.items())
    source += f"; of the split's four accuracies {fitting} fit." if others else ", and as many train."
    for part, n in parts.items():
        rates = _rates(paper, part, split)
        off = [rate for rate in rates.values() if not fits(rate, n)]
        nor = [f"Of {m[part]}: {nearest_rates(rate, m[part])}." for rate in off for m, _ in others]
        counted = list(_counted(rates, n))
        place = Place(paper.key, f"Table 2: {part} accuracy {split}")
        for each in check_rates(rates, n, place=place, source=" ".join([source, *nor, *counted])):
            unsure = each.verdict == "consistent" and any(_SINGLE in count for count in counted)
            yield replace(each, certainty="possible") if unsure else each


def _counted(rates: dict[str, Printed], n: int) -> Iterator[str]:
    """Yield the counts that print as these rates, one sentence each; none where steps are too fine."""
    for rate in rates.values():
        for k in counts_within(rate.window(), n) if rate.unit_of_last_digit * n < 1 else ():
            above = Fraction(k, n) == rate.value + rate.unit_of_last_digit
            yield f"{rate} is {k}/{n} = {100 * k / n:.2f} %{_SINGLE if above else ''}."


def _rounding(paper: Paper) -> Finding:
    """Return whether one way of shortening numbers explains all of Table 2."""
    counted = {"rounded": 0, "truncated": 0}
    rates = [
        (rate, n)
        for split in SHARES
        for part, n in next(iter(_sizes(paper, split).values()))[0].items()
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
        explanation=f"Sizes as found for each split: the shares of 158 rounded up, as scikit-learn's "
        f"train_test_split does. {counted['truncated']} of {len(rates)} are whole numbers cut off after the "
        f"printed digits, {counted['rounded']} rounded ones: the table was cut off, so that 62 and 62.5 are "
        "both 20/32. The one that does not fit has a finding of its own. (Tables 3 and 4 are rounded.)",
    )


def _other_splits(paper: Paper) -> Finding:
    total = int(paper.cell("Section 2.1", "inputs").value)
    most = int(paper.cell("Section 2.1", "Negative / inputs").value)
    rates = [rate for split in list(SHARES)[1:] for rate in _rates(paper, "validation", split).values()]
    return not_checkable(
        Place(paper.key, "Table 2: validation accuracy 70/30, 60/40 and 50/50"),
        "accuracy against the majority class",
        printed=", ".join(map(str, rates)),
        why="The classes of these validation sets are not printed. Of all clips, always answering negative "
        f"is right in {most} of {total} ({100 * most / total:.2f} %), a hair below the lowest of these; of "
        "the validation clips at 80/20 it is right in 21 of 32 (65.62 %), more than any of these.",
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
        "which may be all that is meant; the validation sets differ and hold 32 to 79 clips, where one "
        "standard error of a rate near 1/2 is 9 to 6 points.",
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
    macro, weighted = ([float(each["", f"{kind}_f1"]) for each in figures] for kind in ("macro", "weighted"))
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
        f"62.5 and 62 are one value. {_difference(*(matrices[figure] for figure, _ in ARMS.values()))} "
        "So Tables 3 and 4 agree on negative, ReLU is ahead on the 3 positive clips, Swish on the 8 surprise "
        f"ones: macro-F1 {macro[0]:.3f} against {macro[1]:.3f}, weighted F1 {weighted[0]:.3f} against "
        f"{weighted[1]:.3f}.",
    )


def _difference(relu: ConfusionMatrix, swish: ConfusionMatrix) -> str:
    """Return in which rows two matrices differ."""
    rows = zip(relu.class_names, relu.counts, swish.counts, strict=True)
    unlike = [f"{name} {list(a)} against {list(b)}" for name, a, b in rows if a != b]
    return f"Rows that differ, answers {' / '.join(relu.class_names)}: {'; '.join(unlike) or 'none'}."


def _areas(paper: Paper, matrices: dict[str, ConfusionMatrix]) -> Iterator[Finding]:
    """The areas under the curves of Figs. 7 and 8 beside those that the answers of Figs. 5 and 6 give."""
    relu, swish = (_answers_area(matrices[figure]) for figure, _ in ARMS.values())
    listed = "; ".join(f"{name} {relu[name]:.3f} against {swish[name]:.3f}" for name in relu)
    formula = "From the answers alone an area is (right among the class + right among the others) / 2"
    yield judged(
        Place(paper.key, "Section 4, Figs. 5 and 6: positive and surprise"),
        "area under the curve",
        relu["positive"] > swish["positive"] and swish["surprise"] > relu["surprise"],
        printed="ReLU separates positive better, Swish surprise slightly",
        expected=f"ReLU against Swish: {listed}",
        certainty="possible",
        explanation=f"{formula}: positive with ReLU (2/3 + 28/29) / 2. The order is the one that the text "
        "reads from the curves; their areas for these classes are not in the text, and scores may order "
        "otherwise.",
    )
    printed = [Printed.of(paper.cell("Section 4", f"{arm} / Negative / auc")) for arm in ARMS]
    supports = [sum(row) for row in matrices["Fig. 5"].counts]
    error = _area_error(float(printed[0].value), supports[0], sum(supports[1:]))
    yield not_checkable(
        Place(paper.key, "Section 4: area under the curve"),
        "area under the curve",
        printed=f"{printed[0]} and {printed[1]} (Negative)",
        why=f"The scores behind the curves are not printed. {formula}: (14/21 + 6/11) / 2 = "
        f"{relu['negative']:.3f} with ReLU and {swish['negative']:.3f} with Swish. The standard error of an "
        f"area of {printed[0]} on {supports[0]} and {sum(supports[1:])} clips is {error:.2f} (Hanley and "
        "McNeil 1982), more than the difference.",
    )


def _answers_area(matrix: ConfusionMatrix) -> dict[str, float]:
    figures = figures_of(matrix.counts, matrix.class_names)
    n, areas = figures["", "support"], {}
    for name in matrix.class_names:
        support, recall = figures[name, "support"], figures[name, "recall"]
        others = (n * figures[name, "one_vs_rest_accuracy"] - support * recall) / (n - support)
        areas[name] = float((recall + others) / 2)
    return areas


def _area_error(area: float, positives: int, negatives: int) -> float:
    """Return the standard error of an area under a curve.

    Source: J. A. Hanley, B. J. McNeil, Radiology 143, 1982.
    """
    both = (positives - 1) * (area / (2 - area) - area**2)
    both += (negatives - 1) * (2 * area**2 / (1 + area) - area**2)
    return sqrt((area * (1 - area) + both) / (positives * negatives))


def _captions(paper: Paper) -> Finding:
    captions = {"ReLU": "Fig. 3", "Swish": "Fig. 2"}
    said = {arm: paper.cell("Section 2.3", f"{arm} / figure in the text").printed for arm in captions}
    drawn = {arm: paper.cell(fig, f"{arm} / figure in the caption").printed for arm, fig in captions.items()}
    return judged(
        Place(paper.key, "Section 2.3, Figs. 2 and 3: captions"),
        "prose against figure",
        said == drawn,
        printed=", ".join(f"{arm} Fig. {number}" for arm, number in said.items()) + " in the text",
        expected=", ".join(f"{arm} Fig. {number}" for arm, number in drawn.items()) + " by the captions",
        certainty="likely",
        explanation="Text and captions exchange the two. It matters for Figs. 7 and 8, captioned Swish and "
        "ReLU in this order: the text names them with 0.70 and 0.66 for ReLU and Swish, in the other order. "
        "Its pairs are taken as they stand; were they exchanged as well, 0.70 would be Swish's.",
    )


def _not_shown(paper: Paper) -> Iterator[Finding]:
    """Claims in words of which too little is printed."""
    frames = int(paper.cell("Section 3", "frames").value)
    rate = int(paper.cell("Section 2.1", "HS frame rate").value)
    longest = int(paper.cell("Section 1", "longest expression").value)
    yield not_checkable(
        Place(paper.key, "Section 3: frames"),
        "length of the clips",
        printed=f"{frames} frames; {rate} a second",
        why=f"{frames}/{rate} s = {1000 * frames // rate} ms, and an expression may last {longest} ms "
        f"(Section 1), {longest * rate // 1000} frames. Whether longer clips were cut or thinned, and what "
        "was done with shorter ones, is not said.",
    )
    yield not_checkable(
        Place(paper.key, "Section 5: deep learning approaches are better"),
        "prose against table",
        printed="better",
        why="Two activations of one network are compared. No other approach is measured, nor quoted.",
    )
