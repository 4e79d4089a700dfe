"""Pretrained weights are the file that was meant, or the run says what is missing and where it belongs."""

import numpy as np
import pytest

from fer_utils.data import MissingData
from fer_utils.files import ConfigError, sha256_of
from fer_utils.weights import initialisation, read_weights, write_weights

ARRAYS = {
    "body.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "head.bias": np.zeros(3),
    "body.norm.num_batches_tracked": np.array(5),  # one number, no axis
}


@pytest.fixture
def file(tmp_path):
    write_weights(tmp_path / "net.safetensors", ARRAYS)
    return tmp_path / "net.safetensors"


def test_what_is_written_is_read_again(file):
    found = read_weights(file, sha256=sha256_of(file).upper())
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)


def test_an_array_in_another_order_of_memory_keeps_its_values(tmp_path):
    turned = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    write_weights(tmp_path / "a.safetensors", {"x": turned})
    again = read_weights(tmp_path / "a.safetensors", sha256=sha256_of(tmp_path / "a.safetensors"))
    assert np.array_equal(again["x"], turned)


@pytest.mark.parametrize(
    ("said", "problem"), [("", "weights_sha256 is empty"), ("0" * 64, "weights_sha256 says 0000")]
)
def test_a_file_without_the_right_hash_is_not_used_and_the_hash_it_has_is_said(file, said, problem):
    with pytest.raises(ConfigError, match=problem) as raised:
        read_weights(file, sha256=said)
    assert sha256_of(file) in str(raised.value)


def test_a_file_that_is_not_there_is_missing_data_and_says_where_it_belongs():
    with pytest.raises(MissingData, match=r"put it at .*data/raw/net\.safetensors, or write weights: none"):
        read_weights("data/raw/net.safetensors", sha256="0" * 64)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle in a zip", b"\xff" * 100])
def test_a_file_of_another_format_is_named(tmp_path, content):
    other = tmp_path / "weights.safetensors"
    other.write_bytes(content)
    with pytest.raises(ConfigError, match=r"weights\.safetensors: not readable as safetensors"):
        read_weights(other, sha256=sha256_of(other))


def test_a_report_says_what_a_network_started_from():
    assert initialisation("none", sha256="") == "random weights, no pretraining"
    assert initialisation("imagenet", sha256="") == "weights trained on ImageNet"
    assert (
        initialisation("a/b.safetensors", sha256="AB" * 32)
        == "weights from b.safetensors (SHA-256 abababababab...)"
    )
