"""Measures of class-activation maps, on maps and networks whose answer is known beforehand."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fer_utils import saliency
from fer_utils.files import ConfigError
from fer_utils.synthetic import (
    Identity,
    action_unit_mask,
    synthetic_changes,
    synthetic_faces,
    synthetic_masks,
)

SIDE = 16

some_maps = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.just(12), st.just(SIDE)),
    elements=st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0]),
)


def planted(top: int = 4, left: int = 6, side: int = 4) -> np.ndarray:
    """Return where the patch lies that decides the class: bool, (SIDE, SIDE)."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def noise(n: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 60, (n, SIDE, SIDE), dtype=np.uint8)


def bright_patch(images: np.ndarray) -> np.ndarray:
    """Return probabilities of a classifier that asks only how bright the planted patch is."""
    bright = images[:, planted()].mean(axis=1) / 255
    return np.stack([bright, 1 - bright], axis=1)


def lit(n: int = 3) -> np.ndarray:
    images = noise(n)
    images[:, planted()] = 255
    return images


# --- the formulas of the maps ----------------------------------------------------------------------


def test_the_weights_of_both_methods_are_those_worked_out_by_hand():
    maps = np.array([[[[1.0, 3.0]], [[0.0, 2.0]]]])
    gradients = np.array([[[[0.5, -1.0]], [[2.0, 1.0]]]])
    np.testing.assert_allclose(saliency.grad_cam_weights(maps, gradients), [[-0.25, 1.5]])
    # Channel 0 sums to 4: 0.5 / (2 + 0.5 * 4); channel 1 to 2: 2 / (2 + 2 * 2) + 1 / (2 + 1 * 2).
    by_hand = [[0.5 / 4, 2 / 6 + 1 / 4]]
    np.testing.assert_allclose(saliency.grad_cam_plus_plus_weights(maps, gradients), by_hand)


def test_plus_plus_counts_a_small_area_as_much_as_a_large_one_where_scores_are_steep():
    """The paper's Section 3.1: a channel's weight must not shrink with the area that it fires on."""
    maps = np.zeros((1, 2, 6, 6))
    maps[0, 0, :5, :5], maps[0, 1, 0, 0] = 1, 1
    gradients = 1000.0 * (maps > 0)
    ours = saliency.grad_cam_plus_plus_weights(maps, gradients)[0]
    simple = saliency.grad_cam_weights(maps, gradients)[0]
    assert ours[0] / ours[1] == pytest.approx(1, abs=0.01)
    assert simple[0] / simple[1] == pytest.approx(25)


def test_plus_plus_refuses_negative_maps():
    with pytest.raises(ConfigError, match="after the ReLU"):
        saliency.grad_cam_plus_plus_weights(np.full((1, 1, 2, 2), -1.0), np.ones((1, 1, 2, 2)))


def test_measuring_maps_needs_no_framework():
    code = "import sys; from fer_utils import saliency; print(*{'torch', 'keras'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


# --- pointing games --------------------------------------------------------------------------------


def pointing_at(row: int, column: int) -> np.ndarray:
    maps = np.full((1, SIDE, SIDE), 0.1)
    maps[0, row, column] = 1
    return maps


@pytest.mark.parametrize(
    ("row", "column", "tolerance", "hit"),
    [
        (4, 6, 0, True),
        (7, 9, 0, True),
        (8, 9, 0, False),
        (8, 9, 1, True),
        (3, 5, 1, False),  # diagonal: 1.41 pixels away
        (3, 5, 1.5, True),
        (4, 1, 4, False),
        (4, 1, 5, True),
    ],
)
def test_the_maximum_hits_inside_the_mask_or_within_the_tolerance(row, column, tolerance, hit):
    found = saliency.pointing_game(pointing_at(row, column), planted()[None], tolerance=tolerance)
    assert found.dtype == bool
    assert found.tolist() == [hit]


def test_of_equal_maxima_half_must_hit():
    two, three = np.zeros((2, 1, SIDE, SIDE))
    two[0, 4, 6] = two[0, 0, 0] = three[0, 4, 6] = three[0, 0, 0] = three[0, 0, 1] = 1
    assert saliency.pointing_game(np.concatenate([two, three]), planted()[None].repeat(2, 0)).tolist() == [
        1,
        0,
    ]


def test_an_empty_map_points_nowhere_and_has_no_energy():
    nothing, mask = np.zeros((1, SIDE, SIDE)), planted()[None]
    assert saliency.pointing_game(nothing, mask, tolerance=99).tolist() == [False]
    assert saliency.energy_inside(nothing, mask).tolist() == [0]


def test_energy_is_the_share_of_the_sum_inside():
    maps = np.zeros((1, SIDE, SIDE))
    maps[0, 4, 6], maps[0, 5, 7], maps[0, 0, 0] = 1, 0.5, 0.5
    assert saliency.energy_inside(maps, planted()[None]).tolist() == [0.75]


def test_the_table_says_what_a_map_without_knowledge_scores():
    mask = planted()[None]
    table = saliency.localisation(np.ones((1, SIDE, SIDE)), mask, tolerance=1)
    assert list(table.columns) == ["hit", "hit_by_chance", "energy", "energy_if_uniform"]
    assert table.loc[0, "energy"] == table.loc[0, "energy_if_uniform"] == 16 / 256
    assert table.loc[0, "hit_by_chance"] == (16 + 4 * 4) / 256  # one pixel more on each of four sides


@given(maps=some_maps, data=st.data())
def test_images_in_another_order_have_the_same_scores_in_that_order(maps, data):
    order = np.array(data.draw(st.permutations(range(len(maps)))))
    masks = np.random.default_rng(len(maps)).random(maps.shape) > 0.5
    for measure in (saliency.pointing_game, saliency.energy_inside):
        np.testing.assert_allclose(measure(maps[order], masks[order]), measure(maps, masks)[order], atol=1e-6)
    bands = saliency.band_energy(maps)
    pd.testing.assert_frame_equal(saliency.band_energy(maps[order]), bands.iloc[order].reset_index(drop=True))


@given(maps=some_maps)
def test_energy_inside_and_outside_is_all_or_nothing(maps):
    masks = np.random.default_rng(0).random(maps.shape) > 0.3
    whole = saliency.energy_inside(maps, masks) + saliency.energy_inside(maps, ~masks)
    np.testing.assert_allclose(whole, maps.any(axis=(1, 2)), atol=1e-12)


@pytest.mark.parametrize("measure", [saliency.pointing_game, saliency.energy_inside, saliency.localisation])
@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (np.ones((SIDE, SIDE)), planted(), r"shape \(N, H, W\), got \(16, 16\)"),
        (np.ones((0, SIDE, SIDE)), planted()[:0], "one or more maps"),
        (np.ones((2, SIDE, SIDE)), planted()[None], r"bool of the maps' shape \(2, 16, 16\)"),
        (np.ones((1, SIDE, SIDE)), planted()[None] * 1.0, "bool of the maps' shape"),
        (-np.ones((1, SIDE, SIDE)), planted()[None], "finite and not negative"),
        (np.full((1, SIDE, SIDE), np.nan), planted()[None], "finite and not negative"),
        (np.ones((1, SIDE, SIDE)), np.zeros((1, SIDE, SIDE), bool), "1 masks are empty, the first is row 0"),
    ],
)
def test_maps_and_masks_that_do_not_fit_are_refused(measure, maps, masks, message):
    with pytest.raises(ValueError, match=message):
        measure(maps, masks)


# --- bands of the face -----------------------------------------------------------------------------


def test_shares_of_bands_are_those_counted_by_hand():
    maps = np.zeros((2, 10, 3))
    maps[0, 0], maps[0, 5, 0], maps[0, 9, 2] = 1, 4, 1
    table = saliency.band_energy(maps, {"low": (0.5, 0.9), "high": (0.0, 0.2)})
    assert list(table.columns) == ["low", "high", "elsewhere"]
    assert table.to_numpy().tolist() == [[0.5, 0.375, 0.125], [0, 0, 0]]


@given(maps=some_maps)
def test_shares_of_bands_sum_to_one_or_to_nothing(maps):
    table = saliency.band_energy(maps)
    np.testing.assert_allclose(table.sum(axis=1), maps.any(axis=(1, 2)), atol=1e-12)
    assert (table >= 0).all(axis=None)


def test_a_uniform_map_scores_the_area_of_each_band():
    areas = saliency.band_areas(48)
    assert (areas * 48).round(6).to_dict() == {"brow": 7, "eye": 6, "nose": 8, "mouth": 10, "elsewhere": 17}


@pytest.mark.parametrize(
    ("band", "units"), [("brow", (1, 2)), ("eye", (5, 7, 43)), ("mouth", (17, 20, 25, 26))]
)
def test_the_default_bands_hold_the_middle_of_where_drawn_action_units_act(band, units):
    for unit in units:
        rows = sum(action_unit_mask(Identity.sample(person), unit).sum(axis=1) for person in range(8))
        middle = np.searchsorted(np.cumsum(rows), rows.sum() / 2)
        top, bottom = saliency.FACE_BANDS[band]
        assert top <= (middle + 0.5) / 48 < bottom, f"unit {unit}: row {middle}"


@pytest.mark.parametrize(
    "bands",
    [{}, {"a": (0.5, 0.4)}, {"a": (0.1, 0.5), "b": (0.4, 0.6)}, {"a": (-0.1, 0.2)}, {"a": (0.5, 1.1)}],
)
def test_bands_that_overlap_or_leave_the_image_are_refused(bands):
    with pytest.raises(ValueError, match="not overlap"):
        saliency.band_energy(np.ones((1, 4, 4)), bands)


def shares(*mouth: float) -> pd.DataFrame:
    return pd.DataFrame({"mouth": mouth, "elsewhere": [float(share > 0) - share for share in mouth]})


def test_means_of_classes_leave_out_empty_maps_and_count_the_rest():
    table = saliency.band_means(
        shares(0.25, 0.75, 0.0, 1.0), np.array([0, 0, 0, 2]), class_names=("happy", "sad", "fear")
    )
    assert table[["class", "band", "mean", "n"]].values.tolist() == [
        ["happy", "mouth", 0.5, 2],
        ["happy", "elsewhere", 0.5, 2],
        ["fear", "mouth", 1.0, 1],
        ["fear", "elsewhere", 0.0, 1],
    ]
    assert table.loc[0, ["low", "high"]].tolist() == [0.25, 0.75]
    assert table.loc[2:, ["low", "high"]].isna().all(axis=None)  # a single image


def test_the_interval_is_as_wide_as_the_mean_s_standard_error_says():
    values = np.random.default_rng(0).uniform(0.2, 0.6, 400)
    row = saliency.band_means(shares(*values), np.zeros(400, int), class_names=("happy",)).iloc[0]
    half = 1.96 * values.std() / np.sqrt(400)
    assert (row["low"], row["high"]) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_people_can_be_drawn_in_place_of_images():
    values, person = np.tile([0.2, 0.8], 20), np.tile([7, 3], 20)
    table = saliency.band_means(shares(*values), np.zeros(40, int), class_names=("happy",), unit=person)
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(
    ("labels", "unit", "message"),
    [
        ([0], None, "2 maps need a label and a unit each"),
        ([0, 1], [0], "2 maps need a label and a unit each"),
        ([0, 2], None, "labels must be 0 to 1, got 0 to 2"),
        ([-1, 0], None, "labels must be 0 to 1, got -1 to 0"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, unit, message):
    with pytest.raises(ValueError, match=message):
        saliency.band_means(shares(0.5, 0.5), labels, class_names=("happy", "sad"), unit=unit)


# --- deletion and insertion ------------------------------------------------------------------------


def test_curves_are_those_worked_out_by_hand():
    """Four pixels that go one by one, the probability being the share of them that is white."""
    image = np.array([[[255, 0], [0, 255]]], np.uint8)
    maps = np.array([[[1.0, 0.2], [0.5, 0.7]]])

    def white(images):
        return np.stack([(images == 255).mean(axis=(1, 2))] * 2, axis=1)

    deleted = saliency.deletion_curve(white, image, maps, [0], steps=4)
    assert deleted.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert deleted.scores.tolist() == [[0.5, 0.25, 0, 0, 0]]
    assert deleted.auc.tolist() == [0.25 * (0.5 / 2 + 0.25)]
    inserted = saliency.insertion_curve(white, image, maps, [1], steps=4, baseline="gray")
    assert inserted.scores.tolist() == [[0, 0.25, 0.5, 0.5, 0.5]]
    assert inserted.auc.tolist() == [0.25 * (0.25 + 0.5 + 0.5 + 0.25)]


@pytest.mark.parametrize("baseline", ["gray", "blurred"])
def test_the_map_of_the_planted_patch_beats_random_ones_both_ways(baseline):
    images, classes = lit(), [0] * 3
    true = np.repeat(planted()[None].astype(float), 3, axis=0)
    others = [saliency.random_maps(images.shape, seed=seed, native_size=(6, 6)) for seed in range(4)]
    for curve, sign in ((saliency.deletion_curve, 1), (saliency.insertion_curve, -1)):
        ours = curve(bright_patch, images, true, classes, baseline=baseline).auc
        for maps in others:
            assert (
                sign * ours < sign * curve(bright_patch, images, maps, classes, baseline=baseline).auc
            ).all()


def test_no_order_of_pixels_drops_the_score_faster_than_the_planted_patch():
    images = lit(1)
    fastest = saliency.deletion_curve(bright_patch, images, planted()[None] * 1.0, [0], steps=SIDE**2)
    for seed in range(5):
        maps = np.random.default_rng(seed).random((1, SIDE, SIDE))
        other = saliency.deletion_curve(bright_patch, images, maps, [0], steps=SIDE**2)
        assert (fastest.scores <= other.scores + 1e-12).all()


def test_curves_run_from_the_image_to_the_baseline_and_back():
    seen = []

    def keep(images):
        seen.append(images)
        return bright_patch(images)

    images, maps = lit(), saliency.random_maps((3, SIDE, SIDE), seed=0, native_size=(6, 6))
    saliency.deletion_curve(keep, images, maps, [0, 1, 0], steps=3)
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_array_equal(seen[-1], np.round(images.mean((1, 2)))[:, None, None] + 0 * images)
    saliency.insertion_curve(keep, images, maps, [0, 1, 0], steps=3)
    np.testing.assert_array_equal(seen[-1], images)
    sharp, blurred = (abs(np.diff(one.astype(int), axis=2)).mean() for one in (images, seen[4]))
    assert blurred < 0.3 * sharp
    assert {one.dtype for one in seen} == {np.dtype(np.uint8)}


def test_equal_evidence_is_not_taken_from_the_top_of_the_picture_first():
    """A class-activation map is zero over large areas: reading order would favour brows."""
    images = np.zeros((1, SIDE, SIDE), np.uint8)
    images[:, 8:] = 200
    halves = []

    def keep(current):
        halves.append((current[0, :8] == 100).mean())
        return np.ones((1, 1))

    saliency.deletion_curve(keep, images, np.zeros((1, SIDE, SIDE)), [0], steps=2)
    assert halves[1] == pytest.approx(0.5, abs=0.15)


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_curves_of_images_in_another_order_are_the_same_in_that_order(data):
    order = np.array(data.draw(st.permutations(range(3))))
    images, classes = noise(), np.array([0, 1, 1])
    maps = np.round(saliency.random_maps(images.shape, seed=1, native_size=(6, 6)), 1)  # with ties
    for curve in (saliency.deletion_curve, saliency.insertion_curve):
        whole = curve(bright_patch, images, maps, classes, steps=5)
        turned = curve(bright_patch, images[order], maps[order], classes[order], steps=5)
        np.testing.assert_allclose(turned.scores, whole.scores[order], atol=1e-6)
        np.testing.assert_allclose(turned.auc, whole.auc[order], atol=1e-6)


def test_curves_leave_the_images_alone():
    images = lit()
    images.setflags(write=False)
    before = images.copy()
    saliency.insertion_curve(bright_patch, images, np.ones(images.shape), [0] * 3)
    np.testing.assert_array_equal(images, before)


def curve(**changes):
    images = changes.pop("images", noise())
    arguments = {"predict": bright_patch, "maps": np.ones((3, SIDE, SIDE)), "classes": [0, 1, 0]} | changes
    predict, maps, classes = (arguments.pop(name) for name in ("predict", "maps", "classes"))
    return saliency.deletion_curve(predict, images, maps, classes, **arguments)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": noise() / 255}, "images must be uint8"),
        ({"maps": np.ones((2, SIDE, SIDE))}, r"of the maps' shape \(2, 16, 16\)"),
        ({"classes": [0, 1]}, "3 images need a class of 0 or more each"),
        ({"classes": [0, 1, -1]}, "a class of 0 or more each"),
        ({"classes": [0.0, 1.0, 1.0]}, "a class of 0 or more each"),
        ({"classes": [0, 1, 2]}, "classes must be 0 to 1, got 2"),
        ({"steps": 0}, "steps must be 1 to the number of pixels, 256, got 0"),
        ({"steps": 257}, "got 257"),
        ({"baseline": "white"}, "'gray' or 'blurred', got 'white'"),
        ({"predict": lambda images: images[:, 0, 0]}, r"must give \(N, K\) for 3 images, got \(3,\)"),
    ],
)
def test_curves_of_what_does_not_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        curve(**wrong)


# --- maps that know nothing ------------------------------------------------------------------------


def test_random_maps_are_as_coarse_as_the_layer_and_repeat():
    maps = saliency.random_maps((5, 48, 48), seed=3, native_size=(6, 6))
    assert (maps.shape, maps.dtype) == ((5, 48, 48), np.float32)
    assert (maps.max(axis=(1, 2)) == 1).all() and maps.min() >= 0
    assert abs(np.diff(maps, axis=2)).max() <= 1.3 / 8  # a step of the noise is spread over eight pixels
    np.testing.assert_array_equal(maps, saliency.random_maps((5, 48, 48), seed=3, native_size=(6, 6)))
    assert (maps != saliency.random_maps((5, 48, 48), seed=4, native_size=(6, 6))).any()


def test_upsampled_noise_points_at_the_border_more_often_than_its_area_says():
    """What `localisation` warns of: chance by area is not what a coarse map scores."""
    maps = saliency.random_maps((400, 48, 48), seed=0, native_size=(12, 12))
    border = np.ones((48, 48), bool)
    border[4:-4, 4:-4] = False
    found = saliency.localisation(maps, np.repeat(border[None], 400, axis=0))
    assert found["hit"].mean() > found["hit_by_chance"].mean() + 0.1
    assert found["energy"].mean() == pytest.approx(found["energy_if_uniform"].mean(), abs=0.02)


def test_random_maps_of_no_size_are_refused():
    with pytest.raises(ValueError, match="sizes must be 1 or more"):
        saliency.random_maps((1, 48, 48), seed=0, native_size=(0, 6))


def test_similarities_are_those_of_scipy_and_scikit_image():
    from scipy.stats import spearmanr
    from skimage.metrics import structural_similarity

    first, second = (
        np.round(saliency.random_maps((3, 20, 24), seed=s, native_size=(6, 6)), 2) for s in (0, 1)
    )
    table = saliency.randomisation_check(first, second)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    for row, (a, b) in enumerate(zip(first.astype(float), second.astype(float), strict=True)):
        assert table.loc[row, "rank_correlation"] == pytest.approx(spearmanr(a.ravel(), b.ravel())[0])
        assert table.loc[row, "ssim"] == pytest.approx(structural_similarity(a, b, **window))


@settings(deadline=None, max_examples=20)
@given(maps=some_maps)
def test_a_map_is_wholly_like_itself_and_likeness_has_no_direction(maps):
    same = saliency.randomisation_check(maps, maps)
    np.testing.assert_allclose(same["ssim"], 1)
    varied = np.ptp(maps, axis=(1, 2)) > 0
    np.testing.assert_allclose(same["rank_correlation"], np.where(varied, 1, np.nan))
    other = saliency.random_maps(maps.shape, seed=0, native_size=(6, 6))
    there, back = saliency.randomisation_check(maps, other), saliency.randomisation_check(other, maps)
    pd.testing.assert_frame_equal(there, back)


def test_a_map_turned_upside_down_in_value_has_rank_correlation_minus_one():
    maps = saliency.random_maps((1, 20, 20), seed=0, native_size=(6, 6)).astype(float)
    assert saliency.randomisation_check(maps, 1 - maps).loc[0, "rank_correlation"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (np.ones((1, 12, 12)), np.ones((2, 12, 12)), "must have one shape"),
        (np.ones((1, 10, 12)), np.ones((1, 10, 12)), "at least 11 pixels a side, got up to 1 and 10x12"),
        (np.ones((1, 12, 12)), np.full((1, 12, 12), 2), "of 0 to 1"),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(before, after, message):
    with pytest.raises(ValueError, match=message):
        saliency.randomisation_check(before, after)


# --- masks of synthetic faces ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(n_subjects=4, images_per_subject=7, seed=5)


def test_masks_are_the_union_of_what_each_picture_was_drawn_from(faces):
    from fer_utils.synthetic import synthetic_sample

    masks = synthetic_masks(faces, seed=5)
    assert (masks.shape, masks.dtype) == (faces.images.shape, bool)
    happy = int(np.flatnonzero(faces.labels == faces.class_names.index("happy"))[0])
    showing = synthetic_sample(faces.sample_id[happy], "happy", seed=5)
    strong = [unit for unit, intensity in showing.action_units.items() if intensity > 0.25]
    union = np.any([action_unit_mask(showing.identity, unit, scene=showing.scene) for unit in strong], axis=0)
    assert 12 in strong
    np.testing.assert_array_equal(masks[happy], union)


def test_all_but_neutral_faces_have_a_mask_and_a_higher_bar_only_shrinks_it(faces):
    masks, fewer = synthetic_masks(faces, seed=5), synthetic_masks(faces, seed=5, above=0.6)
    neutral = faces.labels == faces.class_names.index("neutral")
    assert masks[~neutral].any(axis=(1, 2)).all() and not masks[neutral].any()
    assert not (fewer & ~masks).any() and fewer.sum() < masks.sum()


def test_pictures_in_another_order_have_their_own_masks(faces):
    rows = np.array([9, 3, 20])
    np.testing.assert_array_equal(
        synthetic_masks(faces.take(rows), seed=5), synthetic_masks(faces, seed=5)[rows]
    )


def test_pictures_differ_from_neutral_only_where_their_units_can_act(faces):
    changes, masks = synthetic_changes(faces, seed=5), synthetic_masks(faces, seed=5, above=0.0)
    assert (changes.shape, changes.dtype) == (faces.images.shape, np.uint8)
    assert not changes[~masks].any()
    neutral = faces.labels == faces.class_names.index("neutral")
    strong = (changes > 10).sum(axis=(1, 2))
    assert (strong[~neutral] > 0).all() and strong.sum() < 0.5 * masks.sum()


def test_a_face_without_action_units_does_not_change(faces):
    from fer_utils.synthetic import synthetic_sample

    units = [
        synthetic_sample(one, faces.class_names[label], seed=5).action_units
        for one, label in zip(faces.sample_id, faces.labels, strict=True)
    ]
    still = np.array([not strengths for strengths in units])
    assert still.any() and not synthetic_changes(faces, seed=5)[still].any()


@pytest.mark.parametrize("truth", [synthetic_masks, synthetic_changes])
def test_another_seed_than_the_data_set_s_is_refused(faces, truth):
    with pytest.raises(ValueError, match="seed 0 draws another picture for synthetic-s000-0000"):
        truth(faces, seed=0)
