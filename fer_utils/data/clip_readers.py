"""The data sets of clips: SMIC, SAMM, CASME II, and a table of clips of any origin, such as MEVIEW."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.data.clip_files import ClipDecoder, Sampling, csv_header, folders, read_table
from fer_utils.data.raw_files import IMAGE_SUFFIXES, DataSet, files_below, is_hidden, printable
from fer_utils.data.samples import NO_APEX, ClipSet
from fer_utils.files import ConfigError
from fer_utils.labels import canonical

SMIC_CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}
SMIC_NAME = "^(?:s0*(?P<folder>[0-9]+)/micro/(?P<emotion>[^/]*)/)?"
SMIC_NAME += "s0*(?P<subject>[0-9]+)_(?P<code>ne|po|sur)_[0-9]+$"
VIDEO_SUFFIX = r"\.(avi|mp4|m4v|mov|mkv|webm|mpe?g|wmv|3gp|mts|m2ts)"


class ClipReader(DataSet):
    """A data set of clips: folders of subjects, and an annotation in or up to two folders above them."""

    n_clips: int = 0
    subject: str = ""
    annotation_name: str = ""
    sheet: str = ""
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
            for file in sorted(folder.iterdir()):
                if re.fullmatch(self.annotation_name, file.name):
                    return file
        raise FileNotFoundError(f"{path}: no annotation ({self.annotation_name}) there or above")

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
        """Return the folders of images, and the videos, by the names that the annotation gives them."""
        return {folder.name: folder for subject in self._subjects(path) for folder in folders(subject)}

    def _rows(self, path: Path) -> pd.DataFrame:
        """Return the rows of the annotation; a `problem` in one says why its clip cannot be used."""
        file = self.annotation(path)
        table = read_table(file, self.columns, sheet=self.sheet)
        if file.suffix != ".csv":
            table = table[table["place"] != ""]  # remarks below the table
        given = {"subject": "", "label": "", "apex": "", "problem": "", "clip_id": table["place"]}
        table = table.assign(**{name: value for name, value in given.items() if name not in table})
        return table.assign(label=table["label"].map(canonical))

    def missing_from(self, clips: ClipSet) -> str:
        """Return how many clips a copy lacks, or an empty text."""
        whole = 0 if clips.origin["form"] == "long" else self.n_clips  # SMIC-E is another set of clips
        lacking = [f"{len(clips)} of {whole} clips"] if len(clips) < whole else []
        return "; ".join(lacking + ([f"{len(clips.skipped)} skipped"] if clips.skipped else []))

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
                if problem := row.problem or _problem(row, media, kept, class_names):
                    raise ValueError(problem)
                kept[row.clip_id] = row._asdict() | decoder.decode(row, media[row.place])
            except (OSError, ValueError) as error:
                where = f"{table.name}, row {row.Index}: " if table else ""
                skipped.append(printable(f"{row.clip_id}: {where}{error}"))
        listed = set(rows["place"])
        skipped += [printable(f"{one}: {table.name} has no row of it") for one in media if one not in listed]
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


def _problem(row: Any, media: Mapping[str, Path], kept: Mapping, class_names: Sequence[str]) -> str:
    """Return why the clip of a row cannot be used, or an empty text."""
    problems = {
        f"there is no {row.place}, or it is no video or folder of images": row.place not in media,
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
    few = f"have fewer than {n_frames} frames; those between were interpolated"
    for what, mask in {
        few: clips["length"] < n_frames,
        "have no face that the detector finds and are whole frames": clips["whole"],
        "have no apex between onset and offset in the annotation": clips["apex"] == NO_APEX,
    }.items():
        if mask.any():
            ids = clips["clip_id"][mask]
            some = ", ".join(ids[:5]) + (" ..." if len(ids) > 5 else "")
            notes.append(f"{len(ids)} of {len(clips)} clips {what}: {some}")
    return notes


class Smic(ClipReader):
    """One part of SMIC: SMIC_all_cropped, SMIC_all_raw, or SMIC-E, which has an annotation.

    A second movement in a recording of SMIC-E is a clip of its own whose id ends in `_2`.
    """

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
        if self._form(path) == "long":
            rows = super()._rows(path)
            second = rows[rows["onset2"] != ""]
            times = {"onset": second["onset2"], "offset": second["offset2"]}
            second = second.assign(clip_id=second["place"] + "_2", **times)
            rows = pd.concat([rows, second]).sort_index(kind="stable")
        else:
            rows = pd.DataFrame({"place": list(self._media(path)), "problem": ""}, dtype=str)
            rows["clip_id"] = rows["place"].str.rpartition("/")[2]
        named = rows["place"].str.extract(SMIC_NAME)
        label = named["code"].map(SMIC_CODES)
        rows = rows.assign(subject="s" + named["subject"].str.zfill(2), label=label).fillna("")
        misplaced = (named["folder"] != named["subject"]) | (named["emotion"] != label)
        where = "lies in " + rows["place"].str.rpartition("/")[0] + "/, which is not what its name says"
        rows["problem"] = where.where(named["folder"].notna() & misplaced, rows["problem"])
        rows.loc[named["code"].isna(), "problem"] = "not named like s1_ne_01 (subject; ne, po or sur; number)"
        return rows


class Samm(ClipReader):
    """SAMM: `006/006_1_2/006_05562.jpg` and so on, and `SAMM_Micro_FACS_Codes_v2.xlsx` there or beside it."""

    def _rows(self, path: Path) -> pd.DataFrame:
        rows = super()._rows(path)
        owner = rows["place"].str.partition("_")[0]
        problem = "the Subject is '" + rows["subject"] + "', not '" + owner + "'; correct the cell"
        wrong = rows["subject"].str.zfill(3) != owner
        return rows.assign(subject=owner, problem=problem.where(wrong, ""))


class Casme2(ClipReader):
    """CASME II; ids are like `sub01/EP02_01f`, because the films' names repeat between subjects."""

    def _media(self, path: Path) -> dict[str, Path]:
        return {f"{one.name}/{film.name}": film for one in self._subjects(path) for film in folders(one)}

    def _rows(self, path: Path) -> pd.DataFrame:
        rows = super()._rows(path)
        subject = "sub" + rows["subject"].str.zfill(2)
        place = subject + "/" + rows["place"]
        return rows.assign(subject=subject, place=place, clip_id=place)


class ClipTable(ClipReader):
    """Clips of any origin: a CSV table beside videos or folders of numbered images (data/README.md).

    `clip` is a video or a folder, relative to the table's folder. Ids are `<clip>/<onset>-<offset>`.
    """

    def holds(self, path: Path) -> bool:
        """Return whether a file is a table of clips."""
        is_csv = path.suffix.lower() == ".csv" and path.is_file()
        return is_csv and {*self.columns.values()} <= {*csv_header(path)[0]}

    def find(self, folder: Path) -> Path:
        """Return the one table of clips in a folder; several are a `ConfigError`."""
        if folder.is_file():
            return folder
        for place in self.places:
            tables = [file for file in sorted(folder.glob(place)) if self.holds(file)]
            if len(tables) > 1:
                names = ", ".join(table.name for table in tables)
                several = f"several tables of clips, {names}"
                raise ConfigError(f"{tables[0].parent}: {several}; name one in data_path")
            if tables:
                return tables[0]
        return super().find(folder)

    def annotation(self, path: Path) -> Path:
        """Return the table itself."""
        return path

    def _media(self, path: Path) -> dict[str, Path]:
        found = {}
        for file in sorted(files_below(path.parent)):
            suffix = file.suffix.lower()
            image = suffix in IMAGE_SUFFIXES and file.parent != path.parent
            place = file.parent if image else file
            name = place.relative_to(path.parent).as_posix()
            if (image or re.fullmatch(VIDEO_SUFFIX, suffix)) and not is_hidden(name):
                found[name] = place
        return found

    def _rows(self, path: Path) -> pd.DataFrame:
        rows = super()._rows(path)
        place = rows["place"].map(lambda one: str(PurePosixPath(one)))  # without a "./" in front
        return rows.assign(place=place, clip_id=place + "/" + rows["onset"] + "-" + rows["offset"])
