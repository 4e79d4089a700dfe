"""The record's and the fast recipe: their options reach the training, the clock, and the table over seeds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fer_utils.comparison import merge_seeds
from fer_utils.evaluation import evaluate
from fer_utils.files import ConfigError, project_path
from fer_utils.params import FastaiTransfer, notebook_defaults, read_yaml
from fer_utils.predictions import Predictions
from fer_utils.splits import Split, official_split
from fer_utils.synthetic import synthetic_faces

RECORD = [f"40_fastai_transfer--record{seed}" for seed in ("", "-seed1", "-seed2", "-seed3", "-seed4")]
FAST = "40_fastai_transfer--fast"
SMALL = {"epochs": 2, "batch_size": 14, "width": 0.05, "keep_every": 1, "dataset": "synthetic"}


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


def params(run: str = "40_fastai_transfer", **own) -> FastaiTransfer:
    return FastaiTransfer.checked(notebook_defaults(run) | own, where="test")


def recipe(run: str, **own) -> FastaiTransfer:
    given = read_yaml(project_path("params") / "paper" / f"{run}.yaml")
    return params(run, **given | own)


@pytest.fixture(scope="module")
def trained(study, split, tmp_path_factory):
    """Train the record's recipe, made small, in two epochs."""
    p = recipe(RECORD[0], **SMALL, checkpoint_dir=str(tmp_path_factory.mktemp("checkpoints")))
    model = study.build(p, split.train)
    stage = study.train(p, model, split, highest=0.01, frozen=False, device="cpu", log=lambda line: None)
    return p, model, {"unfrozen": stage}


def test_the_seeds_of_the_record_differ_in_nothing_but_the_seed():
    settings = [recipe(run).studied() for run in RECORD]
    assert [one.pop("seed") for one in settings] == [0, 1, 2, 3, 4]
    assert all(one == settings[0] for one in settings)


def test_without_a_gpu_the_recipes_are_not_run(study, monkeypatch):
    import torch

    from fer_utils.hardware import MissingGPU
    from fer_utils.training import fastai_fit

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for run in (*RECORD, FAST):
        with pytest.raises(MissingGPU, match="device=cuda: the torch backend sees no GPU"):
            fastai_fit.prepare(threads=1, device=recipe(run).device)


def test_the_recipes_options_reach_the_training(study, trained, split):
    p, _, stages = trained
    images, _ = study.first_batch(p, split)
    assert images.shape[1:] == (40, 40)
    assert list(stages["unfrozen"].fit.kept) == [1, 2]
    assert "running mean of the weights (0.999); " in study.selection(p, stages)
    assert study.looks(p).endswith("choosing nothing, with the weights of every epoch")
    assert study.looks(params(keep_every=0)) == "test looked at once"
    assert {name: len(maps) for name, maps in study.views(p).items()} == {"ten_crop": 10, "flip_views": 2}


def test_accuracy_stands_beside_the_seconds_when_it_was_reached(study, trained, split):
    _, model, stages = trained
    before = study.arrays(model)
    alone = replace(split.test, subject=np.full(len(split.test), ""))  # one person would have no interval
    table = study.time_to_accuracy(model, stages, alone, reading=100.0)
    fit = stages["unfrozen"].fit
    assert table["epoch"].tolist() == [1, 2]
    assert table["seconds"].tolist() == (100 + fit.history["elapsed"]).tolist()
    assert (table["low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["high"]).all()
    chosen = table.set_index("epoch").loc[fit.best_epoch]
    said = study.predict(model, split.test)
    assert chosen["accuracy"] == pytest.approx((said.probabilities.argmax(1) == said.truth).mean())
    assert all(np.array_equal(array, before[name]) for name, array in study.arrays(model).items())
    record = study.pace_record(stages, {"one view": table}, reading=100.0)
    assert json.loads(json.dumps(record))["views"]["one view"][1]["epoch"] == 2
    assert (record["starts"], record["compile_seconds"]) == (1, 0.0)


def test_the_papers_accuracy_is_a_landmark_on_the_real_fer2013_alone(study, split):
    real = replace(split.test, source="real")
    assert study.landmark(recipe(RECORD[0]), real) == ("srivastav2024, abstract", pytest.approx(0.702))
    assert study.landmark(recipe(RECORD[0]), split.test) is None
    assert study.landmark(params(dataset="rafdb"), real) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "vgg8", "window": 41}, "window=41, picture_size=48: write 16 to 48 pixels"),
        ({"architecture": "vgg8", "window": 50}, "window=50, picture_size=48: write 16 to 48 pixels"),
        ({"window": 40}, "window=40: small_resnet needs a multiple of 16; write 32"),
        ({"architecture": "vgg8", "weights": "imagenet"}, "there are none for vgg8"),
        ({"architecture": "resnet18", "width": 0.5}, "only small_resnet and vgg8 can be narrower or wider"),
        ({"weight_averaging": 1.0}, "weight_averaging=1.0"),
    ],
)
def test_options_that_do_not_fit_say_so(wrong, said):
    with pytest.raises(ConfigError, match=said):
        params(**wrong)


def test_the_five_seeds_become_one_row_with_its_spread_in_every_way_of_looking(tmp_path):
    n, classes = 60, ("a", "b")
    truth = np.arange(n) % 2
    results = []
    for seed, run in enumerate(RECORD):
        answers = np.where(np.arange(n) < 5 * seed, 1 - truth, truth)
        ids = np.array([f"i{number:02d}" for number in range(n)])
        said = Predictions(ids, truth, np.eye(2, dtype=np.float32)[answers], classes)
        (tmp_path / run).mkdir()
        said.save(tmp_path / run / "predictions.npz")
        found = evaluate(said, n_boot=0).metrics
        others = ("without_duplicates", "ten_crop", "ten_crop_without_duplicates")
        results.append(
            {
                "run": run,
                "variant": run.split("--")[1],
                "status": "done",
                "metrics": found,
                "other_metrics": dict.fromkeys(others, found),
                "protocol": {"seed": seed, "selection": f"epochs: {seed + 7} of 300, best on validation"},
                "compute": {"seconds": 10.0},
                "params": {"seed": seed},
            }
        )
    (merged,) = merge_seeds(tmp_path, results)
    accuracies = [1 - 5 * seed / n for seed in range(5)]
    expected = pytest.approx({"mean": np.mean(accuracies), "sd": np.std(accuracies, ddof=1), "n": 5})
    assert merged["members"]["runs"] == RECORD
    assert merged["members"]["metrics"]["accuracy"] == expected
    for name in ("without_duplicates", "ten_crop", "ten_crop_without_duplicates"):
        assert merged["members"]["other_metrics"][name]["accuracy"] == expected
    assert merged["protocol"]["selection"] == "epochs: each seed's epoch of 300, best on validation"
