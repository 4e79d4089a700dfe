"""Results of imagined runs, for tests of tables and pages."""

import json
from pathlib import Path

from fer_utils.papers import load_paper


def metric(value, low=None, high=None, n=3534):
    return {"value": value, "ci95": None if low is None else [low, high], "n": n}


def published(table: str, cell: str, compared_with: str) -> dict:
    it = load_paper("kumar2021").cell(table, cell)
    found = {"paper": it.paper, "table": table, "cell": cell, "metric": it.metric}
    return found | {"value": it.value, "printed": it.printed, "compared_with": compared_with}


def study(run="10_baseline_cnn--kumar2021", *, profile="reference", source="real", **changes) -> dict:
    """Return the content of a finished run's results.json."""
    result = {
        "kind": "study", "status": "done", "run": run, "variant": "kumar2021", "notebook": "10_baseline_cnn",
        "profile": profile, "paper": "kumar2021",
        "dataset": {"name": "FER-2013", "source": source, "samples": 35340, "classes": ["angry", "happy"],
                    "fingerprint": "0123abcd", "form": "csv"},
        "protocol": {"split": "official split", "selection": "epoch best on PublicTest",
                     "subject_independent": None, "leakage": "none",
                     "overlap": {"exact_duplicates": 1200}, "seed": 0},
        "metrics": {"accuracy": metric(0.562, 0.5455, 0.5782), "macro_f1": metric(0.527, 0.51, 0.545)},
        "other_metrics": {"majority_baseline": {"accuracy": metric(0.249, 0.235, 0.263)},
                          "chance_baseline": {"accuracy": metric(1 / 6)},
                          "validation": {"accuracy": metric(0.571, 0.55, 0.59), "loss": metric(1.2)}},
        "per_class": [{"class": "happy", "support": 879, "precision": 0.8, "recall": 0.78, "f1": 0.79,
                       "auc": 0.95}],
        "confusion_matrix": [[1, 2], [3, 4]],
        "published": [published("Table 2", "Accuracy / f1", "accuracy"),
                      published("Table 2", "Happy / f1", "per_class.happy.f1"),
                      published("Section 5", "35 epochs / accuracy", "validation.accuracy")],
        "compute": {"device": "cpu", "device_name": "Some CPU", "seconds": 3000.0, "epochs": 35},
        "environment": {"python": "3.11", "packages": {"keras": "3"}, "platform": "Linux",
                        "commit": "abc123", "created": "2026-01-01T00:00:00Z"},
        "params": {"seed": 0},
    }  # fmt: skip
    return result | changes


def without_result(run="10_baseline_cnn--raf", reason="no data", status="not_run", **changes) -> dict:
    """Return the content of the results.json of a run that did not finish."""
    keys = ("kind", "variant", "notebook", "profile", "paper")
    heading = {key: study()[key] for key in keys} | {"run": run, "status": status, "reason": reason}
    return heading | changes


def put(folder: Path, result: dict) -> Path:
    path = folder / result["run"] / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result), encoding="utf-8")
    return path
