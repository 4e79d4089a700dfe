"""The networks are those that the papers print, layer by layer."""

import numpy as np
import pytest

from fer_utils.files import ConfigError

CONVOLUTIONS = {
    "kumar2021": [(3, 3)] * 5,
    "little_vgg": [(3, 3)] * 8,
    "bamb2023": [(3, 3)] * 4,
}


@pytest.fixture(scope="module")
def baseline(torch_first):
    """Import late: collecting this file must not start TensorFlow in every test process."""
    from fer_utils.models import baseline
    from fer_utils.training import keras_fit

    keras_fit.prepare(threads=2, device="cpu")
    return baseline


def plain(baseline, architecture: str, **settings):
    """Build one without what the parameters add, at the size it reads."""
    size = settings.get("image_size", 48)
    settings = {"n_classes": 6, "dropout": 0.0, "batch_norm": False} | settings | {"image_size": size}
    return baseline.build(architecture, seed=0, source_size=size, **settings)


def kinds(model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "Rescaling"]


def of_kind(model, kind: str) -> list:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def shapes(model) -> list[tuple[int, ...]]:
    return [layer.output.shape[1:] for layer in model.layers if type(layer).__name__ != "Rescaling"]


def test_kumar2021_is_five_blocks_of_convolution_and_pool_two_dense_layers_and_softmax(baseline):
    model = plain(baseline, "kumar2021")
    assert kinds(model) == ["Conv2D", "MaxPooling2D"] * 5 + ["Flatten", "Dense", "Dense", "Dense"]
    assert [layer.activation.__name__ for layer in of_kind(model, "Dense")] == ["relu", "relu", "softmax"]
    assert model.output_shape == (None, 6)
    assert shapes(model)[9] == (1, 1, 256)  # 48 pixels halved five times


def test_little_vgg_has_the_sixteen_layers_that_the_paper_counts(baseline):
    model = plain(baseline, "little_vgg")
    block = ["Conv2D", "Conv2D", "MaxPooling2D"]
    assert kinds(model) == block * 4 + ["Flatten", "Dense", "Dense", "Dense"]
    assert len(kinds(model)) == 16


@pytest.mark.parametrize(
    ("image_size", "sides", "flat"),
    [(100, [98, 49, 47, 23, 21, 10, 8, 4], 1024), (48, [46, 23, 21, 10, 8, 4, 2, 1], 64)],
)
def test_bamb2023_has_the_output_shapes_of_its_printed_summary(baseline, image_size, sides, flat):
    model = plain(baseline, "bamb2023", image_size=image_size, n_classes=7)
    channels = [32, 32, 64, 64, 64, 64, 64, 64]
    expected = [(side, side, channel) for side, channel in zip(sides, channels, strict=True)]
    assert kinds(model) == ["Conv2D", "MaxPooling2D"] * 4 + ["Flatten", "Dense", "Dense", "Dense"]
    assert shapes(model) == [*expected, (flat,), (64,), (64,), (7,)]


@pytest.mark.parametrize("architecture", CONVOLUTIONS)
def test_filters_are_three_by_three_with_stride_one_and_he_initialisation(baseline, architecture):
    model = plain(baseline, architecture)
    convolutions = of_kind(model, "Conv2D")
    assert [layer.kernel_size for layer in convolutions] == CONVOLUTIONS[architecture]
    assert {layer.strides for layer in convolutions} == {(1, 1)}
    assert {layer.activation.__name__ for layer in convolutions} == {"relu"}
    assert {type(layer.kernel_initializer).__name__ for layer in convolutions} == {"HeNormal"}
    assert {layer.pool_size for layer in of_kind(model, "MaxPooling2D")} == {(2, 2)}


@pytest.mark.parametrize("architecture", CONVOLUTIONS)
def test_the_parameters_add_dropout_normalisation_and_weight_decay(baseline, architecture):
    model = plain(baseline, architecture, dropout=0.25, batch_norm=True, l2=1e-4)
    assert [layer.rate for layer in of_kind(model, "Dropout")] == [0.25, 0.25]
    blocks = len(of_kind(model, "MaxPooling2D"))
    assert len(of_kind(model, "BatchNormalization")) == blocks + 2
    hidden = of_kind(model, "Conv2D") + of_kind(model, "Dense")[:-1]
    assert all(layer.kernel_regularizer.l2 == pytest.approx(1e-4) for layer in hidden)
    assert len(model.losses) == len(hidden)


@pytest.mark.parametrize(
    ("architecture", "smallest"), [("kumar2021", 32), ("little_vgg", 16), ("bamb2023", 46)]
)
def test_the_smallest_image_works_and_a_smaller_one_is_refused_with_that_size(
    baseline, architecture, smallest
):
    assert plain(baseline, architecture, image_size=smallest).output_shape == (None, 6)
    with pytest.raises(
        ConfigError, match=f"image_size={smallest - 1}: {architecture} needs at least {smallest}"
    ):
        plain(baseline, architecture, image_size=smallest - 1)


@pytest.mark.parametrize("architecture", CONVOLUTIONS)
def test_every_network_reads_pixels_as_they_are_stored(baseline, architecture):
    """White is 255 in the file and 1 in the network: no caller scales, so none can forget to."""
    model = plain(baseline, architecture)
    assert model.inputs[0].dtype == "uint8"
    white = np.full((2, 48, 48, 1), 255, dtype=np.uint8)
    scaled = model.get_layer("scale")(white)
    np.testing.assert_allclose(np.asarray(scaled), 1.0, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(white).sum(axis=1), 1.0, atol=1e-6)


def test_pictures_of_another_size_are_rescaled_inside_the_network(baseline):
    model = baseline.build("bamb2023", seed=0, source_size=48, image_size=100, n_classes=7)
    assert model.input_shape == (None, 48, 48, 1)
    assert model.get_layer("resize").output.shape == (None, 100, 100, 1)
    image = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
    same_at_100 = baseline.build("bamb2023", seed=0, source_size=100, image_size=100, n_classes=7)
    resized = np.asarray(model.get_layer("resize")(image))
    np.testing.assert_allclose(
        model.predict_on_batch(image), same_at_100.predict_on_batch(np.round(resized)), atol=1e-2
    )


def test_no_rescaling_layer_where_the_sizes_agree(baseline):
    assert "Resizing" not in kinds(plain(baseline, "kumar2021"))


@pytest.mark.parametrize("architecture", CONVOLUTIONS)
def test_the_same_seed_gives_the_same_first_weights_whatever_was_built_before(baseline, architecture):
    first = plain(baseline, architecture).get_weights()
    plain(baseline, "kumar2021", dropout=0.5)
    again = plain(baseline, architecture).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = baseline.build(architecture, seed=1, source_size=48, image_size=48, n_classes=6, batch_norm=False)
    assert not np.array_equal(first[0], other.get_weights()[0])


def test_a_resized_network_starts_from_the_weights_of_the_plain_one(baseline):
    plain_weights = plain(baseline, "bamb2023", image_size=100).get_weights()
    resized = baseline.build("bamb2023", seed=0, source_size=48, image_size=100, n_classes=6)
    assert all(np.array_equal(a, b) for a, b in zip(plain_weights, resized.get_weights(), strict=True))


def test_building_twice_gives_the_same_layer_names(baseline):
    """A training is found again by its layers: no counter may creep into their names."""
    assert plain(baseline, "kumar2021").to_json() == plain(baseline, "kumar2021").to_json()
