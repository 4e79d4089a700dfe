"""The plain networks are those that the papers print, and so are the values shown beside them."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.settings import notebook_params

from fer_utils.evaluation import Evaluation
from fer_utils.files import ConfigError, project_path
from fer_utils.papers import load_paper, published_values
from fer_utils.run import read_runs
from fer_utils.studies.bamb2023 import SLIDES, data_and_sizes, printed_cells

PLAIN = {"dropout": 0.0, "batch_norm": False, "l2": 0.0}
ACCURACY = {"value": 0.7, "ci95": [0.6, 0.8], "n": 3_068}
BAMB = {"paper": "bamb2023", "architecture": "bamb2023", "label_set": "fer7"}


def params(**changes):
    return notebook_params("10_baseline_cnn", **changes)


@pytest.fixture(scope="module")
def build(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.models import baseline
    from fer_utils.training import keras_training

    keras_training.prepare(SimpleNamespace(threads=2, device="cpu"))
    return lambda n_classes=7, **changes: baseline.build(params(**PLAIN | changes), n_classes=n_classes)


def kinds(model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def of_kind(model, kind: str) -> list:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


@pytest.mark.parametrize(("architecture", "block"), [("kumar2021", 1), ("little_vgg", 2), ("bamb2023", 1)])
def test_layers_are_those_of_the_paper(build, architecture, block):
    model = build(architecture=architecture)
    pools = len(of_kind(model, "MaxPooling2D"))
    body = (["Conv2D"] * block + ["MaxPooling2D"]) * pools
    assert kinds(model) == ["Rescaling", *body, "Flatten", "Dense", "Dense", "Dense"]
    assert pools == {"kumar2021": 5, "little_vgg": 4, "bamb2023": 4}[architecture]
    convolutions = of_kind(model, "Conv2D")
    assert {(layer.kernel_size, layer.strides) for layer in convolutions} == {((3, 3), (1, 1))}
    assert {type(layer.kernel_initializer).__name__ for layer in convolutions} == {"HeNormal"}
    assert [layer.activation.__name__ for layer in of_kind(model, "Dense")] == ["relu", "relu", "softmax"]


def test_bamb2023_has_the_output_shapes_of_its_printed_summary(build):
    model = build(architecture="bamb2023", image_size=100)
    sides = [98, 49, 47, 23, 21, 10, 8, 4]
    expected = [(side, side, n) for side, n in zip(sides, [32, 32, *[64] * 6], strict=True)]
    assert [layer.output.shape[1:] for layer in model.layers[1:]] == [*expected, (1024,), (64,), (64,), (7,)]


@pytest.mark.parametrize("architecture", ["little_vgg", "bamb2023"])
def test_parameters_add_dropout_normalization_and_weight_decay(build, architecture):
    model = build(architecture=architecture, dropout=0.25, batch_norm=True, l2=1e-4)
    assert [layer.rate for layer in of_kind(model, "Dropout")] == [0.25, 0.25]
    assert len(of_kind(model, "BatchNormalization")) == len(of_kind(model, "MaxPooling2D")) + 2
    assert len(model.losses) == len(of_kind(model, "Conv2D")) + 2


@pytest.mark.parametrize(("architecture", "least"), [("kumar2021", 32), ("little_vgg", 16), ("bamb2023", 46)])
def test_the_smallest_image_works_and_a_smaller_one_is_refused(build, architecture, least):
    assert build(architecture=architecture, image_size=least).output_shape == (None, 7)
    with pytest.raises(ConfigError, match=f"image_size={least - 1}: {architecture} needs .* {least} "):
        build(architecture=architecture, image_size=least - 1)


def test_equal_seeds_give_equal_networks_that_read_stored_pixels(build):
    first = build(architecture="bamb2023")
    build(architecture="kumar2021", dropout=0.5)
    again = build(architecture="bamb2023")
    other = build(architecture="bamb2023", seed=1)
    assert first.to_json() == again.to_json()  # a checkpoint is found by it
    weights = [model.get_weights() for model in (first, again, other)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])
    white = np.full((2, 48, 48, 1), 255, dtype=np.uint8)
    np.testing.assert_allclose(np.asarray(first.get_layer("scale")(white)), 1, atol=1e-6)


# --- printed values ---------------------------------------------------------------------------------


def published(of) -> dict[str, str]:
    metrics = {"accuracy": ACCURACY, "macro_f1": ACCURACY, "f1": ACCURACY}
    result = Evaluation(metrics=metrics, per_class=[{"class": "happy", "f1": 0.5}], confusion_matrix=[])
    found = published_values(of.paper, result, cells=printed_cells(of))
    return {f"{row['table']}: {row['cell']}": row["printed"] for row in found}


def test_each_data_set_and_size_of_the_paper_profile_has_its_own_slide():
    printed = {}
    for path in project_path("params/paper").glob("10_baseline_cnn--bamb2023*.yaml"):
        for values in read_runs(path).values():
            of = params(**values)
            cells = [text for cell, text in published(of).items() if cell.endswith("epoch 50 / val_accuracy")]
            printed[of.dataset, of.image_size] = cells
    assert {key: cells[0] for key, cells in printed.items() if cells} == {
        ("fer2013", 48): "0.8599",
        ("rafdb", 48): "0.9147",
        ("rafdb", 100): "0.9264",
        ("rafdb+fer2013", 48): "0.8571",
    }
    assert {("fer2013", 100), ("rafdb+fer2013", 100)} <= set(printed)
    logs = {cell.table for cell in load_paper("bamb2023").find(metric="validation_accuracy")}
    assert logs == {tables[0] for tables in SLIDES.values()}


def test_values_of_kumar2021_are_shown_for_fer2013_and_its_networks_alone():
    for architecture in ("kumar2021", "little_vgg"):
        kumar = published(params(dataset="fer2013", architecture=architecture, epochs=35))
        assert kumar["Section 5: 35 epochs / accuracy"] == "53%" and kumar["Table 2: Happy / f1"] == "0.82"
    assert published(params(epochs=35)) == kumar
    for other in ({"dataset": "rafdb"}, {"image_size": 100}, {"architecture": "bamb2023"}):
        assert published(params(**{"dataset": "fer2013"} | other)) == {}


def test_another_network_or_label_set_has_no_printed_value():
    for other in ({"architecture": "kumar2021"}, {"label_set": "fer6"}):
        of = params(**{"dataset": "fer2013"} | BAMB | other)
        assert published(of) == {}
        table = data_and_sizes(of, accuracy=ACCURACY)
        assert set(table["measured"]) == {""} and len(table) == len(SLIDES)


def test_the_table_of_the_slides_has_the_run_in_its_row():
    table = data_and_sizes(params(**BAMB, dataset="rafdb", image_size=100), accuracy=ACCURACY)
    assert table["validation"].tolist() == ["0.8599", "0.9147", "0.9264", "0.8571"]
    row = ["0.935546875", "1536", "0.700 [0.600, 0.800]", "3068"]
    assert table.loc["RAF-DB, 100 px", "test":].tolist() == row
    assert set(table.drop("RAF-DB, 100 px").loc[:, "test":].to_numpy().ravel()) == {""}
    own = data_and_sizes(params(**BAMB, dataset="jaffe"), accuracy=ACCURACY | {"ci95": None})
    assert own.loc["JAFFE, 48 px"].tolist() == ["", "", "", "", "0.700", "3068"]
