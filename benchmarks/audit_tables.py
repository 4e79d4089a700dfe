"""False alarms and misses of the audit on invented tables. ``python benchmarks/audit_tables.py 5000``.

True tables are printed from confusion matrices of random predictions, 2 to 10 classes and 20 to 40,000
samples, of one test set, of pooled folds, or as means over 2 to 10 folds; in one of 9 ways of rounding and in
several of working out F1 and averages. Wrong tables have one digit changed by more than its rounding.
"""

import sys
import time
from collections import Counter
from fractions import Fraction
from math import floor

import numpy as np

from fer_utils.audit.findings import Finding
from fer_utils.audit.rounding import Printed
from fer_utils.audit.tables import check_table, figures_of

ROUNDINGS = {"to even": round, "half up": lambda x: floor(x + Fraction(1, 2)), "truncated": floor}
COUNTS = ("support", "predicted_count")
REPORT = [f"{kind}_{m}" for kind in ("macro", "weighted") for m in ("precision", "recall", "f1")]
REPORT = ("precision", "recall", "f1", "support", "accuracy", *REPORT)
OVERALL = ("support", "accuracy", "macro_recall", "macro_f1")
PARTS = {
    "report": REPORT,
    "report with more figures": (*REPORT, "specificity", "macro_specificity", "mcc", "cohen_kappa"),
    "rows": ("precision", "recall", "f1", "support"),
    "no precision": tuple(m for m in REPORT if m != "precision"),
    "no recall": tuple(m for m in REPORT if m != "recall"),
    "no F1": tuple(m for m in REPORT if m != "f1"),
    "no support": tuple(m for m in REPORT if m != "support"),
    "overall": OVERALL,
    "more overall": (*OVERALL, "mcc", "cohen_kappa", "macro_specificity", "weighted_f1"),
}
"""Metrics that a table prints."""


def shown(value: Fraction, *, decimals: int = 2, way: str = "to even", unit: str = "fraction") -> Printed:
    """Print a value as papers do."""
    if unit == "count":
        return Printed(str(int(value)), "count")
    whole = ROUNDINGS[way](abs(value) * (100 if unit == "percent" else 1) * 10**decimals)
    text = f"{whole // 10**decimals}.{whole % 10**decimals:0{decimals}d}" if decimals else str(whole)
    return Printed("-" * (value < 0) + text, unit)


def random_matrix(rng: np.random.Generator, *, most_classes: int = 10) -> list[list[int]]:
    """Return the confusion matrix of predictions of a random skill on a random test set.

    From even classes to ones without a sample; in three of ten matrices a class is never predicted.
    """
    classes, n = int(rng.integers(2, most_classes + 1)), int(np.exp(rng.uniform(np.log(20), np.log(40_000))))
    truth = rng.choice(classes, size=n, p=rng.dirichlet(np.full(classes, rng.choice([0.2, 0.5, 2, 20]))))
    guess = rng.choice(classes, size=n, p=rng.dirichlet(np.full(classes, rng.choice([0.2, 2]))))
    guess = np.where(rng.random(n) < rng.uniform(0, 1), truth, guess)
    if rng.random() < 0.3:
        never = rng.integers(classes)
        guess[guess == never] = (never + 1) % classes
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (truth, guess), 1)
    return counts.tolist()


def names_of(counts: list[list[int]]) -> list[str]:
    return [f"class {chr(97 + i)}" for i in range(len(counts))]


def fold_means(rng: np.random.Generator, counts: list[list[int]], *, undefined: int) -> dict:
    """Return the means over 2 to 10 folds: stratified, random, or of unequal sizes as with subjects."""
    cells, k, way = np.array(counts), int(rng.integers(2, 11)), rng.integers(3)
    truth, guess = (np.repeat(index.ravel(), cells.ravel()) for index in np.indices(cells.shape))
    order = rng.permutation(len(truth))
    fold = rng.choice(k, size=len(truth), p=rng.dirichlet(np.full(k, 2)) if way == 2 else None)
    if way == 0:
        order = order[np.argsort(truth[order], kind="stable")]
        fold[order] = np.arange(len(truth)) % k
    folds = np.zeros((k, *cells.shape), int)
    np.add.at(folds, (fold, truth, guess), 1)
    each = [figures_of(f.tolist(), names_of(counts), undefined=undefined) for f in folds if f.any()]
    totals = figures_of(counts, names_of(counts))
    means = {key: sum(float(f[key]) for f in each) / len(each) for key in totals}
    return {
        k: totals[k] if k[1] in COUNTS else Fraction(v).limit_denominator(10**12) for k, v in means.items()
    }


def print_table(rng: np.random.Generator, figures: dict, metrics: tuple[str, ...] = REPORT) -> dict:
    """Print some of a table's figures in a random way."""
    unit, decimals = str(rng.choice(["fraction", "percent"])), int(rng.choice([2, 2, 2, 3, 4]))
    way, decimals = str(rng.choice(list(ROUNDINGS))), decimals - 2 * (unit == "percent")
    return {
        key: shown(v, decimals=decimals, way=way, unit="count" if key[1] in COUNTS else unit)
        for key, v in figures.items()
        if key[1] in metrics
    }


def by_hand(table: dict) -> dict:
    """Work out F1 and the averages from the printed rows, as with a spreadsheet, rounded half up."""
    names, example = list(dict.fromkeys(name for name, _ in table if name)), table["", "accuracy"]
    decimals, made = len(example.text.partition(".")[2]), dict(table)

    def print_like_the_rest(value: Fraction) -> Printed:
        return shown(value, decimals=decimals, way="half up", unit=example.unit)

    for name in names:
        p, r = (table[name, metric].value for metric in ("precision", "recall"))
        made[name, "f1"] = print_like_the_rest(2 * p * r / (p + r) if p + r else Fraction(0))
    for metric in ("precision", "recall", "f1"):
        rows = [(made[name, metric].value, made[name, "support"].value) for name in names]
        made["", f"macro_{metric}"] = print_like_the_rest(sum(v for v, _ in rows) / len(rows))
        weighted = sum(v * n for v, n in rows) / sum(n for _, n in rows)
        made["", f"weighted_{metric}"] = print_like_the_rest(weighted)
    return made


def true_table(rng: np.random.Generator, *, kind: str, part: str) -> dict:
    """Return a true table of a kind of split; a quarter with 0/0 as 1, a quarter worked out by hand."""
    counts, undefined = random_matrix(rng), int(rng.random() < 0.25)
    if kind == "folds":
        return print_table(rng, fold_means(rng, counts, undefined=undefined), PARTS[part])
    table = print_table(rng, figures_of(counts, names_of(counts), undefined=undefined), PARTS[part])
    return by_hand(table) if part == "report" and rng.random() < 0.25 else table


def one_digit_wrong(rng: np.random.Generator, table: dict) -> dict:
    """Change one digit of one number by more than its rounding."""
    while True:
        key = list(table)[rng.integers(len(table))]
        rate = table[key].unit != "count"
        least = table[key].last_digit if rate else 0
        changes = [new for new in table[key].one_digit_changes() if not rate or new.value <= 1]
        if changes := [new for new in changes if abs(new.value - table[key].value) > least]:
            return table | {key: changes[rng.integers(len(changes))]}


def check(table: dict, **how) -> list[Finding]:
    return list(check_table(table, where="Table 1", **how))


def wrong(found: list[Finding]) -> bool:
    return any(finding.verdict == "inconsistent" for finding in found)


def false_alarm(rng: np.random.Generator) -> tuple[str, list[Finding], dict]:
    """Check a true table whose split is stated, or in half of the tables unknown."""
    kind, part = str(rng.choice(["single", "pooled", "folds"])), str(rng.choice(list(PARTS)))
    table = true_table(rng, kind=kind, part=part)
    stated = kind if rng.random() < 0.5 else "unknown"
    return f"{kind}, stated {stated}, {part}", check(table, split=stated), table


def detected(rng: np.random.Generator, *, with_matrix: bool) -> bool:
    """Return whether one wrong digit in a full report is found."""
    counts = random_matrix(rng)
    table = one_digit_wrong(rng, print_table(rng, figures_of(counts, names_of(counts))))
    matrix = (counts, names_of(counts)) if with_matrix else None
    return wrong(check(table, split="single", matrix=matrix))


def main(tables: int) -> None:
    """Print the counts."""
    start, alarms, undecided, kinds = time.time(), Counter(), 0, Counter()
    for seed in range(tables):
        what, found, _ = false_alarm(np.random.default_rng(seed))
        kinds[what.partition(",")[0]] += 1
        undecided += any("Not decided" in finding.explanation for finding in found)
        if wrong(found):
            alarms[what] += 1
            print(f"false alarm, seed {seed}: {what}")
    print(f"{tables} true tables {dict(kinds)}: {sum(alarms.values())} false alarms {dict(alarms)}")
    print(f"search undecided in {undecided}; {(time.time() - start) / tables:.3f} s a table")
    for with_matrix in (True, False):
        found = [
            detected(np.random.default_rng(seed), with_matrix=with_matrix) for seed in range(tables // 5)
        ]
        how = "with" if with_matrix else "without"
        print(f"one wrong digit, {how} a matrix: {sum(found)} of {len(found)} found")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
