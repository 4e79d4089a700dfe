"""The printed numbers beside a run of the baseline networks are about its data set and image size."""

import pytest

from fer_utils.evaluation import Evaluation
from fer_utils.files import project_path
from fer_utils.labels import FER6
from fer_utils.papers import load_paper, published_values
from fer_utils.params import BaselineCNN, notebook_defaults, profile_runs, read_runs
from fer_utils.studies.baseline import SLIDES, data_and_sizes, load, printed_cells

PAPER_RUNS = {
    "10_baseline_cnn--bamb2023": "0.8599",
    "10_baseline_cnn--bamb2023-100px": None,
    "10_baseline_cnn--bamb2023-raf--image_size48": "0.9147",
    "10_baseline_cnn--bamb2023-raf--image_size100": "0.9264",
    "10_baseline_cnn--bamb2023-raf-fer--image_size48": "0.8571",
    "10_baseline_cnn--bamb2023-raf-fer--image_size100": None,
}
"""Run of the paper profile -> validation accuracy that the slides print for it after epoch 50."""
ACCURACY = {"value": 0.7, "ci95": [0.6, 0.8], "n": 3_068}
BAMB = {"paper": "bamb2023", "architecture": "bamb2023", "label_set": "fer7"}
"""What makes a run one of the network of the slides."""


def params(**changes) -> BaselineCNN:
    return BaselineCNN.from_values(notebook_defaults("10_baseline_cnn") | changes, where="test")


def beside(of: BaselineCNN) -> dict[str, str]:
    result = Evaluation(
        metrics={"accuracy": ACCURACY},
        per_class=[{"class": "happy", "f1": 0.5}],
        confusion_matrix=[],
    )
    return {
        f"{row['table']}: {row['cell']}": row["printed"]
        for row in published_values(of.paper, result, cells=printed_cells(of))
    }


@pytest.mark.parametrize(("run", "printed"), PAPER_RUNS.items())
def test_every_combination_of_data_and_size_has_a_run_with_its_own_slide_beside_it(run, printed):
    of = params(**read_runs(profile_runs(project_path("params/paper"))[run])[run])
    found = beside(of)
    assert [text for cell, text in found.items() if cell.endswith("epoch 50 / val_accuracy")] == (
        [printed] if printed else []
    )
    assert bool(found) == bool(printed)


def test_the_one_printed_test_accuracy_stands_beside_rafdb_at_100_pixels_alone():
    runs = {key: beside(params(**BAMB, dataset=key[0], image_size=key[1])) for key in SLIDES}
    tested = {key: found for key, found in runs.items() if "0.935546875" in found.values()}
    assert list(tested) == [("rafdb", 100)]


def test_every_slide_with_a_log_of_the_network_is_used():
    printed = {cell.table for cell in load_paper("bamb2023").find(metric="validation_accuracy")}
    assert printed == {tables[0] for tables in SLIDES.values()}


def test_what_is_printed_on_fer2013_stands_beside_no_other_real_set():
    kumar = beside(params(paper="kumar2021", dataset="fer2013", epochs=35))
    assert kumar["Section 5: 35 epochs / accuracy"] == "53%" and kumar["Table 2: Happy / f1"] == "0.82"
    assert beside(params(paper="kumar2021", epochs=35)) == kumar
    for dataset in ("rafdb", "rafdb+fer2013", "ckplus", "jaffe", "folder"):
        assert beside(params(paper="kumar2021", dataset=dataset)) == {}
    assert beside(params(**BAMB, dataset="jaffe")) == {}
    assert beside(params(paper="kumar2021", dataset="fer2013", image_size=100)) == {}


@pytest.mark.parametrize("profile", ["smoke", "reference"])
@pytest.mark.parametrize(
    ("run", "printed"), [("bamb2023", {"0.8599"}), ("kumar2021", {"0.54", "0.51", "0.82"})]
)
def test_the_short_runs_of_the_two_networks_have_the_printed_cells_beside_them(profile, run, printed):
    of = params(
        **read_runs(project_path("params") / profile / f"10_baseline_cnn--{run}.yaml")[
            f"10_baseline_cnn--{run}"
        ]
    )
    result = Evaluation(
        metrics={"accuracy": ACCURACY, "macro_f1": ACCURACY, "f1": ACCURACY},
        per_class=[{"class": "happy", "f1": 0.5}],
        confusion_matrix=[],
    )
    found = published_values(of.paper, result, cells=printed_cells(of))
    assert printed <= {row["printed"] for row in found}


@pytest.mark.parametrize("architecture", ["kumar2021", "little_vgg"])
def test_both_networks_that_kumar2021_names_stand_beside_its_numbers(architecture):
    of = params(paper="kumar2021", dataset="fer2013", architecture=architecture, epochs=35)
    assert beside(of)["Table 2: Happy / f1"] == "0.82"


@pytest.mark.parametrize(
    "other",
    [
        {**BAMB, "architecture": "kumar2021"},
        {**BAMB, "architecture": "little_vgg"},
        {**BAMB, "label_set": "fer6"},
        {"paper": "kumar2021", "architecture": "bamb2023"},
        {"paper": "kumar2021", "label_set": "fer7"},
    ],
)
def test_another_network_or_other_classes_stand_beside_no_printed_number(other):
    of = params(**{"dataset": "fer2013", "epochs": 35} | other)
    assert printed_cells(of) == {} == beside(of)
    table = data_and_sizes(of, accuracy=ACCURACY)
    assert len(table) == len(SLIDES) and set(table["measured"]) == set(table["n measured"]) == {""}
    assert table["validation"].tolist() == ["0.8599", "0.9147", "0.9264", "0.8571"]


def test_the_table_of_the_slides_has_their_last_epochs_and_the_run_in_its_row():
    table = data_and_sizes(params(**BAMB, dataset="rafdb", image_size=100), accuracy=ACCURACY)
    assert table.index.tolist() == [
        *("FER-2013, 48 px", "RAF-DB, 48 px", "RAF-DB, 100 px", "RAF-DB + FER-2013, 48 px"),
    ]
    assert table["validation"].tolist() == ["0.8599", "0.9147", "0.9264", "0.8571"]
    assert table["training"].tolist() == ["0.9317", "0.9722", "0.9799", "0.9314"]
    assert table.loc["RAF-DB, 100 px", "test":].tolist() == [
        *("0.935546875", "1536", "0.700 [0.600, 0.800]", "3068"),
    ]
    assert set(table.drop("RAF-DB, 100 px").loc[:, "test":].to_numpy().ravel()) == {""}


def test_a_run_that_the_slides_do_not_have_gets_a_row_of_its_own_and_other_papers_none():
    own = data_and_sizes(params(**BAMB, dataset="fer2013", image_size=100), accuracy=ACCURACY)
    assert own.index[-1] == "FER-2013, 100 px" and len(own) == 5
    assert own.iloc[-1].tolist() == ["", "", "", "", "0.700 [0.600, 0.800]", "3068"]
    for other in (params(**BAMB), params(paper="kumar2021", dataset="fer2013")):
        shown = ACCURACY if other.paper == "kumar2021" else None
        assert set(data_and_sizes(other, accuracy=shown)["measured"]) == {""}


def test_an_accuracy_on_pictures_of_one_person_stands_without_an_interval():
    table = data_and_sizes(params(**BAMB, dataset="jaffe"), accuracy=ACCURACY | {"ci95": None})
    assert table.loc["JAFFE, 48 px", "measured":].tolist() == ["0.700", "3068"]


def test_pictures_are_read_in_the_size_that_the_network_sees_with_the_classes_of_the_study():
    small = params(image_size=32, label_set="fer6", synthetic_subjects=3, synthetic_per_subject=7)
    faces = load(small)
    assert faces.images.shape[1:] == (32, 32) and faces.class_names == FER6
    assert len(load(params(**small.studied() | {"label_set": "own"}))) == 21 > len(faces)
