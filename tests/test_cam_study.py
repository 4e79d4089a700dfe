"""The four checks on heat maps, and the study that two notebooks share, on maps whose result is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.face_sets import face_set

from fer_utils.data import FaceSet, load_faces
from fer_utils.explain import CamStudy, GradCAM, checks
from fer_utils.explain.checks import FACE_BANDS, FER2013_BANDS
from fer_utils.params import FaceParameters
from fer_utils.synthetic import Identity, render_face

SYNTHETIC = load_faces(FaceParameters(synthetic_subjects=12, synthetic_per_subject=14, seed=3))
SIDE = 12
MASK = np.zeros((1, SIDE, SIDE), bool)
MASK[0, 4:8, 5:10] = True


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return checks.random_maps(shape, seed=seed, native_size=(12, 12))


class FakeNetwork:
    """A network with known maps and probabilities; `randomised` gives the maps of another one."""

    def __init__(self, maps, *, predict=None, randomised=None):
        self.make, self.others = maps, randomised or {}
        self.cascade = tuple(self.others)
        self.predict = predict or (lambda images: np.full((len(images), 7), 1 / 7))

    def cam_layer(self, size):
        return "relu"

    def maps(self, images, classes, *, layer="relu", method="Grad-CAM"):
        maps = self.make(images) if callable(self.make) else self.make
        return GradCAM(np.asarray(maps, np.float32), (12, 12), layer, tuple(classes), method)

    def randomised(self, name, *, seed):
        return FakeNetwork(self.others[name])


def faces(n: int = 40, **changed: object) -> FaceSet:
    """Return real-looking noise of four classes, in order of class, each image of another person."""
    images = np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)
    return replace(face_set(images, np.arange(n) * 4 // n, ("angry", "fear", "happy", "surprise")), **changed)


def study(maps=None, some: FaceSet | None = None, **network: object) -> CamStudy:
    some = faces() if some is None else some
    maps = noise(some.images.shape) if maps is None else maps
    return CamStudy(FakeNetwork(maps, **network), some, per_class=10, seed=0)


def banded(n: int = 40, **strength: np.ndarray | float) -> np.ndarray:
    """Return maps that are 0.1 but in the named bands: one strength for all images or one each."""
    maps = np.full((n, 48, 48), 0.1)
    for band, values in strength.items():
        top, bottom = (round(48 * edge) for edge in FER2013_BANDS[band])
        maps[:, top:bottom] = np.broadcast_to(values, n)[:, None, None]
    return maps / maps.max()


def test_the_pointing_game_counts_a_maximum_inside_and_of_equal_ones_at_least_half():
    maps = np.full((5, SIDE, SIDE), 0.1)
    maps[0, 7, 9] = maps[1, 8, 9] = 1
    maps[2, 4, 6] = maps[2, 0, 0] = 1
    maps[3, 4, 6] = maps[3, 0, 0] = maps[3, 0, 1] = 1
    maps[4] = 0
    masks = MASK.repeat(5, axis=0)
    assert checks.pointing_game(maps, masks).tolist() == [True, False, True, False, False]
    energy = checks.energy_inside(maps, masks)
    assert energy[4] == 0
    np.testing.assert_allclose(energy[0], (1 + 0.1 * 19) / (1 + 0.1 * 143))


def test_shares_of_bands_are_those_counted_by_hand():
    maps = np.zeros((2, 10, 3))
    maps[0, 0], maps[0, 5, 0], maps[0, 9, 2] = 1, 4, 1
    table = checks.band_energy(maps, {"low": (0.5, 0.9), "high": (0.0, 0.2)})
    assert list(table.columns) == ["low", "high", "elsewhere"]
    np.testing.assert_allclose(table, [[0.5, 0.375, 0.125], [0, 0, 0]])


@pytest.mark.parametrize(("band", "units"), [("brow", "1 2"), ("eye", "5 7 43"), ("mouth", "17 20 25 26")])
def test_bands_of_synthetic_faces_contain_the_middle_of_their_action_units(band, units):
    for unit in map(int, units.split()):
        people = [Identity.sample(seed) for seed in range(8)]
        changes = [render_face(one, {unit: 1.0}) != render_face(one, {}) for one in people]
        rows = np.sum(changes, axis=(0, 2))
        middle = np.searchsorted(np.cumsum(rows), rows.sum() / 2)
        top, bottom = FACE_BANDS[band]
        assert top <= (middle + 0.5) / 48 < bottom, f"unit {unit}: row {middle}"


def white(images: np.ndarray) -> np.ndarray:
    return np.stack([(images == 255).mean(axis=(1, 2))] * 2, axis=1)


def test_a_deletion_curve_is_the_one_worked_out_by_hand():
    image = np.array([[[255, 0], [0, 255]]], np.uint8)
    maps = np.array([[[1.0, 0.2], [0.5, 0.7]]])
    found = checks.perturbation_curves(white, image, maps, [0], way="deletion", steps=4)
    np.testing.assert_allclose(found.columns, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found, [[0.5, 0.25, 0, 0, 0]])


def test_curves_run_between_the_image_and_gray_or_a_blurred_image():
    seen, images = [], np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)

    def keep(current):
        seen.append(current)
        return np.ones((len(current), 2))

    for way in ("deletion", "insertion"):
        checks.perturbation_curves(keep, images, noise(images.shape), [0, 1, 0], way=way, steps=3)
    np.testing.assert_array_equal(seen[0], images)
    np.testing.assert_array_equal(seen[3], np.round(images.mean((1, 2)))[:, None, None] + 0 * images)
    np.testing.assert_array_equal(seen[7], images)
    sharp, blurred = (abs(np.diff(one.astype(int), axis=2)).mean() for one in (images, seen[4]))
    assert blurred < 0.3 * sharp


def test_pixels_with_equal_evidence_are_removed_in_random_order():
    """A heat map is zero over large areas: row order would favour brows."""
    images, upper = np.zeros((1, SIDE, SIDE), np.uint8), []
    images[:, SIDE // 2 :] = 200

    def keep(current):
        upper.append((current[0, : SIDE // 2] == 100).mean())
        return np.ones((1, 1))

    checks.perturbation_curves(keep, images, np.zeros((1, SIDE, SIDE)), [0], way="deletion", steps=2)
    assert upper[1] == pytest.approx(0.5, abs=0.15)


def test_the_images_are_balanced_and_the_seed_decides_them():
    mixed = faces(labels=np.arange(40) % 4)
    network = FakeNetwork(lambda images: noise(images.shape))
    chosen, again, other = (CamStudy(network, mixed, per_class=3, seed=seed).faces for seed in (0, 0, 1))
    assert np.bincount(chosen.labels).tolist() == [3] * 4
    assert chosen.sample_id.tolist() == again.sample_id.tolist() != other.sample_id.tolist()


def test_the_description_has_the_sizes_and_calls_a_guess_a_guess():
    assert "40 test images; subjects: unknown" in study().description
    assert "12×12" in study().description
    assert "a guess for rafdb" in study(some=faces(name="rafdb")).description
    assert "guess" not in study(some=faces(name="fer2013")).description
    assert study().bands == FER2013_BANDS


def verdicts(maps, some: FaceSet | None = None) -> dict[tuple[str, str], str]:
    table = study(maps, some).claims
    return {(row["class"], row["claimed"]): row["verdict"] for row in table.to_dict("records")}


def test_evidence_in_one_band_confirms_the_claims_about_it_and_refutes_the_others():
    assert verdicts(banded(mouth=1.0)) == {
        ("angry", "nose"): "less than its area",
        ("fear", ""): "nothing claimed",
        ("happy", "mouth"): "most evidence there",
        ("surprise", "nose"): "less than its area",
        ("surprise", "mouth"): "most evidence there",
    }


def test_more_than_its_area_is_not_most_and_another_claimed_band_is_no_rival():
    found = verdicts(banded(mouth=0.8, nose=0.7, eye=1.0))
    assert found["happy", "mouth"] == "more than its area, but most in the eye band"
    found = verdicts(banded(mouth=1.0, nose=0.7))
    assert found["surprise", "nose"] == found["surprise", "mouth"] == "most evidence there"


@pytest.mark.parametrize(("ahead", "verdict"), [(0.115, "perhaps as much"), (0.3, "most")])
def test_a_rival_picked_among_many_is_ahead_only_at_the_bonferroni_level(ahead, verdict):
    wobble = 0.2 * np.tile(np.linspace(-1, 1, 10), 4)
    found = verdicts(banded(mouth=1.0, eye=1 + ahead + wobble))["happy", "mouth"]
    assert found == f"more than its area, but {verdict} in the eye band"


def test_random_maps_confirm_hardly_any_claim():
    found = [verdict for seed in range(8) for verdict in verdicts(noise((40, 48, 48), seed)).values()]
    claims = pd.Series([verdict for verdict in found if verdict != "nothing claimed"])
    assert (claims == "most evidence there").mean() <= 0.05
    assert (claims == "not told apart from its area").mean() >= 0.8


def test_uniform_maps_have_the_density_one_and_empty_maps_are_left_out():
    maps = np.ones((40, 48, 48))
    maps[:11] = 0
    table = study(maps).band_shares
    np.testing.assert_allclose(table["density"], 1)
    assert table.groupby("class")["n"].first().to_dict() == {"fear": 9, "happy": 10, "surprise": 10}
    marked = table.loc[table["claimed"], ["class", "band"]].to_numpy().tolist()
    assert marked == [["happy", "mouth"], ["surprise", "nose"], ["surprise", "mouth"]]


@pytest.mark.parametrize(("n", "verdict"), [(5, "5 subjects: no verdict"), (6, "most evidence there")])
def test_too_few_subjects_have_no_verdict(n, verdict):
    some = faces(subject=np.array(list("abcdef"))[np.arange(40) % n])
    assert verdicts(lambda images: banded(mouth=1.0), some)["happy", "mouth"] == verdict
    assert ("5 subjects: no verdict" in study(some=some).perturbation_areas["verdict"].to_list()) == (n == 5)


def test_maps_of_the_truth_beat_every_control_and_noise_none():
    masks = CamStudy(FakeNetwork(lambda images: noise(images.shape)), SYNTHETIC, per_class=8, seed=3).masks
    neutral = np.arange(len(masks)) // 8 == SYNTHETIC.class_names.index("neutral")
    assert not masks[neutral].any()
    assert masks[~neutral].any(axis=(1, 2)).all()
    truth, random = (
        CamStudy(FakeNetwork(maps), SYNTHETIC, per_class=8, seed=3).truth
        for maps in (masks * 1.0, noise(masks.shape, seed=99))
    )
    assert list(truth.index[:2]) == ["Grad-CAM", "Grad-CAM++"]
    controls = truth.index[2:]
    np.testing.assert_allclose(truth.loc["Grad-CAM", ["pointing", "energy low"]].astype(float), 1)
    assert (truth.loc[controls[1:], ["pointing high", "energy high"]] < 0.5).all(axis=None)
    for measure in ("pointing", "energy"):
        low, high = random.loc["Grad-CAM", [f"{measure} low", f"{measure} high"]]
        assert low <= random.loc["random maps, as coarse", measure] <= high
    assert (truth["n"] == 48).all()


def test_real_faces_have_no_truth_and_another_seed_is_an_error():
    assert study().masks is None and study().truth is None
    with pytest.raises(ValueError, match="seed 0"):
        CamStudy(FakeNetwork(lambda images: noise(images.shape)), SYNTHETIC, per_class=2, seed=0)


def corner(images: np.ndarray) -> np.ndarray:
    """Return probabilities of a network that reads the brightness of one corner."""
    bright = images[:, :12, :12].mean(axis=(1, 2)) / 255
    return np.stack([bright] * 7, axis=1) / 7


def test_the_map_of_the_deciding_region_is_better_than_random_ones_and_its_opposite_worse():
    images = np.random.default_rng(0).integers(0, 60, (40, 48, 48), dtype=np.uint8)
    images[:, :12, :12] = 250
    maps = np.zeros((40, 48, 48))
    maps[:, :12, :12] = 1
    for one, verdict in ((maps, "better"), (1 - maps, "worse")):
        found = study(one, faces(images=images), predict=corner)
        table = found.perturbation_areas
        assert table["verdict"].tolist() == [f"{verdict} than random maps"] * 2
        np.testing.assert_allclose(table["difference"], table["area"] - table["random maps"])
        assert len(found.perturbation) == 2 * 2 * 13


def test_unchanged_maps_are_equal_random_ones_are_as_similar_as_other_images_and_empty_ones_not_used():
    same, other = noise((40, 48, 48)), noise((40, 48, 48), seed=5)
    half = np.where(np.arange(40)[:, None, None] % 2, same, 0)
    randomised = {"same": same, "other": other, "half": half, "dead": 0 * same}
    table = study(same, randomised=randomised).randomisation
    assert list(table.index) == [*randomised, "maps of other images"]
    np.testing.assert_allclose(table.loc["same", ["rank correlation", "ssim"]].astype(float), 1)
    chance = table.loc["maps of other images"]
    assert chance["rank low"] < table.loc["other", "rank correlation"] < chance["rank high"]
    assert table["n"].tolist() == [40, 40, 20, 0, 40]
    assert table.loc["dead"].drop("n").isna().all()


def test_metrics_are_records_without_what_could_not_be_measured_and_tables_become_files(tmp_path):
    randomised = {"head.3": lambda images: 0 * images}
    network = FakeNetwork(lambda images: noise(images.shape), randomised=randomised)
    found = CamStudy(network, SYNTHETIC, per_class=4, seed=3)
    metrics = found.metrics()
    assert set(metrics["cam_pointing_game"]) >= {"grad_cam", "grad_cam_plus_plus", "maps_of_other_classes"}
    assert set(metrics["cam_share_happy"]) == {"brow", "eye", "nose", "mouth", "elsewhere"}
    assert metrics["cam_energy_inside"]["grad_cam"]["n"] == 24
    assert metrics["cam_deletion"]["random_maps"]["ci95"] is None
    assert list(metrics["cam_ssim"]) == ["maps_of_other_images"]
    assert "cam_pointing_game" not in study().metrics()
    names = ["bands", "claims", "truth", "curves", "areas", "randomised"]
    found.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"cam_{name}.csv" for name in names}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cam_bands.csv"), found.band_shares)
    areas = pd.read_csv(tmp_path / "cam_areas.csv", index_col=0)
    pd.testing.assert_frame_equal(areas, found.perturbation_areas)
