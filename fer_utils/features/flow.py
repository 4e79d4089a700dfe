"""Optical flow of clips from onset to apex: displacement of each part of a face, and optical strain.

Flow: G. Farnebäck, *Two-frame motion estimation based on polynomial expansion*, SCIA 2003, as in OpenCV.
Strain: M. Shreve et al., *Macro- and micro-expression spotting in long videos using spatio-temporal strain*,
FG 2011; a head that shifts has flow but no strain. The three channels are those of STSTNet (S.-T. Liong et
al., FG 2019).
"""

from dataclasses import replace

import cv2
import numpy as np

from fer_utils.data import NO_APEX, ClipSet
from fer_utils.data.flow_files import CHANNELS, SIDE

STILL = 128
"""Gray level of no movement in `as_images`."""
LIMITS = np.array([2.0, 2.0, 0.3])[:, None, None]
"""Displacement in pixels and strain that `as_images` makes white."""

_WINDOW = 9  # pixels of a 64-pixel face, finer than the usual 15
_BLUR = 1.0  # standard deviation in pixels of the smoothing before differentiation
_PADDING = 8  # repeated pixels: without them the flow of an image to itself is not 0 at two edges
_MARGIN = 1 / 8  # of a side, ignored: the outline of a moving head has strain too
_SMOOTHING = np.exp(-0.5 * np.arange(-3, 4) ** 2)  # weights of neighbouring frames, standard deviation 1


def apex_by_strain(frames: np.ndarray) -> int:
    """Return the frame whose mean strain against the first one is largest; 0 when nothing moves.

    For data sets without an annotated apex, such as SMIC. `frames` are uint8 of shape (T, H, W). The strain
    is smoothed over neighbouring frames. On the 164 clips of `synthetic_clips(seed=7)`, of 18 frames, the
    median distance from the true apex is 0 frames and 90 % of the clips are at most one frame off.
    """
    inner = tuple(slice(int(_MARGIN * side), side - int(_MARGIN * side)) for side in frames.shape[1:])
    strain = np.array([_strain(_flow(frames[0], frame))[inner].mean() for frame in frames], dtype=float)
    increase = np.pad(strain - strain[0], len(_SMOOTHING) // 2, mode="edge")
    return int(np.argmax(np.convolve(increase, _SMOOTHING / _SMOOTHING.sum(), mode="valid")))


def apex_frames(clips: ClipSet) -> np.ndarray:
    """Return the apex frame of each clip, int64 (N,): the annotated one, or else `apex_by_strain`.

    Where the T frames do not run evenly from onset to offset, all apexes are found by strain.
    """
    pairs = zip(clips.clips, clips.apex_position, strict=True)
    return np.array([apex_by_strain(c) if a == NO_APEX else a for c, a in pairs], dtype=np.int64)


def onset_to_apex(clips: ClipSet) -> np.ndarray:
    """Return the flow between the first frame and the apex (`apex_frames`) of each clip.

    They are float32 of shape (N, 3, H, W), with the `CHANNELS` displacement to the right and down in pixels,
    less the median over the image, which is the head's own movement, and strain magnitude (no unit).
    """
    flows = np.empty((len(clips), len(CHANNELS), *clips.clips.shape[2:]), dtype=np.float32)
    for row, (frames, apex) in enumerate(zip(clips.clips, apex_frames(clips), strict=True)):
        flow = _flow(frames[0], frames[apex])
        flows[row, :2] = flow - np.median(flow, axis=(1, 2), keepdims=True)
        flows[row, 2] = _strain(flow)
    return flows


def as_images(flows: np.ndarray) -> np.ndarray:
    """Return flows of `onset_to_apex` as gray images to store and train on: uint8, same shape.

    `LIMITS` become white (255), their opposite 1, zero 128 (`STILL`); larger values are clipped.
    """
    return np.rint(STILL + 127 * np.clip(flows / LIMITS, -1, 1)).astype(np.uint8)


def as_composite(clips: ClipSet, *, size: int = SIDE) -> ClipSet:
    """Return the flow of clips in the form of the composite of MEGC 2019: uint8 (N, 3, size, size).

    Each channel of each clip is scaled from its own minimum, 0, to its maximum, 255.
    """
    flows = onset_to_apex(clips)
    small = [[cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA) for one in flow] for flow in flows]
    low, high = (extreme(small, axis=(2, 3), keepdims=True) for extreme in (np.min, np.max))
    images = np.rint(255 * (small - low) / np.maximum(high - low, 1e-6)).astype(np.uint8)
    return replace(clips, clips=images, origin={**clips.origin, "sampling": "flow"})


def with_mirrored(clips: ClipSet) -> ClipSet:
    """Return flow images and, after them, those of the mirrored faces: horizontal flow is reversed."""
    mirrored = clips.clips[..., ::-1].copy()
    mirrored[:, 0] = 255 - mirrored[:, 0]
    columns = {name: np.concatenate([getattr(clips, name)] * 2) for name in clips.COLUMNS}
    columns["sample_id"] = np.concatenate([clips.sample_id, np.char.add(clips.sample_id, "/mirrored")])
    return replace(clips, clips=np.concatenate([clips.clips, mirrored]), **columns)


def _flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the displacement between two images in pixels: float32, (2, H, W), x first."""
    pair = (cv2.copyMakeBorder(image, *4 * (_PADDING,), cv2.BORDER_REPLICATE) for image in (before, after))
    flow = cv2.calcOpticalFlowFarneback(
        *pair, None, pyr_scale=0.5, levels=3, winsize=_WINDOW, iterations=3, poly_n=5, poly_sigma=1.2, flags=0
    )
    return np.moveaxis(flow[_PADDING:-_PADDING, _PADDING:-_PADDING], 2, 0)


def _strain(flow: np.ndarray) -> np.ndarray:
    """Return the magnitude of the strain tensor of a flow (2, H, W): float32, (H, W)."""
    u, v = (cv2.GaussianBlur(part, (0, 0), _BLUR) for part in flow)
    (u_y, u_x), (v_y, v_x) = np.gradient(u), np.gradient(v)
    return np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2)
