"""SMIC: spontaneous micro-expressions of 16 people, at 100 frames per second (HS) and 25 (VIS, NIR).

Source: X. Li, T. Pfister, X. Huang, G. Zhao, M. Pietikäinen, *A spontaneous micro-expression database:
inducement, collection and baseline*, FG 2013. Three classes, no apex, and no class without expression.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from fer_utils.data.clips.annotation import Annotation, annotated_clips, annotation_file, without
from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.frames import folders, frames_between, numbered_frames
from fer_utils.data.clips.reading import Clip, Sampling, Skipped, to_clipset
from fer_utils.data.clips.sheet import read_sheet
from fer_utils.files import ConfigError
from fer_utils.labels import SMIC3

Part = Literal["HS", "VIS", "NIR"]
FRAME_RATE = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
CODES = {"ne": "negative", "po": "positive", "sur": "surprise"}
ANNOTATION = "SMIC[-_]{0}[-_]E_annotation.*[.]xlsx"

HS_CLIPS = {"negative": 70, "positive": 51, "surprise": 43}
"""Clips of HS in the cropped and raw forms: 164."""

HS_SUBJECTS = tuple(f"s{number:02d}" for number in range(1, 21) if number not in (7, 10, 16, 17))
"""Of the 20 people who were filmed, those who showed a micro-expression."""

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
"""Where the folders of subjects may be below a folder, `{0}` for the part; the cropped form first."""

_CLIP_NAME = re.compile("s0*([0-9]+)_(ne|po|sur)_0*([0-9]+)")
_FRAME_PREFIX = {"cropped": "reg_image", "raw": "image", "long": "image"}


def read_smic(
    path: str | Path,
    *,
    part: Part = "HS",
    leave_out: Sequence[str] = (),
    size: int = 64,
    n_frames: int = 18,
    sampling: Sampling = "interpolate",
    strict: bool = False,
) -> ClipSet:
    """Read one part of SMIC in whichever of its three forms the folder has.

    Parameters
    ----------
    path : path
        `SMIC_all_cropped/` or `SMIC_all_raw/` (`<part>/s1/micro/<class>/s1_ne_01/`), SMIC-E's `<part>_long/`
        (`SMIC-<part>-E/<part>/s01/s1_ne_01/` and its annotation), or the folder that holds one of them. The
        faces of the raw form and of SMIC-E are cropped here.
    part : {"HS", "VIS", "NIR"}
        Which camera.
    leave_out : sequence of str
        Ids of clips not to read. (dubey2020 uses 158 of the 164 without saying which.)
    size, n_frames, sampling, strict
        As in `to_clipset`.

    Returns
    -------
    ClipSet
        Subjects `s01` to `s20`; ids as the clips' folders are named. Where SMIC-E has a second movement in a
        recording, it is a clip of its own whose id ends in `_2`.

    Raises
    ------
    ValueError
        For a folder that holds no form of SMIC or more than one, an unknown id in `leave_out`, and what
        `to_clipset` raises.
    ConfigError
        For an unknown `part`.
    """
    if part not in get_args(Part):
        raise ConfigError(f"part={part!r}: use {' or '.join(map(repr, get_args(Part)))}")
    base = _base(Path(path), part)
    form = _form(base)
    found = list((_long_clips if form == "long" else _short_clips)(base, form, part))
    clips, notes = without(found, leave_out)
    if part == "HS" and form != "long":
        notes += _incomplete([clip for clip in found if isinstance(clip, Clip)])
    return to_clipset(
        clips,
        name=f"smic-{part.lower()}" + "-e" * (form == "long"),
        class_names=SMIC3,
        size=size,
        n_frames=n_frames,
        sampling=sampling,
        crop_face=form != "cropped",
        strict=strict,
        notes=notes,
        origin={"folder": Path(path).name, "form": form, "part": part},
    )


def holds_smic(folder: Path, part: Part) -> bool:
    """Return whether a folder has SMIC's subjects in it and is of this part, HS where its name names none."""
    named = [name for name in get_args(Part) if name in re.split("[-_]", folder.name)]
    return part in (named or ["HS"]) and any(map(_is_subject, folders(folder)))


def smic_annotation(base: Path, part: Part) -> Path | None:
    """Return the annotation that goes with the folder of SMIC's subjects, None where it needs none.

    Raises
    ------
    FileNotFoundError
        When SMIC-E's is not there.
    """
    return annotation_file(base, ANNOTATION.format(part), up_to=2) if _form(base) == "long" else None


def _base(path: Path, part: str) -> Path:
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder")
    places = dict.fromkeys(path / place.format(part) for place in PLACES)
    found = [place for place in places if any(map(_is_subject, folders(place)))]
    if not found:
        raise ValueError(f"{path}: no folder s1, s2 ... in it or in {', '.join(PLACES[:3]).format(part)}")
    if len(found) > 1:
        raise ValueError(f"{path}: more than one form of SMIC, in {', '.join(map(str, found))}; name one")
    if found[0].name in get_args(Part) and found[0].name != part:
        raise ValueError(f"{path}: is part {found[0].name}, not {part}")
    return found[0]


def _is_subject(folder: Path) -> bool:
    return bool(re.fullmatch("s[0-9]{1,3}", folder.name))


def _form(base: Path) -> str:
    if not any(base.glob("s*/micro")):
        return "long"
    return "cropped" if any(base.glob("s*/micro/*/*/reg_image*")) else "raw"


def _short_clips(base: Path, form: str, part: str) -> Iterator[Clip | Skipped]:
    for subject in filter(_is_subject, folders(base)):
        for emotion in folders(subject / "micro"):
            for folder in folders(emotion):
                try:
                    yield _short_clip(folder, form, part)
                except ValueError as error:
                    yield Skipped(folder.name, str(error))


def _short_clip(folder: Path, form: str, part: str) -> Clip:
    subject, label = _subject_and_label(folder.name)
    emotion, owner = folder.parent.name, folder.parents[2].name
    if emotion != label or subject != f"s{int(owner[1:]):02d}":
        raise ValueError(f"lies in {owner}/micro/{emotion}/, which is not what its name says")
    frames = numbered_frames(folder, prefix=_FRAME_PREFIX[form])
    onset, offset = min(frames), max(frames)
    paths = frames_between(frames, onset, offset)
    return Clip(folder.name, subject, label, paths, FRAME_RATE[part], onset, None, offset)


def _long_clips(base: Path, form: str, part: str) -> Iterator[Clip | Skipped]:
    table = annotation_file(base, ANNOTATION.format(part), up_to=2)
    subjects = filter(_is_subject, folders(base))
    places = {folder.name: folder for subject in subjects for folder in folders(subject)}
    rows = _long_rows(table, part)
    prefix, rate = _FRAME_PREFIX[form], FRAME_RATE[part]
    return annotated_clips(rows, places, table=table.name, prefix=prefix, frame_rate=rate)


def _long_rows(table: Path, part: str) -> Iterator[Annotation | Skipped]:
    columns = ("Filename", "OnsetF", "OffsetF", "Onset2F", "Offset2F")
    for number, row in read_sheet(table, columns=columns, sheet=part):
        name, onset, offset, second_onset, second_offset = row.values()
        if not name:  # remarks below the table
            continue
        try:
            shown = _subject_and_label(name)
        except ValueError as error:
            yield Skipped(name, f"{table.name}, row {number}: {error}")
            continue
        yield Annotation(number, name, name, *shown, onset, "", offset)
        if second_onset:
            yield Annotation(number, f"{name}_2", name, *shown, second_onset, "", second_offset)


def _subject_and_label(name: str) -> tuple[str, str]:
    named = _CLIP_NAME.fullmatch(name)
    if not named:
        raise ValueError("not named like s1_ne_01 (subject; ne, po or sur; number)")
    return f"s{int(named[1]):02d}", CODES[named[2]]


def _incomplete(clips: Sequence[Clip]) -> list[str]:
    present = Counter(clip.label for clip in clips)
    if present == HS_CLIPS:
        return []
    each = ", ".join(f"{name} {present[name]} of {count}" for name, count in HS_CLIPS.items())
    missing = [name for name in HS_SUBJECTS if name not in {clip.subject for clip in clips}]
    nobody = f"; no clip of {', '.join(missing)}" if missing else ""
    total = f"{len(clips)} of {sum(HS_CLIPS.values())} clips"
    return [f"incomplete: {total} ({each}){nobody}; the whole set has none of s07, s10, s16 and s17 either"]
