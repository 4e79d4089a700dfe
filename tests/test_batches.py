"""Windows are cut out in the pixels that they have, and several views show what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import FaceSet
from fer_utils.files import ConfigError


@pytest.fixture(scope="module")
def batches():
    """Import late: collecting this file must not start torch in every test process."""
    from fer_utils.training import batches

    return batches


def numbered(n: int, *, height: int = 12, width: int = 12) -> FaceSet:
    """Return images in which no two pixels near each other are equal."""
    random = np.random.default_rng(0)
    return FaceSet(
        name="toy",
        source="synthetic",
        images=random.integers(0, 256, (n, height, width), dtype=np.uint8),
        labels=np.arange(n) % 2,
        class_names=("a", "b"),
        split=np.full(n, "train"),
        sample_id=np.array([f"toy-{i}" for i in range(n)]),
    )


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(1, 9),
    height=st.integers(9, 14),
    width=st.integers(9, 14),
    seed=st.integers(0, 99),
    clip=st.booleans(),
)
def test_a_window_is_a_part_of_its_image_as_it_is(batches, size, height, width, seed, clip):
    import torch

    random = np.random.default_rng(seed)
    images = torch.tensor(random.uniform(0, 255, (5, 1, 3, height, width) if clip else (5, 1, height, width)))
    how = batches.Augmentation(0, 0, False, window=size)
    corners = how.draw_corners(5, size=(height, width), random=random)
    found = batches.cut_windows(images, corners, size=size)
    for image, (top, left), window in zip(images, corners.tolist(), found, strict=True):
        assert 0 <= top <= height - size and 0 <= left <= width - size
        assert torch.equal(window, image[..., top : top + size, left : left + size])


def test_every_place_has_its_turn(batches):
    how = batches.Augmentation(0, 0, False, window=10)
    corners = how.draw_corners(200, size=(12, 12), random=np.random.default_rng(0))
    assert {tuple(corner) for corner in corners.tolist()} == {(i, j) for i in range(3) for j in range(3)}


def test_a_batch_has_windows_by_seed_and_epoch_and_without_one_changes_nothing_else(batches):
    def first(window: int, epoch: int = 0) -> np.ndarray:
        how = batches.Augmentation(10.0, 0.1, True, 0.3, window)
        loader = batches.Batches(numbered(6), batch_size=6, device="cpu", seed=1, augmentation=how)
        loader.epoch = epoch
        return next(iter(loader))[0].numpy()

    assert first(8).shape == (6, 1, 8, 8) and first(0).shape == (6, 1, 12, 12)
    np.testing.assert_array_equal(first(8), first(8))
    assert not np.array_equal(first(8), first(8, epoch=1))


def test_repeats_are_the_same_pictures_each_changed_anew(batches):
    def first(repeats: int, how: tuple = (0, 0, False, 0, 0)) -> tuple:
        changes = batches.Augmentation(*how, repeats)
        loader = batches.Batches(numbered(5), batch_size=2, device="cpu", seed=1, augmentation=changes)
        assert (
            loader.seen == 5 * repeats and len(loader) == 2
        )  # the last single picture joins the batch before
        return next(iter(loader))

    once, labels = first(1)
    thrice, their_labels = first(3)
    assert np.array_equal(thrice, once.repeat_interleave(3, dim=0))
    assert np.array_equal(their_labels, labels.repeat_interleave(3))
    windows, _ = first(3, (0, 0, False, 0, 6))
    assert windows.shape == (6, 1, 6, 6)
    assert len({window.numpy().tobytes() for window in windows}) > 2
    with pytest.raises(ConfigError, match="repeats=0: use how often an image is in its batch"):
        batches.Augmentation(repeats=0)


def test_a_window_larger_than_the_images_is_refused(batches):
    how = batches.Augmentation(0, 0, False, window=13)
    loader = batches.Batches(numbered(4), batch_size=4, device="cpu", seed=0, augmentation=how)
    with pytest.raises(ConfigError, match="window=13: the images have 12x12 pixels"):
        next(iter(loader))
    with pytest.raises(ConfigError, match="window=-1: use pixels"):
        batches.Augmentation(window=-1)


def test_ten_shifts_show_a_middle_window_its_ten_places(batches):
    import torch

    from fer_utils.models.transfer import Window

    images = torch.tensor(numbered(3).images[:, None]).float()
    views = batches.ten_crop(4 / 12, scaled=False)
    seen = [Window(8)(batches.warp(images, view.expand(3, 2, 3))) for view in views]
    places = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]
    for number, (top, left) in enumerate(places):
        window = images[..., top : top + 8, left : left + 8]
        torch.testing.assert_close(seen[number], window, atol=0.01, rtol=0)
        torch.testing.assert_close(seen[number + 5].flip(-1), window, atol=0.01, rtol=0)


def test_flip_views_are_the_image_and_its_mirror_image(batches):
    import torch

    images = torch.tensor(numbered(3).images[:, None]).float()
    as_it_is, mirrored = (batches.warp(images, view.expand(3, 2, 3)) for view in batches.flip_views())
    torch.testing.assert_close(as_it_is, images, atol=0.01, rtol=0)
    torch.testing.assert_close(mirrored, images.flip(-1), atol=0.01, rtol=0)
