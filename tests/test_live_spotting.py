"""Movements of a face are spotted against its own baseline, and what is no expression is not."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_utils.data.clip_files import resample
from fer_utils.detection import Box, Haar
from fer_utils.live.crops import CLIPS, STILLS, Framing, face_image
from fer_utils.live.event_scores import match_events
from fer_utils.live.spotting import GAP, KEPT, Spotted, Spotter, kind_of, too_slow, window
from fer_utils.synthetic.motion import Performance, Sway, synthetic_video

RATE = 60.0
GRAY = np.full((32, 32), 90, np.uint8)


@dataclass(frozen=True)
class Filmed:
    """A drawn person, and the face in some seconds of film."""

    performance: Performance
    events: tuple
    box: Box
    frames: list[np.ndarray]

    @property
    def times(self) -> np.ndarray:
        return np.arange(len(self.frames)) / RATE

    def crops(self, framing: Framing = CLIPS, size: int = 64) -> list[np.ndarray]:
        return [face_image(frame, self.box, size=size, framing=framing) for frame in self.frames]

    def again(self, *, seconds: float, rate: float = 30.0, **changes) -> list[np.ndarray]:
        """The face in another film of the same person."""
        film = replace(self.performance, **changes).film(round(rate * seconds), frame_rate=rate, size=128)
        return [face_image(frame, self.box, size=64, framing=CLIPS) for frame in film]


@pytest.fixture(scope="session")
def filmed() -> Filmed:
    video = synthetic_video(seconds=8, frame_rate=RATE, size=128, n_micro=2, n_macro=1, seed=1012)
    frames = list(video.frames())
    return Filmed(video.performance, video.events, Haar().find(frames[0])[0], frames)


@pytest.fixture(scope="session")
def crops(filmed) -> list[np.ndarray]:
    return filmed.crops()


def spotted(crops, times, spotter: Spotter | None = None) -> list[Spotted]:
    spotter = spotter or Spotter()
    return [
        event for crop, time in zip(crops, times, strict=True) for event in spotter.add(crop, float(time))
    ]


def every(seconds: float, rate: float = 30.0) -> np.ndarray:
    return np.arange(round(seconds * rate)) / rate


def noisy(crop: np.ndarray, count: int, *, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 1.5, (count, *crop.shape))
    return list(np.clip(np.rint(crop + noise), 0, 255).astype(np.uint8))


def expect_all(found, truth) -> None:
    assert match_events(found, truth) == [(i, i) for i in range(len(truth))]
    assert len(found) == len(truth)
    for event, true in zip(found, truth, strict=True):
        assert event.onset < event.apex < event.offset
        assert event.apex == pytest.approx(true.apex, abs=0.08)
        assert event.kind == kind_of(true.onset, true.offset)
        assert 0.002 < event.strength < 0.2


@pytest.mark.parametrize("step", [1, 2])
def test_known_events_are_found_among_blinks_and_nothing_else(filmed, crops, step):
    expect_all(spotted(crops[::step], filmed.times[::step]), filmed.events)


def test_pictures_may_come_at_irregular_times(filmed, crops):
    kept = np.sort(np.random.default_rng(3).permutation(len(crops))[: int(0.6 * len(crops))])
    expect_all(spotted([crops[i] for i in kept], filmed.times[kept]), filmed.events)


@pytest.mark.parametrize(("framing", "size"), [(STILLS, 48), (Framing(1.5, -0.05, "area"), 96)])
def test_any_framing_and_size_of_the_pictures_will_do(filmed, framing, size):
    found = spotted(filmed.crops(framing, size)[::2], filmed.times[::2], Spotter(framing=framing))
    expect_all(found, filmed.events)


def test_blinks_are_no_expressions(filmed):
    blinks = tuple(
        replace(filmed.performance.movements[-1], onset=t, apex=t + 0.1, offset=t + 0.3) for t in (1, 2.5, 4)
    )
    assert blinks[0].label == "blink"
    assert spotted(filmed.again(seconds=6, movements=blinks), every(6)) == []


def test_a_swaying_head_is_no_expression(filmed):
    sway = Sway(
        yaw=(1.5, 0.3, 0), pitch=(1.2, 0.4, 1), roll=(0.8, 0.3, 2), x=(0.006, 0.5, 3), y=(0.006, 0.2, 4)
    )
    assert spotted(filmed.again(seconds=6, movements=(), sway=sway), every(6)) == []


def test_a_still_face_shows_nothing_whatever_the_light_does(crops):
    still = noisy(crops[0], 240)
    assert spotted(still, every(8)) == []
    light = 1 + 0.1 * np.sin(2 * np.pi * 0.7 * every(8))
    flickering = [
        np.clip(crop * share, 0, 255).astype(np.uint8) for crop, share in zip(still, light, strict=True)
    ]
    assert spotted(flickering, every(8)) == []


def test_a_change_that_stays_becomes_the_new_rest(filmed, crops):
    macro = next(event for event in filmed.events if event.offset - event.onset > 0.5)
    at_rest, smiling = crops[0], crops[round(macro.apex * RATE)]
    stays = noisy(at_rest, 60) + noisy(smiling, 180, seed=1)
    assert spotted(stays, every(8)) == []
    # Against the new rest the old one is a movement, from which the face returns.
    returns = stays + noisy(at_rest, 30, seed=2) + noisy(smiling, 30, seed=3)
    (found,) = spotted(returns, every(10))
    assert (found.onset, found.offset) == pytest.approx((8, 9), abs=0.1)


def test_at_a_low_frame_rate_only_macro_expressions_are_spotted_and_it_says_why(filmed, crops):
    spotter = Spotter()
    found = spotted(crops[::5], filmed.times[::5], spotter)
    expect_all(found, [event for event in filmed.events if kind_of(event.onset, event.offset) == "macro"])
    assert spotter.frame_rate == pytest.approx(12)
    assert spotter.too_slow == (
        "12 frames a second: a micro-expression of 0.2 s is seen in 2 frames; 25 a second are needed"
    )


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (24.9, None),
        (25, None),
        (100, None),
        (20, "seen in 4 frames"),
        (9, "seen in 1 frame;"),
        (3, "seen in no frames"),
    ],
)
def test_a_frame_rate_is_too_slow_or_not(rate, said):
    assert too_slow(rate) is None if said is None else said in too_slow(rate)


@settings(max_examples=30)
@given(
    rate=st.sampled_from([25.0, 29.97, 60.0]),
    jitter=st.lists(st.floats(-0.2, 0.2), min_size=60, max_size=60),
    dropped=st.integers(1, 58),
)
def test_jitter_and_a_dropped_frame_do_not_make_a_camera_slow(rate, jitter, dropped):
    times = np.delete((np.arange(60) + jitter) / rate, dropped)
    spotter = Spotter()
    assert spotted([GRAY] * 59, times, spotter) == []
    assert spotter.too_slow is None
    assert spotter.frame_rate == pytest.approx(rate, rel=0.2)


def test_the_frame_rate_is_unknown_at_first():
    spotter = Spotter()
    assert (spotter.frame_rate, spotter.too_slow) == (None, None)
    spotted([GRAY] * 3, [0, 0.1, 0.2], spotter)
    assert (spotter.frame_rate, spotter.too_slow) == (None, None)


def test_memory_holds_the_last_seconds_only():
    spotter, rate = Spotter(), 30
    kept = []
    for i in range(10_000):
        assert spotter.add(GRAY[:16, :16], i / rate) == []
        kept.append(spotter.kept)
    assert max(kept) == kept[-1] <= KEPT * rate + 1


def test_the_window_of_an_event_is_what_was_filmed_then(filmed, crops):
    spotter = Spotter()
    for crop, time in zip(crops, filmed.times, strict=True):
        for event in spotter.add(crop, float(time)):
            frames = spotter.window(event, n_frames=7)
            assert (frames.shape, frames.dtype) == ((7, 64, 64), np.uint8)
            for frame, at in zip(frames, np.linspace(event.onset, event.offset, 7), strict=True):
                true = filmed.performance.frame(at, size=128)
                true = face_image(true, filmed.box, size=64, framing=CLIPS)
                assert np.abs(frame - true.astype(float)).mean() < 2  # noise
    with pytest.raises(ValueError, match="does not lie within the pictures"):
        spotter.window(Spotted(0.5, 0.6, 0.9, 0.01))


@given(
    arrays(np.uint8, st.tuples(st.integers(2, 40), st.just(3), st.just(3))),
    st.floats(0, 1e5),
    st.sampled_from([1 / 100, 1 / 30, 0.04, 1 / 29.97]),
)
def test_a_window_at_even_times_is_the_resampling_of_the_training_clips(frames, start, interval):
    times = start + interval * np.arange(len(frames))
    made = window(frames, times, times[0], times[-1], n_frames=18)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, resample(frames, 18))


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=20), st.floats(0, 0.4), st.floats(0.6, 1))
def test_a_window_goes_by_time_and_not_by_number(intervals, begin, end):
    times = np.concatenate([[0.0], np.cumsum(intervals)])
    onset, offset = begin * times[-1], end * times[-1]
    brightness = np.rint(255 * times / times[-1])  # grows evenly with time
    frames = np.tile(brightness[:, None, None], (1, 2, 2)).astype(np.uint8)
    made = window(list(frames), times, onset, offset, n_frames=18)
    expected = 255 * np.linspace(onset, offset, 18) / times[-1]
    assert np.abs(made[:, 0, 0] - expected).max() <= 1


@pytest.mark.parametrize(
    ("times", "onset", "offset", "problem"),
    [
        ([0, 1], 0, 1, "3 pictures at 2 times"),
        ([0, 1, 1], 0, 1, "must ascend"),
        ([0, 1, 2], -0.1, 1, "does not lie within"),
        ([0, 1, 2], 1, 2.1, "does not lie within"),
        ([0, 1, 2], 1, 1, "does not lie within"),
    ],
)
def test_a_window_that_cannot_be_made_is_refused(times, onset, offset, problem):
    with pytest.raises(ValueError, match=problem):
        window([GRAY] * 3, times, onset, offset)


def test_a_spotter_that_is_reset_starts_anew(filmed, crops):
    spotter = Spotter()
    first = spotted(crops[::2], filmed.times[::2], spotter)
    spotter.reset()
    assert (spotter.kept, spotter.frame_rate) == (0, None)
    assert spotted(crops[::2], filmed.times[::2], spotter) == first


@pytest.mark.parametrize(("crop", "time"), [(GRAY, 0.5), (GRAY, 2 + GAP), (GRAY[:16, :16], 1.1)])
def test_time_that_goes_back_a_gap_and_another_size_begin_anew(crop, time):
    spotter = Spotter()
    spotted([GRAY] * 31, every(31 / 30), spotter)
    assert spotter.kept == 31
    assert spotter.add(crop, time) == []
    assert spotter.kept == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("kind", ["noise", "black", "flashes", "brighter", "cuts"])
def test_pictures_without_a_face_do_no_harm(kind, size):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (120, size, size)).astype(np.uint8)
    pictures = {
        "noise": noise,
        "black": 0 * noise,
        "flashes": np.zeros_like(noise) + np.uint8(255) * (np.arange(120) % 7 == 0)[:, None, None],
        "brighter": np.zeros_like(noise) + np.arange(120, dtype=np.uint8)[:, None, None],
        "cuts": noise[np.arange(120) // 20 % 2],
    }
    spotter = Spotter()
    for picture, time in zip(pictures[kind], every(4), strict=True):
        for event in spotter.add(picture.astype(np.uint8), float(time)):
            assert event.onset < event.apex < event.offset <= time
            assert np.isfinite(event.strength)
            assert spotter.window(event).shape == (18, size, size)
    assert spotter.kept


def test_the_same_frame_again_is_passed_over():
    spotter = Spotter()
    spotted([GRAY, GRAY], [1.0, 1.0], spotter)
    assert spotter.kept == 1


@pytest.mark.parametrize("crop", [GRAY.astype(float), GRAY[:16], np.stack([GRAY] * 3, axis=2), GRAY[:8, :8]])
def test_what_is_no_picture_of_a_face_is_refused(crop):
    with pytest.raises(ValueError, match="uint8 of shape"):
        Spotter().add(crop, 0.0)


def test_a_picture_needs_a_time():
    with pytest.raises(ValueError, match="time=nan"):
        Spotter().add(GRAY, float("nan"))


def test_half_a_second_is_still_a_micro_expression():
    assert kind_of(2.2, 2.7) == kind_of(0, 0.5) == "micro"
    assert kind_of(0, 0.51) == "macro"
