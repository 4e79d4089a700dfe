"""The widgets show what was chosen, redraw when something changes, and are absent without JupyterLab."""

import io
import sys

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from PIL import Image

from fer_utils import explore
from fer_utils.data import FaceSet
from fer_utils.synthetic import ACTION_UNITS, PROTOTYPES

NAMES = ("angry", "happy", "sad")
N = 100


@pytest.fixture
def faces() -> FaceSet:
    return FaceSet(
        name="toy",
        source="synthetic",
        images=np.random.default_rng(0).integers(256, size=(N, 8, 8), dtype=np.uint8),
        labels=np.arange(N) % 3,
        class_names=NAMES,
        split=np.array(["train", "train", "validation", "test"])[np.arange(N) % 4],
        sample_id=np.array([f"toy-{i:03d}" for i in range(N)]),
    )


@pytest.fixture
def groups() -> dict[str, list[np.ndarray]]:
    return {"exact groups": [np.array([3, 50]), np.array([7, 8, 90])], "blank images": []}


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[FaceSet, dict]]:
    """The images and words of every page that is drawn."""
    pages = []

    def recorded(page, **words):
        pages.append((page, words))
        return draw(page, **words)

    draw = explore.face_sheet
    monkeypatch.setattr(explore, "face_sheet", recorded)
    return pages


@pytest.fixture
def browser(faces, groups, drawn) -> explore.FaceBrowser:
    return explore.FaceBrowser(faces, groups)


# --- the browser ----------------------------------------------------------------------------------


def test_the_browser_begins_with_the_first_page_of_everything(browser, drawn):
    page, words = drawn[-1]
    assert page.sample_id.tolist() == [f"toy-{i:03d}" for i in range(explore.PAGE)]
    assert words["title"] == "toy: all images, all, all; 100 images, page 1 of 3"
    assert browser.page.max == 3
    assert [name for name, _ in browser.class_name.options] == ["all", *NAMES]
    assert list(browser.part.options) == ["all", "train", "validation", "test"]


def test_no_page_holds_more_than_its_images_and_together_they_hold_each_once(browser, drawn):
    seen = list(drawn[-1][0].sample_id)
    for number in (2, 3):
        before = browser.picture.value
        browser.page.value = number
        assert browser.picture.value != before
        assert len(drawn[-1][0]) <= explore.PAGE
        seen += list(drawn[-1][0].sample_id)
    assert seen == [f"toy-{i:03d}" for i in range(N)]


def test_class_and_part_are_chosen_together(browser, drawn, faces):
    browser.class_name.label = "sad"
    browser.part.label = "train"
    page, words = drawn[-1]
    wanted = (faces.labels == 2) & (faces.split == "train")
    assert browser.rows.tolist() == np.flatnonzero(wanted).tolist()
    assert page.sample_id.tolist() == faces.sample_id[wanted].tolist()
    assert words["title"].startswith(f"toy: all images, sad, train; {wanted.sum()} images")


def test_another_choice_begins_with_its_first_page(browser, drawn):
    browser.page.value = 3
    browser.part.label = "train"
    assert (browser.page.value, browser.page.max) == (1, 2)
    assert drawn[-1][0].sample_id[0] == "toy-000"


def test_the_members_of_a_group_stand_side_by_side_under_its_number(browser, drawn):
    browser.group.value = "exact groups"
    page, words = drawn[-1]
    assert page.sample_id.tolist() == ["toy-003", "toy-050", "toy-007", "toy-008", "toy-090"]
    assert words["captions"] == ["group 1", "group 1", "group 2", "group 2", "group 2"]
    browser.part.label = "validation"
    assert drawn[-1][0].sample_id.tolist() == ["toy-050", "toy-090"]
    assert drawn[-1][1]["captions"] == ["group 1", "group 2"]


def test_a_choice_that_nothing_fits_says_so(browser, drawn):
    before = browser.picture.value
    browser.group.value = "blank images"
    page, words = drawn[-1]
    assert len(page) == 0 and "0 images" in words["title"]
    assert browser.page.max == 1
    assert browser.picture.value not in (before, b"")


def test_images_without_a_class_can_be_chosen_where_there_are_some(faces, groups, drawn):
    faces.labels[[5, 6]] = FaceSet.UNLABELLED
    browser = explore.FaceBrowser(faces, groups)
    browser.class_name.label = "unlabelled"
    assert drawn[-1][0].sample_id.tolist() == ["toy-005", "toy-006"]


def test_an_empty_data_set_can_be_browsed(faces, groups):
    assert explore.FaceBrowser(faces.take(np.arange(0)), {}).page.max == 1


# --- the face -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panel() -> explore.ActionUnits:
    return explore.ActionUnits()


@pytest.fixture(autouse=True)
def neutral_again(request) -> None:
    """Every test finds the panel, which takes a while to build, as it was built."""
    if "panel" in request.fixturenames:
        panel = request.getfixturevalue("panel")
        for widget, value in (("region", False), ("person", 0), ("yaw", 0.0), ("expression", "happy")):
            getattr(panel, widget).value = value
        panel.expression.value = "neutral"


def test_every_unit_has_a_slider_with_its_facs_name(panel):
    names = [slider.description for slider in panel.units.values()]
    assert names == [f"AU{number} {name}" for number, name in ACTION_UNITS.items()]
    assert "AU12 lip corner puller" in names
    assert all((slider.min, slider.max, slider.value) == (0, 1, 0) for slider in panel.units.values())


def test_the_picture_is_what_the_sliders_say(panel):
    panel.units[12].value = 0.6
    picture = np.asarray(Image.open(io.BytesIO(panel.picture.value)).convert("L"))
    assert picture.shape == (explore.SIZE, explore.SIZE)
    np.testing.assert_array_equal(picture, panel.showing().image(size=explore.SIZE))
    assert panel.showing().action_units[12] == 0.6


@pytest.mark.parametrize("unit", ACTION_UNITS)
def test_every_slider_redraws(panel, unit):
    panel.units[26].value = 0.1  # the jaw shows what happens behind closed lips
    before = panel.picture.value
    panel.units[unit].value = 1.0
    assert panel.picture.value != before


@pytest.mark.parametrize(
    ("widget", "value"), [("person", 5), ("yaw", 10), ("pitch", -10), ("roll", 10), ("light", 60)]
)
def test_person_pose_and_light_redraw(panel, widget, value):
    control = getattr(panel, widget)
    before, value_before = panel.picture.value, control.value
    control.value = value
    changed = panel.picture.value
    control.value = value_before
    assert changed != before == panel.picture.value


@pytest.mark.parametrize("expression", [name for name in PROTOTYPES if name != "neutral"])
def test_an_expression_sets_its_units_and_draws_once(panel, expression, monkeypatch):
    pictures = []
    panel.picture.observe(lambda change: pictures.append(change["new"]), names="value")
    panel.expression.value = expression
    panel.picture.unobserve_all()
    units = {number for number, slider in panel.units.items() if slider.value}
    assert units == set(PROTOTYPES[expression]) and len(pictures) == 1
    assert panel.expression.value == expression


def test_a_slider_moved_by_hand_makes_an_own_mix_and_leaves_the_others(panel):
    panel.expression.value = "surprise"
    panel.units[4].value = 0.5
    assert panel.expression.value == "own mix"
    assert panel.units[26].value == 1.0 and panel.units[4].value == 0.5
    panel.expression.value = "surprise"
    assert panel.units[4].value == 0.0


def test_the_outline_is_coloured_and_lies_where_the_units_act(panel):
    panel.units[12].value = 1.0
    panel.region.value = True
    picture = np.asarray(Image.open(io.BytesIO(panel.picture.value)).convert("RGB")).astype(int)
    coloured = np.ptp(picture, axis=2) > 0
    region = panel.showing().mask(size=explore.SIZE, above=0.0)
    assert 100 < coloured.sum() < region.sum()
    y, x = np.nonzero(coloured)
    rows, columns = np.nonzero(region)
    assert abs(y.min() - rows.min()) <= 2 and abs(x.max() - columns.max()) <= 2


def test_a_neutral_face_has_no_outline(panel):
    before = panel.picture.value
    panel.region.value = True
    assert panel.picture.value == before


# --- where it runs --------------------------------------------------------------------------------


@pytest.fixture
def published(monkeypatch) -> list:
    sent = []
    monkeypatch.setattr(explore, "display", sent.append)
    return sent


def test_in_jupyterlab_both_are_displayed(monkeypatch, published, faces, groups):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    explore.browse_faces(faces, groups)
    explore.action_units()
    assert [type(widget).__name__ for widget in published] == ["VBox", "HBox"]


def test_without_jupyterlab_nothing_happens(monkeypatch, published, faces, groups):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore.browse_faces(faces, groups)
    explore.action_units()
    assert not published
