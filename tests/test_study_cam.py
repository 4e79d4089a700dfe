"""The measurement of class-activation maps that two notebooks share, on maps whose answer is known."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils import saliency
from fer_utils.data import FaceSet, load_faces
from fer_utils.results import Results
from fer_utils.saliency import GradCAM
from fer_utils.studies import cam

DRAWN = load_faces("synthetic", synthetic_subjects=12, synthetic_per_subject=14, seed=3)


def faces(n: int = 40, **changed: object) -> FaceSet:
    """Return real-looking noise of five claimed or unclaimed classes, each image of somebody else."""
    arguments = {
        "name": "toy",
        "source": "real",
        "images": np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8),
        "labels": np.arange(n) % 4,
        "class_names": ("angry", "fear", "happy", "surprise"),
        "split": np.repeat("test", n),
        "sample_id": np.array([f"toy-{i:03d}" for i in range(n)]),
    }
    return FaceSet(**(arguments | changed))


def of(maps: np.ndarray, chosen: FaceSet, method: str = "Grad-CAM") -> GradCAM:
    return GradCAM(maps.astype(np.float32), (12, 12), "relu", tuple(chosen.labels.tolist()), method)


def noise(chosen: FaceSet, seed: int = 0) -> GradCAM:
    return of(saliency.random_maps(chosen.images.shape, seed=seed, native_size=(12, 12)), chosen)


def in_band(chosen: FaceSet, band: str, strength: float = 1.0) -> GradCAM:
    """Return noise with a warm band."""
    maps = 0.2 * noise(chosen).maps
    top, bottom = (round(48 * edge) for edge in cam.bands_of(chosen)[band])
    maps[:, top:bottom] += strength
    return of(maps / maps.max(), chosen)


def banded(chosen: FaceSet, **strength: np.ndarray | float) -> GradCAM:
    """Return maps that are 0.1 but in the named bands: one strength for all images or one each."""
    maps = np.full((len(chosen), 48, 48), 0.1)
    for band, values in strength.items():
        top, bottom = (round(48 * edge) for edge in cam.bands_of(chosen)[band])
        maps[:, top:bottom] = np.broadcast_to(values, len(chosen))[:, None, None]
    return of(maps / maps.max(), chosen)


def never(images: np.ndarray) -> np.ndarray:
    """Return probabilities that do not depend on the image."""
    return np.full((len(images), 7), 1 / 7)


# --- which images ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(per_class=st.integers(1, 12), seed=st.integers(0, 5))
def test_the_choice_is_balanced_and_the_seed_s(per_class, seed):
    chosen = cam.balanced(faces(), per_class=per_class, seed=seed)
    assert np.bincount(chosen.labels).tolist() == [min(per_class, 10)] * 4
    assert len(set(chosen.sample_id)) == len(chosen)
    assert (np.diff(chosen.labels) >= 0).all()
    again = cam.balanced(faces(), per_class=per_class, seed=seed)
    assert chosen.sample_id.tolist() == again.sample_id.tolist()


def test_another_seed_chooses_others_and_images_without_class_are_left_out():
    first, second = (cam.balanced(faces(), per_class=3, seed=seed).sample_id.tolist() for seed in (0, 1))
    assert first != second
    half = faces(labels=np.where(np.arange(40) < 20, FaceSet.UNLABELLED, np.arange(40) % 4))
    assert len(cam.balanced(half, per_class=99, seed=0)) == 20
    with pytest.raises(ValueError, match="none of 40 images has a class"):
        cam.balanced(faces(labels=np.full(40, -1)), per_class=1, seed=0)
    with pytest.raises(ValueError, match="1 or more, got 0"):
        cam.balanced(faces(), per_class=0, seed=0)


def test_people_come_together_and_unknown_ones_stand_alone():
    known = faces(4, subject=np.array(["a", "b", "a", ""]))
    numbers = cam.people(known)
    assert numbers[0] == numbers[2]
    assert len(set(numbers)) == 3
    assert len(set(cam.people(faces(40)))) == 40


def test_bands_of_drawn_and_of_real_faces_differ_and_both_tile_a_face_from_brow_to_mouth():
    assert cam.bands_of(DRAWN) is saliency.FACE_BANDS
    assert cam.bands_of(faces()) is saliency.FER2013_BANDS
    for bands in (saliency.FACE_BANDS, saliency.FER2013_BANDS):
        edges = list(bands.values())
        assert list(bands) == ["brow", "eye", "nose", "mouth"]
        assert all(upper[1] == lower[0] for upper, lower in pairwise(edges))
    # The darkest row of PublicTest's mean eye and mouth, of 48: each in its band of real faces.
    assert saliency.FER2013_BANDS["eye"][0] < 17.5 / 48 < saliency.FER2013_BANDS["eye"][1]
    assert saliency.FER2013_BANDS["mouth"][0] < 38.5 / 48 < saliency.FER2013_BANDS["mouth"][1]


def test_a_guess_of_the_bands_is_called_one():
    assert cam.bands_note(DRAWN) == "bands read off drawn faces"
    assert cam.bands_note(faces(name="fer2013")) == "bands read off FER-2013's mean face"
    guess = "bands of FER-2013: a guess for rafdb; look whether they fit the first panel"
    assert cam.bands_note(faces(name="rafdb")) == guess
    assert "a guess for fer2013+rafdb" in cam.bands_note(faces(name="fer2013+rafdb"))


# --- intervals of few images -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [cam.FEWEST_UNITS, 10, 30])
def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_says(n):
    values = np.random.default_rng(1).normal(size=(n, 600))
    _, low, high = saliency.mean_intervals(values, np.arange(n), n_boot=1000).T
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.95, abs=0.03)


def test_from_fewer_units_than_a_verdict_needs_the_interval_misses_too_often():
    values = np.random.default_rng(1).normal(size=(4, 600))
    _, low, high = saliency.mean_intervals(values, np.arange(4), n_boot=1000).T
    assert ((low <= 0) & (high >= 0)).mean() < 0.91


def test_a_higher_level_makes_a_wider_interval_around_the_same_mean():
    values = np.random.default_rng(1).normal(size=(12, 5))
    mean, low, high = saliency.mean_intervals(values, np.arange(12)).T
    same, lower, higher = saliency.mean_intervals(values, np.arange(12), level=0.9875).T
    np.testing.assert_array_equal(same, mean)
    assert (lower < low).all() and (higher > high).all()


def test_no_image_and_one_person_leave_the_spread_unknown():
    assert np.isnan(saliency.mean_intervals(np.empty((0, 2)), np.empty(0))).all()
    mean, low, high = saliency.mean_intervals([[1.0], [3.0]], np.array(["a", "a"]))[0]
    assert mean == 2
    assert np.isnan([low, high]).all()


# --- the paper's claim -----------------------------------------------------------------------------


def verdicts(chosen: FaceSet, maps: GradCAM) -> dict[tuple[str, str], str]:
    table = cam.claim_table(chosen, maps)
    return {(row["class"], row["claimed"]): row["verdict"] for row in table.to_dict("records")}


def test_a_planted_band_holds_the_claims_about_it_and_refutes_the_others():
    found = verdicts(faces(), in_band(faces(), "mouth"))
    assert found == {
        ("angry", "nose"): "less than its area",
        ("fear", ""): "nothing claimed",
        ("happy", "mouth"): "most evidence there",
        ("surprise", "nose"): "less than its area",
        ("surprise", "mouth"): "most evidence there",
    }
    assert verdicts(faces(), in_band(faces(), "nose"))["angry", "nose"] == "most evidence there"


def test_more_than_its_area_is_not_most():
    maps = in_band(faces(), "mouth", 0.6).maps + in_band(faces(), "eye").maps
    found = verdicts(faces(), of(maps / 2, faces()))
    assert found["happy", "mouth"] == "more than its area, but most in the eye band"
    rows = np.full((40, 48, 48), 0.1)
    rows[:, :10] = rows[:, 43:] = 1
    rows[:, 33:43] = 0.8
    outside = verdicts(faces(), of(rows, faces()))
    assert outside["happy", "mouth"] == "more than its area, but most outside the bands"


def test_the_other_claimed_band_is_no_rival():
    maps = (in_band(faces(), "mouth").maps + in_band(faces(), "nose", 0.5).maps) / 2
    found = verdicts(faces(), of(maps, faces()))
    assert found["surprise", "nose"] == found["surprise", "mouth"] == "most evidence there"
    assert found["angry", "nose"] == "more than its area, but most in the mouth band"


def test_a_noisy_rival_is_not_hidden_by_a_denser_steady_one():
    loud = np.arange(40) // 4 % 10 < 4  # four of the ten images of each class
    maps = banded(faces(), mouth=1.0, eye=0.8, nose=np.where(loud, 2.0, 0.3))
    density = cam.band_table(faces(), maps).set_index(["class", "band"])["density"]["happy"]
    assert density["mouth"] > density["eye"] > density["nose"]
    found = verdicts(faces(), maps)["happy", "mouth"]
    assert found == "more than its area, but perhaps as much in the nose band"
    steady = verdicts(faces(), banded(faces(), mouth=1.0, eye=0.8, nose=0.3))
    assert steady["happy", "mouth"] == "most evidence there"


@pytest.mark.parametrize(("ahead", "said"), [(0.115, "perhaps as much"), (0.3, "most")])
def test_most_elsewhere_must_hold_at_the_level_of_one_picked_among_many(ahead, said):
    wobble = 0.2 * np.repeat(np.linspace(-1, 1, 10), 4)
    maps = banded(faces(), mouth=1.0, eye=1 + ahead + wobble)
    happy = faces().labels == 2
    shares = saliency.band_energy(maps.maps[happy], cam.bands_of(faces()))
    density = shares / saliency.band_areas(48, cam.bands_of(faces()))
    gap = (density["eye"] - density["mouth"]).to_numpy()[:, None]
    assert saliency.mean_intervals(gap, np.arange(10))[0, 1] > 0  # at 95 % both would be "most"
    found = verdicts(faces(), maps)["happy", "mouth"]
    assert found == f"more than its area, but {said} in the eye band"


def test_noise_holds_hardly_a_claim_and_is_mostly_not_told_from_the_area():
    found = [verdict for seed in range(15) for verdict in verdicts(faces(), noise(faces(), seed)).values()]
    claims = pd.Series([verdict for verdict in found if verdict != "nothing claimed"])
    assert len(claims) == 15 * 4
    assert (claims == "most evidence there").mean() <= 0.05
    assert (claims == "not told apart from its area").mean() >= 0.8


def test_maps_that_are_the_same_all_over_have_the_density_one():
    table = cam.band_table(faces(), of(np.ones((40, 48, 48)), faces()))
    np.testing.assert_allclose(table["density"], 1)
    np.testing.assert_allclose(table["share"], table["area"])
    marked = table.loc[table["claimed"], ["class", "band"]].to_numpy().tolist()
    assert marked == [["angry", "nose"], ["happy", "mouth"], ["surprise", "nose"], ["surprise", "mouth"]]


def test_empty_maps_are_left_out():
    maps = in_band(faces(), "mouth").maps
    maps[faces().labels == 0] = 0
    maps[1] = 0
    table = cam.claim_table(faces(), of(maps, faces()))
    assert table.set_index("class")["n"].to_dict() == {"fear": 9, "happy": 10, "surprise": 10}


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (np.repeat("a", 40), "1 person: no verdict"),
        (np.array(list("abc"))[np.arange(40) % 3], "3 people: no verdict"),
        (np.where(np.arange(40) // 4 < 6, "a", ""), "5 people and images: no verdict"),
        (np.array(list("abcdef"))[np.arange(40) // 4 % 6], "most evidence there"),
    ],
)
def test_too_few_people_have_no_verdict(subject, said):
    some = replace(faces(), subject=subject)
    assert verdicts(some, in_band(some, "mouth"))["happy", "mouth"] == said


def test_too_few_images_of_unknown_people_have_no_verdict_and_empty_maps_do_not_count():
    maps = in_band(faces(), "mouth").maps
    maps[2:22] = 0
    assert verdicts(faces(), of(maps, faces()))["happy", "mouth"] == "5 images: no verdict"
    assert cam.too_few(faces(cam.FEWEST_UNITS)) == ""
    assert cam.too_few(faces(1)) == "1 image: no verdict"


def test_maps_of_other_images_are_refused():
    with pytest.raises(ValueError, match="do not fit the images"):
        cam.band_table(faces(), noise(faces(8)))


# --- the drawn truth -------------------------------------------------------------------------------


def test_the_truth_of_chosen_faces_is_where_they_differ_from_the_neutral_face():
    chosen = cam.balanced(DRAWN.only("test"), per_class=3, seed=0)
    masks = cam.truth_masks(chosen, seed=3)
    neutral = chosen.labels == chosen.class_names.index("neutral")
    assert not masks[neutral].any()
    assert masks[~neutral].any(axis=(1, 2)).all()
    assert masks.mean() < 0.1
    np.testing.assert_array_equal(cam.truth_masks(chosen.take([4, 1]), seed=3), masks[[4, 1]])


def test_truth_is_refused_for_other_faces_and_another_seed():
    with pytest.raises(ValueError, match="toy: only of synthetic faces"):
        cam.truth_masks(faces(), seed=0)
    with pytest.raises(ValueError, match="seed 0 draws another picture"):
        cam.truth_masks(DRAWN.only("test"), seed=0)
    still = DRAWN.take(DRAWN.labels == DRAWN.class_names.index("neutral"))
    with pytest.raises(ValueError, match="none of 24 faces shows an expression"):
        cam.truth_table(still, {"Grad-CAM": noise(still)}, seed=3)


def test_maps_of_the_truth_beat_every_control_and_noise_none():
    chosen = cam.balanced(DRAWN, per_class=8, seed=0)
    true = of(cam.truth_masks(chosen, seed=3) * 1.0, chosen)
    table = cam.truth_table(chosen, {"truth": true, "noise": noise(chosen, seed=99)}, seed=3)
    assert table.loc["truth", ["pointing", "pointing low", "energy", "energy low"]].tolist() == [1] * 4
    controls = ["maps of other classes", "random maps, as coarse", "anywhere, by area"]
    assert list(table.index) == ["truth", "noise", *controls]
    assert (table.loc[controls, ["pointing high", "energy high"]] < 0.5).all(axis=None)
    for measure in ("pointing", "energy"):
        low, high = table.loc["noise", [f"{measure} low", f"{measure} high"]]
        assert (low <= table.loc[controls, f"{measure} high"]).all()
        assert low <= table.loc["random maps, as coarse", measure] <= high
    assert (table["n"] == 48).all()


# --- deletion and insertion ------------------------------------------------------------------------


def corner(images: np.ndarray) -> np.ndarray:
    """Return probabilities of a network that asks how bright the corner is."""
    bright = images[:, :12, :12].mean(axis=(1, 2)) / 255
    return np.stack([bright] * 7, axis=1) / 7


def lit(n: int = 20) -> FaceSet:
    images = np.random.default_rng(0).integers(0, 60, (n, 48, 48), dtype=np.uint8)
    images[:, :12, :12] = 250
    return faces(n, images=images)


def test_the_map_of_what_decides_is_better_than_random_ones_and_its_opposite_worse():
    maps = np.zeros((20, 48, 48))
    maps[:, :12, :12] = 1
    for one, verdict in ((maps, "better"), (1 - maps, "worse")):
        table = cam.area_table(lit(), cam.perturbed(corner, lit(), of(one, lit()), steps=6))
        assert table["verdict"].tolist() == [f"{verdict} than random maps"] * 2
        np.testing.assert_allclose(table["difference"], table["area"] - table["random maps"])
        assert (table["difference low"] <= table["difference"]).all()


def test_three_people_tell_no_curve_apart():
    maps = np.zeros((20, 48, 48))
    maps[:, :12, :12] = 1
    few = replace(lit(), subject=np.array(list("abc"))[np.arange(20) % 3])
    table = cam.area_table(few, cam.perturbed(corner, few, of(maps, few), steps=2))
    assert table["verdict"].tolist() == ["3 people: no verdict"] * 2


def test_a_network_that_does_not_look_tells_no_map_apart():
    curves = cam.perturbed(never, faces(), noise(faces()), steps=4)
    table = cam.area_table(faces(), curves)
    assert table["verdict"].tolist() == ["not told apart from random maps"] * 2
    means = cam.curve_table(faces(), curves)
    np.testing.assert_allclose(means["probability"], 1 / 7)
    assert len(means) == 2 * 2 * 5
    assert means.groupby(["way", "maps"], sort=False).ngroups == 4


# --- re-initialised networks -----------------------------------------------------------------------


def test_the_same_maps_are_alike_and_new_ones_are_as_alike_as_those_of_other_images():
    chosen = faces()
    networks = {
        "nothing": lambda images, classes: noise(chosen),
        "all": lambda images, classes: noise(chosen, seed=5),
    }
    table = cam.randomisation_table(chosen, noise(chosen), networks)
    assert list(table.index) == ["nothing", "all", "maps of other images"]
    assert table.loc["nothing", ["rank correlation", "ssim"]].tolist() == pytest.approx([1, 1])
    by_chance = table.loc["maps of other images"]
    assert by_chance["rank low"] < table.loc["all", "rank correlation"] < by_chance["rank high"]


def test_empty_maps_are_not_alike_and_a_dead_network_has_no_value():
    chosen, half = faces(), noise(faces()).maps
    half[::2] = 0
    networks = {"dead": lambda images, classes: of(0 * half, chosen)}
    table = cam.randomisation_table(chosen, of(half, chosen), networks)
    assert table["n"].to_dict()["dead"] == 0
    assert table.loc["dead"].drop("n").isna().all()
    assert table.loc["maps of other images", "n"] <= 20


def test_one_class_has_no_maps_of_other_classes():
    same = faces(labels=np.zeros(40, int))
    with pytest.raises(ValueError, match="two classes or more"):
        cam.randomisation_table(same, noise(same), {})


# --- what is kept ----------------------------------------------------------------------------------


def tables(chosen: FaceSet) -> dict[str, pd.DataFrame]:
    maps = noise(chosen)
    networks = {"head.3": lambda images, classes: of(0 * maps.maps, chosen)}
    return {
        "bands": cam.band_table(chosen, maps),
        "areas": cam.area_table(chosen, cam.perturbed(never, chosen, maps, steps=2)),
        "randomised": cam.randomisation_table(chosen, maps, networks),
    }


def test_records_are_as_results_json_wants_them_without_what_could_not_be_measured():
    chosen = cam.balanced(DRAWN, per_class=4, seed=0)
    truth = cam.truth_table(chosen, {"Grad-CAM": noise(chosen), "Grad-CAM++": noise(chosen)}, seed=3)
    found = cam.records(**tables(chosen), truth=truth)
    heading = {"kind": "data", "status": "done", "run": "a", "variant": None, "notebook": "a"}
    Results.check(heading | {"profile": "smoke", "paper": None, "other_metrics": found})
    assert set(found["cam_pointing_game"]) >= {"grad_cam", "grad_cam_plus_plus", "maps_of_other_classes"}
    assert found["cam_energy_inside"]["grad_cam"]["n"] == 24
    assert set(found["cam_share_happy"]) == {"brow", "eye", "nose", "mouth", "elsewhere"}
    assert found["cam_deletion"]["random_maps"]["ci95"] is None
    assert list(found["cam_ssim"]) == ["maps_of_other_images"]
    assert "cam_pointing_game" not in cam.records(**tables(faces()))


def test_tables_are_kept_as_files_without_the_numbers_of_rows_and_without_what_was_not_measured(tmp_path):
    made = tables(faces())
    written = cam.save_tables(tmp_path / "run", **made, truth=None)
    assert [path.name for path in written] == ["cam_bands.csv", "cam_areas.csv", "cam_randomised.csv"]
    assert sorted((tmp_path / "run").iterdir()) == sorted(written)
    bands, areas, randomised = written
    pd.testing.assert_frame_equal(pd.read_csv(bands), made["bands"])
    pd.testing.assert_frame_equal(pd.read_csv(areas, index_col=0), made["areas"])
    assert pd.read_csv(randomised, index_col=0).index.tolist() == ["head.3", "maps of other images"]


def test_the_measurement_needs_no_framework():
    code = "import sys; from fer_utils.studies import cam; print(*{'torch', 'keras'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
