"""Small files in the forms in which clips are distributed: numbered frames, videos, Excel workbooks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import openpyxl
from PIL import Image

from fer_utils.data import ClipSet, load_clips
from fer_utils.params import ClipParameters

WIDTH, HEIGHT = 24, 20

SMALL = {"image_size": 8, "n_frames": 5}
"""Sizes to read these with."""


def write_frames(folder: Path, names: Mapping[int, str], *, first_level: int = 100) -> None:
    """Write one flat gray picture per frame number, each a level brighter than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names.values()):
        picture = np.full((HEIGHT, WIDTH), first_level + place, dtype=np.uint8)
        Image.fromarray(picture).save(folder / name, quality=100)


def frame_names(pattern: str, numbers: Iterable[int]) -> dict[int, str]:
    return {number: pattern.format(number) for number in numbers}


def write_video(path: Path, frames: np.ndarray, *, rate: float = 25.0, codec: str = "MJPG") -> None:
    """Write gray frames, shape (T, H, W), as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (frames.shape[2], frames.shape[1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size)
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> None:
    """Write an Excel workbook with these rows in its sheets; None leaves a cell out."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook.save(path)


def write_smic(root: Path, part: str = "HS", *, raw: bool = False) -> Path:
    place = root / ("SMIC_all_raw" if raw else "SMIC_all_cropped") / part
    pattern = "image{:06d}.bmp" if raw else "reg_image{}.bmp"
    for name, emotion in {"s1_ne_01": "negative", "s1_sur_02": "surprise", "s11_po_01": "positive"}.items():
        folder = place / name.partition("_")[0] / "micro" / emotion / name
        write_frames(folder, frame_names(pattern, range(8, 13)))
    write_frames(place / "s1" / "non_micro" / "s1_non_01", frame_names(pattern, range(3)))
    (place / "s1" / ".DS_Store").write_bytes(b"x")
    (place / "s1/micro/negative/s1_ne_01/Thumbs.db").write_bytes(b"x")
    return place


def write_smic_e(root: Path, rows: list[list[object]], *, table: str = "SMIC-HS-E_annotation.xlsx") -> Path:
    base = root / "HS_long" / "SMIC-HS-E" / "HS"
    write_frames(base / "s01" / "s1_ne_01", frame_names("image{:06d}.jpg", range(98, 120)))
    write_frames(base / "s11" / "s11_po_02", frame_names("image{:06d}.jpg", range(5, 30)))
    header = ["Subject", "Filename", "Emotion", "OnsetF", "OffsetF", "Onset2F", "Offset2F", "FirstF"]
    write_workbook(root / "HS_long" / table, {"HS": [header, *rows, [None], ["a remark"]]})
    return root


SAMM_HEADER = ["Subject", "Filename", "Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration"]
SAMM_HEADER += ["Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]
SAMM_ROWS = [
    ["006", "006_1_2", 1, 5562, 5566, 5570, 9, "Micro - 1/2", "AU12", "Happiness", 3, None],
    ["011", "011_2_4", 4, 30, -1, 34, 5, "Micro", "4", "Other", 7, "no apex"],
]


def write_samm(root: Path, rows: list[list[object]] = SAMM_ROWS) -> Path:
    write_frames(root / "006" / "006_1_2", frame_names("006_{:05d}.jpg", range(5560, 5574)))
    write_frames(root / "011" / "011_2_4", frame_names("011_{:04d}.jpg", range(28, 36)))
    preamble = [[f"explanation {line}"] if line % 2 else [None] for line in range(13)]
    sheets = {"MICRO_ONLY": [*preamble, SAMM_HEADER, *rows], "OTHER": [["Subject"]]}
    write_workbook(root / "SAMM_Micro_FACS_Codes_v2.xlsx", sheets)
    return root


def write_table(root: Path, *rows: str, header: str = "clip,subject,onset,offset,emotion") -> Path:
    root.mkdir(exist_ok=True)
    path = root / "meview.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def ramp(length: int = 12) -> np.ndarray:
    return np.stack([np.full((32, 40), 60 + 8 * number, dtype=np.uint8) for number in range(1, length + 1)])


SMIC_E_ROWS = [
    [1, "s1_ne_01", "negative", 99, 103, 110, 114, 98],
    [11, "s11_po_02", "positive", 10, 18, None, None, 5],
]

CASME2_HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Units"]
CASME2_HEADER += ["Estimated Emotion"]
CASME2_ROWS = [
    ["01", "EP02_01f", None, 46, 59, 86, None, "12", "happiness"],
    ["02", "EP02_01f", None, 3, "/", 11, None, "4", "others"],
]


def write_casme2(root: Path, *, prefix: str = "img", rows: list[list[object]] = CASME2_ROWS) -> Path:
    write_frames(root / "sub01" / "EP02_01f", frame_names(prefix + "{}.jpg", range(40, 90)))
    write_frames(root / "sub02" / "EP02_01f", frame_names(prefix + "{}.jpg", range(1, 15)))
    write_workbook(root / "CASME2-coding-20140508.xlsx", {"Sheet1": [CASME2_HEADER, *rows]})
    return root


def load(folder: Path, dataset: str, data_path: Path, **changes: object) -> ClipSet:
    """Return `load_clips` of a copy, small; prepared files are below `folder`."""
    params = ClipParameters(dataset=dataset, data_path=str(data_path), **(SMALL | changes))
    return load_clips(params, prepared_dir=folder / "prepared")
