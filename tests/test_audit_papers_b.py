"""The audit of srivastav2024 and bamb2023: the arithmetic of its findings, and what makes them go away."""

import os
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from published_changes import one, with_changes

from fer_utils.audit import Finding, audit_paper
from fer_utils.audit.sizes import FER2013_BLACK, RAF_DB
from fer_utils.papers import load_paper


@pytest.fixture(scope="module")
def srivastav() -> list[Finding]:
    return audit_paper("srivastav2024")


@pytest.fixture(scope="module")
def bamb() -> list[Finding]:
    return audit_paper("bamb2023")


def test_the_validation_images_are_a_fifth_of_fer2013_without_its_black_squares(srivastav):
    found = one(srivastav, "Fig. 10: number of images")
    assert (found.verdict, found.certainty, found.printed) == ("consistent", "possible", "7175")
    assert "35,875 / 5 = 7,175" in found.explanation and (35_887 - FER2013_BLACK) == 5 * 7_175


def test_fer2013_holds_so_many_pictures_of_one_colour():
    """The smallest files of the folder form: a black square is the shortest JPEG of its size."""
    path = os.environ.get("FER2013_PATH", "")
    if not zipfile.is_zipfile(path):
        pytest.skip("FER2013_PATH does not name the zip of FER-2013")
    with zipfile.ZipFile(path) as archive:
        sizes = sorted(info.file_size for info in archive.infolist() if info.filename.endswith(".jpg"))
    if len(sizes) != 35_887:
        pytest.skip("FER2013_PATH is not the folder form with one JPEG per image")
    assert sizes.count(sizes[0]) == FER2013_BLACK and sizes[FER2013_BLACK] > 1.2 * sizes[0]


def test_a_caption_that_names_the_column_is_still_one_of_the_paper(srivastav):
    found = one(srivastav, "Table 2: caption")
    assert "35.3% right" in found.explanation and "4910/7175 = 68.4% right" in found.explanation


def test_a_diagonal_that_is_not_the_largest_is_found(tmp_path, srivastav):
    location = "Fig. 10 and Section 4: diagonal"
    assert one(srivastav, location).verdict == "consistent"
    found = with_changes(tmp_path, "srivastav2024", ("Disgust\t22\t43", "Disgust\t92\t43"))
    assert one(found, location).verdict == "inconsistent"
    assert "row disgust" in one(found, location).explanation


def test_an_abstract_that_rounds_the_best_epoch_is_not_blamed(tmp_path):
    changes = ("context: classification rate of 70.2 %", "context: classification rate of 70.0 %")
    found = with_changes(tmp_path, "srivastav2024", changes, ("printed: 70.2 %}", "printed: 70.0 %}"))
    assert one(found, "Abstract: accuracy").verdict == "consistent"


@pytest.mark.parametrize("log", ["Slide: RAF dataset 48X48", "Slide: RAF 100 X 100"])
def test_the_steps_on_raf_db_are_four_fifths_of_its_batches(bamb, log):
    found = one(bamb, f"{log}: 384 steps")
    assert (found.verdict, found.certainty) == ("consistent", "possible")
    assert "RAF-DB basic (15,339) in batches of 32, 4/5 of 480 batches" in found.expected
    assert "RAF-DB basic training (12,271) in batches of 32" in found.expected


def test_only_1536_images_fit_all_validation_accuracies_on_raf_db(bamb):
    found = one(bamb, "Slide: Datasets: RAF-DB as used")
    assert (found.verdict, found.certainty, found.expected) == ("inconsistent", "possible", "15,339")
    assert "accuracies are 1536. So" in found.explanation and "742 steps" in found.explanation
    assert -(-RAF_DB["basic"] // 32) == 480 and 480 - 384 - 48 == 48


def test_all_ways_to_make_the_steps_on_fer2013_are_named(bamb):
    expected = one(bamb, "Slide: FER dataset: 574 steps").expected
    for way in (
        "FER-2013 (35,887) in batches of 50, 4/5 of 718 batches",
        "FER-2013 Training (28,709) in batches of 40, 4/5 of 718 batches",
        "FER-2013 Training (28,709) in batches of 50, full batches only",
    ):
        assert way in expected


def test_the_accuracies_on_fer2013_fit_two_of_the_sizes_that_the_steps_leave(bamb):
    found = one(bamb, "Slide: FER dataset: val_accuracy")
    assert (found.verdict, found.certainty) == ("consistent", "possible")
    assert found.expected == (
        "whole numbers out of 2,840 (71 batches of FER-2013 Training) or 7,187 (144 batches of FER-2013, the "
        "short one with them)"
    )
    for size, fitting in ((3_550, 1), (3_589, 1), (2_840, 4), (7_187, 4)):
        assert f"{size:,} ({fitting})" in found.explanation
        rates = [Fraction(text) for text in found.printed.split(", ")]
        near = [abs(Fraction(round(rate * size), size) - rate) <= Fraction(5, 100_000) for rate in rates]
        assert sum(near) == fitting


def test_the_steps_of_an_unnamed_data_set_are_not_checkable(bamb):
    mobile = "Slide: Transfer learning model Using MobileNetV2"
    assert one(bamb, f"{mobile}: 397 steps").verdict == "not_checkable"
    assert "0.9380" in one(bamb, f"{mobile}: validation accuracy").explanation


def test_a_line_with_all_its_steps_is_not_blamed(tmp_path):
    found = with_changes(tmp_path, "bamb2023", ("001/384 [", "384/384 ["))
    assert not [f for f in found if f.rule == "validation after the last step"]


PHRASES = {
    "srivastav2024": (
        "VGG-19 (see Fig. 8)",
        "Fig. 8. Learning rate graph",
        "Fig. 2. Architecture of VGG19",
        "diagonal elements of confusion matrix have maximum value",
        "better performance as compare to last step",
        "information from Emotion will be used to set up the model",
        "Table 2. Epoch table with train loss, valid loss and error rate",
    ),
    "bamb2023": (
        "Neutral, Sadness, Surprise, Happiness, Fear, Anger, Contempt, and Disgust",
        "Training and validation Accuracy on Transfer learning model Using MobileNetV2",
    ),
}


@pytest.mark.parametrize("key", PHRASES)
def test_the_words_that_are_judged_stand_in_the_document(key):
    folder = os.environ.get("FER_PAPERS_DIR")
    path = Path(folder or "") / load_paper(key).document
    if not folder or not path.is_file():
        pytest.skip("FER_PAPERS_DIR does not hold the papers' documents")
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert not [phrase for phrase in PHRASES[key] if phrase not in text]
    assert "Fig. 5" not in text
