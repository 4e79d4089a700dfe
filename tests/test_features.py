"""HOG equals scikit-image's, whatever the geometry, and a damaged cache is noticed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from fer_utils.data.faceset import FaceSet
from fer_utils.features.hog import HOG
from fer_utils.features.hog_torch import HOGLayer, cached_hog, hog_features, hog_histograms
from fer_utils.files import ConfigError
from fer_utils.plots import hog_glyphs

NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")
RNG = np.random.default_rng(0)


def noise(n: int = 7, height: int = 48, width: int = 48) -> np.ndarray:
    return RNG.integers(0, 256, (n, height, width), dtype=np.uint8)


def reference(images: np.ndarray, hog: HOG) -> np.ndarray:
    return np.stack([skimage_hog(image, **vars(hog)) for image in images])


def assert_equal(features: np.ndarray, expected: np.ndarray) -> None:
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, HOG]:
    """Draw images of one size and a HOG that fits them."""
    shape = draw(st.tuples(st.integers(16, 64), st.integers(16, 64)))
    block = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    cell = tuple(draw(st.integers(3, side // cells)) for side, cells in zip(shape, block, strict=True))
    norm = draw(st.sampled_from(NORMS))
    hog = HOG(draw(st.integers(1, 18)), cell, block, norm, transform_sqrt=draw(st.booleans()))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y, x = np.indices(shape)
    slope = rng.integers(0, 5, size=2)
    images = [
        rng.integers(0, 256, shape),
        rng.integers(0, 3, shape) + rng.integers(253),  # hardly any contrast
        slope[0] * y + slope[1] * x,  # wraps at 256: straight edges in one direction
        np.full(shape, rng.integers(256)),
        np.where(y > x, 255, 0),  # directions on the bounds of bins
    ]
    return np.stack(images).astype(np.uint8), hog


# --- the same as scikit-image -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(cases())
def test_features_equal_scikit_image(case):
    images, hog = case
    assert_equal(hog_features(images, hog), reference(images, hog))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("orientations", [4, 6, 9, 12])
def test_every_norm_equals_scikit_image_on_faces_of_48_pixels(norm, orientations):
    images = noise(3)
    hog = HOG(orientations, 8, 2, norm)
    assert_equal(hog_features(images, hog), reference(images, hog))


@pytest.mark.parametrize("orientations", [1, 4, 7, 9, 18])
def test_every_gradient_there_is_votes_for_the_bin_of_scikit_image(orientations):
    # One gradient an image, in the middle of 3×3 pixels, and the same again as scikit-image counts it.
    levels = np.arange(-255, 256, 15)
    down, right = (axis.ravel() for axis in np.meshgrid(levels, levels))
    images = np.zeros((len(down), 3, 3), dtype=np.uint8)
    images[:, 0, 1], images[:, 2, 1] = np.maximum(-down, 0), np.maximum(down, 0)
    images[:, 1, 0], images[:, 1, 2] = np.maximum(-right, 0), np.maximum(right, 0)
    hog = HOG(orientations, 3, 1, "L2")
    assert_equal(hog_features(images, hog), reference(images, hog))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("gray", [0, 128, 255])
def test_a_constant_image_has_only_zeros(norm, gray):
    images = np.full((2, 48, 48), gray, dtype=np.uint8)
    for transform_sqrt in (False, True):
        features = hog_features(images, HOG(block_norm=norm, transform_sqrt=transform_sqrt))
        assert features.size and not features.any()


def test_histograms_hold_the_mean_magnitude_in_each_direction():
    image = np.zeros((1, 16, 16), dtype=np.uint8)
    image[:, 8:] = 100  # a level edge: the gradient points down, 90 degrees
    histograms = hog_histograms(image, HOG(orientations=4, cells_per_block=1))
    np.testing.assert_allclose(histograms[0, :, :, 2], 100 * 8 / 64)
    assert not histograms[..., [0, 1, 3]].any()


def test_a_face_turned_upside_down_has_the_same_histograms_in_turned_cells():
    # Both gradients change sign, so directions stay; mirrored only once, those on a bin's bound would not.
    images, hog = noise(20), HOG(cells_per_block=1)
    turned = hog_histograms(images[:, ::-1, ::-1], hog)
    np.testing.assert_allclose(turned[:, ::-1, ::-1], hog_histograms(images, hog), rtol=1e-5)


# --- batches, tensors, networks ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(cases(), st.integers(1, 8))
def test_the_size_of_a_batch_changes_nothing(case, batch_size):
    images, hog = case
    together = hog_features(images, hog)
    np.testing.assert_allclose(hog_features(images, hog, batch_size=batch_size), together, atol=1e-6)


def test_no_images_have_no_features():
    assert hog_features(noise(0), HOG()).shape == (0, HOG().size((48, 48)))


def test_images_may_lie_in_a_file(tmp_path):
    images = noise()
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_allclose(hog_features(mapped, HOG()), hog_features(images, HOG()), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.int64])
@pytest.mark.parametrize("transform_sqrt", [False, True])
def test_the_layer_gives_the_same_for_every_type_of_image(dtype, transform_sqrt):
    images, hog = noise(), HOG(transform_sqrt=transform_sqrt)
    features = HOGLayer(hog)(torch.tensor(images[:, None]).to(dtype))
    np.testing.assert_allclose(features.numpy(), hog_features(images, hog), atol=1e-6)


def test_the_layer_rounds_augmented_images_to_gray_levels():
    images = torch.tensor(noise()[:, None])
    moved = images.float() + torch.empty(images.shape).uniform_(-0.4, 0.4)
    layer = HOGLayer(HOG())
    torch.testing.assert_close(layer(moved), layer(images))
    assert torch.equal(layer(torch.full((1, 1, 48, 48), 300.0)), torch.zeros(1, HOG().size((48, 48))))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("transform_sqrt", [False, True])
def test_a_gpu_gives_the_same(transform_sqrt):
    images, hog = torch.tensor(noise(100)[:, None]), HOG(transform_sqrt=transform_sqrt)
    layer = HOGLayer(hog)
    here, there = layer(images), layer.cuda()(images.cuda())
    assert there.is_cuda
    assert_equal(there.cpu().numpy(), here.numpy())


def hybrid() -> torch.nn.Module:
    hog = HOG(cells_per_block=2)
    return torch.nn.Sequential(HOGLayer(hog), torch.nn.Linear(hog.size((48, 48)), 7))


def test_a_network_learns_behind_the_layer_which_has_no_weights_of_its_own():
    network = hybrid()
    network(torch.tensor(noise()[:, None])).square().sum().backward()
    assert network[1].weight.grad.abs().sum() > 0
    assert set(network.state_dict()) == {"1.weight", "1.bias"}


def test_a_network_with_the_layer_can_be_exported_for_any_number_of_images():
    network, images = hybrid().eval(), torch.tensor(noise()[:, None])
    number = torch.export.Dim("number")
    exported = torch.export.export(network, (images[:3],), dynamic_shapes=({0: number},)).module()
    assert_equal(exported(images).detach().numpy(), network(images).detach().numpy())


# --- what cannot be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"orientations": 0}, "orientations must be an integer from 1 to 180, got 0"),
        ({"orientations": 9.0}, "orientations must be an integer"),
        ({"orientations": 181}, "orientations must be an integer from 1 to 180"),
        ({"pixels_per_cell": 0}, "pixels_per_cell must be a positive integer or two of them"),
        ({"pixels_per_cell": (8, -8)}, r"pixels_per_cell .* got \(8, -8\)"),
        ({"cells_per_block": (2, 2, 2)}, "cells_per_block must be"),
        ({"cells_per_block": True}, "cells_per_block must be .* got True"),
        ({"cells_per_block": "22"}, "cells_per_block must be"),
        ({"block_norm": "L3"}, "block_norm must be one of L1, L1-sqrt, L2, L2-Hys, got 'L3'"),
        ({"transform_sqrt": 1}, "transform_sqrt must be true or false"),
    ],
    ids=str,
)
def test_a_parameter_that_no_image_could_have_is_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        HOG(**setting)


def test_numbers_and_lists_stand_for_pairs():
    assert HOG(pixels_per_cell=6, cells_per_block=[2, 3]) == HOG(
        pixels_per_cell=(6, 6), cells_per_block=(2, 3)
    )


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_number_of_features_is_known_beforehand(case):
    images, hog = case
    assert hog.size(images.shape[1:]) == len(skimage_hog(images[0], **vars(hog)))


@pytest.mark.parametrize(
    ("hog", "fits"),
    [
        (HOG(pixels_per_cell=20), "cells of at most 16×21 pixels or blocks of at most 2×3 cells"),
        (HOG(pixels_per_cell=(70, 8)), "cells of at most 16×21 pixels$"),
        (HOG(pixels_per_cell=4, cells_per_block=(60, 1)), "blocks of at most 12×16 cells$"),
        (HOG(pixels_per_cell=70, cells_per_block=70), "smaller cells and smaller blocks"),
    ],
    ids=str,
)
def test_a_geometry_that_does_not_fit_says_what_would(hog, fits):
    with pytest.raises(ConfigError, match=f"does not fit an image of 48×64; use {fits}"):
        hog_features(noise(2, 48, 64), hog)


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 30), st.integers(1, 5))
def test_a_block_fits_or_the_error_names_cells_and_blocks_that_do(height, width, cell, block):
    hog = HOG(pixels_per_cell=cell, cells_per_block=block)
    if block * cell <= min(height, width):
        assert hog.size((height, width)) > 0
    else:
        with pytest.raises(ConfigError, match=f"pixels_per_cell=.*of {height}×{width}; use "):
            hog.size((height, width))


@pytest.mark.parametrize(
    "images", [noise().astype(float), noise()[0], noise()[..., None]], ids=lambda i: i.shape
)
def test_images_of_another_form_are_refused(images):
    with pytest.raises(ValueError, match=r"images must be uint8 of shape \(N, H, W\), got"):
        hog_features(images, HOG())


def test_a_batch_of_nothing_and_colour_are_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        hog_features(noise(), HOG(), batch_size=0)
    with pytest.raises(ValueError, match=r"shape \(N, 1, H, W\), got \(2, 3, 48, 48\)"):
        HOGLayer(HOG())(torch.zeros(2, 3, 48, 48))


# --- kept in a file -----------------------------------------------------------------------------------------


def faces(images: np.ndarray) -> FaceSet:
    n = len(images)
    return FaceSet(
        name="toy",
        source="synthetic",
        images=images,
        labels=np.arange(n) % 2,
        class_names=("happy", "sad"),
        split=np.array(["train"] * n),
        sample_id=np.array([f"toy-{i}" for i in range(n)]),
    )


def kept(folder: Path) -> Path:
    (path,) = folder.glob("*.npy")
    return path


def test_kept_features_are_the_computed_ones_and_are_not_computed_again(tmp_path):
    data = faces(noise())
    first = cached_hog(data, HOG(), folder=tmp_path)
    np.testing.assert_allclose(first, hog_features(data.images, HOG()), atol=1e-6)
    written = kept(tmp_path).stat()
    again = cached_hog(data, HOG(), folder=tmp_path)
    assert isinstance(again, np.memmap) and not again.flags.writeable
    np.testing.assert_array_equal(again, first)
    assert kept(tmp_path).stat() == written
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_other_pixels_order_or_parameters_have_files_of_their_own(tmp_path):
    images = noise()
    for data, hog in [
        (images, HOG()),
        (images[::-1], HOG()),
        (images[:-1], HOG()),
        (images.reshape(-1, 36, 64), HOG()),
        (images, HOG(block_norm="L1")),
        (images, HOG(orientations=8)),
    ]:
        features = cached_hog(faces(data), hog, folder=tmp_path)
        np.testing.assert_allclose(features, hog_features(data, hog), atol=1e-6)
    assert len(list(tmp_path.glob("*.npy"))) == 6


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def altered(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_object(path: Path) -> None:
    path.write_bytes(b"[]")


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", [cut_short, altered, emptied, no_object, Path.unlink])
def test_damaged_files_are_noticed_and_made_again(tmp_path, suffix, damage):
    data = faces(noise())
    whole = cached_hog(data, HOG(), folder=tmp_path).copy()
    content = kept(tmp_path).read_bytes()
    damage(kept(tmp_path).with_suffix(suffix))
    np.testing.assert_allclose(cached_hog(data, HOG(), folder=tmp_path), whole, atol=1e-6)
    assert kept(tmp_path).read_bytes() == content


def test_who_need_the_same_features_at_once_all_get_them(tmp_path):
    data = faces(noise(300))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: cached_hog(data, HOG(), folder=tmp_path), range(4)))
    for features in results:
        np.testing.assert_allclose(features, hog_features(data.images, HOG()), atol=1e-6)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


def test_a_geometry_that_does_not_fit_leaves_no_file(tmp_path):
    with pytest.raises(ConfigError, match="does not fit"):
        cached_hog(faces(noise()), HOG(pixels_per_cell=40), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- the picture --------------------------------------------------------------------------------------------


def strokes(figure: matplotlib.figure.Figure) -> list[matplotlib.collections.LineCollection]:
    return figure.findobj(matplotlib.collections.LineCollection)


def test_the_picture_shows_each_face_beside_strokes_along_its_edges():
    images = np.zeros((2, 48, 64), dtype=np.uint8)
    images[0, 24:] = 200
    images[1, :, 32:] = 200
    hog = HOG(orientations=9, pixels_per_cell=(8, 16))
    figure = hog_glyphs(images, histograms=hog_histograms(images, hog), hog=hog)
    assert len(figure.axes) == 4
    assert "6 × 4 cells of 8 × 16 pixels, 9 orientations" in figure.get_suptitle()
    level, upright = (lines.get_segments()[int(np.argmax(lines.get_alpha()))] for lines in strokes(figure))
    (x, y), (across, down) = level.mean(axis=0), np.abs(level[1] - level[0])
    assert abs(y - 23.5) <= 4 and down < across / 4
    (x, y), (across, down) = upright.mean(axis=0), np.abs(upright[1] - upright[0])
    assert abs(x - 31.5) <= 8 and across < down / 4


def test_the_picture_of_a_constant_image_has_no_strokes():
    images = np.full((1, 48, 48), 9, dtype=np.uint8)
    (lines,) = strokes(hog_glyphs(images, histograms=hog_histograms(images, HOG()), hog=HOG()))
    assert not np.any(lines.get_alpha())


def test_a_picture_needs_histograms_of_these_images():
    images = noise(2)
    with pytest.raises(ValueError, match=r"shape \(2, 6, 6, 9\), got \(2, 6, 6, 8\)"):
        hog_glyphs(images, histograms=hog_histograms(images, HOG(orientations=8)), hog=HOG())
    with pytest.raises(ValueError, match="at least one panel"):
        hog_glyphs(images[:0], histograms=np.zeros((0, 6, 6, 9)), hog=HOG())
