"""Rules that check what a paper says of its numbers; `fer_utils.audit.tables` checks the tables themselves.

A claim is an entry under ``claims`` in a paper's file: its ``rule``, and ``where`` the paper makes it.
``says`` is the claim in the paper's words, and ``note`` adds to the explanation. ``unless`` is another
reading of the paper in which the claim would be true; a claim that fails is then not checkable.
``follows_from`` is the location of another finding with the same cause. Cells are named ``<table>: <cell>``,
with ``*`` for any text.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal, get_args

import numpy as np
import yaml
from pydantic import BaseModel, Field
from scipy.stats import multivariate_hypergeom

from fer_utils.audit.findings import Certainty, Finding, Verdict
from fer_utils.audit.rounding import Printed, fits, nearest_rates, overlap
from fer_utils.audit.tables import check_table
from fer_utils.files import PROJECT, nearest
from fer_utils.papers import Paper

ALPHA = 0.005
"""An event less likely than this is noteworthy: a low limit, because many claims are checked."""

_verdict = {True: "consistent", False: "inconsistent"}.get


class Claim(BaseModel, extra="forbid"):
    """What all claims have in common.

    A rule's `_check` yields place within the claim, verdict, what is printed, expected, why, and certainty.
    """

    rule: str
    where: str
    says: str = ""
    note: str = ""
    unless: str = ""
    follows_from: str = ""

    def findings(self, paper: Paper) -> Iterator[Finding]:
        """Yield the findings on this claim."""
        for place, verdict, printed, expected, why, certainty in self._check(paper):
            why = f"{why} {self.note}".strip()
            if verdict == "inconsistent" and self.unless:
                verdict, certainty, why = "not_checkable", "possible", f"{why} {self.unless}"
            where = f"{self.where}: {place}" if place else self.where
            cause = "" if verdict == "consistent" else self.follows_from
            printed = str(self.says or printed)
            yield Finding(where, self.rule, verdict, printed, str(expected), why, certainty, cause)


class Judgement(Claim):
    """Words against words: a person has judged them, and `note` says why."""

    rule: Literal["judgement"]
    verdict: Verdict
    certainty: Certainty = "possible"
    expected: str = ""

    def _check(self, paper: Paper) -> Iterator[tuple]:
        yield "", self.verdict, "", self.expected, "", self.certainty


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
        cells = [cell for cell in paper.find(table=self.table) if cell.metric != "count"]
        table = {(cell.class_name or "", cell.metric): Printed.of(cell) for cell in cells}
        table |= {("", metric): Printed.of(paper.select(name)[0]) for metric, name in self.also.items()}
        matrix, matrices = None, {each.table: each for each in paper.confusion_matrices}
        if self.matrix:
            if self.matrix not in matrices:
                raise KeyError(f"no confusion matrix {self.matrix!r}{nearest(self.matrix, matrices)}")
            matrix = matrices[self.matrix].counts, (names := matrices[self.matrix].class_names)
            for name in sorted({name for name, _ in table if name} - {*names}):
                raise ValueError(f"{self.matrix} has no class {name}{nearest(name, names)}")
        how = {"split": self.split, "rounding": self.rounding}
        yield from check_table(table, where=self.where, matrix=matrix, **how)


class Arithmetic(Claim):
    """Statements such as ``{Table 1: men} + {Table 1: women} == {Table 1: all}`` are true.

    A cell in braces is its value (percent as a fraction), and a name with ``*`` the list of such cells, for
    ``max``, ``sum``, ``decreasing`` or the largest ``step``. `otherwise` is the verdict where one is false.
    """

    rule: Literal["arithmetic"]
    holds: list[str]
    otherwise: Verdict = "inconsistent"
    certainty: Certainty | None = None

    def _check(self, paper: Paper) -> Iterator[tuple]:
        names = dict.fromkeys(name for text in self.holds for name in _ATOM.findall(text) if name)
        cells = {name: [Printed.of(cell) for cell in paper.select(name)] for name in names}
        false = [text for text in self.holds if not is_true(text, cells)]
        slip = false and any(
            all(is_true(text, cells | {name: [*printed[:i], new, *printed[i + 1 :]]}) for text in self.holds)
            for name, printed in cells.items()
            for i, one in enumerate(printed)
            for new in one.one_digit_changes()
        )
        signs = {name: " %" * (printed[0].unit == "percent") for name, printed in cells.items()}
        shown = {k: ", ".join(f"{one}{signs[k]}".replace("% %", "%") for one in cells[k]) for k in cells}
        filled = {text: _ATOM.sub(lambda m: shown.get(m[1], m[0]), text) for text in self.holds}
        texts = (f"{filled[text].replace('==', '=')}{' is false' * (text in false)}" for text in filled)
        why = f"{'; '.join(texts)}." + " One changed digit would make it true." * bool(
            slip and not self.certainty
        )
        printed = ", ".join(str(one) for several in cells.values() for one in several)
        certainty = self.certainty or ("likely" if slip else "certain")
        yield "", self.otherwise if false else "consistent", printed, "", why, certainty


_ATOM = re.compile(r"\{(.*?)\}|(?:\d[\d_]*)?\.?\d+(?:e-?\d+)?")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.cmpop)
_SYNTAX = (ast.Expression, ast.Compare, ast.BinOp, ast.Call, ast.Name, ast.Load, *_OPERATORS)
_FUNCTIONS = {
    "max": max,
    "sum": sum,
    "decreasing": lambda cells: all(a >= b for a, b in pairwise(cells)),
    "step": lambda cells: max(abs(b - a) for a, b in pairwise(cells)),
}


def is_true(text: str, cells: Mapping[str, list[Printed]]) -> bool:
    """Return whether a statement of cells, numbers, ``+ - * / //`` and comparisons is true, exactly."""
    names: dict[str, Any] = dict(_FUNCTIONS)

    def name(atom: re.Match) -> str:
        values = [one.value for one in cells[atom[1]]] if atom[1] else [Fraction(atom[0])]
        names[new := f"_{len(names)}"] = values if "*" in (atom[1] or "") else values[0]
        return new

    try:
        tree = ast.parse(_ATOM.sub(name, text), mode="eval")
        if all(isinstance(node, _SYNTAX) for node in ast.walk(tree)):  # hence no attributes and no builtins
            return bool(eval(compile(tree, text, "eval"), {"__builtins__": {}}, names))
    except (SyntaxError, TypeError, NameError, ZeroDivisionError):
        pass
    raise ValueError(f"not a comparison of cells in braces and numbers: {text}")


class Same(Claim):
    """Each of `cells` is the cell of the same class and metric in `to`; without such a cell, any of `to`."""

    rule: Literal["same"]
    cells: str
    to: str

    def _check(self, paper: Paper) -> Iterator[tuple]:
        cells, others, agreeing = paper.select(self.cells), paper.select(self.to), []
        for cell in cells:
            alike = [o for o in others if (o.class_name, o.metric) == (cell.class_name, cell.metric)]
            printed = Printed.of(cell)
            near = min(map(Printed.of, alike or others), key=lambda other: abs(other.value - printed.value))
            agree = [overlap(new.ends(), near.ends()) for new in (printed, *printed.one_digit_changes())]
            if agree[0]:
                agreeing.append(f"{cell.cell} {printed} and {near}")
                continue
            why = f"The nearest number there is {near}."
            why += " One changed digit would make them agree." * any(agree)
            place, certainty = cell.cell * (len(cells) > 1), "likely" if any(agree) else "certain"
            yield place, "inconsistent", printed, near, why, certainty
        if agreeing:
            shown = f"{len(agreeing)} of {len(cells)} numbers" if len(cells) > 1 else agreeing[0]
            yield "", "consistent", shown, "", f"{'; '.join(agreeing)}.", "certain"


class Composition(Claim):
    """The classes of a test set are a random draw from all; an unlikely draw is noteworthy."""

    rule: Literal["composition"]
    drawn: list[int]
    population: list[int]

    def _check(self, paper: Paper) -> Iterator[tuple]:
        n, total = sum(self.drawn), sum(self.population)
        law = multivariate_hypergeom(self.population, n, seed=0)
        p = float(np.mean(law.logpmf(law.rvs(100_000)) <= law.logpmf(self.drawn) + 1e-9))
        expected = " / ".join(f"{k * n / total:.1f}" for k in self.population)
        why = f"This draw of {n} from {total}, or a less likely one, has a probability of about {p:.2g}."
        verdict = "consistent" if p >= ALPHA else "noteworthy"
        yield "", verdict, " / ".join(map(str, self.drawn)), expected, why, "possible"


@cache
def published_facts(subject: str) -> dict[str, Any]:
    """Return an entry of ``data/facts.yaml``: what is published of a data set or a method."""
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

    def _check(self, paper: Paper) -> Iterator[tuple]:
        known = published_facts(self.about)
        fact, why = known[self.fact], f"{self.about}, {self.fact}. Source: {known['source']}."
        if not self.cells:
            yield "", _verdict(self.says.lower() == fact.lower()), "", fact, why, "likely"
        for cell in paper.select(self.cells) if self.cells else []:
            number = fact.get(cell.class_name) if isinstance(fact, dict) else fact
            if number is not None:  # not a total or an average
                holds = _verdict(cell.value == number)
                yield cell.class_name or "", holds, cell.printed, f"{number:,}", why, "likely"


class Rates(Claim):
    """Rates of n samples are whole numbers divided by n.

    `n` are the possible numbers of samples; the one that fits most rates is taken. `sizes` are the ends of a
    range of numbers that are tried as well, to see whether `n` is the only one that fits.
    """

    rule: Literal["rates"]
    cells: str
    n: list[int]
    sizes: tuple[int, int] | None = None

    def _check(self, paper: Paper) -> Iterator[tuple]:
        rates = {cell.cell: Printed.of(cell) for cell in paper.select(self.cells)}
        fitting = {n: [name for name, rate in rates.items() if fits(rate, n)] for n in self.n}
        n = max(self.n, key=lambda n: len(fitting[n]))
        good = {name: rates[name] for name in fitting[n]}
        joined = ", ".join(f"{name} {rate}" for name, rate in (good or rates).items())
        if all(rate.last_digit * n >= 1 for rate in rates.values()):
            why = f"Steps of 1/{n} are smaller than the printed digits, so every rate fits."
            yield "", "not_checkable", joined, "", why, "certain"
            return
        if self.sizes:
            sizes = np.arange(self.sizes[0], self.sizes[1] + 1)
            counts = np.sum([fits(rate, sizes) for rate in rates.values()], axis=0)
            best, most = sizes[counts == counts.max()], counts.max()
            listed = ", ".join(map(str, best[:6])) + ", ..." * (len(best) > 6)
            why = f"Of all n from {sizes[0]:,} to {sizes[-1]:,}, these fit most ({most} of {len(rates)})."
            certainty = "possible" if (best % n).any() else "certain"
            yield "number of samples", _verdict(n in best), n, listed, why, certainty
        if good:
            chance = len(self.n) * prod(min(1.0, 1.5 * n * rate.last_digit) for rate in good.values())
            cut = ", ".join(name for name, rate in good.items() if not fits(rate, n, "rounded"))
            counts = ", ".join(f"{len(names)} with n = {size}" for size, names in fitting.items())
            why = f"Rates that fit: {counts}."
            why += f" By chance, so many would fit with probability {min(1.0, chance):.2g}."
            why += f" Only if truncated, not rounded: {cut}." if cut else ""
            certainty = "certain" if chance < 0.05 else "possible"
            yield "", "consistent", joined, f"whole numbers divided by {n}", why, certainty
        for name in [name for name in rates if name not in good]:
            mended = [str(new) for new in rates[name].one_digit_changes() if fits(new, n)][:4]
            near = "; ".join(nearest_rates(rates[name], size) for size in self.n)
            why = f"None prints as {rates[name]}, rounded or truncated."
            why += f" One changed digit gives {', '.join(mended)}, which would fit." if mended else ""
            yield name, "inconsistent", rates[name], near, why, "likely" if mended else "certain"


_AnyClaim = Judgement | Table | Arithmetic | Same | Composition | Fact | Rates
RULES = [get_args(cls.model_fields["rule"].annotation)[0] for cls in get_args(_AnyClaim)]


class _Claims(BaseModel):
    claims: list[Annotated[_AnyClaim, Field(discriminator="rule")]]


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
            findings += [replace(found, paper=paper.key) for found in claim.findings(paper)]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{name}: {error.args[0]}") from error
    return findings
