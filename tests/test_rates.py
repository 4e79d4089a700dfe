"""The rate finder changes nothing, its rules read the curve, and the drawn schedule is the one that runs."""

import numpy as np
import pytest

from fer_utils.files import ConfigError
from fer_utils.splits import official_split
from fer_utils.synthetic import synthetic_faces


@pytest.fixture(scope="module")
def rates():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.training import fastai_fit, rates

    fastai_fit.prepare(threads=1, device="cpu")
    return rates


@pytest.fixture(scope="module")
def learn(rates):
    import torch
    from torch import nn

    from fer_utils.training import fastai_fit

    torch.manual_seed(0)
    split = official_split(synthetic_faces(n_subjects=4, images_per_subject=14))
    scale = nn.AvgPool2d(6, divisor_override=36 * 255)
    model = nn.Sequential(scale, nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 7))
    settings = {"batch_size": 8, "learning_rate": 0.02, "seed": 0, "device": "cpu"}
    return fastai_fit.learner(model, split.train, split.validation, **settings)


def test_the_finder_leaves_the_network_as_it_was(rates, learn):
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    found = rates.find_rates(learn, steps=60)
    after = learn.model.state_dict()
    assert all((value == after[name]).all() for name, value in before.items())  # running means, too
    assert (np.diff(found.rates) > 0).all() and np.isfinite(found.losses).all()
    assert set(found.suggestions) == set(rates.RULES)
    assert all(found.rates[0] <= rate <= found.rates[-1] for rate in found.suggestions.values())


def test_too_few_batches_are_refused(rates, learn):
    with pytest.raises(ConfigError, match="rate_steps=5: at least 20"):
        rates.find_rates(learn, steps=5)


def test_each_rule_reads_the_curve_as_it_says(rates):
    x = np.geomspace(1e-6, 10, 71)
    fall = 2 - 1.5 / (1 + np.exp(-4 * (np.log10(x) + 3)))  # steepest at 1e-3
    y = fall + np.where(x > 0.1, 8 * np.log10(x / 0.1) ** 2, 0)
    said = rates.suggest(x, y)
    assert said["steep"] == pytest.approx(1e-3, rel=0.5)
    assert said["minimum"] == x[y.argmin()] == pytest.approx(0.1, rel=0.2)
    falling = rates.suggest(x[:40], np.linspace(2, 1, 40))
    assert x[18] <= falling["valley"] <= x[21]


def test_rates_are_spread_by_equal_factors_or_all_alike(rates):
    assert rates.spread(0.1, 0.001, groups=3) == pytest.approx([0.001, 0.01, 0.1])
    assert rates.spread(0.003, None, groups=3) == [0.003] * 3


def test_the_drawn_schedule_is_the_one_that_the_training_ran(rates, learn):
    from fastai.callback.core import Callback

    seen = []

    class Look(Callback):
        order = 61  # after the schedule

        def before_batch(self) -> None:
            if self.training:
                hyper = self.opt.hypers[-1]
                seen.append((float(self.learn.pct_train), float(hyper["lr"]), float(hyper["mom"])))

    with learn.no_logging():
        learn.fit_one_cycle(2, 0.02, cbs=[Look()])
    moments, ran, momentum = np.transpose(seen)
    plan = rates.plan("one_cycle", [0.02], epochs=2, momentum=0.9, points=2001)
    # The schedule sets the values of a moment before the batch that begins then.
    np.testing.assert_allclose(np.interp(2 * moments, plan["epoch"], plan["rate"]), ran, rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(np.interp(2 * moments, plan["epoch"], plan["momentum"]), momentum, atol=1e-3)


def test_a_cosine_falls_from_each_groups_highest_rate_to_nothing_and_a_constant_stays(rates):
    falling = rates.plan("cosine", [0.01, 0.1], epochs=3, momentum=0.8, points=31)
    for group, highest in ((1, 0.01), (2, 0.1)):
        rows = falling[falling["group"] == group]
        expected = highest * (1 + np.cos(np.pi * rows["epoch"] / 3)) / 2
        np.testing.assert_allclose(rows["rate"], expected, atol=highest * 1e-4)
    assert set(falling["momentum"]) == {0.8}
    assert set(rates.plan("constant", [0.1], epochs=3, momentum=0.8)["rate"]) == {0.1}
    with pytest.raises(ConfigError, match="schedule=linear: use constant or one_cycle or cosine"):
        rates.plan("linear", [0.1], epochs=3, momentum=0.8)
