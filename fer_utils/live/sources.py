"""Where frames come from: a camera, a video, a folder of pictures, pictures as bytes, drawn people.

A source is iterated over and gives frames, and problems: a message where a frame cannot be had. A problem is
never an exception, and the next frame follows if there is one. What a source holds, it gives back when its
iterator is closed.
"""

import io
import math
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_utils.data.images import FORMATS, check_size, to_gray
from fer_utils.data.raw_files import IMAGE_SUFFIXES, natural_order, printable
from fer_utils.detection import Box
from fer_utils.files import ConfigError
from fer_utils.labels import FER7
from fer_utils.live.seen import Frame, Problem
from fer_utils.synthetic.identity import SMALLEST_SIZE, Scene
from fer_utils.synthetic.motion import EXPRESSIONS, Movement, SyntheticVideo, synthetic_video
from fer_utils.synthetic.paint import REACH

MOST_BYTES = 20_000_000
"""Of a picture file."""

LONGEST_SIDE = 1600
"""Pixels to which a larger picture is reduced: faces are seen as well, and much faster."""

PATIENCE = 5.0
"""Seconds without a frame after which a camera is taken for lost."""

USUAL_RATE = 25.0
"""Frames per second of a video that does not say how many it has."""

DRAWN_SIDE = 160
"""Pixels in which a person is drawn, at most. Enlarged, the pictures hardly differ from finer ones, which
take several times as long."""

MOST_PEOPLE = 20
MOST_KEPT = 2**26
"""Bytes of drawings that are kept while they are shown over and over: 64 MiB, 100 s of one person."""

EXPRESSED = tuple(name for name in FER7 if name in EXPRESSIONS)
"""What drawn people show, in the words of the networks for stills: FER-2013's classes without neutral."""

_RETRY = 0.1  # seconds
_RELEASE = 2.0  # seconds in which a camera that is waited for usually answers
_SHOWN = 80  # characters of a file name
_NOISE = 2.0  # standard deviation in gray levels, of a camera in a lit room
_WARMTH = (8.0, 18.0)  # gray levels of red that are added to middle gray
_FACE = (-0.86, -0.78, 0.86, 0.94)
"""Left, top, right and bottom in face units of what OpenCV's frontal cascade takes for a drawn face: means of
120 pictures of 40 people, in all of which it found one."""
_TO_THE_BROWSER = (
    "if the camera is not at the machine on which JupyterLab runs, choose the browser camera instead"
)

# FFmpeg reads this once, when OpenCV first opens a video: what is wrong with a file is said here, not there.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


# --- cameras -----------------------------------------------------------------------------------------------


def camera(index: int = 0, *, devices: Path = Path("/dev")) -> Iterator[Frame | Problem]:
    """Take the frames of a camera of the machine on which this runs.

    A thread of its own reads the camera, so that every frame asked for is the latest one, however long it
    took to look at the one before; frames in between are left out.

    Parameters
    ----------
    index : int
        0 for the first camera.
    devices : Path
        Where Linux lists them.

    Yields
    ------
    Frame or Problem
        Times are of a monotonic clock, 0 at the first frame. A camera that cannot be opened, or gives nothing
        for `PATIENCE` seconds, is the last problem.
    """
    if sys.platform == "linux" and (problem := _missing_device(index, devices)):
        yield Problem(problem)
        return
    with _without_warnings():
        capture = cv2.VideoCapture(index, _backend())
    reader = _LatestFrame(capture)
    began = latest = None
    try:
        if not capture.isOpened():
            yield Problem(_closed_camera(index))
            return
        reader.start()
        while taken := reader.take(PATIENCE):
            image, latest = taken
            began = latest if began is None else began
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), latest - began)
        if began is None:
            yield Problem(f"camera {index} gives no picture; another program may be using it")
        else:
            seconds = latest - began
            yield Problem(f"the camera stopped answering after {seconds:.0f} s; is it unplugged?")
    finally:
        reader.close()


class _LatestFrame:
    """Reads a camera until it is closed, and keeps the last frame that nobody has taken."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._frame: tuple[np.ndarray, float] | None = None
        self._news = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, seconds: float) -> tuple[np.ndarray, float] | None:
        """Return a frame (BGR) and its time as soon as there is a new one; None when it takes too long."""
        with self._news:
            self._news.wait_for(lambda: self._frame is not None, seconds)
            frame, self._frame = self._frame, None
        return frame

    def close(self) -> None:
        """Release the camera, which only the thread that reads it may do."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(_RELEASE)
        else:
            self._capture.release()

    def _read(self) -> None:
        try:
            while not self._closed.is_set():
                image = self._one()
                if image is None:
                    sleep(_RETRY)  # a camera misses a frame now and then
                    continue
                with self._news:
                    self._frame = image, monotonic()
                    self._news.notify()
        finally:
            self._capture.release()

    def _one(self) -> np.ndarray | None:
        try:
            return self._capture.read()[1]
        except cv2.error:  # some drivers fail so when a camera is unplugged
            return None


def _backend() -> int:
    # Left to choose, OpenCV tries every way that it knows, files among them, and complains about each.
    return {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}.get(sys.platform, cv2.CAP_ANY)


def _missing_device(index: int, devices: Path) -> str | None:
    device = devices / f"video{index}"
    if not device.exists():
        others = ", ".join(sorted(path.name[5:] for path in devices.glob("video[0-9]*")))
        known = f"the cameras here are {others}" if others else "this machine has none"
        return f"no camera {index}: there is no {device}; {known}; {_TO_THE_BROWSER}"
    if not os.access(device, os.R_OK | os.W_OK):
        return (
            f"camera {index}: this user may not read {device}; run `sudo usermod -aG video $USER`, "
            "log out and in again"
        )
    return None


def _closed_camera(index: int) -> str:
    if sys.platform == "darwin":
        privacy = "System Settings > Privacy & Security > Camera"
        return (
            f"camera {index} does not open; allow it under {privacy} for the program that started "
            f"JupyterLab, close other programs that use it, then start again; {_TO_THE_BROWSER}"
        )
    return (
        f"camera {index} does not open; close other programs that use it, then start again; {_TO_THE_BROWSER}"
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Let OpenCV write nothing of its own to the standard error while it opens something."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


# --- videos ------------------------------------------------------------------------------------------------


def video(path: str | Path) -> Iterator[Frame | Problem]:
    """Read the frames of a video file, turned as it says they are to be shown.

    Yields
    ------
    Frame or Problem
        Times are those that the file states, from 0 on. Where these do not grow, they are counted up by its
        frame rate. When less can be read than the file says it has, the last problem tells how much.
    """
    path = Path(path)
    if problem := _unreadable(path):
        yield Problem(problem)
        return
    name = _short(path.name)
    with _without_warnings():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            yield Problem(f"{name}: no video that can be read; convert it to MP4 with H.264, or to WebM")
            return
        yield from _video_frames(capture, name)
    finally:
        capture.release()


def _video_frames(capture: cv2.VideoCapture, name: str) -> Iterator[Frame | Problem]:
    rate, stated = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    size = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    try:
        check_size(*size)
    except ValueError as error:
        yield Problem(f"{name}: {error}")
        return
    step = 1 / rate if 0 < rate < math.inf else 1 / USUAL_RATE
    read, time, first = 0, -step, None
    while (image := capture.read()[1]) is not None:
        at = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        first = at if first is None else first
        time = at - first if time < at - first < math.inf else time + step
        read += 1
        yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), time)
    # Where the container does not count, the number is computed from the duration, and slightly wrong.
    if not read:
        yield Problem(f"{name}: has no frame that can be read")
    elif read < min(0.98 * stated, stated - 1):
        yield Problem(
            f"{name}: only {read} of about {stated:.0f} frames can be read; the file is damaged or cut off"
        )


def _unreadable(path: Path) -> str | None:
    """Return why a file cannot be opened, or None."""
    name = _short(path.name)
    if path.exists() and not path.is_file():
        return f"{name}: a file is needed, and this is a folder or a device"
    try:
        with open(path, "rb") as file:
            return None if file.read(1) else f"{name}: an empty file"
    except OSError as error:
        return f"{name}: {_reason(error)} (looked for in {printable(str(path.parent))})"


# --- pictures ----------------------------------------------------------------------------------------------


def folder(path: str | Path) -> Iterator[Frame | Problem]:
    """Read the pictures of a folder, 2 before 10, without hidden files and without folders in it.

    Yields
    ------
    Frame or Problem
        As of `uploaded`.
    """
    path = Path(path)
    try:
        files = [entry for entry in path.iterdir() if not entry.name.startswith(".") and not entry.is_dir()]
    except OSError as error:
        yield Problem(f"{printable(str(path))}: {_reason(error)}")
        return
    pictures = sorted((file for file in files if file.suffix.lower() in IMAGE_SUFFIXES), key=natural_order)
    if not pictures:
        suffixes = ", ".join(IMAGE_SUFFIXES)
        yield Problem(f"{printable(str(path))}: no pictures among its {len(files)} files ({suffixes})")
    for number, file in enumerate(pictures):
        try:
            _check_bytes(file.stat().st_size)
            content = file.read_bytes()
        except (OSError, ValueError) as error:
            yield Problem(f"{_short(file.name)}: {_reason(error)}")
            continue
        yield from _shown(content, file.name, number)


def uploaded(files: Iterable[tuple[str, bytes]]) -> Iterator[Frame | Problem]:
    """Decode pictures that are given as their names and the bytes of their files.

    Yields
    ------
    Frame or Problem
        A frame is alone, and its time is the number of the picture, from 0. Before the frame of a picture
        that was reduced, a problem says so.
    """
    for number, (name, content) in enumerate(files):
        yield from _shown(content, name, number)


def decoded(content: bytes, *, time: float = 0.0, name: str = "", alone: bool = False) -> Frame | Problem:
    """Decode a picture file of a camera, a folder or an upload; the content decides what it is, not the name.

    A picture is turned as its EXIF data say; what is transparent becomes white, as on a page; 16 bits are
    scaled to 8; of several frames the first is used; and what is larger than `LONGEST_SIDE` is reduced.

    Parameters
    ----------
    content : bytes
        In one of `FORMATS`, of at most `MOST_BYTES`; the accepted sides are those of `check_size`.
    time, name, alone
        Of the frame.

    Returns
    -------
    Frame or Problem
        A problem says which file it is and why it cannot be used; nothing is raised, whatever the bytes.
    """
    *_, last = _shown(content, name, time, alone=alone)
    return last


def _shown(content: bytes, name: str, time: float, *, alone: bool = True) -> Iterator[Frame | Problem]:
    name = _short(name)
    heading = f"{name}: " if name else ""
    try:
        image, reduced_from = _decode(content)
    except ValueError as error:
        yield Problem(heading + printable(str(error)))
        return
    if reduced_from:
        now = f"{image.shape[1]}x{image.shape[0]}"
        yield Problem(f"{heading}{reduced_from} pixels, reduced to {now} to be looked at")
    yield Frame(image, float(time), name, alone)


def _decode(content: bytes) -> tuple[np.ndarray, str]:
    """Return a picture as uint8 (H, W, 3), and in words its size before it was reduced, if it was."""
    _check_bytes(len(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused here, and of odd EXIF data
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                check_size(*picture.size)
                before, longest = "x".join(map(str, picture.size)), max(picture.size)
                scale = min(1.0, LONGEST_SIDE / longest)
                # JPEG alone can be decoded at a half, a quarter or an eighth, which is faster.
                picture.draft(None, tuple(round(scale * side) for side in picture.size))
                upright = _rgb(picture)
                upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    except UnidentifiedImageError:
        raise ValueError(f"not a usable picture: none of {', '.join(FORMATS)}") from None
    except Exception as error:  # whatever hostile bytes make of Pillow's parsers
        raise ValueError(f"not a usable picture: {error or type(error).__name__}") from error
    return np.asarray(upright), before if longest > LONGEST_SIDE else ""


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return to_gray(picture).convert("RGB")  # scales 16 bits and refuses 32
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        page = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(page, picture.convert("RGBA"))
    return picture.convert("RGB")


def _check_bytes(size: int) -> None:
    if not size:
        raise ValueError("an empty file")
    if size > MOST_BYTES:
        raise ValueError(f"{size / 1e6:.1f} MB; a picture has {MOST_BYTES / 1e6:g} MB at most")


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 12]}...{name[-9:]}"


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


# --- drawn people ------------------------------------------------------------------------------------------


def synthetic(
    *,
    seconds: float = 20.0,
    frame_rate: float = 25.0,
    size: tuple[int, int] = (480, 640),
    people: int = 1,
    n_micro: int | None = None,
    n_macro: int | None = None,
    class_names: Sequence[str] = EXPRESSED,
    passes: int = 1,
    seed: int = 0,
) -> "SyntheticSource":
    """Film drawn people before a camera, each with expressions and blinks of their own at known times.

    Parameters
    ----------
    seconds, frame_rate : float
        Length of a pass, and frames per second.
    size : (int, int)
        Height and width of the frames in pixels.
    people : int
        Side by side, and in rows where these would be too narrow.
    n_micro, n_macro : int, optional
        Expressions of each person in a pass: of at most half a second, and of 0.7 to 2 seconds. By default
        two and three in ten seconds.
    class_names : sequence of str
        What they show: keys of `EXPRESSIONS`.
    passes : int
        How often all of it is shown, every second time backwards, so that nothing jumps.
    seed : int
        Non-negative.

    Raises
    ------
    ConfigError
        For a number of people or passes that is not accepted, and frames too small for them.
    ValueError
        As `synthetic_video`.
    """
    if not 1 <= people <= MOST_PEOPLE:
        raise ConfigError(f"people={people}: 1 to {MOST_PEOPLE} are drawn")
    if passes < 1:
        raise ConfigError(f"passes={passes}: at least 1")
    side = _places(people, size)[0].side
    videos = tuple(
        synthetic_video(
            seconds=seconds,
            frame_rate=frame_rate,
            size=min(side, DRAWN_SIDE),
            # As many as always fit, whatever their lengths turn out to be.
            n_micro=int(0.2 * seconds) if n_micro is None else n_micro,
            n_macro=(int(0.3 * seconds) or int(seconds >= 3)) if n_macro is None else n_macro,
            class_names=class_names,
            seed=MOST_PEOPLE * seed + person,
        )
        for person in range(people)
    )
    return SyntheticSource(videos, size, passes)


@dataclass(frozen=True)
class SyntheticSource:
    """Frames of drawn people, drawn as they are asked for; made by `synthetic`.

    Attributes
    ----------
    videos : tuple of SyntheticVideo
        One for each person.
    size : (int, int)
        Height and width of the frames.
    passes : int
        How often the videos are shown, every second time backwards.
    """

    videos: tuple[SyntheticVideo, ...]
    size: tuple[int, int]
    passes: int = 1

    def __len__(self) -> int:
        return self.passes * len(self.videos[0])

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.videos[0].frame_rate

    @property
    def events(self) -> tuple[tuple[Movement, ...], ...]:
        """What each person truly shows, in the order of its onsets."""
        return tuple(
            tuple(
                self._in_turn(event, turn)
                for turn in range(self.passes)
                for event in video.events[:: -1 if turn % 2 else 1]
            )
            for video in self.videos
        )

    @property
    def faces(self) -> tuple[Box, ...]:
        """Where each person's face is on the whole, in pixels: what OpenCV's frontal cascade takes for it."""
        places = _places(len(self.videos), self.size)
        return tuple(
            place.face(video.performance.scene) for place, video in zip(places, self.videos, strict=True)
        )

    def __iter__(self) -> Iterator[Frame]:
        """Draw one frame after the other; of what is shown again, `MOST_KEPT` bytes of drawings are kept."""
        kept = 0 if self.passes == 1 else MOST_KEPT // self.videos[0].size ** 2
        draw = lru_cache(maxsize=kept)(self._person)
        rng = np.random.default_rng(self.videos[0].performance.scene.seed)
        height, width = self.size
        noise = np.rint(rng.normal(0, _NOISE, (2 * height, 2 * width))).astype(np.int8)
        tints = [_tint(rng.uniform(*_WARMTH)) for _ in self.videos]
        for number in range(len(self)):
            image = np.full((height, width, 3), 128, np.uint8)
            top, left = rng.integers(height), rng.integers(width)  # other noise in every frame, drawn once
            for person, place in enumerate(_places(len(self.videos), self.size)):
                gray = place.fill(draw(person, self._index(number)))
                gray = cv2.add(gray, place.of(noise[top:, left:]), dtype=cv2.CV_8U)
                place.of(image)[:] = cv2.applyColorMap(gray, tints[person])
            yield Frame(image, number / self.frame_rate)

    def _index(self, number: int) -> int:
        """Return which frame of the videos is the one with this number."""
        turn, index = divmod(number, len(self.videos[0]))
        return len(self.videos[0]) - 1 - index if turn % 2 else index

    def _person(self, person: int, index: int) -> np.ndarray:
        video = self.videos[person]
        scene = replace(video.performance.scene, noise=0.0)  # it comes when the picture has its full size
        performance = replace(video.performance, scene=scene)
        return performance.frame(index / self.frame_rate, size=video.size)

    def _in_turn(self, event: Movement, turn: int) -> Movement:
        """Return an event at the times that it has when the videos are shown for the turn-th time."""
        began = turn * len(self.videos[0]) / self.frame_rate
        times = [event.onset, event.apex, event.offset]
        if turn % 2:
            last = (len(self.videos[0]) - 1) / self.frame_rate
            times = [last - time for time in reversed(times)]
        onset, apex, offset = (began + time for time in times)
        return replace(event, onset=onset, apex=apex, offset=offset)


class _Place(NamedTuple):
    """The part of a frame that belongs to one person, drawn in a square in the middle of its bottom."""

    x: int
    y: int
    width: int
    height: int
    side: int

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def fill(self, square: np.ndarray) -> np.ndarray:
        """Enlarge a person to the square, and let background and shoulders go on around it."""
        square = cv2.resize(square, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
        above, left = self.height - self.side, (self.width - self.side) // 2
        around = (above, 0, left, self.width - self.side - left)
        return cv2.copyMakeBorder(square, *around, cv2.BORDER_REPLICATE)

    def face(self, scene: Scene) -> Box:
        unit = self.side / (2 * REACH)
        left, top, right, bottom = (scene.scale * edge for edge in _FACE)
        x = self.x + (self.width - self.side) // 2 + self.side * scene.shift[0] + unit * (left + REACH)
        y = self.y + self.height - self.side + self.side * scene.shift[1] + unit * (top + REACH)
        return Box(x, y, unit * (right - left), unit * (bottom - top))


def _places(people: int, size: tuple[int, int]) -> list[_Place]:
    """Divide a frame: as few rows as give squares of a quarter of its height, else the largest squares."""
    height, width = size
    divided = []
    for rows in range(1, people + 1):
        columns = math.ceil(people / rows)
        tile = (width // columns, height // rows)
        divided.append((min(*tile, 2 * height // 3), columns, tile))
    fitting = [division for division in divided if 4 * division[0] >= height]
    side, columns, (wide, high) = fitting[0] if fitting else max(divided)
    if side < SMALLEST_SIZE:
        raise ConfigError(f"size={size}: too small for people={people}")
    return [_Place(wide * (n % columns), high * (n // columns), wide, high, side) for n in range(people)]


def _tint(warmth: float) -> np.ndarray:
    """Return the colours (256, 1, 3) of gray levels: warm ones whose luma is the gray level itself."""
    gray = np.arange(256.0)
    red, blue = warmth, -1.5 * warmth
    green = -(0.299 * red + 0.114 * blue) / 0.587  # luma of ITU-R BT.601, as OpenCV and Pillow compute it
    share = np.sin(np.pi * gray / 255)  # black and white have no colour
    colours = gray[:, None] + share[:, None] * np.array([red, green, blue])
    return np.rint(colours).clip(0, 255).astype(np.uint8)[:, None]
