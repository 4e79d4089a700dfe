"""What moves in a face is found, what the head does is not, and a small network takes it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_utils.data.clips.clipset import NO_APEX, ClipSet
from fer_utils.features.flow import STILL, apex_by_strain, apex_frames, as_pictures, onset_to_apex
from fer_utils.files import ConfigError

SIDE = 48
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(256, size=(80, 80)).astype(np.float32), (0, 0), 1.5
)
TEXTURE = ((TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE) * 255).astype(np.float32)
Y, X = np.indices((SIDE, SIDE), dtype=np.float32)
INNER = np.s_[..., 8:-8, 8:-8]
RISE_AND_FALL = (0, 0.5, 1.2, 2.0, 1.3, 0.6, 0)


def seen(u: np.ndarray | float = 0.0, v: np.ndarray | float = 0.0) -> np.ndarray:
    """Return a picture of the texture displaced by (u, v) pixels."""
    where = (X - u + 16).astype(np.float32), (Y - v + 16).astype(np.float32)
    return np.rint(cv2.remap(TEXTURE, *where, cv2.INTER_LINEAR)).astype(np.uint8)


def bump(x: int, y: int, *, width: float = 4.0) -> np.ndarray:
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2))


def clipset(*clips: list[np.ndarray], apex: int = NO_APEX, **changed: object) -> ClipSet:
    n, length = len(clips), len(clips[0])
    arguments = {
        "name": "toy",
        "source": "synthetic",
        "clips": np.stack([np.stack(clip) for clip in clips]),
        "labels": np.zeros(n, dtype=np.int64),
        "class_names": ("negative",),
        "sample_id": np.array([f"c{i}" for i in range(n)]),
        "subject": np.full(n, "s1"),
        "frame_rate": np.full(n, 100.0),
        "onset": np.full(n, 10),
        "apex": np.full(n, apex),
        "offset": np.full(n, 10 + length - 1),
    }
    return ClipSet(**(arguments | changed))


def test_a_shift_of_the_whole_picture_is_neither_displacement_nor_strain():
    flow = onset_to_apex(clipset([seen(), seen(1.5, -0.75)], apex=11))[0]
    assert abs(flow[:2][INNER]).mean() < 0.1 and flow[2][INNER].mean() < 0.05


def test_a_local_movement_is_found_where_it_is_with_its_direction_and_size():
    place = bump(30, 18)
    flow = onset_to_apex(clipset([seen(), seen(1.0 + 2 * place, -0.5)], apex=11))[0]
    y, x = np.unravel_index(flow[0][INNER].argmax(), flow[0][INNER].shape)
    assert abs(x + 8 - 30) <= 3 and abs(y + 8 - 18) <= 3
    assert 1 < flow[0, 18, 30] < 2.4 and abs(flow[1, 18, 30]) < 0.4  # windows smooth the peak
    around = bump(30, 18, width=7) > 0.3
    assert flow[2][around].mean() > 4 * flow[2][INNER][~around[INNER]].mean()


def test_down_is_positive():
    flow = onset_to_apex(clipset([seen(), seen(0.0, 2 * bump(24, 24))], apex=11))[0]
    assert flow[1, 24, 24] > 1 and flow.dtype == np.float32 and flow.shape == (3, SIDE, SIDE)


def test_the_apex_is_the_frame_that_is_deformed_most_however_the_head_drifts():
    frames = [seen(0.6 * t + size * bump(24, 28), 0.3 * t) for t, size in enumerate(RISE_AND_FALL)]
    assert apex_by_strain(np.stack(frames)) == 3


def test_a_clip_without_movement_has_its_apex_at_the_onset_and_no_flow():
    still = [seen()] * 5
    assert apex_by_strain(np.stack(still)) == 0
    np.testing.assert_allclose(onset_to_apex(clipset(still)), 0, atol=2e-3)
    assert (as_pictures(onset_to_apex(clipset(still))) == STILL).all()


def test_the_annotated_apex_counts_and_only_where_there_is_none_the_strain():
    frames = [seen(size * bump(24, 28)) for size in RISE_AND_FALL]
    clips = replace(clipset(frames, frames), sample_id=np.array(["a", "b"]), apex=np.array([15, NO_APEX]))
    assert apex_frames(clips).tolist() == [5, 3]
    first = replace(clips, origin={"sampling": "first"})  # times say nothing about these frames
    assert apex_frames(first).tolist() == [3, 3]


def test_the_flow_does_not_depend_on_the_number_of_threads():
    clips = clipset([seen(), seen(2 * bump(20, 20), 1.0)], apex=11)
    before, flows = cv2.getNumThreads(), []
    try:
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            flows.append(onset_to_apex(clips))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_allclose(*flows, atol=1e-5)


@pytest.mark.parametrize(
    "frames", [np.zeros((8, 8), np.uint8), np.zeros((3, 8, 8)), np.zeros((0, 8, 8), np.uint8)]
)
def test_frames_of_another_shape_or_type_are_refused(frames):
    with pytest.raises(ValueError, match=r"uint8 of shape \(T, H, W\)"):
        apex_by_strain(frames)


FLOWS = arrays(np.float32, (2, 3, 2, 2), elements=st.floats(-3, 3, width=32))


@settings(deadline=None, max_examples=50)
@given(FLOWS, st.floats(0.1, 4), st.floats(0.05, 2))
def test_within_the_limits_a_picture_gives_the_flow_back_within_half_a_step(flows, limit, strain_limit):
    scale = np.array([limit, limit, strain_limit])[:, None, None]
    back = (as_pictures(flows, limit=limit, strain_limit=strain_limit).astype(float) - STILL) / 127 * scale
    assert (abs(back - np.clip(flows, -scale, scale)) <= scale / 254 + 1e-6).all()


@settings(deadline=None, max_examples=50)
@given(FLOWS)
def test_opposite_movements_lie_at_the_same_distance_from_no_movement(flows):
    there, back = (as_pictures(part).astype(int) - STILL for part in (flows, -flows))
    np.testing.assert_array_equal(there, -back)


def test_the_limits_are_white_and_what_goes_beyond_stays_there():
    flows = np.array([0, 2, 99, -2, -99, np.inf], dtype=np.float32).reshape(1, 1, 1, 6)
    pictures = as_pictures(np.repeat(flows, 3, axis=1), limit=2, strain_limit=2)
    assert pictures.dtype == np.uint8 and pictures[0, 2, 0].tolist() == [128, 255, 255, 1, 1, 255]


def test_flows_that_cannot_be_pictures_are_refused():
    flows = np.zeros((1, 3, 4, 4))
    for limits in ({"limit": 0}, {"limit": np.nan}, {"strain_limit": -1.0}):
        with pytest.raises(ConfigError, match="both must be positive"):
            as_pictures(flows, **limits)
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\), got \(3, 4, 4\)"):
        as_pictures(flows[0])
    with pytest.raises(ValueError, match="no numbers"):
        as_pictures(flows + np.nan)
