"""The data sets of clips: SMIC, SAMM, CASME II, and a table of clips of any origin, such as MEVIEW.

Sources: X. Li et al., *A spontaneous micro-expression database*, FG 2013 (SMIC). A. K. Davison et al.,
*SAMM: a spontaneous micro-facial movement dataset*, IEEE Transactions on Affective Computing 9(1), 2018.
W.-J. Yan et al., *CASME II: an improved spontaneous micro-expression database*, PLoS ONE 9(1): e86041, 2014.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from fer_utils.data.clip_files import (
    Annotation,
    Clip,
    Recordings,
    Sampling,
    Skipped,
    VideoFrames,
    annotated_clips,
    folders,
    frames_between,
    numbered_frames,
    read_sheet,
    to_clipset,
)
from fer_utils.data.datasets import ClipData, MissingData
from fer_utils.data.raw_files import IMAGE_SUFFIXES
from fer_utils.data.samples import ClipSet
from fer_utils.files import ConfigError
from fer_utils.labels import SMIC3, canonical

SAMM8 = ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise", "other")
CASME2_7 = ("disgust", "fear", "happy", "repression", "sad", "surprise", "others")

SMIC_CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}

HS_CLIPS = {"negative": 70, "positive": 51, "surprise": 43}
"""Clips of SMIC's part HS in the cropped and raw forms: 164."""

HS_SUBJECTS = tuple(f"s{number:02d}" for number in range(1, 21) if number not in (7, 10, 16, 17))
"""Of the 20 people who were filmed for SMIC, those who showed a micro-expression."""

MAX_HEADER = 10_000
"""Bytes that are read of a CSV file to see whether it is a table of clips."""

PARTS = ("HS", "VIS", "NIR")
"""SMIC's cameras: high speed, visible light, near infrared."""


class ClipReader(ClipData):
    """A data set of clips whose subclass lists them in `recordings`."""

    subject: str
    annotation_name = ""
    """Regular expressions: of the subjects' folders, and of the annotation's file."""
    levels_up = 1
    """How many folders above the subjects the annotation may lie."""

    def holds(self, path: Path) -> bool:
        """Return whether a folder has subjects of this data set in it."""
        return bool(self.subjects(path))

    def subjects(self, path: Path) -> list[Path]:
        """Return the folders of the subjects."""
        return [folder for folder in folders(path) if re.fullmatch(self.subject, folder.name)]

    def annotation(self, path: Path) -> Path | None:
        """Return the annotation in the folder or above it; `FileNotFoundError` when there is none."""
        for folder in (path, *list(path.absolute().parents)[: self.levels_up]):
            for file in sorted(folder.iterdir()):
                if re.fullmatch(self.annotation_name, file.name):
                    return file
        where = f"there or in the {self.levels_up} folders above"
        raise FileNotFoundError(f"{path}: no annotation ({self.annotation_name}) {where}")

    def recordings(self, path: Path, *, frame_rate: float | None) -> Recordings:
        """Return the clips in a folder before they are read."""
        raise NotImplementedError

    def read(
        self,
        path: Path,
        *,
        size: int = 64,
        n_frames: int = 18,
        sampling: Sampling = "interpolate",
        leave_out: Sequence[str] = (),
        frame_rate: float | None = None,
    ) -> ClipSet:
        """Read the clips as `to_clipset` does; `frame_rate` is that of images that do not state it."""
        found = self.recordings(path, frame_rate=frame_rate)
        return to_clipset(found, size=size, n_frames=n_frames, sampling=sampling, leave_out=leave_out)


class Smic(ClipReader):
    """One part of SMIC in whichever of its three forms is there.

    `SMIC_all_cropped/` and `SMIC_all_raw/` have `<part>/s1/micro/<class>/s1_ne_01/`; SMIC-E has
    `<part>_long/SMIC-<part>-E/<part>/s01/s1_ne_01/` and an annotation. A second movement in a recording of
    SMIC-E is a clip of its own whose id ends in `_2`.
    """

    PLACES = (
        "SMIC_all_cropped/{0}",
        "SMIC_all_raw/{0}",
        "{0}_long/SMIC-{0}-E/{0}",
        "{0}_long/SMIC-{0}-E",
        "SMIC-{0}-E/{0}",
        "SMIC-{0}-E",
        "{0}",
        "",
    )
    COLUMNS = ("Filename", "OnsetF", "OffsetF", "Onset2F", "Offset2F")

    obtained_from = "University of Oulu (Li et al. 2013)"
    terms = "a licence agreement, signed by a member of the faculty; research that is not commercial"
    subject = "s[0-9]{1,3}"
    levels_up = 2

    def __init__(self, part: str) -> None:
        self.part = part
        self.name = self.title = f"smic-{part.lower()}"
        places = [f"{top}{place}".format(part) for top in ("", "SMIC/") for place in self.PLACES]
        self.places = tuple(dict.fromkeys(places))
        self.expected = (f"SMIC_all_cropped/{part}", f"SMIC_all_raw/{part}", f"{part}_long")
        self.annotation_name = f"SMIC[-_]{part}[-_]E_annotation.*[.]xlsx"
        self.n_clips = sum(HS_CLIPS.values()) if part == "HS" else 71
        self.frame_rate = 100.0 if part == "HS" else 25.0

    def holds(self, path: Path) -> bool:
        """Return whether a folder has SMIC's subjects and is of this part, HS where its name names none."""
        named = [name for name in PARTS if name in re.split("[-_]", path.name)]
        return self.part in (named or ["HS"]) and super().holds(path)

    def annotation(self, path: Path) -> Path | None:
        """Return SMIC-E's annotation; the other forms need none."""
        return super().annotation(path) if self._form(path) == "long" else None

    def missing_from(self, clips: ClipSet) -> str:
        """Return how many clips a copy lacks; SMIC-E is another set of clips, of which that is not known."""
        return "" if clips.name.endswith("-e") else super().missing_from(clips)

    def recordings(self, path: Path, *, frame_rate: float | None = None) -> Recordings:
        """Return the clips of a folder of subjects."""
        form = self._form(path)
        clips = list(self._annotated_clips(path) if form == "long" else self._clips_in_folders(path, form))
        return Recordings(
            name=self.name + "-e" * (form == "long"),
            class_names=SMIC3,
            clips=clips,
            crop_face=form != "cropped",
            origin={"folder": path.name, "form": form, "part": self.part},
            notes=self._incomplete(clips) if self.part == "HS" and form != "long" else [],
        )

    def _form(self, path: Path) -> str:
        if not any(path.glob("s*/micro")):
            return "long"
        return "cropped" if any(path.glob("s*/micro/*/*/reg_image*")) else "raw"

    def _subject_and_label(self, name: str) -> tuple[str, str]:
        if not (named := re.fullmatch("s0*([0-9]+)_(ne|po|sur)_0*([0-9]+)", name)):
            raise ValueError("not named like s1_ne_01 (subject; ne, po or sur; number)")
        return f"s{int(named[1]):02d}", SMIC_CODES[named[2]]

    def _clips_in_folders(self, path: Path, form: str) -> Iterator[Clip | Skipped]:
        prefix = "reg_image" if form == "cropped" else "image"
        for owner in self.subjects(path):
            for folder in (one for emotion in folders(owner / "micro") for one in folders(emotion)):
                try:
                    subject, label = self._subject_and_label(folder.name)
                    if folder.parent.name != label or subject != f"s{int(owner.name[1:]):02d}":
                        where = f"{owner.name}/micro/{folder.parent.name}/"
                        raise ValueError(f"lies in {where}, which is not what its name says")
                    frames = numbered_frames(folder, prefix=prefix)
                    onset, offset = min(frames), max(frames)
                    paths = frames_between(frames, onset, offset)
                except ValueError as error:
                    yield Skipped(folder.name, str(error))
                    continue
                yield Clip(folder.name, subject, label, paths, self.frame_rate, onset, None, offset)

    def _annotated_clips(self, path: Path) -> Iterator[Clip | Skipped]:
        table = self.annotation(path)
        places = {one.name: one for subject in self.subjects(path) for one in folders(subject)}
        rows = self._rows(table)
        return annotated_clips(rows, places, table=table.name, prefix="image", frame_rate=self.frame_rate)

    def _rows(self, table: Path) -> Iterator[Annotation | Skipped]:
        for number, row in read_sheet(table, columns=self.COLUMNS, sheet=self.part):
            name, onset, offset, second_onset, second_offset = row
            if not name:  # remarks below the table
                continue
            try:
                subject, label = self._subject_and_label(name)
            except ValueError as error:
                yield Skipped(name, f"{table.name}, row {number}: {error}")
                continue
            yield Annotation(number, name, name, subject, label, onset, "", offset)
            if second_onset:
                yield Annotation(number, f"{name}_2", name, subject, label, second_onset, "", second_offset)

    def _incomplete(self, found: Sequence[Clip | Skipped]) -> list[str]:
        clips = [clip for clip in found if isinstance(clip, Clip)]
        present = Counter(clip.label for clip in clips)
        if present == HS_CLIPS:
            return []
        each = ", ".join(f"{name} {present[name]} of {count}" for name, count in HS_CLIPS.items())
        missing = [name for name in HS_SUBJECTS if name not in {clip.subject for clip in clips}]
        nobody = f"; no clip of {', '.join(missing)}" if missing else ""
        total = f"{len(clips)} of {self.n_clips} clips"
        return [
            f"incomplete: {total} ({each}){nobody}; the whole set has none of s07, s10, s16 and s17 either"
        ]


class Samm(ClipReader):
    """SAMM: `006/006_1_2/006_05562.jpg` and so on, and `SAMM_Micro_FACS_Codes_v2.xlsx` there or beside it."""

    COLUMNS = ("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame", "Estimated Emotion")

    name, title = "samm", "SAMM"
    places = ("SAMM", "")
    expected = ("SAMM",)
    obtained_from = "Manchester Metropolitan University (Davison et al. 2018)"
    terms = "a release agreement"
    n_clips = 159
    subject = "[0-9]{3}"
    annotation_name = "SAMM_.*FACS_Codes.*[.]xlsx"

    def recordings(self, path: Path, *, frame_rate: float | None = None) -> Recordings:
        """Return the clips of a folder of subjects."""
        table = self.annotation(path)
        places = {one.name: one for subject in self.subjects(path) for one in folders(subject)}
        return Recordings(
            name="samm",
            class_names=SAMM8,
            clips=annotated_clips(
                self._rows(table, places), places, table=table.name, prefix="[0-9]+_", frame_rate=200.0
            ),
            crop_face=True,
            origin={"folder": path.name, "annotation": table.name, "form": "folder"},
        )

    def _rows(self, table: Path, places: dict[str, Path]) -> Iterator[Annotation | Skipped]:
        # The header is below 13 rows of explanations.
        for number, row in read_sheet(table, columns=self.COLUMNS, sheet="MICRO_ONLY"):
            subject, name, onset, apex, offset, emotion = row
            owner = places[name].parent.name if name in places else name.partition("_")[0]
            if name and subject.zfill(3) != owner:  # a merged, empty or misspelt cell
                problem = f"the Subject is {subject!r}, the folder says {owner!r}; correct the cell"
                yield Skipped(name, f"{table.name}, row {number}: {problem}")
                places.pop(name, None)
            elif name:
                yield Annotation(number, name, name, owner, canonical(emotion), onset, apex, offset)


class Casme2(ClipReader):
    """CASME II: `sub01/EP02_01f/img46.jpg` (cropped `reg_img46.jpg`) and `CASME2-coding-20140508.xlsx`.

    Ids are like `sub01/EP02_01f`, because the films' names repeat between subjects.
    """

    COLUMNS = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion")

    name, title = "casme2", "CASME II"
    places = tuple(
        f"{top}{form}"
        for form in ("Cropped", "CASME2_RAW_selected", "CASME2-RAW", "")
        for top in ("CASME2/", "CASME II/", "")
    )
    expected = ("CASME2/Cropped", "CASME2")
    obtained_from = "Institute of Psychology, Chinese Academy of Sciences (Yan et al. 2014)"
    terms = "a licence agreement"
    n_clips = 247
    subject = "sub[0-9]+"
    annotation_name = "CASME2-coding.*[.]xlsx"

    def recordings(self, path: Path, *, frame_rate: float | None = None) -> Recordings:
        """Return the clips of a folder of subjects."""
        table = self.annotation(path)
        places = {f"{one.name}/{film.name}": film for one in self.subjects(path) for film in folders(one)}
        cropped = any(path.glob("sub*/*/reg_img*"))
        prefix = "reg_img" if cropped else "img"
        return Recordings(
            name="casme2",
            class_names=CASME2_7,
            clips=annotated_clips(
                self._rows(table), places, table=table.name, prefix=prefix, frame_rate=200.0
            ),
            crop_face=not cropped,
            origin={
                "folder": path.name,
                "annotation": table.name,
                "form": "cropped" if cropped else "raw",
            },
        )

    def _rows(self, table: Path) -> Iterator[Annotation]:
        for number, row in read_sheet(table, columns=self.COLUMNS):
            subject, name, onset, apex, offset, emotion = row
            if name:
                subject = f"sub{subject.zfill(2)}"
                place = f"{subject}/{name}"
                yield Annotation(number, place, place, subject, canonical(emotion), onset, apex, offset)


class ClipTable(ClipReader):
    """Clips of any origin: a CSV table beside videos or folders of numbered images.

    The table has the columns `clip,subject,onset,offset,emotion` and perhaps `apex`, separated by commas,
    semicolons or tabs. `clip` is a video or a folder, relative to the table's folder; onset and offset are
    frame numbers, and a video's first frame is number 1. Ids are `<clip>/<onset>-<offset>`.
    """

    COLUMNS = ("clip", "subject", "onset", "offset", "emotion")
    FOLDERS = ("", "MEVIEW", "clips")
    VIDEO_SUFFIXES = (
        *(".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"),
        *(".3gp", ".mts", ".m2ts"),
    )

    name, title = "table", "a table of clips"
    places = tuple(str(PurePosixPath(folder, "*.csv")) for folder in FOLDERS)
    expected = ("MEVIEW/<any name>.csv with the clips that it lists",)
    obtained_from = "clips of your own, or MEVIEW: Czech Technical University (Husák, Čech, Matas 2017)"
    terms = "those of their source; MEVIEW's videos are poker games and TV interviews from the internet"

    def holds(self, path: Path) -> bool:
        """Return whether a file is a table of clips."""
        return path.suffix.lower() == ".csv" and path.is_file() and not self._lacking(path)

    def find(self, folder: Path) -> Path:
        """Return the one table of clips in a folder; several are a `ConfigError`."""
        if folder.is_file():
            return folder
        seen = []
        for place in (folder / name for name in self.FOLDERS):
            files = sorted(place.glob("*.csv"))
            tables = [file for file in files if self.holds(file)]
            if len(tables) > 1:
                names = ", ".join(table.name for table in tables)
                raise ConfigError(f"{place}: several tables of clips, {names}; let data_path name one")
            if tables:
                return tables[0]
            seen += [f"{file} has no column {', '.join(self._lacking(file))}" for file in files]
        places = ", ".join(str(folder / place) for place in self.places)
        found = f" ({'; '.join(seen[:3])})" if seen else ""
        columns = ",".join(self.COLUMNS)
        raise MissingData(f"no table of clips is here; looked for {places} with the columns {columns}{found}")

    def annotation(self, path: Path) -> Path:
        """Return the table itself."""
        return path

    def recordings(self, path: Path, *, frame_rate: float | None = None) -> Recordings:
        """Return the clips that a table lists."""
        places = {place.relative_to(path.parent).as_posix(): place for place in self._places(path.parent)}
        rows = list(self._rows(path))
        found = annotated_clips(rows, places, table=path.name, prefix=".*?", frame_rate=frame_rate)
        clips = [self._explained(clip, path.parent) for clip in found]
        from_images = any(isinstance(one, Clip) and not isinstance(one.frames, VideoFrames) for one in clips)
        note = f"{frame_rate or 0:g} frames per second were given for the clips in images"
        return Recordings(
            name=path.stem,
            class_names=sorted({row.label for row in rows} - {""}),
            clips=clips,
            crop_face=True,
            origin={"table": path.name, "form": "table"},
            notes=[note] if from_images else [],
        )

    def _explained(self, clip: Clip | Skipped, root: Path) -> Clip | Skipped:
        file = root / clip.clip_id.rpartition("/")[0]
        if (
            isinstance(clip, Skipped)
            and "there is no" in clip.why
            and file.is_file()
            and ".." not in file.parts
        ):
            return Skipped(
                clip.clip_id, f"{file.name}: not a kind that is read ({', '.join(self.VIDEO_SUFFIXES)})"
            )
        return clip

    def _rows(self, path: Path) -> Iterator[Annotation]:
        lines = self._lines(path)
        header, table = lines[0] if lines else [], lines[1:]
        if missing := [name for name in self.COLUMNS if name not in header]:
            raise ValueError(f"{path}, line 1: no column {', '.join(missing)} in the header")
        if twice := [name for name in (*self.COLUMNS, "apex") if header.count(name) > 1]:
            raise ValueError(f"{path}, line 1: more than one column {twice[0]}; remove one")
        for number, cells in enumerate(table, start=2):
            row = dict.fromkeys((*self.COLUMNS, "apex"), "") | dict(zip(header, cells, strict=False))
            if not any(row.values()):
                continue
            clip = row["clip"]
            if Path(clip).is_relative_to(path.parent.absolute()):
                clip = Path(clip).relative_to(path.parent.absolute())
            clip = PurePosixPath(clip).as_posix()
            clip_id = f"{clip}/{row['onset']}-{row['offset']}"
            label = canonical(row["emotion"])
            yield Annotation(
                number, clip_id, clip, row["subject"], label, row["onset"], row["apex"], row["offset"]
            )

    def _lines(self, path: Path, *, header_only: bool = False) -> list[list[str]]:
        """Return the stripped cells of every line, those of the header in lower case."""
        with open(path, "rb") as file:
            content = file.read(MAX_HEADER if header_only else -1)
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            text = content.decode(encoding, errors="replace" if header_only else "strict")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 ({error}); save it with that encoding") from error
        first = text.partition("\n")[0]
        try:
            lines = [first] if header_only else text.splitlines()
            rows = list(csv.reader(lines, delimiter=max(",;\t", key=first.count)))
        except csv.Error as error:
            raise ValueError(f"{path}: not a CSV table ({error})") from error
        cells = [[cell.strip() for cell in row] for row in rows]
        return [[name.lower() for name in row] for row in cells[:1]] + cells[1:]

    def _lacking(self, path: Path) -> list[str]:
        try:
            header = (self._lines(path, header_only=True) or [[]])[0]
        except (ValueError, OSError):
            header = []
        return [name for name in self.COLUMNS if name not in header]

    def _places(self, root: Path) -> Iterator[Path]:
        """Yield the videos and folders of images that a table can name, none of them outside its folder."""
        for folder, below, files in os.walk(root):
            below[:] = sorted(name for name in below if not name.startswith("."))
            visible = sorted(name for name in files if not name.startswith("."))
            yield from (Path(folder, name) for name in visible if name.lower().endswith(self.VIDEO_SUFFIXES))
            if any(name.lower().endswith(IMAGE_SUFFIXES) for name in visible) and Path(folder) != root:
                yield Path(folder)
