"""Figures show the numbers that they are given."""

import base64
import warnings
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from helpers.face_sets import clip_set, face_set
from matplotlib.figure import Figure

from fer_utils import evaluation, plots
from fer_utils.data import NO_APEX, ClipSet, FaceSet
from fer_utils.labels import FER7
from fer_utils.live.frames import Event
from fer_utils.synthetic import PROTOTYPES, Identity

RNG = np.random.default_rng(0)
MOVEMENT = Event("micro", 1, "happy", 1.0, 1.2, 1.4, 0.8)
K, SIDE = 3, 12
NAMES = ("angry", "happy", "sad")

CAM = SimpleNamespace(
    maps=RNG.random((2, SIDE, SIDE)), native_size=(6, 6), layer="relu", method="Grad-CAM", classes=(0, 2)
)


def faces(n: int = 30, *, source: str = "synthetic", name: str = "toy") -> FaceSet:
    images, numbers = RNG.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8), np.arange(n)
    split = np.array(["train", "train", "validation", "validation", "test"])[numbers % 5]
    return face_set(images, numbers % K, NAMES, source=source, name=name, split=split)


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


def clips(n: int = 4) -> ClipSet:
    times = {"onset": np.full(n, 10), "apex": np.full(n, 15), "offset": np.full(n, 26)}
    frames, subject = RNG.integers(0, 256, (n, 9, SIDE, SIDE)), [f"s{i % 2}" for i in range(n)]
    return clip_set(frames, np.arange(n) % K, NAMES, subject=subject, **times)


def words(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


PRINTED = pd.DataFrame(
    [("a", 0.6, 0.5, 0.4, 0.6, 3589), ("b", 0.7, *(None,) * 4), ("c", None, 0.3, 0.2, 0.4, 50)],
    columns=["label", "printed", "measured", "low", "high", "n"],
)
SUBJECTS = pd.DataFrame({"clips": [1, 2, 3], "3D-CNN": [0, 1, 1], "flow": [0, 1, 2]}, ["s1", "s2", "s3"])
SEEDS = pd.DataFrame(product(("ReLU", "Swish"), ("80/20", "50/50"), range(3)))
SEEDS = SEEDS.set_axis(["activation", "split", "seed"], axis=1).assign(accuracy=0.4 + 0.1 * SEEDS[2])
BANDS = pd.DataFrame(product(NAMES, ("nose", "elsewhere")), columns=["class", "band"])
BANDS["share"] = BANDS["band"].map({"nose": 0.5, "elsewhere": 0.25})
BANDS = BANDS.assign(low=BANDS["share"] - 0.05, high=BANDS["share"] + 0.05, area=0.25, n=10)
BANDS["claimed"] = (BANDS["class"] == "angry") & (BANDS["band"] == "nose")
PERTURBED = pd.DataFrame(
    product(("deletion", "insertion"), ("Grad-CAM", "random maps"), (0.0, 0.5, 1.0)),
    columns=["way", "maps", "share"],
).assign(probability=0.5, low=0.4, high=0.6)
ALIKE = pd.DataFrame(
    [(0.1, 0.0, 0.2, 0.3, 0.2, 0.4, 30), (np.nan,) * 6 + (0,), (0.2, 0.1, 0.3, 0.3, 0.2, 0.4, 30)],
    index=["logits", "dead", "maps of other images"],
    columns=["rank correlation", "rank low", "rank high", "ssim", "ssim low", "ssim high", "n"],
)
EFFECTS = [
    SimpleNamespace(
        trick=trick, data=data, size=leaky - honest, interval=interval,
        honest=SimpleNamespace(value=honest), leaky=SimpleNamespace(value=leaky),
    )
    for trick, data, honest, leaky, interval in (
        ("hold out frames", "synthetic clips", 0.4, 0.6, (0.1, 0.3)),
        ("shuffle again", "FER-2013", 0.5, 0.9, (0.38, 0.42)),
    )
]  # fmt: skip
ARMS = pd.DataFrame(
    [
        ("by subject", 0.5, 0.4, 0.6, 164, "none", (0.49, 0.5, 0.51)),
        ("at random", 0.7, 0.5, 0.85, 33, "subjects on both sides", (0.7,)),
        ("of frames", 0.95, 0.94, 0.96, 2952, "clips on both sides", ()),
    ],
    columns=["label", "value", "low", "high", "n", "leak", "seeds"],
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
    [("a", "x or y", -0.02, 0.2, 32), ("b", "z or w", 0.1, np.nan, np.nan)],
    columns=["paper", "about", "difference", "chance", "n"],
)
NEAREST = np.r_[np.full(10, 0.955), np.full(5, 0.805), np.full(15, np.nan)]
FINDER = np.geomspace(1e-6, 1, 30), np.linspace(2, 1, 30)
FRAMES = RNG.integers(0, 256, (4, 30, 40, 3), np.uint8)
TIMELINE = np.arange(5.0), RNG.dirichlet(np.ones(K), 5)
FLOWS = RNG.normal(size=(4, 3, SIDE, SIDE))
PER_CLASS = evaluation.evaluate(predictions(), n_boot=0).per_class
HISTOGRAMS = np.ones((2, 3, 3, 9))


def cam_study() -> SimpleNamespace:
    toy = faces()
    maps = SimpleNamespace(**vars(CAM) | {"maps": RNG.random(toy.images.shape)})
    bands, cams = {"brow": (0.25, 0.5)}, {"Grad-CAM": maps}
    return SimpleNamespace(faces=toy, maps=maps, cams=cams, bands=bands, masks=None)


def given(*args, **options) -> tuple:
    return args, options


EVERY_FIGURE = {
    "image_grid, in colour": (given(FRAMES, ["1.5 s"] * 4, columns=3), ["1.5 s"]),
    "probability_timeline": (given(*TIMELINE, NAMES, truth=[("fear", 1, 2)]), ["fear"]),
    "events": (given({"shown": [MOVEMENT], "found": []}, seconds=9.0), ["happy", "micro"]),
    "events, none": (given({"found": []}, seconds=9.0), ["found"]),
    "reliability": (given(evaluation.reliability(predictions(400))), ["calibrated"]),
    "effect_sizes": (given(EFFECTS), ["+40.0 points\n[+38.0, +42.0]", "(synthetic clips)"]),
    "validation_arms": (
        given(CURVES, printed=CURVES[["epoch", "accuracy"]][:2]),
        ["again (2 seeds)", "printed in bamb2023"],
    ),
    "chosen_epochs": (given(CURVES[:4][["seed", "epoch", "validation", "test"]]), ["seed 0: +1.43 points"]),
    "printed_luck": (given(LUCK, two_runs=0.02), ["a: x or y", "n is not printed"]),
    "image_grid": (given(faces(10).images, NAMES * 3 + ("sad",), columns=8), NAMES),
    "rate_finder": (given(*FINDER, suggestions={"valley": 1e-3}, chosen=1e-2), ["1.0e-03", "0.0001"]),
    "class_split_counts": (given(faces()), ["toy (synthetic)", *NAMES]),
    "sample_grid": (given(faces(), per_class=4), ["toy (synthetic)", *NAMES]),
    "mean_faces": (given(faces().take(np.array([0, 3, 1]))), ["n = 2", "n = 1", "n = 0"]),
    "image_groups": (
        given(faces(), [[0, 2], [1, 3, 4, 5], [6, 7]], ["2", "4 copies", "2"]),
        ["4 copies", "train\nangry", "validation\nsad"],
    ),
    "nearest_similarity": (given(faces(), NEAREST, threshold=0.9), ["0.90: 10 images"]),
    "action_unit_faces": (given(Identity()), ["AU1\ninner brow raiser", "AU43"]),
    "expression_strengths": (given(Identity()), [*PROTOTYPES, "0.25", "1"]),
    "hog_glyphs": (given(faces(2).images, [0, 1], NAMES, histograms=HISTOGRAMS, cell=4), ["3 × 3 cells"]),
    "filter_sheet": (given(RNG.normal(size=(16, 3, 3))), ["16 filters of 3 × 3"]),
    "activation_sheets": (
        given({"relu": RNG.random((20, 6, 6)), "dead": np.zeros((3, 6, 6))}, image=faces(1).images[0]),
        ["relu: 16 of 20 maps of 6 × 6", "dead: 3 of 3"],
    ),
    "hog_glyphs, with maps": (
        given(faces(2).images, [0, 1], NAMES, histograms=HISTOGRAMS, cell=4, cams={"predicted": CAM}),
        ["predicted: angry", "predicted: sad", "6 × 6 of relu"],
    ),
    "mean_maps": (given(cam_study()), ["brow", "happy, n = 10", "6 × 6 maps of relu"]),
    "cam_examples": (given(cam_study()), ["Grad-CAM", *NAMES]),
    "band_shares": (given(BANDS), ["nose", "happy, n = 10"]),
    "perturbation_curves": (given(PERTURBED), ["Deletion", "random maps"]),
    "randomised_similarity": (given(ALIKE), ["SSIM", "dead (n = 0)", "maps of other images (n = 30)"]),
    "learning_curves": (given(history(), best_epoch=3), ["Loss", "selected epoch (3)"]),
    "confusion_matrix": (given(np.eye(K, dtype=int), NAMES), NAMES),
    "roc_curves": (given(predictions()), ["chance", "n = 40"]),
    "per_class_f1": (given(PER_CLASS), ["happy\nn = 13", "F1"]),
    "prediction_grid": (given(faces(40).images, predictions(40), [0, 2]), ["✓ ", "true: angry"]),
    "clip_strip": (given(clips(), [0, 2]), ["0 ms\nonset", "160 ms\noffset"]),
    "flow_fields": (given(clips(), FLOWS, [0, 1, 3]), ["strain", "happy, subject s1"]),
    "by_subject": (given(SUBJECTS), ["1, 2 of 3", "flow (50% of all)"]),
    "lucky_splits": (given(SEEDS, majority=0.43), ["80/20", "majority class 0.43"]),
    "arms": (
        given(ARMS, majority=0.43, chance=1 / 3),
        ["50.0 %, n = 164", "70.0 %, n = 33\nleak: subjects on both sides", "chance 0.33"],
    ),
    "paper_vs_measured": (given(PRINTED), ["n = 3,589", "not run", "n = 50"]),
}


@pytest.mark.parametrize("name", EVERY_FIGURE)
def test_a_figure_has_its_labels_fits_a_report_and_leaves_no_trace(name):
    before, ((args, options), texts) = dict(matplotlib.rcParams), EVERY_FIGURE[name]
    figure = getattr(plots, name.partition(",")[0])(*args, **options)
    assert isinstance(figure, Figure) and plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
    assert 600 <= figure.get_figwidth() * figure.dpi <= 910
    with warnings.catch_warnings(action="error"):  # a layout that does not fit
        figure.draw_without_rendering()
    assert [text for text in texts if text not in words(figure)] == []


# --- data -----------------------------------------------------------------------------------------


def test_synthetic_data_is_called_so():
    for draw in (plots.class_split_counts, plots.sample_grid, plots.mean_faces):
        assert "synthetic" in words(draw(faces()))
        assert "synthetic" not in words(draw(faces(source="real")))
    assert "synthetic (synthetic)" not in words(plots.mean_faces(faces(name="synthetic")))


def test_a_clip_runs_from_onset_to_offset_with_its_apex_framed():
    toy = clips()
    figure = plots.clip_strip(toy, [1])
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert (labels[0], labels[1], labels[6]) == ("0 ms\nonset", "40 ms\napex", "160 ms\noffset")
    (framed,) = (ax for ax in figure.axes if ax.spines["left"].get_visible())
    apex = toy.apex_position[1]
    np.testing.assert_array_equal(framed.images[0].get_array(), toy.clips[1, apex])
    change = abs(toy.clips[1, apex].astype(int) - toy.clips[1, 0])
    np.testing.assert_array_equal(figure.axes[-1].images[0].get_array(), np.minimum(4 * change, 255))
    still = replace(toy, clips=np.full_like(toy.clips, 9), apex=np.full(4, NO_APEX))
    assert plots.clip_strip(still, [0]).axes[0].get_xlabel() == "0 ms\napex"


def test_arrows_have_the_direction_and_length_of_the_flow():
    flows = np.zeros((4, 3, SIDE, SIDE))
    flows[2, 0, 5, 7], flows[2, 1, 5, 7], flows[2, 2] = 3.0, -4.0, 0.2
    figure = plots.flow_fields(clips(), flows, [2])
    (arrows,) = figure.axes[0].collections
    assert (arrows.U.max(), arrows.V.min()) == (3, -4)
    assert "longest arrow: 5.00 pixels" in words(figure)


# --- networks -------------------------------------------------------------------------------------


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


def test_bands_have_their_density_and_claimed_ones_a_marker_of_their_own():
    axes = plots.band_shares(BANDS).axes
    for ax, claimed in zip(axes, (1, 0, 0), strict=True):
        assert sum(line.get_marker() == "D" for line in ax.lines) == claimed
    np.testing.assert_allclose(axes[1].lines[1].get_xdata(), [2, 1])  # share / area


# --- results --------------------------------------------------------------------------------------


def test_a_confusion_matrix_has_counts_and_percentages_of_the_true_class():
    matrix = [[3, 1, 0], [0, 2000, 0], [0, 0, 0]]
    figure = plots.confusion_matrix(matrix, NAMES, title="toy", counted="Clips")
    counts, percent = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert counts == ["3", "1", "0", "0", "2,000", "0", "0", "0", "0"]
    assert percent == ["75", "25", "0", "0", "100", "0", "–", "–", "–"]
    assert figure.axes[0].get_title(loc="left") == "Clips (2,004)"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(NAMES)


def test_roc_curves_name_each_class_with_its_area_in_looks_of_their_own():
    toy = predictions(140, FER7)
    (ax,) = plots.roc_curves(toy).axes
    assert len(ax.lines) == 8 and ax.lines[0].get_label().startswith("chance")
    for line, row in zip(ax.lines[1:], evaluation.evaluate(toy, n_boot=0).per_class, strict=True):
        label, area = line.get_label().removesuffix(")").split(" (AUC = ")
        assert label == row["class"] and float(area) == pytest.approx(row["auc"], abs=0.0051)  # two digits
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 8


def test_printed_values_are_on_the_bar_they_belong_to_and_undefined_ones_have_none():
    published = {"happy": {"f1": 0.62}, "angry": {"precision": 0.5}}
    (ax,) = plots.per_class_f1(PER_CLASS, published=published).axes
    f1_of_happy, precision_of_angry = ax.containers[2][1], ax.containers[0][0]
    for bar, x, y in zip((f1_of_happy, precision_of_angry), *ax.lines[0].get_data(), strict=True):
        assert x == pytest.approx(bar.get_x() + bar.get_width() / 2) and y in (0.62, 0.5)
    undefined = [{"class": "sad", "support": 0, "precision": 0.0, "recall": None, "f1": None}]
    assert not plots.per_class_f1(undefined).axes[0].containers[1][0].get_height()


# --- protocols ------------------------------------------------------------------------------------


def test_a_leak_has_its_own_marker_and_name_beside_majority_and_chance():
    (ax,) = plots.arms(ARMS, majority=0.43, chance=1 / 3).axes
    chance, majority, honest, leaky = ax.lines[:4]
    assert chance.get_xdata()[0] == pytest.approx(1 / 3) and majority.get_xdata()[0] == 0.43
    assert list(honest.get_ydata()) == [0] and list(leaky.get_ydata()) == [1, 2]
    assert honest.get_marker() != leaky.get_marker() and honest.get_color() != leaky.get_color()


def test_every_split_is_a_dot_and_a_printed_value_is_at_its_place():
    printed = pd.DataFrame({"activation": ["Swish"], "split": ["50/50"], "accuracy": [0.6]})
    (ax,) = plots.lucky_splits(SEEDS, printed=printed, majority=0.43).axes
    places = [dots.get_offsets() for dots in ax.collections if len(dots.get_offsets())]
    *dots, diamond = places
    assert sum(map(len, dots)) == len(SEEDS)
    (at,) = diamond
    assert at[1] == 0.6 and at[0] == pytest.approx(dots[-1][0][0])  # the last are of Swish, 50/50


def test_chosen_epochs_are_marked_with_what_choosing_on_test_adds():
    accuracies = {"validation": [0.5, 0.4, 0.3], "test": [0.4, 0.4, 0.45]}
    curves = pd.DataFrame({"seed": 3, "epoch": [1, 2, 3]} | accuracies)
    for fixed, name, epoch in ((None, "best on validation", 1), (2, "set beforehand", 2)):
        (ax,) = plots.chosen_epochs(curves, fixed=fixed).axes
        marked = {line.get_label(): line.get_xdata()[0] for line in ax.lines if line.get_marker() in "oX"}
        assert marked == {name: epoch, "best on test (leak)": 3}
        assert ax.get_title(loc="left") == "seed 3: +5.00 points"


# --- in a notebook --------------------------------------------------------------------------------


@pytest.fixture
def displayed(monkeypatch):
    """What would be sent to the notebook."""
    sent = []
    monkeypatch.setattr(plots.notebook, "display", lambda data, **more: sent.append((data, more["metadata"])))
    return sent


def test_show_displays_a_png_with_its_alt_text_and_saves_equal_files_of_few_bytes(displayed, tmp_path):
    noisy = replace(faces(60), images=RNG.integers(0, 256, (60, 48, 48), dtype=np.uint8))
    for folder in ("a", "b"):
        alt = 'A "face" & its scores'
        plots.show(plots.sample_grid(noisy), alt=alt, name="sample", folder=tmp_path / folder)
    data, metadata = displayed[0]
    assert data["text/plain"] == alt and metadata == {"image/png": {"alt": alt}}
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    nbformat.validate(output, ref="output", version=4)
    first, second = ((tmp_path / folder / "sample.png").read_bytes() for folder in ("a", "b"))
    assert base64.b64decode(data["image/png"]) == first == second
    assert first.startswith(b"\x89PNG") and len(first) < 250_000


def test_a_class_name_is_no_formula_and_a_users_matplotlibrc_has_no_say():
    def draw() -> bytes:
        return plots.png(plots.confusion_matrix(np.eye(2, dtype=int), ["$\\frac$", "Čech_1^2"]))

    here, settings = draw(), {"axes.labelpad": 40, "axes.linewidth": 9, "figure.dpi": 30, "text.usetex": True}
    with matplotlib.rc_context(settings):
        assert draw() == here


def test_controls_draw_in_jupyterlab_alone(monkeypatch):
    drawn = []

    def draw(page: int) -> Figure:
        drawn.append(page)
        return plots.sample_grid(faces(), seed=page)

    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    plots.interact(draw, page=(1, 3))
    assert drawn == []
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    plots.interact(draw, page=(1, 3))
    assert drawn == [2]  # the slider starts in the middle
