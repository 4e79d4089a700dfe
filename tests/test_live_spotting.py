"""Movements of a face are spotted against its baseline, and scored as in the spotting challenges."""

from dataclasses import dataclass, replace
from math import isnan

import numpy as np
import pytest

from fer_utils.data.detection import Box, Haar
from fer_utils.live.faces import CLIPS, crop_face
from fer_utils.live.frames import Event
from fer_utils.live.measurements import SpottingTrial, match_events, spotting_scores
from fer_utils.live.spotting import GAP, MEMORY, Spotter, kind_of
from fer_utils.synthetic.motion import Performance, synthetic_video

RATE = 60.0
GRAY = np.full((32, 32), 90, np.uint8)


@dataclass(frozen=True)
class Recording:
    """Frames of a synthetic person with known events."""

    performance: Performance
    events: tuple
    box: Box
    frames: list[np.ndarray]

    @property
    def times(self) -> np.ndarray:
        return np.arange(len(self.frames)) / RATE

    def again(self, **changes) -> list[np.ndarray]:
        """Return crops of four seconds of another performance of the same person, 30 a second."""
        performance = replace(self.performance, **changes)
        frames = (performance.frame(at / 30, size=128) for at in range(120))
        return [crop_face(frame, self.box, size=64, framing=CLIPS) for frame in frames]


@pytest.fixture(scope="module")
def recording() -> Recording:
    performance = synthetic_video(seconds=8, n_micro=2, n_macro=1, seed=1013)
    frames = [performance.frame(number / RATE, size=128) for number in range(round(8 * RATE))]
    return Recording(performance, performance.events, Haar().find(frames[0])[0], frames)


@pytest.fixture(scope="module")
def crops(recording) -> list[np.ndarray]:
    return [crop_face(frame, recording.box, size=64, framing=CLIPS) for frame in recording.frames]


def spot(crops, times, spotter: Spotter | None = None) -> list[Event]:
    spotter = spotter or Spotter()
    found = [spotter.add(crop, float(time)) for crop, time in zip(crops, times, strict=True)]
    return [movement for movement in found if movement]


def times_of(crops) -> np.ndarray:
    return np.arange(len(crops)) / 30


def noisy(crop: np.ndarray, count: int, *, seed: int = 0) -> list[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 1.5, (count, *crop.shape))
    return list(np.clip(np.rint(crop + noise), 0, 255).astype(np.uint8))


def assert_all_found(found, truth) -> None:
    assert match_events(found, truth) == list(zip(found, truth, strict=True))
    for event, true in zip(found, truth, strict=True):
        assert event.onset < event.apex < event.offset
        assert event.apex == pytest.approx(true.apex, abs=0.08)
        assert event.kind == kind_of(true.onset, true.offset)


def test_known_events_are_found_at_any_frame_rate(recording, crops):
    kept = np.sort(np.random.default_rng(3).permutation(len(crops))[: int(0.6 * len(crops))])
    for at in (slice(None), slice(None, None, 2), kept):
        assert_all_found(spot(np.array(crops)[at], recording.times[at]), recording.events)


def test_blinks_head_movement_and_light_are_no_movements(recording, crops):
    blink = recording.performance.movements[-1]
    assert blink.label == "blink"
    blinks = tuple(replace(blink, onset=t, apex=t + 0.1, offset=t + 0.3) for t in (1, 2.5))
    blinking = recording.again(movements=blinks)
    assert spot(blinking, times_of(blinking)) == []
    angles = {"yaw": (1.5, 0.3, 0), "pitch": (1.2, 0.4, 1), "roll": (0.8, 0.3, 2)}
    sway = {**angles, "shift_x": (0.006, 0.5, 3), "shift_y": (0.006, 0.2, 4)}
    swaying = recording.again(movements=(), sway=sway)
    assert spot(swaying, times_of(swaying)) == []
    still = noisy(crops[0], 240)
    light = 1 + 0.1 * np.sin(2 * np.pi * 0.7 * times_of(still))
    flickering = np.clip(np.array(still) * light[:, None, None], 0, 255).astype(np.uint8)
    assert spot(flickering, times_of(still)) == []


def test_lasting_change_becomes_the_baseline(recording, crops):
    macro = next(event for event in recording.events if event.offset - event.onset > 0.5)
    at_rest, smiling = crops[0], crops[round(macro.apex * RATE)]
    lasting = noisy(at_rest, 60) + noisy(smiling, 180, seed=1)
    assert spot(lasting, times_of(lasting)) == []
    returns = lasting + noisy(at_rest, 30, seed=2) + noisy(smiling, 30, seed=3)
    (found,) = spot(returns, times_of(returns))
    assert (found.onset, found.offset) == pytest.approx((8, 9), abs=0.1)


def test_low_frame_rate_finds_macro_expressions_only_and_says_so(recording, crops):
    spotter = Spotter()
    found = spot(crops[::5], recording.times[::5], spotter)
    macro = [event for event in recording.events if kind_of(event.onset, event.offset) == "macro"]
    assert_all_found(found, macro)
    assert spotter.frame_rate == pytest.approx(12) and "12 frames per second" in spotter.problem


def test_clip_of_a_movement_shows_what_was_filmed_then(recording, crops):
    spotter, shown = Spotter(), 0
    for crop, time in zip(crops, recording.times, strict=True):
        if movement := spotter.add(crop, float(time)):
            frames = spotter.clip(movement, n_frames=7)
            assert (frames.shape, frames.dtype) == ((7, 64, 64), np.uint8)
            for frame, at in zip(frames, np.linspace(movement.onset, movement.offset, 7), strict=True):
                true = recording.performance.frame(at, size=128)
                true = crop_face(true, recording.box, size=64, framing=CLIPS)
                assert np.abs(frame - true.astype(float)).mean() < 2  # noise
            shown += 1
    assert shown == 3


def test_memory_is_bounded_and_reset_by_a_gap_or_a_step_back():
    spotter = Spotter()
    spot([GRAY] * 400, times_of(range(400)), spotter)
    assert len(spotter.times) <= MEMORY * 30 + 1
    for time in (400 / 30 + GAP + 1, 0.5):
        assert spotter.add(GRAY, time) is None and len(spotter.times) == 1
    assert spotter.add(GRAY, 0.5) is None and len(spotter.times) == 1


# --- scores --------------------------------------------------------------------------------------


def event(onset: float, offset: float) -> Event:
    return Event(kind_of(onset, offset), 1, "", onset, (onset + offset) / 2, offset, 1.0)


def scores(*videos, n_boot=0):
    trials = [SpottingTrial(tuple(found), tuple(truth)) for found, truth in videos]
    return spotting_scores(trials, n_boot=n_boot)


def test_events_match_by_their_overlap():
    found, near, nearer = event(0, 1), event(0.3, 1.3), event(0.1, 1.1)
    assert match_events([found], [near, nearer]) == [(found, nearer)]
    assert match_events([found], [event(0.5, 1.5)]) == match_events([], [near]) == []
    # The first event alone would match the second true one best, and leave the second event without.
    events, truth = [event(0, 10), event(2, 14)], [event(0, 6), event(0, 11)]
    assert match_events(events, truth) == list(zip(events, truth, strict=True))


def test_counts_are_summed_by_kind_and_the_interval_resamples_videos():
    videos = [
        ([event(1.0, 1.3), event(5.0, 5.3)], [event(1.05, 1.35), event(8.0, 8.4)]),
        ([event(2.0, 3.0)], [event(2.1, 3.1)]),
        ([event(1.0, 1.55)], [event(1.0, 1.45)]),  # a micro-expression found as a macro-expression
    ]
    table = scores(*videos)
    assert table[["tp", "fp", "fn"]].to_numpy().tolist() == [[1, 1, 2], [1, 1, 0], [2, 2, 2]]
    assert table.f1.tolist() == pytest.approx([2 / 5, 2 / 3, 1 / 2])
    assert table.onset_error.tolist() == pytest.approx([0.05, 0.1, 0.075])
    assert isnan(table.f1_low["all"])
    good, bad = ([event(1, 1.4)], [event(1, 1.4)]), ([event(1, 1.4)], [event(3, 3.4)])
    low, high = scores(*[good, bad] * 5, n_boot=500).loc["all", ["f1_low", "f1_high"]]
    assert 0.1 <= low < 0.3 and 0.7 < high <= 0.9
