"""A training finds its own checkpoint again and never that of another training."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.face_sets import face_set

from fer_utils.data import FaceSet
from fer_utils.files import PROJECT
from fer_utils.params import BaselineCNN
from fer_utils.run import notebook_defaults
from fer_utils.training import checkpoints
from fer_utils.training.checkpoints import checkpoint_folder, epoch_order, epoch_seed


def faces(seed: int) -> FaceSet:
    images = np.random.default_rng(seed).integers(0, 255, (6, 8, 8))
    return face_set(images, np.arange(6) % 2, ("a", "b"), name=f"set {seed}")


@pytest.fixture
def params(tmp_path):
    def make(**changes):
        given = {"checkpoint_dir": str(tmp_path), "output_dir": "reports/by_hand/10_baseline_cnn--tiny"}
        return BaselineCNN(**notebook_defaults("10_baseline_cnn") | given | changes)

    return make


def test_the_same_training_finds_its_folder_and_any_other_does_not(params, tmp_path, monkeypatch):
    own = checkpoint_folder(params(), faces(0), faces(1))
    assert own.is_dir()
    assert own.parent == tmp_path / "10_baseline_cnn--tiny"
    assert checkpoint_folder(params(), faces(0), faces(1)) == own
    others = {
        checkpoint_folder(params(seed=1), faces(0), faces(1)),
        checkpoint_folder(params(threads=2), faces(0), faces(1)),
        checkpoint_folder(params(), faces(0), faces(2)),
        checkpoint_folder(params(), faces(0).take(np.arange(6)[::-1]), faces(1)),
        checkpoint_folder(params(), faces(0), faces(1), stage="frozen"),
        checkpoint_folder(params(), faces(0), faces(1), network="Adam"),
    }
    monkeypatch.setattr(checkpoints, "version", lambda package: "0.0")
    others.add(checkpoint_folder(params(), faces(0), faces(1)))
    assert len(others - {own}) == 7


def test_order_and_seed_of_an_epoch_depend_on_seed_and_epoch_alone():
    orders = {(s, e): epoch_order(50, seed=s, epoch=e) for s in (0, 1) for e in (0, 1)}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert all((np.sort(order) == np.arange(50)).all() for order in orders.values())
    np.testing.assert_array_equal(orders[1, 1], epoch_order(50, seed=1, epoch=1))
    assert len({epoch_seed(s, e) for s in (0, 1) for e in (0, 1)}) == 4


@pytest.mark.skipif(shutil.which("slurmctld") is None or os.geteuid() != 0, reason="needs SLURM, as root")
@pytest.mark.skipif(os.path.exists("/etc/slurm/slurm.conf"), reason="SLURM is set up here already")
def test_a_sweep_on_a_cluster_survives_a_node_that_fails():
    subprocess.run([sys.executable, PROJECT / "benchmarks/slurm.py", "check"], check=True, timeout=1200)
