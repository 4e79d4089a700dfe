"""A fastai training resumes to the same weights, stops at NaN and keeps the best epoch; augmented batches."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.face_sets import face_set
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import FaceSet
from fer_utils.files import ConfigError

SIZE, EPOCHS = 12, 4


@pytest.fixture(scope="module")
def fastai_training():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.training import fastai_training

    fastai_training.prepare(SimpleNamespace(threads=1, device="cpu"))
    return fastai_training


@pytest.fixture(scope="module")
def batches(fastai_training):
    from fer_utils.training import batches

    return batches


def stripes(n: int, *, seed: int = 0, size: tuple[int, int] = (SIZE, SIZE)) -> FaceSet:
    """Return noisy images: of class a brighter at the top, of class b brighter at the bottom."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    images = random.integers(0, 120, (n, *size))
    half = size[0] // 2
    images[labels == 0, :half] += 40
    images[labels == 1, half:] += 40
    return face_set(images, labels, ("a", "b"))


def params(**changes: object) -> SimpleNamespace:
    """Return what `dataloaders` reads of a notebook's parameters."""
    defaults = {"batch_size": 8, "seed": 3, "device": "cpu", "rotation": 5.0, "crop": 0.1, "flip": True}
    return SimpleNamespace(**defaults | {"cutout": 0.2} | changes)


@pytest.fixture
def make_learner(fastai_training, tmp_path):
    """Return a function that makes a Learner of a small network with dropout and batch normalisation."""
    import torch
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.metrics import accuracy, error_rate
    from torch import nn

    def groups(model):
        return [list(model[0].parameters()) + list(model[1].parameters()), list(model[-1].parameters())]

    def make(*callbacks, optimizer: str = "adam", **changes: object) -> Learner:
        torch.manual_seed(0)
        body = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()
        model = nn.Sequential(*body, nn.Dropout(0.3), nn.Linear(400, 2))
        learn = Learner(
            fastai_training.dataloaders(stripes(41), stripes(20, seed=1), params(**changes)),
            model,
            loss_func=CrossEntropyLossFlat(label_smoothing=0.1, flatten=False),
            opt_func=partial(fastai_training.OPTIMIZERS[optimizer], mom=0.9, decouple_wd=False),
            splitter=groups,
            metrics=[error_rate, accuracy],
            wd=0.01,
            path=tmp_path,
            cbs=[fastai_training.ReseedEachEpoch(3), fastai_training.StopOnNaN(), *callbacks],
        )
        learn.remove_cb(learn.progress)
        return learn

    return make


def weights(model) -> np.ndarray:
    return np.concatenate([value.numpy().ravel() for value in model.state_dict().values()])


def interrupt(epoch: int):
    """Return a callback that raises KeyboardInterrupt in the middle of an epoch."""
    from fastai.callback.core import Callback

    def after_batch(self):
        if self.training and (self.epoch, self.iter) == (epoch, 2):
            raise KeyboardInterrupt

    return Callback(after_batch=after_batch)


@pytest.mark.parametrize("used", ["adam bfloat16", "rmsprop mixup", "sgd average"])
def test_a_training_resumes_to_the_same_weights(fastai_training, make_learner, tmp_path, used):
    from fastai.callback.mixup import MixUp
    from fastai.callback.tracker import SaveModelCallback

    optimizer, extra = used.split()

    def train(folder, *stop) -> tuple:
        callbacks = {"bfloat16": fastai_training.BFloat16(), "mixup": MixUp(0.3)}
        learn = make_learner(*([callbacks[extra]] if extra in callbacks else []), optimizer=optimizer)
        resume = fastai_training.ResumeTraining(folder)
        average = [fastai_training.WeightAverage(0.9)] if extra == "average" else []
        cbs = [SaveModelCallback(monitor="accuracy", fname=folder.name), resume, *average, *stop]
        printed = []
        learn.logger = lambda row: printed.append(list(row)[:-1])
        learn.fit_one_cycle(EPOCHS, slice(1e-3, 1e-2), start_epoch=resume.start_epoch, cbs=cbs)
        return learn, resume, printed

    whole, history, table = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", interrupt(2))
    for _ in range(2):  # the second time the training is finished and only loaded
        resumed, resumed_history, resumed_table = train(tmp_path / "stopped")
        np.testing.assert_array_equal(weights(resumed.model), weights(whole.model))
        columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
        assert resumed_history.history[columns].equals(history.history[columns])
        assert resumed_table == table
    assert history.history["epoch"].tolist() == [1, 2, 3, 4]
    best_accuracy = fastai_training.predict(whole.model, stripes(20, seed=1)).correct.mean()
    np.testing.assert_allclose(best_accuracy, history.history["val_accuracy"].max(), atol=0.051)


def test_a_learner_with_another_loss_or_weight_decay_does_not_resume(fastai_training, make_learner, tmp_path):
    import torch
    from fastai.losses import CrossEntropyLossFlat

    def train(**changes: object) -> None:
        learn, resume = make_learner(), fastai_training.ResumeTraining(tmp_path)
        for name, value in changes.items():
            setattr(learn, name, value)
        learn.fit(1, 0.01, start_epoch=resume.start_epoch, cbs=resume)

    train()
    train()  # is loaded
    for change in ({"wd": 0.5}, {"loss_func": CrossEntropyLossFlat(weight=torch.tensor([1.0, 2.0]))}):
        with pytest.raises(ConfigError, match="delete it to train again"):
            train(**change)


def test_shares_of_votes_are_learnt_as_labels_are(fastai_training, make_learner, tmp_path):
    import torch

    def train(name: str) -> np.ndarray:
        learn, resume = make_learner(), fastai_training.ResumeTraining(tmp_path / name)
        if name == "shares":
            learn.dls.train.labels = torch.eye(2)[learn.dls.train.labels]
        learn.fit(2, 0.01, cbs=resume)
        return resume.history[["loss", "val_loss", "accuracy", "val_accuracy"]].to_numpy()

    shares, labels = train("shares"), train("labels")
    np.testing.assert_allclose(shares[:, :2], labels[:, :2], rtol=1e-3)
    np.testing.assert_allclose(shares[:, 2:], labels[:, 2:], atol=0.051)  # one of twenty images


def test_a_frozen_stage_changes_the_head_alone_and_has_batches_of_its_own(fastai_training, make_learner):
    seen = []

    def note(self):
        if self.training and self.iter == 0:
            seen.append(self.x.clone())

    from fastai.callback.core import Callback

    learn = make_learner(Callback(after_pred=note))
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    learn.freeze()
    learn.fit_one_cycle(1, 0.01)
    changed = [name for name, value in learn.model.state_dict().items() if not value.equal(before[name])]
    assert "5.weight" in changed and "0.weight" not in changed
    learn.unfreeze()
    learn.fit_one_cycle(1, 0.01)
    assert not learn.model.state_dict()["0.weight"].equal(before["0.weight"])
    assert not seen[0].equal(seen[1])


def test_the_rate_finder_leaves_network_and_training_as_they_were(fastai_training, make_learner):
    from fastai.callback.schedule import minimum, valley

    def train(*, find: bool):
        learn = make_learner()
        before = weights(learn.model)
        if find:
            found = learn.lr_find(num_it=30, suggest_funcs=(valley, minimum), show_plot=False)
            assert 1e-7 < found.valley < 10
            np.testing.assert_array_equal(weights(learn.model), before)
        learn.fit_one_cycle(1, 0.01)
        return weights(learn.model)

    np.testing.assert_array_equal(train(find=True), train(find=False))


def test_a_loss_that_is_nan_stops_the_training_and_names_the_epoch(fastai_training, make_learner):
    with pytest.raises(ArithmeticError, match=r"epoch \d+, batch \d+(.|\n)*learning_rate"):
        make_learner(optimizer="sgd").fit(3, 1e30)


def test_bfloat16_is_used_in_training_alone(fastai_training, make_learner):
    import torch

    types = []
    learn = make_learner(fastai_training.BFloat16())
    learn.model[0].register_forward_hook(lambda module, inputs, output: types.append(output.dtype))
    learn.fit(1, 0.01)
    assert set(types) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in learn.model.parameters())
    types.clear()
    fastai_training.predict(learn.model, stripes(4))
    assert set(types) == {torch.float32}


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(batches):
    loader = batches.Batches(stripes(25), batch_size=8, seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        loader.epoch = epoch
        found = list(loader)
        assert [len(labels) for _, labels in found] == [8, 8, 9]  # no batch of a single image
        epochs.append(np.concatenate([images[:, 0].numpy() for images, _ in found]))
    assert np.array_equal(epochs[0], epochs[2]) and not np.array_equal(epochs[0], epochs[1])
    assert sorted(map(bytes, epochs[0].astype(np.uint8))) == sorted(map(bytes, stripes(25).images))


@settings(deadline=None, max_examples=15)
@given(
    rotation=st.floats(0, 180),
    crop=st.floats(0, 0.5),
    flip=st.booleans(),
    height=st.integers(8, 14),
    width=st.integers(8, 14),
    seed=st.integers(0, 99),
)
def test_augmentation_keeps_angles_and_the_frame(batches, rotation, crop, flip, height, width, seed):
    how = batches.Augmentation(rotation, crop, flip)
    maps = how.draw(50, size=(height, width), random=np.random.default_rng(seed)).double().numpy()
    pixels = np.array([[width, 0], [0, height]]) / 2  # from shares of the image to pixels
    linear = pixels @ maps[:, :, :2] @ np.linalg.inv(pixels)
    scale = np.sqrt(np.abs(np.linalg.det(linear)))
    squared = linear @ linear.transpose(0, 2, 1)
    np.testing.assert_allclose(squared, scale[:, None, None] ** 2 * np.eye(2)[None], atol=1e-5)
    assert (scale <= 1 + 1e-5).all() and (scale >= 1 - crop - 1e-5).all()
    assert (np.linalg.det(linear) > 0).all() or flip
    assert (np.abs(maps[:, :, 2]) <= 1 - scale[:, None] + 1e-5).all()


def test_cutout_makes_one_gray_square_and_all_frames_of_a_clip_alike(batches):
    import torch

    clips = torch.zeros(3, 1, 4, 10, 10)
    centres = torch.tensor([[0.5, 0.5], [0.0, 0.0], [1.0, 0.5]])
    found = batches.cut_out(clips, centres, share=0.4)
    assert [int((one == batches.GRAY).sum()) for one in found] == [4 * 16, 4 * 4, 4 * 8]


def test_views_are_the_image_its_mirror_image_and_its_corners(batches):
    import torch

    images = torch.tensor(stripes(3).images[:, None]).float()
    plain, mirrored = (batches.warp(images, view.expand(3, 2, 3)) for view in batches.flip_views())
    torch.testing.assert_close(plain, images, atol=0.01, rtol=0)
    torch.testing.assert_close(mirrored, images.flip(-1), atol=0.01, rtol=0)
    views = [batches.warp(images, view.expand(3, 2, 3)) for view in batches.ten_crop(0.5)]
    assert len(views) == 10
    # Half the side at twice the size: the mean of 2x2 pixels lies between the pixels of the corner.
    top_left = torch.nn.functional.avg_pool2d(views[1], 2)
    assert top_left[..., 0, 0].allclose(images[..., 0, 0], atol=40)


def test_predictions_average_the_views(fastai_training, batches):
    import torch
    from torch import nn

    torch.manual_seed(0)
    model, faces = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 2)), stripes(300)
    with torch.no_grad():
        model[1].weight.mul_(0.01)
    one = fastai_training.predict(model, faces)
    assert one.class_names == faces.class_names and np.array_equal(one.truth, faces.labels)
    mirrored = fastai_training.predict_probabilities(model, faces.images[..., ::-1])
    both = fastai_training.predict(model, faces, views=batches.flip_views())
    np.testing.assert_allclose(both.probabilities, (one.probabilities + mirrored) / 2, atol=2e-3)
    assert model.training
