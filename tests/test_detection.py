"""Faces are found where they are, in pixels of the whole picture, whichever detector looks."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_utils.data.detection import Haar, YuNet, detector
from fer_utils.files import ConfigError
from fer_utils.synthetic import Identity, render_face

PERSON = Identity()


def frame(*faces: tuple[int, int, int], size: tuple[int, int] = (480, 640)) -> np.ndarray:
    """Return a gray frame with drawn faces, each at x and y and of a size in pixels."""
    picture = np.full(size, 120, np.uint8)
    for x, y, side in faces:
        picture[y : y + side, x : x + side] = render_face(PERSON, {}, size=side)
    return picture


def colour(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[:, :, None], 3, axis=2)


@pytest.mark.parametrize(("scale", "form"), [(0.5, np.asarray), (2, colour)])
def test_a_face_is_found_in_pixels_of_the_whole_picture(scale, form):
    x, y, side = (int(scale * length) for length in (300, 120, 260))
    height, width = int(scale * 480), int(scale * 640)
    (box,) = Haar().find(form(frame((x, y, side), size=(height, width))))
    assert np.allclose(box.centre, (x + side / 2, y + side / 2), atol=0.08 * side)
    assert 0.55 * side < box.width == box.height < 0.85 * side


def test_the_largest_face_comes_first_and_the_same_picture_gives_the_same_boxes():
    picture = frame((20, 40, 160), (200, 100, 300), (500, 60, 120))
    first = Haar().find(picture)
    assert [round(box.centre[0], -2) for box in first] == [300, 100, 600]
    assert all(Haar().find(picture) == first for _ in range(3))


def test_an_image_smaller_than_a_face_has_none():
    for size in ((1, 1), (1, 900), (23, 30)):
        assert Haar().find(np.zeros(size, np.uint8)) == []


def write_yunet(path, *, marks=(-1, -1, 1, -1, 0, 0, -0.8, 1, 0.8, 1)) -> None:
    """Write a network with YuNet's inputs and outputs that takes patches of pure red for faces.

    Its boxes have the side of a patch, and its marks (eyes, nose, corners of the mouth) lie at these parts of
    a patch, x and y, from the patch's left upper corner.
    """
    nodes, weights, outputs = [], [], []
    red = np.array([-1.0, -1.0, 1.0]) / 255  # pixels come as blue, green, red
    heads = {"cls": ([red], [0]), "obj": ([red], [0]), "bbox": (np.zeros((4, 3)), np.zeros(4))}
    heads["kps"] = (np.zeros((10, 3)), marks)
    for name, (weight, bias) in heads.items():
        for stride in (8, 16, 32):
            at, channels = f"{name}_{stride}", len(bias)
            weights += [
                numpy_helper.from_array(np.float32(weight).reshape(channels, 3, 1, 1), f"w_{at}"),
                numpy_helper.from_array(np.float32(bias), f"b_{at}"),
                numpy_helper.from_array(np.array([1, -1, channels]), f"s_{at}"),
            ]
            sides = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
            nodes += [
                helper.make_node("AveragePool", ["input"], [f"p_{at}"], **sides),
                helper.make_node("Conv", [f"p_{at}", f"w_{at}", f"b_{at}"], [f"c_{at}"]),
                helper.make_node("Transpose", [f"c_{at}"], [f"t_{at}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t_{at}", f"s_{at}"], [at]),
            ]
            outputs.append(helper.make_tensor_value_info(at, TensorProto.FLOAT, [1, f"n_{at}", channels]))
    pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "yunet", [pixels], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def test_yunet_runs_a_file_of_its_form_on_pictures_of_any_size(tmp_path):
    write_yunet(tmp_path / "y.onnx")
    found = YuNet(tmp_path / "y.onnx", longest_side=None)
    picture = np.zeros((100, 140, 3), np.uint8)
    picture[40:48, 96:104] = 255, 0, 0
    (box,) = found.find(picture)
    # The patch begins at (96, 40); eyes and mouth are 16 pixels apart and in the middle above and below that.
    assert box.width == pytest.approx(16 / 0.39)
    assert box.centre == pytest.approx((96, 32 + (0.5 - 0.386) * box.width))
    assert found.find(picture[..., ::-1]) == []  # blue
    assert found.find(picture[..., 0]) == []  # gray
    assert found.find(np.zeros((7, 3, 3), np.uint8)) == []


def test_a_detector_is_chosen_by_name(tmp_path):
    write_yunet(tmp_path / "y.onnx")
    assert isinstance(detector("haar"), Haar)
    for content in (b"", b"\x08\x08" * 40):
        (tmp_path / "broken.onnx").write_bytes(content)
        with pytest.raises(ConfigError, match=r"broken\.onnx does not work as YuNet"):
            detector("yunet", path=tmp_path / "broken.onnx")
    with pytest.raises(ConfigError, match="model zoo"):
        detector("yunet")
    assert isinstance(detector("yunet", path=tmp_path / "y.onnx"), YuNet)
    with pytest.raises(ConfigError, match="takes no file"):
        detector("haar", path="y.onnx")
