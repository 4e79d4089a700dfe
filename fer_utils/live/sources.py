"""Sources of frames: camera, video, folder of images, uploaded images, synthetic people.

A source is an iterator of `Frame` and `Problem`. What goes wrong is yielded as a `Problem`, never raised, and
the next frame follows if there is one. Closing the iterator releases the camera or file.
"""

import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np

from fer_utils.data.forms import IMAGE_SUFFIXES, is_hidden, printable, refusal
from fer_utils.data.images import check_size, open_image, plain
from fer_utils.data.raw_files import natural_order
from fer_utils.labels import FER7
from fer_utils.live.frames import Frame, Problem
from fer_utils.synthetic.motion import EXPRESSIONS, synthetic_video

MAX_BYTES, MAX_SIDE = 20_000_000, 1600  # of an image file; larger images are reduced to this many pixels
TIMEOUT = 5.0  # seconds without a frame after which a camera counts as lost
SYNTHETIC_CLASSES = tuple(name for name in FER7 if name in EXPRESSIONS)  # without neutral
_RETRY = 0.1  # seconds until a missed frame is read again
_HEIGHT, _WIDTH = 480, 640  # of synthetic frames
_SYNTHETIC_SIDE = 160  # pixels in which a person is drawn; enlarging is several times faster than drawing
_CACHED = 2500  # drawings that are shown again: 64 MB
_NOISE = 2.0  # standard deviation in gray levels, of a camera in a lit room
_WARMTH = (8.0, 18.0)  # gray levels of red added to middle gray
_BROWSER = "if the camera is on another machine than JupyterLab, choose the browser camera instead"

# What is wrong with a camera or file is a `Problem`. FFmpeg reads this when OpenCV first opens a video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_camera(index: int = 0, *, devices: Path = Path("/dev")) -> Iterator[Frame | Problem]:
    """Read a camera of this machine; one that does not open, or is silent for `TIMEOUT`, is a problem."""
    device = devices / f"video{index}"
    if sys.platform == "linux" and not os.access(device, os.R_OK | os.W_OK):
        problem = f"no permission for {device}; run `sudo usermod -aG video $USER`, log in again"
        if not device.exists():
            known = ", ".join(sorted(path.name[5:] for path in devices.glob("video[0-9]*"))) or "none"
            problem = f"no {device} (cameras of this machine: {known}); {_BROWSER}"
        yield Problem(f"camera {index}: {problem}")
        return
    # Left to choose, OpenCV tries every backend, files among them.
    backends = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}
    capture = cv2.VideoCapture(index, backends.get(sys.platform, cv2.CAP_ANY))
    if not capture.isOpened():
        capture.release()
        remedy = "close other programs that use it, allow it in the system's privacy settings"
        yield Problem(f"camera {index} does not open; {remedy}, then start again; {_BROWSER}")
        return
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the latest frame, also where faces take longer than the camera
    start, misses = None, 0
    try:
        while misses * _RETRY < TIMEOUT:
            if (image := capture.read()[1]) is None:  # a camera misses a frame now and then
                misses += 1
                sleep(_RETRY)
            else:
                misses, now = 0, monotonic()
                start = start or now
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now - start)
        yield Problem(f"camera {index} yields no image; is it unplugged, or used by another program?")
    finally:
        capture.release()


def read_video(path: Path) -> Iterator[Frame | Problem]:
    """Read a video file, upright; its times start at 0, and where they do not increase, its rate is used."""
    name = _short(path.name)
    if not path.is_file():
        yield Problem(f"{name}: no such file in {printable(str(path.parent))}")
        return
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ValueError("not a readable video; convert it to MP4 with H.264, or to WebM")
        check_size(*(int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)))
        rate, stated = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        step = 1 / rate if 0 < rate < math.inf else 1 / 25  # of a video that states no rate
        count, time, first = 0, -step, None
        while (image := capture.read()[1]) is not None:
            position = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = position if first is None else first
            time = position - first if time < position - first < math.inf else time + step
            count += 1
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time)
        # Some containers store no count; OpenCV then derives it from the duration, slightly wrong.
        if not count or count < min(0.98 * stated, stated - 1):
            raise ValueError(f"only {count} of {stated:.0f} frames can be read; the file is damaged")
    except ValueError as error:
        yield Problem(f"{name}: {error}")
    finally:
        capture.release()


def read_folder(path: Path) -> Iterator[Frame | Problem]:
    """Read the images of a folder in natural order (2 before 10); their times are 0, 1, 2, ..."""
    try:
        files = [file for file in path.iterdir() if file.is_file() and not is_hidden(file.name)]
    except OSError as error:
        yield Problem(f"{printable(str(path))}: {error.strerror}")
        return
    images = sorted((f for f in files if f.suffix.lower() in IMAGE_SUFFIXES), key=natural_order)
    if not images:
        yield Problem(printable(f"{path}: no images in this folder; {refusal(files, IMAGE_SUFFIXES)}"))
    for number, file in enumerate(images):
        try:
            yield decode_image(file.read_bytes(), time=float(number), name=file.name, still=True)
        except OSError as error:
            yield Problem(f"{_short(file.name)}: {error.strerror}")


def decode_image(content: bytes, *, time: float = 0, name: str = "", still: bool = False) -> Frame | Problem:
    """Decode an image file as `fer_utils.data.images.plain` describes, to at most `MAX_SIDE` pixels."""
    try:
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES / 1e6:g} MB; reduce the image")
        with warnings.catch_warnings(action="ignore"), open_image(content) as image:  # of odd EXIF data
            scale = min(1.0, MAX_SIDE / max(image.size))
            # JPEG can be decoded at a half, a quarter or an eighth, which is faster.
            image.draft(None, tuple(round(scale * side) for side in image.size))
            image = plain(image)[0].convert("RGB")
            image.thumbnail((MAX_SIDE, MAX_SIDE))
        return Frame(np.asarray(image), time, _short(name), still)
    except Exception as error:  # Pillow's parsers raise almost anything for damaged files
        return Problem(f"{_short(name) or 'image'}: {printable(str(error)) or type(error).__name__}")


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 80 else f"{name[:68]}...{name[-9:]}"


@dataclass(kw_only=True)
class SyntheticSource:
    """Frames (480, 640) of synthetic people side by side; `videos` has one a person, with the true `events`.

    Each has two micro- and three macro-expressions in ten seconds. Every second one of the `passes` is played
    backwards, so that nothing jumps.
    """

    seconds: float = 20.0
    frame_rate: float = 25.0
    people: int = 1
    class_names: Sequence[str] = SYNTHETIC_CLASSES
    passes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        self.n_frames = round(self.seconds * self.frame_rate)
        how = {"seconds": self.seconds, "class_names": self.class_names, "n_micro": int(0.2 * self.seconds)}
        how["n_macro"] = int(0.3 * self.seconds) or int(self.seconds >= 3)
        self.videos = [synthetic_video(**how, seed=20 * self.seed + person) for person in range(self.people)]

    def __iter__(self) -> Iterator[Frame]:
        column = _WIDTH // len(self.videos)
        side = min(column, 2 * _HEIGHT // 3)  # of the square of one person
        around = (_HEIGHT - side, 0, (column - side) // 2, column - side - (column - side) // 2)

        @lru_cache(maxsize=_CACHED)
        def draw(person: int, index: int) -> np.ndarray:
            video = self.videos[person]
            scene = replace(video.scene, noise=0.0)  # added when the image has its full size
            size = min(side, _SYNTHETIC_SIDE)
            return replace(video, scene=scene).frame(index / self.frame_rate, size=size)

        rng = np.random.default_rng(self.videos[0].scene.seed)
        noise = np.rint(rng.normal(0, _NOISE, (2 * _HEIGHT, 2 * _WIDTH))).astype(np.int8)
        tints = [_tint(rng.uniform(*_WARMTH)) for _ in self.videos]
        for number in range(self.passes * self.n_frames):
            turn, index = divmod(number, self.n_frames)
            image = np.full((_HEIGHT, _WIDTH, 3), 128, np.uint8)
            top, left = rng.integers(_HEIGHT), rng.integers(_WIDTH)  # another part of the noise
            for person, tint in enumerate(tints):
                drawing = draw(person, self.n_frames - 1 - index if turn % 2 else index)
                gray = cv2.resize(drawing, (side, side), interpolation=cv2.INTER_CUBIC)
                gray = cv2.copyMakeBorder(gray, *around, cv2.BORDER_REPLICATE)
                x = person * column
                grain = noise[top : top + _HEIGHT, left + x : left + x + column]
                image[:, x : x + column] = cv2.applyColorMap(cv2.add(gray, grain, dtype=cv2.CV_8U), tint)
            yield Frame(image, number / self.frame_rate)


def _tint(warmth: float) -> np.ndarray:
    """Return a colour map (256, 1, 3) of warm colours whose luma is the gray level itself."""
    gray = np.arange(256.0)
    red, blue = warmth, -1.5 * warmth
    green = -(0.299 * red + 0.114 * blue) / 0.587  # luma of ITU-R BT.601
    share = np.sin(np.pi * gray / 255)  # black and white stay colourless
    colours = gray[:, None] + share[:, None] * np.array([red, green, blue])
    return np.rint(colours).clip(0, 255).astype(np.uint8)[:, None]
