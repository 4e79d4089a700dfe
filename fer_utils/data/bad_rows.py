"""What a row or picture that cannot be used does: stop the reading, or be left out and listed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from fer_utils.files import ConfigError

OnBadRows = Literal["error", "drop"]

MOST_DROPPED = 10_000
"""A text is kept for every dropped row. So many bad ones are another kind of file, not a damaged copy."""

_SHOWN = 3


class BadRows:
    """The bad rows or pictures of one source, under the policy that its reader was given.

    Parameters
    ----------
    path : Path
        The source, for messages.
    policy : {"error", "drop"}
        Whether the first bad row is an error or all of them are left out and listed.
    unit : str
        What the source consists of, in the plural.

    Attributes
    ----------
    dropped : list of str
        Place and problem of everything that was left out.

    Raises
    ------
    ConfigError
        For another policy.
    """

    def __init__(self, path: Path, policy: OnBadRows, *, unit: Literal["rows", "pictures"]) -> None:
        if policy not in get_args(OnBadRows):
            raise ConfigError(f"on_bad_rows={policy!r}: use {' or '.join(map(repr, get_args(OnBadRows)))}")
        self.path, self.policy, self.unit = path, policy, unit
        self.dropped: list[str] = []

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Judge what the block does with the row or picture at `where`: its `ValueError` makes it a bad one.

        Raises
        ------
        ValueError
            Naming source and place: for any problem under "error", for one too many under "drop".
        """
        try:
            yield
        except ValueError as error:
            text = printable(f"{where}: {error}")
            if self.policy == "error":
                raise ValueError(printable(f"{self.path}, {text}")) from error
            self.dropped.append(text)
        if len(self.dropped) > MOST_DROPPED:
            raise ValueError(self._too_bad(f"more than {MOST_DROPPED:,} bad {self.unit}"))

    def notes(self, kept: int) -> tuple[str, ...]:
        """Return what a reader of the numbers must know, given how many rows were kept.

        Raises
        ------
        ValueError
            When rows were dropped and none is left.
        """
        if not self.dropped:
            return ()
        count = len(self.dropped)
        if not kept:
            raise ValueError(self._too_bad(f"nothing is left, all {count} {self.unit} are bad"))
        first = "; ".join(self.dropped[:_SHOWN])
        more = " ..." if count > _SHOWN else ""
        return (f"{count} of {kept + count} {self.unit} were dropped: {first}{more}",)

    def _too_bad(self, problem: str) -> str:
        return printable(f"{self.path}: {problem}; the first: {self.dropped[0]}")


def printable(text: str) -> str:
    """Return `text` with what a file's name or content may hold but no message should spelt as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
