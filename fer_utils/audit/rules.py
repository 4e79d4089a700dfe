"""Rules that check what a paper says of its numbers; `fer_utils.audit.tables` checks the tables themselves.

A claim is an entry under ``claims`` in a paper's file: its ``rule``, and ``where`` the paper makes it.
``says`` is the claim in the paper's words, and ``note`` adds to the explanation. ``unless`` is another
reading of the paper in which the claim would be true; a claim that fails is then not checkable.
``follows_from`` is the location of another finding with the same cause. Cells are named ``<table>: <cell>``,
with ``*`` for any text.
"""

import ast
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from math import prod
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import yaml
from pydantic import BaseModel, Field
from scipy.stats import binom, multivariate_hypergeom

from fer_utils.audit.findings import Certainty, Finding, Place, Verdict
from fer_utils.audit.rounding import Printed, best_sizes, fits, mends, nearest_rates
from fer_utils.audit.tables import check_table
from fer_utils.files import PROJECT, nearest
from fer_utils.papers import ConfusionMatrix, Paper

ALPHA = 0.005
"""An event less likely than this is noteworthy: a low limit, because many claims are checked."""


class Result(NamedTuple):
    """What a rule says of a claim, or of the part of it that `at` names."""

    verdict: Verdict | bool
    printed: object
    expected: object
    why: str
    certainty: Certainty = "certain"
    at: str = ""


class Claim(BaseModel, extra="forbid"):
    """What all claims have in common."""

    rule: str
    where: str
    says: str = ""
    note: str = ""
    unless: str = ""
    follows_from: str = ""

    def findings(self, paper: Paper) -> Iterator[Finding]:
        """Yield the findings on this claim."""
        for verdict, printed, expected, why, certainty, at in self._check(paper):
            why = f"{why} {self.note}".strip()
            if verdict is False and self.unless:
                verdict, certainty, why = "not_checkable", "possible", f"{why} {self.unless}"
            place = Place(paper.key, self.where)
            yield (place.at(at) if at else place).finding(
                self.rule,
                verdict,
                printed=self.says or printed,
                expected=expected,
                why=why,
                certainty=certainty,
                follows_from="" if verdict in (True, "consistent") else self.follows_from,
            )

    def _check(self, paper: Paper) -> Iterator[Result]:
        raise NotImplementedError


class Judgement(Claim):
    """Words against words: a person has judged them, and `note` says why."""

    rule: Literal["judgement"]
    verdict: Verdict
    certainty: Certainty = "possible"
    expected: str = ""

    def _check(self, paper: Paper) -> Iterator[Result]:
        yield Result(self.verdict, "", self.expected, "", self.certainty)


class Table(Claim):
    """The numbers of a table fit each other, and the confusion matrix that it describes.

    `split` tells where they come from: a ``single`` test set, the ``pooled`` predictions of several folds,
    the mean over ``folds``, or ``unknown``. `also` holds figures printed elsewhere, by their metric.
    """

    rule: Literal["table"]
    table: str = ""
    matrix: str = ""
    split: Literal["single", "pooled", "folds", "unknown"] = "unknown"
    rounding: Literal["rounded", "truncated", "either"] = "either"
    also: dict[str, str] = {}

    def findings(self, paper: Paper) -> Iterator[Finding]:
        """Yield the findings on the table."""
        cells = paper.find(table=self.table)
        table = {(cell.class_name or "", cell.metric): Printed.of(cell) for cell in cells}
        table |= {("", metric): Printed.of(paper.select(name)[0]) for metric, name in self.also.items()}
        matrix = _matrix(paper, self.matrix) if self.matrix else None
        unknown = {name for name, _ in table if name} - {*matrix.class_names} if matrix else set()
        if unknown:
            raise ValueError(
                f"{self.matrix} has no class {min(unknown)}{nearest(min(unknown), matrix.class_names)}"
            )
        yield from check_table(
            table,
            place=Place(paper.key, self.where),
            split=self.split,
            rounding=self.rounding,
            matrix=matrix and (matrix.counts, matrix.class_names),
        )


def _matrix(paper: Paper, name: str) -> ConfusionMatrix:
    matrices = {matrix.table: matrix for matrix in paper.confusion_matrices}
    if name not in matrices:
        raise KeyError(f"no confusion matrix {name!r}{nearest(name, matrices)}")
    return matrices[name]


class Arithmetic(Claim):
    """Statements such as ``{Table 1: men} + {Table 1: women} == {Table 1: all}`` are true.

    A cell in braces is its value (percent as a fraction). `otherwise` is the verdict where one is false.
    """

    rule: Literal["arithmetic"]
    holds: list[str]
    otherwise: Verdict = "inconsistent"
    certainty: Certainty | None = None

    def _check(self, paper: Paper) -> Iterator[Result]:
        names = dict.fromkeys(name for text in self.holds for name in _CELL.findall(text))
        cells = {name: Printed.of(paper.select(name)[0]) for name in names}
        false = [text for text in self.holds if not is_true(text, cells)]
        slip = false and any(
            all(is_true(text, cells | {name: changed}) for text in self.holds)
            for name, printed in cells.items()
            for changed in printed.one_digit_changes()
        )
        units = {
            name: " %" * (cell.unit == "percent" and "%" not in cell.text) for name, cell in cells.items()
        }
        shown = {
            text: _CELL.sub(lambda m: f"{cells[m[1]]}{units[m[1]]}", text).replace("==", "=")
            for text in self.holds
        }
        why = "; ".join(line + " is false" * (text in false) for text, line in shown.items()) + "."
        why += " One changed digit would make it true." if slip and not self.certainty else ""
        verdict = self.otherwise if false and self.otherwise != "inconsistent" else not false
        certainty = self.certainty or ("likely" if slip else "certain")
        yield Result(verdict, ", ".join(map(str, cells.values())), "", why, certainty)


_CELL = re.compile(r"\{(.*?)\}")
_OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Eq: operator.eq, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


def is_true(text: str, cells: Mapping[str, Printed]) -> bool:
    """Return whether a statement of cells, numbers, ``+ - * / //`` and comparisons is true, exactly."""
    names = {name: f"cell{number}" for number, name in enumerate(cells)}
    values = {names[name]: printed.value for name, printed in cells.items()}

    def value(node: ast.AST) -> Fraction | bool:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Fraction(str(number))
            case ast.Name(id=name) if name in values:
                return values[name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Compare(left=left, ops=ops, comparators=others) if {*map(type, ops)} <= {*_OPERATORS}:
                pairs = pairwise([value(left), *map(value, others)])
                return all(_OPERATORS[type(op)](a, b) for op, (a, b) in zip(ops, pairs, strict=True))
        raise SyntaxError

    try:
        return bool(value(ast.parse(_CELL.sub(lambda m: names[m[1]], text), mode="eval").body))
    except (SyntaxError, ZeroDivisionError):
        raise ValueError(f"not a comparison of cells in braces and numbers: {text}") from None


class Same(Claim):
    """Each of `cells` is the cell of the same class and metric in `to`; without such a cell, any of `to`."""

    rule: Literal["same"]
    cells: str
    to: str

    def _check(self, paper: Paper) -> Iterator[Result]:
        cells, others, agreeing = paper.select(self.cells), paper.select(self.to), []
        for cell in cells:
            alike = [o for o in others if (o.class_name, o.metric) == (cell.class_name, cell.metric)]
            printed = Printed.of(cell)
            near = min(map(Printed.of, alike or others), key=lambda other: abs(other.value - printed.value))
            if printed.window().overlaps(near.window()):
                agreeing.append(f"{cell.cell} {printed} and {near}")
                continue
            slip = any(new.window().overlaps(near.window()) for new in printed.one_digit_changes())
            why = f"{printed} stands for {printed.window()}; the nearest number there is {near}."
            why += " One changed digit would make them agree." if slip else ""
            at = cell.cell if len(cells) > 1 else ""
            yield Result(False, printed, near, why, "likely" if slip else "certain", at)
        if agreeing:
            shown = f"{len(agreeing)} of {len(cells)} numbers" if len(cells) > 1 else agreeing[0]
            yield Result(True, shown, "", f"{'; '.join(agreeing)}.")


class Decreasing(Claim):
    """Each of `cells` is smaller than the one before."""

    rule: Literal["decreasing"]
    cells: str

    def _check(self, paper: Paper) -> Iterator[Result]:
        cells = paper.select(self.cells)
        rises = [f"{a.printed} to {b.printed} ({b.cell})" for a, b in pairwise(cells) if b.value > a.value]
        why = (
            f"From {cells[0].printed} to {cells[-1].printed}. Steps that rise: {'; '.join(rises) or 'none'}."
        )
        yield Result(not rises, "decreasing", f"{len(rises)} of {len(cells) - 1} steps rise", why)


class Continues(Claim):
    """A table that continues another one begins where that ends: no jump above every step within them."""

    rule: Literal["continues"]
    first: str
    second: str

    def _check(self, paper: Paper) -> Iterator[Result]:
        before, after = paper.select(self.first), paper.select(self.second)
        largest = max(abs(b.value - a.value) for cells in (before, after) for a, b in pairwise(cells))
        jump = abs(after[0].value - before[-1].value)
        verdict = "consistent" if jump <= largest else "noteworthy"
        why = f"The step between the tables is {jump:.3g}; the largest step within them is {largest:.3g}."
        printed = f"{before[-1].printed}, then {after[0].printed}"
        yield Result(verdict, printed, f"a step of at most {largest:.3g}", why, "possible")


class Repeated(Claim):
    """Two tables of different runs agree in no more rows than chance makes likely.

    `chance` is the probability that one row agrees.
    """

    rule: Literal["repeated"]
    first: str
    second: str
    chance: float = Field(gt=0, lt=1)

    def _check(self, paper: Paper) -> Iterator[Result]:
        first, second = ({c.cell: c.printed for c in paper.select(p)} for p in (self.first, self.second))
        shared = [name for name in first if name in second]
        same = [f"{name} {first[name]}" for name in shared if first[name] == second[name]]
        p = float(binom.sf(len(same) - 1, len(shared), self.chance))
        printed = f"{len(same)} of {len(shared)} rows are equal: {', '.join(same) or 'none'}"
        expected = f"about {len(shared) * self.chance:.2f} of {len(shared)}"
        why = f"With {self.chance:.3f} for one row, so many or more agree with probability {p:.2g}."
        yield Result("consistent" if p >= ALPHA else "noteworthy", printed, expected, why, "possible")


class Composition(Claim):
    """The classes of a test set are a random draw from all; an unlikely draw is noteworthy."""

    rule: Literal["composition"]
    drawn: list[int]
    population: list[int]

    def _check(self, paper: Paper) -> Iterator[Result]:
        n, total = sum(self.drawn), sum(self.population)
        law = multivariate_hypergeom(self.population, n, seed=0)
        p = float(np.mean(law.logpmf(law.rvs(100_000)) <= law.logpmf(self.drawn) + 1e-9))
        printed = " / ".join(map(str, self.drawn))
        expected = " / ".join(f"{k * n / total:.1f}" for k in self.population)
        why = f"A random {n} of {total} has {expected} on average. This draw, or a less likely one, has a "
        why += f"probability of about {p:.2g} (limit {ALPHA})."
        yield Result("consistent" if p >= ALPHA else "noteworthy", printed, expected, why, "possible")


class Diagonal(Claim):
    """The diagonal of a confusion matrix holds the largest cell of each row and of each column."""

    rule: Literal["diagonal"]
    matrix: str

    def _check(self, paper: Paper) -> Iterator[Result]:
        matrix = _matrix(paper, self.matrix)
        counts, names = np.array(matrix.counts), np.array(matrix.class_names)
        others = counts - np.diag(counts.diagonal() + 1)
        rows, columns = (others.max(axis=axis) >= counts.diagonal() for axis in (1, 0))
        wrong = [*(f"row {name}" for name in names[rows]), *(f"column {name}" for name in names[columns])]
        why = f"Rows and columns whose largest cell lies elsewhere: {', '.join(wrong) or 'none'}."
        yield Result(not wrong, "", "the largest of each row and column", why)


@cache
def published_facts(subject: str) -> dict[str, Any]:
    """Return what is published of a data set or a method: an entry of ``data/facts.yaml``."""
    facts = yaml.safe_load((PROJECT / "data/facts.yaml").read_text(encoding="utf-8"))
    if subject not in facts:
        raise KeyError(f"data/facts.yaml has no {subject!r}{nearest(subject, facts)}")
    return facts[subject]


class Fact(Claim):
    """Numbers and words are those of ``data/facts.yaml``, which names their source."""

    rule: Literal["fact"]
    about: str
    fact: str
    cells: str = ""

    def _check(self, paper: Paper) -> Iterator[Result]:
        known = published_facts(self.about)
        fact, source = known[self.fact], f"Source: {known['source']}."
        if not self.cells:
            yield Result(
                self.says.lower() == fact.lower(), "", fact, f"{self.about}: {fact}. {source}", "likely"
            )
        for cell in paper.select(self.cells) if self.cells else []:
            if isinstance(fact, dict) and cell.class_name is None:
                continue  # a total or an average
            number = fact[cell.class_name] if isinstance(fact, dict) else fact
            why, at = f"{self.about}, {self.fact}: {number:,}. {source}", cell.class_name or ""
            yield Result(cell.value == number, cell.printed, f"{number:,}", why, "likely", at)


class Rates(Claim):
    """Rates of n samples are whole numbers divided by n.

    `n` are the possible numbers of samples; the one that fits most rates is taken. `sizes` are the ends of a
    range of numbers that are tried as well, to see whether `n` is the only one that fits.
    """

    rule: Literal["rates"]
    cells: str
    n: list[int]
    sizes: tuple[int, int] | None = None

    def _check(self, paper: Paper) -> Iterator[Result]:
        rates = {cell.cell: Printed.of(cell) for cell in paper.select(self.cells)}
        fitting = {n: sum(fits(rate, n) for rate in rates.values()) for n in self.n}
        n = max(self.n, key=fitting.get)
        if all(rate.unit_of_last_digit * n >= 1 for rate in rates.values()):
            why = f"Steps of 1/{n} are smaller than the printed digits, so every rate fits."
            yield Result("not_checkable", _joined(rates), "", why)
            return
        if self.sizes:
            yield self._size(rates, n)
        good = {name: rate for name, rate in rates.items() if fits(rate, n)}
        if good:
            chance = prod(min(1.0, float(1.5 * n * rate.unit_of_last_digit)) for rate in good.values())
            cut = ", ".join(name for name, rate in good.items() if not fits(rate, n, "rounded"))
            why = f"By chance, these would fit with probability {chance:.2g}."
            why += f" Only if truncated, not rounded: {cut}." if cut else ""
            if len(fitting) > 1:
                why += f" Rates that fit: {', '.join(f'{k} with n = {m}' for m, k in fitting.items())}."
            certainty = "certain" if chance < 0.05 else "possible"
            yield Result(True, _joined(good), f"whole numbers divided by {n}", why, certainty)
        for name in [name for name in rates if name not in good]:
            mended = ", ".join(map(str, mends(rates[name], n)[:4]))
            near = "; ".join(nearest_rates(rates[name], size) for size in self.n)
            why = f"{near}: none prints as {rates[name]}, rounded or truncated."
            why += f" One changed digit gives {mended}, which would fit." if mended else ""
            yield Result(False, rates[name], near, why, "likely" if mended else "certain", name)

    def _size(self, rates: dict[str, Printed], n: int) -> Result:
        first, last = self.sizes
        most, best = best_sizes(rates.values(), sizes=range(first, last + 1), rounding="either")
        listed = ", ".join(map(str, best[:6])) + ", ..." * (len(best) > 6)
        why = f"Of all n from {first:,} to {last:,}, {listed} fit most rates ({most} of {len(rates)})."
        certainty = "certain" if all(size % n == 0 for size in best) else "possible"
        return Result(n in best, n, listed, why, certainty, "number of samples")


def _joined(rates: Mapping[str, Printed]) -> str:
    return ", ".join(f"{name} {rate}" for name, rate in rates.items())


class Steps(Claim):
    """The steps of an epoch tell how a data set was batched and split.

    `images` are the candidates and their numbers of images. With batches first, one of `shares` of the
    batches trains; with the split first, of the images. A last batch that is not full is kept or dropped.
    `rates` of the validation set tell which of the sizes that are left it may have.
    """

    rule: Literal["steps"]
    steps: int
    images: dict[str, int]
    batches: list[int] = [8, 10, 16, 20, 25, 30, 32, 40, 50, 60, 64, 100, 128, 256]
    shares: list[str] = ["1", "9/10", "4/5", "3/4", "7/10"]
    rates: str = ""

    def _check(self, paper: Paper) -> Iterator[Result]:
        found = dict(self._explanations())
        why = f"Tried: {', '.join(self.images)}; shares {', '.join(self.shares)}; usual batch sizes."
        verdict = "consistent" if found else "not_checkable"
        yield Result(verdict, self.steps, "; ".join(found), why, "possible")
        if self.rates:
            rates = [Printed.of(cell) for cell in paper.select(self.rates)]
            left = {n: of for sizes in reversed(found.values()) for n, of in sizes.items()}
            yield self._validation(rates, left)

    def _explanations(self) -> Iterator[tuple[str, dict[int, str]]]:
        """Yield each way to make the steps, with the sizes of a validation set that it leaves."""
        for (name, n), batch, text in product(self.images.items(), self.batches, self.shares):
            share, data = Fraction(text), f"{name} ({n:,}) in batches of {batch}"
            wholes = [whole for whole in (-(-n // batch), n // batch) if int(share * whole) == self.steps]
            if wholes:
                left = _left(wholes[0], self.steps)
                sizes = {k * batch: f"{k} batches of {name}" for k in left}
                short = -n % batch
                sizes |= {k * batch - short: f"{k} batches of {name}, one not full" for k in left}
                yield f"{data}, {text} of {wholes[0]:,} batches" if share < 1 else data, sizes
            train = int(share * n)
            if share < 1 and self.steps in (-(-train // batch), train // batch):
                left = {k: f"{k:,} images of {name}" for k in _left(n, train)}
                yield f"{data}, {text} of the images", left

    def _validation(self, rates: Sequence[Printed], left: Mapping[int, str]) -> Result:
        sizes = sorted(n for n in left if 0 < n * rates[0].unit_of_last_digit < 1)
        fitting = {n: sum(fits(rate, n, "rounded") for rate in rates) for n in sizes}
        good = [f"n = {n:,} ({left[n]})" for n in sizes if fitting[n] == len(rates)]
        why = f"Sizes that are left, and how many of {len(rates)} rates fit each: "
        why += ", ".join(f"{n:,} ({k})" for n, k in fitting.items()) + "."
        verdict = "consistent" if good else "not_checkable"
        return Result(verdict, ", ".join(map(str, rates)), " or ".join(good), why, "possible", "validation")


def _left(whole: int, train: int) -> set[int]:
    """Return the sizes of a validation set: a tenth, half of what does not train, or all of that."""
    rest = whole - train
    return {whole // 10, rest // 2, -(-rest // 2), rest} if rest else set()


RULES = [cls.model_fields["rule"].annotation.__args__[0] for cls in Claim.__subclasses__()]


class _Claims(BaseModel):
    claims: list[
        Annotated[
            Judgement | Table | Arithmetic | Same | Decreasing | Continues | Repeated | Composition | Diagonal
            | Fact | Rates | Steps,
            Field(discriminator="rule"),
        ]
    ]  # fmt: skip


def audit(paper: Paper, *, tables: Mapping[str, Table] | None = None) -> list[Finding]:
    """Return the findings on `tables` (place in the file to table) and on every claim of a paper.

    Raises
    ------
    ValueError
        If a claim lacks a key, has an unknown one, or names a cell that the paper does not print.
    """
    claims = {f"claims.{number}": claim for number, claim in enumerate(_Claims(claims=paper.claims).claims)}
    findings = []
    for name, claim in ((tables or {}) | claims).items():
        try:
            findings += claim.findings(paper)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{name}: {error.args[0]}") from error
    return findings
