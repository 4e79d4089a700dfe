"""Rules that check what a paper says of its numbers; `fer_utils.audit.tables` checks the tables themselves.

A claim is an entry under ``claims`` in a paper's file: its ``rule``, and ``where`` the paper makes it. ``says`` is
the claim in the paper's words, and ``note`` ends the explanation. ``unless`` is another reading of the paper in
which the claim would be true; a claim that fails is then not checkable. ``follows_from`` is the location of
another finding with the same cause. Cells are named ``<table>: <cell>``, with ``*`` for any text.
"""

import ast
import operator
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, Field
from scipy.stats import binom, multivariate_hypergeom

from fer_utils.audit.findings import Certainty, Finding, Place, Verdict
from fer_utils.audit.rounding import Printed, best_sizes, fits, mends, nearest_rates
from fer_utils.audit.tables import Split, check_table
from fer_utils.papers import ConfusionMatrix, Paper, published_facts

ALPHA = 0.005
"""An event less likely than this is noteworthy: a low limit, because many claims are checked."""


class Claim(BaseModel, extra="forbid"):
    """What all claims have in common."""

    rule: str
    where: str
    says: str = ""
    note: str = ""
    unless: str = ""
    follows_from: str = ""

    def findings(self, paper: Paper) -> Iterator[Finding]:
        """Yield the findings on this claim; a `ValueError` names it where it cannot be checked."""
        try:
            yield from self._check(paper)
        except (KeyError, ValueError) as error:
            raise ValueError(f"claim {self.rule} at {self.where!r}: {error.args[0]}") from error

    def _check(self, paper: Paper) -> Iterator[Finding]:
        raise NotImplementedError

    def _finding(
        self,
        paper: Paper,
        verdict: Verdict | bool,
        *,
        printed: object = "",
        expected: object = "",
        why: str = "",
        certainty: Certainty = "certain",
        at: str = "",
    ) -> Finding:
        """Return a finding with the texts of this claim."""
        if verdict is False and self.unless:
            verdict, certainty, why = "not_checkable", "possible", f"{why} {self.unless}"
        place, true = Place(paper.key, self.where), verdict in (True, "consistent")
        return (place.at(at) if at else place).finding(
            self.rule.replace("_", " "),
            verdict,
            printed=self.says or printed,
            expected=expected,
            why=f"{why} {self.note}".strip(),
            certainty=certainty,
            follows_from="" if true else self.follows_from,
        )


class Judgement(Claim):
    """Words against words: a person has judged them, and `note` says why."""

    rule: Literal["judgement"]
    verdict: Verdict
    certainty: Certainty = "certain"
    expected: str = ""

    def _check(self, paper: Paper) -> Iterator[Finding]:
        yield self._finding(paper, self.verdict, expected=self.expected, certainty=self.certainty)


class Table(Claim):
    """The numbers of a table fit each other, and the confusion matrix that it describes.

    `split` tells where they come from: a ``single`` test set, the ``pooled`` predictions of several folds, the
    mean over ``folds``, or ``unknown``. `also` holds figures printed elsewhere, by their metric.
    """

    rule: Literal["table"]
    table: str = ""
    matrix: str = ""
    split: Literal["single", "pooled", "folds", "unknown"] = "unknown"
    folds: int | None = None
    rounding: Literal["rounded", "truncated", "either"] = "either"
    also: dict[str, str] = {}

    def _check(self, paper: Paper) -> Iterator[Finding]:
        cells = paper.find(table=self.table)
        table = {(cell.class_name or "", cell.metric): Printed.of(cell) for cell in cells}
        table |= {("", metric): Printed.of(paper.select(name)[0]) for metric, name in self.also.items()}
        matrix = _matrix(paper, self.matrix) if self.matrix else None
        yield from check_table(
            table,
            place=Place(paper.key, self.where),
            split=Split(self.split, self.folds),
            rounding=self.rounding,
            matrix=matrix and (matrix.counts, matrix.class_names),
        )


def _matrix(paper: Paper, name: str) -> ConfusionMatrix:
    return {matrix.table: matrix for matrix in paper.confusion_matrices}[name]


class Arithmetic(Claim):
    """Statements such as ``{Table 1: men} + {Table 1: women} == {Table 1: all}`` are true.

    A cell in braces is its value (percent as a fraction). `otherwise` is the verdict where one is false.
    """

    rule: Literal["arithmetic"]
    true: list[str]
    otherwise: Verdict = "inconsistent"
    certainty: Certainty | None = None

    def _check(self, paper: Paper) -> Iterator[Finding]:
        cells = {name: Printed.of(paper.select(name)[0]) for text in self.true for name in _CELL.findall(text)}
        false = [text for text in self.true if not is_true(text, cells)]
        slip = false and any(
            all(is_true(text, cells | {name: changed}) for text in self.true)
            for name, printed in cells.items()
            for changed in printed.one_digit_changes()
        )
        shown = {text: _CELL.sub(lambda m: str(cells[m[1]]), text).replace("==", "=") for text in self.true}
        why = "; ".join(line + " is false" * (text in false) for text, line in shown.items())
        yield self._finding(
            paper,
            not false if self.otherwise == "inconsistent" or not false else self.otherwise,
            printed=", ".join(map(str, cells.values())),
            expected="; ".join(shown[text] for text in false or shown),
            why=why + "." + " One changed digit would make it true." * bool(slip),
            certainty=self.certainty or ("likely" if slip else "certain"),
        )


_CELL = re.compile(r"\{(.*?)\}")
_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Pow: operator.pow, ast.Eq: operator.eq, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def is_true(text: str, cells: Mapping[str, Printed]) -> bool:
    """Return whether a statement of cells, numbers, ``+ - * / // **`` and comparisons is true, exactly."""
    names = {f"cell{i}": printed.value for i, printed in enumerate(cells.values())}
    order = dict(zip(cells, names, strict=True))

    def value(node: ast.AST) -> Fraction | bool:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int() | float() as number):
                return Fraction(str(number))
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Compare(left=left, ops=ops, comparators=others) if {*map(type, ops)} <= {*_OPERATORS}:
                pairs = pairwise([value(left), *map(value, others)])
                return all(_OPERATORS[type(op)](a, b) for op, (a, b) in zip(ops, pairs, strict=True))
        raise ValueError(f"not arithmetic: {text}")

    try:
        return bool(value(ast.parse(_CELL.sub(lambda m: order[m[1]], text), mode="eval")))
    except SyntaxError as error:
        raise ValueError(f"not arithmetic: {text}") from error


class Same(Claim):
    """Each of `cells` is the cell of the same class and metric in `to`; without such a cell, any of `to`."""

    rule: Literal["same"]
    cells: str
    to: str

    def _check(self, paper: Paper) -> Iterator[Finding]:
        cells, others, agreeing = paper.select(self.cells), paper.select(self.to), []
        for cell in cells:
            alike = [o for o in others if (o.class_name, o.metric) == (cell.class_name, cell.metric)]
            printed = Printed.of(cell)
            near = min(map(Printed.of, alike or others), key=lambda other: abs(other.value - printed.value))
            if printed.window().overlaps(near.window()):
                agreeing.append(f"{cell.cell} {printed} and {near}")
                continue
            slip = any(new.window().overlaps(near.window()) for new in printed.one_digit_changes())
            yield self._finding(
                paper,
                False,
                printed=printed,
                expected=near,
                why=f"{printed} stands for {printed.window()}; the nearest number there is {near}."
                + " One changed digit would make them agree." * slip,
                certainty="likely" if slip else "certain",
                at=cell.cell if len(cells) > 1 else "",
            )
        if agreeing:
            shown = f"{len(agreeing)} of {len(cells)} numbers" if len(cells) > 1 else agreeing[0]
            yield self._finding(paper, True, printed=shown, why=f"{'; '.join(agreeing)}.")


class Decreasing(Claim):
    """Each of `cells` is smaller than the one before."""

    rule: Literal["decreasing"]
    cells: str

    def _check(self, paper: Paper) -> Iterator[Finding]:
        cells = paper.select(self.cells)
        rises = [f"{a.printed} to {b.printed} ({b.cell})" for a, b in pairwise(cells) if b.value > a.value]
        why = (
            f"From {cells[0].printed} to {cells[-1].printed}. Steps that rise: {'; '.join(rises) or 'none'}."
        )
        expected = f"{len(rises)} of {len(cells) - 1} steps rise"
        yield self._finding(paper, not rises, printed="decreasing", expected=expected, why=why)


class Continues(Claim):
    """A table that continues another one begins where that ends: no jump above every step within them."""

    rule: Literal["continues"]
    first: str
    second: str

    def _check(self, paper: Paper) -> Iterator[Finding]:
        before, after = paper.select(self.first), paper.select(self.second)
        largest = max(abs(b.value - a.value) for cells in (before, after) for a, b in pairwise(cells))
        jump = abs(after[0].value - before[-1].value)
        yield self._finding(
            paper,
            "consistent" if jump <= largest else "noteworthy",
            printed=f"{before[-1].printed}, then {after[0].printed}",
            expected=f"a step of at most {largest:.3g}",
            why=f"The step between the tables is {jump:.3g}; the largest step within them is {largest:.3g}.",
            certainty="possible",
        )


class Rates(Claim):
    """Rates of n samples are whole numbers divided by n.

    `n` are the possible numbers of samples; the one that fits most rates is taken. `sizes` are the ends of a
    range of numbers that are tried as well, to see whether `n` is the only one that fits.
    """

    rule: Literal["rates"]
    cells: str
    n: list[int]
    sizes: tuple[int, int] | None = None

    def _check(self, paper: Paper) -> Iterator[Finding]:
        rates = {cell.cell: Printed.of(cell) for cell in paper.select(self.cells)}
        fitting = {n: sum(fits(rate, n) for rate in rates.values()) for n in self.n}
        n = max(self.n, key=fitting.get)
        if all(rate.unit_of_last_digit * n >= 1 for rate in rates.values()):
            why = f"Steps of 1/{n} are smaller than the printed digits, so every rate fits."
            yield self._finding(paper, "not_checkable", printed=_joined(rates), why=why)
            return
        if self.sizes:
            yield self._size(paper, rates, n)
        good = {name: rate for name, rate in rates.items() if fits(rate, n)}
        if good:
            yield self._good(paper, good, n, fitting)
        for name in rates.keys() - good.keys():
            mended = [str(rate) for rate in mends(rates[name], n)]
            near = "; ".join(nearest_rates(rates[name], size) for size in self.n)
            why = f"{near}: none prints as {rates[name]}, rounded or truncated."
            why += f" One changed digit gives {', '.join(mended[:4])}, which would fit." if mended else ""
            certainty = "likely" if mended else "certain"
            yield self._finding(
                paper, False, printed=rates[name], expected=near, why=why, certainty=certainty, at=name
            )

    def _good(self, paper: Paper, good: dict[str, Printed], n: int, fitting: dict[int, int]) -> Finding:
        chance = prod(min(1.0, float(1.5 * n * rate.unit_of_last_digit)) for rate in good.values())
        cut = ", ".join(name for name, rate in good.items() if not fits(rate, n, "rounded"))
        why = f"By chance, all {len(good)} would fit with probability {chance:.2g}."
        why += f" Only if truncated, not rounded: {cut}." if cut else ""
        if len(fitting) > 1:
            why += f" Rates that fit: {', '.join(f'{k} with n = {size}' for size, k in fitting.items())}."
        return self._finding(
            paper,
            True,
            printed=_joined(good),
            expected=f"whole numbers divided by {n}",
            why=why,
            certainty="certain" if chance < 0.05 else "possible",
        )

    def _size(self, paper: Paper, rates: dict[str, Printed], n: int) -> Finding:
        first, last = self.sizes
        most, best = best_sizes(rates.values(), sizes=range(first, last + 1), rounding="either")
        listed = ", ".join(map(str, best[:6])) + ", ..." * (len(best) > 6)
        return self._finding(
            paper,
            n in best,
            printed=n,
            expected=listed,
            why=f"Of all n from {first:,} to {last:,}, {listed} fit most rates ({most} of {len(rates)}).",
            certainty="certain" if all(size % n == 0 for size in best) else "possible",
            at="number of samples",
        )


def _joined(rates: Mapping[str, Printed]) -> str:
    return ", ".join(f"{name} {rate}" for name, rate in rates.items())


class Composition(Claim):
    """The classes of a test set are a random draw from all; an unlikely draw is noteworthy."""

    rule: Literal["composition"]
    drawn: list[int]
    population: list[int]

    def _check(self, paper: Paper) -> Iterator[Finding]:
        n, total = sum(self.drawn), sum(self.population)
        law = multivariate_hypergeom(self.population, n, seed=0)
        p = float(np.mean(law.logpmf(law.rvs(100_000)) <= law.logpmf(self.drawn) + 1e-9))
        expected = " / ".join(f"{k * n / total:.1f}" for k in self.population)
        yield self._finding(
            paper,
            "consistent" if p >= ALPHA else "noteworthy",
            printed=" / ".join(map(str, self.drawn)),
            expected=expected,
            why=f"A random {n} of {total} has {expected} on average. The printed draw, or a less likely one, "
            f"has a probability of about {p:.2g} (limit {ALPHA}).",
            certainty="possible",
        )


class Fact(Claim):
    """Numbers and words are those of ``data/facts.yaml``, which names their source."""

    rule: Literal["fact"]
    about: str
    fact: str
    cells: str = ""

    def _check(self, paper: Paper) -> Iterator[Finding]:
        known = published_facts(self.about)
        fact = known[self.fact]
        for cell in paper.select(self.cells) if self.cells else [None]:
            published = fact[cell.class_name] if isinstance(fact, dict) else fact
            shown = f"{published:,}" if isinstance(published, int) else published
            yield self._finding(
                paper,
                cell.value == published if cell else self.says.lower() == str(published).lower(),
                printed=cell and cell.printed,
                expected=shown,
                why=f"{self.about}, {self.fact}: {shown}. Source: {known['source']}.",
                certainty="likely",
                at=(cell and cell.class_name) or "",
            )


class Diagonal(Claim):
    """The diagonal of a confusion matrix holds the largest cell of each row and of each column."""

    rule: Literal["diagonal"]
    matrix: str

    def _check(self, paper: Paper) -> Iterator[Finding]:
        matrix = _matrix(paper, self.matrix)
        counts, names = np.array(matrix.counts), np.array(matrix.class_names)
        others = counts - np.diag(counts.diagonal() + 1)
        rows, columns = (others.max(axis=axis) >= counts.diagonal() for axis in (1, 0))
        wrong = [*(f"row {name}" for name in names[rows]), *(f"column {name}" for name in names[columns])]
        why = f"Rows and columns whose largest cell lies elsewhere: {', '.join(wrong) or 'none'}."
        yield self._finding(paper, not wrong, expected="the largest of each row and column", why=why)


class Repeated(Claim):
    """Two tables of different runs agree in no more rows than chance makes likely.

    `chance` is the probability that one row agrees.
    """

    rule: Literal["repeated"]
    first: str
    second: str
    chance: float = Field(gt=0, lt=1)

    def _check(self, paper: Paper) -> Iterator[Finding]:
        first, second = ({c.cell: c.printed for c in paper.select(p)} for p in (self.first, self.second))
        shared = [name for name in first if name in second]
        same = [f"{name} {first[name]}" for name in shared if first[name] == second[name]]
        p = float(binom.sf(len(same) - 1, len(shared), self.chance))
        yield self._finding(
            paper,
            "consistent" if p >= ALPHA else "noteworthy",
            printed=f"{len(same)} of {len(shared)} rows are equal: {', '.join(same) or 'none'}",
            expected=f"about {len(shared) * self.chance:.2f} of {len(shared)}",
            why=f"With {self.chance:.3f} for one row, so many or more agree with probability {p:.2g} "
            f"(limit {ALPHA}).",
            certainty="possible",
        )


class Steps(Claim):
    """The steps of an epoch tell how a data set was batched and split.

    `images` are the candidates and their numbers of images. With batches first, one of `shares` of the batches
    trains; with the split first, of the images. A last batch that is not full is kept or dropped. `rates` of
    the validation set tell which of the sizes that are left it may have.
    """

    rule: Literal["steps"]
    steps: int
    images: dict[str, int]
    batches: list[int] = [8, 10, 16, 20, 25, 30, 32, 40, 50, 60, 64, 100, 128, 256]
    shares: list[str] = ["1", "9/10", "4/5", "3/4", "7/10"]
    rates: str = ""

    def _check(self, paper: Paper) -> Iterator[Finding]:
        found = dict(self._explanations())
        yield self._finding(
            paper,
            "consistent" if found else "not_checkable",
            printed=self.steps,
            expected="; ".join(found),
            why=f"Tried: {', '.join(self.images)}; shares {', '.join(self.shares)}; usual batch sizes.",
            certainty="possible",
        )
        if self.rates:
            yield self._validation(paper, found)

    def _explanations(self) -> Iterator[tuple[str, dict[int, str]]]:
        """Yield each way to make the steps, with the sizes of a validation set that it leaves."""
        for (name, n), batch, text in product(self.images.items(), self.batches, self.shares):
            share, data = Fraction(text), f"{name} ({n:,}) in batches of {batch}"
            wholes = [-(-n // batch), n // batch]
            fitting = [whole for whole in wholes if int(share * whole) == self.steps]
            if fitting:
                left = _left(fitting[0], self.steps)
                sizes = {k * batch: f"{k} batches of {name}" for k in left}
                sizes |= {k * batch - -n % batch: f"{k} batches of {name}, one not full" for k in left}
                yield f"{data}, {text} of {fitting[0]:,} batches" if share < 1 else data, sizes
            train = int(share * n)
            if share < 1 and self.steps in (-(-train // batch), train // batch):
                yield f"{data}, {text} of the images", {k: f"{k:,} images of {name}" for k in _left(n, train)}

    def _validation(self, paper: Paper, found: Mapping[str, dict[int, str]]) -> Finding:
        rates = [Printed.of(cell) for cell in paper.select(self.rates)]
        left = {n: of for sizes in reversed(found.values()) for n, of in sizes.items()}
        sizes = sorted(n for n in left if 0 < n * rates[0].unit_of_last_digit < 1)
        fitting = {n: sum(fits(rate, n, "rounded") for rate in rates) for n in sizes}
        good = [n for n in sizes if fitting[n] == len(rates)]
        return self._finding(
            paper,
            "consistent" if good else "not_checkable",
            printed=", ".join(map(str, rates)),
            expected=" or ".join(f"n = {n:,} ({left[n]})" for n in good),
            why=f"Sizes that are left, and how many of {len(rates)} rates fit each: "
            f"{', '.join(f'{n:,} ({k})' for n, k in fitting.items())}.",
            certainty="possible",
            at="validation",
        )


def _left(whole: int, train: int) -> set[int]:
    """Return the sizes of a validation set: a tenth, half of what does not train, or all of that."""
    rest = whole - train
    return {whole // 10, rest // 2, -(-rest // 2), rest} if rest else set()


AnyClaim = Annotated[
    Judgement | Table | Arithmetic | Same | Decreasing | Continues | Rates | Composition | Fact | Diagonal
    | Repeated | Steps,
    Field(discriminator="rule"),
]  # fmt: skip
"""Every rule."""
