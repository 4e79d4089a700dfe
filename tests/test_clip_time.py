"""Clips of any length become clips of one length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_utils.data.clip_files import resample

LENGTHS = st.integers(2, 40)
FRAMES = LENGTHS.flatmap(lambda length: arrays(np.uint8, (length, 2, 3)))


@settings(deadline=None, max_examples=50)
@given(FRAMES)
def test_a_clip_of_the_right_length_stays_as_it_is(frames):
    np.testing.assert_array_equal(resample(frames, len(frames)), frames)


@settings(deadline=None, max_examples=50)
@given(FRAMES, LENGTHS)
def test_onset_and_offset_are_kept_and_nothing_leaves_the_range_of_each_pixel(frames, n_frames):
    result = resample(frames, n_frames)
    assert result.shape == (n_frames, 2, 3) and result.dtype == np.uint8
    np.testing.assert_array_equal(result[[0, -1]], frames[[0, -1]])
    assert (result >= frames.min(axis=0)).all() and (result <= frames.max(axis=0)).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 255), LENGTHS, LENGTHS)
def test_a_still_clip_stays_still(level, length, n_frames):
    frames = np.full((length, 2, 2), level, dtype=np.uint8)
    assert (resample(frames, n_frames) == level).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60), st.integers(1, 5), LENGTHS, LENGTHS)
def test_what_brightens_evenly_still_does(start, step, length, n_frames):
    ramp = (start + step * np.arange(length)).astype(np.uint8)[:, None, None]
    even = np.linspace(ramp[0, 0, 0], ramp[-1, 0, 0], n_frames)
    np.testing.assert_allclose(resample(ramp, n_frames)[:, 0, 0], even, atol=0.5 + 1e-9)


@settings(deadline=None, max_examples=50)
@given(FRAMES, LENGTHS)
def test_played_backwards_it_is_resampled_backwards(frames, n_frames):
    forwards = resample(frames, n_frames).astype(int)
    backwards = resample(frames[::-1], n_frames)[::-1].astype(int)
    assert abs(forwards - backwards).max() <= 1  # halves round to either side


def test_frames_between_two_are_mixed_in_proportion():
    frames = np.array([0, 100, 20], dtype=np.uint8)[:, None, None]
    assert resample(frames, 5)[:, 0, 0].tolist() == [0, 50, 100, 60, 20]


def test_the_first_frames_are_taken_where_that_is_asked_for():
    frames = np.arange(30, dtype=np.uint8)[:, None, None]
    first = resample(frames, 18, method="first")
    assert first[:, 0, 0].tolist() == list(range(18))
    assert not np.shares_memory(first, frames)


def test_a_clip_too_short_for_its_first_frames_is_interpolated():
    frames = np.array([0, 10], dtype=np.uint8)[:, None, None]
    assert resample(frames, 3, method="first")[:, 0, 0].tolist() == [0, 5, 10]


@pytest.mark.parametrize(("length", "n_frames", "message"), [(1, 18, "^1 frame:"), (9, 1, "^n_frames=1:")])
def test_one_frame_is_no_movement(length, n_frames, message):
    with pytest.raises(ValueError, match=message):
        resample(np.zeros((length, 2, 2), dtype=np.uint8), n_frames)
