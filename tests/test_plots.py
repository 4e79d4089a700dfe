import base64
import sys
from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fer_utils import evaluation, plots
from fer_utils.data import NO_APEX, ClipSet, FaceSet
from fer_utils.features.hog import HOG
from fer_utils.labels import FER6, FER7
from fer_utils.live.frames import Event
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES, Identity, render_face

RNG = np.random.default_rng(0)
MOVEMENT = Event("micro", 1, "happy", 1.0, 1.2, 1.4, 0.8)
K, SIDE = 3, 12
NAMES = ("angry", "happy", "sad")


HOG_4 = HOG(pixels_per_cell=4)
CAM = SimpleNamespace(
    maps=RNG.random((2, SIDE, SIDE)), native_size=(6, 6), layer="relu", method="Grad-CAM", classes=(0, 2)
)


def faces(n: int = 30, *, source: str = "synthetic", name: str = "toy") -> FaceSet:
    return FaceSet(
        name=name,
        source=source,
        images=RNG.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8),
        labels=np.arange(n) % K,
        class_names=NAMES,
        split=np.array(["train", "train", "validation", "validation", "test"])[np.arange(n) % 5],
        sample_id=np.array([f"toy-{i:03d}" for i in range(n)]),
    )


def predictions(n: int = 40, class_names: tuple[str, ...] = NAMES) -> evaluation.Predictions:
    k = len(class_names)
    return evaluation.Predictions(
        sample_id=[f"toy-{i:03d}" for i in range(n)],
        truth=np.arange(n) % k,
        probabilities=RNG.dirichlet(np.ones(k), size=n),
        class_names=class_names,
    )


def history(epochs: int = 4) -> pd.DataFrame:
    fall = np.linspace(1, 0.5, epochs)
    columns = {"loss": fall, "accuracy": 1 - fall, "val_loss": fall, "val_accuracy": 1 - fall}
    return pd.DataFrame({"epoch": np.arange(1, epochs + 1)} | columns)


def record(value: float, n: int = 40) -> dict:
    return {"value": value, "ci95": [value - 0.1, value + 0.1], "n": n}


def rows() -> pd.DataFrame:
    columns = ["label", "printed", "measured", "low", "high", "n"]
    values = [
        ("a", 0.6, 0.5, 0.4, 0.6, 3589),
        ("b", 0.7, None, None, None, None),
        ("c", None, 0.3, 0.2, 0.4, 50),
    ]
    return pd.DataFrame(values, columns=columns)


def clips(n: int = 4, **changed: object) -> ClipSet:
    arguments = {
        "name": "toy",
        "source": "synthetic",
        "clips": RNG.integers(0, 256, (n, 9, SIDE, SIDE), dtype=np.uint8),
        "labels": np.arange(n) % K,
        "class_names": NAMES,
        "sample_id": np.array([f"toy-{i:03d}" for i in range(n)]),
        "subject": np.array([f"s{i % 2}" for i in range(n)]),
        "frame_rate": np.full(n, 100.0),
        "onset": np.full(n, 10),
        "apex": np.full(n, 15),
        "offset": np.full(n, 26),
    }
    return ClipSet(**(arguments | changed))


def subjects(n: int = 16) -> pd.DataFrame:
    number = np.arange(1, n + 1)
    index = [f"s{i:02d}" for i in number]
    return pd.DataFrame({"clips": number, "3D-CNN": number // 2, "flow": number - 1}, index=index)


def seeds() -> pd.DataFrame:
    rows = [
        (activation, split, seed, 0.4 + 0.1 * seed)
        for activation in ("ReLU", "Swish")
        for split in ("80/20", "50/50")
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["activation", "split", "seed", "accuracy"])


def honest_and_leaky() -> pd.DataFrame:
    rows = [
        ("by subject", 0.5, 0.4, 0.6, 164, False),
        ("at random", 0.7, 0.5, 0.85, 33, "subjects on both sides"),
        ("of frames", 0.95, 0.94, 0.96, 2952, True),
    ]
    return pd.DataFrame(rows, columns=["label", "value", "low", "high", "n", "leak"])


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


VERDICTS = pd.DataFrame(
    {"consistent": [6, 20], "inconsistent": [1, 0], "not_checkable": [5, 2]}, index=["one2020", "two2021"]
)

FINDER = np.geomspace(1e-6, 1, 30), np.linspace(2, 1, 30)


def pace(epochs: int = 3) -> pd.DataFrame:
    number = np.arange(1, epochs + 1)
    accuracy = 0.5 + 0.1 * number
    columns = {"epoch": number, "seconds": 4.0 * number, "accuracy": accuracy}
    return pd.DataFrame(columns | {"low": accuracy - 0.05, "high": accuracy + 0.04, "n": 72})


def plan(*rates) -> pd.DataFrame:
    moments = np.linspace(0, 1, 12)
    parts = [
        pd.DataFrame({"epoch": 4 * moments, "group": group, "rate": rate * (1.01 - moments), "momentum": 0.9})
        for group, rate in enumerate(rates, start=1)
    ]
    return pd.concat(parts, ignore_index=True)


EFFECTS = pd.DataFrame(
    {
        "honest": [0.5, 0.4],
        "leaky": [0.9, 0.6],
        "low": [0.38, 0.1],
        "high": [0.42, 0.3],
        "data": ["FER-2013", "synthetic clips"],
    },
    ["shuffle again", "hold out frames"],
)
ARMS = pd.DataFrame(
    {
        "label": ["official", "random"],
        "value": [0.5, 0.6],
        "low": [0.48, 0.57],
        "high": [0.52, 0.63],
        "n": [3589, 3588],
        "leak": ["none", "copies on both sides"],
        "seeds": [(0.49, 0.5, 0.51), (0.6,)],
    }
)
CURVES = pd.DataFrame(
    {
        "arm": ["official"] * 4 + ["again"] * 4,
        "seed": [0, 0, 1, 1] * 2,
        "epoch": [1, 2] * 4,
        "accuracy": np.linspace(0.2, 0.9, 8),
        "seen": [0.0] * 4 + [0.8, 1.0] * 2,
        "validation": np.linspace(0.3, 0.4, 8),
        "test": np.linspace(0.4, 0.3, 8),
    }
)
LUCK = pd.DataFrame(
    {
        "paper": ["a", "b"],
        "about": ["x or y", "z or w"],
        "difference": [-0.02, 0.1],
        "chance": [0.2, np.nan],
        "n": [32, np.nan],
    }
)

EVERY_FIGURE = {
    "watched": lambda: plots.watched([RNG.integers(0, 256, (30, 40, 3), np.uint8)] * 4, ["0 s"] * 4),
    "probability_timeline": lambda: plots.probability_timeline(
        np.arange(5.0), RNG.dirichlet(np.ones(K), 5), NAMES, truth=[("happy", 1.0, 2.0)]
    ),
    "events": lambda: plots.events({"shown": [MOVEMENT], "found": []}, seconds=9.0),
    "reliability": lambda: plots.reliability(evaluation.reliability(predictions(400))),
    "latency": lambda: plots.latency(
        pd.DataFrame({"median_ms": [1.0, 2.0], "p95_ms": [2.0, 3.0]}, ["a", "b"])
    ),
    "verdicts": lambda: plots.verdicts(VERDICTS),
    "effect_sizes": lambda: plots.effect_sizes(EFFECTS),
    "arms": lambda: plots.arms(ARMS),
    "validation_arms": lambda: plots.validation_arms(CURVES, printed=CURVES[["epoch", "accuracy"]][:2]),
    "chosen_epochs": lambda: plots.chosen_epochs(CURVES[:4]),
    "printed_luck": lambda: plots.printed_luck(LUCK, two_runs=0.02),
    "batch": lambda: plots.batch(faces(10).images, faces(10).labels, NAMES),
    "rate_finder": lambda: plots.rate_finder(
        *FINDER, suggestions={"steep": 1e-4, "valley": 1e-3}, chosen=1e-3
    ),
    "time_to_accuracy": lambda: plots.time_to_accuracy({"one view": pace()}, chosen_epoch=2),
    "schedule": lambda: plots.schedule(plan(1e-4, 1e-3, 1e-2)),
    "one rate for all": lambda: plots.schedule(plan(1e-3, 1e-3)),
    "class_split_counts": lambda: plots.class_split_counts(faces()),
    "sample_grid": lambda: plots.sample_grid(faces(), per_class=4),
    "mean_faces": lambda: plots.mean_faces(faces()),
    "duplicate_groups": lambda: plots.duplicate_groups(faces(), [[0, 1], [2, 3, 4, 5]]),
    "near_pairs": lambda: plots.near_pairs(faces(), near()),
    "no near duplicates": lambda: plots.near_pairs(faces(), near()[:0]),
    "nearest_similarity": lambda: plots.nearest_similarity(faces(), NEAREST, threshold=0.9),
    "nothing similar": lambda: plots.nearest_similarity(faces(), np.full(30, np.nan), threshold=0.9),
    "face_sheet": lambda: plots.face_sheet(faces()),
    "no face": lambda: plots.face_sheet(faces(0), title="blank"),
    "action_unit_faces": lambda: plots.action_unit_faces(Identity()),
    "expression_strengths": lambda: plots.expression_strengths(Identity()),
    "hog_glyphs": lambda: plots.hog_glyphs(faces(2).images, histograms=np.ones((2, 3, 3, 9)), hog=HOG_4),
    "filter_sheet": lambda: plots.filter_sheet(RNG.normal(size=(16, 3, 3))),
    "activation_sheets": lambda: plots.activation_sheets(
        {"relu": RNG.random((20, 6, 6))}, image=faces(1).images[0]
    ),
    "side_by_side": lambda: plots.side_by_side(
        faces(2).images,
        cams={"predicted": CAM},
        histograms=np.ones((2, 3, 3, 9)),
        hog=HOG_4,
        class_names=NAMES,
    ),
    "mean_maps": lambda: plots.mean_maps(cam_study()),
    "cam_examples": lambda: plots.cam_examples(cam_study()),
    "band_shares": lambda: plots.band_shares(bands()),
    "perturbation_curves": lambda: plots.perturbation_curves(curves()),
    "randomised_similarity": lambda: plots.randomised_similarity(alike()),
    "no duplicates": lambda: plots.duplicate_groups(faces(), []),
    "learning_curves": lambda: plots.learning_curves(history(), best_epoch=3),
    "confusion_matrix": lambda: plots.confusion_matrix(np.eye(K, dtype=int), NAMES, title="toy"),
    "roc_curves": lambda: plots.roc_curves(predictions()),
    "per_class_f1": lambda: plots.per_class_f1(evaluation.evaluate(predictions(), n_boot=0).per_class),
    "prediction_grid": lambda: grid(),
    "mistake": lambda: one_mistake(),
    "clip_strip": lambda: plots.clip_strip(clips(), [0, 2]),
    "flow_fields": lambda: plots.flow_fields(clips(), RNG.normal(size=(4, 3, SIDE, SIDE)), [0, 1, 3]),
    "one flow": lambda: plots.flow_fields(clips(), np.zeros((4, 3, SIDE, SIDE)), [2]),
    "by_subject": lambda: plots.by_subject(subjects()),
    "lucky_splits": lambda: plots.lucky_splits(seeds(), majority=0.43),
    "protocols": lambda: plots.protocols(honest_and_leaky(), majority=0.43, chance=1 / 3),
    "epoch_choice": lambda: plots.epoch_choice(history(), fixed=4, best=2),
    "paper_vs_measured": lambda: plots.paper_vs_measured(rows()),
    "metric_intervals": lambda: plots.metric_intervals(
        {"run": {"accuracy": record(0.5)}}, metrics=["accuracy"]
    ),
}


def grid(**changed: object) -> Figure:
    arguments = {
        "truths": np.array([0, 1]),
        "probabilities": np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7]]),
        "class_names": NAMES,
    }
    return plots.prediction_grid(faces(2).images, **(arguments | changed))


def cam_study(toy: FaceSet | None = None, *, bands=None, masks=None) -> SimpleNamespace:
    toy = faces() if toy is None else toy
    maps = SimpleNamespace(**(vars(CAM) | {"maps": RNG.random(toy.images.shape)}))
    bands = {"brow": (0.25, 0.5)} if bands is None else bands
    return SimpleNamespace(faces=toy, maps=maps, cams={"Grad-CAM": maps}, bands=bands, masks=masks)


def bands() -> pd.DataFrame:
    columns = ["class", "band", "claimed", "share", "low", "high", "area", "n"]
    rows = [
        (name, band, (name, band) == ("angry", "nose"), share, share - 0.05, share + 0.05, 0.25, 10)
        for name in NAMES
        for band, share in (("nose", 0.5), ("elsewhere", 0.25))
    ]
    return pd.DataFrame(rows, columns=columns)


def curves() -> pd.DataFrame:
    columns = ["way", "maps", "share", "probability", "low", "high"]
    rows = [
        (way, maps, share, 0.5, 0.4, 0.6)
        for way in ("deletion", "insertion")
        for maps in ("Grad-CAM", "random maps")
        for share in (0.0, 0.5, 1.0)
    ]
    return pd.DataFrame(rows, columns=columns)


def alike() -> pd.DataFrame:
    columns = ["rank correlation", "rank low", "rank high", "ssim", "ssim low", "ssim high", "n"]
    rows = [(0.1, 0.0, 0.2, 0.3, 0.2, 0.4, 30), (np.nan,) * 6 + (0,), (0.2, 0.1, 0.3, 0.3, 0.2, 0.4, 30)]
    return pd.DataFrame(rows, columns=columns, index=["logits", "dead", "maps of other images"])


def near() -> pd.DataFrame:
    rows = [(0, 1, 0.99, False), (2, 3, 0.97, True), (4, 5, 0.91, False)]
    return pd.DataFrame(rows, columns=["first", "second", "similarity", "mirrored"])


NEAREST = np.r_[np.full(10, 0.955), np.full(5, 0.805), np.full(15, np.nan)]


def one_mistake(truth: int = 1) -> Figure:
    return plots.mistake(faces(1).images[0], probabilities=[0.7, 0.2, 0.1], truth=truth, class_names=NAMES)


def test_every_figure_is_drawn_here():
    functions = {name for name in plots.__all__ if callable(getattr(plots, name))}
    assert functions - {"show", "show_source", "browse"} <= set(EVERY_FIGURE)


@pytest.mark.parametrize("draw", EVERY_FIGURE.values(), ids=EVERY_FIGURE)
def test_a_figure_fits_a_report_and_leaves_no_trace(draw):
    before = dict(matplotlib.rcParams)
    figure = draw()
    assert isinstance(figure, Figure) and plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
    width = figure.get_figwidth() * figure.dpi
    assert 600 <= width <= 910


# --- the data -------------------------------------------------------------------------------------


def test_every_class_and_split_has_a_bar_with_its_number():
    figure = plots.class_split_counts(faces())
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(NAMES)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "validation", "test"]
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_array_equal(np.transpose(heights), faces().counts().iloc[:-1, :-1])
    assert "toy (synthetic): 30 images" in words(figure)


def test_synthetic_faces_are_called_so_and_real_ones_are_not():
    for draw in (plots.class_split_counts, plots.sample_grid, plots.mean_faces):
        assert "synthetic" in words(draw(faces()))
        assert "synthetic" not in words(draw(faces(source="real")))
    assert "synthetic (synthetic)" not in words(plots.mean_faces(faces(name="synthetic")))


def test_the_sample_is_chosen_by_the_seed_and_shows_one_class_a_row():
    toy = faces()
    pixels = [plots.sample_grid(toy, per_class=4, seed=s).axes[0].images[0].get_array() for s in (0, 0, 1)]
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert (pixels[0] != pixels[2]).any()
    second_row = pixels[0][SIDE + 2 : 2 * SIDE + 2, :SIDE]
    assert any((second_row == image).all() for image in toy.images[toy.labels == 1])
    ticks = plots.sample_grid(toy).axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == list(NAMES)


def test_classes_with_few_or_no_images_leave_room_empty():
    toy = faces().take(np.array([0, 3, 1]))
    pixels = plots.sample_grid(toy, per_class=4).axes[0].images[0].get_array()
    assert (pixels[-SIDE:] == 255).all() and (pixels[SIDE + 2 : -SIDE, SIDE:] == 255).all()
    figure = plots.mean_faces(toy)
    assert [ax.get_xlabel() for ax in figure.axes] == ["n = 2", "n = 1", "n = 0"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), toy.images[:2].mean(axis=0))


def test_duplicates_show_split_and_class_and_how_many_are_left_out():
    figure = plots.duplicate_groups(faces(), [[0, 2], [1, 3, 4, 5], [6, 7]], limit=2)
    assert len(figure.axes) == 2
    assert "group 2: 4 copies, 1 not shown" in words(figure) and "2 of 3 groups" in words(figure)
    assert "train\nangry | validation\nsad" in words(figure)
    assert "no two images are equal" in words(plots.duplicate_groups(faces(), []))


@pytest.mark.parametrize("group", [[0], [-1, 0], [0, 30]])
def test_a_group_that_is_none_is_refused(group):
    with pytest.raises(ValueError, match="group 1 needs two or more rows of 0 to 29"):
        plots.duplicate_groups(faces(), [[0, 1], group])


def test_near_duplicates_show_similarity_part_and_class():
    figure = plots.near_pairs(faces(), near(), limit=2, seed=1)
    assert len(figure.axes) == 2 and "2 of 3 pairs" in words(figure)
    everything = words(plots.near_pairs(faces(), near()))
    assert "0.990 | " in everything and "0.970, mirrored" in everything
    assert "train\nangry | train\nhappy" in everything
    assert "no two images are nearly equal" in words(plots.near_pairs(faces(), near()[:0]))


def test_the_threshold_stands_in_the_histogram_with_the_images_above_it():
    figure = plots.nearest_similarity(faces(), NEAREST, threshold=0.9)
    (ax,) = figure.axes
    assert "15 of 30 images resemble no other" in words(figure)
    assert "threshold 0.90: 10 images" in words(figure)
    assert list(ax.lines[0].get_xdata()) == [0.9, 0.9]
    assert sorted(bar.get_height() for bar in ax.patches)[-2:] == [5, 10]
    nothing = plots.nearest_similarity(faces(), np.full(30, np.nan), threshold=0.9)
    assert "no image resembles another" in words(nothing)


def test_a_sheet_names_each_image_and_leaves_the_rest_of_its_last_row_empty():
    toy = replace(faces(5), labels=np.array([0, 1, 2, 0, FaceSet.UNLABELLED]))
    figure = plots.face_sheet(toy, captions=[f"group {i}" for i in range(5)], columns=3, title="toy: all")
    (ax,) = figure.axes
    captions = [text.get_text() for text in ax.texts]
    assert captions[0] == "toy-000\ntrain\nangry\ngroup 0"
    assert captions[4] == "toy-004\ntest\nunlabelled\ngroup 4"
    pixels = ax.images[0].get_array()
    np.testing.assert_array_equal(pixels[:SIDE, :SIDE], toy.images[0])
    assert (pixels[SIDE:, 2 * (SIDE + 2) :] == 255).all()
    assert ax.get_title(loc="left") == "toy: all"
    assert words(plots.face_sheet(toy.take(np.arange(0)), title="blank")) == "blank: no images."


def test_the_name_of_a_file_stands_for_its_path():
    (ax,) = plots.face_sheet(replace(faces(1), sample_id=np.array(["test/sad/PublicTest_7.jpg"]))).axes
    assert ax.texts[0].get_text().startswith("PublicTest_7.jpg\n")


# --- the face generator ---------------------------------------------------------------------------


def test_every_action_unit_is_drawn_with_its_name_and_region():
    figure = plots.action_unit_faces(Identity())
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [f"AU{unit} {name}" for unit, name in ACTION_UNITS.items()]
    assert all(len(ax.images) == 1 and len(ax.collections) == 1 for ax in figure.axes)
    assert "synthetic" in words(figure)


def test_an_expression_grows_from_row_to_row():
    figure = plots.expression_strengths(Identity(), expressions=PROTOTYPES, strengths=(0.25, 1.0))
    assert [ax.get_title() for ax in figure.axes[: len(PROTOTYPES)]] == list(PROTOTYPES)
    weak, strong = (figure.axes[row * len(PROTOTYPES) + 5].images[0].get_array() for row in (0, 1))
    np.testing.assert_array_equal(
        strong, render_face(Identity(), dict.fromkeys(PROTOTYPES["surprise"], 1.0), size=96)
    )
    assert (weak != strong).any()


# --- class-activation maps ------------------------------------------------------------------------


def test_mean_maps_lie_over_the_faces_of_their_class_without_all_zero_maps():
    study = cam_study()
    toy, maps = study.faces, study.maps.maps
    maps[np.flatnonzero(toy.labels == 1)[:9]] = 0
    maps[toy.labels == 2] = 0
    axes = plots.mean_maps(study).axes
    titles = [ax.get_title(loc="center").partition(", ")[2] for ax in axes]
    assert titles == ["n = 30", "n = 10", "n = 1 of 10", "n = 0 of 10"]
    np.testing.assert_allclose(axes[2].images[0].get_array(), toy.images[toy.labels == 1].mean(axis=0))
    heat = [np.asarray(ax.images[1].get_array()) for ax in axes[1:]]
    (only,) = maps[(toy.labels == 1) & maps.any(axis=(1, 2))]
    np.testing.assert_allclose(heat[1] / heat[1].max(), only / only.max())
    assert not heat[2].any()
    np.testing.assert_allclose([line.get_ydata()[0] for line in axes[0].lines], [2.5, 5.5])


def test_examples_are_one_class_a_row_and_a_missing_image_leaves_room_empty():
    toy = faces().take(np.array([0, 3, 1]))
    masks = np.zeros(toy.images.shape, bool)
    masks[0, 3:6, 3:6] = True
    figure = plots.cam_examples(cam_study(toy, masks=masks))
    assert [len(ax.images) for ax in figure.axes] == [1, 2, 1, 2, 1, 2, 0, 0]
    assert [ax.get_ylabel() for ax in figure.axes][::4] == ["angry", "happy"]
    assert len(figure.axes[0].collections) == 1 and not figure.axes[2].collections


def test_claimed_bands_have_a_sign_of_their_own():
    for ax, claimed in zip(plots.band_shares(bands()).axes, (1, 0, 0), strict=True):
        assert sum(line.get_marker() == "D" for line in ax.lines) == claimed
    dots = plots.band_shares(bands()).axes[1].lines[1]
    np.testing.assert_allclose(dots.get_xdata(), [2, 1])  # share / area


# --- training and its results ---------------------------------------------------------------------


def test_learning_curves_mark_the_chosen_epoch_in_both_panels():
    figure = plots.learning_curves(history(), best_epoch=3)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Loss", "Accuracy"]
    assert [len(ax.lines) for ax in figure.axes] == [3, 3]
    assert list(figure.axes[1].lines[2].get_xdata()) == [3, 3]
    one_epoch = plots.learning_curves(history(1)).axes
    assert [len(ax.lines) for ax in one_epoch] == [2, 2]
    assert all(tick == round(tick) for tick in one_epoch[0].get_xticks())


def test_learning_curves_refuse_a_wrong_history():
    with pytest.raises(ValueError, match="no column 'val_loss'"):
        plots.learning_curves(history().drop(columns="val_loss"))
    with pytest.raises(ValueError, match="no rows"):
        plots.learning_curves(history(0))
    with pytest.raises(ValueError, match="best_epoch 9"):
        plots.learning_curves(history(), best_epoch=9)


def test_confusion_matrix_prints_counts_and_shares_of_the_true_class():
    figure = plots.confusion_matrix([[3, 1, 0], [0, 2000, 0], [0, 0, 0]], NAMES, title="toy")
    counts, shares = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert counts == ["3", "1", "0", "0", "2,000", "0", "0", "0", "0"]
    assert shares == ["75", "25", "0", "0", "100", "0", "–", "–", "–"]
    assert figure.axes[0].get_ylabel() == "truth" and figure.axes[1].get_xlabel() == "predicted"


def test_a_confusion_matrix_says_what_it_counts():
    assert plots.confusion_matrix(np.eye(K, dtype=int), NAMES).axes[0].get_title(loc="left") == "Images (3)"
    of_clips = plots.confusion_matrix(np.eye(K, dtype=int), NAMES, counted="Clips")
    assert of_clips.axes[0].get_title(loc="left") == "Clips (3)"


@pytest.mark.parametrize("matrix", [np.eye(2), np.ones((3, 2)), np.ones(3)])
def test_a_confusion_matrix_must_fit_its_classes(matrix):
    with pytest.raises(ValueError, match=r"3 classes need \(3, 3\)"):
        plots.confusion_matrix(matrix, NAMES)


def test_roc_curves_name_each_class_with_its_area_and_draw_chance():
    toy = predictions(140, FER7)
    (ax,) = plots.roc_curves(toy).axes
    expected = [f"{name} {curve.auc:.3f}" for name, curve in evaluation.roc_curves(toy).items()]
    assert [line.get_label() for line in ax.lines] == ["chance 0.500", *expected]
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 8


def test_printed_values_stand_on_the_bar_they_belong_to():
    per_class = evaluation.evaluate(predictions(), n_boot=0).per_class
    published = {"happy": {"f1": 0.62}, "angry": {"precision": 0.5}}
    (ax,) = plots.per_class_f1(per_class, published=published, published_label="Kumar").axes
    assert len(ax.containers) == 3 and ax.lines[0].get_label() == "Kumar"
    f1_of_happy, precision_of_angry = ax.containers[2][1], ax.containers[0][0]
    for bar, x, y in zip((f1_of_happy, precision_of_angry), *ax.lines[0].get_data(), strict=True):
        assert x == pytest.approx(bar.get_x() + bar.get_width() / 2) and y in (0.62, 0.5)
    assert len(plots.per_class_f1(per_class).axes[0].lines) == 0


def test_undefined_rates_have_no_bar_and_unknown_printed_classes_are_refused():
    per_class = [{"class": "sad", "support": 0, "precision": 0.0, "recall": None, "f1": None, "auc": None}]
    (ax,) = plots.per_class_f1(per_class).axes
    assert np.isnan(ax.containers[1][0].get_height())
    with pytest.raises(ValueError, match="'fear f1' has no bar"):
        plots.per_class_f1(per_class, published={"fear": {"f1": 0.5}})


def test_right_and_wrong_differ_in_sign_and_frame():
    right, wrong = grid().axes
    assert right.get_title() == "✓ angry 0.80" and wrong.get_title() == "✗ sad 0.70"
    assert wrong.get_xlabel() == "truth: happy"
    assert right.spines["left"].get_edgecolor() != wrong.spines["left"].get_edgecolor()


def test_predictions_must_fit_the_images():
    for changed, message in (
        ({"truths": [0]}, r"truths of shape \(2,\)"),
        ({"class_names": FER6}, r"probabilities of shape \(2, 6\)"),
        ({"truths": [0, 3]}, "truths must be 0 to 2"),
        ({"columns": 0}, "one column"),
    ):
        with pytest.raises(ValueError, match=message):
            grid(**changed)
    with pytest.raises(ValueError, match=r"shape \(N, H, W\)"):
        plots.prediction_grid(
            np.empty((0, 8, 8)), truths=[], probabilities=np.empty((0, 3)), class_names=NAMES
        )


def test_a_mistake_stands_beside_all_its_probabilities():
    face, bars = one_mistake().axes
    assert len(face.images) == 1 and [bar.get_width() for bar in bars.patches] == [0.7, 0.2, 0.1]
    assert [tick.get_text() for tick in bars.get_yticklabels()] == ["angry", "happy  (truth)", "sad"]
    assert bars.get_title(loc="left") == "✗ predicted angry, probability 0.70"
    assert "✓" in words(one_mistake(truth=0))


# --- clips ----------------------------------------------------------------------------------------


def test_a_clip_is_shown_from_onset_to_offset_with_its_apex_framed_and_what_changed():
    toy = clips()
    figure = plots.clip_strip(toy, [1], n_shown=4)
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels == ["0 ms\nonset", "40 ms\napex", "100 ms\n", "160 ms\noffset", "|apex − onset|\n× 4"]
    framed = [ax for ax in figure.axes if ax.spines["left"].get_visible()]
    assert len(framed) == 1 and "apex" in framed[0].get_xlabel()
    apex = toy.apex_position[1]
    np.testing.assert_array_equal(framed[0].images[0].get_array(), toy.clips[1, apex])
    change = abs(toy.clips[1, apex].astype(int) - toy.clips[1, 0])
    np.testing.assert_array_equal(figure.axes[-1].images[0].get_array(), np.minimum(4 * change, 255))
    assert "happy, subject s1" in words(figure) and "toy (synthetic): 1 of 4 clips" in words(figure)
    still = replace(toy, clips=np.full_like(toy.clips, 9), apex=np.full(4, NO_APEX))
    assert plots.clip_strip(still, [0]).axes[0].get_xlabel() == "0 ms\napex"


def test_clips_that_are_not_there_and_too_few_frames_are_refused():
    for rows in ([], [4], [-1]):
        with pytest.raises(ValueError, match="one or more of 0 to 3"):
            plots.clip_strip(clips(), rows)
    for n_shown in (2, 10):
        with pytest.raises(ValueError, match="use 3 to 9"):
            plots.clip_strip(clips(), [0], n_shown=n_shown)
    with pytest.raises(ValueError, match=r"must have the shape \(4, 3, 12, 12\)"):
        plots.flow_fields(clips(), np.zeros((3, 3, SIDE, SIDE)), [0])


def test_arrows_point_where_it_moved_and_say_how_far():
    flows = np.zeros((4, 3, SIDE, SIDE))
    flows[2, 0, 5, 7], flows[2, 1, 5, 7], flows[2, 2] = 3.0, -4.0, 0.2
    figure = plots.flow_fields(clips(), flows, [2])
    onset, strain, bar = figure.axes
    (arrows,) = onset.collections
    assert arrows.U.max() == 3 and arrows.V.min() == -4 and "longest arrow: 5.00 pixels" in words(figure)
    assert (strain.images[0].get_array() == 0.2).all() and bar.get_ylabel() == "strain (pixels per pixel)"


def test_subjects_stand_by_the_number_of_their_clips_with_what_was_right():
    figure = plots.by_subject(subjects(3))
    (ax,) = figure.axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["s03", "s02", "s01"]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[3, 2, 1], [1, 1, 0], [2, 1, 0]]
    assert "1, 2 of 3" in words(figure) and "right: flow (50% of all)" in words(figure)
    with pytest.raises(ValueError, match="one or two methods"):
        plots.by_subject(subjects(3)[["clips"]])
    with pytest.raises(ValueError, match="more clips right"):
        plots.by_subject(subjects(3).assign(flow=4))


def test_every_seed_is_a_dot_and_the_printed_value_stands_only_where_there_is_one():
    printed = pd.DataFrame({"activation": ["Swish"], "split": ["50/50"], "accuracy": [0.6]})
    (ax,) = plots.lucky_splits(seeds(), printed=printed, majority=0.43).axes
    dots = [line for line in ax.lines if line.get_marker() in ("o", "s")]
    assert sum(len(line.get_xdata()) for line in dots) == len(seeds())
    diamond = ax.lines[-1]
    assert diamond.get_marker() == "D" and list(diamond.get_ydata()) == [0.6]
    assert diamond.get_xdata()[0] == pytest.approx(np.mean(dots[-1].get_xdata()))
    plain = plots.lucky_splits(seeds())
    assert "printed" not in words(plain) and "majority" not in words(plain)
    with pytest.raises(ValueError, match=r"printed \('tanh', '50/50'\) is not among"):
        plots.lucky_splits(seeds(), printed=printed.assign(activation="tanh"))


def test_a_leak_shows_in_sign_and_word_and_majority_and_chance_stand_beside():
    figure = plots.protocols(honest_and_leaky(), majority=0.43, chance=1 / 3)
    (ax,) = figure.axes
    notes = [text.get_text() for text in ax.texts]
    assert notes[0] == "0.50, n = 164" and notes[2] == "0.95, n = 2,952\nleak"
    assert notes[1] == "0.70, n = 33\nleak: subjects on both sides"
    chance, majority, honest, leaky = ax.lines
    assert chance.get_xdata()[0] == pytest.approx(1 / 3) and majority.get_xdata()[0] == 0.43
    assert list(honest.get_ydata()) == [0] and list(leaky.get_ydata()) == [1, 2]
    assert honest.get_marker() != leaky.get_marker() and honest.get_color() != leaky.get_color()
    assert ax.get_xlim() == (0, 1)
    alone = plots.protocols(honest_and_leaky()[:1], majority=0.43, chance=1 / 3)
    assert "leak" not in words(alone)


def test_the_epoch_set_beforehand_and_the_best_one_are_marked():
    figure = plots.epoch_choice(history(), fixed=4, best=2)
    marked = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "X")]
    expected = history().set_index("epoch")["accuracy"]
    points = [(int(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in marked]
    assert points == [(4, expected[4]), (2, expected[2])]
    assert "leak" in words(figure)
    with pytest.raises(ValueError, match="best=9 is not among"):
        plots.epoch_choice(history(), fixed=4, best=9)


# --- several runs ---------------------------------------------------------------------------------


def test_printed_and_measured_are_told_apart_and_what_did_not_run_says_so():
    (ax,) = plots.paper_vs_measured(rows()).axes
    measured, printed = ax.lines
    assert printed.get_zorder() < measured.get_zorder()  # equal numbers: both stay visible
    assert printed.get_marker() == "D" and printed.get_markerfacecolor() == "white"
    np.testing.assert_array_equal(printed.get_xdata(), [0.6, 0.7, np.nan])
    np.testing.assert_array_equal(measured.get_xdata(), [0.5, np.nan, 0.3])
    assert [text.get_text() for text in ax.texts] == ["n = 3,589", "not run", "n = 50"]
    assert ax.get_xlim() == (0, 1)
    with pytest.raises(ValueError, match="no column 'n'"):
        plots.paper_vs_measured(rows().drop(columns="n"))


def test_runs_are_drawn_with_their_baselines():
    toy = predictions()
    metrics = evaluation.evaluate(toy, n_boot=20).metrics
    baselines = evaluation.baselines(toy, majority_class=0, n_boot=0)
    figure = plots.metric_intervals({"a": metrics, "b": metrics}, baselines=baselines)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["accuracy", "balanced accuracy", "macro F1"]
    _, chance, measured = figure.axes[0].lines
    assert chance.get_xdata()[0] == pytest.approx(1 / K)
    assert list(measured.get_xdata()) == [metrics["accuracy"]["value"]] * 2
    assert "a\nn = 40" in words(figure) and "majority baseline" in words(figure)


def test_a_metric_without_interval_is_drawn_and_one_that_is_missing_refused():
    plots.metric_intervals({"a": {"accuracy": record(0.5) | {"ci95": None}}}, metrics=["accuracy"])
    with pytest.raises(ValueError, match="run 'a' has no macro_f1"):
        plots.metric_intervals({"a": {"accuracy": record(0.5)}}, metrics=["accuracy", "macro_f1"])
    with pytest.raises(ValueError, match="no runs"):
        plots.metric_intervals({})


# --- in a notebook --------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch):
    """What would be sent to the notebook."""
    sent = []
    monkeypatch.setattr(plots.notebook, "display", sent.append)
    return sent


def test_show_publishes_a_png_with_its_alternative_text(published):
    plots.show(one_mistake(), alt='A "face" & its scores')
    from IPython.core.formatters import DisplayFormatter

    data, metadata = DisplayFormatter().format(published[0])
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == repr(published[0]) == 'A "face" & its scores'
    assert metadata == {"image/png": {"alt": 'A "face" & its scores'}}
    nbformat.validate(
        nbformat.v4.new_output("display_data", data=data, metadata=metadata), ref="output", version=4
    )


@pytest.mark.parametrize("alt", ["", " \n"])
def test_show_insists_on_an_alternative_text(alt, published):
    with pytest.raises(ValueError, match="say in alt"):
        plots.show(Figure(), alt=alt)
    assert not published


def test_show_stores_the_same_bytes_for_the_same_figure(tmp_path, published):
    toy = faces()
    for folder in ("a", "b"):
        plots.show(plots.sample_grid(toy), alt="faces", name="sample", folder=tmp_path / folder)
    first, second = ((tmp_path / folder / "sample.png").read_bytes() for folder in ("a", "b"))
    assert first == second == published[0].png
    assert Image.open(tmp_path / "a" / "sample.png").text == {}
    with pytest.raises(ValueError, match="both its name and the folder"):
        plots.show(Figure(), alt="faces", folder=tmp_path)


def test_a_sample_of_noisy_faces_is_small_enough_to_be_stored(published):
    noisy = replace(faces(60), images=RNG.integers(0, 256, (60, 48, 48), dtype=np.uint8))
    plots.show(plots.sample_grid(noisy), alt="noise")
    assert len(published[0].png) < 250_000


def test_browse_redraws_when_the_slider_moves(monkeypatch, published):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    drawn = []
    plots.browse(lambda i: drawn.append(i) or one_mistake(truth=i), 3, label="mistake")
    slider, picture = published[0].children
    assert (slider.min, slider.max, slider.description) == (0, 2, "mistake")
    first = picture.value
    slider.value = 2
    assert drawn == [0, 2] and picture.value != first


def test_browse_draws_nothing_without_jupyterlab_or_without_figures(monkeypatch, published):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    plots.browse(lambda i: pytest.fail("drawn"), 3, label="mistake")
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    plots.browse(lambda i: pytest.fail("drawn"), 0, label="mistake")
    assert not published


# --- effects of protocols -------------------------------------------------------------------------


def test_an_effect_has_its_points_and_interval_and_drawn_people_are_hollow():
    figure = plots.effect_sizes(EFFECTS)
    (ax,) = figure.axes
    notes = [text.get_text() for text in ax.texts]
    assert notes == ["+40.0 points\n[+38.0, +42.0]", "+20.0 points\n[+10.0, +30.0]"]
    faces_of = {line.get_label(): line.get_markerfacecolor() for line in ax.lines}
    assert faces_of["looks like, drawn faces"] == faces_of["measured honestly, drawn faces"] == "white"
    assert faces_of["looks like"] != "white"


def test_an_arm_that_leaks_says_so_and_every_seed_is_there():
    figure = plots.arms(ARMS)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == [
        "50.0 %, n = 3,589",
        "60.0 %, n = 3,588\nleak: copies on both sides",
    ]
    assert sum(len(line.get_xdata()) for line in ax.lines if line.get_markersize() == 4) == 4


def test_the_epoch_that_each_set_would_choose_is_marked_and_its_gain_is_said():
    curves = pd.DataFrame(
        {"seed": 3, "epoch": [1, 2, 3], "validation": [0.5, 0.4, 0.3], "test": [0.4, 0.4, 0.45]}
    )
    (ax,) = plots.chosen_epochs(curves).axes
    marked = {line.get_label(): line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "None"}
    assert marked == {"best on validation": 1, "best on test (leak)": 3}
    assert ax.get_title(loc="left") == "seed 3: +5.00 points"


def test_a_printed_difference_stands_beside_what_chance_allows():
    (ax,) = plots.printed_luck(LUCK, two_runs=0.02).axes
    assert [bar.get_width() for bar in ax.patches][:2] == [20.0, 0.0]
    (diamonds,) = [line for line in ax.lines if line.get_label() == "printed difference"]
    assert diamonds.get_xdata().tolist() == [2.0, 10.0]
    assert [text.get_text() for text in ax.texts] == ["n = 32", "n is not printed"]
