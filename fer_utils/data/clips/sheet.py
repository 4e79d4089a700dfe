"""Tables in Excel workbooks (.xlsx), as annotations of clips are distributed."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl

MOST_BYTES = 2**28
"""Of a workbook, unpacked; the annotations that are read here have some thousand cells."""


def read_sheet(
    path: str | Path, *, columns: Sequence[str], sheet: str | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Read the table of a worksheet whose header row has all `columns`.

    Parameters
    ----------
    path : path
    columns : sequence of str
        Names in the header; the rows above the header and the other columns are passed over.
    sheet : str, optional
        Name of the worksheet; without one the first is read.

    Returns
    -------
    list of (int, dict)
        Row number as Excel shows it, and the text of each column; a missing cell is empty text, a whole
        number has no decimal point.

    Raises
    ------
    ValueError
        For a file that is not a workbook, a worksheet that is not there, and one without such a header.
    OSError
        When the file cannot be read.
    """
    path = Path(path)
    sheets = _sheets(path)
    name = next(iter(sheets)) if sheet is None else sheet
    if name not in sheets:
        raise ValueError(f"{path}: no sheet {sheet!r}; it has {', '.join(map(repr, sheets))}")
    rows = sheets[name]
    for start, header in enumerate(rows):
        place = {text: column for column, text in enumerate(header)}
        if set(columns) <= place.keys():
            return [
                (number, {key: cells[place[key]] for key in columns})
                for number, cells in enumerate(rows[start + 1 :], start=start + 2)
                if any(cells)
            ]
    raise ValueError(f"{path}, sheet {name!r}: no row has the columns {', '.join(columns)}")


def _sheets(path: Path) -> dict[str, list[list[str]]]:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MOST_BYTES:
            raise ValueError(f"it unpacks to {unpacked:,} bytes; {MOST_BYTES:,} at most")
        workbook = openpyxl.load_workbook(path, data_only=True)
        return {
            sheet.title: [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
            for sheet in workbook.worksheets
        }
    except OSError:
        raise
    except Exception as error:  # whatever a damaged workbook makes of its parsers
        raise ValueError(f"{path}: not a whole Excel workbook (.xlsx): {error!r}") from error


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()
