"""HOG equals scikit-image's; optical flow finds movement of the face and ignores that of the head."""

import cv2
import numpy as np
import pytest
import torch
from helpers.face_sets import clip_set
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from fer_utils.data import NO_APEX, ClipSet
from fer_utils.features.flow import LIMITS, STILL, apex_by_strain, apex_frames, as_images, onset_to_apex
from fer_utils.features.hog import HOG, HOGLayer, hog_features, hog_histograms
from fer_utils.files import ConfigError

# HOG


def noise(n: int = 7, height: int = 48, width: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width), dtype=np.uint8)


def by_skimage(images: np.ndarray, hog: HOG) -> np.ndarray:
    cell, block = 2 * (hog.pixels_per_cell,), 2 * (hog.cells_per_block,)
    return np.stack([skimage_hog(image, hog.orientations, cell, block) for image in images])


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, HOG]:
    """Return images of one size and a HOG that fits them."""
    shape = draw(st.tuples(st.integers(16, 64), st.integers(16, 64)))
    block = draw(st.integers(1, 4))
    hog = HOG(draw(st.integers(1, 18)), draw(st.integers(3, min(shape) // block)), block)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y, x = np.indices(shape)
    images = [
        rng.integers(0, 256, shape),
        rng.integers(0, 3, shape) + rng.integers(253),  # low contrast
        rng.integers(0, 5) * y + rng.integers(0, 5) * x,  # wraps at 256: straight edges
        np.full(shape, rng.integers(256)),
        np.where(y > x, 255, 0),  # directions on the bounds of bins
    ]
    return np.stack(images).astype(np.uint8), hog


@settings(deadline=None, max_examples=20)
@given(cases())
def test_features_equal_scikit_image(case):
    images, hog = case
    expected = by_skimage(images, hog)
    assert expected.shape[1] == hog.size(images.shape[1:])
    np.testing.assert_allclose(hog_features(images, hog), expected, atol=1e-6)


def test_histograms_hold_the_mean_magnitude_in_each_direction():
    image = np.zeros((1, 16, 16), dtype=np.uint8)
    image[:, 8:] = 100  # a horizontal edge: the gradient points down, 90 degrees
    histograms = hog_histograms(image, HOG(orientations=4, cells_per_block=1))
    np.testing.assert_allclose(histograms[0, 0, 0], [0, 0, 100 * 8 / 64, 0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
def test_the_layer_rounds_images_of_any_type_and_has_no_weights(dtype):
    images, hog = noise(), HOG()
    network = torch.nn.Sequential(HOGLayer(hog), torch.nn.Linear(hog.size((48, 48)), 7))
    batch = torch.tensor(images[:, None]).to(dtype)
    moved = batch + torch.empty(batch.shape).uniform_(-0.4, 0.4) if dtype == torch.float32 else batch
    np.testing.assert_allclose(network[0](moved).numpy(), hog_features(images, hog), atol=1e-6)
    network(batch).square().sum().backward()
    assert network[1].weight.grad.abs().sum() > 0
    assert set(network.state_dict()) == {"1.weight", "1.bias"}


def test_images_that_hold_no_block_are_an_error_that_names_the_sizes():
    with pytest.raises(ConfigError, match=r"pixels_per_cell=20.*48×64"):
        hog_features(noise(2, 48, 64), HOG(pixels_per_cell=20))


# Optical flow

SIDE = 48
TEXTURE = np.random.default_rng(0).integers(256, size=(80, 80)).astype(np.float32)
TEXTURE = cv2.GaussianBlur(TEXTURE, (0, 0), 1.5)
TEXTURE = ((TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE) * 255).astype(np.float32)
Y, X = np.indices((SIDE, SIDE), dtype=np.float32)
INNER = np.s_[..., 8:-8, 8:-8]


def displaced(u: np.ndarray | float = 0.0, v: np.ndarray | float = 0.0) -> np.ndarray:
    """Return an image of the texture displaced by (u, v) pixels."""
    source = (X - u + 16).astype(np.float32), (Y - v + 16).astype(np.float32)
    return np.rint(cv2.remap(TEXTURE, *source, cv2.INTER_LINEAR)).astype(np.uint8)


def bump(x: int, y: int, *, width: float = 4.0) -> np.ndarray:
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2))


def clip(frames: list[np.ndarray], apex: int = NO_APEX, offset: int | None = None) -> ClipSet:
    times = {"onset": 10, "apex": apex, "offset": 9 + len(frames) if offset is None else offset}
    times = {name: np.array([time]) for name, time in times.items()}
    return clip_set([np.stack(frames)], [0], ("negative",), subject=["s1"], **times)


def test_a_shift_of_the_whole_image_is_neither_displacement_nor_strain():
    flow = onset_to_apex(clip([displaced(), displaced(1.5, -0.75)], apex=11))[0]
    assert abs(flow[:2][INNER]).mean() < 0.1 and flow[2][INNER].mean() < 0.05


def test_a_local_movement_is_found_with_its_place_direction_and_size():
    flow = onset_to_apex(clip([displaced(), displaced(1.0 + 2 * bump(30, 18), -0.5)], apex=11))[0]
    y, x = np.unravel_index(flow[0][INNER].argmax(), flow[0][INNER].shape)
    assert abs(x + 8 - 30) <= 3 and abs(y + 8 - 18) <= 3
    assert 1 < flow[0, 18, 30] < 2.4 and abs(flow[1, 18, 30]) < 0.4  # windows smooth the peak
    around = bump(30, 18, width=7) > 0.3
    assert flow[2][around].mean() > 4 * flow[2][INNER][~around[INNER]].mean()
    down = onset_to_apex(clip([displaced(), displaced(0.0, 2 * bump(24, 24))], apex=11))[0]
    assert down[1, 24, 24] > 1 and down.dtype == np.float32 and down.shape == (3, SIDE, SIDE)


def test_the_apex_is_the_annotated_frame_or_that_of_the_largest_strain_however_the_head_drifts():
    sizes = (0, 0.5, 1.2, 2.0, 1.3, 0.6, 0)
    frames = [displaced(0.6 * t + size * bump(24, 28), 0.3 * t) for t, size in enumerate(sizes)]
    assert apex_by_strain(np.stack(frames)) == 3
    assert apex_frames(clip(frames)).tolist() == [3]
    assert apex_frames(clip(frames, apex=12)).tolist() == [2]


def test_a_clip_without_movement_has_its_apex_at_the_onset_and_no_flow():
    still = clip([displaced()] * 5)
    assert apex_frames(still).tolist() == [0]
    assert (as_images(onset_to_apex(still)) == STILL).all()


def test_flow_images_give_the_flow_back_within_half_a_step():
    flows = np.random.default_rng(0).uniform(-3, 3, (2, 3, 4, 4))
    restored = (as_images(flows).astype(float) - STILL) / 127 * LIMITS
    assert (abs(restored - np.clip(flows, -LIMITS, LIMITS)) <= LIMITS / 254 + 1e-6).all()
