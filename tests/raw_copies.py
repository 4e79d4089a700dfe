"""Small copies of image data sets in their genuine forms."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from fer_utils.data import FaceSet, load_faces
from fer_utils.params import FaceParameters

NAMES = (
    "train/angry/Training_10",
    "train/happy/Training_10",
    "train/neutral/Training_3",
    "test/angry/PublicTest_7",
    "test/surprise/PrivateTest_8",
)
USAGES = ["Training", "Training", "Training", "PublicTest", "PrivateTest"]
LABELS = [0, 3, 6, 0, 5]
PICTURES = np.random.default_rng(0).integers(256, size=(len(NAMES), 48, 48), dtype=np.uint8)


def encoded(image: np.ndarray | Image.Image, kind: str = "png", **options) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def files(names=NAMES, suffix=".png") -> dict[str, bytes]:
    return {f"{name}{suffix}": encoded(image) for name, image in zip(names, PICTURES, strict=True)}


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def unzipped(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def pixels(image: np.ndarray) -> str:
    return " ".join(map(str, image.ravel().tolist()))


def lines() -> list[str]:
    rows = zip(LABELS, map(pixels, PICTURES), USAGES, strict=True)
    return ["emotion,pixels,Usage", *(",".join(map(str, row)) for row in rows)]


def csv(path: Path, rows: list[str], *, end: str = "\n", start: bytes = b"") -> Path:
    path.write_bytes(start + end.join([*rows, ""]).encode())
    return path


def load(folder: Path, dataset: str, data_path: Path, **changes: object) -> FaceSet:
    """Return `load_faces` of a copy; prepared files are below `folder`."""
    params = FaceParameters(dataset=dataset, data_path=str(data_path), **changes)
    return load_faces(params, prepared_dir=folder / "prepared")
