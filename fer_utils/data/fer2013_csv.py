"""The tables of FER-2013, told apart by their header.

========================  ==========================  ==============================================
file                      columns                     split
========================  ==========================  ==============================================
`fer2013.csv`             emotion, pixels, Usage      from `Usage`
`icml_face_data.csv`      emotion, Usage, pixels      the same
`train.csv`               emotion, pixels             all `train`
`test.csv`                pixels                      `pooled_test`, without classes
========================  ==========================  ==============================================

Reading is fast where all is well, by blocks of rows, and goes row by row through a block with a bad one.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fer_utils.data.bad_rows import BadRows, printable
from fer_utils.data.faceset import UNLABELLED, FaceSet
from fer_utils.labels import FER7

SIZE = 48
"""Height and width of FER-2013's images, in pixels."""

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""The official split: chosen on PublicTest, reported once on PrivateTest."""

COLUMNS = ("emotion", "pixels", "Usage")
NO_LABELS = (
    "the images of pooled_test have no labels, and which of them are PublicTest and which PrivateTest is "
    "not said: this is the challenge's test.csv, and nothing can be scored on it"
)

ROWS_AT_A_TIME = 16
"""So few that the arrays of `parse_pixels` stay in cache and in memory that the process keeps: at 64 it takes
twice the time, most of it in the operating system, which hands out and takes back large arrays by pages."""

LONGEST_HEADER = 4096
"""Bytes. A file without line ends would otherwise be read whole for its header."""

_LABELS = {str(index).encode(): index for index in range(len(FER7))}
_USAGES = {name.encode(): name for name in USAGE}
_SPLITS = USAGE | {"Test": "pooled_test"}
_PIXELS = SIZE * SIZE
_SHORTEST_ROW = 2 * _PIXELS
"""Bytes: a digit and a separator for every pixel."""


def read_csv(path: Path, bad: BadRows) -> FaceSet:
    """Read one table of FER-2013.

    Parameters
    ----------
    path : Path
        A file with one of the headers above. Line ends may be of Unix or Windows, fields quoted or with
        spaces around them; a byte-order mark is passed over.
    bad : BadRows
        Judges the rows.

    Returns
    -------
    FaceSet
        Without notes on what was dropped, which are the caller's. Sample ids name split and line.

    Raises
    ------
    ValueError
        For a file without one of these headers or without rows.
    """
    with open(path, "rb", buffering=2**18) as file:
        rows = _Rows(_header(path, file.readline(LONGEST_HEADER)), most=path.stat().st_size // _SHORTEST_ROW)
        line = 2
        while block := list(islice(file, ROWS_AT_A_TIME)):
            try:
                rows.add(block, first_line=line)
            except ValueError:
                for number, row in enumerate(block, start=line):
                    with bad.at(f"line {number}"):
                        rows.add([row], first_line=number)
            line += len(block)
    if line == 2:
        raise ValueError(f"{path}: a header and no rows")
    return rows.faces()


class _Rows:
    """Rows read so far; `add` takes all that it is given or, with `ValueError`, none of it."""

    def __init__(self, columns: dict[str, int], *, most: int) -> None:
        self.columns = columns
        self.labels: list[int] = []
        self.usages: list[str] = []
        self.lines: list[int] = []
        # Room for the most rows that the file can hold; memory is only taken where rows are written.
        self.images = np.empty((most, SIZE, SIZE), dtype=np.uint8)

    def add(self, rows: Sequence[bytes], *, first_line: int) -> None:
        parsed = [_row(row, self.columns) for row in rows]
        images = parse_pixels([pixels for _, _, pixels in parsed])
        done = len(self.labels)
        self.labels.extend(label for label, _, _ in parsed)
        self.usages.extend(usage for _, usage, _ in parsed)
        self.lines.extend(range(first_line, first_line + len(rows)))
        self.images[done : len(self.labels)] = images

    def faces(self) -> FaceSet:
        self.images.resize((len(self.labels), SIZE, SIZE), refcheck=False)
        ids = [f"{usage}_row{line:05d}" for usage, line in zip(self.usages, self.lines, strict=True)]
        return FaceSet(
            name="fer2013",
            source="real",
            images=self.images,
            labels=np.array(self.labels, dtype=np.int64),
            class_names=FER7,
            split=np.array([_SPLITS[usage] for usage in self.usages], dtype=np.str_),
            sample_id=np.array(ids, dtype=np.str_),
            notes=() if "emotion" in self.columns else (NO_LABELS,),
        )


def _header(path: Path, line: bytes) -> dict[str, int]:
    if not line:
        raise ValueError(f"{path}: an empty file")
    if b"\0" in line:
        raise ValueError(f"{path}, line 1: not plain text, or in UTF-16; save the table as UTF-8")
    line = line.removeprefix(BOM_UTF8)
    if b"\r" in line.removesuffix(b"\n").removesuffix(b"\r"):
        raise ValueError(f"{path}, line 1: lines end in single carriage returns; save the table with \\n")
    names = [_unquoted(name).decode("utf-8", "backslashreplace") for name in line.split(b",")]
    shown = printable(", ".join(name[:20] for name in names[:5]))
    if twice := {name for name in names if names.count(name) > 1}:
        repeated = printable(", ".join(sorted(twice))[:60])
        raise ValueError(f"{path}, line 1: more than one column {repeated} in the header ({shown})")
    # The forms with fewer columns have no others: a misspelt Usage must not make every row a training row.
    if set(names) not in ({"emotion", "pixels"}, {"pixels"}) and not set(COLUMNS) <= set(names):
        missing = ", ".join(name for name in COLUMNS if name not in names)
        raise ValueError(f"{path}, line 1: no column {missing} in the header ({shown})")
    if not line.endswith(b"\n"):
        raise ValueError(f"{path}: a header and no rows")
    return {name: position for position, name in enumerate(names)}


def _row(line: bytes, columns: dict[str, int]) -> tuple[int, str, bytes]:
    cells = [_unquoted(cell) for cell in line.split(b",")]
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} fields instead of {len(columns)}")
    pixels = cells[columns["pixels"]]
    if "emotion" not in columns:
        return UNLABELLED, "Test", pixels
    if (label := cells[columns["emotion"]]) not in _LABELS:
        raise ValueError(f"emotion is {_shown(label)}, not 0-{len(FER7) - 1}")
    if "Usage" not in columns:
        return _LABELS[label], "Training", pixels
    if (usage := cells[columns["Usage"]]) not in _USAGES:
        raise ValueError(f"Usage is {_shown(usage)}, not one of {', '.join(USAGE)}")
    return _LABELS[label], _USAGES[usage], pixels


def _unquoted(cell: bytes) -> bytes:
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell


def _shown(cell: bytes) -> str:
    return repr(cell[:20].decode("utf-8", "backslashreplace"))


def parse_pixels(fields: Sequence[bytes]) -> np.ndarray:
    """Parse rows of space-separated pixel values, strictly.

    Parameters
    ----------
    fields : sequence of bytes, at least one
        For each row 2,304 whole numbers in 0-255 of at most three digits, separated by single spaces.

    Returns
    -------
    ndarray of uint8, shape (len(fields), 48, 48)

    Raises
    ------
    ValueError
        Saying what is wrong in the first bad row. (`np.fromstring` would turn 300 into 44.)
    """
    values = _parse_digits(fields)
    if values is None:
        raise ValueError(next(filter(None, map(_row_problem, fields))))
    return values.reshape(-1, SIZE, SIZE)


def _parse_digits(fields: Sequence[bytes]) -> np.ndarray | None:
    # All numbers of a block at once, each read backwards from the space that ends it: ones, tens, hundreds.
    # None when anything is not as it should be; which row and why is looked for afterwards.
    # Three spaces before the first number are room for looking back from it.
    text = np.frombuffer(b"   " + b" ".join((*fields, b"")), dtype=np.uint8)
    ends = np.flatnonzero(text[3:] == ord(" "))
    row_ends = np.cumsum([len(field) + 1 for field in fields]) - 1
    if not np.array_equal(ends[_PIXELS - 1 :: _PIXELS], row_ends):
        return None
    digit = text - np.uint8(ord("0"))  # wraps: whatever is not a digit becomes > 9
    ones, tens, hundreds = digit[2:][ends], digit[1:][ends], digit[ends]
    has_tens = tens <= 9
    has_hundreds = has_tens & (hundreds <= 9)
    # Every character must be a space or one of the digits found, which rules out a fourth digit as well.
    found = len(ends) + np.count_nonzero(has_tens) + np.count_nonzero(has_hundreds)
    if ones.max() > 9 or not found == np.count_nonzero(digit <= 9) == len(text) - 3 - len(ends):
        return None
    values = ones + np.uint8(10) * tens * has_tens + np.uint16(100) * (hundreds * has_hundreds)
    return values.astype(np.uint8) if values.max() <= 255 else None


def _row_problem(field: bytes) -> str | None:
    tokens = field.split(b" ")
    for column, token in enumerate(tokens, start=1):
        if not token.isdigit() or len(token) > 3 or int(token) > 255:
            return f"pixel {column} is {_shown(token)}, not a whole number from 0 to 255"
    return None if len(tokens) == _PIXELS else f"{len(tokens)} pixel values instead of {_PIXELS}"
