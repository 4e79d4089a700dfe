"""Micro-expressions as optical flow: the composite of MEGC 2019, one image of three channels for each clip.

Two forms are read: an ``.npz`` with arrays `x` (N, 28, 28, 3), `y`, `subject`, `dataset` and `clip`, and the
folders ``<subject>/u_test/<class>/<subject>_<clip> .png`` of public programs, in which a clip is once in the
test folder of its own subject. Channels are horizontal flow, vertical flow and strain from onset to apex,
each scaled from its own minimum to its maximum.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from fer_utils.data.raw_files import DataSet
from fer_utils.data.samples import NO_APEX, ClipSet
from fer_utils.files import reading_arrays

SIDE = 28
CHANNELS = ("horizontal", "vertical", "strain")  # right and down are positive


class FlowFiles(DataSet):
    """The composite of MEGC 2019: flow of clips of SMIC, CASME II and SAMM."""

    folder_of: Mapping[str, str]
    clips_of: Mapping[str, list[int]]
    subjects_of: Mapping[str, int]
    class_names: tuple[str, ...]

    def holds(self, path: Path) -> bool:
        """Return whether a path is a file of arrays, or has a test folder for each subject."""
        return (path.is_file() and path.suffix == ".npz") or any(path.glob("*/u_test"))

    def missing_from(self, clips: ClipSet) -> str:
        """Return what a copy lacks of the published numbers of clips and subjects, or an empty text."""
        parts, lacking = pd.Series(clips.subject).str.partition("/")[0].to_numpy(), []
        for name, counts in self.clips_of.items():
            found = np.bincount(clips.labels[parts == name], minlength=len(counts)).tolist()
            people, expected = len(np.unique(clips.subject[parts == name])), self.subjects_of[name]
            if (found, people) != (counts, expected):
                lacking.append(f"{name}: {found} clips of {people} subjects, not {counts} of {expected}")
        return "; ".join(lacking)

    def read(self, path: Path, **_: object) -> ClipSet:
        """Read the flow of all clips: uint8 (N, 3, 28, 28), ids and subjects with their data set in front."""
        images, rows = self._arrays(path) if path.is_file() else self._folders(path)
        rows["subject"] = rows["dataset"] + "/" + rows["subject"]
        rows["id"] = rows["subject"] + "/" + rows["clip"]
        if repeated := rows["id"][rows["id"].duplicated()].tolist():
            seen = rows["label"][rows["id"] == repeated[0]].tolist()
            raise ValueError(f"{path}: the clip {repeated[0]} is there {len(seen)} times, in classes {seen}")
        if wrong := sorted(set(rows["dataset"]) - set(self.clips_of)):
            raise ValueError(f"{path}: dataset {wrong[0]!r}, not one of {', '.join(self.clips_of)}")
        if wrong := rows[~rows["label"].isin(range(len(self.class_names)))].to_dict("records"):
            raise ValueError(f"{path}: the clip {wrong[0]['id']} has class {wrong[0]['label']}, not 0 to 2")
        flows, unknown = np.moveaxis(images, 3, 1), np.zeros(len(rows), dtype=np.int64)
        _check_channels(flows, path)
        clips = ClipSet(
            name=self.name,
            source="real",
            clips=flows,
            labels=rows["label"].to_numpy(np.int64),
            class_names=self.class_names,
            sample_id=rows["id"].to_numpy(dtype=str),
            subject=rows["subject"].to_numpy(dtype=str),
            frame_rate=np.zeros(len(rows)),
            onset=unknown,
            apex=unknown + NO_APEX,
            offset=unknown,
            origin={"form": "npz" if path.is_file() else "folders", "sampling": "flow"},
        )
        lacking = self.missing_from(clips)
        return replace(clips, notes=(f"incomplete: {lacking}",)) if lacking else clips

    def _arrays(self, path: Path) -> tuple[np.ndarray, pd.DataFrame]:
        with reading_arrays(path, what="flow of clips") as stored:
            columns = {name: stored[name].astype(str) for name in ("dataset", "subject", "clip")}
            columns["label"] = stored["y"]
            images = stored["x"]
            if images.dtype != np.uint8 or images.shape != (len(columns["label"]), SIDE, SIDE, 3):
                raise ValueError(f"x is {images.dtype} {images.shape}, not uint8 (N, {SIDE}, {SIDE}, 3)")
            return images, pd.DataFrame(columns).astype({"label": int})

    def _folders(self, path: Path) -> tuple[np.ndarray, pd.DataFrame]:
        images, rows = [], []
        for file in sorted(path.glob("*/u_test/*/*.png")):
            subject, _, label = file.relative_to(path).parts[:3]
            owner = [name for name, form in self.folder_of.items() if re.fullmatch(form, subject)]
            if not owner or not label.isdecimal():
                form = "<subject>/u_test/<class>/<clip>.png, subjects like sub01, 006 and s01, classes 0 to 2"
                raise ValueError(f"{file}: expected {form}")
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
            if pixels.shape != (SIDE, SIDE, 3):
                raise ValueError(f"{file}: {pixels.shape[1]}x{pixels.shape[0]} pixels, not {SIDE}x{SIDE}")
            images.append(pixels)
            clip = file.stem.strip().removeprefix(f"{subject}_")
            rows.append({"dataset": owner[0], "subject": subject, "clip": clip, "label": int(label)})
        if not rows:
            raise ValueError(f"{path}: no image in <subject>/u_test/<class>/")
        return np.stack(images), pd.DataFrame(rows)


def _check_channels(flows: np.ndarray, path: Path) -> None:
    """Raise `ValueError` unless the channels are horizontal and vertical flow and strain, in this order.

    Strain has the lowest median, as it is 0 in most of a face. Horizontal flow is opposite on its two sides.
    """
    centred = flows - flows.mean(axis=(2, 3), keepdims=True)
    alike = (centred * centred[..., ::-1]).mean(axis=(0, 2, 3)) / (centred**2).mean(axis=(0, 2, 3))
    strain = int(np.median(np.median(flows, axis=(2, 3)), axis=0).argmin())
    found = (*sorted({0, 1, 2} - {strain}, key=alike.__getitem__), strain)
    if found != (0, 1, 2):
        seen = ", ".join(f"{name} in {place}" for name, place in zip(CHANNELS, found, strict=True))
        raise ValueError(f"{path}: channels look like {seen}; store RGB with horizontal, vertical, strain")
