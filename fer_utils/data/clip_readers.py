"""The data sets of clips: SMIC, SAMM, CASME II, and a table of clips of any origin, such as MEVIEW."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.data.clip_files import ClipDecoder, Sampling, folders, read_table
from fer_utils.data.forms import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_hidden, printable, refusal, some
from fer_utils.data.raw_files import DataSet, files_below, only
from fer_utils.data.samples import NO_APEX, ClipSet
from fer_utils.labels import agree, canonical, name_key


class ClipReader(DataSet):
    """A data set of clips, such as SAMM: folders of subjects, and an annotation, up to two folders above."""

    n_clips: int = 0
    subject: str = ""
    annotation_name: str = ""
    sheet: str = ""
    subject_folder: str = ""
    long_ids: bool = False
    columns: Mapping[str, str]
    prefix: Mapping[str, str]
    frame_rate: float = 200.0
    class_names: tuple[str, ...] = ()

    def holds(self, path: Path) -> bool:
        """Return whether a folder has subjects of this data set in it."""
        return bool(self._subjects(path))

    def _subjects(self, path: Path) -> list[Path]:
        return [folder for folder in folders(path) if re.fullmatch(self.subject, folder.name)]

    def annotation(self, path: Path) -> Path | None:
        """Return the annotation that belongs to the clips in `path`, None where the form has none."""
        for folder in (path, *list(path.absolute().parents)[:2]):
            if named := [file for file in folder.iterdir() if re.fullmatch(self.annotation_name, file.name)]:
                return only(named, "the annotation")
        tables = sorted([*path.glob("*.[xoc][lds]*"), *path.parent.glob("*.[xoc][lds]*")])  # .xls, .ods, .csv
        there = refusal(tables, [self.annotation_name])
        raise FileNotFoundError(f"{path}: no annotation there or above; {there}")

    def files(self, path: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return the folder of the clips, and the annotation, which may lie beside it."""
        annotation = self.annotation(path)
        return path if path.is_dir() else path.parent, (annotation,) if annotation else ()

    def _form(self, path: Path) -> str:
        """Return the form in which a copy is distributed, one of `prefix`."""
        cropped = self.prefix.get("cropped")
        if cropped and any(any(folder.glob(f"{cropped}*")) for folder in self._media(path).values()):
            return "cropped"
        return next(iter(self.prefix))

    def _media(self, path: Path) -> dict[str, Path]:
        """Return the folders of images, and the videos, by their places such as `006/006_1_2`."""
        return {f"{one.name}/{clip.name}": clip for one in self._subjects(path) for clip in folders(one)}

    def _rows(self, path: Path) -> pd.DataFrame:
        """Return the rows of the annotation; `stated` is the subject as a cell says it."""
        file = self.annotation(path)
        table = read_table(file, self.columns, sheet=self.sheet)
        if file.suffix != ".csv":
            table = table[table["place"] != ""]  # remarks below the table
        given = {"subject": "", "label": "", "apex": "", "clip_id": table["place"]}
        table = table.assign(**{name: value for name, value in given.items() if name not in table})
        table = table.assign(label=table["label"].map(canonical), stated=table["subject"])
        if not self.subject_folder:
            return table
        stated = table["subject"].map(name_key)
        subject = stated.map(self.subject_folder.format).where(stated != "", "")
        place = subject + "/" + table["place"]
        ids = place if self.long_ids else table["place"]
        return table.assign(subject=subject, place=place, clip_id=ids)

    def _check(self, row: Any) -> None:
        """Raise `ValueError` where folder, name and annotation do not say the same of a row's clip."""

    def _absent(self, place: str, path: Path, media: Mapping[str, Path]) -> str:
        """Return why there is nothing to read at a place that the annotation names."""
        root = path if path.is_dir() else path.parent
        if ".." in PurePosixPath(place).parts or PurePosixPath(place).is_absolute():
            return f"{place} lies outside the folder {root.name}; put it there"
        if not (root / place).exists():
            name = f"/{place.rpartition('/')[2]}"
            same = [one for one in media if name_key(one) == name_key(place) or one.endswith(name)]
            near = [f"; did you mean {one!r}?" for one in same or get_close_matches(place, media)]
            return f"there is no {place}{''.join(near[:1])}"
        inside = sorted((root / place).iterdir())[:9] if (root / place).is_dir() else [root / place]
        return f"{place} is no clip; {refusal(inside, [*VIDEO_SUFFIXES, 'folders of numbered images'])}"

    def read(
        self, path: Path, *, size: int, n_frames: int, sampling: Sampling, frame_rate: float | None = None
    ) -> ClipSet:
        """Read the clips as `ClipDecoder` describes; `frame_rate` is that of images in a table."""
        form, media = self._form(path), self._media(path)
        rows, table = self._rows(path), self.annotation(path)
        name = path.stem if path.is_file() else self.name + ("-e" if form == "long" else "")
        class_names = self.class_names or tuple(sorted({*rows["label"]} - {""}))
        rate, crop_face = frame_rate or self.frame_rate, form != "cropped"
        decoder = ClipDecoder(size, n_frames, sampling, self.prefix[form], rate, crop_face)
        kept: dict[str, dict[str, Any]] = {}
        skipped = []
        for row in rows.itertuples():
            try:
                self._check(row)
                if problem := _problem(row, kept, class_names):
                    raise ValueError(problem)
                if row.place not in media:
                    raise ValueError(self._absent(row.place, path, media))
                kept[row.clip_id] = row._asdict() | decoder.decode(row, media[row.place])
            except (OSError, ValueError) as error:
                where = f"{table.name}, row {row.Index}: " if table else ""
                skipped.append(printable(f"{row.clip_id}: {where}{error}"))
        listed = {*rows["place"], *(place.rpartition("/")[2] for place in {*rows["place"]} - {*media})}
        unlisted = [one for one in media if not {one, one.rpartition("/")[2]} & listed]
        skipped += [printable(f"{one}: {table.name} has no row of it") for one in unlisted]
        if not kept:
            raise ValueError(f"{name}: no clip could be read; {skipped[0] if skipped else 'there are none'}")
        clips = pd.DataFrame(list(kept.values()))
        lacking = form != "long" and len(kept) < self.n_clips
        notes = [f"incomplete: {len(kept)} of {self.n_clips} clips"] if lacking else []
        if frame_rate and any(media[place].is_dir() for place in clips["place"]):
            notes.append(f"{frame_rate:g} frames per second were given for the clips in images")
        return ClipSet(
            name=name,
            source="real",
            clips=np.stack(clips["frames"]),
            labels=clips["label"].map(class_names.index).to_numpy(np.int64),
            class_names=class_names,
            sample_id=clips["clip_id"].to_numpy(dtype=str),
            subject=clips["subject"].to_numpy(dtype=str),
            frame_rate=clips["frame_rate"].to_numpy(float),
            **{time: clips[time].to_numpy(np.int64) for time in ("onset", "apex", "offset")},
            notes=(*notes, *_notes(clips, decoder)),
            skipped=tuple(skipped),
            origin={"folder": path.name, "form": form, "sampling": sampling}
            | ({"annotation": table.name} if table else {}),
        )


def _problem(row: Any, kept: Mapping, class_names: Sequence[str]) -> str:
    """Return why the clip of a row cannot be used, or an empty text."""
    problems = {
        "the name is not UTF-8; give it another": not (row.clip_id + row.subject).isprintable(),
        "a second clip of this name": row.clip_id in kept,
        "no subject is given": not row.subject,
        f"its class is {row.label!r}, not one of {', '.join(class_names)}": row.label not in class_names,
    }
    return next((text for text, holds in problems.items() if holds), "")


def _notes(clips: pd.DataFrame, decoder: ClipDecoder) -> list[str]:
    n_frames = decoder.n_frames
    first = f"the first {n_frames} frames in the order of their names, not onset to offset"
    notes = [first] if decoder.sampling == "first" else []
    for what, mask in {
        f"have fewer than {n_frames} frames; those between were interpolated": clips["length"] < n_frames,
        "have one gray level in all frames": clips["frames"].map(np.ptp) == 0,
        "have no face that the detector finds and are whole frames": clips["whole"],
        "have no apex between onset and offset in the annotation": clips["apex"] == NO_APEX,
    }.items():
        if mask.any():
            ids = clips["clip_id"][mask].tolist()
            notes.append(f"{len(ids)} of {len(clips)} clips {what}: {some(ids)}")
    return notes


class Smic(ClipReader):
    """One part of SMIC: SMIC_all_cropped, SMIC_all_raw, or SMIC-E, which has an annotation."""

    def holds(self, path: Path) -> bool:
        """Return whether a folder has SMIC's subjects and is of this part, HS where its name names none."""
        named = [part for part in ("HS", "VIS", "NIR") if part in re.split("[-_]", path.name)]
        return self.sheet in (named or ["HS"]) and super().holds(path)

    def _form(self, path: Path) -> str:
        return super()._form(path) if any(path.glob("s*/micro")) else "long"

    def annotation(self, path: Path) -> Path | None:
        """Return the annotation of SMIC-E; the other forms have none."""
        return super().annotation(path) if self._form(path) == "long" else None

    def _media(self, path: Path) -> dict[str, Path]:
        if not any(path.glob("s*/micro")):
            return super()._media(path)
        classes = [one for subject in self._subjects(path) for one in folders(subject / "micro")]
        return {str(clip.relative_to(path)): clip for one in classes for clip in folders(one)}

    def _rows(self, path: Path) -> pd.DataFrame:
        media = [*self._media(path)]
        if self._form(path) == "long":
            rows = super()._rows(path)
            second = rows[rows["onset2"] != ""]  # a second movement in a recording: a clip of its own
            times = {"onset": second["onset2"], "offset": second["offset2"]}
            second = second.assign(clip_id=second["place"] + "_2", **times)
            rows = pd.concat([rows, second]).sort_index(kind="stable")
            rows["place"] = rows["place"].replace({place.rpartition("/")[2]: place for place in media})
        else:
            rows = pd.DataFrame({"place": media, "subject": ""}, dtype=str)
            rows["clip_id"] = rows["place"].str.rpartition("/")[2]
        named = rows["place"].str.extract(self.clip).fillna("")
        subject, label = "s" + named["subject"].str.zfill(2), named["code"].map(self.codes).fillna("")
        return rows.assign(subject=subject, label=label, stated=rows["subject"])

    def _check(self, row: Any) -> None:
        if not (named := re.fullmatch(self.clip, row.place)):
            raise ValueError("not named like s1_ne_01 (subject; ne, po or sur; number)")
        folder, emotion, subject, _ = named.groups()
        stated = row.stated.lower().removeprefix("s")
        agree({"folder": folder or subject, "name": subject, "column Subject": stated or subject})
        agree({"folder": emotion or row.label, "name": row.label})


class ClipTable(ClipReader):
    """Clips of any origin: a CSV table beside videos or folders of numbered images (data/README.md).

    `clip` is a video or a folder, relative to the table's folder. Ids are `<clip>/<onset>-<offset>`.
    """

    def holds(self, path: Path) -> bool:
        """Return whether a file is a table of clips."""
        problem = self._problem_of(path) if path.is_file() else "no file"
        return not problem or "more than one column" in problem  # which is an error when it is read

    def _problem_of(self, path: Path) -> str:
        try:
            read_table(path, self.columns, n_rows=20)
        except ValueError as error:
            return str(error)
        return ""

    def near(self, folder: Path) -> str:
        """Return which tables are in a folder, and what they lack."""
        problems = [self._problem_of(file) for place in self.places for file in sorted(folder.glob(place))]
        near = [text for text in problems if text.partition(" lacks ")[2].count(",") < 3]  # not other tables
        return "; ".join(near)

    def annotation(self, path: Path) -> Path:
        """Return the table itself."""
        return path

    def _media(self, path: Path) -> dict[str, Path]:
        found = {}
        for file in sorted(files_below(path.parent)):
            suffix = file.suffix.lower()
            image = suffix in IMAGE_SUFFIXES and file.parent != path.parent
            place = file.parent if image else file
            name = unicodedata.normalize("NFC", place.relative_to(path.parent).as_posix())
            if (image or suffix in VIDEO_SUFFIXES) and not is_hidden(name):
                found[name] = place
        return found

    def _rows(self, path: Path) -> pd.DataFrame:
        rows = super()._rows(path)
        place = rows["place"].str.replace("\\", "/").str.normalize("NFC").str.removeprefix(f"{path.parent}/")
        place = place.map(lambda one: str(PurePosixPath(one)))  # without a "./" in front
        return rows.assign(place=place, clip_id=place + "/" + rows["onset"] + "-" + rows["offset"])
