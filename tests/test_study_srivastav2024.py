"""srivastav2024's two stages go from parameters to predictions; what starts them is never in doubt."""

import numpy as np
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.params import FastaiTransfer, notebook_defaults
from fer_utils.splits import Split, official_split
from fer_utils.synthetic import synthetic_faces


@pytest.fixture(scope="module")
def study():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.studies import srivastav2024
    from fer_utils.training import fastai_fit

    fastai_fit.prepare(threads=1, device="cpu")
    return srivastav2024


@pytest.fixture(scope="module")
def split() -> Split:
    return official_split(synthetic_faces(n_subjects=4, images_per_subject=14))


@pytest.fixture
def params(tmp_path):
    def make(**own) -> FastaiTransfer:
        short = {
            "epochs": 2,
            "frozen_epochs": 1,
            "batch_size": 14,
            "checkpoint_dir": str(tmp_path),
            "rate_steps": 20,
        }
        return FastaiTransfer.from_values(notebook_defaults("40_fastai_transfer") | short | own, where="test")

    return make


def trained(study, params, split, *, frozen, model, rate=0.01):
    return study.train(params, model, split, highest=rate, frozen=frozen, device="cpu", log=lambda line: None)


def same(first, second) -> bool:
    return all(np.array_equal(array, second[name]) for name, array in first.items())


def test_the_second_stage_goes_on_from_the_first_and_both_repeat(study, params, split, tmp_path):
    said = {}
    for attempt in ("once", "again", "without the first stage"):
        p = params(checkpoint_dir=str(tmp_path / attempt))
        model, stages = study.build(p, split.train), {}
        if attempt != "without the first stage":
            stages["frozen"] = trained(study, p, split, frozen=True, model=model)
        stages["unfrozen"] = trained(study, p, split, frozen=False, model=model)
        assert all(stage.fit.resumed_from == 0 for stage in stages.values())
        said[attempt] = study.predict(model, split.test).probabilities
    assert np.array_equal(said["once"], said["again"])
    assert not np.array_equal(said["once"], said["without the first stage"])


def test_the_protocol_says_how_rates_and_epochs_came_about(study, params, split):
    p = params()
    model = study.build(p, split.train)
    stages = {"frozen": trained(study, p, split, frozen=True, model=model, rate=0.02)}
    stages["unfrozen"] = trained(study, p, split, frozen=False, model=model)
    said = study.selection(p, stages)
    assert [len(stage.fit.history) for stage in stages.values()] == [1, 2]
    assert said.startswith("epochs: 1 with a frozen body, then ")
    assert "of 2, best on validation" in said
    assert said.endswith("highest learning rate 0.02 and 0.01 (fixed)")


def test_the_stages_see_different_batches(study, params, split):
    """Else the second one would know the first one's pictures and masks again."""
    (first, _), (second, _) = (study.first_batch(params(), split, frozen=frozen) for frozen in (True, False))
    assert first.shape == second.shape == (14, 48, 48) and not np.array_equal(first, second)


def test_top_losses_are_the_samples_whose_truth_got_least(study, params, split):
    said = study.predict(study.build(params(), split.train), split.test)
    worst = study.top_losses(said, 3)
    losses = -np.log(said.probabilities[np.arange(len(said)), said.truth])
    assert losses[worst].tolist() == sorted(losses, reverse=True)[:3]


def test_a_stage_that_was_killed_goes_on_to_the_same_weights(study, params, split, tmp_path):
    class Killed(BaseException):
        pass

    def kill(line):
        if line.startswith("epoch   1"):
            raise Killed

    whole = study.build(params(), split.train)
    trained(study, params(), split, frozen=False, model=whole)
    again = params(checkpoint_dir=str(tmp_path / "again"))
    with pytest.raises(Killed):
        study.train(
            again, study.build(again, split.train), split, highest=0.01, frozen=False, device="cpu", log=kill
        )
    model = study.build(again, split.train)
    stage = trained(study, again, split, frozen=False, model=model)
    assert stage.fit.resumed_from == 1
    assert same(study.arrays(whole), study.arrays(model))


def test_the_finder_and_its_rule_leave_the_network(study, params, split):
    p = params(rate_rule="minimum")
    model = study.build(p, split.train)
    before = study.arrays(model)
    found = study.rate_finder(p, model, split, frozen=True, device="cpu")
    assert same(before, study.arrays(model)) and all(one.requires_grad for one in model.parameters())
    assert study.highest_rate(p, found, frozen=True) == found.suggestions["minimum"]
    fixed = params(frozen_learning_rate=0.5, learning_rate=0.25)
    assert [study.highest_rate(fixed, found, frozen=frozen) for frozen in (True, False)] == [0.5, 0.25]


def test_rates_are_spread_over_the_groups_in_the_second_stage_alone(study, params, split):
    p = params(rate_spread=100.0, epochs=1)
    model = study.build(p, split.train)
    assert trained(study, p, split, frozen=True, model=model).rates == [0.01]
    second = trained(study, p, split, frozen=False, model=model)
    assert second.rates == pytest.approx([0.0001, 0.001, 0.01])


def test_the_epoch_table_has_the_papers_columns_and_counts_from_zero(study, params, split):
    model = study.build(params(), split.train)
    stage = trained(study, params(), split, frozen=False, model=model)
    table = study.epoch_table(stage.fit)
    assert list(table) == ["train_loss", "valid_loss", "error_rate", "accuracy", "time"]
    assert table.index.tolist() == [0, 1]
    np.testing.assert_allclose(table["error_rate"] + table["accuracy"], 1)
    assert table["time"].str.fullmatch(r"\d\d:\d\d").all()
    beside = study.beside_tables(params(), {"unfrozen": stage})
    assert beside["printed"].round(4).tolist() == [0.3688, 0.6967, 0.7002, 0.0231, 1.5517]
    assert beside["measured"].isna().tolist() == [True, False, False, False, False]
    smoothed = study.beside_tables(params(label_smoothing=0.1), {"unfrozen": stage})
    assert smoothed["measured"].isna().tolist() == [True, False, False, True, True]


def test_a_run_starts_from_the_file_with_the_right_hash_or_not_at_all(study, params, split, tmp_path):
    from fer_utils.weights import write_weights

    earlier = study.build(params(seed=9), split.train)
    file = tmp_path / "earlier.safetensors"
    write_weights(file, study.arrays(earlier))
    model = study.build(params(weights=str(file), weights_sha256=sha256_of(file)), split.train)
    assert same(study.arrays(earlier.body), study.arrays(model.body))
    assert not same(study.arrays(earlier.head), study.arrays(model.head))
    with pytest.raises(ConfigError, match="weights_sha256 says"):
        study.build(params(weights=str(file), weights_sha256="0" * 64), split.train)
    with pytest.raises(MissingData, match="or write weights: none"):
        study.build(params(weights=str(tmp_path / "none.safetensors"), weights_sha256="0" * 64), split.train)


def test_the_cascade_goes_from_the_head_down_to_the_first_layer(study, params, split):
    from fer_utils import explain

    network = explain.TorchNetwork(study.build(params(), split.train))
    names = network.cascade
    assert (names[0], names[-1]) == ("head", "body.stem")
    order = [name for name, _ in network.model.named_modules()]
    places = [order.index(name) for name in names]
    assert places == sorted(places, reverse=True)
    assert network.cam_layer((48, 48)) == "body.block3.relu"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": 96}, "image_size=96, picture_size=48: small_resnet takes pictures as they are"),
        ({"image_size": 50, "picture_size": 50}, "write one multiple of 16 for both"),
        ({"weights": "imagenet"}, "there are none for small_resnet"),
        ({"weights": "ImageNet"}, "weights='ImageNet': write none, imagenet or the path"),
        ({"weights_sha256": "0" * 64}, "leave it empty with weights: none"),
    ],
    ids=["rescaled", "odd", "imagenet", "misspelt", "hash without a file"],
)
def test_parameters_that_contradict_each_other_say_so(params, wrong, said):
    with pytest.raises(ConfigError, match=said):
        params(**wrong)
