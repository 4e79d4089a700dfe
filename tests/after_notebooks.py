"""Trainings learn: `make test` runs this after it has executed the notebooks with their default parameters.

A fault that stops a network from learning leaves the code running, so results are compared with the baseline.
Runs of the smoke profile are checked too, where `make reproduce` has made them.
"""

import pytest

from fer_utils.comparison import paired_difference
from fer_utils.files import PROJECT, read_json
from fer_utils.predictions import Predictions
from fer_utils.run import profile_runs

TRAININGS = ("10_", "20_", "30_", "31_", "40_", "41_")
EXEMPT = {"reports/smoke/20_hybrid_hog_cnn--frames", "reports/smoke/40_fastai_transfer--random"}
"""Frames with subjects held out, and a large network from random weights: expected to fail, as a result."""
BY_HAND = [f"reports/by_hand/{path.stem}" for path in sorted((PROJECT / "notebooks").glob("*.ipynb"))]
SMOKE = [f"reports/smoke/{run}" for run in profile_runs(PROJECT / "params" / "smoke")]
RUNS = [run for run in BY_HAND + SMOKE if run.split("/")[-1].startswith(TRAININGS) and run not in EXEMPT]


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_a_short_training_is_clearly_better_than_the_majority_class(run):
    path = PROJECT / run / "results.json"
    if run in SMOKE and not path.is_file():
        pytest.skip(f"{run} has not been run")
    results = read_json(path)
    network, majority = results["metrics"], results["other_metrics"]["majority_baseline"]
    assert network["accuracy"]["ci95"][0] > majority["accuracy"]["value"], (network, majority)


def test_imagenet_weights_are_better_than_random_ones():
    paths = [PROJECT / f"reports/smoke/40_fastai_transfer{arm}/predictions.npz" for arm in ("", "--random")]
    if not all(path.is_file() for path in paths):
        pytest.skip("the two runs have not been made")
    assert paired_difference(*([Predictions.load(path)] for path in paths)).interval[0] > 0
